//! Stages that give lines their form: labels, structured metadata, the text of the line.

use std::collections::BTreeMap;

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
            if let Some(value) = entry.text(source) {
                entry.labels.remove(source);
                entry.metadata.insert(name.clone(), value);
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
