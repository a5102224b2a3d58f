//! Deleting series, and cleaning up behind it. What is to be deleted goes into segments first; then a tombstone says what no
//! reader sees any more, and the next merge of each segment leaves it out. So what is written later is not touched.

use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};

use hashbrown::HashSet;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;

use super::flush::move_to_quarantine;
use super::{Engine, metrics_dir, tiers_dir};
use crate::error::OpenError;
use crate::file::{Disk, read_all, write_whole};
use crate::metrics::postings;
use crate::metrics::segment::Segment;
use crate::metrics::tombstones::{self, Tombstone};
use crate::segment_file;
use crate::small_file::FileError;
use crate::stats::Deletion;

impl Engine {
    pub(super) fn tombstones(&self) -> MutexGuard<'_, Vec<Arc<Tombstone>>> {
        self.tombstones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See `Store::delete_series`.
    pub(crate) fn delete_series(&self, sets: &[Vec<Matcher>], start: i64, end: i64) -> io::Result<Deletion> {
        if sets.is_empty() || start > end {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing is selected: give matchers, and a start that is not after the end"));
        }
        self.still_open()?;
        let mut next = self.building();
        if self.is_in_memory(sets, start, end) {
            self.flush_now(&mut next)?;
        }
        let segments: Vec<_> = {
            let shared = self.read();
            shared.segments.iter().chain(&shared.tiers).filter(|s| s.overlaps(start, end)).cloned().collect()
        };
        let mut series: HashSet<Labels> = HashSet::new();
        let mut touched: HashSet<u64> = HashSet::new();
        let mut all = self.tombstones().clone();
        let known = all.len();
        for matchers in sets {
            let mut ids = Vec::new();
            for segment in &segments {
                let Some(opened) = segment.index(self.moment())? else { continue };
                let hit: Vec<u32> = opened.select(matchers).into_iter().filter(|number| opened.overlaps(*number, start, end)).collect();
                if !hit.is_empty() {
                    ids.push(segment.id);
                    series.extend(hit.iter().filter_map(|number| Labels::unpack(opened.loaded.labels.packed(*number))));
                }
            }
            if !ids.is_empty() {
                touched.extend(&ids);
                all.push(Arc::new(Tombstone { matchers: matchers.clone(), start, end, segments: ids }));
            }
        }
        if all.len() > known {
            self.save_tombstones(&all)?;
            for tombstone in &all[known..] {
                segments.iter().filter(|s| tombstone.segments.contains(&s.id)).for_each(|s| s.delete(tombstone.clone()));
            }
            *self.tombstones() = all;
        }
        self.forget_deleted(sets, start, end)?;
        self.trim_indexes();
        Ok(Deletion { series: series.len() as u64, segments: touched.len() as u64 })
    }

    /// Whether memory, or the log that stands for it, holds something of this.
    fn is_in_memory(&self, sets: &[Vec<Matcher>], start: i64, end: i64) -> bool {
        let shared = self.read();
        let head = &shared.head;
        let in_head = |matchers: &Vec<Matcher>| postings::select(head, matchers).into_iter().filter_map(|slot| head.get(slot)).any(|s| s.overlaps(start, end));
        sets.iter().any(in_head) || sets.iter().any(|matchers| !self.exemplar_ring().select(matchers, start, end).is_empty())
    }

    /// Lets series without samples leave the memory, so that nobody finds their labels there, and their exemplars too.
    fn forget_deleted(&self, sets: &[Vec<Matcher>], start: i64, end: i64) -> io::Result<()> {
        {
            let writer = self.writer();
            let mut shared = self.modify();
            for matchers in sets {
                let slots = postings::select(&shared.head, matchers);
                shared.head.remove_empty(&slots, writer.epoch);
            }
        }
        sets.iter().for_each(|matchers| self.exemplar_ring().delete(matchers, start, end));
        self.save_exemplars()
    }

