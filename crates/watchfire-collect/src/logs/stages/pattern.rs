//! The stage that finds values by a pattern of texts and names, `<ip> - - [<_>] "<method> <path>"`, as LogQL's parser of that name does.

use serde_json::Value;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// The most parts of a pattern.
const PARTS_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// What stands between two texts; without a name it is passed over.
    Value(Option<String>),
}

/// Finds values by a pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    source: Option<String>,
    labels: bool,
}
impl Pattern {
    /// Reads a pattern. The error is a sentence without a place.
    pub fn new(text: &str, source: Option<String>, labels: bool) -> Result<Pattern, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, behind) = match value(rest) {
                Some(found) => found,
                None => {
                    let end = rest.match_indices('<').map(|(at, _)| at).find(|at| *at > 0 && rest.get(*at..).is_some_and(|rest| value(rest).is_some()));
                    let (plain, behind) = rest.split_at(end.unwrap_or(rest.len()));
                    (Part::Text(plain.to_owned()), behind)
                }
            };
            if matches!((parts.last(), &part), (Some(Part::Value(_)), Part::Value(_))) {
                return Err("two values of a pattern need a text between them".to_owned());
            }
            parts.push(part);
            rest = behind;
        }
        let pattern = Pattern { parts, source, labels };
        let names: Vec<&str> = pattern.names().collect();
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            _ if pattern.parts.len() > PARTS_MAX => Err(format!("the pattern has more than {PARTS_MAX} parts")),
            Some((_, name)) => Err(format!("the pattern names {name:?} twice")),
            None if names.is_empty() => Err("the pattern names no value, as <name> does".to_owned()),
            None => Ok(pattern),
        }
    }
    /// The names of its values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(name) => name.as_deref(),
            Part::Text(_) => None,
        })
    }
    /// Names with what stands at their places. A text that is missing ends the search; the value before it reaches to the end then.
    fn find<'a>(&'a self, line: &'a str) -> Vec<(&'a str, &'a str)> {
        let (mut rest, mut parts) = (line, self.parts.as_slice());
        let mut found = Vec::new();
        if let [Part::Text(text), others @ ..] = parts {
            let Some(behind) = rest.strip_prefix(text.as_str()) else { return found };
            (rest, parts) = (behind, others);
        }
        while let [Part::Value(name), others @ ..] = parts {
            let (value, behind) = match others.first() {
                Some(Part::Text(text)) => rest.split_once(text.as_str()).map_or((rest, None), |(value, behind)| (value, Some(behind))),
                _ => (rest, None),
            };
            found.extend(name.as_deref().map(|name| (name, value)));
            let Some(behind) = behind else { break };
            (rest, parts) = (behind, others.get(1..).unwrap_or(&[]));
        }
        found
    }
}
impl Step for Pattern {
    fn name(&self) -> &'static str {
        "pattern"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let text = match &self.source {
            None => entry.line.clone(),
            Some(name) => match entry.text(name) {
                Some(text) => text,
                None => return Verdict::Keep,
            },
        };
        for (name, value) in self.find(&text) {
            if self.labels {
                entry.labels.insert(name.to_owned(), value.to_owned());
            }
            entry.extracted.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        Verdict::Keep
    }
}

/// A value at the beginning of a text, and what follows.
fn value(text: &str) -> Option<(Part, &str)> {
    let (name, behind) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (Part::Value((name != "_").then(|| name.to_owned())), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_between_texts() {
        let check = |pattern: &str, line: &str, expected: &[(&str, &str)]| {
            assert_eq!(Pattern::new(pattern, None, false).unwrap().find(line), expected, "{pattern} {line}");
        };
        check("<ip> - [<_>] \"<method> <path>\"", "::1 - [now] \"GET /a\" 200", &[("ip", "::1"), ("method", "GET"), ("path", "/a")]);
        check("at <a>", "at the end", &[("a", "the end")]);
        check("at <a>", "not at all", &[]);
        check("<a>;<b>", "one", &[("a", "one")]);
        check("<_>;<b>;", "1;2", &[("b", "2")]);
        check("<1>=<b>", "<1>=x", &[("b", "x")]);
        check("é<b>ü", "éoü", &[("b", "o")]);
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (pattern, words) in [("", "names no value"), ("<_> x", "names no value"), ("<a><b>", "between them"), ("<a> <a>", "twice")] {
            assert!(Pattern::new(pattern, None, false).unwrap_err().contains(words), "{pattern}");
        }
    }
}
