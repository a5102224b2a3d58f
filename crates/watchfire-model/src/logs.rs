//! Log records: streams of lines, and the seam through which they are read. It is no query language and knows no file format.
//!
//! A stream is a label set. Each entry has a time in nanoseconds, a line, and structured metadata: names and values that belong to
//! the one entry and make no stream of their own. Fields of high cardinality (trace ids, durations) belong there.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::read::{Budget, ReadError};

/// A moment in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);
impl Nanos {
    /// The earliest one.
    pub const MIN: Nanos = Nanos(i64::MIN);
    /// The latest one.
    pub const MAX: Nanos = Nanos(i64::MAX);
    /// From milliseconds; out-of-range values saturate.
    pub const fn from_millis(ms: i64) -> Nanos {
        Nanos(ms.saturating_mul(1_000_000))
    }
    /// Milliseconds, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Parses RFC 3339 with up to nine digits of a second. Times that nanoseconds cannot hold are none.
    pub fn parse_rfc3339(text: &str) -> Option<Nanos> {
        let time: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok().map(Nanos)
    }
    /// RFC 3339 in UTC with as many digits of a second as it has. Out-of-range values give the raw number.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => time.to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}

/// One line of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was written. Two entries of one stream may have one time.
    pub time: Nanos,
    /// The line, without its line break.
    pub line: Arc<str>,
    /// Structured metadata.
    pub metadata: Labels,
}

/// New entries of one stream, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntries {
    /// The stream.
    pub labels: Labels,
    /// Its entries.
    pub entries: Vec<LogEntry>,
}

/// The order in which entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogOrder {
    /// As is cheapest.
    #[default]
    Any,
    /// Oldest first, over all streams. Entries of one stream and one time come in the order in which they were written.
    Forward,
    /// Newest first: exactly the reverse.
    Backward,
}

/// What to read: entries of streams that satisfy all matchers, with `start <= time < end`.
#[derive(Clone, Debug)]
pub struct LogSelection {
    /// All must hold. A name that the stream does not have is looked up in the entry's structured metadata; one that is nowhere has
    /// the empty value. An empty list selects everything.
    pub matchers: Vec<Matcher>,
    /// First moment, inclusive.
    pub start: Nanos,
    /// Last moment, exclusive.
    pub end: Nanos,
    /// The order of the entries.
    pub order: LogOrder,
    /// A hint: lines that do not contain each of these texts are not needed and may be left out, or may come all the same.
    pub contains: Vec<String>,
    /// A hint: entries whose structured metadata do not have each of these pairs are not needed, with the same freedom.
    pub metadata: Vec<(String, String)>,
    /// Whether lines are needed. Without them, entries may come with empty ones, as the source likes; who counts saves much work.
    pub lines: bool,
    /// Whether those of entries are needed all the same that have no level noted (`level::LABEL` in their structured metadata).
    pub lines_without_level: bool,
    /// A hint: entries whose noted level does not satisfy each of these are not needed, with the same freedom. It is about structured
    /// metadata only: an entry without a note, and one whose stream has that label, may be needed.
    pub levels: Vec<Matcher>,
}
impl LogSelection {
    /// All entries of the streams in a time range, in no order.
    pub fn new(matchers: Vec<Matcher>, start: Nanos, end: Nanos) -> LogSelection {
        LogSelection {
            matchers,
            start,
            end,
            order: LogOrder::Any,
            contains: Vec::new(),
            metadata: Vec::new(),
            lines: true,
            lines_without_level: false,
            levels: Vec::new(),
        }
    }
}

/// One entry while it is visited. Nothing of it outlives the visit; who keeps it copies it and charges the budget.
#[derive(Clone, Copy)]
pub struct LogLine<'a> {
    /// The stream's labels.
    pub labels: &'a Labels,
    /// When it was written.
    pub time: Nanos,
    /// The line.
    pub line: &'a str,
    /// Structured metadata.
    pub metadata: &'a Labels,
}
impl fmt::Debug for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?} {:?}", self.time.0, self.labels, self.line, self.metadata)
    }
}

/// Receives entries; breaking ends the read early without an error.
pub type LogVisitor<'a> = dyn FnMut(LogLine<'_>) -> Result<ControlFlow<()>, ReadError> + 'a;

/// How much one stream holds in a time range. Blocks that lie across a border may be counted in proportion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamVolume {
    /// The stream.
    pub labels: Labels,
    /// Its entries.
    pub entries: u64,
    /// The bytes of their lines and structured metadata.
    pub bytes: u64,
    /// The stored pieces that hold them.
    pub chunks: u64,
}

/// Gives stored log entries back. Calls may block.
pub trait LogSource: Send + Sync {
    /// Streams the selected entries.
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError>;

    /// How much each selected stream holds, for `index/stats`, `volume` and `series`, without reading lines where that can be avoided.
    fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError>;

    /// The names of labels of the selected streams, ascending, with those names that were moved from labels to structured metadata.
    fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError>;

    /// The values of one such name, ascending.
    fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError>;
}
