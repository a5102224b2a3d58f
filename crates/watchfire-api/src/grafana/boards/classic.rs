//! Dashboards in other shapes than the classic one, made classic: those that stand in an object of Grafana's newer interface (`apiVersion`,
//! `metadata`, `spec`), those of its second schema (elements and a layout), and panels of a library that a file brings along. What the classic
//! shape has no place for is left out. There is no way back: what is saved is classic.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::BOARD_BYTES_MAX;

/// How deep layouts may stand in each other.
const DEPTH_MAX: usize = 8;
/// Columns of the grid, of a layout that fills itself, and how high its panels are.
const COLUMNS: i64 = 24;
const AUTO_COLUMNS: i64 = 3;
const AUTO_HEIGHT: i64 = 9;
/// Rows of the grid that a layout may have.
const ROWS_MAX: i64 = 100_000;
/// Numbers of rows, which the second schema does not number.
const ROW_IDS: i64 = 900_000;
/// Orders of a variable's values, by their numbers.
const SORTS: [&str; 9] = [
    "disabled",
    "alphabeticalAsc",
    "alphabeticalDesc",
    "numericalAsc",
    "numericalDesc",
    "alphabeticalCaseInsensitiveAsc",
    "alphabeticalCaseInsensitiveDesc",
    "naturalAsc",
    "naturalDesc",
];

type Fields = Map<String, Value>;

/// The classic shape of whatever somebody brought.
pub(in super::super) fn classic(mut given: Fields) -> Fields {
    if given.contains_key("apiVersion")
        && let Some(Value::Object(mut spec)) = given.remove("spec")
    {
        let name = given.get("metadata").map(|m| text(m, "name").to_owned()).unwrap_or_default();
        if !name.is_empty() {
            spec.insert("uid".to_owned(), name.into());
        }
        given = spec;
    }
    if given.get("elements").is_some_and(Value::is_object) {
        given = of_second(given);
    }
    with_library(&mut given);
    given
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn part<'a>(value: &'a Value, key: &str) -> &'a Value {
    static NOTHING: Value = Value::Null;
    value.get(key).unwrap_or(&NOTHING)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value, key: &str, unsaid: i64, most: i64) -> i64 {
    value.get(key).and_then(|n| n.as_i64().or_else(|| n.as_f64().map(|n| n as i64))).unwrap_or(unsaid).clamp(0, most)
}

/// The first text that says something.
fn either<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}

/// A dashboard of the second schema.
fn of_second(mut spec: Fields) -> Fields {
    let elements = match spec.remove("elements") {
        Some(Value::Object(elements)) => elements,
        _ => Fields::new(),
    };
    let spec = Value::Object(spec);
    let mut laying = Laying { elements, panels: Vec::new(), rows: 0 };
    laying.lay(part(&spec, "layout"), 0, 0);
    let time = part(&spec, "timeSettings");
    let or = |key: &str, unsaid: &str| either(text(time, key), unsaid).to_owned();
    let tooltip = ["Off", "Crosshair", "Tooltip"].iter().position(|word| *word == text(&spec, "cursorSync")).unwrap_or(0);
    let board = json!({
        "uid": text(&spec, "uid"), "title": text(&spec, "title"), "description": text(&spec, "description"), "tags": list(&spec, "tags"),
        "editable": part(&spec, "editable").as_bool().unwrap_or(true), "timezone": text(time, "timezone"),
        "time": {"from": or("from", "now-6h"), "to": or("to", "now")}, "refresh": text(time, "autoRefresh"),
        "timepicker": {"refresh_intervals": list(time, "autoRefreshIntervals")}, "schemaVersion": 41, "graphTooltip": tooltip, "links": list(&spec, "links"),
        "templating": {"list": list(&spec, "variables").iter().map(variable).collect::<Vec<_>>()},
        "annotations": {"list": list(&spec, "annotations").iter().map(annotation).collect::<Vec<_>>()},
        "panels": laying.panels,
    });
    let Value::Object(mut board) = board else { return Fields::new() };
    if text(&spec, "uid").is_empty() {
        board.remove("uid");
    }
    board
}

