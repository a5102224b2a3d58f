//! The body of a remote write (version 1): protobuf in the framing of Snappy, uncompressed. A sender for tests, no more.

use watchfire_model::histogram::{CounterReset, Histogram};
use watchfire_model::sample::stale_nan;

use crate::script::{Item, Stored};

/// Samples as the body of one request.
pub(crate) fn body(series: &[Stored]) -> Vec<u8> {
    let mut request = Vec::new();
    for (labels, samples) in series {
        let mut one = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            bytes_field(&mut label, 1, name.as_bytes());
            bytes_field(&mut label, 2, value.as_bytes());
            bytes_field(&mut one, 1, &label);
        }
        for (time, item) in samples {
            let value = match item {
                Item::Nothing => continue,
                Item::Marker => stale_nan(),
                Item::Float(value) => *value,
                Item::Histogram(literal) => {
                    bytes_field(&mut one, 4, &histogram(&literal.histogram, *time));
                    continue;
                }
            };
            let mut sample = Vec::new();
            double_field(&mut sample, 1, value);
            varint_field(&mut sample, 2, *time as u64);
            bytes_field(&mut one, 2, &sample);
        }
        bytes_field(&mut request, 1, &one);
    }
    snappy_literals(&request)
}

/// A histogram of floats.
fn histogram(h: &Histogram, time: i64) -> Vec<u8> {
    let mut out = Vec::new();
    double_field(&mut out, 2, h.count);
    double_field(&mut out, 3, h.sum);
    varint_field(&mut out, 4, zigzag(h.schema.into()));
    double_field(&mut out, 5, h.zero_threshold);
    double_field(&mut out, 7, h.zero_count);
    for (spans, spans_field, counts, counts_field) in [(&h.negative_spans, 8, &h.negative_buckets, 10), (&h.positive_spans, 11, &h.positive_buckets, 13)] {
        for span in spans {
            let mut one = Vec::new();
            varint_field(&mut one, 1, zigzag(span.offset.into()));
            varint_field(&mut one, 2, span.length.into());
            bytes_field(&mut out, spans_field, &one);
        }
        let counts: Vec<u8> = counts.iter().flat_map(|c| c.to_le_bytes()).collect();
        bytes_field(&mut out, counts_field, &counts);
    }
    let hint = match h.reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    };
    varint_field(&mut out, 14, hint);
    varint_field(&mut out, 15, time as u64);
    let bounds: Vec<u8> = h.custom_bounds.iter().flat_map(|b| b.to_le_bytes()).collect();
    bytes_field(&mut out, 16, &bounds);
    out
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field << 3));
    varint(out, value);
}

fn double_field(out: &mut Vec<u8>, field: u32, value: f64) {
    varint(out, u64::from(field << 3 | 1));
    out.extend(value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A Snappy block that consists of literals.
fn snappy_literals(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    varint(&mut out, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        let length = (chunk.len() - 1) as u16;
        out.push(61 << 2);
        out.extend(length.to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out
}
