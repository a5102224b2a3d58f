//! Batches of items as messages of remote write, one snappy block each (the messages themselves are ingest's), and the messages of
//! remote read. No sockets.

pub(crate) mod read;

use std::collections::HashMap;

use bytes::Bytes;
use watchfire_ingest::remote_write::wire::{Series, v1, v2};
use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};

/// One thing to send.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its series, as the other side is to know it.
    pub(crate) labels: Labels,
    pub(crate) value: Value,
    /// The portion of the log that it came from.
    pub(crate) portion: u64,
    /// Whether an earlier run may have sent it already.
    pub(crate) again: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(Sample),
    Histogram(HistogramSample),
    Exemplar(Box<Exemplar>),
}

impl Value {
    /// Its time, in milliseconds.
    pub(crate) fn time_ms(&self) -> i64 {
        match self {
            Value::Float(sample) => sample.time.millis(),
            Value::Histogram(sample) => sample.time.millis(),
            Value::Exemplar(exemplar) => exemplar.time.millis(),
        }
    }
}

/// What a batch holds of one series.
#[derive(Default)]
struct Group {
    samples: Vec<Sample>,
    histograms: Vec<HistogramSample>,
    exemplars: Vec<Exemplar>,
}

/// Shows the series of a batch in the order in which they come first; the order within a series is kept.
fn by_series(items: &[Item], mut show: impl FnMut(&Series<'_>)) {
    let mut groups: Vec<(&Labels, Group)> = Vec::new();
    let mut places: HashMap<&Labels, usize> = HashMap::with_capacity(items.len());
    for item in items {
        let place = *places.entry(&item.labels).or_insert(groups.len());
        if place == groups.len() {
            groups.push((&item.labels, Group::default()));
        }
        let group = &mut groups[place].1;
        match &item.value {
            Value::Float(sample) => group.samples.push(*sample),
            Value::Histogram(sample) => group.histograms.push(sample.clone()),
            Value::Exemplar(exemplar) => group.exemplars.push((**exemplar).clone()),
        }
    }
    for (labels, Group { samples, histograms, exemplars }) in &groups {
        show(&Series { labels, samples, histograms, exemplars });
    }
}

/// A batch in version 1.0.
pub(crate) fn version_1(items: &[Item]) -> Bytes {
    let mut request = v1::Request::new();
    by_series(items, |series| request.series(series));
    compressed(request.bytes())
}

/// A batch in version 2.0; `family` tells what is known of a metric's family.
pub(crate) fn version_2<'a>(items: &[Item], family: &dyn Fn(&str) -> Option<&'a Metadata>) -> Bytes {
    let mut request = v2::Request::new();
    by_series(items, |series| request.series(series, family(series.labels.metric_name())));
    compressed(request.bytes())
}

/// What is known of some families, in version 1.0.
pub(crate) fn metadata(families: &[Metadata]) -> Bytes {
    let mut request = v1::Request::new();
    families.iter().for_each(|family| request.metadata(family));
    compressed(request.bytes())
}

/// One snappy block.
fn compressed(message: &[u8]) -> Bytes {
    match snap::raw::Encoder::new().compress_vec(message) {
        Ok(block) => block.into(),
        Err(error) => unreachable!("BUG: a batch of {} bytes cannot be compressed: {error}", message.len()),
    }
}
