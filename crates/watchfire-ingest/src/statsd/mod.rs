//! StatsD: lines of events add up to counters, gauges, histograms and sets in memory, which are stored at an interval. It
//! reads lines; sockets are somebody else's. The number of series is bounded; a silent one is forgotten and ends.

mod line;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::exposition::format_bound;
use crate::gate::Gate;

use line::{Event, Kind};

/// How often the sums are stored.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// The most series of events; one with a histogram is stored as many.
const SERIES_MAX: usize = 5_000;
/// The most different members that a set counts in one interval.
const MEMBERS_MAX: usize = 10_000;
/// Series without events for so long are forgotten.
const IDLE: Duration = Duration::from_secs(3600);

/// Bounds of timers, in seconds: those that Prometheus' clients use, and two for what takes long.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds of histograms and distributions, whose unit nobody says: 1, 2.5 and 5 at each power of ten.
const WIDE: [f64; 27] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5,
    2.5e5, 5e5,
];

/// What the events of one series came to.
enum Sum {
    Counter(f64),
    Gauge(f64),
    /// Members seen in this interval, as hashes.
    Set(HashSet<u64>),
    Histogram {
        bounds: &'static [f64],
        counts: Vec<f64>,
        count: f64,
        sum: f64,
    },
}
impl Sum {
    fn new(kind: Kind) -> Sum {
        let histogram = |bounds: &'static [f64]| Sum::Histogram { bounds, counts: vec![0.0; bounds.len()], count: 0.0, sum: 0.0 };
        match kind {
            Kind::Counter => Sum::Counter(0.0),
            Kind::Gauge | Kind::GaugeChange => Sum::Gauge(0.0),
            Kind::Set => Sum::Set(HashSet::new()),
            Kind::Timer => histogram(&SECONDS),
            Kind::Histogram => histogram(&WIDE),
        }
    }
    fn kind(&self) -> MetricType {
        match self {
            Sum::Counter(_) => MetricType::Counter,
            Sum::Gauge(_) | Sum::Set(_) => MetricType::Gauge,
            Sum::Histogram { .. } => MetricType::Histogram,
        }
    }
    /// Adds an event; false when it is of another kind.
    fn add(&mut self, event: &Event<'_>, value: f64) -> bool {
        match (self, event.kind) {
            // A sampled event stands for several.
            (Sum::Counter(total), Kind::Counter) => *total += value / event.rate,
            (Sum::Gauge(now), Kind::Gauge) => *now = value,
            (Sum::Gauge(now), Kind::GaugeChange) => *now += value,
            (Sum::Histogram { bounds, counts, count, sum }, Kind::Timer | Kind::Histogram) => {
                let value = if event.kind == Kind::Timer { value / 1000.0 } else { value };
                let weight = 1.0 / event.rate;
                if let Some(at) = bounds.iter().position(|bound| value <= *bound) {
                    counts[at] += weight;
                }
                *count += weight;
                *sum += value * weight;
            }
            _ => return false,
        }
        true
    }
}

struct Entry {
    sum: Sum,
    seen: Duration,
}

#[derive(Default)]
struct State {
    series: HashMap<Labels, Entry>,
    /// The type of each metric name: all series of one name have one.
    kinds: HashMap<String, MetricType>,
}

/// Takes StatsD lines. Share it in an `Arc`; every method may be called from any thread.
pub struct Statsd {
    gate: Arc<Gate>,
    clock: SharedClock,
    state: Mutex<State>,
    events: Counter,
    malformed: Counter,
    conflicting: Counter,
    full: Counter,
    unsupported: Counter,
    series: Gauge,
}

