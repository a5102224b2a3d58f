//! `/api/metrics/query_range` and `/api/metrics/query`: numbers over time, with labels as Tempo and as Prometheus write them.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde_json::{Map, Value as Json, json};
use watchfire_model::labels::{is_classic_label_name, quoted};
use watchfire_model::logs::Nanos;
use watchfire_query::traces::traceql::{Query, Series, Steps, Val, measure};

use super::answer::{Plain, TempoError, pairs};
use super::params::Params;
use crate::app::App;
use crate::prometheus::gate::run;

const SECOND: i64 = 1_000_000_000;
/// How far back a question reaches that does not say so.
const BACK: i64 = 3_600 * SECOND;
/// A range without a step has about so many of them, each of a usual length.
const STEPS: i64 = 120;
const USUAL: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200];

fn asked(app: &App, params: &Params) -> Result<(Query, Nanos, Nanos), TempoError> {
    let query = params.query(app)?.ok_or_else(|| TempoError::bad("a query is needed: q"))?;
    let now = Nanos::from_millis(app.now().millis());
    let end = params.time("end")?.map_or(now, |(end, _)| end);
    let back = params.duration("since")?.unwrap_or(BACK);
    let start = params.time("start")?.map_or(Nanos(end.0.saturating_sub(back)), |(start, _)| start);
    Ok((query, start, end))
}

/// `GET /api/metrics/query_range`.
pub(super) async fn range(State(app): State<Arc<App>>, request: Request) -> Result<Plain, TempoError> {
    let params = Params::read(request).await?;
    let (query, start, end) = asked(&app, &params)?;
    let step = match params.duration("step")? {
        Some(0) => return Err(TempoError::bad("invalid step: it must be longer than nothing")),
        Some(step) => step,
        None => usual_step(end.0.saturating_sub(start.0)),
    };
    // Steps begin at multiples of their length, so that a graph does not change while it moves on.
    let down = |time: i64| time.saturating_sub(time.rem_euclid(step));
    let steps = Steps::new(Nanos(down(start.0)), Nanos(down(end.0.saturating_add(step - 1))), step)?;
    run(&app, None, move |app, budget| {
        let all = measure(&*app.rooms.spans, &query, &steps, budget)?;
        let shown = |series: &Series| {
            let samples: Vec<Json> = series.samples.iter().map(|(ms, value)| json!({"timestampMs": ms.to_string(), "value": value})).collect();
            labelled(series, "samples", json!(samples))
        };
        Ok(answered(all.iter().map(shown).collect()))
    })
    .await
}

/// `GET /api/metrics/query`.
pub(super) async fn instant(State(app): State<Arc<App>>, request: Request) -> Result<Plain, TempoError> {
    let params = Params::read(request).await?;
    let (query, start, end) = asked(&app, &params)?;
    let steps = Steps::whole(start, end)?;
    run(&app, None, move |app, budget| {
        let all = measure(&*app.rooms.spans, &query, &steps, budget)?;
        let shown = |series: &Series| Some(labelled(series, "value", json!(series.samples.first()?.1)));
        Ok(answered(all.iter().filter_map(shown).collect()))
    })
    .await
}

fn usual_step(range: i64) -> i64 {
    let wanted = range / STEPS;
    USUAL.into_iter().map(|step| step * SECOND).find(|step| *step >= wanted).unwrap_or(wanted)
}

fn answered(series: Vec<Json>) -> Plain {
    Plain(json!({"series": series, "metrics": {"completedJobs": 1, "totalJobs": 1}}))
}

fn labelled(series: &Series, name: &str, values: Json) -> Json {
    let mut object = Map::new();
    object.insert("labels".to_owned(), pairs(&series.labels));
    object.insert("promLabels".to_owned(), json!(prometheus(&series.labels)));
    object.insert(name.to_owned(), values);
    Json::Object(object)
}

/// Labels as Prometheus prints them; names that are none of its old ones stand in quotes.
fn prometheus(labels: &[(String, Val<'static>)]) -> String {
    let one = |(name, value): &(String, Val<'static>)| {
        let name = if is_classic_label_name(name) { name.clone() } else { quoted(name) };
        let value = if matches!(value, Val::Nil) { "<nil>".into() } else { value.text() };
        format!("{name}={}", quoted(&value))
    };
    format!("{{{}}}", labels.iter().map(one).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_nobody_chose() {
        for (minutes, seconds) in [(0, 1), (5, 5), (60, 30), (360, 300), (60 * 24 * 30, 21_600)] {
            assert_eq!(usual_step(minutes * 60 * SECOND), seconds * SECOND, "{minutes}");
        }
    }

    #[test]
    fn labels_as_prometheus_prints_them() {
        let labels = [("resource.a\"b".to_owned(), Val::Text("x\ny".into())), ("p".to_owned(), Val::Float(0.9)), ("span.c".to_owned(), Val::Nil)];
        assert_eq!(prometheus(&labels), r#"{"resource.a\"b"="x\ny", p="0.9", "span.c"="<nil>"}"#);
        assert_eq!(prometheus(&[]), "{}");
    }
}
