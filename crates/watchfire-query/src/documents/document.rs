//! One entry as a document: its time, its labels, its structured metadata, and the fields of its line, which are read when a question
//! needs them. Names of fields may be dotted; a name that nobody has is looked for with underscores, and below `fields.`, where Filebeat
//! puts what it adds.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Value as Json};
use watchfire_model::level;
use watchfire_model::logs::{LogLine, Nanos};

use super::dates;
use crate::logql::json::{self, Value};
use crate::logql::logfmt::{Piece, pieces};
use crate::logql::units;
use crate::pace::{ENTRY_WORK, Pace};

/// The field of the time.
pub(super) const TIME: &str = "@timestamp";
/// The field of the text.
pub(super) const MESSAGE: &str = "message";
/// The most fields of one line that are looked at.
const FIELDS_MAX: usize = 1_000;

/// The longest name that a field may have, in bytes; nobody has a longer one.
pub const FIELD_BYTES_MAX: usize = 1 << 10;

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number with its text.
    Number(f64, &'a str),
    /// True or false.
    Bool(bool),
    /// A moment.
    Time(Nanos),
}
impl Scalar<'_> {
    /// The value as text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Number(_, text) => Cow::Borrowed(text),
            Scalar::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Scalar::Time(time) => Cow::Owned(dates::format(*time)),
        }
    }
    /// The value as number, also where a text is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Text(text) => units::number(text.trim()),
            Scalar::Number(number, _) => Some(*number),
            Scalar::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Scalar::Time(time) => Some(time.0.div_euclid(1_000_000) as f64),
        }
    }
    /// The value as moment.
    pub fn time(&self) -> Option<Nanos> {
        match self {
            Scalar::Time(time) => Some(*time),
            Scalar::Text(text) => dates::instant(text),
            Scalar::Number(millis, _) => Some(Nanos((millis * 1e6) as i64)),
            Scalar::Bool(_) => None,
        }
    }
}

/// A document.
pub struct Document<'a> {
    /// The entry.
    pub entry: LogLine<'a>,
    leaves: OnceCell<Vec<(String, Scalar<'a>)>>,
    pace: Option<&'a Pace<'a>>,
}