impl Statsd {
    /// A receiver that writes through the gate when it is told to flush.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Statsd {
        let dropped =
            |reason| meter.counter("watchfire_statsd_lines_dropped_total", "StatsD lines or values that count for nothing, by reason.", &[("reason", reason)]);
        Statsd {
            gate,
            clock,
            state: Mutex::default(),
            events: meter.counter("watchfire_statsd_events_total", "Values of StatsD lines that were added up.", &[]),
            malformed: dropped("malformed"),
            conflicting: dropped("conflicting_type"),
            full: dropped("series_limit"),
            unsupported: dropped("unsupported"),
            series: meter.gauge("watchfire_statsd_series", "Series of StatsD events in memory.", &[]),
        }
    }

    /// Takes a datagram or a piece of a stream: whole lines.
    pub fn take(&self, lines: &[u8]) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            if line.starts_with(b"_e{") || line.starts_with(b"_sc|") {
                self.unsupported.inc();
                continue;
            }
            match std::str::from_utf8(line).ok().and_then(line::parse) {
                Some(event) => self.add(&mut state, &event, now),
                None => self.malformed.inc(),
            }
        }
        self.series.set(state.series.len() as f64);
    }

    fn add(&self, state: &mut State, event: &Event<'_>, now: Duration) {
        let labels = event.labels();
        let name = labels.metric_name();
        if !state.series.contains_key(&labels) {
            let sum = Sum::new(event.kind);
            if state.kinds.get(name).is_some_and(|kind| *kind != sum.kind()) {
                self.conflicting.inc();
                return;
            }
            if state.series.len() >= SERIES_MAX {
                self.full.inc();
                return;
            }
            state.kinds.insert(name.to_owned(), sum.kind());
            state.series.insert(labels.clone(), Entry { sum, seen: now });
        }
        let Some(entry) = state.series.get_mut(&labels) else { return };
        entry.seen = now;
        for text in event.values() {
            if let (Sum::Set(members), Kind::Set) = (&mut entry.sum, event.kind) {
                if members.len() < MEMBERS_MAX {
                    members.insert(Labels::from_pairs([("member", text)]).hash_value());
                }
                self.events.inc();
                continue;
            }
            match text.parse::<f64>().ok().filter(|v| v.is_finite()) {
                Some(value) if entry.sum.add(event, value) => self.events.inc(),
                Some(_) => self.conflicting.inc(),
                None => self.malformed.inc(),
            }
        }
    }

    /// Stores the sums. Sets begin anew; series that were silent for long end.
    pub fn flush(&self) -> Result<Written, WriteError> {
        let (time, now) = (self.clock.now(), self.clock.monotonic());
        let mut batch = Batch::new(Origin::new("statsd"));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut push = |labels: Labels, value: f64| batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value }) });
        state.series.retain(|labels, entry| {
            let idle = now.saturating_sub(entry.seen) > IDLE;
            for (labels, value) in points(labels, &entry.sum) {
                push(labels, if idle { stale_nan() } else { value });
            }
            if let Sum::Set(members) = &mut entry.sum {
                members.clear();
            }
            !idle
        });
        let State { series, kinds } = &mut *state;
        let names: HashSet<&str> = series.keys().map(Labels::metric_name).collect();
        kinds.retain(|name, _| names.contains(name.as_str()));
        drop(names);
        let metadata = kinds.iter().map(|(name, kind)| Metadata { family: name.as_str().into(), kind: *kind, help: "".into(), unit: "".into() });
        batch.metadata = metadata.collect();
        self.series.set(series.len() as f64);
        drop(state);
        if batch.is_empty() { Ok(Written::default()) } else { self.gate.write(batch) }
    }

    /// Counts lines that never came here whole: too long, or from somebody who may not send.
    pub fn dropped(&self, lines: u64) {
        let mut refused = Written::default();
        refused.reject(Reason::InvalidValue, lines);
        self.malformed.add(lines);
        self.gate.book_refused(&Origin::new("statsd"), &refused);
    }
}

/// The samples of one series.
fn points(labels: &Labels, sum: &Sum) -> Vec<(Labels, f64)> {
    match sum {
        Sum::Counter(value) | Sum::Gauge(value) => vec![(labels.clone(), *value)],
        Sum::Set(members) => vec![(labels.clone(), members.len() as f64)],
        Sum::Histogram { bounds, counts, count, sum } => {
            let part = |suffix: &str| labels.with(METRIC_NAME, &format!("{}{suffix}", labels.metric_name()));
            let mut below = 0.0;
            let mut all = Vec::with_capacity(bounds.len() + 3);
            let bucket = part("_bucket");
            for (bound, here) in bounds.iter().zip(counts) {
                below += here;
                all.push((bucket.with("le", &format_bound(*bound)), below));
            }
            all.extend([(bucket.with("le", "+Inf"), *count), (part("_sum"), *sum), (part("_count"), *count)]);
            all
        }
    }
}
