//! Functions over windows that speak of change: rates with extrapolation, differences, regression, smoothing.

use super::super::annotations::Annotations;
use super::super::error::QueryError;
use super::super::numbers::format_plain;
use super::Window;
use super::extended::{anchored_values, extended_change};
use super::sum::Compensated;

/// Change over the window, extrapolated to its borders when samples come close to them.
///
/// "Close" is within 110 % of the mean distance of samples; otherwise the series is taken to begin or end
/// half such a distance beyond its outermost sample. Counters are never extrapolated below zero.
fn extrapolated(w: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    if let Some(extension) = w.extension {
        let change = extended_change(w, extension, counter)?;
        return Some(if per_second { change / ((w.end - w.start) as f64 / 1000.0) } else { change });
    }
    let last = w.values.len().checked_sub(1).filter(|n| *n > 0)?;
    let mut change = w.values[last] - w.values[0];
    if counter && !w.rises {
        for pair in w.values.windows(2) {
            if pair[1] < pair[0] {
                change += pair[0];
            }
        }
    }
    let observed = Change { first: w.times[0], last: w.times[last], steps: last, begins_at: w.values[0], change, counter, per_second };
    Some(change * extrapolation(&observed, w.start, w.end))
}

/// A change between the first and the last sample of a window.
pub(super) struct Change {
    pub(super) first: i64,
    pub(super) last: i64,
    /// The number of samples less one.
    pub(super) steps: usize,
    /// The value of the first sample.
    pub(super) begins_at: f64,
    pub(super) change: f64,
    pub(super) counter: bool,
    pub(super) per_second: bool,
}

/// The factor that makes a change of the whole window of one between samples.
pub(super) fn extrapolation(observed: &Change, start: i64, end: i64) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(observed.last - observed.first);
    let mean_distance = sampled / observed.steps as f64;
    let threshold = mean_distance * 1.1;
    let mut to_start = seconds(observed.first - start);
    let mut to_end = seconds(end - observed.last);
    if to_start >= threshold {
        to_start = mean_distance / 2.0;
    }
    if observed.counter && observed.change > 0.0 && observed.begins_at >= 0.0 {
        let to_zero = sampled * (observed.begins_at / observed.change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = mean_distance / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if observed.per_second {
        factor /= seconds(end - start);
    }
    factor
}

/// The rate of a counter whose samples lie in a window, in milliseconds; none of fewer than two.
pub(crate) fn counter_rate(times: &[i64], values: &[f64], start: i64, end: i64) -> Option<f64> {
    rate(&Window { times, values, histograms: &[], start, end, time: end, params: [0.0; 2], extension: None, rises: false })
}
pub(in crate::promql) fn rate(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true, true)
}
pub(in crate::promql) fn increase(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true, false)
}
pub(in crate::promql) fn delta(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, false, false)
}

/// The last two values and their distance in seconds.
fn last_two(w: &Window<'_>) -> Option<(f64, f64, f64)> {
    let last = w.values.len().checked_sub(1).filter(|n| *n > 0)?;
    Some((w.values[last - 1], w.values[last], (w.times[last] - w.times[last - 1]) as f64 / 1000.0))
}

pub(in crate::promql) fn irate(w: &Window<'_>) -> Option<f64> {
    let (before, now, seconds) = last_two(w)?;
    let change = if now < before { now } else { now - before };
    Some(change / seconds)
}
pub(in crate::promql) fn idelta(w: &Window<'_>) -> Option<f64> {
    last_two(w).map(|(before, now, _)| now - before)
}

pub(in crate::promql) fn resets(w: &Window<'_>) -> Option<f64> {
    Some(anchored_values(w)?.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64)
}
pub(in crate::promql) fn changes(w: &Window<'_>) -> Option<f64> {
    let differs = |pair: &&[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
    Some(anchored_values(w)?.windows(2).filter(differs).count() as f64)
}

/// Least squares: the slope per second, and the value of the line at a time.
fn regression(w: &Window<'_>, at: i64) -> (f64, f64) {
    let first = w.values[0];
    if w.values.iter().skip(1).all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Compensated::default(); 4];
    for (time, y) in w.times.iter().zip(w.values) {
        let x = time.saturating_sub(at) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let n = w.values.len() as f64;
    let (x, y, xy, xx) = (x_sum.plain(), y_sum.plain(), xy_sum.plain(), xx_sum.plain());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(in crate::promql) fn deriv(w: &Window<'_>) -> Option<f64> {
    (w.values.len() > 1).then(|| regression(w, w.times[0]).0)
}
pub(in crate::promql) fn predict_linear(w: &Window<'_>) -> Option<f64> {
    if w.values.len() < 2 {
        return None;
    }
    let (slope, intercept) = regression(w, w.time);
    Some(slope * w.params[0] + intercept)
}

/// Holt's double exponential smoothing with a smoothing factor and a trend factor.
pub(in crate::promql) fn double_exponential_smoothing(w: &Window<'_>) -> Option<f64> {
    let [smoothing, trend_factor] = w.params;
    let (first, second) = (*w.values.first()?, *w.values.get(1)?);
    let (mut before, mut smoothed, mut trend) = (0.0, first, second - first);
    for (i, value) in w.values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (smoothed - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
        (before, smoothed) = (smoothed, next);
    }
    Some(smoothed)
}

/// Both factors of smoothing must lie between 0 and 1.
pub(in crate::promql) fn smoothing_factors(params: &[f64; 2], _at: usize, _notes: &mut Annotations) -> Result<(), QueryError> {
    for (value, name, short) in [(params[0], "smoothing", "sf"), (params[1], "trend", "tf")] {
        if value <= 0.0 || value >= 1.0 {
            let got = if value.is_finite() { format!("{value:.6}") } else { format_plain(value) };
            return Err(QueryError::Execution(format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {got}")));
        }
    }
    Ok(())
}
