//! `Tail`: what was written to the store, in the order in which it was written, for somebody who passes it on. The log is the
//! queue and survives; a tail only remembers how far it got. It decides nothing about where data go.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};
use watchfire_model::state::{Change, LOG_POSITIONS, StateError, StateStore};
use watchfire_model::time::Timestamp;

use crate::engine::{Engine, Hold, Reads};
use crate::logs::Signal;
use crate::logs::piece::{self, Defined, Piece};
use crate::metrics::record::{self, HistogramEntry, Record};
pub use crate::wal::Position;
use crate::wal::{Found, LogReader, Progress};

/// How long an acknowledged position may be known in memory only: what is sent twice after a crash.
const SAVE_PAUSE: Duration = Duration::from_secs(5);

/// A part of the log. Series are numbers which this portion or an earlier one has defined.
#[derive(Debug, Default)]
pub struct Portion {
    /// Whether all series numbers of earlier portions mean nothing any more.
    pub begins_anew: bool,
    /// New series.
    pub series: Vec<(u32, Labels)>,
    /// Floats by series.
    pub samples: Vec<(u32, Sample)>,
    /// Native histograms by series.
    pub histograms: Vec<(u32, HistogramSample)>,
    /// Exemplars by series.
    pub exemplars: Vec<(u32, Exemplar)>,
    /// What was said about metric families.
    pub metadata: Vec<Metadata>,
    /// Log entries or spans, for a reader of them.
    pub entries: Vec<TailEntries>,
    /// Bytes of the log that cannot be read.
    pub damaged_bytes: u64,
}

/// Log entries, or spans, that came together.
pub struct TailEntries {
    /// Who brought log entries: the origin of their batch. Nothing is known of spans.
    pub source: Arc<str>,
    piece: Piece,
}

impl TailEntries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.piece.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.piece.len() == 0
    }
    /// Each with the labels of its stream.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, TailEntry<'_>)> {
        self.piece.rows().filter_map(|(stream, row)| {
            let labels = self.piece.streams.get(stream as usize)?;
            Some((labels, TailEntry { time: Nanos(row.time), line: row.line, metadata: Labels::unpack(row.metadata)? }))
        })
    }
}

impl std::fmt::Debug for TailEntries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailEntries").field("source", &self.source).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// One log entry, or span, as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TailEntry<'a> {
    /// Its time.
    pub time: Nanos,
    /// Its line.
    pub line: &'a str,
    /// Its structured metadata.
    pub metadata: Labels,
}

/// How one reader of the log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailStats {
    /// Its name.
    pub name: String,
    /// Bytes of the log that it has not acknowledged.
    pub behind_bytes: u64,
    /// Samples, or log entries or spans for a reader of them, that went before it had read them.
    pub lost: u64,
}

/// Reads the log behind the writer. One per name at a time.
pub struct Tail {
    engine: Arc<Engine>,
    state: Arc<dyn StateStore>,
    name: String,
    progress: Arc<Progress>,
    reader: LogReader,
    /// Frames up to here were passed on by an earlier run: only their definitions are of use.
    known: Position,
    /// Where the log stood when this tail was opened.
    opened_at: Position,
    pending: Portion,
    reads: Reads,
    /// The streams of the epoch by their numbers, where entries are read.
    defined: Defined,
    /// The last position that was given out.
    given: Position,
    saved: Option<Position>,
    saved_at: Duration,
    enough: Arc<AtomicBool>,
}

/// Ends the waiting of a [`Tail`] from another thread.
#[derive(Clone)]
pub struct TailStop {
    enough: Arc<AtomicBool>,
    progress: Arc<Progress>,
}

impl TailStop {
    /// From now on [`Tail::next`] does not wait any more.
    pub fn stop(&self) {
        self.enough.store(true, Ordering::Release);
        self.progress.wake();
    }
}

impl Tail {
    /// Goes on where the reader of this name stopped; a new one begins with what is written from now on.
    pub(crate) fn open(engine: Arc<Engine>, state: Arc<dyn StateStore>, name: &str, state_reset: bool, reads: Reads) -> Result<Tail, TailError> {
        let progress = engine.progress();
        let written = progress.get();
        let position = {
            let mut holds = engine.holds();
            let position = match holds.by_name.get(name) {
                Some(hold) => hold.acknowledged,
                // The positions were lost: twice is better than never.
                None if state_reset => engine.oldest_position()?,
                None => written,
            };
            let hold = holds.by_name.entry(name.to_owned()).or_insert_with(|| Hold::new(position));
            (hold.acknowledged, hold.read) = (position, position);
            hold.reads = reads.clone();
            position
        };
        let mut tail = Tail {
            reader: engine.read_log(Position::begin(position.epoch)),
            state,
            name: name.to_owned(),
            progress,
            known: position,
            opened_at: written,
            pending: Portion::default(),
            reads,
            defined: Defined::new(),
            given: position,
            saved: None,
            saved_at: engine.options.clock.monotonic(),
            enough: Arc::default(),
            engine,
        };
        tail.save()?;
        Ok(tail)
    }