    fn save_tombstones(&self, all: &[Arc<Tombstone>]) -> io::Result<()> {
        if all.is_empty() {
            self.disk.remove(&self.options.dir.join(tombstones::FILE))?;
            return self.disk.sync_dir(&self.options.dir);
        }
        write_whole(&*self.disk, &self.options.dir, tombstones::FILE, &tombstones::encode(all.iter().map(|t| &**t))?)
    }

    /// See `Store::clean_tombstones`.
    pub(crate) fn clean_tombstones(&self) -> io::Result<u64> {
        self.still_open()?;
        let mut next = self.building();
        let marked: Vec<_> = self.read().segments.iter().filter(|s| s.has_deleted()).cloned().collect();
        let mut cleaned = 0;
        for segment in marked {
            cleaned += u64::from(self.merge_these(&mut next, &[segment])?);
        }
        cleaned += self.clean_tiers(&mut next)?;
        self.forget_tombstones()?;
        Ok(cleaned)
    }

    /// Forgets tombstones of files that are gone. While somebody deletes or merges, it waits for the next time: a deletion that
    /// is being kept must not be overwritten by what was known before.
    pub(super) fn prune_tombstones(&self) -> io::Result<()> {
        match self.next_segment.try_lock() {
            Ok(_turn) => self.forget_tombstones(),
            Err(TryLockError::Poisoned(_turn)) => self.forget_tombstones(),
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// The same for who builds. Tombstones of files that a reader still holds are looked at again.
    fn forget_tombstones(&self) -> io::Result<()> {
        let in_use: HashSet<u64> = {
            let shared = self.read();
            shared.segments.iter().chain(&shared.tiers).map(|s| s.id).collect()
        };
        if self.tombstones().iter().all(|t| t.segments.iter().any(|id| in_use.contains(id))) {
            return Ok(());
        }
        let mut files: HashSet<u64> = HashSet::new();
        for dir in [metrics_dir(&self.options.dir), tiers_dir(&self.options.dir)] {
            // A file must be gone for good before what is deleted of it is forgotten: a power cut could bring it back.
            self.disk.sync_dir(&dir)?;
            files.extend(self.disk.list(&dir)?.iter().filter_map(|e| segment_file::id_of(&e.name)));
        }
        let mut all = self.tombstones();
        let left: Vec<_> = all.iter().filter(|t| t.segments.iter().any(|id| files.contains(id))).cloned().collect();
        if left.len() < all.len() {
            self.save_tombstones(&left)?;
            *all = left;
        }
        Ok(())
    }
}

/// Reads the tombstones and tells the segments. Returns them, and whether the file was damaged: then it is in quarantine.
pub(super) fn load_tombstones<'a>(
    disk: &dyn Disk,
    dir: &Path,
    segments: impl Iterator<Item = &'a Arc<Segment>> + Clone,
) -> Result<(Vec<Arc<Tombstone>>, bool), OpenError> {
    let path = dir.join(tombstones::FILE);
    let Ok(file) = disk.open(&path) else { return Ok((Vec::new(), false)) };
    let bytes = read_all(&*file).map_err(OpenError::io("read", &path))?;
    match tombstones::decode(&bytes) {
        Ok(found) => {
            let all: Vec<Arc<Tombstone>> = found.into_iter().map(Arc::new).collect();
            for tombstone in &all {
                segments.clone().filter(|s| tombstone.segments.contains(&s.id)).for_each(|s| s.delete(tombstone.clone()));
            }
            Ok((all, false))
        }
        Err(FileError::Newer { found, known }) => Err(OpenError::Newer { path, found, known }),
        Err(FileError::Damaged) => {
            tracing::error!("the list of deleted series is damaged: what was deleted since the last merges is visible again");
            move_to_quarantine(disk, dir, dir, tombstones::FILE).map_err(OpenError::io("move into quarantine", &path))?;
            Ok((Vec::new(), true))
        }
    }
}
