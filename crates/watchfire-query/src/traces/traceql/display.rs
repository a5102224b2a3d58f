//! A query as text again: what is printed parses, and means the same.

use std::fmt::{self, Display, Formatter, Result, Write};

use watchfire_model::labels::quoted;

use super::ast::{Arithmetic, Expr, Field, Measure, Metrics, Pipeline, Query, Scalar, ScalarFilter, Spans, Stage, Then};
use super::lexer::plain;
use super::value::{Val, duration};

/// Things with something between them.
fn joined<T: Display>(f: &mut Formatter<'_>, all: &[T], between: &str) -> Result {
    for (at, one) in all.iter().enumerate() {
        f.write_str(if at > 0 { between } else { "" })?;
        one.fmt(f)?;
    }
    Ok(())
}

impl Display for Val<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Val::Text(text) => f.write_str(&quoted(text)),
            // A whole float without a point would be another literal.
            Val::Float(number) if number.fract() == 0.0 => write!(f, "{number:.1}"),
            Val::Duration(nanos) => f.write_str(&duration(*nanos)),
            other => f.write_str(&other.text()),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Field::Intrinsic(intrinsic) => f.write_str(intrinsic.name()),
            Field::Attribute(owner, name) => {
                f.write_str(owner.prefix())?;
                // A digit behind a point is a number; a name that begins like an owner would be that owner's.
                let bare = !name.is_empty() && name.chars().all(plain) && !name.contains('\\') && !name.starts_with(|c: char| c.is_ascii_digit());
                if bare && !(owner.prefix() == "parent." && (name.starts_with("span.") || name.starts_with("resource."))) {
                    return f.write_str(name);
                }
                f.write_char('"')?;
                for c in name.chars() {
                    f.write_str(if matches!(c, '"' | '\\') { "\\" } else { "" })?;
                    f.write_char(c)?;
                }
                f.write_char('"')
            }
        }
    }
}

/// How tightly an expression holds together; what holds less tightly than its place needs stands in parentheses.
fn strength(expr: &Expr) -> u8 {
    match expr {
        Expr::And(..) | Expr::Or(..) => 2,
        Expr::Compare(..) | Expr::Match { .. } => 4,
        Expr::Compute(Arithmetic::Add | Arithmetic::Subtract, ..) => 6,
        Expr::Negative(_) | Expr::Not(_) => 7,
        Expr::Literal(value) if value.number().is_some_and(f64::is_sign_negative) => 7,
        Expr::Compute(Arithmetic::Power, ..) => 10,
        Expr::Compute(..) => 8,
        Expr::Literal(_) | Expr::Field(_) => 12,
    }
}

/// An operand and how tightly it must hold together.
struct Operand<'a>(&'a Expr, u8);
impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if strength(self.0) >= self.1 { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let own = strength(self);
        let mut infix = |a, symbol: &str, b| {
            // Powers lean to the right, all others to the left.
            let (left, right) = if own == 10 { (own + 1, own) } else { (own, own + 1) };
            write!(f, "{} {symbol} {}", Operand(a, left), Operand(b, right))
        };
        match self {
            Expr::And(a, b) => infix(a, "&&", b),
            Expr::Or(a, b) => infix(a, "||", b),
            Expr::Compute(op, a, b) => infix(a, op.symbol(), b),
            Expr::Compare(op, a, b) => infix(a, op.symbol(), b),
            Expr::Literal(value) => write!(f, "{value}"),
            Expr::Field(field) => write!(f, "{field}"),
            Expr::Negative(inner) => write!(f, "-{}", Operand(inner, 8)),
            Expr::Not(inner) => write!(f, "!{}", Operand(inner, 8)),
            Expr::Match { of, negated, pattern, .. } => write!(f, "{} {} {}", Operand(of, 4), if *negated { "!~" } else { "=~" }, quoted(pattern)),
        }
    }
}

/// The same for selections of spans: relations bind more tightly than the others, all lean to the left.
struct Part<'a>(&'a Spans, u8);
impl Display for Part<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let own = match self.0 {
            Spans::And(..) | Spans::Or(..) => 1,
            Spans::Related(..) => 2,
            Spans::Filter(_) | Spans::Pipeline(_) => 3,
        };
        if own >= self.1 { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}
