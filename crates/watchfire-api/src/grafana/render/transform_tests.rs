//! Every transformation on small tables: the page's own cases (`transform.test.ts`), so that pictures show what it shows.

use std::sync::Arc;

use serde_json::{Value, json};
use watchfire_model::labels::Labels;

use super::frames::{Cell, Field, Frame, Kind};
use super::transform::{Notes, transformed};

fn cell(value: &Value) -> Cell {
    match value {
        Value::Number(number) => Cell::Number(number.as_f64().unwrap()),
        Value::String(text) => Cell::text(text),
        _ => Cell::Nothing,
    }
}
fn cells(values: &Value) -> Vec<Cell> {
    values.as_array().unwrap().iter().map(cell).collect()
}

/// A series with its labels, its values a second from each other.
fn series(labels: Value, values: Value, ref_id: &str, legend: &str) -> Frame {
    let ref_id: Arc<str> = ref_id.into();
    let values = cells(&values);
    let times = (0..values.len()).map(|at| Cell::Number((at as f64 + 1.0) * 1_000.0)).collect();
    let labels = labels.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    let value = Field { labels: Labels::from_pairs(labels), given: legend.to_owned(), ..Field::new("Value", Kind::Number, values, &ref_id) };
    vec![Field::new("Time", Kind::Time, times, &ref_id), value]
}
fn kind(values: &[Cell]) -> Kind {
    if values.iter().any(|cell| cell.number().is_some()) { Kind::Number } else { Kind::Text }
}
fn table(columns: Value, ref_id: &str) -> Frame {
    let ref_id: Arc<str> = ref_id.into();
    let field = |(name, values): (&String, &Value)| {
        let kind = if name == "Time" { Kind::Time } else { kind(&cells(values)) };
        Field::new(name, kind, cells(values), &ref_id)
    };
    columns.as_object().unwrap().iter().map(field).collect()
}
/// Columns by the names that the reader sees, in their order.
fn shown(frames: &[Frame]) -> Value {
    let value = |cell: &Cell| match cell {
        Cell::Nothing => Value::Null,
        Cell::Number(number) if number.fract() == 0.0 => json!(*number as i64),
        Cell::Number(number) if number.is_nan() => json!("NaN"),
        Cell::Number(number) => json!(number),
        Cell::Text(text) => json!(&**text),
    };
    let column = |field: &Field| json!([field.title(), field.values.iter().map(value).collect::<Vec<_>>()]);
    frames.iter().map(|frame| frame.iter().map(column).collect::<Vec<_>>()).collect::<Vec<_>>().into()
}
fn run(id: &str, frames: &[Frame], options: Value) -> Value {
    let mut notes = Notes::default();
    let made = transformed(frames.to_vec(), &json!([{"id": id, "options": options}]), &mut notes);
    assert!(notes.0.is_empty(), "{id}: {:?}", notes.0);
    shown(&made)
}
/// What is expected, as the page's tests write it: tables as objects of columns.
fn tables(expected: Value) -> Value {
    let table = |table: &Value| table.as_object().unwrap().iter().map(|(name, values)| json!([name, values])).collect::<Vec<_>>();
    expected.as_array().unwrap().iter().map(table).collect::<Vec<_>>().into()
}
#[track_caller]
fn check(id: &str, frames: &[Frame], options: Value, expected: Value) {
    assert_eq!(run(id, frames, options.clone()), tables(expected), "{id} {options}");
}

fn loads() -> [Frame; 2] {
    [series(json!({"host": "a"}), json!([1, 3]), "A", "a"), series(json!({"host": "b"}), json!([2, 6]), "A", "b")]
}

#[test]
fn organize_hides_renames_and_orders() {
    let given = || [table(json!({"Time": [1], "host": ["a"], "Value": [5]}), "A")];
    let options = json!({"excludeByName": {"Time": true}, "renameByName": {"Value": "Load"}, "indexByName": {"Value": 0, "host": 1}});
    check("organize", &given(), options, json!([{"Load": [5], "host": ["a"]}]));
    check("organize", &given(), json!({"indexByName": {"Value": 0, "host": 1}}), json!([{"Value": [5], "host": ["a"], "Time": [1]}]));
    check("organize", &given(), json!({"includeByName": {"host": true}}), json!([{"host": ["a"]}]));
}

#[test]
fn fields_are_chosen_by_name() {
    let columns = [table(json!({"host": ["x"], "used": [1], "free": [2]}), "A")];
    check("filterFieldsByName", &columns, json!({"include": {"names": ["host"], "pattern": "/^us/"}}), json!([{"host": ["x"], "used": [1]}]));
    check("filterFieldsByName", &columns, json!({"exclude": {"id": "byRegexp", "options": "/^(us|fr)/"}}), json!([{"host": ["x"]}]));
}

#[test]
fn rows_are_sorted_and_limited() {
    let rows = [table(json!({"zone": ["n", "s", "n"], "Value": [1, 5, 3]}), "A")];
    check("sortBy", &rows, json!({"sort": [{"field": "Value", "desc": true}]}), json!([{"zone": ["s", "n", "n"], "Value": [5, 3, 1]}]));
    check("limit", &rows, json!({"limitField": "2"}), json!([{"zone": ["n", "s"], "Value": [1, 5]}]));
}

#[test]
fn fields_are_renamed_by_patterns() {
    check("renameByRegex", &loads()[..1], json!({"regex": "(.*)", "renamePattern": "host $1"}), json!([{"Time": [1000, 2000], "host a": [1, 3]}]));
}

/// What is not known is said, what is switched off is not done, and a filter leaves others alone.
#[test]
fn what_is_not_applied_is_told() {
    let mut notes = Notes::default();
    let steps = json!([
        {"id": "merge", "options": {}},
        {"id": "limit", "options": {"limitField": 1}, "disabled": true},
        {"id": "limit", "options": {"limitField": 1}, "filter": {"id": "byName", "options": "b"}},
        {"id": "renameByRegex", "options": {"regex": "(?=a)"}},
        {"id": "organize", "filter": {"id": "byWeather", "options": "rain"}},
    ]);
    let made = transformed(loads().to_vec(), &steps, &mut notes);
    assert_eq!(notes.0, ["not applied: merge", "not applied: renameByRegex", "not applied: byWeather"]);
    let rows = |frame: &Frame| (frame[1].title().to_owned(), frame[1].values.len());
    assert_eq!(made.iter().map(rows).collect::<Vec<_>>(), [("b".to_owned(), 1), ("a".to_owned(), 2)]);
    let mut notes = Notes::default();
    let many: Vec<Value> = (0..60).map(|_| json!({"id": "limit"})).collect();
    transformed(loads().to_vec(), &many.into(), &mut notes);
    assert_eq!(notes.0, ["not applied: limit"]);
}

#[test]
fn no_transformation_fails_on_nothing() {
    let odd = json!({"sort": 1, "include": 2, "exclude": {"id": "byNames", "options": 3}, "indexByName": [], "renameByName": {"a": 1}, "limitField": -1});
    for id in ["organize", "filterFieldsByName", "renameByRegex", "sortBy", "limit"] {
        for options in [json!({}), Value::Null, odd.clone()] {
            run(id, &[], options.clone());
            run(id, &[Frame::new()], options.clone());
            run(id, &[table(json!({"a": ["x"]}), "A"), series(json!({}), json!([null]), "A", "")], options);
        }
    }
}
