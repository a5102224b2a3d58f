//! Classic histograms (cumulative buckets, a sum, a count) become native ones with custom bounds. It collects one
//! histogram at a time and knows no series; whoever feeds it decides what belongs together.

use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, Span};

/// The most buckets that are collected.
const BUCKETS_MAX: usize = 10_000;

/// Why a classic histogram cannot become a native one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each is described by its message")]
pub enum ClassicError {
    #[error("a bucket bound is not a number")]
    Bound,
    #[error("a count is below zero or not a number")]
    Count,
    #[error("the counts of the buckets are not cumulative")]
    NotCumulative,
    #[error("there is neither a bucket nor a count")]
    Nothing,
    #[error("the count {count} is not that of the last bucket, {last}")]
    Mismatch { count: f64, last: f64 },
    #[error("more than {BUCKETS_MAX} buckets")]
    TooMany,
}

/// The pieces of one classic histogram.
#[derive(Clone, Debug, Default)]
pub struct Classic {
    /// Upper bounds and cumulative counts, ascending.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    error: Option<ClassicError>,
}

impl Classic {
    /// Forgets everything and keeps its memory.
    pub fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.error) = (None, 0.0, None);
    }
    /// Adds a bucket: its upper bound and its cumulative count. Of two with one bound the first stands.
    pub fn bucket(&mut self, bound: f64, count: f64) {
        let wrong = if bound.is_nan() {
            Some(ClassicError::Bound)
        } else if count.is_nan() || count < 0.0 {
            Some(ClassicError::Count)
        } else if self.buckets.len() >= BUCKETS_MAX {
            Some(ClassicError::TooMany)
        } else {
            None
        };
        self.error = self.error.take().or(wrong);
        if self.error.is_some() {
            return;
        }
        // They mostly come in order.
        let at = match self.buckets.last() {
            Some(last) if last.0 >= bound => self.buckets.partition_point(|b| b.0 < bound),
            _ => self.buckets.len(),
        };
        if self.buckets.get(at).is_none_or(|b| b.0 != bound) {
            self.buckets.insert(at, (bound, count));
        }
    }
    /// Sets the number of observations.
    pub fn count(&mut self, count: f64) {
        if count.is_nan() || count < 0.0 {
            self.error.get_or_insert(ClassicError::Count);
        }
        self.count = Some(count);
    }
    /// Sets their sum.
    pub fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The native histogram. Whole counts make an integer histogram.
    pub fn convert(&mut self) -> Result<Histogram, ClassicError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let count = match (self.count, self.buckets.last()) {
            (Some(count), _) => count,
            (None, Some(last)) => last.1,
            (None, None) => return Err(ClassicError::Nothing),
        };
        // Without a bucket up to infinity the total says how many there are.
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if !self.buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1) {
            return Err(ClassicError::NotCumulative);
        }
        let last = self.buckets.last().map_or(0.0, |b| b.1);
        if last != count {
            return Err(ClassicError::Mismatch { count, last });
        }
        let befores = std::iter::once(0.0).chain(self.buckets.iter().map(|b| b.1));
        let mut histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            integer: self.buckets.iter().all(|b| b.1.fract() == 0.0),
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: self.buckets.len() as u32 }],
            positive_buckets: self.buckets.iter().zip(befores).map(|(b, before)| b.1 - before).collect(),
            custom_bounds: self.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect(),
            ..Histogram::default()
        };
        if let Some((bound, _)) = self.buckets.first()
            && *bound == f64::NEG_INFINITY
        {
            return Err(ClassicError::Bound);
        }
        histogram.compact();
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buckets: &[(f64, f64)], count: Option<f64>, expected: Result<(&str, bool), ClassicError>) {
        let mut classic = Classic::default();
        // It is used more than once.
        classic.bucket(f64::NAN, 1.0);
        classic.clear();
        buckets.iter().for_each(|(bound, n)| classic.bucket(*bound, *n));
        if let Some(count) = count {
            classic.count(count);
        }
        classic.sum(2.5);
        let found = classic.convert().map(|h| {
            h.check().unwrap();
            assert_eq!((h.sum, h.schema), (2.5, CUSTOM_SCHEMA));
            (
                format!(
                    "{} {:?} {:?} {:?}",
                    h.count,
                    h.positive_spans.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>(),
                    h.positive_buckets,
                    &*h.custom_bounds
                ),
                h.integer,
            )
        });
        assert_eq!(found, expected.map(|(text, integer)| (text.to_owned(), integer)), "{buckets:?} {count:?}");
    }

    #[test]
    fn conversions() {
        let inf = f64::INFINITY;
        check(&[(1.0, 2.0), (2.0, 5.0), (inf, 6.0)], Some(6.0), Ok(("6 [(0, 3)] [2.0, 3.0, 1.0] [1.0, 2.0]", true)));
        check(&[(2.0, 5.0), (inf, 6.0), (1.0, 2.0), (2.0, 9.0)], Some(6.0), Ok(("6 [(0, 3)] [2.0, 3.0, 1.0] [1.0, 2.0]", true)));
        check(&[(1.0, 2.0), (2.0, 2.0), (3.0, 3.0)], Some(4.0), Ok(("4 [(0, 1), (1, 2)] [2.0, 1.0, 1.0] [1.0, 2.0, 3.0]", true)));
        check(&[(1.0, 0.5), (inf, 2.0)], None, Ok(("2 [(0, 2)] [0.5, 1.5] [1.0]", false)));
        check(&[], Some(7.0), Ok(("7 [(0, 1)] [7.0] []", true)));
        check(&[(-1.0, 0.0), (0.0, 1.0)], None, Ok(("1 [(1, 1)] [1.0] [-1.0, 0.0]", true)));
        check(&[], None, Err(ClassicError::Nothing));
        check(&[(1.0, 5.0), (2.0, 4.0)], None, Err(ClassicError::NotCumulative));
        check(&[(1.0, 5.0)], Some(4.0), Err(ClassicError::NotCumulative));
        check(&[(1.0, 5.0), (inf, 6.0)], Some(7.0), Err(ClassicError::Mismatch { count: 7.0, last: 6.0 }));
        check(&[(f64::NAN, 5.0)], None, Err(ClassicError::Bound));
        check(&[(-inf, 5.0)], None, Err(ClassicError::Bound));
        check(&[(1.0, -5.0)], None, Err(ClassicError::Count));
        check(&[(1.0, f64::NAN)], None, Err(ClassicError::Count));
        check(&[(1.0, 5.0)], Some(-1.0), Err(ClassicError::Count));
    }
}
