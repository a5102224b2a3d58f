//! Hits: documents that come first in an order, kept while others are read, with what of them was asked for. Which documents are read is
//! decided in `search`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use watchfire_model::logs::Nanos;
use watchfire_model::read::{Budget, ReadError};

use super::analysis::Glob;
use super::document::{Document, Scalar, TIME};
use super::request::{FieldChoice, SourceChoice, TimeForm};
use super::sort::{Key, Sort};

/// The index of documents that came without one.
pub const NAMELESS: &str = "logs";

/// One document of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// The index that it was written to, if it came with one.
    pub index: Option<String>,
    /// Its time.
    pub time: Nanos,
    /// What of it was asked for; nothing where nothing was.
    pub source: Option<Map<String, Value>>,
    /// Values of fields that were asked for by name, each a list.
    pub fields: Option<Map<String, Value>>,
    /// The values by which it was ordered.
    pub sort: Option<Vec<Value>>,
}
impl Hit {
    /// The hit as JSON; `index` is what the place of documents without one is called.
    pub fn json(&self, index: &str) -> Value {
        let mut out = Map::new();
        out.insert("_index".into(), self.index.as_deref().unwrap_or(index).into());
        out.insert("_id".into(), self.id.clone().into());
        out.insert("_score".into(), if self.sort.is_some() { Value::Null } else { json!(1.0) });
        if let Some(source) = &self.source {
            out.insert("_source".into(), Value::Object(source.clone()));
        }
        if let Some(fields) = &self.fields {
            out.insert("fields".into(), Value::Object(fields.clone()));
        }
        if let Some(sort) = &self.sort {
            out.insert("sort".into(), Value::Array(sort.clone()));
        }
        Value::Object(out)
    }
}

/// `hits` of an answer, as JSON.
pub(super) fn json(hits: &[Hit], total: Option<u64>, index: &str) -> Value {
    let ordered = hits.iter().any(|hit| hit.sort.is_some());
    let max_score = if hits.is_empty() || ordered { Value::Null } else { json!(1.0) };
    let list: Vec<Value> = hits.iter().map(|hit| hit.json(index)).collect();
    let mut out = json!({ "max_score": max_score, "hits": list });
    if let Some(total) = total {
        out["total"] = json!({ "value": total, "relation": "eq" });
    }
    out
}

struct Kept {
    keys: Vec<Key>,
    place: u64,
    hit: Hit,
    memory: u64,
}

/// Which hits are wanted, and what of them.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) from: usize,
    pub(super) size: usize,
    pub(super) sort: &'a Sort,
    pub(super) source: &'a SourceChoice,
    pub(super) fields: &'a [FieldChoice],
}
impl Wanted<'_> {
    /// How many are kept.
    fn most(&self) -> usize {
        self.from + self.size
    }
}

/// The hits that may be of the page.
#[derive(Default)]
pub(super) struct Page {
    kept: Vec<Kept>,
    /// The keys of the last hit of the page, as far as it is known.
    last: Option<Vec<Key>>,
    charged: u64,
}

impl Page {
    /// Keeps a document if it may be of the page; tells whether no later one can be.
    pub(super) fn offer(&mut self, wanted: Wanted<'_>, document: &Document<'_>, place: u64, budget: &Budget) -> Result<bool, ReadError> {
        if wanted.size == 0 {
            return Ok(false);
        }
        let sort = wanted.sort;
        let keys = sort.keys(document, place);
        if !sort.is_behind(&keys) {
            return Ok(false);
        }
        // Once the page was full, most documents come behind its last one; equal ones that are written later do, too.
        if let Some(last) = self.last.as_ref().filter(|last| sort.compare(&keys, last).is_ge()) {
            return Ok(sort.is_past(&keys, last));
        }
        let source = chosen(document, wanted.source);
        let shown = sort.is_named().then(|| keys.iter().map(Key::json).collect());
        let fields = (!wanted.fields.is_empty()).then(|| named(document, wanted.fields));
        let copies = 2 + wanted.fields.len();
        let memory = (document.entry.line.len() * copies + 256) as u64;
        self.charged += memory;
        budget.charge_memory(memory)?;
        let hit = Hit { id: document.id(), index: document.index().map(str::to_owned), time: document.entry.time, source, fields, sort: shown };
        self.kept.push(Kept { keys, place, hit, memory });
        if self.kept.len() > 2 * wanted.most() {
            self.prune(wanted, budget);
        }
        Ok(false)
    }

