//! The protobuf exposition: `io.prometheus.client.MetricFamily` messages, each with its length in front. It is the only
//! exposition that carries native histograms. Read as Prometheus reads it: one family after the other becomes the series
//! that the text format would show, or native histograms where a message has them.
//!
//! MetricFamily { 1: name, 2: help, 3: type, 4: Metric*, 5: unit }, Metric { 1: LabelPair*, 2: Gauge, 3: Counter, 4: Summary,
//! 5: Untyped, 6: int64 ms, 7: Histogram }. The other messages stand with their readers.
//!
//! Like the text parsers it hands out a key per series, so that labels are decoded only when the key is new. The key is made
//! of bytes that cannot stand in a text.

mod histogram;
mod sample;
#[cfg(test)]
mod tests;

use watchfire_model::batch::MetricType;
use watchfire_model::histogram::Histogram;

use crate::exposition::{Classic, ClassicError, RawExemplar};
use crate::protobuf::{Message, Value, WireError, text};
use histogram::RawHistogram;

use sample::Key;
pub(crate) use sample::decode_exemplar;
pub use sample::{Content, Measured, Sample};

/// What is wanted of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether native histograms are taken; without it a histogram is always a classic one.
    pub native: bool,
    /// Whether the classic form is taken beside a native one.
    pub classic_too: bool,
    /// Whether classic histograms become native ones with custom bounds.
    pub custom: bool,
}

/// One thing that stands in an exposition.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A family begins. Families without metrics are passed over.
    Family {
        /// Its name.
        name: &'a str,
        /// Its type.
        kind: MetricType,
        /// Its help text.
        help: &'a str,
        /// Its unit, possibly empty.
        unit: &'a str,
    },
    /// A sample of the last family.
    Sample(Sample<'a>),
    /// A histogram of the last family that is none.
    Wrong(WrongHistogram),
}

/// Why a histogram is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WrongHistogram {
    /// A native one.
    #[error(transparent)]
    Native(#[from] watchfire_model::histogram::HistogramError),
    /// A classic one that should become a native one.
    #[error(transparent)]
    Classic(#[from] ClassicError),
}

/// Why bytes are not a valid exposition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// They are not the protobuf messages that they should be.
    #[error("cannot read the protobuf exposition: {0}")]
    Wire(#[from] WireError),
    /// A family without a name.
    #[error("a metric family has no name")]
    NoName,
    /// A type that does not exist.
    #[error("unknown metric type {1} for metric {0:?}")]
    Type(String, u64),
    /// A unit that does not fit the name.
    #[error("unit {1:?} not a suffix of metric {0:?}")]
    Unit(String, String),
    /// A label twice.
    #[error("metric {0:?} has label {1:?} twice")]
    DuplicateLabel(String, String),
    /// A label without a name.
    #[error("metric {0:?} has a label without a name")]
    EmptyLabel(String),
    /// More buckets than one exposition may have.
    #[error("more than {BUCKETS_MAX} histogram buckets in one exposition")]
    Buckets,
}

/// The most buckets and spans, classic and native, that one exposition may have.
const BUCKETS_MAX: usize = 2 << 20;

/// Why reading ended early.
#[derive(Debug)]
pub enum Stop<E> {
    /// The exposition is not valid.
    Invalid(ProtoError),
    /// The visitor wanted no more.
    Visitor(E),
}
impl<E> From<ProtoError> for Stop<E> {
    fn from(error: ProtoError) -> Stop<E> {
        Stop::Invalid(error)
    }
}
impl<E> From<WireError> for Stop<E> {
    fn from(error: WireError) -> Stop<E> {
        Stop::Invalid(error.into())
    }
}

/// Reads a whole exposition, entry by entry, in the order in which it stands there.
pub fn read<E>(body: &[u8], options: Options, visit: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), Stop<E>> {
    let mut reading = Reading { options, key: Key::default(), classic: Classic::default(), buckets_left: BUCKETS_MAX, visit };
    let mut stream = Message::new(body);
    while let Some(family) = stream.delimited() {
        reading.family(family?)?;
    }
    Ok(())
}

struct Reading<V> {
    options: Options,
    key: Key,
    classic: Classic,
    buckets_left: usize,
    visit: V,
}

/// What all metrics of a family share.
#[derive(Clone, Copy, Debug)]
struct About<'a> {
    name: &'a str,
    kind: MetricType,
    unit: &'a str,
}

