//! Native histograms on their way through the store: their bytes in the log and in memory (`row`), what is known of counter
//! resets (`reset`), and parts of one series put in order (`parts`). How files hold them is told by `segment::histograms`;
//! arithmetic is none of the store's business.

mod layout;
mod parts;
mod reset;
mod row;

pub(crate) use layout::{indexes, put_layout, read_layout, same_layout};
pub(crate) use parts::Parts;
pub(crate) use reset::judge as judge_reset;
pub(crate) use row::{RowChunk, decode, put_row, read_row};

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram};

/// No histogram has more buckets and bounds. It keeps a damaged count from asking for memory, and a record of the log within its limit.
pub(crate) const BUCKETS_MAX: usize = 1 << 16;

/// Whether two histograms say the same about what was observed. What is known of a reset depends on the neighbour, not on the
/// observations.
pub(crate) fn same_content(a: &Histogram, b: &Histogram) -> bool {
    if a.reset == b.reset {
        return a == b;
    }
    a.sum.to_bits() == b.sum.to_bits() && *a == Histogram { reset: a.reset, ..b.clone() }
}

/// Whether a histogram can be kept.
pub(crate) fn fits(histogram: &Histogram) -> bool {
    let parts = [histogram.positive_buckets.len(), histogram.negative_buckets.len(), histogram.custom_bounds.len()];
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    parts.iter().sum::<usize>() <= BUCKETS_MAX && spans <= BUCKETS_MAX && histogram.check().is_ok()
}

/// The same without what is known of a reset before it, for the first one behind a sample of its chunk that is left out.
pub(crate) fn behind_a_gap(value: Arc<Histogram>) -> Arc<Histogram> {
    match value.reset {
        CounterReset::Reset => Arc::new(Histogram { reset: CounterReset::Unknown, ..Histogram::clone(&value) }),
        _ => value,
    }
}

/// Two bits.
pub(crate) fn reset_code(reset: CounterReset) -> u8 {
    match reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    }
}

/// The meaning of the lowest two bits.
pub(crate) fn reset_of(code: u8) -> CounterReset {
    match code & 3 {
        0 => CounterReset::Unknown,
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        _ => CounterReset::Gauge,
    }
}

/// Histograms of every kind for tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use proptest::prelude::*;
    use watchfire_model::histogram::{CUSTOM_SCHEMA, Span};

    fn spans(raw: &[(u8, u8)]) -> Vec<Span> {
        raw.iter().enumerate().map(|(i, (gap, length))| Span { offset: i32::from(*gap) - if i == 0 { 5 } else { 0 }, length: u32::from(*length) }).collect()
    }

    /// Any histogram that a source may send.
    pub(crate) fn any_histogram() -> impl Strategy<Value = Histogram> {
        let side = || proptest::collection::vec((0u8..4, 0u8..4), 0..3);
        let shape = (0u8..4, -4i8..=8, side(), side(), any::<u64>(), 0u8..4);
        (shape, proptest::collection::vec(0u32..2000, 40), any::<bool>(), any::<bool>()).prop_map(|(shape, counts, huge, nan)| {
            let (kind, schema, positive, negative, sum, reset) = shape;
            let mut counts = counts.into_iter().map(|n| match kind {
                0 => f64::from(n),
                1 if huge => f64::from(n) * 1e15,
                _ => f64::from(n) / 8.0,
            });
            let mut histogram = Histogram {
                schema,
                integer: kind == 0,
                reset: reset_of(reset),
                zero_threshold: if huge { 0.001 } else { 0.0 },
                sum: f64::from_bits(sum),
                positive_spans: spans(&positive),
                ..Histogram::default()
            };
            histogram.positive_buckets = histogram.positive_spans.iter().flat_map(|s| 0..s.length).map(|_| counts.next().unwrap_or(0.0)).collect();
            if kind == 3 {
                let bounds: Arc<[f64]> = (0..40).map(|n| f64::from(n) * 0.25).collect();
                (histogram.schema, histogram.custom_bounds, histogram.zero_threshold) = (CUSTOM_SCHEMA, bounds, 0.0);
                if let Some(first) = histogram.positive_spans.first_mut() {
                    first.offset = first.offset.max(0);
                }
            } else {
                histogram.zero_count = counts.next().unwrap_or(0.0);
                histogram.negative_spans = spans(&negative);
                histogram.negative_buckets = histogram.negative_spans.iter().flat_map(|s| 0..s.length).map(|_| counts.next().unwrap_or(0.0)).collect();
            }
            histogram.count = histogram.zero_count + histogram.positive_buckets.iter().chain(&histogram.negative_buckets).sum::<f64>();
            if nan {
                (histogram.sum, histogram.count) = (f64::NAN, histogram.count + 3.0);
            } else if histogram.sum.is_nan() {
                histogram.sum = -0.0;
            }
            assert_eq!(histogram.check(), Ok(()));
            histogram
        })
    }

    /// A series as real ones are: most histograms look like the one before, with some counts higher.
    pub(crate) fn any_series(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(i64, Arc<Histogram>)>> {
        let step = (any_histogram(), 0u8..8, 1i64..40_000, any::<u8>());
        (-1i64 << 40..1i64 << 40, proptest::collection::vec(step, len)).prop_map(|(start, steps)| {
            let mut time = start;
            let mut series: Vec<(i64, Arc<Histogram>)> = Vec::new();
            for (fresh, what, gap, grown) in steps {
                time += gap;
                let histogram = match (what, series.last()) {
                    (0, _) | (_, None) => fresh,
                    (1, _) => Histogram::stale(),
                    (_, Some((_, before))) => {
                        let mut next = Histogram::clone(before);
                        for (i, bucket) in next.positive_buckets.iter_mut().enumerate().filter(|(i, _)| grown >> (i % 8) & 1 == 1) {
                            *bucket += (i + 1) as f64;
                            next.count += (i + 1) as f64;
                        }
                        next.sum += 0.1;
                        next
                    }
                };
                series.push((time, Arc::new(histogram)));
            }
            series
        })
    }
}
