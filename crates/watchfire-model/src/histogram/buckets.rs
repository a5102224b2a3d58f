//! Buckets one by one: their indexes, their bounds, and the spans that hold them together.

use super::bounds::{coarser_index, exponential_bound};
use super::{Histogram, Span};

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether an observation that equals the lower bound is inside.
    pub lower_inclusive: bool,
    /// Whether an observation that equals the upper bound is inside.
    pub upper_inclusive: bool,
    /// How many observations it holds.
    pub count: f64,
}

/// Index and count of every present bucket of one sign, from zero outwards.
pub(super) fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset);
        next = first.saturating_add_unsigned(span.length);
        (0..span.length).map(move |i| first.saturating_add_unsigned(i))
    });
    indexes.zip(counts.iter().copied())
}

/// The same buckets, those together that are one bucket of a coarser schema.
pub(super) fn coarser(buckets: impl Iterator<Item = (i32, f64)>, levels: u32) -> impl Iterator<Item = (i32, f64)> {
    let mut buckets = buckets.map(move |(index, count)| (if levels == 0 { index } else { coarser_index(index, levels) }, count)).peekable();
    std::iter::from_fn(move || {
        let (index, mut count) = buckets.next()?;
        while let Some((_, more)) = buckets.next_if(|(next, _)| *next == index) {
            count += more;
        }
        Some((index, count))
    })
}

/// Spans and counts of buckets in ascending order of index.
pub(super) fn spanned(buckets: impl Iterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
        }
        counts.push(count);
        next = index.saturating_add(1);
    }
    (spans, counts)
}

impl Histogram {
    pub(super) fn positive_indexed(&self) -> impl Iterator<Item = (i32, f64)> {
        indexed(&self.positive_spans, &self.positive_buckets)
    }
    pub(super) fn negative_indexed(&self) -> impl Iterator<Item = (i32, f64)> {
        indexed(&self.negative_spans, &self.negative_buckets)
    }

    /// The upper bound of the bucket with an index, away from zero.
    fn bound(&self, index: i32) -> f64 {
        if !self.has_custom_bounds() {
            return exponential_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(index) => self.custom_bounds.get(index).copied().unwrap_or(f64::INFINITY),
        }
    }

    /// The present buckets above zero, ascending. Empty ones are among them.
    pub fn above_zero(&self) -> impl Iterator<Item = Bucket> {
        self.positive_indexed().map(|(index, count)| {
            let (lower, upper) = (self.bound(index.saturating_sub(1)), self.bound(index));
            let lower_inclusive = if self.has_custom_bounds() { index == 0 } else { lower < 0.0 };
            Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count }
        })
    }

    /// The present buckets below zero, descending: from zero outwards.
    pub fn below_zero(&self) -> impl Iterator<Item = Bucket> {
        self.negative_indexed().map(|(index, count)| {
            let (lower, upper) = (-self.bound(index), -self.bound(index.saturating_sub(1)));
            Bucket { lower, upper, lower_inclusive: true, upper_inclusive: false, count }
        })
    }

    /// The zero bucket, which reaches as far below zero as above it.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket { lower: -self.zero_threshold, upper: self.zero_threshold, lower_inclusive: true, upper_inclusive: true, count: self.zero_count }
    }

    /// All present buckets, ascending, with a populated zero bucket in between. A bucket that reaches into the zero bucket ends there.
    pub fn all_buckets(&self) -> Vec<Bucket> {
        let zero = self.zero_threshold;
        let mut all: Vec<Bucket> = self.below_zero().collect();
        all.reverse();
        all.extend((self.zero_count > 0.0).then(|| self.zero_bucket()));
        let below = all.len();
        all.extend(self.above_zero());
        for (i, bucket) in all.iter_mut().enumerate() {
            if i < below && bucket.upper < 0.0 && bucket.upper > -zero {
                bucket.upper = -zero;
            }
            if i >= below && bucket.lower > 0.0 && bucket.lower < zero {
                bucket.lower = zero;
            }
        }
        all
    }

    /// Drops empty buckets and joins neighbouring spans, so that equal contents have equal forms.
    pub fn compact(&mut self) {
        let populated = |(_, count): &(i32, f64)| *count != 0.0;
        (self.positive_spans, self.positive_buckets) = spanned(self.positive_indexed().filter(populated));
        (self.negative_spans, self.negative_buckets) = spanned(self.negative_indexed().filter(populated));
    }

    /// A copy with the resolution of a coarser exponential schema; a finer one, or custom bounds, change nothing.
    pub fn reduced(&self, schema: i8) -> Histogram {
        let mut copy = self.clone();
        if !self.has_custom_bounds() && (super::SCHEMA_MIN..self.schema).contains(&schema) {
            let levels = self.schema.abs_diff(schema).into();
            (copy.positive_spans, copy.positive_buckets) = spanned(coarser(self.positive_indexed(), levels));
            (copy.negative_spans, copy.negative_buckets) = spanned(coarser(self.negative_indexed(), levels));
            copy.schema = schema;
        }
        copy
    }

    /// Whether both hold the same data, bit for bit. What is known about resets, and how the counts came, plays no part.
    pub fn same_data(&self, other: &Histogram) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let same_side = |a: &mut dyn Iterator<Item = (i32, f64)>, b: &mut dyn Iterator<Item = (i32, f64)>| {
            a.map(|(index, count)| (index, count.to_bits())).eq(b.map(|(index, count)| (index, count.to_bits())))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && (!self.has_custom_bounds() || self.custom_bounds == other.custom_bounds)
            && same_side(&mut self.positive_indexed(), &mut other.positive_indexed())
            && same_side(&mut self.negative_indexed(), &mut other.negative_indexed())
    }

    /// Multiplies every count and the sum. A negative factor makes a gauge of it.
    pub fn scale(&mut self, factor: f64) {
        self.each_number(|n| *n *= factor);
        if factor < 0.0 {
            self.reset = super::CounterReset::Gauge;
        }
    }

    /// Divides every count and the sum. Of a division by zero no buckets remain; a negative divisor makes a gauge of it.
    pub fn divide(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.negative_spans.clear();
            self.positive_buckets.clear();
            self.negative_buckets.clear();
        }
        self.each_number(|n| *n /= divisor);
        if divisor < 0.0 {
            self.reset = super::CounterReset::Gauge;
        }
    }

    fn each_number(&mut self, mut change: impl FnMut(&mut f64)) {
        self.integer = false;
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().for_each(&mut change);
        self.positive_buckets.iter_mut().chain(&mut self.negative_buckets).for_each(change);
    }
}
