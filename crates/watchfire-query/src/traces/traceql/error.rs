//! What can go wrong with a query over traces: its text, its evaluation, or the data under it.

use std::fmt;

use watchfire_model::read::ReadError;

/// A text that is not TraceQL. Displays as `parse error at line 1, col 5: message`, as Tempo's clients know it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}
impl ParseError {
    /// An error at a byte offset of a text.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> ParseError {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        ParseError { line, column, message: message.into() }
    }
}
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse error at line {}, col {}: {}", self.line, self.column, self.message)
    }
}

/// Why a query over traces has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TraceqlError {
    /// The text cannot be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query cannot be asked this way.
    #[error("{0}")]
    Invalid(String),
    /// The data cannot be read, or a limit was reached.
    #[error(transparent)]
    Read(#[from] ReadError),
}
