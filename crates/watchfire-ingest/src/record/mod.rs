//! `POST /api/metrics/record`: programs report single observations as JSON, we keep the counters, gauges and histograms.
//! Names, labels and values are checked and sanitised against the catalogs, so that no caller can blow up the number of
//! series. It is no second store: values live in memory and go through the gate when `flush` is called.

mod item;
mod registry;
mod sanitize;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::meter::{Family, Meter};
use watchfire_model::observe::Observe;
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_pack::catalog::Catalogs;

pub use item::{BODY_BYTES_MAX, Code, DEPTH_MAX, ITEMS_MAX, Item, RecordError, Refused};
pub use registry::SERIES_PER_FAMILY_MAX;
pub use sanitize::sanitize;

use item::{Parsed, clip};
use registry::{Books, Registry};

/// The `job` label of recorded series in the store.
pub const JOB: &str = "app";
/// A misspelt name is searched for among the declared ones only so many times per request.
const HINTS_MAX: usize = 100;
/// How often types and help texts are told to the store again.
const METADATA_EVERY: Duration = Duration::from_secs(600);
/// The most series of one batch to the store.
const BATCH_SERIES_MAX: usize = 10_000;

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Items that were recorded.
    pub recorded: u64,
    /// Items that were refused, in the order of the list.
    pub refused: Vec<Refused>,
}

/// The registry behind the record API. Share it in an `Arc`; every method may be called from any thread.
pub struct Recorder {
    registry: Mutex<Registry>,
    clock: SharedClock,
    books: Books,
    instance: String,
    /// Until when metadata need not be told again, and of how many families it was told.
    told: Mutex<(Duration, usize)>,
}

impl Observe for Recorder {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let outcome = self.record_items([Item { name: family.to_owned(), labels, value }]);
        for refused in outcome.refused {
            tracing::debug!(family, code = refused.code, "an observation of our own was refused: {}", refused.message);
        }
    }

    fn retire(&self, family: &str, labels: &[(&str, &str)]) {
        let mut registry = self.registry();
        registry.retire(family, labels);
        self.books.series(registry.series());
    }
}

impl Recorder {
    /// A recorder of all families that catalogs say an application produces. `instance` is the label of stored series; an
    /// empty one leaves it out.
    pub fn new(catalogs: Arc<Catalogs>, clock: SharedClock, meter: &Meter, instance: &str) -> Recorder {
        Recorder { registry: Mutex::new(Registry::new(catalogs)), clock, books: Books::new(meter), instance: instance.to_owned(), told: Mutex::default() }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request body: a JSON list of items, or a single item. Good items are recorded although others are bad;
    /// of a body that is no JSON, too large or too deep nothing is.
    pub fn record(&self, body: &[u8]) -> Result<Outcome, RecordError> {
        Ok(self.take(item::parse(body)?.into_iter()))
    }

    /// Records items that are already typed.
    pub fn record_items(&self, items: impl IntoIterator<Item = Item>) -> Outcome {
        self.take(items.into_iter().map(Ok))
    }

    fn take(&self, items: impl Iterator<Item = Parsed>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut registry = self.registry();
        for (index, item) in items.enumerate() {
            let judged = item.and_then(|item| registry.record(&item, &self.books).map_err(|problem| (clip(&item.name), problem)));
            let Err((name, (code, message))) = judged else {
                outcome.recorded += 1;
                continue;
            };
            self.books.refused(code);
            let message = registry.explain(code, message, outcome.refused.len() < HINTS_MAX);
            outcome.refused.push(Refused { index, name, code: code.name(), message });
        }
        self.books.accepted(outcome.recorded);
        self.books.series(registry.series());
        outcome
    }

    /// The sum over all series of a counter or gauge, when it has any.
    pub fn total(&self, name: &str) -> Option<f64> {
        self.registry().total(name)
    }

    /// Every family an application may record, with the series there are: what the exposition shows. Families without
    /// series are there too.
    pub fn families(&self) -> Vec<Family> {
        self.registry().families()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let registry = self.registry();
        registry.series() == 0 && !registry.has_gone()
    }

    /// Writes the present values into the store, with `job="app"`, whether they changed or not, so that no series goes stale
    /// but those that were retired.
    pub fn flush(&self, sink: &dyn Sink) -> Result<Written, WriteError> {
        let time = self.clock.now();
        let target = |labels: Labels| labels.with("job", JOB).with("instance", &self.instance);
        let stale = Sample { time, value: stale_nan() };
        let gone = self.registry().take_gone();
        let mut metadata = Vec::new();
        let mut series: Vec<_> = gone.into_iter().map(|labels| SeriesSamples { labels: target(labels), samples: Samples::One(stale) }).collect();
        let families = self.registry().families_with_series();
        for family in families {
            metadata.push(Metadata { family: family.name, kind: family.kind, help: family.help, unit: family.unit });
            series.extend(
                family.points.into_iter().map(|(labels, value)| SeriesSamples { labels: target(labels), samples: Samples::One(Sample { time, value }) }),
            );
        }
        let families = metadata.len();
        let now = self.clock.monotonic();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.1 == families && now < told.0 {
            metadata.clear();
        }
        let mut written = Written::default();
        let mut series = series.into_iter().peekable();
        while series.peek().is_some() {
            let mut batch = Batch::new(Origin::new("record"));
            batch.series = series.by_ref().take(BATCH_SERIES_MAX).collect();
            let tells = !metadata.is_empty();
            batch.metadata = std::mem::take(&mut metadata);
            written.add(sink.write(batch)?);
            if tells {
                *told = (now.saturating_add(METADATA_EVERY), families);
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod behaviours;
#[cfg(test)]
mod tests;
