//! One relabelling rule and how it is read: Prometheus' keys, defaults and refusals.

use regex::Regex;
use watchfire_model::document::{Context, Node, Reader, nearest};
use watchfire_model::matcher::{MatcherError, anchored};

/// More rules than any configuration has; a longer list is an error.
const RULES_MAX: usize = 1_000;
/// The default expression.
const REGEX: &str = "(.*)";
/// The default replacement.
const REPLACEMENT: &str = "$1";
/// The default separator.
const SEPARATOR: &str = ";";

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Prometheus'")]
pub enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}
impl Action {
    /// All actions.
    pub const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }
    fn needs_target(self) -> bool {
        use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        matches!(self, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual)
    }
}

/// One valid rule.
#[derive(Clone, Debug)]
pub struct RelabelConfig {
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What stands between the joined values.
    pub separator: String,
    /// The expression as written.
    pub pattern: String,
    /// Divides the hash of `hashmod`.
    pub modulus: u64,
    /// The label that is written.
    pub target_label: String,
    /// What is written.
    pub replacement: String,
    /// What the rule does.
    pub action: Action,
    pub(super) regex: Regex,
}

impl RelabelConfig {
    /// A rule of one action with every default; fails only for a pattern that does not compile.
    pub fn new(action: Action, source_labels: &[&str], pattern: &str, target_label: &str, replacement: &str) -> Result<RelabelConfig, MatcherError> {
        Ok(RelabelConfig {
            source_labels: source_labels.iter().map(|&l| l.to_owned()).collect(),
            separator: SEPARATOR.to_owned(),
            regex: anchored(pattern)?,
            pattern: pattern.to_owned(),
            modulus: 0,
            target_label: target_label.to_owned(),
            replacement: replacement.to_owned(),
            action,
        })
    }

    /// Whether the expression is the default, which matches everything as group 1.
    pub(super) fn matches_all(&self) -> bool {
        self.pattern == REGEX
    }

    /// Reads one rule; `None` after noting at least one error.
    pub fn read(reader: Reader<'_>) -> Option<RelabelConfig> {
        let errors = reader.context().has_errors();
        let action = read_action(&reader);
        let pattern = reader.text("regex").unwrap_or_else(|| if reader.has("regex") { String::new() } else { REGEX.to_owned() });
        let regex = anchored(&pattern);
        if let Err(error) = &regex {
            reader.error_at("regex", error.to_string());
        }
        let source_labels = reader.texts("source_labels", false);
        let separator = reader.text("separator");
        let replacement = reader.text("replacement");
        // An empty text is a value here: it removes the target label.
        let null = |key| reader.has(key) && reader.raw(key).is_none();
        let separator = separator.unwrap_or_else(|| if null("separator") { String::new() } else { SEPARATOR.to_owned() });
        let replacement = replacement.unwrap_or_else(|| if null("replacement") { String::new() } else { REPLACEMENT.to_owned() });
        let modulus = reader.u64("modulus").unwrap_or(0);
        let target_label = reader.text("target_label").unwrap_or_default();
        let valid = match regex {
            Ok(regex) => {
                let rule =
                    RelabelConfig { source_labels, separator, pattern, modulus, target_label, replacement, action: action.unwrap_or(Action::Replace), regex };
                let sound = action.is_some() && rule.check(&reader);
                (sound && (errors || !reader.context().has_errors())).then_some(rule)
            }
            Err(_) => None,
        };
        reader.finish();
        valid
    }

    /// The rules that hold between keys.
    fn check(&self, reader: &Reader<'_>) -> bool {
        let name = self.action.name();
        let problem = |key: &str, message: String| {
            reader.error_at(key, message);
            false
        };
        let mut good = true;
        if self.action == Action::HashMod && self.modulus == 0 {
            good &= problem("modulus", "action hashmod needs a modulus from 1".to_owned());
        }
        if self.action.needs_target() && self.target_label.is_empty() {
            good &= problem("target_label", format!("action {name} needs a target_label"));
        }
        if self.action == Action::LabelMap && self.replacement.is_empty() {
            good &= problem("replacement", "action labelmap needs a replacement that makes a label name".to_owned());
        }
        if matches!(self.action, Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual) && self.replacement != REPLACEMENT {
            good &= problem("replacement", format!("action {name} takes no replacement"));
        }
        let others: &[(&str, bool)] = match self.action {
            Action::KeepEqual | Action::DropEqual => {
                &[("regex", self.pattern != REGEX), ("modulus", self.modulus != 0), ("separator", self.separator != SEPARATOR)]
            }
            Action::LabelDrop | Action::LabelKeep => &[
                ("source_labels", !self.source_labels.is_empty()),
                ("target_label", !self.target_label.is_empty()),
                ("modulus", self.modulus != 0),
                ("separator", self.separator != SEPARATOR),
                ("replacement", self.replacement != REPLACEMENT),
            ],
            _ => &[],
        };
        for (key, set) in others {
            if *set {
                good &= problem(key, format!("action {name} takes no {key}"));
            }
        }
        good
    }
}

fn read_action(reader: &Reader<'_>) -> Option<Action> {
    let Some(text) = reader.text("action") else {
        let empty = reader.has("action");
        if empty {
            reader.error_at("action", "must not be empty");
        }
        return (!empty).then_some(Action::Replace);
    };
    let found = Action::ALL.into_iter().find(|a| a.name() == text.to_lowercase());
    if found.is_none() {
        let hint = nearest(&text, Action::ALL.map(Action::name)).map(|w| format!("; did you mean {w:?}?")).unwrap_or_default();
        reader.error_at("action", format!("unknown relabel action {text:?}{hint}"));
    }
    found
}

/// Reads a list of rules at a key's value; every bad rule is noted and left out.
pub fn read_list(context: &Context, node: Option<&Node>, path: &str) -> Vec<RelabelConfig> {
    let Some(node) = node else { return Vec::new() };
    let Some(items) = node.items() else {
        if !node.is_null() {
            context.error(node.line, node.column, format!("{path} must be a list, not {}", node.value.shape()));
        }
        return Vec::new();
    };
    if items.len() > RULES_MAX {
        context.error(node.line, node.column, format!("{path}: {} rules are more than {RULES_MAX}", items.len()));
        return Vec::new();
    }
    items.iter().enumerate().filter_map(|(i, item)| RelabelConfig::read(Reader::new(context, item, &format!("{path}[{i}]")))).collect()
}
