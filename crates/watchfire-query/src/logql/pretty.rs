//! The tree over several lines, as `format_query` shows it: what is longer than a line is broken before stages, inside parentheses and
//! around operators. Short queries stay on one line, in the form of `display`.

use std::fmt::from_fn;

use super::ast::{Binary, Expr, LabelReplace, LogExpr, Metric, RangeAggregation, VectorAggregation};
use super::display::{write_operator, write_replacement, write_selector, write_vector_head};
use super::units::format_nanos;

/// Longer expressions are broken.
const LINE_BYTES_MAX: usize = 100;

impl Expr {
    /// The query with line breaks and indentation. It parses to the same tree again.
    pub fn pretty(&self) -> String {
        match self {
            Expr::Log(log) => log_lines(log, "", 0),
            Expr::Metric(metric) => pretty(metric, 0),
        }
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

/// A selection, each stage in a line of its own when it is long; `tail` stands behind it.
fn log_lines(log: &LogExpr, tail: &str, level: usize) -> String {
    let margin = indent(level);
    let line = format!("{log}{tail}");
    if line.len() <= LINE_BYTES_MAX {
        return margin + &line;
    }
    let mut out = format!("{margin}{}", from_fn(|f| write_selector(f, &log.matchers)));
    for stage in &log.stages {
        out += &format!("\n{margin}  {stage}");
    }
    out + tail
}

fn pretty(metric: &Metric, level: usize) -> String {
    let line = metric.to_string();
    if line.len() <= LINE_BYTES_MAX {
        return indent(level) + &line;
    }
    match metric {
        Metric::Range(range) => range_lines(range, level),
        Metric::Vector(vector) => vector_lines(vector, level),
        Metric::Binary(binary) => binary_lines(binary, level),
        Metric::LabelReplace(replace) => replace_lines(replace, level),
        Metric::Paren(inner) => format!("{0}(\n{1}\n{0})", indent(level), pretty(inner, level + 1)),
        Metric::Number(_) | Metric::Constant(_) => indent(level) + &line,
    }
}

fn range_lines(range: &RangeAggregation, level: usize) -> String {
    let margin = indent(level);
    let mut tail = String::new();
    if let Some(unwrap) = &range.unwrap {
        tail += &format!("\n{margin}    {unwrap}");
    }
    tail += &format!("[{}]", format_nanos(range.range));
    if range.offset != 0 {
        tail += &format!(" offset {}", format_nanos(range.offset));
    }
    let param = range.param.map(|p| format!("{}  {},\n", margin, watchfire_model::number::format_short(p))).unwrap_or_default();
    let grouping = range.grouping.as_ref().map(|g| format!(" {g}")).unwrap_or_default();
    format!("{margin}{}(\n{param}{}\n{margin}){grouping}", range.op.name(), log_lines(&range.selection, &tail, level + 1))
}

fn vector_lines(vector: &VectorAggregation, level: usize) -> String {
    let margin = indent(level);
    let head = from_fn(|f| write_vector_head(f, vector));
    let param = vector.param.map(|p| format!("{margin}  {p},\n")).unwrap_or_default();
    format!("{margin}{head}(\n{param}{}\n{margin})", pretty(&vector.expr, level + 1))
}

fn binary_lines(binary: &Binary, level: usize) -> String {
    let operator = from_fn(|f| write_operator(f, binary));
    format!("{}\n{}{operator}\n{}", pretty(&binary.lhs, level + 1), indent(level), pretty(&binary.rhs, level + 1))
}

fn replace_lines(replace: &LabelReplace, level: usize) -> String {
    let margin = indent(level);
    let between = format!("\n{margin}  ");
    let texts = from_fn(|f| write_replacement(f, replace, &between));
    format!("{margin}label_replace(\n{}{texts}\n{margin})", pretty(&replace.expr, level + 1))
}
