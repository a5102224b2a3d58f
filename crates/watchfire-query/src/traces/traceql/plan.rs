//! What a query needs of a source: conditions that one span of each trace must satisfy, those of them that a source can decide, and
//! whether the whole trace has to be at hand.

use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::spans::{SpanKind, SpanRow, StatusCode, key};

use super::ast::{Comparison, Expr, Field, Intrinsic, Measure, Owner, Pipeline, Query, Side, Spans, Stage};
use super::field::At;
use super::value::Val;

/// Whole numbers up to here are written alike as whole numbers and as floats.
const EXACT: u64 = 1 << 53;

/// What is needed.
pub(super) struct Plan<'q> {
    /// One of the spans of a trace that is found satisfies one of these.
    candidates: Vec<&'q Expr>,
    /// All that holds for every span that satisfies them, as far as a source can tell.
    pub(super) matchers: Vec<Matcher>,
    /// Whether events or links are looked at.
    pub(super) lines: bool,
    /// When each span can be judged alone: the conditions that it has to satisfy.
    pub(super) alone: Option<Vec<&'q Expr>>,
}

impl<'q> Plan<'q> {
    pub(super) fn of(query: &'q Query) -> Plan<'q> {
        let candidates = of_pipeline(&query.pipeline);
        let matchers = if let [one] = candidates.as_slice() { matchers(one) } else { Vec::new() };
        let mut lines = false;
        query.fields(&mut |field| lines |= in_line(field));
        Plan { candidates, matchers, lines, alone: alone(query) }
    }

    /// Whether a trace may be found by this span.
    pub(super) fn may_match(&self, row: SpanRow<'_>) -> bool {
        let at = At::alone(row);
        self.candidates.iter().any(|expr| at.value(expr).may_hold())
    }
}

fn in_line(field: &Field) -> bool {
    use Intrinsic::{EventName, EventTime, LinkSpan, LinkTrace};
    matches!(field, Field::Attribute(Owner::Event | Owner::Link, _) | Field::Intrinsic(EventName | EventTime | LinkSpan | LinkTrace))
}

/// Whether a field depends on the whole trace.
pub(super) fn of_trace(field: &Field) -> bool {
    use Intrinsic::{ChildCount, NestedSetLeft, NestedSetParent, NestedSetRight, RootName, RootService, TraceDuration};
    match field {
        Field::Attribute(owner, _) => matches!(owner, Owner::Parent | Owner::ParentSpan | Owner::ParentResource),
        Field::Intrinsic(intrinsic) => {
            matches!(intrinsic, ChildCount | TraceDuration | RootName | RootService | NestedSetLeft | NestedSetRight | NestedSetParent)
        }
    }
}

/// Whether a condition depends on the whole trace. Whether a span is a root does not.
fn depends(expr: &Expr) -> bool {
    match expr {
        Expr::Compare(Comparison::Less | Comparison::GreaterOrEqual, a, b) if is_field(a, Intrinsic::NestedSetParent) && is_zero(b) => false,
        Expr::Literal(_) => false,
        Expr::Field(field) => of_trace(field),
        Expr::Negative(a) | Expr::Not(a) | Expr::Match { of: a, .. } => depends(a),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::Compute(_, a, b) | Expr::Compare(_, a, b) => depends(a) || depends(b),
    }
}
fn is_field(expr: &Expr, wanted: Intrinsic) -> bool {
    matches!(expr, Expr::Field(Field::Intrinsic(intrinsic)) if *intrinsic == wanted)
}
fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Val::Int(0)))
}

fn alone(query: &Query) -> Option<Vec<&Expr>> {
    let mut filters = Vec::new();
    for stage in &query.pipeline.stages {
        match stage {
            Stage::Spans(Spans::Filter(filter)) if !depends(filter) => filters.push(filter),
            Stage::Select(_) => {}
            _ => return None,
        }
    }
    let metrics = query.metrics.as_ref()?;
    let mut dependent = false;
    metrics.fields(&mut |field| dependent |= of_trace(field));
    if let Measure::Compare { selection, .. } = &metrics.measure {
        dependent |= depends(selection);
    }
    (!dependent).then_some(filters)
}

/// Everything.
static ALL: Expr = Expr::Literal(Val::Bool(true));

fn of_pipeline(pipeline: &Pipeline) -> Vec<&Expr> {
    match pipeline.stages.first() {
        Some(Stage::Spans(spans)) => of_spans(spans),
        _ => vec![&ALL],
    }
}

fn of_spans(spans: &Spans) -> Vec<&Expr> {
    match spans {
        Spans::Filter(filter) => vec![filter],
        Spans::Pipeline(pipeline) => of_pipeline(pipeline),
        Spans::Or(a, b) => of_spans(a).into_iter().chain(of_spans(b)).collect(),
        Spans::Related(_, Side::Not, _, b) => of_spans(b),
        Spans::And(a, b) | Spans::Related(_, _, a, b) => {
            // Each of them has to be there: the one of which a source can tell more.
            let (a, b) = (of_spans(a), of_spans(b));
            let tells = |all: &[&Expr]| if let [one] = all { matchers(one).len() } else { 0 };
            if tells(&b) >= tells(&a) { b } else { a }
        }
    }
}

