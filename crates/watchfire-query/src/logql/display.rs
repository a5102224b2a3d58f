//! The tree as one line of text. What is printed parses to the same query again.

use std::fmt;

use watchfire_model::labels::quoted;
use watchfire_model::matcher::Matcher;
use watchfire_model::number::format_short;

use super::ast::{
    Binary, Expr, Extraction, Grouping, LabelChoice, LabelFilter, LabelFormat, LabelReplace, LineFilter, LineTerm, LogExpr, Metric, RangeAggregation, Stage,
    Unwrap, VectorAggregation,
};
use super::units::format_nanos;
use crate::promql::{Cardinality, Matching};

type Result = fmt::Result;
type Out<'a, 'b> = &'a mut fmt::Formatter<'b>;

impl fmt::Display for Expr {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Metric(metric) => metric.fmt(f),
        }
    }
}

/// What follows each other, with something between.
fn joined<T>(f: Out<'_, '_>, items: &[T], between: &str, mut write: impl FnMut(Out<'_, '_>, &T) -> Result) -> Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// `{a="b", c="d"}`
pub(super) fn write_selector(f: Out<'_, '_>, matchers: &[Matcher]) -> Result {
    f.write_str("{")?;
    joined(f, matchers, ", ", |f, matcher| write!(f, "{matcher}"))?;
    f.write_str("}")
}

impl fmt::Display for LogExpr {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write_selector(f, &self.matchers)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        match self {
            Stage::Line(filter) => filter.fmt(f),
            Stage::Label(filter) if begins_like_a_parser(filter) => write!(f, "| ({filter})"),
            Stage::Label(filter) => write!(f, "| {filter}"),
            Stage::Json(fields) => {
                f.write_str("| json")?;
                write_extractions(f, fields)
            }
            Stage::Logfmt { strict, keep_empty, fields } => {
                f.write_str("| logfmt")?;
                if *strict {
                    f.write_str(" --strict")?;
                }
                if *keep_empty {
                    f.write_str(" --keep-empty")?;
                }
                write_extractions(f, fields)
            }
            Stage::Pattern(pattern) => write!(f, "| pattern {}", quoted(pattern)),
            Stage::Regexp(regexp) => write!(f, "| regexp {}", quoted(regexp)),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::LineFormat(template) => write!(f, "| line_format {}", quoted(template)),
            Stage::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                joined(f, formats, ", ", |f, format| match format {
                    LabelFormat::Rename { to, from } => write!(f, "{to}={from}"),
                    LabelFormat::Template { to, template } => write!(f, "{to}={}", quoted(template)),
                })
            }
            Stage::Drop(choices) => write_choices(f, "| drop ", choices),
            Stage::Keep(choices) => write_choices(f, "| keep ", choices),
        }
    }
}

/// Whether a condition would be read as a parser and a line filter: `json != "x"`.
fn begins_like_a_parser(filter: &LabelFilter) -> bool {
    match filter {
        LabelFilter::And(left, _) | LabelFilter::Or(left, _) => begins_like_a_parser(left),
        LabelFilter::Text(matcher) => matches!(matcher.name.as_str(), "json" | "logfmt" | "unpack" | "decolorize"),
        LabelFilter::Number(c) | LabelFilter::Duration(c) | LabelFilter::Bytes(c) => matches!(c.name.as_str(), "json" | "logfmt" | "unpack" | "decolorize"),
        LabelFilter::Ip { name, .. } => matches!(name.as_str(), "json" | "logfmt" | "unpack" | "decolorize"),
    }
}

impl fmt::Display for LineFilter {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write!(f, "{} ", self.op.symbol())?;
        joined(f, &self.any, " or ", |f, term| match term {
            LineTerm::Text(text) => f.write_str(&quoted(text)),
            LineTerm::Ip(range) => write!(f, "ip({})", quoted(range)),
        })
    }
}

fn write_extractions(f: Out<'_, '_>, fields: &[Extraction]) -> Result {
    if fields.is_empty() {
        return Ok(());
    }
    f.write_str(" ")?;
    joined(f, fields, ", ", |f, field| write!(f, "{}={}", field.name, quoted(&field.from)))
}

