//! What a panel says of itself, read out of its JSON once: kind, title, unit, bounds, queries. It draws nothing.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::colours::named;
use super::list::Colour;
use super::look::Look;

/// The most queries of one panel.
const TARGETS_MAX: usize = 26;
/// Steps of thresholds of old.
const STEPS_MAX: usize = 50;
/// How deep rows stand in each other.
const DEPTH_MAX: usize = 4;

/// A panel.
#[derive(Clone)]
pub(super) struct Panel {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) targets: Vec<Target>,
    /// What its values look like unless an override says it.
    pub(super) look: Arc<Look>,
    /// As they are written: overrides, those of old, colours by names of old, and the axis on the right of old.
    pub(super) overrides: Value,
    pub(super) old_overrides: Value,
    pub(super) old_colours: Value,
    pub(super) right: Value,
    pub(super) transformations: Value,
    pub(super) options: Value,
    pub(super) threshold_lines: bool,
    /// How values over time become one.
    pub(super) reduce: String,
    /// Where it stands: x, y, w, h in units of the grid.
    pub(super) place: [f64; 4],
    /// Whether it is in a row that is folded.
    pub(super) folded: bool,
    /// Whether it stands in the list of a row, not of the dashboard.
    pub(super) nested: bool,
    /// The variable for each of whose values it stands once.
    pub(super) repeat: String,
    /// Whether its repetitions stand side by side, and how many of them at most.
    pub(super) across: bool,
    pub(super) per_row: usize,
    pub(super) text: String,
}

/// A query of a panel.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) expr: String,
    pub(super) legend: String,
    /// Which data source answers: its kind and its name, either of which may be a variable.
    pub(super) source: String,
    /// Its name among those of the panel.
    pub(super) ref_id: String,
    /// `table`, `heatmap`, or series.
    pub(super) format: String,
    /// Whether only what is at the end of the range is asked for.
    pub(super) instant: bool,
}

/// All panels of a dashboard, rows and those that are folded in them as well.
pub(super) fn panels(model: &Map<String, Value>) -> Vec<Panel> {
    let mut all = Vec::new();
    collect(model.get("panels"), 0, false, &mut all);
    flow(&mut all);
    let mut top = 0.0;
    for row in model.get("rows").and_then(Value::as_array).into_iter().flatten() {
        old_row(row, &mut top, &mut all);
    }
    all
}

/// Panels that say no place stand two by two below all others.
fn flow(all: &mut [Panel]) {
    let mut next = all.iter().filter(|p| p.place[1].is_finite() && !p.folded).map(|p| p.place[1] + p.place[3]).fold(0.0, f64::max);
    let mut left = 0.0;
    for panel in all.iter_mut().filter(|p| !p.place[1].is_finite()) {
        if panel.folded {
            panel.place[1] = 0.0;
            continue;
        }
        let [_, _, w, h] = panel.place;
        if left + w > 24.0 {
            (left, next) = (0.0, next + h);
        }
        (panel.place[0], panel.place[1]) = (left, next);
        left += w;
    }
}

fn collect(list: Option<&Value>, depth: usize, folded: bool, all: &mut Vec<Panel>) {
    for panel in list.and_then(Value::as_array).into_iter().flatten() {
        all.push(Panel { folded, nested: depth > 0, ..read(panel) });
        if depth < DEPTH_MAX {
            collect(panel.get("panels"), depth + 1, folded || is_set(panel, "collapsed"), all);
        }
    }
}

/// A row of before there was a grid: its panels stand side by side, each some twelfths wide, in a height of pixels.
fn old_row(row: &Value, top: &mut f64, all: &mut Vec<Panel>) {
    let folded = is_set(row, "collapse");
    // A row without a title is one all the same: it may be repeated.
    let high = if is_set(row, "showTitle") || folded { 1.0 } else { 0.0 };
    all.push(Panel { place: [0.0, *top, 24.0, high], kind: "row".to_owned(), ..read(row) });
    *top += high;
    let height = row.get("height").and_then(|h| h.as_f64().or_else(|| h.as_str()?.trim_end_matches("px").parse().ok())).unwrap_or(250.0);
    let high = (height / 30.0).ceil().clamp(1.0, 100.0);
    let mut left = 0.0;
    let list = row.get("panels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for panel in list {
        let wide = (panel.get("span").and_then(Value::as_f64).unwrap_or(4.0) * 2.0).clamp(1.0, 24.0);
        if left + wide > 24.0 {
            (left, *top) = (0.0, (*top + high).min(10_000.0));
        }
        all.push(Panel { place: [left, *top, wide, high], folded, nested: true, ..read(panel) });
        left += wide;
    }
    if !folded && !list.is_empty() {
        *top = (*top + high).min(10_000.0);
    }
}

