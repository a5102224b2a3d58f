//! Native histograms in the scripts: `{{schema:0 sum:5 count:4 z_bucket:1 z_bucket_w:0.1 offset:-1 buckets:[1 2 1]}}`.
//! More keys: `n_offset`, `n_buckets`, `custom_values`, `counter_reset_hint` (`unknown`, `reset`, `not_reset`, `gauge`).

use watchfire_model::histogram::{CounterReset, Histogram, Span, Total};

/// A histogram as written; the hint counts in comparisons only where it is written.
#[derive(Clone, Debug)]
pub struct Literal {
    /// The histogram.
    pub histogram: Histogram,
    /// Whether its hint is written.
    pub hint_given: bool,
}

impl Literal {
    /// Reads what stands between the double braces, these included.
    pub fn read(text: &str) -> Result<Literal, String> {
        let inner = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).ok_or(format!("{text} is no histogram"))?;
        let mut literal = Literal { histogram: Histogram::default(), hint_given: false };
        let (mut offset, mut n_offset) = (0, 0);
        let mut rest = inner.trim_start();
        while !rest.is_empty() {
            let (key, tail) = rest.split_once(':').ok_or(format!("{rest}: key and value expected"))?;
            let (value, tail) = if tail.starts_with('[') {
                let end = tail.find(']').ok_or(format!("{tail}: ] expected"))?;
                tail.split_at(end + 1)
            } else {
                tail.split_once(' ').unwrap_or((tail, ""))
            };
            rest = tail.trim_start();
            let number = || value.parse::<f64>().map_err(|_| format!("{value} is no number"));
            let list = || {
                let items = value.trim_start_matches('[').trim_end_matches(']').split_whitespace();
                items.map(|v| v.parse::<f64>().map_err(|_| format!("{v} is no number"))).collect::<Result<Vec<f64>, _>>()
            };
            let h = &mut literal.histogram;
            match key {
                "schema" => h.schema = value.parse().map_err(|_| format!("{value} is no schema"))?,
                "sum" => h.sum = number()?,
                "count" => h.count = number()?,
                "z_bucket" => h.zero_count = number()?,
                "z_bucket_w" => h.zero_threshold = number()?,
                "offset" => offset = number()? as i32,
                "n_offset" => n_offset = number()? as i32,
                "buckets" => h.positive_buckets = list()?,
                "n_buckets" => h.negative_buckets = list()?,
                "custom_values" => h.custom_bounds = list()?.into(),
                "counter_reset_hint" => {
                    literal.hint_given = true;
                    h.reset = match value {
                        "unknown" => CounterReset::Unknown,
                        "reset" => CounterReset::Reset,
                        "not_reset" => CounterReset::NotReset,
                        "gauge" => CounterReset::Gauge,
                        _ => return Err(format!("{value} is no hint")),
                    };
                }
                _ => return Err(format!("unknown key {key}")),
            }
        }
        let h = &mut literal.histogram;
        let span = |offset, counts: &Vec<f64>| if counts.is_empty() { Vec::new() } else { vec![Span { offset, length: counts.len() as u32 }] };
        h.positive_spans = span(offset, &h.positive_buckets);
        h.negative_spans = span(n_offset, &h.negative_buckets);
        Ok(literal)
    }

    /// The next one in a series that rises, or falls, by another.
    pub fn advanced(&self, by: &Literal, falls: bool) -> Result<Literal, String> {
        let mut total = Total::of(&self.histogram);
        let step = if falls { total.subtract(&by.histogram) } else { total.add(&by.histogram) };
        step.map_err(|e| e.to_string())?;
        Ok(Literal { histogram: total.finish(), hint_given: self.hint_given })
    }

    /// Whether a result is this histogram, but for rounding and empty buckets.
    pub fn is(&self, got: &Histogram, same: impl Fn(f64, f64) -> bool) -> bool {
        let compact = |h: &Histogram| {
            let mut h = h.clone();
            h.compact();
            h
        };
        let (want, got) = (compact(&self.histogram), compact(got));
        let all_same = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b));
        let numbers = |h: &Histogram| [h.zero_threshold, h.zero_count, h.count, h.sum];
        want.schema == got.schema
            && (!self.hint_given || want.reset == got.reset)
            && all_same(&numbers(&want), &numbers(&got))
            && want.positive_spans == got.positive_spans
            && want.negative_spans == got.negative_spans
            && all_same(&want.positive_buckets, &got.positive_buckets)
            && all_same(&want.negative_buckets, &got.negative_buckets)
            && want.custom_bounds == got.custom_bounds
    }
}

/// Every detail of a histogram, for messages.
pub fn detailed(h: &Histogram) -> String {
    format!(
        "{h} schema {} zero ±{} bounds {:?} {:?} buckets {:?}/{:?}",
        h.schema, h.zero_threshold, h.custom_bounds, h.reset, h.positive_buckets, h.negative_buckets
    )
}