/// What a query asks: `group` and `datasource.name` of the schema's later form, `kind` of the one before.
fn source(query: &Value, beside: &Value) -> Value {
    let kind = match either(text(query, "group"), text(query, "kind")) {
        "DataQuery" => "",
        kind => kind,
    };
    let named = part(query, "datasource");
    let uid = either(either(text(named, "name"), text(named, "uid")), text(beside, "uid"));
    let mut source = Fields::new();
    for (key, word) in [("type", kind), ("uid", uid)] {
        if !word.is_empty() {
            source.insert(key.to_owned(), word.into());
        }
    }
    if source.is_empty() { beside.clone() } else { Value::Object(source) }
}

fn fields(value: &Value) -> Fields {
    value.as_object().cloned().unwrap_or_default()
}

fn variable(given: &Value) -> Value {
    let spec = part(given, "spec");
    let kind = text(given, "kind").trim_end_matches("Variable").to_ascii_lowercase();
    let mut out = fields(spec);
    let hide = ["dontHide", "hideLabel", "hideVariable"].iter().position(|word| *word == text(spec, "hide")).unwrap_or(0);
    let sort = SORTS.iter().position(|word| *word == text(spec, "sort")).unwrap_or(0);
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("type", if kind == "text" { "textbox".into() } else { kind.as_str().into() });
    put("hide", hide.into());
    put("sort", sort.into());
    let query = part(spec, "query");
    if query.is_object() {
        put("query", part(query, "spec").clone());
        put("datasource", source(query, part(spec, "datasource")));
    }
    match kind.as_str() {
        "datasource" => put("query", text(spec, "pluginId").into()),
        "switch" => put("current", json!({"value": text(spec, "current")})),
        _ => {}
    }
    Value::Object(out)
}

