//! `/loki/api/v1/index/stats`, `/volume` and `/volume_range`: how much there is, without reading lines.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError};

use super::answer::{Data, LokiError, Plain};
use super::labels::{StreamLabels, matchers, selection};
use super::params::{Params, Range};
use crate::app::App;
use crate::prometheus::gate::run;

/// The most steps of a range of volumes.
const STEPS_MAX: i64 = 11_000;
/// The most groups that are told, whatever is asked for.
const GROUPS_MAX: usize = 1_000;

#[derive(Default, Serialize)]
pub(super) struct Stats {
    streams: u64,
    chunks: u64,
    bytes: u64,
    entries: u64,
}

/// `GET|POST /loki/api/v1/index/stats`.
pub(super) async fn stats(State(app): State<Arc<App>>, request: Request) -> Result<Plain<Stats>, LokiError> {
    let params = Params::read(request).await?;
    let selection = selection(matchers(&params.query(&app)?)?, params.range(&app)?);
    run(&app, None, move |app, budget| {
        let mut stats = Stats::default();
        for stream in app.rooms.logs.log_volume(&selection, budget)? {
            stats.streams += 1;
            stats.chunks += stream.chunks;
            stats.bytes += stream.bytes;
            stats.entries += stream.entries;
        }
        Ok(Plain(stats))
    })
    .await
}

/// What volumes are wanted, and how they are put together.
struct Asked {
    matchers: Vec<Matcher>,
    range: Range,
    limit: usize,
    targets: HashSet<String>,
    by_labels: bool,
}
impl Asked {
    fn read(app: &App, params: &Params) -> Result<Asked, LokiError> {
        let by_labels = match params.get("aggregateBy") {
            None | Some("series") => false,
            Some("labels") => true,
            Some(other) => return Err(LokiError::bad(format!("invalid aggregateBy '{other}': series or labels"))),
        };
        let matchers = matchers(&params.query(app)?)?;
        let mut targets: HashSet<String> = params.get("targetLabels").unwrap_or("").split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect();
        if targets.is_empty() {
            // Without targets the labels count that the selector speaks of.
            targets.extend(matchers.iter().map(|m| m.name.clone()));
        }
        Ok(Asked { matchers, range: params.range(app)?, limit: params.limit()?.min(GROUPS_MAX), targets, by_labels })
    }

    /// The bytes of each group, largest first.
    fn volumes(&self, source: &dyn LogSource, range: Range, budget: &Budget) -> Result<Vec<(Labels, u64)>, ReadError> {
        let mut groups: BTreeMap<Labels, u64> = BTreeMap::new();
        for stream in source.log_volume(&selection(self.matchers.clone(), range), budget)? {
            budget.check()?;
            let wanted = stream.labels.iter().filter(|(name, _)| self.targets.is_empty() || self.targets.contains(*name));
            if self.by_labels {
                for (name, _) in wanted {
                    *groups.entry(Labels::from_pairs([("label", name)])).or_default() += stream.bytes;
                }
            } else {
                *groups.entry(Labels::from_pairs(wanted)).or_default() += stream.bytes;
            }
        }
        let mut all: Vec<_> = groups.into_iter().collect();
        all.order_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(all)
    }

    /// The labels of a group as they are shown: names alone stand with an empty value.
    fn shown(&self, group: &Labels) -> Value {
        if self.by_labels { json!({ group.get("label").unwrap_or(""): "" }) } else { json!(StreamLabels(group.clone())) }
    }
}

/// `GET|POST /loki/api/v1/index/volume`.
pub(super) async fn volume(State(app): State<Arc<App>>, request: Request) -> Result<Data<Value>, LokiError> {
    let params = Params::read(request).await?;
    let asked = Asked::read(&app, &params)?;
    run(&app, None, move |app, budget| {
        let time = asked.range.end.millis() as f64 / 1000.0;
        let all = asked.volumes(&*app.rooms.logs, asked.range, budget)?;
        let result: Vec<Value> =
            all.iter().take(asked.limit).map(|(labels, bytes)| json!({"metric": asked.shown(labels), "value": [time, bytes.to_string()]})).collect();
        Ok(Data(json!({"resultType": "vector", "result": result, "stats": {}})))
    })
    .await
}

/// The memory of a point, in the answer and on its way there.
const POINT_BYTES: u64 = 64;

/// Volumes over time, written point by point: as values of JSON they would take many times the memory.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Matrix {
    result_type: &'static str,
    result: Vec<Volumes>,
    stats: Value,
}
#[derive(Serialize)]
struct Volumes {
    metric: Value,
    values: Points,
}
/// Milliseconds and bytes.
#[derive(Default)]
struct Points(Vec<(i64, u64)>);
impl Serialize for Points {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.0.iter().map(|(millis, bytes)| (*millis as f64 / 1000.0, bytes.to_string())))
    }
}

/// `GET|POST /loki/api/v1/index/volume_range`.
pub(super) async fn volume_range(State(app): State<Arc<App>>, request: Request) -> Result<Data<Matrix>, LokiError> {
    let params = Params::read(request).await?;
    let asked = Asked { range: params.steps_range(&app)?, ..Asked::read(&app, &params)? };
    let step = i64::try_from(params.step(asked.range)?.as_nanos()).unwrap_or(i64::MAX);
    let Range { start, end } = asked.range;
    if end.0.saturating_sub(start.0) / step > STEPS_MAX {
        return Err(LokiError::bad(watchfire_query::promql::POINTS_PER_SERIES_MESSAGE));
    }
    run(&app, None, move |app, budget| {
        let largest: HashSet<Labels> = asked.volumes(&*app.rooms.logs, asked.range, budget)?.into_iter().take(asked.limit).map(|(labels, _)| labels).collect();
        let mut series: BTreeMap<Labels, Points> = BTreeMap::new();
        let mut from = start;
        while from < end {
            budget.check()?;
            let to = Nanos(from.0.saturating_add(step).min(end.0));
            for (labels, bytes) in asked.volumes(&*app.rooms.logs, Range { start: from, end: to }, budget)? {
                if bytes > 0 && largest.contains(&labels) {
                    budget.charge_memory(POINT_BYTES)?;
                    series.entry(labels).or_default().0.push((to.millis(), bytes));
                }
            }
            from = to;
        }
        let result = series.into_iter().map(|(labels, values)| Volumes { metric: asked.shown(&labels), values }).collect();
        Ok(Data(Matrix { result_type: "matrix", result, stats: json!({}) }))
    })
    .await
}
