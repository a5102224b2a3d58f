//! What can be said of two sides of an operator: whether their series find each other, and whether a threshold can be passed.

use std::collections::BTreeSet;

use watchfire_model::number::format_short;
use watchfire_query::promql::{Binary, BinaryOp, Cardinality, Node};

use super::infer::Walk;
use super::labels::LabelSet;
use super::selector::is_variable;
use super::shape::{Quantity, Shape};
use crate::report::Code;

impl Walk<'_> {
    /// Whether series of both sides can find each other.
    pub(super) fn check_match(&mut self, node: &Node, binary: &Binary, left: &Shape, right: &Shape) {
        let matching = &binary.matching;
        // `or` takes what is alone, and `unless` may mean to.
        if matches!(binary.op, BinaryOp::Or | BinaryOp::Unless) || matching.fill_left.is_some() || matching.fill_right.is_some() {
            return;
        }
        let counts = |name: &str| matching.on == matching.labels.iter().any(|n| n == name);
        let alone = |a: &LabelSet, b: &LabelSet| -> Vec<String> {
            if b.exact { a.always.iter().filter(|n| counts(n) && !b.may_have(n)).cloned().collect() } else { Vec::new() }
        };
        let names = |shape: &Shape, side: &str| shape.family.clone().unwrap_or_else(|| format!("the {side} side"));
        let (l, r) = (names(left, "left"), names(right, "right"));
        for (labels, with, without, suggestion) in [(alone(&left.labels, &right.labels), &l, &r, "left"), (alone(&right.labels, &left.labels), &r, &l, "right")]
        {
            if let Some(first) = labels.first() {
                let list = labels.join(", ");
                let message = format!("{with} always has the label {list} and {without} never has, so {} finds no pair", binary.op.symbol());
                let suggestion = format!("aggregate the {suggestion} side, for example sum without ({list}) (…), or add ignoring ({first})");
                return self.problem(Code::NeverMatches, node.start, message, Some(suggestion));
            }
        }
        if let (Some(a), Some(b)) = (&left.jobs, &right.jobs)
            && a.is_disjoint(b)
            && counts("job")
            && left.labels.always.contains("job")
            && right.labels.always.contains("job")
        {
            let show = |set: &BTreeSet<String>| set.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            let message = format!("the left side has job {}, the right side {}, so {} finds no pair", show(a), show(b), binary.op.symbol());
            self.problem(Code::NeverMatches, node.start, message, Some("name what both share: on (…), or aggregate both sides".to_owned()));
        }
    }

    /// Labels by which both sides are to meet and that neither has, and pairs that are not one to one.
    pub(super) fn check_pairs(&mut self, node: &Node, binary: &Binary, left: &Shape, right: &Shape) {
        let matching = &binary.matching;
        let has_none = |name: &&String| left.labels.exact && right.labels.exact && !left.labels.may_have(name) && !right.labels.may_have(name);
        if let Some(name) = matching.labels.iter().find(|name| matching.on && !is_variable(name) && has_none(name)) {
            let message = format!("neither side has the label {name} of on (…), so all series are taken for one pair");
            return self.problem(Code::UnknownLabel, node.start, message, Some("name a label that both sides have".to_owned()));
        }
        if matches!(binary.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) {
            return;
        }
        let one = if matching.cardinality == Cardinality::OneToMany { left } else { right };
        if let Some(name) = matching.include.iter().find(|name| !is_variable(name) && one.labels.exact && !one.labels.may_have(name)) {
            let message = format!("the side that is to bring the label {name} does not have it");
            self.problem(Code::UnknownLabel, node.start, message, Some("take it out of group_left or group_right".to_owned()));
        }
        if matching.cardinality != Cardinality::OneToOne {
            return;
        }
        let counts = |name: &str| matching.on == matching.labels.iter().any(|n| n == name);
        for (shape, other, side) in [(left, right, "left"), (right, left, "right")] {
            let several = |name: &&String| !counts(name) && !shape.labels.pinned.contains(*name) && !matches!(name.as_str(), "job" | "instance" | "le");
            let Some(name) = shape.labels.always.iter().find(several).filter(|_| shape.labels.exact && other.labels.exact) else { continue };
            let group = if side == "left" { "group_left" } else { "group_right" };
            let message = format!("the {side} side has a series for every {name}, and {name} does not count, so several meet one and the query fails");
            let suggestion = format!("add {group} (), or add the {side} side up first: sum without ({name}) (…)");
            return self.problem(Code::AmbiguousMatch, node.start, message, Some(suggestion));
        }
    }

    pub(super) fn check_threshold(&mut self, node: &Node, binary: &Binary, left: &Shape, right: &Shape) {
        let (shape, limit, op) = match (left.constant(), right.constant()) {
            (Some(a), Some(b)) => return self.constant(node, binary.op, a, b),
            (None, Some(limit)) => (left, limit, binary.op),
            (Some(limit), None) => (right, limit, mirrored(binary.op)),
            (None, None) => return,
        };
        if shape.quantity == Quantity::Counter && shape.family.is_some() && !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) && limit != 0.0 {
            let name = shape.family.clone().unwrap_or_default();
            let message = format!("{name} only rises, so it stays beyond {} for ever once it got there", format_short(limit));
            self.problem(Code::CounterWithoutRate, node.start, message, Some(format!("compare rate({name}[5m]) or increase({name}[1h])")));
        }
        let never = match op {
            BinaryOp::Greater => shape.most <= limit,
            BinaryOp::GreaterOrEqual => shape.most < limit,
            BinaryOp::Less => shape.least >= limit,
            BinaryOp::LessOrEqual => shape.least > limit,
            BinaryOp::Equal => limit > shape.most || limit < shape.least,
            _ => false,
        };
        let always = match op {
            BinaryOp::Greater => shape.least > limit,
            BinaryOp::GreaterOrEqual => shape.least >= limit && shape.least.is_finite(),
            BinaryOp::Less => shape.most < limit,
            BinaryOp::LessOrEqual => shape.most <= limit && shape.most.is_finite(),
            _ => false,
        };
        let text = format_short(limit);
        if never && shape.most <= limit && shape.most.is_finite() && shape.of_quantile {
            let message =
                format!("the highest finite bucket is {}, and a quantile is never above it, so it is never {} {text}", format_short(shape.most), op.symbol());
            return self.problem(
                Code::BeyondTopBucket,
                node.start,
                message,
                Some(format!("choose a threshold below {} or add buckets", format_short(shape.most))),
            );
        }
        // Where a condition chooses the series, "always" is whenever there are any.
        if never || (always && !shape.chosen) {
            let word = if never { "never" } else { "always" };
            return self.problem(Code::ConstantCondition, node.start, format!("the comparison with {text} is {word} true"), None);
        }
        self.check_unit(node, shape, limit, op);
        if op == BinaryOp::Equal && limit == 0.0 && shape.apart && matches!(shape.quantity, Quantity::Rate | Quantity::Increase) {
            let own: Vec<&str> = shape.labels.names().filter(|n| !matches!(*n, "job" | "instance" | "le")).collect();
            if !own.is_empty() && shape.labels.exact {
                let list = own.join(", ");
                let message = format!("every series by {list} is judged alone, so a quiet one fires although the others have traffic");
                self.problem(Code::EverySeriesAlone, node.start, message, Some(format!("add them up first: sum without ({list}) (…) == 0")));
            }
        }
    }

    fn constant(&mut self, node: &Node, op: BinaryOp, left: f64, right: f64) {
        let holds = match op {
            BinaryOp::Equal => left == right,
            BinaryOp::NotEqual => left != right,
            BinaryOp::Less => left < right,
            BinaryOp::LessOrEqual => left <= right,
            BinaryOp::Greater => left > right,
            _ => left >= right,
        };
        let word = if holds { "always" } else { "never" };
        self.problem(Code::ConstantCondition, node.start, format!("nothing that is measured is compared: this is {word} true"), None);
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
        BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
        other => other,
    }
}
