//! Stages that join lines: blocks that begin with a certain line (`multiline`), and lines that a container runtime took apart (`cri`).
//! A block that is not complete waits in memory, bounded by its lines, its bytes and its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Surroundings;
use crate::logs::Entry;

/// The most bytes of one block.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// The most blocks of streams that wait at once.
const OPEN_MAX: usize = 1_000;
/// The longest time that a block waits, though lines for it go on coming: while it waits, no position passes it.
const BLOCK_AGE_MAX: Duration = Duration::from_secs(300);
/// How long a line waits for its rest. A writer that died in between, or whose file went on elsewhere, sends none.
const PART_WAIT: Duration = Duration::from_secs(60);

/// How lines belong together.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// What tells.
    pub pattern: regex::Regex,
    /// Whether lines count that do not match.
    pub negate: bool,
    /// What lines that count do.
    pub join: Join,
    /// How long a block waits for more lines.
    pub max_wait: Duration,
    /// The most lines of one block.
    pub max_lines: usize,
    /// Whether a block goes out at once when it is full; else the lines that are too many are left out.
    pub cut: bool,
    /// Whether lines of a block stay on lines of their own.
    pub newline: bool,
    /// A line with which a block ends.
    pub flush_pattern: Option<regex::Regex>,
}

/// What a line does that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It begins a block; others continue the one before.
    Begins,
    /// It continues the block before it.
    After,
    /// It is continued by the line behind it.
    Before,
    /// It stands with those beside it that count as well.
    While,
    /// Every line stands with as many others as there is room for.
    Together,
}

#[derive(Debug)]
struct Block {
    entry: Entry,
    lines: usize,
    since: Duration,
    begun: Duration,
    left_out: u64,
}

/// Blocks that wait, by stream.
#[derive(Debug)]
pub(super) struct Open {
    config: Arc<Blocks>,
    waiting: BTreeMap<BTreeMap<String, String>, Block>,
}

impl Open {
    pub(super) fn new(config: Arc<Blocks>) -> Open {
        Open { config, waiting: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, entry: Entry, around: &Surroundings<'_>) -> Vec<Entry> {
        let mut out = Vec::new();
        let config = Arc::clone(&self.config);
        let counts = config.pattern.is_match(&entry.line) != config.negate;
        let ends = config.flush_pattern.as_ref().is_some_and(|p| p.is_match(&entry.line));
        let stream = entry.labels.clone();
        let begins = match config.join {
            Join::Begins => counts,
            Join::After => !counts,
            Join::Before | Join::While | Join::Together => false,
        };
        if config.join == Join::While && !counts {
            out.extend(self.waiting.remove(&stream).map(|block| block.close(around)));
            out.push(entry);
            return out;
        }
        if begins {
            out.extend(self.waiting.remove(&stream).map(|block| block.close(around)));
        }
        // Until a first line came, lines are not those of a block.
        let lone = config.join == Join::Begins && !counts && !self.waiting.contains_key(&stream);
        if lone || (config.join == Join::Before && !counts && !self.waiting.contains_key(&stream)) {
            out.push(entry);
            return out;
        }
        if self.waiting.len() >= OPEN_MAX
            && !self.waiting.contains_key(&stream)
            && let Some((_, block)) = self.waiting.pop_first()
        {
            out.push(block.close(around));
        }
        let full = match self.waiting.get_mut(&stream) {
            None => {
                self.waiting.insert(stream.clone(), Block { entry, lines: 1, since: around.monotonic, begun: around.monotonic, left_out: 0 });
                config.max_lines <= 1
            }
            Some(block) => {
                block.since = around.monotonic;
                let room = block.lines < config.max_lines && block.entry.line.len() + entry.line.len() < BLOCK_BYTES_MAX;
                if room {
                    block.lines += 1;
                    block.entry.line.push_str(if config.newline { "\n" } else { "" });
                    block.entry.line.push_str(&entry.line);
                } else {
                    block.left_out += 1;
                }
                block.lines >= config.max_lines && config.cut
            }
        };
        if full || ends || (config.join == Join::Before && !counts) {
            out.extend(self.waiting.remove(&stream).map(|block| block.close(around)));
        }
        out
    }

    pub(super) fn flush(&mut self, all: bool, around: &Surroundings<'_>) -> Vec<Entry> {
        let wait = self.config.max_wait;
        let age = |at: Duration| around.monotonic.saturating_sub(at);
        let due = self.waiting.extract_if(.., |_, block| all || age(block.since) >= wait || age(block.begun) >= BLOCK_AGE_MAX);
        due.map(|(_, block)| block.close(around)).collect()
    }

    pub(super) fn held(&self) -> Option<u64> {
        self.waiting.values().map(|block| block.entry.place).min()
    }
}

impl Block {
    fn close(self, around: &Surroundings<'_>) -> Entry {
        if self.left_out > 0 {
            around.figures.dropped("block_lines", self.left_out);
        }
        self.entry
    }
}

/// Lines of the container runtime interface: `time stream F content`, where `P` says that the rest comes with the next line.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The most streams whose lines wait at once; the lines of all are given out then.
    pub max_streams: usize,
    /// The longest line that is put together.
    pub max_bytes: usize,
}

/// Lines that wait for their rest, by stream.
#[derive(Debug)]
pub(super) struct Pending {
    config: Arc<Parts>,
    /// With the time at which the first part came.
    waiting: BTreeMap<BTreeMap<String, String>, (Entry, Duration)>,
}

impl Pending {
    pub(super) fn new(config: Arc<Parts>) -> Pending {
        Pending { config, waiting: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, entry: Entry, around: &Surroundings<'_>) -> Vec<Entry> {
        let partial = entry.text("flags").is_some_and(|flags| flags == "P");
        let stream = entry.labels.clone();
        let (whole, since) = match self.waiting.remove(&stream) {
            None => (entry, around.monotonic),
            Some((mut begin, since)) => {
                if begin.line.len() + entry.line.len() <= self.config.max_bytes {
                    begin.line.push_str(&entry.line);
                } else {
                    around.figures.shortened.inc();
                }
                begin.extracted.insert("flags".to_owned(), entry.extracted.get("flags").cloned().unwrap_or_default());
                (begin, since)
            }
        };
        if !partial {
            return vec![whole];
        }
        let mut out = Vec::new();
        if self.waiting.len() >= self.config.max_streams {
            out.extend(std::mem::take(&mut self.waiting).into_values().map(|(entry, _)| entry));
        }
        self.waiting.insert(stream, (whole, since));
        out
    }

    pub(super) fn flush(&mut self, all: bool, around: &Surroundings<'_>) -> Vec<Entry> {
        let due = self.waiting.extract_if(.., |_, (_, since)| all || around.monotonic.saturating_sub(*since) >= PART_WAIT);
        due.map(|(_, (entry, _))| entry).collect()
    }

    pub(super) fn held(&self) -> Option<u64> {
        self.waiting.values().map(|(entry, _)| entry.place).min()
    }
}
