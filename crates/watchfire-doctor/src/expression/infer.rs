//! Walks an expression from its leaves up, infers the shape of each part and notes what cannot work.

use std::collections::BTreeSet;

use watchfire_model::document::nearest;
use watchfire_model::matcher::MatchOp;
use watchfire_model::order::Order as _;
use watchfire_query::promql::{Aggregate, AggregateOp, Call, Expr, Node, NodeKind};

use super::labels::LabelSet;
use super::selector::is_variable;
use super::shape::{Quantity, Shape};
use crate::knowledge::Knowledge;
use crate::report::Code;

/// Something in an expression that cannot work.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// The byte of the expression that it is about.
    pub at: usize,
    /// What is wrong and why.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// What is inferred about a whole expression, and what is wrong with it.
pub fn diagnose(expr: &Expr, knowledge: &Knowledge) -> (Shape, Vec<Problem>) {
    let mut walk = Walk { text: expr.text(), knowledge, problems: Vec::new(), in_histogram_function: false, wanted_jobs: None, jobs_become: Jobs::Apart };
    let shape = walk.node(expr.root(), None);
    walk.problems.order_by_key(|p| p.at);
    walk.problems.dedup();
    (shape, walk.problems)
}

pub(super) struct Walk<'a> {
    pub(super) text: &'a str,
    pub(super) knowledge: &'a Knowledge,
    pub(super) problems: Vec<Problem>,
    /// Whose series are meant, where the other side of an operator says so.
    pub(super) wanted_jobs: Option<BTreeSet<String>>,
    /// What becomes of series of several jobs.
    pub(super) jobs_become: Jobs,
    /// Whether a function around it takes histograms.
    pub(super) in_histogram_function: bool,
}

/// What an aggregation makes of series of several jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Jobs {
    /// They stay apart.
    Apart,
    /// They are added up or counted.
    Added,
    /// One of them counts.
    One,
}

/// What functions over a window make of it.
const RATES: [&str; 2] = ["rate", "irate"];
/// Functions that leave labels and kind of the number as they are.
const KEEPING: [&str; 14] = [
    "abs",
    "ceil",
    "floor",
    "round",
    "clamp",
    "clamp_min",
    "clamp_max",
    "sort",
    "sort_desc",
    "last_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "quantile_over_time",
];

