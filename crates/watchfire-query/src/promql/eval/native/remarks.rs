//! Warnings and hints about native histograms, in Prometheus' words.

use watchfire_model::labels::quoted;

use super::super::super::annotations::{Annotations, for_metric};
use super::super::super::ast::BinaryOp;
use super::NanObservations;

/// What was done with histograms when something about them was peculiar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql::eval) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}
impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        }
    }
}

impl Annotations {
    pub(in crate::promql::eval) fn mixed_kinds(&mut self, at: usize, metric: &str) {
        let metric = quoted(metric);
        self.warn(at, &format!("vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric}"));
    }
    pub(in crate::promql::eval) fn resets_conflict(&mut self, at: usize, operation: Operation) {
        self.warn(at, &format!("conflicting counter resets during histogram {}", operation.name()));
    }
    pub(in crate::promql::eval) fn bounds_reconciled(&mut self, at: usize, operation: Operation) {
        self.inform(at, &format!("mismatched custom buckets were reconciled during {}", operation.name()));
    }
    pub(in crate::promql::eval) fn mixed_aggregation(&mut self, at: usize) {
        self.warn(at, "encountered a mix of histograms and floats for aggregation");
    }
    pub(in crate::promql::eval) fn ignored_in_aggregation(&mut self, at: usize, aggregation: &str) {
        self.inform(at, &format!("ignored histogram in {aggregation} aggregation"));
    }
    pub(in crate::promql::eval) fn mixed_classic_and_native(&mut self, at: usize, metric: &str) {
        self.warn(at, &format!("vector contains a mix of classic and native histograms{}", for_metric(metric)));
    }
    pub(in crate::promql::eval) fn incompatible_operands(&mut self, at: usize, op: BinaryOp, left: &str, right: &str) {
        let symbol = op.symbol();
        self.inform(at, &format!("incompatible sample types encountered for binary operator \"{symbol}\": {left} {symbol} {right}"));
    }
    pub(in crate::promql::eval) fn incompatible_layouts(&mut self, at: usize, op: BinaryOp) {
        self.warn(at, &format!("incompatible bucket layout encountered for binary operator {}", op.symbol()));
    }
    pub(in crate::promql::eval) fn nan_observations(&mut self, at: usize, nan: NanObservations, metric: &str) {
        let what = match nan {
            NanObservations::None => return,
            NanObservations::NoResult => "histogram_quantile has NaN observations, result is NaN",
            NanObservations::Skewed => "histogram_quantile has NaN observations, result is skewed higher",
            NanObservations::Excluded => "histogram_fraction has NaN observations, which are excluded from all fractions",
        };
        self.inform(at, &format!("input to {what}{}", for_metric(metric)));
    }
}

/// Takes remarks about the windows of one series.
pub(in crate::promql) struct Remarks<'a> {
    pub(in crate::promql::eval) notes: &'a mut Annotations,
    pub(in crate::promql::eval) metric: &'a str,
    pub(in crate::promql::eval) at: usize,
}
impl Remarks<'_> {
    pub(super) fn mixed(&mut self) {
        self.notes.warn(self.at, &format!("encountered a mix of histograms and floats for metric name {}", quoted(self.metric)));
    }
    pub(super) fn ignored(&mut self) {
        self.notes.inform(self.at, &format!("ignored histograms in a range containing both floats and histograms for metric name {}", quoted(self.metric)));
    }
    pub(super) fn not_counter(&mut self) {
        self.notes.warn(self.at, &format!("this native histogram metric is not a counter: {}", quoted(self.metric)));
    }
    pub(super) fn not_gauge(&mut self) {
        self.notes.warn(self.at, &format!("this native histogram metric is not a gauge: {}", quoted(self.metric)));
    }
    pub(super) fn mixed_kinds(&mut self) {
        self.notes.mixed_kinds(self.at, self.metric);
    }
    pub(super) fn resets_conflict(&mut self, operation: Operation) {
        self.notes.resets_conflict(self.at, operation);
    }
    pub(super) fn bounds_reconciled(&mut self, operation: Operation) {
        self.notes.bounds_reconciled(self.at, operation);
    }
}
