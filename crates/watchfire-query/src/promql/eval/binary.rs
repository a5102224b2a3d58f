//! Binary operations: between numbers, between a vector and numbers, and set operations; `matching` pairs vectors.

use hashbrown::HashMap;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::sample::{is_stale, stale_nan};

use super::super::ast::{Binary, BinaryOp, Matching, Node};
use super::super::error::QueryError;
use super::column::keep;
use super::math::{arithmetic_of, compares};
use super::native::{Operand, apply};
use super::{Column, Columns, Evaluated, Evaluator, Grid, Numbers, Output};

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, node: &Node, binary: &Binary, grid: Grid) -> Evaluated<Output> {
        let left = self.eval(&binary.lhs, grid)?;
        let right = self.eval(&binary.rhs, grid)?;
        match (left, right) {
            (Output::Scalar(a), Output::Scalar(b)) => self.scalars(binary.op, a, b, grid).map(Output::Scalar),
            (Output::Vector(a), Output::Scalar(b)) => self.vector_scalar(node, binary, a, &b, false).map(Output::Vector),
            (Output::Scalar(a), Output::Vector(b)) => self.vector_scalar(node, binary, b, &a, true).map(Output::Vector),
            (Output::Vector(a), Output::Vector(b)) => match binary.op {
                BinaryOp::And => self.filtered(a, &b, &binary.matching, true, grid).map(Output::Vector),
                BinaryOp::Unless => self.filtered(a, &b, &binary.matching, false, grid).map(Output::Vector),
                BinaryOp::Or => self.united(a, b, &binary.matching, grid).map(Output::Vector),
                _ => self.matched(node, binary, a, b, grid).map(Output::Vector),
            },
            (Output::String(_), _) | (_, Output::String(_)) => {
                Err(QueryError::Execution("binary expression must contain only scalar and instant vector types".to_owned()))
            }
        }
    }

    fn scalars(&mut self, op: BinaryOp, a: Numbers, b: Numbers, grid: Grid) -> Evaluated<Numbers> {
        if op.is_trim() || op.is_set() {
            return Err(QueryError::Execution(format!("operator \"{}\" not allowed for Scalar operations", op.symbol())));
        }
        let zero = self.zero_division_is_nan;
        let compute = |a: f64, b: f64| if op.is_comparison() { f64::from(u8::from(compares(op, a, b))) } else { arithmetic_of(zero, op, a, b) };
        match (a, b) {
            (Numbers::Same(a), Numbers::Same(b)) => Ok(Numbers::Same(compute(a, b))),
            (a, b) => Numbers::computed(self.budget, grid.count, |i| compute(a.at(i), b.at(i))),
        }
    }

    fn vector_scalar(&mut self, node: &Node, binary: &Binary, columns: Columns, numbers: &Numbers, swapped: bool) -> Evaluated<Columns> {
        let op = binary.op;
        let mut columns = columns;
        columns.change_histograms(|i, histogram| {
            let (number, histogram) = (Operand::Float(numbers.at(i)), Operand::Histogram(histogram));
            let (sample, note) = if swapped { apply(op, number, histogram) } else { apply(op, histogram, number) }.with_scalar();
            note.tell(&mut self.notes, node.start, op);
            sample
        })?;
        for column in &mut columns.list {
            columns.charge.check()?;
            if op.is_trim() {
                // There is nothing in a float to be trimmed.
                for value in column.values.iter_mut().filter(|v| !is_stale(**v)) {
                    self.notes.incompatible_operands(node.start, op, "float", "float");
                    *value = stale_nan();
                }
            }
            for (i, value) in column.values.iter_mut().enumerate().filter(|(_, v)| !is_stale(**v)) {
                let (a, b) = if swapped { (numbers.at(i), *value) } else { (*value, numbers.at(i)) };
                *value = if !op.is_comparison() {
                    arithmetic_of(self.zero_division_is_nan, op, a, b)
                } else if binary.return_bool {
                    f64::from(u8::from(compares(op, a, b)))
                } else if compares(op, a, b) {
                    *value
                } else {
                    stale_nan()
                };
            }
            if op.changes_metric() || binary.return_bool {
                column.drop_name(columns.names);
            }
        }
        columns.without_empty().merged()
    }

    /// `and` and `unless`: the left side where the right has a partner, or has none.
    fn filtered(&mut self, left: Columns, right: &Columns, matching: &Matching, wanted: bool, grid: Grid) -> Evaluated<Columns> {
        let present = presence(right, matching, grid);
        let mut left = left;
        for column in &mut left.list {
            let partners = present.get(&signature(&column.labels, matching));
            for i in 0..grid.count {
                let found = partners.is_some_and(|p| p.get(i).copied().unwrap_or(false));
                if found != wanted {
                    column.clear(i);
                }
            }
        }
        Ok(left.without_empty())
    }

    /// `or`: the left side, and what of the right has no partner there.
    fn united(&mut self, left: Columns, right: Columns, matching: &Matching, grid: Grid) -> Evaluated<Columns> {
        let rest = self.filtered(right, &left, matching, false, grid)?;
        left.followed_by(rest).merged()
    }
}

/// The labels by which series of both sides find each other.
pub(super) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let named = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on { keep(labels, named) } else { keep(labels, |name| name != METRIC_NAME && !named(name)) }
}

/// For each signature, the steps at which any series has a value.
fn presence(columns: &Columns, matching: &Matching, grid: Grid) -> HashMap<Labels, Vec<bool>> {
    let mut present: HashMap<Labels, Vec<bool>> = HashMap::new();
    let mark = |steps: &mut Vec<bool>, column: &Column| {
        for (slot, value) in steps.iter_mut().zip(&column.values) {
            *slot |= !is_stale(*value);
        }
        if column.has_histograms() {
            steps.iter_mut().enumerate().for_each(|(i, slot)| *slot |= column.has(i));
        }
    };
    for column in &columns.list {
        mark(present.entry(signature(&column.labels, matching)).or_insert_with(|| vec![false; grid.count]), column);
    }
    present
}
