//! Tests of the arithmetic of histograms, against values worked out by hand and against slow references.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A histogram of schema 0 with a wide zero bucket, or of another one.
fn exponential(schema: i8, zero: (f64, f64), offset: i32, counts: &[f64]) -> Histogram {
    let count = zero.1 + counts.iter().sum::<f64>();
    Histogram {
        schema,
        count,
        sum: count * 2.0,
        zero_threshold: zero.0,
        zero_count: zero.1,
        positive_spans: vec![Span { offset, length: counts.len() as u32 }],
        positive_buckets: counts.to_vec(),
        ..Histogram::default()
    }
}
fn with_bounds(bounds: &[f64], counts: &[f64]) -> Histogram {
    Histogram { schema: CUSTOM_SCHEMA, custom_bounds: bounds.into(), ..exponential(0, (0.0, 0.0), 0, counts) }
}
fn added(a: &Histogram, b: &Histogram) -> (Histogram, Peculiar) {
    let mut total = Total::of(a);
    let peculiar = total.add(b).unwrap();
    let mut sum = total.finish();
    sum.compact();
    (sum, peculiar)
}

#[test]
fn additions() {
    let check = |a: &Histogram, b: &Histogram, expected: &str, bounds_differed: bool| {
        for (a, b) in [(a, b), (b, a)] {
            let (sum, peculiar) = added(a, b);
            assert_eq!((sum.to_string().as_str(), peculiar.bounds_differed), (expected, bounds_differed));
            assert_eq!(sum.check(), Ok(()));
        }
    };
    let a = exponential(0, (0.001, 1.0), 0, &[1.0, 2.0, 0.0, 4.0]);
    check(&a, &exponential(0, (0.001, 2.0), 2, &[5.0]), "{count:15, sum:30, [-0.001,0.001]:3, (0.5,1]:1, (1,2]:2, (2,4]:5, (4,8]:4}", false);
    // The coarser resolution wins.
    check(&a, &exponential(-1, (0.001, 0.0), 0, &[10.0]), "{count:18, sum:36, [-0.001,0.001]:1, (0.25,1]:11, (1,4]:2, (4,16]:4}", false);
    // The wider zero bucket wins, and ends where no populated bucket is cut.
    check(&a, &exponential(0, (0.25, 1.0), 0, &[]), "{count:9, sum:18, [-0.25,0.25]:2, (0.5,1]:1, (1,2]:2, (4,8]:4}", false);
    check(&a, &exponential(0, (0.7, 1.0), 0, &[]), "{count:9, sum:18, [-1,1]:3, (1,2]:2, (4,8]:4}", false);
    check(&a, &exponential(0, (3.0, 1.0), 0, &[]), "{count:9, sum:18, [-3,3]:5, (4,8]:4}", false);
    // Custom bounds: those that both have remain.
    let b = with_bounds(&[1.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]);
    check(&b, &b, "{count:20, sum:40, [-Inf,1]:2, (1,2]:4, (2,5]:6, (5,+Inf]:8}", false);
    check(&b, &with_bounds(&[2.0, 4.0, 5.0], &[10.0, 20.0]), "{count:40, sum:80, [-Inf,2]:13, (2,5]:23, (5,+Inf]:4}", true);
    check(&b, &with_bounds(&[3.0], &[10.0, 1.0]), "{count:21, sum:42, [-Inf,+Inf]:21}", true);
    assert_eq!(Total::of(&a).add(&b), Err(DifferentKinds));
    assert_eq!(Total::of(&b).subtract(&a), Err(DifferentKinds));
}

#[test]
fn what_is_known_of_resets_after_an_addition() {
    use CounterReset::{Gauge, NotReset, Reset, Unknown};
    let check = |a: CounterReset, b: CounterReset, expected: CounterReset, conflict: bool| {
        for (a, b) in [(a, b), (b, a)] {
            let (sum, peculiar) = added(&Histogram { reset: a, ..valid() }, &Histogram { reset: b, ..valid() });
            assert_eq!((sum.reset, peculiar.resets_conflict), (expected, conflict), "{a:?} {b:?}");
        }
    };
    check(Unknown, Unknown, Unknown, false);
    check(Reset, Reset, Reset, false);
    check(Gauge, Reset, Gauge, false);
    check(Gauge, Unknown, Gauge, false);
    check(Unknown, NotReset, Unknown, false);
    check(Unknown, Reset, Unknown, false);
    check(Reset, NotReset, Unknown, true);
}

