//! `Batch`: the one thing that travels from collectors and protocols through the gate into the store.
//! It holds metrics, logs, spans and profiles; a further kind of data becomes a further field, not a further method.

use std::sync::Arc;

use crate::labels::Labels;
use crate::logs::StreamEntries;
use crate::sample::{Exemplar, HistogramSample, Sample};

/// Who sent a batch: the unit of accounting and of per-source limits, for example `scrape/node` or `remote_write/10.0.0.7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(pub Arc<str>);
impl Origin {
    /// Names an origin.
    pub fn new(name: &str) -> Origin {
        Origin(name.into())
    }
}

/// What one source delivered at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Who sent it.
    pub origin: Origin,
    /// Which part of the origin it is from, such as a target of a scrape job: parts have a share each of what may be sent. 0 where
    /// there are none.
    pub part: u32,
    /// So many of the last of `series` say how the part itself is doing (`up`): they are taken where there is no room for others. There
    /// are few of them, and always the same for one part.
    pub vital: usize,
    /// Float samples by series. A series may stand there more than once.
    pub series: Vec<SeriesSamples>,
    /// Native histograms by series. A series may have floats at other times.
    pub histograms: Vec<SeriesHistograms>,
    /// Exemplars by series. They are extras: whether one is kept changes no count of samples.
    pub exemplars: Vec<SeriesExemplars>,
    /// What the source said about its metric families.
    pub metadata: Vec<Metadata>,
    /// Log entries by stream. A stream may stand there more than once.
    pub logs: Vec<StreamEntries>,
    /// Spans by stream, as `spans` makes entries of them.
    pub spans: Vec<StreamEntries>,
    /// Profiles by series, as `profiles` makes entries of them.
    pub profiles: Vec<StreamEntries>,
}
impl Batch {
    /// An empty batch.
    pub fn new(origin: Origin) -> Batch {
        Batch {
            origin,
            part: 0,
            vital: 0,
            series: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
            logs: Vec::new(),
            spans: Vec::new(),
            profiles: Vec::new(),
        }
    }
    /// The number of samples in it, floats and histograms.
    pub fn sample_count(&self) -> usize {
        self.series.iter().map(|s| s.samples.len()).sum::<usize>() + self.histograms.iter().map(|s| s.samples.len()).sum::<usize>()
    }
    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
            && self.histograms.is_empty()
            && self.exemplars.is_empty()
            && self.metadata.is_empty()
            && self.logs.is_empty()
            && self.spans.is_empty()
            && self.profiles.is_empty()
    }
}

/// New samples of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSamples {
    /// The series.
    pub labels: Labels,
    /// Its samples, usually one.
    pub samples: Samples,
}

/// New native histograms of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesHistograms {
    /// The series.
    pub labels: Labels,
    /// Its histograms, in any order.
    pub samples: Vec<HistogramSample>,
}

/// Exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// The series.
    pub labels: Labels,
    /// Its exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// One sample without an allocation, or several.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Exactly one.
    One(Sample),
    /// Any number, in any order.
    Many(Vec<Sample>),
}
impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
    /// All samples.
    pub fn as_slice(&self) -> &[Sample] {
        match self {
            Samples::One(sample) => std::slice::from_ref(sample),
            Samples::Many(samples) => samples,
        }
    }
}

/// The type of a metric family, with the names that expositions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[expect(missing_docs, reason = "the names are the field's standard terms")]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    #[default]
    Unknown,
}
impl MetricType {
    /// The name in `# TYPE` lines and in `/api/v1/metadata`.
    pub fn name(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
            MetricType::Unknown => "unknown",
        }
    }
    /// Reads a name; `untyped` is the text format's word for unknown.
    pub fn from_name(name: &str) -> Option<MetricType> {
        Some(match name {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            "histogram" => MetricType::Histogram,
            "gaugehistogram" => MetricType::GaugeHistogram,
            "summary" => MetricType::Summary,
            "info" => MetricType::Info,
            "stateset" => MetricType::StateSet,
            "unknown" | "untyped" => MetricType::Unknown,
            _ => return None,
        })
    }
}

/// Type, help and unit of one metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The family's name.
    pub family: Arc<str>,
    /// Its type.
    pub kind: MetricType,
    /// Its help text.
    pub help: Arc<str>,
    /// Its unit, or the empty text.
    pub unit: Arc<str>,
}
