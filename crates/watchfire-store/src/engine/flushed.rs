//! Up to where the log is in segments, for when the segment that says so is gone: what retention, a deletion or an empty merge took
//! away must not come back from log files that somebody still holds. Layout: `docs/formats/flushed.md`. The footers say the same of
//! segments that are there; a start takes the larger.

use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use super::Engine;
use super::flush::move_to_quarantine;
use crate::encoding::{Input, put_varint};
use crate::error::OpenError;
use crate::file::{Disk, read_all, write_whole};
use crate::logs::{PerSignal, Signal};
use crate::small_file::{self, FileError};

/// The file's name.
pub(super) const FILE: &str = "flushed";
const MAGIC: [u8; 8] = *b"WATCHFLU";
/// The newest major version that we read and the one that we write.
const MAJOR: u16 = 1;
/// No file is larger when unpacked.
const RAW_BYTES_MAX: usize = 1 << 10;

/// The first places of the log that are not in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flushed {
    /// Samples: a file.
    pub(super) log_before: u64,
    /// Entries: a file and an offset.
    pub(super) entries_before: PerSignal<(u64, u64)>,
}

impl Flushed {
    /// What a segment of entries tells.
    pub(super) fn of_entries(signal: Signal, before: (u64, u64)) -> Flushed {
        let mut told = Flushed::default();
        told.entries_before[signal] = before;
        told
    }

    pub(super) fn max(self, other: Flushed) -> Flushed {
        let entries_before = self.entries_before.map(|signal, before| before.max(other.entries_before[signal]));
        Flushed { log_before: self.log_before.max(other.log_before), entries_before }
    }

    fn encode(self) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        put_varint(&mut raw, self.log_before);
        for (file, offset) in self.entries_before.iter() {
            put_varint(&mut raw, *file);
            put_varint(&mut raw, *offset);
        }
        small_file::encode(MAGIC, MAJOR, &raw)
    }

    fn decode(bytes: &[u8]) -> Result<Flushed, FileError> {
        let raw = small_file::decode(bytes, MAGIC, MAJOR, RAW_BYTES_MAX)?;
        let mut input = Input::new(&raw);
        let mut read = || {
            let log_before = input.varint()?;
            // Files of before a signal was there say nothing of it.
            let mut before = || if input.remaining() == 0 { Some((0, 0)) } else { Some((input.varint()?, input.varint()?)) };
            let entries_before = PerSignal::try_from_fn(|_| before().ok_or(())).ok()?;
            Some(Flushed { log_before, entries_before })
        };
        read().ok_or(FileError::Damaged)
    }
}

impl Engine {
    fn flushed(&self) -> MutexGuard<'_, Flushed> {
        self.flushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the places that footers tell which are about to go. Does nothing where that is known already.
    pub(super) fn keep_flushed(&self, told: Flushed) -> io::Result<()> {
        let mut kept = self.flushed();
        let new = kept.max(told);
        if new != *kept {
            write_whole(&*self.disk, &self.options.dir, FILE, &new.encode()?)?;
            *kept = new;
        }
        Ok(())
    }
}

/// Refuses a file that a newer version has written. It changes nothing.
pub(super) fn check_version(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(FILE);
    match read(disk, &path)? {
        Some(Err(FileError::Newer { found, known })) => Err(OpenError::Newer { path, found, known }),
        _ => Ok(()),
    }
}

/// Reads the file. When it is damaged it goes into quarantine, and footers alone count; then the second value is true.
pub(super) fn load(disk: &dyn Disk, dir: &Path) -> Result<(Flushed, bool), OpenError> {
    let path = dir.join(FILE);
    match read(disk, &path)? {
        None => Ok((Flushed::default(), false)),
        Some(Ok(flushed)) => Ok((flushed, false)),
        Some(Err(FileError::Newer { found, known })) => Err(OpenError::Newer { path, found, known }),
        Some(Err(FileError::Damaged)) => {
            tracing::error!("what says up to where the log is in segments is damaged: what is deleted may be visible again");
            move_to_quarantine(disk, dir, dir, FILE).map_err(OpenError::io("move into quarantine", &path))?;
            Ok((Flushed::default(), true))
        }
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Result<Flushed, FileError>>, OpenError> {
    let Ok(file) = disk.open(path) else { return Ok(None) };
    Ok(Some(Flushed::decode(&read_all(&*file).map_err(OpenError::io("read", path))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_believed() {
        let flushed = Flushed { log_before: 7, ..Flushed::of_entries(Signal::Logs, (9, 1 << 40)) };
        let bytes = flushed.encode().unwrap();
        assert_eq!(Flushed::decode(&bytes), Ok(flushed));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(Flushed::decode(&other).is_err(), "{at}");
            assert!(Flushed::decode(&bytes[..at]).is_err(), "{at}");
        }
    }
}
