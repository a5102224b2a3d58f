//! The tree of a query over logs. It computes nothing and compiles nothing but matchers.

use watchfire_model::matcher::Matcher;

use crate::promql::{BinaryOp, Matching};

/// A parsed and checked query.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Lines of streams.
    Log(LogExpr),
    /// Numbers made of them.
    Metric(Metric),
}
impl Expr {
    /// All selections of lines in the order of the text.
    pub fn selections(&self) -> Vec<&LogExpr> {
        match self {
            Expr::Log(log) => vec![log],
            Expr::Metric(metric) => {
                let mut found = Vec::new();
                metric.each_range(&mut |range| found.push(&range.selection));
                found
            }
        }
    }
    /// Whether it gives numbers.
    pub fn is_metric(&self) -> bool {
        matches!(self, Expr::Metric(_))
    }
}

/// A selector and what is done with each of its lines.
#[derive(Clone, Debug)]
pub struct LogExpr {
    /// The conditions on streams.
    pub matchers: Vec<Matcher>,
    /// The stages, in their order.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named after the stages of the language")]
pub enum Stage {
    Line(LineFilter),
    Label(LabelFilter),
    Json(Vec<Extraction>),
    Logfmt { strict: bool, keep_empty: bool, fields: Vec<Extraction> },
    Pattern(String),
    Regexp(String),
    Unpack,
    Decolorize,
    LineFormat(String),
    LabelFormat(Vec<LabelFormat>),
    Drop(Vec<LabelChoice>),
    Keep(Vec<LabelChoice>),
}

/// How lines are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they ask")]
pub enum LineOp {
    Contains,
    NotContains,
    Matches,
    NotMatches,
    Pattern,
    NotPattern,
}
impl LineOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            LineOp::Contains => "|=",
            LineOp::NotContains => "!=",
            LineOp::Matches => "|~",
            LineOp::NotMatches => "!~",
            LineOp::Pattern => "|>",
            LineOp::NotPattern => "!>",
        }
    }
    /// Whether lines are wanted that do not fit.
    pub fn negative(self) -> bool {
        matches!(self, LineOp::NotContains | LineOp::NotMatches | LineOp::NotPattern)
    }
}

/// A line filter: any of the alternatives fits, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineOp,
    /// What is looked for, at least one.
    pub any: Vec<LineTerm>,
}

/// One thing that a line filter looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineTerm {
    /// A text, regular expression or pattern, by the operator.
    Text(String),
    /// An address in a range of addresses.
    Ip(String),
}

/// `name="expression"` of a parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The label that is set.
    pub name: String,
    /// Where its value is.
    pub from: String,
}

