//! Rows of metrics that are derived from spans: counters and histograms of one label set each, with a limit for their number, zeros
//! before their first values, exemplars, and an end when they fall silent. What a row counts is the business of its owner.

use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Metadata, MetricType, Samples, SeriesExemplars, SeriesSamples};
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::logs::Nanos;
use watchfire_model::meter::format_le;
use watchfire_model::sample::{Exemplar, Sample, stale_nan};
use watchfire_model::time::Timestamp;

/// Name, unit and help of a family.
pub(super) type Family = (&'static str, &'static str, &'static str);

/// What each row of a table has.
#[derive(Clone, Copy)]
pub(super) struct Families {
    pub(super) counters: &'static [Family],
    pub(super) histograms: &'static [Family],
}

/// An observation that stands for a bucket.
struct Example {
    trace: Box<str>,
    time: Nanos,
    seconds: f64,
}

/// A histogram of a row.
struct Histogram {
    buckets: Vec<(Labels, u64, Option<Example>)>,
    sum: (Labels, f64),
    count: (Labels, u64),
}

/// The counters and histograms of one label set.
pub(super) struct Row {
    counters: Vec<(Labels, f64)>,
    histograms: Vec<Histogram>,
    /// The flush before which it began.
    born: u64,
    touched: Duration,
}

impl Row {
    /// Adds to a counter.
    pub(super) fn count(&mut self, counter: usize, by: f64) {
        if let Some((_, value)) = self.counters.get_mut(counter) {
            *value += by;
        }
    }

    /// Counts a duration; the trace stands for its bucket when it is the first one since the last flush.
    pub(super) fn observe(&mut self, histogram: usize, seconds: f64, bounds: &[f64], trace: impl FnOnce() -> Box<str>, time: Nanos) {
        let Some(histogram) = self.histograms.get_mut(histogram) else { return };
        histogram.sum.1 += seconds;
        histogram.count.1 += 1;
        let at = bounds.partition_point(|bound| *bound < seconds);
        if let Some((_, count, example)) = histogram.buckets.get_mut(at) {
            *count += 1;
            if example.is_none() {
                *example = Some(Example { trace: trace(), time, seconds });
            }
        }
    }

    /// Visits the present value of each series.
    fn each(&self, mut visit: impl FnMut(&Labels, f64)) {
        self.counters.iter().for_each(|(labels, value)| visit(labels, *value));
        for histogram in &self.histograms {
            let mut below = 0;
            for (labels, count, _) in &histogram.buckets {
                below += count;
                visit(labels, below as f64);
            }
            visit(&histogram.sum.0, histogram.sum.1);
            visit(&histogram.count.0, histogram.count.1 as f64);
        }
    }

    fn take_examples(&mut self, latest: Timestamp, out: &mut Vec<SeriesExemplars>) {
        for (labels, _, example) in self.histograms.iter_mut().flat_map(|histogram| &mut histogram.buckets) {
            if let Some(Example { trace, time, seconds }) = example.take() {
                let time = Timestamp(time.millis()).min(latest);
                let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", &*trace)]), time, value: seconds };
                out.push(SeriesExemplars { labels: labels.clone(), exemplars: vec![exemplar] });
            }
        }
    }
}

/// The rows of one table, found by a key that its owner makes.
pub(super) struct Table {
    families: Families,
    /// The label `instance` of all series.
    instance: String,
    bounds: Vec<f64>,
    rows: HashMap<Box<str>, Row>,
    rows_max: usize,
    /// A row that is silent for so long ends.
    idle: Duration,
    flushes: u64,
    /// Rows that were born before this flush are in the store.
    stored: u64,
}

impl Table {
    /// No rows yet; as many are made as have so many series together.
    pub(super) fn new(families: Families, instance: &str, bounds: &[f64], series_max: usize, idle: Duration) -> Table {
        let series = series_of(families, bounds);
        Table {
            families,
            instance: instance.to_owned(),
            bounds: bounds.to_vec(),
            rows: HashMap::new(),
            rows_max: (series_max / series).max(1),
            idle,
            flushes: 1,
            stored: 0,
        }
    }

    /// Whether there is no room for another row.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max
    }

    /// How many series there are.
    pub(super) fn series(&self) -> usize {
        self.rows.len() * series_of(self.families, &self.bounds)
    }

    /// A row that is there.
    pub(super) fn known(&mut self, key: &str, now: Duration) -> Option<(&mut Row, &[f64])> {
        let row = self.rows.get_mut(key)?;
        row.touched = now;
        Some((row, &self.bounds))
    }

    /// A row that is there or for which there is room; `more` makes room beyond the limit.
    pub(super) fn row(&mut self, key: &str, more: usize, now: Duration, labels: impl FnOnce() -> LabelsBuilder) -> Option<(&mut Row, &[f64])> {
        if !self.rows.contains_key(key) {
            if self.rows.len() >= self.rows_max.saturating_add(more) {
                return None;
            }
            let row = self.new_row(labels());
            self.rows.insert(key.into(), row);
        }
        self.known(key, now)
    }

    fn new_row(&self, mut labels: LabelsBuilder) -> Row {
        labels.set("job", "watchfire").set("instance", &self.instance);
        let mut named = |name: &str| labels.set(METRIC_NAME, name).build();
        let counters = self.families.counters.iter().map(|(name, ..)| (named(name), 0.0)).collect();
        let parts: Vec<[Labels; 3]> =
            self.families.histograms.iter().map(|(name, ..)| ["_sum", "_count", "_bucket"].map(|end| named(&format!("{name}{end}")))).collect();
        let histogram = |[sum, count, bucket]: [Labels; 3]| {
            let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
            let buckets = bounds.map(|bound| (bucket.with("le", &format_le(bound)), 0, None)).collect();
            Histogram { buckets, sum: (sum, 0.0), count: (count, 0) }
        };
        Row { counters, histograms: parts.into_iter().map(histogram).collect(), born: self.flushes, touched: Duration::ZERO }
    }

    /// Puts the present values of all rows into a batch: new ones with a zero before, silent ones with an end.
    pub(super) fn flush(&mut self, time: Timestamp, before: Timestamp, now: Duration, batch: &mut Batch) {
        self.flushes += 1;
        let (stored, idle) = (self.stored, self.idle);
        let sample = |time, value| Sample { time, value };
        self.rows.retain(|_, row| {
            let ends = now.saturating_sub(row.touched) > idle;
            let begins = row.born > stored;
            row.each(|labels, value| {
                let samples = match (ends, begins) {
                    (true, _) => Samples::One(sample(time, stale_nan())),
                    (false, true) => Samples::Many(vec![sample(before, 0.0), sample(time, value)]),
                    (false, false) => Samples::One(sample(time, value)),
                };
                batch.series.push(SeriesSamples { labels: labels.clone(), samples });
            });
            row.take_examples(time, &mut batch.exemplars);
            !ends
        });
    }

    /// What was flushed is in the store: those rows have their zeros.
    pub(super) fn stored(&mut self) {
        self.stored = self.flushes - 1;
    }

    /// What the families are.
    pub(super) fn metadata(&self) -> impl Iterator<Item = Metadata> {
        let of = |kind| move |(name, unit, help): &Family| Metadata { family: (*name).into(), kind, help: (*help).into(), unit: (*unit).into() };
        self.families.counters.iter().map(of(MetricType::Counter)).chain(self.families.histograms.iter().map(of(MetricType::Histogram)))
    }
}

/// How many series a row has.
fn series_of(families: Families, bounds: &[f64]) -> usize {
    families.counters.len() + families.histograms.len() * (bounds.len() + 3)
}
