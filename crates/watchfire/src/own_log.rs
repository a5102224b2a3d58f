//! Our own log lines in our own store, so that whoever looks at logs sees ours, too. They go through the gate like everybody's. Not where lines are
//! written to: that is `logging`; this keeps those that are severe enough, a bounded number of them, and never one about keeping them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Level;
use watchfire_ingest::gate::Gate;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::Timestamp;
use watchfire_model::write::Sink;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;

/// How long lines are gathered before they are stored, and how many of them at once: a flood of lines must not become a flood in the store.
const INTERVAL: Duration = Duration::from_secs(1);
const WAITING_MAX: usize = 100;
/// A longer line loses its end in the store; whoever reads standard error has it whole.
const LINE_BYTES_MAX: usize = 8 << 10;
/// The name of the program in its labels.
const NAME: &str = "watchfire";

thread_local! {
    /// Whether this thread stores lines of ours just now: what it says meanwhile is not stored.
    static STORING: Cell<bool> = const { Cell::new(false) };
}

/// Lines that wait to be stored.
#[derive(Debug)]
pub(crate) struct OwnLog {
    least: Level,
    waiting: Mutex<Vec<Line>>,
    full: AtomicU64,
    /// Whoever stores lines sleeps until there are some.
    arrived: Notify,
}

/// One line and what stands beside it.
#[derive(Debug)]
struct Line {
    at: Timestamp,
    level: Level,
    text: String,
    /// Ids of the request and the trace that it is about.
    ids: Vec<(&'static str, String)>,
}

/// What is kept, if anything is.
pub(crate) type Kept = Option<Arc<OwnLog>>;

impl OwnLog {
    /// Keeps lines of this level and more severe ones.
    pub(crate) fn new(least: Level) -> OwnLog {
        OwnLog { least, waiting: Mutex::default(), full: AtomicU64::new(0), arrived: Notify::new() }
    }
    /// Whether a line of this level, said by this thread now, is kept.
    pub(crate) fn wants(&self, level: Level) -> bool {
        level <= self.least && !STORING.get()
    }
    /// Takes a line; beyond what may wait it is counted.
    pub(crate) fn take(&self, at: Timestamp, level: Level, line: &str, ids: Vec<(&'static str, String)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            self.full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut text = line.trim_end().to_owned();
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        waiting.push(Line { at, level, text, ids });
        self.arrived.notify_one();
    }
    fn all(&self) -> Vec<Line> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stores lines until the process ends, and then once more.
pub(crate) fn start(kept: Kept, instance: &str, gate: &Arc<Gate>, tasks: &Tasks, meter: &Meter) {
    let Some(log) = kept else { return };
    let dropped = |reason| meter.counter("watchfire_own_log_lines_dropped_total", "Own log lines that are not in the store, by reason.", &[("reason", reason)]);
    let (stored, full, failed) =
        (meter.counter("watchfire_own_log_lines_stored_total", "Own log lines that are in the store.", &[]), dropped("full"), dropped("failed"));
    let (gate, instance, mut stop) = (gate.clone(), instance.to_owned(), tasks.stop());
    tasks.spawn_until_done("own_log", async move {
        while !stop.is_requested() {
            tokio::select! {
                () = async { log.arrived.notified().await; tokio::time::sleep(INTERVAL).await } => {}
                () = stop.requested() => {}
            }
            full.add(log.full.swap(0, Ordering::Relaxed));
            let lines = log.all();
            if lines.is_empty() {
                continue;
            }
            let (gate, stored, failed, count) = (gate.clone(), stored.clone(), failed.clone(), lines.len() as u64);
            let streams = streams(lines, &instance);
            // A panic is counted by whoever watches tasks; lines are not worth a word about themselves.
            let _ended = spawn_blocking(move || store(&gate, streams, count, &stored, &failed)).await;
        }
    });
}

fn store(gate: &Gate, streams: Vec<StreamEntries>, count: u64, stored: &Counter, failed: &Counter) {
    let mut batch = Batch::new(Origin::new("own_log"));
    batch.logs = streams;
    STORING.set(true);
    let outcome = gate.write(batch);
    STORING.set(false);
    let lost = outcome.map_or(count, |written| written.logs.rejected_total());
    stored.add(count.saturating_sub(lost));
    failed.add(lost);
}

/// One stream for each level.
fn streams(lines: Vec<Line>, instance: &str) -> Vec<StreamEntries> {
    let mut streams: Vec<StreamEntries> = Vec::new();
    for Line { at, level, text, ids } in lines {
        let labels = Labels::from_pairs([("job", NAME), ("service_name", NAME), ("instance", instance), ("level", level.as_str())]);
        let entry = LogEntry { time: Nanos(at.millis().saturating_mul(1_000_000)), line: text.into(), metadata: Labels::from_pairs(ids) };
        match streams.iter_mut().find(|stream| stream.labels == labels) {
            Some(stream) => stream.entries.push(entry),
            None => streams.push(StreamEntries { labels, entries: vec![entry] }),
        }
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severe_lines_wait_with_their_ids_and_no_more_than_may() {
        let log = OwnLog::new(Level::WARN);
        assert!(log.wants(Level::ERROR) && log.wants(Level::WARN) && !log.wants(Level::INFO));
        for n in 0..WAITING_MAX + 3 {
            log.take(Timestamp(n as i64), if n % 2 == 0 { Level::WARN } else { Level::ERROR }, "ä\n", vec![("trace_id", format!("{n:x}"))]);
        }
        assert_eq!(log.full.load(Ordering::Relaxed), 3);
        let streams = streams(log.all(), "pi");
        assert_eq!(streams.iter().map(|s| s.entries.len()).collect::<Vec<_>>(), [WAITING_MAX / 2; 2]);
        assert_eq!(streams[0].labels.to_string(), r#"{instance="pi", job="watchfire", level="WARN", service_name="watchfire"}"#);
        assert_eq!((&*streams[1].entries[0].line, streams[1].entries[0].metadata.get("trace_id")), ("ä", Some("1")));
        assert!(log.all().is_empty());
    }

    #[test]
    fn what_is_said_while_lines_are_stored_is_not_kept() {
        let log = OwnLog::new(Level::TRACE);
        STORING.set(true);
        assert!(!log.wants(Level::ERROR));
        STORING.set(false);
        assert!(log.wants(Level::ERROR));
    }

    #[test]
    fn a_long_line_loses_its_end_between_characters() {
        let log = OwnLog::new(Level::INFO);
        log.take(Timestamp(0), Level::INFO, &"ä".repeat(LINE_BYTES_MAX), Vec::new());
        assert_eq!(log.all()[0].text.len(), LINE_BYTES_MAX);
        log.take(Timestamp(0), Level::INFO, &format!("x{}", "ä".repeat(LINE_BYTES_MAX)), Vec::new());
        assert_eq!(log.all()[0].text.len(), LINE_BYTES_MAX - 1);
    }
}
