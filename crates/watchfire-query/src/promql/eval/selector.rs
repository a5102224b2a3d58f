//! Reading: instant selectors with lookback, windows of range selectors, and subqueries. All intervals are open on the left.

use std::ops::ControlFlow;
use std::sync::Arc;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::read::{ReadError, Selection, Series};
use watchfire_model::sample::{HistogramSample, is_stale};
use watchfire_model::time::Timestamp;

use super::super::ast::{At, Duration, Extension, Node, NodeKind, Subquery, VectorSelector};
use super::super::engine;
use super::super::error::QueryError;
use super::column::{same_labelset, without_metadata};
use super::extended::{extended_samples, extension};
use super::native::Sampled;
use super::{Column, Columns, Evaluated, Evaluator, Grid};

/// Where selectors look at each step: the evaluation time, or the pinned one, less the offset.
#[derive(Clone, Copy)]
pub(super) struct Reference {
    grid: Grid,
    pinned: Option<i64>,
    offset: i64,
}
impl Reference {
    pub(super) fn at(&self, i: usize) -> i64 {
        self.pinned.unwrap_or_else(|| self.grid.time(i)).saturating_sub(self.offset)
    }
    /// Whether it looks at multiples of a length only.
    pub(super) fn is_aligned(&self, ms: i64) -> bool {
        self.first() % ms == 0 && (self.pinned.is_some() || self.grid.count <= 1 || self.grid.step % ms == 0)
    }
    pub(super) fn first(&self) -> i64 {
        self.at(0)
    }
    pub(super) fn last(&self) -> i64 {
        self.at(self.grid.count.saturating_sub(1))
    }
}

/// The samples of one series in one window `(start, end]`, and what functions over windows need to know.
pub(in crate::promql) struct Window<'a> {
    pub(in crate::promql) times: &'a [i64],
    pub(in crate::promql) values: &'a [f64],
    /// Native histograms beside the floats, at other times than these.
    pub(in crate::promql) histograms: &'a [HistogramSample],
    pub(in crate::promql) start: i64,
    pub(in crate::promql) end: i64,
    /// The step's own time, which differs from `end` by offset and `@`.
    pub(in crate::promql) time: i64,
    /// The scalar arguments.
    pub(in crate::promql) params: [f64; 2],
    /// With `anchored` and `smoothed` the samples reach beyond the window, up to the lookback away.
    pub(in crate::promql) extension: Option<Extension>,
    /// No value of the whole series is less than the one before it, so no window has a reset.
    pub(in crate::promql) rises: bool,
}

/// Whose samples a visitor receives.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) labels: &'a Labels,
    /// Whether the metric's name goes at the end because a subquery has changed the metric.
    pub(super) drops_name: bool,
}

/// The samples of one series: floats, and native histograms at other times, both ascending.
#[derive(Clone, Copy)]
pub(in crate::promql) struct Samples<'a> {
    pub(in crate::promql) times: &'a [i64],
    pub(in crate::promql) values: &'a [f64],
    pub(in crate::promql) histograms: &'a [HistogramSample],
}

/// Receives the samples of one series, markers removed.
pub(super) type SeriesVisitor<'v> = dyn FnMut(&mut Evaluator<'_>, Of<'_>, Samples<'_>) -> Evaluated<()> + 'v;

