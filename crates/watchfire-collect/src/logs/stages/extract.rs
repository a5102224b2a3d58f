//! Stages that find values in a line: JSON, logfmt, regular expressions; and the one that writes parts of a line anew.

use serde_json::Value;

use super::{JsonPath, Step, Surroundings, Template, Verdict, logfmt};
use crate::logs::Entry;

/// The text that a stage works on: an extracted value, or the line.
fn subject(entry: &Entry, source: Option<&String>) -> Option<String> {
    match source {
        None => Some(entry.line.clone()),
        Some(name) => entry.text(name),
    }
}

/// Finds values in JSON.
#[derive(Clone, Debug)]
pub struct Json {
    /// What is extracted, and where it stands.
    pub expressions: Vec<(String, JsonPath)>,
    /// The extracted value that is JSON; the line, unless there is one.
    pub source: Option<String>,
    /// Whether lines that are no JSON are dropped.
    pub drop_malformed: bool,
}
impl Step for Json {
    fn name(&self) -> &'static str {
        "json"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let parsed = match &self.source {
            None => serde_json::from_str(&entry.line).ok(),
            Some(name) => entry.text(name).and_then(|text| serde_json::from_str::<Value>(&text).ok()),
        };
        let Some(value) = parsed else {
            if self.drop_malformed {
                return Verdict::Drop("malformed_json".into());
            }
            around.figures.stage_failed("json");
            return Verdict::Keep;
        };
        for (name, path) in &self.expressions {
            if let Some(found) = path.get(&value) {
                let found = match found {
                    // What is no single value is kept as its text.
                    Value::Array(_) | Value::Object(_) => Value::String(found.to_string()),
                    found => found.clone(),
                };
                entry.extracted.insert(name.clone(), found);
            }
        }
        Verdict::Keep
    }
}

/// Finds values in logfmt.
#[derive(Clone, Debug)]
pub struct Logfmt {
    /// What is extracted, and its name in the line.
    pub mapping: Vec<(String, String)>,
    /// The extracted value to look into; the line, unless there is one.
    pub source: Option<String>,
}
impl Step for Logfmt {
    fn name(&self) -> &'static str {
        "logfmt"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let Some(text) = subject(entry, self.source.as_ref()) else { return Verdict::Keep };
        logfmt::pairs(&text, &mut |name, value| {
            for (to, _) in self.mapping.iter().filter(|(_, from)| from == name) {
                entry.extracted.insert(to.clone(), Value::String(value.clone()));
            }
        });
        Verdict::Keep
    }
}

/// Finds values by the named groups of a regular expression.
#[derive(Clone, Debug)]
pub struct Regex {
    /// The expression; it matches anywhere.
    pub expression: regex::Regex,
    /// The extracted value to look into; the line, unless there is one.
    pub source: Option<String>,
    /// Whether what is found becomes labels at once.
    pub labels: bool,
}
impl Step for Regex {
    fn name(&self) -> &'static str {
        "regex"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let Some(text) = subject(entry, self.source.as_ref()) else { return Verdict::Keep };
        let Some(captures) = self.expression.captures(&text) else { return Verdict::Keep };
        for name in self.expression.capture_names().flatten() {
            let found = captures.name(name).map_or("", |m| m.as_str());
            if self.labels {
                entry.labels.insert(name.to_owned(), found.to_owned());
            }
            entry.extracted.insert(name.to_owned(), Value::String(found.to_owned()));
        }
        Verdict::Keep
    }
}

/// Writes what groups of a regular expression match anew.
#[derive(Clone, Debug)]
pub struct Replace {
    /// The expression; without groups, the whole match is written anew.
    pub expression: regex::Regex,
    /// The extracted value that is changed; the line, unless there is one.
    pub source: Option<String>,
    /// What is written; `.Value` is what was there.
    pub replacement: Template,
}
impl Step for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let Some(text) = subject(entry, self.source.as_ref()) else { return Verdict::Keep };
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        let mut found: Vec<(String, String)> = Vec::new();
        for captures in self.expression.captures_iter(&text) {
            let groups: Vec<(usize, regex::Match<'_>)> = match captures.len() {
                1 => captures.get(0).map(|m| (0, m)).into_iter().collect(),
                count => (1..count).filter_map(|i| Some((i, captures.get(i)?))).collect(),
            };
            for (i, group) in groups {
                // Groups within groups were written with the outer one.
                if group.start() < at {
                    continue;
                }
                let Ok(new) = self.replacement.execute(entry, Some(group.as_str())) else {
                    around.figures.stage_failed("replace");
                    return Verdict::Keep;
                };
                out.push_str(text.get(at..group.start()).unwrap_or(""));
                out.push_str(&new);
                at = group.end();
                if let Some(name) = self.expression.capture_names().nth(i).flatten() {
                    found.push((name.to_owned(), new));
                }
            }
        }
        out.push_str(text.get(at..).unwrap_or(""));
        match &self.source {
            None => entry.line = out,
            Some(name) => {
                entry.extracted.insert(name.clone(), Value::String(out));
            }
        }
        entry.extracted.extend(found.into_iter().map(|(name, value)| (name, Value::String(value))));
        Verdict::Keep
    }
}
