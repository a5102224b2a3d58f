//! An in-memory source and sink: what is written can be read at once. It keeps everything and forgets it at the end of the test.
//! It judges nothing: no limits, no time windows, no out-of-order rules. A later sample of the same time replaces the earlier one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use watchfire_model::batch::{Batch, Metadata, SeriesExemplars};
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::matches_all;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source, Visitor};
use watchfire_model::sample::{Exemplar, HistogramSample};
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Sink, WriteError, Written};

/// Samples of one series by time.
#[derive(Default)]
struct Samples {
    floats: BTreeMap<i64, f64>,
    histograms: BTreeMap<i64, Arc<Histogram>>,
}
impl Samples {
    /// Returns the bits of a float that it replaces.
    fn add_float(&mut self, time: i64, value: f64) -> Option<u64> {
        self.histograms.remove(&time);
        self.floats.insert(time, value).map(f64::to_bits)
    }
    /// Returns the histogram that it replaces.
    fn add_histogram(&mut self, time: i64, value: Arc<Histogram>) -> Option<Arc<Histogram>> {
        self.floats.remove(&time);
        self.histograms.insert(time, value)
    }
    fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}

#[derive(Default)]
struct Content {
    series: BTreeMap<Labels, Samples>,
    exemplars: BTreeMap<Labels, Vec<Exemplar>>,
    metadata: BTreeMap<Arc<str>, Metadata>,
}

/// A database in memory. Shared by reference or in an `Arc`.
#[derive(Default)]
pub struct Memory {
    content: RwLock<Content>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }
    /// Adds one sample.
    pub fn add(&self, labels: &Labels, time: Timestamp, value: f64) {
        self.write_content().series.entry(labels.clone()).or_default().add_float(time.0, value);
    }
    /// Adds a native histogram.
    pub fn add_histogram(&self, labels: &Labels, time: Timestamp, value: Histogram) {
        self.write_content().series.entry(labels.clone()).or_default().add_histogram(time.0, Arc::new(value));
    }
    /// Adds a series' samples.
    pub fn add_series(&self, labels: &Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
        let mut content = self.write_content();
        let series = content.series.entry(labels.clone()).or_default();
        for (time, value) in samples {
            series.add_float(time, value);
        }
    }
    /// Forgets everything.
    pub fn clear(&self) {
        *self.write_content() = Content::default();
    }
    /// The number of series.
    pub fn series_count(&self) -> usize {
        self.content().series.len()
    }
    /// The number of samples.
    pub fn sample_count(&self) -> usize {
        self.content().series.values().map(Samples::len).sum()
    }

    fn content(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write_content(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Memory {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let mut content = self.write_content();
        for series in &batch.series {
            let known = content.series.contains_key(&series.labels);
            written.new_series += u64::from(!known);
            let samples = content.series.entry(series.labels.clone()).or_default();
            for sample in series.samples.as_slice() {
                match samples.add_float(sample.time.0, sample.value) {
                    Some(before) if before == sample.value.to_bits() => written.duplicates += 1,
                    _ => written.stored += 1,
                }
            }
        }
        for series in &batch.histograms {
            let known = content.series.contains_key(&series.labels);
            written.new_series += u64::from(!known);
            let samples = content.series.entry(series.labels.clone()).or_default();
            for sample in &series.samples {
                written.histograms += 1;
                match samples.add_histogram(sample.time.0, sample.value.clone()) {
                    Some(before) if before == sample.value => written.duplicates += 1,
                    _ => written.stored += 1,
                }
            }
        }
        for SeriesExemplars { labels, exemplars } in batch.exemplars {
            let kept = content.exemplars.entry(labels).or_default();
            written.exemplars += exemplars.len() as u64;
            kept.extend(exemplars);
            kept.sort_by_key(|e| e.time);
            kept.dedup();
        }
        for metadata in batch.metadata {
            content.metadata.insert(Arc::clone(&metadata.family), metadata);
        }
        Ok(written)
    }
}

impl Source for Memory {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        if selection.start > selection.end {
            return Ok(());
        }
        let content = self.content();
        for (labels, samples) in content.series.iter().filter(|(labels, _)| matches_all(&selection.matchers, labels)) {
            budget.check()?;
            let range = selection.start.0..=selection.end.0;
            let (times, values): (Vec<i64>, Vec<f64>) = samples.floats.range(range.clone()).map(|(t, v)| (*t, *v)).unzip();
            let histograms = samples.histograms.range(range).map(|(t, h)| HistogramSample { time: Timestamp(*t), value: h.clone() }).collect();
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

    fn exemplars(&self, selection: &Selection, budget: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        budget.check()?;
        let within = |e: &&Exemplar| e.time >= selection.start && e.time <= selection.end;
        let content = self.content();
        let chosen = content.exemplars.iter().filter(|(labels, _)| matches_all(&selection.matchers, labels));
        let found = chosen.map(|(labels, all)| SeriesExemplars { labels: labels.clone(), exemplars: all.iter().filter(within).cloned().collect() });
        Ok(found.filter(|s| !s.exemplars.is_empty()).collect())
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.content().metadata.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::batch::{Origin, SeriesSamples};
    use watchfire_model::labels;
    use watchfire_model::matcher::Matcher;
    use watchfire_model::sample::Sample;
    use watchfire_model::time::ManualClock;

    #[test]
    fn what_is_written_can_be_read() {
        let memory = Memory::new();
        let up = labels!("__name__" => "up", "job" => "a");
        let sample = |t, value| Sample { time: Timestamp(t), value };
        let mut batch = Batch::new(Origin::new("test"));
        batch
            .series
            .push(SeriesSamples { labels: up.clone(), samples: watchfire_model::batch::Samples::Many(vec![sample(2, 1.0), sample(1, 0.0), sample(1, 0.0)]) });
        let written = memory.write(batch).unwrap();
        assert_eq!((written.stored, written.duplicates, written.new_series), (2, 1, 1));
        memory.add(&labels!("__name__" => "down"), Timestamp(1), 5.0);
        let budget = Budget::unlimited(ManualClock::new(Timestamp(0)));
        let selection = Selection { matchers: vec![Matcher::equal("__name__", "up")], start: Timestamp(1), end: Timestamp(9) };
        let mut seen = Vec::new();
        memory
            .select(&selection, &budget, &mut |series| {
                seen.push((series.labels, series.times));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(seen, [(up, vec![1, 2])]);
        assert_eq!(memory.label_values("job", &selection, &budget).unwrap(), ["a"]);
        let later = Selection { start: Timestamp(3), ..selection };
        assert!(memory.series(&later, &budget).unwrap().is_empty());
        assert_eq!((memory.series_count(), memory.sample_count()), (2, 3));
    }
}
