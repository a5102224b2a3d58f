//! Steps over a document. A name that is nowhere is an error, as in the original, so that a metric is left out and not invented.

use std::cmp::Ordering;

use serde_json::Value;

use super::parse::{Comparison, Filter, Root, Step};
use super::{RESULTS_MAX, TEXT_BYTES_MAX, printed};

/// How deep a document is entered by `..`.
const DEPTH_MAX: usize = 200;

/// Why a path finds nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// No value has this name.
    #[error("{0} is not found")]
    NotFound(String),
    /// The list is shorter.
    #[error("the index {0} is outside of a list of {1}")]
    Index(i64, usize),
    /// A list is wanted.
    #[error("{0} is no list")]
    NotAList(&'static str),
    /// A condition has several values on one side.
    #[error("a condition compares one value with one other")]
    Several,
    /// There are too many values.
    #[error("more than {RESULTS_MAX} values")]
    TooMany,
    /// The text is too long.
    #[error("more than {TEXT_BYTES_MAX} bytes of text")]
    TooLong,
    /// Values are selected by one action only.
    #[error("a list of values is selected by exactly one pair of braces")]
    NotOne,
}

type Found<'a> = Result<Vec<&'a Value>, EvalError>;

pub(super) fn print(roots: &[Root], current: &Value, out: &mut String) -> Result<(), EvalError> {
    for root in roots {
        match root {
            Root::Text(text) => out.push_str(text),
            Root::Action(steps) => {
                for (at, value) in select(steps, vec![current])?.into_iter().enumerate() {
                    if at > 0 {
                        out.push(' ');
                    }
                    out.push_str(&printed(value));
                    limit(out)?;
                }
            }
            Root::Range(steps, body) => {
                for value in select(steps, vec![current])? {
                    print(body, value, out)?;
                }
            }
        }
        limit(out)?;
    }
    Ok(())
}

fn limit(out: &str) -> Result<(), EvalError> {
    if out.len() > TEXT_BYTES_MAX { Err(EvalError::TooLong) } else { Ok(()) }
}

pub(super) fn select<'a>(steps: &'a [Step], values: Vec<&'a Value>) -> Found<'a> {
    steps.iter().try_fold(values, |values, step| one(step, values))
}

/// What is below a name. Out of nothing comes nothing; of several values one that has the name is enough.
fn named<'a>(name: &str, values: Vec<&'a Value>) -> Found<'a> {
    if name.is_empty() || values.is_empty() {
        return Ok(values);
    }
    let found: Vec<&Value> = values.iter().filter_map(|value| value.as_object()?.get(name)).collect();
    if found.is_empty() { Err(EvalError::NotFound(name.to_owned())) } else { Ok(found) }
}

fn one<'a>(step: &'a Step, values: Vec<&'a Value>) -> Found<'a> {
    let found = match step {
        Step::Field(name) => named(name, values)?,
        Step::Quoted(steps, name) => match select(steps, values.clone()) {
            Err(EvalError::NotFound(_)) => named(name, values)?,
            other => other?,
        },
        Step::All => values.into_iter().flat_map(children).collect(),
        Step::Recursive => {
            let mut found = Vec::new();
            for value in values {
                descend(value, 0, &mut found)?;
            }
            found
        }
        Step::Slice { from, to, step, one } => {
            let mut found = Vec::new();
            for value in values {
                slice(value, (*from, *to, *step, *one), &mut found)?;
            }
            found
        }
        Step::Union(lists) => {
            let mut found = Vec::new();
            for steps in lists {
                found.extend(select(steps, values.clone())?);
                enough(&found)?;
            }
            found
        }
        Step::Filter(filter) => {
            let mut found = Vec::new();
            for value in values.into_iter().filter(|value| !value.is_null()) {
                for item in value.as_array().ok_or(EvalError::NotAList(shape(value)))? {
                    if holds(filter, item)? {
                        found.push(item);
                    }
                }
                enough(&found)?;
            }
            found
        }
        Step::Literal(value) => vec![value],
    };
    enough(&found)?;
    Ok(found)
}

fn enough(found: &[&Value]) -> Result<(), EvalError> {
    if found.len() > RESULTS_MAX { Err(EvalError::TooMany) } else { Ok(()) }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// The value and all below it that have something below them.
fn descend<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) -> Result<(), EvalError> {
    let below = children(value);
    if below.is_empty() {
        return Ok(());
    }
    found.push(value);
    if found.len() > RESULTS_MAX || depth > DEPTH_MAX {
        return Err(EvalError::TooMany);
    }
    below.into_iter().try_for_each(|value| descend(value, depth + 1, found))
}

type Bounds = (Option<i64>, Option<i64>, Option<i64>, bool);

fn slice<'a>(value: &'a Value, (from, to, step, one): Bounds, found: &mut Vec<&'a Value>) -> Result<(), EvalError> {
    if value.is_null() {
        return Ok(());
    }
    let items = value.as_array().ok_or(EvalError::NotAList(shape(value)))?;
    let length = items.len() as i64;
    let outside = |index| EvalError::Index(index, items.len());
    let counted = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let begin = counted(from.unwrap_or(0));
    if one {
        let item = usize::try_from(begin).ok().and_then(|at| items.get(at));
        found.push(item.ok_or_else(|| outside(from.unwrap_or(0)))?);
        return Ok(());
    }
    let end = to.map_or(length, counted);
    // Nothing may be asked for; what is asked for must be there.
    if begin == end {
        return Ok(());
    }
    if !(0..length).contains(&begin) {
        return Err(outside(from.unwrap_or(0)));
    }
    if !(begin..=length).contains(&end) {
        return Err(outside(to.unwrap_or(length)));
    }
    let (begin, end, step) = (begin as usize, end as usize, usize::try_from(step.unwrap_or(1)).unwrap_or(1).max(1));
    found.extend(items.get(begin..end).unwrap_or(&[]).iter().step_by(step));
    Ok(())
}

fn holds(filter: &Filter, item: &Value) -> Result<bool, EvalError> {
    // A name that an item lacks is a condition that does not hold.
    let side = |steps: &[Step]| -> Result<Vec<Value>, EvalError> {
        match select(steps, vec![item]) {
            Ok(values) => Ok(values.into_iter().take(2).cloned().collect()),
            Err(EvalError::NotFound(_)) => Ok(Vec::new()),
            Err(other) => Err(other),
        }
    };
    let left = side(&filter.left)?;
    let Some((comparison, right)) = &filter.comparison else { return Ok(!left.is_empty()) };
    let right = side(right)?;
    match (left.as_slice(), right.as_slice()) {
        ([], _) | (_, []) => Ok(false),
        ([left], [right]) => Ok(compare(*comparison, left, right)),
        _ => Err(EvalError::Several),
    }
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) if a == b => Some(Ordering::Equal),
        _ => None,
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
