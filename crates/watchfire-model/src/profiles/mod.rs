//! Profiles: stacks with values, in the form in which they are kept. It knows no protocol and puts no flame graph together.
//!
//! A profile is kept as an entry of a stream. The stream is its series: the labels and the type. The entry has one profile of that
//! type; so everything that holds for streams and entries holds for profiles. Layout: `docs/formats/profiles.md`.

mod read;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;
use std::sync::Arc;

use crate::labels::Labels;
use crate::logs::{LogEntry, LogLine, Nanos};

pub use read::{KeptFrame, KeptNode, OfSpan, Stacks};
pub use tree::{Frame, Frames, StackTree, TooLarge};

/// More nodes than this has no profile: the stacks of a large program are some ten thousand.
pub const NODES_MAX: usize = 1 << 18;
/// More different frames than this has no profile.
pub const FRAMES_MAX: usize = 1 << 18;
/// More frames than this has no stack.
pub const DEPTH_MAX: usize = 4_096;

/// The labels of a series that are made here, and the names of an entry's own fields.
pub mod key {
    /// The type in one word: `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
    pub const PROFILE_TYPE: &str = "__profile_type__";
    /// Its first part.
    pub const NAME: &str = "__name__";
    /// Its second part.
    pub const TYPE: &str = "__type__";
    /// Its third part.
    pub const UNIT: &str = "__unit__";
    /// Its fourth part.
    pub const PERIOD_TYPE: &str = "__period_type__";
    /// Its fifth part.
    pub const PERIOD_UNIT: &str = "__period_unit__";
    /// The program that is profiled.
    pub const SERVICE: &str = "service_name";
    /// How long the profile was taken, in nanoseconds.
    pub const DURATION: &str = ":duration";
    /// What its sender calls it.
    pub const ID: &str = ":id";
    /// How much of the period's unit lies between two samples.
    pub const PERIOD: &str = ":period";
    /// The sum of all values.
    pub const TOTAL: &str = ":total";
}

/// What a profile tells: where it comes from, what is counted and in which unit, and what a sample was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the parts of an id, in its order")]
pub struct ProfileType<'a> {
    pub name: &'a str,
    pub sample_type: &'a str,
    pub sample_unit: &'a str,
    pub period_type: &'a str,
    pub period_unit: &'a str,
}

impl<'a> ProfileType<'a> {
    /// Reads an id: five parts with colons between; a sixth, `delta`, says nothing here.
    pub fn parse(id: &'a str) -> Option<ProfileType<'a>> {
        let id = id.strip_suffix(":delta").unwrap_or(id);
        let mut parts = id.split(':');
        let mut next = || parts.next();
        let found = ProfileType { name: next()?, sample_type: next()?, sample_unit: next()?, period_type: next()?, period_unit: next()? };
        (parts.next().is_none() && !found.name.is_empty()).then_some(found)
    }

    /// The labels of a series: those of the type, and what its sender says of it. Names that begin with two underscores are ours.
    pub fn labels(&self, pairs: &[(&str, &str)]) -> Labels {
        let id = self.to_string();
        let own = [
            (key::PROFILE_TYPE, id.as_str()),
            (key::NAME, self.name),
            (key::TYPE, self.sample_type),
            (key::UNIT, self.sample_unit),
            (key::PERIOD_TYPE, self.period_type),
            (key::PERIOD_UNIT, self.period_unit),
        ];
        Labels::from_pairs(own.into_iter().chain(pairs.iter().copied().filter(|(name, _)| !name.starts_with("__"))))
    }
}

impl fmt::Display for ProfileType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}:{}", self.name, self.sample_type, self.sample_unit, self.period_type, self.period_unit)
    }
}

/// What is a new profile's own, beside its stacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewProfile<'a> {
    /// When it began.
    pub time: Nanos,
    /// How long it was taken, in nanoseconds.
    pub duration: u64,
    /// How much of the period's unit lies between two samples.
    pub period: u64,
    /// What its sender calls it.
    pub id: &'a str,
}

impl NewProfile<'_> {
    /// The entry of the stream; nothing when no stack has a value.
    pub fn entry(&self, frames: &Frames<'_>, stacks: &StackTree) -> Result<Option<LogEntry>, TooLarge> {
        let Some((line, total)) = stacks.line(frames)? else { return Ok(None) };
        let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
        let (duration, period, total) = (number(self.duration), number(self.period), total.to_string());
        let pairs = [(key::DURATION, duration.as_str()), (key::ID, self.id), (key::PERIOD, period.as_str()), (key::TOTAL, total.as_str())];
        let told: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Ok(Some(LogEntry { time: self.time, line: Arc::from(line), metadata: Labels::from_sorted(&told) }))
    }
}

/// A profile as it was kept. Stacks are not read before they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ProfileRow<'a> {
    line: LogLine<'a>,
}

impl<'a> ProfileRow<'a> {
    /// Looks at an entry as a profile.
    pub fn new(line: LogLine<'a>) -> ProfileRow<'a> {
        ProfileRow { line }
    }
    /// The labels of its series.
    pub fn labels(&self) -> &'a Labels {
        self.line.labels
    }
    /// When it began.
    pub fn time(&self) -> Nanos {
        self.line.time
    }
    fn number(&self, name: &str) -> u64 {
        self.line.metadata.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
    /// How long it was taken, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.number(key::DURATION)
    }
    /// How much of the period's unit lies between two samples.
    pub fn period(&self) -> u64 {
        self.number(key::PERIOD)
    }
    /// What its sender calls it.
    pub fn id(&self) -> &'a str {
        self.line.metadata.get(key::ID).unwrap_or("")
    }
    /// The sum of all values.
    pub fn total(&self) -> u64 {
        self.number(key::TOTAL)
    }
    /// How many bytes the stacks have as they are kept.
    pub fn bytes(&self) -> usize {
        self.line.line.len()
    }
    /// Its stacks; nothing when what stands there is none.
    pub fn stacks(&self) -> Option<Stacks<'a>> {
        Stacks::read(self.line.line)
    }
}
