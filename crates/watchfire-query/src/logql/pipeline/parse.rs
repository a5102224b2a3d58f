//! Parsers: they make labels of a line. What they cannot read is an error of the entry; what they had found before stays.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::Regex;

use super::super::ast::{Extraction, Stage};
use super::super::fields::{EXTRACTED_MAX, Fields, Wanted, push_name};
use super::super::json::{self, Value};
use super::super::logfmt::{Piece, pieces};
use super::super::paths::Path;
use super::super::pattern::Pattern;
use super::super::regexes::unanchored;
use super::errors;

/// The member of a packed entry that holds its line.
const PACKED_LINE: &str = "_entry";

/// Names of a logfmt line that become labels.
pub(super) struct Chosen {
    /// The labels, each with the place of its name.
    labels: Vec<(String, usize)>,
    /// The place of each name, of which there are fewer where several labels come from one.
    places: HashMap<String, usize>,
}
impl Chosen {
    fn new(fields: &[Extraction]) -> Chosen {
        let mut places = HashMap::new();
        let mut place = |from: &str| {
            let next = places.len();
            *places.entry(from.to_owned()).or_insert(next)
        };
        let labels = fields.iter().map(|field| (field.name.clone(), place(&field.from))).collect();
        Chosen { labels, places }
    }
}

/// A parser that is ready.
pub(super) enum Parser {
    Json,
    JsonPaths { names: Vec<String>, paths: Vec<Path> },
    Logfmt { strict: bool, keep_empty: bool },
    LogfmtFields { strict: bool, chosen: Chosen },
    Pattern(Pattern),
    Regexp(Regex, Vec<Option<String>>),
    Unpack,
}

impl Parser {
    pub(super) fn new(stage: &Stage) -> Result<Parser, String> {
        Ok(match stage {
            Stage::Json(fields) if fields.is_empty() => Parser::Json,
            Stage::Json(fields) => Parser::JsonPaths {
                names: fields.iter().map(|f| f.name.clone()).collect(),
                paths: fields.iter().map(|f| Path::parse(&f.from)).collect::<Result<_, _>>()?,
            },
            Stage::Logfmt { strict, keep_empty, fields } if fields.is_empty() => Parser::Logfmt { strict: *strict, keep_empty: *keep_empty },
            Stage::Logfmt { strict, fields, .. } => Parser::LogfmtFields { strict: *strict, chosen: Chosen::new(fields) },
            Stage::Pattern(pattern) => Parser::Pattern(Pattern::parser(pattern)?),
            Stage::Regexp(pattern) => {
                let regex = unanchored(pattern)?;
                let names = regex.capture_names().map(|name| name.map(str::to_owned)).collect();
                Parser::Regexp(regex, names)
            }
            _ => Parser::Unpack,
        })
    }

    /// How often it reads a line at most.
    pub(super) fn reads(&self) -> usize {
        if let Parser::JsonPaths { paths, .. } = self { paths.len() } else { 1 }
    }

    /// Sets labels; true when the line becomes `out`.
    pub(super) fn apply(&self, fields: &mut Fields<'_>, line: &str, out: &mut String, wanted: Option<&Wanted>) -> bool {
        match self {
            Parser::Json => read_json(fields, line, wanted),
            // An empty line has nothing that could be wrong.
            Parser::JsonPaths { .. } if line.is_empty() => {}
            Parser::JsonPaths { names, paths } => {
                let read = json::at_paths(line, paths, &mut |i, value| {
                    let text = value.map_or(Cow::Borrowed(""), Value::into_text);
                    fields.extract(&names[i], &text, wanted);
                });
                if let Err(message) = read {
                    fields.fail(errors::JSON, &message);
                }
            }
            Parser::Logfmt { strict, keep_empty } => read_logfmt(fields, line, *strict, *keep_empty, wanted),
            Parser::LogfmtFields { strict, chosen } => choose_logfmt(fields, line, *strict, chosen, wanted),
            Parser::Pattern(pattern) => pattern.captures(line, &mut |name, value| fields.extract(name, value, wanted)),
            Parser::Regexp(regex, names) => {
                if let Some(captures) = regex.captures(line) {
                    for (name, capture) in names.iter().zip(captures.iter()) {
                        if let Some(name) = name {
                            fields.extract(name, capture.map_or("", |c| c.as_str()), wanted);
                        }
                    }
                }
            }
            Parser::Unpack => return unpack(fields, line, out, wanted),
        }
        false
    }
}

