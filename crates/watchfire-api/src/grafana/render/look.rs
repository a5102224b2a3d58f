//! What values of a column look like: their text after mappings, unit and decimals, and their colour after mappings, thresholds and what
//! is fixed. Where that is said is the affair of `panel` and `fields`.

use serde_json::Value;

use super::colours::named;
use super::frames::{Cell, list};
use super::list::Colour;
use super::panel::{is_set, number_of, text};

/// Steps of thresholds.
const STEPS_MAX: usize = 50;
/// Mappings.
const MAPPINGS_MAX: usize = 200;
/// So much of a text of a file is kept for each column; no picture shows more.
const CHARS_MAX: usize = 200;

/// Where colours come from when no mapping says one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colours {
    #[default]
    Unsaid,
    Fixed(Colour),
    /// Each series has its own.
    Series,
    /// Thresholds.
    Steps,
}

/// What the values of a column look like.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) unit: String,
    pub(super) decimals: Option<usize>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// Bounds with the colours from there on, ascending; the first has none.
    pub(super) steps: Vec<(f64, Option<Colour>)>,
    pub(super) colours: Colours,
    /// Texts in the stead of values.
    mappings: Vec<Mapping>,
    /// What stands where there is no value.
    no_value: String,
    /// What the column is called, with words to be filled in.
    pub(super) name: String,
    /// Not shown at all, or not in tables.
    pub(super) hidden: bool,
    pub(super) no_column: bool,
    /// On each other.
    pub(super) stacked: bool,
    /// Drawn downwards.
    pub(super) turned: bool,
    /// Whether cells of tables have their colour as ground.
    pub(super) filled: bool,
}

/// A text, a colour, or both in the stead of values.
#[derive(Clone, Debug)]
struct Mapping {
    which: Which,
    text: String,
    colour: Option<Colour>,
}

/// Which values are meant.
#[derive(Clone, Debug)]
enum Which {
    /// Both ends are within.
    Between(f64, f64),
    NotANumber,
    Text(String),
}
impl Which {
    fn is_it(&self, cell: &Cell) -> bool {
        match (self, cell) {
            (Which::NotANumber, cell) => cell.is_nothing(),
            (Which::Between(from, to), Cell::Number(number)) => number >= from && number <= to,
            (Which::Text(wanted), Cell::Text(text)) => **wanted == **text,
            _ => false,
        }
    }
}

