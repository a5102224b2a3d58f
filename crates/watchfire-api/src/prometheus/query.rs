//! `/api/v1/query` and `/query_range`: parameters in, results out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::time::Timestamp;
use watchfire_query::promql::{Answer, Engine, Expr, POINTS_PER_SERIES_MESSAGE, Point, Value, format_value, parse};

use super::answer::{ApiError, Success, to_json};
use super::gate::run;
use super::labels::LabelsJson;
use super::number::{plain, write_time, write_time_plain};
use super::params::Params;
use crate::app::App;

/// How many items are written between two looks at the budget.
const ITEMS_PER_LOOK: usize = 1024;

/// What all queries have in common.
struct Asked {
    text: String,
    engine: Engine,
    timeout: Option<Duration>,
    limit: Option<usize>,
}
impl Asked {
    fn read(app: &App, params: &Params) -> Result<Asked, ApiError> {
        let mut engine = super::promql::engine(app);
        if let Some(lookback) = params.duration("lookback_delta")?.filter(|d| !d.is_zero()) {
            engine.lookback = lookback;
        }
        Ok(Asked { text: text_of(app, params)?, engine, timeout: params.duration("timeout")?, limit: params.limit()? })
    }
    fn parse(&self) -> Result<Expr, ApiError> {
        parse(&self.text).map_err(|error| ApiError::parameter("query", error))
    }
}

/// The text of the query, if it is not too long.
pub(crate) fn text_of(app: &App, params: &Params) -> Result<String, ApiError> {
    let text = params.get("query").unwrap_or("");
    let max = app.rooms.limits.text_bytes_max;
    if text.len() > max {
        return Err(ApiError::parameter("query", format!("the query is {} bytes long, more than {max}", text.len())));
    }
    Ok(text.to_owned())
}

/// `GET|POST /api/v1/query`.
pub(crate) async fn instant(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    instant_of(&app, &Params::read(request).await?).await
}

/// The answer at one time to what parameters ask.
pub(crate) async fn instant_of(app: &Arc<App>, params: &Params) -> Result<Success, ApiError> {
    let time = params.time_or("time", app.now())?;
    let asked = Asked::read(app, params)?;
    let expr = asked.parse()?;
    run(app, asked.timeout, move |app, budget| {
        let answer = asked.engine.instant(&*app.rooms.query_source, &expr, time, budget)?;
        render(answer, asked.limit, budget)
    })
    .await
}

/// `GET|POST /api/v1/query_range`.
pub(crate) async fn range(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    range_of(&app, &Params::read(request).await?).await
}

/// The answer over a range to what parameters ask.
pub(crate) async fn range_of(app: &Arc<App>, params: &Params) -> Result<Success, ApiError> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = params.step_ms()?;
    if end.millis().saturating_sub(start.millis()) / step_ms > app.rooms.limits.points_max {
        return Err(ApiError::bad_data(POINTS_PER_SERIES_MESSAGE));
    }
    let asked = Asked::read(app, params)?;
    let expr = asked.parse()?;
    run(app, asked.timeout, move |app, budget| {
        let step = Duration::from_millis(step_ms.unsigned_abs());
        let answer = asked.engine.range(&*app.rooms.query_source, &expr, start, end, step, budget)?;
        render(answer, asked.limit, budget)
    })
    .await
}

