//! What can be wrong with a template, told as Go tells it.

/// A place: line from 1, byte in the line from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
}
impl Position {
    pub(super) fn of(text: &str, at: usize) -> Position {
        let before = text.get(..at).unwrap_or(text);
        let column = before.rfind('\n').map_or(before.len(), |n| before.len() - n - 1);
        Position { line: before.matches('\n').count() + 1, column }
    }
}

/// Where the lines of a text begin, so that the position of a byte is found without reading what stands before it.
pub(super) struct LineStarts(Vec<usize>);
impl LineStarts {
    pub(super) fn of(text: &str) -> LineStarts {
        LineStarts(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }
    pub(super) fn position(&self, at: usize) -> Position {
        let line = self.0.partition_point(|start| *start <= at);
        Position { line, column: at - self.0.get(line.saturating_sub(1)).copied().unwrap_or(0) }
    }
}

/// What cannot be parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Syntax {
    pub(super) at: Position,
    pub(super) message: String,
}

/// Why a template gave no text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// It cannot be parsed.
    #[error("template: {name}:{}: {message}", position.line)]
    Syntax {
        /// The template's name.
        name: String,
        /// Where.
        position: Position,
        /// What.
        message: String,
    },
    /// It could not be carried out.
    #[error("template: {parsed}:{}:{}: executing {name:?} at <{node}>: {message}", position.line, position.column)]
    Execution {
        /// The text that the node stands in.
        parsed: String,
        /// The template that was carried out.
        name: String,
        /// Where.
        position: Position,
        /// The part of the template.
        node: String,
        /// What.
        message: String,
    },
    /// There is no such template.
    #[error("template: no template {name:?} associated with template {within:?}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Whose set has none.
        within: String,
    },
    /// It ran for too long or wrote too much.
    #[error("template {name:?} is too costly: {reason}")]
    Limit {
        /// The template.
        name: String,
        /// Which limit.
        reason: &'static str,
    },
}
