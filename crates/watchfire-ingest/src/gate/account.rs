//! The books of the gate: counters per kind of origin and per reason. Kinds are few and fixed, so that the books stay small.

use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::meter::{Counter, Family, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{LogsWritten, Reason, WriteError, Written};

use super::origins::Origins;

/// The kinds of origins that are counted apart.
const KINDS: [&str; 23] = [
    "scrape",
    "remote_write",
    "record",
    "self",
    "host",
    "gpu",
    "rule",
    "spans",
    "otlp",
    "zipkin",
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
    "pyroscope",
    "other",
];
/// Why a sink turns away a whole batch.
const ERRORS: [&str; 5] = ["full", "busy", "failed", "closed", "rate_limited"];

/// The kind of an origin: what stands before the first slash of its name, or `other`.
pub fn origin_kind(origin: &str) -> &'static str {
    let word = origin.split('/').next().unwrap_or("");
    KINDS.into_iter().find(|kind| *kind == word).unwrap_or("other")
}

/// Tells at each gathering which origins send more series than they may.
pub(super) fn tell_over(meter: &Meter, origins: Arc<Origins>, clock: SharedClock) {
    meter.on_gather(move |out| {
        let (over, count) = origins.over(clock.monotonic());
        let help = "Sources of which series were refused in the last ten minutes because they have more than they may: storage.source_series_max, for all targets of a job half of storage.series_max.";
        out.push(Family::new("watchfire_ingest_sources_over_limit", MetricType::Gauge, help).with(&[], count as f64));
        let help = "Times that a series of a source was refused because it has too many; of sources of the last ten minutes.";
        let family = Family::new("watchfire_ingest_source_series_refused", MetricType::Gauge, help);
        out.push(over.iter().fold(family, |family, one| family.with(&[("source", &one.origin)], one.refused as f64)));
    });
}

struct Kind {
    received: Counter,
    stored: Counter,
    duplicates: Counter,
    exemplars_received: Counter,
    exemplars_stored: Counter,
    logs: EntryCounters,
    spans: EntryCounters,
    sampling: Counter,
    profiles: EntryCounters,
}

/// What became of the entries of one signal.
struct EntryCounters {
    received: Counter,
    stored: Counter,
    duplicates: Counter,
    bytes: Counter,
}

/// A signal whose items are entries, in the names and words of our own metrics.
struct Words {
    received: (&'static str, &'static str),
    stored: (&'static str, &'static str),
    duplicates: (&'static str, &'static str),
    bytes: (&'static str, &'static str),
    rejected: (&'static str, &'static str),
    turned_away: (&'static str, &'static str),
}

const LOGS: Words = Words {
    received: ("watchfire_ingest_log_entries_received_total", "Log entries that were judged, whatever became of them."),
    stored: ("watchfire_ingest_log_entries_stored_total", "Log entries that were kept."),
    duplicates: ("watchfire_ingest_log_entries_duplicate_total", "Log entries that were already there with the same stream, time, line and metadata."),
    bytes: ("watchfire_ingest_log_bytes_received_total", "Bytes of lines and structured metadata of log entries that were judged."),
    rejected: ("watchfire_ingest_log_entries_rejected_total", "Log entries that were refused, by reason."),
    turned_away: ("watchfire_ingest_log_entries_turned_away_total", "Log entries in batches of which nothing was taken."),
};
const SPANS: Words = Words {
    received: ("watchfire_ingest_spans_received_total", "Spans that were judged, whatever became of them."),
    stored: ("watchfire_ingest_spans_stored_total", "Spans that were kept."),
    duplicates: ("watchfire_ingest_spans_duplicate_total", "Spans that were already there."),
    bytes: ("watchfire_ingest_span_bytes_received_total", "Bytes of spans that were judged, without what they share."),
    rejected: ("watchfire_ingest_spans_rejected_total", "Spans that were refused, by reason."),
    turned_away: ("watchfire_ingest_spans_turned_away_total", "Spans in batches of which nothing was taken."),
};
const PROFILES: Words = Words {
    received: ("watchfire_ingest_profiles_received_total", "Profiles that were judged, one for each series and type, whatever became of them."),
    stored: ("watchfire_ingest_profiles_stored_total", "Profiles that were kept."),
    duplicates: ("watchfire_ingest_profiles_duplicate_total", "Profiles that were already there."),
    bytes: ("watchfire_ingest_profile_bytes_received_total", "Bytes of profiles that were judged, in the form in which they are kept."),
    rejected: ("watchfire_ingest_profiles_rejected_total", "Profiles that were refused, by reason."),
    turned_away: ("watchfire_ingest_profiles_turned_away_total", "Profiles in batches of which nothing was taken."),
};

