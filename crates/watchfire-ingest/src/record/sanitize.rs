//! Label values as callers write them → label values as series carry them, by the rules of a label's declaration. Pure: how
//! many values a label has had is counted in the registry.

use watchfire_pack::catalog::{Charset, LabelSpec};

/// Applies a declaration to a value: trimmed, in lower case unless it says otherwise, one of the allowed values or else
/// within length and charset. Empty becomes the declared word for that. Applying it twice changes nothing more.
pub fn sanitize(spec: &LabelSpec, raw: &str) -> String {
    let trimmed = raw.trim();
    let value = if spec.lowercase { trimmed.to_lowercase() } else { trimmed.to_owned() };
    if value.is_empty() {
        return spec.empty.to_string();
    }
    if !spec.values.is_empty() {
        let known = |word: &str| word == value;
        let allowed = spec.values.iter().any(|v| known(v)) || known(&spec.otherwise) || known(&spec.empty);
        return if allowed { value } else { spec.otherwise.to_string() };
    }
    let clean = match spec.charset {
        Charset::Id => value.chars().take(spec.max_length).map(|c| if id(c) { c } else { '_' }).collect(),
        Charset::Text => text(&value, spec.max_length),
    };
    if clean.is_empty() { spec.empty.to_string() } else { clean }
}

fn id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Replaces foreign characters, then folds runs of underscores and cuts the outer ones.
fn text(value: &str, max_length: usize) -> String {
    let mut out = String::with_capacity(value.len().min(max_length));
    for c in value.chars().take(max_length) {
        let c = if id(c) || matches!(c, '.' | '/' | ':' | ' ') { c } else { '_' };
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out.trim_matches(|c| c == '_' || c == ' ').to_owned()
}
