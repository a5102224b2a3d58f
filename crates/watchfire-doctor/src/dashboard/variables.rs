//! Variables of dashboards, replaced so that a query can be parsed: durations and numbers by values, all others by a mark that
//! may become anything.

use crate::expression::VARIABLE;

/// What a query may look like once its variables are replaced; the first that can be parsed is meant.
pub(super) fn replaced(text: &str) -> Vec<String> {
    let by_mark = replace(text, VARIABLE);
    let by_number = replace(text, "1");
    if by_mark == by_number { vec![by_mark] } else { vec![by_mark, by_number] }
}

/// Built-in variables that are durations and numbers.
const DURATIONS: [&str; 4] = ["__interval", "__rate_interval", "__range", "interval"];
const NUMBERS: [&str; 6] = ["__interval_ms", "__rate_interval_ms", "__range_ms", "__range_s", "__from", "__to"];

fn replace(text: &str, other: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((name, after)) = variable(rest) {
            out.push_str(value(name, other, quote.is_some(), &out));
            rest = after;
            continue;
        }
        match quote {
            Some(open) if c == '\\' && open != '`' => {
                // What follows a backslash does not end the text.
                let escaped: String = rest.chars().take(2).collect();
                out.push_str(&escaped);
                rest = rest.get(escaped.len()..).unwrap_or("");
                continue;
            }
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    out
}

/// The value for a variable where it stands.
fn value<'a>(name: &str, other: &'a str, quoted: bool, before: &str) -> &'a str {
    if quoted {
        return VARIABLE;
    }
    let before = before.trim_end();
    if NUMBERS.contains(&name) {
        "300"
    } else if DURATIONS.contains(&name) || before.ends_with(['[', ':']) || before.ends_with("offset") {
        "5m"
    } else {
        other
    }
}

/// The name of a variable at the beginning of a text, and what follows it: `$name`, `${name}`, `${name:format}`, `[[name]]`.
fn variable(text: &str) -> Option<(&str, &str)> {
    let close = |inner: &'_ str, end: &str| inner.find(end);
    if let Some(inner) = text.strip_prefix("${") {
        let end = close(inner, "}")?;
        let name = inner.get(..end)?.split([':', '.']).next()?;
        return Some((name, inner.get(end + 1..)?));
    }
    if let Some(inner) = text.strip_prefix("[[") {
        let end = close(inner, "]]")?;
        let name = inner.get(..end)?.split(':').next()?;
        return is_name(name).then_some((name, inner.get(end + 2..)?));
    }
    let inner = text.strip_prefix('$')?;
    let len = inner.len() - inner.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphanumeric()).len();
    let (name, after) = inner.split_at(len);
    // `$1` of label_replace and `$` at the end of a pattern are none.
    is_name(name).then_some((name, after))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}
