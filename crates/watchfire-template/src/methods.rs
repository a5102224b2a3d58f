//! Fields and methods of values: `.Labels.job`, `.GroupLabels.SortedPairs`, `.Alerts.Firing`, `.StartsAt.Format "15:04"`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::missing;
use super::value::{List, ListKind, Map, MapKind, Value};
use watchfire_model::order::Order as _;

/// What a field or method gives; `None` when the value has no such thing.
pub fn get(value: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    if let Some(result) = method(value, name, arguments) {
        return Some(result);
    }
    let field = match value {
        Value::Map(map) => Some(map.entries.get(name).cloned().unwrap_or_else(|| missing(map))),
        Value::Record(record) => record.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()),
        _ => None,
    }?;
    match arguments {
        [] => Some(Ok(field)),
        _ if matches!(value, Value::Map(_)) => Some(Err(format!("{name} is not a method but has arguments"))),
        _ => Some(Err(format!("{name} has arguments but cannot be invoked as function"))),
    }
}

/// Whether a name gives something that is made for it and lies nowhere in the data.
pub(super) fn makes(value: &Value, name: &str) -> bool {
    match value {
        Value::List(_) | Value::Time(_) => true,
        Value::Map(map) => map.kind == MapKind::KeyValues && matches!(name, "SortedPairs" | "Names" | "Values" | "Remove"),
        _ => false,
    }
}

fn method(value: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    match value {
        Value::Map(map) if map.kind == MapKind::KeyValues => key_values(map, name, arguments),
        Value::List(list) => match list.kind {
            ListKind::Alerts => alerts(list, name),
            ListKind::Pairs => pairs(list, name),
            ListKind::Plain => None,
        },
        Value::Time(time) => Some(match (name, arguments) {
            ("Format", [layout]) => match layout.as_text() {
                Some(layout) => Ok(Value::text(time.format(layout))),
                None => Err(wrong("string", layout)),
            },
            ("UTC", []) => Ok(Value::Time(time.utc())),
            ("Local", []) => time.within("Local").map(Value::Time),
            ("String", []) => Ok(Value::text(time.print())),
            ("IsZero", []) => Ok(Value::Bool(time.part("Year") == Some(1))),
            ("Add", [Value::Int(nanos) | Value::Duration(nanos)]) => Ok(Value::Time(time.add(*nanos))),
            ("Sub", [Value::Time(other)]) => Ok(Value::Duration(time.since(other))),
            ("After", [Value::Time(other)]) => Ok(Value::Bool(time.since(other) > 0)),
            ("Before", [Value::Time(other)]) => Ok(Value::Bool(time.since(other) < 0)),
            ("Equal", [Value::Time(other)]) => Ok(Value::Bool(time == other)),
            ("Month", []) => Ok(Value::text(time.month())),
            ("Weekday", []) => Ok(Value::text(time.weekday())),
            (name, []) => time.part(name).map(|n| Ok(Value::Int(n)))?,
            _ => return None,
        }),
        Value::Duration(nanos) => {
            let of = |unit: f64| Some(Ok(Value::Float(*nanos as f64 / unit)));
            match name {
                "Seconds" => of(1e9),
                "Minutes" => of(60e9),
                "Hours" => of(3600e9),
                "Nanoseconds" => Some(Ok(Value::Int(*nanos))),
                "Microseconds" => Some(Ok(Value::Int(nanos / 1_000))),
                "Milliseconds" => Some(Ok(Value::Int(nanos / 1_000_000))),
                "String" => Some(Ok(Value::text(super::time::duration(*nanos)))),
                _ => None,
            }
        }
        _ => None,
    }
}

fn wrong(expected: &str, got: &Value) -> String {
    format!("wrong type for value; expected {expected}; got {}", got.type_name())
}

/// The pairs of a map: `alertname` first, the others by name.
fn sorted(map: &Map) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = map.entries.iter().collect();
    all.order_by_key(|(name, _)| (*name != "alertname", *name));
    all
}

fn key_values(map: &Arc<Map>, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let value = match (name, arguments) {
        ("SortedPairs", []) => {
            let pair = |(name, value): (&String, &Value)| Value::record("template.Pair", vec![("Name", Value::text(name)), ("Value", value.clone())]);
            Value::list_of(ListKind::Pairs, sorted(map).into_iter().map(pair).collect())
        }
        ("Names", []) => Value::list(sorted(map).into_iter().map(|(name, _)| Value::text(name)).collect()),
        ("Values", []) => Value::list(sorted(map).into_iter().map(|(_, value)| value.clone()).collect()),
        ("Remove", [Value::List(names)]) => {
            let removed: Vec<&str> = names.items.iter().filter_map(Value::as_text).collect();
            let kept: BTreeMap<String, Value> =
                map.entries.iter().filter(|(n, _)| !removed.contains(&n.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect();
            Value::Map(Arc::new(Map { entries: kept, kind: map.kind }))
        }
        ("Remove", [other]) => return Some(Err(wrong("[]string", other))),
        ("Remove" | "SortedPairs" | "Names" | "Values", more) => {
            let want = usize::from(name == "Remove");
            return Some(Err(format!("wrong number of args for {name}: want {want} got {}", more.len())));
        }
        _ => return None,
    };
    Some(Ok(value))
}

fn alerts(list: &List, name: &str) -> Option<Result<Value, String>> {
    let status = match name {
        "Firing" => "firing",
        "Resolved" => "resolved",
        _ => return None,
    };
    let is = |alert: &&Value| matches!(get(alert, "Status", &[]), Some(Ok(found)) if found.as_text() == Some(status));
    Some(Ok(Value::list_of(ListKind::Plain, list.items.iter().filter(is).cloned().collect())))
}

fn pairs(list: &List, name: &str) -> Option<Result<Value, String>> {
    let all = |field: &str| list.items.iter().filter_map(|pair| get(pair, field, &[])?.ok()).collect::<Vec<_>>();
    match name {
        "Names" => Some(Ok(Value::list(all("Name")))),
        "Values" => Some(Ok(Value::list(all("Value")))),
        "String" => {
            let (names, values) = (all("Name"), all("Value"));
            let text = |v: &Value| v.as_text().unwrap_or("").to_owned();
            let parts: Vec<String> = names.iter().zip(&values).map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
            Some(Ok(Value::text(parts.join(", "))))
        }
        _ => None,
    }
}
