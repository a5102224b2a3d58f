//! `Gather`: where collectors put their values. It makes either a batch for the sink, with label sets that are built once
//! per series and then reused, or families for an exporter face. It does not read files and judges no value.

use std::collections::HashMap;
use std::fmt::Display;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::Family;
use watchfire_model::order::Order as _;
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::Timestamp;

/// The most series of one host; what is beyond is left out and counted.
pub(crate) const SERIES_MAX: usize = 20_000;
/// Metadata of all families is repeated every so many polls, so that a lost batch does not lose it for good.
const METADATA_EVERY: u64 = 240;

struct Cached {
    labels: Labels,
    poll: u64,
}

/// Label sets and metadata that live from poll to poll.
#[derive(Default)]
pub(crate) struct Cache {
    series: HashMap<Box<str>, Cached>,
    metadata: HashMap<Box<str>, Metadata>,
    poll: u64,
    left_out: u64,
}

enum Output<'a> {
    /// `target` is instance and job.
    Batch {
        cache: &'a mut Cache,
        target: [&'a str; 2],
        time: Timestamp,
        batch: Batch,
    },
    Families {
        index: HashMap<Box<str>, usize>,
        families: Vec<Family>,
    },
}

/// Takes the values of one poll.
pub(crate) struct Gather<'a> {
    output: Output<'a>,
    key: String,
    written: u64,
}

impl<'a> Gather<'a> {
    /// Gathers into a batch with the labels `job` and `instance`.
    pub(crate) fn batch(cache: &'a mut Cache, origin: Origin, job: &'a str, instance: &'a str, time: Timestamp) -> Gather<'a> {
        cache.poll += 1;
        let mut batch = Batch::new(origin);
        batch.series.reserve(cache.series.len() + 16);
        if cache.poll.is_multiple_of(METADATA_EVERY) {
            batch.metadata.extend(cache.metadata.values().cloned());
        }
        let target = [instance, job];
        Gather { output: Output::Batch { cache, target, time, batch }, key: String::new(), written: 0 }
    }

    /// Gathers into families without `job` and `instance`.
    pub(crate) fn families() -> Gather<'static> {
        Gather { output: Output::Families { index: HashMap::new(), families: Vec::new() }, key: String::new(), written: 0 }
    }

    /// A value that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &dyn Display, labels: &[(&str, &str)], value: f64) {
        self.put(Kind(name, MetricType::Gauge, help), name, labels, value);
    }

    /// A count that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &dyn Display, labels: &[(&str, &str)], value: f64) {
        self.put(Kind(name, MetricType::Counter, help), name, labels, value);
    }

    /// A value that node_exporter does not give a type either.
    pub(crate) fn untyped(&mut self, name: &str, help: &dyn Display, labels: &[(&str, &str)], value: f64) {
        self.put(Kind(name, MetricType::Unknown, help), name, labels, value);
    }

    /// One series of a histogram family, by its full name.
    pub(crate) fn histogram(&mut self, family: &str, series: &str, help: &dyn Display, labels: &[(&str, &str)], value: f64) {
        self.put(Kind(family, MetricType::Histogram, help), series, labels, value);
    }

    /// One series of a family of any type, by its full name.
    pub(crate) fn series(&mut self, (family, kind): (&str, MetricType), series: &str, help: &dyn Display, labels: &[(&str, &str)], value: f64) {
        self.put(Kind(family, kind, help), series, labels, value);
    }

    /// Whether this look has put a family already.
    pub(crate) fn has(&self, family: &str) -> bool {
        match &self.output {
            Output::Families { index, .. } => index.contains_key(family),
            Output::Batch { batch, .. } => batch.series.iter().any(|series| series.labels.get(METRIC_NAME) == Some(family)),
        }
    }

    /// Series written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    fn put(&mut self, kind: Kind<'_>, name: &str, labels: &[(&str, &str)], value: f64) {
        self.written += 1;
        match &mut self.output {
            Output::Families { index, families } => {
                let at = *index.entry(kind.0.into()).or_insert_with(|| {
                    families.push(Family::new(kind.0, kind.1, &kind.2.to_string()));
                    families.len() - 1
                });
                families[at].points.push((Labels::from_pairs(labels.iter().copied().chain([(METRIC_NAME, name)])), value));
            }
            Output::Batch { cache, target, time, batch } => {
                fill_key(&mut self.key, name, labels);
                if let Some(labels) = cache.labels(&self.key, &kind, name, labels, *target, &mut batch.metadata) {
                    batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: *time, value }) });
                }
            }
        }
    }

    /// The batch, with a staleness marker for every series that was there last time and is not now.
    pub(crate) fn into_batch(self) -> Option<Batch> {
        match self.output {
            Output::Families { .. } => None,
            Output::Batch { cache, time, mut batch, .. } => {
                let poll = cache.poll;
                cache.series.retain(|_, cached| {
                    if cached.poll != poll {
                        let sample = Sample { time, value: stale_nan() };
                        batch.series.push(SeriesSamples { labels: cached.labels.clone(), samples: Samples::One(sample) });
                    }
                    cached.poll == poll
                });
                Some(batch)
            }
        }
    }

    /// The families, ascending by name.
    pub(crate) fn into_families(self) -> Vec<Family> {
        match self.output {
            Output::Batch { .. } => Vec::new(),
            Output::Families { mut families, .. } => {
                families.order_by(|a, b| a.name.cmp(&b.name));
                families
            }
        }
    }
}

/// A family's name, type and help.
struct Kind<'a>(&'a str, MetricType, &'a dyn Display);

impl Cache {
    /// Whether no series stood in the last poll.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Series that were left out because there were too many.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The label set of a series, made once; `None` when the series already stands in this poll, or is one too many.
    fn labels(
        &mut self,
        key: &str,
        kind: &Kind<'_>,
        name: &str,
        labels: &[(&str, &str)],
        [instance, job]: [&str; 2],
        metadata: &mut Vec<Metadata>,
    ) -> Option<Labels> {
        if let Some(cached) = self.series.get_mut(key) {
            let fresh = cached.poll != self.poll;
            cached.poll = self.poll;
            return fresh.then(|| cached.labels.clone());
        }
        if self.series.len() >= SERIES_MAX {
            self.left_out += 1;
            return None;
        }
        if !self.metadata.contains_key(kind.0) {
            let entry = Metadata { family: kind.0.into(), kind: kind.1, help: kind.2.to_string().into(), unit: "".into() };
            metadata.push(entry.clone());
            self.metadata.insert(kind.0.into(), entry);
        }
        let pairs = labels.iter().copied().chain([("instance", instance), ("job", job), (METRIC_NAME, name)]);
        let labels = Labels::from_pairs(pairs);
        self.series.insert(key.into(), Cached { labels: labels.clone(), poll: self.poll });
        Some(labels)
    }
}

fn fill_key(key: &mut String, name: &str, labels: &[(&str, &str)]) {
    key.clear();
    key.push_str(name);
    for (n, v) in labels {
        key.push('\0');
        key.push_str(n);
        key.push('\0');
        key.push_str(v);
    }
}
