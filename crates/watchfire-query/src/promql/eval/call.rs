//! Function calls: the families of the registry, and the functions that belong to none.

use hashbrown::HashSet;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::sample::is_stale;

use super::super::ast::{Call, Node, NodeKind, ValueType};
use super::super::functions::{Code, OverTime};
use super::column::Growth;
use super::extended::{check_extension, extension};
use super::math::{max, min};
use super::native::{Remarks, Sampled};
use super::{Columns, Evaluated, Evaluator, Grid, Numbers, Output, Window};

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &Call, grid: Grid) -> Evaluated<Output> {
        match &call.function.code {
            Code::Other(code) => code(self, call, grid),
            Code::Math(compute) => self.argument(call, 0, grid)?.mapped(compute).map(Output::Vector),
            Code::Calendar(compute) => match call.args.first() {
                None => {
                    let times = self.each_time(grid, |t| calendar_of((t / 1000) as f64, *compute))?;
                    constant_series(self, times, grid).map(Output::Vector)
                }
                Some(_) => self.argument(call, 0, grid)?.mapped(|v| calendar_of(v, *compute)).map(Output::Vector),
            },
            Code::Window(over_time) => self.over_time(call, over_time, grid).map(Output::Vector),
        }
    }

    /// An argument that is an instant vector.
    pub(super) fn argument(&mut self, call: &Call, i: usize, grid: Grid) -> Evaluated<Columns> {
        self.eval_vector(&call.args[i], grid)
    }

    /// A number per step, made of its time.
    fn each_time(&mut self, grid: Grid, compute: impl Fn(i64) -> f64) -> Evaluated<Numbers> {
        Numbers::computed(self.budget, grid.count, |i| compute(grid.time(i)))
    }

    /// Evaluates a function at every step over the window of each series.
    fn over_time(&mut self, call: &Call, over_time: &OverTime, grid: Grid) -> Evaluated<Columns> {
        let Some(range_arg) = call.args.iter().map(Node::unwrapped).find(|a| a.value_type() == ValueType::Matrix) else {
            return Ok(self.no_columns());
        };
        let mut params = [Numbers::Same(0.0), Numbers::Same(0.0)];
        let scalars = call.args.iter().filter(|a| a.value_type() == ValueType::Scalar);
        for (slot, arg) in params.iter_mut().zip(scalars) {
            *slot = self.eval_scalar(arg, grid)?;
        }
        check_extension(call, range_arg)?;
        if let Some(columns) = self.over_kept(over_time, range_arg, grid)? {
            return Ok(columns);
        }
        let at = call.args.first().map_or(0, |a| a.unwrapped().start);
        let mut columns = self.no_columns();
        let (range, reference) = self.windows(range_arg, grid)?;
        let (extension, (before, behind)) = (extension(range_arg), self.margins(range_arg));
        let mut checked: Option<[f64; 2]> = None;
        let names = self.names;
        self.each_series(range_arg, grid, &mut |this, series, samples| {
            let (times, values, histograms) = (samples.times, samples.values, samples.histograms);
            let column = columns.push_absent(series.labels.clone(), grid.count)?;
            column.drops_name = series.drops_name;
            if !over_time.keeps_name {
                column.drop_name(names);
            }
            let rises = !values.windows(2).any(|pair| pair[1] < pair[0]);
            let (mut low, mut high, mut any, mut any_float) = (0, 0, false, false);
            let (mut low_native, mut high_native) = (0, 0);
            let mut growth = Growth::new(this.budget);
            for i in 0..grid.count {
                let end = reference.at(i);
                let start = end.saturating_sub(range);
                while times.get(high).is_some_and(|t| *t <= end.saturating_add(behind)) {
                    high += 1;
                }
                while low < high && times[low] <= start.saturating_sub(before) {
                    low += 1;
                }
                while histograms.get(high_native).is_some_and(|h| h.time.0 <= end.saturating_add(behind)) {
                    high_native += 1;
                }
                while low_native < high_native && histograms[low_native].time.0 <= start.saturating_sub(before) {
                    low_native += 1;
                }
                if low == high && low_native == high_native {
                    continue;
                }
                let params = [params[0].at(i), params[1].at(i)];
                if low < high && checked.is_none_or(|c| c.map(f64::to_bits) != params.map(f64::to_bits)) {
                    (over_time.check)(&params, at, &mut this.notes)?;
                    checked = Some(params);
                }
                let histograms = &histograms[low_native..high_native];
                let window =
                    Window { times: &times[low..high], values: &values[low..high], histograms, start, end, time: grid.time(i), params, extension, rises };
                if !histograms.is_empty() {
                    this.budget.check()?;
                    let mut remarks = Remarks { notes: &mut this.notes, metric: series.labels.metric_name(), at };
                    if let Some(sample) = (over_time.native)(&window, over_time.compute, &mut remarks) {
                        match &sample {
                            Sampled::Float(_) => any_float = true,
                            Sampled::Histogram(fresh) => growth.note(fresh)?,
                        }
                        column.put_sample(i, sample);
                        any = true;
                    }
                } else if let Some(value) = (over_time.compute)(&window) {
                    column.values[i] = value;
                    (any, any_float) = (true, true);
                }
            }
            drop(growth);
            if !any {
                columns.pop(grid.count);
            } else if over_time.counter && any_float {
                note_counter(this, series.labels, range_arg.start);
            }
            if any { columns.charge_last_histograms() } else { Ok(()) }
        })?;
        columns.sorted().distinct()
    }
}

