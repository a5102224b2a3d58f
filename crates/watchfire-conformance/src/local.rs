//! Subjects inside this process: our engine over a source in memory, and over the real store with its samples in the head or in segments.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use watchfire_model::batch::{Batch, Origin, Samples, SeriesHistograms, SeriesSamples};
use watchfire_model::read::{Budget, Source};
use watchfire_model::sample::{HistogramSample, Sample, stale_nan};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_query::promql::Engine;
use watchfire_store::{Options, Store};
use watchfire_testkit::memory::Memory;

use crate::script::{Eval, Item, Stored, When};
use crate::subject::{Outcome, Subject};

/// The time at which stores are opened: long after the samples of the scripts, which begin in 1970.
const NOW_MS: i64 = 1_767_089_700_000;
const SAMPLES_MAX: u64 = 1 << 40;

fn ask(source: &dyn Source, eval: &Eval, query: &str) -> Outcome {
    let engine = Engine::default();
    let budget = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(1), SAMPLES_MAX, SAMPLES_MAX * 16);
    let answer = match eval.when {
        When::Instant(time) => engine.instant(source, query, Timestamp(time), &budget),
        When::Range { start, end, step } => engine.range(source, query, Timestamp(start), Timestamp(end), Duration::from_millis(step), &budget),
    };
    // Whatever was charged must have been given back, or long-lived budgets would run dry.
    if budget.charge_samples(SAMPLES_MAX).is_err() {
        return Outcome::Failed("samples are still charged".to_owned());
    }
    answer.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Answered)
}

/// The source in memory.
#[derive(Default)]
pub struct InMemory {
    memory: Memory,
}
impl Subject for InMemory {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn clear(&mut self) -> Result<(), String> {
        self.memory.clear();
        Ok(())
    }
    fn load(&mut self, series: &[Stored]) -> Result<(), String> {
        for (labels, samples) in series {
            for (time, item) in samples {
                match item {
                    Item::Nothing => {}
                    Item::Marker => self.memory.add(labels, Timestamp(*time), stale_nan()),
                    Item::Float(value) => self.memory.add(labels, Timestamp(*time), *value),
                    Item::Histogram(literal) => self.memory.add_histogram(labels, Timestamp(*time), literal.histogram.clone()),
                }
            }
        }
        Ok(())
    }
    fn ask(&mut self, eval: &Eval, query: &str) -> Outcome {
        ask(&self.memory, eval, query)
    }
    fn is_exact(&self) -> bool {
        true
    }
}

/// The real store in a temporary directory.
pub struct InStore {
    open: Option<(Store, TempDir)>,
    flushed: bool,
}
impl InStore {
    /// With everything in the head, or, `flushed`, in segments.
    pub fn new(flushed: bool) -> InStore {
        InStore { open: None, flushed }
    }
    fn store(&mut self) -> Result<&Store, String> {
        if self.open.is_none() {
            let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
            let clock: Arc<ManualClock> = ManualClock::new(Timestamp(NOW_MS));
            let options = Options { retention: None, keeper: false, min_free_bytes: 0, ..Options::new(dir.path().join("data"), clock) };
            self.open = Some((Store::open(options).map_err(|e| e.to_string())?, dir));
        }
        self.open.as_ref().map(|(store, _)| store).ok_or_else(|| "no store".to_owned())
    }
}
impl Subject for InStore {
    fn name(&self) -> &'static str {
        if self.flushed { "segments" } else { "head" }
    }
    fn clear(&mut self) -> Result<(), String> {
        if let Some((store, _)) = self.open.take() {
            store.close();
        }
        Ok(())
    }
    fn load(&mut self, series: &[Stored]) -> Result<(), String> {
        let flushed = self.flushed;
        let store = self.store()?;
        let mut batch = Batch::new(Origin::new("conformance"));
        let mut sent = 0;
        for (labels, samples) in series {
            let mut histograms = Vec::new();
            for (time, item) in samples {
                let time = Timestamp(*time);
                let value = match item {
                    Item::Nothing => continue,
                    Item::Marker => stale_nan(),
                    Item::Float(value) => *value,
                    Item::Histogram(literal) => {
                        histograms.push(HistogramSample { time, value: Arc::new(literal.histogram.clone()) });
                        continue;
                    }
                };
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time, value }) });
                sent += 1;
            }
            sent += histograms.len() as u64;
            if !histograms.is_empty() {
                batch.histograms.push(SeriesHistograms { labels: labels.clone(), samples: histograms });
            }
        }
        let written = store.write(batch).map_err(|e| e.to_string())?;
        if written.stored != sent {
            return Err(format!("of {sent} samples {} were stored: {written:?}", written.stored));
        }
        if flushed { store.flush().map_err(|e| e.to_string()) } else { Ok(()) }
    }
    fn ask(&mut self, eval: &Eval, query: &str) -> Outcome {
        match self.store() {
            Ok(store) => ask(store, eval, query),
            Err(error) => Outcome::Failed(error),
        }
    }
}
