//! Stages that give lines their form: labels, structured metadata, the text of the line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Makes labels of what is extracted: label → extracted value.
#[derive(Clone, Debug)]
pub struct Labels(pub Vec<(String, String)>);
impl Step for Labels {
    fn name(&self) -> &'static str {
        "labels"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        for (label, source) in &self.0 {
            if let Some(value) = entry.text(source) {
                entry.labels.insert(label.clone(), value);
            }
        }
        Verdict::Keep
    }
}

/// Makes structured metadata of what is extracted: name → extracted value. A label that is moved there is no label any more.
#[derive(Clone, Debug)]
pub struct Metadata(pub Vec<(String, String)>);
impl Step for Metadata {
    fn name(&self) -> &'static str {
        "structured_metadata"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        for (name, source) in &self.0 {
            // A label that a stage has set is not among what is extracted.
            let (extracted, label) = (entry.text(source), entry.labels.remove(source));
            if let Some(value) = extracted.or(label) {
                entry.metadata.insert(name.clone(), value);
            }
        }
        Verdict::Keep
    }
}

/// Makes structured metadata of everything that is extracted under a name that matches, and of labels, which are none any more.
#[derive(Clone, Debug)]
pub struct MetadataMatching(pub regex::Regex);
impl Step for MetadataMatching {
    fn name(&self) -> &'static str {
        "structured_metadata"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let names: Vec<String> = entry.extracted.keys().chain(entry.labels.keys()).filter(|name| self.0.is_match(name)).cloned().collect();
        for name in names {
            let (extracted, label) = (entry.text(&name), entry.labels.remove(&name));
            if let Some(value) = extracted.or(label) {
                entry.metadata.insert(name, value);
            }
        }
        Verdict::Keep
    }
}

/// What a rule of `truncate` shortens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The line.
    Line,
    /// Labels.
    Label,
    /// Structured metadata.
    Metadata,
    /// Extracted values.
    Extracted,
}
impl Field {
    /// The kinds by the names that they have in configurations and in the value `truncated`.
    pub const NAMES: [(&'static str, Field); 4] =
        [("line", Field::Line), ("label", Field::Label), ("structured_metadata", Field::Metadata), ("extracted", Field::Extracted)];
}

/// One rule of `truncate`.
#[derive(Clone, Debug)]
pub struct Shorten {
    /// What is shortened.
    pub field: Field,
    /// The names of what is shortened; everything, unless there are any.
    pub names: Vec<String>,
    /// How many bytes stay, the suffix included.
    pub limit: usize,
    /// What stands behind what was shortened.
    pub suffix: String,
}
impl Shorten {
    /// Shortens a text, never within a character.
    fn text(&self, text: &mut String) -> bool {
        let room = self.limit.saturating_sub(self.suffix.len());
        let long = text.len() > room;
        if long {
            text.truncate(text.floor_char_boundary(room));
            text.push_str(&self.suffix);
        }
        long
    }

    fn apply(&self, entry: &mut Entry) -> bool {
        let named = |name: &String| self.names.is_empty() || self.names.contains(name);
        let mut any = false;
        match self.field {
            Field::Line => any = self.text(&mut entry.line),
            Field::Label | Field::Metadata => {
                let texts = if self.field == Field::Label { &mut entry.labels } else { &mut entry.metadata };
                texts.iter_mut().filter(|(name, _)| named(name)).for_each(|(_, value)| any |= self.text(value));
            }
            Field::Extracted => {
                for (_, value) in entry.extracted.iter_mut().filter(|(name, _)| named(name)) {
                    if let Value::String(text) = value {
                        any |= self.text(text);
                    }
                }
            }
        }
        any
    }
}

/// Shortens lines, labels, structured metadata and extracted values. What was shortened is extracted as `truncated`.
#[derive(Clone, Debug)]
pub struct Truncate(pub Vec<Shorten>);
impl Step for Truncate {
    fn name(&self) -> &'static str {
        "truncate"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        for rule in &self.0 {
            if rule.apply(entry) {
                let mut kinds: BTreeSet<String> = entry.text("truncated").iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
                kinds.extend(Field::NAMES.iter().filter(|(_, field)| *field == rule.field).map(|(name, _)| (*name).to_owned()));
                let all: Vec<String> = kinds.into_iter().collect();
                entry.extracted.insert("truncated".to_owned(), Value::String(all.join(",")));
            }
        }
        Verdict::Keep
    }
}

/// Labels with values that are known beforehand.
#[derive(Clone, Debug)]
pub struct StaticLabels(pub Vec<(String, String)>);
impl Step for StaticLabels {
    fn name(&self) -> &'static str {
        "static_labels"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        entry.labels.extend(self.0.iter().cloned());
        Verdict::Keep
    }
}

/// Labels with values that are known beforehand, for lines that do not have them.
#[derive(Clone, Debug)]
pub struct MissingLabels(pub Vec<(String, String)>);
impl Step for MissingLabels {
    fn name(&self) -> &'static str {
        "external_labels"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        for (name, value) in &self.0 {
            entry.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Verdict::Keep
    }
}

/// Takes labels away.
#[derive(Clone, Debug)]
pub enum Prune {
    /// These.
    These(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}
impl Step for Prune {
    fn name(&self) -> &'static str {
        "labeldrop"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        match self {
            Prune::These(names) => entry.labels.retain(|name, _| !names.contains(name)),
            Prune::AllBut(names) => entry.labels.retain(|name, _| names.contains(name)),
        }
        Verdict::Keep
    }
}

/// Takes structured metadata away.
#[derive(Clone, Debug)]
pub struct DropMetadata(pub Vec<String>);
impl Step for DropMetadata {
    fn name(&self) -> &'static str {
        "structured_metadata_drop"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        entry.metadata.retain(|name, _| !self.0.contains(name));
        Verdict::Keep
    }
}

/// Makes an extracted value the line.
#[derive(Clone, Debug)]
pub struct Output(pub String);
impl Step for Output {
    fn name(&self) -> &'static str {
        "output"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        if let Some(text) = entry.text(&self.0) {
            entry.line = text;
        }
        Verdict::Keep
    }
}

/// Packs the line and some labels into JSON.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Labels, or extracted values, that go into the line and are no labels any more.
    pub labels: Vec<String>,
    /// Whether the time is that of packing.
    pub ingest_timestamp: bool,
}
impl Step for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let mut packed: BTreeMap<String, Value> = BTreeMap::new();
        for name in &self.labels {
            let value = entry.labels.remove(name).or_else(|| entry.text(name));
            if let Some(value) = value {
                packed.insert(name.clone(), Value::String(value));
            }
        }
        let mut all: Map<String, Value> = packed.into_iter().collect();
        all.insert("_entry".to_owned(), Value::String(std::mem::take(&mut entry.line)));
        entry.line = Value::Object(all).to_string();
        if self.ingest_timestamp {
            entry.time = entry.time.max(watchfire_model::logs::Nanos::from_millis(around.now.millis()));
        }
        Verdict::Keep
    }
}

/// Takes colours for terminals out of the line.
#[derive(Clone, Copy, Debug)]
pub struct Decolorize;
impl Step for Decolorize {
    fn name(&self) -> &'static str {
        "decolorize"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        if entry.line.contains('\u{1b}') {
            entry.line = without_escapes(&entry.line);
        }
        Verdict::Keep
    }
}

/// Without the sequences `ESC [ … letter`.
fn without_escapes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
            chars.next();
        } else {
            out.push(c);
        }
    }
    out
}
