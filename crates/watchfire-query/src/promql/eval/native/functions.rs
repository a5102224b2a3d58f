//! Functions that read one number out of each native histogram. Floats among them are left out.

use watchfire_model::histogram::{Bucket, Histogram};
use watchfire_model::labels::METRIC_NAME;

use super::super::super::ast::Call;
use super::super::sum::Compensated;
use super::super::{Evaluated, Evaluator, Grid, Names, Output};

fn of_histograms(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid, read: impl Fn(&Histogram) -> f64) -> Evaluated<Output> {
    let mut columns = evaluator.argument(call, 0, grid)?;
    for column in &mut columns.list {
        column.read_histograms(&read);
        match columns.names {
            // Unlike elsewhere, the labels of type and unit stay.
            Names::DroppedAtOnce => column.labels = column.labels.without(METRIC_NAME),
            Names::DroppedAtEnd => column.drops_name = true,
        }
    }
    columns.without_empty().merged().map(Output::Vector)
}

pub(in crate::promql) fn histogram_count(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_histograms(evaluator, call, grid, |h| h.count)
}
pub(in crate::promql) fn histogram_sum(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_histograms(evaluator, call, grid, |h| h.sum)
}
pub(in crate::promql) fn histogram_avg(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_histograms(evaluator, call, grid, |h| h.sum / h.count)
}
pub(in crate::promql) fn histogram_stdvar(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_histograms(evaluator, call, grid, variance)
}
pub(in crate::promql) fn histogram_stddev(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    of_histograms(evaluator, call, grid, |h| variance(h).sqrt())
}

/// The variance, with every observation at the middle of its bucket.
fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let middle = |bucket: &Bucket| {
        if histogram.has_custom_bounds() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        }
    };
    let mut squares = Compensated::default();
    for bucket in histogram.all_buckets().iter().filter(|b| b.count != 0.0) {
        let distance = middle(bucket) - mean;
        squares.add(bucket.count * distance * distance);
    }
    squares.plain() / histogram.count
}
