//! Our own meter: counters, gauges and histograms about ourselves, and `Family`, the form in which any set of metrics
//! (ours, a collector's, an exporter face's) is handed on to be stored or rendered. Not a catalog: names of other
//! programs' metrics come from packs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::MetricType;
use crate::labels::{Labels, METRIC_NAME};
use crate::order::Order as _;

/// A metric family with current values, ready to be rendered or stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The family's name (for counters, with `_total`).
    pub name: Arc<str>,
    /// Its type.
    pub kind: MetricType,
    /// Its help text.
    pub help: Arc<str>,
    /// Its unit, or the empty text.
    pub unit: Arc<str>,
    /// Its series with full names (`_bucket`, `_sum`, `_count` for histograms) and values.
    pub points: Vec<(Labels, f64)>,
}
impl Family {
    /// A family without points.
    pub fn new(name: &str, kind: MetricType, help: &str) -> Family {
        Family { name: name.into(), kind, help: help.into(), unit: "".into(), points: Vec::new() }
    }
    /// Adds the value of one series; the metric name is added to the labels.
    pub fn point(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let name = self.name.clone();
        self.points.push((Labels::from_pairs(labels.iter().copied().chain([(METRIC_NAME, &*name)])), value));
        self
    }
    /// The same in passing.
    pub fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        self.point(labels, value);
        self
    }
}

/// A count that only grows.
#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicU64>);
impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Adds some.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// The current count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);
impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
    /// Adds to the value (negative to subtract).
    pub fn add(&self, delta: f64) {
        let mut now = self.0.load(Ordering::Relaxed);
        while let Err(seen) = self.0.compare_exchange_weak(now, (f64::from_bits(now) + delta).to_bits(), Ordering::Relaxed, Ordering::Relaxed) {
            now = seen;
        }
    }
    /// The current value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Counts observations in buckets.
#[derive(Clone)]
pub struct Histogram(Arc<HistogramInner>);
struct HistogramInner {
    bounds: Vec<f64>,
    counts: Vec<AtomicU64>,
    sum: Gauge,
}
impl Histogram {
    /// A histogram with ascending upper bounds; `+Inf` is added.
    pub fn new(bounds: &[f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(HistogramInner { bounds: bounds.to_vec(), counts, sum: Gauge::default() }))
    }
    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let at = self.0.bounds.iter().position(|b| value <= *b).unwrap_or(self.0.bounds.len());
        self.0.counts[at].fetch_add(1, Ordering::Relaxed);
        self.0.sum.add(value);
    }
    fn points(&self, name: &str, labels: &Labels, out: &mut Vec<(Labels, f64)>) {
        let mut total = 0;
        for (i, count) in self.0.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let le = self.0.bounds.get(i).map_or_else(|| "+Inf".to_owned(), |b| format_le(*b));
            out.push((labels.with(METRIC_NAME, &format!("{name}_bucket")).with("le", &le), total as f64));
        }
        out.push((labels.with(METRIC_NAME, &format!("{name}_sum")), self.0.sum.get()));
        out.push((labels.with(METRIC_NAME, &format!("{name}_count")), total as f64));
    }
}

/// A bucket bound as it stands in the `le` label: shortest form, whole numbers with `.0` as OpenMetrics and the seeds' Python client write them.
pub fn format_le(bound: f64) -> String {
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let text = format!("{bound}");
    if text.contains('.') || text.contains('e') { text } else { format!("{text}.0") }
}

enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

struct Registered {
    kind: MetricType,
    help: &'static str,
    series: BTreeMap<Labels, Instrument>,
}

type Probe = Box<dyn Fn(&mut Vec<Family>) + Send + Sync>;

/// The registry. Cheap to clone; the same name and labels always give the same instrument.
#[derive(Clone, Default)]
pub struct Meter(Arc<MeterInner>);
#[derive(Default)]
struct MeterInner {
    families: Mutex<BTreeMap<&'static str, Registered>>,
    probes: Mutex<Vec<Probe>>,
}

impl Meter {
    /// An empty registry.
    pub fn new() -> Meter {
        Meter::default()
    }

    fn instrument<T: Clone>(
        &self,
        (name, help, kind): (&'static str, &'static str, MetricType),
        labels: &[(&str, &str)],
        make: impl FnOnce() -> Instrument,
        pick: impl Fn(&Instrument) -> Option<&T>,
    ) -> T {
        let mut families = self.0.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| Registered { kind, help, series: BTreeMap::new() });
        let instrument = family.series.entry(Labels::from_pairs(labels.iter().copied())).or_insert_with(make);
        pick(instrument).cloned().unwrap_or_else(|| panic!("BUG: metric {name} is registered with two types"))
    }
    /// A counter; its name ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        self.instrument(
            (name, help, MetricType::Counter),
            labels,
            || Instrument::Counter(Counter::default()),
            |i| match i {
                Instrument::Counter(c) => Some(c),
                _ => None,
            },
        )
    }
    /// A gauge.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        self.instrument(
            (name, help, MetricType::Gauge),
            labels,
            || Instrument::Gauge(Gauge::default()),
            |i| match i {
                Instrument::Gauge(g) => Some(g),
                _ => None,
            },
        )
    }
    /// A histogram with the given upper bounds.
    pub fn histogram(&self, name: &'static str, help: &'static str, bounds: &[f64], labels: &[(&str, &str)]) -> Histogram {
        self.instrument(
            (name, help, MetricType::Histogram),
            labels,
            || Instrument::Histogram(Histogram::new(bounds)),
            |i| match i {
                Instrument::Histogram(h) => Some(h),
                _ => None,
            },
        )
    }
    /// Adds families that are computed at each reading (sizes, ages, process figures).
    pub fn on_gather(&self, probe: impl Fn(&mut Vec<Family>) + Send + Sync + 'static) {
        self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(probe));
    }
    /// All families with current values, ascending by name.
    pub fn gather(&self) -> Vec<Family> {
        let mut out = Vec::new();
        for (name, registered) in self.0.families.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut family = Family::new(name, registered.kind, registered.help);
            for (labels, instrument) in &registered.series {
                match instrument {
                    Instrument::Counter(c) => family.points.push((labels.with(METRIC_NAME, name), c.get() as f64)),
                    Instrument::Gauge(g) => family.points.push((labels.with(METRIC_NAME, name), g.get())),
                    Instrument::Histogram(h) => h.points(name, labels, &mut family.points),
                }
            }
            out.push(family);
        }
        for probe in self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            probe(&mut out);
        }
        out.order_by(|a, b| a.name.cmp(&b.name));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn same_name_and_labels_give_the_same_instrument() {
        let meter = Meter::new();
        meter.counter("watchfire_x_total", "X.", &[("a", "1")]).inc();
        meter.counter("watchfire_x_total", "X.", &[("a", "1")]).add(2);
        meter.histogram("watchfire_h_seconds", "H.", &[0.5, 1.0], &[]).observe(0.7);
        let families = meter.gather();
        assert_eq!(families[1].points, [(labels!("__name__" => "watchfire_x_total", "a" => "1"), 3.0)]);
        let buckets: Vec<_> = families[0].points.iter().map(|(l, v)| (l.to_string(), *v)).collect();
        assert_eq!(buckets[0], ("watchfire_h_seconds_bucket{le=\"0.5\"}".to_owned(), 0.0));
        assert_eq!(buckets[1], ("watchfire_h_seconds_bucket{le=\"1.0\"}".to_owned(), 1.0));
        assert_eq!(buckets[2], ("watchfire_h_seconds_bucket{le=\"+Inf\"}".to_owned(), 1.0));
    }
}
