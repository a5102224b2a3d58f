//! The level of a log line that nobody has noted: from labels, from fields of the line, or from words in it. Who takes lines in notes it
//! beside them; who asks about lines that have no note finds the same. It allocates nothing and is no parser: what is no JSON or logfmt
//! has no fields.

use memchr::{memchr, memchr2, memchr3};

use crate::labels::Labels;

/// The label that holds it.
pub const LABEL: &str = "detected_level";
/// What stands there when there is none.
pub const UNKNOWN: &str = "unknown";
/// Everything that can stand there.
pub const ALL: [&str; 8] = ["trace", "debug", "info", "warn", "error", "critical", "fatal", UNKNOWN];

/// The level: one of `ALL`.
pub fn detect(stream: &Labels, metadata: &Labels, line: &str) -> &'static str {
    of_labels(metadata).or_else(|| of_labels(stream)).or_else(|| of_line(line)).unwrap_or(UNKNOWN)
}

/// The level as it is noted in structured metadata, if it is: one of `ALL`.
pub fn noted(metadata: &Labels) -> Option<&'static str> {
    let value = metadata.get(LABEL)?;
    Some(ALL.into_iter().find(|known| value.eq_ignore_ascii_case(known)).unwrap_or(UNKNOWN))
}

/// The level that labels tell.
pub fn of_labels(labels: &Labels) -> Option<&'static str> {
    let mut number = None;
    for (name, value) in labels {
        if is_level_name(name.as_bytes())
            && let Some(level) = named(value)
        {
            return Some(level);
        }
        if name == "severity_number" {
            number = value.parse::<u32>().ok();
        }
    }
    number.map(of_number)
}

/// The level that a line tells: by a field, else by a word.
pub fn of_line(line: &str) -> Option<&'static str> {
    let begins = line.trim_ascii_start();
    let of_field = if begins.starts_with('{') { in_json(begins.as_bytes()) } else { in_logfmt(line.as_bytes()) };
    of_field.or_else(|| in_words(line.as_bytes()))
}

/// Where programs say it.
fn is_level_name(name: &[u8]) -> bool {
    let known: &[&str] = match name.len() {
        3 => &["lvl"],
        5 => &["level"],
        8 => &["severity", "loglevel"],
        9 => &["log_level", "levelname", "log.level"],
        12 => &["severitytext"],
        13 => &["severity_text"],
        _ => return false,
    };
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The level that a value means.
fn named(value: &str) -> Option<&'static str> {
    let value = value.trim();
    let is = |names: &[&str]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
    let all: [(&[&str], &'static str); 7] = [
        (&["info", "inf", "information", "informational", "notice"], "info"),
        (&["debug", "dbg"], "debug"),
        (&["warn", "wrn", "warning"], "warn"),
        (&["error", "err", "severe"], "error"),
        (&["trace", "trc", "verbose"], "trace"),
        (&["critical", "crit", "alert", "emerg", "emergency"], "critical"),
        (&["fatal", "panic"], "fatal"),
    ];
    all.iter().find(|(names, _)| is(names)).map(|(_, level)| *level)
}

fn named_bytes(value: &[u8]) -> Option<&'static str> {
    std::str::from_utf8(value).ok().and_then(named)
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

/// The end of a quoted text that begins at a place behind its quote, at its closing quote.
fn quoted_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// A member of the object, or `level` of its member `log`. The first one whose value is a level counts; what comes behind it is not read.
fn in_json(bytes: &[u8]) -> Option<&'static str> {
    let (mut at, mut depth, mut in_log) = (0, 0usize, false);
    loop {
        match *bytes.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1).filter(|depth| *depth > 0)?;
                in_log &= depth > 1;
            }
            b'"' => {
                let end = quoted_end(bytes, at + 1)?;
                let text = bytes.get(at + 1..end)?;
                at = skip_space(bytes, end + 1);
                if bytes.get(at) != Some(&b':') {
                    continue;
                }
                let value = skip_space(bytes, at + 1);
                let is_level = match depth {
                    1 => is_level_name(text),
                    2 => in_log && text == b"level",
                    _ => false,
                };
                if depth == 1 {
                    in_log = text == b"log" && bytes.get(value) == Some(&b'{');
                }
                at = value;
                if is_level && bytes.get(value) == Some(&b'"') {
                    let end = quoted_end(bytes, value + 1)?;
                    if let Some(level) = named_bytes(bytes.get(value + 1..end)?) {
                        return Some(level);
                    }
                    at = end + 1;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// A pair of the line, read from its begin: what is in quotes is no pair.
fn in_logfmt(bytes: &[u8]) -> Option<&'static str> {
    memchr(b'=', bytes)?;
    let mut at = 0;
    loop {
        at = skip_space(bytes, at);
        let stop = at + memchr3(b'=', b' ', b'"', bytes.get(at..)?)?;
        let name = bytes.get(at..stop)?;
        match *bytes.get(stop)? {
            b'"' => at = quoted_end(bytes, stop + 1)? + 1,
            b' ' => at = stop + 1,
            _ if bytes.get(stop + 1) == Some(&b'"') => {
                let end = quoted_end(bytes, stop + 2)?;
                if is_level_name(name)
                    && let Some(level) = named_bytes(bytes.get(stop + 2..end)?)
                {
                    return Some(level);
                }
                at = end + 1;
            }
            _ => {
                let end = bytes.get(stop + 1..)?.iter().position(u8::is_ascii_whitespace).map_or(bytes.len(), |length| stop + 1 + length);
                if is_level_name(name)
                    && let Some(level) = named_bytes(bytes.get(stop + 1..end)?)
                {
                    return Some(level);
                }
                at = end;
            }
        }
    }
}

/// The first word in a line that names a level; of several the one that stands first.
fn in_words(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        while bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            at += 1;
        }
        if let Some(level) = bytes.get(begin..at).and_then(word) {
            return Some(level);
        }
        at += 1;
    }
    None
}

