//! One line, span or point of a metric on its way to another place, and what became of a request with several of them.

use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;

use super::points::Point;

/// A line as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// The labels of its stream, as the other side is to know it.
    pub(super) labels: Labels,
    pub(super) time: Nanos,
    pub(super) line: String,
    pub(super) metadata: Labels,
    /// What a metric's point is, which has no line.
    pub(super) point: Option<Box<Point>>,
}

impl Item {
    /// What it takes in a batch.
    pub(super) fn bytes(&self) -> usize {
        self.line.len() + self.metadata.packed().len() + self.point.as_ref().map_or(0, |point| self.labels.packed().len() + point.bytes())
    }
}

/// What became of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there.
    Taken,
    /// It may be taken later.
    Again,
    /// It will never be taken, for this reason.
    Refused(String),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All lines are there.
    Taken,
    /// Each line has an outcome of its own.
    Each(Vec<Verdict>),
    /// So many will never be taken, and the others are there; which ones is not told, but why.
    Partly(u64, String),
    /// None will ever be taken: the reason, and what the other side says.
    Refused(String, String),
    /// It may go through later.
    Again {
        /// How long the other side wants us to wait.
        after: Option<Duration>,
        /// What happened.
        why: String,
        /// Whether it is only too much at the moment.
        too_much: bool,
    },
}

impl Outcome {
    /// Nothing came back, or nothing that can be understood.
    pub(super) fn again(why: impl Into<String>) -> Outcome {
        Outcome::Again { after: None, why: why.into(), too_much: false }
    }
}
