//! Beats' way with YAML: a key `a.b` is `a: {b: …}`, and `${NAME:default}` is looked up. Places stay those of the file.

use serde_json::{Map, Value as Json};
use watchfire_model::document::{Key, Node, Value};

/// The tree with keys taken apart and variables filled in.
pub(super) fn expand(node: &Node, environment: &dyn Fn(&str) -> Option<String>) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Scalar { text, plain } => {
            let filled = fill(text, environment);
            match filled {
                Some(filled) if filled.is_empty() && *plain => Value::Null,
                Some(filled) => Value::Scalar { text: filled.into(), plain: *plain },
                None => Value::Scalar { text: text.clone(), plain: *plain },
            }
        }
        Value::List(items) => Value::List(items.iter().map(|item| expand(item, environment)).collect()),
        Value::Map(entries) => {
            let mut out = Vec::new();
            for (key, value) in entries {
                put(&mut out, key, &key.text, expand(value, environment));
            }
            Value::Map(out)
        }
    };
    Node { value, line: node.line, column: node.column }
}

fn put(out: &mut Vec<(Key, Node)>, key: &Key, path: &str, value: Node) {
    let (name, rest) = path.split_once('.').filter(|(name, rest)| !name.is_empty() && !rest.is_empty()).map_or((path, None), |(n, r)| (n, Some(r)));
    let value = match rest {
        None => value,
        Some(rest) => {
            let mut inner = Vec::new();
            put(&mut inner, key, rest, value);
            Node { value: Value::Map(inner), line: key.line, column: key.column }
        }
    };
    match out.iter_mut().find(|(known, _)| &*known.text == name) {
        None => out.push((Key { text: name.into(), line: key.line, column: key.column }, value)),
        Some((_, known)) => match (&mut known.value, value.value) {
            (Value::Map(all), Value::Map(more)) => more.into_iter().for_each(|(key, value)| {
                let path = key.text.to_string();
                put(all, &key, &path, value);
            }),
            (known, value) => *known = value,
        },
    }
}

/// A text with variables filled in; nothing when it has none. One that nobody knows and that has no default is empty.
fn fill(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if !text.contains("${") {
        return None;
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        out.push_str(before);
        let Some((inside, after)) = behind.split_once('}') else {
            out.push_str("${");
            rest = behind;
            continue;
        };
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        out.push_str(&environment(name).unwrap_or_else(|| default.to_owned()));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// A node as JSON: plain scalars may be numbers and booleans.
pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar { text, .. } => {
            let number = || node.as_f64().and_then(|_| text.parse::<serde_json::Number>().ok()).map(Json::Number);
            node.as_bool().map(Json::Bool).or_else(number).unwrap_or_else(|| Json::String(text.to_string()))
        }
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => Json::Object(entries.iter().map(|(key, value)| (key.text.to_string(), to_json(value))).collect::<Map<_, _>>()),
    }
}
