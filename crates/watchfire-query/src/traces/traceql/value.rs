//! Values of TraceQL: what literals, fields and expressions are, how they compare and what is computed with them.

use std::borrow::Cow;
use std::cmp::Ordering;

use watchfire_model::spans::{SpanKind, StatusCode, Value};

use super::ast::{Arithmetic, Comparison};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Val<'a> {
    /// There is none.
    Nil,
    /// It depends on the whole trace, which is not at hand.
    Unknown,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// How a span ended.
    Status(StatusCode),
    /// The role of a span.
    Kind(SpanKind),
    /// Several at once: of the events or links of a span.
    Several(Vec<Val<'a>>),
}

impl<'a> Val<'a> {
    /// The value of an attribute. Lists and maps are their text in JSON.
    pub fn of(value: Value<'a>) -> Val<'a> {
        match value {
            Value::Text(text) | Value::Json(text) | Value::Bytes(text) => Val::Text(text),
            Value::Int(number) => Val::Int(number),
            Value::Double(number) => Val::Float(number),
            Value::Bool(value) => Val::Bool(value),
        }
    }
    /// The number that it is; nanoseconds for a duration.
    pub fn number(&self) -> Option<f64> {
        match self {
            Val::Int(number) | Val::Duration(number) => Some(*number as f64),
            Val::Float(number) => Some(*number),
            _ => None,
        }
    }
    /// The number that numbers over time are made of: seconds for a duration.
    pub(super) fn measured(&self) -> Option<f64> {
        match self {
            Val::Duration(nanos) => Some(*nanos as f64 / 1e9),
            other => other.number(),
        }
    }
    /// The same, borrowing its texts.
    pub(super) fn borrowed(&self) -> Val<'_> {
        match self {
            Val::Text(text) => Val::Text(Cow::Borrowed(text)),
            Val::Several(all) => Val::Several(all.iter().map(Val::borrowed).collect()),
            Val::Nil => Val::Nil,
            Val::Unknown => Val::Unknown,
            Val::Int(number) => Val::Int(*number),
            Val::Float(number) => Val::Float(*number),
            Val::Bool(value) => Val::Bool(*value),
            Val::Duration(nanos) => Val::Duration(*nanos),
            Val::Status(code) => Val::Status(*code),
            Val::Kind(kind) => Val::Kind(*kind),
        }
    }
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Val<'static> {
        match self {
            Val::Text(text) => Val::Text(Cow::Owned(text.into_owned())),
            Val::Nil => Val::Nil,
            Val::Unknown => Val::Unknown,
            Val::Int(number) => Val::Int(number),
            Val::Float(number) => Val::Float(number),
            Val::Bool(value) => Val::Bool(value),
            Val::Duration(nanos) => Val::Duration(nanos),
            Val::Status(code) => Val::Status(code),
            Val::Kind(kind) => Val::Kind(kind),
            Val::Several(all) => Val::Several(all.into_iter().map(Val::into_owned).collect()),
        }
    }
    /// As people read it, without quotes.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Val::Nil | Val::Unknown => "nil".into(),
            Val::Text(text) => Cow::Borrowed(text),
            Val::Int(number) => number.to_string().into(),
            Val::Float(number) => number.to_string().into(),
            Val::Bool(value) => if *value { "true" } else { "false" }.into(),
            Val::Duration(nanos) => duration(*nanos).into(),
            Val::Status(code) => code.name().into(),
            Val::Kind(kind) => kind.name().into(),
            Val::Several(all) => all.first().map_or("nil".into(), |first| first.text().into_owned().into()),
        }
    }
    /// The first of several.
    pub(super) fn single(self) -> Val<'a> {
        match self {
            Val::Several(all) => all.into_iter().next().unwrap_or(Val::Nil),
            one => one,
        }
    }
    /// Whether a condition holds; one that depends on more than is at hand may hold.
    pub(super) fn may_hold(&self) -> bool {
        matches!(self, Val::Bool(true) | Val::Unknown)
    }
    /// Whether a condition holds.
    pub(super) fn holds(&self) -> bool {
        matches!(self, Val::Bool(true))
    }
}

