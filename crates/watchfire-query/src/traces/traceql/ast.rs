//! The tree of a query. The parser alone makes it, so its height is bounded.

use regex::Regex;

use super::value::Val;

/// A field of a span.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// An attribute and whose it is.
    Attribute(Owner, String),
    /// What every span has.
    Intrinsic(Intrinsic),
}

/// Whose an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The span's, else the resource's: `.x`.
    Any,
    /// The span's.
    Span,
    /// The resource's.
    Resource,
    /// That of its events.
    Event,
    /// That of its links.
    Link,
    /// The scope's.
    Instrumentation,
    /// The parent's, or its resource's.
    Parent,
    /// The parent's.
    ParentSpan,
    /// The parent's resource's.
    ParentResource,
}
impl Owner {
    /// All owners with what is written before the name.
    pub(super) const ALL: [(Owner, &'static str); 9] = [
        (Owner::Any, "."),
        (Owner::Span, "span."),
        (Owner::Resource, "resource."),
        (Owner::Event, "event."),
        (Owner::Link, "link."),
        (Owner::Instrumentation, "instrumentation."),
        (Owner::Parent, "parent."),
        (Owner::ParentSpan, "parent.span."),
        (Owner::ParentResource, "parent.resource."),
    ];
    pub(super) fn prefix(self) -> &'static str {
        Owner::ALL.iter().find(|(owner, _)| *owner == self).map_or(".", |(_, prefix)| prefix)
    }
}

/// What every span has, under names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are TraceQL's")]
pub enum Intrinsic {
    Duration,
    Name,
    Status,
    StatusMessage,
    Kind,
    ChildCount,
    SpanId,
    ParentId,
    TraceId,
    TraceDuration,
    RootName,
    RootService,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    EventName,
    EventTime,
    LinkSpan,
    LinkTrace,
    ScopeName,
    ScopeVersion,
}
impl Intrinsic {
    /// All of them, with their names; where there are two, the first is written.
    pub(super) const ALL: [(Intrinsic, &'static str, &'static str); 21] = [
        (Intrinsic::Duration, "duration", "span:duration"),
        (Intrinsic::Name, "name", "span:name"),
        (Intrinsic::Status, "status", "span:status"),
        (Intrinsic::StatusMessage, "statusMessage", "span:statusMessage"),
        (Intrinsic::Kind, "kind", "span:kind"),
        (Intrinsic::ChildCount, "childCount", "span:childCount"),
        (Intrinsic::SpanId, "span:id", "span:id"),
        (Intrinsic::ParentId, "parent", "span:parentID"),
        (Intrinsic::TraceId, "trace:id", "trace:id"),
        (Intrinsic::TraceDuration, "traceDuration", "trace:duration"),
        (Intrinsic::RootName, "rootName", "trace:rootName"),
        (Intrinsic::RootService, "rootServiceName", "trace:rootService"),
        (Intrinsic::NestedSetLeft, "nestedSetLeft", "nestedSetLeft"),
        (Intrinsic::NestedSetRight, "nestedSetRight", "nestedSetRight"),
        (Intrinsic::NestedSetParent, "nestedSetParent", "nestedSetParent"),
        (Intrinsic::EventName, "event:name", "event:name"),
        (Intrinsic::EventTime, "event:timeSinceStart", "event:timeSinceStart"),
        (Intrinsic::LinkSpan, "link:spanID", "link:spanID"),
        (Intrinsic::LinkTrace, "link:traceID", "link:traceID"),
        (Intrinsic::ScopeName, "instrumentation:name", "instrumentation:name"),
        (Intrinsic::ScopeVersion, "instrumentation:version", "instrumentation:version"),
    ];
    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Intrinsic::ALL.iter().map(|(_, name, _)| *name)
    }
    /// The one of a name.
    pub fn from_name(name: &str) -> Option<Intrinsic> {
        Intrinsic::ALL.iter().find(|(_, a, b)| *a == name || *b == name).map(|(intrinsic, ..)| *intrinsic)
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        Intrinsic::ALL.iter().find(|(intrinsic, ..)| *intrinsic == self).map_or("", |(_, name, _)| name)
    }
}

