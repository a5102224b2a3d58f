//! Walks an expression from its leaves up, infers the shape of each part and notes what cannot work.

use std::collections::BTreeSet;

use watchfire_model::batch::MetricType;
use watchfire_model::document::nearest;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::number::format_short;
use watchfire_pack::catalog::FamilySpec;
use watchfire_query::promql::{Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, Node, NodeKind, VectorSelector};

use super::labels::LabelSet;
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
    let mut walk = Walk { text: expr.text(), knowledge, problems: Vec::new() };
    let shape = walk.node(expr.root(), None);
    walk.problems.sort_by_key(|p| p.at);
    walk.problems.dedup();
    (shape, walk.problems)
}

pub(super) struct Walk<'a> {
    text: &'a str,
    knowledge: &'a Knowledge,
    problems: Vec<Problem>,
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
    fn text(&self, node: &Node) -> String {
        let text = self.text.get(node.start..node.end).unwrap_or("");
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")")
    }

    /// `window` is the function around a range selector.
    fn node(&mut self, node: &Node, window: Option<&str>) -> Shape {
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

    fn selector(&mut self, node: &Node, selector: &VectorSelector, window: Option<&str>) -> Shape {
        let equal = |label: &str| selector.matchers.iter().find(|m| m.name == label && m.op == MatchOp::Equal).map(|m| m.value.as_str());
        let Some(name) = selector.name.as_deref().or_else(|| equal("__name__")) else { return Shape::unknown() };
        let job = equal("job");
        self.check_job(node, selector);
        let declared = self.knowledge.declarations(name, job);
        let declared: Vec<FamilySpec> = declared.into_iter().cloned().collect();
        if declared.is_empty() {
            return self.undeclared(node, name, job);
        }
        self.check_sources(node, name, job, &declared);
        for matcher in selector.matchers.iter().filter(|m| m.name != "__name__" && m.name != "job" && m.name != "instance") {
            self.check_matcher(node, name, matcher, &declared);
        }
        self.declared(node, name, job, &declared, selector, window)
    }

    fn undeclared(&mut self, node: &Node, name: &str, job: Option<&str>) -> Shape {
        let mut shape = Shape::unknown();
        shape.jobs = job.map(|job| BTreeSet::from([job.to_owned()]));
        if self.knowledge.is_made_here(name) {
            if name == "up" {
                (shape.least, shape.most, shape.quantity) = (0.0, 1.0, Quantity::Gauge);
            }
            return shape;
        }
        let near = self.knowledge.nearest(name);
        if self.knowledge.would_know(name) {
            let suggestion = near.map(|near| format!("did you mean {near}?"));
            self.problem(Code::UnknownMetric, node.start, format!("no catalog declares {name} and no rule records it"), suggestion);
        } else if let Some(live) = self.knowledge.live()
            && live.has_series(name) == Some(false)
        {
            let suggestion = near.map(|near| format!("did you mean {near}?"));
            self.problem(Code::UnknownMetric, node.start, format!("the server has had no series {name} lately"), suggestion);
        }
        shape
    }

    fn check_job(&mut self, node: &Node, selector: &VectorSelector) {
        let Some(jobs) = self.knowledge.jobs() else { return };
        for matcher in selector.matchers.iter().filter(|m| m.name == "job" && matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
            if jobs.keys().any(|job| matcher.matches_value(job)) || matcher.matches_empty() || matcher.value == "watchfire" {
                continue;
            }
            let suggestion = match nearest(&matcher.value, jobs.keys().map(String::as_str))
                .or_else(|| jobs.keys().find(|j| begins_alike(j, &matcher.value)).map(String::as_str))
            {
                Some(near) => format!("did you mean job={near:?}?"),
                None => format!("the jobs are {}", jobs.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.problem(Code::UnknownJob, node.start, format!("no scrape job is called {:?}", matcher.value), Some(suggestion));
        }
    }

    fn check_sources(&mut self, node: &Node, name: &str, job: Option<&str>, declared: &[FamilySpec]) {
        let Some(jobs) = self.knowledge.jobs() else { return };
        let sources: BTreeSet<&str> = declared.iter().filter_map(|family| family.jobs().iter().find(|j| jobs.contains_key(*j)).map(String::as_str)).collect();
        if job.is_none() && sources.len() > 1 {
            let all = sources.iter().copied().collect::<Vec<_>>().join(" and ");
            self.problem(
                Code::SeveralSources,
                node.start,
                format!("{all} both have series {name}, so every value counts more than once"),
                sources.first().map(|first| format!("choose one: {name}{{job={first:?}}}")),
            );
        }
    }

    fn check_matcher(&mut self, node: &Node, name: &str, matcher: &Matcher, declared: &[FamilySpec]) {
        if matcher.name == "le" && declared.iter().any(|f| f.kind == MetricType::Histogram) {
            return self.check_bucket(node, name, matcher, declared);
        }
        let specs: Vec<_> = declared.iter().filter_map(|f| f.label(&matcher.name)).collect();
        if specs.is_empty() {
            if matcher.matches_empty() || self.target_labels(declared).is_none_or(|known| known.contains(&matcher.name)) {
                return;
            }
            let known: Vec<&str> = declared.iter().flat_map(|f| f.labels.iter().map(|l| &*l.name)).collect();
            let suggestion = match nearest(&matcher.name, known.iter().copied()) {
                Some(near) => Some(format!("did you mean {near}?")),
                None if known.is_empty() => Some("leave it out".to_owned()),
                None => Some(format!("its labels are {}", known.join(", "))),
            };
            return self.problem(Code::UnknownLabel, node.start, format!("{name} has no label {}, so the selector finds nothing", matcher.name), suggestion);
        }
        if !matches!(matcher.op, MatchOp::Equal | MatchOp::Regex) || specs.iter().any(|s| s.values.is_empty()) || matcher.matches_empty() {
            return;
        }
        let allowed = || specs.iter().flat_map(|s| s.values.iter().map(|v| &**v).chain([&*s.otherwise, &*s.empty]));
        if allowed().any(|value| matcher.matches_value(value)) {
            return;
        }
        let suggestion = match nearest(&matcher.value, allowed()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("it is one of {}", specs[0].values.iter().take(12).map(|v| &**v).collect::<Vec<_>>().join(", ")),
        };
        let message = format!("{} of {name} is never {:?}", matcher.name, matcher.value);
        self.problem(Code::UnknownLabelValue, node.start, message, Some(suggestion));
    }

    fn check_bucket(&mut self, node: &Node, name: &str, matcher: &Matcher, declared: &[FamilySpec]) {
        if !matches!(matcher.op, MatchOp::Equal | MatchOp::Regex) {
            return;
        }
        let edges = || declared.iter().flat_map(|f| f.buckets.iter().map(|b| format_short(*b)).chain(["+Inf".to_owned()]));
        if edges().any(|edge| matcher.matches_value(&edge)) || declared.iter().all(|f| f.buckets.is_empty()) {
            return;
        }
        let wanted: Option<f64> = matcher.value.parse().ok();
        let same = declared.iter().flat_map(|f| &f.buckets).find(|b| wanted == Some(**b));
        let (message, suggestion) = match same {
            Some(edge) => (
                format!("the bucket of {name} is spelled le=\"{}\", not {:?}", format_short(*edge), matcher.value),
                format!("write le=\"{}\"", format_short(*edge)),
            ),
            None => (
                format!("{name} has no bucket le={:?}, so the selector finds nothing", matcher.value),
                format!("its buckets are {}", edges().collect::<Vec<_>>().join(", ")),
            ),
        };
        self.problem(Code::UnknownBucket, node.start, message, Some(suggestion));
    }

    /// Labels that the scrape adds, where all jobs of the families are known.
    fn target_labels(&self, declared: &[FamilySpec]) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::from(["job".to_owned(), "instance".to_owned()]);
        if let Some(jobs) = self.knowledge.jobs() {
            for family in declared {
                let own = family.jobs().iter().filter_map(|j| jobs.get(j));
                names.extend(own.flat_map(|job| job.labels.iter().cloned()));
                // A job under another name may add labels that nobody knows of.
                if !family.jobs().iter().any(|j| jobs.contains_key(j)) {
                    return None;
                }
            }
            return Some(names);
        }
        Some(names)
    }

    fn declared(&mut self, node: &Node, name: &str, job: Option<&str>, declared: &[FamilySpec], selector: &VectorSelector, window: Option<&str>) -> Shape {
        let of = |family: &FamilySpec| {
            let mut set = LabelSet::of(["job", "instance"]);
            for label in &family.labels {
                if label.optional {
                    set.sometimes.insert(label.name.to_string())
                } else {
                    set.always.insert(label.name.to_string())
                };
            }
            if family.kind == MetricType::Histogram && name.ends_with("_bucket") { set.with("le") } else { set }
        };
        let mut labels = declared.iter().map(of).reduce(|a, b| a.or(&b)).unwrap_or_default();
        match self.target_labels(declared) {
            Some(known) => labels.sometimes.extend(known.into_iter().filter(|n| n != "job" && n != "instance")),
            None => labels.exact = false,
        }
        // What a selector asks for is there.
        for matcher in selector.matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty() && m.name != "__name__") {
            if labels.sometimes.contains(&matcher.name) {
                labels = labels.with(&matcher.name);
            }
        }
        let first = &declared[0];
        let base = &*first.name;
        let counts = first.kind == MetricType::Counter || (matches!(first.kind, MetricType::Histogram | MetricType::Summary) && name != base);
        let jobs: BTreeSet<String> = match job {
            Some(job) => BTreeSet::from([job.to_owned()]),
            None => declared.iter().flat_map(|f| f.jobs().iter().cloned()).collect(),
        };
        let shape = Shape {
            labels,
            jobs: (!jobs.is_empty()).then_some(jobs),
            quantity: if counts {
                Quantity::Counter
            } else if first.kind == MetricType::Gauge {
                Quantity::Gauge
            } else {
                Quantity::Unknown
            },
            unit: first.unit.to_string(),
            family: Some(name.to_owned()),
            buckets: (first.kind == MetricType::Histogram).then(|| first.buckets.clone()),
            least: f64::NEG_INFINITY,
            most: f64::INFINITY,
            apart: true,
        };
        if let Some(function) = window
            && first.kind == MetricType::Gauge
            && ["rate", "irate", "increase", "resets"].contains(&function)
        {
            let suggestion = "use deriv() or delta() for how fast it changes, avg_over_time() for its mean".to_owned();
            self.problem(Code::RateOfGauge, node.start, format!("{function}() of the gauge {name}: every fall counts as a reset"), Some(suggestion));
        }
        shape
    }

    fn call(&mut self, node: &Node, call: &Call) -> Shape {
        let function = call.function.name;
        let arguments: Vec<Shape> = call.args.iter().map(|argument| self.node(argument, Some(function))).collect();
        match function {
            "histogram_quantile" => return self.quantile(node, call, &arguments),
            "absent" | "absent_over_time" => return Shape::unknown(),
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
            return Shape { quantity: Quantity::Rate, least: 0.0, most: f64::INFINITY, ..shape };
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
            let base = family.as_deref().unwrap_or("the histogram");
            let is_base = call.args.get(1).is_some_and(|a| matches!(a.kind, NodeKind::Vector(_))) && !base.ends_with("_bucket");
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
        Shape { labels, jobs: shape.jobs.clone(), unit: shape.unit.clone(), most, quantity: Quantity::Gauge, apart: shape.apart, ..Shape::unknown() }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Shape {
        let inner = self.node(&aggregate.expr, None);
        if let Some(param) = &aggregate.param {
            self.node(param, None);
        }
        if matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio) {
            return inner;
        }
        let labels = if aggregate.without { inner.labels.without(&aggregate.grouping) } else { inner.labels.kept(&aggregate.grouping) };
        for name in aggregate.grouping.iter().filter(|n| !aggregate.without && !inner.labels.may_have(n)) {
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
                ..inner
            },
            AggregateOp::Avg | AggregateOp::Min | AggregateOp::Max | AggregateOp::Quantile => Shape { labels, jobs, apart: false, ..inner },
            AggregateOp::Count => Shape { labels, jobs, least: 1.0, quantity: Quantity::Gauge, ..Shape::unknown() },
            _ => Shape { labels, jobs, ..Shape::unknown() },
        }
    }

    fn binary(&mut self, node: &Node, binary: &Binary) -> Shape {
        let (left, right) = (self.node(&binary.lhs, None), self.node(&binary.rhs, None));
        let vectors = [&binary.lhs, &binary.rhs].map(|n| n.value_type() == watchfire_query::promql::ValueType::Vector);
        if binary.op == BinaryOp::Div && self.text(strip(&binary.lhs)) == self.text(strip(&binary.rhs)) && vectors[0] {
            let message = "the same stands on both sides of the division, so the result is 1 wherever there is any".to_owned();
            self.problem(Code::DividedByItself, node.start, message, Some("divide by the whole, without the matcher that chooses a part".to_owned()));
        }
        if vectors == [true, true] {
            self.check_match(node, binary, &left, &right);
        }
        if binary.op.is_comparison() {
            self.check_threshold(node, binary, &left, &right);
            let vector = if vectors[0] { left } else { right };
            return if binary.return_bool { Shape { least: 0.0, most: 1.0, quantity: Quantity::Gauge, unit: String::new(), ..vector } } else { vector };
        }
        let labels = self.result_labels(binary, &left, &right, vectors);
        let jobs = left.jobs.clone().filter(|_| vectors[0]).or_else(|| right.jobs.clone().filter(|_| vectors[1]));
        let plain = Shape { labels: labels.clone(), jobs: jobs.clone(), apart: left.apart || right.apart, ..Shape::unknown() };
        let number = |shape: &Shape, is_vector: bool| if is_vector { None } else { shape.constant() };
        match binary.op {
            BinaryOp::And | BinaryOp::Unless => Shape { labels: left.labels.clone(), ..left },
            BinaryOp::Or => {
                let (least, most) = (left.least.min(right.least), left.most.max(right.most));
                Shape { labels: left.labels.or(&right.labels), jobs: None, least, most, ..left }
            }
            BinaryOp::Div if vectors == [true, true] => {
                let part = self.is_part(&binary.lhs, &binary.rhs);
                let same = left.unit == right.unit && left.quantity == right.quantity && left.quantity != Quantity::Unknown;
                let least = if left.least >= 0.0 && right.least >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                Shape { quantity: if same || part { Quantity::Ratio } else { Quantity::Unknown }, least, most: if part { 1.0 } else { f64::INFINITY }, ..plain }
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

    /// Whether the left side selects a part of what the right side selects, so that the relation is at most one.
    fn is_part(&self, left: &Node, right: &Node) -> bool {
        let matchers = |node: &Node| -> Option<(String, Vec<String>, String)> {
            let mut found = Vec::new();
            node.walk(&mut |inner| match &inner.kind {
                NodeKind::Vector(selector) => found.push(selector),
                NodeKind::Matrix(matrix) => found.push(&matrix.selector),
                _ => {}
            });
            let [selector] = found.as_slice() else { return None };
            let name = selector.name.clone()?;
            let mut all: Vec<String> = selector.matchers.iter().map(|m| format!("{}{}{}", m.name, m.op.symbol(), m.value)).collect();
            all.sort();
            // The text around the selector must be the same on both sides.
            let text = self.text(strip(node));
            let around = match (text.find(&name), text.find('}')) {
                (Some(from), Some(to)) if to > from => format!("{}#{}", text.get(..from)?, text.get(to + 1..)?),
                (Some(from), _) => format!("{}#{}", text.get(..from)?, text.get(from + name.len()..)?),
                _ => return None,
            };
            Some((name, all, around))
        };
        match (matchers(left), matchers(right)) {
            (Some((a, part, around_a)), Some((b, whole, around_b))) => {
                a == b && around_a == around_b && part.len() > whole.len() && whole.iter().all(|m| part.contains(m))
            }
            _ => false,
        }
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

/// The node without parentheses.
pub(super) fn strip(node: &Node) -> &Node {
    if let NodeKind::Paren(inner) = &node.kind { strip(inner) } else { node }
}

/// A number times a constant: a rate per second times 3,600 is one per hour, which is no rate per second any more.
fn scaled(shape: Shape, factor: f64) -> Shape {
    let quantity = if shape.quantity == Quantity::Rate && factor >= 60.0 { Quantity::Increase } else { shape.quantity };
    let unit = if shape.unit == "ratio" || shape.quantity == Quantity::Ratio { String::new() } else { shape.unit };
    let quantity = if shape.quantity == Quantity::Ratio { Quantity::Unknown } else { quantity };
    Shape { quantity, unit, family: None, least: shape.least * factor, most: shape.most * factor, ..shape }
}

/// Whether one name continues the other.
fn begins_alike(a: &str, b: &str) -> bool {
    a.len() >= 3 && b.len() >= 3 && (a.starts_with(b) || b.starts_with(a))
}
