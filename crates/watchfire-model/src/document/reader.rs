//! Typed reading of a mapping. The reader remembers which keys were asked for; `finish` reports the others.

use std::cell::RefCell;
use std::sync::Arc;

use super::{Finding, Key, Node, Severity, Value, nearest};
use crate::duration;
use crate::order::Order as _;

/// At most so many errors are kept for one file; more would not help anybody.
const ERRORS_MAX: usize = 20;

/// Where findings about one file are collected.
pub struct Context {
    file: Arc<str>,
    findings: RefCell<Vec<Finding>>,
}
impl Context {
    /// Collects findings about a file.
    pub fn new(file: &str) -> Context {
        Context { file: file.into(), findings: RefCell::new(Vec::new()) }
    }
    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }
    /// Notes an error at a place.
    pub fn error(&self, line: usize, column: usize, message: impl Into<String>) {
        self.push(Severity::Error, line, column, message.into());
    }
    /// Notes a warning at a place.
    pub fn warning(&self, line: usize, column: usize, message: impl Into<String>) {
        self.push(Severity::Warning, line, column, message.into());
    }
    fn push(&self, severity: Severity, line: usize, column: usize, message: String) {
        let mut findings = self.findings.borrow_mut();
        if severity == Severity::Warning || findings.iter().filter(|f| f.severity == Severity::Error).count() < ERRORS_MAX {
            findings.push(Finding { severity, file: self.file.clone(), line, column, message });
        }
    }
    /// Whether an error was noted.
    pub fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(|f| f.severity == Severity::Error)
    }
    /// All findings, in the order of the file.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.order_by_key(|f| (f.line, f.column));
        findings
    }
}

