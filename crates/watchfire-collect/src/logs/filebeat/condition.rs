//! `when`: conditions of processors on fields of an event.

use serde_json::{Map, Value};
use watchfire_model::document::{Context, Node};

use super::event::get;
use super::tree::to_json;
use crate::logs::stages::compile;

/// How deep conditions may stand in each other.
const DEPTH_MAX: usize = 16;

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Equals(Vec<(String, Value)>),
    Contains(Vec<(String, String)>),
    Regexp(Vec<(String, regex::Regex)>),
    Range(Vec<(String, String, f64)>),
    HasFields(Vec<String>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// What is not understood, and was said.
    Never,
}

impl Condition {
    /// Reads a condition: a mapping with one kind.
    pub(super) fn read(context: &Context, node: &Node, depth: usize) -> Condition {
        let entries = node.entries().unwrap_or(&[]);
        let ([(key, value)], true) = (entries, depth < DEPTH_MAX) else {
            context.error(node.line, node.column, "a condition must have exactly one of equals, contains, regexp, range, has_fields, and, or, not");
            return Condition::Never;
        };
        let several = || value.items().unwrap_or(&[]).iter().map(|item| Condition::read(context, item, depth + 1)).collect();
        match &*key.text {
            "equals" => Condition::Equals(flat(value).into_iter().map(|(name, node)| (name, to_json(node))).collect()),
            "contains" => Condition::Contains(flat(value).into_iter().filter_map(|(name, node)| Some((name, node.text()?.to_owned()))).collect()),
            "regexp" => {
                let compiled = flat(value).into_iter().filter_map(|(name, node)| match compile(node.text()?) {
                    Ok(regex) => Some((name, regex)),
                    Err(error) => {
                        context.error(node.line, node.column, error);
                        None
                    }
                });
                Condition::Regexp(compiled.collect())
            }
            "range" => {
                let bound = |(name, node): (String, &Node)| {
                    let (name, op) = name.rsplit_once('.')?;
                    Some((name.to_owned(), op.to_owned(), node.as_f64()?))
                };
                Condition::Range(flat(value).into_iter().filter_map(bound).collect())
            }
            "has_fields" => Condition::HasFields(value.items().unwrap_or(&[]).iter().filter_map(|n| n.text().map(str::to_owned)).collect()),
            "and" => Condition::And(several()),
            "or" => Condition::Or(several()),
            "not" => Condition::Not(Box::new(Condition::read(context, value, depth + 1))),
            "network" => {
                context.warning(key.line, key.column, "conditions on networks are not carried out; this one never holds");
                Condition::Never
            }
            other => {
                context.error(key.line, key.column, format!("unknown condition {other:?}"));
                Condition::Never
            }
        }
    }

    /// Whether it holds.
    pub(super) fn holds(&self, event: &Map<String, Value>) -> bool {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self {
            Condition::Equals(all) => all.iter().all(|(name, wanted)| get(event, name).is_some_and(|found| found == wanted || text(found) == text(wanted))),
            Condition::Contains(all) => all.iter().all(|(name, wanted)| match get(event, name) {
                Some(Value::Array(items)) => items.iter().any(|item| text(item).contains(wanted.as_str())),
                Some(Value::String(found)) => found.contains(wanted.as_str()),
                _ => false,
            }),
            Condition::Regexp(all) => all.iter().all(|(name, regex)| get(event, name).is_some_and(|found| regex.is_match(&text(found)))),
            Condition::Range(all) => all.iter().all(|(name, op, bound)| {
                let number = get(event, name).and_then(|found| found.as_f64().or_else(|| found.as_str()?.parse().ok()));
                number.is_some_and(|n| match op.as_str() {
                    "gt" => n > *bound,
                    "gte" => n >= *bound,
                    "lt" => n < *bound,
                    "lte" => n <= *bound,
                    _ => false,
                })
            }),
            Condition::HasFields(all) => all.iter().all(|name| get(event, name).is_some()),
            Condition::And(all) => all.iter().all(|one| one.holds(event)),
            Condition::Or(all) => all.iter().any(|one| one.holds(event)),
            Condition::Not(one) => !one.holds(event),
            Condition::Never => false,
        }
    }
}

/// The leaves of a mapping with their dotted names: keys were taken apart at their dots.
pub(super) fn flat(node: &Node) -> Vec<(String, &Node)> {
    let mut out = Vec::new();
    for (key, value) in node.entries().unwrap_or(&[]) {
        match value.entries() {
            Some(_) => out.extend(flat(value).into_iter().map(|(name, leaf)| (format!("{}.{name}", key.text), leaf))),
            None => out.push((key.text.to_string(), value)),
        }
    }
    out
}