pub(super) fn is_set(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn read(panel: &Value) -> Panel {
    let nothing = Value::Null;
    let at = |path: &[&str]| path.iter().try_fold(panel, |value, key| value.get(key)).unwrap_or(&nothing);
    let of_panel = panel.get("datasource");
    let targets = at(&["targets"]).as_array().into_iter().flatten().filter(|t| !is_set(t, "hide")).take(TARGETS_MAX).enumerate();
    // The grid has 24 columns; below each other as much stands as there is. Without a height it has no place yet.
    let place = [("x", 24.0, 0.0), ("y", 10_000.0, if at(&["gridPos"]).is_object() { 0.0 } else { f64::INFINITY }), ("w", 24.0, 12.0), ("h", 100.0, 8.0)]
        .map(|(key, most, unsaid)| at(&["gridPos", key]).as_f64().filter(|n| *n >= 0.0).map_or(unsaid, |n| n.min(most)));
    let kind = match text(panel, "type") {
        // The single value of old could be shown as a gauge, and a graph as one bar for each series.
        "singlestat" | "grafana-singlestat-panel" if at(&["gauge", "show"]).as_bool() == Some(true) => "gauge",
        "graph" if text(at(&["xaxis"]), "mode") == "series" => "barchart",
        "grafana-singlestat-panel" => "stat",
        "grafana-piechart-panel" => "piechart",
        "table-old" => "table",
        kind => kind,
    };
    Panel {
        id: at(&["id"]).as_i64().unwrap_or(0),
        kind: kind.to_owned(),
        title: text(panel, "title").to_owned(),
        targets: targets.map(|(at, target)| target_of(target, of_panel, at)).filter(|t| !t.expr.trim().is_empty()).collect(),
        look: Arc::new(look(panel, kind)),
        overrides: at(&["fieldConfig", "overrides"]).clone(),
        old_overrides: at(&["seriesOverrides"]).clone(),
        old_colours: at(&["aliasColors"]).clone(),
        right: panel["yaxes"][1].clone(),
        transformations: at(&["transformations"]).clone(),
        options: at(&["options"]).clone(),
        threshold_lines: !matches!(text(at(&["fieldConfig", "defaults", "custom", "thresholdsStyle"]), "mode"), "" | "off"),
        reduce: at(&["options", "reduceOptions", "calcs"]).get(0).and_then(Value::as_str).unwrap_or_else(|| old_reduce(text(panel, "valueName"))).to_owned(),
        place,
        folded: false,
        nested: false,
        repeat: text(panel, "repeat").to_owned(),
        across: text(panel, "repeatDirection") != "v",
        per_row: number_of(panel.get("maxPerRow").or_else(|| panel.get("minSpan"))).map_or(4, |most| most.round().clamp(1.0, 24.0) as usize),
        text: [text(at(&["options"]), "content"), text(panel, "content")].into_iter().find(|t| !t.is_empty()).unwrap_or_default().to_owned(),
    }
}

/// How panels of old named the value that they show.
fn old_reduce(name: &str) -> &str {
    match name {
        "avg" => "mean",
        "total" => "sum",
        "min" | "max" | "first" | "delta" | "diff" | "range" => name,
        _ => "lastNotNull",
    }
}

/// What holds for all columns of a panel. Panels of old say it elsewhere.
fn look(panel: &Value, kind: &str) -> Look {
    let mut look = Look::default();
    look.add(&panel["fieldConfig"]["defaults"]);
    for unit in [text(panel, "format"), text(&panel["yaxes"][0], "format")] {
        if look.unit.is_empty() {
            unit.clone_into(&mut look.unit);
        }
    }
    if kind == "gauge" {
        let gauge = &panel["gauge"];
        look.min = look.min.or_else(|| gauge["minValue"].as_f64());
        look.max = look.max.or_else(|| gauge["maxValue"].as_f64());
    }
    if panel["thresholds"].is_string() {
        look.steps = old_steps(panel);
    }
    look.map(&panel[if panel["mappingType"] == 2 { "rangeMaps" } else { "valueMaps" }]);
    if is_set(panel, "stack") {
        look.stacked = true;
    }
    look
}

/// Bounds of single values of old: two numbers with three colours around them, used only where something is coloured.
fn old_steps(panel: &Value) -> Vec<(f64, Option<Colour>)> {
    if !is_set(panel, "colorValue") && !is_set(panel, "colorBackground") && panel.get("gauge").is_none_or(|gauge| !is_set(gauge, "show")) {
        return Vec::new();
    }
    let colours: Vec<&str> = panel.get("colors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let bounds = text(panel, "thresholds").split(',').filter_map(|bound| bound.trim().parse().ok());
    let steps = std::iter::once(f64::NEG_INFINITY).chain(bounds).take(STEPS_MAX);
    steps.zip(["green", "orange", "red"]).enumerate().map(|(at, (from, usual))| (from, named(colours.get(at).copied().unwrap_or(usual)))).collect()
}

fn target_of(target: &Value, of_panel: Option<&Value>, at: usize) -> Target {
    let said = |source: &Value| match source.as_str() {
        Some(name) => name.to_owned(),
        // A kind says it by itself; what a data source is called is only a hint.
        None => [text(source, "type"), text(source, "uid")].into_iter().find(|word| !word.is_empty()).unwrap_or_default().to_owned(),
    };
    let source = target.get("datasource").map(said).filter(|s| !s.is_empty()).or_else(|| of_panel.map(said)).unwrap_or_default();
    let named = Some(text(target, "refId")).filter(|name| !name.is_empty()).map(str::to_owned);
    Target {
        expr: text(target, "expr").to_owned(),
        legend: text(target, "legendFormat").to_owned(),
        source,
        ref_id: named.unwrap_or_else(|| char::from(b'A' + (at % 26) as u8).to_string()),
        format: text(target, "format").to_owned(),
        instant: is_set(target, "instant") || (text(target, "queryType") == "instant" && !is_set(target, "range")),
    }
}

/// A number, also one in quotes.
pub(super) fn number_of(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n: &f64| !n.is_nan())
}

#[cfg(test)]
mod tests {
    use super::super::frames::Cell;
    use super::*;
    use serde_json::json;

    fn one(panel: Value) -> Panel {
        read(&panel)
    }

    #[test]
    fn panels_of_old_are_what_took_their_place() {
        for (panel, kind) in [
            (json!({"type": "grafana-piechart-panel"}), "piechart"),
            (json!({"type": "table-old"}), "table"),
            (json!({"type": "singlestat", "gauge": {"show": true}}), "gauge"),
            (json!({"type": "graph", "xaxis": {"mode": "series"}}), "barchart"),
            (json!({"type": "graph", "xaxis": {"mode": "time"}}), "graph"),
        ] {
            assert_eq!(one(panel.clone()).kind, kind, "{panel}");
        }
        assert_eq!(one(json!({"type": "text", "content": "old words"})).text, "old words");
        let gauge = one(
            json!({"type": "singlestat", "gauge": {"show": true, "minValue": 5, "maxValue": 50}, "thresholds": "10, 20", "colors": ["red", "#fff", "blue"]}),
        );
        let colour = |value| gauge.look.colour_of(&Cell::Number(value));
        assert_eq!((gauge.look.min, gauge.look.max, gauge.look.steps.len()), (Some(5.0), Some(50.0), 3));
        assert_eq!((colour(1.0), colour(15.0), colour(20.0)), (named("red"), named("#fff"), named("blue")));
        assert!(one(json!({"type": "singlestat", "thresholds": "10,20"})).look.steps.is_empty(), "nothing is coloured");
    }

    #[test]
    fn mappings_of_every_age() {
        let shown = |panel: Value, value: f64| one(panel).look.shown(&Cell::Number(value));
        let new = json!({"fieldConfig": {"defaults": {"mappings": [
            {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up"}}},
            {"type": "range", "options": {"from": 10, "to": null, "result": {"text": "many"}}},
            {"type": "special", "options": {"match": "null+nan", "result": {"text": "none"}}},
            {"type": "regex", "options": {"pattern": ".*", "result": {"text": "no number"}}},
        ]}}});
        for (value, expected) in [(0.0, "down"), (1.0, "up"), (2.0, "2"), (10.0, "many"), (1e12, "many"), (f64::NAN, "none")] {
            assert_eq!(shown(new.clone(), value), expected, "{value}");
        }
        assert_eq!(one(new).look.colour_of(&Cell::Number(0.0)), named("red"));
        let old = json!({"valueMaps": [{"op": "=", "value": "null", "text": "N/A"}, {"value": "1", "text": "up"}]});
        assert_eq!((shown(old.clone(), f64::NAN), shown(old.clone(), 1.0), shown(old, 3.0)), ("N/A".to_owned(), "up".to_owned(), "3".to_owned()));
        let ranges = json!({"mappingType": 2, "rangeMaps": [{"from": "0", "to": "5", "text": "few"}, {"from": "null", "to": "null", "text": "none"}], "valueMaps": [{"value": "1", "text": "x"}]});
        assert_eq!((shown(ranges.clone(), 1.0), shown(ranges, f64::NAN)), ("few".to_owned(), "none".to_owned()));
        let between = json!({"fieldConfig": {"defaults": {"mappings": [{"id": 1, "type": 1, "value": "2", "text": "two", "from": "", "to": ""}, {"type": 2, "from": "5", "to": "9", "text": "some"}]}}});
        assert_eq!((shown(between.clone(), 2.0), shown(between, 7.0)), ("two".to_owned(), "some".to_owned()));
    }

    #[test]
    fn panels_without_a_place_do_not_stand_on_each_other() {
        let model = json!({"panels": [
            {"id": 1, "gridPos": {"x": 0, "y": 2, "w": 24, "h": 4}},
            {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5, "gridPos": {"x": 6}},
        ]});
        let places: Vec<[f64; 4]> = panels(model.as_object().unwrap()).iter().map(|p| p.place).collect();
        assert_eq!(places, [[0.0, 2.0, 24.0, 4.0], [0.0, 8.0, 12.0, 8.0], [12.0, 8.0, 12.0, 8.0], [0.0, 16.0, 12.0, 8.0], [6.0, 0.0, 12.0, 8.0]]);
    }
}
