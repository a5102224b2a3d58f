//! The message of a histogram, which may hold a classic and a native one at once.
//!
//! Histogram { 1: count uint64, 2: sum, 3: Bucket*, 4: count double, 5: schema sint32, 6: zero threshold, 7: zero count uint64,
//! 8: zero count double, 9: negative spans, 10: negative deltas sint64*, 11: negative counts double*, 12: positive spans,
//! 13: positive deltas, 14: positive counts, 15: created, 16: Exemplar* }, Bucket { 1: count uint64, 2: upper bound, 3: Exemplar,
//! 4: count double }, Span { 1: offset sint32, 2: length uint32 }. A float count that is not 0 wins over a whole one.

use watchfire_model::histogram::{CounterReset, Histogram, HistogramError, Span};

use super::sample::{has_time, read_timestamp};
use super::{ProtoError, WrongHistogram};
use crate::exposition::{Classic, RawExemplar};
use crate::native;
use crate::protobuf::{Message, Value, WireError, bucket_span, doubles, numbers, signed};

/// A classic bucket.
pub(super) struct Bucket<'a> {
    pub(super) bound: f64,
    /// Cumulative.
    pub(super) count: f64,
    pub(super) exemplar: Option<RawExemplar<'a>>,
}

/// The message as it came.
#[derive(Default)]
pub(super) struct RawHistogram<'a> {
    whole_count: u64,
    float_count: f64,
    pub(super) sum: f64,
    pub(super) buckets: Vec<Bucket<'a>>,
    schema: i64,
    zero_threshold: f64,
    whole_zero_count: u64,
    float_zero_count: f64,
    negative: Side,
    positive: Side,
    pub(super) created: i64,
    exemplars: Vec<&'a [u8]>,
}

/// The native buckets of one side of zero.
#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    /// Counts added up from their deltas.
    whole: Vec<f64>,
    last: i64,
    counts: Vec<f64>,
}
impl Side {
    fn add_deltas(&mut self, value: Value<'_>) -> Result<(), WireError> {
        numbers(value, |delta| {
            // What wraps around is negative or does not fit the total, and is refused for that.
            self.last = self.last.wrapping_add(signed(delta));
            self.whole.push(self.last as f64);
        })
    }
}

impl<'a> RawHistogram<'a> {
    /// Reads a message with at most so many buckets and spans.
    pub(super) fn read(message: &'a [u8], buckets_max: usize) -> Result<RawHistogram<'a>, ProtoError> {
        let mut raw = RawHistogram::default();
        for field in Message::new(message) {
            match field? {
                (1, Value::Varint(n)) => raw.whole_count = n,
                (2, Value::Fixed64(bits)) => raw.sum = f64::from_bits(bits),
                (3, Value::Bytes(bucket)) => raw.buckets.push(read_bucket(bucket)?),
                (4, Value::Fixed64(bits)) => raw.float_count = f64::from_bits(bits),
                (5, Value::Varint(n)) => raw.schema = signed(n),
                (6, Value::Fixed64(bits)) => raw.zero_threshold = f64::from_bits(bits),
                (7, Value::Varint(n)) => raw.whole_zero_count = n,
                (8, Value::Fixed64(bits)) => raw.float_zero_count = f64::from_bits(bits),
                (9, Value::Bytes(span)) => raw.negative.spans.push(bucket_span(span)?),
                (10, value) => raw.negative.add_deltas(value)?,
                (11, value) => doubles(value, |n| raw.negative.counts.push(n))?,
                (12, Value::Bytes(span)) => raw.positive.spans.push(bucket_span(span)?),
                (13, value) => raw.positive.add_deltas(value)?,
                (14, value) => doubles(value, |n| raw.positive.counts.push(n))?,
                (15, Value::Bytes(bytes)) => raw.created = read_timestamp(bytes)?,
                (16, Value::Bytes(bytes)) => raw.exemplars.push(bytes),
                _ => {}
            }
            if raw.size() > buckets_max {
                return Err(ProtoError::Buckets);
            }
        }
        Ok(raw)
    }

    /// How many buckets, spans and exemplars it has.
    pub(super) fn size(&self) -> usize {
        let side = |side: &Side| side.spans.len() + side.whole.len() + side.counts.len();
        self.buckets.len() + self.exemplars.len() + side(&self.negative) + side(&self.positive)
    }
    /// Whether it has anything of a native histogram. One without observations says so by an empty span.
    pub(super) fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.whole_zero_count > 0
            || self.float_zero_count > 0.0
    }
    /// All observations.
    pub(super) fn count(&self) -> f64 {
        if self.float_count != 0.0 { self.float_count } else { self.whole_count as f64 }
    }