/// Conditions that every span has to satisfy of which this expression is true; they need not be all.
fn matchers(expr: &Expr) -> Vec<Matcher> {
    match expr {
        Expr::And(a, b) => matchers(a).into_iter().chain(matchers(b)).collect(),
        Expr::Compare(Comparison::Equal, a, b) => match (&**a, &**b) {
            (Expr::Field(field), Expr::Literal(value)) | (Expr::Literal(value), Expr::Field(field)) => equal(field, value).into_iter().collect(),
            _ => Vec::new(),
        },
        Expr::Compare(Comparison::NotEqual, a, b) => match (&**a, &**b) {
            (Expr::Field(Field::Intrinsic(Intrinsic::Name)), Expr::Literal(Val::Text(text))) => {
                Matcher::new(key::NAME, MatchOp::NotEqual, text).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Expr::Compare(Comparison::Less, a, b) if is_field(a, Intrinsic::NestedSetParent) && is_zero(b) => vec![Matcher::equal(key::PARENT, "")],
        Expr::Match { of, negated: false, pattern, regex } => match &**of {
            Expr::Field(Field::Intrinsic(Intrinsic::Name)) => Matcher::new(key::NAME, MatchOp::Regex, pattern).into_iter().collect(),
            // Empty text is not kept as empty text.
            Expr::Field(Field::Attribute(Owner::Resource, name)) if !regex.is_match("") => {
                Matcher::new(&key::resource(name), MatchOp::Regex, pattern).into_iter().collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The matcher of an equality, if a source keeps the value as it is written.
fn equal(field: &Field, value: &Val<'_>) -> Option<Matcher> {
    let text = match value {
        Val::Text(text) if !text.is_empty() => text.to_string(),
        Val::Bool(value) => value.to_string(),
        Val::Int(number) if number.unsigned_abs() < EXACT => number.to_string(),
        Val::Float(number) if number.fract() != 0.0 || number.abs() < EXACT as f64 => number.to_string(),
        Val::Status(StatusCode::Unset) | Val::Kind(SpanKind::Unspecified) => String::new(),
        Val::Status(code) => code.name().to_owned(),
        Val::Kind(kind) => kind.name().to_owned(),
        Val::Nil if matches!(field, Field::Intrinsic(Intrinsic::ParentId)) => String::new(),
        _ => return None,
    };
    // Zero has two signs.
    if text == "0" || text == "-0" {
        return None;
    }
    let name = match field {
        Field::Attribute(Owner::Span, name) => key::attribute(name).into_owned(),
        Field::Attribute(Owner::Resource, name) => key::resource(name),
        Field::Attribute(Owner::Instrumentation, name) => key::scope(name),
        Field::Attribute(..) => return None,
        Field::Intrinsic(intrinsic) => match intrinsic {
            Intrinsic::Name => key::NAME,
            Intrinsic::Status => key::STATUS,
            Intrinsic::Kind => key::KIND,
            Intrinsic::StatusMessage => key::MESSAGE,
            Intrinsic::TraceId => key::TRACE,
            Intrinsic::SpanId => key::SPAN,
            Intrinsic::ParentId => key::PARENT,
            Intrinsic::ScopeName => key::SCOPE,
            Intrinsic::ScopeVersion => key::SCOPE_VERSION,
            _ => return None,
        }
        .to_owned(),
    };
    Some(Matcher::equal(&name, &text))
}

impl Query {
    /// Visits all fields that it names.
    pub(super) fn fields<'q>(&'q self, visit: &mut dyn FnMut(&'q Field)) {
        self.pipeline.fields(visit);
        if let Some(metrics) = &self.metrics {
            metrics.fields(visit);
        }
    }
}
impl super::ast::Metrics {
    fn fields<'q>(&'q self, visit: &mut dyn FnMut(&'q Field)) {
        self.by.iter().for_each(&mut *visit);
        match &self.measure {
            Measure::Rate | Measure::Count => {}
            Measure::Min(field) | Measure::Max(field) | Measure::Avg(field) | Measure::Sum(field) => visit(field),
            Measure::Quantile(field, _) | Measure::Histogram(field) => visit(field),
            Measure::Compare { selection, .. } => selection.fields(visit),
        }
    }
}
impl Pipeline {
    /// Visits all fields that it names.
    pub(super) fn fields<'q>(&'q self, visit: &mut dyn FnMut(&'q Field)) {
        for stage in &self.stages {
            match stage {
                Stage::Spans(spans) => spans.fields(visit),
                Stage::By(exprs) => exprs.iter().for_each(|expr| expr.fields(visit)),
                Stage::Select(fields) => fields.iter().for_each(&mut *visit),
                Stage::Scalar(filter) => {
                    filter.left.fields(visit);
                    filter.right.fields(visit);
                }
                Stage::Coalesce => {}
            }
        }
    }
}
impl Spans {
    fn fields<'q>(&'q self, visit: &mut dyn FnMut(&'q Field)) {
        match self {
            Spans::Filter(filter) => filter.fields(visit),
            Spans::Pipeline(pipeline) => pipeline.fields(visit),
            Spans::And(a, b) | Spans::Or(a, b) | Spans::Related(_, _, a, b) => {
                a.fields(visit);
                b.fields(visit);
            }
        }
    }
}
impl super::ast::Scalar {
    fn fields<'q>(&'q self, visit: &mut dyn FnMut(&'q Field)) {
        match self {
            super::ast::Scalar::Aggregate(_, Some(of)) => of.fields(visit),
            super::ast::Scalar::Compute(_, a, b) => {
                a.fields(visit);
                b.fields(visit);
            }
            super::ast::Scalar::Literal(_) | super::ast::Scalar::Aggregate(_, None) => {}
        }
    }
}
