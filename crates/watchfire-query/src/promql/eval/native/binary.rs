//! Operators where a native histogram is on one side at least.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram, Total};

use super::super::super::annotations::Annotations;
use super::super::super::ast::BinaryOp;
use super::{Operation, Sampled};

/// One side of an operator at one step.
#[derive(Clone, Copy)]
pub(in crate::promql::eval) enum Operand<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}
impl Operand<'_> {
    fn type_name(self) -> &'static str {
        match self {
            Operand::Float(_) => "float",
            Operand::Histogram(_) => "histogram",
        }
    }
}

/// What an operator makes of two operands.
pub(in crate::promql::eval) enum Applied {
    Value(Sampled, Note),
    /// Whether the comparison holds.
    Compared(bool),
    /// The two do not go together, so there is no result.
    Dropped(Note),
}

impl Applied {
    /// What remains where one side is a scalar, which never equals a histogram.
    pub(in crate::promql::eval) fn with_scalar(self) -> (Option<Sampled>, Note) {
        match self {
            Applied::Value(sample, note) => (Some(sample), note),
            Applied::Compared(_) => (None, Note::None),
            Applied::Dropped(note) => (None, note),
        }
    }
}

/// What there is to say about one application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql::eval) enum Note {
    None,
    IncompatibleTypes { left: &'static str, right: &'static str },
    IncompatibleLayouts,
    ResetsConflict(Operation),
    BoundsReconciled(Operation),
}
impl Note {
    pub(in crate::promql::eval) fn tell(self, notes: &mut Annotations, at: usize, op: BinaryOp) {
        match self {
            Note::None => {}
            Note::IncompatibleTypes { left, right } => notes.incompatible_operands(at, op, left, right),
            Note::IncompatibleLayouts => notes.incompatible_layouts(at, op),
            Note::ResetsConflict(operation) => notes.resets_conflict(at, operation),
            Note::BoundsReconciled(operation) => notes.bounds_reconciled(at, operation),
        }
    }
}

/// Applies an operator that is no set operator.
pub(in crate::promql::eval) fn apply(op: BinaryOp, left: Operand<'_>, right: Operand<'_>) -> Applied {
    use Operand::{Float, Histogram as Native};
    match (left, op, right) {
        (Native(h), BinaryOp::Mul, Float(factor)) | (Float(factor), BinaryOp::Mul, Native(h)) => changed(h, |h| h.scale(factor)),
        (Native(h), BinaryOp::Div, Float(divisor)) => changed(h, |h| h.divide(divisor)),
        (Native(h), BinaryOp::TrimUpper, Float(value)) => Applied::Value(h.trimmed_above(value).into(), Note::None),
        (Native(h), BinaryOp::TrimLower, Float(value)) => Applied::Value(h.trimmed_below(value).into(), Note::None),
        (Native(a), BinaryOp::Add, Native(b)) => added(a, b, Operation::Addition),
        (Native(a), BinaryOp::Sub, Native(b)) => added(a, b, Operation::Subtraction),
        (Native(a), BinaryOp::Equal, Native(b)) => Applied::Compared(a.same_data(b)),
        (Native(a), BinaryOp::NotEqual, Native(b)) => Applied::Compared(!a.same_data(b)),
        _ => Applied::Dropped(Note::IncompatibleTypes { left: left.type_name(), right: right.type_name() }),
    }
}

fn changed(histogram: &Histogram, change: impl Fn(&mut Histogram)) -> Applied {
    let mut copy = histogram.clone();
    change(&mut copy);
    copy.compact();
    Applied::Value(copy.into(), Note::None)
}

fn added(a: &Histogram, b: &Histogram, operation: Operation) -> Applied {
    let subtracts = operation == Operation::Subtraction;
    let mut total = Total::of(a);
    let Ok(peculiar) = (if subtracts { total.subtract(b) } else { total.add(b) }) else {
        return Applied::Dropped(Note::IncompatibleLayouts);
    };
    let mut result = total.finish();
    if subtracts {
        result.reset = CounterReset::Gauge;
    }
    result.compact();
    let note = if peculiar.resets_conflict {
        Note::ResetsConflict(operation)
    } else if peculiar.bounds_differed {
        Note::BoundsReconciled(operation)
    } else {
        Note::None
    };
    Applied::Value(result.into(), note)
}
