//! The layout of a histogram: everything that stays the same from sample to sample (schema, threshold, which buckets are
//! present, custom bounds). Its counts are the business of `row` and of `segment::histograms`.

use watchfire_model::histogram::{Histogram, Span};

use super::BUCKETS_MAX;
use crate::encoding::{Input, put_double, put_signed, put_varint};

/// The counts came as integers.
const FLAG_INTEGER: u8 = 1;
/// A threshold that is not zero follows.
const FLAG_THRESHOLD: u8 = 2;
/// Spans of negative buckets follow.
const FLAG_NEGATIVE: u8 = 4;
/// Custom bounds follow.
const FLAG_BOUNDS: u8 = 8;

/// Whether two histograms differ at most in counts, sum and what is known of a reset.
pub(crate) fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let same_bounds = || {
        std::sync::Arc::ptr_eq(&a.custom_bounds, &b.custom_bounds)
            || a.custom_bounds.iter().map(|x| x.to_bits()).eq(b.custom_bounds.iter().map(|x| x.to_bits()))
    };
    a.schema == b.schema
        && a.integer == b.integer
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same_bounds()
}

/// Appends the layout of a histogram.
pub(crate) fn put_layout(out: &mut Vec<u8>, histogram: &Histogram) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(histogram.integer, FLAG_INTEGER)
            | flag(histogram.zero_threshold.to_bits() != 0, FLAG_THRESHOLD)
            | flag(!histogram.negative_spans.is_empty(), FLAG_NEGATIVE)
            | flag(!histogram.custom_bounds.is_empty(), FLAG_BOUNDS),
    );
    out.push(histogram.schema as u8);
    if histogram.zero_threshold.to_bits() != 0 {
        put_double(out, histogram.zero_threshold.to_bits());
    }
    put_spans(out, &histogram.positive_spans);
    if !histogram.negative_spans.is_empty() {
        put_spans(out, &histogram.negative_spans);
    }
    if !histogram.custom_bounds.is_empty() {
        put_varint(out, histogram.custom_bounds.len() as u64);
        histogram.custom_bounds.iter().for_each(|bound| put_double(out, bound.to_bits()));
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_varint(out, spans.len() as u64);
    for span in spans {
        put_signed(out, i64::from(span.offset));
        put_varint(out, u64::from(span.length));
    }
}

/// Reads a layout: a histogram whose counts are all zero. `None` on nonsense.
pub(crate) fn read_layout(input: &mut Input<'_>) -> Option<Histogram> {
    let flags = input.u8()?;
    let schema = input.u8()? as i8;
    let zero_threshold = if flags & FLAG_THRESHOLD != 0 { f64::from_bits(input.double()?) } else { 0.0 };
    let (positive_spans, positive) = read_spans(input)?;
    let (negative_spans, negative) = if flags & FLAG_NEGATIVE != 0 { read_spans(input)? } else { (Vec::new(), 0) };
    let mut bounds = Vec::new();
    if flags & FLAG_BOUNDS != 0 {
        let count = input.size()?;
        // Each bound takes at least a byte.
        if count > input.remaining() {
            return None;
        }
        for _ in 0..count {
            bounds.push(f64::from_bits(input.double()?));
        }
    }
    Some(Histogram {
        schema,
        integer: flags & FLAG_INTEGER != 0,
        zero_threshold,
        positive_spans,
        negative_spans,
        positive_buckets: vec![0.0; positive],
        negative_buckets: vec![0.0; negative],
        custom_bounds: bounds.into(),
        ..Histogram::default()
    })
}

fn read_spans(input: &mut Input<'_>) -> Option<(Vec<Span>, usize)> {
    let count = input.size()?;
    if count > input.remaining() {
        return None;
    }
    let mut spans = Vec::with_capacity(count);
    let mut buckets = 0usize;
    for _ in 0..count {
        let span = Span { offset: i32::try_from(input.signed()?).ok()?, length: u32::try_from(input.varint()?).ok()? };
        buckets = buckets.checked_add(span.length as usize).filter(|n| *n <= BUCKETS_MAX)?;
        spans.push(span);
    }
    Some((spans, buckets))
}

/// The index of each present bucket, in order.
pub(crate) fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let from = next + i64::from(span.offset);
        next = from + i64::from(span.length);
        from..next
    })
}
