//! What one target counts about itself, under the names that Prometheus gives to it. Figures go when their target goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::MetricType;
use watchfire_model::meter::{Counter, Family, Gauge};

use crate::wire::{Item, Value};

/// What can be sent; the words stand in the names of metrics.
pub(super) const KINDS: [&str; 3] = ["samples", "histograms", "exemplars"];

fn kind_of(value: &Value) -> usize {
    match value {
        Value::Float(_) => 0,
        Value::Histogram(_) => 1,
        Value::Exemplar(_) => 2,
    }
}

/// How many items of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) [u64; 3]);

impl Counts {
    pub(super) fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Counts {
        let mut counts = Counts::default();
        for item in items {
            counts.0[kind_of(&item.value)] += 1;
        }
        counts
    }
    pub(super) fn minus(self, other: Counts) -> Counts {
        Counts(std::array::from_fn(|kind| self.0[kind].saturating_sub(other.0[kind])))
    }
    pub(super) fn total(self) -> u64 {
        self.0.iter().sum()
    }
}

/// Counters by kind.
#[derive(Default)]
pub(super) struct ByKind([Counter; 3]);

impl ByKind {
    pub(super) fn add(&self, counts: Counts) {
        for (counter, n) in self.0.iter().zip(counts.0) {
            counter.add(n);
        }
    }
}

/// Why an item will never be on the other side. The first four are Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    /// Relabelling dropped its series.
    Series,
    /// The definition of its series is lost.
    Unknown,
    /// It is older than `sample_age_limit`.
    TooOld,
    /// A histogram with its own bounds, which version 1 of the protocol cannot carry.
    CustomBounds,
}

impl Dropped {
    fn reason(self) -> &'static str {
        match self {
            Dropped::Series => "dropped_series",
            Dropped::Unknown => "unintentionally_dropped_series",
            Dropped::TooOld => "too_old",
            Dropped::CustomBounds => "nhcb_in_rw1",
        }
    }
}

/// The figures of one target.
#[derive(Default)]
pub(super) struct Figures {
    /// Items of every attempt, those of attempts that failed included.
    pub(super) sent: ByKind,
    /// Items that the other side refused for good.
    pub(super) failed: ByKind,
    /// Items of attempts that are made again.
    pub(super) retried: ByKind,
    pub(super) metadata_sent: Counter,
    pub(super) metadata_failed: Counter,
    pub(super) metadata_retried: Counter,
    pub(super) bytes: Counter,
    pub(super) metadata_bytes: Counter,
    pub(super) pending: [Gauge; 3],
    pub(super) shards: AtomicUsize,
    pub(super) shards_desired: Gauge,
    pub(super) highest_sent_ms: AtomicI64,
    pub(super) highest_read_ms: AtomicI64,
    /// Bytes of the log that could not be read: nobody knows how many items they were.
    pub(super) damaged_bytes: Counter,
    /// Items that were taken from the log, kept ones and dropped ones.
    pub(super) read: Counter,
    /// Items that are on the other side or refused.
    pub(super) settled: Counter,
    pub(super) sending_us: AtomicU64,
    dropped: Mutex<BTreeMap<(Dropped, usize), u64>>,
    refused: Mutex<BTreeMap<u16, u64>>,
}

impl Figures {
    pub(super) fn drop_items(&self, reason: Dropped, counts: Counts) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, n) in counts.0.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            *dropped.entry((reason, kind)).or_default() += n;
        }
    }
    pub(super) fn dropped_total(&self) -> u64 {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
    pub(super) fn refuse(&self, status: u16, counts: Counts) {
        self.failed.add(counts);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += counts.total();
    }
    pub(super) fn add_pending(&self, counts: Counts, sign: f64) {
        for (gauge, n) in self.pending.iter().zip(counts.0) {
            gauge.add(sign * n as f64);
        }
    }
    pub(super) fn spend(&self, time: Duration) {
        self.sending_us.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
    pub(super) fn note_sent(&self, items: &[Item]) {
        if let Some(highest) = items.iter().map(|i| i.value.time_ms()).max() {
            self.highest_sent_ms.fetch_max(highest, Ordering::Relaxed);
        }
    }
}

/// A target whose figures are shown.
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) figures: &'a Figures,
    pub(super) queue: &'a watchfire_collect::scrape::config::RemoteQueue,
    pub(super) behind_bytes: u64,
    pub(super) lost_samples: u64,
}

