//! What one output counts about itself. Figures go when their output goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use watchfire_model::batch::MetricType;
use watchfire_model::meter::{Counter, Family};
use watchfire_model::time::Timestamp;

use super::Kind;
use super::target::Target;

/// The most reasons that are told apart: some are words of the other side.
const REASONS_MAX: usize = 50;

/// The figures of one output.
#[derive(Default)]
pub(super) struct Figures {
    /// Entries that are on the other side.
    pub(super) sent: Counter,
    /// Bytes of their lines.
    pub(super) bytes: Counter,
    /// Entries of attempts that are made again.
    pub(super) retried: Counter,
    /// Requests that did not go through.
    pub(super) failed: Counter,
    /// Bytes of the log that could not be read: nobody knows how many entries they were.
    pub(super) damaged_bytes: Counter,
    /// When the oldest entry that waits was read from the log, in milliseconds; zero when none waits.
    pub(super) waiting_since_ms: AtomicI64,
    dropped: Mutex<BTreeMap<String, u64>>,
}

impl Figures {
    pub(super) fn drop_entries(&self, reason: &str, count: u64) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = if dropped.contains_key(reason) || dropped.len() < REASONS_MAX { reason } else { "other" };
        *dropped.entry(reason.to_owned()).or_default() += count;
    }
}

/// An output whose figures are shown.
pub(super) struct Shown<'a> {
    pub(super) target: &'a Target,
    pub(super) behind_bytes: u64,
    pub(super) lost: u64,
}

/// All families about outputs of one kind.
pub(super) fn families(kind: Kind, outputs: &[Shown<'_>], now: Timestamp) -> Vec<Family> {
    let (prefix, items, what) = match kind {
        Kind::Logs => ("logs", "entries", "log entries"),
        Kind::Spans => ("traces", "spans", "spans"),
        Kind::Metrics => ("metrics", "points", "points of metrics"),
    };
    let family = |name: &str, kind: MetricType, help: &str, of: &dyn Fn(&Shown<'_>) -> f64| {
        let mut family = Family::new(&format!("watchfire_forward_{prefix}_{name}"), kind, help);
        for shown in outputs {
            family.point(&[("output", &shown.target.name), ("url", &shown.target.shown_url)], of(shown));
        }
        family
    };
    let counter = |name: &str, help: &str, of: &dyn Fn(&Figures) -> u64| family(name, MetricType::Counter, help, &|s| of(&s.target.figures) as f64);
    let lag = |s: &Shown<'_>| match s.target.figures.waiting_since_ms.load(Ordering::Relaxed) {
        0 => 0.0,
        since => now.millis().saturating_sub(since).max(0) as f64 / 1000.0,
    };
    let damaged = format!("Bytes of the write-ahead log that could not be read, so that the {what} in them are not forwarded.");
    vec![
        counter(&format!("sent_{items}_total"), &format!("How many {what} other places have taken."), &|f| f.sent.get()),
        counter("sent_bytes_total", &format!("Bytes of the {what} that other places have taken."), &|f| f.bytes.get()),
        counter(&format!("retried_{items}_total"), &format!("How many {what} were in attempts that are made again."), &|f| f.retried.get()),
        counter("failed_requests_total", &format!("Requests with {what} that did not go through."), &|f| f.failed.get()),
        counter("damaged_bytes_total", &damaged, &|f| f.damaged_bytes.get()),
        family("buffered_bytes", MetricType::Gauge, "Bytes of the write-ahead log that wait for an output.", &|s| s.behind_bytes as f64),
        family("lag_seconds", MetricType::Gauge, &format!("How long the oldest {what} wait that were read to be sent."), &lag),
        dropped(&format!("watchfire_forward_{prefix}_dropped_{items}_total"), &format!("How many {what} will never be on the other side, by reason."), outputs),
    ]
}

fn dropped(name: &str, help: &str, outputs: &[Shown<'_>]) -> Family {
    let mut dropped = Family::new(name, MetricType::Counter, help);
    for shown in outputs {
        let of = |reason: &str| vec![("output", shown.target.name.clone()), ("url", shown.target.shown_url.clone()), ("reason", reason.to_owned())];
        let mut point = |reason: &str, count: u64| {
            let labels = of(reason);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            dropped.point(&labels, count as f64);
        };
        point("buffer_full", shown.lost);
        shown.target.figures.dropped.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|(reason, count)| point(reason, *count));
    }
    dropped
}
