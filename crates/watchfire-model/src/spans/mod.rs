//! Spans: the pieces of a trace, with their ids, their typed attributes, events and links; and the form in which they are written and
//! read (`row`). It is no query language, knows no protocol, and puts no traces together.
//!
//! A span is kept as an entry of a stream. The stream is what many spans share (resource, scope, name and kind), the entry has what is
//! the span's own; so everything that holds for streams and entries holds for spans.

mod row;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use crate::logs::Nanos;

pub use row::{NewSpan, SpanRow, SpanStream, key};
pub use value::{Pair, Value};

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub [u8; 16]);
/// The id of a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub [u8; 8]);

/// Reads hexadecimal digits into bytes; fewer digits than there is room for have zeros before them.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (at, digit) in digits.iter().rev().enumerate() {
        let value = char::from(*digit).to_digit(16)? as u8;
        out[N - 1 - at / 2] |= value << (at % 2 * 4);
    }
    Some(out)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl TraceId {
    /// Reads up to 32 hexadecimal digits; fewer are the end of an id that begins with zeros. Zeros alone are none.
    pub fn parse(text: &str) -> Option<TraceId> {
        parse_hex(text).map(TraceId).filter(|id| *id != TraceId::default())
    }
}
impl SpanId {
    /// Reads up to 16 hexadecimal digits; fewer are the end of an id that begins with zeros. Zeros alone are none.
    pub fn parse(text: &str) -> Option<SpanId> {
        parse_hex(text).map(SpanId).filter(|id| *id != SpanId::default())
    }
}
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}
impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The role of a span, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum SpanKind {
    #[default]
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}
impl SpanKind {
    /// All kinds.
    pub const ALL: [SpanKind; 6] = [SpanKind::Unspecified, SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer];

    /// The kind with a number; unknown numbers are unspecified, as the protocol wants it.
    pub fn from_number(number: u64) -> SpanKind {
        SpanKind::ALL.into_iter().find(|kind| *kind as u64 == number).unwrap_or_default()
    }
    /// The name in the tag `span.kind` and in TraceQL.
    pub fn name(self) -> &'static str {
        match self {
            SpanKind::Unspecified => "unspecified",
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        }
    }
    /// Reads a name.
    pub fn from_name(name: &str) -> Option<SpanKind> {
        SpanKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How what a span stands for ended, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum StatusCode {
    #[default]
    Unset = 0,
    Ok = 1,
    Error = 2,
}
impl StatusCode {
    /// The code with a number; unknown numbers are unset.
    pub fn from_number(number: u64) -> StatusCode {
        match number {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }
    /// The name in TraceQL.
    pub fn name(self) -> &'static str {
        match self {
            StatusCode::Unset => "unset",
            StatusCode::Ok => "ok",
            StatusCode::Error => "error",
        }
    }
    /// Reads a name.
    pub fn from_name(name: &str) -> Option<StatusCode> {
        [StatusCode::Unset, StatusCode::Ok, StatusCode::Error].into_iter().find(|code| code.name() == name)
    }
}

/// A moment within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// When it happened.
    pub time: Nanos,
    /// What happened.
    pub name: &'a str,
    /// More about it.
    pub attributes: Vec<Pair<'a>>,
}

/// A span of this or another trace that has to do with this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Link<'a> {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The state that came along with its context.
    pub state: &'a str,
    /// More about it.
    pub attributes: Vec<Pair<'a>>,
}
