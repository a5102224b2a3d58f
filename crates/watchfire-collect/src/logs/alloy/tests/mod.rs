//! Alloy's files as people write them, what is said of what they should not have, and what becomes of lines.

mod collecting;
mod language;

use super::*;

/// Reads a file where nothing lies beside it.
fn parsed(text: &str) -> Parsed {
    let environment = |name: &str| (name == "LOKI_URL").then(|| "http://loki:3100/loki/api/v1/push".to_owned());
    parse("config.alloy", text, &Outside { environment: &environment, host: "pi", lookup: Lookup::default() })
}

/// What is said of a file, without its name.
fn said(text: &str) -> Vec<String> {
    parsed(text).findings.iter().map(|finding| finding.to_string().trim_start_matches("config.alloy:").to_owned()).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(said(text), expected, "{text}");
}
