//! `/api/v1/series`, `/labels`, `/label/{name}/values` and `/metadata`: what there is, for completion and variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use serde::Serialize;
use serde::ser::SerializeMap;
use watchfire_model::labels::{Labels, quoted};
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError, Selection};
use watchfire_model::time::Timestamp;

use super::answer::{ApiError, Success};
use super::gate::run;
use super::params::Params;
use super::promql::selectors;
use crate::app::App;

/// Labels as a JSON object.
pub(crate) struct LabelsJson<'a>(pub(crate) &'a Labels);
impl Serialize for LabelsJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What `match[]`, `start`, `end` and `limit` ask for.
struct Asked {
    sets: Vec<Vec<Matcher>>,
    start: Timestamp,
    end: Timestamp,
    limit: Option<usize>,
}
impl Asked {
    fn read(params: &Params) -> Result<Asked, ApiError> {
        let start = params.time_or("start", Timestamp::MIN)?;
        let end = params.time_or("end", Timestamp::MAX)?;
        Ok(Asked { limit: params.limit()?, sets: selectors(params.all("match[]"))?, start, end })
    }
    /// Asks once per set of matchers (once without matchers when there is none) and merges: ascending, each once.
    fn each<T: Ord>(&self, mut ask: impl FnMut(&Selection) -> Result<Vec<T>, ReadError>) -> Result<Vec<T>, ReadError> {
        let mut all = Vec::new();
        if self.start > self.end {
            return Ok(all);
        }
        let selection = |matchers: &[Matcher]| Selection { matchers: matchers.to_vec(), start: self.start, end: self.end };
        if self.sets.is_empty() {
            all.extend(ask(&selection(&[]))?);
        }
        for set in &self.sets {
            all.extend(ask(&selection(set))?);
        }
        // Names and values come in order already, which this notices.
        all.order();
        all.dedup();
        Ok(all)
    }
    /// The answer to a question without matchers, if there is one at once.
    fn at_once<T>(&self, ask: impl FnOnce(&Selection) -> Option<Vec<T>>) -> Option<Vec<T>> {
        if !self.sets.is_empty() || self.start > self.end {
            return None;
        }
        ask(&Selection { matchers: Vec::new(), start: self.start, end: self.end })
    }
    /// The first `limit` items, and whether that left any out.
    fn cut<T>(&self, mut all: Vec<T>) -> (Vec<T>, bool) {
        let limit = self.limit.unwrap_or(usize::MAX);
        let truncated = all.len() > limit;
        all.truncate(limit);
        (all, truncated)
    }
}

/// `GET|POST /api/v1/series`.
pub(crate) async fn series(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let asked = Asked::read(&Params::read(request).await?)?;
    if asked.sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    run(&app, None, move |app, budget| {
        let found = asked.each(|selection| app.rooms.source.series(selection, budget))?;
        let (list, truncated) = asked.cut(found);
        Ok(Success::of(&list.iter().map(LabelsJson).collect::<Vec<_>>()).truncated(truncated))
    })
    .await
}

/// `GET|POST /api/v1/labels`.
pub(crate) async fn labels(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let asked = Asked::read(&Params::read(request).await?)?;
    run(&app, None, move |app, budget| {
        let (list, truncated) = asked.cut(asked.each(|selection| app.rooms.source.label_names(selection, budget))?);
        Ok(Success::of(&list).truncated(truncated))
    })
    .await
}

/// `GET /api/v1/label/{name}/values`.
pub(crate) async fn label_values(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Result<Success, ApiError> {
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", quoted(&name))));
    }
    let asked = Asked::read(&Params::read(request).await?)?;
    // What is answered from memory in no time takes longer on its way to another thread and back.
    if let Some(list) = asked.at_once(|selection| app.rooms.source.label_values_at_once(&name, selection)) {
        app.queries.ran_at_once();
        let (list, truncated) = asked.cut(list);
        return Ok(Success::of(&list).truncated(truncated));
    }
    run(&app, None, move |app, budget| {
        let (list, truncated) = asked.cut(asked.each(|selection| app.rooms.source.label_values(&name, selection, budget))?);
        Ok(Success::of(&list).truncated(truncated))
    })
    .await
}

/// Undoes the `U__` escaping of names outside the classic charset: `_2e_` is `.`, `__` is `_`. A name that is not
/// well-formed is taken as it stands, as Prometheus does.
fn unescape(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let Some((code, after)) = after.split_once('_') else { return name.to_owned() };
        let valid = (1..=6).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(c) = valid.then(|| u32::from_str_radix(code, 16).ok().and_then(char::from_u32)).flatten() else { return name.to_owned() };
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[derive(Serialize)]
struct MetadataJson<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'a str,
    unit: &'a str,
}

/// `GET /api/v1/metadata`.
pub(crate) async fn metadata(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let number = |name: &str| match params.get(name) {
        None => Ok(usize::MAX),
        Some(text) => text.parse::<i64>().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
    };
    let limit = number("limit")?;
    let per_metric = match number("limit_per_metric")? {
        0 => usize::MAX,
        n => n,
    };
    let wanted = params.get("metric").map(str::to_owned);
    run(&app, None, move |app, _: &Budget| {
        let all = app.rooms.source.metadata();
        let mut families: BTreeMap<&str, Vec<MetadataJson<'_>>> = BTreeMap::new();
        for m in all.iter().filter(|m| wanted.as_deref().is_none_or(|w| w == &*m.family)) {
            if !families.contains_key(&*m.family) && families.len() >= limit {
                continue;
            }
            let list = families.entry(&m.family).or_default();
            if list.len() < per_metric {
                list.push(MetadataJson { kind: m.kind.name(), help: &m.help, unit: &m.unit });
            }
        }
        Ok(Success::of(&families))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_names() {
        for (escaped, plain) in [
            ("job", "job"),
            ("U__http_2e_dur", "http.dur"),
            ("U__a__b", "a_b"),
            ("U___2e_x", ".x"),
            ("U__stra_df_e", "straße"),
            ("U__a_zz_b", "U__a_zz_b"),
            ("U__a_2e", "U__a_2e"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__plain", "plain"),
        ] {
            assert_eq!(unescape(escaped), plain, "{escaped}");
        }
    }
}
