//! What an operator makes of its two sides.

use std::collections::BTreeSet;

use watchfire_query::promql::{Binary, BinaryOp, Cardinality, Node, NodeKind};

use super::infer::{Walk, strip};
use super::labels::LabelSet;
use super::shape::{Quantity, Shape};
use super::span::selector_end;
use super::units::{is_part_of, of_one_histogram, scaled_unit};
use crate::report::Code;
use watchfire_model::order::Order as _;

impl Walk<'_> {
    pub(super) fn binary(&mut self, node: &Node, binary: &Binary) -> Shape {
        let (left, right) = self.sides(binary);
        let vectors = [&binary.lhs, &binary.rhs].map(|n| n.value_type() == watchfire_query::promql::ValueType::Vector);
        if binary.op == BinaryOp::Div && self.text(strip(&binary.lhs)) == self.text(strip(&binary.rhs)) && vectors[0] {
            let message = "the same stands on both sides of the division, so the result is 1 wherever there is any".to_owned();
            self.problem(Code::DividedByItself, node.start, message, Some("divide by the whole, without the matcher that chooses a part".to_owned()));
        }
        if vectors == [true, true] {
            self.check_match(node, binary, &left, &right);
            self.check_pairs(node, binary, &left, &right);
            self.check_part_alone(node, binary, &left, &right);
        }
        if binary.op.is_comparison() {
            self.check_threshold(node, binary, &left, &right);
            let vector = if vectors[0] { left } else { right };
            return if binary.return_bool {
                Shape { least: 0.0, most: 1.0, quantity: Quantity::Gauge, unit: String::new(), of_quantile: false, ..vector }
            } else {
                Shape { chosen: true, ..vector }
            };
        }
        let labels = self.result_labels(binary, &left, &right, vectors);
        let jobs = left.jobs.clone().filter(|_| vectors[0]).or_else(|| right.jobs.clone().filter(|_| vectors[1]));
        let plain =
            Shape { labels: labels.clone(), jobs: jobs.clone(), apart: left.apart || right.apart, chosen: left.chosen || right.chosen, ..Shape::unknown() };
        let number = |shape: &Shape, is_vector: bool| if is_vector { None } else { shape.constant() };
        match binary.op {
            BinaryOp::And | BinaryOp::Unless => Shape { labels: left.labels.clone(), chosen: true, ..left },
            BinaryOp::Or => {
                let (least, most) = (left.least.min(right.least), left.most.max(right.most));
                Shape { labels: left.labels.or(&right.labels), jobs: None, least, most, chosen: left.chosen || right.chosen, ..left }
            }
            BinaryOp::Div if vectors == [true, true] => {
                let part = self.part_chosen_by(&binary.lhs, &binary.rhs).is_some();
                let same = left.unit == right.unit && left.quantity == right.quantity && left.quantity != Quantity::Unknown;
                let least = if left.least >= 0.0 && right.least >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                let (quantity, unit) = match of_one_histogram(&left, &right) {
                    Some(known) => known,
                    None if part || is_part_of(&left, &right) => (Quantity::Ratio, "ratio".to_owned()),
                    None => (if same { Quantity::Ratio } else { Quantity::Unknown }, String::new()),
                };
                Shape { quantity, unit, least, most: if part { 1.0 } else { f64::INFINITY }, ..plain }
            }
            BinaryOp::Mul | BinaryOp::Div => match (number(&left, vectors[0]), number(&right, vectors[1])) {
                (None, Some(factor)) if factor > 0.0 => {
                    let factor = if binary.op == BinaryOp::Div { 1.0 / factor } else { factor };
                    scaled(left, factor)
                }
                (Some(factor), None) if factor > 0.0 && binary.op == BinaryOp::Mul => scaled(right, factor),
                _ => plain,
            },
            BinaryOp::Add | BinaryOp::Sub => match (number(&left, vectors[0]), number(&right, vectors[1])) {
                // One minus a ratio is the other part.
                (Some(whole), None) if binary.op == BinaryOp::Sub => Shape { least: whole - right.most, most: whole - right.least, family: None, ..right },
                _ if left.unit == right.unit && left.quantity == right.quantity => {
                    Shape { labels, jobs, family: None, least: f64::NEG_INFINITY, most: f64::INFINITY, ..left }
                }
                _ => plain,
            },
            _ => plain,
        }
    }

    /// What both sides are. Where series meet by their job, and one side says which jobs there are, the other is read again with these
    /// in mind: a name may be declared by several products.
    fn sides(&mut self, binary: &Binary) -> (Shape, Shape) {
        let before = self.problems.len();
        let (left, right) = (self.node(&binary.lhs, None), self.node(&binary.rhs, None));
        let matching = &binary.matching;
        let by_job = matching.on == matching.labels.iter().any(|n| n == "job") && binary.op != BinaryOp::Or;
        let (Some(a), Some(b)) = (&left.jobs, &right.jobs) else { return (left, right) };
        let shared: BTreeSet<String> = a.intersection(b).cloned().collect();
        if !by_job || shared.is_empty() || a == b || self.wanted_jobs.is_some() {
            return (left, right);
        }
        self.problems.truncate(before);
        self.wanted_jobs = Some(shared);
        let sides = (self.node(&binary.lhs, None), self.node(&binary.rhs, None));
        self.wanted_jobs = None;
        sides
    }

    /// A part divided by the whole, where the label that makes it a part is still on both sides: every series meets itself.
    fn check_part_alone(&mut self, node: &Node, binary: &Binary, left: &Shape, right: &Shape) {
        let matching = &binary.matching;
        if binary.op != BinaryOp::Div || matching.cardinality != Cardinality::OneToOne {
            return;
        }
        let counts = |name: &str| matching.on == matching.labels.iter().any(|n| n == name);
        let chosen_by = self.part_chosen_by(&binary.lhs, &binary.rhs).unwrap_or_default();
        let Some(label) = chosen_by.iter().find(|l| counts(l) && left.labels.may_have(l) && right.labels.may_have(l)) else { return };
        let message = format!("both sides still have the label {label}, so every series is divided by itself and the result is 1");
        self.problem(Code::DividedByItself, node.start, message, Some(format!("add both sides up without it: sum without ({label}) (…)")));
    }

    /// The labels by which the left side chooses a part of what the right side selects, so that the relation is at most one.
    fn part_chosen_by(&self, left: &Node, right: &Node) -> Option<Vec<String>> {
        let (part, whole) = (self.one_selector(left)?, self.one_selector(right)?);
        let more = part.matchers.len() > whole.matchers.len() && whole.matchers.iter().all(|m| part.matchers.contains(m));
        let is_part = part.name == whole.name && part.around == whole.around && more;
        is_part.then(|| part.matchers.into_iter().filter(|m| !whole.matchers.contains(m)).map(|(name, _)| name).collect())
    }

    /// The only selector of a side.
    fn one_selector(&self, node: &Node) -> Option<OneSelector> {
        let mut found = Vec::new();
        node.walk(&mut |inner| match &inner.kind {
            NodeKind::Vector(selector) => found.push((inner, selector)),
            NodeKind::Matrix(matrix) => found.push((inner, &matrix.selector)),
            _ => {}
        });
        let [(place, selector)] = found.as_slice() else { return None };
        let name = selector.name.clone()?;
        let others = selector.matchers.iter().filter(|m| m.name != "__name__");
        let mut matchers: Vec<_> = others.map(|m| (m.name.clone(), format!("{}{}", m.op.symbol(), m.value))).collect();
        matchers.order();
        let node = strip(node);
        let behind = selector_end(place, self.text);
        let around = format!("{}#{}", self.between(node.start, place.start), self.between(behind, node.end));
        Some(OneSelector { name, matchers, around })
    }

    fn result_labels(&self, binary: &Binary, left: &Shape, right: &Shape, vectors: [bool; 2]) -> LabelSet {
        match vectors {
            [true, false] => left.labels.clone(),
            [false, true] => right.labels.clone(),
            [false, false] => LabelSet::of([]),
            [true, true] => {
                let many = if binary.matching.cardinality == Cardinality::OneToMany { &right.labels } else { &left.labels };
                match binary.matching.cardinality {
                    Cardinality::OneToOne if binary.matching.on => many.kept(&binary.matching.labels),
                    Cardinality::OneToOne => many.without(&binary.matching.labels),
                    _ => {
                        let mut set = many.clone();
                        set.sometimes.extend(binary.matching.include.iter().filter(|n| !many.always.contains(*n)).cloned());
                        set
                    }
                }
            }
        }
    }
}

/// The selector of a side that has no other, and what stands around it.
struct OneSelector {
    name: String,
    /// Label, and operator with value, sorted.
    matchers: Vec<(String, String)>,
    around: String,
}

/// A number times a constant: a rate per second times 3,600 is one per hour, which is no rate per second any more.
fn scaled(shape: Shape, factor: f64) -> Shape {
    let (unit, quantity) = scaled_unit(&shape.unit, shape.quantity, factor);
    let quantity = if quantity == Quantity::Rate && factor >= 60.0 { Quantity::Increase } else { quantity };
    Shape { quantity, unit, family: None, least: shape.least * factor, most: shape.most * factor, ..shape }
}
