//! The steps of a query and which of them see an entry; and what a window makes of its values.

use watchfire_model::logs::Nanos;
use watchfire_model::sum::Compensated;

use super::super::ast::RangeOp;
use crate::promql::numeric::{Mean, Variance, counter_rate, quantile};

/// The times at which something is evaluated, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) count: usize,
    /// What `now` is in templates.
    pub(super) now: Nanos,
}

impl Grid {
    pub(super) fn time(&self, i: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i as i64))
    }
    pub(super) fn last(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    /// The first step at or after a time.
    fn step_from(&self, time: i64) -> usize {
        let distance = time.saturating_sub(self.start);
        if distance <= 0 {
            return 0;
        }
        // Rounded up.
        let step = (distance - 1) as u64 / self.step.max(1) as u64 + 1;
        usize::try_from(step).unwrap_or(usize::MAX).min(self.count)
    }

    /// The steps whose windows hold a moment: windows are open at their beginning and closed at their end.
    pub(super) fn steps(&self, time: i64, range: i64) -> (usize, usize) {
        (self.step_from(time), self.step_from(time.saturating_add(range)))
    }
}

/// What an aggregation makes of the values of a window; `times` ascend. There is at least one.
pub(super) fn aggregate(op: RangeOp, param: f64, times: &[i64], values: &[f64], start: i64, end: i64, scratch: &mut Vec<f64>) -> f64 {
    let seconds = (end - start) as f64 / 1e9;
    let sum = || {
        let mut sum = Compensated::default();
        values.iter().for_each(|v| sum.add(*v));
        sum.value()
    };
    let folded =
        |pick: fn(f64, f64) -> bool| values.iter().copied().reduce(|best, v| if pick(v, best) || best.is_nan() { v } else { best }).unwrap_or(f64::NAN);
    let variance = || {
        let mut values = values.iter();
        let mut variance = Variance::starting(values.next().copied().unwrap_or(f64::NAN));
        values.for_each(|v| variance.add(*v));
        variance.value()
    };
    match op {
        RangeOp::Sum => sum(),
        RangeOp::Rate => sum() / seconds,
        RangeOp::RateCounter => {
            let millis: Vec<i64> = times.iter().map(|t| t.div_euclid(1_000_000)).collect();
            // A counter that was seen once has not grown.
            counter_rate(&millis, values, start.div_euclid(1_000_000), end.div_euclid(1_000_000)).filter(|r| r.is_finite()).unwrap_or(0.0)
        }
        RangeOp::Avg => {
            let mut values = values.iter();
            let mut mean = Mean::starting(values.next().copied().unwrap_or(f64::NAN));
            values.for_each(|v| mean.add(*v));
            mean.value()
        }
        RangeOp::Min => folded(|v, best| v < best),
        RangeOp::Max => folded(|v, best| v > best),
        RangeOp::First => values.first().copied().unwrap_or(f64::NAN),
        RangeOp::Last => values.last().copied().unwrap_or(f64::NAN),
        RangeOp::Stdvar => variance(),
        RangeOp::Stddev => variance().sqrt(),
        RangeOp::Quantile => {
            scratch.clear();
            scratch.extend_from_slice(values);
            quantile(param, scratch)
        }
        RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent => values.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_at_their_beginning() {
        let grid = Grid { start: 100, step: 10, count: 3, now: Nanos(0) };
        for (time, range, steps) in [
            (100, 10, (0, 1)),
            (90, 10, (0, 0)),
            (91, 10, (0, 1)),
            (101, 10, (1, 2)),
            (110, 25, (1, 3)),
            (121, 5, (3, 3)),
            (i64::MIN, 5, (0, 0)),
            (i64::MAX, 5, (3, 3)),
        ] {
            assert_eq!(grid.steps(time, range), steps, "{time}");
        }
    }
}
