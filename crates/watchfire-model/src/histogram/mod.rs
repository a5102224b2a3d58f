//! Native histograms: one sample with many buckets, sparse, exponential or with bounds of its own.
//! The form follows Prometheus' float histograms; integer counts are kept as whole floats and say so. It is not a classic
//! histogram (those are series with an `le` label), and how a histogram is stored or sent is the business of others.

mod bounds;
mod buckets;
mod reset;
#[cfg(test)]
mod tests;
mod text;
mod total;
mod trim;

use std::sync::Arc;

pub use bounds::exponential_bound;
pub use buckets::Bucket;
pub use total::{DifferentKinds, Peculiar, Total};

/// The schema of histograms that bring their own bucket bounds.
pub const CUSTOM_SCHEMA: i8 = -53;
/// The coarsest exponential schema.
pub const SCHEMA_MIN: i8 = -4;
/// The finest exponential schema.
pub const SCHEMA_MAX: i8 = 8;

/// A run of consecutive buckets that are present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// The first span: the index of its first bucket. Later spans: the number of absent buckets since the span before.
    pub offset: i32,
    /// The number of buckets.
    pub length: u32,
}

/// What the producer or the storage knows about a counter reset before this sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CounterReset {
    /// Nothing is known; whoever cares compares with the sample before.
    #[default]
    Unknown,
    /// The counts began anew with this sample.
    Reset,
    /// The counts go on from the sample before.
    NotReset,
    /// It is no counter: counts may go down without a reset.
    Gauge,
}

/// One native histogram. Two are equal when all fields have the same bits, so NaN equals NaN.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// The resolution: bucket bounds are powers of 2^(2^-schema); [`CUSTOM_SCHEMA`] has its bounds in `custom_bounds`.
    pub schema: i8,
    /// Whether the counts came as integers. They are whole numbers then.
    pub integer: bool,
    /// What is known about a reset before it.
    pub reset: CounterReset,
    /// Observations with at most this absolute value are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations; NaN ones are in no bucket.
    pub count: f64,
    /// Their sum. A staleness marker here makes the whole sample one.
    pub sum: f64,
    /// Which buckets above zero are present.
    pub positive_spans: Vec<Span>,
    /// Which buckets below zero are present.
    pub negative_spans: Vec<Span>,
    /// The count of each present bucket above zero (not the difference to the one before).
    pub positive_buckets: Vec<f64>,
    /// The count of each present bucket below zero.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds, ascending, of a histogram with its own; the bucket up to infinity has none here.
    pub custom_bounds: Arc<[f64]>,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Histogram) -> bool {
        let same = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        let scalars = |h: &Histogram| [h.zero_threshold, h.zero_count, h.count, h.sum];
        self.schema == other.schema
            && self.integer == other.integer
            && self.reset == other.reset
            && same(&scalars(self), &scalars(other))
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same(&self.positive_buckets, &other.positive_buckets)
            && same(&self.negative_buckets, &other.negative_buckets)
            && same(&self.custom_bounds, &other.custom_bounds)
    }
}

