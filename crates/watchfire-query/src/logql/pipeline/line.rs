//! Filters on lines: texts, expressions, patterns, addresses; and lines without their colours.

use memchr::memmem::Finder;
use regex::Regex;

use super::super::ast::{LineFilter, LineOp, LineTerm};
use super::super::ip::IpRange;
use super::super::pattern::Pattern;
use super::super::regexes::{literal, of_lines};

enum Term {
    Anything,
    Text(Box<Finder<'static>>),
    Regex(Regex),
    Pattern(Pattern),
    Ip(IpRange),
}
impl Term {
    fn fits(&self, line: &str) -> bool {
        match self {
            Term::Anything => true,
            Term::Text(finder) => finder.find(line.as_bytes()).is_some(),
            Term::Regex(regex) => regex.is_match(line),
            Term::Pattern(pattern) => pattern.fits(line),
            Term::Ip(range) => range.found_in(line),
        }
    }
}

/// A line filter that is ready.
pub(super) struct LineTest {
    any: Vec<Term>,
    negative: bool,
}

impl LineTest {
    pub(super) fn new(filter: &LineFilter) -> Result<LineTest, String> {
        let text = |text: &str| if text.is_empty() { Term::Anything } else { Term::Text(Box::new(Finder::new(text).into_owned())) };
        let term = |term: &LineTerm| {
            Ok(match (term, filter.op) {
                (LineTerm::Ip(range), _) => Term::Ip(IpRange::parse(range)?),
                (LineTerm::Text(needle), LineOp::Contains | LineOp::NotContains) => text(needle),
                (LineTerm::Text(pattern), LineOp::Matches | LineOp::NotMatches) => match literal(pattern) {
                    Some(needle) => text(needle),
                    None => Term::Regex(of_lines(pattern)?),
                },
                (LineTerm::Text(pattern), LineOp::Pattern | LineOp::NotPattern) => Term::Pattern(Pattern::filter(pattern)?),
            })
        };
        Ok(LineTest { any: filter.any.iter().map(term).collect::<Result<_, String>>()?, negative: filter.op.negative() })
    }

    /// How often it reads a line at most.
    pub(super) fn reads(&self) -> usize {
        self.any.len()
    }

    pub(super) fn passes(&self, line: &str) -> bool {
        self.any.iter().any(|term| term.fits(line)) != self.negative
    }
}

/// Texts that every line has that passes.
pub(super) fn needles(filter: &LineFilter) -> Vec<String> {
    let [LineTerm::Text(text)] = filter.any.as_slice() else { return Vec::new() };
    let texts: Vec<String> = match filter.op {
        LineOp::Contains => vec![text.clone()],
        LineOp::Matches => literal(text).map(str::to_owned).into_iter().collect(),
        LineOp::Pattern => Pattern::filter(text).map(|p| p.literals().map(str::to_owned).collect()).unwrap_or_default(),
        LineOp::NotContains | LineOp::NotMatches | LineOp::NotPattern => Vec::new(),
    };
    texts.into_iter().filter(|t| !t.is_empty()).collect()
}

/// Leaves out what terminals take for colours and movements.
pub(super) fn without_colors(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = match behind.as_bytes().first() {
            // `ESC [ parameters final`
            Some(b'[') => {
                let tail = behind.get(1..).unwrap_or("");
                let length = tail.bytes().take_while(|b| (0x20..=0x3f).contains(b)).count();
                let ends = tail.as_bytes().get(length).is_some_and(|b| (0x40..=0x7e).contains(b));
                tail.get(length + usize::from(ends)..).unwrap_or("")
            }
            // `ESC ] text BEL` or `ESC ] text ESC \`
            Some(b']') => match behind.find(['\u{7}', '\u{1b}']) {
                Some(at) if behind.as_bytes().get(at) == Some(&7) => behind.get(at + 1..).unwrap_or(""),
                Some(at) => behind.get(at..).and_then(|t| t.strip_prefix("\u{1b}\\")).unwrap_or_else(|| behind.get(at..).unwrap_or("")),
                None => "",
            },
            Some(0x40..=0x5f) => behind.get(1..).unwrap_or(""),
            _ => behind,
        };
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_go() {
        for (line, expected) in [
            ("\u{1b}[31mred\u{1b}[0m plain", "red plain"),
            ("\u{1b}[1;38;5;9mx\u{1b}[K", "x"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("cut \u{1b}[31", "cut "),
            ("\u{1b}", ""),
            ("é\u{1b}[3mü", "éü"),
        ] {
            let mut out = String::new();
            without_colors(line, &mut out);
            assert_eq!(out, expected, "{line:?}");
        }
    }
}
