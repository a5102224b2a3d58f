//! Tests of syslog: lines in their forms, the bound of what waits, storing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Sink, Written};

use super::*;
use crate::gate::Limits;
use crate::waiting::{BATCH_ENTRIES, BYTES_MAX, ENTRIES_MAX};

const NOW: i64 = 1_767_089_700_000_000_000;

fn check(line: &str, expected: &str) {
    let (labels, entry) = line::read(line, Nanos(NOW));
    let shown = format!("{labels} {} {:?} {}", entry.time.0 - NOW, entry.line, entry.metadata);
    assert_eq!(shown, expected, "{line}");
}

#[test]
fn lines_of_rfc_5424() {
    check(
        "<34>1 2025-12-30T10:15:00.000000001Z mymachine su 77 ID47 - 'su root' failed",
        r#"{app="su", facility="auth", host="mymachine", job="syslog", level="critical"} 1 "'su root' failed" {msgid="ID47", pid="77"}"#,
    );
    check(
        "<165>1 2025-12-30T11:15:00+01:00 h evntslog - - [exampleSDID@32473 iut=\"3\" name=\"a \\\"b\\\" \\]\"][x y=\"z\"] \u{feff}text",
        r#"{app="evntslog", facility="local4", host="h", job="syslog", level="notice"} 0 "text" {exampleSDID_iut="3", exampleSDID_name="a \"b\" ]", x_y="z"}"#,
    );
    check("<0>1 - - - - - -", r#"{facility="kern", job="syslog", level="emergency"} 0 "" {}"#);
    check("12 <14>1 - h a - - - counted", r#"{app="a", facility="user", host="h", job="syslog", level="info"} 0 "counted" {}"#);
    check("<14>1 - h a - - [broken x=\"y text", r#"{app="a", facility="user", host="h", job="syslog", level="info"} 0 "[broken x=\"y text" {}"#);
}

#[test]
fn lines_of_rfc_3164_and_what_calls_itself_so() {
    check(
        "<13>Jan  2 15:04:05 host1 cron[4711]: (root) CMD (x)",
        r#"{app="cron", facility="user", host="host1", job="syslog", level="notice"} 0 "(root) CMD (x)" {pid="4711"}"#,
    );
    check("<13>Oct 11 22:14:15 h su: text: more", r#"{app="su", facility="user", host="h", job="syslog", level="notice"} 0 "text: more" {}"#);
    check("<13>2025-12-30T10:15:00.000000002Z h app: x", r#"{app="app", facility="user", host="h", job="syslog", level="notice"} 2 "x" {}"#);
    check("<13>no head at all", r#"{facility="user", job="syslog", level="notice"} 0 "no head at all" {}"#);
    check("<999>x", r#"{job="syslog"} 0 "<999>x" {}"#);
    check("plain", r#"{job="syslog"} 0 "plain" {}"#);
}

/// Refuses everything while it is told to.
#[derive(Default)]
struct Kept {
    lines: Mutex<Vec<String>>,
    closed: Mutex<bool>,
    /// The entries of the largest batch, taken or not.
    largest: AtomicUsize,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.largest.fetch_max(batch.logs.iter().map(|s| s.entries.len()).sum(), Ordering::Relaxed);
        if *self.closed.lock().unwrap() {
            return Err(WriteError::Busy("test".to_owned()));
        }
        let mut lines = self.lines.lock().unwrap();
        let before = lines.len();
        lines.extend(batch.logs.iter().flat_map(|s| &s.entries).map(|e| e.line.to_string()));
        Ok(Written { logs: LogsWritten { stored: (lines.len() - before) as u64, ..LogsWritten::default() }, ..Written::default() })
    }
}

fn receiver() -> (Syslog, Arc<Kept>, Meter) {
    let (kept, meter, clock) = (Arc::new(Kept::default()), Meter::new(), ManualClock::new(Timestamp(NOW / 1_000_000)));
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, Limits::default()));
    (Syslog::new(gate, clock, &meter), kept, meter)
}

#[test]
fn what_cannot_be_stored_waits_in_order_and_within_bounds() {
    let (syslog, kept, meter) = receiver();
    *kept.closed.lock().unwrap() = true;
    syslog.take(b"<13>one\n<13>two\r\n\n");
    assert!(syslog.flush().is_err());
    syslog.take(b"<13>three");
    *kept.closed.lock().unwrap() = false;
    syslog.flush().unwrap();
    syslog.flush().unwrap();
    assert_eq!(*kept.lines.lock().unwrap(), ["one", "two", "three"]);
    syslog.take("<13>x\n".repeat(ENTRIES_MAX + 3).as_bytes());
    syslog.flush().unwrap();
    assert_eq!(kept.lines.lock().unwrap().len(), 3 + ENTRIES_MAX);
    let sum = |name: &str| meter.gather().iter().find(|f| *f.name == *name).unwrap().points.iter().map(|(_, v)| *v as u64).sum::<u64>();
    assert_eq!((sum("watchfire_syslog_lines_dropped_total"), sum("watchfire_ingest_log_entries_rejected_total")), (3, 3));
}

#[test]
fn labels_count_among_what_waits() {
    let (syslog, kept, _) = receiver();
    let host = "h".repeat(1_000);
    (0..30_000).for_each(|i| syslog.take(format!("<13>1 - {host}{i} - - - - x").as_bytes()));
    let fits = BYTES_MAX / 1_000;
    syslog.flush().unwrap();
    let stored = std::mem::take(&mut *kept.lines.lock().unwrap()).len();
    assert!((fits / 2..=fits).contains(&stored), "{stored}");
    // The room is there again, and the labels of a stream that is known take none.
    let same: Vec<u8> = format!("<13>1 - {host} - - - - x\n").into_bytes().repeat(30_000);
    syslog.take(&same);
    syslog.flush().unwrap();
    assert_eq!(kept.lines.lock().unwrap().len(), 30_000);
    assert_eq!(syslog.queue.size(), (0, 0));
}

#[test]
fn an_attempt_to_store_copies_one_batch_however_much_waits() {
    let (syslog, kept, _) = receiver();
    let lines = |from: usize, to: usize| (from..to).map(|i| format!("<13>1 - h{} - - - - {i}\n", i % 3)).collect::<String>();
    *kept.closed.lock().unwrap() = true;
    syslog.take(lines(0, 20_000).as_bytes());
    for _ in 0..3 {
        assert!(syslog.flush().is_err());
    }
    syslog.take(lines(20_000, 30_000).as_bytes());
    assert!(syslog.flush().is_err());
    assert_eq!(kept.largest.load(Ordering::Relaxed), BATCH_ENTRIES);
    *kept.closed.lock().unwrap() = false;
    syslog.flush().unwrap();
    let stored: Vec<usize> = kept.lines.lock().unwrap().iter().map(|l| l.parse().unwrap()).collect();
    assert_eq!(stored.len(), 30_000);
    for stream in 0..3 {
        assert!(stored.iter().filter(|i| *i % 3 == stream).is_sorted(), "the lines of a stream keep their order");
    }
    assert_eq!(syslog.queue.size(), (0, 0));
}

proptest! {
    #[test]
    fn any_line_is_an_entry(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "<[0-9]{1,3}>1? ?[\\[\\]\" =\\\\a-z@:0-9-]{0,60}") {
        let (syslog, kept, _) = receiver();
        syslog.take(&bytes);
        syslog.take(text.as_bytes());
        syslog.flush().unwrap();
        let sent = String::from_utf8_lossy(&bytes).split('\n').chain([text.as_str()]).filter(|l| !l.trim_end_matches(|c: char| c.is_whitespace() || c == '\0').is_empty()).count();
        prop_assert_eq!(kept.lines.lock().unwrap().len(), sent);
    }
}
