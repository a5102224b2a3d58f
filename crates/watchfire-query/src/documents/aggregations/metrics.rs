//! One number, or a few, of all documents: counts, sums, extremes, means, spreads, percentiles, distinct values.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use watchfire_model::read::Budget;
use watchfire_model::sum::Compensated;

use super::super::dates;
use super::super::document::{Document, TIME};
use super::super::error::SearchError;
use super::fail;
use crate::promql::numeric::{Variance, quantile};

/// The most percentiles of one aggregation: each is looked for in all values.
pub(super) const PERCENTS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Stats,
    Extended,
    Cardinality,
    Percentiles,
}

/// A metric over a field.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    kind: Kind,
    field: String,
    missing: Option<f64>,
    percents: Vec<f64>,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Numbers {
    count: u64,
    sum: Compensated,
    squares: Compensated,
    variance: Option<Variance>,
    min: f64,
    max: f64,
    distinct: HashSet<u64>,
    values: Vec<f64>,
}

impl Metric {
    /// Reads a metric; nothing where the name is none of one.
    pub(super) fn read(kind: &str, body: &Map<String, Value>) -> Result<Option<Metric>, SearchError> {
        let known = match kind {
            "value_count" => Kind::Count,
            "sum" => Kind::Sum,
            "min" => Kind::Min,
            "max" => Kind::Max,
            "avg" => Kind::Avg,
            "stats" => Kind::Stats,
            "extended_stats" => Kind::Extended,
            "cardinality" => Kind::Cardinality,
            "percentiles" => Kind::Percentiles,
            _ => return Ok(None),
        };
        let Some(field) = body.get("field").and_then(Value::as_str) else {
            return fail(format!("Required one of fields [field, script], but none were specified for [{kind}]"));
        };
        let percents = match body.get("percents") {
            Some(Value::Array(all)) if all.len() > PERCENTS_MAX => return fail(format!("[percents] has {} values, more than {PERCENTS_MAX}", all.len())),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_f64).collect(),
            _ => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
        };
        Ok(Some(Metric { kind: known, field: field.to_owned(), missing: body.get("missing").and_then(Value::as_f64), percents }))
    }

    pub(super) fn collect(&self, document: &Document<'_>, numbers: &mut Numbers, budget: &Budget) -> Result<(), SearchError> {
        let mut grown = 0;
        let mut take = |number: f64| {
            if numbers.count == 0 {
                (numbers.min, numbers.max) = (number, number);
            }
            numbers.count += 1;
            numbers.sum.add(number);
            if self.kind == Kind::Extended {
                numbers.squares.add(number * number);
                match &mut numbers.variance {
                    Some(variance) => variance.add(number),
                    none => *none = Some(Variance::starting(number)),
                }
            }
            numbers.min = numbers.min.min(number);
            numbers.max = numbers.max.max(number);
            if self.kind == Kind::Percentiles {
                numbers.values.push(number);
                grown += 8;
            }
        };
        let mut any = false;
        match self.kind {
            Kind::Count => {
                document.each_value(&self.field, &mut |_| take(1.0));
            }
            Kind::Cardinality => {
                document.each_value(&self.field, &mut |value| {
                    if numbers.distinct.insert(hash(&value.text())) {
                        grown += 16;
                    }
                });
            }
            _ => {
                document.each_value(&self.field, &mut |value| {
                    if let Some(number) = value.number() {
                        any = true;
                        take(number);
                    }
                });
                if let Some(missing) = self.missing.filter(|_| !any) {
                    take(missing);
                }
            }
        }
        if grown > 0 {
            budget.charge_memory(grown)?;
        }
        Ok(())
    }

    pub(super) fn finish(&self, numbers: &mut Numbers) -> Value {
        let count = numbers.count as f64;
        let (sum, any) = (numbers.sum.value(), numbers.count > 0);
        let number = |value: f64| if any { json!(value) } else { Value::Null };
        let average = sum / count;
        let mut out = match self.kind {
            Kind::Count => json!({ "value": numbers.count }),
            Kind::Sum => json!({ "value": sum }),
            Kind::Min => json!({ "value": number(numbers.min) }),
            Kind::Max => json!({ "value": number(numbers.max) }),
            Kind::Avg => json!({ "value": number(average) }),
            Kind::Cardinality => json!({ "value": numbers.distinct.len() }),
            Kind::Percentiles => {
                let mut values = Map::new();
                for percent in &self.percents {
                    let value = if any { json!(quantile(percent / 100.0, &mut numbers.values)) } else { Value::Null };
                    values.insert(format!("{percent:?}"), value);
                }
                return json!({ "values": values });
            }
            Kind::Stats | Kind::Extended => {
                json!({ "count": numbers.count, "min": number(numbers.min), "max": number(numbers.max), "avg": number(average), "sum": sum })
            }
        };
        if self.kind == Kind::Extended {
            let variance = numbers.variance.map_or(0.0, |variance| variance.value());
            out["sum_of_squares"] = number(numbers.squares.value());
            out["variance"] = number(variance);
            out["std_deviation"] = number(variance.sqrt());
        }
        self.as_date(&mut out, any);
        out
    }

    /// Where a number of it stands in what is written; nothing where it has none.
    pub(super) fn place(&self, member: Option<&str>) -> Option<Vec<String>> {
        let known = match self.kind {
            Kind::Percentiles => {
                let percent: f64 = member?.parse().ok()?;
                return self.percents.contains(&percent).then(|| vec!["values".to_owned(), format!("{percent:?}")]);
            }
            Kind::Stats => member.filter(|m| matches!(*m, "count" | "min" | "max" | "avg" | "sum")),
            Kind::Extended => member.filter(|m| matches!(*m, "count" | "min" | "max" | "avg" | "sum" | "sum_of_squares" | "variance" | "std_deviation")),
            _ => Some(member.unwrap_or("value")).filter(|m| *m == "value"),
        };
        known.map(|member| vec![member.to_owned()])
    }

    /// Moments are numbers of milliseconds, and texts beside them.
    fn as_date(&self, out: &mut Value, any: bool) {
        if self.field != TIME || !any {
            return;
        }
        for key in ["value", "min", "max", "avg"] {
            if !matches!(self.kind, Kind::Count | Kind::Cardinality | Kind::Sum)
                && let Some(millis) = out.get(key).and_then(Value::as_f64)
            {
                let text = dates::format(watchfire_model::logs::Nanos((millis * 1e6) as i64));
                out[format!("{key}_as_string")] = Value::String(text);
            }
        }
    }
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