#[test]
fn factors() {
    let mut h = exponential(0, (0.5, 2.0), 0, &[4.0, 6.0]);
    h.scale(0.5);
    assert_eq!(h.to_string(), "{count:6, sum:12, [-0.5,0.5]:1, (0.5,1]:2, (1,2]:3}");
    h.divide(-2.0);
    assert_eq!((h.to_string().as_str(), h.reset), ("{count:-3, sum:-6, [-0.5,0.5]:-0.5, (0.5,1]:-1, (1,2]:-1.5}", CounterReset::Gauge));
    h.divide(0.0);
    assert_eq!(h.to_string(), "{count:-Inf, sum:-Inf, [-0.5,0.5]:-Inf}");
}

#[test]
fn small_numbers_are_not_lost_in_large_sums() {
    let of = |n: f64| exponential(0, (0.0, 0.0), 0, &[n]);
    let mut total = Total::compensated(&of(1e17));
    for n in [1.0, 1.0, 1.0, 1.0, -1e17] {
        total.add(&of(n)).unwrap();
    }
    assert!(!total.overflows());
    assert_eq!(total.finish().positive_buckets, [4.0]);
    let mut total = Total::compensated(&of(f64::MAX));
    total.add(&of(f64::MAX)).unwrap();
    assert!(total.overflows());
}

#[test]
fn resets() {
    let check = |now: &Histogram, before: &Histogram, expected: bool| assert_eq!(now.is_reset_after(before), expected, "{before} -> {now}");
    let before = exponential(1, (0.001, 1.0), 0, &[1.0, 2.0, 0.0, 4.0]);
    let told = |reset| Histogram { reset, ..before.clone() };
    check(&before, &before, false);
    check(&told(CounterReset::Reset), &before, true);
    check(&told(CounterReset::Gauge), &before, false);
    check(&Histogram { count: 0.0, ..told(CounterReset::NotReset) }, &before, false);
    check(&Histogram { count: 7.0, ..before.clone() }, &before, true);
    check(&Histogram { zero_count: 0.0, ..before.clone() }, &before, true);
    check(&Histogram { sum: -1.0, ..before.clone() }, &before, false);
    let now = |schema, threshold, offset, counts: &[f64]| Histogram { count: 99.0, ..exponential(schema, (threshold, 1.0), offset, counts) };
    check(&now(1, 0.001, 0, &[1.0, 2.0, 0.0, 4.0, 9.0]), &before, false);
    check(&now(1, 0.001, -1, &[9.0, 1.0, 2.0, 0.0, 4.0]), &before, false);
    check(&now(1, 0.001, 0, &[1.0, 1.0, 9.0, 4.0]), &before, true);
    check(&now(1, 0.001, 0, &[1.0, 2.0, 9.0]), &before, true);
    check(&now(1, 0.001, 1, &[2.0, 9.0, 4.0]), &before, true);
    // The resolution may fall with the counts going on, not rise.
    check(&now(0, 0.001, 0, &[1.0, 2.0, 4.0]), &before, false);
    check(&now(0, 0.001, 0, &[1.0, 2.0, 3.0]), &before, true);
    check(&now(2, 0.001, 0, &[9.0; 20]), &before, true);
    // The zero bucket may swallow whole buckets, not cut one, and not shrink.
    check(&Histogram { zero_count: 2.0, ..now(1, 1.0, 1, &[2.0, 0.0, 4.0]) }, &before, false);
    check(&now(1, 1.0, 1, &[2.0, 0.0, 4.0]), &before, true);
    check(&Histogram { zero_count: 9.0, ..now(1, 1.1, 1, &[2.0, 0.0, 4.0]) }, &before, true);
    check(&now(1, 0.0001, 0, &[1.0, 2.0, 0.0, 4.0]), &before, true);
    let custom = with_bounds(&[1.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]);
    check(&custom, &before, true);
    check(&Histogram { count: 99.0, ..before.clone() }, &custom, true);
    check(&with_bounds(&[2.0, 5.0, 7.0], &[3.0, 3.0, 1.0, 3.0]), &custom, false);
    check(&Histogram { count: 99.0, ..with_bounds(&[2.0, 5.0, 7.0], &[3.0, 2.0, 9.0, 3.0]) }, &custom, true);
    check(&Histogram { count: 99.0, ..with_bounds(&[1.0, 2.0, 5.0], &[1.0, 1.0, 3.0, 9.0]) }, &custom, true);
}

