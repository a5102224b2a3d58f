//! The stage that makes a value by a template of Go, and the functions that such templates have.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;
use watchfire_template::{Form, Functions, Kind, List, ListKind, Map, MapKind, Templates, Value, text};

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// The most compiled patterns of one template.
const PATTERNS_MAX: usize = 16;
/// The longest text that a template may make.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A template, and what it makes.
#[derive(Clone)]
pub struct Template {
    /// The extracted value that is made or changed.
    pub source: String,
    templates: Arc<Templates>,
    plain: Option<String>,
}
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template. The error is a sentence.
    pub fn new(source: &str, text: &str) -> Result<Template, String> {
        let mut templates = Templates::new("", functions());
        templates.parse("template", text).map_err(|error| format!("invalid template: {error}"))?;
        let plain = (!text.contains("{{")).then(|| text.to_owned());
        Ok(Template { source: source.to_owned(), templates: Arc::new(templates), plain })
    }
    /// Its text over what is extracted; `.Value` may be given.
    pub(super) fn execute(&self, entry: &Entry, value: Option<&str>) -> Result<String, String> {
        if let Some(plain) = &self.plain {
            return Ok(plain.clone());
        }
        let mut entries: BTreeMap<String, Value> = entry.extracted.iter().map(|(name, value)| (name.clone(), convert(value))).collect();
        entries.insert("Entry".to_owned(), Value::text(&entry.line));
        match value {
            Some(value) => drop(entries.insert("Value".to_owned(), Value::text(value))),
            None => {
                let value = entry.extracted.get(&self.source).map(convert);
                drop(entries.insert("Value".to_owned(), value.unwrap_or(Value::text(""))));
            }
        }
        let data = Value::Map(Arc::new(Map { entries, kind: MapKind::Texts }));
        let out = self.templates.execute("template", data, Form::Plain).map_err(|error| error.to_string())?;
        if out.len() > OUTPUT_BYTES_MAX { Err(format!("it writes more than {OUTPUT_BYTES_MAX} bytes")) } else { Ok(out) }
    }
}

/// A template that works on the parameters of a request: each is a list of texts.
#[derive(Clone)]
pub struct BodyTemplate(Arc<Templates>);
impl std::fmt::Debug for BodyTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyTemplate")
    }
}
impl BodyTemplate {
    /// Parses a template. The error is a sentence.
    pub fn new(text: &str) -> Result<BodyTemplate, String> {
        let mut functions = functions();
        functions
            .add("first", &[Kind::Any], |a| Ok(if let Value::List(list) = &a[0] { list.items.first().cloned().unwrap_or(Value::Nil) } else { Value::Nil }));
        functions.add("last", &[Kind::Any], |a| Ok(if let Value::List(list) = &a[0] { list.items.last().cloned().unwrap_or(Value::Nil) } else { Value::Nil }));
        let mut templates = Templates::new("", functions);
        templates.parse("template", text).map_err(|error| format!("invalid template: {error}"))?;
        Ok(BodyTemplate(Arc::new(templates)))
    }
    /// The text for these parameters.
    pub fn execute(&self, params: &[(String, String)]) -> Result<String, String> {
        let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (name, value) in params {
            lists.entry(name.clone()).or_default().push(Value::text(value));
        }
        let list = |items| Value::List(Arc::new(List { items, kind: ListKind::Plain }));
        let entries = lists.into_iter().map(|(name, items)| (name, list(items))).collect();
        let data = Value::Map(Arc::new(Map { entries, kind: MapKind::Any }));
        let out = self.0.execute("template", data, Form::Plain).map_err(|error| error.to_string())?;
        if out.len() > OUTPUT_BYTES_MAX { Err(format!("it writes more than {OUTPUT_BYTES_MAX} bytes")) } else { Ok(out) }
    }
}

impl Step for Template {
    fn name(&self) -> &'static str {
        "template"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        match self.execute(entry, None) {
            Ok(made) if made.is_empty() => drop(entry.extracted.remove(&self.source)),
            Ok(made) => drop(entry.extracted.insert(self.source.clone(), Json::String(made))),
            Err(_) => around.figures.stage_failed("template"),
        }
        Verdict::Keep
    }
}

fn convert(value: &Json) -> Value {
    match value {
        Json::Null => Value::text(""),
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::text(text),
        other => Value::text(other.to_string()),
    }
}

/// The patterns of one template, compiled once: a pattern stands in the template and is asked for with every line.
#[derive(Default)]
struct Patterns(Mutex<HashMap<String, regex::Regex>>);

