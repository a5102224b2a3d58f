//! Conditions on labels. A number, duration, size or address is missing where the label is; what cannot be read as one is an error of
//! the entry, which goes on with it, so that a later condition can say what becomes of it.

use watchfire_model::matcher::{MatchOp, Matcher};

use super::super::ast::{Comparison, LabelFilter};
use super::super::fields::{ERROR, Fields};
use super::super::ip::IpRange;
use super::super::units;
use super::errors;
use crate::promql::BinaryOp;

/// What a number is.
#[derive(Clone, Copy)]
enum Unit {
    Plain,
    Seconds,
    Bytes,
}

/// A condition that is ready.
pub(crate) enum LabelTest {
    Text(Matcher),
    Number { comparison: Comparison, unit: UnitOf },
    Ip { name: String, negative: bool, range: IpRange },
    And(Box<LabelTest>, Box<LabelTest>),
    Or(Box<LabelTest>, Box<LabelTest>),
}

/// Keeps the unit to this module.
pub(crate) struct UnitOf(Unit);

impl LabelTest {
    pub(crate) fn new(filter: &LabelFilter) -> Result<LabelTest, String> {
        let number = |comparison: &Comparison, unit| LabelTest::Number { comparison: comparison.clone(), unit: UnitOf(unit) };
        Ok(match filter {
            LabelFilter::Text(matcher) => LabelTest::Text(matcher.clone()),
            LabelFilter::Number(comparison) => number(comparison, Unit::Plain),
            LabelFilter::Duration(comparison) => number(comparison, Unit::Seconds),
            LabelFilter::Bytes(comparison) => number(comparison, Unit::Bytes),
            LabelFilter::Ip { name, negative, range } => LabelTest::Ip { name: name.clone(), negative: *negative, range: IpRange::parse(range)? },
            LabelFilter::And(a, b) => LabelTest::And(Box::new(LabelTest::new(a)?), Box::new(LabelTest::new(b)?)),
            LabelFilter::Or(a, b) => LabelTest::Or(Box::new(LabelTest::new(a)?), Box::new(LabelTest::new(b)?)),
        })
    }

    /// Whether an entry passes. One with an error that is asked for may be counted.
    pub(crate) fn passes(&self, fields: &mut Fields<'_>) -> bool {
        let passes = self.holds(fields);
        if passes && fields.error().is_some_and(|kind| self.wants(kind)) {
            fields.want_error();
        }
        passes
    }

    /// Whether a part of it asks for entries with an error of this kind: `__error__!=""`, `__error__="…"`, `__error__=~"…"`.
    fn wants(&self, kind: &str) -> bool {
        match self {
            LabelTest::Text(matcher) if matcher.name == ERROR => match matcher.op {
                MatchOp::NotEqual => matcher.value.is_empty(),
                MatchOp::Equal | MatchOp::Regex => matcher.matches_value(kind),
                MatchOp::NotRegex => false,
            },
            LabelTest::And(a, b) | LabelTest::Or(a, b) => a.wants(kind) || b.wants(kind),
            _ => false,
        }
    }

    fn holds(&self, fields: &mut Fields<'_>) -> bool {
        match self {
            LabelTest::Text(matcher) => matcher.matches_value(fields.get(&matcher.name).unwrap_or("")),
            LabelTest::And(a, b) => a.holds(fields) && b.holds(fields),
            LabelTest::Or(a, b) => a.holds(fields) || b.holds(fields),
            // An entry with an error can only be told by texts.
            LabelTest::Number { .. } | LabelTest::Ip { .. } if fields.error().is_some() => true,
            LabelTest::Ip { name, negative, range } => match fields.get(name) {
                Some(value) => range.found_in(value) != *negative,
                None => false,
            },
            LabelTest::Number { comparison, unit } => {
                let Some(text) = fields.get(&comparison.name) else { return false };
                match unit.0.read(text) {
                    Ok(value) => compares(comparison.op, value, comparison.value),
                    Err(message) => {
                        fields.fail(errors::LABEL_FILTER, &message);
                        true
                    }
                }
            }
        }
    }
}

impl Unit {
    fn read(self, text: &str) -> Result<f64, String> {
        let (value, what) = match self {
            Unit::Plain => (units::number(text), "number"),
            Unit::Seconds => (units::duration_nanos(text).map(|n| n as f64 / 1e9), "duration"),
            Unit::Bytes => (units::bytes(text), "size"),
        };
        value.ok_or_else(|| format!("cannot read {text:?} as a {what}"))
    }
}

fn compares(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::Greater => a > b,
        BinaryOp::LessOrEqual => a <= b,
        BinaryOp::GreaterOrEqual => a >= b,
        _ => false,
    }
}
