//! The stages that lines go through between their source and the sink: they find values in lines, make labels and times of them, join
//! lines and leave some out. Foreign configurations are read into these; a stage reads no configuration and knows no source.

mod blocks;
mod conceal;
mod event_message;
mod extract;
mod geoip;
mod json_path;
mod logfmt;
mod metrics;
mod pattern;
mod pipeline;
mod relabel;
mod select;
mod shape;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod thin;
mod timestamp;

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::time::Timestamp;

use super::{Entry, Figures};

pub use blocks::{Blocks, Join, Parts};
pub use conceal::Luhn;
pub use event_message::EventMessage;
pub use extract::{Json, Logfmt, Regex, Replace};
pub use geoip::{About, Database, DatabaseError, GeoIp};
pub use json_path::JsonPath;
pub use metrics::{Metric, MetricAction, MetricKind, Metrics};
pub use pattern::Pattern;
pub use pipeline::{Fan, Pipeline};
pub use relabel::Relabel;
pub use select::{Drop, LineFilter, Match, Selector, SelectorError};
pub use shape::{Decolorize, DropMetadata, Field, Labels, Metadata, MetadataMatching, MissingLabels, Output, Pack, Prune, Shorten, StaticLabels, Truncate};
pub use template::{BodyTemplate, Template};
pub use thin::{Limit, Sampling};
pub use timestamp::{Formats, OnFailure, Time};

/// What stages may look at.
pub struct Surroundings<'a> {
    /// The time of day.
    pub now: Timestamp,
    /// The time that never jumps.
    pub monotonic: Duration,
    /// Counts.
    pub figures: &'a Figures,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Keep,
    /// It does not, for this reason.
    Drop(Arc<str>),
}

/// A stage that looks at one line at a time. What it remembers it shares among all files of its source.
pub trait Step: Send + Sync + std::fmt::Debug {
    /// Its name, for counts.
    fn name(&self) -> &'static str;
    /// Does its work.
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict;
    /// How long nothing more should come.
    fn pause(&self, _around: &Surroundings<'_>) -> Duration {
        Duration::ZERO
    }
}

/// One configured stage.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Looks at lines one by one.
    Step(Arc<dyn Step>),
    /// Joins lines to blocks.
    Blocks(Arc<Blocks>),
    /// Joins what the container runtime took apart.
    Parts(Arc<Parts>),
    /// Has stages of its own for some lines.
    Match(Arc<Match>),
    /// Goes on in several ways.
    Fan(Arc<Fan>),
}
impl Stage {
    /// A stage that looks at lines one by one.
    pub fn step(step: impl Step + 'static) -> Stage {
        Stage::Step(Arc::new(step))
    }
}

/// Compiles a pattern that may match anywhere in a line. The error is a sentence without a place.
pub fn compile(pattern: &str) -> Result<regex::Regex, String> {
    use watchfire_model::matcher::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX};
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("regular expression is {} bytes long, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    let mut builder = regex::RegexBuilder::new(&watchfire_model::go_regex::translated(pattern));
    builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX).nest_limit(50);
    builder.build().map_err(|error| {
        let text = error.to_string();
        format!("cannot compile regular expression {pattern:?}: {}", text.lines().last().unwrap_or("").trim_start_matches("error: "))
    })
}