#[test]
fn trims() {
    let check = |histogram: &Histogram, value: f64, below: &str, above: &str| {
        assert_eq!(histogram.trimmed_above(value).to_string(), below, "below {value}");
        assert_eq!(histogram.trimmed_below(value).to_string(), above, "above {value}");
    };
    let h = Histogram {
        negative_spans: vec![Span { offset: 1, length: 1 }],
        negative_buckets: vec![8.0],
        count: 24.0,
        sum: 10.0,
        ..exponential(0, (0.5, 4.0), 3, &[4.0, 8.0])
    };
    // Whole buckets: the sum is that of their geometric middles, √2, √32, √128.
    let (two, four, eight) = (2f64.sqrt() * 8.0, 32f64.sqrt() * 4.0, 128f64.sqrt() * 8.0);
    let negative_middle = -two;
    check(&h, 8.0, &format!("{{count:16, sum:{}, [-2,-1):8, [-0.5,0.5]:4, (4,8]:4}}", four + negative_middle), &format!("{{count:8, sum:{eight}, (8,16]:8}}"));
    // A cut within a bucket divides it by logarithms: √32 is half way between 4 and 8.
    let middle = (4.0 * 32f64.sqrt()).sqrt() * 2.0;
    let upper_middle = (8.0 * 32f64.sqrt()).sqrt() * 2.0;
    check(
        &h,
        32f64.sqrt(),
        &format!("{{count:14, sum:{}, [-2,-1):8, [-0.5,0.5]:4, (4,8]:2}}", middle + negative_middle),
        &format!("{{count:10, sum:{}, (4,8]:2, (8,16]:8}}", upper_middle + eight),
    );
    // The zero bucket is divided evenly.
    check(
        &h,
        0.25,
        &format!("{{count:11, sum:{}, [-2,-1):8, [-0.5,0.5]:3}}", negative_middle - 0.125 * 3.0),
        &format!("{{count:13, sum:{}, [-0.5,0.5]:1, (4,8]:4, (8,16]:8}}", four + eight + 0.375),
    );
    // Nothing is cut: nothing is estimated.
    assert!(h.trimmed_above(16.0).same_data(&h) && h.trimmed_below(-2.0).same_data(&h));
    check(&h, f64::NAN, "{count:NaN, sum:NaN, [-0.5,0.5]:NaN}", "{count:NaN, sum:NaN, [-0.5,0.5]:NaN}");
    // Only positive buckets: so is the zero bucket.
    let positive = exponential(0, (0.5, 4.0), 2, &[4.0]);
    check(&positive, 0.125, "{count:1, sum:0.0625, [-0.5,0.5]:1}", &format!("{{count:7, sum:{}, [-0.5,0.5]:3, (2,4]:4}}", 8f64.sqrt() * 4.0 + 0.3125 * 3.0));
    // Custom buckets are divided evenly; the lowest one begins at 0, and the highest one has no end.
    let custom = with_bounds(&[2.0, 4.0], &[4.0, 8.0, 2.0]);
    check(&custom, 1.0, "{count:2, sum:1, [-Inf,2]:2}", "{count:12, sum:35, [-Inf,2]:2, (2,4]:8, (4,+Inf]:2}");
    check(&custom, 3.0, "{count:8, sum:14, [-Inf,2]:4, (2,4]:4}", "{count:6, sum:22, (2,4]:4, (4,+Inf]:2}");
    check(&custom, 9.0, "{count:12, sum:28, [-Inf,2]:4, (2,4]:8}", "{count:2, sum:18, (4,+Inf]:2}");
    check(&custom, -1.0, "{count:0, sum:0}", "{count:10, sum:32, (2,4]:8, (4,+Inf]:2}");
}

