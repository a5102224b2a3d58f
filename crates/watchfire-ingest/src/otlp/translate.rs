//! One request walked through: resource, scope, metric, point. Each point becomes samples at once and batches go to the
//! sink on the way, so that memory does not grow with the request. A bad point is refused alone and counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample, stale_nan};
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Reason, Sink, Written};

use crate::label_bytes::LabelBytes;
use crate::protobuf::{Message, Value, text};
use crate::remote_write::created::Created;

use super::delta::{Explicit, Mark, Sum, Sums, Unstored};
use super::labels::{Base, Resource, Scope, of_point};
use super::names::{Kind, metric_name, unit_name};
use super::native::{self, Exponents};
use super::points::{self, Common};
use super::settings::Settings;
use super::{DecodeError, OtlpError, value};

/// A batch goes to the sink when it holds so many samples, or the labels of a batch.
const BATCH_SAMPLES: usize = 10_000;
/// What the labels of a part of a histogram or summary have about more than those of the whole.
const PART_BYTES: usize = 48;
/// The most bytes of an example.
const EXAMPLE_BYTES_MAX: usize = 512;
/// The most `target_info` samples of one resource in one request, whatever its times say.
const TARGET_INFO_MAX: i64 = 100;
/// The most characters of an exemplar's labels, as OpenMetrics has it.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// What stops a point or the whole request.
pub(super) enum Problem {
    /// The request cannot be read on.
    Malformed(DecodeError),
    /// This point is not taken.
    Refused(Reason, String),
}
impl From<(Reason, String)> for Problem {
    fn from((reason, words): (Reason, String)) -> Problem {
        Problem::Refused(reason, words)
    }
}
impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Problem {
        Problem::Malformed(error)
    }
}

/// What the translation needs from around it.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) sums: &'a Mutex<Sums>,
    pub(super) created: &'a Created,
    pub(super) sink: &'a dyn Sink,
    pub(super) now: Duration,
}

/// A request under way.
pub(super) struct Translation<'a> {
    around: Surroundings<'a>,
    batch: Batch,
    samples: usize,
    labels: LabelBytes,
    /// The deltas of this batch.
    pub(super) deltas: Unstored<'a>,
    /// Samples of value zero at start times: extras whose fate nobody is told.
    zeros: Batch,
    /// Points seen, and of them those that were refused here.
    pub(super) points: u64,
    pub(super) refused: Written,
    /// What the sink said.
    pub(super) written: Written,
    /// Points of batches in which the sink refused something, at most as many as samples were refused.
    pub(super) points_lost: u64,
    points_in_batch: u64,
}

/// What a metric's points share.
struct Metric<'m> {
    family: String,
    unit: String,
    kind: Kind,
    delta: bool,
    resource: &'m Resource<'m>,
    scope: &'m Scope,
}

/// The shape of a metric's points: which field of `Metric` they came in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

fn millis(ns: u64) -> i64 {
    (ns / 1_000_000) as i64
}

/// A bound or quantile as a label has it: plain digits.
fn plain(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { crate::exposition::format_value(value) }
}

