//! The log back into memory after a start. What does not fit goes into segments on the way, as a flush would write it; these have
//! no names before all of it is read, so a start that dies leaves nothing but the log. Not the reading of files: that is `wal`.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::logs::RestoreEntries;
use crate::error::OpenError;
use crate::exemplars::{Exemplars, may_follow};
use crate::file::Disk;
use crate::logs::Signal;
use crate::metrics::compact::{self, Place};
use crate::metrics::head::Head;
use crate::metrics::record::{self, Record};
use crate::wal::{self, ReplayReport, Visit};

/// What a series takes in memory beside its labels and samples, roughly: its places in lists and indexes.
const SERIES_BYTES: usize = 320;
/// More passes over the log than this take too long.
const PARTS_MAX: u32 = 64;

/// How much memory reading back may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// So many bytes of samples, beside as many series as come.
    Samples(usize),
    /// So many bytes of samples and series together. Where the series alone are too many, the log is read several times, each time
    /// for some of them.
    Everything(usize),
}

/// A series of the log.
struct Known {
    labels: Labels,
    /// Where it is in the head, unless it went into a segment.
    slot: Option<u32>,
    /// The time of its newest sample when it went.
    newest: Option<i64>,
}

/// Puts frames of the log back into the head.
pub(super) struct Restore<'a> {
    head: &'a mut Head,
    exemplars: &'a mut Exemplars,
    pub(super) entries: RestoreEntries<'a>,
    place: Place<'a>,
    bound: Bound,
    /// Series whose number leaves this remainder are read now.
    part: (u32, u32),
    /// By their numbers in the log's current epoch.
    known: HashMap<u32, Known>,
    epoch: u64,
    /// What the series in the head take beside their samples.
    series_bytes: usize,
    /// Segments that have no names yet.
    unnamed: Vec<u64>,
    /// A segment could not be written, so memory takes what comes.
    full: bool,
    pub(super) samples: u64,
    pub(super) orphans: u64,
}

