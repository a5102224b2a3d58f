//! What can go wrong with a query: its text, its evaluation, or the data under it.

use std::fmt;

use watchfire_model::read::ReadError;

/// A text that is not PromQL. Displays as `line:column: parse error: message`, as Prometheus does.
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
        let (line, column) = position(text, offset);
        ParseError { line, column, message: message.into() }
    }
}
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
    }
}

/// Line and column of a byte offset, both from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text cannot be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query cannot be asked this way, for example a range vector as a range query.
    #[error("{0}")]
    Invalid(String),
    /// The query is well formed but cannot be computed on these data.
    #[error("{0}")]
    Execution(String),
    /// The data cannot be read, or a limit was reached.
    #[error(transparent)]
    Read(#[from] ReadError),
}