impl Patterns {
    fn compiled(&self, pattern: &str) -> Result<regex::Regex, String> {
        if let Some(known) = self.held().get(pattern) {
            return Ok(known.clone());
        }
        let fresh = super::compile(pattern)?;
        let mut held = self.held();
        // One that is made of the line comes once; those that come again are soon back.
        if held.len() >= PATTERNS_MAX {
            held.clear();
        }
        held.insert(pattern.to_owned(), fresh.clone());
        Ok(fresh)
    }
    fn held(&self) -> MutexGuard<'_, HashMap<String, regex::Regex>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn functions() -> Functions {
    const T: Kind = Kind::Text;
    let mut all = Functions::builtin();
    let answer = |text: String| -> Result<Value, String> {
        if text.len() > OUTPUT_BYTES_MAX { Err(format!("a text becomes longer than {OUTPUT_BYTES_MAX} bytes")) } else { Ok(Value::text(text)) }
    };
    for name in ["ToLower", "lower"] {
        all.add(name, &[T], move |a| answer(text(a, 0).to_lowercase()));
    }
    for name in ["ToUpper", "upper"] {
        all.add(name, &[T], move |a| answer(text(a, 0).to_uppercase()));
    }
    for name in ["TrimSpace", "trim"] {
        all.add(name, &[T], move |a| answer(text(a, 0).trim().to_owned()));
    }
    // Go's functions take the text first and a set of characters; the others take the text last.
    all.add("Trim", &[T, T], move |a| answer(text(a, 0).trim_matches(|c| text(a, 1).contains(c)).to_owned()));
    all.add("TrimLeft", &[T, T], move |a| answer(text(a, 0).trim_start_matches(|c| text(a, 1).contains(c)).to_owned()));
    all.add("TrimRight", &[T, T], move |a| answer(text(a, 0).trim_end_matches(|c| text(a, 1).contains(c)).to_owned()));
    all.add("TrimPrefix", &[T, T], move |a| answer(text(a, 0).strip_prefix(text(a, 1)).unwrap_or(text(a, 0)).to_owned()));
    all.add("TrimSuffix", &[T, T], move |a| answer(text(a, 0).strip_suffix(text(a, 1)).unwrap_or(text(a, 0)).to_owned()));
    all.add("trimPrefix", &[T, T], move |a| answer(text(a, 1).strip_prefix(text(a, 0)).unwrap_or(text(a, 1)).to_owned()));
    all.add("trimSuffix", &[T, T], move |a| answer(text(a, 1).strip_suffix(text(a, 0)).unwrap_or(text(a, 1)).to_owned()));
    all.add("Replace", &[T, T, T, Kind::Int], move |a| {
        let count = if let Value::Int(count) = &a[3] { *count } else { -1 };
        answer(match usize::try_from(count) {
            Ok(count) => text(a, 0).replacen(text(a, 1), text(a, 2), count),
            Err(_) => text(a, 0).replace(text(a, 1), text(a, 2)),
        })
    });
    all.add("replace", &[T, T, T], move |a| answer(text(a, 2).replace(text(a, 0), text(a, 1))));
    all.add("contains", &[T, T], |a| Ok(Value::Bool(text(a, 1).contains(text(a, 0)))));
    all.add("hasPrefix", &[T, T], |a| Ok(Value::Bool(text(a, 1).starts_with(text(a, 0)))));
    all.add("hasSuffix", &[T, T], |a| Ok(Value::Bool(text(a, 1).ends_with(text(a, 0)))));
    all.add("trunc", &[Kind::Int, T], move |a| {
        let count = if let Value::Int(count) = &a[0] { *count } else { 0 };
        answer(text(a, 1).chars().take(usize::try_from(count.max(0)).unwrap_or(usize::MAX)).collect())
    });
    all.add("default", &[Kind::Any, Kind::Any], |a| Ok(if a[1].is_true() { a[1].clone() } else { a[0].clone() }));
    let patterns = Arc::new(Patterns::default());
    let same = Arc::clone(&patterns);
    all.add("regexReplaceAll", &[T, T, T], move |a| {
        let regex = same.compiled(text(a, 0))?;
        answer(regex.replace_all(text(a, 1), text(a, 2)).into_owned())
    });
    all.add("regexReplaceAllLiteral", &[T, T, T], move |a| {
        let regex = patterns.compiled(text(a, 0))?;
        answer(regex.replace_all(text(a, 1), regex::NoExpand(text(a, 2))).into_owned())
    });
    all
}
