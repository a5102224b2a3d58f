//! Aggregation: series are put into groups once; then every group adds up its series step by step.

use hashbrown::HashMap;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::sample::is_stale;

use super::super::ast::{Aggregate, AggregateOp, Node, NodeKind};
use super::super::error::QueryError;
use super::super::numbers::format_plain;
use super::column::keep;
use super::native::Sampled;
use super::sum::{Compensated, Mean, quantile};
use super::{Column, Columns, Evaluated, Evaluator, Grid, Numbers};

/// The groups of a vector's series, in the order in which they first appear.
pub(super) struct Groups {
    pub(super) labels: Vec<Labels>,
    /// The series of each group, by position.
    pub(super) members: Vec<Vec<usize>>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, node: &Node, aggregate: &Aggregate, grid: Grid) -> Evaluated<Columns> {
        if aggregate.op == AggregateOp::CountValues {
            return self.count_values(aggregate, grid);
        }
        let param = match &aggregate.param {
            Some(param) => self.eval_scalar(param.unwrapped(), grid)?,
            None => Numbers::Same(0.0),
        };
        let at = aggregate.param.as_ref().map_or(0, |p| p.unwrapped().start);
        let input = self.eval_vector(&aggregate.expr, grid)?;
        let groups = group(&input, aggregate);
        let mut output = match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                return self.ranked(node, aggregate.op, input, &groups, &param, at, grid);
            }
            AggregateOp::Quantile => {
                self.note_quantiles(&param, at);
                let mut scratch = Vec::new();
                self.each_group_step(&input, &groups, grid, |members, i| {
                    scratch.clear();
                    scratch.extend(members.iter().filter_map(|m| input.list[*m].at(i)));
                    (!scratch.is_empty()).then(|| quantile(param.at(i), &mut scratch))
                })
            }
            AggregateOp::Sum => self.folded(&input, &groups, grid, Compensated::starting, Compensated::add, |sum| sum.plain()),
            AggregateOp::Avg => self.folded(&input, &groups, grid, Mean::starting, Mean::add, |mean| mean.value()),
            AggregateOp::Count => self.folded(&input, &groups, grid, |_| 1.0, |count, _| *count += 1.0, |count| *count),
            AggregateOp::Max => self.folded(&input, &groups, grid, |v| v, |best, v| replace(best, v, *best < v), |best| *best),
            AggregateOp::Min => self.folded(&input, &groups, grid, |v| v, |best, v| replace(best, v, *best > v), |best| *best),
            AggregateOp::Stdvar => self.folded(&input, &groups, grid, Variance::starting, Variance::add, Variance::value),
            AggregateOp::Stddev => self.folded(&input, &groups, grid, Variance::starting, Variance::add, |variance| variance.value().sqrt()),
            AggregateOp::Group | AggregateOp::CountValues => self.folded(&input, &groups, grid, |_| (), |(), _| {}, |()| 1.0),
        }?;
        self.aggregate_natives(aggregate.op, &input, &groups, &mut output, aggregate.expr.start, grid)?;
        for (column, members) in output.list.iter_mut().zip(&groups.members) {
            column.drops_name = any_drops_name(&input, members, column, grid);
        }
        output.without_empty().merged()
    }

    fn each_group_step(&mut self, input: &Columns, groups: &Groups, grid: Grid, mut compute: impl FnMut(&[usize], usize) -> Option<f64>) -> Evaluated<Columns> {
        let mut output = self.no_columns();
        for (labels, members) in groups.labels.iter().zip(&groups.members) {
            input.charge.check()?;
            let column = output.push_absent(labels.clone(), grid.count)?;
            for (i, slot) in column.values.iter_mut().enumerate() {
                if let Some(value) = compute(members, i) {
                    *slot = value;
                }
            }
        }
        Ok(output)
    }

    /// Adds up each group with one state per step, series after series, so that every column is read once from end to end.
    fn folded<S: Clone>(
        &mut self,
        input: &Columns,
        groups: &Groups,
        grid: Grid,
        start: impl Fn(f64) -> S,
        add: impl Fn(&mut S, f64),
        finish: impl Fn(&S) -> f64,
    ) -> Evaluated<Columns> {
        let mut output = self.no_columns();
        let mut states: Vec<Option<S>> = vec![None; grid.count];
        for (labels, members) in groups.labels.iter().zip(&groups.members) {
            states.fill(None);
            for member in members {
                input.charge.check()?;
                for (state, value) in states.iter_mut().zip(&input.list[*member].values) {
                    if is_stale(*value) {
                        continue;
                    }
                    match state {
                        Some(state) => add(state, *value),
                        None => *state = Some(start(*value)),
                    }
                }
            }
            let column = output.push_absent(labels.clone(), grid.count)?;
            for (slot, state) in column.values.iter_mut().zip(&states) {
                if let Some(state) = state {
                    *slot = finish(state);
                }
            }
        }
        Ok(output)
    }

    /// One warning for each kind of quantile that is none.
    fn note_quantiles(&mut self, param: &Numbers, at: usize) {
        let values = param.each();
        let extreme = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick).unwrap_or(0.0);
        if values.iter().any(|q| q.is_nan()) {
            self.notes.invalid_quantile(at, f64::NAN);
        }
        let (most, least) = (extreme(f64::max), extreme(f64::min));
        if most > 1.0 {
            self.notes.invalid_quantile(at, most);
        }
        if least < 0.0 {
            self.notes.invalid_quantile(at, least);
        }
    }

    fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated<Columns> {
        let label = match aggregate.param.as_deref().map(Node::unwrapped) {
            Some(Node { kind: NodeKind::String(text), .. }) => text.clone(),
            _ => String::new(),
        };
        if label.is_empty() {
            return Err(QueryError::Execution(format!("invalid label name {}", watchfire_model::labels::quoted(&label))));
        }
        let input = self.eval_vector(&aggregate.expr, grid)?;
        let mut output = self.no_columns();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        for column in &input.list {
            input.charge.check()?;
            let mut last: Option<(u64, usize)> = None;
            for i in 0..grid.count {
                let Some(sample) = column.sample(i) else { continue };
                let bits = if let Sampled::Float(value) = &sample { Some(value.to_bits()) } else { None };
                let target = match last {
                    Some((known, target)) if bits == Some(known) => target,
                    _ => {
                        let text = match &sample {
                            Sampled::Float(value) => format_plain(*value),
                            Sampled::Histogram(histogram) => histogram.to_string(),
                        };
                        let labels = grouped(&column.labels.with(&label, &text), aggregate, &label);
                        match known.get(&labels) {
                            Some(target) => *target,
                            None => {
                                output.push_absent(labels.clone(), grid.count)?;
                                known.insert(labels, output.list.len() - 1);
                                output.list.len() - 1
                            }
                        }
                    }
                };
                last = bits.map(|bits| (bits, target));
                let count = output.list[target].at(i).unwrap_or(0.0) + 1.0;
                output.list[target].put(i, count);
            }
        }
        Ok(output)
    }
}