fn annotation(given: &Value) -> Value {
    let spec = part(given, "spec");
    let query = part(spec, "query");
    let mut out = fields(part(spec, "legacyOptions"));
    out.extend(fields(part(query, "spec")));
    for key in ["name", "hide", "iconColor", "filter"] {
        if let Some(value) = spec.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    out.insert("enable".to_owned(), part(spec, "enable").as_bool().unwrap_or(true).into());
    out.insert("builtIn".to_owned(), u8::from(part(spec, "builtIn").as_bool() == Some(true)).into());
    out.insert("datasource".to_owned(), source(query, part(spec, "datasource")));
    Value::Object(out)
}

/// A panel out of its element.
fn panel(element: &Value) -> Fields {
    let spec = part(element, "spec");
    if text(element, "kind") == "LibraryPanel" {
        return fields(&json!({"id": spec.get("id"), "title": text(spec, "title"), "libraryPanel": part(spec, "libraryPanel")}));
    }
    let (group, viz) = (part(part(spec, "data"), "spec"), part(spec, "vizConfig"));
    let mut out = fields(part(group, "queryOptions"));
    let targets = list(group, "queries").iter().map(|it| {
        let spec = part(it, "spec");
        let query = part(spec, "query");
        let mut target = fields(part(query, "spec"));
        target.insert("refId".to_owned(), text(spec, "refId").into());
        target.insert("hide".to_owned(), (part(spec, "hidden").as_bool() == Some(true)).into());
        target.insert("datasource".to_owned(), source(query, part(spec, "datasource")));
        Value::Object(target)
    });
    let transformations = list(group, "transformations").iter().map(|it| {
        let mut spec = fields(part(it, "spec"));
        if spec.get("id").is_none_or(|id| id.as_str().is_none_or(str::is_empty)) {
            spec.insert("id".to_owned(), either(text(it, "group"), text(it, "kind")).into());
        }
        Value::Object(spec)
    });
    let config = part(viz, "spec");
    let said = json!({
        "type": either(text(viz, "group"), text(viz, "kind")), "title": text(spec, "title"), "description": text(spec, "description"),
        "transparent": part(spec, "transparent").as_bool().unwrap_or(false), "links": list(spec, "links"),
        "options": fields(part(config, "options")), "fieldConfig": fields(part(config, "fieldConfig")),
        "targets": targets.collect::<Vec<_>>(), "transformations": transformations.collect::<Vec<_>>(),
    });
    out.extend(fields(&said));
    out.insert("id".to_owned(), part(spec, "id").clone());
    out
}

/// Puts panels where a layout says.
struct Laying {
    /// Those that stand nowhere yet: each stands in one place.
    elements: Fields,
    panels: Vec<Value>,
    rows: i64,
}

impl Laying {
    fn add(&mut self, item: &Value, [x, y, w, h]: [i64; 4]) {
        let Some(element) = self.elements.remove(text(part(item, "element"), "name")) else { return };
        let mut panel = panel(&element);
        repeat(item, &mut panel);
        panel.insert("gridPos".to_owned(), json!({"x": x, "y": y, "w": w, "h": h}));
        self.panels.push(Value::Object(panel));
    }

    /// Lays a layout out from a height on; gives the height after it.
    fn lay(&mut self, layout: &Value, top: i64, depth: usize) -> i64 {
        let inner = part(layout, "spec");
        if depth > DEPTH_MAX {
            return top;
        }
        let items = || list(inner, "items").iter().map(|it| part(it, "spec"));
        match text(layout, "kind") {
            "GridLayout" => {
                let mut end = top;
                for item in items() {
                    let (y, h) = (top.saturating_add(number(item, "y", 0, ROWS_MAX)), number(item, "height", 8, 200).max(1));
                    let x = number(item, "x", 0, COLUMNS - 1);
                    self.add(item, [x, y, number(item, "width", 12, COLUMNS - x).max(1), h]);
                    end = end.max(y.saturating_add(h));
                }
                end
            }
            "AutoGridLayout" => {
                let columns = number(inner, "maxColumnCount", AUTO_COLUMNS, COLUMNS).max(1);
                let wide = (COLUMNS / columns).max(1);
                let mut count = 0;
                for item in items() {
                    self.add(item, [count % columns * wide, top + count / columns * AUTO_HEIGHT, wide, AUTO_HEIGHT]);
                    count += 1;
                }
                top.saturating_add((count + columns - 1) / columns * AUTO_HEIGHT)
            }
            // Tabs become rows, one below the other.
            "RowsLayout" => list(inner, "rows").iter().fold(top, |top, row| self.row(part(row, "spec"), top, depth)),
            "TabsLayout" => list(inner, "tabs").iter().fold(top, |top, tab| self.row(part(tab, "spec"), top, depth)),
            _ => top,
        }
    }

    fn row(&mut self, row: &Value, top: i64, depth: usize) -> i64 {
        self.rows += 1;
        let collapsed = part(row, "collapse").as_bool() == Some(true);
        let mut head = fields(&json!({
            "type": "row", "id": ROW_IDS + self.rows, "title": text(row, "title"), "collapsed": collapsed,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}, "panels": [],
        }));
        repeat(row, &mut head);
        let first = self.panels.len();
        let end = self.lay(part(row, "layout"), top + 1, depth + 1);
        if !collapsed {
            self.panels.insert(first, Value::Object(head));
            return end;
        }
        let mut inside = self.panels.split_off(first);
        inside.retain(|panel| text(panel, "type") != "row");
        head.insert("panels".to_owned(), inside.into());
        self.panels.push(Value::Object(head));
        top + 1
    }
}

/// What is repeated for each value of a variable.
fn repeat(item: &Value, panel: &mut Fields) {
    let it = part(item, "repeat");
    let variable = text(it, "value");
    if !variable.is_empty() {
        panel.insert("repeat".to_owned(), variable.into());
        panel.insert("repeatDirection".to_owned(), either(text(it, "direction"), "h").into());
        if let Some(most) = it.get("maxPerRow") {
            panel.insert("maxPerRow".to_owned(), most.clone());
        }
    }
}

/// Puts panels of a library that the file brings along (`__elements`) in their places.
fn with_library(board: &mut Fields) {
    let model = |uid: &str, element: &Value| {
        let model = fields(part(element, "model"));
        (uid.to_owned(), (part(element, "model").to_string().len(), model))
    };
    let models: Models = match board.get("__elements") {
        Some(Value::Object(elements)) => elements.iter().map(|(uid, element)| model(uid, element)).collect(),
        Some(Value::Array(elements)) => elements.iter().map(|element| model(text(element, "uid"), element)).collect(),
        _ => return,
    };
    let mut room = BOARD_BYTES_MAX;
    if let Some(Value::Array(panels)) = board.get_mut("panels") {
        fill(panels, &models, &mut room, 0);
    }
}

