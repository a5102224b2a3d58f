//! The transformations that the answers of a panel go through, as the page carries them out: those that choose, order, rename and compute.
//! Those that make other tables are in `shape`. What is not carried out is told.

use serde_json::Value;
use watchfire_model::labels::Labels;

use super::fields::Matcher;
use super::frames::{Cell, Field, Frame, Kind, calc_name, compared, find, keep, list, order, pattern, reduce, replaced, rows, text_or, texts};
use super::panel::{is_set, number_of, text};
use super::shape;

/// Steps of one panel, and rules of one step.
const STEPS_MAX: usize = 50;
const RULES_MAX: usize = 100;
/// Values that a table may hold: each takes some tens of bytes.
pub(super) const CELLS_MAX: usize = 1_000_000;

/// What a picture has to say of what it does not show, each once.
#[derive(Default)]
pub(super) struct Notes(pub(super) Vec<String>);

impl Notes {
    /// Words beyond these are not read.
    const MAX: usize = 5;

    pub(super) fn say(&mut self, words: String) {
        if self.0.len() < Notes::MAX && !self.0.contains(&words) {
            self.0.push(words);
        }
    }
    pub(super) fn not_applied(&mut self, id: &str) {
        self.say(format!("not applied: {id:.40}"));
    }
    /// How many of something there may be.
    pub(super) fn at_most(&mut self, count: usize, most: usize, what: &str) -> usize {
        if count > most {
            self.say(format!("only {most} of {count} {what}"));
        }
        count.min(most)
    }
    /// Whether a calculation is known; one that is not is told.
    pub(super) fn knows(&mut self, calc: &str) -> bool {
        let is_known = !calc_name(calc).is_empty();
        if !is_known {
            self.not_applied(calc);
        }
        is_known
    }
}

/// Carries out all transformations of a panel that are switched on.
pub(super) fn transformed(mut frames: Vec<Frame>, steps: &Value, notes: &mut Notes) -> Vec<Frame> {
    for (at, step) in list(steps).iter().enumerate() {
        let (id, filter) = (text(step, "id"), &step["filter"]);
        if is_set(step, "disabled") || id.is_empty() {
            continue;
        }
        if at >= STEPS_MAX {
            notes.not_applied(id);
            break;
        }
        let mut outside = Vec::new();
        if !text(filter, "id").is_empty() {
            let rule = Matcher::new(filter, notes);
            for frame in std::mem::take(&mut frames) {
                let is_meant = frame.iter().any(|field| rule.fits(field));
                if is_meant { &mut frames } else { &mut outside }.push(frame);
            }
        }
        frames = one(id, frames, &step["options"], notes);
        frames.append(&mut outside);
    }
    frames
}

fn one(id: &str, mut frames: Vec<Frame>, options: &Value, notes: &mut Notes) -> Vec<Frame> {
    match id {
        "reduce" if text(options, "mode") != "reduceFields" => return shape::reduced(&frames, options, notes),
        "merge" => return shape::merged(&frames, None, false, notes),
        "joinByField" | "seriesToColumns" => return shape::merged(&frames, Some(text(options, "byField")), text(options, "mode") == "inner", notes),
        "seriesToRows" => return shape::series(&frames, notes),
        "labelsToFields" if text(options, "mode") != "rows" => return shape::labels(&frames, options, notes),
        "groupBy" => return shape::grouped(&frames, options, notes),
        "organize" => frames.iter_mut().for_each(|frame| organize(frame, options)),
        "filterFieldsByName" => {
            by_name(&mut frames, &options["include"], true, notes);
            by_name(&mut frames, &options["exclude"], false, notes);
        }
        "filterByValue" => frames.iter_mut().for_each(|frame| by_value(frame, options)),
        "renameByRegex" => {
            let pattern = pattern(text(options, "regex"));
            if pattern.is_none() {
                notes.not_applied(id);
            }
            for field in frames.iter_mut().flatten() {
                if let Some(pattern) = pattern.as_ref().filter(|pattern| field.kind != Kind::Time && pattern.is_match(field.title())) {
                    let name = replaced(pattern, field.title(), text(options, "renamePattern"));
                    call(field, &name);
                }
            }
        }
        "sortBy" => {
            let rule = &options["sort"][0];
            for frame in &mut frames {
                if let Some(by) = find(frame, text(rule, "field")) {
                    let rows = sorted(by, is_set(rule, "desc"));
                    keep(frame, &rows);
                }
            }
        }
        "limit" => {
            let most = number_of(options.get("limitField")).map_or(10, |limit| limit as usize);
            for field in frames.iter_mut().flatten() {
                field.values.truncate(most);
            }
        }
        "calculateField" => frames.iter_mut().for_each(|frame| calculate(frame, options, notes)),
        other => notes.not_applied(other),
    }
    frames
}

