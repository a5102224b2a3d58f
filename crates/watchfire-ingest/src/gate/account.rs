//! The books of the gate: counters per kind of origin and per reason. Kinds are few and fixed, so that the books stay small.

use watchfire_model::meter::{Counter, Meter};
use watchfire_model::write::{LogsWritten, Reason, WriteError, Written};

/// The kinds of origins that are counted apart.
const KINDS: [&str; 20] = [
    "scrape",
    "remote_write",
    "record",
    "self",
    "host",
    "gpu",
    "rule",
    "otlp",
    "pushgateway",
    "influx",
    "statsd",
    "loki",
    "elasticsearch",
    "beats",
    "syslog",
    "gelf",
    "lines",
    "files",
    "journal",
    "other",
];
/// Why a sink turns away a whole batch.
const ERRORS: [&str; 4] = ["full", "busy", "failed", "closed"];

/// The kind of an origin: what stands before the first slash of its name, or `other`.
pub fn origin_kind(origin: &str) -> &'static str {
    let word = origin.split('/').next().unwrap_or("");
    KINDS.into_iter().find(|kind| *kind == word).unwrap_or("other")
}

struct Kind {
    received: Counter,
    stored: Counter,
    duplicates: Counter,
    exemplars_received: Counter,
    exemplars_stored: Counter,
    entries_received: Counter,
    entries_stored: Counter,
    entries_duplicate: Counter,
    log_bytes: Counter,
}

/// The counters of one gate.
pub(super) struct Account {
    kinds: [Kind; KINDS.len()],
    rejected: [Counter; Reason::ALL.len()],
    entries_rejected: [Counter; Reason::ALL.len()],
    entries_truncated: Counter,
    errors: [(Counter, Counter, Counter); ERRORS.len()],
}
impl Account {
    pub(super) fn new(meter: &Meter) -> Account {
        let per_kind = |kind| {
            let labels = [("origin_kind", kind)];
            Kind {
                received: meter.counter("watchfire_ingest_samples_received_total", "Samples that were judged, whatever became of them.", &labels),
                stored: meter.counter("watchfire_ingest_samples_stored_total", "Samples that were kept.", &labels),
                duplicates: meter.counter("watchfire_ingest_samples_duplicate_total", "Samples that were already there with the same value.", &labels),
                exemplars_received: meter.counter("watchfire_ingest_exemplars_received_total", "Exemplars that were judged, whatever became of them.", &labels),
                exemplars_stored: meter.counter(
                    "watchfire_ingest_exemplars_stored_total",
                    "Exemplars that are kept; the others were out of order or too large.",
                    &labels,
                ),
                entries_received: meter.counter(
                    "watchfire_ingest_log_entries_received_total",
                    "Log entries that were judged, whatever became of them.",
                    &labels,
                ),
                entries_stored: meter.counter("watchfire_ingest_log_entries_stored_total", "Log entries that were kept.", &labels),
                entries_duplicate: meter.counter(
                    "watchfire_ingest_log_entries_duplicate_total",
                    "Log entries that were already there with the same stream, time, line and metadata.",
                    &labels,
                ),
                log_bytes: meter.counter(
                    "watchfire_ingest_log_bytes_received_total",
                    "Bytes of lines and structured metadata of log entries that were judged.",
                    &labels,
                ),
            }
        };
        let per_error = |reason| {
            let labels = [("reason", reason)];
            (
                meter.counter("watchfire_ingest_batches_turned_away_total", "Batches of which nothing was taken, so that the sender still has them.", &labels),
                meter.counter("watchfire_ingest_samples_turned_away_total", "Samples in batches of which nothing was taken.", &labels),
                meter.counter("watchfire_ingest_log_entries_turned_away_total", "Log entries in batches of which nothing was taken.", &labels),
            )
        };
        let rejected =
            |reason: Reason| meter.counter("watchfire_ingest_samples_rejected_total", "Samples that were refused, by reason.", &[("reason", reason.name())]);
        let entries_rejected = |reason: Reason| {
            meter.counter("watchfire_ingest_log_entries_rejected_total", "Log entries that were refused, by reason.", &[("reason", reason.name())])
        };
        Account {
            kinds: KINDS.map(per_kind),
            rejected: Reason::ALL.map(rejected),
            entries_rejected: Reason::ALL.map(entries_rejected),
            entries_truncated: meter.counter(
                "watchfire_ingest_log_entries_truncated_total",
                "Log entries that were kept without the end of their line, which was too long.",
                &[],
            ),
            errors: ERRORS.map(per_error),
        }
    }

    /// Books a batch whose outcome is known.
    pub(super) fn settled(&self, kind: &str, received: u64, written: &Written) {
        if let Some((_, counters)) = KINDS.iter().zip(&self.kinds).find(|(k, _)| **k == kind) {
            counters.received.add(received);
            counters.stored.add(written.stored);
            counters.duplicates.add(written.duplicates);
        }
        for (reason, count) in &written.rejected {
            if let Some((_, counter)) = Reason::ALL.iter().zip(&self.rejected).find(|(r, _)| *r == reason) {
                counter.add(*count);
            }
        }
    }

    /// Books the log entries of a batch whose outcome is known.
    pub(super) fn logs_settled(&self, kind: &str, received: u64, bytes: u64, written: &LogsWritten) {
        if let Some((_, counters)) = KINDS.iter().zip(&self.kinds).find(|(k, _)| **k == kind) {
            counters.entries_received.add(received);
            counters.entries_stored.add(written.stored);
            counters.entries_duplicate.add(written.duplicates);
            counters.log_bytes.add(bytes);
        }
        self.entries_truncated.add(written.truncated);
        for (reason, count) in &written.rejected {
            if let Some((_, counter)) = Reason::ALL.iter().zip(&self.entries_rejected).find(|(r, _)| *r == reason) {
                counter.add(*count);
            }
        }
    }

    /// Books the exemplars of a batch whose outcome is known.
    pub(super) fn exemplars(&self, kind: &str, received: u64, stored: u64) {
        if let Some((_, counters)) = KINDS.iter().zip(&self.kinds).find(|(k, _)| **k == kind) {
            counters.exemplars_received.add(received);
            counters.exemplars_stored.add(stored);
        }
    }

    /// Books a batch of which nothing was taken.
    pub(super) fn turned_away(&self, error: &WriteError, samples: u64, log_entries: u64) {
        let word = match error {
            WriteError::Full(_) => "full",
            WriteError::Busy(_) => "busy",
            WriteError::Failed(_) => "failed",
            WriteError::Closed => "closed",
        };
        if let Some((_, (batches, lost, lost_entries))) = ERRORS.iter().zip(&self.errors).find(|(e, _)| **e == word) {
            batches.inc();
            lost.add(samples);
            lost_entries.add(log_entries);
        }
    }
}
