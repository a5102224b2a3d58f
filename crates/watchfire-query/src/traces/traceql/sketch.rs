//! Quantiles of any number of values in little room: values are counted in buckets that grow by a hundredth, so that what comes out is
//! less than one per cent off.

use std::collections::BTreeMap;

/// Buckets for each doubling: 2^(1/70) is 1.01.
const PER_DOUBLING: f64 = 70.0;

/// Values, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    /// Of negative ones the buckets go downwards.
    negative: BTreeMap<i32, u64>,
    zero: u64,
    positive: BTreeMap<i32, u64>,
}

impl Sketch {
    /// Counts a value. Says whether that took a new bucket.
    pub(super) fn add(&mut self, value: f64) -> bool {
        // From the smallest to the largest float there are fewer than 150,000 buckets.
        let bucket = (value.abs().log2() * PER_DOUBLING).ceil() as i32;
        let counts = match value {
            v if v > 0.0 => &mut self.positive,
            v if v < 0.0 => &mut self.negative,
            _ => {
                self.zero += 1;
                return false;
            }
        };
        let count = counts.entry(bucket).or_insert(0);
        *count += 1;
        *count == 1
    }

    /// The value below which a share of all values lies; nothing of nothing.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.zero + self.negative.values().sum::<u64>() + self.positive.values().sum::<u64>();
        if total == 0 {
            return None;
        }
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total);
        // The middle of a bucket, by ratio.
        let middle = |bucket: &i32| ((f64::from(*bucket) - 0.5) / PER_DOUBLING).exp2();
        let mut seen = 0;
        let negative = self.negative.iter().rev().map(|(bucket, count)| (-middle(bucket), *count));
        let all = negative.chain([(0.0, self.zero)]).chain(self.positive.iter().map(|(bucket, count)| (middle(bucket), *count)));
        for (value, count) in all {
            seen += count;
            if seen >= rank {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_less_than_one_per_cent_off() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        for i in -1000..=1000 {
            sketch.add(f64::from(i) * 1e-3);
        }
        for (share, expected) in [(0.0, -1.0), (0.25, -0.5), (0.5, 0.0), (0.75, 0.5), (0.95, 0.9), (1.0, 1.0)] {
            let got = sketch.quantile(share).unwrap();
            assert!((got - expected).abs() <= f64::abs(expected) * 0.01 + 1e-9, "{share}: {got}, not {expected}");
        }
        let mut one = Sketch::default();
        assert!(one.add(f64::MAX) && !one.add(f64::MAX) && one.add(f64::MIN_POSITIVE));
        assert!(one.quantile(1.0).unwrap() > 1e308);
    }
}
