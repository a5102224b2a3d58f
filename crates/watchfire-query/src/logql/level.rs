//! The level of a line that nobody has noted: from labels, from fields of the line, or from words in it.

use std::borrow::Cow;

use watchfire_model::labels::Labels;

use super::json::{self, Value};
use super::logfmt::{Piece, pieces};

/// The label that holds it.
pub const LABEL: &str = "detected_level";
/// What stands there when there is none.
pub const UNKNOWN: &str = "unknown";

/// Where programs say it.
const NAMES: [&str; 9] = ["level", "severity", "lvl", "loglevel", "log_level", "levelname", "severity_text", "log.level", "severitytext"];

/// Words in lines.
const WORDS: [(&str, &str); 11] = [
    ("fatal", "fatal"),
    ("critical", "critical"),
    ("panic", "fatal"),
    ("error", "error"),
    ("exception", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
    ("err", "error"),
];

/// The level: `trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal` or `unknown`.
pub fn detect(stream: &Labels, metadata: &Labels, line: &str) -> &'static str {
    for labels in [metadata, stream] {
        for (name, value) in labels {
            if is_level_name(name)
                && let Some(level) = named(value)
            {
                return level;
            }
        }
        if let Some(number) = labels.get("severity_number").and_then(|n| n.parse::<u32>().ok()) {
            return of_number(number);
        }
    }
    let begins = line.trim_start();
    let of_field = if begins.starts_with('{') { in_json(begins) } else { in_logfmt(line) };
    of_field.or_else(|| in_words(line)).unwrap_or(UNKNOWN)
}

fn is_level_name(name: &str) -> bool {
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The level that a value means.
fn named(value: &str) -> Option<&'static str> {
    let is = |names: &[&str]| names.iter().any(|name| value.trim().eq_ignore_ascii_case(name));
    let all: [(&[&str], &'static str); 7] = [
        (&["trace", "trc", "verbose"], "trace"),
        (&["debug", "dbg"], "debug"),
        (&["info", "inf", "information", "informational", "notice"], "info"),
        (&["warn", "wrn", "warning"], "warn"),
        (&["error", "err", "severe"], "error"),
        (&["critical", "crit", "alert", "emerg", "emergency"], "critical"),
        (&["fatal", "panic"], "fatal"),
    ];
    all.iter().find(|(names, _)| is(names)).map(|(_, level)| *level)
}

/// OpenTelemetry's numbers.
fn of_number(number: u32) -> &'static str {
    match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => UNKNOWN,
    }
}

fn in_json(line: &str) -> Option<&'static str> {
    let mut level = None;
    let mut note = |name: Cow<'_, str>, value: Value<'_>| {
        if level.is_none() && is_level_name(&name) {
            level = named(&value.into_text());
        }
    };
    // What was found before a mistake in the line counts.
    json::members(line, &mut note).unwrap_or(());
    level
}

fn in_logfmt(line: &str) -> Option<&'static str> {
    if !line.contains('=') {
        return None;
    }
    let mut level = None;
    pieces(line, &mut |piece| {
        if let Piece::Pair(name, Some(value)) = piece
            && is_level_name(name)
        {
            level = named(&value);
        }
        level.is_none()
    });
    level
}

/// The first word in a line that names a level; of several the one that stands first.
fn in_words(line: &str) -> Option<&'static str> {
    line.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() >= 3)
        .find_map(|word| WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, level)| *level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::labels;

    #[test]
    fn levels() {
        let none = Labels::empty();
        let check = |stream: &Labels, metadata: &Labels, line: &str, expected: &str| assert_eq!(detect(stream, metadata, line), expected, "{line}");
        check(&labels!("level" => "WARN"), &none, "an error", "warn");
        check(&labels!("level" => "WARN"), &labels!("severity" => "crit"), "", "critical");
        check(&none, &labels!("severity_number" => "17"), "", "error");
        for (line, expected) in [
            (r#"{"msg":"no error","level":"INFO"}"#, "info"),
            (r#"{"msg":"x","severity":"Error""#, "error"),
            ("ts=1 level=debug msg=\"an error\"", "debug"),
            ("2025-01-01 ERROR something", "error"),
            ("[warning] x", "warn"),
            ("terror and information", "unknown"),
            ("plain text", "unknown"),
            ("", "unknown"),
            ("INFO then ERROR", "info"),
        ] {
            check(&none, &none, line, expected);
        }
    }
}
