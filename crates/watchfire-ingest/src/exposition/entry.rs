//! What a parser of either text format yields: samples with the raw text of their series, and metadata.
//! The raw text is meant as the key of a scrape cache: labels are decoded only when it is new.

use std::borrow::Cow;

use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::time::Timestamp;

use super::Format;
use super::float::normalize_bound;
use super::scan::{Cursor, Grammar, Part};
use crate::{openmetrics, prometheus_text};

/// One thing that stands in an exposition.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Sample(RawSample<'a>),
    /// A `# TYPE` line.
    Type {
        /// The family, escapes resolved.
        family: Cow<'a, str>,
        /// Its type.
        kind: MetricType,
    },
    /// A `# HELP` line.
    Help {
        /// The family, escapes resolved.
        family: Cow<'a, str>,
        /// The text, escapes resolved.
        help: Cow<'a, str>,
    },
    /// A `# UNIT` line (OpenMetrics only).
    Unit {
        /// The family, escapes resolved.
        family: Cow<'a, str>,
        /// The unit, possibly empty.
        unit: &'a str,
    },
}

/// One sample as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawSample<'a> {
    /// Name and labels exactly as written: a key for caches, valid by syntax.
    pub series: &'a str,
    /// The type of the last `# TYPE` line before it. Together with `series` it determines the labels.
    pub kind: MetricType,
    /// The value; every NaN is the ordinary one.
    pub value: f64,
    /// The time, if one was given.
    pub time: Option<Timestamp>,
    /// The exemplar that followed, as it stands there: `{labels} value [time]`.
    pub exemplar: Option<&'a str>,
    /// Whether the series is the one that the caller expected.
    pub expected: bool,
    pub(crate) grammar: Grammar,
    pub(crate) offset: usize,
    pub(crate) text: &'a str,
}

/// Names and values of one sample, escapes resolved, ascending by name; empty values are still there.
#[derive(Debug)]
pub struct SampleNames<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);
impl<'a> SampleNames<'a> {
    /// Names that are ascending already and stand there once.
    pub fn from_sorted(pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> SampleNames<'a> {
        SampleNames(pairs)
    }
    /// The pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }
}

impl<'a> RawSample<'a> {
    /// Decodes the labels: escapes resolved, sorted, `le` and `quantile` of histograms and summaries written the one
    /// canonical way (`1` becomes `1.0`). An empty metric name and a label that stands there twice are errors.
    pub fn names(&self) -> Result<SampleNames<'a>, ParseError> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(8);
        let mut cursor = Cursor::new(self.series);
        cursor.series(self.grammar, &mut |part| match part {
            Part::Name(name) => pairs.push((Cow::Borrowed(METRIC_NAME), name.unescaped())),
            Part::Label(name, value) => {
                let name = name.unescaped();
                let value = match normalize_bound(self.kind, &name, value.raw) {
                    Some(bound) => Cow::Owned(bound),
                    None => value.unescaped(),
                };
                pairs.push((name, value));
            }
        })?;
        pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let problem = if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            Some(TextErrorKind::DuplicateLabel(twice[0].0.to_string()))
        } else if pairs.iter().any(|(n, v)| n == METRIC_NAME && v.is_empty()) {
            Some(TextErrorKind::NoName)
        } else if pairs.iter().any(|(n, _)| n.is_empty()) {
            Some(TextErrorKind::Expected("a label name"))
        } else {
            None
        };
        match problem {
            Some(kind) => Err(ParseError::at(self.text, self.offset, kind)),
            None => Ok(SampleNames(pairs)),
        }
    }
    /// The labels as a set.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        let names = self.names()?;
        let pairs: Vec<(&str, &str)> = names.iter().filter(|(_, v)| !v.is_empty()).collect();
        Ok(Labels::from_sorted(&pairs))
    }
    /// The labels for relabelling.
    pub fn builder(&self) -> Result<LabelsBuilder, ParseError> {
        let names = self.names()?;
        let mut builder = LabelsBuilder::new();
        for (name, value) in names.iter() {
            builder.set(name, value);
        }
        Ok(builder)
    }
}

/// Why a text is not a valid exposition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: TextErrorKind,
}
impl ParseError {
    pub(crate) fn at(text: &str, offset: usize, kind: TextErrorKind) -> ParseError {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = 1 + before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        ParseError { line, column, kind }
    }
}

/// What can be wrong in an exposition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each is described by its message")]
pub enum TextErrorKind {
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("label {0:?} stands there twice")]
    DuplicateLabel(String),
    #[error("a metric name stands there twice")]
    NameTwice,
    #[error("there is no metric name")]
    NoName,
    #[error("cannot read the value {0:?}")]
    Value(String),
    #[error("cannot read the timestamp {0:?}")]
    Time(String),
    #[error("{0:?} is not a metric type of this format")]
    Type(String),
    #[error("unit {unit:?} is not the end of the name {family:?}")]
    Unit { unit: String, family: String },
    #[error("text is not valid UTF-8")]
    Utf8,
    #[error("data does not end with # EOF")]
    NoEof,
    #[error("there is data after # EOF")]
    AfterEof,
}

/// A parser of either format: an iterator that ends after its first error.
#[derive(Debug)]
pub enum Parser<'a> {
    /// Text format 0.0.4.
    PrometheusText(prometheus_text::Parser<'a>),
    /// OpenMetrics 0.0.1 and 1.0.0.
    OpenMetrics(openmetrics::Parser<'a>),
}
impl<'a> Parser<'a> {
    /// Parses a text.
    pub fn new(format: Format, text: &'a str) -> Parser<'a> {
        match format {
            Format::PrometheusText => Parser::PrometheusText(prometheus_text::Parser::new(text)),
            Format::OpenMetrics => Parser::OpenMetrics(openmetrics::Parser::new(text)),
        }
    }
    /// The next entry, as the iterator gives it. A sample of the series that the caller expects is found faster and says so.
    #[inline]
    pub fn next_expecting(&mut self, expected: &[u8]) -> Option<Result<Entry<'a>, ParseError>> {
        match self {
            Parser::PrometheusText(parser) => parser.next_expecting(expected),
            Parser::OpenMetrics(parser) => parser.next(),
        }
    }
    /// Parses bytes, which must be UTF-8 as a whole.
    pub fn from_bytes(format: Format, bytes: &'a [u8]) -> Result<Parser<'a>, ParseError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Parser::new(format, text)),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
                Err(ParseError::at(valid, valid.len(), TextErrorKind::Utf8))
            }
        }
    }
}
impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Parser::PrometheusText(parser) => parser.next(),
            Parser::OpenMetrics(parser) => parser.next(),
        }
    }
}