/// A condition on labels.
#[derive(Clone, Debug)]
pub enum LabelFilter {
    /// A comparison of texts.
    Text(Matcher),
    /// A comparison of numbers.
    Number(Comparison),
    /// A comparison of durations.
    Duration(Comparison),
    /// A comparison of sizes.
    Bytes(Comparison),
    /// Whether an address is in a range.
    Ip {
        /// The label.
        name: String,
        /// Whether it should not be.
        negative: bool,
        /// The range.
        range: String,
    },
    /// Both hold.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// One of them holds.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A comparison of a label with a number in some unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The label.
    pub name: String,
    /// The comparison.
    pub op: BinaryOp,
    /// The number: plain, seconds or bytes.
    pub value: f64,
    /// The number as written.
    pub text: String,
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormat {
    /// `to=from`
    Rename {
        /// The new name.
        to: String,
        /// The old one.
        from: String,
    },
    /// `to="template"`
    Template {
        /// The label that is set.
        to: String,
        /// Its value.
        template: String,
    },
}
impl LabelFormat {
    /// The label that it sets.
    pub fn to(&self) -> &str {
        match self {
            LabelFormat::Rename { to, .. } | LabelFormat::Template { to, .. } => to,
        }
    }
}

/// What `drop` and `keep` name: a label, or one with some values.
#[derive(Clone, Debug)]
pub enum LabelChoice {
    /// Whatever its value is.
    Name(String),
    /// Where its value fits.
    Matching(Matcher),
}
impl LabelChoice {
    /// The label.
    pub fn name(&self) -> &str {
        match self {
            LabelChoice::Name(name) => name,
            LabelChoice::Matching(matcher) => &matcher.name,
        }
    }
    /// Whether it names this label with this value.
    pub fn fits(&self, name: &str, value: &str) -> bool {
        self.name() == name && self.fits_value(value)
    }
    /// Whether the value fits.
    pub fn fits_value(&self, value: &str) -> bool {
        match self {
            LabelChoice::Name(_) => true,
            LabelChoice::Matching(matcher) => matcher.matches_value(value),
        }
    }
}

/// A query that gives numbers.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named after the forms of the grammar")]
pub enum Metric {
    Range(Box<RangeAggregation>),
    Vector(Box<VectorAggregation>),
    Binary(Box<Binary>),
    LabelReplace(Box<LabelReplace>),
    Number(f64),
    /// `vector(1)`
    Constant(f64),
    Paren(Box<Metric>),
}
impl Metric {
    /// Visits all aggregations over ranges in the order of the text.
    pub fn each_range<'a>(&'a self, visit: &mut dyn FnMut(&'a RangeAggregation)) {
        match self {
            Metric::Range(range) => visit(range),
            Metric::Vector(vector) => vector.expr.each_range(visit),
            Metric::Binary(binary) => {
                binary.lhs.each_range(visit);
                binary.rhs.each_range(visit);
            }
            Metric::LabelReplace(replace) => replace.expr.each_range(visit),
            Metric::Paren(inner) => inner.each_range(visit),
            Metric::Number(_) | Metric::Constant(_) => {}
        }
    }
    /// Whether it is a number and no vector.
    pub fn is_number(&self) -> bool {
        match self {
            Metric::Number(_) => true,
            Metric::Paren(inner) => inner.is_number(),
            Metric::Binary(binary) => binary.lhs.is_number() && binary.rhs.is_number(),
            _ => false,
        }
    }
    /// The node without parentheses around it.
    pub fn unwrapped(&self) -> &Metric {
        let mut node = self;
        while let Metric::Paren(inner) = node {
            node = inner;
        }
        node
    }
}

macro_rules! operators {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "named after the operators")]
        pub enum $name { $($variant),* }
        impl $name {
            /// The operator as written.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
            /// The operator of a text.
            pub fn from_name(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)* _ => None }
            }
        }
    };
}
operators! {
    /// Aggregations of the lines or values of a range.
    RangeOp {
        Rate = "rate", RateCounter = "rate_counter", Count = "count_over_time", BytesRate = "bytes_rate", Bytes = "bytes_over_time",
        Absent = "absent_over_time", Sum = "sum_over_time", Avg = "avg_over_time", Min = "min_over_time", Max = "max_over_time",
        First = "first_over_time", Last = "last_over_time", Stdvar = "stdvar_over_time", Stddev = "stddev_over_time",
        Quantile = "quantile_over_time",
    }
}
operators! {
    /// Aggregations over series.
    VectorOp {
        Sum = "sum", Avg = "avg", Count = "count", Min = "min", Max = "max", Stddev = "stddev", Stdvar = "stdvar",
        Topk = "topk", Bottomk = "bottomk", ApproxTopk = "approx_topk", Sort = "sort", SortDesc = "sort_desc",
    }
}
impl RangeOp {
    /// Whether it can work on lines.
    pub fn takes_lines(self) -> bool {
        matches!(self, RangeOp::Rate | RangeOp::Count | RangeOp::BytesRate | RangeOp::Bytes | RangeOp::Absent)
    }
    /// Whether it can work on unwrapped values.
    pub fn takes_values(self) -> bool {
        !matches!(self, RangeOp::Count | RangeOp::BytesRate | RangeOp::Bytes)
    }
    /// Whether it may be grouped.
    pub fn groups(self) -> bool {
        matches!(self, RangeOp::Avg | RangeOp::Min | RangeOp::Max | RangeOp::First | RangeOp::Last | RangeOp::Stdvar | RangeOp::Stddev | RangeOp::Quantile)
    }
}
impl VectorOp {
    /// Whether a count comes before the vector.
    pub fn has_param(self) -> bool {
        matches!(self, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk)
    }
    /// Whether it may be grouped.
    pub fn groups(self) -> bool {
        !matches!(self, VectorOp::Sort | VectorOp::SortDesc | VectorOp::ApproxTopk)
    }
}

/// `by (…)` or `without (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Whether it is `without`.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// How an unwrapped label becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the conversions")]
pub enum Conversion {
    Number,
    Duration,
    DurationSeconds,
    Bytes,
}
impl Conversion {
    /// The function as written; nothing for plain numbers.
    pub fn name(self) -> &'static str {
        match self {
            Conversion::Number => "",
            Conversion::Duration => "duration",
            Conversion::DurationSeconds => "duration_seconds",
            Conversion::Bytes => "bytes",
        }
    }
}

/// `| unwrap conversion(label)` and the label filters behind it.
#[derive(Clone, Debug)]
pub struct Unwrap {
    /// The label.
    pub label: String,
    /// What its value means.
    pub conversion: Conversion,
    /// Conditions on the line afterwards.
    pub filters: Vec<LabelFilter>,
}

/// An aggregation over the lines of a window.
#[derive(Clone, Debug)]
pub struct RangeAggregation {
    /// The operator.
    pub op: RangeOp,
    /// The φ of a quantile.
    pub param: Option<f64>,
    /// The lines.
    pub selection: LogExpr,
    /// What number is made of each, if not 1 or its length.
    pub unwrap: Option<Unwrap>,
    /// The length of the window, in nanoseconds.
    pub range: i64,
    /// Looks so many nanoseconds earlier.
    pub offset: i64,
    /// How values are put together.
    pub grouping: Option<Grouping>,
}

/// An aggregation over series.
#[derive(Clone, Debug)]
pub struct VectorAggregation {
    /// The operator.
    pub op: VectorOp,
    /// The k of operators that have one.
    pub param: Option<u32>,
    /// What is aggregated.
    pub expr: Metric,
    /// How series are put together.
    pub grouping: Option<Grouping>,
}

/// A binary operation.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Metric,
    /// The right operand.
    pub rhs: Metric,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series of both sides find each other.
    pub matching: Matching,
}

/// `label_replace(expr, "to", "replacement", "from", "regex")`
#[derive(Clone, Debug)]
pub struct LabelReplace {
    /// The vector.
    pub expr: Metric,
    /// The label that is set.
    pub to: String,
    /// What it is set to.
    pub replacement: String,
    /// The label that is looked at.
    pub from: String,
    /// The expression that it must match.
    pub regex: String,
}
