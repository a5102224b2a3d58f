//! `anchored` and `smoothed` over native histograms: what floats do in `eval::extended`, bucket by bucket.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram, Total};
use watchfire_model::read::Series;
use watchfire_model::sample::HistogramSample;

use super::super::super::ast::Extension;
use super::super::Window;
use super::rate::finished;
use super::{Operation, Remarks, Sampled};

/// The change from border to border of a window that holds nothing but histograms, resets of counters made good.
pub(super) fn extended(w: &Window<'_>, extension: Extension, counter: bool, per_second: bool, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    let all = w.histograms;
    let until_last = all.get(..all.len().checked_sub(1)?)?;
    let first = until_last.partition_point(|h| h.time.0 <= w.start).saturating_sub(1);
    let smoothed = extension == Extension::Smoothed;
    let last = if smoothed { until_last.partition_point(|h| h.time.0 < w.end) } else { until_last.len() };
    if all[last].time.0 <= w.start || (smoothed && all[first].time.0 > w.end) {
        return None;
    }
    let used = &all[first..=last];
    let custom = used[0].value.has_custom_bounds();
    if used.iter().any(|h| h.value.has_custom_bounds() != custom) {
        remarks.mixed_kinds();
        return None;
    }
    if counter && used.iter().any(|h| h.value.reset == CounterReset::Gauge) {
        remarks.not_counter();
    }
    let begins_before = smoothed && all[first].time.0 < w.start;
    let left = if begins_before { between(&all[first], &all[first + 1], w.start, counter, remarks)? } else { Arc::clone(&all[first].value) };
    let ends_behind = smoothed && last > 0 && all[last].time.0 > w.end;
    let right = if ends_behind { between(&all[last - 1], &all[last], w.end, counter, remarks)? } else { Arc::clone(&all[last].value) };
    if !counter && [&left, &right].iter().any(|h| h.reset != CounterReset::Gauge) {
        remarks.not_gauge();
    }
    let mut total = Total::of(&right);
    // The kinds have been compared above.
    if total.subtract(&left).is_ok_and(|peculiar| peculiar.bounds_differed) {
        remarks.bounds_reconciled(Operation::Subtraction);
    }
    if counter {
        let (mut before, mut next) = (&*left, first + 1);
        if begins_before && all[first + 1].value.is_reset_after(&all[first].value) {
            // The value at the border has begun anew already.
            (before, next) = (&*all[first + 1].value, first + 2);
        }
        if next <= last {
            for now in all[next..last].iter().map(|h| &*h.value).chain([&*right]) {
                if now.is_reset_after(before) && total.add(before).is_ok_and(|peculiar| peculiar.bounds_differed) {
                    remarks.bounds_reconciled(Operation::Addition);
                }
                before = now;
            }
        }
    }
    let mut change = finished(total);
    if per_second {
        change.divide((w.end - w.start) as f64 / 1000.0);
    }
    Some(change.into())
}

/// The histogram at a time between two others. A counter that was reset between them began again at nothing.
fn between(a: &HistogramSample, b: &HistogramSample, time: i64, counter: bool, remarks: &mut Remarks<'_>) -> Option<Arc<Histogram>> {
    if time == a.time.0 || time == b.time.0 {
        return Some(Arc::clone(if time == a.time.0 { &a.value } else { &b.value }));
    }
    let share = (time - a.time.0) as f64 / (b.time.0 - a.time.0) as f64;
    if counter && b.value.is_reset_after(&a.value) {
        let mut begun = (*b.value).clone();
        begun.scale(share);
        return Some(Arc::new(begun));
    }
    let mut change = Total::of(&b.value);
    let Ok(peculiar) = change.subtract(&a.value) else {
        remarks.mixed_kinds();
        return None;
    };
    if peculiar.bounds_differed {
        remarks.bounds_reconciled(Operation::Subtraction);
    }
    let mut change = change.finish();
    change.scale(share);
    let mut total = Total::of(&change);
    if total.add(&a.value).is_ok_and(|peculiar| peculiar.bounds_differed) {
        remarks.bounds_reconciled(Operation::Addition);
    }
    Some(Arc::new(total.finish()))
}

/// The histogram at a time, interpolated between those around it, up to the lookback away; the last one counts until a newer one
/// comes. `Err` where there are only floats.
pub(in crate::promql::eval) fn smoothed(series: &Series, time: i64, lookback: i64, remarks: &mut Remarks<'_>) -> Result<Option<Arc<Histogram>>, ()> {
    let near = |t: i64| t > time.saturating_sub(lookback) && t <= time.saturating_add(lookback);
    let all = &series.histograms;
    let next = all.partition_point(|h| h.time.0 < time);
    let [before, behind] = [next.checked_sub(1), Some(next)].map(|at| at.and_then(|at| all.get(at)).filter(|h| near(h.time.0)));
    if before.is_none() && behind.is_none() {
        return Err(());
    }
    let first = series.times.partition_point(|t| *t <= time.saturating_sub(lookback));
    if series.times.get(first).is_some_and(|t| near(*t)) {
        remarks.mixed();
        return Ok(None);
    }
    Ok(match (before, behind) {
        (_, Some(b)) if b.time.0 == time => Some(Arc::clone(&b.value)),
        (Some(a), Some(b)) if a.value.has_custom_bounds() != b.value.has_custom_bounds() => {
            remarks.mixed_kinds();
            None
        }
        (Some(a), Some(b)) => {
            let counter = [a, b].iter().all(|h| h.value.reset != CounterReset::Gauge);
            between(a, b, time, counter, remarks)
        }
        (Some(a), None) => Some(Arc::clone(&a.value)),
        (None, _) => None,
    })
}