/// What an object of a file says of a column, by what it is called or by its name.
pub(super) fn said<'a>(rules: &'a Value, field: &Field) -> &'a Value {
    let by_title = &rules[field.title()];
    if by_title.is_null() || by_title == "" { &rules[field.name.as_str()] } else { by_title }
}

fn organize(frame: &mut Frame, options: &Value) {
    let included = &options["includeByName"];
    let only = included.as_object().is_some_and(|names| !names.is_empty());
    let mut rows = Vec::new();
    for (at, field) in frame.iter().enumerate() {
        if said(&options["excludeByName"], field) != true && (!only || said(included, field) == true) {
            rows.push(at);
        }
    }
    let place = |at: usize| number_of(Some(said(&options["indexByName"], &frame[at]))).unwrap_or(1_000.0 + at as f64);
    order(&mut rows, &|a, b| place(a).total_cmp(&place(b)));
    let mut fields = Vec::new();
    for at in rows {
        let mut field = frame[at].clone();
        if let Some(name) = said(&options["renameByName"], &field).as_str().filter(|name| !name.is_empty()) {
            call(&mut field, name);
        }
        fields.push(field);
    }
    *frame = fields;
}

/// Gives a column another name in the stead of all that it was called by.
fn call(field: &mut Field, name: &str) {
    field.labels = Labels::default();
    field.call(name);
}

fn by_name(frames: &mut [Frame], rule: &Value, is_kept: bool, notes: &mut Notes) {
    if rule.is_null() {
        return;
    }
    let matcher = rule.get("id").map(|_| Matcher::new(rule, notes));
    let names = texts(rule, "names");
    let words = text(rule, "pattern");
    let like = pattern(words);
    if like.is_none() {
        notes.not_applied(words);
    }
    for frame in frames {
        frame.retain(|field| {
            let is_like = || !words.is_empty() && like.as_ref().is_some_and(|like| like.is_match(field.title()));
            matcher.as_ref().map_or_else(|| names.iter().any(|name| field.is(name)) || is_like(), |matcher| matcher.fits(field)) == is_kept
        });
    }
}

/// Rows in the order of a column.
pub(super) fn sorted(by: &Field, is_down: bool) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..by.values.len()).collect();
    order(&mut rows, &|a, b| {
        let order = compared(&by.at(a), &by.at(b));
        if is_down { order.reverse() } else { order }
    });
    rows
}