/// A rate of something that says it is no counter, by its type where series carry it, else by its name.
pub(super) fn note_counter(evaluator: &mut Evaluator<'_>, labels: &Labels, at: usize) {
    let name = labels.metric_name();
    if let Some(type_label) = labels.get("__type__").filter(|_| !name.is_empty()) {
        if !matches!(type_label, "counter" | "histogram") {
            evaluator.notes.possible_non_counter_label(at, type_label, name);
        }
        return;
    }
    let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
    if !name.is_empty() && !counter {
        evaluator.notes.possible_non_counter(at, name);
    }
}

fn calendar_of(seconds: f64, compute: fn(&super::Civil) -> f64) -> f64 {
    compute(&super::Civil::from_seconds(seconds))
}

/// One series without labels.
fn constant_series(evaluator: &Evaluator<'_>, numbers: Numbers, grid: Grid) -> Evaluated<Columns> {
    let mut columns = evaluator.no_columns();
    let column = columns.push_absent(Labels::empty(), grid.count)?;
    for (i, slot) in column.values.iter_mut().enumerate() {
        *slot = numbers.at(i);
    }
    Ok(columns)
}

pub(in crate::promql) fn time(evaluator: &mut Evaluator<'_>, _call: &Call, grid: Grid) -> Evaluated<Output> {
    evaluator.each_time(grid, |t| t as f64 / 1000.0).map(Output::Scalar)
}
pub(in crate::promql) fn pi(_evaluator: &mut Evaluator<'_>, _call: &Call, _grid: Grid) -> Evaluated<Output> {
    Ok(Output::Scalar(Numbers::Same(std::f64::consts::PI)))
}
fn seconds(ms: i64) -> Evaluated<Output> {
    Ok(Output::Scalar(Numbers::Same(ms as f64 / 1000.0)))
}
pub(in crate::promql) fn query_start(evaluator: &mut Evaluator<'_>, _call: &Call, _grid: Grid) -> Evaluated<Output> {
    seconds(evaluator.query_start)
}
pub(in crate::promql) fn query_end(evaluator: &mut Evaluator<'_>, _call: &Call, _grid: Grid) -> Evaluated<Output> {
    seconds(evaluator.query_end)
}
pub(in crate::promql) fn query_step(evaluator: &mut Evaluator<'_>, _call: &Call, _grid: Grid) -> Evaluated<Output> {
    seconds(evaluator.query_step)
}
pub(in crate::promql) fn query_range(evaluator: &mut Evaluator<'_>, _call: &Call, _grid: Grid) -> Evaluated<Output> {
    seconds(evaluator.query_end.saturating_sub(evaluator.query_start))
}

pub(in crate::promql) fn vector(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let numbers = evaluator.eval_scalar(&call.args[0], grid)?;
    constant_series(evaluator, numbers, grid).map(Output::Vector)
}

/// The value of the only series; NaN where there is none or more than one.
pub(in crate::promql) fn scalar(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let mut found: Vec<u8> = vec![0; grid.count];
    for column in &columns.list {
        for (found, _) in found.iter_mut().zip(&column.values).filter(|(_, v)| !is_stale(**v)) {
            *found = found.saturating_add(1);
        }
    }
    let only = |i: usize| columns.list.iter().find_map(|c| c.at(i));
    let value = |i: usize| if found.get(i) == Some(&1) { only(i) } else { None };
    Numbers::computed(evaluator.budget, grid.count, |i| value(i).unwrap_or(f64::NAN)).map(Output::Scalar)
}

/// The time of each sample: its own for a plain selector, the evaluation time for anything else.
pub(in crate::promql) fn timestamp(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    if let NodeKind::Vector(selector) = &call.args[0].unwrapped().kind {
        let columns = evaluator.instant_times(selector, grid, 1000.0)?;
        return columns.mapped(|v| v).map(Output::Vector);
    }
    let mut columns = evaluator.argument(call, 0, grid)?;
    for column in &mut columns.list {
        for (i, value) in column.values.iter_mut().enumerate().filter(|(_, v)| !is_stale(**v)) {
            *value = grid.time(i) as f64 / 1000.0;
        }
    }
    columns.change_histograms(|i, _| Some(Sampled::Float(grid.time(i) as f64 / 1000.0)))?;
    columns.mapped(|v| v).map(Output::Vector)
}

/// When each series began. No start times are kept, so this finds none, as in Prometheus where they are not switched on.
pub(in crate::promql) fn start_timestamp(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    evaluator.argument(call, 0, grid)?;
    Ok(Output::Vector(evaluator.no_columns()))
}

