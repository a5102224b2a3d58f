//! Gives every column its looks and its name: the panel's defaults, then each override that fits, as on the page. And what panels draw of
//! columns: lines over time, and single figures. It draws nothing.

use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::draw::Line;
use super::frames::{Cell, Field, Frame, Kind, list, order, pattern, reduce};
use super::look::Look;
use super::panel::{Panel, is_set, text};
use super::transform::Notes;
use super::variables::Variables;

/// Overrides of a panel.
const OVERRIDES_MAX: usize = 200;
/// Figures of a panel.
const FIGURES_MAX: usize = 500;

/// Which columns are meant.
pub(super) struct Matcher<'a> {
    id: &'a str,
    options: &'a Value,
    pattern: Option<Regex>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(rule: &'a Value, notes: &mut Notes) -> Matcher<'a> {
        // Panels of old have a name, or a pattern between slashes.
        let alias = text(rule, "alias");
        let (id, options) = match rule.get("alias") {
            Some(options) if alias.starts_with('/') => ("byRegexp", options),
            Some(options) => ("byName", options),
            None => (text(rule, "id"), &rule["options"]),
        };
        let pattern = if id == "byRegexp" { pattern(options.as_str().unwrap_or_default()) } else { None };
        if !matches!(id, "byName" | "byNames" | "byType" | "byFrameRefID" | "byRefId") && pattern.is_none() {
            notes.not_applied(id);
        }
        Matcher { id, options, pattern }
    }
    /// Whether a column is meant, by what it is called at the moment.
    pub(super) fn fits(&self, field: &Field) -> bool {
        match self.id {
            "byName" => self.options.as_str().is_some_and(|name| field.is(name)),
            "byNames" => {
                let names = if self.options.is_array() { self.options } else { &self.options["names"] };
                list(names).iter().filter_map(Value::as_str).any(|name| field.is(name)) != (text(self.options, "mode") == "exclude")
            }
            "byRegexp" => self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(field.title()) || pattern.is_match(&field.name)),
            "byType" => self.options == field.kind.name(),
            _ => self.options == &*field.ref_id,
        }
    }
}

/// Gives all columns their names and looks.
pub(super) fn configure(frames: &mut [Frame], panel: &Panel, variables: &Variables, notes: &mut Notes) {
    for field in frames.iter_mut().flatten() {
        field.look = Arc::new(if field.kind == Kind::Time { panel.look.of_times() } else { Look::clone(&panel.look) });
    }
    for rule in list(&panel.overrides).iter().chain(list(&panel.old_overrides)).take(OVERRIDES_MAX) {
        let matcher = Matcher::new(rule.get("matcher").unwrap_or(rule), notes);
        for field in frames.iter_mut().flatten() {
            if let Some(look) = if matcher.fits(field) { Arc::get_mut(&mut field.look) } else { None } {
                for property in list(&rule["properties"]).iter().take(OVERRIDES_MAX) {
                    look.set(text(property, "id"), &property["value"]);
                }
                if rule["yaxis"] == 2 {
                    look.add(&panel.right);
                }
                look.add(rule);
            }
        }
    }
    for field in frames.iter_mut().flatten() {
        let colour = &panel.old_colours[field.title()];
        if let Some(look) = if colour.is_null() { None } else { Arc::get_mut(&mut field.look) } {
            look.set("color", colour);
        }
        // A name that a transformation gave counts more than the panel's.
        if !field.look.name.is_empty() && (field.given != field.name || field.look.name != panel.look.name) {
            field.given = filled(field, variables);
        }
    }
}

/// The name of a column with its own words and with variables filled in: `${__field.labels.x}`, `${__series.name}`, `$x`.
fn filled(field: &Field, variables: &Variables) -> String {
    let mut name = field.look.name.clone();
    for (label, value) in field.labels.iter() {
        name = name.replace(&format!("${{__field.labels.{label}}}"), value);
    }
    for own in ["${__field.name}", "${__field.displayName}", "${__series.name}"] {
        name = name.replace(own, field.title());
    }
    variables.words(&name)
}

/// Columns of numbers over time.
pub(super) fn lines(frames: &[Frame]) -> Vec<Line> {
    let mut all = Vec::new();
    for frame in frames {
        let Some(times) = frame.iter().find(|field| field.kind == Kind::Time) else { continue };
        // Rows may be in the order of anything else.
        let mut rows: Vec<usize> = (0..times.values.len()).collect();
        let number = |field: &Field, row: usize| field.values.get(row).and_then(Cell::number).unwrap_or(f64::NAN);
        order(&mut rows, &|a, b| number(times, a).total_cmp(&number(times, b)));
        for field in frame {
            if field.is_number() && !field.look.hidden {
                let mut points = Vec::with_capacity(rows.len());
                for row in &rows {
                    points.push((number(times, *row) as i64, number(field, *row)));
                }
                all.push(Line { name: field.title().to_owned(), points, bound: None, look: field.look.clone() });
            }
        }
    }
    all
}

/// One value with its name.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: Cell,
    pub(super) look: Arc<Look>,
}

/// The single values that a panel shows: one for each column, or one for each row. Bars have one for each row wherever there are texts to
/// name them by.
pub(super) fn figures(frames: &[Frame], panel: &Panel) -> Vec<Figure> {
    let options = &panel.options["reduceOptions"];
    let fields = text(options, "fields");
    let wanted = if fields.is_empty() { None } else { pattern(fields) };
    let mut all = Vec::new();
    for frame in frames {
        let names = frame.iter().find(|field| field.kind == Kind::Text);
        let by_rows = is_set(options, "values") || (panel.kind == "barchart" && names.is_some());
        let several = frame.iter().filter(|field| field.is_number()).count() > 1;
        for field in frame {
            let is_wanted = wanted.as_ref().map_or(field.is_number(), |wanted| wanted.is_match(field.title()));
            if field.look.hidden || !is_wanted {
                continue;
            }
            for row in 0..if by_rows { field.values.len() } else { 1 } {
                let mut name = field.title().to_owned();
                if let Some(names) = names.filter(|_| by_rows) {
                    let of_row = names.look.shown(&names.at(row));
                    name = if several { of_row + " · " + &name } else { of_row };
                }
                if all.len() < FIGURES_MAX {
                    all.push(Figure { name, value: if by_rows { field.at(row) } else { reduce(&field.values, &panel.reduce) }, look: field.look.clone() });
                }
            }
        }
    }
    all
}
