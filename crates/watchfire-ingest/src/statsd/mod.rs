//! StatsD: lines of events add up to counters, gauges, histograms and sets in memory, which are stored at an interval. It
//! reads lines; sockets are somebody else's. The number of series is bounded; a silent one is forgotten and ends.

mod line;
mod sum;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;

use line::Event;
use sum::{Refused, Sum};

/// How often the sums are stored.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// The most series of events; one with a histogram is stored as many.
const SERIES_MAX: usize = 5_000;
/// The most bytes that the labels of all series may have together.
const LABEL_BYTES_MAX: usize = 32 << 20;
/// Series without events for so long are forgotten.
const IDLE: Duration = Duration::from_secs(3600);

struct Entry {
    sum: Sum,
    seen: Duration,
}

#[derive(Default)]
struct State {
    series: HashMap<Labels, Entry>,
    /// The type of each metric name: all series of one name have one.
    kinds: HashMap<String, MetricType>,
    label_bytes: usize,
}

impl State {
    /// Forgets series whose end is stored, but for those that got events in the meantime.
    fn forget<'a>(&mut self, ended: impl Iterator<Item = &'a (Labels, Entry)>) {
        let before = self.series.len();
        for (labels, entry) in ended {
            if self.series.get(labels).is_some_and(|now| now.seen == entry.seen) {
                self.series.remove(labels);
                self.label_bytes -= labels.memory();
            }
        }
        if self.series.len() < before {
            let names: HashSet<&str> = self.series.keys().map(Labels::metric_name).collect();
            self.kinds.retain(|name, _| names.contains(name.as_str()));
        }
    }
    /// Takes back what could not be stored.
    fn put_back(&mut self, taken: Vec<(Labels, Entry)>) {
        for (labels, before) in taken {
            if let Some(entry) = self.series.get_mut(&labels) {
                entry.sum.put_back(before.sum);
            }
        }
    }
}

/// Whether a series had no events for so long that it ends.
fn is_idle(entry: &Entry, now: Duration) -> bool {
    now.saturating_sub(entry.seen) > IDLE
}

/// Lines or values that count for nothing, by reason.
struct Dropped {
    malformed: Counter,
    conflicting: Counter,
    series_limit: Counter,
    label_limit: Counter,
    unsupported: Counter,
    negative_counter: Counter,
    sample_rate: Counter,
    overflow: Counter,
    member_limit: Counter,
}
impl Dropped {
    fn new(meter: &Meter) -> Dropped {
        let of =
            |reason| meter.counter("watchfire_statsd_lines_dropped_total", "StatsD lines or values that count for nothing, by reason.", &[("reason", reason)]);
        Dropped {
            malformed: of("malformed"),
            conflicting: of("conflicting_type"),
            series_limit: of("series_limit"),
            label_limit: of("label_limit"),
            unsupported: of("unsupported"),
            negative_counter: of("negative_counter"),
            sample_rate: of("sample_rate"),
            overflow: of("overflow"),
            member_limit: of("member_limit"),
        }
    }
    fn count(&self, refused: Refused) {
        let counter = match refused {
            Refused::Malformed => &self.malformed,
            Refused::Conflicting => &self.conflicting,
            Refused::NegativeCounter => &self.negative_counter,
            Refused::SampleRate => &self.sample_rate,
            Refused::Overflow => &self.overflow,
            Refused::MemberLimit => &self.member_limit,
        };
        counter.inc();
    }
}

/// Takes StatsD lines. Share it in an `Arc`; every method may be called from any thread. The state is locked to add a few
/// lines or to copy the sums, never while something is stored, so that [`take`](Statsd::take) suits asynchronous threads.
pub struct Statsd {
    gate: Arc<Gate>,
    clock: SharedClock,
    state: Mutex<State>,
    /// Held by whoever stores, because what cannot be stored goes back.
    storing: Mutex<()>,
    events: Counter,
    dropped: Dropped,
    series: Gauge,
}

