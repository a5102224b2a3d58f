//! The functions of notification templates. Names and texts are those of Alertmanager's notification reference; the data are made
//! by whoever notifies.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use watchfire_model::time::SharedClock;

use super::prometheus::{expression, humanize_duration, to_float};
use watchfire_template::{Functions, GoTime, Kind, Map, MapKind, Value, text};

/// The functions that notification templates may call.
pub fn notification_functions(clock: SharedClock) -> Functions {
    let mut all = Functions::builtin();
    all.add("toUpper", &[Kind::Text], |a| Ok(Value::text(text(a, 0).to_uppercase())));
    all.add("toLower", &[Kind::Text], |a| Ok(Value::text(text(a, 0).to_lowercase())));
    all.add("title", &[Kind::Text], |a| Ok(Value::text(title(text(a, 0)))));
    all.add("trimSpace", &[Kind::Text], |a| Ok(Value::text(text(a, 0).trim())));
    all.add("join", &[Kind::Text, Kind::List], |a| {
        let Value::List(list) = &a[1] else { return Ok(Value::Nil) };
        let parts: Vec<&str> = list.items.iter().filter_map(Value::as_text).collect();
        Ok(Value::text(parts.join(text(a, 0))))
    });
    all.add("match", &[Kind::Text, Kind::Text], |a| Ok(Value::Bool(expression(text(a, 0))?.is_match(text(a, 1)))));
    all.add("reReplaceAll", &[Kind::Text, Kind::Text, Kind::Text], |a| Ok(Value::text(expression(text(a, 0))?.replace_all(text(a, 2), text(a, 1)))));
    all.add("safeHtml", &[Kind::Text], |a| Ok(Value::Html(text(a, 0).into())));
    all.add("safeUrl", &[Kind::Text], |a| Ok(Value::Html(text(a, 0).into())));
    all.add("urlUnescape", &[Kind::Text], |a| {
        let spaced = text(a, 0).replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(Value::text).map_err(|_| format!("invalid URL escape in {:?}", text(a, 0)))
    });
    all.add_variadic("stringSlice", &[], Kind::Text, |a| Ok(Value::list(a.to_vec())));
    all.add_variadic("list", &[], Kind::Any, |a| Ok(Value::list(a.to_vec())));
    all.add_variadic("append", &[Kind::List], Kind::Any, |a| {
        let Value::List(list) = &a[0] else { return Ok(Value::Nil) };
        Ok(Value::list(list.items.iter().chain(&a[1..]).cloned().collect()))
    });
    all.add_variadic("dict", &[], Kind::Any, |a| {
        if a.len() % 2 != 0 {
            return Err("dict expects an even number of arguments".into());
        }
        let mut entries = std::collections::BTreeMap::new();
        for pair in a.chunks_exact(2) {
            let key = pair[0].as_text().ok_or_else(|| format!("dict keys must be strings, got {}", pair[0].type_name()))?;
            entries.insert(key.to_owned(), pair[1].clone());
        }
        Ok(Value::Map(Arc::new(Map { entries, kind: MapKind::Any })))
    });
    all.add("date", &[Kind::Text, Kind::Time], |a| match &a[1] {
        Value::Time(time) => Ok(Value::text(time.format(text(a, 0)))),
        _ => Ok(Value::Nil),
    });
    all.add("tz", &[Kind::Text, Kind::Time], |a| match &a[1] {
        Value::Time(time) => time.within(text(a, 0)).map(Value::Time),
        _ => Ok(Value::Nil),
    });
    all.add("since", &[Kind::Time], move |a| match &a[0] {
        Value::Time(time) => Ok(Value::Duration(GoTime::from_millis(clock.now().millis()).since(time))),
        _ => Ok(Value::Nil),
    });
    all.add("humanizeDuration", &[Kind::Any], |a| to_float(&a[0]).map(|seconds| Value::text(humanize_duration(seconds))));
    all.add("toJson", &[Kind::Any], |a| Ok(Value::text(json(&a[0]))));
    all
}

/// Every word with one capital, the rest in lower case.
fn title(text: &str) -> String {
    let mut begins = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' || c == '_' {
            if begins {
                out.extend(c.to_uppercase())
            } else {
                out.extend(c.to_lowercase())
            }
            begins = false;
        } else {
            out.push(c);
            begins = true;
        }
    }
    out
}

fn json(value: &Value) -> String {
    match value {
        Value::Nil => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) | Value::Duration(value) => value.to_string(),
        Value::Float(value) => serde_json::Number::from_f64(*value).map_or_else(|| "null".to_owned(), |n| n.to_string()),
        Value::Text(text) | Value::Html(text) => json_text(text),
        Value::Time(time) => json_text(&time.format("2006-01-02T15:04:05.999999999Z07:00")),
        Value::List(list) => format!("[{}]", list.items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Map(map) => object(map.entries.iter().map(|(name, value)| (name.as_str(), value))),
        Value::Record(record) => object(record.fields.iter().map(|(name, value)| (*name, value))),
    }
}

/// Go's encoder keeps what could be HTML out of its texts.
fn json_text(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let entries = entries.map(|(name, value)| format!("{}:{}", json_text(name), json(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}
