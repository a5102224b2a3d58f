//! The log entries of each batch, and what of them must be found.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, LogSelection, LogSource, Nanos, StreamEntries};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::Budget;
use watchfire_model::time::SystemClock;
use watchfire_store::Store;

use crate::oracle::{START, STEP};

/// An entry as it is compared: stream, time, line, metadata.
pub(crate) type Line = (Labels, i64, String, Labels);

fn stream(name: &str) -> Labels {
    Labels::from_pairs([("app", name)])
}

fn time_of(n: u64) -> i64 {
    (START + n as i64 * STEP) * 1_000_000
}

/// The entries of batch `n`.
pub(crate) fn entries(n: u64) -> Vec<Line> {
    let level = Labels::from_pairs([("detected_level", if n.is_multiple_of(3) { "info" } else { "warn" })]);
    let id = Labels::from_pairs([("trace_id", format!("{n:032x}"))]);
    let json = format!(r#"{{"level":"info","n":{n},"trace":"{:032x}"}}"#, u128::from(n).wrapping_mul(0x1234_5678_9abc_def0_1234_5679));
    let late = time_of(n) - 5_000_000_000 * i64::from(n % 4 == 3);
    vec![
        (stream("steady"), time_of(n), json, level),
        (stream(["a", "b", "c"][n as usize % 3]), late, format!("level=info msg=\"number {n}\""), Labels::empty()),
        (stream("steady"), time_of(n), format!("plain words {n}"), id),
        (stream("deleted"), time_of(n), format!("gone soon {n}"), Labels::empty()),
    ]
}

/// The same as they are sent.
pub(crate) fn streams(n: u64) -> Vec<StreamEntries> {
    let entry = |(labels, time, line, metadata): Line| StreamEntries { labels, entries: vec![LogEntry { time: Nanos(time), line: line.into(), metadata }] };
    entries(n).into_iter().map(entry).collect()
}

/// Deletes the entries of one stream before batch `kept`.
pub(crate) fn delete(store: &Store, kept: u64) -> std::io::Result<()> {
    let matchers = vec![Matcher::equal("app", "deleted")];
    store.delete_logs(&[matchers], Nanos::MIN, Nanos(time_of(kept)), None).map(|_| ())
}

/// Everything that is stored; an entry that is there twice is an error.
pub(crate) fn everything(store: &Store) -> Result<BTreeSet<Line>, String> {
    let mut all = BTreeSet::new();
    let mut twice = None;
    let selection = LogSelection::new(vec![], Nanos::MIN, Nanos::MAX);
    let read = store.select_logs(&selection, &Budget::unlimited(SystemClock::shared()), &mut |line| {
        let line = (line.labels.clone(), line.time.0, line.line.to_owned(), line.metadata.clone());
        if !all.insert(line.clone()) {
            twice = Some(line);
        }
        Ok(ControlFlow::Continue(()))
    });
    read.map_err(|e| e.to_string())?;
    twice.map_or(Ok(all), |line| Err(format!("doubled: {line:?}")))
}

/// Whether exactly the entries of the first `stored` batches are there, perhaps without those of the last one, when it is not
/// `required`. Of one stream, those before `gone` are deleted for good, and those before `perhaps` by a deletion that nobody has heard
/// of yet.
pub(crate) fn compare(mut found: BTreeSet<Line>, stored: u64, required: u64, gone: u64, perhaps: u64) -> Result<(), String> {
    let there = found.iter().filter(|(_, _, line, _)| line.starts_with("plain words ")).count() as u64;
    if there > stored || there + 1 < stored || there < required {
        return Err(format!("log entries of {there} batches are stored, {stored} batches, {required} required"));
    }
    for n in 0..there {
        for line in entries(n) {
            let deleted = line.0 == stream("deleted");
            match found.remove(&line) {
                true if deleted && n < gone => return Err(format!("not deleted: {line:?} of {stored} batches")),
                false if !(deleted && n < gone.max(perhaps)) => return Err(format!("lost: {line:?} of batch {n} of {stored}")),
                _ => {}
            }
        }
    }
    found.first().map_or(Ok(()), |line| Err(format!("invented, or of a batch that is there in part: {line:?}, {there} batches")))
}
