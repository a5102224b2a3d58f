//! Adding two exponential histograms: both are brought to one scale and one zero bucket, and to a coarser scale when
//! their common range is too wide.

use super::native::Exponents;
use super::points::Buckets;

/// The most buckets on one side of a sum.
const BUCKETS_MAX: i64 = 320;

/// The sum of two histograms.
pub(super) fn merge(a: &Exponents, b: &Exponents) -> Exponents {
    let (mut a, mut b) = (a.clone(), b.clone());
    share_zero(&mut a, &mut b);
    let scale = a.scale.min(b.scale);
    for h in [&mut a, &mut b] {
        let shift = h.scale.abs_diff(scale);
        h.scale = scale;
        coarsen(&mut h.positive, shift);
        coarsen(&mut h.negative, shift);
    }
    let shift = excess(&a.positive, &b.positive).max(excess(&a.negative, &b.negative));
    for buckets in [&mut a.positive, &mut a.negative, &mut b.positive, &mut b.negative] {
        coarsen(buckets, shift);
    }
    Exponents {
        scale: scale.saturating_sub_unsigned(shift),
        zero_threshold: a.zero_threshold,
        zero_count: a.zero_count.saturating_add(b.zero_count),
        count: a.count.saturating_add(b.count),
        sum: a.sum + b.sum,
        positive: add(&a.positive, &b.positive),
        negative: add(&a.negative, &b.negative),
    }
}

/// The first and the last index that hold something.
fn range(buckets: &Buckets) -> Option<(i64, i64)> {
    let first = buckets.counts.iter().position(|c| *c > 0)?;
    let last = buckets.counts.iter().rposition(|c| *c > 0)?;
    let offset = i64::from(buckets.offset);
    Some((offset + first as i64, offset + last as i64))
}

fn common_range(a: &Buckets, b: &Buckets) -> Option<(i64, i64)> {
    match (range(a), range(b)) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

/// By how many steps the scale must fall until the common range is narrow enough.
fn excess(a: &Buckets, b: &Buckets) -> u32 {
    let Some((low, high)) = common_range(a, b) else { return 0 };
    (0..).find(|shift| (high >> shift) - (low >> shift) < BUCKETS_MAX).unwrap_or(0)
}

/// Lowers the resolution by a number of steps: 2^shift neighbours become one.
fn coarsen(buckets: &mut Buckets, shift: u32) {
    if shift == 0 || buckets.counts.is_empty() {
        return;
    }
    let shift = shift.min(62);
    let offset = i64::from(buckets.offset);
    let first = offset >> shift;
    let last = (offset + buckets.counts.len() as i64 - 1) >> shift;
    let mut counts = vec![0u64; (last - first + 1) as usize];
    for (at, count) in buckets.counts.iter().enumerate() {
        let index = (((offset + at as i64) >> shift) - first) as usize;
        counts[index] = counts[index].saturating_add(*count);
    }
    // A shifted index is never further from zero than it was.
    *buckets = Buckets { offset: first as i32, counts };
}

fn add(a: &Buckets, b: &Buckets) -> Buckets {
    let Some((low, high)) = common_range(a, b) else { return Buckets::default() };
    let Ok(offset) = i32::try_from(low) else { return Buckets::default() };
    let mut counts = vec![0u64; (high - low + 1) as usize];
    for buckets in [a, b] {
        for (at, count) in buckets.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            let index = (i64::from(buckets.offset) + at as i64 - low) as usize;
            counts[index] = counts[index].saturating_add(*count);
        }
    }
    Buckets { offset, counts }
}

/// Gives both the wider zero bucket: what lies in it, wholly or in part, moves into the count of zeros. A bucket that lay
/// in it in part widens it again, for both.
fn share_zero(a: &mut Exponents, b: &mut Exponents) {
    while a.zero_threshold != b.zero_threshold {
        let threshold = a.zero_threshold.max(b.zero_threshold);
        for h in [&mut *a, &mut *b] {
            if h.zero_threshold < threshold {
                widen_zero(h, threshold);
            }
        }
    }
}

