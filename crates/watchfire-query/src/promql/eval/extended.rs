//! `anchored` and `smoothed`: windows that use samples beyond their borders, up to the lookback away, instead of extrapolating.

use super::super::ast::{Call, Extension, Node, NodeKind, VectorSelector};
use super::super::error::QueryError;
use super::column::Growth;
use super::native::{Remarks, Sampled, smoothed};
use super::selector::drop_markers;
use super::{Columns, Evaluated, Evaluator, Grid, Window};

/// The extension of a range vector; subqueries have none.
pub(super) fn extension(node: &Node) -> Option<Extension> {
    match &node.kind {
        NodeKind::Matrix(matrix) => matrix.selector.extension,
        _ => None,
    }
}

/// Most functions would misunderstand samples that are not in the window.
pub(super) fn check_extension(call: &Call, range_arg: &Node) -> Evaluated<()> {
    let Some(extension) = extension(range_arg) else { return Ok(()) };
    let (known, name) = (extension.functions(), call.function.name);
    if known.contains(&name) {
        return Ok(());
    }
    Err(QueryError::Execution(format!("{} modifier can only be used with: {} - not with {name}", extension.name(), known.join(", "))))
}

impl Evaluator<'_> {
    /// How far samples before and behind the window count, in milliseconds.
    pub(super) fn margins(&self, node: &Node) -> (i64, i64) {
        match extension(node) {
            None => (0, 0),
            Some(Extension::Anchored) => (self.lookback, 0),
            Some(Extension::Smoothed) => (self.lookback, self.lookback),
        }
    }

    /// The value at each step, interpolated between the samples around it; the last one counts until a newer one comes.
    pub(super) fn smoothed_vector(&mut self, node: &Node, selector: &VectorSelector, grid: Grid) -> Evaluated<Columns> {
        let mut columns = self.no_columns();
        if grid.count == 0 {
            return Ok(columns);
        }
        let reference = self.reference(selector.at, selector.offset.as_ref(), grid)?;
        let lookback = self.lookback;
        let start = reference.first().saturating_sub(lookback).saturating_add(1);
        self.each_stored(selector, start, reference.last().saturating_add(lookback), &mut |this, mut series| {
            drop_markers(&mut series);
            let (times, values) = (&series.times, &series.values);
            let column = columns.push_absent(series.labels.clone(), grid.count)?;
            let (mut next, mut any) = (0, false);
            let mut growth = Growth::new(this.budget);
            for i in 0..grid.count {
                let time = reference.at(i);
                while times.get(next).is_some_and(|t| *t < time) {
                    next += 1;
                }
                if !series.histograms.is_empty() {
                    this.budget.check()?;
                    let mut remarks = Remarks { notes: &mut this.notes, metric: series.labels.metric_name(), at: node.start };
                    match smoothed(&series, time, lookback, &mut remarks) {
                        Ok(Some(histogram)) => {
                            growth.note(&histogram)?;
                            column.put_sample(i, Sampled::Histogram(histogram));
                            any = true;
                            continue;
                        }
                        Ok(None) => continue,
                        // Only floats are near.
                        Err(()) => {}
                    }
                }
                let near = |at: usize| times.get(at).is_some_and(|t| t.saturating_sub(time).saturating_abs() <= lookback && *t > time.saturating_sub(lookback));
                let value = match (next.checked_sub(1).filter(|at| near(*at)), near(next)) {
                    (_, true) if times[next] == time => values[next],
                    (Some(before), true) => interpolated((times[before], values[before]), (times[next], values[next]), time, false),
                    (Some(before), false) => values[before],
                    (None, _) => continue,
                };
                column.values[i] = value;
                any = true;
            }
            drop(growth);
            if any {
                return columns.charge_last_histograms();
            }
            columns.pop(grid.count);
            Ok(())
        })?;
        Ok(columns.sorted())
    }
}

/// The value at a time on the line between two samples. A counter that was reset between them began again at 0.
fn interpolated(a: (i64, f64), b: (i64, f64), time: i64, counter: bool) -> f64 {
    let from = if counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * ((time - a.0) as f64) / ((b.0 - a.0) as f64)
}

/// The samples that count for a window: their positions, and the values at its borders.
struct Span {
    first: usize,
    last: usize,
    left: f64,
    right: f64,
}

/// `None` where the window holds nothing that could be measured.
fn span(times: &[i64], values: &[f64], (start, end): (i64, i64), extension: Extension, counter: bool) -> Option<Span> {
    let last = times.len().checked_sub(1)?;
    let until_last = &times[..last];
    let first = until_last.partition_point(|t| *t <= start).saturating_sub(1);
    let smoothed = extension == Extension::Smoothed;
    let last = if smoothed { until_last.partition_point(|t| *t < end) } else { last };
    if times[last] <= start || (smoothed && times[first] > end) {
        return None;
    }
    let sample = |i: usize| (times[i], values[i]);
    let left = if smoothed && times[first] < start { interpolated(sample(first), sample(first + 1), start, counter) } else { values[first] };
    let right = if smoothed && last > 0 && times[last] > end { interpolated(sample(last - 1), sample(last), end, counter) } else { values[last] };
    Some(Span { first, last, left, right })
}

impl Span {
    /// The samples strictly inside the window.
    fn inside<'v, T>(&self, times: &[i64], items: &'v [T], (start, end): (i64, i64)) -> &'v [T] {
        let from = self.first + usize::from(times[self.first] <= start);
        let to = (self.last + 1).saturating_sub(usize::from(times[self.last] >= end));
        items.get(from..to).unwrap_or(&[])
    }
}

/// The change from border to border, resets of counters made good.
pub(super) fn extended_change(w: &Window<'_>, extension: Extension, counter: bool) -> Option<f64> {
    let borders = (w.start, w.end);
    let span = span(w.times, w.values, borders, extension, counter)?;
    let mut change = span.right - span.left;
    if counter {
        let mut before = span.left;
        for value in span.inside(w.times, w.values, borders).iter().chain([&span.right]) {
            if *value < before {
                change += before;
            }
            before = *value;
        }
    }
    Some(change)
}

/// The values of a window; an anchored one begins with the last sample before it and needs one inside.
pub(super) fn anchored_values<'v>(w: &Window<'v>) -> Option<&'v [f64]> {
    if w.extension.is_none() {
        return Some(w.values);
    }
    let inside = w.times.partition_point(|t| *t <= w.start);
    if inside == w.times.len() { None } else { w.values.get(inside.saturating_sub(1)..) }
}

/// What a range vector itself shows: the samples inside, and values at both borders.
pub(super) fn extended_samples(times: &[i64], values: &[f64], borders: (i64, i64), extension: Extension) -> Vec<(i64, f64)> {
    let Some(span) = span(times, values, borders, extension, false) else { return Vec::new() };
    let inside = span.inside(times, times, borders).iter().copied().zip(span.inside(times, values, borders).iter().copied());
    let mut samples = vec![(borders.0, span.left)];
    samples.extend(inside);
    samples.push((borders.1, span.right));
    samples
}
