//! The tree as text, in Prometheus' canonical form. What is printed parses to the same tree again.

use std::fmt;

use watchfire_model::duration::format_millis;
use watchfire_model::labels::{METRIC_NAME, is_classic_label_name, is_classic_metric_name, quoted};
use watchfire_model::matcher::{MatchOp, Matcher};

use super::ast::{Aggregate, At, Binary, Cardinality, Duration, Expr, Matching, Node, NodeKind, Subquery, VectorSelector};
use super::lexer::{Kind, keyword};
use super::numbers::format_short;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            NodeKind::Number { value, duration: true } if value.is_finite() => f.write_str(&signed_duration((value * 1000.0).round() as i64)),
            NodeKind::Number { value, .. } => f.write_str(format_short(*value).trim_start_matches('+')),
            NodeKind::String(text) => f.write_str(&quoted(text)),
            NodeKind::Vector(selector) => selector.fmt(f),
            NodeKind::Matrix(matrix) => {
                write_selector(f, &matrix.selector)?;
                write!(f, "[{}]", matrix.range)?;
                write_extension(f, &matrix.selector)?;
                write_modifiers(f, matrix.selector.at, matrix.selector.offset.as_ref())
            }
            NodeKind::Subquery(subquery) => {
                subquery.expr.fmt(f)?;
                write_window(f, subquery)
            }
            NodeKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                write_list(f, call.args.iter())?;
                f.write_str(")")
            }
            NodeKind::Aggregate(aggregate) => write_aggregate(f, aggregate),
            NodeKind::Binary(binary) => write_binary(f, binary),
            NodeKind::Unary(unary) => write!(f, "{}{}", if unary.negative { "-" } else { "+" }, unary.expr),
            NodeKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl fmt::Display for VectorSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_selector(f, self)?;
        write_extension(f, self)?;
        write_modifiers(f, self.at, self.offset.as_ref())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duration::Literal(ms) => f.write_str(&signed_duration(*ms)),
            Duration::Step => f.write_str("step()"),
            Duration::Range => f.write_str("range()"),
            Duration::Negative(inner) => write!(f, "-{inner}"),
            Duration::Binary(op, a, b) => write!(f, "{a} {} {b}", op.symbol()),
            Duration::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            Duration::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            Duration::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

fn signed_duration(ms: i64) -> String {
    format!("{}{}", if ms < 0 { "-" } else { "" }, format_millis(ms.unsigned_abs()))
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    for (i, item) in items.enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// Whether a name may stand before the braces: words like `bool` and `inf` mean something else there.
fn stands_alone(name: &str) -> bool {
    is_classic_metric_name(name)
        && (!name.contains(':') || keyword(name).is_none())
        && !matches!(name.to_ascii_lowercase().as_str(), "bool" | "on" | "ignoring" | "group_left" | "group_right" | "atan2" | "inf" | "nan")
}

fn write_selector(f: &mut fmt::Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let outside = selector.name.as_deref().filter(|name| stands_alone(name));
    let in_braces = selector.matchers.len() - usize::from(outside.is_some());
    if let Some(name) = outside {
        f.write_str(name)?;
    }
    if in_braces > 0 || outside.is_none() {
        f.write_str("{")?;
        for (i, matcher) in selector.matchers.iter().take(in_braces).enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write_matcher(f, matcher)?;
        }
        f.write_str("}")?;
    }
    Ok(())
}

fn write_matcher(f: &mut fmt::Formatter<'_>, matcher: &Matcher) -> fmt::Result {
    if matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal && !is_classic_metric_name(&matcher.value) {
        return f.write_str(&quoted(&matcher.value));
    }
    let name = if is_classic_label_name(&matcher.name) { matcher.name.clone() } else { quoted(&matcher.name) };
    write!(f, "{name}{}{}", matcher.op.symbol(), quoted(&matcher.value))
}

fn write_extension(f: &mut fmt::Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    selector.extension.map_or(Ok(()), |extension| write!(f, " {}", extension.name()))
}

fn write_modifiers(f: &mut fmt::Formatter<'_>, at: Option<At>, offset: Option<&Duration>) -> fmt::Result {
    match at {
        Some(At::Time(ms)) => write!(f, " @ {}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)?,
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        None => {}
    }
    match offset {
        Some(offset) => write!(f, " offset {offset}"),
        None => Ok(()),
    }
}

/// A label in `by`, `on` and the like; words that the lexer takes for numbers need quotes.
fn label(name: &str) -> String {
    if is_classic_label_name(name) && !matches!(keyword(name), Some(Kind::Number)) { name.to_owned() } else { quoted(name) }
}

/// The window of a subquery with its modifiers.
pub(super) fn write_window(f: &mut fmt::Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    write!(f, "[{}:", subquery.range)?;
    if let Some(step) = &subquery.step {
        write!(f, "{step}")?;
    }
    f.write_str("]")?;
    write_modifiers(f, subquery.at, subquery.offset.as_ref())
}

/// What stands before the parentheses of an aggregation.
pub(super) fn write_aggregate_head(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.symbol())?;
    if aggregate.without || !aggregate.grouping.is_empty() {
        write!(f, " {} (", if aggregate.without { "without" } else { "by" })?;
        write_list(f, aggregate.grouping.iter().map(|l| label(l)))?;
        f.write_str(") ")?;
    }
    Ok(())
}

fn write_aggregate(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write_aggregate_head(f, aggregate)?;
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

fn write_binary(f: &mut fmt::Formatter<'_>, binary: &Binary) -> fmt::Result {
    write!(f, "{} {}", binary.lhs, binary.op.symbol())?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    write_matching(f, &binary.matching)?;
    write!(f, " {}", binary.rhs)
}

pub(super) fn write_matching(f: &mut fmt::Formatter<'_>, matching: &Matching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::OneToOne => "",
        Cardinality::ManyToOne => "group_left",
        Cardinality::OneToMany => "group_right",
    };
    if matching.on || !matching.labels.is_empty() || !group.is_empty() {
        write!(f, " {} (", if matching.on { "on" } else { "ignoring" })?;
        write_list(f, matching.labels.iter().map(|l| label(l)))?;
        f.write_str(")")?;
    }
    if !group.is_empty() {
        write!(f, " {group} (")?;
        write_list(f, matching.include.iter().map(|l| label(l)))?;
        f.write_str(")")?;
    }
    for (name, value) in [("fill_left", matching.fill_left), ("fill_right", matching.fill_right)] {
        if let Some(value) = value {
            write!(f, " {name} ({})", format_short(value))?;
        }
    }
    Ok(())
}