    /// Leaves only what can be of the page, in order.
    fn prune(&mut self, wanted: Wanted<'_>, budget: &Budget) {
        let sort = wanted.sort;
        self.kept.sort_by(|a, b| sort.compare(&a.keys, &b.keys).then(a.place.cmp(&b.place)));
        let gone: u64 = self.kept.iter().skip(wanted.most()).map(|kept| kept.memory).sum();
        self.kept.truncate(wanted.most());
        if self.kept.len() == wanted.most() {
            self.last = self.kept.last().map(|kept| kept.keys.clone());
        }
        self.charged -= gone;
        budget.release_memory(gone);
    }

    /// The page.
    pub(super) fn finish(&mut self, wanted: Wanted<'_>, budget: &Budget) -> Vec<Hit> {
        self.prune(wanted, budget);
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().skip(wanted.from).map(|kept| kept.hit).collect()
    }

    /// Gives back the memory of what was kept.
    pub(super) fn release(&mut self, budget: &Budget) {
        budget.release_memory(std::mem::take(&mut self.charged));
    }
}

/// What of a document was asked for.
fn chosen(document: &Document<'_>, choice: &SourceChoice) -> Option<Map<String, Value>> {
    match choice {
        SourceChoice::None => None,
        SourceChoice::All => Some(document.source()),
        SourceChoice::Fields { includes, excludes } => {
            let globs = |names: &[String]| names.iter().map(|name| Glob::new(name)).collect::<Vec<_>>();
            let (includes, excludes) = (globs(includes), globs(excludes));
            let mut out = document.source();
            narrow(&mut out, "", &includes, &excludes);
            Some(out)
        }
    }
}

/// The values of fields, each a list under the name that was asked for, or that a pattern fits.
fn named(document: &Document<'_>, choices: &[FieldChoice]) -> Map<String, Value> {
    let mut out: Map<String, Value> = Map::new();
    for choice in choices {
        for name in meant(document, &choice.name) {
            let mut all = Vec::new();
            document.each_value(&name, &mut |value| all.push(written(value, choice.form)));
            // A field that several choices mean is as the last of them says.
            if !all.is_empty() {
                out.insert(name, Value::Array(all));
            }
        }
    }
    out
}

/// The names of a document's fields that a choice means; each of them once, although a label and the line may both have it.
fn meant(document: &Document<'_>, choice: &str) -> BTreeSet<String> {
    if !choice.contains('*') {
        return BTreeSet::from([choice.to_owned()]);
    }
    let glob = Glob::new(choice);
    let mut names: BTreeSet<String> = glob.fits(TIME, false).then(|| TIME.to_owned()).into_iter().collect();
    document.each_field(&mut |name, _| {
        if document.spend(name.len() + choice.len()) && !name.starts_with('_') && glob.fits(name, false) {
            names.insert(name.to_owned());
        }
    });
    names
}

/// A value as it stands among fields.
fn written(value: &Scalar<'_>, form: TimeForm) -> Value {
    match (value, form) {
        (Scalar::Time(time), TimeForm::Millis) => json!(time.millis().to_string()),
        (Scalar::Time(time), TimeForm::Seconds) => json!(time.millis().div_euclid(1_000).to_string()),
        (Scalar::Bool(truth), _) => json!(truth),
        (Scalar::Number(_, text), _) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        (value, _) => json!(value.text()),
    }
}

/// Leaves the members whose dotted names are wanted. An object is wanted with all that is in it.
fn narrow(object: &mut Map<String, Value>, prefix: &str, includes: &[Glob], excludes: &[Glob]) {
    object.retain(|name, value| {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if excludes.iter().any(|glob| glob.fits(&full, false)) {
            return false;
        }
        let wanted = includes.is_empty() || includes.iter().any(|glob| glob.fits(&full, false));
        match value {
            Value::Object(inner) => {
                narrow(inner, &full, if wanted { &[] } else { includes }, excludes);
                !inner.is_empty() || wanted
            }
            _ => wanted,
        }
    });
}
