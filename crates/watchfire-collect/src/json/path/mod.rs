//! JSONPath in the dialect of Kubernetes' client, which json_exporter speaks: text with actions in braces (`{ .a.b }`, `{.list[*].x}`,
//! `{..name}`, `{.a['b','c']}`, `{.list[?(@.kind == "x")].value}`, `{range .list[*]}{.a} {end}`). Paths come from configuration and data
//! from strangers: both have limits. It fetches nothing.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;
use watchfire_ingest::exposition::format_value;
use watchfire_model::order::Order;

pub use self::eval::EvalError;
pub use self::parse::ParseError;
use self::parse::Root;

/// The most values that one step may yield.
pub const RESULTS_MAX: usize = 100_000;
/// The longest text that a path may make.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// A path that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    roots: Vec<Root>,
    source: String,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Path, ParseError> {
        Ok(Path { roots: parse::parse(text)?, source: text.to_owned() })
    }

    /// The path as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it looks at nothing: a text that stands for itself.
    pub fn literal(&self) -> Option<&str> {
        match self.roots.as_slice() {
            [] => Some(""),
            [Root::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What it makes of a document, as text.
    pub fn text(&self, document: &Value) -> Result<String, EvalError> {
        let mut out = String::new();
        eval::print(&self.roots, document, &mut out)?;
        Ok(out)
    }

    /// The values that it selects, for paths of one action.
    pub fn select<'a>(&'a self, document: &'a Value) -> Result<Vec<&'a Value>, EvalError> {
        match self.roots.as_slice() {
            [Root::Action(steps)] => eval::select(steps, vec![document]),
            _ => Err(EvalError::NotOne),
        }
    }
}

/// A value as the original prints it: texts bare, numbers as Go does, nothing as `<nil>`, lists and objects as JSON.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format_value(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.clone(),
        other => {
            let mut out = String::new();
            write_json(other, &mut out);
            out
        }
    }
}

/// JSON as Go writes it: every number is one with a point inside, and what a page could take for markup is escaped.
fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_json(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.order_by(|a, b| a.0.cmp(b.0));
            for (at, (name, value)) in pairs.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                write_text(name, out);
                out.push(':');
                write_json(value, out);
            }
            out.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(0.0);
            if number != 0.0 && !(1e-6..1e21).contains(&number.abs()) {
                out.push_str(&format!("{number:e}").replace('e', if number.abs() < 1.0 { "e" } else { "e+" }));
            } else {
                out.push_str(&number.to_string());
            }
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, out: &mut String) {
    for c in Value::from(text).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}
