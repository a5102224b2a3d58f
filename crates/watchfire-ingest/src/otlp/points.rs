//! Data points as they stand in the message, borrowed from its bytes. Their meaning is the business of `translate`.

use crate::protobuf::{Message, Value, WireError, numbers, signed};

use super::{DecodeError, value};

/// More bounds or buckets than this in one point are refused.
pub(super) const BUCKETS_MAX: usize = 10_000;
/// The flag that says that there is no value, only the end of what was before.
const NO_RECORDED_VALUE: u64 = 1;

/// What all points have. Times are nanoseconds since 1970.
#[derive(Default)]
pub(super) struct Common<'a> {
    pub(super) attributes: Vec<(&'a str, &'a [u8])>,
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) exemplars: Vec<&'a [u8]>,
    flags: u64,
}
impl Common<'_> {
    /// Whether the point says that there is no value any more.
    pub(super) fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// NumberDataPoint { 2: start, 3: time, 4: double, 5: Exemplar*, 6: sfixed64, 7: KeyValue*, 8: flags }.
#[derive(Default)]
pub(super) struct Number<'a> {
    pub(super) common: Common<'a>,
    pub(super) value: f64,
}

/// HistogramDataPoint { 2: start, 3: time, 4: count, 5: sum, 6: counts*, 7: bounds*, 8: Exemplar*, 9: KeyValue*, 10: flags }.
#[derive(Default)]
pub(super) struct Explicit<'a> {
    pub(super) common: Common<'a>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) bounds: Vec<f64>,
}

/// ExponentialHistogramDataPoint { 1: KeyValue*, 2: start, 3: time, 4: count, 5: sum, 6: scale, 7: zero count, 8: positive,
/// 9: negative, 10: flags, 11: Exemplar*, 14: zero threshold }.
#[derive(Default)]
pub(super) struct Exponential<'a> {
    pub(super) common: Common<'a>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

/// Dense buckets: Buckets { 1: offset, 2: counts* }.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

/// SummaryDataPoint { 2: start, 3: time, 4: count, 5: sum, 6: ValueAtQuantile*, 7: KeyValue*, 8: flags }.
#[derive(Default)]
pub(super) struct Summary<'a> {
    pub(super) common: Common<'a>,
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Quantiles and their values.
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// Exemplar { 2: time, 3: double, 4: span id, 5: trace id, 6: sfixed64, 7: KeyValue* }.
#[derive(Default)]
pub(super) struct Exemplar<'a> {
    pub(super) attributes: Vec<(&'a str, &'a [u8])>,
    pub(super) time_ns: u64,
    pub(super) value: Option<f64>,
    pub(super) span_id: &'a [u8],
    pub(super) trace_id: &'a [u8],
}

fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}
fn integer(bits: u64) -> f64 {
    bits.cast_signed() as f64
}
/// A `sint32`.
fn zigzag(number: u64) -> i32 {
    signed(u64::from(number as u32)) as i32
}

/// A list that takes no more than a point may have.
struct Bounded<'a, T>(&'a mut Vec<T>, bool);
impl<T> Bounded<'_, T> {
    fn push(&mut self, item: T) {
        if self.0.len() < BUCKETS_MAX {
            self.0.push(item);
        } else {
            self.1 = true;
        }
    }
    fn end(self) -> Result<(), DecodeError> {
        if self.1 { Err(DecodeError::Buckets) } else { Ok(()) }
    }
}

/// Adds what one occurrence of a list of eight-byte words brings: a packed run or a single one.
fn words<T>(list: &mut Vec<T>, value: Value<'_>, of: impl Fn(u64) -> T) -> Result<(), DecodeError> {
    let mut list = Bounded(list, false);
    match value {
        Value::Fixed64(word) => list.push(of(word)),
        Value::Bytes(packed) => {
            let (words, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(WireError::Truncated.into());
            }
            words.iter().for_each(|word| list.push(of(u64::from_le_bytes(*word))));
        }
        _ => return Err(WireError::Kind.into()),
    }
    list.end()
}

pub(super) fn number(bytes: &[u8]) -> Result<Number<'_>, DecodeError> {
    let mut point = Number::default();
    let common = &mut point.common;
    for field in Message::new(bytes) {
        match field? {
            (2, Value::Fixed64(ns)) => common.start_ns = ns,
            (3, Value::Fixed64(ns)) => common.time_ns = ns,
            (4, Value::Fixed64(bits)) => point.value = double(bits),
            (6, Value::Fixed64(bits)) => point.value = integer(bits),
            (5, Value::Bytes(bytes)) => common.exemplars.push(bytes),
            (7, Value::Bytes(bytes)) => common.attributes.push(value::pair(bytes)?),
            (8, Value::Varint(flags)) => common.flags = flags,
            _ => {}
        }
    }
    Ok(point)
}

