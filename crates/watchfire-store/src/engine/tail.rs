//! Who reads the log behind us, and which files must stay for him: a file goes when its content is in segments and everybody
//! has what he needs of it, or when the files that stay would take more room than they may; then the loss is counted.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::labels::Labels;

use super::{Engine, millis, wal_dir};
use crate::logs::Signal;
use crate::logs::piece::{self, Defined};
use crate::metrics::record;
use crate::wal::{self, Found, LogReader, Position, Progress};

/// The readers of the log.
#[derive(Default)]
pub(crate) struct Holds {
    /// How many bytes of the log may stay only because somebody still needs them.
    pub(crate) bytes_max: u64,
    /// How long log entries may stay only because somebody still needs them.
    pub(crate) age_max: Option<Duration>,
    pub(crate) by_name: BTreeMap<String, Hold>,
}

/// What one reader needs.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// Everything before this was passed on for good.
    pub(crate) acknowledged: Position,
    /// Everything before this was read at least.
    pub(crate) read: Position,
    /// Samples that went before they were read, or log entries, by what is read.
    pub(crate) lost: u64,
    /// What it reads.
    pub(crate) reads: Reads,
}

/// What a reader of the log wants of it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Reads {
    /// Samples, and what belongs to them.
    #[default]
    Samples,
    /// Log entries that came from some origins; from all of them where none is named.
    Logs(Option<Arc<std::collections::BTreeSet<String>>>),
    /// All spans.
    Spans,
}

impl Reads {
    /// The signal whose frames hold entries that are wanted; none for samples.
    pub(crate) fn entries_of(&self) -> Option<Signal> {
        match self {
            Reads::Samples => None,
            Reads::Logs(_) => Some(Signal::Logs),
            Reads::Spans => Some(Signal::Spans),
        }
    }
    /// Whether entries of an origin are wanted.
    pub(crate) fn wants(&self, source: Option<&str>) -> bool {
        match self {
            Reads::Samples => false,
            Reads::Logs(Some(sources)) => source.is_some_and(|source| sources.contains(source)),
            Reads::Logs(None) | Reads::Spans => true,
        }
    }
}

impl Hold {
    pub(crate) fn new(position: Position) -> Hold {
        Hold { acknowledged: position, read: position, lost: 0, reads: Reads::Samples }
    }
}

