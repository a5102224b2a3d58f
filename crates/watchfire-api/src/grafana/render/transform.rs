//! The transformations that the answers of a panel go through, as the page carries them out: those that choose, order and rename what is
//! there. Those that make other tables or compute are not carried out, and that is told.

use serde_json::Value;
use watchfire_model::labels::Labels;

use super::fields::Matcher;
use super::frames::{Field, Frame, Kind, compared, find, keep, list, order, pattern, replaced, texts};
use super::panel::{is_set, number_of, text};

/// Steps of one panel.
const STEPS_MAX: usize = 50;

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
        "organize" => frames.iter_mut().for_each(|frame| organize(frame, options)),
        "filterFieldsByName" => {
            by_name(&mut frames, &options["include"], true, notes);
            by_name(&mut frames, &options["exclude"], false, notes);
        }
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
        other => notes.not_applied(other),
    }
    frames
}

/// What an object of a file says of a column, by what it is called or by its name.
fn said<'a>(rules: &'a Value, field: &Field) -> &'a Value {
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
