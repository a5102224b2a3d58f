//! OpenMetrics 1.0.0 (and 0.0.1), read as Prometheus reads it: every line by the letter, `# EOF` at the end, exemplars
//! checked and handed on undecoded. `_created` lines are samples like others. The rules about the order of families and about
//! suffixes are not enforced, as they are not there.

use watchfire_model::batch::MetricType;
use watchfire_model::time::Timestamp;

use crate::exposition::scan::{Cursor, Grammar, Part, number, unescape};
use crate::exposition::{Entry, ParseError, RawSample, TextErrorKind};

/// Iterates over the entries of a text; ends after `# EOF` or its first error.
#[derive(Debug)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    kind: MetricType,
    done: bool,
}
impl<'a> Parser<'a> {
    /// Parses a text.
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { cursor: Cursor::new(text), kind: MetricType::Unknown, done: false }
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.cursor.peek() {
            None => Err(self.cursor.error(TextErrorKind::NoEof)),
            Some(b'#') => self.metadata(),
            Some(_) => self.sample().map(Some),
        }
    }

    fn metadata(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.cursor.eat_word("# EOF") {
            self.cursor.eat(b'\n');
            return if self.cursor.peek().is_none() { Ok(None) } else { Err(self.cursor.error(TextErrorKind::AfterEof)) };
        }
        let word = ["# TYPE ", "# HELP ", "# UNIT "].into_iter().find(|word| self.cursor.eat_word(word));
        let Some(word) = word else { return Err(self.cursor.expected("# HELP, # TYPE, # UNIT or # EOF")) };
        let family = self.cursor.family()?;
        let place = self.cursor.at;
        if !self.cursor.eat(b' ') {
            return Err(self.cursor.expected("a space and a text"));
        }
        let (text, ended) = self.cursor.rest_of_line();
        if !ended {
            return Err(self.cursor.error(TextErrorKind::NoEof));
        }
        let error = |kind| Err(ParseError::at(self.cursor.text(), place, kind));
        match word {
            "# HELP " => Ok(Some(Entry::Help { family, help: unescape(text, true) })),
            "# UNIT " => {
                let fits = text.is_empty() || family.strip_suffix(text).is_some_and(|rest| rest.ends_with('_'));
                if fits {
                    Ok(Some(Entry::Unit { family, unit: text }))
                } else {
                    error(TextErrorKind::Unit { unit: text.to_owned(), family: family.into_owned() })
                }
            }
            _ => match MetricType::from_name(text).filter(|_| text != "untyped") {
                Some(kind) => {
                    self.kind = kind;
                    Ok(Some(Entry::Type { family, kind }))
                }
                None => error(TextErrorKind::Type(text.to_owned())),
            },
        }
    }

    #[inline]
    fn sample(&mut self) -> Result<Entry<'a>, ParseError> {
        let offset = self.cursor.at;
        self.cursor.series(Grammar::Strict, &mut |_| {})?;
        let series = self.cursor.slice(offset, self.cursor.at);
        let value = self.number()?;
        let mut time = None;
        let mut exemplar = None;
        if self.cursor.eat_word(" # {") {
            exemplar = Some(self.exemplar()?);
        } else if self.cursor.peek() == Some(b' ') {
            time = Some(self.time()?);
            if self.cursor.eat_word(" # {") {
                exemplar = Some(self.exemplar()?);
            }
        }
        self.line_end()?;
        Ok(Entry::Sample(RawSample {
            series,
            kind: self.kind,
            value,
            time,
            exemplar,
            expected: false,
            grammar: Grammar::Strict,
            offset,
            text: self.cursor.text(),
        }))
    }

    fn line_end(&mut self) -> Result<(), ParseError> {
        if self.cursor.eat(b'\n') {
            return Ok(());
        }
        Err(if self.cursor.peek().is_none() { self.cursor.error(TextErrorKind::NoEof) } else { self.cursor.expected("the end of the line") })
    }

    /// One space and a word.
    fn word(&mut self, what: &'static str) -> Result<(usize, &'a str), ParseError> {
        if !self.cursor.eat(b' ') {
            return Err(self.cursor.expected(what));
        }
        let place = self.cursor.at;
        let text = self.cursor.until(|b| matches!(b, b' ' | b'\n'));
        if text.is_empty() { Err(self.cursor.expected(what)) } else { Ok((place, text)) }
    }
    fn number(&mut self) -> Result<f64, ParseError> {
        let (place, text) = self.word("a space and a value")?;
        number(text).ok_or_else(|| ParseError::at(self.cursor.text(), place, TextErrorKind::Value(text.to_owned())))
    }
    /// A time in seconds, cut to whole milliseconds.
    fn time(&mut self) -> Result<Timestamp, ParseError> {
        let (place, text) = self.word("a timestamp")?;
        match number(text).filter(|secs| secs.is_finite()) {
            Some(secs) => Ok(Timestamp((secs * 1000.0) as i64)),
            None => Err(ParseError::at(self.cursor.text(), place, TextErrorKind::Time(text.to_owned()))),
        }
    }

    /// An exemplar behind its opening brace: labels, a value, perhaps a time.
    fn exemplar(&mut self) -> Result<&'a str, ParseError> {
        let start = self.cursor.at;
        let mut bare_name = false;
        self.cursor.label_set(Grammar::Strict, &mut false, &mut |part| bare_name |= matches!(part, Part::Name(_)))?;
        if bare_name {
            return Err(ParseError::at(self.cursor.text(), start, TextErrorKind::Expected("labels in the exemplar")));
        }
        self.number()?;
        if self.cursor.peek() == Some(b' ') {
            self.time()?;
        }
        // With the brace, which was stepped over.
        Ok(self.cursor.slice(start - 1, self.cursor.at))
    }
}
impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.entry().transpose();
        self.done = !matches!(entry, Some(Ok(_)));
        entry
    }
}