/// Writes a result as JSON, at most `limit` series of it.
pub(crate) fn render(answer: Answer, limit: Option<usize>, budget: &Budget) -> Result<Success, ApiError> {
    let mut page = Page { out: Vec::with_capacity(256), charged: 0, budget };
    page.raw(&format!("{{\"resultType\":\"{}\",\"result\":", answer.value.type_code()));
    let limit = limit.unwrap_or(usize::MAX);
    let truncated = match &answer.value {
        Value::Scalar(point) => {
            page.pair(point.time, &plain(point.value));
            false
        }
        Value::String { time, text } => {
            page.pair(*time, text);
            false
        }
        Value::Vector(samples) => {
            page.list(samples.iter().take(limit), |page, sample| {
                page.metric(&sample.labels);
                match &sample.histogram {
                    Some(histogram) => {
                        page.raw(",\"histogram\":");
                        page.histogram(sample.time, histogram);
                    }
                    None => {
                        page.raw(",\"value\":");
                        page.point(&Point { time: sample.time, value: sample.value })?;
                    }
                }
                page.raw("}");
                Ok(())
            })?;
            samples.len() > limit
        }
        Value::Matrix(list) => {
            page.list(list.iter().take(limit), |page, series| {
                page.metric(&series.labels);
                if !series.points.is_empty() {
                    page.raw(",\"values\":");
                    page.list(series.points.iter(), |page, point| page.point(point))?;
                }
                if !series.histograms.is_empty() {
                    page.raw(",\"histograms\":");
                    page.list(series.histograms.iter(), |page, sample| {
                        page.histogram(sample.time, &sample.value);
                        page.look_at_budget()
                    })?;
                }
                page.raw("}");
                Ok(())
            })?;
            list.len() > limit
        }
    };
    page.raw("}");
    Ok(Success { data: page.out, warnings: answer.warnings, infos: answer.infos }.truncated(truncated))
}