/// Panels of a library by their uids, with their bytes.
type Models = BTreeMap<String, (usize, Fields)>;

fn fill(panels: &mut [Value], models: &Models, room: &mut usize, depth: usize) {
    for panel in panels.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Array(inside)) = panel.get_mut("panels")
            && depth < DEPTH_MAX
        {
            fill(inside, models, room, depth + 1);
        }
        let model = panel.get("libraryPanel").and_then(|l| models.get(text(l, "uid")));
        // One panel of a library may stand in many places, and a file must not grow beyond bounds by it.
        if let Some((bytes, model)) = model
            && let Some(left) = room.checked_sub(*bytes)
        {
            *room = left;
            for (key, value) in model.iter().filter(|(key, _)| !matches!(key.as_str(), "id" | "gridPos" | "libraryPanel")) {
                panel.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(given: Value) -> Value {
        Value::Object(classic(fields(&given)))
    }

    #[test]
    fn objects_of_the_newer_interface_are_what_stands_in_them() {
        let given =
            json!({"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "metadata": {"name": "abc"}, "spec": {"title": "T", "panels": []}});
        assert_eq!(made(given), json!({"uid": "abc", "title": "T", "panels": []}));
        let plain = json!({"title": "T", "panels": [{"id": 1}]});
        assert_eq!(made(plain.clone()), plain);
        assert_eq!(made(json!({"apiVersion": "x", "spec": 7})), json!({"apiVersion": "x"}));
    }

    #[test]
    fn elements_stand_where_the_layout_says() {
        let element = |title: &str| {
            let query = json!({"kind": "DataQuery", "group": "prometheus", "datasource": {"name": "prom"}, "spec": {"expr": "up"}});
            json!({"kind": "Panel", "spec": {"id": 4, "title": title, "vizConfig": {"kind": "VizConfig", "group": "stat", "spec": {"options": {"a": 1}, "fieldConfig": {"defaults": {"unit": "s"}}}},
                "data": {"spec": {"queries": [{"spec": {"refId": "A", "hidden": true, "query": query}}], "queryOptions": {"maxDataPoints": 9},
                    "transformations": [{"kind": "Transformation", "group": "reduce", "spec": {"options": {}}}]}}}})
        };
        let item = |name: &str| json!({"kind": "GridLayoutItem", "spec": {"x": 12, "y": 2, "width": 99, "height": 6, "element": {"name": name}, "repeat": {"value": "host", "direction": "v"}}});
        let grid = |name: &str| json!({"kind": "GridLayout", "spec": {"items": [item(name)]}});
        let given = json!({"apiVersion": "dashboard.grafana.app/v2beta1", "metadata": {"name": "two"}, "spec": {
            "title": "Two", "cursorSync": "Tooltip", "timeSettings": {"from": "now-1h", "autoRefresh": "5s", "timezone": "utc"},
            "elements": {"p1": element("one"), "p2": element("two"), "p3": element("three")},
            "variables": [{"kind": "QueryVariable", "spec": {"name": "host", "hide": "hideLabel", "sort": "numericalDesc",
                "query": {"kind": "DataQuery", "group": "prometheus", "spec": {"query": "label_values(up, host)"}}}}, {"kind": "DatasourceVariable", "spec": {"name": "ds", "pluginId": "loki"}}],
            "layout": {"kind": "RowsLayout", "spec": {"rows": [
                {"spec": {"title": "Open", "layout": grid("p1")}},
                {"spec": {"title": "Shut", "collapse": true, "layout": {"kind": "AutoGridLayout", "spec": {"maxColumnCount": 2, "items": [item("p2"), item("nobody"), item("p2")]}}}},
                {"spec": {"title": "Tabs", "layout": {"kind": "TabsLayout", "spec": {"tabs": [{"spec": {"title": "Tab", "layout": grid("p3")}}]}}}},
            ]}},
        }});
        let board = made(given);
        assert_eq!((&board["uid"], &board["title"], &board["graphTooltip"], &board["time"]["to"]), (&json!("two"), &json!("Two"), &json!(2), &json!("now")));
        let titles: Vec<(&str, i64)> = board["panels"].as_array().unwrap().iter().map(|p| (text(p, "title"), p["gridPos"]["y"].as_i64().unwrap())).collect();
        assert_eq!(titles, [("Open", 0), ("one", 3), ("Shut", 9), ("Tabs", 10), ("Tab", 11), ("three", 14)]);
        let one = &board["panels"][1];
        assert_eq!((&one["type"], &one["id"], &one["maxDataPoints"], &one["repeat"]), (&json!("stat"), &json!(4), &json!(9), &json!("host")));
        assert_eq!(one["targets"], json!([{"expr": "up", "refId": "A", "hide": true, "datasource": {"type": "prometheus", "uid": "prom"}}]));
        assert_eq!((&one["transformations"][0]["id"], &one["fieldConfig"]["defaults"]["unit"]), (&json!("reduce"), &json!("s")));
        assert_eq!(one["gridPos"], json!({"x": 12, "y": 3, "w": 12, "h": 6}));
        let shut = &board["panels"][2];
        assert_eq!(
            (shut["panels"].as_array().unwrap().len(), &shut["panels"][0]["gridPos"]),
            (1, &json!({"x": 0, "y": 10, "w": 12, "h": 9})),
            "each element stands once"
        );
        let [host, ds] = board["templating"]["list"].as_array().unwrap().as_slice() else { panic!("{board}") };
        assert_eq!(
            (&host["type"], &host["hide"], &host["sort"], &host["query"]["query"]),
            (&json!("query"), &json!(1), &json!(4), &json!("label_values(up, host)"))
        );
        assert_eq!((&ds["type"], &ds["query"]), (&json!("datasource"), &json!("loki")));
    }

    #[test]
    fn odd_layouts_end() {
        let mut layout = json!({"kind": "GridLayout", "spec": {"items": 7}});
        for _ in 0..50 {
            layout = json!({"kind": "RowsLayout", "spec": {"rows": [{"spec": {"title": "r", "layout": layout}}]}});
        }
        for layout in [
            layout,
            json!({"kind": "NewLayout"}),
            json!(null),
            json!({"kind": "GridLayout", "spec": {"items": [{"spec": {"y": -1e300, "height": 1e300, "element": {"name": "p"}}}]}}),
        ] {
            let board = made(json!({"elements": {"p": {"kind": "Panel"}}, "title": "T", "layout": layout}));
            assert!(board["panels"].as_array().unwrap().len() <= DEPTH_MAX + 1, "{board}");
        }
    }

    #[test]
    fn panels_of_a_library_come_along() {
        let model = json!({"type": "stat", "title": "Lib", "id": 99, "gridPos": {"x": 5}, "targets": [{"expr": "up"}]});
        let place = json!({"id": 1, "gridPos": {"x": 0}, "libraryPanel": {"uid": "l", "name": "Lib"}});
        for elements in [json!({"l": {"name": "Lib", "uid": "l", "model": model}}), json!([{"uid": "l", "model": model}])] {
            let board = made(
                json!({"title": "T", "__elements": elements, "panels": [place, {"type": "row", "panels": [place]}, {"id": 3, "libraryPanel": {"uid": "other"}}]}),
            );
            for panel in [&board["panels"][0], &board["panels"][1]["panels"][0]] {
                assert_eq!(
                    (&panel["type"], &panel["id"], &panel["gridPos"]["x"], &panel["targets"][0]["expr"]),
                    (&json!("stat"), &json!(1), &json!(0), &json!("up"))
                );
            }
            assert_eq!(board["panels"][2], json!({"id": 3, "libraryPanel": {"uid": "other"}}));
        }
        let large = json!({"l": {"model": {"text": "x".repeat(BOARD_BYTES_MAX / 2)}}});
        let board = made(json!({"__elements": large, "panels": [place, place, place]}));
        assert_eq!(board["panels"].as_array().unwrap().iter().filter(|p| p.get("text").is_some()).count(), 1, "a file does not grow beyond bounds");
    }
}
