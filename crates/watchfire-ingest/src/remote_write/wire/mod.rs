//! Requests for sending: series of the model become messages of remote write 1.0 (`v1`) or 2.0 (`v2`), not compressed yet.
//! A sender fills one request, sends its bytes, clears it and fills it again; the buffers stay. Reading such messages is
//! the decoders' business (beside this folder), and tests hold both against each other.

mod histogram;
pub mod v1;
pub mod v2;

use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};

/// What is sent of one series.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The series.
    pub labels: &'a Labels,
    /// Its floats, older first.
    pub samples: &'a [Sample],
    /// Its native histograms, older first.
    pub histograms: &'a [HistogramSample],
    /// Its exemplars, older first.
    pub exemplars: &'a [Exemplar],
}
impl<'a> Series<'a> {
    /// A series with floats alone.
    pub fn floats(labels: &'a Labels, samples: &'a [Sample]) -> Series<'a> {
        Series { labels, samples, histograms: &[], exemplars: &[] }
    }
}

/// The types of families by their numbers, which are the same in both versions.
const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];
fn type_number(kind: MetricType) -> u64 {
    TYPES.iter().position(|k| *k == kind).unwrap_or(0) as u64
}
pub(super) fn type_of(number: u64) -> MetricType {
    usize::try_from(number).ok().and_then(|n| TYPES.get(n).copied()).unwrap_or_default()
}