/// The JSON text of a result under construction. What it grows by is charged to the query.
struct Page<'a> {
    out: Vec<u8>,
    charged: usize,
    budget: &'a Budget,
}
impl Page<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
    fn look_at_budget(&mut self) -> Result<(), ReadError> {
        self.budget.check()?;
        self.budget.charge_memory((self.out.len() - self.charged) as u64)?;
        self.charged = self.out.len();
        Ok(())
    }
    /// A list of what `write` writes.
    fn list<'t, T: 't>(
        &mut self,
        items: impl Iterator<Item = &'t T>,
        mut write: impl FnMut(&mut Self, &'t T) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.raw("[");
        for (i, item) in items.enumerate() {
            if i > 0 {
                self.raw(",");
            }
            if i.is_multiple_of(ITEMS_PER_LOOK) {
                self.look_at_budget()?;
            }
            write(self, item)?;
        }
        self.raw("]");
        Ok(())
    }
    /// Opens the object of a series.
    fn metric(&mut self, labels: &Labels) {
        self.raw("{\"metric\":");
        self.out.extend_from_slice(&to_json(&LabelsJson(labels)));
    }
    fn point(&mut self, point: &Point) -> Result<(), ReadError> {
        // Numbers need no escaping inside quotes.
        self.raw("[");
        write_time(&mut self.out, point.time);
        self.raw(",\"");
        self.raw(&format_value(point.value));
        self.raw("\"]");
        Ok(())
    }
    /// A native histogram with its time: count, sum and the populated buckets, ascending, each as `[rule, lower, upper, count]`.
    fn histogram(&mut self, time: Timestamp, histogram: &Histogram) {
        self.raw("[");
        write_time(&mut self.out, time);
        self.raw(&format!(",{{\"count\":\"{}\",\"sum\":\"{}\"", format_value(histogram.count), format_value(histogram.sum)));
        let mut separator = ",\"buckets\":[";
        for bucket in histogram.all_buckets().iter().filter(|b| b.count != 0.0) {
            // Which bounds belong to the bucket: 0 the upper one, 1 the lower one, 2 neither, 3 both.
            let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(format_value);
            self.raw(&format!("{separator}[{rule},\"{lower}\",\"{upper}\",\"{count}\"]"));
            separator = ",";
        }
        self.raw(if separator == "," { "]}]" } else { "}]" });
    }
    /// A scalar or a text with its time.
    fn pair(&mut self, time: Timestamp, text: &str) {
        self.raw("[");
        write_time_plain(&mut self.out, time);
        self.raw(",");
        self.out.extend_from_slice(&to_json(&text));
        self.raw("]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::histogram::{CUSTOM_SCHEMA, Span};
    use watchfire_model::labels;
    use watchfire_model::sample::HistogramSample;
    use watchfire_model::time::{ManualClock, SharedClock};
    use watchfire_query::promql::{Sample, Series};

    #[test]
    fn the_text_of_an_answer_is_part_of_its_cost() {
        let render_with = |memory_max| {
            let clock: SharedClock = ManualClock::new(Timestamp(0));
            let points = (0..20_000).map(|i| Point { time: Timestamp(i), value: 0.1 + 0.2 }).collect();
            let value = Value::Matrix(vec![Series { labels: labels!("a" => "b"), points, histograms: Vec::new() }]);
            let answer = Answer { value, warnings: Vec::new(), infos: Vec::new() };
            render(answer, None, &Budget::new(clock, Duration::from_secs(1), 1, memory_max))
        };
        let error = render_with(100_000).unwrap_err();
        assert_eq!(error.message, "query would need more than 100000 bytes of memory");
        assert!(render_with(1_000_000).unwrap().data.len() > 500_000);
    }

    #[test]
    fn native_histograms_as_prometheus_writes_them() {
        let span = |offset, length| vec![Span { offset, length }];
        let exponential = Histogram {
            count: 9.5,
            sum: -2e6,
            zero_count: 2.0,
            zero_threshold: 0.001,
            positive_spans: span(-1, 3),
            positive_buckets: vec![1.0, 0.0, 3.5],
            negative_spans: span(0, 2),
            negative_buckets: vec![1.0, 2.0],
            ..Histogram::default()
        };
        let custom = Histogram {
            schema: CUSTOM_SCHEMA,
            count: 6.0,
            sum: f64::NAN,
            positive_spans: span(0, 3),
            positive_buckets: vec![1.0, 2.0, 3.0],
            custom_bounds: [5.0, 10.0].into(),
            ..Histogram::default()
        };
        let check = |value: Value, expected: &str| {
            let answer = Answer { value, warnings: Vec::new(), infos: Vec::new() };
            let budget = Budget::unlimited(ManualClock::new(Timestamp(0)));
            assert_eq!(String::from_utf8(render(answer, None, &budget).unwrap().data).unwrap(), expected);
        };
        let sample =
            |histogram: Histogram| Sample { labels: labels!("a" => "b"), time: Timestamp(1500), value: f64::NAN, histogram: Some(Arc::new(histogram)) };
        check(
            Value::Vector(vec![sample(exponential.clone()), sample(Histogram::default())]),
            concat!(
                r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"histogram":[1.500,{"count":"9.5","sum":"-2000000","buckets":["#,
                r#"[1,"-2","-1","2"],[1,"-1","-0.5","1"],[3,"-0.001","0.001","2"],[0,"0.25","0.5","1"],[0,"1","2","3.5"]]}]},"#,
                r#"{"metric":{"a":"b"},"histogram":[1.500,{"count":"0","sum":"0"}]}]}"#
            ),
        );
        let at = |ms, histogram: &Histogram| HistogramSample { time: Timestamp(ms), value: Arc::new(histogram.clone()) };
        let series = |points| Series { labels: labels!(), points, histograms: vec![at(2000, &custom), at(3000, &Histogram::default())] };
        let histograms = concat!(
            r#""histograms":[[2,{"count":"6","sum":"NaN","buckets":[[3,"-Inf","5","1"],[0,"5","10","2"],[0,"10","+Inf","3"]]}],"#,
            r#"[3,{"count":"0","sum":"0"}]]}]}"#
        );
        check(Value::Matrix(vec![series(Vec::new())]), &format!(r#"{{"resultType":"matrix","result":[{{"metric":{{}},{histograms}"#));
        check(
            Value::Matrix(vec![series(vec![Point { time: Timestamp(1000), value: 7.0 }])]),
            &format!(r#"{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[1,"7"]],{histograms}"#),
        );
    }
}
