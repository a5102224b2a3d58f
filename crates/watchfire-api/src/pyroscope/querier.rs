//! The querier service, as Grafana's data source asks it: types, labels, series, values over time, merged stacks.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use serde::Serialize;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::ProfileType;
use watchfire_model::read::Budget;
use watchfire_query::profiles::{self, Aggregation, Detail, FlameGraph, NODES_DEFAULT, Question, merge, over_time, with_type};
use watchfire_query::traces::Range;

use super::answer::PyroscopeError;
use super::connect::{Message, answer, format_of, int64, int64s};
use super::params::nodes_of;
use super::pprof::Pprof;
use super::render::compare;
use super::requests::{Asked, Field, STACKS, Slot};
use crate::app::App;
use crate::prometheus::gate::run;

/// The largest message of a question.
const BODY_BYTES_MAX: usize = 1 << 20;
const MILLISECOND: i64 = 1_000_000;
/// The step of values over time where none is asked for, in nanoseconds.
const STEP: i64 = 15_000 * MILLISECOND;
/// More steps than this has no range.
const STEPS_MAX: i64 = 11_000;

/// A method of the service.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    fields: &'static [Field],
    ask: fn(&App, &Asked, &Budget) -> Result<Reply, PyroscopeError>,
}

const RANGE: &[Field] = &[(1, "start", Slot::Start), (2, "end", Slot::End)];

/// All methods.
pub(super) static METHODS: [Method; 10] = [
    Method { name: "ProfileTypes", summary: "Types of profiles", fields: RANGE, ask: types },
    Method {
        name: "LabelNames",
        summary: "Names of labels",
        fields: &[(1, "matchers", Slot::Selectors), (2, "start", Slot::Start), (3, "end", Slot::End)],
        ask: label_names,
    },
    Method {
        name: "LabelValues",
        summary: "Values of a label",
        fields: &[(1, "name", Slot::Name), (2, "matchers", Slot::Selectors), (3, "start", Slot::Start), (4, "end", Slot::End)],
        ask: label_values,
    },
    Method {
        name: "Series",
        summary: "Series with their labels",
        fields: &[(1, "matchers", Slot::Selectors), (2, "labelNames", Slot::Names), (3, "start", Slot::Start), (4, "end", Slot::End)],
        ask: series,
    },
    Method { name: "SelectMergeStacktraces", summary: "A flame graph", fields: STACKS, ask: stacks },
    Method {
        name: "SelectMergeSpanProfile",
        summary: "A flame graph of the samples of spans",
        fields: &[
            (1, "profileTypeID", Slot::Type),
            (2, "labelSelector", Slot::Selector),
            (3, "spanSelector", Slot::Spans),
            (4, "start", Slot::Start),
            (5, "end", Slot::End),
            (6, "maxNodes", Slot::Nodes),
            (7, "format", Slot::Form),
        ],
        ask: spans,
    },
    Method {
        name: "SelectMergeProfile",
        summary: "A merged profile in pprof",
        fields: &[
            (1, "profileTypeID", Slot::Type),
            (2, "labelSelector", Slot::Selector),
            (3, "start", Slot::Start),
            (4, "end", Slot::End),
            (5, "maxNodes", Slot::Nodes),
            (6, "stackTraceSelector", Slot::Stacks),
            (7, "profileIdSelector", Slot::Ids),
        ],
        ask: pprof,
    },
    Method {
        name: "SelectSeries",
        summary: "Values over time",
        fields: &[
            (1, "profileTypeID", Slot::Type),
            (2, "labelSelector", Slot::Selector),
            (3, "start", Slot::Start),
            (4, "end", Slot::End),
            (5, "groupBy", Slot::GroupBy),
            (6, "step", Slot::Step),
            (7, "aggregation", Slot::Aggregation),
            (8, "stackTraceSelector", Slot::Stacks),
            (9, "limit", Slot::Limit),
        ],
        ask: select_series,
    },
    Method { name: "Diff", summary: "A flame graph of two questions", fields: &[(1, "left", Slot::Left), (2, "right", Slot::Right)], ask: diff },
    Method { name: "GetProfileStats", summary: "Whether there are profiles, and since when", fields: &[], ask: stats },
];

/// What a method answers.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    Types(TypesJson),
    Names { names: Vec<String> },
    Series(SeriesJson),
    Flame { flamegraph: FlameJson },
    Points { series: Vec<PointsJson> },
    Pprof(Box<Pprof>),
    Stats(StatsJson),
}

/// Answers a question.
pub(super) async fn ask(app: Arc<App>, request: Request, method: &'static Method) -> Response {
    let format = format_of(request.headers());
    let answered = async {
        let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| PyroscopeError::bad("the body broke off"))?;
        let asked = Asked::read(&body, format, method.fields)?;
        run(&app, None, move |app, budget| (method.ask)(app, &asked, budget).map(|reply| answer(&reply, format))).await
    };
    answered.await.unwrap_or_else(PyroscopeError::connect)
}