impl Display for Spans {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Spans::Filter(filter) => write!(f, "{{ {filter} }}"),
            Spans::And(a, b) => write!(f, "{} && {}", Part(a, 1), Part(b, 2)),
            Spans::Or(a, b) => write!(f, "{} || {}", Part(a, 1), Part(b, 2)),
            Spans::Related(relation, side, a, b) => write!(f, "{} {}{} {}", Part(a, 2), side.mark(), relation.symbol(), Part(b, 3)),
            Spans::Pipeline(pipeline) => write!(f, "({pipeline})"),
        }
    }
}

/// The same for numbers of a set.
struct Number<'a>(&'a Scalar, u8);
fn scalar_strength(scalar: &Scalar) -> u8 {
    match scalar {
        Scalar::Compute(Arithmetic::Add | Arithmetic::Subtract, ..) => 1,
        Scalar::Compute(Arithmetic::Power, ..) => 3,
        Scalar::Compute(..) => 2,
        Scalar::Literal(_) | Scalar::Aggregate(..) => 5,
    }
}
impl Display for Number<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if scalar_strength(self.0) >= self.1 { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Scalar::Literal(value) => write!(f, "{value}"),
            Scalar::Aggregate(aggregate, None) => write!(f, "{}()", aggregate.symbol()),
            Scalar::Aggregate(aggregate, Some(of)) => write!(f, "{}({of})", aggregate.symbol()),
            Scalar::Compute(op, a, b) => {
                let own = scalar_strength(self);
                let (left, right) = if *op == Arithmetic::Power { (own + 1, own) } else { (own, own + 1) };
                write!(f, "{} {} {}", Number(a, left), op.symbol(), Number(b, right))
            }
        }
    }
}
impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} {}", self.left, self.op.symbol(), self.right)
    }
}
impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Stage::Spans(spans) => write!(f, "{spans}"),
            Stage::Scalar(filter) => write!(f, "{filter}"),
            Stage::By(exprs) => {
                f.write_str("by(")?;
                joined(f, exprs, ", ")?;
                f.write_char(')')
            }
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::Select(fields) => {
                f.write_str("select(")?;
                joined(f, fields, ", ")?;
                f.write_char(')')
            }
        }
    }
}
impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        joined(f, &self.stages, " | ")
    }
}

impl Display for Measure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Measure::Rate => f.write_str("rate()"),
            Measure::Count => f.write_str("count_over_time()"),
            Measure::Min(field) => write!(f, "min_over_time({field})"),
            Measure::Max(field) => write!(f, "max_over_time({field})"),
            Measure::Avg(field) => write!(f, "avg_over_time({field})"),
            Measure::Sum(field) => write!(f, "sum_over_time({field})"),
            Measure::Histogram(field) => write!(f, "histogram_over_time({field})"),
            Measure::Quantile(field, quantiles) => {
                write!(f, "quantile_over_time({field}, ")?;
                joined(f, quantiles, ", ")?;
                f.write_char(')')
            }
            Measure::Compare { selection, top, start, end } => {
                write!(f, "compare({{ {selection} }}, {top}")?;
                if let (Some(start), Some(end)) = (start, end) {
                    write!(f, ", {start}, {end}")?;
                }
                f.write_char(')')
            }
        }
    }
}
impl Display for Then {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Then::Rank(rank, count) => write!(f, " | {}({count})", rank.symbol()),
            Then::Compare(op, value) => write!(f, " {} {}", op.symbol(), Val::Float(*value)),
        }
    }
}
impl Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.measure)?;
        if !self.by.is_empty() {
            f.write_str(" by(")?;
            joined(f, &self.by, ", ")?;
            f.write_char(')')?;
        }
        joined(f, &self.then, "")
    }
}
impl fmt::Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.pipeline)?;
        if let Some(metrics) = &self.metrics {
            write!(f, " | {metrics}")?;
        }
        if !self.hints.is_empty() {
            let hints: Vec<String> = self.hints.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(f, " with ({})", hints.join(", "))?;
        }
        Ok(())
    }
}
