//! From memory to segments of entries. Entries are brought into blocks first, by whoever has just written them; a flush writes the blocks
//! as they are. The log stays until metrics are flushed, too; the segment says up to where it holds the log's entries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, TryLockError};

use crate::engine::{Engine, entries_dir};
use crate::file::Disk;
use crate::logs::Signal;
use crate::logs::head::{Sealed, seal};
use crate::logs::segment::{LogSegment, Origin, SegmentWriter};
use crate::segment_file::{self, SegmentError};
use watchfire_model::order::Order as _;

/// What files of a flush are called whose last one is not there yet.
pub(super) const PART: &str = "part";
/// A flush that touches more days than this puts the oldest ones together.
const DAYS_MAX: usize = 32;

/// The number in the name of a part of a flush.
pub(super) fn part_of(name: &str) -> Option<u64> {
    name.strip_suffix(PART)?.strip_suffix('.')?.parse().ok()
}

/// Gives parts of a flush the names of segments. The new name is on the medium before the old one goes.
pub(super) fn name_parts(disk: &dyn Disk, dir: &Path, ids: &[u64]) -> io::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let names = |id: &u64| (segment_file::path_of(dir, *id).with_extension(PART), segment_file::path_of(dir, *id));
    for (part, path) in ids.iter().map(names) {
        // Where a file can have but one name, renaming is atomic.
        if !disk.exists(&path)? && disk.link(&part, &path).is_err() {
            disk.rename(&part, &path)?;
        }
    }
    disk.sync_dir(dir)?;
    for (part, _) in ids.iter().map(names) {
        if disk.exists(&part)? {
            disk.remove(&part)?;
        }
    }
    Ok(())
}

/// The order of precedence.
pub(in crate::engine) fn sort(segments: &mut [Arc<LogSegment>]) {
    segments.order_by_key(|s| (s.footer.origin.order, s.id));
}

