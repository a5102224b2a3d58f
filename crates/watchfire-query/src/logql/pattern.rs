//! Patterns over lines: texts with captures between them, `<ip> - <_> "<method> <path>"`. No regular expressions.

use watchfire_model::labels::is_classic_label_name;

/// The most captures of one pattern.
const CAPTURES_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The name, or nothing for `<_>`.
    Capture(Option<String>),
}

/// A pattern that was parsed and checked.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// One for the parser: at least one capture has a name, each once.
    pub(crate) fn parser(text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::parse(text)?;
        let names: Vec<&str> = pattern.names().collect();
        if names.is_empty() {
            return Err(format!("invalid pattern {text:?}: at least one capture must have a name"));
        }
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
            return Err(format!("invalid pattern {text:?}: duplicate capture name <{name}>"));
        }
        Ok(pattern)
    }

    /// One for line filters: no capture has a name.
    pub(crate) fn filter(text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::parse(text)?;
        if let Some(name) = pattern.names().next() {
            return Err(format!("invalid pattern {text:?}: a line filter takes <_> only, not <{name}>"));
        }
        Ok(pattern)
    }

    fn parse(text: &str) -> Result<Pattern, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some((name, length)) = capture(rest) {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                } else if matches!(parts.last(), Some(Part::Capture(_))) {
                    return Err(format!("invalid pattern {text:?}: consecutive captures are not allowed"));
                }
                parts.push(Part::Capture((name != "_").then(|| name.to_owned())));
                rest = rest.get(length..).unwrap_or("");
            } else {
                literal.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.len() > CAPTURES_MAX * 2 {
            return Err(format!("invalid pattern: more than {CAPTURES_MAX} captures"));
        }
        Ok(Pattern { parts })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture(Some(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Gives each named capture of a line. The pattern begins where the line does; a text that is not there ends it, and the capture
    /// before it takes the rest of the line.
    pub(crate) fn captures<'l>(&self, line: &'l str, found: &mut dyn FnMut(&str, &'l str)) {
        let mut rest = line;
        let mut open: Option<&Part> = None;
        let mut give = |part: &Part, value: &'l str| {
            if let Part::Capture(Some(name)) = part {
                found(name, value);
            }
        };
        for part in &self.parts {
            match (part, open) {
                (Part::Capture(_), _) => open = Some(part),
                (Part::Literal(text), None) => match rest.strip_prefix(text.as_str()) {
                    Some(behind) => rest = behind,
                    None => return,
                },
                (Part::Literal(text), Some(capture)) => {
                    let Some((value, behind)) = rest.split_once(text.as_str()) else {
                        give(capture, rest);
                        return;
                    };
                    give(capture, value);
                    (open, rest) = (None, behind);
                }
            }
        }
        if let Some(capture) = open {
            give(capture, rest);
        }
    }

    /// Whether a line fits from its beginning to its end. Every capture takes at least one character.
    pub(crate) fn fits(&self, line: &str) -> bool {
        let mut rest = line;
        let mut open = false;
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Capture(_) => open = true,
                Part::Literal(text) if !open => match rest.strip_prefix(text.as_str()) {
                    Some(behind) => rest = behind,
                    None => return false,
                },
                // The last text ends the line, wherever else it stands.
                Part::Literal(text) if i + 1 == self.parts.len() => return rest.strip_suffix(text.as_str()).is_some_and(|captured| !captured.is_empty()),
                Part::Literal(text) => {
                    // The capture takes one character before the text is looked for.
                    let first = rest.chars().next().map_or(1, char::len_utf8);
                    let Some((_, behind)) = rest.get(first..).and_then(|tail| tail.split_once(text.as_str())) else { return false };
                    (rest, open) = (behind, false);
                }
            }
        }
        if open { !rest.is_empty() } else { rest.is_empty() }
    }

    /// The texts between the captures, all of which stand in every line that fits.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Capture(_) => None,
        })
    }
}

/// The name of a capture that a text begins with, and the bytes that it takes; `<` alone is a character.
fn capture(text: &str) -> Option<(&str, usize)> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    is_classic_label_name(name).then_some((name, name.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, line: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        Pattern::parser(pattern).unwrap().captures(line, &mut |name, value| all.push((name.to_owned(), value.to_owned())));
        all
    }

    #[test]
    fn captures() {
        let check = |pattern: &str, line: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(captured(pattern, line), expected, "{pattern} on {line}");
        };
        let access = r#"0.191.12.2 - - [10/Jun/2021:09:14:29 +0000] "GET /api/plugins/versioncheck HTTP/1.1" 200 2 "-" "Go-http-client/2.0" "13.76""#;
        check(
            r#"<ip> - - <_> "<method> <uri> <_>" <status> <size> <_> "<agent>" <_>"#,
            access,
            &[("ip", "0.191.12.2"), ("method", "GET"), ("uri", "/api/plugins/versioncheck"), ("status", "200"), ("size", "2"), ("agent", "Go-http-client/2.0")],
        );
        check("<a> <b>", "one two three", &[("a", "one"), ("b", "two three")]);
        check("x<a>", "no", &[]);
        check("<a>,<b>", "only", &[("a", "only")]);
        check("<a>,<b>,<c>", "1,2", &[("a", "1"), ("b", "2")]);
        check("<a>!", "!", &[("a", "")]);
        check("<a> < b", "1 < b", &[("a", "1")]);
        check("<a>", "", &[("a", "")]);
    }

    #[test]
    fn filters() {
        for (pattern, line, expected) in [
            ("<_> level=debug <_>", "ts=1 level=debug msg=x", true),
            ("<_>level=debug <_>", "level=debug msg=x", false),
            ("level=<_>", "level=debug", true),
            ("level=<_>", "x level=debug", false),
            ("level=<_>", "level=", false),
            ("<_>.", "a.b.", true),
            ("<_>.", "a.b", false),
            ("a<_>b<_>c", "axbxc", true),
            ("a<_>b<_>c", "abxc", false),
            ("", "", true),
            ("", "x", false),
            ("<_>", "", false),
            ("<_>", "é", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(Pattern::filter(pattern).unwrap().fits(line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in ["", "text", "<_>", "<a><b>", "<a> <a>", "<_> <_>"] {
            assert!(Pattern::parser(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::filter("<name> x").unwrap_err().contains("<name>"));
        assert!(Pattern::filter("<_><_>").is_err());
    }
}
