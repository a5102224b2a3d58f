//! What is known of a counter reset when a histogram follows another one, as Prometheus finds it when it stores them: a
//! reset that the source speaks of is believed, everything else is looked for in the counts.

use watchfire_model::histogram::{CounterReset, Histogram, Span};

use super::layout::indexes;

/// What to remember of a histogram that comes right after another one of its series; `None` where there is none to compare with.
pub(crate) fn judge(before: Option<&Histogram>, now: &Histogram) -> CounterReset {
    if matches!(now.reset, CounterReset::Gauge | CounterReset::Reset) {
        return now.reset;
    }
    let Some(before) = before.filter(|b| !b.is_stale() && !now.is_stale() && b.reset != CounterReset::Gauge && b.integer == now.integer) else {
        return CounterReset::Unknown;
    };
    if now.count < before.count {
        return CounterReset::Reset;
    }
    let bounds = |h: &Histogram| h.custom_bounds.clone();
    if now.schema != before.schema || now.zero_threshold != before.zero_threshold || bounds(now) != bounds(before) {
        return CounterReset::Unknown;
    }
    let fell = now.zero_count < before.zero_count
        || fell((&before.positive_spans, &before.positive_buckets), (&now.positive_spans, &now.positive_buckets))
        || fell((&before.negative_spans, &before.negative_buckets), (&now.negative_spans, &now.negative_buckets));
    if fell { CounterReset::Reset } else { CounterReset::NotReset }
}

/// Whether a bucket holds less than before, or has gone although it held something.
fn fell(before: (&[Span], &[f64]), now: (&[Span], &[f64])) -> bool {
    if before.0 == now.0 {
        return before.1.iter().zip(now.1).any(|(before, now)| now < before);
    }
    let mut later = indexes(now.0).zip(now.1.iter().copied()).peekable();
    indexes(before.0).zip(before.1).any(|(index, count)| {
        while later.next_if(|(i, _)| *i < index).is_some() {}
        let now = later.next_if(|(i, _)| *i == index).map_or(0.0, |(_, count)| count);
        now < *count
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use CounterReset::{Gauge, NotReset, Reset, Unknown};

    fn histogram(offset: i32, buckets: &[f64]) -> Histogram {
        let spans = vec![Span { offset, length: buckets.len() as u32 }];
        Histogram { integer: true, count: buckets.iter().sum(), positive_spans: spans, positive_buckets: buckets.to_vec(), ..Histogram::default() }
    }

    #[test]
    fn resets_are_found_in_counts() {
        let before = histogram(1, &[2.0, 3.0]);
        let check = |now: Histogram, expected| assert_eq!(judge(Some(&before), &now), expected, "{now:?}");
        check(histogram(1, &[2.0, 3.0]), NotReset);
        check(histogram(1, &[2.0, 2.0]), Reset);
        check(histogram(1, &[1.0, 9.0]), Reset);
        check(histogram(0, &[5.0, 2.0, 3.0]), NotReset);
        check(histogram(0, &[5.0, 2.0]), Reset);
        check(Histogram { schema: 1, ..histogram(1, &[2.0, 3.0]) }, Unknown);
        check(Histogram { schema: 1, ..histogram(1, &[2.0, 2.0]) }, Reset);
        check(Histogram { reset: Gauge, ..histogram(1, &[1.0]) }, Gauge);
        check(Histogram { reset: Reset, ..histogram(1, &[2.0, 3.0]) }, Reset);
        check(Histogram { reset: NotReset, ..histogram(1, &[1.0, 3.0]) }, Reset);
        check(Histogram::stale(), Unknown);
        assert_eq!(judge(None, &before), Unknown);
        assert_eq!(judge(Some(&Histogram::stale()), &before), Unknown);
        assert_eq!(judge(Some(&Histogram { zero_count: 1.0, count: 1.0, ..Histogram::default() }), &Histogram { integer: false, ..before.clone() }), Reset);
    }
}
