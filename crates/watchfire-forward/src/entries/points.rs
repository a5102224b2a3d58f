//! Samples as points of OTLP's metrics: what a family's type says it is, the series of one histogram or summary as one point. How a point
//! is written is the business of `otlp`.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::histogram::{CounterReset, Histogram, Span};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::logs::Nanos;
use watchfire_model::read::Source as _;
use watchfire_model::sample::{Exemplar, is_stale};
use watchfire_store::{Portion, Store};

use super::outcome::Item;

/// What a point takes in a request beside its labels, about.
const POINT_BYTES: usize = 40;
const BUCKET_BYTES: usize = 16;
/// The largest whole number that a float holds exactly: no count is larger.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a sample never goes on.
const UNKNOWN_SERIES: &str = "unknown_series";
const NOT_WHOLE: &str = "not_whole";
const GAUGE_HISTOGRAM: &str = "gauge_histogram";
const EXEMPLAR_WITHOUT_POINT: &str = "exemplar_without_point";
const TOO_MANY_BUCKETS: &str = "too_many_buckets";
/// Exemplars that wait for the next point of their series at most.
const EXEMPLARS_MAX: usize = 10_000;
/// OTLP has the empty buckets between full ones, too: from the first to the last no more than these.
const DENSE_MAX: i64 = 16_384;

/// What a point is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// The metric.
    pub(super) name: Arc<str>,
    pub(super) help: Arc<str>,
    pub(super) unit: Arc<str>,
    pub(super) data: Data,
    pub(super) exemplars: Vec<Exemplar>,
}

/// What it says; a number that is the staleness marker says that there is none any more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Gauge(f64),
    /// Of a counter.
    Sum(f64),
    Buckets(Buckets),
    Exponential(Arc<Histogram>),
    Quantiles(Quantiles),
}

/// A histogram with bounds: one count more than bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) stale: bool,
}

/// A summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quantiles {
    pub(super) values: Vec<(f64, f64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) stale: bool,
}

impl Point {
    /// What it takes in a request, about.
    pub(super) fn bytes(&self) -> usize {
        let buckets = match &self.data {
            Data::Gauge(_) | Data::Sum(_) => 0,
            Data::Buckets(buckets) => buckets.counts.len(),
            Data::Exponential(histogram) => histogram.positive_buckets.len() + histogram.negative_buckets.len(),
            Data::Quantiles(quantiles) => quantiles.values.len(),
        };
        self.name.len() + POINT_BYTES + buckets * BUCKET_BYTES + self.exemplars.len() * POINT_BYTES
    }
}

/// What a series is within its family.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Gauge,
    Sum,
    Bucket(f64),
    Quantile(f64),
    /// Sum and count of a histogram or a summary.
    SumOf(MetricType),
    CountOf(MetricType),
    GaugeHistogram,
}

/// A series as it goes on.
struct Series {
    labels: Labels,
    /// What was found out about it when so much was known of families.
    told: Option<(u64, Told)>,
}

#[derive(Clone)]
struct Told {
    role: Role,
    family: Option<Arc<Metadata>>,
    /// The metric that it is a part of.
    metric: Arc<str>,
    /// Its labels without the name and what tells it from the other parts.
    base: Labels,
}

/// Parts of one histogram or summary at one time.
struct Group {
    told: Told,
    kind: MetricType,
    time: i64,
    /// The name of the series of each part, with its labels and value: what goes on when the parts are no whole.
    parts: Vec<(Labels, f64)>,
    bounds: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
    exemplars: Vec<Exemplar>,
}

/// What is known of series and families while one reading of the log lasts.
pub(super) struct Points {
    series: HashMap<u32, Series>,
    families: HashMap<Arc<str>, Arc<Metadata>>,
    /// Grows when more is known of families.
    known: u64,
    /// Exemplars stand in the log behind the samples of their batch: they go with the next point of their series.
    exemplars: HashMap<u32, Vec<Exemplar>>,
    waiting: usize,
}