impl Engine {
    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the log is written.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.writer().wal.progress().clone()
    }

    /// A reader of the log from a position on.
    pub(crate) fn read_log(&self, from: Position) -> LogReader {
        LogReader::new(self.disk.clone(), &wal_dir(&self.options.dir), self.progress(), from)
    }

    /// The begin of the oldest file there is, or where the log stands.
    pub(crate) fn oldest_position(&self) -> io::Result<Position> {
        let first = wal::epochs(&*self.disk, &wal_dir(&self.options.dir))?.first().map(|(sequence, ..)| Position::begin(*sequence));
        Ok(first.unwrap_or_else(|| self.progress().get()))
    }

    /// The files of the log with their sizes.
    pub(crate) fn log_files(&self) -> io::Result<Vec<(u64, u64)>> {
        let entries = self.disk.list(&wal_dir(&self.options.dir))?;
        Ok(entries.into_iter().filter_map(|e| Some((wal::sequence_of(&e.name)?, e.len))).collect())
    }

    /// The same set with the memory of the one in the head, where there is one.
    pub(crate) fn shared_labels(&self, labels: Labels) -> Labels {
        let shared = self.read();
        shared.head.find(&labels).and_then(|slot| shared.head.get(slot)).map_or(labels, |series| series.labels.clone())
    }

    /// Removes the log files that nobody needs any more.
    pub(crate) fn trim_log(&self) -> io::Result<()> {
        let mut holds = self.holds();
        if self.holds_unknown.load(Ordering::Acquire) {
            return Ok(());
        }
        let flushed = self.flushed_before.load(Ordering::Acquire);
        let needed = holds.by_name.values().map(|h| h.acknowledged.epoch).min().unwrap_or(u64::MAX);
        let mut keep = needed.min(flushed);
        if keep < flushed {
            let files = wal::epochs(&*self.disk, &wal_dir(&self.options.dir))?;
            let held = |keep: u64| files.iter().filter(|(sequence, ..)| (keep..flushed).contains(sequence)).map(|(.., len)| len).sum::<u64>();
            let next = |keep: u64| files.iter().find(|(_, epoch, _)| *epoch > keep).map_or(flushed, |(_, epoch, _)| *epoch).min(flushed);
            while keep < flushed && held(keep) > holds.bytes_max {
                keep = next(keep);
            }
            self.give_up_before(&mut holds, keep, |_| true);
            if let Some(age_max) = holds.age_max {
                let earliest = self.now().saturating_sub(millis(age_max));
                let mut young = keep;
                // What an epoch holds was written before the next one began.
                while young < flushed && self.began(next(young))?.is_some_and(|began| began < earliest) {
                    young = next(young);
                }
                self.give_up_before(&mut holds, young, |hold| hold.reads.entries_of().is_some());
                let needed = holds.by_name.values().map(|h| h.acknowledged.epoch).min().unwrap_or(u64::MAX);
                keep = keep.max(needed.min(flushed));
            }
        }
        self.writer().wal.drop_before(keep)
    }

    /// Counts what readers lose when files go that they have not read.
    fn give_up_before(&self, holds: &mut Holds, keep: u64, whose: impl Fn(&Hold) -> bool) {
        for (name, hold) in holds.by_name.iter_mut().filter(|(_, h)| h.acknowledged.epoch < keep && whose(h)) {
            let lost = match hold.reads.entries_of() {
                None => self.samples_between(hold.read, keep),
                Some(signal) => self.entries_between(hold.read, keep, signal, &hold.reads),
            };
            hold.lost += lost;
            hold.acknowledged = hold.acknowledged.max(Position::begin(keep));
            hold.read = hold.read.max(Position::begin(keep));
            if lost > 0 {
                tracing::error!(
                    reader = %name,
                    lost,
                    "samples, log entries or spans that were not forwarded yet are given up: they took more room in the log, or more time, than they may"
                );
            }
        }
    }

    /// When an epoch began, by the header of its first file; nothing when it has not begun.
    fn began(&self, epoch: u64) -> io::Result<Option<i64>> {
        wal::epoch_began(&*self.disk, &wal_dir(&self.options.dir), epoch)
    }

    /// How many entries that are wanted stand in the log between a position and a file.
    fn entries_between(&self, from: Position, before: u64, signal: Signal, reads: &Reads) -> u64 {
        let end = Arc::new(Progress::new(Position::begin(before)));
        // Streams are defined from the begin of the epoch on.
        let mut reader = LogReader::new(self.disk.clone(), &wal_dir(&self.options.dir), end, Position::begin(from.epoch));
        let (mut entries, mut defined) = (0, Defined::new());
        loop {
            match reader.read() {
                Ok(Some(Found::Epoch(_))) => defined.clear(),
                Ok(Some(Found::Frame(number, payload))) if number == signal.number() => {
                    let record = piece::decode(&payload, &mut defined).filter(|_| reader.position() > from);
                    entries += record.filter(|r| reads.wants(r.source.as_deref())).map_or(0, |r| r.piece.len() as u64);
                }
                Ok(Some(_)) => {}
                Ok(None) => return entries,
                Err(error) => {
                    tracing::warn!(%error, "cannot count the entries of log files that go");
                    return entries;
                }
            }
        }
    }

    /// How many samples stand in the log between a position and a file.
    fn samples_between(&self, from: Position, before: u64) -> u64 {
        let end = Arc::new(Progress::new(Position::begin(before)));
        let mut reader = LogReader::new(self.disk.clone(), &wal_dir(&self.options.dir), end, from);
        let mut samples = 0;
        loop {
            match reader.read() {
                Ok(Some(Found::Frame(signal, _))) if Signal::from_number(signal).is_some() => {}
                Ok(Some(Found::Frame(signal, payload))) => samples += record::decode(signal, &payload).map_or(0, |r| r.samples() as u64),
                Ok(Some(_)) => {}
                Ok(None) => return samples,
                Err(error) => {
                    tracing::warn!(%error, "cannot count the samples of log files that go");
                    return samples;
                }
            }
        }
    }
}
