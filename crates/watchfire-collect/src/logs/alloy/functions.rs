//! The functions of Alloy's standard library that files use, by their present and their former names. One that computes nothing here is
//! refused by name, never passed over.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;
use watchfire_model::document::nearest;

use super::evaluate::{Names, failed};
use super::format::format;
use super::syntax::{Place, SyntaxError, Word};
use super::value::{Value, Valued};

/// The longest text that a function makes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Every function by its names.
const FUNCTIONS: [(&str, &str); 42] = [
    ("sys.env", "env"),
    ("env", "env"),
    ("string.format", "format"),
    ("format", "format"),
    ("string.join", "join"),
    ("join", "join"),
    ("string.replace", "replace"),
    ("replace", "replace"),
    ("string.split", "split"),
    ("split", "split"),
    ("string.to_lower", "to_lower"),
    ("to_lower", "to_lower"),
    ("string.to_upper", "to_upper"),
    ("to_upper", "to_upper"),
    ("string.trim", "trim"),
    ("trim", "trim"),
    ("string.trim_prefix", "trim_prefix"),
    ("trim_prefix", "trim_prefix"),
    ("string.trim_suffix", "trim_suffix"),
    ("trim_suffix", "trim_suffix"),
    ("string.trim_space", "trim_space"),
    ("trim_space", "trim_space"),
    ("array.concat", "concat"),
    ("concat", "concat"),
    ("coalesce", "coalesce"),
    ("encoding.from_json", "from_json"),
    ("json_decode", "from_json"),
    ("encoding.from_yaml", "from_yaml"),
    ("yaml_decode", "from_yaml"),
    ("encoding.to_json", "to_json"),
    ("encoding.from_base64", "from_base64"),
    ("base64_decode", "from_base64"),
    ("encoding.to_base64", "to_base64"),
    ("encoding.url_encode", "url_encode"),
    ("file.path_join", "path_join"),
    ("path_join", "path_join"),
    ("convert.nonsensitive", "nonsensitive"),
    ("nonsensitive", "nonsensitive"),
    ("json_path", "json_path"),
    ("encoding.json_path", "json_path"),
    ("array.combine_maps", "combine_maps"),
    ("array.group_by", "group_by"),
];

/// Whether a text is not too long to be made.
pub(super) fn text_size(bytes: usize, at: Place) -> Result<(), SyntaxError> {
    if bytes > TEXT_BYTES_MAX { failed(at, format!("the text would have more than {TEXT_BYTES_MAX} bytes")) } else { Ok(()) }
}

/// The value of a call.
pub(super) fn call(name: &str, arguments: Vec<Valued>, at: Place, names: &dyn Names) -> Result<Value, SyntaxError> {
    let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
        let hint = nearest(name, FUNCTIONS.iter().map(|(known, _)| *known)).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return failed(at, format!("there is no function {name:?}{hint}"));
    };
    if let Some(unknown) = arguments.iter().find_map(|argument| argument.value.unknown()) {
        return Ok(Value::Unknown(unknown.clone()));
    }
    let call = Call { name, arguments: &arguments, at };
    match *function {
        "env" => Ok(Value::computed(names.environment(call.text(0, 1)?).unwrap_or_default())),
        "format" => {
            let text = format(call.text_at(0)?, arguments.get(1..).unwrap_or(&[]), at)?;
            Ok(Value::computed(text))
        }
        "concat" => concat(call),
        "coalesce" => Ok(arguments.iter().find(|a| !is_empty(&a.value)).or(arguments.last()).map_or(Value::Null, |a| a.value.clone())),
        "join" => {
            let parts = call.texts(0)?;
            let separator = call.text(1, 2)?;
            text_size(parts.iter().map(|part| part.len() + separator.len()).sum(), at)?;
            Ok(Value::computed(parts.join(separator)))
        }
        "path_join" => {
            let parts = (0..arguments.len()).map(|i| call.text_at(i)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::computed(path_join(&parts)))
        }
        "nonsensitive" => call.one(0, 1).map(|value| value.value.clone()),
        "from_json" => decode(call.text(0, 1)?, at),
        "from_yaml" => from_yaml(call.text(0, 1)?, at),
        "to_json" => Ok(Value::computed(to_json(&call.one(0, 1)?.value).to_string())),
        "json_path" | "combine_maps" | "group_by" => Ok(Value::Unknown(format!("the function {name}").into())),
        _ => texts(function, call),
    }
}

/// A call that is carried out.
#[derive(Clone, Copy)]
struct Call<'a> {
    name: &'a str,
    arguments: &'a [Valued],
    at: Place,
}
impl<'a> Call<'a> {
    fn one(self, index: usize, count: usize) -> Result<&'a Valued, SyntaxError> {
        let found = self.arguments.get(index).filter(|_| self.arguments.len() == count);
        found.map_or_else(|| failed(self.at, format!("{} takes {count} arguments, not {}", self.name, self.arguments.len())), Ok)
    }
    /// A text among so many arguments.
    fn text(self, index: usize, count: usize) -> Result<&'a str, SyntaxError> {
        self.one(index, count)?;
        self.text_at(index)
    }
    fn text_at(self, index: usize) -> Result<&'a str, SyntaxError> {
        match self.arguments.get(index).map(|argument| (&argument.value, argument.at)) {
            Some((Value::Text { text, .. }, _)) => Ok(text),
            Some((other, at)) => failed(at, format!("{} needs a text here, not {}", self.name, other.shape())),
            None => failed(self.at, format!("{} needs a text", self.name)),
        }
    }
    fn texts(self, index: usize) -> Result<Vec<&'a str>, SyntaxError> {
        let argument = self.arguments.get(index).map_or_else(|| failed(self.at, format!("{} needs a list", self.name)), Ok)?;
        let Value::List(items) = &argument.value else {
            return failed(argument.at, format!("{} needs a list here, not {}", self.name, argument.value.shape()));
        };
        let text = |item: &'a Valued| match &item.value {
            Value::Text { text, .. } => Ok(&**text),
            other => failed(item.at, format!("{} needs texts, not {}", self.name, other.shape())),
        };
        items.iter().map(text).collect()
    }
}

