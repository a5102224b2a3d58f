//! Label matchers: `=`, `!=`, `=~`, `!~`, with Prometheus' fully anchored regular expressions, bounded in size.
//! A missing label matches like an empty value. Not a selector parser: query languages make these.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use regex::Regex;

use crate::go_regex::translated;
use crate::labels::{Labels, quoted};

/// The longest pattern that is compiled, in bytes: dashboards write hundreds of names with bars between them.
pub const PATTERN_BYTES_MAX: usize = 16 << 10;
/// The largest compiled program, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// The four comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the operators")]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}
impl MatchOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// Why a matcher cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MatcherError {
    /// The pattern is longer than [`PATTERN_BYTES_MAX`].
    #[error("regular expression is {0} bytes long, more than {PATTERN_BYTES_MAX}")]
    TooLong(usize),
    /// The pattern does not parse or compiles to more than [`PROGRAM_BYTES_MAX`].
    #[error("cannot compile regular expression {pattern:?}: {reason}")]
    Invalid {
        /// The pattern as given.
        pattern: String,
        /// What the compiler said.
        reason: String,
    },
}

/// Compiles a pattern the way Prometheus does: anchored at both ends, `.` matches a line feed too, within the limits above.
pub fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(MatcherError::TooLong(pattern.len()));
    }
    regex::RegexBuilder::new(&format!("^(?s:{})$", translated(pattern)))
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|e| MatcherError::Invalid { pattern: pattern.to_owned(), reason: e.to_string().lines().last().unwrap_or("").to_owned() })
}

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// The value or pattern as written.
    pub value: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Is(String),
    /// Ascending: a search for traces names hundreds of ids.
    OneOf(Vec<String>),
    /// One of these beginnings, then anything.
    Prefix(Vec<String>),
    Any,
    NonEmpty,
    Pattern(Regex),
}

impl Matcher {
    /// Makes a matcher, compiling the pattern of a regular expression.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher, MatcherError> {
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Is(value.to_owned()),
            MatchOp::Regex | MatchOp::NotRegex if value.len() > PATTERN_BYTES_MAX => return Err(MatcherError::TooLong(value.len())),
            // Compiling takes longer than many a query; what can be said in plain comparisons is valid without it.
            MatchOp::Regex | MatchOp::NotRegex => match simplify(value) {
                Some(test) => test,
                None => Test::Pattern(compiled(value)?),
            },
        };
        Ok(Matcher { name: name.to_owned(), op, value: value.to_owned(), test })
    }
    /// `name="value"`; cannot fail.
    pub fn equal(name: &str, value: &str) -> Matcher {
        Matcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), test: Test::Is(value.to_owned()) }
    }
    /// Whether a value (empty for a missing label) satisfies this matcher.
    pub fn matches_value(&self, value: &str) -> bool {
        let hit = match &self.test {
            Test::Is(text) => value == text,
            Test::OneOf(texts) => texts.binary_search_by(|text| text.as_str().cmp(value)).is_ok(),
            Test::Prefix(prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix.as_str())),
            Test::Any => true,
            Test::NonEmpty => !value.is_empty(),
            Test::Pattern(regex) => regex.is_match(value),
        };
        hit == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
    /// Whether a label set satisfies this matcher.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).unwrap_or(""))
    }
    /// Whether series without the label satisfy this matcher.
    pub fn matches_empty(&self) -> bool {
        self.matches_value("")
    }
    /// The complete list of values that can satisfy a positive matcher, when it is known without looking at the index.
    pub fn value_set(&self) -> Option<&[String]> {
        match (&self.test, self.op) {
            (Test::Is(text), MatchOp::Equal | MatchOp::Regex) => Some(std::slice::from_ref(text)),
            (Test::OneOf(texts), MatchOp::Regex) => Some(texts),
            _ => None,
        }
    }
}
impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.symbol(), quoted(&self.value))
    }
}

/// Compiled patterns that are kept: rules and dashboards ask the same questions again and again.
const COMPILED_MAX: usize = 32;
static COMPILED: Mutex<VecDeque<(String, Regex)>> = Mutex::new(VecDeque::new());

