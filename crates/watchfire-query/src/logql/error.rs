//! What can go wrong with a query over logs: its text, its evaluation, or the data under it.

use std::fmt;

use watchfire_model::read::ReadError;

use crate::promql;

/// A text that is not LogQL. Displays as `parse error at line 1, col 5: message`, as Loki's clients know it.
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

/// Why a query over logs has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LogqlError {
    /// The text cannot be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query cannot be asked this way.
    #[error("{0}")]
    Invalid(String),
    /// The query is well formed but has no answer over these data.
    #[error("{0}")]
    Execution(String),
    /// A line could not be processed, and the query does not say that this does not matter.
    #[error(
        "pipeline error: '{kind}' for series: '{series}'. Say what becomes of such lines: | __error__!=\"{kind}\" leaves them out, | __error__=\"\" leaves out all with errors; after unwrap it can be said too"
    )]
    Pipeline {
        /// The kind of the error, which is the value of `__error__`.
        kind: String,
        /// The labels of the line.
        series: String,
    },
    /// The answer would have too many series.
    #[error(
        "maximum number of series ({0}) reached for a single query; narrow the selection or the time range, or aggregate with a function like sum, count or topk"
    )]
    TooManySeries(usize),
    /// More entries are asked for than an answer may have.
    #[error("max entries limit per query exceeded, limit > max_entries_limit ({asked} > {limit})")]
    TooManyEntries {
        /// The limit of the request.
        asked: usize,
        /// The limit of the server.
        limit: usize,
    },
    /// The data cannot be read, or a limit was reached.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<promql::QueryError> for LogqlError {
    fn from(error: promql::QueryError) -> LogqlError {
        match error {
            promql::QueryError::Parse(error) => LogqlError::Execution(error.to_string()),
            promql::QueryError::Invalid(message) => LogqlError::Invalid(message),
            promql::QueryError::Execution(message) => LogqlError::Execution(message),
            promql::QueryError::Read(error) => LogqlError::Read(error),
        }
    }
}