impl<V> Reading<V> {
    fn family<E>(&mut self, message: &[u8]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let (mut name, mut help, mut kind, mut unit, mut empty) = ("", "", 0, "", true);
        for field in Message::new(message) {
            match field? {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (2, Value::Bytes(bytes)) => help = text(bytes)?,
                (3, Value::Varint(number)) => kind = number,
                (4, Value::Bytes(_)) => empty = false,
                (5, Value::Bytes(bytes)) => unit = text(bytes)?,
                _ => {}
            }
        }
        if empty {
            return Ok(());
        }
        let about = About { name, kind: check(name, kind, unit)?, unit };
        self.visit(Entry::Family { name, kind: about.kind, help, unit })?;
        for field in Message::new(message) {
            if let (4, Value::Bytes(metric)) = field? {
                self.metric(about, metric)?;
            }
        }
        Ok(())
    }

    fn metric<E>(&mut self, about: About<'_>, message: &[u8]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let (mut time, mut inner): (i64, &[u8]) = (0, &[]);
        let wanted = match about.kind {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Histogram | MetricType::GaugeHistogram => 7,
            _ => 5,
        };
        self.key.begin(about.name, about.unit);
        for field in Message::new(message) {
            match field? {
                (1, Value::Bytes(label)) => self.key.add_label(label),
                (6, Value::Varint(ms)) => time = ms.cast_signed(),
                (number, Value::Bytes(bytes)) if number == wanted => inner = bytes,
                _ => {}
            }
        }
        let whole = Whole { about, metric: message, time };
        match about.kind {
            MetricType::Summary => self.summary(whole, inner),
            MetricType::Histogram | MetricType::GaugeHistogram => self.histogram(whole, inner),
            _ => self.plain(whole, inner),
        }
    }

    /// Counter { 1: value, 2: Exemplar, 3: created }, Gauge and Untyped { 1: value }.
    fn plain<E>(&mut self, whole: Whole<'_>, message: &[u8]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let (mut value, mut exemplar, mut created) = (0.0, None, 0);
        for field in Message::new(message) {
            match field? {
                (1, Value::Fixed64(bits)) => value = f64::from_bits(bits),
                (2, Value::Bytes(bytes)) => exemplar = Some(RawExemplar::Proto(bytes)),
                (3, Value::Bytes(bytes)) => created = sample::read_timestamp(bytes)?,
                _ => {}
            }
        }
        if whole.about.kind != MetricType::Counter {
            (exemplar, created) = (None, 0);
        }
        self.float(whole, Measured::Value, value, created, exemplar.as_slice())
    }

    /// Summary { 1: count uint64, 2: sum, 3: Quantile { 1: quantile, 2: value }*, 4: created }.
    fn summary<E>(&mut self, whole: Whole<'_>, message: &[u8]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let (mut count, mut sum, mut created) = (0, 0.0, 0);
        for field in Message::new(message) {
            match field? {
                (1, Value::Varint(number)) => count = number,
                (2, Value::Fixed64(bits)) => sum = f64::from_bits(bits),
                (4, Value::Bytes(bytes)) => created = sample::read_timestamp(bytes)?,
                _ => {}
            }
        }
        self.float(whole, Measured::Count, count as f64, created, &[])?;
        self.float(whole, Measured::Sum, sum, created, &[])?;
        for field in Message::new(message) {
            if let (3, Value::Bytes(quantile)) = field? {
                let [quantile, value] = histogram::read_pair(quantile)?;
                self.float(whole, Measured::Quantile(quantile), value, created, &[])?;
            }
        }
        Ok(())
    }