/// Reads one mapping. A missing or null mapping reads like an empty one.
pub struct Reader<'a> {
    context: &'a Context,
    node: &'a Node,
    path: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    /// Reads a node as a mapping; anything but a mapping or nothing is an error.
    pub fn new(context: &'a Context, node: &'a Node, path: &str) -> Reader<'a> {
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            context.error(node.line, node.column, format!("{} must be a mapping, not {}", name_of(path), node.value.shape()));
        }
        Reader { context, node, path: path.to_owned(), known: RefCell::new(Vec::new()) }
    }
    /// The place of findings.
    pub fn context(&self) -> &'a Context {
        self.context
    }
    /// The node that is read.
    pub fn node(&self) -> &'a Node {
        self.node
    }
    /// The path of a key in this mapping, for messages.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The raw node of a key; null counts as missing.
    pub fn raw(&self, key: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().push(key);
        self.node.get(key).filter(|n| !n.is_null())
    }
    /// Whether a key stands in the mapping, even with nothing behind it.
    pub fn has(&self, key: &'static str) -> bool {
        self.known.borrow_mut().push(key);
        self.node.get(key).is_some()
    }
    /// Notes that what stands at a key is wrong.
    pub fn error_at(&self, key: &str, message: impl Into<String>) {
        let (line, column) = self.place(key);
        self.context.error(line, column, format!("{}: {}", self.path_of(key), message.into()));
    }
    /// Notes that what stands at a key is odd or has no effect.
    pub fn warning_at(&self, key: &str, message: impl Into<String>) {
        let (line, column) = self.place(key);
        self.context.warning(line, column, format!("{}: {}", self.path_of(key), message.into()));
    }
    /// Notes that keys beside those known mean nothing, for files whose own programs pass over them; `file` says of what they are no keys.
    pub fn warn_of_others(&self, known: &[&str], file: &str) {
        for (key, _) in self.entries().iter().filter(|(key, _)| !known.contains(&&*key.text)) {
            self.context.warning(key.line, key.column, format!("{} is no key of {file} and has no effect", self.path_of(&key.text)));
        }
    }
    fn place(&self, key: &str) -> (usize, usize) {
        self.node.get(key).map_or((self.node.line, self.node.column), |n| (n.line, n.column))
    }

    fn scalar<T>(&self, key: &'static str, what: &str, read: impl FnOnce(&'a Node) -> Option<T>) -> Option<T> {
        let node = self.raw(key)?;
        let value = read(node);
        if value.is_none() {
            let found = node.text().map_or_else(|| node.value.shape().to_owned(), |t| format!("{t:?}"));
            self.error_at(key, format!("must be {what}, not {found}"));
        }
        value
    }
    /// A text (numbers and booleans are taken as they are written).
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.scalar(key, "a text", |n| n.text().map(str::to_owned))
    }
    /// A text that must be there and not be empty.
    pub fn required_text(&self, key: &'static str) -> String {
        let text = self.text(key);
        if self.node.get(key).is_none_or(Node::is_null) || text.as_deref() == Some("") {
            self.context.error(self.node.line, self.node.column, format!("{} is missing", self.path_of(key)));
        }
        text.unwrap_or_default()
    }
    /// `true` or `false`.
    pub fn bool(&self, key: &'static str) -> Option<bool> {
        self.scalar(key, "true or false", Node::as_bool)
    }
    /// A number.
    pub fn f64(&self, key: &'static str) -> Option<f64> {
        self.scalar(key, "a number", Node::as_f64)
    }
    /// A whole number from 0.
    pub fn u64(&self, key: &'static str) -> Option<u64> {
        self.scalar(key, "a whole number from 0", |n| match &n.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        })
    }
    /// A duration such as `1h30m`, in milliseconds.
    pub fn duration_ms(&self, key: &'static str) -> Option<u64> {
        self.scalar(key, "a duration such as 30s or 1h30m", |n| duration::parse_millis(n.text()?))
    }
    /// A size such as `512MB`, in bytes.
    pub fn bytes(&self, key: &'static str) -> Option<u64> {
        self.scalar(key, "a size such as 512MB", |n| duration::parse_bytes(n.text()?))
    }
    /// One of several words.
    pub fn word(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let node = self.raw(key)?;
        let text = node.text().unwrap_or(node.value.shape());
        let found = words.iter().find(|w| node.text() == Some(**w)).copied();
        if found.is_none() {
            let hint = nearest(text, words.iter().copied()).map(|w| format!("; did you mean {w:?}?")).unwrap_or_default();
            self.error_at(key, format!("must be one of {}, not {text:?}{hint}", words.join(", ")));
        }
        found
    }
    /// The items of a list; anything but a list is an error.
    pub fn list(&self, key: &'static str) -> &'a [Node] {
        let Some(node) = self.raw(key) else { return &[] };
        node.items().unwrap_or_else(|| {
            self.error_at(key, format!("must be a list, not {}", node.value.shape()));
            &[]
        })
    }
    /// A list of texts; a single text counts as a list of one when `lenient`.
    pub fn texts(&self, key: &'static str, lenient: bool) -> Vec<String> {
        if lenient && let Some(text) = self.raw(key).and_then(Node::text) {
            return vec![text.to_owned()];
        }
        let item = |n: &Node| {
            if n.text().is_none() {
                self.context.error(n.line, n.column, format!("{}: every item must be a text, not {}", self.path_of(key), n.value.shape()));
            }
            n.text().map(str::to_owned)
        };
        self.list(key).iter().filter_map(item).collect()
    }
    /// A nested mapping, when it is there.
    pub fn map(&self, key: &'static str) -> Option<Reader<'a>> {
        self.raw(key).map(|n| Reader::new(self.context, n, &self.path_of(key)))
    }
    /// The mappings of a list.
    pub fn maps(&self, key: &'static str) -> Vec<Reader<'a>> {
        self.list(key).iter().enumerate().map(|(i, n)| Reader::new(self.context, n, &format!("{}[{i}]", self.path_of(key)))).collect()
    }
    /// A mapping from free keys to texts (labels, headers).
    pub fn text_map(&self, key: &'static str) -> Vec<(String, String)> {
        let Some(node) = self.raw(key) else { return Vec::new() };
        let Some(entries) = node.entries() else {
            self.error_at(key, format!("must be a mapping, not {}", node.value.shape()));
            return Vec::new();
        };
        let pair = |(k, v): &(Key, Node)| match (v.text(), v.is_null()) {
            (Some(text), _) => Some((k.text.to_string(), text.to_owned())),
            (None, true) => Some((k.text.to_string(), String::new())),
            (None, false) => {
                self.context.error(v.line, v.column, format!("{}.{} must be a text, not {}", self.path_of(key), k.text, v.value.shape()));
                None
            }
        };
        entries.iter().filter_map(pair).collect()
    }
    /// All entries of this mapping, for mappings with free keys.
    pub fn entries(&self) -> &'a [(Key, Node)] {
        self.node.entries().unwrap_or(&[])
    }
    /// Says that a key is valid although nobody reads it here.
    pub fn allow(&self, keys: &[&'static str]) {
        self.known.borrow_mut().extend_from_slice(keys);
    }
    /// Reports every key that nobody asked for. Call it last.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.entries() {
            if known.contains(&&*key.text) {
                continue;
            }
            let hint = match nearest(&key.text, known.iter().copied()) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => {
                    let mut all: Vec<&str> = known.clone();
                    all.sort_unstable();
                    all.dedup();
                    // A long list helps nobody.
                    if all.len() > 16 { String::new() } else { format!("; valid keys are {}", all.join(", ")) }
                }
            };
            self.context.error(key.line, key.column, format!("unknown key {:?} in {}{hint}", key.text, name_of(&self.path)));
        }
    }
}

fn name_of(path: &str) -> &str {
    if path.is_empty() { "the file" } else { path }
}
