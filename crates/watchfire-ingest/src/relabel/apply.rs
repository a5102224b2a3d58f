//! Applying rules to a label set under construction.

use md5::{Digest, Md5};
use regex::Captures;
use watchfire_model::labels::LabelsBuilder;

use super::config::{Action, RelabelConfig};
use super::expand::expand;

/// Whether what carries the labels lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It does, with the labels as they are now.
    Keep,
    /// It does not; the labels are of no further use.
    Drop,
}

/// Applies rules in order until one of them drops.
pub fn apply(rules: &[RelabelConfig], labels: &mut LabelsBuilder) -> Verdict {
    for rule in rules {
        if one(rule, labels) == Verdict::Drop {
            return Verdict::Drop;
        }
    }
    Verdict::Keep
}

fn one(rule: &RelabelConfig, labels: &mut LabelsBuilder) -> Verdict {
    let mut value = String::new();
    for (i, source) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            value.push_str(&rule.separator);
        }
        value.push_str(labels.get(source));
    }
    let matches = |text: &str| rule.matches_all() || rule.regex.is_match(text);
    let keep = match rule.action {
        Action::Keep => matches(&value),
        Action::Drop => !matches(&value),
        Action::KeepEqual => labels.get(&rule.target_label) == value,
        Action::DropEqual => labels.get(&rule.target_label) != value,
        Action::Replace => {
            replace(rule, &value, labels);
            true
        }
        Action::Lowercase => {
            labels.set(&rule.target_label, &value.to_lowercase());
            true
        }
        Action::Uppercase => {
            labels.set(&rule.target_label, &value.to_uppercase());
            true
        }
        Action::HashMod => {
            labels.set(&rule.target_label, &hash_mod(&value, rule.modulus).to_string());
            true
        }
        Action::LabelMap => {
            label_map(rule, labels);
            true
        }
        Action::LabelDrop => {
            labels.retain(|name, _| !matches(name));
            true
        }
        Action::LabelKeep => {
            labels.retain(|name, _| matches(name));
            true
        }
    };
    if keep { Verdict::Keep } else { Verdict::Drop }
}

fn replace(rule: &RelabelConfig, value: &str, labels: &mut LabelsBuilder) {
    let plain = !rule.target_label.contains('$') && !rule.replacement.contains('$');
    if plain && rule.matches_all() {
        labels.set(&rule.target_label, &rule.replacement);
        return;
    }
    let Some(captures) = rule.regex.captures(value) else { return };
    let mut target = String::new();
    expand(&rule.target_label, &captures, &mut target);
    if target.is_empty() {
        return;
    }
    let mut text = String::new();
    expand(&rule.replacement, &captures, &mut text);
    labels.set(&target, &text);
}

fn label_map(rule: &RelabelConfig, labels: &mut LabelsBuilder) {
    let rename = |captures: Captures<'_>| {
        let mut name = String::new();
        expand(&rule.replacement, &captures, &mut name);
        name
    };
    let copies: Vec<(String, String)> = labels.pairs().filter_map(|(name, value)| Some((rename(rule.regex.captures(name)?), value.to_owned()))).collect();
    for (name, value) in copies.iter().filter(|(name, _)| !name.is_empty()) {
        labels.set(name, value);
    }
}

/// The last eight bytes of the MD5 sum as a big-endian number, modulo the modulus.
fn hash_mod(value: &str, modulus: u64) -> u64 {
    let sum = Md5::digest(value.as_bytes());
    let tail = sum.iter().skip(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    tail.checked_rem(modulus).unwrap_or(0)
}
