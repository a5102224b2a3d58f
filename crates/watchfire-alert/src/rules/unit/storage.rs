//! What a test of rules reads and writes: series in memory, gone with the test. It judges nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use watchfire_model::batch::Batch;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::matches_all;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source, Visitor};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Sink, WriteError, Written};

#[derive(Default)]
struct Samples {
    floats: BTreeMap<i64, f64>,
    histograms: BTreeMap<i64, Arc<Histogram>>,
}

/// The series of one test.
#[derive(Default)]
pub(super) struct Storage(Mutex<BTreeMap<Labels, Samples>>);

impl Storage {
    fn series(&self) -> MutexGuard<'_, BTreeMap<Labels, Samples>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn add(&self, labels: &Labels, time: i64, value: f64) {
        self.series().entry(labels.clone()).or_default().floats.insert(time, value);
    }
    pub(super) fn add_histogram(&self, labels: &Labels, time: i64, value: Histogram) {
        self.series().entry(labels.clone()).or_default().histograms.insert(time, Arc::new(value));
    }
}

impl Sink for Storage {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut all = self.series();
        let stored = batch.sample_count() as u64;
        for series in batch.series {
            let samples = all.entry(series.labels).or_default();
            samples.floats.extend(series.samples.as_slice().iter().map(|s| (s.time.millis(), s.value)));
        }
        for series in batch.histograms {
            let samples = all.entry(series.labels).or_default();
            samples.histograms.extend(series.samples.into_iter().map(|s| (s.time.millis(), s.value)));
        }
        Ok(Written { stored, ..Written::default() })
    }
}

impl Source for Storage {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        if selection.start > selection.end {
            return Ok(());
        }
        let range = selection.start.millis()..=selection.end.millis();
        for (labels, samples) in self.series().iter().filter(|(labels, _)| matches_all(&selection.matchers, labels)) {
            budget.check()?;
            let (times, values): (Vec<i64>, Vec<f64>) = samples.floats.range(range.clone()).map(|(t, v)| (*t, *v)).unzip();
            let histograms: Vec<_> = samples.histograms.range(range.clone()).map(|(t, h)| HistogramSample { time: Timestamp(*t), value: h.clone() }).collect();
            let series = Series { labels: labels.clone(), times, values, histograms };
            budget.charge_samples(series.cost())?;
            if !(series.times.is_empty() && series.histograms.is_empty()) && visit(series)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        let mut found = Vec::new();
        self.select(selection, budget, &mut |series| {
            budget.release_samples(series.cost());
            found.push(series.labels);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}
