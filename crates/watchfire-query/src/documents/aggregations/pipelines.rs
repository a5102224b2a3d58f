//! Aggregations of what other aggregations wrote: one result of all buckets beside it (`max_bucket`), or one in each bucket around it
//! (`derivative`), and their order (`bucket_sort`). They see no documents, and there are none with scripts.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use watchfire_model::order::Order as _;

use super::super::error::SearchError;
use super::metrics::PERCENTS_MAX;
use super::paths::{Gaps, Path};
use super::{Aggregations, Answer, Kind, WRITTEN_BYTES, fail, histogram};

/// The most fields of one `bucket_sort`.
const SORTS_MAX: usize = 32;

#[derive(Clone, Debug)]
enum What {
    Avg,
    Sum,
    Min,
    Max,
    Stats,
    /// With how many deviations the bounds are from the mean.
    Extended(f64),
    Percentiles {
        percents: Vec<f64>,
        keyed: bool,
    },
    /// With the length of its unit in milliseconds.
    Derivative(Option<f64>),
    CumulativeSum,
    /// With how many buckets lie between.
    SerialDiff(usize),
    Sort {
        /// For each field whether it descends.
        descending: Vec<bool>,
        from: usize,
        size: Option<usize>,
    },
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    called: &'static str,
    what: What,
    gaps: Gaps,
    /// As the request has them.
    texts: Vec<String>,
    /// As they were found.
    paths: Vec<Path>,
}

impl Pipeline {
    /// Reads one; nothing where the name is none of one.
    pub(super) fn read(name: &str, kind: &str, body: &Map<String, Value>) -> Result<Option<Pipeline>, SearchError> {
        let (called, what, keys): (_, _, &[&str]) = match kind {
            "avg_bucket" => ("avg_bucket", What::Avg, &[]),
            "sum_bucket" => ("sum_bucket", What::Sum, &[]),
            "min_bucket" => ("min_bucket", What::Min, &[]),
            "max_bucket" => ("max_bucket", What::Max, &[]),
            "stats_bucket" => ("stats_bucket", What::Stats, &[]),
            "extended_stats_bucket" => ("extended_stats_bucket", What::Extended(sigma(body)?), &["sigma"]),
            "percentiles_bucket" => ("percentiles_bucket", percentiles(body)?, &["percents", "keyed"]),
            "derivative" => ("derivative", What::Derivative(unit(body)?), &["unit"]),
            "cumulative_sum" => ("cumulative_sum", What::CumulativeSum, &[]),
            "serial_diff" => ("serial_diff", What::SerialDiff(positive(body, "lag")?.unwrap_or(1)), &["lag"]),
            "bucket_sort" => return sort(name, body).map(Some),
            "bucket_script" | "bucket_selector" | "moving_fn" | "scripted_metric" => {
                return fail(format!("[{kind}] of [{name}] needs a script, and scripts are not supported"));
            }
            _ => return Ok(None),
        };
        let gaps = match (body.get("gap_policy"), &what) {
            (None, What::CumulativeSum) => Gaps::Zeros,
            (None, _) => Gaps::Skip,
            (Some(policy), _) => Gaps::read(policy)?,
        };
        for key in body.keys() {
            let known = match key.as_str() {
                "buckets_path" => true,
                "gap_policy" => !matches!(what, What::CumulativeSum),
                "format" => return fail(format!("[format] is not supported in [{kind}]: numbers come without a text beside them")),
                other => keys.contains(&other),
            };
            if !known {
                return fail(format!("unknown key [{key}] in the [{kind}] aggregation [{name}]"));
            }
        }
        let text = match body.get("buckets_path") {
            Some(Value::String(text)) => text,
            Some(Value::Array(list)) if list.len() == 1 && list.iter().all(Value::is_string) => list.first().and_then(Value::as_str).unwrap_or_default(),
            Some(_) => return fail(format!("[buckets_path] must contain a single path for [{kind}] aggregation [{name}]")),
            None => return fail(format!("Required [buckets_path] in the [{kind}] aggregation [{name}]")),
        };
        Ok(Some(Pipeline { called, what, gaps, texts: vec![text.to_owned()], paths: Vec::new() }))
    }