/// A question without a range is about everything.
fn range(asked: &Asked) -> Result<Range, PyroscopeError> {
    if asked.end_ms <= 0 {
        return Ok(Range::ALL);
    }
    if asked.start_ms > asked.end_ms {
        return Err(PyroscopeError::bad("invalid start and end: the end must come after the start"));
    }
    let nanos = |ms: i64| Nanos(ms.saturating_mul(MILLISECOND));
    Ok(Range { start: nanos(asked.start_ms), end: nanos(asked.end_ms.saturating_add(1)) })
}

fn sets(asked: &Asked) -> Result<Vec<Vec<Matcher>>, PyroscopeError> {
    Ok(asked.selectors.iter().map(|text| profiles::parse(text)).collect::<Result<_, _>>()?)
}

fn question(asked: &Asked) -> Result<Question, PyroscopeError> {
    if asked.kind.is_empty() {
        return Err(PyroscopeError::bad("profileTypeID is needed: <name>:<type>:<unit>:<period-type>:<period-unit>"));
    }
    let matchers = with_type(&asked.kind, &asked.selector)?;
    Ok(Question { spans: asked.spans.clone(), ids: asked.ids.clone(), ..Question::new(matchers, range(asked)?) })
}

fn nodes(asked: &Asked) -> usize {
    asked.nodes.map_or(NODES_DEFAULT, nodes_of)
}

fn types(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let ids = profiles::types(&*app.rooms.profiles, &[], range(asked)?, budget)?;
    Ok(Reply::Types(TypesJson { profile_types: ids.iter().filter_map(|id| ProfileType::parse(id)).map(TypeJson::of).collect() }))
}

fn label_names(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    Ok(Reply::Names { names: profiles::label_names(&*app.rooms.profiles, &sets(asked)?, range(asked)?, budget)? })
}

fn label_values(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    if asked.name.is_empty() {
        return Err(PyroscopeError::bad("name is needed: the label"));
    }
    Ok(Reply::Names { names: profiles::label_values(&*app.rooms.profiles, &asked.name, &sets(asked)?, range(asked)?, budget)? })
}

fn series(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let found = profiles::series(&*app.rooms.profiles, &sets(asked)?, &asked.names, range(asked)?, budget)?;
    Ok(Reply::Series(SeriesJson { labels_set: found.iter().map(LabelsJson::of).collect() }))
}

fn stacks(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let merged = merge(&*app.rooms.profiles, &question(asked)?, Detail::Functions, budget)?;
    Ok(Reply::Flame { flamegraph: FlameJson::of(FlameGraph::single(&merged, nodes(asked)), false) })
}

fn spans(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    if asked.spans.is_empty() {
        return Err(PyroscopeError::bad("spanSelector is needed: ids of spans"));
    }
    stacks(app, asked, budget)
}

fn pprof(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let merged = merge(&*app.rooms.profiles, &question(asked)?, Detail::Lines, budget)?;
    Ok(Reply::Pprof(Box::new(Pprof::of(&merged, Some(&asked.kind)))))
}

fn select_series(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let question = question(asked)?;
    let step = if asked.step_s > 0.0 { ((asked.step_s * 1e9) as i64).max(MILLISECOND) } else { STEP };
    if question.range == Range::ALL || question.range.end.0.saturating_sub(question.range.start.0) / step > STEPS_MAX {
        return Err(PyroscopeError::bad(format!("values over time need start and end, and no more than {STEPS_MAX} steps between")));
    }
    let aggregation = if asked.average { Aggregation::Average } else { Aggregation::Sum };
    let mut groups = over_time(&*app.rooms.profiles, &question, step, &asked.group_by, aggregation, budget)?;
    if let Some(limit) = asked.limit {
        let sum = |points: &profiles::Points| points.iter().map(|(_, value)| value).sum::<f64>();
        groups.sort_by(|a, b| sum(&b.1).total_cmp(&sum(&a.1)));
        groups.truncate(limit);
    }
    let time = |at: i64| (question.range.start.0.saturating_add(at.saturating_mul(step))) / MILLISECOND;
    let told = |(labels, points): &(Labels, profiles::Points)| PointsJson {
        labels: LabelsJson::of(labels).labels,
        points: points.iter().map(|(at, value)| PointJson { value: *value, timestamp: time(*at) }).collect(),
    };
    Ok(Reply::Points { series: groups.iter().map(told).collect() })
}

fn diff(app: &App, asked: &Asked, budget: &Budget) -> Result<Reply, PyroscopeError> {
    let (Some(left), Some(right)) = (&asked.left, &asked.right) else { return Err(PyroscopeError::bad("left and right are needed")) };
    let graph = compare(app, &question(left)?, &question(right)?, nodes(left), budget)?;
    Ok(Reply::Flame { flamegraph: FlameJson::of(graph, true) })
}

