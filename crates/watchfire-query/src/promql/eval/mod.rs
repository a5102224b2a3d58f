//! Evaluation. Every node is computed once, for all steps of the query, as columns: one series, one sample per step.
//! Each selector reads its data exactly once per query. Nothing here parses or formats.

mod aggregate;
mod binary;
mod call;
mod column;
mod extended;
mod histogram;
mod info;
pub(in crate::promql) mod kept;
mod label;
mod label_hash;
mod matching;
mod math;
pub(in crate::promql) mod native;
mod order;
mod over_time;
mod ranking;
mod rate;
mod selector;
mod sum;

use std::cell::OnceCell;

use watchfire_model::read::{Budget, Source};
use watchfire_model::windows::Kept;

use super::annotations::Annotations;
use super::ast::{Node, NodeKind, Unary};
use super::error::QueryError;
use super::functions::Code;

pub(crate) use aggregate::Variance;
pub(crate) use rate::counter_rate;
pub(crate) use sum::{Mean, quantile};

pub(super) use call::{
    absent, absent_over_time, clamp, clamp_max, clamp_min, max_of, min_of, pi, query_end, query_range, query_start, query_step, round, scalar, start_timestamp,
    time, timestamp, vector,
};
pub(super) use column::{Charge, Column, Columns, Names, Numbers, Output};
pub(super) use histogram::{histogram_fraction, histogram_quantile, histogram_quantiles};
pub(super) use info::info;
pub(super) use label::{label_join, label_replace};
pub(super) use math::{Civil, sgn};
pub(super) use order::{sort, sort_by_label, sort_by_label_desc, sort_desc};
pub(super) use over_time::*;
pub(super) use rate::*;
pub(super) use selector::Window;

/// The result of evaluating something.
pub(super) type Evaluated<T> = Result<T, QueryError>;

/// The most steps one evaluation may have; only a subquery can ask for so many.
const STEPS_MAX: i64 = 50_000_000;

/// The times at which something is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) count: usize,
}
impl Grid {
    /// All times from `start` to `end`, both included.
    pub(super) fn between(start: i64, end: i64, step: i64) -> Evaluated<Grid> {
        if end < start {
            return Ok(Grid { start, step, count: 0 });
        }
        let count = end.saturating_sub(start) / step;
        if count >= STEPS_MAX {
            return Err(QueryError::Execution(format!("query would be evaluated at {count} times, more than {STEPS_MAX}")));
        }
        Ok(Grid { start, step, count: count as usize + 1 })
    }
    pub(super) fn time(&self, i: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i as i64))
    }
    fn first(&self) -> Grid {
        Grid { count: self.count.min(1), ..*self }
    }
}

/// One query under way.
pub(super) struct Evaluator<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) budget: &'a Budget,
    /// What the source keeps as windows, once somebody has asked.
    pub(super) kept: OnceCell<Vec<Kept>>,
    pub(super) notes: Annotations,
    pub(super) names: Names,
    /// LogQL's division.
    pub(super) zero_division_is_nan: bool,
    pub(super) lookback: i64,
    pub(super) default_step: i64,
    pub(super) query_start: i64,
    pub(super) query_end: i64,
    pub(super) query_step: i64,
}

impl Evaluator<'_> {
    /// Evaluates a node at all times of the grid. What does not depend on the time is computed once and repeated.
    pub(super) fn eval(&mut self, node: &Node, grid: Grid) -> Evaluated<Output> {
        self.budget.check()?;
        if grid.count > 1 && invariant(node) {
            let once = self.eval_steps(node, grid.first())?;
            return once.repeated(grid.count);
        }
        self.eval_steps(node, grid)
    }

    fn eval_steps(&mut self, node: &Node, grid: Grid) -> Evaluated<Output> {
        match &node.kind {
            NodeKind::Number { value, .. } => Ok(Output::Scalar(Numbers::Same(*value))),
            NodeKind::String(text) => Ok(Output::String(text.clone())),
            NodeKind::Paren(inner) => self.eval(inner, grid),
            NodeKind::Vector(selector) => self.instant_vector(node, selector, grid).map(Output::Vector),
            NodeKind::Matrix(_) | NodeKind::Subquery(_) => Err(QueryError::Execution("range vector where an instant vector is needed".to_owned())),
            NodeKind::Unary(unary) => self.unary(unary, grid),
            NodeKind::Binary(binary) => self.binary(node, binary, grid),
            NodeKind::Aggregate(aggregate) => self.aggregate(node, aggregate, grid).map(Output::Vector),
            NodeKind::Call(call) => self.call(call, grid),
        }
    }

    /// Evaluates a node whose type the check has found to be an instant vector.
    pub(super) fn eval_vector(&mut self, node: &Node, grid: Grid) -> Evaluated<Columns> {
        match self.eval(node, grid)? {
            Output::Vector(columns) => Ok(columns),
            Output::Scalar(_) | Output::String(_) => Err(QueryError::Execution("instant vector expected".to_owned())),
        }
    }

    /// Evaluates a node whose type the check has found to be a scalar.
    pub(super) fn eval_scalar(&mut self, node: &Node, grid: Grid) -> Evaluated<Numbers> {
        match self.eval(node, grid)? {
            Output::Scalar(numbers) => Ok(numbers),
            Output::Vector(_) | Output::String(_) => Err(QueryError::Execution("scalar expected".to_owned())),
        }
    }

    /// Nothing yet, but able to grow within the budget.
    pub(super) fn no_columns(&self) -> Columns {
        Columns { list: Vec::new(), names: self.names, charge: Charge::new(self.budget) }
    }

    fn unary(&mut self, unary: &Unary, grid: Grid) -> Evaluated<Output> {
        let operand = self.eval(&unary.expr, grid)?;
        if !unary.negative {
            return Ok(operand);
        }
        match operand {
            Output::Scalar(numbers) => Ok(Output::Scalar(numbers.map(|v| -v))),
            Output::Vector(columns) => columns.negated().map(Output::Vector),
            text @ Output::String(_) => Ok(text),
        }
    }
}

/// Whether a node has the same value at every step: all its selectors are pinned by `@` and nothing asks for the time.
fn invariant(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Number { .. } | NodeKind::String(_) => true,
        NodeKind::Vector(selector) => selector.at.is_some(),
        NodeKind::Matrix(matrix) => matrix.selector.at.is_some(),
        NodeKind::Subquery(subquery) => subquery.at.is_some(),
        NodeKind::Paren(inner) => invariant(inner),
        NodeKind::Unary(unary) => invariant(&unary.expr),
        NodeKind::Binary(binary) => invariant(&binary.lhs) && invariant(&binary.rhs),
        NodeKind::Aggregate(aggregate) => invariant(&aggregate.expr) && aggregate.param.as_deref().is_none_or(invariant),
        NodeKind::Call(call) => {
            let of_argument = matches!(call.function.code, Code::Calendar(_)) && !call.args.is_empty();
            (of_argument || !call.function.asks_time) && call.args.iter().all(invariant)
        }
    }
}