fn write_choices(f: Out<'_, '_>, stage: &str, choices: &[LabelChoice]) -> Result {
    f.write_str(stage)?;
    joined(f, choices, ", ", |f, choice| match choice {
        LabelChoice::Name(name) => f.write_str(name),
        LabelChoice::Matching(matcher) => write!(f, "{matcher}"),
    })
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        match self {
            LabelFilter::Text(matcher) => write!(f, "{matcher}"),
            LabelFilter::Number(c) | LabelFilter::Duration(c) | LabelFilter::Bytes(c) => write!(f, "{} {} {}", c.name, c.op.symbol(), c.text),
            LabelFilter::Ip { name, negative, range } => write!(f, "{name} {} ip({})", if *negative { "!=" } else { "=" }, quoted(range)),
            LabelFilter::And(a, b) | LabelFilter::Or(a, b) => {
                let operator = if matches!(self, LabelFilter::And(..)) { "and" } else { "or" };
                match **b {
                    LabelFilter::And(..) | LabelFilter::Or(..) => write!(f, "{a} {operator} ({b})"),
                    _ => write!(f, "{a} {operator} {b}"),
                }
            }
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        match self {
            Metric::Range(range) => range.fmt(f),
            Metric::Vector(vector) => vector.fmt(f),
            Metric::Binary(binary) => binary.fmt(f),
            Metric::LabelReplace(replace) => replace.fmt(f),
            Metric::Number(value) => f.write_str(&format_short(*value)),
            Metric::Constant(value) => write!(f, "vector({})", format_short(*value)),
            Metric::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl fmt::Display for Unwrap {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        match self.conversion.name() {
            "" => write!(f, "| unwrap {}", self.label)?,
            conversion => write!(f, "| unwrap {conversion}({})", self.label)?,
        }
        self.filters.iter().try_for_each(|filter| if begins_like_a_parser(filter) { write!(f, " | ({filter})") } else { write!(f, " | {filter}") })
    }
}

impl fmt::Display for RangeAggregation {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write!(f, "{}(", self.op.name())?;
        if let Some(param) = self.param {
            write!(f, "{}, ", format_short(param))?;
        }
        self.selection.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", format_nanos(self.range))?;
        if self.offset != 0 {
            write!(f, " offset {}", format_nanos(self.offset))?;
        }
        f.write_str(")")?;
        match &self.grouping {
            Some(grouping) => write!(f, " {grouping}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write!(f, "{} ({})", if self.without { "without" } else { "by" }, self.labels.join(", "))
    }
}

/// What stands before the parentheses of an aggregation over series.
pub(super) fn write_vector_head(f: Out<'_, '_>, vector: &VectorAggregation) -> Result {
    f.write_str(vector.op.name())?;
    match &vector.grouping {
        Some(grouping) => write!(f, " {grouping} "),
        None => Ok(()),
    }
}

impl fmt::Display for VectorAggregation {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write_vector_head(f, self)?;
        f.write_str("(")?;
        if let Some(param) = self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// The operator with `bool` and the words about matching.
pub(super) fn write_operator(f: Out<'_, '_>, binary: &Binary) -> Result {
    f.write_str(binary.op.symbol())?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    write_matching(f, &binary.matching)
}

fn write_matching(f: Out<'_, '_>, matching: &Matching) -> Result {
    let group = match matching.cardinality {
        Cardinality::OneToOne => "",
        Cardinality::ManyToOne => "group_left",
        Cardinality::OneToMany => "group_right",
    };
    if matching.on || !matching.labels.is_empty() || !group.is_empty() {
        write!(f, " {} ({})", if matching.on { "on" } else { "ignoring" }, matching.labels.join(", "))?;
    }
    if !group.is_empty() {
        write!(f, " {group} ({})", matching.include.join(", "))?;
    }
    Ok(())
}

impl fmt::Display for Binary {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write!(f, "{} ", self.lhs)?;
        write_operator(f, self)?;
        write!(f, " {}", self.rhs)
    }
}

/// The texts of `label_replace` behind its vector.
pub(super) fn write_replacement(f: Out<'_, '_>, replace: &LabelReplace, between: &str) -> Result {
    for text in [&replace.to, &replace.replacement, &replace.from, &replace.regex] {
        write!(f, ",{between}{}", quoted(text))?;
    }
    Ok(())
}

impl fmt::Display for LabelReplace {
    fn fmt(&self, f: Out<'_, '_>) -> Result {
        write!(f, "label_replace({}", self.expr)?;
        write_replacement(f, self, " ")?;
        f.write_str(")")
    }
}