/// [`anchored`], from the patterns that were compiled lately.
fn compiled(pattern: &str) -> Result<Regex, MatcherError> {
    let kept = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, regex)) = kept().iter().find(|(p, _)| p == pattern) {
        return Ok(regex.clone());
    }
    // Not under the lock: a large pattern must not hold up the others.
    let regex = anchored(pattern)?;
    let mut kept = kept();
    kept.truncate(COMPILED_MAX - 1);
    kept.push_front((pattern.to_owned(), regex.clone()));
    Ok(regex)
}

/// So many plain texts may stand for a pattern.
const TEXTS_MAX: usize = 64;

/// Turns the patterns that people really write (`a|b`, `foo.*`, `x_(a|b)_y.*`, `.+`, `.*`, plain text) into plain comparisons.
fn simplify(pattern: &str) -> Option<Test> {
    match pattern {
        ".*" => return Some(Test::Any),
        ".+" => return Some(Test::NonEmpty),
        _ => {}
    }
    let (body, open) = match pattern.strip_suffix(".*") {
        // A bar outside a group would bind the end to the last alternative only.
        Some(body) => (body, true),
        None => (pattern, false),
    };
    let mut texts = vec![String::new()];
    let mut rest = body;
    let literal = |s: &str| !s.bytes().any(|b| br"\.+*?()|[]{}^$".contains(&b));
    if !body.contains('(') && body.contains('|') && !open {
        return body.split('|').all(literal).then(|| one_of(body.split('|').map(str::to_owned).collect()));
    }
    while !rest.is_empty() {
        let (plain, after) = rest.split_once('(').unwrap_or((rest, ""));
        let (group, next) = if plain.len() < rest.len() { after.split_once(')')? } else { ("", "") };
        let choices: Vec<&str> = group.strip_prefix("?:").unwrap_or(group).split('|').collect();
        if !literal(plain) || !choices.iter().all(|c| literal(c)) || texts.len() * choices.len() > TEXTS_MAX {
            return None;
        }
        texts = texts.iter().flat_map(|text| choices.iter().map(move |choice| format!("{text}{plain}{choice}"))).collect();
        rest = next;
    }
    Some(match (open, texts.len()) {
        (true, _) => Test::Prefix(texts),
        (false, 1) => Test::Is(texts.pop()?),
        (false, _) => one_of(texts),
    })
}

fn one_of(mut texts: Vec<String>) -> Test {
    texts.sort_unstable();
    texts.dedup();
    Test::OneOf(texts)
}

/// Whether a label set satisfies all matchers.
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn anchoring_and_missing_labels() {
        let m = |op, v: &str| Matcher::new("a", op, v).unwrap();
        assert!(m(MatchOp::Regex, "b|").matches_empty());
        assert!(!m(MatchOp::Regex, "b").matches_value("ab"));
        assert!(m(MatchOp::NotEqual, "x").matches_empty());
        assert!(!m(MatchOp::Regex, ".+").matches_empty());
        assert!(m(MatchOp::Regex, "a.*").matches_value("a\nb"));
        assert_eq!(m(MatchOp::Regex, "a|b").value_set().unwrap(), ["a", "b"]);
        assert!(m(MatchOp::Regex, r#"{"k":\d}"#).matches_value(r#"{"k":1}"#), "expressions are Go's");
        assert!(Matcher::new("a", MatchOp::Regex, "(").is_err());
        assert!(Matcher::new("a", MatchOp::Regex, &"x".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        assert!(Matcher::new("a", MatchOp::Regex, &format!("x+({})", "host-1.example\\.org|".repeat(500))).is_ok());
        assert!(Matcher::new("a", MatchOp::Regex, "(x{1000}){1000}").is_err());
    }

    proptest! {
        #[test]
        fn shortcuts_equal_the_regex(p in r"([ab]{0,2}\((\?:)?[ab|]{0,4}\)[ab+?*{]?){0,2}|\(?[ab|.*+?()]{0,7}\)?", more in "(\\.\\*)?", v in "[ab\n]{0,6}") {
            let p = p + &more;
            if let Ok(m) = Matcher::new("l", MatchOp::Regex, &p) {
                prop_assert_eq!(m.matches_value(&v), anchored(&p).unwrap().is_match(&v), "{} on {:?}", p, v);
            }
        }
    }
}
