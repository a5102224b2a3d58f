//! Native histograms in the evaluation: what functions, operators and aggregations make of them, beside the floats.
//! Their arithmetic is the model's; classic histograms (series with `le`) are the business of `histogram`.

mod aggregate;
mod binary;
mod extended;
mod functions;
mod over_time;
mod quantile;
mod rate;
mod remarks;

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, DifferentKinds, Histogram, Total};

pub(super) use binary::{Applied, Note, Operand, apply};
pub(super) use extended::smoothed;
pub(in crate::promql) use functions::{histogram_avg, histogram_count, histogram_stddev, histogram_stdvar, histogram_sum};
pub(in crate::promql) use over_time::{count_changes, count_resets, either, first, ignore, last, mean, sum};
pub(super) use quantile::{NanObservations, fraction, quantile};
pub(in crate::promql) use rate::{delta, idelta, increase, irate, rate};
pub(super) use remarks::Operation;
pub(in crate::promql) use remarks::Remarks;

/// What a series has at one step.
#[derive(Clone, Debug)]
pub(in crate::promql) enum Sampled {
    Float(f64),
    Histogram(Arc<Histogram>),
}
impl From<Histogram> for Sampled {
    fn from(histogram: Histogram) -> Sampled {
        Sampled::Histogram(Arc::new(histogram))
    }
}

/// The sum or the mean of histograms, and what was peculiar about it.
struct Combined {
    histogram: Histogram,
    resets_conflict: bool,
    bounds_differed: bool,
}

/// Adds up histograms, of which there is at least one, and divides by their number if the mean is wanted.
fn combined(histograms: &[&Histogram], mean: bool) -> Result<Combined, DifferentKinds> {
    let Some((first, rest)) = histograms.split_first() else { return Err(DifferentKinds) };
    let knows = |reset: CounterReset| histograms.iter().any(|h| h.reset == reset);
    let resets_conflict = knows(CounterReset::Reset) && knows(CounterReset::NotReset);
    let mut bounds_differed = false;
    let mut total = Total::compensated(first);
    let mut overflow = false;
    for histogram in rest {
        bounds_differed |= total.add(histogram)?.bounds_differed;
        overflow |= mean && total.overflows();
    }
    if mean && overflow {
        total = careful_mean(first, rest)?;
    } else if mean {
        total.divide(histograms.len() as f64);
    }
    Ok(Combined { histogram: total.finish(), resets_conflict, bounds_differed })
}

/// The mean of numbers so large that their sum overflows: from there on it is corrected value by value.
fn careful_mean(first: &Histogram, rest: &[&Histogram]) -> Result<Total, DifferentKinds> {
    let mut total = Total::compensated(first);
    let mut incremental = false;
    for (i, histogram) in rest.iter().enumerate() {
        let count = (i + 2) as f64;
        if !incremental {
            let mut next = total.clone();
            next.add(histogram)?;
            if !next.overflows() {
                total = next;
                continue;
            }
            incremental = true;
            total.divide(count - 1.0);
        }
        total.scale((count - 1.0) / count);
        let mut share = (*histogram).clone();
        share.divide(count);
        total.add(&share)?;
    }
    if !incremental {
        total.divide((rest.len() + 1) as f64);
    }
    Ok(total)
}
