//! Reads lines from files as they grow: rotated by renaming, emptied in place, copied and emptied, compressed, or followed by another
//! file with the same inode. It looks at the files now and then, with pauses that grow while nothing happens.
//!
//! A position moves only after the sink took the lines before it. What was read is stamped with times that can be had again: they are
//! kept before the lines are handed over, so that lines which are read twice after a crash are the same entries, which the store knows.

mod find;
mod glob;
mod known;
mod lines;
mod position;
mod reading;
mod round;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::labels::LabelsBuilder;

pub use glob::{Glob, GlobError};
pub(super) use known::{Kept, kept};
pub use lines::Encoding;
pub use round::Files;

/// The kind of origin that lines of files have.
pub(crate) const KIND: &str = "files";
/// The most bytes that are read from one file at once.
pub(crate) const CHUNK_BYTES: usize = 512 << 10;
/// The longest line, unless the configuration has it shorter; the rest of a longer one is left out and counted.
pub const LINE_BYTES_MAX: usize = 256 << 10;
/// The most bytes of lines that go to the sink together.
pub(crate) const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// The most files that are open.
pub const FILES_MAX: usize = 4_096;
/// The most compressed files that are open; each takes a few MiB of memory. The others wait for them.
pub(crate) const COMPRESSED_MAX: usize = 8;
/// The most lines that are taken from one file at once: short ones take more room beside their bytes than in them.
pub(crate) const CHUNK_LINES: usize = 8_192;
/// How often patterns are looked up again.
pub(crate) const SCAN_EVERY: Duration = Duration::from_secs(2);
/// How long a file stays open that is no longer under its name, after it had anything new. Whoever writes it may go on for minutes: until
/// it is told to open its file again, until it writes the next line, or until its own timer closes the file. What it writes then is
/// nowhere else, and an open file costs a descriptor; the space of a deleted one is given back as much later.
pub(crate) const LINGER: Duration = Duration::from_secs(300);

/// Files of one configuration that are read alike.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source among all; positions are kept under it.
    pub name: String,
    /// What is read.
    pub groups: Vec<Group>,
    /// The stages.
    pub stages: Vec<super::stages::Stage>,
    /// How the bytes of a line become text.
    pub encoding: Encoding,
    /// The longest line.
    pub line_bytes_max: usize,
    /// Whether lines without anything in them are left out.
    pub skip_empty: bool,
    /// The label that tells the file's path, if one does.
    pub path_label: Option<String>,
    /// Positions that another program kept: path → bytes. They count for files that are not known here.
    pub foreign_positions: BTreeMap<PathBuf, u64>,
}

/// Files that share labels.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Which files.
    pub paths: Vec<Glob>,
    /// Which of them are not meant.
    pub excludes: Vec<Glob>,
    /// The same as expressions over paths.
    pub exclude_patterns: Vec<regex::Regex>,
    /// The labels of their lines; those that begin with two underscores are for rules only.
    pub labels: BTreeMap<String, String>,
    /// Rules over the labels of each file, with its own path as `__path__`. One that they drop is not read.
    pub relabel: Vec<RelabelConfig>,
    /// Files that did not change for so long are not begun.
    pub ignore_older: Option<Duration>,
    /// Whether files that are new to us are read from their end.
    pub from_end: bool,
}

impl Group {
    /// The labels of one file's lines; nothing when its rules say that it is not read.
    pub(crate) fn labels_of(&self, path: &Path) -> Option<BTreeMap<String, String>> {
        let visible = |name: &str| !name.starts_with("__");
        if self.relabel.is_empty() {
            return Some(self.labels.iter().filter(|(name, _)| visible(name)).map(|(n, v)| (n.clone(), v.clone())).collect());
        }
        let mut builder = LabelsBuilder::new();
        for (name, value) in &self.labels {
            builder.set(name, value);
        }
        builder.set("__path__", &path.to_string_lossy());
        (relabel::apply(&self.relabel, &mut builder) == Verdict::Keep)
            .then(|| builder.pairs().filter(|(name, _)| visible(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }
}
