//! Syslog: lines of RFC 5424 and of the older RFC 3164 become log entries, which wait in memory until they are stored at a short interval.
//! It reads lines; sockets are somebody else's. What waits is bounded; what has no place is counted.

mod line;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;

/// How often what waits is stored.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// The most entries that wait.
const ENTRIES_MAX: usize = 50_000;
/// The most bytes that wait.
const BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
struct Waiting {
    streams: HashMap<Labels, Vec<LogEntry>>,
    entries: usize,
    bytes: usize,
}

/// Takes syslog. Share it in an `Arc`; every method may be called from any thread.
pub struct Syslog {
    gate: Arc<Gate>,
    clock: SharedClock,
    waiting: Mutex<Waiting>,
    origin: Origin,
    lines: Counter,
    dropped: Counter,
}

impl Syslog {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Syslog {
        Syslog {
            gate,
            clock,
            waiting: Mutex::default(),
            origin: Origin::new("syslog"),
            lines: meter.counter("watchfire_syslog_lines_total", "Lines of syslog that were read.", &[]),
            dropped: meter.counter("watchfire_syslog_lines_dropped_total", "Lines of syslog that were dropped unread or for want of memory.", &[]),
        }
    }

    /// Takes one datagram or some whole lines. Does not block.
    pub fn take(&self, bytes: &[u8]) {
        let now = Nanos::from_millis(self.clock.now().millis());
        let text = String::from_utf8_lossy(bytes);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.split('\n').map(str::trim_end).filter(|line| !line.is_empty()) {
            self.lines.inc();
            let (labels, entry) = line::read(line, now);
            let bytes = entry.line.len() + entry.metadata.memory();
            if waiting.entries >= ENTRIES_MAX || waiting.bytes + bytes > BYTES_MAX {
                self.dropped(1);
                let mut refused = Written::default();
                refused.logs.reject(Reason::SampleLimit, 1);
                self.gate.book_refused(&self.origin, &refused);
                continue;
            }
            waiting.entries += 1;
            waiting.bytes += bytes;
            waiting.streams.entry(labels).or_default().push(entry);
        }
    }

    /// Told of lines that were dropped unread.
    pub fn dropped(&self, lines: u64) {
        self.dropped.add(lines);
    }

    /// Stores what waits. What cannot be stored waits on, as long as there is room. May block.
    pub fn flush(&self) -> Result<(), WriteError> {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.entries == 0 {
            return Ok(());
        }
        let mut batch = Batch::new(self.origin.clone());
        batch.logs = taken.streams.iter().map(|(labels, entries)| StreamEntries { labels: labels.clone(), entries: entries.clone() }).collect();
        match self.gate.write(batch) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.put_back(taken);
                Err(error)
            }
        }
    }

    /// What was not stored goes before what came meanwhile.
    fn put_back(&self, mut older: Waiting) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = std::mem::take(&mut *waiting);
        for (labels, entries) in newer.streams {
            older.streams.entry(labels).or_default().extend(entries);
        }
        older.entries += newer.entries;
        older.bytes += newer.bytes;
        *waiting = older;
    }
}
