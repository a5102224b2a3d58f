//! Aggregations over time: one number of all samples in a window. The caller never gives an empty window.

use super::super::annotations::Annotations;
use super::super::error::QueryError;
use super::Window;
use super::sum::{Compensated, Mean, quantile};

/// The check of functions that take any parameters, or none.
pub(in crate::promql) fn any_parameters(_params: &[f64; 2], _at: usize, _notes: &mut Annotations) -> Result<(), QueryError> {
    Ok(())
}

/// A quantile outside 0…1 is answered, with a warning.
pub(in crate::promql) fn quantile_parameter(params: &[f64; 2], at: usize, notes: &mut Annotations) -> Result<(), QueryError> {
    if !(0.0..=1.0).contains(&params[0]) {
        notes.invalid_quantile(at, params[0]);
    }
    Ok(())
}

pub(in crate::promql) fn avg_over_time(w: &Window<'_>) -> Option<f64> {
    let mut mean = Mean::starting(*w.values.first()?);
    w.values.iter().skip(1).for_each(|v| mean.add(*v));
    Some(mean.value())
}
pub(in crate::promql) fn count_over_time(w: &Window<'_>) -> Option<f64> {
    Some((w.values.len() + w.histograms.len()) as f64)
}
pub(in crate::promql) fn first_over_time(w: &Window<'_>) -> Option<f64> {
    w.values.first().copied()
}
pub(in crate::promql) fn last_over_time(w: &Window<'_>) -> Option<f64> {
    w.values.last().copied()
}
pub(in crate::promql) fn sum_over_time(w: &Window<'_>) -> Option<f64> {
    let mut sum = Compensated::default();
    w.values.iter().for_each(|v| sum.add(*v));
    Some(sum.value())
}

/// Time in seconds and value of the first sample that no later one beats.
fn best(w: &Window<'_>, beats: impl Fn(f64, f64) -> bool) -> Option<(f64, f64)> {
    let mut best = (*w.times.first()?, *w.values.first()?);
    for (time, value) in w.times.iter().zip(w.values) {
        if beats(*value, best.1) || best.1.is_nan() {
            best = (*time, *value);
        }
    }
    Some((best.0 as f64 / 1000.0, best.1))
}

pub(in crate::promql) fn max_over_time(w: &Window<'_>) -> Option<f64> {
    best(w, |a, b| a > b).map(|b| b.1)
}
pub(in crate::promql) fn min_over_time(w: &Window<'_>) -> Option<f64> {
    best(w, |a, b| a < b).map(|b| b.1)
}
/// The time of the last one of equal maxima.
pub(in crate::promql) fn ts_of_max_over_time(w: &Window<'_>) -> Option<f64> {
    best(w, |a, b| a >= b).map(|b| b.0)
}
/// The time of the last one of equal minima.
pub(in crate::promql) fn ts_of_min_over_time(w: &Window<'_>) -> Option<f64> {
    best(w, |a, b| a <= b).map(|b| b.0)
}
pub(in crate::promql) fn ts_of_first_over_time(w: &Window<'_>) -> Option<f64> {
    let native = w.histograms.first().map(|h| h.time.0);
    w.times.first().copied().into_iter().chain(native).min().map(|t| t as f64 / 1000.0)
}
pub(in crate::promql) fn ts_of_last_over_time(w: &Window<'_>) -> Option<f64> {
    let native = w.histograms.last().map(|h| h.time.0);
    w.times.last().copied().into_iter().chain(native).max().map(|t| t as f64 / 1000.0)
}

pub(in crate::promql) fn quantile_over_time(w: &Window<'_>) -> Option<f64> {
    Some(quantile(w.params[0], &mut w.values.to_vec()))
}
/// The median of the distances from the median; unknown when any value is.
pub(in crate::promql) fn mad_over_time(w: &Window<'_>) -> Option<f64> {
    if w.values.iter().any(|v| v.is_nan()) {
        return Some(f64::NAN);
    }
    let mut values = w.values.to_vec();
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    Some(quantile(0.5, &mut values))
}

pub(in crate::promql) fn stdvar_over_time(w: &Window<'_>) -> Option<f64> {
    let (mut mean, mut squares) = (Compensated::default(), Compensated::default());
    let mut count = 0.0;
    for value in w.values {
        count += 1.0;
        let difference = value - mean.plain();
        mean.add(difference / count);
        squares.add(difference * (value - mean.plain()));
    }
    Some(squares.plain() / count)
}
pub(in crate::promql) fn stddev_over_time(w: &Window<'_>) -> Option<f64> {
    stdvar_over_time(w).map(f64::sqrt)
}
