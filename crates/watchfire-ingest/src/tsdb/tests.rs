//! Tests of chunks: what is written reads back, known bytes, and garbage. That Prometheus itself reads and writes the same is
//! tested with a real one in the binary's process tests.

use std::sync::Arc;

use proptest::prelude::*;
use watchfire_model::histogram::{CUSTOM_SCHEMA, CounterReset, Histogram, Span};
use watchfire_model::sample::{HistogramSample, STALE_NAN_BITS};
use watchfire_model::time::Timestamp;

use super::*;

fn decoded(chunks: &[Chunk]) -> ChunkSamples {
    let mut out = ChunkSamples::default();
    for chunk in chunks {
        decode(chunk.encoding as u8, &chunk.data, &mut out).unwrap();
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_known_float_chunk() {
    // One sample: its number, the time 1000 as a varint, the bits of 1.5. Two more at an even distance cost few bits.
    let chunks = encode(&[1_000], &[1.5], &[]);
    assert_eq!(hex(&chunks[0].data), "0001d00f3ff8000000000000");
    let chunks = encode(&[1_000, 2_000, 3_000], &[1.5, 1.5, 1.5], &[]);
    assert_eq!(hex(&chunks[0].data), "0003d00f3ff8000000000000e80700");
    assert_eq!((chunks[0].start, chunks[0].end, chunks[0].encoding), (1_000, 3_000, Encoding::Xor));
}

fn counter(i: u32) -> Histogram {
    let f = f64::from(i);
    Histogram {
        integer: true,
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        zero_count: f,
        count: 4.0 * f,
        sum: 18.4 * f,
        positive_spans: vec![Span { offset: -2, length: 1 }, Span { offset: 2, length: 2 }],
        positive_buckets: vec![f, 0.0, f],
        negative_spans: vec![Span { offset: 4, length: 1 }],
        negative_buckets: vec![f],
        ..Histogram::default()
    }
}

fn at(times: impl Iterator<Item = (i64, Histogram)>) -> Vec<HistogramSample> {
    times.map(|(time, h)| HistogramSample { time: Timestamp(time), value: Arc::new(h) }).collect()
}

#[test]
fn chunks_of_histograms_end_where_counts_may_have_been_reset() {
    let series = at((0..10).map(|i| {
        let mut histogram = counter(if i < 4 { 10 + i } else { i });
        histogram.integer = i != 8;
        if i == 6 {
            histogram = Histogram::stale();
        }
        (i64::from(i) * 1_000, histogram)
    }));
    let chunks = encode(&[], &[], &series);
    let shape: Vec<_> = chunks.iter().map(|c| (c.encoding, c.start, c.end, c.data[2])).collect();
    assert_eq!(
        shape,
        [
            (Encoding::Histogram, 0, 3_000, 0),
            (Encoding::Histogram, 4_000, 5_000, 0b1000_0000),
            (Encoding::FloatHistogram, 6_000, 6_000, 0),
            (Encoding::Histogram, 7_000, 7_000, 0),
            (Encoding::FloatHistogram, 8_000, 8_000, 0),
            (Encoding::Histogram, 9_000, 9_000, 0),
        ]
    );
    let back = decoded(&chunks).histograms;
    let resets: Vec<_> = back.iter().map(|h| h.value.reset).collect();
    use CounterReset::{NotReset as N, Reset as R, Unknown as U};
    assert_eq!(resets, [U, N, N, N, R, N, U, U, U, U]);
    assert!(back[6].value.is_stale());
}

#[test]
fn floats_and_histograms_of_one_series_alternate() {
    let histograms = at([(2_000, counter(1)), (3_000, counter(2)), (6_000, counter(3))].into_iter());
    let chunks = encode(&[1_000, 4_000, 5_000, 7_000], &[1.0, 2.0, 3.0, 4.0], &histograms);
    let shape: Vec<_> = chunks.iter().map(|c| (c.encoding as u8, c.start, c.end)).collect();
    assert_eq!(shape, [(1, 1_000, 1_000), (2, 2_000, 3_000), (1, 4_000, 5_000), (2, 6_000, 6_000), (1, 7_000, 7_000)]);
    let back = decoded(&chunks);
    assert_eq!((back.times, back.histograms.len()), (vec![1_000, 4_000, 5_000, 7_000], 3));
}

#[test]
fn long_series_are_cut() {
    let times: Vec<i64> = (0..250).map(|i| i * 15_000).collect();
    let values: Vec<f64> = times.iter().map(|t| *t as f64 / 7.0).collect();
    let chunks = encode(&times, &values, &[]);
    assert_eq!(chunks.iter().map(|c| u16::from_be_bytes([c.data[0], c.data[1]])).collect::<Vec<_>>(), [120, 120, 10]);
}

#[test]
fn a_damaged_chunk_is_refused() {
    let good = encode(&[1, 2, 3], &[1.0, 2.0, 4.0], &at([(4, counter(3)), (5, counter(4))].into_iter()));
    let check = |encoding: u8, data: &[u8], expected: &str| {
        let error = decode(encoding, data, &mut ChunkSamples::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    for chunk in &good {
        check(chunk.encoding as u8, &chunk.data[..chunk.data.len() - 1], "ends within a sample");
    }
    check(9, &good[0].data, "unknown encoding 9");
    check(1, &[0], "ends within a sample");
    // A header that speaks of four thousand million buckets.
    check(2, &[0, 1, 0, 0, 0b0100_0000, 0xff, 0xff, 0xff, 0xff, 0xff], "");
}

fn any_time_steps() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![3 => Just(15_000i64), 2 => 1i64..20_000, 1 => 1i64..(1 << 41)];
    (-(1i64 << 45)..(1 << 45), proptest::collection::vec(step, 0..200)).prop_map(|(first, steps)| {
        let mut times = vec![first];
        times.extend(steps.iter().scan(first, |at, step| {
            *at += step;
            Some(*at)
        }));
        times
    })
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), (0u32..1000).prop_map(f64::from), Just(f64::from_bits(STALE_NAN_BITS)), Just(-0.0), Just(f64::INFINITY),]
}

/// Histograms of one series that grow, sometimes change their layout and sometimes begin anew.
fn any_histograms() -> impl Strategy<Value = Vec<HistogramSample>> {
    let layout = (
        prop_oneof![(-4i8..=8).boxed(), Just(CUSTOM_SCHEMA).boxed()],
        proptest::collection::vec((0i32..9, 0u32..4), 0..4),
        proptest::collection::vec((0i32..9, 0u32..4), 0..3),
        prop_oneof![Just(0.0), Just(2f64.powi(-128)), Just(1e-7)],
        any::<bool>(),
        prop_oneof![4 => Just(CounterReset::Unknown), 1 => Just(CounterReset::Gauge), 1 => Just(CounterReset::Reset)],
        proptest::collection::vec(0u32..100_000, 1..40),
    );
    proptest::collection::vec(layout, 1..4).prop_map(|runs| {
        let mut time = 0;
        let mut all = Vec::new();
        for (schema, positive, negative, threshold, integer, reset, growth) in runs {
            let custom = schema == CUSTOM_SCHEMA;
            let spans = |list: &[(i32, u32)]| list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect::<Vec<_>>();
            let (positive, negative) = (spans(&positive), if custom { Vec::new() } else { spans(&negative) });
            let len = |spans: &[Span]| spans.iter().map(|s| s.length as usize).sum::<usize>();
            let bounds: Vec<f64> = if custom { (0..60).map(|i| f64::from(i) * 0.005 + if integer { 0.0 } else { 1e-9 }).collect() } else { Vec::new() };
            let mut count = 0.0;
            for step in growth {
                time += 1 + i64::from(step);
                count += f64::from(step) / if integer { 1.0 } else { 3.0 };
                let (p, n) = (vec![count; len(&positive)], vec![count; len(&negative)]);
                let zero = if custom { 0.0 } else { count };
                let histogram = Histogram {
                    schema,
                    integer,
                    reset,
                    zero_threshold: if custom { 0.0 } else { threshold },
                    zero_count: zero,
                    count: zero + p.iter().chain(&n).sum::<f64>(),
                    sum: count * 0.7,
                    positive_spans: positive.clone(),
                    negative_spans: negative.clone(),
                    positive_buckets: p,
                    negative_buckets: n,
                    custom_bounds: bounds.clone().into(),
                };
                all.push(HistogramSample { time: Timestamp(time), value: Arc::new(histogram) });
            }
        }
        all
    })
}

proptest! {
    #[test]
    fn floats_come_back_bit_by_bit(times in any_time_steps(), values in proptest::collection::vec(any_value(), 201)) {
        let values = &values[..times.len()];
        let back = decoded(&encode(&times, values, &[]));
        prop_assert_eq!(&back.times, &times);
        prop_assert_eq!(back.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn histograms_come_back(histograms in any_histograms()) {
        let back = decoded(&encode(&[], &[], &histograms)).histograms;
        prop_assert_eq!(back.len(), histograms.len());
        for (back, sent) in back.iter().zip(&histograms) {
            prop_assert_eq!(back.time, sent.time);
            // What a chunk says about resets may be more than the sample knew; what it counts is the same.
            let same = Histogram { reset: sent.value.reset, ..(*back.value).clone() };
            prop_assert_eq!(&same, &*sent.value);
        }
    }

    #[test]
    fn garbage_never_panics(encoding in 0u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(encoding, &bytes, &mut ChunkSamples::default()));
        drop(block::tombstones(&bytes));
        drop(block::chunk(&bytes));
        drop(block::chunk_bytes(&bytes));
        if let Ok(index) = block::Index::new(&bytes) {
            index.for_each(drop);
        }
    }

    #[test]
    fn damaged_chunks_never_panic(histograms in any_histograms(), flips in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)) {
        for chunk in encode(&[], &[], &histograms) {
            let mut data = chunk.data.clone();
            for (at, bit) in &flips {
                let at = at.index(data.len());
                data[at] ^= 1 << bit;
            }
            drop(decode(chunk.encoding as u8, &data, &mut ChunkSamples::default()));
        }
    }
}