/// Buckets by index, and what else a slow addition needs to know.
#[derive(Clone, Debug)]
struct Slow {
    schema: i8,
    threshold: f64,
    zero: f64,
    sides: [BTreeMap<i32, f64>; 2],
}
impl Slow {
    fn of(h: &Histogram) -> Slow {
        let side = |buckets: &mut dyn Iterator<Item = (i32, f64)>| buckets.filter(|(_, n)| *n != 0.0).collect();
        Slow { schema: h.schema, threshold: h.zero_threshold, zero: h.zero_count, sides: [side(&mut h.positive_indexed()), side(&mut h.negative_indexed())] }
    }
    /// Everything that lies within a threshold goes to the zero bucket.
    fn widen(&mut self, threshold: f64) {
        for side in &mut self.sides {
            let within = |index: &i32| exponential_bound(*index, self.schema) <= threshold;
            self.zero += side.iter().filter(|(i, _)| within(i)).map(|(_, n)| n).sum::<f64>();
            side.retain(|i, _| !within(i));
        }
        self.threshold = threshold;
    }
    /// The end of a populated bucket that a threshold would cut.
    fn cut_by(&self, threshold: f64) -> Option<f64> {
        let cut = |i: &i32| exponential_bound(i - 1, self.schema) < threshold && exponential_bound(*i, self.schema) > threshold;
        self.sides.iter().flat_map(|s| s.keys()).find(|i| cut(i)).map(|i| exponential_bound(*i, self.schema))
    }
    fn coarsen(&mut self, schema: i8) {
        while self.schema > schema {
            for side in &mut self.sides {
                let mut coarser = BTreeMap::new();
                for (index, count) in side.iter() {
                    // Bucket 2n-1 and 2n become n.
                    *coarser.entry((index + 1).div_euclid(2)).or_insert(0.0) += count;
                }
                *side = coarser;
            }
            self.schema -= 1;
        }
    }
    fn add(mut self, mut other: Slow, sign: f64) -> Slow {
        let mut threshold = self.threshold.max(other.threshold);
        if self.threshold != other.threshold {
            while let Some(end) = self.cut_by(threshold).or(other.cut_by(threshold)) {
                threshold = end;
            }
        }
        let schema = self.schema.min(other.schema);
        for slow in [&mut self, &mut other] {
            slow.widen(threshold);
            slow.coarsen(schema);
        }
        self.zero += sign * other.zero;
        for (mine, theirs) in self.sides.iter_mut().zip(other.sides) {
            for (index, count) in theirs {
                *mine.entry(index).or_insert(0.0) += sign * count;
            }
            mine.retain(|_, n| *n != 0.0);
        }
        self
    }
}

fn side() -> impl Strategy<Value = (Vec<Span>, Vec<f64>)> {
    prop::collection::vec((0..6i32, prop::collection::vec(0..9u32, 1..5)), 0..4).prop_flat_map(|runs| {
        (-12..8i32).prop_map(move |first| {
            let spans = runs.iter().enumerate().map(|(i, (gap, counts))| Span { offset: if i == 0 { first } else { *gap }, length: counts.len() as u32 });
            (spans.collect(), runs.iter().flat_map(|(_, counts)| counts).map(|n| f64::from(*n)).collect())
        })
    })
}
fn any_exponential() -> impl Strategy<Value = Histogram> {
    let zero = (prop::sample::select(vec![0.0, 1e-128, 0.001, 0.3, 1.0, 1.5]), 0..5u32);
    (-2..=3i8, zero, side(), side(), 0..3u32).prop_map(|(schema, (zero_threshold, zero_count), positive, negative, nan)| {
        let mut histogram = Histogram {
            schema,
            zero_threshold,
            zero_count: zero_count.into(),
            positive_spans: positive.0,
            positive_buckets: positive.1,
            negative_spans: negative.0,
            negative_buckets: negative.1,
            ..Histogram::default()
        };
        // Nothing may lie within the zero bucket, as in histograms of real producers.
        let within = |b: &Bucket| b.lower.abs().max(b.upper.abs()) <= zero_threshold || b.lower.abs().min(b.upper.abs()) < zero_threshold;
        let keep = |buckets: Vec<Bucket>, counts: &mut Vec<f64>| counts.iter_mut().zip(buckets).filter(|(_, b)| within(b)).for_each(|(n, _)| *n = 0.0);
        let (above, below) = (histogram.above_zero().collect(), histogram.below_zero().collect());
        keep(above, &mut histogram.positive_buckets);
        keep(below, &mut histogram.negative_buckets);
        let populated: f64 = histogram.positive_buckets.iter().chain(&histogram.negative_buckets).sum();
        histogram.count = populated + histogram.zero_count + f64::from(nan);
        histogram.sum = histogram.count * 0.5;
        histogram
    })
}
fn any_custom() -> impl Strategy<Value = Histogram> {
    (prop::collection::btree_set(0..12u32, 0..6), prop::collection::vec(0..9u32, 7)).prop_map(|(bounds, counts)| {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let counts: Vec<f64> = counts.into_iter().take(bounds.len() + 1).map(f64::from).collect();
        with_bounds(&bounds, &counts)
    })
}