impl Look {
    /// Adds all that is said in an object.
    pub(super) fn add(&mut self, said: &Value) {
        for (key, value) in said.as_object().into_iter().flatten() {
            if key == "custom" {
                self.add(value);
            }
            self.set(key, value);
        }
    }
    /// What a property says. Those of panels of old have other names. What pictures do not show changes nothing.
    pub(super) fn set(&mut self, id: &str, value: &Value) {
        let words = |key: &str| short(value.as_str().unwrap_or_else(|| text(value, key)));
        match id.strip_prefix("custom.").unwrap_or(id) {
            "unit" | "format" => self.unit = words(""),
            "noValue" => self.no_value = words(""),
            "displayName" => self.name = words(""),
            "decimals" => self.decimals = number_of(Some(value)).filter(|d| (0.0..=10.0).contains(d)).map(|d| d as usize),
            "min" => self.min = number_of(Some(value)),
            "max" => self.max = number_of(Some(value)),
            "mappings" => self.mappings = mappings(value),
            "thresholds" => self.steps = steps(value),
            "color" => {
                let mode = text(value, "mode");
                self.colours = match mode {
                    "fixed" | "shades" | "" => named(&words("fixedColor")).map_or(Colours::Unsaid, Colours::Fixed),
                    "thresholds" => Colours::Steps,
                    _ if mode.starts_with("palette") => Colours::Series,
                    _ => Colours::Unsaid,
                }
            }
            "hideFrom" | "hiddenSeries" => self.hidden = *value == true || is_set(value, "viz"),
            "hidden" => self.no_column = *value == true,
            "stacking" | "stack" => self.stacked = *value == true || text(value, "mode") == "normal",
            "transform" => self.turned = value == "negative-Y",
            "cellOptions" | "displayMode" => self.filled = words("type").starts_with("color-background"),
            _ => {}
        }
    }
    /// The same for moments, which have no units and no bounds of values.
    pub(super) fn of_times(&self) -> Look {
        Look { hidden: self.hidden, no_column: self.no_column, ..Look::default() }
    }
    /// Adds mappings behind those that are there.
    pub(super) fn map(&mut self, list: &Value) {
        self.mappings.append(&mut mappings(list));
    }
    fn mapped(&self, cell: &Cell) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.which.is_it(cell))
    }
    /// The colour of a value, when anything says one but its place among others.
    pub(super) fn colour_of(&self, cell: &Cell) -> Option<Colour> {
        if let Some(colour) = self.mapped(cell).and_then(|mapping| mapping.colour) {
            return Some(colour);
        }
        match self.colours {
            Colours::Fixed(colour) => return Some(colour),
            Colours::Series => return None,
            _ => {}
        }
        let number = cell.number()?;
        self.steps.iter().rev().find(|(from, _)| number >= *from).and_then(|(_, colour)| *colour)
    }
    /// What is said where there is nothing to show.
    pub(super) fn nothing(&self) -> &str {
        let mapped = self.mapped(&Cell::Nothing).map_or("", |mapping| &mapping.text);
        let words = if mapped.is_empty() { &self.no_value } else { mapped };
        if words.is_empty() { "no data" } else { words }
    }
    /// A value as it is written.
    pub(super) fn shown(&self, cell: &Cell) -> String {
        if let Some(mapping) = self.mapped(cell).filter(|mapping| !mapping.text.is_empty()) {
            return mapping.text.clone();
        }
        match cell {
            cell if cell.is_nothing() && !self.no_value.is_empty() => self.no_value.clone(),
            Cell::Text(text) => text.to_string(),
            other => super::units::shown(other.number().unwrap_or(f64::NAN), &self.unit, self.decimals),
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}

fn steps(thresholds: &Value) -> Vec<(f64, Option<Colour>)> {
    let mut all = Vec::new();
    for step in list(&thresholds["steps"]).iter().take(STEPS_MAX) {
        all.push((number_of(step.get("value")).unwrap_or(f64::NEG_INFINITY), named(text(step, "color"))));
    }
    all
}

/// Mappings of all ages. Those of patterns have nothing to say of numbers.
fn mappings(all: &Value) -> Vec<Mapping> {
    let mut made = Vec::new();
    for mapping in list(all).iter().take(MAPPINGS_MAX) {
        let options = &mapping["options"];
        let kind = text(mapping, "type");
        // Before there were options, all stood side by side.
        let (ends, result) = if kind.is_empty() { (mapping, mapping) } else { (options, &options["result"]) };
        if kind == "value" {
            for (key, said) in options.as_object().into_iter().flatten().take(MAPPINGS_MAX) {
                values(key, said, &mut made);
            }
            continue;
        }
        let from = ends.get("from").filter(|from| !from.is_null() && *from != "");
        let which = match kind {
            "special" => match text(options, "match") {
                "null" | "nan" | "null+nan" => Some(Which::NotANumber),
                "empty" => Some(Which::Text(String::new())),
                _ => None,
            },
            "" if from.is_some_and(|from| from == "null") => Some(Which::NotANumber),
            "" if from.is_none() => {
                match &mapping["value"] {
                    Value::String(value) => values(value, result, &mut made),
                    value => values(&value.to_string(), result, &mut made),
                }
                None
            }
            "range" | "" => Some(Which::Between(number_of(from).unwrap_or(f64::NEG_INFINITY), number_of(ends.get("to")).unwrap_or(f64::INFINITY))),
            _ => None,
        };
        made.extend(which.map(|which| Mapping::new(which, result)));
    }
    made.truncate(MAPPINGS_MAX);
    made
}

/// One value, as a number and as a text.
fn values(key: &str, said: &Value, made: &mut Vec<Mapping>) {
    if matches!(key, "null" | "NaN" | "N/A") {
        made.push(Mapping::new(Which::NotANumber, said));
    } else if let Ok(value) = key.parse() {
        made.push(Mapping::new(Which::Between(value, value), said));
    }
    made.push(Mapping::new(Which::Text(short(key)), said));
}

impl Mapping {
    fn new(which: Which, said: &Value) -> Mapping {
        Mapping { which, text: short(text(said, "text")), colour: named(text(said, "color")) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(said: Value) -> Look {
        let mut look = Look::default();
        look.add(&said);
        look
    }

    #[test]
    fn mappings_of_numbers_and_of_texts() {
        let look = look(json!({"noValue": "none", "mappings": [
            {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "idle": {"text": "resting"}, "7": {"text": "seven"}}},
            {"type": "range", "options": {"from": 10, "to": 20, "result": {"text": "some", "color": "#123456"}}},
            {"type": "special", "options": {"match": "empty", "result": {"text": "blank"}}},
            {"type": "regex", "options": {"pattern": ".*", "result": {"text": "nobody"}}},
        ]}));
        for (cell, expected) in [
            (Cell::Number(0.0), "down"),
            (Cell::Number(15.0), "some"),
            (Cell::Number(21.0), "21"),
            (Cell::text("idle"), "resting"),
            (Cell::text("7"), "seven"),
            (Cell::text(""), "blank"),
            (Cell::text("other"), "other"),
            (Cell::Nothing, "none"),
            (Cell::Number(f64::NAN), "none"),
        ] {
            assert_eq!(look.shown(&cell), expected, "{cell:?}");
        }
        assert_eq!((look.colour_of(&Cell::Number(0.0)), look.colour_of(&Cell::text("idle"))), (named("red"), None));
        assert_eq!((look.nothing(), Look::default().nothing()), ("none", "no data"));
    }

    #[test]
    fn colours_are_fixed_by_series_or_by_thresholds() {
        let thresholds = json!({"mode": "absolute", "steps": [{"color": "green", "value": null}, {"color": "red", "value": 80}]});
        let colour = |mode: Value, value: f64| look(json!({"thresholds": thresholds, "color": mode})).colour_of(&Cell::Number(value));
        assert_eq!((colour(json!({}), 79.0), colour(json!({"mode": "thresholds"}), 80.0)), (named("green"), named("red")));
        assert_eq!(colour(json!({"mode": "fixed", "fixedColor": "blue"}), 80.0), named("blue"));
        assert_eq!(colour(json!({"mode": "palette-classic"}), 80.0), None);
        assert_eq!(colour(json!({"mode": "fixed", "fixedColor": "url(#x)"}), 80.0), named("red"));
    }
}
