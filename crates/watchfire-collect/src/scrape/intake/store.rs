//! What was found goes into the batch: floats, native histograms within their limits, exemplars that are new, zeros at the
//! beginning of counts, staleness markers.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_ingest::prometheus_proto::Content;
use watchfire_model::batch::{Batch, Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{CounterReset, Histogram, SCHEMA_MIN};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample, stale_nan};
use watchfire_model::time::Timestamp;

use super::super::cache::{Cache, SeriesNumber};
use super::super::config::Histograms;
use super::{Found, Intake, IntakeError, Round};

impl Intake {
    #[inline]
    pub(super) fn store(&mut self, number: SeriesNumber, found: Found<'_>, added: bool, round: &mut Round<'_>) -> Result<(), IntakeError> {
        let own_time = found.time.filter(|_| round.job.honor_timestamps);
        let histogram = matches!(found.content, Content::Histogram(_));
        let first = self.cache.touch(number, own_time.is_none() || round.job.track_timestamps_staleness, histogram);
        if !first && own_time.is_none() {
            round.counts.duplicates += 1;
            return Ok(());
        }
        round.counts.added += u64::from(added);
        let time = own_time.unwrap_or(round.time);
        if !found.exemplars.is_empty() {
            self.store_exemplars(number, &found, time, round);
        }
        let labels = self.cache.labels(number).clone();
        if round.job.extras.created_timestamps {
            let like = if let Content::Histogram(histogram) = &found.content { Some(histogram.clone()) } else { None };
            round.zeros.note(Beginning { number, group: self.cache.group(), created: found.created, time, like });
        }
        match found.content {
            // Once for each scrape: with times of its own a series may come again.
            Content::Float(value) if own_time.is_none() && self.cache.is_vital(number) => self.vital.push(one(labels, time, value)),
            Content::Float(value) => round.batch.series.push(one(labels, time, value)),
            Content::Histogram(value) => {
                let value = fit(value, &round.job.histograms)?;
                round.batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value }] });
            }
        }
        Ok(())
    }

    /// Targets show an exemplar until they have a new one; it is decoded once.
    fn store_exemplars(&mut self, number: SeriesNumber, found: &Found<'_>, time: Timestamp, round: &mut Round<'_>) {
        if !self.cache.note_exemplars(found.exemplars.iter().map(|e| e.bytes())) {
            return;
        }
        let native = matches!(found.content, Content::Histogram(_));
        let decoded = found.exemplars.iter().filter_map(|e| e.decode());
        // Those of a native histogram need a time of their own: without it nobody could tell old ones from new ones.
        let timed = decoded.filter(|e| !native || e.time.is_some());
        let mut exemplars: Vec<Exemplar> = timed.map(|e| Exemplar { labels: e.labels, time: e.time.unwrap_or(time), value: e.value }).collect();
        exemplars.sort_by_key(|e| e.time);
        if !exemplars.is_empty() {
            round.batch.exemplars.push(SeriesExemplars { labels: self.cache.labels(number).clone(), exemplars });
        }
    }
}

/// Merges buckets until a histogram is within its limits.
fn fit(histogram: Arc<Histogram>, limits: &Histograms) -> Result<Arc<Histogram>, IntakeError> {
    let buckets = |h: &Histogram| (h.positive_buckets.len() + h.negative_buckets.len()) as u64;
    let over = |h: &Histogram| limits.buckets_max > 0 && buckets(h) > limits.buckets_max;
    let mut fitted = histogram;
    if !fitted.has_custom_bounds() && fitted.schema > limits.schema_max {
        fitted = fitted.reduced(limits.schema_max).into();
    }
    while over(&fitted) {
        if fitted.has_custom_bounds() || fitted.schema <= SCHEMA_MIN {
            return Err(IntakeError::BucketLimit(limits.buckets_max));
        }
        fitted = fitted.reduced(fitted.schema - 1).into();
    }
    Ok(fitted)
}

/// A sample whose counts may be known to have begun at some time.
struct Beginning {
    number: SeriesNumber,
    /// The metric whose `_created` line speaks for it, or 0.
    group: u64,
    /// What stands with the sample itself, or 0.
    created: i64,
    time: Timestamp,
    /// The histogram, if it is one.
    like: Option<Arc<Histogram>>,
}

/// When counts began, as far as one body says so.
#[derive(Default)]
pub(super) struct Zeros {
    samples: Vec<Beginning>,
    groups: HashMap<u64, i64>,
}
impl Zeros {
    /// Notes what a `_created` line says.
    pub(super) fn begin(&mut self, group: u64, created: i64) {
        self.groups.insert(group, created);
    }
    fn note(&mut self, beginning: Beginning) {
        self.samples.push(beginning);
    }
    /// Puts a zero where a count began, once for each beginning.
    pub(super) fn settle(self, cache: &mut Cache, batch: &mut Batch) {
        for sample in self.samples {
            let created = if sample.created != 0 { sample.created } else { self.groups.get(&sample.group).copied().unwrap_or(0) };
            if created == 0 || created >= sample.time.millis() || !cache.note_created(sample.number, created) {
                continue;
            }
            let (labels, time) = (cache.labels(sample.number).clone(), Timestamp(created));
            match sample.like {
                None => batch.series.push(one(labels, time, 0.0)),
                Some(like) => {
                    let value = Histogram {
                        schema: like.schema,
                        integer: like.integer,
                        reset: CounterReset::Reset,
                        zero_threshold: like.zero_threshold,
                        custom_bounds: like.custom_bounds.clone(),
                        ..Histogram::default()
                    };
                    batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: value.into() }] });
                }
            }
        }
    }
}

pub(super) fn one(labels: Labels, time: Timestamp, value: f64) -> SeriesSamples {
    SeriesSamples { labels, samples: Samples::One(Sample { time, value }) }
}
/// Ends a series, by a marker of the kind that its samples are.
pub(super) fn stale(labels: &Labels, histogram: bool, time: Timestamp, batch: &mut Batch) {
    if histogram {
        let samples = vec![HistogramSample { time, value: Histogram::stale().into() }];
        batch.histograms.push(SeriesHistograms { labels: labels.clone(), samples });
    } else {
        batch.series.push(one(labels.clone(), time, stale_nan()));
    }
}
