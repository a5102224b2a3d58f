//! The journal: which exchanges began, how far they came, what they came to, each in one appended line, so that a killed process has
//! lost none of them and counts none twice. Sums are kept elsewhere; what they hold already is passed over by its number.
//!
//! A line is `<crc32 of the rest, 8 hex digits> <JSON>`. The first line names format and version. A torn last line was never
//! acknowledged; a damaged one in the middle is passed over and counted.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::sums::{Key, Sums};

const HEADER: &str = "watchfire-llm-journal 1\n";
/// A journal that grew larger is written anew when its sums are kept.
pub(super) const BYTES_MAX: u64 = 256 << 10;
/// More is never read: a journal that large is not ours.
const READ_BYTES_MAX: u64 = 256 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub(super) enum Entry {
    /// An exchange began.
    #[serde(rename = "b")]
    Begun(Begun),
    /// It came so far: tokens of its answer, roughly.
    #[serde(rename = "p")]
    Progress { id: u64, output: u64 },
    /// It is over.
    #[serde(rename = "e")]
    Ended { id: u64, n: u64, date: Date, key: Key, sums: Sums },
}

/// An exchange that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) id: u64,
    pub(super) date: Date,
    pub(super) key: Key,
    /// Tokens of its prompt, roughly.
    pub(super) input: u64,
    /// Tokens of its answer so far, roughly.
    #[serde(default)]
    pub(super) output: u64,
}

/// What a journal says.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Exchanges that ended, in order.
    pub(super) ended: Vec<(u64, Date, Key, Sums)>,
    /// Exchanges that began and did not end.
    pub(super) open: BTreeMap<u64, Begun>,
    /// Lines that make no sense.
    pub(super) damaged: u64,
    /// The highest number of an exchange.
    pub(super) last_id: u64,
}

/// The journal, open for appending.
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// Whether the last line may stand there in part.
    torn: bool,
}

impl Journal {
    pub(super) fn new(path: PathBuf) -> Journal {
        Journal { path, file: None, bytes: 0, torn: true }
    }
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Reads what is there.
    pub(super) fn read(path: &Path) -> io::Result<Found> {
        let mut text = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(READ_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
            Err(error) => return Err(error),
        };
        let mut read = Found::default();
        let Some(rest) = text.strip_prefix(HEADER.as_bytes()) else {
            read.damaged = u64::from(!text.is_empty());
            return Ok(read);
        };
        let mut ended = Vec::new();
        for line in rest.split_inclusive(|b| *b == b'\n') {
            match parse(line) {
                Some(entry) => take(entry, &mut read, &mut ended),
                // A line without an end is one that was being written.
                None => read.damaged += u64::from(line.len() > 1 && line.ends_with(b"\n")),
            }
        }
        for id in ended {
            read.open.remove(&id);
        }
        Ok(read)
    }

    /// Appends a line. It is the system's when this returns, so that our own death does not lose it.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut text = line(entry)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                self.bytes = file.metadata()?.len();
                if self.bytes == 0 {
                    (text, self.torn) = (format!("{HEADER}{text}"), false);
                }
                self.file.insert(file)
            }
        };
        if std::mem::replace(&mut self.torn, true) {
            // What stands there in part must not swallow this line.
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        (self.torn, self.bytes) = (false, self.bytes + text.len() as u64);
        Ok(())
    }

    /// Begins anew with the exchanges that are still open.
    pub(super) fn rewrite<'a>(&mut self, open: impl Iterator<Item = &'a Begun>) -> io::Result<()> {
        let mut text = String::from(HEADER);
        for begun in open {
            text.push_str(&line(&Entry::Begun(begun.clone()))?);
        }
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, &text)?;
        std::fs::rename(&beside, &self.path)?;
        (self.file, self.bytes, self.torn) = (None, text.len() as u64, false);
        Ok(())
    }
}

fn line(entry: &Entry) -> io::Result<String> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

fn parse(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(json)).then(|| serde_json::from_slice(json).ok()).flatten()
}

fn take(entry: Entry, read: &mut Found, ended: &mut Vec<u64>) {
    match entry {
        Entry::Begun(begun) => {
            read.last_id = read.last_id.max(begun.id);
            read.open.insert(begun.id, begun);
        }
        Entry::Progress { id, output } => {
            if let Some(begun) = read.open.get_mut(&id) {
                begun.output = begun.output.max(output);
            }
        }
        Entry::Ended { id, n, date, key, sums } => {
            read.last_id = read.last_id.max(id);
            ended.push(id);
            read.ended.push((n, date, key, sums));
        }
    }
}