impl Statsd {
    /// A receiver that writes through the gate when it is told to flush.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Statsd {
        Statsd {
            gate,
            clock,
            state: Mutex::default(),
            storing: Mutex::default(),
            events: meter.counter("watchfire_statsd_events_total", "Values of StatsD lines that were added up.", &[]),
            dropped: Dropped::new(meter),
            series: meter.gauge("watchfire_statsd_series", "Series of StatsD events in memory.", &[]),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a datagram or a piece of a stream: whole lines.
    pub fn take(&self, lines: &[u8]) {
        let now = self.clock.monotonic();
        let events: Vec<(Labels, Event<'_>)> = lines.split(|byte| *byte == b'\n').filter_map(|line| self.read(line.trim_ascii())).collect();
        if events.is_empty() {
            return;
        }
        let mut state = self.state();
        for (labels, event) in events {
            self.add(&mut state, labels, &event, now);
        }
        self.series.set(state.series.len() as f64);
    }

    /// Reads a line; one that cannot be taken is counted.
    fn read<'a>(&self, line: &'a [u8]) -> Option<(Labels, Event<'a>)> {
        if line.is_empty() {
            return None;
        }
        if line.starts_with(b"_e{") || line.starts_with(b"_sc|") {
            self.dropped.unsupported.inc();
            return None;
        }
        let Some(event) = std::str::from_utf8(line).ok().and_then(line::parse) else {
            self.dropped.malformed.inc();
            return None;
        };
        let labels = event.labels();
        if self.gate.check_labels(&labels).is_err() {
            self.dropped.label_limit.inc();
            return None;
        }
        Some((labels, event))
    }

    fn add(&self, state: &mut State, labels: Labels, event: &Event<'_>, now: Duration) {
        if let Some(entry) = state.series.get_mut(&labels) {
            if self.add_values(&mut entry.sum, event) {
                entry.seen = now;
            }
            return;
        }
        let mut sum = Sum::new(event.kind);
        let name = labels.metric_name();
        if state.kinds.get(name).is_some_and(|kind| *kind != sum.kind()) {
            self.dropped.conflicting.inc();
            return;
        }
        if state.series.len() >= SERIES_MAX || state.label_bytes + labels.memory() > LABEL_BYTES_MAX {
            self.dropped.series_limit.inc();
            return;
        }
        // A series begins with its first good value.
        if self.add_values(&mut sum, event) {
            state.kinds.insert(name.to_owned(), sum.kind());
            state.label_bytes += labels.memory();
            state.series.insert(labels, Entry { sum, seen: now });
        }
    }

    /// Adds the values of an event; whether any was good.
    fn add_values(&self, sum: &mut Sum, event: &Event<'_>) -> bool {
        let mut good = false;
        for text in event.values() {
            match sum.add(event, text) {
                Ok(()) => {
                    self.events.inc();
                    good = true;
                }
                Err(refused) => self.dropped.count(refused),
            }
        }
        good
    }

    /// Stores the sums. Sets begin anew; series that were silent for long end. What the gate does not take stays here for the
    /// next time, the members of sets and the ends of series too.
    pub fn flush(&self) -> Result<Written, WriteError> {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, now) = (self.clock.now(), self.clock.monotonic());
        let (taken, kinds) = self.taken();
        let mut batch = Batch::new(Origin::new("statsd"));
        batch.metadata = kinds;
        for (labels, entry) in &taken {
            let ended = is_idle(entry, now);
            for (labels, value) in entry.sum.points(labels) {
                let value = if ended { stale_nan() } else { value };
                batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value }) });
            }
        }
        let outcome = if batch.is_empty() { Ok(Written::default()) } else { self.gate.write(batch) };
        let mut state = self.state();
        match outcome {
            Ok(_) => state.forget(taken.iter().filter(|(_, entry)| is_idle(entry, now))),
            Err(_) => state.put_back(taken),
        }
        self.series.set(state.series.len() as f64);
        outcome
    }

    /// A copy of everything that is to be stored, and the types.
    fn taken(&self) -> (Vec<(Labels, Entry)>, Vec<Metadata>) {
        let mut state = self.state();
        let taken = state.series.iter_mut().map(|(labels, entry)| (labels.clone(), Entry { sum: entry.sum.take(), seen: entry.seen })).collect();
        let kinds = state.kinds.iter().map(|(name, kind)| Metadata { family: name.as_str().into(), kind: *kind, help: "".into(), unit: "".into() });
        (taken, kinds.collect())
    }

    /// Counts lines that never came here whole: too long, or from somebody who may not send.
    pub fn dropped(&self, lines: u64) {
        let mut refused = Written::default();
        refused.reject(Reason::InvalidValue, lines);
        self.dropped.malformed.add(lines);
        self.gate.book_refused(&Origin::new("statsd"), &refused);
    }
}
