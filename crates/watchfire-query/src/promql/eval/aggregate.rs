//! Aggregation: series are put into groups once; then every group adds up its series step by step.

use hashbrown::HashMap;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::sample::is_stale;

use super::super::ast::{Aggregate, AggregateOp, Node, NodeKind};
use super::super::error::QueryError;
use super::super::numbers::format_plain;
use super::column::keep;
use super::sum::{Compensated, Mean, quantile};
use super::{Columns, Evaluated, Evaluator, Grid, Numbers};

/// The groups of a vector's series, in the order in which they first appear.
pub(super) struct Groups {
    pub(super) labels: Vec<Labels>,
    /// The series of each group, by position.
    pub(super) members: Vec<Vec<usize>>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated<Columns> {
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
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                self.ranked(aggregate.op, input, &groups, &param, at, grid)
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
            op => self.each_group_step(&input, &groups, grid, |members, i| accumulate(op, members.iter().filter_map(|m| input.list[*m].at(i)))),
        }
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
        output.without_empty().merged()
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
                let Some(value) = column.at(i) else { continue };
                let target = match last {
                    Some((bits, target)) if bits == value.to_bits() => target,
                    _ => {
                        let labels = grouped(&column.labels.with(&label, &format_plain(value)), aggregate, &label);
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
                last = Some((value.to_bits(), target));
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

/// One group at one step.
fn accumulate(op: AggregateOp, mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    Some(match op {
        AggregateOp::Sum => {
            let mut sum = Compensated::starting(first);
            values.for_each(|v| sum.add(v));
            sum.plain()
        }
        AggregateOp::Avg => {
            let mut mean = Mean::starting(first);
            values.for_each(|v| mean.add(v));
            mean.value()
        }
        AggregateOp::Count => 1.0 + values.count() as f64,
        AggregateOp::Group => 1.0,
        AggregateOp::Max => values.fold(first, |best, v| if best < v || best.is_nan() { v } else { best }),
        AggregateOp::Min => values.fold(first, |best, v| if best > v || best.is_nan() { v } else { best }),
        AggregateOp::Stdvar => variance(first, values),
        AggregateOp::Stddev => variance(first, values).sqrt(),
        _ => return None,
    })
}

/// Welford's variance of a population.
fn variance(first: f64, values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean) = (1.0, first);
    let mut squares = if first.is_finite() { 0.0 } else { f64::NAN };
    for value in values {
        count += 1.0;
        let difference = value - mean;
        mean += difference / count;
        squares += difference * (value - mean);
    }
    squares / count
}

/// Whether any series has a value at a step.
pub(super) fn any_present(columns: &Columns, i: usize) -> bool {
    columns.list.iter().any(|c| c.values.get(i).is_some_and(|v| !is_stale(*v)))
}
