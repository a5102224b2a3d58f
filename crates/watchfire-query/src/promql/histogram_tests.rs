//! What must hold for native histograms whatever they are: they agree with classic ones and with their own sums.

use proptest::prelude::*;
use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, Span};
use watchfire_model::labels;
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::*;

const AT: Timestamp = Timestamp(600_000);

fn ask(memory: &Memory, query: &str) -> Vec<Sample> {
    let budget = Budget::unlimited(ManualClock::new(Timestamp(0)));
    match Engine::default().instant(memory, query, AT, &budget).unwrap().value {
        Value::Vector(samples) => samples,
        other => panic!("{query} is a {}", other.type_code()),
    }
}

#[test]
fn histograms_count_in_budgets_as_what_they_hold() {
    let memory = Memory::new();
    for i in 0..10 {
        for minute in 0..10 {
            let labels = labels!("__name__" => "h", "i" => &i.to_string());
            memory.add_histogram(&labels, Timestamp(minute * 60_000), filled(0, 0, &[minute as u32; 100], &[]));
        }
    }
    let ask = |query: &str, samples_max: u64| {
        let budget = Budget::new(ManualClock::new(Timestamp(0)), std::time::Duration::from_secs(1), samples_max, u64::MAX);
        let answer = Engine::default().range(&memory, query, Timestamp(0), AT, std::time::Duration::from_secs(60), &budget);
        answer.map(|_| ()).map_err(|e| e.to_string())
    };
    // 10 series with 10 histograms of 100 buckets, 8 bytes each.
    let too_many = |max: u64| Err(format!("query would load more than {max} samples into memory"));
    assert_eq!(ask("h", 4_000), too_many(4_000));
    assert_eq!(ask("h", 20_000), Ok(()));
    assert_eq!(ask("histogram_count(h)", 4_000), too_many(4_000));
    // Windows are read one series at a time.
    assert_eq!(ask("count_over_time(h[10m])", 2_000), Ok(()));
    assert_eq!(ask("sum_over_time(h[10m])", 4_000), too_many(4_000));
    assert_eq!(ask("sum_over_time(h{i='1'}[10m])", 4_000), Ok(()));
}

