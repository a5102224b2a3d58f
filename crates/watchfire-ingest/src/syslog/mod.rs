//! Syslog: lines of RFC 5424 and of the older RFC 3164 become log entries, which wait in memory until they are stored at a short interval.
//! It reads lines; sockets are somebody else's. What waits is bounded; what has no place is counted.

mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::logs::Nanos;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::WriteError;

use crate::gate::Gate;
use crate::waiting::Queue;

pub(crate) use line::SEVERITIES;
pub use line::{Message, read_message};

/// How often what waits is stored.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// Takes syslog. Share it in an `Arc`; every method may be called from any thread.
pub struct Syslog {
    queue: Queue,
    clock: SharedClock,
    lines: Counter,
    dropped: Counter,
}

impl Syslog {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Syslog {
        Syslog {
            queue: Queue::new(gate, "syslog"),
            clock,
            lines: meter.counter("watchfire_syslog_lines_total", "Lines of syslog that were read.", &[]),
            dropped: meter.counter("watchfire_syslog_lines_dropped_total", "Lines of syslog that were dropped unread or for want of memory.", &[]),
        }
    }

    /// Takes one datagram or some whole lines. Does not block.
    pub fn take(&self, bytes: &[u8]) {
        String::from_utf8_lossy(bytes).split('\n').for_each(|line| self.line(line));
    }

    /// Takes one message that came with its length, so that line breaks may stand in it. Does not block.
    pub fn take_one(&self, message: &[u8]) {
        self.line(&String::from_utf8_lossy(message));
    }

    fn line(&self, line: &str) {
        let line = line.trim_end_matches(|c: char| c.is_whitespace() || c == '\0');
        if line.is_empty() {
            return;
        }
        self.lines.inc();
        let (labels, entry) = line::read(line, Nanos::from_millis(self.clock.now().millis()));
        if !self.queue.add(labels, entry) {
            self.dropped(1);
        }
    }

    /// Told of lines that were dropped unread.
    pub fn dropped(&self, lines: u64) {
        self.dropped.add(lines);
    }

    /// Stores what waits. What cannot be stored waits on, as long as there is room. May block.
    pub fn flush(&self) -> Result<(), WriteError> {
        self.queue.flush()
    }
}