/// Functions from texts to a text or a list of texts.
fn texts(function: &str, call: Call<'_>) -> Result<Value, SyntaxError> {
    let at = call.at;
    Ok(match function {
        "to_lower" => Value::computed(call.text(0, 1)?.to_lowercase()),
        "to_upper" => Value::computed(call.text(0, 1)?.to_uppercase()),
        "trim_space" => Value::computed(call.text(0, 1)?.trim()),
        "trim" => {
            let cut = call.text(1, 2)?;
            Value::computed(call.text(0, 2)?.trim_matches(|c| cut.contains(c)))
        }
        "trim_prefix" => {
            let (text, begin) = (call.text(0, 2)?, call.text(1, 2)?);
            Value::computed(text.strip_prefix(begin).unwrap_or(text))
        }
        "trim_suffix" => {
            let (text, end) = (call.text(0, 2)?, call.text(1, 2)?);
            Value::computed(text.strip_suffix(end).unwrap_or(text))
        }
        "replace" => {
            let (text, old, new) = (call.text(0, 3)?, call.text(1, 3)?, call.text(2, 3)?);
            text_size(text.len() + text.matches(old).count() * new.len(), at)?;
            Value::computed(text.replace(old, new))
        }
        "split" => {
            let (text, by) = (call.text(0, 2)?, call.text(1, 2)?);
            let parts: Vec<String> = if by.is_empty() { text.chars().map(String::from).collect() } else { text.split(by).map(str::to_owned).collect() };
            Value::List(parts.into_iter().map(|part| Valued { value: Value::computed(part), at }).collect())
        }
        "url_encode" => Value::computed(watchfire_template::query_escape(call.text(0, 1)?)),
        "to_base64" => Value::computed(BASE64.encode(call.text(0, 1)?)),
        "from_base64" => match BASE64.decode(call.text(0, 1)?.trim()).map(String::from_utf8) {
            Ok(Ok(text)) => Value::computed(text),
            _ => return failed(at, "the argument is no base64 of a text"),
        },
        _ => return failed(at, format!("{} is not carried out here", call.name)),
    })
}

fn concat(call: Call<'_>) -> Result<Value, SyntaxError> {
    let mut all = Vec::new();
    for argument in call.arguments {
        match &argument.value {
            Value::List(items) => all.extend(items.iter().cloned()),
            // Targets of a component are a list, whose items nobody knows yet.
            Value::Export(..) => all.push(argument.clone()),
            other => return failed(argument.at, format!("{} needs lists, not {}", call.name, other.shape())),
        }
    }
    Ok(Value::List(all))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Text { text, .. } => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Export(..) | Value::Unknown(_) => false,
    }
}

/// Parts of a path put together, with `.` and `..` carried out.
fn path_join(parts: &[&str]) -> String {
    let joined = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
    let absolute = joined.starts_with('/');
    let mut out: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if out.last().is_some_and(|last| *last != "..") => drop(out.pop()),
            ".." if absolute => {}
            part => out.push(part),
        }
    }
    match (absolute, out.is_empty()) {
        (true, _) => format!("/{}", out.join("/")),
        (false, true) if joined.is_empty() => String::new(),
        (false, true) => ".".to_owned(),
        (false, false) => out.join("/"),
    }
}

fn decode(text: &str, at: Place) -> Result<Value, SyntaxError> {
    match serde_json::from_str::<Json>(text) {
        Ok(json) => Ok(from_json(&json, at)),
        // The text may be a secret, so that only the place in it is told.
        Err(error) => failed(at, format!("the argument is no JSON, at line {} column {} of it", error.line(), error.column())),
    }
}

fn from_json(json: &Json, at: Place) -> Value {
    let inner = |json: &Json| Valued { value: from_json(json, at), at };
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::computed(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(inner).collect()),
        Json::Object(fields) => Value::Object(fields.iter().map(|(name, field)| (Word { text: name.as_str().into(), at }, inner(field))).collect()),
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Export(..) | Value::Unknown(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text { text, .. } => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(|item| to_json(&item.value)).collect()),
        Value::Object(fields) => Json::Object(fields.iter().map(|(name, field)| (name.text.to_string(), to_json(&field.value))).collect()),
    }
}

fn from_yaml(text: &str, at: Place) -> Result<Value, SyntaxError> {
    use watchfire_model::document::{Node, Value as Tree, parse_yaml};
    fn convert(node: &Node, at: Place) -> Value {
        let inner = |node: &Node| Valued { value: convert(node, at), at };
        match &node.value {
            Tree::Null => Value::Null,
            Tree::Scalar { text, .. } => match (node.as_bool(), node.as_f64()) {
                (Some(value), _) => Value::Bool(value),
                (None, Some(number)) => text.parse().map_or(Value::Float(number), Value::Int),
                (None, None) => Value::Text { text: text.clone(), literal: false },
            },
            Tree::List(items) => Value::List(items.iter().map(inner).collect()),
            Tree::Map(fields) => Value::Object(fields.iter().map(|(key, field)| (Word { text: Arc::clone(&key.text), at }, inner(field))).collect()),
        }
    }
    match parse_yaml("", text) {
        Ok(node) => Ok(convert(&node, at)),
        Err(finding) => failed(at, format!("the argument is no YAML, at line {} column {} of it", finding.line, finding.column)),
    }
}
