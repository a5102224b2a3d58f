//! One sample of a protobuf exposition: its key, and its labels when somebody asks for them.

use std::borrow::Cow;
use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::time::Timestamp;

use super::{About, ProtoError};
use crate::exposition::exemplar::{FoundExemplar, labels_of};
use crate::exposition::{RawExemplar, SampleNames, format_bound};
use crate::protobuf::{Message, Value, WireError, label_pair};

/// What of a metric a sample is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// The value of a counter, a gauge or an untyped metric.
    Value,
    /// The number of observations.
    Count,
    /// Their sum.
    Sum,
    /// A classic bucket with its upper bound.
    Bucket(f64),
    /// A quantile of a summary.
    Quantile(f64),
    /// A native histogram.
    Native,
}
impl Measured {
    fn code(self) -> (u8, f64) {
        match self {
            Measured::Value => (0, 0.0),
            Measured::Count => (1, 0.0),
            Measured::Sum => (2, 0.0),
            Measured::Bucket(bound) => (3, bound),
            Measured::Quantile(quantile) => (4, quantile),
            Measured::Native => (5, 0.0),
        }
    }
    fn suffix(self) -> &'static str {
        match self {
            Measured::Value | Measured::Quantile(_) | Measured::Native => "",
            Measured::Count => "_count",
            Measured::Sum => "_sum",
            Measured::Bucket(_) => "_bucket",
        }
    }
    fn label(self) -> Option<(&'static str, f64)> {
        match self {
            Measured::Bucket(bound) => Some(("le", bound)),
            Measured::Quantile(quantile) => Some(("quantile", quantile)),
            _ => None,
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    /// A key for caches; together with the family's type it determines the labels.
    pub key: &'a [u8],
    /// What it is of its metric.
    pub measured: Measured,
    /// Its value.
    pub content: Content,
    /// When its counts began, in milliseconds, or 0.
    pub created: i64,
    /// Its exemplars.
    pub exemplars: &'a [RawExemplar<'a>],
    pub(super) about: About<'a>,
    pub(super) metric: &'a [u8],
    pub(super) time: i64,
}

impl<'a> Sample<'a> {
    /// Its time, if it has one. 0 is none, as this format has it.
    pub fn time(&self) -> Option<Timestamp> {
        (self.time != 0).then_some(Timestamp(self.time))
    }
    /// The type of its family.
    pub fn kind(&self) -> MetricType {
        self.about.kind
    }
    /// The unit of its family, possibly empty.
    pub fn unit(&self) -> &'a str {
        self.about.unit
    }
    /// Decodes the labels, ascending by name; empty values are still there. The bounds of buckets and quantiles are
    /// written the one canonical way.
    pub fn names(&self) -> Result<SampleNames<'a>, ProtoError> {
        let name = self.about.name;
        let full = match self.measured.suffix() {
            "" => Cow::Borrowed(name),
            suffix => Cow::Owned(format!("{name}{suffix}")),
        };
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = vec![(Cow::Borrowed(METRIC_NAME), full)];
        for field in Message::new(self.metric) {
            if let (1, Value::Bytes(label)) = field? {
                let (name, value) = label_pair(label)?;
                pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            }
        }
        if let Some((label, bound)) = self.measured.label() {
            pairs.push((Cow::Borrowed(label), Cow::Owned(format_bound(bound))));
        }
        pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(ProtoError::DuplicateLabel(name.to_owned(), twice[0].0.to_string()));
        }
        if pairs.iter().any(|(n, _)| n.is_empty()) {
            return Err(ProtoError::EmptyLabel(name.to_owned()));
        }
        Ok(SampleNames::from_sorted(pairs))
    }
}

/// The key under construction: a byte that no text has, what of the metric it is, the family, the labels as they came.
#[derive(Debug, Default)]
pub(super) struct Key(Vec<u8>);

/// The mark, the code and the bound in front of a key.
const HEAD_BYTES: usize = 10;
/// A byte that stands in no text.
const MARK: u8 = 0xff;

impl Key {
    pub(super) fn begin(&mut self, name: &str, unit: &str) {
        self.0.clear();
        self.0.resize(HEAD_BYTES, MARK);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(MARK);
        self.0.extend_from_slice(unit.as_bytes());
        self.0.push(MARK);
    }
    /// Lengths stand in front, so that no two lists of labels look alike.
    pub(super) fn add_label(&mut self, label: &[u8]) {
        self.0.extend_from_slice(&(label.len() as u32).to_le_bytes());
        self.0.extend_from_slice(label);
    }
    pub(super) fn of(&mut self, measured: Measured) -> &[u8] {
        let (code, bound) = measured.code();
        if let Some((head, _)) = self.0.split_first_chunk_mut::<HEAD_BYTES>() {
            head[1] = code;
            head[2..].copy_from_slice(&bound.to_bits().to_le_bytes());
        }
        &self.0
    }
}

/// Timestamp { 1: seconds int64, 2: nanos int32 } in milliseconds.
pub(super) fn read_timestamp(message: &[u8]) -> Result<i64, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(n)) => seconds = n.cast_signed(),
            (2, Value::Varint(n)) => nanos = n.cast_signed(),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

/// Exemplar { 1: LabelPair*, 2: value, 3: Timestamp }. `None` when a label stands there twice.
pub(crate) fn decode_exemplar(message: &[u8]) -> Result<Option<FoundExemplar>, WireError> {
    let (mut pairs, mut value, mut time) = (Vec::new(), 0.0, None);
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(label)) => pairs.push(label_pair(label)?),
            (2, Value::Fixed64(bits)) => value = f64::from_bits(bits),
            (3, Value::Bytes(bytes)) => time = Some(Timestamp(read_timestamp(bytes)?)),
            _ => {}
        }
    }
    Ok(labels_of(pairs).map(|labels| FoundExemplar { labels, value, time }))
}

/// Whether an exemplar has a time.
pub(super) fn has_time(message: &[u8]) -> Result<bool, WireError> {
    for field in Message::new(message) {
        if let (3, Value::Bytes(_)) = field? {
            return Ok(true);
        }
    }
    Ok(false)
}
