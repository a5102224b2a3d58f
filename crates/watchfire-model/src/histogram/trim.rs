//! Trimming: a histogram with only the observations below or above a value, as far as its buckets can tell.
//! The bucket in which the value lies is divided by interpolation, and the sum is estimated anew.

use super::Histogram;
use super::buckets::Bucket;

impl Histogram {
    /// Keeps the observations below a value.
    pub fn trimmed_above(&self, value: f64) -> Histogram {
        self.trimmed(&Cut { value, keeps_lower: true, linear: self.has_custom_bounds() })
    }
    /// Keeps the observations above a value.
    pub fn trimmed_below(&self, value: f64) -> Histogram {
        self.trimmed(&Cut { value, keeps_lower: false, linear: self.has_custom_bounds() })
    }

    fn trimmed(&self, cut: &Cut) -> Histogram {
        let mut trimmed = self.clone();
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut keep = |slot: &mut f64, (kept, middle): (f64, f64)| {
            count += kept;
            sum += middle * kept;
            changed |= *slot != kept;
            *slot = kept;
        };
        let mut populated = [false; 2];
        for (slot, bucket) in trimmed.positive_buckets.iter_mut().zip(self.above_zero()).filter(|(_, b)| b.count != 0.0) {
            populated[0] = true;
            keep(slot, cut.bucket(&bucket, true));
        }
        for (slot, bucket) in trimmed.negative_buckets.iter_mut().zip(self.below_zero()).filter(|(_, b)| b.count != 0.0) {
            populated[1] = true;
            keep(slot, cut.bucket(&bucket, false));
        }
        if self.zero_count > 0.0 {
            keep(&mut trimmed.zero_count, cut.zero_bucket(&self.zero_bucket(), populated));
        }
        if changed {
            (trimmed.count, trimmed.sum, trimmed.integer) = (count, sum, false);
            trimmed.compact();
        }
        trimmed
    }
}

/// Where to cut, which side to keep, and how observations lie within a bucket.
struct Cut {
    value: f64,
    keeps_lower: bool,
    linear: bool,
}

impl Cut {
    /// How much of a bucket is kept, and the middle of what is kept.
    fn bucket(&self, bucket: &Bucket, positive: bool) -> (f64, f64) {
        let value = self.value;
        let (all, some) = if self.keeps_lower { (bucket.upper <= value, bucket.lower < value) } else { (bucket.lower >= value, bucket.upper > value) };
        if all {
            (bucket.count, self.middle(bucket.lower, bucket.upper, positive))
        } else if !some {
            (0.0, 0.0)
        } else if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
            self.endless_bucket(bucket)
        } else {
            let below = bucket.count * self.share_below(bucket, positive);
            if self.keeps_lower {
                (below, self.middle(bucket.lower, value, positive))
            } else {
                (bucket.count - below, self.middle(value, bucket.upper, positive))
            }
        }
    }

    /// A bucket without an end, with the value inside. Where observations lie in it is unknown, so what may be on the wrong
    /// side goes; only the lowest one is taken to begin at 0 when it ends above.
    fn endless_bucket(&self, bucket: &Bucket) -> (f64, f64) {
        let value = self.value;
        let finite = |v: f64| if v.is_infinite() { 0.0 } else { v };
        let from_zero = bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && bucket.upper != f64::INFINITY;
        match (bucket.lower == f64::NEG_INFINITY, self.keeps_lower) {
            (true, true) if from_zero && value > 0.0 => (bucket.count * value / bucket.upper, value / 2.0),
            (true, true) if bucket.upper <= 0.0 => (bucket.count, value),
            (true, false) if from_zero && value >= 0.0 => (bucket.count * (1.0 - value / bucket.upper), (value + bucket.upper) / 2.0),
            (true, _) => (0.0, finite(bucket.upper)),
            (false, false) if value >= bucket.lower => (bucket.count, value),
            (false, _) => (0.0, finite(bucket.lower)),
        }
    }

    /// The share of a bucket below the value.
    fn share_below(&self, bucket: &Bucket, positive: bool) -> f64 {
        if self.linear {
            return (self.value - bucket.lower) / (bucket.upper - bucket.lower);
        }
        let [lower, upper, value] = [bucket.lower, bucket.upper, self.value].map(|v| v.abs().log2());
        if positive { (value - lower) / (upper - lower) } else { 1.0 - (value - upper) / (lower - upper) }
    }

    /// The zero bucket. Where all populated buckets are on one side of zero, it lies there, too.
    fn zero_bucket(&self, bucket: &Bucket, [positive, negative]: [bool; 2]) -> (f64, f64) {
        let lower = if positive && !negative { 0.0 } else { bucket.lower };
        let upper = if negative && !positive { 0.0 } else { bucket.upper };
        let value = self.value;
        // A bucket without width at the value counts as above it.
        if value <= lower {
            if self.keeps_lower { (0.0, 0.0) } else { (bucket.count, (lower + upper) / 2.0) }
        } else if value >= upper {
            if self.keeps_lower { (bucket.count, (lower + upper) / 2.0) } else { (0.0, 0.0) }
        } else if self.keeps_lower {
            (bucket.count * ((value - lower) / (upper - lower)), (lower + value) / 2.0)
        } else {
            (bucket.count * ((upper - value) / (upper - lower)), (value + upper) / 2.0)
        }
    }

    /// The representative value of an interval: its arithmetic middle, or the geometric one of exponential buckets.
    fn middle(&self, lower: f64, upper: f64, positive: bool) -> f64 {
        if lower.is_infinite() {
            return match upper {
                upper if upper.is_infinite() => 0.0,
                upper if upper > 0.0 => upper / 2.0,
                upper => upper,
            };
        }
        if upper.is_infinite() {
            return lower;
        }
        if self.linear {
            return (lower + upper) / 2.0;
        }
        let middle = (lower * upper).abs().sqrt();
        if positive { middle } else { -middle }
    }
}
