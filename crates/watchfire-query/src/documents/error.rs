//! What can go wrong with a search: its text, its body, or the data under it.

use watchfire_model::read::ReadError;

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The text of a query cannot be parsed. Columns are bytes from 1.
    #[error("cannot parse query {query:?}: {message} at column {column}")]
    Syntax {
        /// The text.
        query: String,
        /// Where.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The body asks for something that does not exist or cannot be meant.
    #[error("{0}")]
    Body(String),
    /// The data cannot be read, or a limit was reached.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl SearchError {
    /// Elasticsearch's name for this kind of error.
    pub fn type_name(&self) -> &'static str {
        match self {
            SearchError::Syntax { .. } => "query_shard_exception",
            SearchError::Body(_) => "parsing_exception",
            SearchError::Read(_) => "search_phase_execution_exception",
        }
    }
}