    /// Whether it belongs to each bucket around it.
    pub(super) fn is_within(&self) -> bool {
        matches!(self.what, What::Derivative(_) | What::CumulativeSum | What::SerialDiff(_) | What::Sort { .. })
    }

    /// Fails where it cannot stand within an aggregation; none is the outermost level.
    pub(super) fn check(&self, name: &str, around: Option<&Kind>) -> Result<(), SearchError> {
        if !self.is_within() {
            return Ok(());
        }
        let called = self.called;
        let Some(around) = around.filter(|kind| !kind.is_single()) else {
            return fail(format!("{called} aggregation [{name}] must be declared inside of another aggregation that has several buckets"));
        };
        if matches!(self.what, What::Sort { .. }) {
            return Ok(());
        }
        match around {
            Kind::DateHistogram(histogram) if histogram.has_all() => Ok(()),
            Kind::Buckets(buckets) if buckets.has_all_steps() => Ok(()),
            Kind::DateHistogram(_) => fail(format!("parent histogram of {called} aggregation [{name}] must have min_doc_count of 0")),
            Kind::Buckets(buckets) if buckets.has_steps() => fail(format!("parent histogram of {called} aggregation [{name}] must have min_doc_count of 0")),
            _ => fail(format!("{called} aggregation [{name}] must have a histogram or date_histogram as parent")),
        }
    }

    /// Where a number of its result stands in what is written; nothing where it has none.
    pub(super) fn place(&self, member: Option<&str>) -> Option<Vec<String>> {
        let known = match (&self.what, member) {
            (What::Percentiles { percents, keyed: true }, Some(percent)) => {
                let percent: f64 = percent.parse().ok()?;
                return percents.contains(&percent).then(|| vec!["values".to_owned(), format!("{percent:?}")]);
            }
            (What::Percentiles { .. } | What::Sort { .. }, _) => None,
            (What::Stats | What::Extended(_), Some("count" | "min" | "max" | "avg" | "sum")) => member,
            (What::Extended(_), Some("sum_of_squares" | "variance" | "std_deviation")) => member,
            (What::Stats | What::Extended(_), _) => None,
            (What::Derivative(Some(_)), Some("normalized_value")) => member,
            (_, None | Some("value")) => Some("value"),
            _ => None,
        };
        known.map(|member| vec![member.to_owned()])
    }

    /// The result of the buckets beside it.
    fn of_all(&self, written: &Map<String, Value>, answer: &Answer<'_>) -> Result<Value, SearchError> {
        let Some(path) = self.paths.first() else { return Ok(Value::Null) };
        let mut numbers = Vec::new();
        let mut rows = Vec::new();
        for (name, bucket) in path.buckets(written) {
            if let Some(number) = path.number(bucket, self.gaps).filter(|number| !number.is_nan()) {
                numbers.push(number);
                rows.push((name, bucket));
            }
        }
        let count = numbers.len();
        let sum: f64 = numbers.iter().sum::<f64>() + 0.0;
        let mean = sum / count as f64;
        let min = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Numbers that are none become null.
        Ok(match &self.what {
            What::Sum => json!({ "value": sum }),
            What::Min | What::Max => {
                let extreme = if matches!(self.what, What::Min) { min } else { max };
                let mut keys = Vec::new();
                for (number, (name, bucket)) in numbers.iter().zip(rows) {
                    if *number == extreme {
                        let key = label(name, bucket);
                        answer.budget.charge_memory(key.len() as u64 + 32)?;
                        keys.push(key);
                    }
                }
                json!({ "value": extreme, "keys": keys })
            }
            What::Stats | What::Extended(_) => {
                let mut out = named(&[("min", min), ("max", max), ("avg", mean), ("sum", sum)]);
                out["count"] = count.into();
                if let What::Extended(sigma) = self.what {
                    extend(&mut out, &numbers, mean, sigma);
                }
                out
            }
            What::Percentiles { percents, keyed } => {
                numbers.sort_unstable_by(f64::total_cmp);
                // The nearest number that there is, as Elasticsearch has it: nothing between two.
                let of = |percent: &f64| {
                    let place = (percent / 100.0 * count.saturating_sub(1) as f64 + 0.5).floor() as usize;
                    json!(numbers.get(place))
                };
                if *keyed {
                    json!({ "values": percents.iter().map(|percent| (format!("{percent:?}"), of(percent))).collect::<Map<_, _>>() })
                } else {
                    json!({ "values": percents.iter().map(|percent| json!({ "key": percent, "value": of(percent) })).collect::<Vec<_>>() })
                }
            }
            _ => json!({ "value": mean }),
        })
    }

