//! Aggregations that keep whole series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use super::super::ast::{AggregateOp, Node};
use super::super::error::QueryError;
use super::super::numbers::format_short;
use super::aggregate::Groups;
use super::label_hash::label_hash;
use super::sum::nan_first;
use super::{Column, Columns, Evaluated, Evaluator, Grid, Numbers};

impl Evaluator<'_> {
    /// `at` is where the parameter stands in the query.
    #[expect(clippy::too_many_arguments, reason = "an aggregation with its input")]
    pub(super) fn ranked(
        &mut self,
        node: &Node,
        op: AggregateOp,
        input: Columns,
        groups: &Groups,
        param: &Numbers,
        at: usize,
        grid: Grid,
    ) -> Evaluated<Columns> {
        let proceed = if op == AggregateOp::LimitRatio { self.check_ratio(param, at)? } else { check_k(param)? };
        let mut output = self.no_columns();
        if !proceed || grid.count == 0 {
            return Ok(output);
        }
        // One row per input series; what a group does not choose stays absent.
        for column in &input.list {
            output.push_absent(column.labels.clone(), grid.count)?.drops_name = column.drops_name;
        }
        let mut chosen_order = Vec::new();
        let mut candidates: Vec<(f64, usize)> = Vec::new();
        let of_any_kind = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
        for members in &groups.members {
            input.charge.check()?;
            let natives = members.iter().any(|m| input.list[*m].has_histograms());
            for i in 0..grid.count {
                candidates.clear();
                candidates.extend(members.iter().filter_map(|m| input.list[*m].at(i).map(|v| (v, *m))));
                if natives && members.iter().any(|m| input.list[*m].histogram(i).is_some()) {
                    if of_any_kind {
                        candidates.clear();
                        candidates.extend(members.iter().filter(|m| input.list[**m].has(i)).map(|m| (f64::NAN, *m)));
                    } else {
                        self.notes.ignored_in_aggregation(node.start, op.symbol());
                    }
                }
                choose(op, &mut candidates, param.at(i), &input.list);
                for (_, m) in &candidates {
                    if let Some(sample) = input.list[*m].sample(i) {
                        output.list[*m].put_sample(i, sample);
                    }
                }
                if grid.count == 1 {
                    chosen_order.extend(candidates.iter().map(|(_, m)| *m));
                }
            }
        }
        for column in 0..output.list.len() {
            output.charge_histograms(column)?;
        }
        if grid.count == 1 {
            // An instant query shows the ranking, group by group.
            let mut rows: Vec<Option<Column>> = std::mem::take(&mut output.list).into_iter().map(Some).collect();
            output.list = chosen_order.into_iter().filter_map(|m| rows.get_mut(m).and_then(Option::take)).collect();
        }
        Ok(output.without_empty())
    }

    /// Fails on NaN and warns about ratios beyond ±1; false when nothing can be chosen.
    fn check_ratio(&mut self, param: &Numbers, at: usize) -> Evaluated<bool> {
        let (least, most) = extremes(param);
        if param.each().iter().any(|r| r.is_nan()) {
            return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
        }
        for (value, cap) in [(most, 1.0), (least, -1.0)] {
            if value * cap > 1.0 {
                self.notes.warn(at, &format!("ratio value should be between -1 and 1, got {}, capping to {}", format_short(value), format_short(cap)));
            }
        }
        Ok(least != 0.0 || most != 0.0)
    }
}

fn extremes(param: &Numbers) -> (f64, f64) {
    param.each().iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (least.min(*v), most.max(*v)))
}

/// Fails when k is no integer of 64 bits; false when no step chooses anything.
fn check_k(param: &Numbers) -> Evaluated<bool> {
    let (least, most) = extremes(param);
    let any_nan = param.each().iter().any(|k| k.is_nan());
    if !any_nan && most < 1.0 {
        return Ok(false);
    }
    if any_nan {
        return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
    }
    if least <= i64::MIN as f64 {
        return Err(QueryError::Execution(format!("Scalar value {} underflows int64", format_short(least))));
    }
    if most >= i64::MAX as f64 {
        return Err(QueryError::Execution(format!("Scalar value {} overflows int64", format_short(most))));
    }
    Ok(true)
}

/// Leaves the chosen candidates, best first; of equal ones the earlier series wins.
fn choose(op: AggregateOp, candidates: &mut Vec<(f64, usize)>, param: f64, columns: &[Column]) {
    if op == AggregateOp::LimitRatio {
        candidates.retain(|(_, m)| within_ratio(&columns[*m], param));
        return;
    }
    let k = if param < 1.0 { 0 } else { (param as i64).unsigned_abs().min(candidates.len() as u64) as usize };
    match op {
        AggregateOp::Topk => rank(candidates, k, |a, b| nan_first(b, a)),
        AggregateOp::Bottomk => rank(candidates, k, |a, b| match (a.is_nan(), b.is_nan()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => nan_first(a, b),
        }),
        _ => candidates.truncate(k),
    }
}

fn rank(candidates: &mut Vec<(f64, usize)>, k: usize, order: impl Fn(f64, f64) -> Ordering) {
    let compare = |a: &(f64, usize), b: &(f64, usize)| order(a.0, b.0).then(a.1.cmp(&b.1));
    if k < candidates.len() {
        if k == 0 {
            candidates.clear();
            return;
        }
        candidates.select_nth_unstable_by(k - 1, compare);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(compare);
}

/// A series' place in 0…1 comes from a hash of its labels, Prometheus' own, so the same series are chosen again and again, there and
/// here; a negative ratio chooses exactly those that its complement does not.
fn within_ratio(column: &Column, ratio: f64) -> bool {
    let place = label_hash(&column.labels) as f64 / u64::MAX as f64;
    let ratio = ratio.clamp(-1.0, 1.0);
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}