fn widen_zero(h: &mut Exponents, threshold: f64) {
    let bound = |index: i64| (index as f64 * f64::from(-h.scale).exp2()).exp2();
    let mut widest = threshold;
    let mut moved = 0u64;
    for buckets in [&mut h.positive, &mut h.negative] {
        for (at, count) in buckets.counts.iter_mut().enumerate() {
            let index = i64::from(buckets.offset) + at as i64;
            if bound(index) >= threshold {
                break;
            }
            if *count > 0 {
                widest = widest.max(bound(index + 1));
            }
            moved = moved.saturating_add(std::mem::take(count));
        }
    }
    h.zero_count = h.zero_count.saturating_add(moved);
    h.zero_threshold = widest;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(scale: i32, offset: i32, counts: &[u64]) -> Exponents {
        Exponents { scale, count: counts.iter().sum(), positive: Buckets { offset, counts: counts.to_vec() }, ..Exponents::default() }
    }

    #[test]
    fn sums() {
        let check = |a: Exponents, b: Exponents, scale: i32, offset: i32, counts: &[u64]| {
            let sum = merge(&a, &b);
            assert_eq!((sum.scale, &sum.positive), (scale, &Buckets { offset, counts: counts.to_vec() }));
            assert_eq!(sum, merge(&b, &a));
        };
        check(of(2, 0, &[1, 2]), of(2, 1, &[3]), 2, 0, &[1, 5]);
        check(of(2, -1, &[1]), of(2, 2, &[3]), 2, -1, &[1, 0, 0, 3]);
        check(of(3, 0, &[1, 2, 4]), of(2, 0, &[1]), 2, 0, &[4, 4]);
        check(of(0, -3, &[1, 1, 1]), of(-1, 0, &[5]), -1, -2, &[1, 2, 5]);
        check(of(4, 0, &[]), of(4, 7, &[1]), 4, 7, &[1]);
        // 1 and 2^1000 at scale 0 are a thousand buckets apart: two steps make it 251.
        let wide = merge(&of(0, 0, &[1]), &of(0, 1000, &[1]));
        assert_eq!((wide.scale, wide.positive.counts.len()), (-2, 251));
    }

    #[test]
    fn zero_buckets() {
        let zeros = |h: Exponents, threshold, count| Exponents { zero_threshold: threshold, zero_count: count, count: h.count + count, ..h };
        // Scale 0: bucket 0 is (1, 2], bucket 1 is (2, 4]. A threshold of 3 swallows both and becomes 4.
        let sum = merge(&zeros(of(0, 0, &[1, 2, 4]), 0.5, 1), &zeros(of(0, 2, &[8]), 3.0, 10));
        assert_eq!((sum.zero_threshold, sum.zero_count, sum.positive), (4.0, 14, Buckets { offset: 2, counts: vec![12] }));
        let same = merge(&zeros(of(0, 0, &[1]), 0.5, 1), &zeros(of(0, 0, &[1]), 0.5, 1));
        assert_eq!((same.zero_count, same.zero_threshold), (2, 0.5));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            a_scale in -4i32..21, b_scale in -4i32..21, a_offset in any::<i32>(), b_offset in -2000i32..2000,
            a_counts in prop::collection::vec(0u64..9, 0..200), b_counts in prop::collection::vec(0u64..9, 0..200),
            thresholds in prop::collection::vec(prop_oneof![Just(0.0), 0.0f64..10.0], 2),
        ) {
            let mut a = of(a_scale, a_offset, &a_counts);
            let mut b = of(b_scale, b_offset, &b_counts);
            (a.zero_threshold, b.zero_threshold) = (thresholds[0], thresholds[1]);
            let sum = merge(&a, &b);
            let held: u64 = sum.positive.counts.iter().sum::<u64>() + sum.zero_count;
            prop_assert_eq!(held, sum.count);
            prop_assert!(sum.positive.counts.len() as i64 <= BUCKETS_MAX);
        }
    }
}