fn read_json(fields: &mut Fields<'_>, line: &str, wanted: Option<&Wanted>) {
    let mut name = String::new();
    let read = json::leaves(line, &mut |way, value| {
        // Arrays become no labels, and nothing is none.
        if matches!(value, Value::Array(_) | Value::Null) {
            return;
        }
        name.clear();
        for part in way {
            if !name.is_empty() {
                name.push('_');
            }
            push_name(&mut name, part);
        }
        if !name.is_empty() {
            fields.extract(&name, &value.into_text(), wanted);
        }
    });
    if let Err(message) = read {
        fields.fail(errors::JSON, &message);
    }
}

fn read_logfmt(fields: &mut Fields<'_>, line: &str, strict: bool, keep_empty: bool, wanted: Option<&Wanted>) {
    let mut name = String::new();
    let mut failed = None;
    pieces(line, &mut |piece| match piece {
        Piece::Pair(key, value) => {
            let value = value.unwrap_or_default();
            if !value.is_empty() || keep_empty {
                name.clear();
                push_name(&mut name, key);
                fields.extract(&name, &value, wanted);
            }
            true
        }
        Piece::Malformed(why) if strict => {
            failed = Some(why);
            false
        }
        Piece::Malformed(_) => true,
    });
    if let Some(why) = failed {
        fields.fail(errors::LOGFMT, why);
    }
}

/// Only some names, each of which is there afterwards, perhaps empty.
fn choose_logfmt(fields: &mut Fields<'_>, line: &str, strict: bool, chosen: &Chosen, wanted: Option<&Wanted>) {
    let mut found: Vec<Option<Cow<'_, str>>> = vec![None; chosen.places.len()];
    let mut failed = None;
    pieces(line, &mut |piece| match piece {
        Piece::Pair(key, value) => {
            if let Some(slot) = chosen.places.get(key).and_then(|place| found.get_mut(*place)) {
                *slot = Some(value.unwrap_or_default());
            }
            true
        }
        Piece::Malformed(why) if strict => {
            failed = Some(why);
            false
        }
        Piece::Malformed(_) => true,
    });
    for (name, place) in &chosen.labels {
        fields.extract(name, found.get(*place).and_then(Option::as_deref).unwrap_or_default(), wanted);
    }
    if let Some(why) = failed {
        fields.fail(errors::LOGFMT, why);
    }
}

/// What Promtail's `pack` has put into a line: labels, and the line itself. A line without the line in it was not packed.
fn unpack(fields: &mut Fields<'_>, line: &str, out: &mut String, wanted: Option<&Wanted>) -> bool {
    if line.is_empty() {
        return false;
    }
    let mut packed = false;
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let read = json::members(line, &mut |key, value| match value {
        Value::Text(text) if key == PACKED_LINE => {
            out.clear();
            out.push_str(&text);
            packed = true;
        }
        Value::Text(text) if labels.len() <= EXTRACTED_MAX => labels.push((key, text)),
        _ => {}
    });
    if let Err(message) = read {
        fields.fail(errors::JSON, &message);
        return false;
    }
    let mut name = String::new();
    for (key, text) in labels.iter().filter(|_| packed) {
        name.clear();
        push_name(&mut name, key);
        if !name.is_empty() {
            fields.extract(&name, text, wanted);
        }
    }
    packed
}
