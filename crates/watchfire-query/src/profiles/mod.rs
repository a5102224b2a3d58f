//! Profiles: merged into one tree of stacks, told over time, drawn as flame graphs of one or of two. A source gives them as entries of
//! streams (see `watchfire_model::profiles`). It knows no protocol.

mod flame;
mod merge;
mod names;
mod over_time;
mod selector;
#[cfg(test)]
mod tests;

use watchfire_model::logs::LogSelection;
use watchfire_model::matcher::Matcher;

use crate::traces::Range;

pub use flame::{FlameGraph, NODES_DEFAULT, NODES_MAX};
pub use merge::{Detail, Merged, Place, Side, merge};
pub use names::{label_names, label_values, series, types};
pub use over_time::{Aggregation, Points, over_time};
pub use selector::{SelectorError, parse, with_type};

/// Which profiles are asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// What their series satisfy.
    pub matchers: Vec<Matcher>,
    /// When they began.
    pub range: Range,
    /// Only samples of these spans; all samples when it is empty.
    pub spans: Vec<String>,
    /// Only profiles that their senders call so; all when it is empty.
    pub ids: Vec<String>,
}

impl Question {
    /// All profiles of some series.
    pub fn new(matchers: Vec<Matcher>, range: Range) -> Question {
        Question { matchers, range, spans: Vec::new(), ids: Vec::new() }
    }

    fn selection(&self) -> LogSelection {
        let mut selection = LogSelection::new(self.matchers.clone(), self.range.start, self.range.end);
        // Of several spans any is wanted, which a hint cannot say.
        if let [span] = self.spans.as_slice() {
            selection.contains.push(span.clone());
        }
        selection
    }
}
