//! From memory to segments, from small segments to larger ones, and damaged files out of the way. Each step is complete on the
//! medium before what it replaces goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use watchfire_model::batch::Metadata;
use watchfire_model::order::Order as _;

use super::flushed::Flushed;
use super::write::Writer;
use super::{Engine, entries_dir, metrics_dir, millis, quarantine_dir, wal_dir};
use crate::logs::segment::LogSegment;
use crate::logs::{PerSignal, Signal};
use crate::metrics::compact::{self, DAY_MS, Merged, Place};
use crate::metrics::head::Frozen;
use crate::metrics::record;
use crate::metrics::segment::Segment;
use crate::segment_file::{self, SegmentError};
use crate::wal::{Position, SIGNAL_METRICS};

/// More segments of one day than this are merged although the day goes on.
const DAY_SEGMENTS_MAX: usize = 16;
/// A merged day takes up small late segments only when there are more of them than this.
const LATE_SEGMENTS_MAX: usize = 6;

/// What a flush moves.
struct Freeze {
    /// The first file of the log that is still needed.
    log_before: u64,
    generation: u32,
    frozen: Vec<Frozen>,
    /// Units of entries before these.
    entries_before: PerSignal<u64>,
}

/// What a series of one input takes in memory during a merge, roughly. A merge takes as many inputs as fit into the memory of samples,
/// but two at least.
const MERGE_SERIES_BYTES: usize = 512;