fn word(word: &[u8]) -> Option<&'static str> {
    let known: &[(&str, &'static str)] = match word.len() {
        3 => &[("err", "error")],
        4 => &[("info", "info"), ("warn", "warn")],
        5 => &[("error", "error"), ("debug", "debug"), ("fatal", "fatal"), ("trace", "trace"), ("panic", "fatal")],
        7 => &[("warning", "warn")],
        8 => &[("critical", "critical")],
        9 => &[("exception", "error")],
        _ => return None,
    };
    known.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes())).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels;

    #[test]
    fn levels() {
        let none = Labels::empty();
        let check = |stream: &Labels, metadata: &Labels, line: &str, expected: &str| assert_eq!(detect(stream, metadata, line), expected, "{line}");
        check(&labels!("level" => "WARN"), &none, "an error", "warn");
        check(&labels!("level" => "WARN"), &labels!("severity" => "crit"), "", "critical");
        check(&none, &labels!("severity_number" => "17"), "", "error");
        check(&none, &labels!("severity_number" => "17", "severity_text" => "Warning"), "", "warn");
        check(&labels!("level" => "UNKNOWN"), &none, "an error", "error");
        for (line, expected) in [
            (r#"{"msg":"no error","level":"INFO"}"#, "info"),
            (r#" {"msg":"x","severity":"Error""#, "error"),
            (r#"{"msg":"a \"level\": \"error\" in a text","level" : "debug"}"#, "debug"),
            (r#"{"inner":{"level":"error"},"list":["level",{"level":"error"}],"lvl":"warn"}"#, "warn"),
            (r#"{"log":{"logger":"x","level":"error"},"message":"info"}"#, "error"),
            (r#"{"log":"x","other":{"level":"debug"},"message":"fatal"}"#, "debug"),
            (r#"{"level":30,"msg":"trace"}"#, "trace"),
            (r#"{"level":"none of them","severity":"fatal"}"#, "fatal"),
            ("ts=1 level=debug msg=\"an error\"", "debug"),
            ("ts=1 msg=\"level=error \\\" level=error\" lvl=\"warning\"", "warn"),
            ("x=1 level=", "unknown"),
            ("level=nothing and an ERROR", "error"),
            ("2025-01-01 ERROR something", "error"),
            ("[warning] x", "warn"),
            ("terror and information", "unknown"),
            ("plain text", "unknown"),
            ("", "unknown"),
            ("INFO then ERROR", "info"),
            ("größer ERR", "error"),
        ] {
            check(&none, &none, line, expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_level(line in "[{}\\[\\]\":\\\\= a-z]{0,60}|\\{\"(log|level|a)\" ?:.{0,30}|.{0,80}") {
            prop_assert!(ALL.contains(&detect(&Labels::empty(), &Labels::empty(), &line)));
        }
    }
}
