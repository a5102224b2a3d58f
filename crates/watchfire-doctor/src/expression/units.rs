//! Thresholds in another unit than the value: shares from 0 to 1 against percent. What texts beside a rule say is not looked at here.

use watchfire_model::number::format_short;
use watchfire_query::promql::{BinaryOp, Node};

use super::infer::Walk;
use super::shape::{Quantity, Shape};
use crate::report::Code;

/// A share above this was meant in percent.
const SHARE_MAX: f64 = 10.0;
/// A share is always below this, so whoever asks for less meant percent.
const SHARE_BELOW: f64 = 2.0;

impl Walk<'_> {
    /// Shares against percent.
    pub(super) fn check_unit(&mut self, node: &Node, shape: &Shape, limit: f64, op: BinaryOp) {
        let above = matches!(op, BinaryOp::Greater | BinaryOp::GreaterOrEqual);
        let below = matches!(op, BinaryOp::Less | BinaryOp::LessOrEqual);
        let is_share = shape.unit == "ratio" && matches!(shape.quantity, Quantity::Gauge | Quantity::Ratio);
        let is_percent = shape.unit.starts_with("percent");
        let name = shape.family.clone().unwrap_or_else(|| "a part of a whole".to_owned());
        let text = format_short(limit);
        if is_share && ((above && limit > SHARE_MAX) || (below && limit > SHARE_BELOW && limit <= 100.0)) {
            let message = match &shape.family {
                Some(_) => format!("{name} is a ratio, so {text} means {} %", format_short(limit * 100.0)),
                None => format!("{name} is between 0 and 1, so {text} means {} %", format_short(limit * 100.0)),
            };
            self.problem(Code::UnitMismatch, node.start, message, Some(format!("write {}", format_short(limit / 100.0))));
        } else if above && is_percent && shape.family.is_some() && limit > 0.0 && limit < 1.0 {
            let message = format!("{name} is in percent, so {text} is less than one percent");
            self.problem(Code::UnitMismatch, node.start, message, Some(format!("write {}", format_short(limit * 100.0))));
        }
    }
}

/// Words in the name of a level that say that it is the whole of something.
const WHOLES: [&str; 6] = ["total", "size", "limit", "capacity", "max", "quota"];

/// Whether one level is a part of another: both have one unit, and the other is called a whole.
pub(super) fn is_part_of(part: &Shape, whole: &Shape) -> bool {
    let (Some(a), Some(b)) = (&part.family, &whole.family) else { return false };
    let is_whole = |name: &str| name.to_ascii_lowercase().split('_').any(|word| WHOLES.iter().any(|whole| word == *whole || word.ends_with(whole)));
    let levels = part.quantity == Quantity::Gauge && whole.quantity == Quantity::Gauge;
    levels && !part.unit.is_empty() && part.unit == whole.unit && a != b && is_whole(b) && !is_whole(a)
}

/// What a division makes of two series of one histogram.
pub(super) fn of_one_histogram(left: &Shape, right: &Shape) -> Option<(Quantity, String)> {
    let (a, base) = (left.family.as_deref()?, right.family.as_deref()?.strip_suffix("_count")?);
    match a.strip_prefix(base)? {
        "_sum" => Some((Quantity::Gauge, left.unit.clone())),
        "_bucket" => Some((Quantity::Ratio, "ratio".to_owned())),
        _ => None,
    }
}

/// The unit of a value after it was multiplied.
pub(super) fn scaled_unit(unit: &str, quantity: Quantity, factor: f64) -> (String, Quantity) {
    let near = |wanted: f64| (factor / wanted - 1.0).abs() < 1e-9;
    let share = unit == "ratio" || quantity == Quantity::Ratio;
    match unit {
        _ if near(1.0) => (unit.to_owned(), quantity),
        _ if share && near(100.0) => ("percent".to_owned(), Quantity::Percent),
        _ if quantity == Quantity::Percent && near(0.01) => ("ratio".to_owned(), Quantity::Ratio),
        "seconds" if near(1_000.0) && !share => ("ms".to_owned(), quantity),
        "ms" if near(0.001) => ("seconds".to_owned(), quantity),
        _ if matches!(quantity, Quantity::Ratio | Quantity::Percent) => (String::new(), Quantity::Unknown),
        _ => (String::new(), quantity),
    }
}