    /// Puts a result into each bucket, or the buckets into another order.
    fn put(&self, name: &str, rows: &mut Vec<Row>, answer: &Answer<'_>) -> Result<(), SearchError> {
        answer.budget.check()?;
        answer.budget.charge_memory(WRITTEN_BYTES * rows.len() as u64)?;
        if let What::Sort { descending, from, size } = &self.what {
            self.order(rows, descending);
            drop(rows.drain(..(*from).min(rows.len())));
            rows.truncate(size.unwrap_or(usize::MAX));
            return Ok(());
        }
        let Some(path) = self.paths.first() else { return Ok(()) };
        let numbers: Vec<Option<f64>> = rows.iter().map(|row| path.number(&row.bucket, self.gaps)).collect();
        let keys: Vec<f64> = rows.iter().map(|row| row.bucket.get("key").and_then(Value::as_f64).unwrap_or(f64::NAN)).collect();
        let mut sum = 0.0;
        for (i, row) in rows.iter_mut().enumerate() {
            let before = |lag: usize| i.checked_sub(lag).and_then(|place| Some((place, numbers[i]? - numbers[place]?)));
            let value = match &self.what {
                What::CumulativeSum => {
                    sum += numbers[i].filter(|number| number.is_finite()).unwrap_or(0.0);
                    json!({ "value": sum })
                }
                What::SerialDiff(lag) => match before(*lag) {
                    Some((_, difference)) if !difference.is_nan() => json!({ "value": difference }),
                    _ => continue,
                },
                What::Derivative(unit) => {
                    let Some((place, difference)) = before(1) else { continue };
                    let mut out = json!({ "value": difference });
                    if let Some(unit) = unit {
                        out["normalized_value"] = json!(difference / ((keys[i] - keys[place]) / unit));
                    }
                    out
                }
                _ => continue,
            };
            row.bucket[name] = value;
        }
        Ok(())
    }

    fn order(&self, rows: &mut Vec<Row>, descending: &[bool]) {
        if self.paths.is_empty() {
            return;
        }
        for row in rows.iter_mut() {
            let value = |path: &Path| match path.value(&row.bucket) {
                Some(text @ Value::String(_)) => text.clone(),
                // What is missing is null.
                _ => json!(path.number(&row.bucket, self.gaps)),
            };
            row.by = self.paths.iter().map(value).collect();
        }
        // A bucket with nothing to order it by is not there.
        rows.retain(|row| row.by.iter().any(|value| !value.is_null()));
        rows.order_by(|a, b| {
            let mut order = Ordering::Equal;
            for ((a, b), descending) in a.by.iter().zip(&b.by).zip(descending) {
                let values = match (a, b) {
                    (Value::String(a), Value::String(b)) => a.cmp(b),
                    (a, b) => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
                };
                // What is missing goes last in both directions.
                let values = match (a.is_null(), b.is_null()) {
                    (false, false) if *descending => values.reverse(),
                    (false, false) => values,
                    (a, b) => a.cmp(&b),
                };
                order = order.then(values);
            }
            order
        });
    }
}

/// A bucket while results are put into it.
struct Row {
    /// Its name, where it has one.
    name: Option<String>,
    bucket: Value,
    /// What it is ordered by.
    by: Vec<Value>,
}

