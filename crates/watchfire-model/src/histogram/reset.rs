//! Counter resets: whether a histogram's counts began anew after the one before.

use super::bounds::exponential_bound;
use super::buckets::coarser;
use super::total::{shared_bounds, shared_index, zero_count_within};
use super::{CounterReset, Histogram};

impl Histogram {
    /// Whether counting began anew between a histogram and this one: some count went down, a populated bucket
    /// vanished, the resolution rose or the zero bucket shrank. What the producer said settles it;
    /// a gauge is looked at as if it were a counter.
    pub fn is_reset_after(&self, before: &Histogram) -> bool {
        match self.reset {
            CounterReset::Reset => return true,
            CounterReset::NotReset => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        if self.count < before.count || self.schema > before.schema {
            return true;
        }
        if self.has_custom_bounds() {
            return if !before.has_custom_bounds() {
                true
            } else if self.custom_bounds == before.custom_bounds {
                any_decrease(self.positive_indexed(), before.positive_indexed())
            } else {
                self.decreases_between_shared_bounds(before)
            };
        }
        if self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero, threshold) = if self.zero_threshold > before.zero_threshold {
            zero_count_within(before, self.zero_threshold)
        } else {
            (before.zero_count, before.zero_threshold)
        };
        if threshold != self.zero_threshold || self.zero_count < zero {
            return true;
        }
        let levels = u32::from(before.schema.abs_diff(self.schema));
        let within_zero = |schema: i8| move |(index, _): &(i32, f64)| exponential_bound(*index, schema) <= threshold;
        let (now, earlier) = (within_zero(self.schema), within_zero(before.schema));
        any_decrease(self.positive_indexed().skip_while(now), coarser(before.positive_indexed().skip_while(earlier), levels))
            || any_decrease(self.negative_indexed().skip_while(now), coarser(before.negative_indexed().skip_while(earlier), levels))
    }

    fn decreases_between_shared_bounds(&self, before: &Histogram) -> bool {
        let shared = shared_bounds(&self.custom_bounds, &before.custom_bounds);
        let counts = |histogram: &Histogram| {
            let mut counts = vec![0.0; shared.len() + 1];
            for (index, count) in histogram.positive_indexed() {
                counts[shared_index(index, &histogram.custom_bounds, &shared)] += count;
            }
            counts
        };
        counts(self).iter().zip(&counts(before)).any(|(now, before)| now < before)
    }
}

/// Whether a bucket holds less than before, or a populated one is gone.
fn any_decrease(now: impl Iterator<Item = (i32, f64)>, mut before: impl Iterator<Item = (i32, f64)>) -> bool {
    let mut now = now.peekable();
    before.any(|(index, count)| {
        while now.next_if(|(i, _)| *i < index).is_some() {}
        match now.peek() {
            Some((i, current)) if *i == index => *current < count,
            _ => count != 0.0,
        }
    })
}
