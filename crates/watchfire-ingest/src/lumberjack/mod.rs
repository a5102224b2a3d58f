//! Lumberjack, the protocol of Beats and Logstash, in its second version and the first: a sender announces how many events come, sends them
//! as JSON or as pairs of texts, packed or not, and waits for the number of the last one that is stored. What is acknowledged survives a
//! crash; what is not comes again. It takes bytes and gives bytes; sockets are somebody else's.

mod event;
mod frame;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::elasticsearch::ID;
use crate::gate::Gate;
use frame::{Frame, Frames, Next};

pub use frame::FrameError;

/// The most events that are stored at once, and then acknowledged.
const BATCH_EVENTS: usize = 1_000;
/// The most events of a window that are told apart.
const SEEN_MAX: usize = 65_536;
/// The most bytes of events that are stored at once.
const BATCH_BYTES: usize = 2 << 20;

/// Why a connection must end. What was acknowledged until then stays so.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The bytes are not the protocol.
    #[error("cannot read a frame: {0}")]
    Frame(#[from] FrameError),
    /// The store does not take events now; the sender comes again.
    #[error("cannot store events: {0}")]
    Store(#[from] WriteError),
    /// All connections together hold too much.
    #[error("cannot hold a frame of {0} bytes beside those of other connections")]
    Memory(usize),
}

struct Counters {
    connections: Counter,
    events: Counter,
    acknowledged: Counter,
    refused: Counter,
    malformed: Counter,
    unstored: Counter,
    memory: Counter,
}

/// Takes Lumberjack. Share it in an `Arc`.
pub struct Lumberjack {
    gate: Arc<Gate>,
    clock: SharedClock,
    counters: Counters,
    held: Arc<frame::Held>,
}

impl Lumberjack {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Lumberjack {
        let ended = |reason| {
            meter.counter("watchfire_lumberjack_connections_ended_total", "Connections of Lumberjack that were ended here, by reason.", &[("reason", reason)])
        };
        let counters = Counters {
            connections: meter.counter("watchfire_lumberjack_connections_total", "Connections of Lumberjack that were begun.", &[]),
            events: meter.counter("watchfire_lumberjack_events_total", "Events of Lumberjack that were read.", &[]),
            acknowledged: meter.counter(
                "watchfire_lumberjack_events_acknowledged_total",
                "Events of Lumberjack that were acknowledged: stored, duplicates, or refused for ever.",
                &[],
            ),
            refused: ended("refused"),
            malformed: ended("malformed"),
            unstored: ended("unstored"),
            memory: ended("memory"),
        };
        Lumberjack { gate, clock, counters, held: Arc::default() }
    }

    /// A new connection of a sender.
    pub fn session(self: &Arc<Self>, peer: &str) -> Session {
        self.counters.connections.inc();
        let window = Window {
            origin: Origin::new(&format!("beats/{peer}")),
            all: self.clone(),
            version: b'2',
            left: 0,
            seen: HashMap::new(),
            pending: Pending::default(),
        };
        Session { frames: Frames::new(self.held.clone()), window }
    }

    /// Told of a connection that was refused before it began.
    pub fn refused(&self) {
        self.counters.refused.inc();
    }

    fn now(&self) -> Nanos {
        Nanos::from_millis(self.clock.now().millis())
    }
}

/// Events that were read and are not stored.
#[derive(Default)]
struct Pending {
    places: HashMap<Labels, usize>,
    streams: Vec<StreamEntries>,
    refused: Written,
    count: usize,
    bytes: usize,
    /// The number of the last one.
    last: u32,
}

impl Pending {
    fn add(&mut self, labels: Labels, entry: LogEntry) {
        self.bytes += entry.line.len() + entry.metadata.memory() + 64;
        let at = *self.places.entry(labels).or_insert_with_key(|labels| {
            self.bytes += labels.memory();
            self.streams.push(StreamEntries { labels: labels.clone(), entries: Vec::new() });
            self.streams.len() - 1
        });
        if let Some(stream) = self.streams.get_mut(at) {
            stream.entries.push(entry);
        }
    }

    fn is_full(&self) -> bool {
        self.count >= BATCH_EVENTS || self.bytes >= BATCH_BYTES
    }
}

/// One connection.
pub struct Session {
    frames: Frames,
    window: Window,
}

impl Session {
    /// Takes bytes as they come, and adds acknowledgements to an answer. May block. After an error the connection must end.
    pub fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), SessionError> {
        let outcome = self.take_all(bytes, answer);
        let counters = &self.window.all.counters;
        match &outcome {
            Ok(()) => {}
            Err(SessionError::Frame(_)) => counters.malformed.inc(),
            Err(SessionError::Store(_)) => counters.unstored.inc(),
            Err(SessionError::Memory(_)) => counters.memory.inc(),
        }
        outcome
    }

    fn take_all(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), SessionError> {
        let mut rest = bytes;
        loop {
            match self.frames.next(&mut rest)? {
                Next::More => break,
                Next::Frame(frame) => self.window.frame(frame, answer)?,
                Next::Packed(packed) => {
                    let mut inside = packed.open()?;
                    while let Some(frame) = inside.next()? {
                        self.window.frame(frame, answer)?;
                    }
                }
            }
        }
        // What came is stored now: the rest of a window may take long.
        self.window.store(answer)
    }
}

