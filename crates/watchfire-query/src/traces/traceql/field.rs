//! What the fields of a span are, and what expressions over them come to. Without the whole trace, what depends on it is unknown, and
//! conditions may hold or not.

use std::borrow::Cow;

use watchfire_model::spans::{Pair, SpanRow, Value};

use super::ast::{Comparison, Expr, Field, Intrinsic, Owner};
use super::forest::Forest;
use super::value::{Val, compare, compute, negative};

const SERVICE_NAME: &str = "service.name";

/// A span, with the trace around it if that is at hand.
#[derive(Clone, Copy)]
pub(super) struct At<'f, 'a> {
    pub(super) row: SpanRow<'a>,
    pub(super) whole: Option<(&'f Forest<'a>, usize)>,
}

impl<'f, 'a> At<'f, 'a> {
    /// A span alone.
    pub(super) fn alone(row: SpanRow<'a>) -> At<'f, 'a> {
        At { row, whole: None }
    }
    /// A span of a trace.
    pub(super) fn of(forest: &'f Forest<'a>, at: usize) -> Option<At<'f, 'a>> {
        Some(At { row: *forest.rows.get(at)?, whole: Some((forest, at)) })
    }

    /// What a field is.
    pub(super) fn field(&self, field: &Field) -> Val<'a> {
        match field {
            Field::Attribute(owner, name) => self.attribute(*owner, name),
            Field::Intrinsic(intrinsic) => self.intrinsic(*intrinsic),
        }
    }

    fn attribute(&self, owner: Owner, name: &str) -> Val<'a> {
        let row = &self.row;
        let one = |found: Option<Value<'a>>| found.map_or(Val::Nil, Val::of);
        match owner {
            Owner::Any => one(row.attribute(name).or_else(|| resource(row, name))),
            Owner::Span => one(row.attribute(name)),
            Owner::Resource => one(resource(row, name)),
            Owner::Instrumentation => named(row.scope_attributes(), name).next().unwrap_or(Val::Nil),
            Owner::Event => several(row.events().into_iter().flat_map(|event| named(event.attributes, name).collect::<Vec<_>>())),
            Owner::Link => several(row.links().into_iter().flat_map(|link| named(link.attributes, name).collect::<Vec<_>>())),
            Owner::Parent => self.of_parent(|parent| parent.attribute(Owner::Any, name)),
            Owner::ParentSpan => self.of_parent(|parent| parent.attribute(Owner::Span, name)),
            Owner::ParentResource => self.of_parent(|parent| parent.attribute(Owner::Resource, name)),
        }
    }

    fn of_parent(&self, ask: impl FnOnce(&At<'f, 'a>) -> Val<'a>) -> Val<'a> {
        if self.row.parent().is_none() {
            return Val::Nil;
        }
        let Some((forest, at)) = self.whole else { return Val::Unknown };
        forest.parent(at).and_then(|parent| At::of(forest, parent)).map_or(Val::Nil, |parent| ask(&parent))
    }

    fn of_trace(&self, ask: impl FnOnce(&Forest<'a>, usize) -> Val<'a>) -> Val<'a> {
        self.whole.map_or(Val::Unknown, |(forest, at)| ask(forest, at))
    }

    fn intrinsic(&self, intrinsic: Intrinsic) -> Val<'a> {
        let row = &self.row;
        let text = |text: &'a str| Val::Text(Cow::Borrowed(text));
        let lasts = |nanos: u64| Val::Duration(i64::try_from(nanos).unwrap_or(i64::MAX));
        let id = |id: String| Val::Text(Cow::Owned(id));
        match intrinsic {
            Intrinsic::Duration => lasts(row.duration()),
            Intrinsic::Name => text(row.name()),
            Intrinsic::Status => Val::Status(row.status()),
            Intrinsic::StatusMessage => text(row.message()),
            Intrinsic::Kind => Val::Kind(row.kind()),
            Intrinsic::SpanId => id(row.span().to_string()),
            Intrinsic::ParentId => row.parent().map_or(Val::Nil, |parent| id(parent.to_string())),
            Intrinsic::TraceId => id(row.trace().to_string()),
            Intrinsic::ScopeName => text(row.scope().0),
            Intrinsic::ScopeVersion => text(row.scope().1),
            Intrinsic::EventName => several(row.events().into_iter().map(|event| text(event.name))),
            Intrinsic::EventTime => several(row.events().into_iter().map(|event| Val::Duration(event.time.0.saturating_sub(row.start().0)))),
            Intrinsic::LinkSpan => several(row.links().into_iter().map(|link| id(link.span.to_string()))),
            Intrinsic::LinkTrace => several(row.links().into_iter().map(|link| id(link.trace.to_string()))),
            Intrinsic::ChildCount => self.of_trace(|forest, at| Val::Int(forest.children(at).len() as i64)),
            Intrinsic::TraceDuration => self.of_trace(|forest, _| lasts(forest.duration)),
            Intrinsic::RootName => self.of_trace(|forest, _| text(forest.root_name)),
            Intrinsic::RootService => self.of_trace(|forest, _| text(forest.root_service)),
            Intrinsic::NestedSetLeft => self.of_trace(|forest, at| Val::Int(forest.interval(at).0)),
            Intrinsic::NestedSetRight => self.of_trace(|forest, at| Val::Int(forest.interval(at).1)),
            // A span without a parent is known to be a root.
            Intrinsic::NestedSetParent if row.parent().is_none() => Val::Int(-1),
            Intrinsic::NestedSetParent => self.of_trace(|forest, at| Val::Int(forest.parent_number(at))),
        }
    }

    /// What an expression comes to.
    pub(super) fn value<'x>(&self, expr: &'x Expr) -> Val<'x>
    where
        'a: 'x,
    {
        match expr {
            Expr::Literal(value) => value.borrowed(),
            Expr::Field(field) => self.field(field),
            Expr::Negative(inner) => negative(self.value(inner)),
            Expr::Not(inner) => match self.value(inner) {
                Val::Unknown => Val::Unknown,
                other => Val::Bool(!other.holds()),
            },
            Expr::And(a, b) => match self.value(a) {
                Val::Unknown if self.value(b).may_hold() => Val::Unknown,
                Val::Bool(true) => truth(self.value(b)),
                _ => Val::Bool(false),
            },
            Expr::Or(a, b) => match (self.value(a), b) {
                (Val::Bool(true), _) => Val::Bool(true),
                (Val::Unknown, b) if !self.value(b).holds() => Val::Unknown,
                (_, b) => truth(self.value(b)),
            },
            Expr::Compute(op, a, b) => compute(*op, &self.value(a), &self.value(b)),
            Expr::Compare(op, a, b) => self.compared(*op, a, b),
            Expr::Match { of, negated, regex, .. } => match self.value(of) {
                Val::Unknown => Val::Unknown,
                Val::Text(text) => Val::Bool(regex.is_match(&text) != *negated),
                Val::Several(all) => {
                    let any = all.iter().any(|one| matches!(one, Val::Text(text) if regex.is_match(text)));
                    Val::Bool(any != *negated && !all.is_empty())
                }
                _ => Val::Bool(false),
            },
        }
    }

    fn compared(&self, op: Comparison, a: &Expr, b: &Expr) -> Val<'static> {
        // Whether a span is a root is known without its trace: the number of a parent that there is is never negative.
        if let (Expr::Field(Field::Intrinsic(Intrinsic::NestedSetParent)), Expr::Literal(Val::Int(number)), Some(_)) = (a, b, self.row.parent()) {
            match (op, *number) {
                (Comparison::Less, ..=0) | (Comparison::LessOrEqual | Comparison::Equal, ..=-1) => return Val::Bool(false),
                (Comparison::GreaterOrEqual, ..=0) | (Comparison::Greater | Comparison::NotEqual, ..=-1) => return Val::Bool(true),
                _ => {}
            }
        }
        compare(op, &self.value(a), &self.value(b))
    }
}