    fn histogram<E>(&mut self, whole: Whole<'_>, message: &[u8]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let raw = RawHistogram::read(message, self.buckets_left)?;
        self.buckets_left -= raw.size();
        let native = self.options.native && raw.is_native();
        if native {
            let exemplars = raw.native_exemplars()?;
            let converted = raw.native(whole.about.kind == MetricType::GaugeHistogram);
            self.native(whole, converted, raw.created, &exemplars)?;
        } else if self.options.custom {
            let converted = raw.custom(&mut self.classic).map(|mut histogram| {
                if whole.about.kind == MetricType::GaugeHistogram {
                    histogram.reset = watchfire_model::histogram::CounterReset::Gauge;
                }
                histogram
            });
            let exemplars: Vec<RawExemplar<'_>> = raw.buckets.iter().filter_map(|b| b.exemplar).collect();
            self.native(whole, converted, raw.created, &exemplars)?;
        } else {
            return self.classic(whole, &raw);
        }
        if self.options.classic_too && (!native || !raw.buckets.is_empty()) {
            self.classic(whole, &raw)?;
        }
        Ok(())
    }

    fn native<E>(&mut self, whole: Whole<'_>, histogram: Result<Histogram, WrongHistogram>, created: i64, exemplars: &[RawExemplar<'_>]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        match histogram {
            Ok(histogram) => self.sample(whole, Measured::Native, sample::Content::Histogram(histogram.into()), created, exemplars),
            Err(wrong) => self.visit(Entry::Wrong(wrong)),
        }
    }

    fn classic<E>(&mut self, whole: Whole<'_>, raw: &RawHistogram<'_>) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        self.float(whole, Measured::Count, raw.count(), raw.created, &[])?;
        self.float(whole, Measured::Sum, raw.sum, raw.created, &[])?;
        for bucket in &raw.buckets {
            self.float(whole, Measured::Bucket(bucket.bound), bucket.count, raw.created, bucket.exemplar.as_slice())?;
            if bucket.bound == f64::INFINITY {
                return Ok(());
            }
        }
        self.float(whole, Measured::Bucket(f64::INFINITY), raw.count(), raw.created, &[])
    }

    fn float<E>(&mut self, whole: Whole<'_>, measured: Measured, value: f64, created: i64, exemplars: &[RawExemplar<'_>]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        self.sample(whole, measured, sample::Content::Float(value), created, exemplars)
    }
    fn sample<E>(&mut self, whole: Whole<'_>, measured: Measured, content: sample::Content, created: i64, exemplars: &[RawExemplar<'_>]) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        let key = self.key.of(measured);
        let entry = Entry::Sample(Sample { key, measured, content, created, exemplars, about: whole.about, metric: whole.metric, time: whole.time });
        (self.visit)(entry).map_err(Stop::Visitor)
    }
    fn visit<E>(&mut self, entry: Entry<'_>) -> Result<(), Stop<E>>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        (self.visit)(entry).map_err(Stop::Visitor)
    }
}

/// A metric and its family.
#[derive(Clone, Copy)]
struct Whole<'a> {
    about: About<'a>,
    metric: &'a [u8],
    time: i64,
}

/// The type of a family, when its name, type and unit can be.
fn check(name: &str, kind: u64, unit: &str) -> Result<MetricType, ProtoError> {
    const TYPES: [MetricType; 6] =
        [MetricType::Counter, MetricType::Gauge, MetricType::Summary, MetricType::Unknown, MetricType::Histogram, MetricType::GaugeHistogram];
    if name.is_empty() {
        return Err(ProtoError::NoName);
    }
    let found = usize::try_from(kind).ok().and_then(|n| TYPES.get(n).copied());
    let kind = found.ok_or_else(|| ProtoError::Type(name.to_owned(), kind))?;
    let base = name.strip_suffix("_total").filter(|_| kind == MetricType::Counter).unwrap_or(name);
    let fits = unit.is_empty() || base.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
    if fits { Ok(kind) } else { Err(ProtoError::Unit(name.to_owned(), unit.to_owned())) }
}