    /// The native histogram, with the least buckets that hold the same.
    pub(super) fn native(&self, gauge: bool) -> Result<Histogram, WrongHistogram> {
        let integer = !(self.float_count > 0.0 || self.float_zero_count > 0.0);
        let side = |side: &Side| if integer { side.whole.clone() } else { side.counts.clone() };
        let schema = i8::try_from(self.schema).map_err(|_| HistogramError::Schema(self.schema.clamp(i32::MIN.into(), i32::MAX.into()) as i32))?;
        let mut histogram = Histogram {
            schema,
            integer,
            reset: if gauge { CounterReset::Gauge } else { CounterReset::Unknown },
            zero_threshold: self.zero_threshold,
            zero_count: if integer { self.whole_zero_count as f64 } else { self.float_zero_count },
            count: if integer { self.whole_count as f64 } else { self.float_count },
            sum: self.sum,
            positive_spans: self.positive.spans.clone(),
            negative_spans: self.negative.spans.clone(),
            positive_buckets: side(&self.positive),
            negative_buckets: side(&self.negative),
            ..Histogram::default()
        };
        histogram = native::settled(histogram)?;
        histogram.compact();
        Ok(histogram)
    }

    /// The classic histogram as a native one with custom bounds.
    pub(super) fn custom(&self, classic: &mut Classic) -> Result<Histogram, WrongHistogram> {
        classic.clear();
        for bucket in &self.buckets {
            classic.bucket(bucket.bound, bucket.count);
        }
        classic.count(self.count());
        classic.sum(self.sum);
        let histogram = classic.convert()?;
        histogram.check()?;
        Ok(histogram)
    }

    /// The exemplars of a native histogram: its own, or else those of its classic buckets. They must have a time.
    pub(super) fn native_exemplars(&self) -> Result<Vec<RawExemplar<'a>>, WireError> {
        let of_buckets = self.buckets.iter().filter_map(|b| b.exemplar).filter(|_| self.exemplars.is_empty());
        let mut found = Vec::new();
        for exemplar in self.exemplars.iter().map(|e| RawExemplar::Proto(e)).chain(of_buckets) {
            if has_time(exemplar.bytes())? {
                found.push(exemplar);
            }
        }
        Ok(found)
    }
}

fn read_bucket(message: &[u8]) -> Result<Bucket<'_>, WireError> {
    let (mut whole, mut float) = (0, 0.0);
    let mut bucket = Bucket { bound: 0.0, count: 0.0, exemplar: None };
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(n)) => whole = n,
            (2, Value::Fixed64(bits)) => bucket.bound = f64::from_bits(bits),
            (3, Value::Bytes(bytes)) => bucket.exemplar = Some(RawExemplar::Proto(bytes)),
            (4, Value::Fixed64(bits)) => float = f64::from_bits(bits),
            _ => {}
        }
    }
    bucket.count = if float != 0.0 { float } else { whole as f64 };
    Ok(bucket)
}

/// Two floats in the fields 1 and 2.
pub(super) fn read_pair(message: &[u8]) -> Result<[f64; 2], WireError> {
    let mut pair = [0.0; 2];
    for field in Message::new(message) {
        match field? {
            (1, Value::Fixed64(bits)) => pair[0] = f64::from_bits(bits),
            (2, Value::Fixed64(bits)) => pair[1] = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok(pair)
}