impl Walk<'_> {
    pub(super) fn problem(&mut self, code: Code, at: usize, message: String, suggestion: Option<String>) {
        self.problems.push(Problem { code, at, message, suggestion });
    }
    /// The text of a node, with blanks made equal.
    pub(super) fn text(&self, node: &Node) -> String {
        self.between(node.start, node.end)
    }
    /// The text between two places, with blanks made equal.
    pub(super) fn between(&self, start: usize, end: usize) -> String {
        let text = self.text.get(start..end).unwrap_or("");
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")")
    }

    /// `window` is the function around a range selector.
    pub(super) fn node(&mut self, node: &Node, window: Option<&str>) -> Shape {
        match &node.kind {
            NodeKind::Number { value, .. } => Shape::number(*value),
            NodeKind::String(_) => Shape::unknown(),
            NodeKind::Paren(inner) => self.node(inner, window),
            NodeKind::Unary(unary) => {
                let shape = self.node(&unary.expr, None);
                if unary.negative { Shape { least: -shape.most, most: -shape.least, quantity: Quantity::Unknown, ..shape } } else { shape }
            }
            NodeKind::Vector(selector) => self.selector(node, selector, window),
            NodeKind::Matrix(matrix) => self.selector(node, &matrix.selector, window),
            NodeKind::Subquery(subquery) => self.node(&subquery.expr, None),
            NodeKind::Call(call) => self.call(node, call),
            NodeKind::Aggregate(aggregate) => self.aggregate(aggregate),
            NodeKind::Binary(binary) => self.binary(node, binary),
        }
    }

    fn call(&mut self, node: &Node, call: &Call) -> Shape {
        let function = call.function.name;
        let outside = self.in_histogram_function;
        self.in_histogram_function |= function.starts_with("histogram_") || function.starts_with("absent");
        let arguments: Vec<Shape> = call.args.iter().map(|argument| self.node(argument, Some(function))).collect();
        self.in_histogram_function = outside;
        match function {
            "histogram_quantile" => return self.quantile(node, call, &arguments),
            "absent" | "absent_over_time" => return absent(call),
            "vector" => return Shape { labels: LabelSet::of([]), ..arguments.into_iter().next().unwrap_or_else(Shape::unknown) },
            "scalar" => return Shape { labels: LabelSet::of([]), family: None, ..arguments.into_iter().next().unwrap_or_else(Shape::unknown) },
            "time" => return Shape { labels: LabelSet::of([]), ..Shape::unknown() },
            "label_replace" | "label_join" => {
                let target = call.args.get(1).and_then(|a| if let NodeKind::String(text) = &a.kind { Some(text.clone()) } else { None });
                let mut shape = arguments.into_iter().next().unwrap_or_else(Shape::unknown);
                if let Some(target) = target.filter(|t| !shape.labels.always.contains(t)) {
                    shape.labels.sometimes.insert(target);
                }
                return Shape { family: None, ..shape };
            }
            _ => {}
        }
        // The first vector or range is what the function is about.
        let position = call.args.iter().position(|a| a.value_type() != watchfire_query::promql::ValueType::Scalar && !matches!(a.kind, NodeKind::String(_)));
        let Some(shape) = position.and_then(|n| arguments.into_iter().nth(n)) else { return Shape::unknown() };
        if RATES.contains(&function) {
            // Seconds per second are a part of the time.
            let part = shape.unit == "seconds" && shape.buckets.is_none();
            return Shape { quantity: if part { Quantity::Ratio } else { Quantity::Rate }, least: 0.0, most: f64::INFINITY, ..shape };
        }
        match function {
            "increase" => Shape { quantity: Quantity::Increase, least: 0.0, most: f64::INFINITY, ..shape },
            "changes" | "resets" | "count_over_time" => {
                Shape { quantity: Quantity::Increase, unit: String::new(), least: 0.0, most: f64::INFINITY, buckets: None, ..shape }
            }
            _ if KEEPING.contains(&function) => shape,
            "delta" | "deriv" | "idelta" => Shape { quantity: Quantity::Unknown, least: f64::NEG_INFINITY, most: f64::INFINITY, ..shape },
            _ => Shape { labels: shape.labels, jobs: shape.jobs, apart: shape.apart, ..Shape::unknown() },
        }
    }

    fn quantile(&mut self, node: &Node, call: &Call, arguments: &[Shape]) -> Shape {
        let Some(shape) = arguments.get(1) else { return Shape::unknown() };
        let asked = call.args.get(1).map_or(node.start, |a| a.start);
        let family = shape.family.clone();
        if let (Some(name), None) = (&family, &shape.buckets) {
            let message = format!("{name} is no histogram, so it has no quantiles");
            self.problem(Code::NotAHistogram, asked, message, Some("use quantile() over its series, or quantile_over_time()".to_owned()));
        } else if !shape.labels.may_have("le") {
            let whole = family.as_deref().unwrap_or("the histogram");
            let base = whole.strip_suffix("_sum").or_else(|| whole.strip_suffix("_count")).unwrap_or(whole);
            let is_base = family.is_some() && !base.ends_with("_bucket");
            let (message, suggestion) = match is_base {
                true => (
                    format!("only the series {base}_bucket carry le, so histogram_quantile() of {base} is empty"),
                    format!("write histogram_quantile({}, sum by (le) (rate({base}_bucket[5m])))", call.args.first().map(|a| self.text(a)).unwrap_or_default()),
                ),
                false => ("the label le is aggregated away, so there is nothing to find a quantile in".to_owned(), "add le to by (…)".to_owned()),
            };
            self.problem(Code::MissingLe, asked, message, Some(suggestion));
        }
        let most = shape.buckets.as_ref().and_then(|b| b.last()).copied().unwrap_or(f64::INFINITY);
        let labels = shape.labels.without(&["le".to_owned()]);
        Shape {
            labels,
            jobs: shape.jobs.clone(),
            unit: shape.unit.clone(),
            most,
            quantity: Quantity::Gauge,
            apart: shape.apart,
            of_quantile: true,
            ..Shape::unknown()
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Shape {
        let outside = self.jobs_become;
        let keeps = |name: &str| aggregate.without != aggregate.grouping.iter().any(|n| n == name);
        let picks = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio);
        if outside == Jobs::Apart && !picks && !keeps("job") && !keeps("instance") {
            let one = matches!(aggregate.op, AggregateOp::Max | AggregateOp::Min | AggregateOp::Avg | AggregateOp::Quantile);
            self.jobs_become = if one { Jobs::One } else { Jobs::Added };
        }
        let inner = self.node(&aggregate.expr, None);
        self.jobs_become = outside;
        if let Some(param) = &aggregate.param {
            self.node(param, None);
        }
        if matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio) {
            return inner;
        }
        let labels = if aggregate.without { inner.labels.without(&aggregate.grouping) } else { inner.labels.kept(&aggregate.grouping) };
        for name in aggregate.grouping.iter().filter(|n| !aggregate.without && !is_variable(n) && !inner.labels.may_have(n)) {
            let at = aggregate.expr.start;
            let known: Vec<&str> = inner.labels.names().collect();
            let suggestion = nearest(name, known.iter().copied())
                .map(|near| format!("did you mean {near}?"))
                .or_else(|| Some(format!("the labels are {}", known.join(", "))));
            self.problem(Code::UnknownLabel, at, format!("there is no label {name} to group by"), suggestion);
        }
        let keeps_jobs = labels.may_have("job") && !labels.names().all(|n| n != "job");
        let jobs = inner.jobs.filter(|_| keeps_jobs);
        match aggregate.op {
            AggregateOp::Sum => Shape {
                labels,
                jobs,
                apart: false,
                least: inner.least.min(0.0).max(if inner.least >= 0.0 { 0.0 } else { f64::NEG_INFINITY }),
                most: if inner.most <= 0.0 { inner.most } else { f64::INFINITY },
                // Shares that are added up are no share.
                unit: if inner.unit == "ratio" || inner.unit.starts_with("percent") { String::new() } else { inner.unit.clone() },
                ..inner
            },
            AggregateOp::Avg | AggregateOp::Min | AggregateOp::Max | AggregateOp::Quantile => Shape { labels, jobs, apart: false, ..inner },
            AggregateOp::Count => Shape { labels, jobs, least: 1.0, quantity: Quantity::Gauge, chosen: inner.chosen, ..Shape::unknown() },
            _ => Shape { labels, jobs, ..Shape::unknown() },
        }
    }
}

/// `absent` gives one series, with the labels that its selector asks for by `=`.
fn absent(call: &Call) -> Shape {
    let selector = match call.args.first().map(|argument| &strip(argument).kind) {
        Some(NodeKind::Vector(selector)) => Some(selector),
        Some(NodeKind::Matrix(matrix)) => Some(&matrix.selector),
        _ => None,
    };
    let asked = selector.map(|s| s.matchers.iter().filter(|m| m.op == MatchOp::Equal && m.name != "__name__" && !m.value.is_empty()).collect::<Vec<_>>());
    let names = asked.unwrap_or_default();
    let jobs = names.iter().find(|m| m.name == "job" && !is_variable(&m.value)).map(|m| BTreeSet::from([m.value.clone()]));
    Shape { labels: LabelSet::of(names.iter().map(|m| m.name.as_str())), jobs, least: 1.0, most: 1.0, chosen: true, ..Shape::unknown() }
}

/// The node without parentheses.
pub(super) fn strip(node: &Node) -> &Node {
    if let NodeKind::Paren(inner) = &node.kind { strip(inner) } else { node }
}