impl Aggregations {
    /// Looks the paths of all pipelines up and puts each behind those that it needs.
    pub(super) fn connect(&mut self) -> Result<(), SearchError> {
        let mut left = self.pipelines.clone();
        for (_, pipeline) in &mut left {
            let beside = !pipeline.is_within();
            pipeline.paths = pipeline.texts.iter().map(|text| Path::find(text, beside, self)).collect::<Result<_, _>>()?;
        }
        self.pipelines.clear();
        while let Some((first, _)) = left.first() {
            let waits = |(_, one): &(String, Pipeline)| one.paths.iter().any(|path| left.iter().any(|(name, _)| path.begins_with(name)));
            let Some(ready) = left.iter().position(|one| !waits(one)) else {
                return fail(format!("Cyclical dependency found with pipeline aggregator [{first}]"));
            };
            self.pipelines.push(left.remove(ready));
        }
        Ok(())
    }
}

/// Adds the results of the buckets beside them.
pub(super) fn beside(pipelines: &[(String, Pipeline)], written: &mut Map<String, Value>, answer: &Answer<'_>) -> Result<(), SearchError> {
    for (name, pipeline) in pipelines.iter().filter(|(_, pipeline)| !pipeline.is_within()) {
        answer.budget.check()?;
        answer.budget.charge_memory(WRITTEN_BYTES)?;
        let value = pipeline.of_all(written, answer)?;
        written.insert(name.clone(), value);
    }
    Ok(())
}

/// Carries out what belongs to each of the buckets that were written.
pub(super) fn within(pipelines: &[(String, Pipeline)], written: &mut Value, answer: &Answer<'_>) -> Result<(), SearchError> {
    if !pipelines.iter().any(|(_, pipeline)| pipeline.is_within()) {
        return Ok(());
    }
    let Some(place) = written.get_mut("buckets") else { return Ok(()) };
    let keyed = place.is_object();
    let mut rows: Vec<Row> = match place.take() {
        Value::Array(list) => list.into_iter().map(|bucket| Row { name: None, bucket, by: Vec::new() }).collect(),
        Value::Object(named) => named.into_iter().map(|(name, bucket)| Row { name: Some(name), bucket, by: Vec::new() }).collect(),
        _ => Vec::new(),
    };
    for (name, pipeline) in pipelines.iter().filter(|(_, pipeline)| pipeline.is_within()) {
        pipeline.put(name, &mut rows, answer)?;
    }
    *place = if keyed {
        Value::Object(rows.into_iter().map(|row| (row.name.unwrap_or_default(), row.bucket)).collect())
    } else {
        Value::Array(rows.into_iter().map(|row| row.bucket).collect())
    };
    Ok(())
}

/// Numbers with their names; those that are none become null.
fn named(numbers: &[(&str, f64)]) -> Value {
    Value::Object(numbers.iter().map(|(name, number)| ((*name).to_owned(), Value::from(*number))).collect())
}

/// Adds spreads.
fn extend(out: &mut Value, numbers: &[f64], mean: f64, sigma: f64) {
    let count = numbers.len() as f64;
    let (mut squares, mut spread) = (0.0, 0.0);
    for number in numbers {
        squares += number * number;
        spread += (number - mean) * (number - mean);
    }
    // Of no numbers there is no sum of squares either; of a single one no spread of a sample.
    let known = if numbers.is_empty() { f64::NAN } else { 1.0 };
    let (variance, sampling) = (spread / count, spread / (count - 1.0) * known);
    let (deviation, of_sample) = (variance.sqrt(), sampling.sqrt());
    let more = named(&[
        ("sum_of_squares", squares * known),
        ("variance", variance),
        ("variance_population", variance),
        ("variance_sampling", sampling),
        ("std_deviation", deviation),
        ("std_deviation_population", deviation),
        ("std_deviation_sampling", of_sample),
    ]);
    let bounds = named(&[
        ("upper", mean + sigma * deviation),
        ("lower", mean - sigma * deviation),
        ("upper_population", mean + sigma * deviation),
        ("lower_population", mean - sigma * deviation),
        ("upper_sampling", mean + sigma * of_sample),
        ("lower_sampling", mean - sigma * of_sample),
    ]);
    if let (Value::Object(out), Value::Object(more)) = (out, more) {
        out.extend(more);
        out.insert("std_deviation_bounds".into(), bounds);
    }
}