fn by_value(frame: &mut Frame, options: &Value) {
    let is_all = text(options, "match") == "all";
    let include = text_or(options, "type", "include") == "include";
    let count = rows(frame);
    // How many rules there are, and how many each row keeps to.
    let mut rules = 0;
    let mut kept = vec![0; count];
    for rule in list(&options["filters"]).iter().take(RULES_MAX) {
        let Some(field) = find(frame, text(rule, "fieldName")) else { continue };
        rules += 1;
        let config = &rule["config"];
        let (id, options) = (text(config, "id"), &config["options"]);
        let wanted = match &options["value"] {
            Value::String(text) => text.clone(),
            other => other.as_f64().unwrap_or(f64::NAN).to_string(),
        };
        let pattern = if id == "regex" { pattern(&wanted) } else { None };
        let end = |key: &str| number_of(options.get(key)).unwrap_or(f64::NAN);
        let (value, from, to) = (end("value"), end("from"), end("to"));
        for (cell, kept) in field.values.iter().zip(&mut kept) {
            let number = as_number(cell);
            let words = cell.words();
            let has = || words.to_lowercase().contains(&wanted.to_lowercase());
            let fits = match id {
                "isNull" => *cell == Cell::Nothing,
                "isNotNull" => *cell != Cell::Nothing,
                "equal" => words == wanted,
                "notEqual" => words != wanted,
                "greater" => number > value,
                "greaterOrEqual" => number >= value,
                "lower" => number < value,
                "lowerOrEqual" => number <= value,
                "between" => number > from && number < to,
                "regex" => pattern.as_ref().is_some_and(|pattern| pattern.is_match(&words)),
                "substring" => has(),
                "notSubstring" => !has(),
                _ => true,
            };
            *kept += usize::from(fits);
        }
    }
    if rules > 0 {
        let mut rows = Vec::new();
        for (row, kept) in kept.into_iter().enumerate() {
            if (kept >= if is_all { rules } else { 1 }) == include {
                rows.push(row);
            }
        }
        keep(frame, &rows);
    }
}

/// A value as a number in comparisons.
fn as_number(cell: &Cell) -> f64 {
    match cell {
        Cell::Number(number) => *number,
        Cell::Text(text) if !text.trim().is_empty() => text.trim().parse().unwrap_or(f64::NAN),
        _ => 0.0,
    }
}

/// A number of a row: that of a column, or one in the stead of a column.
fn operand(frame: &Frame, name: &str, row: usize) -> f64 {
    find(frame, name).map_or_else(|| name.parse().ok(), |field| field.at(row).number()).unwrap_or(f64::NAN)
}

/// Adds a column of what others give.
fn calculate(frame: &mut Frame, options: &Value, notes: &mut Notes) {
    let mode = text_or(options, "mode", "reduceRow");
    let (rule, row_rule) = (&options["binary"], &options["reduce"]);
    let side = |key: &str| {
        let side = &rule[key];
        let given = [side, &side["fixed"], &side["matcher"]["options"]].into_iter().find(|given| !given.is_null() && !given.is_object()).unwrap_or(side);
        given.as_str().map_or_else(|| given.to_string(), str::to_owned)
    };
    let (left, right, operator) = (side("left"), side("right"), text_or(rule, "operator", "+"));
    let (include, calc) = (texts(row_rule, "include"), text_or(row_rule, "reducer", "sum"));
    let is_binary = mode == "binary";
    if !(is_binary || mode == "reduceRow") {
        return notes.not_applied(mode);
    }
    if !(is_binary || notes.knows(calc)) {
        return;
    }
    let name = if is_binary { format!("{left} {operator} {right}") } else { calc_name(calc).to_owned() };
    let mut made = Field::new("", Kind::Number, Vec::new(), &frame.first().map_or_else(|| "".into(), |field| field.ref_id.clone()));
    made.call(text_or(options, "alias", &name));
    for row in 0..rows(frame) {
        let value = if is_binary {
            let (a, b) = (operand(frame, &left, row), operand(frame, &right, row));
            match operator {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                "/" if b == 0.0 => f64::NAN,
                "/" => a / b,
                _ => return notes.not_applied(operator),
            }
        } else {
            let mut cells = Vec::new();
            for field in frame.iter() {
                if field.is_number() && (include.is_empty() || include.iter().any(|name| field.is(name))) {
                    cells.push(field.at(row));
                }
            }
            reduce(&cells, calc).number().unwrap_or(f64::NAN)
        };
        made.values.push(if value.is_nan() { Cell::Nothing } else { Cell::Number(value) });
    }
    if is_set(options, "replaceFields") {
        frame.retain(|field| field.kind == Kind::Time);
    }
    frame.push(made);
}