/// Applies a function of the value and up to two scalars that change with the step.
fn with_scalars(columns: Columns, numbers: [&Numbers; 2], compute: impl Fn(f64, f64, f64) -> Option<f64>) -> Evaluated<Output> {
    let mut columns = columns.without_histograms();
    for column in &mut columns.list {
        for (i, value) in column.values.iter_mut().enumerate().filter(|(_, v)| !is_stale(**v)) {
            *value = compute(*value, numbers[0].at(i), numbers[1].at(i)).unwrap_or_else(watchfire_model::sample::stale_nan);
        }
    }
    columns.without_empty().mapped(|v| v).map(Output::Vector)
}

pub(in crate::promql) fn clamp(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let low = evaluator.eval_scalar(&call.args[1], grid)?;
    let high = evaluator.eval_scalar(&call.args[2], grid)?;
    with_scalars(columns, [&low, &high], |v, low, high| if high < low { None } else { Some(max(low, min(high, v))) })
}
pub(in crate::promql) fn clamp_min(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let low = evaluator.eval_scalar(&call.args[1], grid)?;
    with_scalars(columns, [&low, &low], |v, low, _| Some(max(low, min(f64::INFINITY, v))))
}
pub(in crate::promql) fn clamp_max(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let high = evaluator.eval_scalar(&call.args[1], grid)?;
    with_scalars(columns, [&high, &high], |v, high, _| Some(max(f64::NEG_INFINITY, min(high, v))))
}

/// Rounds to the nearest multiple, ties upwards.
pub(in crate::promql) fn round(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let to = call.args.get(1).map_or(Ok(Numbers::Same(1.0)), |arg| evaluator.eval_scalar(arg, grid))?;
    with_scalars(columns, [&to, &to], |v, to, _| {
        let inverse = 1.0 / to;
        Some((v * inverse + 0.5).floor() / inverse)
    })
}

pub(in crate::promql) fn max_of(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_two_scalars(evaluator, call, grid, max)
}
pub(in crate::promql) fn min_of(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_two_scalars(evaluator, call, grid, min)
}
fn of_two_scalars(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid, compute: fn(f64, f64) -> f64) -> Evaluated<Output> {
    let a = evaluator.eval_scalar(&call.args[0], grid)?;
    let b = evaluator.eval_scalar(&call.args[1], grid)?;
    match (a, b) {
        (Numbers::Same(a), Numbers::Same(b)) => Ok(Output::Scalar(Numbers::Same(compute(a, b)))),
        (a, b) => Numbers::computed(evaluator.budget, grid.count, |i| compute(a.at(i), b.at(i))).map(Output::Scalar),
    }
}

pub(in crate::promql) fn absent(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let columns = evaluator.argument(call, 0, grid)?;
    let mut present = vec![false; grid.count];
    for column in &columns.list {
        for (i, seen) in present.iter_mut().enumerate() {
            *seen |= column.has(i);
        }
    }
    missing(evaluator, &call.args[0], &present, grid)
}

pub(in crate::promql) fn absent_over_time(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let node = call.args[0].unwrapped();
    check_extension(call, node)?;
    let mut present = vec![false; grid.count];
    let (range, reference) = evaluator.windows(node, grid)?;
    let mut mark = |times: &mut dyn Iterator<Item = i64>| {
        let (mut times, mut last) = (times.peekable(), None);
        for (i, seen) in present.iter_mut().enumerate() {
            let end = reference.at(i);
            while let Some(time) = times.next_if(|t| *t <= end) {
                last = Some(time);
            }
            *seen |= last.is_some_and(|t| t > end.saturating_sub(range));
        }
    };
    let whole = evaluator.each_kept(node, grid, &mut |_, series| {
        mark(&mut series.windows.iter().map(|w| w.last_time));
        Ok(())
    })?;
    if whole {
        return missing(evaluator, node, &present, grid);
    }
    evaluator.each_series(node, grid, &mut |_, _, samples| {
        mark(&mut samples.times.iter().copied());
        mark(&mut samples.histograms.iter().map(|h| h.time.0));
        Ok(())
    })?;
    missing(evaluator, node, &present, grid)
}

/// 1 wherever nothing was present, with the labels that the selector pins down.
fn missing(evaluator: &Evaluator<'_>, node: &Node, present: &[bool], grid: Grid) -> Evaluated<Output> {
    let mut columns = evaluator.no_columns();
    if present.iter().any(|seen| !seen) {
        let column = columns.push_absent(pinned_labels(node), grid.count)?;
        for (slot, _) in column.values.iter_mut().zip(present).filter(|(_, seen)| !**seen) {
            *slot = 1.0;
        }
    }
    Ok(Output::Vector(columns))
}

/// The labels that a selector compares by `=` exactly once.
fn pinned_labels(node: &Node) -> Labels {
    let matchers: &[Matcher] = match &node.unwrapped().kind {
        NodeKind::Vector(selector) => &selector.matchers,
        NodeKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut labels = LabelsBuilder::new();
    let mut seen = HashSet::new();
    for matcher in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && seen.insert(&matcher.name) {
            labels.set(&matcher.name, &matcher.value);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.build()
}
