//! Text format 0.0.4, read as Prometheus reads it: what it takes we take, what it refuses we refuse. Of OpenMetrics it
//! only has the quoted names. It does not group samples into families and keeps no state between lines but the last type.

use watchfire_model::batch::MetricType;
use watchfire_model::time::Timestamp;

use crate::exposition::scan::{Cursor, Grammar, number, unescape};
use crate::exposition::{Entry, ParseError, RawSample, TextErrorKind};

/// Iterates over the entries of a text; ends after its first error.
#[derive(Debug)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    kind: MetricType,
    failed: bool,
}
impl<'a> Parser<'a> {
    /// Parses a text.
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { cursor: Cursor::new(text), kind: MetricType::Unknown, failed: false }
    }

    /// The next entry, as the iterator gives it. A sample of the series that the caller expects is found faster and says so.
    #[inline]
    pub fn next_expecting(&mut self, expected: &[u8]) -> Option<Result<Entry<'a>, ParseError>> {
        if self.failed {
            return None;
        }
        let entry = self.entry(expected).transpose();
        self.failed = matches!(entry, Some(Err(_)));
        entry
    }

    fn entry(&mut self, expected: &[u8]) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            self.cursor.blanks();
            match self.cursor.peek() {
                None => return Ok(None),
                Some(b'\n') => self.cursor.at += 1,
                Some(b'#') => {
                    self.cursor.at += 1;
                    if let Some(entry) = self.comment()? {
                        return Ok(Some(entry));
                    }
                }
                Some(_) => return self.sample(expected).map(Some),
            }
        }
    }

    /// What follows a `#`: metadata, or a comment that is skipped.
    fn comment(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let start = self.cursor.at;
        let spaced = self.cursor.blanks();
        let help = spaced && self.cursor.eat_word("HELP");
        let kind = spaced && !help && self.cursor.eat_word("TYPE");
        if !(help || kind) || !self.cursor.blanks() {
            self.cursor.at = start;
            self.cursor.rest_of_line();
            return Ok(None);
        }
        let family = self.cursor.family()?;
        // Exactly one character parts the name from the text; more of them belong to the text.
        let place = self.cursor.at;
        let (rest, _) = self.cursor.rest_of_line();
        let mut chars = rest.chars();
        chars.next();
        let text = chars.as_str();
        if help {
            return Ok(Some(Entry::Help { family, help: unescape(text, false) }));
        }
        let kind = match text {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            "histogram" => MetricType::Histogram,
            "summary" => MetricType::Summary,
            "untyped" => MetricType::Unknown,
            other => return Err(ParseError::at(self.cursor.text(), place, TextErrorKind::Type(other.to_owned()))),
        };
        self.kind = kind;
        Ok(Some(Entry::Type { family, kind }))
    }

    #[inline]
    fn sample(&mut self, expected: &[u8]) -> Result<Entry<'a>, ParseError> {
        let offset = self.cursor.at;
        let known = self.cursor.known_series(expected);
        if !known {
            self.cursor.series(Grammar::Loose, &mut |_| {})?;
        }
        let series = self.cursor.slice(offset, self.cursor.at);
        self.cursor.blanks();
        let place = self.cursor.at;
        let text = self.cursor.until(|b| matches!(b, b'{' | b' ' | b'\t' | b'\n'));
        if text.is_empty() {
            return Err(self.cursor.expected("a value"));
        }
        let value = number(text).ok_or_else(|| ParseError::at(self.cursor.text(), place, TextErrorKind::Value(text.to_owned())))?;
        self.cursor.blanks();
        let time = self.time()?;
        self.cursor.blanks();
        if !self.cursor.eat(b'\n') && self.cursor.peek().is_some() {
            return Err(self.cursor.expected("the end of the line"));
        }
        Ok(Entry::Sample(RawSample {
            series,
            kind: self.kind,
            value,
            time,
            exemplar: None,
            expected: known,
            grammar: Grammar::Loose,
            offset,
            text: self.cursor.text(),
        }))
    }

    /// An optional time in whole milliseconds, without a sign.
    fn time(&mut self) -> Result<Option<Timestamp>, ParseError> {
        let place = self.cursor.at;
        let text = self.cursor.until(|b| !b.is_ascii_digit());
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(ms) => Ok(Some(Timestamp(ms))),
            Err(_) => Err(ParseError::at(self.cursor.text(), place, TextErrorKind::Time(text.to_owned()))),
        }
    }
}
impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_expecting(b"")
    }
}
