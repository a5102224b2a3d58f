//! The labels of a stream as text: `{app="api", host="a"}`, and conditions on them for settings. Queries have a parser of their own.

use std::iter::Peekable;
use std::str::CharIndices;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::text::shortened;

use crate::label_bytes::LABELS_MAX;

/// Why a text names no stream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    /// Something else should stand at a place.
    #[error("expected {0} at column {1}")]
    Expected(&'static str, usize),
    /// A label stands there twice.
    #[error("the label {0:?} stands there twice")]
    Twice(String),
    /// There are too many of them.
    #[error("more than {LABELS_MAX} labels")]
    Many,
}

/// Reads labels.
pub(crate) fn labels(text: &str) -> Result<Labels, SelectorError> {
    let mut reader = Reader { text, rest: text.char_indices().peekable() };
    reader.expect('{', "an opening brace")?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    loop {
        if reader.take('}') {
            break;
        }
        let name = reader.name()?;
        reader.expect('=', "an equals sign")?;
        let value = reader.value()?;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(SelectorError::Twice(shortened(&name).into_owned()));
        }
        if pairs.len() >= LABELS_MAX {
            return Err(SelectorError::Many);
        }
        pairs.push((name, value));
        if !reader.take(',') {
            reader.expect('}', "a comma or a closing brace")?;
            break;
        }
    }
    reader.spaces();
    match reader.rest.peek() {
        None => Ok(Labels::from_pairs(pairs)),
        Some(_) => Err(reader.expected("the end")),
    }
}

/// Reads conditions: `{app="api", host=~"a.*"}`. The error is a sentence.
pub(crate) fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let mut reader = Reader { text, rest: text.char_indices().peekable() };
    let mut found = Vec::new();
    let say = |error: SelectorError| error.to_string();
    reader.expect('{', "an opening brace").map_err(say)?;
    while !reader.take('}') {
        let name = reader.name().map_err(say)?;
        let op = reader.operator().map_err(say)?;
        let value = reader.value().map_err(say)?;
        found.push(Matcher::new(&name, op, &value).map_err(|error| error.to_string())?);
        if found.len() > LABELS_MAX {
            return Err(SelectorError::Many.to_string());
        }
        if !reader.take(',') {
            reader.expect('}', "a comma or a closing brace").map_err(say)?;
            break;
        }
    }
    reader.spaces();
    match reader.rest.peek() {
        Some(_) => Err(reader.expected("the end").to_string()),
        None if found.is_empty() => Err("it must have at least one condition".to_owned()),
        None => Ok(found),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn expected(&mut self, what: &'static str) -> SelectorError {
        let at = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        SelectorError::Expected(what, at + 1)
    }
    fn spaces(&mut self) {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }
    fn take(&mut self, wanted: char) -> bool {
        self.spaces();
        self.rest.next_if(|(_, c)| *c == wanted).is_some()
    }
    fn expect(&mut self, wanted: char, what: &'static str) -> Result<(), SelectorError> {
        if self.take(wanted) { Ok(()) } else { Err(self.expected(what)) }
    }
    fn operator(&mut self) -> Result<MatchOp, SelectorError> {
        self.spaces();
        let first = self.rest.next_if(|(_, c)| matches!(c, '=' | '!')).map(|(_, c)| c);
        let second = self.rest.next_if(|(_, c)| *c == '~' || (*c == '=' && first == Some('!'))).map(|(_, c)| c);
        match (first, second) {
            (Some('='), None) => Ok(MatchOp::Equal),
            (Some('='), Some('~')) => Ok(MatchOp::Regex),
            (Some('!'), Some('=')) => Ok(MatchOp::NotEqual),
            (Some('!'), Some('~')) => Ok(MatchOp::NotRegex),
            _ => Err(self.expected("=, !=, =~ or !~")),
        }
    }
    /// A name; one that is no classic label name stands in quotes.
    fn name(&mut self) -> Result<String, SelectorError> {
        self.spaces();
        if self.rest.peek().is_some_and(|(_, c)| *c == '"') {
            return self.value();
        }
        let mut name = String::new();
        while let Some((_, c)) = self.rest.next_if(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '/')) {
            name.push(c);
        }
        if name.is_empty() { Err(self.expected("a label name")) } else { Ok(name) }
    }
    /// A text in double quotes with the escapes of Go, or in backquotes without any.
    fn value(&mut self) -> Result<String, SelectorError> {
        self.spaces();
        let mut out = String::new();
        match self.rest.next() {
            Some((_, '`')) => {
                for (_, c) in self.rest.by_ref() {
                    if c == '`' {
                        return Ok(out);
                    }
                    out.push(c);
                }
                Err(self.expected("a closing backquote"))
            }
            Some((_, '"')) => {
                while let Some((at, c)) = self.rest.next() {
                    match c {
                        '"' => return Ok(out),
                        '\\' => self.escape(at, &mut out)?,
                        c => out.push(c),
                    }
                }
                Err(self.expected("a closing quote"))
            }
            Some((at, _)) => Err(SelectorError::Expected("a quoted value", at + 1)),
            None => Err(self.expected("a quoted value")),
        }
    }
    fn escape(&mut self, at: usize, out: &mut String) -> Result<(), SelectorError> {
        let wrong = SelectorError::Expected("a known escape", at + 1);
        let plain = match self.rest.next().map(|(_, c)| c) {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('v') => '\u{b}',
            Some(c @ ('\\' | '"' | '\'')) => c,
            Some('x') => self.hex(2).ok_or(wrong)?,
            Some('u') => self.hex(4).ok_or(wrong)?,
            Some('U') => self.hex(8).ok_or(wrong)?,
            _ => return Err(wrong),
        };
        out.push(plain);
        Ok(())
    }
    fn hex(&mut self, digits: usize) -> Option<char> {
        let mut code = 0u32;
        for _ in 0..digits {
            let (_, c) = self.rest.next()?;
            code = code.checked_mul(16)?.checked_add(c.to_digit(16)?)?;
        }
        char::from_u32(code)
    }
}
