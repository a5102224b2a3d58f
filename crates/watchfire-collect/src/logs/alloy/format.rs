//! `string.format`: verbs as Go's `fmt` has them, as far as they mean something for a configuration's values.

use super::evaluate::failed;
use super::functions::text_size;
use super::syntax::{Place, SyntaxError};
use super::value::{Value, Valued};

/// The widest that a value is made.
const WIDTH_MAX: usize = 1_000;

/// Puts values in the place of verbs.
pub(super) fn format(pattern: &str, arguments: &[Valued], at: Place) -> Result<String, SyntaxError> {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    let mut arguments = arguments.iter();
    while let Some(c) = rest.next() {
        text_size(out.len(), at)?;
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = rest.next_if(|c| matches!(c, '+' | '-' | '#' | '0' | ' ')) {
            flags.push(flag);
        }
        let width = digits(&mut rest);
        let precision = rest.next_if_eq(&'.').map(|_| digits(&mut rest).unwrap_or(0));
        if width.unwrap_or(0) > WIDTH_MAX || precision.unwrap_or(0) > WIDTH_MAX {
            return failed(at, format!("format makes nothing wider than {WIDTH_MAX}"));
        }
        let Some(verb) = rest.next() else { return failed(at, "format: the pattern ends within a verb") };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(argument) = arguments.next() else { return failed(at, format!("format: there is no argument for %{verb}")) };
        let text = one(verb, &flags, precision, argument)?;
        out.push_str(&pad(text, &flags, width.unwrap_or(0)));
    }
    match arguments.next() {
        Some(argument) => failed(argument.at, "format: no verb takes this argument"),
        None => Ok(out),
    }
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut text = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    if text.is_empty() { None } else { Some(text.parse().unwrap_or(usize::MAX)) }
}

fn one(verb: char, flags: &str, precision: Option<usize>, argument: &Valued) -> Result<String, SyntaxError> {
    let number = match &argument.value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    };
    let signed = |text: String| if flags.contains('+') && !text.starts_with('-') { format!("+{text}") } else { text };
    let text = match (verb, &argument.value) {
        ('s' | 'v', Value::Text { text, .. }) => precision.map_or_else(|| text.to_string(), |n| text.chars().take(n).collect()),
        ('q', Value::Text { text, .. }) => format!("{text:?}"),
        ('v' | 't', Value::Bool(value)) => value.to_string(),
        ('v' | 'd', Value::Int(value)) => signed(value.to_string()),
        ('x', Value::Int(value)) => format!("{value:x}"),
        ('X', Value::Int(value)) => format!("{value:X}"),
        ('o', Value::Int(value)) => format!("{value:o}"),
        ('b', Value::Int(value)) => format!("{value:b}"),
        ('d', Value::Float(value)) if value.fract() == 0.0 => signed(format!("{value:.0}")),
        ('v' | 'g', Value::Int(_) | Value::Float(_)) => signed(number.unwrap_or(f64::NAN).to_string()),
        ('f' | 'F', Value::Int(_) | Value::Float(_)) => signed(format!("{:.*}", precision.unwrap_or(6), number.unwrap_or(f64::NAN))),
        (verb, other) => return failed(argument.at, format!("format: %{verb} does not take {}", other.shape())),
    };
    Ok(text)
}

fn pad(text: String, flags: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if flags.contains('-') {
        return format!("{text}{}", " ".repeat(missing));
    }
    match (flags.contains('0'), text.strip_prefix('-')) {
        (true, Some(digits)) => format!("-{}{digits}", "0".repeat(missing)),
        (true, None) => format!("{}{text}", "0".repeat(missing)),
        (false, _) => format!("{}{text}", " ".repeat(missing)),
    }
}
