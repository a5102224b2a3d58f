//! The histograms of one series, from memory and from segments, put in order. What is known of a reset speaks of the histogram
//! before; where another one has come between, or the one before is gone, nothing is known any more.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::Timestamp;

struct Item {
    time: i64,
    /// The chunk that it was read from.
    chunk: u32,
    /// How many were read before it.
    index: u32,
    value: Arc<Histogram>,
}

/// Histograms under assembly, in order of precedence: of two samples of one time the first one stays.
#[derive(Default)]
pub(crate) struct Parts {
    items: Vec<Item>,
    chunk: u32,
    next: u32,
    disordered: bool,
    cost: u64,
}

impl Parts {
    /// Says that the next histogram does not stand right behind the last one: it is the first of a chunk, or some were left out.
    pub(crate) fn gap(&mut self) {
        self.chunk = self.chunk.wrapping_add(1);
    }
    /// Adds a histogram.
    pub(crate) fn push(&mut self, time: i64, value: Arc<Histogram>) {
        self.disordered |= self.items.last().is_some_and(|last| last.time >= time);
        self.cost += value.cost();
        self.items.push(Item { time, chunk: self.chunk, index: self.next, value });
        self.next = self.next.wrapping_add(1);
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// How many float samples they count for.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Takes all out, ascending, every time once. `floats` are the ascending times of the series' float samples: they count first,
    /// and one between two histograms ends what is known. With `first_unknown` nothing is known of the very first one either.
    pub(crate) fn take(&mut self, floats: &[i64], first_unknown: bool) -> Vec<HistogramSample> {
        let mut items = std::mem::take(&mut self.items);
        if self.disordered {
            items.sort_by_key(|item| item.time);
            items.dedup_by_key(|item| item.time);
        }
        let mut ordered: Vec<HistogramSample> = Vec::with_capacity(items.len());
        let mut before: Option<(i64, u32, u32)> = None;
        let mut floats = floats.iter().copied().peekable();
        for Item { time, chunk, index, mut value } in items {
            let mut float_between = false;
            while floats.next_if(|t| *t < time).is_some() {
                float_between = true;
            }
            if floats.peek() == Some(&time) {
                continue;
            }
            let known = match (value.reset, before) {
                (CounterReset::Unknown | CounterReset::Gauge, _) => true,
                (_, None) => !first_unknown && !float_between,
                (CounterReset::Reset, Some((_, _, last))) => !float_between && last.wrapping_add(1) == index,
                (CounterReset::NotReset, Some((_, same, last))) => !float_between && same == chunk && last.wrapping_add(1) == index,
            };
            if !known {
                Arc::make_mut(&mut value).reset = CounterReset::Unknown;
            }
            before = Some((time, chunk, index));
            ordered.push(HistogramSample { time: Timestamp(time), value });
        }
        *self = Parts::default();
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CounterReset::{Gauge, NotReset, Reset, Unknown};

    /// Pushes (time, reset), where a time below zero is a gap, and compares what comes out.
    fn check(pushed: &[(i64, CounterReset)], floats: &[i64], expected: &[(i64, CounterReset)]) {
        let mut parts = Parts::default();
        for (time, reset) in pushed {
            if *time < 0 {
                parts.gap();
            } else {
                parts.push(*time, Arc::new(Histogram { reset: *reset, ..Histogram::default() }));
            }
        }
        let found: Vec<_> = parts.take(floats, false).into_iter().map(|s| (s.time.0, s.value.reset)).collect();
        assert_eq!(found, expected, "{pushed:?} with floats at {floats:?}");
    }

    #[test]
    fn what_is_known_of_resets_holds_between_neighbours_only() {
        check(&[(1, Unknown), (2, NotReset), (3, Reset)], &[], &[(1, Unknown), (2, NotReset), (3, Reset)]);
        check(&[(1, Unknown), (3, NotReset), (5, Reset), (-1, Unknown), (2, Unknown)], &[], &[(1, Unknown), (2, Unknown), (3, Unknown), (5, Reset)]);
        check(&[(1, Unknown), (-1, Unknown), (2, NotReset), (-1, Unknown), (3, Reset)], &[], &[(1, Unknown), (2, Unknown), (3, Reset)]);
        check(&[(1, Gauge), (3, Gauge), (-1, Unknown), (2, Gauge)], &[], &[(1, Gauge), (2, Gauge), (3, Gauge)]);
        check(&[(1, Unknown), (3, NotReset), (4, NotReset)], &[2], &[(1, Unknown), (3, Unknown), (4, NotReset)]);
        check(&[(1, Unknown), (3, NotReset)], &[3], &[(1, Unknown)]);
    }
}
