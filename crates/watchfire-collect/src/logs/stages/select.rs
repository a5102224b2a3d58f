//! Stages that choose lines: `match`, with a selector of LogQL that has labels and line filters, and `drop`. Not LogQL: what a selector
//! of a stage cannot have (parsers, formats, ranges) is refused.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::{Labels, is_classic_label_name};
use watchfire_model::matcher::{MatchOp, Matcher, matches_all};
use watchfire_template::unquote;

use super::{Stage, Step, Surroundings, Verdict, compile};
use crate::logs::Entry;

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no selector of a stage: {why}")]
pub struct SelectorError {
    text: String,
    why: String,
}

/// A condition on the line.
#[derive(Clone, Debug)]
pub enum LineFilter {
    /// It has, or has not, a text.
    Contains(String, bool),
    /// It matches, or does not, an expression.
    Matches(regex::Regex, bool),
}

/// Which lines.
#[derive(Clone, Debug)]
pub struct Selector {
    matchers: Vec<Matcher>,
    filters: Vec<LineFilter>,
}

impl Selector {
    /// Reads `{name="value", …} |= "text" |~ "expression" …`.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        let failed = |why: String| SelectorError { text: text.to_owned(), why };
        let mut rest = text.trim().strip_prefix('{').ok_or_else(|| failed("it must begin with {".to_owned()))?.trim_start();
        let mut matchers = Vec::new();
        loop {
            if let Some(behind) = rest.strip_prefix('}') {
                rest = behind.trim_start();
                break;
            }
            let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
            if !is_classic_label_name(name) {
                return Err(failed("a name of a label is missing".to_owned()));
            }
            let (op, behind) =
                operator(behind.trim_start(), &[("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)])
                    .ok_or_else(|| failed(format!("{name} is not followed by =, !=, =~ or !~")))?;
            let (value, behind) = string(behind.trim_start()).ok_or_else(|| failed(format!("the value of {name} is no text in quotes")))?;
            matchers.push(Matcher::new(name, op, &value).map_err(|error| failed(error.to_string()))?);
            rest = behind.trim_start();
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind.trim_start(),
                None if rest.starts_with('}') => {}
                None => return Err(failed("a } or a comma is missing".to_owned())),
            }
        }
        let mut filters = Vec::new();
        while !rest.is_empty() {
            let (op, behind) = operator(rest, &[("|=", (false, true)), ("!=", (false, false)), ("|~", (true, true)), ("!~", (true, false))])
                .ok_or_else(|| failed(format!("{rest:?} is no line filter; a stage takes no more than those")))?;
            let (value, behind) = string(behind.trim_start()).ok_or_else(|| failed("a line filter needs a text in quotes".to_owned()))?;
            filters.push(match op {
                (false, wanted) => LineFilter::Contains(value, wanted),
                (true, wanted) => LineFilter::Matches(compile(&value).map_err(failed)?, wanted),
            });
            rest = behind.trim_start();
        }
        Ok(Selector { matchers, filters })
    }
    /// Whether a line is one of these.
    pub fn matches(&self, entry: &Entry) -> bool {
        let labels = || Labels::from_pairs(&entry.labels);
        (self.matchers.is_empty() || matches_all(&self.matchers, &labels()))
            && self.filters.iter().all(|filter| match filter {
                LineFilter::Contains(text, wanted) => entry.line.contains(text.as_str()) == *wanted,
                LineFilter::Matches(regex, wanted) => regex.is_match(&entry.line) == *wanted,
            })
    }
}

fn operator<'t, O: Copy>(text: &'t str, all: &[(&str, O)]) -> Option<(O, &'t str)> {
    all.iter().find_map(|(symbol, op)| Some((*op, text.strip_prefix(symbol)?)))
}

/// A text in quotes or backquotes, and what is behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '`'))?;
    let mut escaped = false;
    let end = text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote == '"';
        ends.then_some(at + 1)
    })?;
    let (literal, behind) = text.split_at_checked(end)?;
    Some((unquote(literal)?, behind))
}

/// Stages for some lines, or an end for them.
#[derive(Debug)]
pub struct Match {
    /// Which lines.
    pub selector: Selector,
    /// What they go through.
    pub stages: Vec<Stage>,
    /// Why they are dropped, where they are.
    pub drop: Option<Arc<str>>,
}

/// Drops lines for which all conditions hold that are there.
#[derive(Clone, Debug)]
pub struct Drop {
    /// The extracted values that are looked at, put together; the line, where there are none.
    pub sources: Vec<String>,
    /// What stands between them.
    pub separator: String,
    /// What they must match.
    pub expression: Option<regex::Regex>,
    /// What they must be.
    pub value: Option<String>,
    /// Lines that are older.
    pub older_than: Option<Duration>,
    /// Lines with more bytes.
    pub longer_than: Option<u64>,
    /// Whether lines go for which the conditions do not hold.
    pub inverted: bool,
    /// The reason for the count.
    pub reason: Arc<str>,
}
impl Drop {
    fn holds(&self, entry: &Entry, around: &Surroundings<'_>) -> bool {
        if self.longer_than.is_some_and(|most| entry.line.len() as u64 <= most) {
            return false;
        }
        let age_ms = around.now.millis().saturating_sub(entry.time.millis());
        if self.older_than.is_some_and(|most| age_ms <= i64::try_from(most.as_millis()).unwrap_or(i64::MAX)) {
            return false;
        }
        if self.sources.is_empty() {
            return self.expression.as_ref().is_none_or(|e| e.is_match(&entry.line)) && self.value.as_ref().is_none_or(|v| *v == entry.line);
        }
        let mut values = Vec::new();
        for name in &self.sources {
            match entry.text(name) {
                Some(value) => values.push(value),
                None => return false,
            }
        }
        let value = values.join(&self.separator);
        self.expression.as_ref().is_none_or(|e| e.is_match(&value)) && self.value.as_ref().is_none_or(|v| *v == value)
    }
}
impl Step for Drop {
    fn name(&self) -> &'static str {
        "drop"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        if self.holds(entry, around) == self.inverted { Verdict::Keep } else { Verdict::Drop(Arc::clone(&self.reason)) }
    }
}
