//! Quantiles and fractions of a native histogram. Within exponential buckets observations are taken to be spread evenly
//! on a logarithmic scale, within the zero bucket and custom buckets evenly.

use watchfire_model::histogram::{Bucket, Histogram};

/// What observations that are NaN do to a result: they count, yet are in no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql::eval) enum NanObservations {
    None,
    /// There is no result because of them.
    NoResult,
    /// They count as the highest observations.
    Skewed,
    /// They are in no fraction.
    Excluded,
}

/// Where all buckets are on one side of zero, the zero bucket is there, too.
fn one_sided(bucket: &mut Bucket, histogram: &Histogram) {
    match (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The φ-quantile.
pub(in crate::promql::eval) fn quantile(q: f64, histogram: &Histogram) -> (f64, NanObservations) {
    let certain = |value: f64| (value, NanObservations::None);
    if q < 0.0 {
        return certain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return certain(f64::INFINITY);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return certain(f64::NAN);
    }
    // Counting begins at the nearer end, but for NaN observations, which are missing at the upper one.
    let forward = histogram.sum.is_nan() || q < 0.5;
    let mut buckets = histogram.all_buckets();
    let mut rank = q * histogram.count;
    if !forward {
        rank = (1.0 - q) * histogram.count;
        buckets.reverse();
    }
    let (mut count, mut bucket, mut seen) = (0.0, Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 }, 0);
    for (i, next) in buckets.iter().enumerate() {
        (bucket, seen) = (*next, i + 1);
        count += next.count;
        if next.count != 0.0 && count >= rank {
            break;
        }
    }
    let custom = histogram.has_custom_bounds();
    if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return certain(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return certain(bucket.lower);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(&mut bucket, histogram);
    }
    // Sums of fractions may be a little too large.
    count = if count > histogram.count { histogram.count } else { count };
    if count < rank {
        return if histogram.sum.is_nan() { (f64::NAN, NanObservations::NoResult) } else { certain(bucket.upper) };
    }
    rank = if forward { rank - (count - bucket.count) } else { count - rank };
    let all: f64 = count + buckets.iter().skip(seen).map(|b| b.count).sum::<f64>();
    let nan = if histogram.sum.is_nan() && all < histogram.count { NanObservations::Skewed } else { NanObservations::None };
    let share = rank / bucket.count;
    let value = if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        bucket.lower + (bucket.upper - bucket.lower) * share
    } else {
        let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        if bucket.lower > 0.0 { (lower + (upper - lower) * share).exp2() } else { -(upper + (lower - upper) * (1.0 - share)).exp2() }
    };
    (value, nan)
}

/// The share of observations between two values.
pub(in crate::promql::eval) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, NanObservations) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, NanObservations::None);
    }
    if lower >= upper {
        return (0.0, NanObservations::None);
    }
    let buckets = histogram.all_buckets();
    let counted: f64 = buckets.iter().map(|b| b.count).sum();
    let all = if histogram.sum.is_nan() { counted } else { histogram.count };
    let nan = if histogram.sum.is_nan() && counted < histogram.count { NanObservations::Excluded } else { NanObservations::None };
    let below = |value: f64| rank_of(value, &buckets, histogram).filter(|rank| *rank <= all).unwrap_or(all);
    ((below(upper) - below(lower)) / histogram.count, nan)
}

/// How many observations lie below a value; `None` above all buckets.
fn rank_of(value: f64, buckets: &[Bucket], histogram: &Histogram) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let mut bucket = *bucket;
        let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if around_zero {
            one_sided(&mut bucket, histogram);
        }
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(if !(histogram.has_custom_bounds() || around_zero) {
                let [lower, upper, value_] = [bucket.lower, bucket.upper, value].map(|v| v.abs().log2());
                let share = if value > 0.0 { (value_ - lower) / (upper - lower) } else { 1.0 - (value_ - upper) / (lower - upper) };
                rank + bucket.count * share
            } else if bucket.lower == f64::NEG_INFINITY {
                // It cannot be divided, so all of it counts.
                bucket.count
            } else {
                rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
            });
        }
        rank += bucket.count;
    }
    None
}