impl Histogram {
    /// The staleness marker as a histogram.
    pub fn stale() -> Histogram {
        Histogram { sum: crate::sample::stale_nan(), ..Histogram::default() }
    }
    /// Whether this ends the series instead of being a value.
    pub fn is_stale(&self) -> bool {
        crate::sample::is_stale(self.sum)
    }
    /// Whether it brings its own bucket bounds.
    pub fn has_custom_bounds(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }
    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        size_of::<Histogram>()
            + (self.positive_spans.len() + self.negative_spans.len()) * size_of::<Span>()
            + (self.positive_buckets.len() + self.negative_buckets.len()) * size_of::<f64>()
    }
    /// How many float samples it counts for in limits: one per 16 bytes, as Prometheus counts.
    pub fn cost(&self) -> u64 {
        (self.memory() as u64).div_ceil(16)
    }

    /// Checks the form: what passes can be computed with. Sources call it before they let a histogram in.
    pub fn check(&self) -> Result<(), HistogramError> {
        let custom = self.has_custom_bounds();
        if custom {
            if !self.custom_bounds.windows(2).all(|pair| pair[0] < pair[1]) || self.custom_bounds.iter().any(|b| !b.is_finite()) {
                return Err(HistogramError::CustomBounds);
            }
            if self.zero_count != 0.0 || self.zero_threshold != 0.0 {
                return Err(HistogramError::CustomZeroBucket);
            }
            if !self.negative_spans.is_empty() || !self.negative_buckets.is_empty() {
                return Err(HistogramError::CustomNegative);
            }
        } else {
            if !(SCHEMA_MIN..=SCHEMA_MAX).contains(&self.schema) {
                return Err(HistogramError::Schema(self.schema.into()));
            }
            if !self.custom_bounds.is_empty() {
                return Err(HistogramError::UnexpectedBounds);
            }
        }
        check_spans(&self.positive_spans, self.positive_buckets.len(), custom.then(|| self.custom_bounds.len() + 1))?;
        check_spans(&self.negative_spans, self.negative_buckets.len(), None)?;
        if self.is_stale() {
            return Ok(());
        }
        let buckets = || self.positive_buckets.iter().chain(&self.negative_buckets);
        if buckets().chain([&self.zero_count, &self.count]).any(|n| *n < 0.0) {
            return Err(HistogramError::NegativeCount);
        }
        if self.integer {
            let sum: f64 = buckets().sum::<f64>() + self.zero_count;
            // Observations that are NaN count, yet are in no bucket.
            if if self.sum.is_nan() { sum > self.count } else { sum != self.count } {
                return Err(HistogramError::Count { count: self.count, sum });
            }
        }
        Ok(())
    }
}

fn check_spans(spans: &[Span], buckets: usize, most: Option<usize>) -> Result<(), HistogramError> {
    if spans.iter().skip(1).any(|s| s.offset < 0) || (most.is_some() && spans.first().is_some_and(|s| s.offset < 0)) {
        return Err(HistogramError::SpanOffset);
    }
    let spanned: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if spanned != buckets as u64 {
        return Err(HistogramError::Spans { spanned, buckets });
    }
    let end = spans.iter().try_fold(0i32, |at, s| i32::try_from(s.length).ok().and_then(|length| at.checked_add(s.offset)?.checked_add(length)));
    match (end, most) {
        (None, _) => Err(HistogramError::SpanOffset),
        (Some(end), Some(most)) if end as usize > most => Err(HistogramError::Spans { spanned: end as u64, buckets: most }),
        _ => Ok(()),
    }
}

/// Why a histogram's form is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// A schema that does not exist.
    #[error("histogram has an unknown schema {0}: valid are -4 to 8 and -53")]
    Schema(i32),
    /// Custom bounds that do not ascend or are not finite.
    #[error("histogram custom bounds must be finite and ascend")]
    CustomBounds,
    /// A zero bucket beside custom bounds.
    #[error("histogram with custom bounds must have no zero bucket")]
    CustomZeroBucket,
    /// Negative buckets beside custom bounds.
    #[error("histogram with custom bounds must have no negative buckets")]
    CustomNegative,
    /// Custom bounds without the custom schema.
    #[error("histogram with an exponential schema must have no custom bounds")]
    UnexpectedBounds,
    /// Spans that overlap or leave the range of indexes.
    #[error("histogram span has a negative or too large offset")]
    SpanOffset,
    /// Spans that do not fit the buckets.
    #[error("histogram spans need {spanned} buckets, have {buckets} buckets")]
    Spans {
        /// Buckets that the spans speak of.
        spanned: u64,
        /// Buckets that are there.
        buckets: usize,
    },
    /// A count below zero.
    #[error("histogram has a bucket, zero bucket or total count below zero")]
    NegativeCount,
    /// The total does not fit the buckets.
    #[error("histogram's observation count should equal the number of observations in its buckets: {count} is not {sum}")]
    Count {
        /// The total.
        count: f64,
        /// What the buckets hold.
        sum: f64,
    },
}
