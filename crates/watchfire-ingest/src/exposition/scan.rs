//! The scanner both text grammars share: names, quoted strings, label sets, numbers. It looks at each byte once and
//! allocates nothing; what it finds are slices of the text. It knows no lines of metadata.

use std::borrow::Cow;

use watchfire_model::sample::NORMAL_NAN_BITS;

use super::entry::{ParseError, TextErrorKind};

/// The differences between the two grammars inside a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Blanks between tokens, commas between labels may be missing, line feeds inside quotes.
    Loose,
    /// None of these.
    Strict,
}

/// A name or a quoted text as written (without the quotes).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) raw: &'a str,
    escaped: bool,
}
impl<'a> Raw<'a> {
    /// Resolves `\\`, `\"` and `\n`; any other backslash stays as it is.
    pub(crate) fn unescaped(self) -> Cow<'a, str> {
        if self.escaped { unescape(self.raw, true) } else { Cow::Borrowed(self.raw) }
    }
}

/// Resolves escapes; `\"` only where quotes delimit the text.
pub(crate) fn unescape(raw: &str, quotes: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.as_str().chars().next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if quotes => out.push('"'),
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    Cow::Owned(out)
}

/// One part of a series.
pub(crate) enum Part<'a> {
    Name(Raw<'a>),
    Label(Raw<'a>, Raw<'a>),
}

