//! The body of a push → families with their samples, checked for what cannot be: times, duplicates, foreign labels.

use std::collections::{BTreeMap, HashSet};

use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};

use crate::exposition::{Entry, Format, Parser};
use crate::label_bytes::LabelBytes;
use crate::prometheus_proto;

use super::{Key, PushError};

/// What was pushed at once.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    pub(super) families: BTreeMap<String, Family>,
}

/// Samples of one family. Their labels hold the metric name, and not those of the group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Family {
    pub(super) kind: MetricType,
    pub(super) help: String,
    pub(super) pushed_ms: i64,
    pub(super) samples: Vec<(Labels, f64)>,
}

/// Metrics that the gateway makes itself; pushed ones of these names are passed over.
pub(super) const OWN: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// A body by its format.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Text format 0.0.4.
    Text(&'a [u8]),
    /// OpenMetrics.
    OpenMetrics(&'a [u8]),
    /// Protobuf messages with their lengths in front. Native histograms are read as classic ones.
    Protobuf(&'a [u8]),
}

fn malformed(error: impl std::fmt::Display) -> PushError {
    PushError::Malformed(error.to_string())
}

fn take(labels: &mut LabelBytes, bytes: usize) -> Result<(), PushError> {
    labels.take(bytes).map_err(|error| PushError::Full(error.to_string()))
}

pub(super) fn parse(body: Body<'_>, key: &Key) -> Result<Pushed, PushError> {
    let mut reading = Reading { key, pushed: Pushed::default(), seen: HashSet::new(), labels: LabelBytes::default() };
    match body {
        // The text format ends its last line; programs that print it by hand often do not.
        Body::Text(text) if !text.is_empty() && !text.ends_with(b"\n") => reading.text(Format::PrometheusText, &[text, b"\n"].concat())?,
        Body::Text(text) => reading.text(Format::PrometheusText, text)?,
        Body::OpenMetrics(text) => reading.text(Format::OpenMetrics, text)?,
        Body::Protobuf(messages) => reading.protobuf(messages)?,
    }
    let mut pushed = reading.pushed;
    pushed.families.retain(|name, family| !family.samples.is_empty() && !OWN.contains(&name.as_str()));
    Ok(pushed)
}

/// A body under way.
struct Reading<'a> {
    key: &'a Key,
    pushed: Pushed,
    seen: HashSet<Labels>,
    labels: LabelBytes,
}
impl Reading<'_> {
    fn text(&mut self, format: Format, body: &[u8]) -> Result<(), PushError> {
        let families = &mut self.pushed.families;
        // What is declared comes before what is pushed of it, yet nothing makes it so.
        for entry in Parser::from_bytes(format, body).map_err(malformed)? {
            match entry.map_err(malformed)? {
                Entry::Type { family, kind } => families.entry(family.into_owned()).or_default().kind = kind,
                Entry::Help { family, help } => families.entry(family.into_owned()).or_default().help = help.into_owned(),
                _ => {}
            }
        }
        for entry in Parser::from_bytes(format, body).map_err(malformed)? {
            if let Entry::Sample(sample) = entry.map_err(malformed)? {
                take(&mut self.labels, sample.series.len() + self.key.bytes())?;
                let labels = sample.labels().map_err(malformed)?;
                let family = self.pushed.family_of(labels.metric_name());
                self.sample(family, &labels, sample.time.is_some(), sample.value)?;
            }
        }
        Ok(())
    }

    fn protobuf(&mut self, body: &[u8]) -> Result<(), PushError> {
        let mut family = String::new();
        let outcome = prometheus_proto::read(body, prometheus_proto::Options::default(), |entry| match entry {
            prometheus_proto::Entry::Family { name, kind, help, .. } => {
                name.clone_into(&mut family);
                let known = self.pushed.families.entry(family.clone()).or_default();
                known.kind = kind;
                help.clone_into(&mut known.help);
                Ok(())
            }
            prometheus_proto::Entry::Sample(sample) => {
                let prometheus_proto::Content::Float(value) = sample.content else { return Ok(()) };
                // The labels of a metric stand once and are meant by each of its buckets; the key has as many bytes.
                take(&mut self.labels, sample.key.len() + self.key.bytes())?;
                let names = sample.names().map_err(malformed)?;
                let labels = Labels::from_pairs(names.iter());
                self.sample(family.clone(), &labels, sample.time().is_some(), value)
            }
            prometheus_proto::Entry::Wrong(wrong) => Err(malformed(wrong)),
        });
        outcome.map_err(|stop| match stop {
            prometheus_proto::Stop::Invalid(error) => malformed(error),
            prometheus_proto::Stop::Visitor(error) => error,
        })
    }

    fn sample(&mut self, family: String, labels: &Labels, timed: bool, value: f64) -> Result<(), PushError> {
        if timed {
            return Err(PushError::Inconsistent("pushed metrics must not have timestamps".to_owned()));
        }
        let labels = own_labels(labels, self.key);
        if !self.seen.insert(labels.clone()) {
            return Err(PushError::Inconsistent(format!("{labels} was pushed twice")));
        }
        self.pushed.families.entry(family).or_default().samples.push((labels, value));
        Ok(())
    }
}

/// Labels without those of the group: the path says what these are.
fn own_labels(labels: &Labels, key: &Key) -> Labels {
    let mut builder = LabelsBuilder::from(labels);
    builder.retain(|name, _| name == METRIC_NAME || !key.0.contains_key(name));
    builder.build()
}

impl Pushed {
    /// The family that a sample belongs to: one that was declared, or one of the sample's own name.
    fn family_of(&self, name: &str) -> String {
        const SUFFIXES: [(&str, &[MetricType]); 6] = [
            ("_bucket", &[MetricType::Histogram, MetricType::GaugeHistogram]),
            ("_sum", &[MetricType::Histogram, MetricType::Summary]),
            ("_count", &[MetricType::Histogram, MetricType::Summary]),
            ("_total", &[MetricType::Counter]),
            ("_created", &[MetricType::Counter, MetricType::Histogram, MetricType::Summary]),
            ("_info", &[MetricType::Info]),
        ];
        let declared = |suffix: &(&str, &[MetricType])| {
            let base = name.strip_suffix(suffix.0)?;
            self.families.get(base).is_some_and(|f| suffix.1.contains(&f.kind)).then(|| base.to_owned())
        };
        if self.families.contains_key(name) { name.to_owned() } else { SUFFIXES.iter().find_map(declared).unwrap_or_else(|| name.to_owned()) }
    }
}
