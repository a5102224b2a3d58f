//! Regular expressions over lines: they match anywhere, within the limits of those of matchers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use regex::{Regex, RegexBuilder};
use watchfire_model::go_regex::translated;
use watchfire_model::matcher::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX};

/// The most regular expressions over lines in one query; each may take megabytes.
pub const REGEXES_MAX: usize = 64;

/// How many compiled ones are kept for the next query: what they take stays taken.
const KEPT_MAX: usize = 16;

/// Compiled expressions, the last one first.
struct Kept {
    list: VecDeque<(String, bool, Regex)>,
    /// How many were compiled.
    compiled: u64,
}
/// What the parser has checked, the pipeline of the same query asks for again.
static KEPT: Mutex<Kept> = Mutex::new(Kept::new());

/// Compiles a pattern that may match anywhere in a text. The error is a sentence without a place.
pub(crate) fn unanchored(pattern: &str) -> Result<Regex, String> {
    compiled(pattern, false)
}

/// The same for line filters, whose `.` is any character, line feeds too.
pub(crate) fn of_lines(pattern: &str) -> Result<Regex, String> {
    compiled(pattern, true)
}

impl Kept {
    const fn new() -> Kept {
        Kept { list: VecDeque::new(), compiled: 0 }
    }
}

fn compiled(pattern: &str, dot_is_any: bool) -> Result<Regex, String> {
    from(&KEPT, pattern, dot_is_any)
}

fn from(kept: &Mutex<Kept>, pattern: &str, dot_is_any: bool) -> Result<Regex, String> {
    let locked = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., regex)) = locked().list.iter().find(|(known, dot, _)| known == pattern && *dot == dot_is_any) {
        return Ok(regex.clone());
    }
    // Not under the lock: a large expression must not hold up the others.
    let regex = built(pattern, dot_is_any)?;
    let mut kept = locked();
    kept.compiled += 1;
    kept.list.truncate(KEPT_MAX - 1);
    kept.list.push_front((pattern.to_owned(), dot_is_any, regex.clone()));
    Ok(regex)
}

fn built(pattern: &str, dot_is_any: bool) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("regular expression is {} bytes long, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    let mut builder = RegexBuilder::new(&translated(pattern));
    builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX).nest_limit(50).dot_matches_new_line(dot_is_any);
    builder.build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// The text that a pattern is, when it is nothing but plain characters.
pub(crate) fn literal(pattern: &str) -> Option<&str> {
    (!pattern.bytes().any(|b| br"\.+*?()|[]{}^$".contains(&b))).then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_compiled_once() {
        let kept = Mutex::new(Kept::new());
        let patterns: Vec<String> = (0..KEPT_MAX).map(|i| format!("a.{i}")).collect();
        for _ in 0..3 {
            for (i, pattern) in patterns.iter().enumerate() {
                assert!(from(&kept, pattern, i % 2 == 0).unwrap().is_match(&format!("a {i}")));
            }
        }
        assert_eq!(kept.lock().unwrap().compiled, KEPT_MAX as u64);
        // The same pattern with another meaning is another expression.
        assert!(from(&kept, "a.0", true).unwrap().is_match("a\n0") && !from(&kept, "a.0", false).unwrap().is_match("a\n0"));
        assert!(from(&kept, "(", true).is_err());
        assert!(kept.lock().unwrap().list.len() <= KEPT_MAX);
    }
}
