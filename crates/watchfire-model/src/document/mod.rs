//! Configuration documents as trees with positions, and typed reading that collects every finding at once.
//!
//! A crate that owns a configuration reads it with `Reader`: the keys it asks for are the keys that exist,
//! everything else is an error that names the nearest valid key. Not a schema language.

mod reader;
mod write;
mod yaml;

use std::fmt;
use std::sync::Arc;

pub use reader::{Context, Reader};
pub use write::{without_password, write_yaml};
pub use yaml::parse_yaml;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is valid, but something in it is dead, odd or ignored.
    Warning,
    /// The file cannot be read as what it claims to be.
    Error,
}

/// Something to tell about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name as the user knows it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the finding is about the whole file.
    pub line: usize,
    /// Column, from 1; 0 when the finding is about the whole file.
    pub column: usize,
    /// What is wrong, where, and what would be right.
    pub message: String,
}
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.severity == Severity::Error { "error" } else { "warning" };
        if self.line == 0 {
            write!(f, "{}: {word}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}:{}: {word}: {}", self.file, self.line, self.column, self.message)
        }
    }
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// The shapes a value can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as written. `plain` scalars may mean numbers and booleans, quoted ones are always text.
    Scalar {
        /// The text.
        text: Arc<str>,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}
impl Value {
    /// What to call this shape in a message.
    pub fn shape(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The key's text.
    pub text: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
    /// The items of a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }
    /// The value of one key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|(k, _)| &*k.text == key).map(|(_, v)| v)
    }
    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }
    /// A plain scalar read as a boolean, with YAML 1.1's words as Go's parser accepts them.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar { text, plain: true } => match &**text {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
                "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
    /// A plain scalar read as a number.
    pub fn as_f64(&self) -> Option<f64> {
        match &self.value {
            Value::Scalar { text, plain: true } => match &**text {
                ".inf" | "+.inf" | ".Inf" => Some(f64::INFINITY),
                "-.inf" | "-.Inf" => Some(f64::NEG_INFINITY),
                ".nan" | ".NaN" => Some(f64::NAN),
                text if text.bytes().any(|b| b.is_ascii_digit()) => text.replace('_', "").parse().ok(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The candidate nearest to a misspelt word, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 2).max(2);
    candidates.into_iter().map(|c| (edit_distance(word, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = (0..=b.len()).collect();
    let mut older: Vec<usize> = before.clone();
    let mut last = '\0';
    for (i, ca) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut cost = (before[j] + usize::from(ca != *cb)).min(before[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && ca == b[j - 1] && last == *cb {
                cost = cost.min(older[j - 1] + 1);
            }
            row.push(cost);
        }
        older = std::mem::replace(&mut before, row);
        last = ca;
    }
    before[b.len()]
}

#[cfg(test)]
mod tests;
