//! Regular expressions over lines: they match anywhere, within the limits of those of matchers.

use regex::{Regex, RegexBuilder};
use watchfire_model::matcher::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX};

/// Compiles a pattern that may match anywhere in a text. The error is a sentence without a place.
pub(crate) fn unanchored(pattern: &str) -> Result<Regex, String> {
    compiled(pattern, false)
}

/// The same for line filters, whose `.` is any character, line feeds too.
pub(crate) fn of_lines(pattern: &str) -> Result<Regex, String> {
    compiled(pattern, true)
}

fn compiled(pattern: &str, dot_is_any: bool) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("regular expression is {} bytes long, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    let mut builder = RegexBuilder::new(pattern);
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
