//! Annotations beside an expression: whether they speak of the unit that it has, and of labels that its series have. Templates are
//! looked at as texts; they are carried out elsewhere.

use watchfire_alert::rules::file::{Place, Rule, RuleFile, RuleKind};

use crate::expression::{Quantity, Shape};
use crate::report::{Code, Diagnosis};
use crate::templates::{ACTION, Action, actions, asked_labels, without_actions};

/// Everything there is to say about the annotations of a rule.
pub(crate) fn check(file: &RuleFile, rule: &Rule, shape: &Shape, found: &mut Vec<Diagnosis>) {
    let RuleKind::Alert { annotations, .. } = &rule.kind else { return };
    let mut say = |code, message: String, suggestion: Option<String>| {
        let Place { line, column } = rule.at;
        found.push(Diagnosis { code, file: file.name.clone(), line, column, subject: rule.name.clone(), message, suggestion });
    };
    for (name, text) in annotations {
        for (message, suggestion) in units(name, text, shape) {
            say(Code::UnitMismatch, message, Some(suggestion));
        }
        for label in asked_labels(text).into_iter().filter(|l| !shape.labels.may_have(l) && !rule.labels.iter().any(|(n, _)| n == l)) {
            let known: Vec<&str> = shape.labels.names().collect();
            let suggestion = if known.is_empty() { "keep it with by (…)".to_owned() } else { format!("the labels are {}", known.join(", ")) };
            say(Code::UnknownLabel, format!("{name} asks for the label {label}, which the result of the expression never has"), Some(suggestion));
        }
    }
}

/// What is said in another unit: why, and what to do.
fn units(name: &str, text: &str, shape: &Shape) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let plain = without_actions(text).to_lowercase();
    let values = values(text);
    if shape.quantity == Quantity::Rate {
        for (unit, factor) in [("hour", 3600), ("minute", 60), ("day", 86_400)] {
            if says_per(&plain, unit) {
                let suggestion = format!("multiply by {factor} or use increase() over that time, threshold too");
                said.push((format!("{name} says per {unit}, but the expression is per second"), suggestion));
            }
        }
        if values.iter().any(|value| value.through("humanizePercentage")) {
            let message = format!("{name} shows a percentage, but the expression is a number per second and no share");
            said.push((message, "divide by the rate of the whole, or show it with humanize".to_owned()));
        }
    }
    let per_second = |value: &Value<'_>| {
        let after = value.after.trim_start();
        ["/s", "/ s", "/sec", "/second", "per second", "per sec"].iter().any(|unit| after.strip_prefix(unit).is_some_and(ends_word))
    };
    let phrase = !values.is_empty() && says_per(&plain, "second");
    if shape.quantity == Quantity::Increase && (phrase || values.iter().any(per_second)) {
        let message = format!("{name} says per second, but the expression is a number over its whole window");
        said.push((message, "use rate(), threshold too, or name the window".to_owned()));
    }
    for value in &values {
        said.extend(of_value(name, value, shape));
    }
    said.truncate(2);
    said
}

/// A value that is shown in a form or before a unit that it does not have.
fn of_value(name: &str, value: &Value<'_>, shape: &Shape) -> Option<(String, String)> {
    let after = value.after.trim_start();
    let unit = |wanted: &str| after.strip_prefix(wanted).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let is_percent = shape.quantity == Quantity::Percent || shape.unit.starts_with("percent");
    let is_share = shape.quantity == Quantity::Ratio || (shape.unit == "ratio" && shape.quantity == Quantity::Gauge);
    let is_time = matches!(shape.quantity, Quantity::Gauge | Quantity::Unknown);
    if is_percent && value.through("humanizePercentage") {
        let message = format!("{name} shows a hundred times too much: humanizePercentage takes a share from 0 to 1, and the expression is in percent");
        return Some((message, "show it with humanize and %, or leave the factor 100 out of the expression".to_owned()));
    }
    if is_share && unit("%") && !value.computes() {
        let message = format!("{name} says percent, but the expression is a share: 0.9 is shown as 0.9 %");
        return Some((message, "show it with humanizePercentage".to_owned()));
    }
    let milliseconds = unit("ms") || unit("milliseconds");
    let seconds = unit("s") || unit("sec") || unit("seconds");
    if is_time && shape.unit == "seconds" && milliseconds && !value.computes() {
        return Some((format!("{name} says milliseconds, but the expression is in seconds"), "show it with humanizeDuration".to_owned()));
    }
    if is_time && shape.unit == "ms" && ((seconds && !value.computes()) || value.through("humanizeDuration")) {
        return Some((format!("{name} says seconds, but the expression is in milliseconds"), "divide the expression by 1000, threshold too".to_owned()));
    }
    None
}

/// A place where a template shows the value of the expression.
struct Value<'a> {
    /// What stands between the braces.
    inside: &'a str,
    /// What follows.
    after: &'a str,
}
impl Value<'_> {
    fn through(&self, function: &str) -> bool {
        self.inside.split(|c: char| !c.is_alphanumeric()).any(|word| word == function)
    }
    /// Whether a function makes another number or a text with a unit of it.
    fn computes(&self) -> bool {
        ["humanizePercentage", "humanizeDuration", "humanizeTimestamp", "query", "mul", "div"].iter().any(|function| self.through(function))
    }
}

fn values(text: &str) -> Vec<Value<'_>> {
    let shows = |inside: &str| inside.contains("$value") || inside.contains(".Value");
    actions(text).filter(|action| shows(action.inside)).map(|Action { inside, after, .. }| Value { inside, after }).collect()
}

/// Whether a text that has no actions any more speaks of something per unit. A part of an address is none.
fn says_per(text: &str, unit: &str) -> bool {
    text.match_indices(unit).any(|(at, _)| {
        let (Some(before), Some(after)) = (text.get(..at), text.get(at + unit.len()..)) else { return false };
        if !ends_word(after) {
            return false;
        }
        if let Some(before) = before.strip_suffix("per ") {
            return !before.ends_with(char::is_alphanumeric);
        }
        let Some(counted) = before.trim_end().strip_suffix('/') else { return false };
        let word = counted.rsplit(char::is_whitespace).next().unwrap_or_default();
        let is_number = word.parse::<f64>().is_ok();
        // What begins with a slash after a blank is a path, unless a number or a value stands before it, or blanks on both sides.
        let apart = before.ends_with(char::is_whitespace);
        let of_value = word.is_empty() && (apart || counted.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == ACTION));
        of_value || is_number || !(word.is_empty() || word.contains(['/', '.', ':']))
    })
}

/// Whether a word ends before this, and does not go on as an address does.
fn ends_word(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        None => true,
        Some('.' | ':' | '?') => next.next().is_none_or(char::is_whitespace),
        Some(c) => !c.is_alphanumeric() && !matches!(c, '/' | '-' | '_' | '=' | '#' | '&' | '%') && c != ACTION,
    }
}
