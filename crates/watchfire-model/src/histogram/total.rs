//! Sums of histograms: what `+`, `-`, `sum`, `avg` and rates are made of. Different resolutions, zero buckets and custom
//! bounds are brought together as Prometheus does it; exponential and custom buckets never are.

use std::cmp::Ordering;
use std::sync::Arc;

use super::bounds::exponential_bound;
use super::buckets::{coarser, spanned};
use super::{CUSTOM_SCHEMA, CounterReset, Histogram};
use crate::sum::Compensated;

/// A number with what rounding has lost of it, if anybody keeps account.
#[derive(Clone, Copy, Debug, Default)]
struct Number(Compensated);
impl Number {
    fn of(value: f64) -> Number {
        Number(Compensated::starting(value))
    }
    fn add(&mut self, value: f64, compensated: bool) {
        match compensated {
            true => self.0.add(value),
            false => self.0.sum += value,
        }
    }
    fn absorb(&mut self, other: Number, compensated: bool) {
        self.add(other.0.sum, compensated);
        if other.0.lost != 0.0 {
            self.add(other.0.lost, compensated);
        }
    }
    fn each(&mut self, change: impl Fn(f64) -> f64) {
        self.0 = Compensated { sum: change(self.0.sum), lost: change(self.0.lost) };
    }
    fn finish(self) -> f64 {
        self.0.plain()
    }
    fn is_zero(self) -> bool {
        self.0.sum == 0.0 && self.0.lost == 0.0
    }
}

/// One bucket of a sum.
#[derive(Clone, Copy, Debug)]
struct Entry {
    index: i32,
    count: Number,
}

/// Histograms of different kinds, exponential and with custom bounds, cannot be added or subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot combine exponential histograms with histograms of custom bounds")]
pub struct DifferentKinds;

/// What was peculiar about an addition or a subtraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Peculiar {
    /// One side knows of a counter reset and the other knows that there was none; the result knows nothing.
    pub resets_conflict: bool,
    /// The custom bounds differed; the result has those that both had.
    pub bounds_differed: bool,
}

/// A sum of histograms under way.
#[derive(Clone, Debug)]
pub struct Total {
    compensated: bool,
    schema: i8,
    reset: CounterReset,
    zero_threshold: f64,
    zero: Number,
    count: Number,
    sum: Number,
    positive: Vec<Entry>,
    negative: Vec<Entry>,
    custom_bounds: Arc<[f64]>,
}

impl Total {
    /// Begins with a histogram; every addition is rounded.
    pub fn of(histogram: &Histogram) -> Total {
        Total {
            compensated: false,
            schema: histogram.schema,
            reset: histogram.reset,
            zero_threshold: histogram.zero_threshold,
            zero: Number::of(histogram.zero_count),
            count: Number::of(histogram.count),
            sum: Number::of(histogram.sum),
            positive: entries(histogram.positive_indexed()),
            negative: entries(histogram.negative_indexed()),
            custom_bounds: Arc::clone(&histogram.custom_bounds),
        }
    }
    /// Begins with a histogram, and keeps account of what rounding loses.
    pub fn compensated(histogram: &Histogram) -> Total {
        Total { compensated: true, ..Total::of(histogram) }
    }

    /// Adds a histogram.
    pub fn add(&mut self, other: &Histogram) -> Result<Peculiar, DifferentKinds> {
        self.combine(other, 1.0)
    }
    /// Subtracts a histogram. The caller decides whether the result is a gauge.
    pub fn subtract(&mut self, other: &Histogram) -> Result<Peculiar, DifferentKinds> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Peculiar, DifferentKinds> {
        let custom = self.schema == CUSTOM_SCHEMA;
        if custom != other.has_custom_bounds() {
            return Err(DifferentKinds);
        }
        let resets_conflict = self.adjust_reset(other.reset);
        let compensated = self.compensated;
        if !custom {
            let zero = self.reconcile_zero(other);
            self.zero.add(sign * zero, compensated);
        }
        self.count.add(sign * other.count, compensated);
        self.sum.add(sign * other.sum, compensated);
        if custom {
            let bounds_differed = self.custom_bounds != other.custom_bounds;
            if bounds_differed {
                self.merge_custom(other, sign);
            } else {
                merge(&mut self.positive, signed(other.positive_indexed(), sign), compensated);
            }
            return Ok(Peculiar { resets_conflict, bounds_differed });
        }
        self.reduce(other.schema);
        let levels = u32::from(other.schema.abs_diff(self.schema));
        let zero = self.zero_threshold;
        // What lies within the zero bucket has been counted with it.
        let within_zero = |(index, _): &(i32, f64)| exponential_bound(*index, other.schema) <= zero;
        merge(&mut self.positive, signed(coarser(other.positive_indexed().skip_while(within_zero), levels), sign), compensated);
        merge(&mut self.negative, signed(coarser(other.negative_indexed().skip_while(within_zero), levels), sign), compensated);
        Ok(Peculiar { resets_conflict, bounds_differed: false })
    }