impl Engine {
    pub(super) fn building(&self) -> MutexGuard<'_, u64> {
        self.next_segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves everything from memory into segments and drops the log up to here.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.flush_now(&mut self.building())
    }

    /// The same for who holds the number of the next segment.
    pub(super) fn flush_now(&self, next: &mut u64) -> io::Result<()> {
        self.flush_spilled(next, &mut Vec::new())
    }

    /// Gives segments their names that were written while the log was read back, and shows them. Those that are shown leave the list.
    pub(super) fn show_spilled(&self, spilled: &mut Vec<u64>) -> io::Result<()> {
        let dir = metrics_dir(&self.options.dir);
        let mut next = 0;
        Place::new(&*self.disk, &dir, &mut next).give_names(spilled)?;
        let opened = spilled.iter().map(|id| self.open_segment(&dir, *id)).collect::<io::Result<Vec<_>>>()?;
        spilled.clear();
        let mut shared = self.modify();
        shared.segments.extend(opened);
        sort(&mut shared.segments);
        Ok(())
    }

    /// The same where a part of the log is in segments already that have no names yet.
    pub(super) fn flush_spilled(&self, next: &mut u64, spilled: &mut Vec<u64>) -> io::Result<()> {
        let Freeze { log_before, generation, mut frozen, entries_before } = self.freeze()?;
        // Entries first: the segments of metrics say that the files of the log are no longer needed.
        let begin = Position::begin(log_before);
        for signal in Signal::ALL {
            self.write_entries(signal, next, entries_before[signal], (begin.file, begin.offset))?;
        }
        // Once a segment says that the log is no longer needed, the log's exemplars are not read again either.
        self.save_exemplars()?;
        frozen.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        // The last segment says that the log is not needed, so the others must be there before it.
        let some_spilled = !spilled.is_empty();
        self.show_spilled(spilled)?;
        let fresh = self.write_frozen(next, &frozen, log_before)?;
        drop(frozen);
        let readable = !fresh.is_empty() || some_spilled;
        {
            // Without the writer's lock a batch between judgement and show would find its series gone.
            let _writer = self.writer();
            let mut shared = self.modify();
            shared.segments.extend(fresh);
            sort(&mut shared.segments);
            let idle_before = self.now().saturating_sub(millis(self.options.series_idle));
            shared.head.forget(generation, idle_before);
        }
        self.counters.flushes.inc();
        self.quarantine_logs(readable)?;
        self.flushed_before.fetch_max(log_before, Ordering::AcqRel);
        self.trim_log()
    }

    /// Writes segments of finished chunks and opens them: all of them, or none is left.
    fn write_frozen(&self, next: &mut u64, frozen: &[Frozen], log_before: u64) -> io::Result<Vec<Arc<Segment>>> {
        let dir = metrics_dir(&self.options.dir);
        let first = *next;
        let mut place = Place::new(&*self.disk, &dir, next);
        let written = compact::flush(&mut place, frozen, log_before).and_then(|ids| ids.into_iter().map(|id| self.open_segment(&dir, id)).collect());
        let end = *place.next;
        if written.is_err()
            && let Err(error) = place.withdraw(first..end)
        {
            tracing::warn!(%error, "cannot remove segments of a flush that failed; the next start finds them");
        }
        written
    }

    /// Puts damaged log files aside whose samples are in a segment. Who reads behind the writer may still need what can be read of
    /// them, so they stay in the log, too, until it is trimmed. With nothing to be read in them they only move.
    pub(super) fn quarantine_logs(&self, readable: bool) -> io::Result<()> {
        let dir = wal_dir(&self.options.dir);
        let mut damaged = self.damaged_logs.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(name) = damaged.last() {
            if readable {
                copy_to_quarantine(&*self.disk, &self.options.dir, &dir, name)?;
                self.count_quarantined();
            } else {
                self.quarantine(&dir, name)?;
            }
            damaged.pop();
        }
        Ok(())
    }

    /// Begins a new epoch of the log and finishes all chunks: both hold the same samples, exactly.
    fn freeze(&self) -> io::Result<Freeze> {
        let mut writer = self.writer();
        if let Some(reason) = self.failure() {
            return Err(io::Error::other(reason));
        }
        let began = writer.wal.begin_epoch(self.now());
        let log_before = began.inspect_err(|error| self.fail(format!("the write-ahead log cannot go on in a new file: {error}")))?;
        writer.epoch = log_before;
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = writer.wal.position();
        let mut shared = self.modify();
        let (generation, frozen) = shared.head.freeze();
        writer.entries.iter_mut().for_each(|(_, entries)| entries.streams.flushed());
        let entries_before = PerSignal::from_fn(|signal| shared.entries[signal].head.freeze());
        // What is known of families must outlive the files that said it.
        let metadata: Vec<&Metadata> = shared.head.metadata().collect();
        if !metadata.is_empty() {
            writer.wal.frame(SIGNAL_METRICS, |out| record::encode(out, &[], &metadata, &[]));
        }
        let recent = {
            let Writer { entries, wal, .. } = &mut *writer;
            entries.iter_mut().fold(false, |some, (_, entries)| entries.put_recent(wal) || some)
        };
        if let Err(error) = writer.wal.commit() {
            // Not worth losing the flush: the sources will say it again.
            tracing::warn!(error = %self.append_failed(error), "cannot write metadata to the write-ahead log");
        }
        let position = writer.wal.position();
        drop(shared);
        drop(writer);
        if recent {
            // What comes again must be known as long as it is in segments.
            self.sync_to(position).map_err(io::Error::other)?;
        }
        self.epoch_began();
        Ok(Freeze { log_before, generation, frozen, entries_before })
    }

    pub(super) fn open_segment(&self, dir: &Path, id: u64) -> io::Result<Arc<Segment>> {
        match Segment::open(self.disk.clone(), &segment_file::path_of(dir, id), id) {
            Ok(segment) => Ok(Arc::new(segment)),
            Err(SegmentError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Opens a segment that stands in for others. If that fails it must go: the next start would believe it and remove the others,
    /// and each further try would make one more.
    pub(super) fn open_or_withdraw(&self, dir: &Path, id: u64) -> io::Result<Arc<Segment>> {
        self.open_segment(dir, id).inspect_err(|_| {
            let mut next = id + 1;
            if let Err(error) = Place::new(&*self.disk, dir, &mut next).withdraw(id..id + 1) {
                tracing::warn!(%error, id, "cannot remove a segment that cannot be opened; the next start finds it");
            }
        })
    }

    /// Merges the segments of one day, if one is worth it. Returns whether it did.
    pub(crate) fn merge(&self) -> io::Result<bool> {
        let mut next = self.building();
        let candidates = merge_candidates(&self.read().segments, millis(self.options.out_of_order_window));
        let series_max = (self.options.memory_max / MERGE_SERIES_BYTES) as u64;
        candidates.map_or(Ok(false), |inputs| self.merge_these(&mut next, at_once(&inputs, series_max)))
    }

    /// Merges everything into one segment.
    #[cfg(test)]
    pub(super) fn merge_all(&self) -> io::Result<bool> {
        let mut next = self.building();
        let inputs = self.read().segments.clone();
        self.merge_these(&mut next, &inputs)
    }

    pub(super) fn merge_these(&self, next: &mut u64, inputs: &[Arc<Segment>]) -> io::Result<bool> {
        let dir = metrics_dir(&self.options.dir);
        let deleted = inputs.iter().any(|s| s.has_deleted());
        let merged = match compact::merge(&mut Place::new(&*self.disk, &dir, next), inputs, self.moment())? {
            Merged::Unreadable => return Ok(false),
            Merged::Nothing => None,
            Merged::Into(id) => Some(self.open_or_withdraw(&dir, id)?),
        };
        if merged.is_none() || deleted {
            // What is left out would come back with the log when no footer speaks of it.
            let log_before = inputs.iter().map(|s| s.footer.origin.log_before).max().unwrap_or(0);
            self.keep_flushed(Flushed { log_before, ..Flushed::default() })?;
        }
        {
            let mut shared = self.modify();
            shared.segments.retain(|s| !inputs.iter().any(|i| i.id == s.id));
            shared.segments.extend(merged);
            sort(&mut shared.segments);
        }
        for input in inputs {
            if input.lost_blocks.load(Ordering::Relaxed) {
                self.quarantine_segment(input);
            } else {
                input.doom();
            }
        }
        self.counters.merges.inc();
        Ok(true)
    }

    /// Takes segments whose index cannot be read out of use.
    pub(super) fn remove_damaged(&self) {
        let _turn = self.building();
        let damaged: Vec<_> = {
            let shared = self.read();
            shared.segments.iter().chain(&shared.tiers).filter(|s| s.damaged.load(Ordering::Relaxed)).cloned().collect()
        };
        for signal in Signal::ALL {
            let damaged: Vec<_> = self.read().entries[signal].segments.iter().filter(|s| s.damaged.load(Ordering::Relaxed)).cloned().collect();
            for segment in damaged {
                self.modify().entries[signal].segments.retain(|s| s.id != segment.id);
                self.quarantine_entries(signal, &segment);
            }
        }
        for segment in damaged {
            {
                let mut shared = self.modify();
                shared.segments.retain(|s| s.id != segment.id);
                shared.tiers.retain(|s| s.id != segment.id);
            }
            self.quarantine_segment(&segment);
        }
    }

    fn quarantine_segment(&self, segment: &Segment) {
        let (Some(dir), Some(name)) = (segment.path.parent(), segment.path.file_name().and_then(|n| n.to_str())) else { return };
        if let Err(error) = self.quarantine(dir, name) {
            tracing::error!(%error, name, "cannot move a damaged segment into quarantine");
        }
    }

    pub(crate) fn quarantine(&self, dir: &Path, name: &str) -> io::Result<()> {
        move_to_quarantine(&*self.disk, &self.options.dir, dir, name)?;
        self.count_quarantined();
        Ok(())
    }
    /// The same for a segment of entries.
    pub(super) fn quarantine_entries(&self, signal: Signal, segment: &LogSegment) {
        let Some(name) = segment.path.file_name().and_then(|n| n.to_str()) else { return };
        if let Err(error) = self.quarantine(&entries_dir(&self.options.dir, signal), name) {
            tracing::error!(%error, name, "cannot move a damaged segment into quarantine");
        }
    }
    pub(super) fn count_quarantined(&self) {
        self.counters.quarantined.inc();
        self.quarantined.fetch_add(1, Ordering::Relaxed);
    }
}

/// Moves a file into quarantine, under a name that is free there.
pub(super) fn move_to_quarantine(disk: &dyn crate::file::Disk, root: &Path, dir: &Path, name: &str) -> io::Result<()> {
    let to = free_in_quarantine(disk, root, dir, name)?;
    disk.rename(&dir.join(name), &to)?;
    disk.sync_dir(&quarantine_dir(root))?;
    disk.sync_dir(dir)
}

/// Puts a file into quarantine that also stays where it is.
fn copy_to_quarantine(disk: &dyn crate::file::Disk, root: &Path, dir: &Path, name: &str) -> io::Result<()> {
    let to = free_in_quarantine(disk, root, dir, name)?;
    crate::file::link_or_copy(disk, &dir.join(name), &to)?;
    disk.sync_dir(&quarantine_dir(root))
}

fn free_in_quarantine(disk: &dyn crate::file::Disk, root: &Path, dir: &Path, name: &str) -> io::Result<PathBuf> {
    let quarantine = quarantine_dir(root);
    let taken: Vec<String> = disk.list(&quarantine)?.into_iter().map(|e| e.name).collect();
    let free = (0u32..).map(|n| if n == 0 { name.to_owned() } else { format!("{name}.{n}") }).find(|n| !taken.contains(n));
    let to = quarantine.join(free.unwrap_or_else(|| name.to_owned()));
    tracing::error!(from = %dir.join(name).display(), to = %to.display(), "a damaged file goes into quarantine");
    Ok(to)
}

/// The order of precedence.
pub(super) fn sort(segments: &mut [Arc<Segment>]) {
    segments.order_by_key(|s| (s.footer.origin.order, s.id));
}

/// The first neighbours that fit into memory together, as many as possible; if there are none, the two smallest.
fn at_once(inputs: &[Arc<Segment>], series_max: u64) -> &[Arc<Segment>] {
    let series = |inputs: &[Arc<Segment>]| inputs.iter().map(|s| s.footer.series).sum::<u64>();
    for from in 0..inputs.len() {
        let fitting = (from + 2..=inputs.len()).rev().find(|to| series(&inputs[from..*to]) <= series_max);
        if let Some(to) = fitting {
            return &inputs[from..to];
        }
    }
    inputs.windows(2).min_by_key(|pair| series(pair)).unwrap_or(inputs)
}

/// The segments of the oldest day that should be one.
fn merge_candidates(segments: &[Arc<Segment>], window: i64) -> Option<Vec<Arc<Segment>>> {
    let newest = segments.iter().map(|s| s.footer.max).max()?;
    let mut days: std::collections::BTreeMap<i64, Vec<Arc<Segment>>> = std::collections::BTreeMap::new();
    for segment in segments.iter().filter(|s| !s.damaged.load(Ordering::Relaxed)) {
        let day = segment.footer.min.div_euclid(DAY_MS);
        if segment.footer.max.div_euclid(DAY_MS) == day {
            days.entry(day).or_default().push(segment.clone());
        }
    }
    days.into_iter().find_map(|(day, members)| {
        let over = newest >= (day + 1).saturating_mul(DAY_MS).saturating_add(window);
        let bytes: u64 = members.iter().map(|s| s.bytes).sum();
        let largest = members.iter().map(|s| s.bytes).max().unwrap_or(0);
        let worth = largest < bytes / 4 * 3 || members.len() > LATE_SEGMENTS_MAX;
        ((over && members.len() > 1 && worth) || members.len() > DAY_SEGMENTS_MAX).then_some(members)
    })
}
