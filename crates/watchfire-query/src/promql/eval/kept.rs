//! Functions over ranges that are made of whole windows: a source keeps these longer than samples, and they tell the same.
//! No window is ever cut or guessed: where a range is not made of whole ones, samples are read.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use watchfire_model::duration::format_millis;
use watchfire_model::read::Selection;
use watchfire_model::time::Timestamp;
use watchfire_model::windows::{Kept, Window, WindowSeries, increase};

use super::super::ast::{Node, NodeKind};
use super::super::functions::OverTime;
use super::call::note_counter;
use super::rate::{Change, extrapolation};
use super::selector::outcome;
use super::sum::Compensated;
use super::{Columns, Evaluated, Evaluator, Grid};

/// The windows of one series that a range `(start, end]` is made of; never empty.
pub(in crate::promql) struct Stretch<'a> {
    windows: &'a [Window],
    start: i64,
    end: i64,
}

/// What a function makes of windows; `None` gives no sample at this step.
pub(in crate::promql) type OfWindows = fn(&Stretch<'_>) -> Option<f64>;

impl Stretch<'_> {
    fn count(&self) -> u64 {
        self.windows.iter().map(|w| u64::from(w.count)).sum()
    }
    fn sum(&self) -> f64 {
        let mut sum = Compensated::default();
        self.windows.iter().for_each(|w| sum.add(w.sum));
        sum.value()
    }
    fn change(&self, counter: bool, per_second: bool) -> Option<f64> {
        let (first, last) = (self.windows.first()?, self.windows.last()?);
        let steps = self.count().checked_sub(1).filter(|n| *n > 0)?;
        let change = if counter { increase(self.windows)? } else { last.last - first.first };
        let (first_time, last_time, begins_at) = (first.first_time, last.last_time, first.first);
        let observed = Change { first: first_time, last: last_time, steps: steps as usize, begins_at, change, counter, per_second };
        Some(change * extrapolation(&observed, self.start, self.end))
    }
    /// The best of all values; NaN only when all are.
    fn best(&self, value: fn(&Window) -> f64, beats: fn(f64, f64) -> bool) -> Option<f64> {
        self.windows.iter().map(value).reduce(|best, next| if beats(next, best) || best.is_nan() { next } else { best })
    }
}

pub(in crate::promql) fn rate(s: &Stretch<'_>) -> Option<f64> {
    s.change(true, true)
}
pub(in crate::promql) fn increase_of(s: &Stretch<'_>) -> Option<f64> {
    s.change(true, false)
}
pub(in crate::promql) fn delta(s: &Stretch<'_>) -> Option<f64> {
    s.change(false, false)
}
pub(in crate::promql) fn avg(s: &Stretch<'_>) -> Option<f64> {
    let (sum, count) = (s.sum(), s.count() as f64);
    if sum.is_infinite() && s.windows.iter().all(|w| w.sum.is_finite()) {
        // The sum overflows, the mean does not.
        return Some(s.windows.iter().map(|w| w.sum / count).sum());
    }
    Some(sum / count)
}
pub(in crate::promql) fn sum(s: &Stretch<'_>) -> Option<f64> {
    Some(s.sum())
}
pub(in crate::promql) fn count(s: &Stretch<'_>) -> Option<f64> {
    Some(s.count() as f64)
}
pub(in crate::promql) fn present(_: &Stretch<'_>) -> Option<f64> {
    Some(1.0)
}
pub(in crate::promql) fn min(s: &Stretch<'_>) -> Option<f64> {
    s.best(|w| w.min, |a, b| a < b)
}
pub(in crate::promql) fn max(s: &Stretch<'_>) -> Option<f64> {
    s.best(|w| w.max, |a, b| a > b)
}
pub(in crate::promql) fn first(s: &Stretch<'_>) -> Option<f64> {
    s.windows.first().map(|w| w.first)
}
pub(in crate::promql) fn last(s: &Stretch<'_>) -> Option<f64> {
    s.windows.last().map(|w| w.last)
}
pub(in crate::promql) fn first_time(s: &Stretch<'_>) -> Option<f64> {
    s.windows.first().map(|w| w.first_time as f64 / 1000.0)
}
pub(in crate::promql) fn last_time(s: &Stretch<'_>) -> Option<f64> {
    s.windows.last().map(|w| w.last_time as f64 / 1000.0)
}

/// The best are those that tell all from the earliest moment on, then those that are stored for longest, then the longest windows.
fn choose<'a>(kept: impl Iterator<Item = &'a Kept>, (start, end): (i64, i64)) -> Option<Kept> {
    kept.copied().min_by_key(|k| (k.since.max(start), Reverse(k.until.min(end)), Reverse(k.resolution_ms)))
}

