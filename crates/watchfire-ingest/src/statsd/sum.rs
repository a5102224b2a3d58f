//! What the events of one series came to, and the samples that are stored of it. It refuses what would spoil a sum for good,
//! and says why; it keeps no books and knows no series.

use hashbrown::HashSet;
use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, METRIC_NAME};

use crate::exposition::format_bound;

use super::line::{Event, Kind};

/// The most different members that a set counts in one interval.
pub(super) const MEMBERS_MAX: usize = 10_000;
/// The smallest sample rate. One event of a smaller one would stand for so many that all others vanish beside it.
const RATE_MIN: f64 = 1e-6;

/// Bounds of timers, in seconds: those that Prometheus' clients use, and two for what takes long.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds of histograms and distributions, whose unit nobody says: 1, 2.5 and 5 at each power of ten.
const WIDE: [f64; 27] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5,
    2.5e5, 5e5,
];

/// Why a value counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no number.
    Malformed,
    /// Its series is of another type.
    Conflicting,
    /// A counter never falls.
    NegativeCounter,
    /// Its sample rate is too small.
    SampleRate,
    /// With it the sum were no number any more.
    Overflow,
    /// The set has as many members as it may.
    MemberLimit,
}

/// The sum of one series.
#[derive(Clone)]
pub(super) enum Sum {
    Counter(f64),
    Gauge(f64),
    /// Members seen in this interval, as hashes.
    Set(HashSet<u64>),
    Histogram {
        bounds: &'static [f64],
        counts: Vec<f64>,
        count: f64,
        sum: f64,
    },
}
impl Sum {
    pub(super) fn new(kind: Kind) -> Sum {
        let histogram = |bounds: &'static [f64]| Sum::Histogram { bounds, counts: vec![0.0; bounds.len()], count: 0.0, sum: 0.0 };
        match kind {
            Kind::Counter => Sum::Counter(0.0),
            Kind::Gauge | Kind::GaugeChange => Sum::Gauge(0.0),
            Kind::Set => Sum::Set(HashSet::new()),
            Kind::Timer => histogram(&SECONDS),
            Kind::Histogram => histogram(&WIDE),
        }
    }
    pub(super) fn kind(&self) -> MetricType {
        match self {
            Sum::Counter(_) => MetricType::Counter,
            Sum::Gauge(_) | Sum::Set(_) => MetricType::Gauge,
            Sum::Histogram { .. } => MetricType::Histogram,
        }
    }

    /// Adds one value of an event, for a set a member. What is refused changes nothing.
    pub(super) fn add(&mut self, event: &Event<'_>, text: &str) -> Result<(), Refused> {
        if let (Sum::Set(members), Kind::Set) = (&mut *self, event.kind) {
            let member = Labels::from_pairs([("member", text)]).hash_value();
            return insert(members, member).then_some(()).ok_or(Refused::MemberLimit);
        }
        let value = text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or(Refused::Malformed)?;
        match (self, event.kind) {
            (Sum::Counter(_), Kind::Counter) if value < 0.0 => return Err(Refused::NegativeCounter),
            // A sampled event stands for several.
            (Sum::Counter(total), Kind::Counter) => *total = finite(*total + value * weight(event)?)?,
            (Sum::Gauge(now), Kind::Gauge) => *now = value,
            (Sum::Gauge(now), Kind::GaugeChange) => *now = finite(*now + value)?,
            (Sum::Histogram { bounds, counts, count, sum }, Kind::Timer | Kind::Histogram) => {
                let value = if event.kind == Kind::Timer { value / 1000.0 } else { value };
                let weight = weight(event)?;
                *sum = finite(*sum + value * weight)?;
                if let Some(here) = bounds.iter().zip(counts).find_map(|(bound, here)| (value <= *bound).then_some(here)) {
                    *here += weight;
                }
                *count += weight;
            }
            _ => return Err(Refused::Conflicting),
        }
        Ok(())
    }

    /// Takes out what is stored now. A set begins anew; everything else goes on.
    pub(super) fn take(&mut self) -> Sum {
        match self {
            Sum::Set(members) => Sum::Set(std::mem::take(members)),
            other => other.clone(),
        }
    }
    /// Puts back what could not be stored: the members of a set that came since are joined by those of before.
    pub(super) fn put_back(&mut self, taken: Sum) {
        if let (Sum::Set(members), Sum::Set(before)) = (self, taken) {
            // The members of before were counted already, so they go first.
            let since = std::mem::replace(members, before);
            for member in since {
                insert(members, member);
            }
        }
    }

    /// The samples of the series with these labels.
    pub(super) fn points(&self, labels: &Labels) -> Vec<(Labels, f64)> {
        match self {
            Sum::Counter(value) | Sum::Gauge(value) => vec![(labels.clone(), *value)],
            Sum::Set(members) => vec![(labels.clone(), members.len() as f64)],
            Sum::Histogram { bounds, counts, count, sum } => {
                let part = |suffix: &str| labels.with(METRIC_NAME, &format!("{}{suffix}", labels.metric_name()));
                let mut below = 0.0;
                let mut all = Vec::with_capacity(bounds.len() + 3);
                let bucket = part("_bucket");
                for (bound, here) in bounds.iter().zip(counts) {
                    below += here;
                    all.push((bucket.with("le", &format_bound(*bound)), below));
                }
                all.extend([(bucket.with("le", "+Inf"), *count), (part("_sum"), *sum), (part("_count"), *count)]);
                all
            }
        }
    }
}

/// Whether the set has the member now.
fn insert(members: &mut HashSet<u64>, member: u64) -> bool {
    if members.len() < MEMBERS_MAX {
        members.insert(member);
        return true;
    }
    members.contains(&member)
}

/// For how many events one stands.
fn weight(event: &Event<'_>) -> Result<f64, Refused> {
    if event.rate < RATE_MIN { Err(Refused::SampleRate) } else { Ok(1.0 / event.rate) }
}

fn finite(sum: f64) -> Result<f64, Refused> {
    if sum.is_finite() { Ok(sum) } else { Err(Refused::Overflow) }
}
