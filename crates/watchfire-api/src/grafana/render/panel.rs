//! What a panel says of itself, read out of its JSON once: kind, title, unit, bounds, queries. It draws nothing.

use serde_json::{Map, Value};

use super::colours::named;
use super::list::Colour;

/// The most queries of one panel.
const TARGETS_MAX: usize = 26;
/// Steps of thresholds of a panel.
const STEPS_MAX: usize = 50;
/// Mappings of a panel.
const MAPPINGS_MAX: usize = 100;
/// How deep rows stand in each other.
const DEPTH_MAX: usize = 4;

/// A panel.
#[derive(Clone)]
pub(super) struct Panel {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) targets: Vec<Target>,
    pub(super) unit: String,
    pub(super) decimals: Option<usize>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// Bounds with the colours from there on, ascending; the first has none.
    pub(super) steps: Vec<(f64, Option<Colour>)>,
    pub(super) threshold_lines: bool,
    pub(super) stacked: bool,
    /// How values over time become one.
    pub(super) reduce: String,
    /// Texts in the stead of values.
    pub(super) mappings: Vec<Mapping>,
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

/// A text, a colour, or both in the stead of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapping {
    which: Which,
    text: String,
    colour: Option<Colour>,
}

/// Which values are meant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    /// Both ends are within.
    Between(f64, f64),
    NotANumber,
}
impl Which {
    fn is_it(self, value: f64) -> bool {
        match self {
            Which::Between(from, to) => value >= from && value <= to,
            Which::NotANumber => value.is_nan(),
        }
    }
}

/// A query of a panel.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) expr: String,
    pub(super) legend: String,
    /// Which data source answers: its kind and its name, either of which may be a variable.
    pub(super) source: String,
    /// Whether the buckets of a histogram are wanted, not what they count up to their bounds.
    pub(super) of_buckets: bool,
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

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn read(panel: &Value) -> Panel {
    let nothing = Value::Null;
    let at = |path: &[&str]| path.iter().try_fold(panel, |value, key| value.get(key)).unwrap_or(&nothing);
    let defaults = at(&["fieldConfig", "defaults"]);
    let number = |key: &str| defaults.get(key).and_then(Value::as_f64);
    let of_panel = panel.get("datasource");
    let targets = at(&["targets"]).as_array().into_iter().flatten().filter(|t| t.get("hide").and_then(Value::as_bool) != Some(true)).take(TARGETS_MAX);
    let steps = defaults.get("thresholds").and_then(|t| t.get("steps")).and_then(Value::as_array).into_iter().flatten().take(STEPS_MAX);
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
    // Panels of old have their unit elsewhere.
    let old_axis = at(&["yaxes"]).get(0).map(|axis| text(axis, "format"));
    let unit = [text(defaults, "unit"), text(panel, "format"), old_axis.unwrap_or_default()].into_iter().find(|unit| !unit.is_empty());
    Panel {
        id: at(&["id"]).as_i64().unwrap_or(0),
        kind: kind.to_owned(),
        title: text(panel, "title").to_owned(),
        targets: targets.map(|target| target_of(target, of_panel)).filter(|t| !t.expr.trim().is_empty()).collect(),
        unit: unit.unwrap_or_default().to_owned(),
        decimals: number("decimals").filter(|d| (0.0..=10.0).contains(d)).map(|d| d as usize),
        min: number("min").or_else(|| at(&["gauge", "minValue"]).as_f64().filter(|_| kind == "gauge")),
        max: number("max").or_else(|| at(&["gauge", "maxValue"]).as_f64().filter(|_| kind == "gauge")),
        steps: if at(&["thresholds"]).is_string() {
            old_steps(panel)
        } else {
            steps.map(|s| (s.get("value").and_then(Value::as_f64).unwrap_or(f64::NEG_INFINITY), named(text(s, "color")))).collect()
        },
        threshold_lines: defaults.get("custom").and_then(|c| c.get("thresholdsStyle")).is_some_and(|s| !matches!(text(s, "mode"), "" | "off")),
        stacked: defaults.get("custom").and_then(|c| c.get("stacking")).is_some_and(|s| text(s, "mode") == "normal") || is_set(panel, "stack"),
        reduce: at(&["options", "reduceOptions", "calcs"]).get(0).and_then(Value::as_str).unwrap_or_else(|| old_reduce(text(panel, "valueName"))).to_owned(),
        mappings: mappings(defaults.get("mappings")).into_iter().chain(old_mappings(panel)).take(MAPPINGS_MAX).collect(),
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
        "min" | "max" | "total" | "first" => name,
        _ => "lastNotNull",
    }
}

fn target_of(target: &Value, of_panel: Option<&Value>) -> Target {
    let said = |source: &Value| match source.as_str() {
        Some(name) => name.to_owned(),
        // A kind says it by itself; what a data source is called is only a hint.
        None => [text(source, "type"), text(source, "uid")].into_iter().find(|word| !word.is_empty()).unwrap_or_default().to_owned(),
    };
    let source = target.get("datasource").map(said).filter(|s| !s.is_empty()).or_else(|| of_panel.map(said)).unwrap_or_default();
    Target { expr: text(target, "expr").to_owned(), legend: text(target, "legendFormat").to_owned(), source, of_buckets: text(target, "format") == "heatmap" }
}