/// A sum that has overflowed tells nothing of the values. (One with a NaN among them is NaN from samples, too.)
fn overflowed(window: &Window) -> bool {
    window.sum.is_infinite() && window.min.is_finite() && window.max.is_finite()
}

impl Evaluator<'_> {
    /// What the source keeps as windows; asked once per query.
    pub(super) fn kept(&self) -> &[Kept] {
        self.kept.get_or_init(|| self.source.kept_windows())
    }

    /// Says so when samples from a moment on are asked for and windows know of some that have been removed.
    pub(super) fn note_removed(&mut self, from: i64) {
        self.note_only_windows(0, (from, i64::MAX));
    }

    /// The same for samples of a stretch of time.
    fn note_only_windows(&mut self, at: usize, (start, end): (i64, i64)) {
        let Some(until) = self.kept().iter().map(|k| k.alone_until.min(end)).max().filter(|until| start <= *until) else { return };
        let lengths: Vec<String> = self.kept().iter().map(|k| format_millis(k.resolution_ms.unsigned_abs())).collect();
        let message = format!(
            "samples up to {} are kept only as windows of {}: rate, increase, delta and the functions over time that need no single sample see them, where range, step, and evaluation time less offset are multiples of a window",
            Timestamp(until).rfc3339(),
            lengths.join(", ")
        );
        self.notes.inform(at, &message);
    }

    /// Visits the windows that all ranges of a range vector are made of, series by series. False when the samples must be asked
    /// instead; then what was visited is not all.
    pub(super) fn each_kept(&mut self, node: &Node, grid: Grid, visit: &mut dyn FnMut(&mut Self, WindowSeries) -> Evaluated<()>) -> Evaluated<bool> {
        let NodeKind::Matrix(matrix) = &node.kind else { return Ok(false) };
        if grid.count == 0 || self.kept().is_empty() || matrix.selector.extension.is_some() {
            return Ok(false);
        }
        let (range, reference) = self.windows(node, grid)?;
        let start = reference.first().saturating_sub(range).saturating_add(1);
        let fits = |k: &&Kept| k.until >= start && range % k.resolution_ms == 0 && reference.is_aligned(k.resolution_ms);
        let Some(chosen) = choose(self.kept().iter().filter(fits), (start, reference.last())) else { return Ok(false) };
        let selection = Selection { matchers: matrix.selector.matchers.clone(), start: Timestamp(start), end: Timestamp(reference.last()) };
        let (source, budget) = (self.source, self.budget);
        let (mut failure, mut whole, mut any) = (None, true, false);
        source.windows(&selection, chosen.resolution_ms, budget, &mut |series| {
            budget.check()?;
            let held = series.cost();
            whole &= !series.histograms && !series.windows.iter().any(overflowed);
            any = true;
            let result = if whole { visit(self, series) } else { Ok(()) };
            budget.release_samples(held);
            // What is not whole is asked of the samples; the other windows need not be read for that.
            if whole { outcome(result, &mut failure) } else { Ok(ControlFlow::Break(())) }
        })?;
        failure.map_or(Ok(()), Err)?;
        if whole && any {
            let length = format_millis(chosen.resolution_ms.unsigned_abs());
            self.notes.inform(node.start, &format!("computed from windows of {length}, which tell the same as the samples"));
        }
        if whole && chosen.since > start {
            self.note_only_windows(node.start, (start, chosen.since.saturating_sub(1)));
        }
        Ok(whole)
    }

    /// Evaluates a function from windows; `None` when it must be asked of the samples.
    pub(super) fn over_kept(&mut self, over_time: &OverTime, node: &Node, grid: Grid) -> Evaluated<Option<Columns>> {
        let Some(compute) = over_time.windows.filter(|_| !self.kept().is_empty()) else { return Ok(None) };
        let (range, reference) = self.windows(node, grid)?;
        let (mut columns, names) = (self.no_columns(), self.names);
        let whole = self.each_kept(node, grid, &mut |this, series| {
            let column = columns.push_absent(series.labels.clone(), grid.count)?;
            if !over_time.keeps_name {
                column.drop_name(names);
            }
            let (windows, mut low, mut high, mut any) = (&series.windows, 0, 0, false);
            for i in 0..grid.count {
                let end = reference.at(i);
                let start = end.saturating_sub(range);
                while windows.get(high).is_some_and(|w| w.start <= end) {
                    high += 1;
                }
                while low < high && windows[low].start <= start {
                    low += 1;
                }
                let stretch = Stretch { windows: &windows[low..high], start, end };
                if low < high
                    && let Some(value) = compute(&stretch)
                {
                    column.values[i] = value;
                    any = true;
                }
            }
            if !any {
                columns.pop(grid.count);
            } else if over_time.counter {
                note_counter(this, &series.labels, node.start);
            }
            Ok(())
        })?;
        if whole { columns.sorted().distinct().map(Some) } else { Ok(None) }
    }
}