impl<'a> Translation<'a> {
    pub(super) fn new(around: Surroundings<'a>, origin: Origin) -> Translation<'a> {
        Translation {
            deltas: Unstored::new(around.sums),
            around,
            labels: LabelBytes::default(),
            zeros: Batch::new(origin.clone()),
            batch: Batch::new(origin),
            samples: 0,
            points: 0,
            refused: Written::default(),
            written: Written::default(),
            points_lost: 0,
            points_in_batch: 0,
        }
    }

    /// ExportMetricsServiceRequest { 1: ResourceMetrics* }.
    pub(super) fn run(&mut self, message: &[u8]) -> Result<(), OtlpError> {
        for field in Message::new(message) {
            if let (1, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.resource(bytes)?;
            }
        }
        self.flush()
    }

    /// ResourceMetrics { 1: Resource, 2: ScopeMetrics* }.
    fn resource(&mut self, bytes: &[u8]) -> Result<(), OtlpError> {
        let mut resource = Resource::default();
        for field in Message::new(bytes) {
            if let (1, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                resource = Resource::read(bytes, self.around.settings)?;
            }
        }
        let mut times = None;
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.scope(bytes, &resource, &mut times)?;
            }
        }
        match times {
            Some(times) => self.target_info(&resource, times),
            None => Ok(()),
        }
    }

    /// ScopeMetrics { 1: InstrumentationScope, 2: Metric*, 3: schema URL }.
    fn scope(&mut self, bytes: &[u8], resource: &Resource<'_>, times: &mut Option<(u64, u64)>) -> Result<(), OtlpError> {
        let (mut scope, mut schema_url) = (&[][..], "");
        for field in Message::new(bytes) {
            match field.map_err(DecodeError::Wire)? {
                (1, Value::Bytes(bytes)) => scope = bytes,
                (3, Value::Bytes(bytes)) => schema_url = text(bytes).map_err(DecodeError::Wire)?,
                _ => {}
            }
        }
        let scope = Scope::read(scope, schema_url, self.around.settings)?;
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.metric(bytes, resource, &scope, times)?;
            }
        }
        Ok(())
    }

    /// Metric { 1: name, 2: description, 3: unit, 5: Gauge, 7: Sum, 9: Histogram, 10: ExponentialHistogram, 11: Summary }.
    fn metric(&mut self, bytes: &[u8], resource: &Resource<'_>, scope: &Scope, times: &mut Option<(u64, u64)>) -> Result<(), OtlpError> {
        let (mut name, mut help, mut unit, mut data) = ("", "", "", None);
        for field in Message::new(bytes) {
            match field.map_err(DecodeError::Wire)? {
                (1, Value::Bytes(bytes)) => name = text(bytes).map_err(DecodeError::Wire)?,
                (2, Value::Bytes(bytes)) => help = text(bytes).map_err(DecodeError::Wire)?,
                (3, Value::Bytes(bytes)) => unit = text(bytes).map_err(DecodeError::Wire)?,
                (5, Value::Bytes(bytes)) => data = Some((Shape::Gauge, bytes)),
                (7, Value::Bytes(bytes)) => data = Some((Shape::Sum, bytes)),
                (9, Value::Bytes(bytes)) => data = Some((Shape::Histogram, bytes)),
                (10, Value::Bytes(bytes)) => data = Some((Shape::Exponential, bytes)),
                (11, Value::Bytes(bytes)) => data = Some((Shape::Summary, bytes)),
                _ => {}
            }
        }
        let Some((shape, data)) = data else { return Ok(()) };
        // Sum { 1: point*, 2: temporality, 3: monotonic }; the others have fewer of these fields.
        let (mut temporality, mut monotonic, mut count) = (0, false, 0u64);
        for field in Message::new(data) {
            match field.map_err(DecodeError::Wire)? {
                (1, Value::Bytes(_)) => count += 1,
                (2, Value::Varint(number)) => temporality = number,
                (3, Value::Varint(number)) => monotonic = number != 0,
                _ => {}
            }
        }
        if count == 0 {
            return Ok(());
        }
        let metric = match shape {
            Shape::Gauge => MetricType::Gauge,
            Shape::Sum if monotonic => MetricType::Counter,
            Shape::Sum => MetricType::Gauge,
            Shape::Histogram | Shape::Exponential => MetricType::Histogram,
            Shape::Summary => MetricType::Summary,
        };
        let kind = Kind { metric, gauge: shape == Shape::Gauge };
        let has_temporality = !matches!(shape, Shape::Gauge | Shape::Summary);
        if has_temporality && !matches!(temporality, 1 | 2) {
            self.refuse(count, Reason::UnsupportedType, || format!("invalid temporality and type combination for metric {name:?}"));
            return Ok(());
        }
        let Some(family) = metric_name(self.around.settings.strategy, name, unit, kind) else {
            self.refuse(count, Reason::InvalidLabels, || format!("no metric name can be made of {name:?}"));
            return Ok(());
        };
        let unit = unit_name(unit);
        self.batch.metadata.push(Metadata { family: family.as_str().into(), kind: metric, help: help.into(), unit: unit.as_str().into() });
        let metric = Metric { family, unit, kind, delta: has_temporality && temporality == 1, resource, scope };
        for field in Message::new(data) {
            let (1, Value::Bytes(point)) = field.map_err(DecodeError::Wire)? else { continue };
            self.points += 1;
            self.points_in_batch += 1;
            let outcome = match shape {
                Shape::Gauge | Shape::Sum => self.number(&metric, point, times),
                Shape::Histogram => self.explicit(&metric, point, times),
                Shape::Exponential => self.exponential(&metric, point, times),
                Shape::Summary => self.summary(&metric, point, times),
            };
            match outcome {
                Ok(()) => {}
                Err(Problem::Malformed(error)) => return Err(error.into()),
                Err(Problem::Refused(reason, words)) => {
                    self.points -= 1;
                    self.points_in_batch -= 1;
                    self.refuse(1, reason, || format!("{words}: {}", metric.family));
                }
            }
            if self.samples >= BATCH_SAMPLES || self.labels.fill_a_batch() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The labels of a point of so many series; its time counts for `target_info` from here on.
    fn begin(&mut self, metric: &Metric<'_>, common: &Common<'_>, series: usize, times: &mut Option<(u64, u64)>) -> Result<Base, Problem> {
        let (first, last) = times.unwrap_or((common.time_ns, common.time_ns));
        *times = Some((first.min(common.time_ns), last.max(common.time_ns)));
        let mut base = of_point(&common.attributes, metric.resource, metric.scope, self.around.settings)?;
        if self.around.settings.type_and_unit_labels {
            base.set("__type__", metric.kind.metric.name());
            base.set("__unit__", &metric.unit);
        }
        let taken = self.labels.take_all(series, base.bytes() + metric.family.len() + PART_BYTES);
        taken.map_err(|error| Problem::Refused(Reason::LabelBytes, error.to_string()))?;
        Ok(base)
    }

    fn number(&mut self, metric: &Metric<'_>, bytes: &[u8], times: &mut Option<(u64, u64)>) -> Result<(), Problem> {
        let point = points::number(bytes)?;
        let labels = self.begin(metric, &point.common, 1, times)?.named(&metric.family, None);
        let (mut value, mut start_ns) = (point.value, point.common.start_ns);
        if point.common.is_stale() {
            value = stale_nan();
        } else if metric.delta {
            let sum = self.accumulate(&labels, &point.common, [value.to_bits(), 0], Sum::Number(value))?;
            if let (Sum::Number(total), began) = sum {
                (value, start_ns) = (total, began);
            }
        }
        if metric.kind.metric == MetricType::Counter {
            self.zero(&labels, start_ns, point.common.time_ns);
        }
        if !metric.kind.gauge {
            let exemplars = self.exemplars(&point.common)?;
            self.push_exemplars(&labels, exemplars);
        }
        self.push(labels, point.common.time_ns, value);
        Ok(())
    }

    fn explicit(&mut self, metric: &Metric<'_>, bytes: &[u8], times: &mut Option<(u64, u64)>) -> Result<(), Problem> {
        let point = points::explicit(bytes)?;
        // Beside the buckets there are the sum, the count and the bucket up to infinity.
        let series = if self.around.settings.convert_to_custom_buckets { 1 } else { point.bounds.len() + 3 };
        let base = self.begin(metric, &point.common, series, times)?;
        let common = &point.common;
        let mut start_ns = common.start_ns;
        let mut histogram = Explicit { bounds: point.bounds, counts: point.counts, count: point.count, sum: point.sum };
        if metric.delta && !common.is_stale() {
            let content = [histogram.count, histogram.sum.unwrap_or(0.0).to_bits()];
            let sum = self.accumulate(&base.named(&metric.family, None), common, content, Sum::Explicit(histogram.clone()))?;
            if let (Sum::Explicit(total), began) = sum {
                (histogram, start_ns) = (total, began);
            }
        }
        let exemplars = self.exemplars(common)?;
        if self.around.settings.convert_to_custom_buckets {
            let labels = base.named(&metric.family, None);
            let sum = histogram.sum.unwrap_or(0.0);
            let native = native::custom(&histogram.bounds, &histogram.counts, histogram.count, sum);
            return self.push_native(labels, common, start_ns, native, exemplars);
        }
        self.classic(&metric.family, &base, common, start_ns, &histogram, exemplars);
        Ok(())
    }

    /// A histogram as series of its sum, its count and each of its buckets.
    fn classic(&mut self, family: &str, base: &Base, common: &Common<'_>, start_ns: u64, histogram: &Explicit, exemplars: Vec<Exemplar>) {
        let time_ns = common.time_ns;
        let of = |value: f64| if common.is_stale() { stale_nan() } else { value };
        let part = |translation: &mut Translation<'a>, suffix: &str, le: Option<&str>, value: f64| {
            let labels = base.named(&format!("{family}{suffix}"), le.map(|le| ("le", le)));
            translation.zero(&labels, start_ns, time_ns);
            translation.push(labels.clone(), time_ns, of(value));
            labels
        };
        if let Some(sum) = histogram.sum {
            part(self, "_sum", None, sum);
        }
        part(self, "_count", None, histogram.count as f64);
        let mut exemplars = exemplars;
        let mut below = 0u64;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts).filter(|(bound, _)| bound.is_finite()) {
            below = below.saturating_add(*count);
            let labels = part(self, "_bucket", Some(&plain(*bound)), below as f64);
            let (here, higher) = exemplars.into_iter().partition(|e: &Exemplar| e.value <= *bound);
            exemplars = higher;
            self.push_exemplars(&labels, here);
        }
        let labels = part(self, "_bucket", Some("+Inf"), histogram.count as f64);
        self.push_exemplars(&labels, exemplars);
    }

    fn exponential(&mut self, metric: &Metric<'_>, bytes: &[u8], times: &mut Option<(u64, u64)>) -> Result<(), Problem> {
        let point = points::exponential(bytes)?;
        let labels = self.begin(metric, &point.common, 1, times)?.named(&metric.family, None);
        let common = point.common;
        let threshold = point.zero_threshold;
        let mut histogram = Exponents {
            scale: point.scale,
            zero_threshold: if threshold.is_finite() && threshold > 0.0 { threshold } else { 0.0 },
            zero_count: point.zero_count,
            count: point.count,
            sum: point.sum.unwrap_or(0.0),
            positive: point.positive,
            negative: point.negative,
        };
        let mut start_ns = common.start_ns;
        if metric.delta && !common.is_stale() {
            if let Err(words) = native::exponential(&histogram) {
                return Err(Problem::Refused(Reason::InvalidHistogram, words));
            }
            let sum = self.accumulate(&labels, &common, [histogram.count, histogram.sum.to_bits()], Sum::Exponential(histogram.clone()))?;
            if let (Sum::Exponential(total), began) = sum {
                (histogram, start_ns) = (total, began);
            }
        }
        let exemplars = self.exemplars(&common)?;
        self.push_native(labels, &common, start_ns, native::exponential(&histogram), exemplars)
    }

    fn summary(&mut self, metric: &Metric<'_>, bytes: &[u8], times: &mut Option<(u64, u64)>) -> Result<(), Problem> {
        let point = points::summary(bytes)?;
        let base = self.begin(metric, &point.common, point.quantiles.len() + 2, times)?;
        let (time_ns, start_ns) = (point.common.time_ns, point.common.start_ns);
        let of = |value: f64| if point.common.is_stale() { stale_nan() } else { value };
        for (suffix, value) in [("_sum", point.sum), ("_count", point.count as f64)] {
            let labels = base.named(&format!("{}{suffix}", metric.family), None);
            self.zero(&labels, start_ns, time_ns);
            self.push(labels, time_ns, of(value));
        }
        for (quantile, value) in &point.quantiles {
            self.push(base.named(&metric.family, Some(("quantile", &plain(*quantile)))), time_ns, of(*value));
        }
        Ok(())
    }

    /// Adds a delta to its sum; gives the sum and when it began.
    fn accumulate(&mut self, labels: &Labels, common: &Common<'_>, content: [u64; 2], point: Sum) -> Result<(Sum, u64), Problem> {
        let mark = Mark { start_ns: common.start_ns, time_ns: common.time_ns, content };
        self.deltas.add(labels, mark, point, self.around.now).map_err(|(reason, words)| Problem::Refused(reason, words))
    }

    /// The exemplars of a point, ascending by value. One without a value is left out.
    fn exemplars(&self, common: &Common<'_>) -> Result<Vec<Exemplar>, Problem> {
        let mut found = Vec::with_capacity(common.exemplars.len());
        for bytes in &common.exemplars {
            let exemplar = points::exemplar(bytes)?;
            let Some(value) = exemplar.value else { continue };
            let mut pairs = Vec::new();
            for (name, id) in [("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)] {
                if id.iter().any(|byte| *byte != 0) {
                    pairs.push((name.to_owned(), id.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
                }
            }
            let mut attributes = Vec::new();
            for (key, bytes) in &exemplar.attributes {
                attributes.push(((*key).to_owned(), value::as_text(bytes)?.into_owned()));
            }
            let chars = |pairs: &[(String, String)]| pairs.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum::<usize>();
            if chars(&pairs) + chars(&attributes) <= EXEMPLAR_CHARS_MAX {
                pairs.extend(attributes);
            }
            let time_ns = if exemplar.time_ns == 0 { common.time_ns } else { exemplar.time_ns };
            found.push(Exemplar { labels: Labels::from_pairs(pairs), time: Timestamp(millis(time_ns)), value });
        }
        found.sort_by(|a, b| a.value.total_cmp(&b.value));
        Ok(found)
    }

    fn push(&mut self, labels: Labels, time_ns: u64, value: f64) {
        let sample = Sample { time: Timestamp(millis(time_ns)), value };
        self.batch.series.push(SeriesSamples { labels, samples: Samples::One(sample) });
        self.samples += 1;
    }

    fn push_exemplars(&mut self, labels: &Labels, exemplars: Vec<Exemplar>) {
        if !exemplars.is_empty() {
            self.batch.exemplars.push(SeriesExemplars { labels: labels.clone(), exemplars });
        }
    }

    fn push_native(
        &mut self,
        labels: Labels,
        common: &Common<'_>,
        start_ns: u64,
        native: Result<Histogram, String>,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), Problem> {
        let mut native = native.map_err(|words| Problem::Refused(Reason::InvalidHistogram, words))?;
        if common.is_stale() {
            native = Histogram::stale();
        } else if let Some(time) = self.unknown_start(&labels, start_ns, common.time_ns) {
            let nothing = Histogram {
                schema: native.schema,
                integer: true,
                zero_threshold: native.zero_threshold,
                custom_bounds: native.custom_bounds.clone(),
                ..Histogram::default()
            };
            let samples = vec![HistogramSample { time, value: Arc::new(nothing) }];
            self.zeros.histograms.push(SeriesHistograms { labels: labels.clone(), samples });
        }
        self.push_exemplars(&labels, exemplars);
        let time = Timestamp(millis(common.time_ns));
        self.samples += native.cost() as usize;
        self.batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: Arc::new(native) }] });
        Ok(())
    }

    /// Notes that a counter was zero when it began, when that is wanted and was not noted before.
    fn zero(&mut self, labels: &Labels, start_ns: u64, time_ns: u64) {
        if let Some(time) = self.unknown_start(labels, start_ns, time_ns) {
            let sample = Sample { time, value: 0.0 };
            self.zeros.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(sample) });
        }
    }

    fn unknown_start(&self, labels: &Labels, start_ns: u64, time_ns: u64) -> Option<Timestamp> {
        let start_ms = millis(start_ns);
        if !self.around.settings.start_time_zero_samples || start_ms == 0 || start_ms >= millis(time_ns) {
            return None;
        }
        self.around.created.is_news(labels.hash_value(), start_ms).then_some(Timestamp(start_ms))
    }

    /// `target_info` for the time that the points of a resource span, often enough that every query in it finds one.
    fn target_info(&mut self, resource: &Resource<'_>, (first_ns, last_ns): (u64, u64)) -> Result<(), OtlpError> {
        let labels = match resource.target_info(self.around.settings) {
            Ok(Some(labels)) => labels,
            Ok(None) => return Ok(()),
            Err(Problem::Refused(reason, words)) => {
                self.refuse(1, reason, || format!("{words}: target_info"));
                return Ok(());
            }
            Err(Problem::Malformed(error)) => return Err(error.into()),
        };
        let step_ms = (self.around.settings.lookback_ms / 2).max(1);
        let (first, last) = (millis(first_ns), millis(last_ns));
        let mut time = first.max(last.saturating_sub(step_ms.saturating_mul(TARGET_INFO_MAX - 1)));
        while time < last {
            self.push(labels.clone(), (time.cast_unsigned()).saturating_mul(1_000_000), 1.0);
            time += step_ms;
        }
        self.push(labels, last_ns, 1.0);
        let family = Metadata { family: "target_info".into(), kind: MetricType::Gauge, help: "Target metadata".into(), unit: "".into() };
        self.batch.metadata.push(family);
        Ok(())
    }

    fn refuse(&mut self, points: u64, reason: Reason, words: impl FnOnce() -> String) {
        self.points += points;
        self.refused.reject(reason, points);
        self.refused.example.get_or_insert_with(|| {
            let mut example = format!("{reason}: {}", words());
            example.truncate(example.floor_char_boundary(EXAMPLE_BYTES_MAX));
            example
        });
    }

    /// Hands over what was gathered.
    fn flush(&mut self) -> Result<(), OtlpError> {
        let origin = self.batch.origin.clone();
        let zeros = std::mem::replace(&mut self.zeros, Batch::new(origin.clone()));
        let batch = std::mem::replace(&mut self.batch, Batch::new(origin));
        self.samples = 0;
        self.labels.next_batch();
        let points = std::mem::take(&mut self.points_in_batch);
        if !zeros.is_empty() {
            let floats = zeros.series.iter().flat_map(|s| s.samples.as_slice().iter().map(|one| (s.labels.hash_value(), one.time.0)));
            let histograms = zeros.histograms.iter().flat_map(|s| s.samples.iter().map(|one| (s.labels.hash_value(), one.time.0)));
            let noted: Vec<(u64, i64)> = floats.chain(histograms).collect();
            self.around.sink.write(zeros)?;
            self.around.created.note(&noted);
        }
        if !batch.is_empty() {
            let written = self.around.sink.write(batch)?;
            self.points_lost += written.rejected_total().min(points);
            self.written.add(written);
        }
        self.deltas.settle();
        Ok(())
    }
}