/// The largest unit that divides it, as a literal of the language.
pub(super) fn duration(nanos: i64) -> String {
    const UNITS: [(i64, &str); 6] = [(3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let found = UNITS.iter().find(|(size, _)| nanos != 0 && nanos % size == 0);
    found.map_or_else(|| "0s".to_owned(), |(size, unit)| format!("{}{unit}", nanos / size))
}

/// Compares two values: values of different types are never equal, unequal, less or greater, but all kinds of numbers are of one type.
/// Several values are like a text if one of them is; they are unlike it if none is like it.
pub(super) fn compare(op: Comparison, left: &Val<'_>, right: &Val<'_>) -> Val<'static> {
    match (left, right) {
        (Val::Unknown, _) | (_, Val::Unknown) => Val::Unknown,
        (Val::Several(all), other) => several(op, all, |one, op| compare(op, one, other)),
        (other, Val::Several(all)) => several(op, all, |one, op| compare(op, other, one)),
        _ => Val::Bool(holds(op, left, right)),
    }
}

fn several(op: Comparison, all: &[Val<'_>], test: impl Fn(&Val<'_>, Comparison) -> Val<'static>) -> Val<'static> {
    if op == Comparison::NotEqual {
        return Val::Bool(!all.is_empty() && !all.iter().any(|one| test(one, Comparison::Equal).holds()));
    }
    Val::Bool(all.iter().any(|one| test(one, op).holds()))
}

fn holds(op: Comparison, left: &Val<'_>, right: &Val<'_>) -> bool {
    let order = match (left, right) {
        (Val::Nil, Val::Nil) => Some(Ordering::Equal),
        // Everything that there is differs from nothing.
        (Val::Nil, _) | (_, Val::Nil) => return op == Comparison::NotEqual && is_nil_test(left, right),
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        (Val::Status(a), Val::Status(b)) => Some((*a as u8).cmp(&(*b as u8))),
        (Val::Kind(a), Val::Kind(b)) => Some((*a as u8).cmp(&(*b as u8))),
        (Val::Int(a) | Val::Duration(a), Val::Int(b) | Val::Duration(b)) => Some(a.cmp(b)),
        _ => left.number().zip(right.number()).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    let Some(order) = order else { return op == Comparison::NotEqual && left.number().is_some() && right.number().is_some() };
    match op {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// `x != nil` asks whether there is an x; `x != "a"` of an x that is not there says nothing.
fn is_nil_test(left: &Val<'_>, right: &Val<'_>) -> bool {
    matches!(right, Val::Nil) && !matches!(left, Val::Nil)
}

/// Computes with two numbers. Whole numbers stay whole where that is exact; what is no number gives nothing.
pub(super) fn compute(op: Arithmetic, left: &Val<'_>, right: &Val<'_>) -> Val<'static> {
    if matches!(left, Val::Unknown) || matches!(right, Val::Unknown) {
        return Val::Unknown;
    }
    let (left, right) = (left.clone().single(), right.clone().single());
    if let (Val::Int(a), Val::Int(b)) = (&left, &right)
        && let Some(whole) = whole(op, *a, *b)
    {
        return Val::Int(whole);
    }
    let Some((a, b)) = left.number().zip(right.number()) else { return Val::Nil };
    let result = match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Modulo => a % b,
        Arithmetic::Power => a.powf(b),
    };
    let lasts = matches!((&left, &right, op), (Val::Duration(_), Val::Duration(_), Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Modulo))
        || (matches!(left, Val::Duration(_)) != matches!(right, Val::Duration(_)) && op != Arithmetic::Power);
    // A cast saturates, which is far beyond any span.
    if lasts { Val::Duration(result as i64) } else { Val::Float(result) }
}

fn whole(op: Arithmetic, a: i64, b: i64) -> Option<i64> {
    match op {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => (b != 0 && a.checked_rem(b)? == 0).then(|| a.checked_div(b))?,
        Arithmetic::Modulo => a.checked_rem(b),
        Arithmetic::Power => a.checked_pow(u32::try_from(b).ok()?),
    }
}

/// The negative of a number.
pub(super) fn negative(value: Val<'_>) -> Val<'static> {
    match value.single() {
        Val::Unknown => Val::Unknown,
        Val::Int(number) => number.checked_neg().map_or(Val::Float(-(number as f64)), Val::Int),
        Val::Float(number) => Val::Float(-number),
        Val::Duration(nanos) => Val::Duration(nanos.saturating_neg()),
        _ => Val::Nil,
    }
}