fn number(memory: &Memory, query: &str) -> f64 {
    let samples = ask(memory, query);
    assert_eq!(samples.len(), 1, "{query}");
    assert!(samples[0].histogram.is_none());
    samples[0].value
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite()) && (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

fn filled(schema: i8, offset: i32, counts: &[u32], bounds: &[f64]) -> Histogram {
    let counts: Vec<f64> = counts.iter().map(|n| f64::from(*n)).collect();
    let count = counts.iter().sum();
    Histogram {
        schema,
        count,
        sum: count * 3.0,
        positive_spans: vec![Span { offset, length: counts.len() as u32 }],
        positive_buckets: counts,
        custom_bounds: bounds.into(),
        ..Histogram::default()
    }
}

/// One native histogram with custom bounds, and a classic one with the same observations.
fn twins(bounds: &[f64], counts: &[u32]) -> Memory {
    let memory = Memory::new();
    memory.add_histogram(&labels!("__name__" => "native"), AT, filled(CUSTOM_SCHEMA, 0, counts, bounds));
    let mut below = 0;
    for (i, count) in counts.iter().enumerate() {
        below += count;
        let le = bounds.get(i).map_or_else(|| "+Inf".to_owned(), |b| b.to_string());
        memory.add(&labels!("__name__" => "classic_bucket", "le" => &le), AT, f64::from(below));
    }
    memory
}

fn custom() -> impl Strategy<Value = (Vec<f64>, Vec<u32>)> {
    prop::collection::btree_set(1..60u32, 1..7).prop_flat_map(|bounds| {
        let bounds: Vec<f64> = bounds.into_iter().map(|b| f64::from(b) / 4.0).collect();
        let length = bounds.len() + 1;
        (Just(bounds), prop::collection::vec(0..9u32, length))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn custom_buckets_mean_what_classic_ones_mean((bounds, counts) in custom(), place in 0.0..1.0f64, from in -1.0..20.0f64, to in -1.0..20.0f64) {
        let memory = twins(&bounds, &counts);
        let count: u32 = counts.iter().sum();
        // Between two observations there is no doubt in which bucket a rank is.
        let q = ((place * f64::from(count)).floor().min(f64::from(count.max(1) - 1)) + 0.37) / f64::from(count.max(1));
        for query in [format!("histogram_quantile({q}, NAME)"), format!("histogram_fraction({from}, {to}, NAME)")] {
            let of = |name: &str| number(&memory, &query.replace("NAME", name));
            prop_assert!(close(of("native"), of("classic_bucket")), "{} {} {}", query, of("native"), of("classic_bucket"));
        }
    }

    #[test]
    fn fractions_are_the_inverse_of_quantiles(schema in -2..6i8, offset in -9..9i32, counts in prop::collection::vec(0..9u32, 1..9), q in 0.001..0.999f64) {
        prop_assume!(counts.iter().any(|n| *n > 0));
        let memory = Memory::new();
        memory.add_histogram(&labels!("__name__" => "h"), AT, filled(schema, offset, &counts, &[]));
        let value = number(&memory, &format!("histogram_quantile({q}, h)"));
        prop_assert!(close(number(&memory, &format!("histogram_fraction(-Inf, {value}, h)")), q), "{}", value);
        let smaller = number(&memory, &format!("histogram_quantile({}, h)", q * 0.9));
        prop_assert!(smaller <= value * (1.0 + 1e-12));
    }

    #[test]
    fn sums_and_rates_may_change_places(members in prop::collection::vec((-1..3i8, -4..4i32, prop::collection::vec(prop::collection::vec(0..9u32, 6), 11)), 1..5)) {
        let memory = Memory::new();
        for (i, (schema, offset, steps)) in members.iter().enumerate() {
            // So many observations beforehand that no rate would fall to zero within the window.
            let mut counts = vec![1_000_000; 6];
            for (minute, step) in steps.iter().enumerate() {
                counts.iter_mut().zip(step).for_each(|(n, more)| *n += more);
                let labels = labels!("__name__" => "h", "i" => &i.to_string());
                memory.add_histogram(&labels, Timestamp(minute as i64 * 60_000), filled(*schema, *offset, &counts, &[]));
            }
        }
        for function in ["rate", "increase", "sum_over_time", "avg_over_time", "last_over_time"] {
            let [inside, outside] = [format!("sum({function}(h[6m]))"), format!("{function}(sum(h)[6m:1m])")].map(|query| ask(&memory, &query));
            let [Some(a), Some(b)] = [&inside[0].histogram, &outside[0].histogram] else { return Err(TestCaseError::fail("histograms expected")) };
            let [a, b] = [a, b].map(|h| {
                let mut compacted = (**h).clone();
                compacted.compact();
                compacted
            });
            prop_assert!(close(a.count, b.count) && close(a.sum, b.sum), "{} {} {}", function, a, b);
            let pairs = || a.above_zero().zip(b.above_zero());
            prop_assert_eq!(a.above_zero().count(), b.above_zero().count());
            prop_assert!(pairs().all(|(a, b)| a.upper == b.upper && close(a.count, b.count)), "{} {} {}", function, a, b);
        }
        for (a, b) in [("histogram_count(sum(h))", "sum(histogram_count(h))"), ("histogram_sum(avg(h))", "avg(histogram_sum(h))")] {
            prop_assert!(close(number(&memory, a), number(&memory, b)));
        }
        prop_assert_eq!(ask(&memory, "h - h == h * 0 and h == h").len(), members.len());
        prop_assert_eq!(number(&memory, "histogram_count(sum(h)) - histogram_count(sum(h </ 3)) - histogram_count(sum(h >/ 3)) < bool 1e-3"), 1.0);
    }
}
