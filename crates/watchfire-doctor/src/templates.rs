//! The actions of a template, taken from its text: where they stand, and which labels of the alert they ask for. It carries nothing
//! out and knows of the grammar only what changes the meaning of the dot.

use std::collections::BTreeSet;

/// What stands between two braces, and what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action<'a> {
    /// What stands before it, from the action before that.
    pub(crate) before: &'a str,
    /// Without the signs that take blanks away.
    pub(crate) inside: &'a str,
    /// The rest of the text.
    pub(crate) after: &'a str,
}

/// All actions of a text. One that nobody closes ends it.
pub(crate) fn actions(text: &str) -> impl Iterator<Item = Action<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (before, begun) = rest.split_once("{{")?;
        let end = end_of_action(begun)?;
        let (inside, after) = (begun.get(..end)?, begun.get(end + 2..)?);
        rest = after;
        let inside = inside.strip_prefix('-').unwrap_or(inside);
        Some(Action { before, inside: inside.strip_suffix('-').unwrap_or(inside).trim(), after })
    })
}

/// The byte where the braces close that are open at the beginning; those within quotes and comments do not.
fn end_of_action(text: &str) -> Option<usize> {
    let comment = text.strip_prefix('-').unwrap_or(text).trim_start().starts_with("/*");
    if comment {
        let closed = text.find("*/")? + 2;
        return Some(closed + text.get(closed..)?.find("}}")?);
    }
    let mut bytes = text.bytes().enumerate();
    let mut quote = None;
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(b'"' | b'\''), b'\\') => {
                bytes.next();
            }
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'' | b'`') => quote = Some(byte),
            (None, b'}') if text.as_bytes().get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// A text with a sign in place of every action, so that words of which an action is a part stay one word.
pub(crate) fn without_actions(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    for action in actions(text) {
        plain.push_str(action.before);
        plain.push(ACTION);
        rest = action.after;
    }
    plain.push_str(rest);
    plain
}

/// What stands for an action.
pub(crate) const ACTION: char = '\u{fffc}';

/// The labels of the alert that a text asks for: `$labels.name`, `$.Labels.name`, and `.Labels.name` while the dot is the alert.
pub(crate) fn asked_labels(text: &str) -> BTreeSet<&str> {
    let mut asked = BTreeSet::new();
    // For every open block, whether the dot is something else in it.
    let mut moved: Vec<bool> = Vec::new();
    for Action { inside, .. } in actions(text) {
        if inside.starts_with("/*") {
            continue;
        }
        let elsewhere = moved.contains(&true);
        let mut words = inside.split_whitespace();
        let (first, second) = (words.next(), words.next());
        // What a block or its other branch is about is still read with the dot around it.
        let around = match first {
            Some("else") => moved.split_last().is_some_and(|(_, outer)| outer.contains(&true)),
            _ => elsewhere,
        };
        asked.extend(labels_of(inside, around));
        match first {
            Some("range" | "with" | "define" | "block") => moved.push(true),
            Some("if") => moved.push(false),
            Some("else") => {
                if let Some(inner) = moved.last_mut() {
                    *inner = second == Some("with");
                }
            }
            Some("end") => {
                moved.pop();
            }
            _ => {}
        }
    }
    asked
}

/// The labels that one action asks for.
fn labels_of(inside: &str, elsewhere: bool) -> impl Iterator<Item = &str> {
    let quoted = quoted_ranges(inside);
    ["$labels.", ".Labels."].into_iter().flat_map(move |prefix| {
        let quoted = quoted.clone();
        inside.match_indices(prefix).filter_map(move |(at, _)| {
            if quoted.iter().any(|range| range.contains(&at)) {
                return None;
            }
            if prefix == ".Labels." {
                let before = inside.get(..at)?.chars().next_back();
                let of_root = before == Some('$');
                let of_dot = !elsewhere && before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '|'));
                if !of_root && !of_dot {
                    return None;
                }
            }
            let rest = inside.get(at + prefix.len()..)?;
            let len = rest.len() - rest.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphanumeric()).len();
            rest.get(..len).filter(|name| !name.is_empty())
        })
    })
}

/// Where texts stand within an action.
fn quoted_ranges(inside: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut open: Option<(usize, u8)> = None;
    let mut bytes = inside.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (open, byte) {
            (Some((_, b'"' | b'\'')), b'\\') => {
                bytes.next();
            }
            (Some((from, quote)), _) if quote == byte => {
                ranges.push(from..at);
                open = None;
            }
            (None, b'"' | b'\'' | b'`') => open = Some((at, byte)),
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_alert_only() {
        let check = |text: &str, expected: &[&str]| assert_eq!(asked_labels(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
        check("{{ $labels.a }} {{.Labels.b}} {{- $.Labels.c -}} {{ printf \"%s\" (.Labels.d) }}", &["a", "b", "c", "d"]);
        check("{{ range query \"up\" }}{{ .Labels.a }}{{ $labels.b }}{{ $.Labels.c }}{{ end }}{{ .Labels.d }}", &["b", "c", "d"]);
        check("{{ with query \"up\" }}{{ . | first | value }}{{ .Labels.a }}{{ else }}{{ .Labels.b }}{{ end }}", &["b"]);
        check("{{ with .Labels.a }}{{ .Labels.b }}{{ else with .Labels.c }}{{ .Labels.d }}{{ end }}", &["a", "c"]);
        check("{{ if .Labels.a }}{{ .Labels.b }}{{ else if .Labels.c }}{{ .Labels.d }}{{ end }}", &["a", "b", "c", "d"]);
        check("{{ range query \"up\" }}{{ if true }}{{ .Labels.a }}{{ end }}{{ end }}{{ .Labels.b }}", &["b"]);
        check("{{ range $s := query \"up\" }}{{ $s.Labels.a }}{{ end }}", &[]);
        check("{{ query \"up{x='$labels.a'}}\" }} {{ `.Labels.b` }} {{/* $labels.c */}} $labels.d {{ $labels.e", &[]);
    }

    #[test]
    fn actions_end_outside_of_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(without_actions(text), expected.replace('#', &ACTION.to_string()), "{text}");
        check("a {{ \"}}\" }} b {{- `}}` -}} c {{ '\\'' }}d", "a # b # c #d");
        check("a {{/* }} */}} b {{ x", "a # b {{ x");
        check("{{ printf \"\\\"}}\" }}é", "#é");
    }
}
