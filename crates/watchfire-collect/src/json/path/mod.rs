//! JSONPath in the dialect of Kubernetes' client, which json_exporter speaks: text with actions in braces (`{ .a.b }`, `{.list[*].x}`,
//! `{..name}`, `{.a['b','c']}`, `{.list[?(@.kind == "x")].value}`, `{range .list[*]}{.a} {end}`). Paths come from configuration and data
//! from strangers: both have limits. It fetches nothing.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;
use watchfire_ingest::exposition::format_value;

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
        eval::print(&self.roots, document, document, &mut out)?;
        Ok(out)
    }

    /// The values that it selects, for paths of one action.
    pub fn select<'a>(&'a self, document: &'a Value) -> Result<Vec<&'a Value>, EvalError> {
        match self.roots.as_slice() {
            [Root::Action(steps)] => eval::select(steps, document, document),
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
        other => other.to_string(),
    }
}