impl<'a> Document<'a> {
    /// The document of an entry.
    pub fn new(entry: LogLine<'a>) -> Document<'a> {
        Document { entry, leaves: OnceCell::new(), pace: None }
    }
    /// The same for a loop that ends when it is too late.
    pub(crate) fn paced(entry: LogLine<'a>, pace: &'a Pace<'a>) -> Document<'a> {
        Document { entry, leaves: OnceCell::new(), pace: Some(pace) }
    }

    /// Adds work to that of the loop; false once it is too late to go on.
    pub(super) fn spend(&self, work: usize) -> bool {
        self.pace.is_none_or(|pace| pace.spend(work as u64))
    }

    fn leaves(&self) -> &[(String, Scalar<'a>)] {
        self.leaves.get_or_init(|| {
            let mut all = Vec::new();
            let line = self.entry.line;
            self.spend(line.len());
            if line.trim_start().starts_with('{') {
                // What was read before a mistake in the line counts.
                flatten(line, "", &mut all);
            }
            if all.is_empty() && line.contains('=') {
                pieces(line, &mut |piece| {
                    if let Piece::Pair(name, Some(value)) = piece {
                        all.push((name.to_owned(), Scalar::Text(value)));
                    }
                    all.len() < FIELDS_MAX
                });
            }
            all
        })
    }

    /// The value of a label or of structured metadata.
    fn label(&self, name: &str) -> Option<&'a str> {
        self.entry.metadata.get(name).or_else(|| self.entry.labels.get(name))
    }

    /// Visits the values of a field; several when it is a list. False when nobody has the field.
    pub fn each_value(&self, field: &str, visit: &mut dyn FnMut(&Scalar<'a>)) -> bool {
        if field.len() > FIELD_BYTES_MAX || !self.spend(self.leaves.get().map_or(0, Vec::len) + ENTRY_WORK as usize / 16) {
            return false;
        }
        if self.exactly(field, visit) {
            return true;
        }
        let plain = field.strip_suffix(".keyword").or_else(|| field.strip_suffix(".raw"));
        if let Some(plain) = plain
            && (self.exactly(plain, visit) || self.configured(plain, visit))
        {
            return true;
        }
        self.configured(field, visit)
    }

    /// The time, what is named so, and the id.
    fn exactly(&self, field: &str, visit: &mut dyn FnMut(&Scalar<'a>)) -> bool {
        if field == TIME {
            visit(&Scalar::Time(self.entry.time));
            return true;
        }
        if self.named(field, visit) {
            return true;
        }
        if field == "_id" {
            visit(&Scalar::Text(Cow::Owned(self.id())));
            return true;
        }
        false
    }

    /// What Filebeat adds, and the line itself.
    fn configured(&self, field: &str, visit: &mut dyn FnMut(&Scalar<'a>)) -> bool {
        if !field.starts_with("fields.") && ["fields.", "fields_"].iter().any(|prefix| self.named(&format!("{prefix}{field}"), visit)) {
            return true;
        }
        if field == MESSAGE {
            visit(&Scalar::Text(Cow::Borrowed(self.entry.line)));
            return true;
        }
        false
    }

    /// The same without guesses about the name.
    fn named(&self, field: &str, visit: &mut dyn FnMut(&Scalar<'a>)) -> bool {
        let underscored = || field.contains(['.', '-', '@']).then(|| field.replace(['.', '-', '@'], "_"));
        if let Some(value) = self.label(field).or_else(|| underscored().and_then(|name| self.label(&name))) {
            visit(&Scalar::Text(Cow::Borrowed(value)));
            return true;
        }
        // Reading a line costs more than a look whether it has the name at all; escapes may hide one.
        if self.leaves.get().is_none() {
            let last = field.rsplit('.').next().unwrap_or(field);
            let line = self.entry.line.as_bytes();
            if memchr::memmem::find(line, last.as_bytes()).is_none() && memchr::memchr(b'\\', line).is_none() {
                return false;
            }
        }
        let mut found = false;
        for (_, value) in self.leaves().iter().filter(|(name, _)| name == field) {
            visit(value);
            found = true;
        }
        found
    }

    /// Visits all fields with their values, the time left out.
    pub fn each_field(&self, visit: &mut dyn FnMut(&str, &Scalar<'a>)) {
        for (name, value) in self.entry.labels.iter().chain(self.entry.metadata) {
            visit(name, &Scalar::Text(Cow::Borrowed(value)));
        }
        let leaves = self.leaves();
        for (name, value) in leaves {
            visit(name, value);
        }
        if !leaves.iter().any(|(name, _)| name == MESSAGE) {
            visit(MESSAGE, &Scalar::Text(Cow::Borrowed(self.entry.line)));
        }
    }

    /// Whether there is a value.
    pub fn has(&self, field: &str) -> bool {
        let mut any = false;
        self.each_value(field, &mut |value| any |= !matches!(value, Scalar::Text(text) if text.is_empty()));
        any
    }

    /// The first value of a field.
    pub fn first(&self, field: &str) -> Option<Scalar<'a>> {
        let mut first = None;
        self.each_value(field, &mut |value| {
            if first.is_none() {
                first = Some(value.clone());
            }
        });
        first
    }

    /// The index that the document was written to, if it came with one.
    pub fn index(&self) -> Option<&'a str> {
        self.label("_index")
    }

    /// What names the document: what it was given, or what follows from its content and place.
    pub fn id(&self) -> String {
        if let Some(id) = self.label("_id") {
            return id.to_owned();
        }
        // A level that is noted on the way in is no content: the sender is told the name before.
        let content = self.entry.metadata.without(level::LABEL);
        let mut hash = self.entry.labels.hash_value() ^ content.hash_value().rotate_left(17) ^ (self.entry.time.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in self.entry.line.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        format!("{:016x}{hash:016x}", self.entry.time.0)
    }

    /// The document as JSON: the fields of its line, or the line as `message`, with the labels and the time beside them.
    pub fn source(&self) -> Map<String, Json> {
        let mut out = Map::new();
        out.insert(TIME.to_owned(), Json::String(dates::format(self.entry.time)));
        match serde_json::from_str::<Json>(self.entry.line) {
            Ok(Json::Object(members)) => out.extend(members),
            _ => {
                out.insert(MESSAGE.to_owned(), Json::String(self.entry.line.to_owned()));
            }
        }
        for (name, value) in self.entry.labels.iter().chain(self.entry.metadata) {
            // Names that begin with an underscore are about the document, not in it, and a level that was noted is not what was sent.
            if name == level::LABEL && self.index().is_some() {
                continue;
            }
            if !name.starts_with('_') && !out.contains_key(name) {
                out.insert(name.to_owned(), Json::String(value.to_owned()));
            }
        }
        out
    }
}

/// The leaves of an object, by their dotted names; the elements of a list are values of one name.
fn flatten<'a>(object: &'a str, prefix: &str, all: &mut Vec<(String, Scalar<'a>)>) {
    let mut add = |name: Cow<'a, str>, value: Value<'a>| {
        if all.len() >= FIELDS_MAX || prefix.len() + 1 + name.len() > FIELD_BYTES_MAX {
            return;
        }
        let name = if prefix.is_empty() { name.into_owned() } else { format!("{prefix}.{name}") };
        put(name, value, all);
    };
    json::members(object, &mut add).unwrap_or(());
}

fn put<'a>(name: String, value: Value<'a>, all: &mut Vec<(String, Scalar<'a>)>) {
    if all.len() >= FIELDS_MAX {
        return;
    }
    let scalar = match value {
        Value::Text(text) => Scalar::Text(text),
        Value::Number(text) => Scalar::Number(text.parse().unwrap_or(f64::NAN), text),
        Value::Bool(truth) => Scalar::Bool(truth),
        Value::Null => return,
        Value::Object(text) => return flatten(text, &name, all),
        Value::Array(text) => {
            let mut add = |element| {
                if all.len() < FIELDS_MAX {
                    put(name.clone(), element, all);
                }
            };
            return json::elements(text, &mut add).unwrap_or(());
        }
    };
    all.push((name, scalar));
}