impl Evaluator<'_> {
    pub(super) fn duration(&self, duration: &Duration, positive: bool) -> Evaluated<i64> {
        let range = self.query_end.saturating_sub(self.query_start);
        let ms = duration.millis(self.query_step, range).map_err(QueryError::Execution)?;
        if positive && ms <= 0 {
            return Err(QueryError::Execution("duration must be greater than 0".to_owned()));
        }
        Ok(ms)
    }

    pub(super) fn reference(&self, at: Option<At>, offset: Option<&Duration>, grid: Grid) -> Evaluated<Reference> {
        let pinned = at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.query_start,
            At::End => self.query_end,
        });
        let offset = offset.map_or(Ok(0), |o| self.duration(o, false))?;
        Ok(Reference { grid, pinned, offset })
    }

    /// The last sample within the lookback at every step.
    pub(super) fn instant_vector(&mut self, node: &Node, selector: &VectorSelector, grid: Grid) -> Evaluated<Columns> {
        if selector.extension == Some(Extension::Smoothed) {
            return self.smoothed_vector(node, selector, grid);
        }
        self.instant_samples(selector, grid, |_, value| value, |_, histogram| Sampled::Histogram(Arc::clone(histogram)))
    }

    /// Instead of the sample, the time at which it was taken, in units of so many milliseconds.
    pub(super) fn instant_times(&mut self, selector: &VectorSelector, grid: Grid, unit_ms: f64) -> Evaluated<Columns> {
        self.instant_samples(selector, grid, |time, _| time as f64 / unit_ms, |time, _| Sampled::Float(time as f64 / unit_ms))
    }

    /// The last sample, but with something else made of its time and value.
    fn instant_samples(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        make: impl Fn(i64, f64) -> f64,
        make_native: impl Fn(i64, &Arc<Histogram>) -> Sampled,
    ) -> Evaluated<Columns> {
        let mut columns = self.no_columns();
        if grid.count == 0 {
            return Ok(columns);
        }
        let reference = self.reference(selector.at, selector.offset.as_ref(), grid)?;
        let lookback = self.lookback;
        let start = reference.first().saturating_sub(lookback).saturating_add(1);
        self.each_stored(selector, start, reference.last(), &mut |_, series| {
            let mut next = 0;
            let column = columns.push_absent(series.labels, grid.count)?;
            let mut any = false;
            if !series.histograms.is_empty() {
                let steps = Steps { reference, lookback, count: grid.count };
                steps.fill(column, &series.times, &series.values, &series.histograms, &make, &make_native);
                if !(0..grid.count).any(|i| column.has(i)) {
                    columns.pop(grid.count);
                    return Ok(());
                }
                return columns.charge_last_histograms();
            }
            for (i, slot) in column.values.iter_mut().enumerate() {
                let time = reference.at(i);
                while series.times.get(next).is_some_and(|t| *t <= time) {
                    next += 1;
                }
                let Some(last) = next.checked_sub(1) else { continue };
                if time.saturating_sub(series.times[last]) < lookback && !is_stale(series.values[last]) {
                    *slot = make(series.times[last], series.values[last]);
                    any = true;
                }
            }
            if !any {
                columns.pop(grid.count);
            }
            Ok(())
        })?;
        Ok(columns.sorted())
    }

    /// Streams stored series. The source has charged their samples; they are given back when they have been used.
    pub(super) fn each_stored(
        &mut self,
        selector: &VectorSelector,
        start: i64,
        end: i64,
        visit: &mut dyn FnMut(&mut Self, Series) -> Evaluated<()>,
    ) -> Evaluated<()> {
        self.note_removed(start);
        let selection = Selection { matchers: selector.matchers.clone(), start: Timestamp(start), end: Timestamp(end) };
        let (source, budget) = (self.source, self.budget);
        let mut failure = None;
        source.select(&selection, budget, &mut |series| {
            budget.check()?;
            let held = series.cost();
            let result = visit(self, series);
            budget.release_samples(held);
            outcome(result, &mut failure)
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// The length of a range vector's window, and where it ends at each step.
    pub(super) fn windows(&self, node: &Node, grid: Grid) -> Evaluated<(i64, Reference)> {
        match &node.kind {
            NodeKind::Matrix(matrix) => Ok((self.duration(&matrix.range, true)?, self.reference(matrix.selector.at, matrix.selector.offset.as_ref(), grid)?)),
            NodeKind::Subquery(subquery) => Ok((self.duration(&subquery.range, true)?, self.reference(subquery.at, subquery.offset.as_ref(), grid)?)),
            _ => Err(QueryError::Execution("range vector expected".to_owned())),
        }
    }

    /// Visits every series of a range vector with all samples that any window of the grid holds, in no particular order.
    pub(super) fn each_series(&mut self, node: &Node, grid: Grid, visit: &mut SeriesVisitor<'_>) -> Evaluated<()> {
        if grid.count == 0 {
            return Ok(());
        }
        let (range, reference) = self.windows(node, grid)?;
        let (before, behind) = self.margins(node);
        let after = reference.first().saturating_sub(range).saturating_sub(before);
        let last = reference.last().saturating_add(behind);
        match &node.kind {
            NodeKind::Matrix(matrix) => self.each_stored(&matrix.selector, after.saturating_add(1), last, &mut |this, mut series| {
                drop_markers(&mut series);
                if series.times.is_empty() && series.histograms.is_empty() {
                    return Ok(());
                }
                let of = Of { labels: &series.labels, drops_name: false };
                visit(this, of, Samples { times: &series.times, values: &series.values, histograms: &series.histograms })
            }),
            NodeKind::Subquery(subquery) => self.each_evaluated(subquery, after, last, visit),
            _ => Err(QueryError::Execution("range vector expected".to_owned())),
        }
    }

    /// Evaluates a subquery's expression at the multiples of its step in `(after, end]`.
    fn each_evaluated(&mut self, subquery: &Subquery, after: i64, end: i64, visit: &mut SeriesVisitor<'_>) -> Evaluated<()> {
        let step = subquery.step.as_ref().map_or(Ok(self.default_step), |s| self.duration(s, true))?;
        let mut start = step.saturating_mul(after / step);
        if start <= after {
            start = start.saturating_add(step);
        }
        let grid = Grid::between(start, end, step)?;
        let columns = self.eval_vector(&subquery.expr, grid)?;
        let (mut times, mut values, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
        for column in &columns.list {
            self.budget.check()?;
            times.clear();
            values.clear();
            histograms.clear();
            if column.has_histograms() {
                let present = (0..grid.count).filter_map(|i| Some((i, column.histogram(i)?)));
                histograms.extend(present.map(|(i, h)| HistogramSample { time: Timestamp(grid.time(i)), value: Arc::clone(h) }));
            }
            for (i, value) in column.values.iter().enumerate().filter(|(_, v)| !is_stale(**v)) {
                times.push(grid.time(i));
                values.push(*value);
            }
            if !times.is_empty() || !histograms.is_empty() {
                let of = Of { labels: &column.labels, drops_name: column.drops_name };
                visit(self, of, Samples { times: &times, values: &values, histograms: &histograms })?;
            }
        }
        Ok(())
    }

    /// A range vector itself, at the single time of the grid.
    pub(in crate::promql) fn range_vector(&mut self, node: &Node, grid: Grid) -> Evaluated<Vec<engine::Series>> {
        let (range, reference) = self.windows(node, grid)?;
        let (start, end) = (reference.first().saturating_sub(range), reference.last());
        let mut found = Vec::new();
        let mut charged = super::Charge::new(self.budget);
        self.each_series(node, grid, &mut |_, series, samples| {
            let (times, values) = (samples.times, samples.values);
            let point = |(time, value)| engine::Point { time: Timestamp(time), value };
            let points: Vec<_> = match extension(node) {
                Some(extension) => extended_samples(times, values, (start, end), extension).into_iter().map(point).collect(),
                None => times.iter().copied().zip(values.iter().copied()).filter(|(t, _)| *t > start && *t <= end).map(point).collect(),
            };
            charged.add(points.len())?;
            if extension(node).is_some() && !samples.histograms.is_empty() {
                let message = "smoothed and anchored range vectors of native histograms cannot be shown; use rate, increase or delta";
                return Err(QueryError::Execution(message.to_owned()));
            }
            let mut histograms = Vec::new();
            for histogram in samples.histograms.iter().filter(|h| h.time.0 > start && h.time.0 <= end) {
                charged.add(usize::try_from(histogram.value.cost()).unwrap_or(usize::MAX))?;
                histograms.push(histogram.clone());
            }
            if !points.is_empty() || !histograms.is_empty() {
                let labels = if series.drops_name { without_metadata(series.labels) } else { series.labels.clone() };
                found.push(engine::Series { labels, points, histograms });
            }
            Ok(())
        })?;
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        united(found)
    }
}

/// How a source goes on after a visit. A failure that is none of reading is kept beside.
pub(super) fn outcome(result: Evaluated<()>, failure: &mut Option<QueryError>) -> Result<ControlFlow<()>, ReadError> {
    match result {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(QueryError::Read(e)) => Err(e),
        Err(other) => {
            *failure = Some(other);
            Ok(ControlFlow::Break(()))
        }
    }
}

/// Puts the points of neighbours with one label set together; two at one time are an error.
fn united(series: Vec<engine::Series>) -> Evaluated<Vec<engine::Series>> {
    let mut kept: Vec<engine::Series> = Vec::with_capacity(series.len());
    for mut next in series {
        match kept.last_mut().filter(|last| last.labels == next.labels) {
            None => kept.push(next),
            Some(last) => {
                last.points.append(&mut next.points);
                last.points.sort_by_key(|p| p.time);
                last.histograms.append(&mut next.histograms);
                last.histograms.sort_by_key(|h| h.time);
                let twice = last.points.windows(2).any(|pair| pair[0].time == pair[1].time);
                let twice_native = last.histograms.windows(2).any(|pair| pair[0].time == pair[1].time);
                let both = || last.histograms.iter().any(|h| last.points.binary_search_by_key(&h.time, |p| p.time).is_ok());
                if twice || twice_native || both() {
                    return Err(same_labelset());
                }
            }
        }
    }
    Ok(kept)
}

/// The steps of an instant selector.
struct Steps {
    reference: Reference,
    lookback: i64,
    count: usize,
}
impl Steps {
    /// Fills a column from a series that has histograms: at each step the later one of the last float and the last histogram counts.
    fn fill(
        &self,
        column: &mut Column,
        times: &[i64],
        values: &[f64],
        histograms: &[HistogramSample],
        make: impl Fn(i64, f64) -> f64,
        make_native: impl Fn(i64, &Arc<Histogram>) -> Sampled,
    ) {
        let (mut floats, mut natives) = (0, 0);
        for i in 0..self.count {
            let time = self.reference.at(i);
            while times.get(floats).is_some_and(|t| *t <= time) {
                floats += 1;
            }
            while histograms.get(natives).is_some_and(|h| h.time.0 <= time) {
                natives += 1;
            }
            let within = |t: i64| time.saturating_sub(t) < self.lookback;
            let float = floats.checked_sub(1).map(|at| (times[at], values[at]));
            let native = natives.checked_sub(1).map(|at| &histograms[at]);
            let float_is_last = match (float, native) {
                (Some((t, _)), Some(h)) => h.time.0 < t,
                _ => float.is_some(),
            };
            if float_is_last {
                if let Some((t, value)) = float.filter(|(t, value)| within(*t) && !is_stale(*value)) {
                    column.put(i, make(t, value));
                }
            } else if let Some(h) = native.filter(|h| within(h.time.0) && !h.value.is_stale()) {
                column.put_sample(i, make_native(h.time.0, &h.value));
            }
        }
    }
}

pub(super) fn drop_markers(series: &mut Series) {
    series.histograms.retain(|h| !h.value.is_stale());
    if !series.values.iter().any(|v| is_stale(*v)) {
        return;
    }
    let keep: Vec<bool> = series.values.iter().map(|v| !is_stale(*v)).collect();
    let mut flags = keep.iter();
    series.times.retain(|_| flags.next().copied().unwrap_or(false));
    series.values.retain(|v| !is_stale(*v));
}
