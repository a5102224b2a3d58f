//! Functions over windows that hold native histograms. Each gets the function for floats as well and says what becomes of both.

use std::sync::Arc;

use watchfire_model::histogram::Histogram;

use super::super::Window;
use super::{Operation, Remarks, Sampled, combined};

/// The same function for windows of floats.
type OfFloats = fn(&Window<'_>) -> Option<f64>;

/// Histograms play no part; where floats stand beside them, that is said.
pub(in crate::promql) fn ignore(w: &Window<'_>, of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    if w.values.is_empty() {
        return None;
    }
    remarks.ignored();
    of_floats(w).map(Sampled::Float)
}

/// The function looks at samples of either kind by itself.
pub(in crate::promql) fn either(w: &Window<'_>, of_any: OfFloats, _remarks: &mut Remarks<'_>) -> Option<Sampled> {
    of_any(w).map(Sampled::Float)
}

pub(in crate::promql) fn first(w: &Window<'_>, of_floats: OfFloats, _remarks: &mut Remarks<'_>) -> Option<Sampled> {
    let histogram = w.histograms.first()?;
    if w.times.first().is_some_and(|t| *t < histogram.time.0) {
        of_floats(w).map(Sampled::Float)
    } else {
        Some(Sampled::Histogram(Arc::clone(&histogram.value)))
    }
}

pub(in crate::promql) fn last(w: &Window<'_>, of_floats: OfFloats, _remarks: &mut Remarks<'_>) -> Option<Sampled> {
    let histogram = w.histograms.last()?;
    if w.times.last().is_some_and(|t| *t > histogram.time.0) {
        of_floats(w).map(Sampled::Float)
    } else {
        Some(Sampled::Histogram(Arc::clone(&histogram.value)))
    }
}

pub(in crate::promql) fn sum(w: &Window<'_>, _of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    together(w, false, remarks)
}

pub(in crate::promql) fn mean(w: &Window<'_>, _of_floats: OfFloats, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    together(w, true, remarks)
}

fn together(w: &Window<'_>, mean: bool, remarks: &mut Remarks<'_>) -> Option<Sampled> {
    if !w.values.is_empty() {
        remarks.mixed();
        return None;
    }
    let histograms: Vec<&Histogram> = w.histograms.iter().map(|h| &*h.value).collect();
    let Ok(combined) = combined(&histograms, mean) else {
        remarks.mixed_kinds();
        return None;
    };
    if combined.resets_conflict {
        remarks.resets_conflict(Operation::Aggregation);
    }
    if combined.bounds_differed {
        remarks.bounds_reconciled(Operation::Aggregation);
    }
    Some(combined.histogram.into())
}

/// Counts neighbours in a window that satisfy a test; a change of kind always counts.
fn count_pairs(w: &Window<'_>, floats: fn(f64, f64) -> bool, histograms: fn(&Histogram, &Histogram) -> bool) -> Option<Sampled> {
    let mut from = i64::MIN;
    if w.extension.is_some() {
        // An anchored window begins with the last sample before it, of either kind, and needs one inside.
        let before = [w.times.iter().copied().rfind(|t| *t <= w.start), w.histograms.iter().map(|h| h.time.0).rfind(|t| *t <= w.start)];
        from = before.into_iter().flatten().max().unwrap_or(from);
        w.times.iter().copied().chain(w.histograms.iter().map(|h| h.time.0)).find(|t| *t > w.start)?;
    }
    let mut floats_left = w.times.iter().copied().zip(w.values.iter().copied()).skip_while(|(t, _)| *t < from).peekable();
    let mut histograms_left = w.histograms.iter().skip_while(|h| h.time.0 < from).peekable();
    let (mut before, mut count): (Option<Result<f64, &Histogram>>, u64) = (None, 0);
    loop {
        let float_is_next = match (floats_left.peek(), histograms_left.peek()) {
            (Some((time, _)), Some(histogram)) => *time < histogram.time.0,
            (float, _) => float.is_some(),
        };
        let now = if float_is_next { floats_left.next().map(|(_, value)| Ok(value)) } else { histograms_left.next().map(|h| Err(&*h.value)) };
        let Some(now) = now else { return Some(Sampled::Float(count as f64)) };
        count += u64::from(match (before, now) {
            (None, _) => false,
            (Some(Ok(before)), Ok(now)) => floats(before, now),
            (Some(Err(before)), Err(now)) => histograms(before, now),
            _ => true,
        });
        before = Some(now);
    }
}

pub(in crate::promql) fn count_resets(w: &Window<'_>, _of_floats: OfFloats, _remarks: &mut Remarks<'_>) -> Option<Sampled> {
    count_pairs(w, |before, now| now < before, |before, now| now.is_reset_after(before))
}

pub(in crate::promql) fn count_changes(w: &Window<'_>, _of_floats: OfFloats, _remarks: &mut Remarks<'_>) -> Option<Sampled> {
    count_pairs(w, |before, now| before != now && !(before.is_nan() && now.is_nan()), |before, now| !now.same_data(before))
}
