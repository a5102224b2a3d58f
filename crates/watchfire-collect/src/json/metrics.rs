//! A document → metrics, as a module says. What cannot become a number is left out with its reason.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use watchfire_ingest::exposition::format_value;
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::Reply;
use watchfire_model::labels::{Labels, quoted};
use watchfire_model::meter::Family;

use super::config::{Metric, Module};
use super::path::Path;

/// Series of one answer.
const SERIES_MAX: usize = 10_000;

/// What became of a document.
#[derive(Debug, Default)]
pub(super) struct Made {
    families: Vec<Family>,
    /// Times of samples in milliseconds, by their series.
    times: HashMap<Labels, i64>,
    known: HashSet<Labels>,
    pub(super) left_out: Vec<String>,
}

pub(super) fn make(module: &Module, document: &Value) -> Made {
    let mut made = Made::default();
    for metric in &module.metrics {
        match &metric.values {
            None => {
                let text = metric.path.text(document).map_err(|e| e.to_string());
                made.add(metric, &metric.name, text, document);
            }
            Some(values) => made.objects(metric, values, document),
        }
    }
    made
}

impl Made {
    fn objects(&mut self, metric: &Metric, values: &[(String, Path)], document: &Value) {
        let selected = match metric.path.select(document) {
            Ok(selected) => selected,
            Err(error) => return self.left_out.push(format!("{}: {error}", metric.name)),
        };
        for object in selected {
            for (key, path) in values {
                let text = path.text(object).map_err(|e| e.to_string());
                self.add(metric, &format!("{}_{key}", metric.name), text, object);
            }
            self.word(metric, object);
        }
    }

    /// Words were meant to become numbers: the metric without a suffix says it.
    fn word(&mut self, metric: &Metric, object: &Value) {
        if metric.words.is_empty() {
            return;
        }
        let found = object.as_str().and_then(|said| metric.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(said)));
        let text = found.map(|(_, number)| format_value(*number)).ok_or_else(|| format!("{object} is none of the words"));
        self.add(metric, &metric.name, text, object);
    }

    fn add(&mut self, metric: &Metric, name: &str, text: Result<String, String>, around: &Value) {
        let value = text.and_then(|text| number(&text).ok_or_else(|| format!("{text:?} is no number")));
        let value = match value {
            Ok(value) => value,
            Err(reason) => return self.left_out.push(format!("{name}: {reason}")),
        };
        let mut labels: Vec<(&str, String)> = Vec::with_capacity(metric.labels.len());
        for (label, path) in &metric.labels {
            let value = path.text(around).map(unquoted).unwrap_or_else(|error| {
                self.left_out.push(format!("{name}: label {label}: {error}"));
                String::new()
            });
            labels.push((label, value));
        }
        let at = self.families.iter().position(|f| &*f.name == name).unwrap_or_else(|| {
            self.families.push(Family::new(name, metric.kind, &metric.help));
            self.families.len() - 1
        });
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(label, value)| (*label, value.as_str())).filter(|(_, value)| !value.is_empty()).collect();
        self.families[at].point(&pairs, value);
        let Some((labels, _)) = self.families[at].points.last().cloned() else { return };
        if self.known.len() >= SERIES_MAX || !self.known.insert(labels.clone()) {
            self.families[at].points.pop();
            self.left_out.push(format!("{labels}: there is one already, or there are more than {SERIES_MAX}"));
            return;
        }
        if let Some(path) = &metric.time {
            match path.text(around).map_err(|e| e.to_string()).and_then(|text| time(&text).ok_or_else(|| format!("{text:?} is no time"))) {
                Ok(ms) => drop(self.times.insert(labels, ms)),
                Err(reason) => self.left_out.push(format!("{name}: {reason}")),
            }
        }
    }

    /// The answer. Families have no times, so with times it is written here.
    pub(super) fn reply(mut self) -> Reply {
        self.families.retain(|family| !family.points.is_empty());
        if self.times.is_empty() {
            return Reply::families(self.families);
        }
        let mut text = String::new();
        for family in &self.families {
            let kind = if family.kind == MetricType::Unknown { "untyped" } else { family.kind.name() };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n", name = family.name));
            for (labels, value) in &family.points {
                let pairs: Vec<String> = labels.iter().filter(|(name, _)| *name != "__name__").map(|(n, v)| format!("{n}={}", quoted(v))).collect();
                let inside = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
                let time = self.times.get(labels).map(|ms| format!(" {ms}")).unwrap_or_default();
                text.push_str(&format!("{}{inside} {}{time}\n", family.name, format_value(*value)));
            }
        }
        Reply::text(200, text)
    }
}

/// A text as milliseconds since 1970. Whole numbers only are read there, so one of JSON with thirteen digits is not; that is not copied.
fn time(text: &str) -> Option<i64> {
    let text = unquoted(text.trim().to_owned());
    let text = text.strip_suffix("u64").unwrap_or(&text);
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|ms| ms.is_finite()).map(|ms| ms as i64))
}

/// A text as a number: numbers as Go reads them, truth values as 1 and 0, nothing as no number.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = &unquoted(text.to_owned());
    if !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && let Ok(value) = text.parse()
    {
        return Some(value);
    }
    match text.as_str() {
        "t" | "T" | "TRUE" | "true" | "True" => Some(1.0),
        "f" | "F" | "FALSE" | "false" | "False" => Some(0.0),
        "<nil>" => Some(f64::NAN),
        _ => None,
    }
}

/// A text without the quotes around it, if there are any and Go would read them as quotes: one more of them inside makes it another text.
fn unquoted(text: String) -> String {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return text };
    let Some(inside) = text.get(1..).and_then(|rest| rest.strip_suffix(quote)) else { return text };
    if !inside.contains(['\\', quote]) {
        return inside.to_owned();
    }
    let mut escaped = false;
    let bare = inside.chars().any(|c| {
        let bare = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        bare
    });
    if bare { text } else { watchfire_template::unquote(&text).unwrap_or(text) }
}