proptest! {
    #[test]
    fn sums_and_differences_are_those_of_the_slow_way(a in any_exponential(), b in any_exponential()) {
        for (sign, compensated) in [(1.0, false), (-1.0, false), (1.0, true)] {
            let slow = Slow::of(&a).add(Slow::of(&b), sign);
            let mut total = if compensated { Total::compensated(&a) } else { Total::of(&a) };
            if sign > 0.0 { total.add(&b).unwrap() } else { total.subtract(&b).unwrap() };
            let mut sum = total.finish();
            sum.compact();
            prop_assert_eq!((sum.schema, sum.zero_threshold, sum.zero_count), (slow.schema, slow.threshold, slow.zero));
            prop_assert_eq!((sum.count, sum.sum), (a.count + sign * b.count, a.sum + sign * b.sum));
            let sides = [sum.positive_indexed().collect::<BTreeMap<_, _>>(), sum.negative_indexed().collect()];
            prop_assert_eq!(sides, slow.sides);
        }
    }

    #[test]
    fn order_plays_no_part(a in any_exponential(), b in any_exponential(), c in any_exponential()) {
        // With different zero buckets it may: a coarser bucket is cut where finer ones are not.
        let [a, b, c] = [a, b, c].map(|h| Histogram { zero_threshold: 0.0, ..h });
        let (left, right) = (added(&added(&a, &b).0, &c).0, added(&a, &added(&c, &b).0).0);
        prop_assert!(left.same_data(&right), "{} {}", left, right);
    }

    #[test]
    fn custom_bounds_that_are_shared_remain(a in any_custom(), b in any_custom(), c in any_custom()) {
        let (sum, peculiar) = added(&a, &b);
        prop_assert_eq!(peculiar.bounds_differed, a.custom_bounds != b.custom_bounds);
        prop_assert_eq!(sum.check(), Ok(()));
        let up_to = |h: &Histogram, bound: f64| h.above_zero().filter(|b| b.upper <= bound).map(|b| b.count).sum::<f64>();
        for bound in sum.custom_bounds.iter().copied().chain([f64::INFINITY]) {
            prop_assert_eq!(up_to(&sum, bound), up_to(&a, bound) + up_to(&b, bound));
        }
        prop_assert!(added(&sum, &c).0.same_data(&added(&a, &added(&b, &c).0).0));
        prop_assert!(!sum.is_reset_after(&a) && !sum.is_reset_after(&b));
    }

    #[test]
    fn what_grows_is_not_reset(a in any_exponential(), b in any_exponential(), less in 0..40usize) {
        let sum = added(&a, &b).0;
        prop_assert!(!sum.is_reset_after(&a) && !sum.is_reset_after(&b), "{} + {} = {}", a, b, sum);
        let mut smaller = a.clone();
        if let Some(slot) = smaller.positive_buckets.get_mut(less).filter(|n| **n > 0.0) {
            *slot -= 1.0;
            prop_assert!(smaller.is_reset_after(&a));
            prop_assert!(!a.is_reset_after(&smaller));
        }
    }

    #[test]
    fn a_coarser_form_counts_the_same(a in any_exponential(), schema in -4..4i8) {
        let reduced = a.reduced(schema);
        prop_assert_eq!(reduced.check(), Ok(()));
        prop_assert_eq!(reduced.schema, a.schema.min(schema));
        let mut slow = Slow::of(&a);
        slow.coarsen(schema);
        prop_assert_eq!(Slow::of(&reduced).sides, slow.sides);
        prop_assert!(!reduced.is_reset_after(&a));
    }

    #[test]
    fn both_parts_of_a_cut_are_the_whole(a in any_exponential(), value in -20.0..20.0f64) {
        let populated = |h: &Histogram| h.positive_buckets.iter().chain(&h.negative_buckets).sum::<f64>() + h.zero_count;
        let (below, above) = (a.trimmed_above(value), a.trimmed_below(value));
        prop_assert!((populated(&below) + populated(&above) - populated(&a)).abs() < 1e-9);
        prop_assert!(below.all_buckets().iter().all(|b| b.count == 0.0 || b.lower < value));
        prop_assert!(above.all_buckets().iter().all(|b| b.count == 0.0 || b.upper > value));
        let mut compacted = a.clone();
        compacted.compact();
        let mut again = compacted.clone();
        again.compact();
        prop_assert_eq!(&again, &compacted);
        prop_assert!(compacted.to_string() == a.to_string());
    }
}