/// Names of operators.
macro_rules! operators {
    ($(#[$doc:meta])* $name:ident: $($variant:ident = $symbol:literal),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "named after the operators")]
        pub enum $name {
            $($variant),+
        }
        impl $name {
            /// The operator as it is written.
            pub fn symbol(self) -> &'static str {
                match self {
                    $($name::$variant => $symbol),+
                }
            }
            /// The operator that is written so.
            pub fn from_symbol(symbol: &str) -> Option<$name> {
                match symbol {
                    $($symbol => Some($name::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
operators!(
    /// Comparisons.
    Comparison: Equal = "=", NotEqual = "!=", Less = "<", LessOrEqual = "<=", Greater = ">", GreaterOrEqual = ">="
);
operators!(
    /// Arithmetic.
    Arithmetic: Add = "+", Subtract = "-", Multiply = "*", Divide = "/", Modulo = "%", Power = "^"
);
operators!(
    /// Aggregates of the spans of a set.
    Aggregate: Count = "count", Min = "min", Max = "max", Avg = "avg", Sum = "sum"
);
operators!(
    /// How the spans of the right side stand to those of the left one.
    Relation: Child = ">", Descendant = ">>", Parent = "<", Ancestor = "<<", Sibling = "~"
);
operators!(
    /// Which series of each moment stay.
    Rank: Top = "topk", Bottom = "bottomk"
);

/// An expression over the fields of a span.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A literal.
    Literal(Val<'static>),
    /// A field.
    Field(Field),
    /// `-x`
    Negative(Box<Expr>),
    /// `!x`
    Not(Box<Expr>),
    /// `a && b`
    And(Box<Expr>, Box<Expr>),
    /// `a || b`
    Or(Box<Expr>, Box<Expr>),
    /// `a + b`
    Compute(Arithmetic, Box<Expr>, Box<Expr>),
    /// `a < b`
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `a =~ "x"`, `a !~ "x"`
    Match {
        /// What is looked at.
        of: Box<Expr>,
        /// Whether it must not match.
        negated: bool,
        /// The pattern as it is written.
        pattern: String,
        /// The same, ready for use, anchored.
        regex: Regex,
    },
}

/// What becomes of the two sides of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Spans of the right side that stand so to one of the left.
    Right,
    /// Spans of the right side that do not.
    Not,
    /// Spans of both sides that stand so to each other.
    Both,
}
impl Side {
    /// What is written before the operator.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Side::Right => "",
            Side::Not => "!",
            Side::Both => "&",
        }
    }
}

/// What selects spans of a trace.
#[derive(Clone, Debug)]
pub enum Spans {
    /// `{ … }`
    Filter(Expr),
    /// `a && b`
    And(Box<Spans>, Box<Spans>),
    /// `a || b`
    Or(Box<Spans>, Box<Spans>),
    /// `a > b` and its like.
    Related(Relation, Side, Box<Spans>, Box<Spans>),
    /// `( … | … )`
    Pipeline(Pipeline),
}

/// A number of a set of spans.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// A literal.
    Literal(Val<'static>),
    /// `count()`, `max(x)`
    Aggregate(Aggregate, Option<Expr>),
    /// `a + b`
    Compute(Arithmetic, Box<Scalar>, Box<Scalar>),
}

/// `count() > 2`
#[derive(Clone, Debug)]
pub struct ScalarFilter {
    /// The comparison.
    pub op: Comparison,
    /// What is compared.
    pub left: Scalar,
    /// With what.
    pub right: Scalar,
}

/// A step of a pipeline: takes sets of spans and gives sets of spans.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Spans of each set that are selected.
    Spans(Spans),
    /// Sets that satisfy a comparison.
    Scalar(ScalarFilter),
    /// Each set becomes one for each value.
    By(Vec<Expr>),
    /// All sets become one.
    Coalesce,
    /// More fields of the spans are wanted.
    Select(Vec<Field>),
}

/// Steps, one after the other.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// At least one.
    pub stages: Vec<Stage>,
}

/// What is measured over time.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Spans a second.
    Rate,
    /// Spans.
    Count,
    /// The least value.
    Min(Field),
    /// The greatest value.
    Max(Field),
    /// The mean value.
    Avg(Field),
    /// The sum of values.
    Sum(Field),
    /// Quantiles of values.
    Quantile(Field, Vec<f64>),
    /// How many values are in buckets that double in size.
    Histogram(Field),
    /// What spans that satisfy a condition have otherwise than the others.
    Compare {
        /// The condition.
        selection: Box<Expr>,
        /// How many values of each attribute are told.
        top: usize,
        /// Spans that began at or after this moment, in nanoseconds, can satisfy it.
        start: Option<i64>,
        /// Spans that began before this moment can.
        end: Option<i64>,
    },
}

/// Numbers over time.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What is measured.
    pub measure: Measure,
    /// A series for each combination of values.
    pub by: Vec<Field>,
    /// Which series of each moment stay, and which values.
    pub then: Vec<Then>,
}

/// What becomes of the numbers of a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// `topk(n)`, `bottomk(n)`
    Rank(Rank, usize),
    /// `> n`
    Compare(Comparison, f64),
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// What selects spans.
    pub pipeline: Pipeline,
    /// What is measured of them.
    pub metrics: Option<Metrics>,
    /// `with (…)`: how the query may be carried out. Nothing here needs them.
    pub hints: Vec<(String, Val<'static>)>,
}