pub(super) fn explicit(bytes: &[u8]) -> Result<Explicit<'_>, DecodeError> {
    let mut point = Explicit::default();
    let common = &mut point.common;
    for field in Message::new(bytes) {
        match field? {
            (2, Value::Fixed64(ns)) => common.start_ns = ns,
            (3, Value::Fixed64(ns)) => common.time_ns = ns,
            (4, Value::Fixed64(count)) => point.count = count,
            (5, Value::Fixed64(bits)) => point.sum = Some(double(bits)),
            (6, value) => words(&mut point.counts, value, |word| word)?,
            (7, value) => words(&mut point.bounds, value, double)?,
            (8, Value::Bytes(bytes)) => common.exemplars.push(bytes),
            (9, Value::Bytes(bytes)) => common.attributes.push(value::pair(bytes)?),
            (10, Value::Varint(flags)) => common.flags = flags,
            _ => {}
        }
    }
    Ok(point)
}

pub(super) fn exponential(bytes: &[u8]) -> Result<Exponential<'_>, DecodeError> {
    let mut point = Exponential::default();
    let common = &mut point.common;
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => common.attributes.push(value::pair(bytes)?),
            (2, Value::Fixed64(ns)) => common.start_ns = ns,
            (3, Value::Fixed64(ns)) => common.time_ns = ns,
            (4, Value::Fixed64(count)) => point.count = count,
            (5, Value::Fixed64(bits)) => point.sum = Some(double(bits)),
            (6, Value::Varint(number)) => point.scale = zigzag(number),
            (7, Value::Fixed64(count)) => point.zero_count = count,
            (8, Value::Bytes(bytes)) => point.positive = buckets(bytes)?,
            (9, Value::Bytes(bytes)) => point.negative = buckets(bytes)?,
            (10, Value::Varint(flags)) => common.flags = flags,
            (11, Value::Bytes(bytes)) => common.exemplars.push(bytes),
            (14, Value::Fixed64(bits)) => point.zero_threshold = double(bits),
            _ => {}
        }
    }
    Ok(point)
}

fn buckets(bytes: &[u8]) -> Result<Buckets, DecodeError> {
    let mut buckets = Buckets::default();
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Varint(number)) => buckets.offset = zigzag(number),
            (2, value) => {
                let mut list = Bounded(&mut buckets.counts, false);
                numbers(value, |count| list.push(count))?;
                list.end()?;
            }
            _ => {}
        }
    }
    Ok(buckets)
}

pub(super) fn summary(bytes: &[u8]) -> Result<Summary<'_>, DecodeError> {
    let mut point = Summary::default();
    let common = &mut point.common;
    for field in Message::new(bytes) {
        match field? {
            (2, Value::Fixed64(ns)) => common.start_ns = ns,
            (3, Value::Fixed64(ns)) => common.time_ns = ns,
            (4, Value::Fixed64(count)) => point.count = count,
            (5, Value::Fixed64(bits)) => point.sum = double(bits),
            (6, Value::Bytes(bytes)) => {
                let mut list = Bounded(&mut point.quantiles, false);
                list.push(quantile(bytes)?);
                list.end()?;
            }
            (7, Value::Bytes(bytes)) => common.attributes.push(value::pair(bytes)?),
            (8, Value::Varint(flags)) => common.flags = flags,
            _ => {}
        }
    }
    Ok(point)
}

/// ValueAtQuantile { 1: quantile, 2: value }.
fn quantile(bytes: &[u8]) -> Result<(f64, f64), WireError> {
    let mut pair = (0.0, 0.0);
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Fixed64(bits)) => pair.0 = double(bits),
            (2, Value::Fixed64(bits)) => pair.1 = double(bits),
            _ => {}
        }
    }
    Ok(pair)
}

pub(super) fn exemplar(bytes: &[u8]) -> Result<Exemplar<'_>, DecodeError> {
    let mut exemplar = Exemplar::default();
    for field in Message::new(bytes) {
        match field? {
            (2, Value::Fixed64(ns)) => exemplar.time_ns = ns,
            (3, Value::Fixed64(bits)) => exemplar.value = Some(double(bits)),
            (4, Value::Bytes(id)) => exemplar.span_id = id,
            (5, Value::Bytes(id)) => exemplar.trace_id = id,
            (6, Value::Fixed64(bits)) => exemplar.value = Some(integer(bits)),
            (7, Value::Bytes(bytes)) => exemplar.attributes.push(value::pair(bytes)?),
            _ => {}
        }
    }
    Ok(exemplar)
}

#[cfg(test)]
mod tests {
    #[test]
    fn zigzag_numbers() {
        for (wire, expected) in [(0, 0), (1, -1), (2, 1), (3, -2), (4_294_967_294, i32::MAX), (4_294_967_295, i32::MIN)] {
            assert_eq!(super::zigzag(wire), expected);
        }
    }
}