/// All families about remote write.
pub(super) fn families(targets: &[Shown<'_>]) -> Vec<Family> {
    let mut out = Vec::new();
    for (kind, word) in KINDS.into_iter().enumerate() {
        let name = |end: &str| format!("prometheus_remote_storage_{word}_{end}");
        let by_kind = |help: String, end: &str, of: &dyn Fn(&Figures) -> u64| family(targets, &name(end), MetricType::Counter, &help, |t| of(t.figures) as f64);
        out.push(by_kind(format!("Total number of {word} sent to remote storage."), "total", &|f| f.sent.0[kind].get()));
        out.push(by_kind(format!("Total number of {word} which failed on send to remote storage, non-recoverable errors."), "failed_total", &|f| {
            f.failed.0[kind].get()
        }));
        let help = format!("Total number of {word} which failed on send to remote storage but were retried because the send error was recoverable.");
        out.push(by_kind(help, "retried_total", &|f| f.retried.0[kind].get()));
        out.push(dropped(targets, kind, &name("dropped_total"), word));
        let help = format!("The number of {word} pending in the queues shards to be sent to the remote storage.");
        out.push(family(targets, &name("pending"), MetricType::Gauge, &help, |t| t.figures.pending[kind].get()));
    }
    let counter = |name: &str, help: &str, of: &dyn Fn(&Figures) -> u64| {
        family(targets, &format!("prometheus_remote_storage_{name}"), MetricType::Counter, help, |t| of(t.figures) as f64)
    };
    out.push(counter("metadata_total", "Total number of metadata entries sent to remote storage.", &|f| f.metadata_sent.get()));
    let help = "Total number of metadata entries which failed on send to remote storage, non-recoverable errors.";
    out.push(counter("metadata_failed_total", help, &|f| f.metadata_failed.get()));
    let help = "Total number of metadata entries which failed on send to remote storage but were retried because the send error was recoverable.";
    out.push(counter("metadata_retried_total", help, &|f| f.metadata_retried.get()));
    let help = "The total number of bytes of data (not metadata) sent by the queue after compression.";
    out.push(counter("bytes_total", help, &|f| f.bytes.get()));
    out.push(counter("metadata_bytes_total", "The total number of bytes of metadata sent by the queue after compression.", &|f| f.metadata_bytes.get()));
    let gauge = |name: &str, help: &str, of: &dyn Fn(&Shown<'_>) -> f64| {
        family(targets, &format!("prometheus_remote_storage_{name}"), MetricType::Gauge, help, |t| of(t))
    };
    out.push(gauge("shards", "The number of shards used for parallel sending to the remote storage.", &|t| t.figures.shards.load(Ordering::Relaxed) as f64));
    out.push(gauge("shards_max", "The maximum number of shards that the queue is allowed to run.", &|t| t.queue.max_shards as f64));
    out.push(gauge("shards_min", "The minimum number of shards that the queue is allowed to run.", &|t| t.queue.min_shards as f64));
    let help = "The number of shards that the queues shard calculation wants to run based on the rate of samples in vs. samples out.";
    out.push(gauge("shards_desired", help, &|t| t.figures.shards_desired.get()));
    out.push(gauge("shard_capacity", "The capacity of each shard of the queue used for parallel sending to the remote storage.", &|t| t.queue.capacity as f64));
    let help = "The maximum number of samples to be sent, in a single request, to the remote storage.";
    out.push(gauge("max_samples_per_send", help, &|t| t.queue.max_samples_per_send as f64));
    let seconds = |ms: &AtomicI64| ms.load(Ordering::Relaxed) as f64 / 1000.0;
    let help = "Timestamp from a WAL sample, the highest timestamp successfully sent by this queue, in seconds since epoch.";
    out.push(gauge("queue_highest_sent_timestamp_seconds", help, &|t| seconds(&t.figures.highest_sent_ms)));
    let help = "Timestamp that was enqueued last, in seconds since epoch.";
    out.push(gauge("queue_highest_timestamp_seconds", help, &|t| seconds(&t.figures.highest_read_ms)));
    if let Some(highest) = targets.iter().map(|t| t.figures.highest_read_ms.load(Ordering::Relaxed)).max() {
        let help = "Highest timestamp that was read for remote storage, in seconds since epoch.";
        out.push(Family::new("prometheus_remote_storage_highest_timestamp_in_seconds", MetricType::Gauge, help).with(&[], highest as f64 / 1000.0));
    }
    out.push(family(targets, "watchfire_forward_buffered_bytes", MetricType::Gauge, "Bytes of the write-ahead log that wait to be forwarded.", |t| {
        t.behind_bytes as f64
    }));
    let help = "Samples that were given up before they were forwarded, because the log may not hold more for that.";
    out.push(family(targets, "watchfire_forward_lost_samples_total", MetricType::Counter, help, |t| t.lost_samples as f64));
    let help = "Bytes of the write-ahead log that could not be read, so that what was in them is not forwarded.";
    out.push(family(targets, "watchfire_forward_damaged_bytes_total", MetricType::Counter, help, |t| t.figures.damaged_bytes.get() as f64));
    out.push(refused(targets));
    out
}

fn family(targets: &[Shown<'_>], name: &str, kind: MetricType, help: &str, of: impl Fn(&Shown<'_>) -> f64) -> Family {
    let mut family = Family::new(name, kind, help);
    for target in targets {
        family.point(&[("remote_name", target.name), ("url", target.url)], of(target));
    }
    family
}

fn dropped(targets: &[Shown<'_>], kind: usize, name: &str, word: &str) -> Family {
    let help = format!(
        "Total number of {word} which were dropped after being read from the WAL before being sent via remote write, either via relabelling, due to being too old or unintentionally because of an unknown reference ID."
    );
    let mut family = Family::new(name, MetricType::Counter, &help);
    for target in targets {
        for ((reason, of), count) in target.figures.dropped.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if *of == kind {
                family.point(&[("remote_name", target.name), ("url", target.url), ("reason", reason.reason())], *count as f64);
            }
        }
    }
    family
}

fn refused(targets: &[Shown<'_>]) -> Family {
    let help = "Samples, histograms and exemplars that the other side refused for good, by the status of its answer.";
    let mut family = Family::new("watchfire_forward_refused_total", MetricType::Counter, help);
    for target in targets {
        for (status, count) in target.figures.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            family.point(&[("remote_name", target.name), ("url", target.url), ("status", &status.to_string())], *count as f64);
        }
    }
    family
}