/// What a bucket is called.
fn label(name: Option<&str>, bucket: &Value) -> String {
    match (bucket.get("key_as_string").or_else(|| bucket.get("key")), name) {
        (Some(Value::String(text)), _) => text.clone(),
        (Some(key), _) => key.to_string(),
        (None, name) => name.unwrap_or_default().to_owned(),
    }
}

fn sigma(body: &Map<String, Value>) -> Result<f64, SearchError> {
    match body.get("sigma").map_or(Some(2.0), Value::as_f64) {
        Some(sigma) if sigma >= 0.0 => Ok(sigma),
        _ => fail("[sigma] must be a non-negative double"),
    }
}

fn percentiles(body: &Map<String, Value>) -> Result<What, SearchError> {
    let percents = match body.get("percents") {
        None => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
        Some(Value::Array(all)) if all.len() > PERCENTS_MAX => return fail(format!("[percents] has {} values, more than {PERCENTS_MAX}", all.len())),
        Some(list) => {
            let all: Option<Vec<f64>> = list.as_array().and_then(|all| all.iter().map(|p| p.as_f64().filter(|p| (0.0..=100.0).contains(p))).collect());
            match all {
                Some(all) => all,
                None => return fail("percents must only contain non-null doubles from 0.0-100.0 inclusive"),
            }
        }
    };
    Ok(What::Percentiles { percents, keyed: body.get("keyed").and_then(Value::as_bool).unwrap_or(true) })
}

fn unit(body: &Map<String, Value>) -> Result<Option<f64>, SearchError> {
    let Some(text) = body.get("unit") else { return Ok(None) };
    match text.as_str().and_then(histogram::unit_millis) {
        Some(millis) => Ok(Some(millis)),
        None => fail(format!("failed to parse [unit] with value [{text}] as a time value")),
    }
}

fn positive(body: &Map<String, Value>, key: &str) -> Result<Option<usize>, SearchError> {
    let Some(value) = body.get(key) else { return Ok(None) };
    match value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) {
        Some(number) => Ok(Some(number)),
        None => fail(format!("[{key}] must be a positive integer: [{value}]")),
    }
}

/// `{"sort": [{"metric": {"order": "desc"}}], "from": 0, "size": 5}`
fn sort(name: &str, body: &Map<String, Value>) -> Result<Pipeline, SearchError> {
    let (mut texts, mut descending) = (Vec::new(), Vec::new());
    let mut gaps = Gaps::Skip;
    let mut from = 0;
    for (key, value) in body {
        match key.as_str() {
            "sort" => {
                let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for one in all {
                    match one {
                        Value::String(path) => {
                            texts.push(path.clone());
                            descending.push(false);
                        }
                        Value::Object(fields) => {
                            for (path, how) in fields {
                                let order = how.as_str().or_else(|| how.get("order").map_or(Some("asc"), Value::as_str)).unwrap_or_default();
                                if !matches!(order, "asc" | "desc") {
                                    return fail(format!("No enum constant for sort order [{how}], expected asc or desc"));
                                }
                                texts.push(path.clone());
                                descending.push(order == "desc");
                            }
                        }
                        _ => return fail("malformed sort format, expected a text or an object"),
                    }
                }
            }
            "from" => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(number) => from = number,
                None => return fail(format!("[from] must be a non-negative integer: [{value}]")),
            },
            "gap_policy" => gaps = Gaps::read(value)?,
            "size" => {}
            other => return fail(format!("unknown key [{other}] in the [bucket_sort] aggregation [{name}]")),
        }
    }
    if texts.len() > SORTS_MAX {
        return fail(format!("[sort] of [{name}] has more than {SORTS_MAX} fields"));
    }
    let size = positive(body, "size")?;
    if texts.is_empty() && from == 0 && size.is_none() {
        return fail(format!("[{name}] is configured to perform nothing. Please set either of [sort, size, from] to use bucket_sort"));
    }
    Ok(Pipeline { called: "bucket_sort", what: What::Sort { descending, from, size }, gaps, texts, paths: Vec::new() })
}
