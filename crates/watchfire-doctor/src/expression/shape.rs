//! What is inferred about the value of a part of an expression.

use std::collections::BTreeSet;

use super::labels::LabelSet;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Only rises, from an unknown beginning.
    Counter,
    /// A level.
    Gauge,
    /// Per second.
    Rate,
    /// Over a window.
    Increase,
    /// A part of a whole, or a relation.
    Ratio,
    /// The same times a hundred.
    Percent,
    /// Nothing is known.
    Unknown,
}

/// What is known about a part of an expression.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The labels of its series; a scalar has none.
    pub labels: LabelSet,
    /// The values of `job` that its series can have, where that is known.
    pub jobs: Option<BTreeSet<String>>,
    /// What kind of number it is.
    pub quantity: Quantity,
    /// The unit of the family behind it.
    pub unit: String,
    /// The family behind it, when it is one.
    pub family: Option<String>,
    /// The bounds of the histogram behind it, ascending, without `+Inf`.
    pub buckets: Option<Vec<f64>>,
    /// It is never below this.
    pub least: f64,
    /// It is never above this.
    pub most: f64,
    /// Whether series of the same metric are still apart, none added up.
    pub apart: bool,
    /// Whether a condition chooses which series there are, so that to be there means something.
    pub chosen: bool,
    /// Whether it is a quantile of a histogram, which ends at the highest bound.
    pub of_quantile: bool,
}

impl Shape {
    /// Nothing is known.
    pub fn unknown() -> Shape {
        Shape {
            labels: LabelSet::unknown(),
            jobs: None,
            quantity: Quantity::Unknown,
            unit: String::new(),
            family: None,
            buckets: None,
            least: f64::NEG_INFINITY,
            most: f64::INFINITY,
            apart: false,
            chosen: false,
            of_quantile: false,
        }
    }
    /// A number.
    pub fn number(value: f64) -> Shape {
        Shape { labels: LabelSet::of([]), least: value, most: value, ..Shape::unknown() }
    }
    /// The only value that it can have; what is measured may be absent, which is a second one.
    pub fn constant(&self) -> Option<f64> {
        (self.least == self.most && !self.chosen).then_some(self.least)
    }
}