/// The labels of the group that a series belongs to; `extra` is kept by `by` as well.
fn grouped(labels: &Labels, aggregate: &Aggregate, extra: &str) -> Labels {
    let named = |name: &str| aggregate.grouping.iter().any(|g| g == name);
    if aggregate.without {
        keep(labels, |name| name != METRIC_NAME && !named(name))
    } else if aggregate.grouping.is_empty() && extra.is_empty() {
        Labels::empty()
    } else {
        keep(labels, |name| named(name) || name == extra)
    }
}

fn group(input: &Columns, aggregate: &Aggregate) -> Groups {
    let mut groups = Groups { labels: Vec::new(), members: Vec::new() };
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for (i, column) in input.list.iter().enumerate() {
        let labels = grouped(&column.labels, aggregate, "");
        let at = *known.entry(labels).or_insert_with_key(|labels| {
            groups.labels.push(labels.clone());
            groups.members.push(Vec::new());
            groups.members.len() - 1
        });
        groups.members[at].push(i);
    }
    groups
}

/// A group's name goes when that of any member goes that is there when the group is last seen.
fn any_drops_name(input: &Columns, members: &[usize], group: &Column, grid: Grid) -> bool {
    let Some(last) = (0..grid.count).rfind(|i| group.has(*i)) else { return false };
    members.iter().map(|m| &input.list[*m]).any(|c| c.drops_name && c.has(last))
}

/// A better value takes the place of the best one; anything takes that of NaN.
fn replace(best: &mut f64, value: f64, better: bool) {
    if better || best.is_nan() {
        *best = value;
    }
}

/// Welford's variance of a population.
#[derive(Clone, Copy)]
pub(crate) struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}
impl Variance {
    pub(crate) fn starting(at: f64) -> Variance {
        Variance { count: 1.0, mean: at, squares: if at.is_finite() { 0.0 } else { f64::NAN } }
    }
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let difference = value - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (value - self.mean);
    }
    pub(crate) fn value(&self) -> f64 {
        self.squares / self.count
    }
}

/// Whether any series has a value at a step.
pub(super) fn any_present(columns: &Columns, i: usize) -> bool {
    columns.list.iter().any(|c| c.has(i))
}