    /// A gauge makes a gauge of everything; what is unknown makes counters unknown; true means a conflict.
    fn adjust_reset(&mut self, other: CounterReset) -> bool {
        use CounterReset::{Gauge, Unknown};
        let conflict = !matches!((self.reset, other), (a, b) if a == b || [a, b].iter().any(|r| matches!(r, Gauge | Unknown)));
        self.reset = match (self.reset, other) {
            (a, b) if a == b => a,
            (Gauge, _) | (_, Gauge) => Gauge,
            _ => Unknown,
        };
        conflict
    }

    /// Lowers the resolution to that of a coarser schema.
    fn reduce(&mut self, schema: i8) {
        if schema >= self.schema {
            return;
        }
        let levels = u32::from(self.schema.abs_diff(schema));
        for side in [&mut self.positive, &mut self.negative] {
            let mut reduced: Vec<Entry> = Vec::with_capacity(side.len());
            for entry in side.iter() {
                let index = super::bounds::coarser_index(entry.index, levels);
                match reduced.last_mut() {
                    Some(last) if last.index == index => last.count.absorb(entry.count, self.compensated),
                    _ => reduced.push(Entry { index, count: entry.count }),
                }
            }
            *side = reduced;
        }
        self.schema = schema;
    }

    /// Widens the zero bucket until it holds that of the other one and ends within no populated bucket of either;
    /// the other one's zero count at that width.
    fn reconcile_zero(&mut self, other: &Histogram) -> f64 {
        let (mut zero, mut threshold) = (Number::of(other.zero_count), other.zero_threshold);
        if threshold == self.zero_threshold {
            return other.zero_count;
        }
        let sides = [entries(other.positive_indexed()), entries(other.negative_indexed())];
        while threshold.partial_cmp(&self.zero_threshold).is_some_and(Ordering::is_ne) {
            if self.zero_threshold > threshold {
                (zero, threshold) = widened(other.schema, Number::of(other.zero_count), [&sides[0], &sides[1]], self.zero_threshold, self.compensated);
            }
            if threshold > self.zero_threshold {
                (self.zero, self.zero_threshold) = widened(self.schema, self.zero, [&self.positive, &self.negative], threshold, self.compensated);
                let (schema, zero_threshold) = (self.schema, self.zero_threshold);
                let outside = |entry: &Entry| exponential_bound(entry.index.saturating_sub(1), schema) >= zero_threshold && !entry.count.is_zero();
                self.positive.retain(outside);
                self.negative.retain(outside);
            }
        }
        zero.finish()
    }

    /// Puts both sides into the buckets between the bounds that they share.
    fn merge_custom(&mut self, other: &Histogram, sign: f64) {
        let shared = shared_bounds(&self.custom_bounds, &other.custom_bounds);
        let mut counts = vec![Number::default(); shared.len() + 1];
        for entry in &self.positive {
            counts[shared_index(entry.index, &self.custom_bounds, &shared)].absorb(entry.count, self.compensated);
        }
        for (index, count) in other.positive_indexed() {
            counts[shared_index(index, &other.custom_bounds, &shared)].add(sign * count, self.compensated);
        }
        let populated = counts.into_iter().enumerate().filter(|(_, count)| !count.is_zero());
        self.positive = populated.map(|(i, count)| Entry { index: i32::try_from(i).unwrap_or(i32::MAX), count }).collect();
        self.custom_bounds = shared.into();
    }