fn stats(app: &App, _: &Asked, _: &Budget) -> Result<Reply, PyroscopeError> {
    let storage = (app.rooms.storage)();
    let known = storage.signals.iter().find(|signal| signal.name == "profiles");
    let ms = |time: Option<watchfire_model::time::Timestamp>| time.map_or(0, |time| time.millis());
    Ok(Reply::Stats(StatsJson {
        data_ingested: known.is_some_and(|signal| signal.samples > 0),
        oldest_profile_time: ms(known.and_then(|signal| signal.oldest)),
        newest_profile_time: ms(known.and_then(|signal| signal.newest)),
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypesJson {
    profile_types: Vec<TypeJson>,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypeJson {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    sample_type: String,
    sample_unit: String,
    period_type: String,
    period_unit: String,
}
impl TypeJson {
    fn of(kind: ProfileType<'_>) -> TypeJson {
        let [name, sample_type, sample_unit, period_type, period_unit] =
            [kind.name, kind.sample_type, kind.sample_unit, kind.period_type, kind.period_unit].map(str::to_owned);
        TypeJson { id: kind.to_string(), name, sample_type, sample_unit, period_type, period_unit }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesJson {
    labels_set: Vec<LabelsJson>,
}
#[derive(Serialize)]
struct LabelsJson {
    labels: Vec<PairJson>,
}
#[derive(Serialize)]
struct PairJson {
    name: String,
    value: String,
}
impl LabelsJson {
    fn of(labels: &Labels) -> LabelsJson {
        LabelsJson { labels: labels.iter().map(|(name, value)| PairJson { name: name.to_owned(), value: value.to_owned() }).collect() }
    }
}
fn write_pairs(out: &mut Writer, pairs: &[PairJson]) {
    pairs.iter().for_each(|pair| out.message(1, |out| (out.text(1, &pair.name), out.text(2, &pair.value)).0));
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FlameJson {
    names: Vec<String>,
    levels: Vec<LevelJson>,
    #[serde(serialize_with = "int64")]
    total: i64,
    #[serde(serialize_with = "int64")]
    max_self: i64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    sides: Option<SidesJson>,
}
#[derive(Serialize)]
struct LevelJson {
    #[serde(serialize_with = "int64s")]
    values: Vec<i64>,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SidesJson {
    #[serde(serialize_with = "int64")]
    left_ticks: i64,
    #[serde(serialize_with = "int64")]
    right_ticks: i64,
}
impl FlameJson {
    fn of(graph: FlameGraph, both: bool) -> FlameJson {
        let [left_ticks, right_ticks] = graph.sides;
        let levels = graph.levels.into_iter().map(|values| LevelJson { values }).collect();
        FlameJson { names: graph.names, levels, total: graph.total, max_self: graph.max_self, sides: both.then_some(SidesJson { left_ticks, right_ticks }) }
    }
    fn write(&self, out: &mut Writer) {
        self.names.iter().for_each(|name| out.always_bytes(1, name.as_bytes()));
        self.levels.iter().for_each(|level| out.message(2, |out| out.packed(1, level.values.iter().map(|value| value.cast_unsigned()))));
        out.int(3, self.total);
        out.int(4, self.max_self);
        if let Some(sides) = &self.sides {
            out.int(5, sides.left_ticks);
            out.int(6, sides.right_ticks);
        }
    }
}

#[derive(Serialize)]
struct PointsJson {
    labels: Vec<PairJson>,
    points: Vec<PointJson>,
}
#[derive(Serialize)]
struct PointJson {
    value: f64,
    #[serde(serialize_with = "int64")]
    timestamp: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsJson {
    data_ingested: bool,
    #[serde(serialize_with = "int64")]
    oldest_profile_time: i64,
    #[serde(serialize_with = "int64")]
    newest_profile_time: i64,
}

impl Message for Reply {
    fn fields(&self, out: &mut Writer) {
        match self {
            Reply::Types(types) => types.profile_types.iter().for_each(|kind| {
                out.message(1, |out| {
                    for (field, text) in
                        [(1, &kind.id), (2, &kind.name), (4, &kind.sample_type), (5, &kind.sample_unit), (6, &kind.period_type), (7, &kind.period_unit)]
                    {
                        out.text(field, text);
                    }
                });
            }),
            Reply::Names { names } => names.iter().for_each(|name| out.always_bytes(1, name.as_bytes())),
            Reply::Series(series) => series.labels_set.iter().for_each(|labels| out.message(2, |out| write_pairs(out, &labels.labels))),
            Reply::Flame { flamegraph } => out.message(1, |out| flamegraph.write(out)),
            Reply::Points { series } => series.iter().for_each(|one| {
                out.message(1, |out| {
                    write_pairs(out, &one.labels);
                    one.points.iter().for_each(|point| out.message(2, |out| (out.double(1, point.value), out.int(2, point.timestamp)).0));
                });
            }),
            Reply::Pprof(pprof) => pprof.fields(out),
            Reply::Stats(stats) => {
                out.uint(1, u64::from(stats.data_ingested));
                out.int(2, stats.oldest_profile_time);
                out.int(3, stats.newest_profile_time);
            }
        }
    }
}
