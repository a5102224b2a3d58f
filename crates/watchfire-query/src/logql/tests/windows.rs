//! Range aggregations agree with what is counted entry by entry, for any times, windows, steps and offsets.

use proptest::prelude::*;

use super::*;
use crate::promql::Value;

const MS: i64 = 1_000_000;

/// What an aggregation gives at every step, told from the definition: `time - range - offset < t <= time - offset`.
fn expected(entries: &[(i64, i64)], range: i64, offset: i64, times: &[i64], make: impl Fn(&[i64]) -> f64) -> Vec<(i64, f64)> {
    let inside = |time: i64| entries.iter().filter(|(t, _)| *t > time - offset - range && *t <= time - offset).map(|(_, v)| *v).collect::<Vec<_>>();
    times.iter().filter_map(|time| Some((*time, inside(*time))).filter(|(_, values)| !values.is_empty())).map(|(time, values)| (time, make(&values))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn windows_hold_what_their_definition_says(
        mut entries in prop::collection::vec((0i64..60_000, 0i64..50), 0..40),
        start in 0i64..30_000,
        steps in 0i64..12,
        step in 1i64..9_000,
        range in 1i64..20_000,
        offset in -5_000i64..20_000,
    ) {
        entries.sort_by_key(|(time, _)| *time);
        let logs = Logs::new();
        for (time, value) in &entries {
            logs.add_line(&labels!("app" => "a"), Nanos(time * MS), &"x".repeat(*value as usize), &labels!("v" => &value.to_string()));
        }
        let times: Vec<i64> = (0..=steps).map(|i| start + i * step).collect();
        let ask = |query: String| {
            let answer = Engine::default().range(&logs, &metric(&query), Nanos(start * MS), Nanos((start + steps * step) * MS), Duration::from_millis(step as u64), &budget());
            let Value::Matrix(series) = answer.unwrap().value else { panic!("matrix expected") };
            series.iter().flat_map(|s| s.points.iter().map(|p| (p.time.0, p.value))).collect::<Vec<_>>()
        };
        let window = format!("[{range}ms] offset {offset}ms");
        let sum = |values: &[i64]| values.iter().sum::<i64>() as f64;
        let of = |make: &dyn Fn(&[i64]) -> f64| expected(&entries, range, offset, &times, make);
        prop_assert_eq!(ask(format!("sum(count_over_time({{app=\"a\"}}{window}))")), of(&|v| v.len() as f64));
        prop_assert_eq!(ask(format!("sum(bytes_over_time({{app=\"a\"}}{window}))")), of(&sum));
        prop_assert_eq!(ask(format!("sum_over_time({{app=\"a\"}} | unwrap v {window})")), of(&sum));
        prop_assert_eq!(ask(format!("max_over_time({{app=\"a\"}} | unwrap v {window})")), of(&|v| v.iter().copied().max().unwrap_or(0) as f64));
        prop_assert_eq!(ask(format!("first_over_time({{app=\"a\"}} | unwrap v {window})")), of(&|v| v.first().copied().unwrap_or(0) as f64));
        prop_assert_eq!(ask(format!("last_over_time({{app=\"a\"}} | unwrap v {window})")), of(&|v| v.last().copied().unwrap_or(0) as f64));
        let present: Vec<i64> = of(&|_| 0.0).iter().map(|(time, _)| *time).collect();
        let absent: Vec<(i64, f64)> = times.iter().filter(|t| !present.contains(t)).map(|t| (*t, 1.0)).collect();
        prop_assert_eq!(ask(format!("absent_over_time({{app=\"a\"}}{window})")), absent);
    }
}