impl<'a> Restore<'a> {
    pub(super) fn new(head: &'a mut Head, exemplars: &'a mut Exemplars, entries: RestoreEntries<'a>, place: Place<'a>, bound: Bound) -> Restore<'a> {
        let place = Place { named: false, ..place };
        Restore {
            head,
            exemplars,
            entries,
            place,
            bound,
            part: (0, 1),
            known: HashMap::new(),
            epoch: 0,
            series_bytes: 0,
            unnamed: Vec::new(),
            full: false,
            samples: 0,
            orphans: 0,
        }
    }

    /// Reads the files of a directory that are numbered `first` and above. The number of the next file is above `taken`, too.
    pub(super) fn read(&mut self, disk: &dyn Disk, dir: &Path, from: (u64, u64), stop: &AtomicBool) -> Result<ReplayReport, OpenError> {
        let (parts, survey) = match self.bound {
            Bound::Samples(_) => (1, ReplayReport::default()),
            Bound::Everything(bytes) => parts(disk, dir, from.0, bytes, stop)?,
        };
        let mut report = None;
        for part in 0..parts {
            self.part = (part, parts);
            self.known.clear();
            self.epoch = 0;
            let found = wal::replay(disk, dir, from, stop, &mut |visit| self.visit(visit))?;
            report.get_or_insert(found);
            if part + 1 < parts {
                self.spill();
            }
        }
        let mut report: ReplayReport = report.unwrap_or_default();
        // The survey has cut a torn end off already.
        report.torn_bytes += survey.torn_bytes;
        report.next_sequence = report.next_sequence.max(survey.next_sequence);
        Ok(report)
    }

    fn visit(&mut self, visit: Visit<'_>) -> bool {
        match visit {
            Visit::Epoch(epoch) => {
                if epoch != self.epoch {
                    self.known.clear();
                    self.entries.begin_epoch();
                    self.epoch = epoch;
                }
                true
            }
            Visit::Frame(at, number, payload) => match Signal::from_number(number) {
                // Once is enough for entries.
                Some(_) if self.part.0 > 0 => true,
                Some(signal) => self.entries.frame(signal, at, payload),
                None => record::decode(number, payload).map(|record| self.apply(record)).is_some(),
            },
        }
    }

    fn is_of_part(&self, number: u32) -> bool {
        number % self.part.1 == self.part.0
    }

    fn apply(&mut self, record: Record) {
        if record.samples() > 0 && self.is_over() {
            self.spill();
        }
        for (number, labels) in record.definitions {
            if self.is_of_part(number) {
                let slot = self.slot_of(&labels, None);
                self.known.insert(number, Known { labels, slot: Some(slot), newest: None });
            }
        }
        for metadata in &record.metadata {
            self.head.note_metadata(metadata);
        }
        for entry in record.entries {
            if let Some(slot) = self.place(entry.slot, entry.time) {
                self.head.push(slot, entry.time, entry.bits);
                self.samples += 1;
            }
        }
        for entry in record.histograms {
            if let Some(slot) = self.place(entry.slot, entry.time) {
                self.head.push_histogram(slot, entry.time, &entry.value);
                self.samples += 1;
            }
        }
        for (number, exemplar) in record.exemplars {
            if let Some(series) = self.known.get(&number)
                && may_follow(self.exemplars.newest(&series.labels), &exemplar).is_ok()
            {
                self.exemplars.push(&series.labels, exemplar);
            }
        }
    }

    /// The slot of a series, which is added if it is not there. The epoch that is about to begin has not defined it.
    fn slot_of(&mut self, labels: &Labels, newest: Option<i64>) -> u32 {
        self.head.find(labels).unwrap_or_else(|| {
            self.series_bytes += labels.memory() + SERIES_BYTES;
            self.head.add(labels.clone(), newest, 0)
        })
    }

    /// The slot of a sample, if it is to be stored: a duplicated page or a log that was read before must not store anything twice.
    fn place(&mut self, number: u32, time: i64) -> Option<u32> {
        if !self.is_of_part(number) {
            return None;
        }
        let Some(known) = self.known.get(&number) else {
            self.orphans += 1;
            return None;
        };
        let slot = match known.slot {
            Some(slot) => slot,
            None => {
                let (labels, newest) = (known.labels.clone(), known.newest);
                let slot = self.slot_of(&labels, newest);
                self.known.entry(number).and_modify(|known| known.slot = Some(slot));
                slot
            }
        };
        let series = self.head.get(slot)?;
        (series.newest.is_none_or(|newest| time > newest) || series.find(time).is_none()).then_some(slot)
    }

    fn is_over(&self) -> bool {
        let samples = self.head.chunk_bytes();
        !self.full
            && match self.bound {
                Bound::Samples(bytes) => samples > bytes,
                Bound::Everything(bytes) => samples + self.series_bytes > bytes,
            }
    }

    /// Moves all samples from memory into segments without names. They say nothing of the log, which is needed as before.
    fn spill(&mut self) {
        if self.full || self.head.samples() == 0 {
            return;
        }
        let (_, mut frozen) = self.head.freeze();
        frozen.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let first = *self.place.next;
        match compact::flush(&mut self.place, &frozen, 0) {
            Ok(ids) => self.unnamed.extend(ids),
            Err(error) => {
                tracing::error!(%error, "cannot move what is read from the log into a segment; it stays in memory");
                self.full = true;
                let end = *self.place.next;
                if let Err(error) = self.place.remove_unnamed(first..end) {
                    tracing::warn!(%error, "cannot remove segments that are not complete; the next start does it");
                }
                return;
            }
        }
        drop(frozen);
        self.empty_head();
    }

    /// Empties the head of everything but what is known of metric families.
    fn empty_head(&mut self) {
        for known in self.known.values_mut() {
            let newest = known.slot.take().and_then(|slot| self.head.get(slot)).and_then(|series| series.newest);
            known.newest = known.newest.max(newest);
        }
        let emptied = std::mem::take(self.head);
        for metadata in emptied.metadata() {
            self.head.note_metadata(metadata);
        }
        self.series_bytes = 0;
    }

    /// The segments of what did not fit into memory; the rest is there.
    pub(super) fn finish(self) -> Vec<u64> {
        self.unnamed
    }

    /// Moves all samples into segments without names, for a log that does not go on. `None` when that is not possible; then none is left.
    pub(super) fn finish_all(mut self) -> Result<Option<Vec<u64>>, OpenError> {
        self.spill();
        let place = self.place;
        if self.full {
            place.remove_unnamed(self.unnamed.into_iter()).map_err(OpenError::io("remove segments in", place.dir))?;
            return Ok(None);
        }
        Ok(Some(self.unnamed))
    }
}

/// How many times a log must be read so that the series of each time take half of the memory at most.
fn parts(disk: &dyn Disk, dir: &Path, first: u64, bytes: usize, stop: &AtomicBool) -> Result<(u32, ReplayReport), OpenError> {
    let (mut epoch, mut of_epoch, mut most) = (0, 0, 0);
    let report = wal::replay(disk, dir, (first, 0), stop, &mut |visit| {
        match visit {
            Visit::Epoch(found) if found == epoch => {}
            Visit::Epoch(found) => (epoch, of_epoch) = (found, 0),
            Visit::Frame(_, signal, _) if Signal::from_number(signal).is_some() => {}
            Visit::Frame(_, signal, payload) => {
                let definitions = record::decode(signal, payload).map(|record| record.definitions).unwrap_or_default();
                of_epoch += definitions.iter().map(|(_, labels)| labels.memory() + SERIES_BYTES).sum::<usize>();
                most = most.max(of_epoch);
            }
        }
        true
    })?;
    Ok((u32::try_from(most.div_ceil((bytes / 2).max(1))).unwrap_or(u32::MAX).clamp(1, PARTS_MAX), report))
}