/// Only conditions are true or false.
fn truth(value: Val<'_>) -> Val<'static> {
    match value {
        Val::Unknown => Val::Unknown,
        other => Val::Bool(other.holds()),
    }
}

fn resource<'a>(row: &SpanRow<'a>, name: &str) -> Option<Value<'a>> {
    // Most questions are about this one, which has no type to look for.
    if name == SERVICE_NAME { Some(row.service()).filter(|service| !service.is_empty()).map(Value::text) } else { row.resource_attribute(name) }
}

fn named<'a>(pairs: Vec<Pair<'a>>, name: &str) -> impl Iterator<Item = Val<'a>> {
    pairs.into_iter().filter(move |(n, _)| n == name).map(|(_, value)| Val::of(value))
}

/// Nothing is nil.
fn several<'a>(all: impl Iterator<Item = Val<'a>>) -> Val<'a> {
    let all: Vec<Val<'a>> = all.collect();
    if all.is_empty() { Val::Nil } else { Val::Several(all) }
}

impl Expr {
    /// Visits the fields of an expression.
    pub(super) fn fields<'e>(&'e self, visit: &mut dyn FnMut(&'e Field)) {
        match self {
            Expr::Literal(_) => {}
            Expr::Field(field) => visit(field),
            Expr::Negative(a) | Expr::Not(a) | Expr::Match { of: a, .. } => a.fields(visit),
            Expr::And(a, b) | Expr::Or(a, b) | Expr::Compute(_, a, b) | Expr::Compare(_, a, b) => {
                a.fields(visit);
                b.fields(visit);
            }
        }
    }
}
