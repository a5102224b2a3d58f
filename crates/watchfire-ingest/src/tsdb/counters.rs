//! Whether the samples of a histogram series go on from one to the next within one chunk. Within a chunk every reader takes
//! it for granted that nothing was reset, so that a chunk ends wherever that is not certain.

use watchfire_model::histogram::{CounterReset, Histogram};

/// What is known about a chunk when a sample does not go into the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The sample goes on in the same chunk.
    None,
    /// Another layout or kind: nothing is known.
    Unknown,
    /// Counts went down.
    Reset,
}

/// Judges two neighbours.
pub(super) fn cut(before: &Histogram, now: &Histogram) -> Cut {
    let gauge = |h: &Histogram| h.reset == CounterReset::Gauge;
    if before.is_stale() || now.is_stale() || before.integer != now.integer || gauge(before) != gauge(now) {
        return Cut::Unknown;
    }
    if now.reset == CounterReset::Reset {
        return Cut::Reset;
    }
    let same_layout = before.schema == now.schema
        && before.zero_threshold.to_bits() == now.zero_threshold.to_bits()
        && before.positive_spans == now.positive_spans
        && before.negative_spans == now.negative_spans
        && before.custom_bounds == now.custom_bounds;
    if !same_layout {
        return Cut::Unknown;
    }
    if gauge(now) {
        return Cut::None;
    }
    let counts = |h: &Histogram| [h.count, h.zero_count];
    let buckets = |h: &Histogram| h.positive_buckets.iter().chain(&h.negative_buckets).copied().collect::<Vec<f64>>();
    let fell = |before: &[f64], now: &[f64]| before.iter().zip(now).any(|(before, now)| now < before);
    if fell(&counts(before), &counts(now)) || fell(&buckets(before), &buckets(now)) { Cut::Reset } else { Cut::None }
}