    /// Where the log stood when this tail was opened: what stands before it may have been passed on by an earlier run that did not
    /// live to keep it in mind.
    pub fn opened_at(&self) -> Position {
        self.opened_at
    }

    /// What ends the waiting.
    pub fn stop_handle(&self) -> TailStop {
        TailStop { enough: self.enough.clone(), progress: self.progress.clone() }
    }

    /// The next portion and the position behind it; `None` when nothing came in this time, or the waiting was ended.
    pub fn next(&mut self, time: Duration) -> Result<Option<(Portion, Position)>, TailError> {
        let mut waited = false;
        loop {
            self.skip_what_is_gone();
            match self.reader.read()? {
                Some(found) => {
                    let position = self.reader.position();
                    self.take(found, position);
                    if position > self.known && self.pending.is_worth_passing_on() {
                        return Ok(Some(self.give(position)));
                    }
                }
                // Whoever waits for entries needs nothing of what else was written meanwhile.
                None if self.reads.entries_of().is_some() && self.reader.position() > self.given.max(self.known) => {
                    let position = self.reader.position();
                    return Ok(Some(self.give(position)));
                }
                None if waited || self.enough.load(Ordering::Acquire) => return Ok(None),
                None => {
                    self.progress.wait_beyond(self.reader.position(), time, &self.enough);
                    waited = true;
                }
            }
        }
    }

    fn give(&mut self, position: Position) -> (Portion, Position) {
        self.note_read(position);
        self.given = position;
        (std::mem::take(&mut self.pending), position)
    }

    fn take(&mut self, found: Found, position: Position) {
        match found {
            Found::Epoch(_) => {
                self.pending.begins_anew = true;
                self.pending.series.clear();
                self.defined.clear();
            }
            Found::Damaged(bytes) => {
                tracing::error!(reader = %self.name, bytes, "a part of the write-ahead log cannot be read and is not forwarded");
                self.pending.damaged_bytes += bytes;
            }
            Found::Frame(signal, payload) if self.reads.entries_of().is_some_and(|wanted| wanted.number() == signal) => self.take_entries(&payload, position),
            // Others are not passed on.
            Found::Frame(signal, _) if self.reads.entries_of().is_some() || Signal::from_number(signal).is_some() => {}
            Found::Frame(signal, payload) => match record::decode(signal, &payload) {
                Some(record) => self.take_record(record, position),
                None => self.pending.damaged_bytes += payload.len() as u64,
            },
        }
    }

    /// Log entries or spans, for a reader of them.
    fn take_entries(&mut self, payload: &[u8], position: Position) {
        match piece::decode(payload, &mut self.defined) {
            None => self.pending.damaged_bytes += payload.len() as u64,
            Some(record) => {
                if position > self.known && self.reads.wants(record.source.as_deref()) && record.piece.len() > 0 {
                    self.pending.entries.push(TailEntries { source: record.source.unwrap_or_default(), piece: record.piece });
                }
            }
        }
    }

    fn take_record(&mut self, record: Record, position: Position) {
        let engine = &self.engine;
        self.pending.series.extend(record.definitions.into_iter().map(|(number, labels)| (number, engine.shared_labels(labels))));
        if position <= self.known {
            return;
        }
        self.pending.metadata.extend(record.metadata);
        let sample = |time: i64, bits: u64| Sample { time: Timestamp(time), value: f64::from_bits(bits) };
        self.pending.samples.extend(record.entries.iter().map(|e| (e.slot, sample(e.time, e.bits))));
        let histogram = |e: HistogramEntry| (e.slot, HistogramSample { time: Timestamp(e.time), value: e.value });
        self.pending.histograms.extend(record.histograms.into_iter().map(histogram));
        self.pending.exemplars.extend(record.exemplars);
    }

    /// Goes on behind files that were given up.
    fn skip_what_is_gone(&mut self) {
        let read = self.engine.holds().by_name.get(&self.name).map(|h| h.read);
        if let Some(read) = read
            && read > self.reader.position().max(self.known)
        {
            self.reader = self.engine.read_log(read);
            self.known = read;
            self.pending = Portion::default();
            self.defined.clear();
        }
    }

    fn note_read(&self, position: Position) {
        if let Some(hold) = self.engine.holds().by_name.get_mut(&self.name) {
            hold.read = hold.read.max(position);
        }
    }

    /// Says that everything before a position was passed on for good. Kept durably now and then, and when the tail goes; calling
    /// it again with the same position lets it do so.
    pub fn acknowledge(&mut self, position: Position) -> Result<(), TailError> {
        let moved = match self.engine.holds().by_name.get_mut(&self.name) {
            Some(hold) if position > hold.acknowledged => {
                let moved = position.epoch > hold.acknowledged.epoch;
                hold.acknowledged = position;
                moved
            }
            _ => false,
        };
        if moved {
            self.engine.trim_log()?;
        }
        self.save_now_and_then()
    }

    /// Keeps the acknowledged position durably, if that was not done lately.
    pub fn save_now_and_then(&mut self) -> Result<(), TailError> {
        if self.engine.options.clock.monotonic().saturating_sub(self.saved_at) >= SAVE_PAUSE {
            self.save()?;
        }
        Ok(())
    }

