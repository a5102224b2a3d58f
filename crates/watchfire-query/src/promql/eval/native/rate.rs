//! Rates and differences of native histograms: per bucket, with one extrapolation for all of them.

use watchfire_model::histogram::{CounterReset, Histogram, Total};
use watchfire_model::sample::HistogramSample;

use super::super::Window;
use super::super::rate::{Change, extrapolation};
use super::extended::extended;
use super::{Operation, Remarks, Sampled};

type OfFloats = fn(&Window<'_>) -> Option<f64>;

pub(in crate::promql) fn rate(w: &Window<'_>, _of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    extrapolated(w, true, true, remarks)
}
pub(in crate::promql) fn increase(w: &Window<'_>, _of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    extrapolated(w, true, false, remarks)
}
pub(in crate::promql) fn delta(w: &Window<'_>, _of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    extrapolated(w, false, false, remarks)
}

fn extrapolated(w: &Window<'_>, counter: bool, per_second: bool, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    if !w.values.is_empty() {
        remarks.mixed();
        return None;
    }
    if let Some(extension) = w.extension {
        return extended(w, extension, counter, per_second, remarks);
    }
    let (first, rest) = w.histograms.split_first()?;
    let last = rest.last()?;
    let mut change = if counter { counter_change(first, rest, remarks) } else { gauge_change(&first.value, &last.value, remarks) }?;
    let observed =
        Change { first: first.time.0, last: last.time.0, steps: rest.len(), begins_at: first.value.count, change: change.count, counter, per_second };
    change.scale(extrapolation(&observed, w.start, w.end));
    Some(change.into())
}

/// The last one less the first one. Both should be gauges.
fn gauge_change(first: &Histogram, last: &Histogram, remarks: &mut Remarks<'_>) -> Option<Histogram> {
    let mut total = Total::of(&last.reduced(first.schema));
    let Ok(peculiar) = total.subtract(first) else {
        remarks.mixed_kinds();
        return None;
    };
    if peculiar.bounds_differed {
        remarks.bounds_reconciled(Operation::Subtraction);
    }
    if first.reset != CounterReset::Gauge || last.reset != CounterReset::Gauge {
        remarks.not_gauge();
    }
    Some(finished(total))
}

/// The last one less the first one, and what was there before each reset.
fn counter_change(first: &HistogramSample, rest: &[HistogramSample], remarks: &mut Remarks<'_>) -> Option<Histogram> {
    let all = || std::iter::once(first).chain(rest).map(|h| &*h.value);
    let (second, last) = (&*rest.first()?.value, &*rest.last()?.value);
    let nothing;
    let mut before = &*first.value;
    if second.is_reset_after(before) {
        // Counting began anew behind the first one, so its layout does not matter.
        nothing = Histogram { schema: second.schema, custom_bounds: second.custom_bounds.clone(), ..Histogram::default() };
        before = &nothing;
    }
    let ends_are_gauges = [&*first.value, last].iter().any(|h| h.reset == CounterReset::Gauge);
    if last.has_custom_bounds() != before.has_custom_bounds() {
        if ends_are_gauges {
            remarks.not_counter();
        }
        remarks.mixed_kinds();
        return None;
    }
    if rest.iter().any(|h| h.value.has_custom_bounds() != before.has_custom_bounds()) {
        remarks.mixed_kinds();
        return None;
    }
    if all().any(|h| h.reset == CounterReset::Gauge) {
        remarks.not_counter();
    }
    let coarsest = rest.iter().map(|h| h.value.schema).min().unwrap_or(before.schema).min(before.schema);
    let mut total = Total::of(&last.reduced(coarsest));
    // The kinds have been compared above.
    if total.subtract(before).is_ok_and(|peculiar| peculiar.bounds_differed) {
        remarks.bounds_reconciled(Operation::Subtraction);
    }
    for now in rest.iter().map(|h| &*h.value) {
        if now.is_reset_after(before) && total.add(before).is_ok_and(|peculiar| peculiar.bounds_differed) {
            remarks.bounds_reconciled(Operation::Addition);
        }
        before = now;
    }
    Some(finished(total))
}

pub(super) fn finished(total: Total) -> Histogram {
    let mut histogram = total.finish();
    histogram.reset = CounterReset::Gauge;
    histogram.compact();
    histogram
}

pub(in crate::promql) fn irate(w: &Window<'_>, of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    of_last_two(w, of_floats, true, remarks)
}
pub(in crate::promql) fn idelta(w: &Window<'_>, of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    of_last_two(w, of_floats, false, remarks)
}

/// The difference of the last two samples, whatever they are.
fn of_last_two(w: &Window<'_>, of_floats: OfFloats, counter: bool, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    let float_times = [w.times.len().checked_sub(1), w.times.len().checked_sub(2)].map(|i| i.map(|i| w.times[i]));
    let [last, before] = [w.histograms.len().checked_sub(1), w.histograms.len().checked_sub(2)].map(|i| i.map(|i| &w.histograms[i]));
    let later = |float: Option<i64>, histogram: Option<&HistogramSample>| float > histogram.map(|h| h.time.0);
    if later(float_times[1], last) {
        return of_floats(w).map(Sampled::Float);
    }
    let last = last?;
    let Some(before) = before.filter(|b| !later(float_times[0], Some(b))) else {
        if !w.values.is_empty() {
            remarks.mixed();
        }
        return None;
    };
    let seconds = (last.time.0 - before.time.0) as f64 / 1000.0;
    let (now, before) = (&*last.value, &*before.value);
    let gauges = [now, before].map(|h| h.reset == CounterReset::Gauge);
    if counter && gauges.contains(&true) {
        remarks.not_counter();
    }
    if !counter && gauges.contains(&false) {
        remarks.not_gauge();
    }
    let mut total = Total::of(now);
    if !(counter && now.is_reset_after(before)) {
        let Ok(peculiar) = total.subtract(before) else {
            remarks.mixed_kinds();
            return None;
        };
        if peculiar.bounds_differed {
            remarks.bounds_reconciled(Operation::Subtraction);
        }
    }
    let mut change = finished(total);
    if counter {
        change.divide(seconds);
    }
    Some(change.into())
}
