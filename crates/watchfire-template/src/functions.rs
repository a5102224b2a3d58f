//! Named functions with typed parameters, and those that every Go template has. What rules and notifications add stands in
//! `prometheus.rs` and `alertmanager.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use super::print;
use super::value::{ListKind, Value};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// `string`
    Text,
    /// `int`
    Int,
    /// A slice of strings.
    List,
    /// What `query` gives.
    Samples,
    /// One of them.
    Sample,
    /// `time.Time`
    Time,
}
impl Kind {
    /// The name of the Go type.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Kind::Any => "interface {}",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::List => "[]string",
            Kind::Samples => "template.queryResult",
            Kind::Sample => "*template.sample",
            Kind::Time => "time.Time",
        }
    }
}

type Run = dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync;

/// A function.
#[derive(Clone)]
pub(super) struct Function {
    pub(super) parameters: &'static [Kind],
    pub(super) variadic: Option<Kind>,
    pub(super) run: Arc<Run>,
}

/// Functions by name.
#[derive(Clone, Default)]
pub struct Functions(HashMap<&'static str, Function>);

impl Functions {
    /// Those of the language itself.
    pub fn builtin() -> Functions {
        let mut all = Functions::default();
        builtin(&mut all);
        all
    }
    /// Adds one with a fixed number of arguments.
    pub fn add(&mut self, name: &'static str, parameters: &'static [Kind], run: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static) {
        self.0.insert(name, Function { parameters, variadic: None, run: Arc::new(run) });
    }
    /// Adds one that takes any number of further arguments.
    pub fn add_variadic(
        &mut self,
        name: &'static str,
        parameters: &'static [Kind],
        more: Kind,
        run: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) {
        self.0.insert(name, Function { parameters, variadic: Some(more), run: Arc::new(run) });
    }
    /// Calls one by its name, whose arguments are as it takes them; outside of templates.
    pub fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        match self.0.get(name) {
            Some(function) if arguments.len() >= function.parameters.len() => (function.run)(arguments),
            _ => Err(format!("function {name:?} is not defined or takes more arguments")),
        }
    }
    pub(super) fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }
    /// Whether the parser may take the name for a function. `and`, `or` and `tmpl` are carried out by the engine.
    pub(super) fn knows(&self, name: &str) -> bool {
        matches!(name, "and" | "or") || self.0.contains_key(name)
    }
}

/// The text of an argument that is known to be one.
pub fn text(arguments: &[Value], at: usize) -> &str {
    arguments.get(at).and_then(Value::as_text).unwrap_or("")
}

fn builtin(all: &mut Functions) {
    all.add("not", &[Kind::Any], |a| Ok(Value::Bool(!a[0].is_true())));
    all.add("len", &[Kind::Any], |a| len(&a[0]));
    all.add_variadic("index", &[Kind::Any], Kind::Any, |a| a[1..].iter().try_fold(a[0].clone(), |value, key| index(&value, key)));
    all.add_variadic("slice", &[Kind::Any], Kind::Any, slice);
    all.add_variadic("print", &[], Kind::Any, |a| Ok(Value::text(print::sprint(a))));
    all.add_variadic("println", &[], Kind::Any, |a| Ok(Value::text(print::sprintln(a))));
    all.add_variadic("printf", &[Kind::Text], Kind::Any, |a| Ok(Value::text(print::sprintf(text(a, 0), &a[1..]))));
    all.add_variadic("html", &[], Kind::Any, |a| Ok(Value::text(super::html::escape(&print::sprint(a)))));
    all.add_variadic("urlquery", &[], Kind::Any, |a| Ok(Value::text(query_escape(&print::sprint(a)))));
    all.add_variadic("js", &[], Kind::Any, |a| Ok(Value::text(js(&print::sprint(a)))));
    all.add_variadic("call", &[Kind::Any], Kind::Any, |a| Err(format!("non-function {} of type {}", print::print(&a[0]), a[0].type_name())));
    all.add_variadic("eq", &[Kind::Any], Kind::Any, |a| {
        if a.len() < 2 {
            return Err("missing argument for comparison".into());
        }
        for other in &a[1..] {
            if a[0].equals(other)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    });
    all.add("ne", &[Kind::Any, Kind::Any], |a| Ok(Value::Bool(!a[0].equals(&a[1])?)));
    all.add("lt", &[Kind::Any, Kind::Any], |a| Ok(Value::Bool(a[0].compare(&a[1])?.is_some_and(|o| o.is_lt()))));
    all.add("le", &[Kind::Any, Kind::Any], |a| Ok(Value::Bool(a[0].compare(&a[1])?.is_some_and(|o| o.is_le()))));
    // Go makes these two of the others, which shows with NaN.
    all.add("gt", &[Kind::Any, Kind::Any], |a| Ok(Value::Bool(!a[0].compare(&a[1])?.is_some_and(|o| o.is_le()))));
    all.add("ge", &[Kind::Any, Kind::Any], |a| Ok(Value::Bool(!a[0].compare(&a[1])?.is_some_and(|o| o.is_lt()))));
}

fn len(value: &Value) -> Result<Value, String> {
    let len = match value {
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX)))
}

/// What a map gives for a name that it does not have.
pub(super) fn missing(map: &super::value::Map) -> Value {
    match map.kind {
        super::value::MapKind::Any => Value::Nil,
        _ => Value::text(""),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match value {
        Value::Map(map) => match key.as_text() {
            Some(key) => Ok(map.entries.get(key).cloned().unwrap_or_else(|| missing(map))),
            None if matches!(key, Value::Nil) => Err("value is nil; should be of type string".into()),
            None => Err(format!("value has type {}; should be string", key.type_name())),
        },
        Value::List(list) => list.items.get(position(key, list.items.len())?).cloned().ok_or_else(|| out_of_range(key)),
        Value::Text(text) | Value::Html(text) => {
            let at = position(key, text.len())?;
            text.as_bytes().get(at).map(|b| Value::Int(i64::from(*b))).ok_or_else(|| out_of_range(key))
        }
        Value::Nil => Err("index of untyped nil".into()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

fn out_of_range(key: &Value) -> String {
    format!("index out of range: {}", print::print(key))
}

fn position(key: &Value, len: usize) -> Result<usize, String> {
    match key {
        Value::Int(at) => usize::try_from(*at).ok().filter(|at| *at <= len).ok_or_else(|| out_of_range(key)),
        Value::Nil => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let len = match &arguments[0] {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Nil => return Err("slice of untyped nil".into()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if arguments.len() > 4 {
        return Err(format!("too many slice indexes: {}", arguments.len() - 1));
    }
    let at = |n: usize, default: usize| arguments.get(n).map_or(Ok(default), |key| position(key, len));
    let (from, to) = (at(1, 0)?, at(2, len)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match &arguments[0] {
        Value::List(list) => Ok(Value::list_of(ListKind::Plain, list.items[from..to].to_vec())),
        value => Ok(Value::text(String::from_utf8_lossy(&value.as_text().unwrap_or("").as_bytes()[from..to]))),
    }
}

/// `url.QueryEscape`. It ends once it is longer than a text may be.
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if out.len() > print::TEXT_RESULT_BYTES_MAX {
            break;
        }
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if out.len() > print::TEXT_RESULT_BYTES_MAX {
            break;
        }
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if c.is_control() => out += &format!("\\u{:04X}", c as u32),
            c => out.push(c),
        }
    }
    out
}