    /// Keeps the acknowledged position durably.
    pub fn save(&mut self) -> Result<(), TailError> {
        self.saved_at = self.engine.options.clock.monotonic();
        let acknowledged = self.engine.holds().by_name.get(&self.name).map(|h| h.acknowledged);
        if let Some(position) = acknowledged.filter(|p| Some(*p) != self.saved) {
            self.state.commit(&[Change::Put(LOG_POSITIONS, self.name.clone(), position.to_bytes())])?;
            self.saved = Some(position);
        }
        Ok(())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::warn!(%error, reader = %self.name, "cannot keep how far the log was forwarded; some of it will be sent twice");
        }
    }
}

impl Portion {
    fn is_worth_passing_on(&self) -> bool {
        !(self.entries.is_empty() && self.samples.is_empty() && self.histograms.is_empty() && self.exemplars.is_empty() && self.metadata.is_empty())
            || self.damaged_bytes > 0
    }
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The operating system refused something, or a file does not hold what was written to it.
    #[error("cannot read the write-ahead log: {0}")]
    Io(#[from] io::Error),
    /// The position cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Reads the positions that earlier runs kept. One that lies where no earlier run can have been belongs to another log (restored, or
/// begun anew): then the whole log counts as unread, because twice is better than never.
pub(crate) fn load(engine: &Engine, state: &dyn StateStore) -> Result<BTreeMap<String, Hold>, TailError> {
    let (begin, oldest) = (engine.progress().get(), engine.oldest_position()?);
    let hold = |bytes: &[u8]| Position::from_bytes(bytes).map(|kept| Hold::new(if kept <= begin { kept } else { oldest }));
    Ok(state.scan(LOG_POSITIONS, "")?.into_iter().filter_map(|(name, bytes)| Some((name, hold(&bytes)?))).collect())
}

/// How the names of readers of log entries, of spans and of profiles begin in the state; those of samples must not.
const LOGS: &str = "logs ";
const SPANS: &str = "spans ";
const PROFILES: &str = "profiles ";
/// Readers of samples that are kept apart from those of remote write.
const METRICS: &str = "metrics ";

fn prefix(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => LOGS,
        Signal::Spans => SPANS,
        Signal::Profiles => PROFILES,
    }
}

/// The name under which the position of a reader of entries is kept.
pub(crate) fn entry_tail_name(signal: Signal, name: &str) -> String {
    format!("{}{name}", prefix(signal))
}

/// The name under which the position of a reader of samples is kept that is no place of remote write.
pub(crate) fn metric_tail_name(name: &str) -> String {
    format!("{METRICS}{name}")
}

/// Forgets all of those but these.
pub(crate) fn forget_other_metrics(engine: &Engine, state: &dyn StateStore, names: &[String]) -> Result<(), TailError> {
    forget(engine, state, |name| name.strip_prefix(METRICS).is_none_or(|name| names.iter().any(|kept| kept == name)))
}

/// Forgets all readers of samples but these.
pub(crate) fn forget_others(engine: &Engine, state: &dyn StateStore, names: &[String]) -> Result<(), TailError> {
    forget(engine, state, |name| [LOGS, SPANS, PROFILES, METRICS].iter().any(|prefix| name.starts_with(prefix)) || names.iter().any(|kept| kept == name))
}

/// Forgets all readers of entries of a signal but these.
pub(crate) fn forget_other_entries(engine: &Engine, state: &dyn StateStore, signal: Signal, names: &[String]) -> Result<(), TailError> {
    forget(engine, state, |name| name.strip_prefix(prefix(signal)).is_none_or(|name| names.iter().any(|kept| kept == name)))
}

fn forget(engine: &Engine, state: &dyn StateStore, stays: impl Fn(&str) -> bool) -> Result<(), TailError> {
    let kept = state.scan(LOG_POSITIONS, "")?;
    let gone: Vec<_> = kept.into_iter().filter(|(name, _)| !stays(name)).map(|(name, _)| Change::Delete(LOG_POSITIONS, name)).collect();
    if !gone.is_empty() {
        state.commit(&gone)?;
    }
    engine.holds().by_name.retain(|name, _| stays(name));
    Ok(engine.trim_log()?)
}

/// How the readers are doing.
pub(crate) fn stats(engine: &Engine) -> io::Result<Vec<TailStats>> {
    let holds: Vec<_> = engine.holds().by_name.iter().map(|(name, hold)| (name.clone(), hold.clone())).collect();
    if holds.is_empty() {
        return Ok(Vec::new());
    }
    let files = engine.log_files()?;
    let behind = |position: Position| {
        let of_file = |(sequence, len): &(u64, u64)| match sequence.cmp(&position.file) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => len.saturating_sub(position.offset),
            std::cmp::Ordering::Greater => *len,
        };
        files.iter().map(of_file).sum()
    };
    Ok(holds.into_iter().map(|(name, hold)| TailStats { name, behind_bytes: behind(hold.acknowledged), lost: hold.lost }).collect())
}