    /// Multiplies everything.
    pub fn scale(&mut self, factor: f64) {
        self.each_number(|n| n * factor);
    }
    /// Divides everything by a positive number.
    pub fn divide(&mut self, divisor: f64) {
        self.each_number(|n| n / divisor);
    }
    fn each_number(&mut self, change: impl Fn(f64) -> f64 + Copy) {
        [&mut self.zero, &mut self.count, &mut self.sum].into_iter().for_each(|n| n.each(change));
        self.positive.iter_mut().chain(&mut self.negative).for_each(|e| e.count.each(change));
    }
    /// Whether any number has become infinite.
    pub fn overflows(&self) -> bool {
        let mut numbers = [self.zero, self.count, self.sum].into_iter().chain(self.positive.iter().chain(&self.negative).map(|e| e.count));
        numbers.any(|n| n.0.sum.is_infinite())
    }

    /// The sum. Empty buckets that came in are still there.
    pub fn finish(self) -> Histogram {
        let listed = |side: Vec<Entry>| spanned(side.into_iter().map(|e| (e.index, e.count.finish())));
        let (positive_spans, positive_buckets) = listed(self.positive);
        let (negative_spans, negative_buckets) = listed(self.negative);
        Histogram {
            schema: self.schema,
            integer: false,
            reset: self.reset,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.finish(),
            count: self.count.finish(),
            sum: self.sum.finish(),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_bounds: self.custom_bounds,
        }
    }
}

fn entries(buckets: impl Iterator<Item = (i32, f64)>) -> Vec<Entry> {
    buckets.map(|(index, count)| Entry { index, count: Number::of(count) }).collect()
}

fn signed(buckets: impl Iterator<Item = (i32, f64)>, sign: f64) -> impl Iterator<Item = (i32, f64)> {
    buckets.map(move |(index, count)| (index, sign * count))
}

/// Adds ascending buckets to ascending entries.
fn merge(side: &mut Vec<Entry>, buckets: impl Iterator<Item = (i32, f64)>, compensated: bool) {
    let mut at = 0;
    for (index, count) in buckets {
        while side.get(at).is_some_and(|e| e.index < index) {
            at += 1;
        }
        match side.get_mut(at) {
            Some(entry) if entry.index == index => entry.count.add(count, compensated),
            _ => side.insert(at, Entry { index, count: Number::of(count) }),
        }
    }
}

/// The zero count of a histogram whose zero bucket grew at least to a threshold, and how far it must grow
/// to end within no populated bucket.
fn widened(schema: i8, zero: Number, sides: [&[Entry]; 2], threshold: f64, compensated: bool) -> (Number, f64) {
    let mut threshold = threshold;
    'again: loop {
        let mut total = zero;
        for (i, side) in sides.into_iter().enumerate() {
            for entry in side {
                if exponential_bound(entry.index.saturating_sub(1), schema) >= threshold {
                    break;
                }
                total.absorb(entry.count, compensated);
                let upper = exponential_bound(entry.index, schema);
                if upper > threshold {
                    if entry.count.0.sum != 0.0 {
                        threshold = upper;
                        // What was counted on the other side is out of date then.
                        if i > 0 {
                            continue 'again;
                        }
                    }
                    break;
                }
            }
        }
        return (total, threshold);
    }
}

/// The zero count of a histogram at a wider threshold, and the threshold that this needs.
pub(super) fn zero_count_within(histogram: &Histogram, threshold: f64) -> (f64, f64) {
    let sides = [entries(histogram.positive_indexed()), entries(histogram.negative_indexed())];
    let (zero, threshold) = widened(histogram.schema, Number::of(histogram.zero_count), [&sides[0], &sides[1]], threshold, false);
    (zero.0.sum, threshold)
}

/// The bounds that both have.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().peekable();
    let mut shared = Vec::new();
    for bound in a {
        while rest.next_if(|other| *other < bound).is_some() {}
        if rest.next_if(|other| *other == bound).is_some() {
            shared.push(*bound);
        }
    }
    shared
}

/// Which bucket between shared bounds takes a bucket.
pub(super) fn shared_index(index: i32, bounds: &[f64], shared: &[f64]) -> usize {
    match usize::try_from(index).ok().and_then(|i| bounds.get(i)) {
        Some(bound) => shared.partition_point(|s| s < bound),
        None => shared.len(),
    }
}