/// Mappings of values, ranges and what is no number. Those of patterns have nothing to say of numbers.
fn mappings(list: Option<&Value>) -> Vec<Mapping> {
    let mut all = Vec::new();
    for mapping in list.and_then(Value::as_array).into_iter().flatten().take(MAPPINGS_MAX) {
        let options = mapping.get("options").unwrap_or(&Value::Null);
        let result = options.get("result").unwrap_or(&Value::Null);
        let made = |which, said: &Value| Mapping { which, text: text(said, "text").to_owned(), colour: named(text(said, "color")) };
        let end = |value: &Value, key: &str, open: f64| number_of(value.get(key)).unwrap_or(open);
        match text(mapping, "type") {
            "value" => {
                for (key, said) in options.as_object().into_iter().flatten().take(MAPPINGS_MAX) {
                    let which = if key == "null" || key == "NaN" { Some(Which::NotANumber) } else { key.parse().ok().map(|v: f64| Which::Between(v, v)) };
                    all.extend(which.map(|which| made(which, said)));
                }
            }
            "range" => all.push(made(Which::Between(end(options, "from", f64::NEG_INFINITY), end(options, "to", f64::INFINITY)), result)),
            "special" if matches!(text(options, "match"), "null" | "nan" | "null+nan") => all.push(made(Which::NotANumber, result)),
            // Before there were options: a value of its own, or two ends.
            "" if mapping.get("from").is_some_and(|f| !is_blank(f)) => {
                all.push(made(Which::Between(end(mapping, "from", f64::NEG_INFINITY), end(mapping, "to", f64::INFINITY)), mapping));
            }
            "" => all.extend(old_value(mapping)),
            _ => {}
        }
    }
    all
}

/// Mappings of single values of old.
fn old_mappings(panel: &Value) -> Vec<Mapping> {
    let items = |key: &str| panel.get(key).and_then(Value::as_array).into_iter().flatten();
    if panel.get("mappingType").and_then(Value::as_i64) != Some(2) {
        return items("valueMaps").filter_map(old_value).collect();
    }
    let range = |map: &Value| {
        let which = if text(map, "from") == "null" { Which::NotANumber } else { Which::Between(number_of(map.get("from"))?, number_of(map.get("to"))?) };
        Some(Mapping { which, text: text(map, "text").to_owned(), colour: None })
    };
    items("rangeMaps").filter_map(range).collect()
}

fn old_value(map: &Value) -> Option<Mapping> {
    let which = if matches!(text(map, "value"), "null" | "N/A") { Which::NotANumber } else { number_of(map.get("value")).map(|v| Which::Between(v, v))? };
    Some(Mapping { which, text: text(map, "text").to_owned(), colour: None })
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// A number, also one in quotes.
fn number_of(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n: &f64| !n.is_nan())
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

impl Panel {
    /// The colour of a value, when bounds say one.
    pub(super) fn colour_of(&self, value: f64) -> Option<Colour> {
        let mapped = self.mappings.iter().find(|m| m.which.is_it(value)).and_then(|m| m.colour);
        let step = || self.steps.iter().rev().find(|(from, _)| value >= *from).and_then(|(_, colour)| *colour);
        mapped.or_else(step)
    }
    /// What is said where there is nothing to show.
    pub(super) fn nothing(&self) -> &str {
        self.mappings.iter().find(|m| m.which == Which::NotANumber && !m.text.is_empty()).map_or("no data", |m| m.text.as_str())
    }
    /// A value as it is written.
    pub(super) fn shown(&self, value: f64) -> String {
        let mapped = self.mappings.iter().find(|m| m.which.is_it(value)).map(|m| m.text.clone()).filter(|t| !t.is_empty());
        mapped.unwrap_or_else(|| super::units::shown(value, &self.unit, self.decimals))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!((gauge.min, gauge.max, gauge.steps.len()), (Some(5.0), Some(50.0), 3));
        assert_eq!((gauge.colour_of(1.0), gauge.colour_of(15.0), gauge.colour_of(20.0)), (named("red"), named("#fff"), named("blue")));
        assert!(one(json!({"type": "singlestat", "thresholds": "10,20"})).steps.is_empty(), "nothing is coloured");
    }

    #[test]
    fn mappings_of_every_age() {
        let shown = |panel: Value, value: f64| one(panel).shown(value);
        let new = json!({"fieldConfig": {"defaults": {"mappings": [
            {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up"}}},
            {"type": "range", "options": {"from": 10, "to": null, "result": {"text": "many"}}},
            {"type": "special", "options": {"match": "null+nan", "result": {"text": "none"}}},
            {"type": "regex", "options": {"pattern": ".*", "result": {"text": "no number"}}},
        ]}}});
        for (value, expected) in [(0.0, "down"), (1.0, "up"), (2.0, "2"), (10.0, "many"), (1e12, "many"), (f64::NAN, "none")] {
            assert_eq!(shown(new.clone(), value), expected, "{value}");
        }
        assert_eq!(one(new).colour_of(0.0), named("red"));
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
