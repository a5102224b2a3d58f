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
fn reduce_gives_a_row_for_each_series_or_a_value_for_each_field() {
    check("reduce", &loads(), json!({"reducers": ["max", "mean"]}), json!([{"Field": ["a", "b"], "Max": [3, 6], "Mean": [2, 4]}]));
    check("reduce", &loads(), json!({"reducers": ["max"], "labelsToFields": true}), json!([{"host": ["a", "b"], "Max": [3, 6]}]));
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
fn merge_puts_queries_side_by_side_and_rows_with_the_same_labels_together() {
    let a = table(json!({"host": ["x", "y"], "Value": [1, 2]}), "A");
    let b = table(json!({"host": ["y", "x"], "Value": [20, 10]}), "B");
    check("merge", &[a, b], json!({}), json!([{"host": ["x", "y"], "Value #A": [1, 2], "Value #B": [10, 20]}]));
}

#[test]
fn filters_by_name_by_query_by_value() {
    let columns = [table(json!({"host": ["x"], "used": [1], "free": [2]}), "A")];
    check("filterFieldsByName", &columns, json!({"include": {"names": ["host"], "pattern": "/^us/"}}), json!([{"host": ["x"], "used": [1]}]));
    check("filterFieldsByName", &columns, json!({"exclude": {"id": "byRegexp", "options": "/^(us|fr)/"}}), json!([{"host": ["x"]}]));
    let rows = [table(json!({"host": ["x", "y", "z"], "Value": [1, 5, 9]}), "A")];
    let of = |name: &str, id: &str, options: Value| json!({"fieldName": name, "config": {"id": id, "options": options}});
    let both = json!([of("Value", "greater", json!({"value": 4})), of("host", "regex", json!({"value": "^[xy]$"}))]);
    check("filterByValue", &rows, json!({"type": "include", "match": "all", "filters": both}), json!([{"host": ["y"], "Value": [5]}]));
    let between = json!([of("Value", "between", json!({"from": 4, "to": 10}))]);
    check("filterByValue", &rows, json!({"type": "exclude", "match": "any", "filters": between}), json!([{"host": ["x"], "Value": [1]}]));
    let equal = json!([of("Value", "equal", json!({"value": "5"})), of("host", "substring", json!({"value": "Z"}))]);
    check("filterByValue", &rows, json!({"filters": equal}), json!([{"host": ["y", "z"], "Value": [5, 9]}]));
}

#[test]
fn fields_are_calculated() {
    let rows = [table(json!({"used": [1, 3], "all": [4, 4]}), "A")];
    let last = |options: Value| run("calculateField", &rows, options)[0].as_array().unwrap().last().cloned().unwrap();
    let binary = |left: Value, operator: &str, right: Value, alias: &str| {
        last(json!({"mode": "binary", "binary": {"left": left, "operator": operator, "right": right}, "alias": alias}))
    };
    assert_eq!(binary(json!("used"), "/", json!("all"), "share"), json!(["share", [0.25, 0.75]]));
    assert_eq!(binary(json!({"matcher": {"id": "byName", "options": "used"}}), "*", json!({"fixed": "100"}), "pct"), json!(["pct", [100, 300]]));
    assert_eq!(binary(json!("used"), "-", json!("2"), ""), json!(["used - 2", [-1, 1]]));
    let sum = json!({"mode": "reduceRow", "reduce": {"reducer": "sum", "include": ["used", "all"]}, "replaceFields": true});
    check("calculateField", &rows, sum, json!([{"Total": [5, 7]}]));
}

#[test]
fn rows_are_grouped_sorted_and_limited() {
    let rows = [table(json!({"zone": ["n", "s", "n"], "Value": [1, 5, 3]}), "A")];
    let fields = json!({"zone": {"operation": "groupby", "aggregations": []}, "Value": {"operation": "aggregate", "aggregations": ["sum", "max"]}});
    check("groupBy", &rows, json!({"fields": fields}), json!([{"zone": ["n", "s"], "Value (sum)": [4, 5], "Value (max)": [3, 5]}]));
    check("sortBy", &rows, json!({"sort": [{"field": "Value", "desc": true}]}), json!([{"zone": ["s", "n", "n"], "Value": [5, 3, 1]}]));
    check("limit", &rows, json!({"limitField": "2"}), json!([{"zone": ["n", "s"], "Value": [1, 5]}]));
}

#[test]
fn labels_become_fields_and_series_rows() {
    let one = [series(json!({"host": "a", "zone": "n"}), json!([1]), "A", "")];
    check("labelsToFields", &one, json!({}), json!([{"Time": [1000], "host": ["a"], "zone": ["n"], "Value": [1]}]));
    let two = [series(json!({"host": "a"}), json!([1]), "A", ""), series(json!({"host": "b"}), json!([2]), "A", "")];
    check("labelsToFields", &two, json!({}), json!([{"Time": [1000, 1000], "host": ["a", "b"], "Value": [1, 2]}]));
    check("labelsToFields", &two[..1], json!({"valueLabel": "host"}), json!([{"Time": [1000], "a": [1]}]));
    check("seriesToRows", &loads(), json!({}), json!([{"Time": [2000, 2000, 1000, 1000], "Metric": ["a", "b", "a", "b"], "Value": [3, 6, 1, 2]}]));
}

#[test]
fn tables_are_joined() {
    let [a, _] = loads();
    let id: Arc<str> = "B".into();
    let c = Field { given: "c".to_owned(), ..Field::new("Value", Kind::Number, cells(&json!([7, 8])), &id) };
    let late = vec![Field::new("Time", Kind::Time, cells(&json!([2000, 3000])), &id), c];
    let both = [a, late];
    check("joinByField", &both, json!({"byField": "Time", "mode": "outer"}), json!([{"Time": [1000, 2000, 3000], "a": [1, 3, null], "c": [null, 7, 8]}]));
    check("seriesToColumns", &both, json!({"byField": "Time", "mode": "inner"}), json!([{"Time": [2000], "a": [3], "c": [7]}]));
    let hosts = [table(json!({"host": ["x", "y"], "up": [1, 0]}), "A"), table(json!({"host": ["y"], "load": [3]}), "B")];
    check("joinByField", &hosts, json!({"byField": "host"}), json!([{"host": ["x", "y"], "up": [1, 0], "load": [null, 3]}]));
}

#[test]
fn fields_are_renamed_by_patterns() {
    check("renameByRegex", &loads()[..1], json!({"regex": "(.*)", "renamePattern": "host $1"}), json!([{"Time": [1000, 2000], "host a": [1, 3]}]));
    check("joinByField", &loads(), json!({}), json!([{"Time": [1000, 2000], "a": [1, 3], "b": [2, 6]}]));
}

/// What is not known is said, what is switched off is not done, and a filter leaves others alone.
#[test]
fn what_is_not_applied_is_told() {
    let mut notes = Notes::default();
    let steps = json!([
        {"id": "regression", "options": {}},
        {"id": "limit", "options": {"limitField": 1}, "disabled": true},
        {"id": "limit", "options": {"limitField": 1}, "filter": {"id": "byRefId", "options": "Z"}},
        {"id": "reduce", "options": {"reducers": ["allValues"]}, "filter": {"id": "byName", "options": "nobody"}},
        {"id": "renameByRegex", "options": {"regex": "(?=a)"}},
        {"id": "calculateField", "options": {"mode": "windowFunctions"}},
        {"id": "reduce", "options": {"mode": "reduceFields"}, "filter": {"id": "byName", "options": "nobody"}},
    ]);
    let made = transformed(loads().to_vec(), &steps, &mut notes);
    assert_eq!(
        notes.0,
        ["not applied: regression", "not applied: allValues", "not applied: renameByRegex", "not applied: windowFunctions", "not applied: reduce"]
    );
    assert_eq!(made.iter().map(|frame| frame[1].values.len()).collect::<Vec<_>>(), [2, 2]);
    let mut notes = Notes::default();
    let many: Vec<Value> = (0..60).map(|_| json!({"id": "limit"})).collect();
    transformed(loads().to_vec(), &many.into(), &mut notes);
    assert_eq!(notes.0, ["not applied: limit"]);
}

#[test]
fn no_transformation_fails_on_nothing_and_none_grows_without_end() {
    const ALL: [&str; 14] = [
        "organize",
        "filterFieldsByName",
        "filterByValue",
        "renameByRegex",
        "sortBy",
        "limit",
        "calculateField",
        "reduce",
        "merge",
        "joinByField",
        "seriesToColumns",
        "seriesToRows",
        "labelsToFields",
        "groupBy",
    ];
    let empty = Frame::new();
    let odd = json!({"sort": 1, "filters": [1, {}], "include": 2, "exclude": {"id": "byNames", "options": 3}, "fields": [], "binary": {"left": 1}, "byField": 4, "reducers": [5]});
    for id in ALL {
        for options in [json!({}), Value::Null, odd.clone()] {
            run(id, &[], options.clone());
            run(id, std::slice::from_ref(&empty), options.clone());
            run(id, &[table(json!({"a": ["x"]}), "A"), series(json!({}), json!([null]), "A", "")], options);
        }
    }
    let ref_id: Arc<str> = "A".into();
    let numbers = |from: usize| (from..from + 2_000).map(|n| Cell::Number(n as f64)).collect::<Vec<_>>();
    let column = |name: &str, from| Field::new(name, Kind::Number, numbers(from), &ref_id);
    let mut notes = Notes::default();
    let tables: Vec<Frame> = (0..40).map(|at| vec![column("key", at * 2_000), column(&format!("v{at}"), 0)]).collect();
    let made = transformed(tables, &json!([{"id": "joinByField", "options": {"byField": "key"}}]), &mut notes);
    let [note] = notes.0.as_slice() else { panic!("{:?}", notes.0) };
    let count = made[0][0].values.len();
    assert!(count * made[0].len() <= 1_000_000 && note == &format!("only {count} of 80000 rows"), "{note}");
}