/// The events that a sender has announced.
struct Window {
    all: Arc<Lumberjack>,
    origin: Origin,
    /// The sender's version, in which it is answered.
    version: u8,
    /// How many events are still to come before it waits.
    left: u32,
    /// How often each event came in this window, by its hash.
    seen: HashMap<u64, u32>,
    pending: Pending,
}

impl Window {
    fn frame(&mut self, frame: Frame<'_>, answer: &mut Vec<u8>) -> Result<(), SessionError> {
        match frame {
            Frame::Window { version, events } => {
                // A window that was not filled is over: the sender waits for its last event.
                self.store(answer)?;
                (self.version, self.left) = (version, events);
                self.seen.clear();
            }
            Frame::Json { sequence, text } => {
                let read = event::of_json(text, self.all.now());
                self.event(sequence, read, answer)?;
            }
            Frame::Pairs { sequence, pairs } => {
                let read = event::of_pairs(pairs, self.all.now());
                self.event(sequence, read, answer)?;
            }
            Frame::TooLong { sequence } => self.event(sequence, Err(Reason::LineLength), answer)?,
        }
        Ok(())
    }

    fn event(&mut self, sequence: u32, read: Result<(Labels, LogEntry), Reason>, answer: &mut Vec<u8>) -> Result<(), SessionError> {
        self.all.counters.events.inc();
        match read {
            Ok((labels, mut entry)) => {
                self.tell_apart(&labels, &mut entry);
                self.pending.add(labels, entry);
            }
            Err(reason) => self.pending.refused.logs.reject(reason, 1),
        }
        self.pending.count += 1;
        self.pending.last = sequence;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.pending.is_full() { self.store(answer) } else { Ok(()) }
    }

    /// Equal events of one window are several events, so all but the first get an id: the same one when the window comes again.
    fn tell_apart(&mut self, labels: &Labels, entry: &mut LogEntry) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        let hash = self.seen.hasher().hash_one((labels, entry.time.0, &entry.line));
        let before = self.seen.entry(hash).or_default();
        if *before > 0 {
            entry.metadata = Labels::from_pairs([(ID, format!("{:x}-{before}", entry.time.0))]);
        }
        *before += 1;
    }

    /// Stores what is there, and acknowledges it. What the gate refuses is refused for ever: to send it again would not help.
    fn store(&mut self, answer: &mut Vec<u8>) -> Result<(), SessionError> {
        if self.pending.count == 0 {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        if !pending.streams.is_empty() {
            let mut batch = Batch::new(self.origin.clone());
            batch.logs = pending.streams;
            self.all.gate.write(batch)?;
        }
        self.all.gate.book_refused(&self.origin, &pending.refused);
        self.all.counters.acknowledged.add(pending.count as u64);
        answer.extend_from_slice(&[self.version, b'A']);
        answer.extend_from_slice(&pending.last.to_be_bytes());
        Ok(())
    }
}