impl Engine {
    /// Brings finished units of the head into blocks, one after the other. Unless it has to, it leaves that to who does it already.
    pub(in crate::engine) fn seal_entries(&self, signal: Signal, before: u64, wait: bool) -> io::Result<()> {
        let _turn = match self.sealing.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) if !wait => return Ok(()),
            Err(TryLockError::WouldBlock) => self.sealing.lock().unwrap_or_else(PoisonError::into_inner),
        };
        loop {
            let next = self.read().entries[signal].head.to_seal(before);
            let Some((number, pieces)) = next else { return Ok(()) };
            let blocks = seal(&pieces, self.options.entries(signal).block_bytes, signal.indexed())?;
            self.modify().entries[signal].head.sealed(number, blocks.into());
        }
    }

    /// Moves entries from memory into segments; the log stays.
    pub(crate) fn flush_entries(&self, signal: Signal) -> io::Result<()> {
        self.flush_entries_now(signal, &mut self.building())
    }

    /// The same for who holds the number of the next segment.
    pub(super) fn flush_entries_now(&self, signal: Signal, next: &mut u64) -> io::Result<()> {
        let (before, position) = {
            let mut writer = self.writer();
            if let Some(reason) = self.failure() {
                return Err(io::Error::other(reason));
            }
            writer.entries[signal].streams.flushed();
            (self.modify().entries[signal].head.freeze(), writer.wal.position())
        };
        // A segment that knows more than the log would let a power cut take the middle out of what was written.
        self.sync_to(position).map_err(io::Error::other)?;
        self.write_entries(signal, next, before, position)?;
        self.counters.entries[signal].flushes.inc();
        Ok(())
    }

    /// Writes everything before a unit into segments, which hold the log's entries up to a position.
    pub(in crate::engine) fn write_entries(&self, signal: Signal, next: &mut u64, before: u64, position: (u64, u64)) -> io::Result<()> {
        self.seal_entries(signal, before, true)?;
        let units = self.read().entries[signal].head.blocks_before(before);
        let moved = self.read().entries[signal].head.moved.clone();
        let days = by_day(&units);
        let Some((last, parts)) = days.split_last() else { return Ok(()) };
        let dir = entries_dir(&self.options.dir, signal);
        let order = *next;
        let mut written: Vec<(u64, PathBuf)> = Vec::new();
        let mut write = |blocks: &[&Sealed], parts: Vec<u64>, position: (u64, u64), part: bool| {
            let id = *next;
            *next += 1;
            let mut writer = SegmentWriter::new(&*self.disk, &dir, id, signal.indexed())?;
            let filled = blocks.iter().try_for_each(|block| {
                writer.add_names(Some(block.names.iter().map(|name| (name.as_str(), moved.contains(name)))));
                writer.add(&block.bytes, &block.info, &block.streams, &block.ids())
            });
            if let Err(error) = filled {
                writer.abandon();
                return Err(error);
            }
            let path = segment_file::path_of(&dir, id);
            let path = if part { path.with_extension(PART) } else { path };
            writer.finish(Origin { order, log_before: position, replaces: Vec::new(), parts }, &path)?;
            written.push((id, path));
            Ok(())
        };
        let mut result = parts.iter().try_for_each(|blocks| write(blocks, Vec::new(), (0, 0), true));
        if result.is_ok() {
            let ids = (order..order + parts.len() as u64).collect();
            result = write(last, ids, position, false);
        }
        if let Err(error) = result {
            self.withdraw_entries(signal, &segment_file::path_of(&dir, order + parts.len() as u64), &written);
            return Err(error);
        }
        let named = self.name_parts(signal, &written).inspect_err(|error| {
            // The flush counts already; a second one would store everything twice.
            self.fail(format!("the segments of logs cannot be given their names: {error}"));
        })?;
        let mut shared = self.modify();
        shared.entries[signal].segments.extend(named);
        sort(&mut shared.entries[signal].segments);
        shared.entries[signal].head.forget_before(before);
        Ok(())
    }

    /// Removes what there is of a flush that failed. Its last file makes it count: unless that is surely gone, nothing may be
    /// flushed a second time.
    fn withdraw_entries(&self, signal: Signal, last: &Path, written: &[(u64, PathBuf)]) {
        let gone = self.disk.exists(last).is_ok_and(|there| !there) && self.disk.sync_dir(&entries_dir(&self.options.dir, signal)).is_ok();
        if !gone {
            return self.fail("a segment of logs that could not be finished cannot be removed".to_owned());
        }
        for (_, path) in written {
            if let Err(error) = self.disk.remove(path) {
                tracing::warn!(%error, file = %path.display(), "cannot remove a part of a flush that failed; the next start does");
            }
        }
    }

    /// Gives the files of a flush their names and opens them.
    fn name_parts(&self, signal: Signal, written: &[(u64, PathBuf)]) -> io::Result<Vec<Arc<LogSegment>>> {
        let dir = entries_dir(&self.options.dir, signal);
        let parts: Vec<u64> = written.iter().filter(|(_, path)| path.extension().is_some_and(|e| e == PART)).map(|(id, _)| *id).collect();
        name_parts(&*self.disk, &dir, &parts)?;
        written.iter().map(|(id, _)| self.open_entries(signal, *id)).collect()
    }

    pub(in crate::engine) fn open_entries(&self, signal: Signal, id: u64) -> io::Result<Arc<LogSegment>> {
        let path = segment_file::path_of(&entries_dir(&self.options.dir, signal), id);
        match LogSegment::open(self.disk.clone(), &path, id) {
            Ok(segment) => Ok(Arc::new(segment)),
            Err(SegmentError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// The blocks of each day, in the order in which they were written; the oldest days of too many together.
fn by_day(units: &[Arc<[Sealed]>]) -> Vec<Vec<&Sealed>> {
    let mut days: std::collections::BTreeMap<i64, Vec<&Sealed>> = std::collections::BTreeMap::new();
    for block in units.iter().flat_map(|unit| unit.iter()) {
        days.entry(block.day()).or_default().push(block);
    }
    if days.len() <= DAYS_MAX {
        return days.into_values().collect();
    }
    let border = days.keys().rev().nth(DAYS_MAX - 2).copied().unwrap_or(0);
    let (older, newer): (Vec<_>, Vec<_>) = units.iter().flat_map(|unit| unit.iter()).partition(|block| block.day() < border);
    let mut days: std::collections::BTreeMap<i64, Vec<&Sealed>> = std::collections::BTreeMap::new();
    for block in newer {
        days.entry(block.day()).or_default().push(block);
    }
    [older].into_iter().chain(days.into_values()).collect()
}