impl EntryCounters {
    fn new(meter: &Meter, words: &Words, labels: &[(&'static str, &str)]) -> EntryCounters {
        let counter = |(name, help): (&'static str, &'static str)| meter.counter(name, help, labels);
        EntryCounters { received: counter(words.received), stored: counter(words.stored), duplicates: counter(words.duplicates), bytes: counter(words.bytes) }
    }
    fn settled(&self, received: u64, bytes: u64, written: &LogsWritten) {
        self.received.add(received);
        self.stored.add(written.stored);
        self.duplicates.add(written.duplicates);
        self.bytes.add(bytes);
    }
}

/// The counters of one gate.
pub(super) struct Account {
    kinds: [Kind; KINDS.len()],
    rejected: [Counter; Reason::ALL.len()],
    /// Those of logs, of spans and of profiles.
    entries_rejected: [[Counter; Reason::ALL.len()]; 3],
    entries_truncated: Counter,
    errors: [(Counter, Counter, [Counter; 3]); ERRORS.len()],
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
                logs: EntryCounters::new(meter, &LOGS, &labels),
                spans: EntryCounters::new(meter, &SPANS, &labels),
                sampling: meter.counter(
                    "watchfire_ingest_spans_sampling_total",
                    "Spans that sampling took over; what became of them is in the figures of sampling.",
                    &labels,
                ),
                profiles: EntryCounters::new(meter, &PROFILES, &labels),
            }
        };
        let per_error = |reason| {
            let labels = [("reason", reason)];
            (
                meter.counter("watchfire_ingest_batches_turned_away_total", "Batches of which nothing was taken, so that the sender still has them.", &labels),
                meter.counter("watchfire_ingest_samples_turned_away_total", "Samples in batches of which nothing was taken.", &labels),
                [LOGS, SPANS, PROFILES].map(|words| meter.counter(words.turned_away.0, words.turned_away.1, &labels)),
            )
        };
        let rejected =
            |reason: Reason| meter.counter("watchfire_ingest_samples_rejected_total", "Samples that were refused, by reason.", &[("reason", reason.name())]);
        let entries_rejected = |words: Words| {
            let (name, help) = words.rejected;
            Reason::ALL.map(|reason| meter.counter(name, help, &[("reason", reason.name())]))
        };
        Account {
            kinds: KINDS.map(per_kind),
            rejected: Reason::ALL.map(rejected),
            entries_rejected: [LOGS, SPANS, PROFILES].map(entries_rejected),
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
        if let Some(kind) = self.kind(kind) {
            kind.logs.settled(received, bytes, written);
        }
        self.entries_truncated.add(written.truncated);
        book_reasons(&self.entries_rejected[0], written);
    }

    /// Books the spans of a batch whose outcome is known.
    pub(super) fn spans_settled(&self, kind: &str, received: u64, bytes: u64, written: &LogsWritten) {
        if let Some(kind) = self.kind(kind) {
            kind.spans.settled(received, bytes, written);
            kind.sampling.add(written.sampling);
        }
        book_reasons(&self.entries_rejected[1], written);
    }

    /// Books the profiles of a batch whose outcome is known.
    pub(super) fn profiles_settled(&self, kind: &str, received: u64, bytes: u64, written: &LogsWritten) {
        if let Some(kind) = self.kind(kind) {
            kind.profiles.settled(received, bytes, written);
        }
        book_reasons(&self.entries_rejected[2], written);
    }

    fn kind(&self, name: &str) -> Option<&Kind> {
        KINDS.iter().zip(&self.kinds).find(|(kind, _)| **kind == name).map(|(_, kind)| kind)
    }

    /// Books the exemplars of a batch whose outcome is known.
    pub(super) fn exemplars(&self, kind: &str, received: u64, stored: u64) {
        if let Some((_, counters)) = KINDS.iter().zip(&self.kinds).find(|(k, _)| **k == kind) {
            counters.exemplars_received.add(received);
            counters.exemplars_stored.add(stored);
        }
    }

    /// Books a batch of which nothing was taken, with its samples, log entries, spans and profiles.
    pub(super) fn turned_away(&self, error: &WriteError, samples: u64, entries: [u64; 3]) {
        let word = match error {
            WriteError::Full(_) => "full",
            WriteError::Busy(_) => "busy",
            WriteError::Failed(_) => "failed",
            WriteError::Closed => "closed",
            WriteError::TooFast(_) => "rate_limited",
        };
        if let Some((_, (batches, lost, lost_entries))) = ERRORS.iter().zip(&self.errors).find(|(e, _)| **e == word) {
            batches.inc();
            lost.add(samples);
            lost_entries.iter().zip(entries).for_each(|(lost, entries)| lost.add(entries));
        }
    }
}

fn book_reasons(counters: &[Counter; Reason::ALL.len()], written: &LogsWritten) {
    for (reason, count) in &written.rejected {
        if let Some((_, counter)) = Reason::ALL.iter().zip(counters).find(|(r, _)| *r == reason) {
            counter.add(*count);
        }
    }
}
