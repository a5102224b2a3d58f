//! A native histogram of a message: the same in both versions.
//!
//! Histogram { 1: count uint64 | 2: count double, 3: sum, 4: schema sint32, 5: zero threshold, 6: zero count uint64 |
//! 7: zero count double, 8: negative spans, 9: negative deltas sint64*, 10: negative counts double*, 11: positive spans,
//! 12: positive deltas, 13: positive counts, 14: reset hint, 15: time int64 ms, 16: custom bounds double*, 17: start int64 ms },
//! Span { 1: offset sint32, 2: length uint32 }.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::Timestamp;

use crate::native;
use crate::protobuf::{Message, Value, WireError, bucket_span, doubles, numbers, signed};

/// A histogram with the time at which its counts began, or 0.
pub(super) type Started = (HistogramSample, i64);

/// Reads a `Histogram` message; the inner error says what is wrong with a well-formed one. Every bucket and span is taken
/// from `left`.
pub(super) fn read(message: &[u8], left: &mut usize) -> Result<Result<Started, String>, WireError> {
    let mut histogram = Histogram { integer: true, ..Histogram::default() };
    let (mut schema, mut time, mut start) = (0i64, 0i64, 0i64);
    let (mut positive, mut negative, mut bounds) = (Buckets::default(), Buckets::default(), Vec::new());
    let (mut count, mut zero_count) = (Number::default(), Number::default());
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(n)) => count.whole = n,
            (2, Value::Fixed64(bits)) => count.float = Some(f64::from_bits(bits)),
            (3, Value::Fixed64(bits)) => histogram.sum = f64::from_bits(bits),
            (4, Value::Varint(n)) => schema = signed(n),
            (5, Value::Fixed64(bits)) => histogram.zero_threshold = f64::from_bits(bits),
            (6, Value::Varint(n)) => zero_count.whole = n,
            (7, Value::Fixed64(bits)) => zero_count.float = Some(f64::from_bits(bits)),
            (8, Value::Bytes(span)) => histogram.negative_spans.push(bucket_span(span)?),
            (9, value) => negative.add_deltas(value)?,
            (10, value) => doubles(value, |n| negative.counts.push(n))?,
            (11, Value::Bytes(span)) => histogram.positive_spans.push(bucket_span(span)?),
            (12, value) => positive.add_deltas(value)?,
            (13, value) => doubles(value, |n| positive.counts.push(n))?,
            (14, Value::Varint(n)) => histogram.reset = reset(n),
            (15, Value::Varint(n)) => time = n.cast_signed(),
            (16, value) => doubles(value, |n| bounds.push(n))?,
            (17, Value::Varint(n)) => start = n.cast_signed(),
            _ => {}
        }
        let size = positive.len() + negative.len() + bounds.len() + histogram.positive_spans.len() + histogram.negative_spans.len();
        if size > *left {
            return Ok(Err("histograms with too many buckets in one message".to_owned()));
        }
    }
    *left -= positive.len() + negative.len() + bounds.len() + histogram.positive_spans.len() + histogram.negative_spans.len();
    let Ok(schema) = i8::try_from(schema) else { return Ok(Err(format!("histogram has an unknown schema {schema}"))) };
    histogram.schema = schema;
    histogram.integer = count.float.is_none();
    histogram.count = count.float.unwrap_or(count.whole as f64);
    histogram.zero_count = if histogram.integer { zero_count.whole as f64 } else { zero_count.float.unwrap_or(0.0) };
    histogram.custom_bounds = bounds.into();
    for (buckets, place) in [(positive, &mut histogram.positive_buckets), (negative, &mut histogram.negative_buckets)] {
        if histogram.integer && buckets.overflown {
            return Ok(Err("histogram has a bucket count beyond 64 bits".to_owned()));
        }
        *place = if histogram.integer { buckets.whole } else { buckets.counts };
    }
    let settled = native::settled(histogram).map_err(|wrong| wrong.to_string());
    Ok(settled.map(|histogram| (HistogramSample { time: Timestamp(time), value: Arc::new(histogram) }, start)))
}

/// A number that comes in one of two kinds.
#[derive(Default)]
struct Number {
    whole: u64,
    float: Option<f64>,
}

/// The buckets of one side as they come: whole counts are added up from their deltas.
#[derive(Default)]
struct Buckets {
    whole: Vec<f64>,
    counts: Vec<f64>,
    last: i64,
    overflown: bool,
}
impl Buckets {
    fn len(&self) -> usize {
        self.whole.len() + self.counts.len()
    }
    fn add_deltas(&mut self, value: Value<'_>) -> Result<(), WireError> {
        numbers(value, |delta| {
            let (count, overflown) = self.last.overflowing_add(signed(delta));
            self.last = count;
            self.overflown |= overflown;
            self.whole.push(count as f64);
        })
    }
}

fn reset(number: u64) -> CounterReset {
    match number {
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        3 => CounterReset::Gauge,
        _ => CounterReset::Unknown,
    }
}