/// How many samples never go on, by reason.
pub(super) type Dropped = Vec<(&'static str, u64)>;

impl Points {
    pub(super) fn new(store: &Store) -> Points {
        let mut points = Points { series: HashMap::new(), families: HashMap::new(), known: 0, exemplars: HashMap::new(), waiting: 0 };
        store.metadata().into_iter().for_each(|family| points.learn(family));
        points
    }

    fn learn(&mut self, family: Metadata) {
        if self.families.get(&family.family).is_none_or(|known| **known != family) {
            self.known += 1;
            self.families.insert(family.family.clone(), Arc::new(family));
        }
    }

    /// The points of a portion, and what of it never goes on.
    pub(super) fn of(&mut self, portion: Portion) -> (Vec<Item>, Dropped) {
        let mut without_point = 0;
        if portion.begins_anew {
            self.series.clear();
            // Their numbers mean nothing any more.
            without_point += self.exemplars.drain().map(|(_, exemplars)| exemplars.len() as u64).sum::<u64>();
            self.waiting = 0;
        }
        portion.metadata.into_iter().for_each(|family| self.learn(family));
        self.series.extend(portion.series.into_iter().map(|(number, labels)| (number, Series { labels, told: None })));
        let (mut items, mut groups) = (Vec::with_capacity(portion.samples.len()), Groups::default());
        let (mut unknown, mut gauge_histograms) = (0, 0);
        let mut dropped: HashMap<&'static str, u64> = HashMap::new();
        for (number, sample) in portion.samples {
            let Some((labels, told)) = self.told(number) else {
                unknown += 1;
                continue;
            };
            let exemplars = self.waiting_of(number);
            let (time, value) = (sample.time.millis(), sample.value);
            match told.role {
                Role::Gauge => items.push(item(&told, time, Data::Gauge(value), exemplars)),
                Role::Sum => items.push(item(&told, time, Data::Sum(value), exemplars)),
                // Its buckets say how things are now, not what has happened: nothing of OTLP means that.
                Role::GaugeHistogram => gauge_histograms += 1,
                _ => groups.add(told, labels, time, value, exemplars),
            }
        }
        groups.all.into_iter().for_each(|group| group.finish(&mut items));
        for (number, sample) in portion.histograms {
            let Some((_, mut told)) = self.told(number) else {
                unknown += 1;
                continue;
            };
            let exemplars = self.waiting_of(number);
            if sample.value.reset == CounterReset::Gauge || told.role == Role::GaugeHistogram {
                gauge_histograms += 1;
                continue;
            }
            told.role = Role::Sum;
            match native(sample.value) {
                Ok(data) => items.push(item(&told, sample.time.millis(), data, exemplars)),
                Err(reason) => *dropped.entry(reason).or_default() += 1,
            }
        }
        for (number, exemplar) in portion.exemplars {
            if self.waiting >= EXEMPLARS_MAX {
                without_point += 1;
                continue;
            }
            self.waiting += 1;
            self.exemplars.entry(number).or_default().push(exemplar);
        }
        dropped.extend([(EXEMPLAR_WITHOUT_POINT, without_point), (UNKNOWN_SERIES, unknown), (GAUGE_HISTOGRAM, gauge_histograms)]);
        (items, dropped.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    /// The exemplars that wait for a point of a series.
    fn waiting_of(&mut self, number: u32) -> Vec<Exemplar> {
        let exemplars = self.exemplars.remove(&number).unwrap_or_default();
        self.waiting -= exemplars.len();
        exemplars
    }

    /// The labels of a series, and what it is.
    fn told(&mut self, number: u32) -> Option<(Labels, Told)> {
        let series = self.series.get_mut(&number)?;
        let told = match &series.told {
            Some((known, told)) if *known == self.known => told.clone(),
            _ => {
                let told = tell(&self.families, &series.labels);
                series.told = Some((self.known, told.clone()));
                told
            }
        };
        Some((series.labels.clone(), told))
    }
}

/// What the families say of a series.
fn tell(families: &HashMap<Arc<str>, Arc<Metadata>>, labels: &Labels) -> Told {
    let name = labels.metric_name();
    let part = ["_bucket", "_sum", "_count", "_total"].into_iter().find_map(|suffix| Some((suffix, families.get(name.strip_suffix(suffix)?)?)));
    let number = |label: &str| labels.get(label).and_then(|text| text.parse::<f64>().ok());
    let whole = families.get(name);
    let of_part = part.and_then(|(suffix, family)| {
        let role = match (suffix, family.kind) {
            ("_total", MetricType::Counter) => Role::Sum,
            ("_bucket", MetricType::Histogram) => Role::Bucket(number("le")?),
            ("_sum", MetricType::Histogram | MetricType::Summary) => Role::SumOf(family.kind),
            ("_count", MetricType::Histogram | MetricType::Summary) => Role::CountOf(family.kind),
            ("_bucket" | "_sum" | "_count", MetricType::GaugeHistogram) => Role::GaugeHistogram,
            _ => return None,
        };
        Some((role, family))
    });
    let (role, family) = match (whole, of_part) {
        (Some(family), _) if family.kind == MetricType::Summary && number("quantile").is_some() => {
            (number("quantile").map_or(Role::Gauge, Role::Quantile), Some(family))
        }
        (Some(family), _) if family.kind == MetricType::Counter => (Role::Sum, Some(family)),
        (Some(family), _) if family.kind == MetricType::GaugeHistogram => (Role::GaugeHistogram, Some(family)),
        (Some(family), _) if family.kind != MetricType::Unknown => (Role::Gauge, Some(family)),
        (_, Some((role, family))) => (role, Some(family)),
        // Nobody has said what it is; counters are known by their name.
        (family, None) => (if name.ends_with("_total") { Role::Sum } else { Role::Gauge }, family),
    };
    let own = match role {
        Role::Bucket(_) => "le",
        Role::Quantile(_) => "quantile",
        _ => METRIC_NAME,
    };
    let metric = match (role, family) {
        (Role::Bucket(_) | Role::Quantile(_) | Role::SumOf(_) | Role::CountOf(_), Some(family)) => family.family.clone(),
        _ => name.into(),
    };
    Told { role, family: family.cloned(), metric, base: labels.without(METRIC_NAME).without(own) }
}

fn item(told: &Told, time_ms: i64, data: Data, exemplars: Vec<Exemplar>) -> Item {
    point(told.metric.clone(), told.family.as_deref(), told.base.clone(), time_ms, data, exemplars)
}

fn point(name: Arc<str>, family: Option<&Metadata>, labels: Labels, time_ms: i64, data: Data, exemplars: Vec<Exemplar>) -> Item {
    let (help, unit) = family.map_or_else(|| ("".into(), "".into()), |family| (family.help.clone(), family.unit.clone()));
    let point = Box::new(Point { name, help, unit, data, exemplars });
    Item { labels, time: Nanos::from_millis(time_ms), line: String::new(), metadata: Labels::empty(), point: Some(point) }
}

/// Groups in the order in which they began.
#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    places: HashMap<(Arc<str>, Labels, i64), usize>,
}

impl Groups {
    fn add(&mut self, told: Told, labels: Labels, time: i64, value: f64, exemplars: Vec<Exemplar>) {
        let next = self.all.len();
        let at = *self.places.entry((told.metric.clone(), told.base.clone(), time)).or_insert(next);
        let role = told.role;
        if at == next {
            let kind = if matches!(role, Role::Quantile(_) | Role::SumOf(MetricType::Summary) | Role::CountOf(MetricType::Summary)) {
                MetricType::Summary
            } else {
                MetricType::Histogram
            };
            self.all.push(Group { told, kind, time, parts: Vec::new(), bounds: Vec::new(), sum: None, count: None, exemplars: Vec::new() });
        }
        let Some(group) = self.all.get_mut(at) else { return };
        match role {
            Role::Bucket(bound) | Role::Quantile(bound) => group.bounds.push((bound, value)),
            Role::SumOf(_) => group.sum = Some(value),
            Role::CountOf(_) => group.count = Some(value),
            Role::Gauge | Role::Sum | Role::GaugeHistogram => {}
        }
        group.parts.push((labels, value));
        group.exemplars.extend(exemplars);
    }
}

impl Group {
    /// One point, or one for each of its series when they are no whole.
    fn finish(mut self, items: &mut Vec<Item>) {
        self.bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let stale = self.parts.iter().any(|(_, value)| is_stale(*value));
        let data = match self.kind {
            MetricType::Summary => self.quantiles(stale).map(Data::Quantiles),
            _ => self.buckets(stale).map(Data::Buckets),
        };
        match data {
            Some(data) => items.push(item(&self.told, self.time, data, self.exemplars)),
            None => {
                let family = self.told.family.as_deref();
                items.extend(self.parts.iter().map(|(labels, value)| {
                    // As sums they would get another name from who adds `_total` to those.
                    point(labels.metric_name().into(), family, labels.without(METRIC_NAME), self.time, Data::Gauge(*value), Vec::new())
                }));
            }
        }
    }

    fn buckets(&self, stale: bool) -> Option<Buckets> {
        if stale {
            return Some(Buckets { stale, ..Buckets::default() });
        }
        let all = self.bounds.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| *count);
        let total = whole(self.count.or(all)?)?;
        let mut buckets = Buckets { sum: self.sum, count: total, ..Buckets::default() };
        let mut before = 0;
        for (bound, cumulative) in self.bounds.iter().filter(|(bound, _)| bound.is_finite()) {
            let cumulative = whole(*cumulative)?;
            buckets.bounds.push(*bound);
            buckets.counts.push(cumulative.checked_sub(before)?);
            before = cumulative;
        }
        buckets.counts.push(total.checked_sub(before)?);
        Some(buckets)
    }

    fn quantiles(&self, stale: bool) -> Option<Quantiles> {
        if stale {
            return Some(Quantiles { stale, ..Quantiles::default() });
        }
        // Without a count it is no summary of anything.
        Some(Quantiles { values: self.bounds.clone(), count: whole(self.count?)?, sum: self.sum.unwrap_or(0.0), stale })
    }
}

/// A count, if it is one.
fn whole(value: f64) -> Option<u64> {
    ((0.0..=COUNT_MAX).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// A native histogram, or why OTLP has no such thing.
fn native(histogram: Arc<Histogram>) -> Result<Data, &'static str> {
    if histogram.is_stale() {
        return Ok(Data::Exponential(histogram));
    }
    if histogram.has_custom_bounds() {
        return with_bounds(&histogram).map(Data::Buckets).ok_or(NOT_WHOLE);
    }
    let all = [histogram.count, histogram.zero_count];
    let mut counts = all.iter().chain(&histogram.positive_buckets).chain(&histogram.negative_buckets);
    if !counts.all(|count| whole(*count).is_some()) {
        return Err(NOT_WHOLE);
    }
    // The first span begins where it begins; what lies between the others is empty.
    let width =
        |spans: &[Span]| spans.iter().enumerate().map(|(at, span)| i64::from(span.length) + if at > 0 { i64::from(span.offset) } else { 0 }).sum::<i64>();
    if width(&histogram.positive_spans).max(width(&histogram.negative_spans)) > DENSE_MAX {
        return Err(TOO_MANY_BUCKETS);
    }
    Ok(Data::Exponential(histogram))
}

/// A native histogram with bounds of its own; `None` when its counts are no whole numbers.
fn with_bounds(histogram: &Histogram) -> Option<Buckets> {
    let mut counts = vec![0; histogram.custom_bounds.len() + 1];
    let mut values = histogram.positive_buckets.iter();
    let mut index = 0i64;
    for span in &histogram.positive_spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            let place = usize::try_from(index).ok().and_then(|at| counts.get_mut(at))?;
            *place = whole(*values.next()?)?;
            index += 1;
        }
    }
    Some(Buckets { bounds: histogram.custom_bounds.to_vec(), counts, count: whole(histogram.count)?, sum: Some(histogram.sum), stale: false })
}
