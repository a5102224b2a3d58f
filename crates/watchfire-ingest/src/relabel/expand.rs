//! Replacement templates with Go's rules: `$1`, `${1}`, `${name}`, `$$`; the longest possible name is taken, an unknown
//! group is empty, and a dollar sign that begins nothing is itself.

use regex::Captures;

/// Appends a template with its references replaced.
pub(super) fn expand(template: &str, captures: &Captures<'_>, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match reference(after) {
            Some((name, after)) => {
                out.push_str(group(name, captures));
                rest = after;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// The name right behind a dollar sign, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (text, braces) = text.strip_prefix('{').map_or((text, false), |inner| (inner, true));
    let end = text.find(|c: char| !(c.is_alphabetic() || c.is_numeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    if braces { rest.strip_prefix('}').map(|rest| (name, rest)) } else { Some((name, rest)) }
}

fn group<'a>(name: &str, captures: &Captures<'a>) -> &'a str {
    let number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let found = if number { name.parse().ok().and_then(|n| captures.get(n)) } else { captures.name(name) };
    found.map_or("", |m| m.as_str())
}