/// A place in a text.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(crate) at: usize,
}
impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, bytes: text.as_bytes(), at: 0 }
    }
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or("")
    }
    pub(crate) fn error(&self, kind: TextErrorKind) -> ParseError {
        ParseError::at(self.text, self.at, kind)
    }
    pub(crate) fn expected(&self, what: &'static str) -> ParseError {
        self.error(TextErrorKind::Expected(what))
    }
    /// Steps over one byte if it is there.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }
    /// Steps over a word if it is there.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let there = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if there {
            self.at += word.len();
        }
        there
    }
    /// Steps over blanks and tabs; says whether there was one.
    #[inline]
    pub(crate) fn blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }
    /// The rest of the line without its line feed, which is stepped over; false when the text ended instead.
    pub(crate) fn rest_of_line(&mut self) -> (&'a str, bool) {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or(&[]);
        match memchr::memchr(b'\n', rest) {
            Some(len) => {
                self.at = start + len + 1;
                (self.slice(start, start + len), true)
            }
            None => {
                self.at = self.bytes.len();
                (self.slice(start, self.at), false)
            }
        }
    }
    /// Everything up to one of the given stops or the end.
    #[inline]
    pub(crate) fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|b| !stop(b)) {
            self.at += 1;
        }
        self.slice(start, self.at)
    }

    /// An unquoted name, or the empty text.
    #[inline]
    fn name(&mut self, colon: bool) -> &'a str {
        let start = self.at;
        while let Some(b) = self.peek() {
            let ok = b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':') || (self.at > start && b.is_ascii_digit());
            if !ok {
                break;
            }
            self.at += 1;
        }
        self.slice(start, self.at)
    }

    /// A family's name in a line of metadata: plain or quoted.
    pub(crate) fn family(&mut self) -> Result<Cow<'a, str>, ParseError> {
        if self.peek() == Some(b'"') {
            return Ok(self.quoted(Grammar::Strict)?.unescaped());
        }
        let name = self.name(true);
        if name.is_empty() { Err(self.expected("a metric name")) } else { Ok(Cow::Borrowed(name)) }
    }

    /// A quoted text; the cursor stands at the opening quote.
    #[inline]
    fn quoted(&mut self, grammar: Grammar) -> Result<Raw<'a>, ParseError> {
        let open = self.at;
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or(&[]);
            let Some(step) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = open;
                return Err(self.expected("a closing quote"));
            };
            self.at += step;
            if self.peek() == Some(b'"') {
                break;
            }
            escaped = true;
            if matches!(self.bytes.get(self.at + 1), None | Some(b'\n')) {
                return Err(self.expected("a character after the backslash"));
            }
            self.at += 2;
        }
        let raw = self.slice(start, self.at);
        if grammar == Grammar::Strict && memchr::memchr(b'\n', raw.as_bytes()).is_some() {
            self.at = open;
            return Err(self.expected("a closing quote in the same line"));
        }
        self.at += 1;
        Ok(Raw { raw, escaped })
    }

    /// Steps over a series that is expected here, because it stood here the last time. It was found valid then, and what follows
    /// shows that it ends here, so it need not be read again.
    #[inline]
    pub(crate) fn known_series(&mut self, expected: &[u8]) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(after) = rest.strip_prefix(expected) else { return false };
        // A blank and then a brace would be the labels of a longer series.
        let ends = matches!(after, [b' ' | b'\t', next, ..] if !matches!(next, b'{' | b' ' | b'\t'));
        if ends && !expected.is_empty() {
            self.at += expected.len();
        }
        ends && !expected.is_empty()
    }

    /// A whole series: `name`, `name{…}` or `{"name",…}`. Afterwards the cursor stands right behind it.
    #[inline]
    pub(crate) fn series(&mut self, grammar: Grammar, visit: &mut impl FnMut(Part<'a>)) -> Result<(), ParseError> {
        let start = self.at;
        let raw = self.name(true);
        let mut named = !raw.is_empty();
        if named {
            visit(Part::Name(Raw { raw, escaped: false }));
            let end = self.at;
            if grammar == Grammar::Loose {
                self.blanks();
            }
            if self.peek() != Some(b'{') {
                self.at = end;
                return Ok(());
            }
        } else if self.peek() != Some(b'{') {
            return Err(self.expected("a metric name, a comment or an empty line"));
        }
        self.at += 1;
        self.label_set(grammar, &mut named, visit)?;
        if !named {
            self.at = start;
            return Err(self.error(TextErrorKind::NoName));
        }
        Ok(())
    }

    /// The inside of braces up to and including the closing one.
    pub(crate) fn label_set(&mut self, grammar: Grammar, named: &mut bool, visit: &mut impl FnMut(Part<'a>)) -> Result<(), ParseError> {
        let loose = grammar == Grammar::Loose;
        loop {
            self.skip(loose);
            let start = self.at;
            let (name, quoted) = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => (self.quoted(grammar)?, true),
                _ => (Raw { raw: self.name(false), escaped: false }, false),
            };
            if name.raw.is_empty() && !quoted {
                return Err(self.expected("a label name or a closing brace"));
            }
            self.skip(loose);
            if quoted && matches!(self.peek(), Some(b',' | b'}')) {
                if std::mem::replace(named, true) {
                    self.at = start;
                    return Err(self.error(TextErrorKind::NameTwice));
                }
                visit(Part::Name(name));
                self.eat(b',');
                continue;
            }
            if !self.eat(b'=') {
                return Err(self.expected("an equals sign"));
            }
            self.skip(loose);
            if self.peek() != Some(b'"') {
                return Err(self.expected("a quoted label value"));
            }
            let value = self.quoted(grammar)?;
            visit(Part::Label(name, value));
            self.skip(loose);
            if !self.eat(b',') && !loose && self.peek() != Some(b'}') {
                return Err(self.expected("a comma or a closing brace"));
            }
        }
    }
    #[inline]
    fn skip(&mut self, loose: bool) {
        if loose {
            self.blanks();
        }
    }
}

/// Reads a number as Go does, without the forms that came with Go 1.13 (hexadecimal, underscores).
#[inline]
pub(crate) fn number(text: &str) -> Option<f64> {
    if let Some(small) = small_integer(text.as_bytes()) {
        return Some(small);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned.len() == text.len()).then(|| f64::from_bits(NORMAL_NAN_BITS));
    }
    let value: f64 = text.parse().ok()?;
    // Go refuses what is too large for a float, but takes the words for infinity.
    (value.is_finite() || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')).then_some(value)
}

/// Most values are short whole numbers: these need no general conversion.
#[inline]
fn small_integer(digits: &[u8]) -> Option<f64> {
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0')) as f64)
}
