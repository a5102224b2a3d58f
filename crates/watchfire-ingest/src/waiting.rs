//! Log entries that wait in memory until they are stored at a short interval, for protocols that have no answers. What waits is bounded in
//! entries and bytes; what has no place is counted. It knows no protocol.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, StreamEntries};
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;

/// The most entries that wait.
pub(crate) const ENTRIES_MAX: usize = 50_000;
/// The most bytes that wait.
pub(crate) const BYTES_MAX: usize = 16 << 20;

/// The most entries of one batch: so many are copied for an attempt to store them, and no more each time that the store is full.
pub(crate) const BATCH_ENTRIES: usize = 4_096;

/// What waits. What is on its way into the store counts until it is there.
#[derive(Default)]
struct Waiting {
    streams: HashMap<Labels, Vec<LogEntry>>,
    entries: usize,
    bytes: usize,
}

impl Waiting {
    /// Adds an entry if there is room. The labels of a stream count once.
    fn add(&mut self, labels: Labels, entry: LogEntry) -> bool {
        let known = self.streams.contains_key(&labels);
        let bytes = size(&entry) + if known { 0 } else { labels.memory() };
        if self.entries >= ENTRIES_MAX || self.bytes + bytes > BYTES_MAX {
            return false;
        }
        self.entries += 1;
        self.bytes += bytes;
        self.streams.entry(labels).or_default().push(entry);
        true
    }

    /// What was not stored goes before what came meanwhile.
    fn put_back(&mut self, older: Vec<StreamEntries>) {
        for StreamEntries { labels, mut entries } in older {
            if let Some(newer) = self.streams.remove(&labels) {
                entries.extend(newer);
                self.bytes -= labels.memory();
            }
            self.streams.insert(labels, entries);
        }
    }
}

/// The bytes of an entry's texts.
fn size(entry: &LogEntry) -> usize {
    entry.line.len() + entry.metadata.memory()
}

/// Takes as many entries as a batch holds off the end of a list of streams, the oldest of each stream first. Only these are copied, because a
/// batch is gone when it is refused.
struct Piece {
    streams: Vec<StreamEntries>,
    entries: usize,
}
impl Piece {
    fn of(queue: &[StreamEntries]) -> Piece {
        let mut piece = Piece { streams: Vec::new(), entries: 0 };
        for stream in queue.iter().rev() {
            let room = BATCH_ENTRIES - piece.entries;
            if room == 0 {
                break;
            }
            let entries: Vec<LogEntry> = stream.entries.iter().take(room).cloned().collect();
            piece.entries += entries.len();
            piece.streams.push(StreamEntries { labels: stream.labels.clone(), entries });
        }
        piece
    }
}

/// Takes so many entries off a list of streams as [`Piece::of`] copied; gives the bytes of what is gone.
fn forget(queue: &mut Vec<StreamEntries>, mut entries: usize) -> usize {
    let mut bytes = 0;
    while entries > 0
        && let Some(stream) = queue.last_mut()
    {
        let gone = entries.min(stream.entries.len());
        bytes += stream.entries.drain(..gone).map(|entry| size(&entry)).sum::<usize>();
        entries -= gone;
        if stream.entries.is_empty() {
            bytes += stream.labels.memory();
            queue.pop();
        }
    }
    bytes
}

/// The queue of one protocol. Every method may be called from any thread.
pub(crate) struct Queue {
    gate: Arc<Gate>,
    origin: Origin,
    waiting: Mutex<Waiting>,
}

impl Queue {
    /// An empty queue that is stored through the gate under the name of its protocol.
    pub(crate) fn new(gate: Arc<Gate>, protocol: &str) -> Queue {
        Queue { gate, origin: Origin::new(protocol), waiting: Mutex::default() }
    }

    /// Adds an entry. One that has no place is booked as refused, and the answer is no.
    pub(crate) fn add(&self, labels: Labels, entry: LogEntry) -> bool {
        let added = self.waiting().add(labels, entry);
        if !added {
            self.refuse(Reason::SampleLimit);
        }
        added
    }

    /// Books one entry that was refused before it came here.
    pub(crate) fn refuse(&self, reason: Reason) {
        let mut refused = Written::default();
        refused.logs.reject(reason, 1);
        self.gate.book_refused(&self.origin, &refused);
    }

    /// Stores what waits. What cannot be stored waits on, as long as there is room. May block.
    pub(crate) fn flush(&self) -> Result<(), WriteError> {
        let streams = std::mem::take(&mut self.waiting().streams);
        let mut queue: Vec<StreamEntries> = streams.into_iter().map(|(labels, entries)| StreamEntries { labels, entries }).collect();
        while !queue.is_empty() {
            let piece = Piece::of(&queue);
            let mut batch = Batch::new(self.origin.clone());
            batch.logs = piece.streams;
            if let Err(error) = self.gate.write(batch) {
                self.waiting().put_back(queue);
                return Err(error);
            }
            let bytes = forget(&mut queue, piece.entries);
            let mut waiting = self.waiting();
            waiting.entries -= piece.entries;
            waiting.bytes -= bytes;
        }
        Ok(())
    }

    /// The entries and bytes that wait.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.entries, waiting.bytes)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
