//! The tree of a query. Its nodes know where they stand in the text and what type they have; they compute nothing.

use std::sync::Arc;

use watchfire_model::matcher::Matcher;

use super::functions::Function;

/// The four types of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// One number per series and step.
    Vector,
    /// Many samples per series.
    Matrix,
    /// A text.
    String,
}
impl ValueType {
    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
    /// The short name that the HTTP interface uses (`resultType`).
    pub fn code(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        }
    }
}

/// A parsed and checked query with its text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) text: Arc<str>,
    pub(super) root: Arc<Node>,
}
impl Expr {
    /// An expression that was made without a text; its text is how it is printed.
    pub(crate) fn made(root: Node) -> Expr {
        Expr { text: root.to_string().into(), root: Arc::new(root) }
    }
    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The tree.
    pub fn root(&self) -> &Node {
        &self.root
    }
    /// The type of its result.
    pub fn value_type(&self) -> ValueType {
        self.root.value_type()
    }
    /// All selectors in the order of the text.
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        self.root.walk(&mut |node| match &node.kind {
            NodeKind::Vector(selector) => found.push(selector),
            NodeKind::Matrix(matrix) => found.push(&matrix.selector),
            _ => {}
        });
        found
    }
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Byte offset of its first character in the text.
    pub start: usize,
    /// Byte offset after its last character.
    pub end: usize,
    /// The length of the longest path down from here.
    pub(super) height: usize,
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the field's standard terms")]
pub enum NodeKind {
    Number { value: f64, duration: bool },
    String(String),
    Vector(VectorSelector),
    Matrix(MatrixSelector),
    Subquery(Subquery),
    Call(Call),
    Aggregate(Aggregate),
    Binary(Binary),
    Unary(Unary),
    Paren(Box<Node>),
}

/// `name{matchers} @ time offset duration`.
#[derive(Clone, Debug)]
pub struct VectorSelector {
    /// The metric's name when it stands before the braces.
    pub name: Option<String>,
    /// All conditions; the one on the name comes last.
    pub matchers: Vec<Matcher>,
    /// Reads this much earlier.
    pub offset: Option<Duration>,
    /// Reads at this time instead of the evaluation time.
    pub at: Option<At>,
    /// What it takes from beyond its borders.
    pub extension: Option<Extension>,
}

/// How a selector uses samples beyond the borders of its window, up to the lookback away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `anchored`: the last sample before the window counts as the window's first.
    Anchored,
    /// `smoothed`: values at the borders are interpolated between the samples around them.
    Smoothed,
}
impl Extension {
    /// The keyword.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Anchored => "anchored",
            Extension::Smoothed => "smoothed",
        }
    }
    /// The functions that know what to do with such a window.
    pub(super) fn functions(self) -> &'static [&'static str] {
        match self {
            Extension::Anchored => &["changes", "delta", "increase", "rate", "resets"],
            Extension::Smoothed => &["delta", "increase", "rate"],
        }
    }
}

/// A selector with a range in brackets.
#[derive(Clone, Debug)]
pub struct MatrixSelector {
    /// The selector, with its offset and `@`.
    pub selector: VectorSelector,
    /// The length of the window.
    pub range: Duration,
}

/// `expr[range:step]`.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What is evaluated at every step.
    pub expr: Box<Node>,
    /// The length of the window.
    pub range: Duration,
    /// The distance of evaluations; the engine's default when absent.
    pub step: Option<Duration>,
    /// Evaluates this much earlier.
    pub offset: Option<Duration>,
    /// Evaluates at this time.
    pub at: Option<At>,
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A time in milliseconds.
    Time(i64),
    /// The first time of the query.
    Start,
    /// The last time of the query.
    End,
}

/// A duration, which may be computed from the query's step and range. Literals are milliseconds.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named after the forms of the grammar")]
pub enum Duration {
    Literal(i64),
    Step,
    Range,
    Negative(Box<Duration>),
    Binary(BinaryOp, Box<Duration>, Box<Duration>),
    MinOf(Box<Duration>, Box<Duration>),
    MaxOf(Box<Duration>, Box<Duration>),
    Paren(Box<Duration>),
}

/// A function call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function's registry entry.
    pub function: &'static Function,
    /// Its arguments.
    pub args: Vec<Node>,
}

/// An aggregation over series.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Node>,
    /// The k, quantile, ratio or label of operators that have one.
    pub param: Option<Box<Node>>,
    /// The labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether it is `without`.
    pub without: bool,
}

/// A binary operation.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Box<Node>,
    /// The right operand.
    pub rhs: Box<Node>,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series of both sides find each other.
    pub matching: Matching,
    /// Byte offset of the operator.
    pub(super) op_start: usize,
}

impl Binary {
    /// An operation that stands in no text.
    pub(crate) fn made(op: BinaryOp, lhs: Box<Node>, rhs: Box<Node>, return_bool: bool, matching: Matching) -> Binary {
        Binary { op, lhs, rhs, return_bool, matching, op_start: 0 }
    }
}

/// Unary plus or minus.
#[derive(Clone, Debug)]
pub struct Unary {
    /// Whether it is a minus.
    pub negative: bool,
    /// The operand.
    pub expr: Box<Node>,
}

/// How many series of each side may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
}

/// The modifiers of a binary operation between vectors.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// From `group_left` and `group_right`.
    pub cardinality: Cardinality,
    /// Whether `labels` are those that must be equal (`on`) or those that are ignored.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// The labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// Stands in for series missing on the left.
    pub fill_left: Option<f64>,
    /// Stands in for series missing on the right.
    pub fill_right: Option<f64>,
}

macro_rules! operators {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "named after the operators")]
        pub enum $name { $($variant),* }
        impl $name {
            /// The operator as written.
            pub fn symbol(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
            /// The operator of a lower-case text.
            pub fn from_name(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)* _ => None }
            }
        }
    };
}
operators! {
    /// The binary operators.
    BinaryOp {
        Add = "+", Sub = "-", Mul = "*", Div = "/", Mod = "%", Pow = "^", Atan2 = "atan2",
        Equal = "==", NotEqual = "!=", Less = "<", Greater = ">", LessOrEqual = "<=", GreaterOrEqual = ">=",
        TrimUpper = "</", TrimLower = ">/", And = "and", Or = "or", Unless = "unless",
    }
}
operators! {
    /// The aggregation operators.
    AggregateOp {
        Sum = "sum", Avg = "avg", Count = "count", Min = "min", Max = "max", Group = "group",
        Stddev = "stddev", Stdvar = "stdvar", Topk = "topk", Bottomk = "bottomk",
        CountValues = "count_values", Quantile = "quantile", Limitk = "limitk", LimitRatio = "limit_ratio",
    }
}
impl BinaryOp {
    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Equal | BinaryOp::NotEqual | BinaryOp::Less | BinaryOp::Greater | BinaryOp::LessOrEqual | BinaryOp::GreaterOrEqual)
    }
    /// Whether it is `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
    /// Whether it histogram-trims (`</`, `>/`).
    pub fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }
    /// Whether its result no longer is the metric it was computed from.
    pub(super) fn changes_metric(self) -> bool {
        !self.is_comparison() && !self.is_set() && !self.is_trim()
    }
    /// Binding strength, from 1; only `^` is right-associative.
    pub(super) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
            _ => 3,
        }
    }
}
impl AggregateOp {
    /// Whether it has a parameter before the vector.
    pub fn has_param(self) -> bool {
        matches!(
            self,
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::CountValues | AggregateOp::Quantile | AggregateOp::Limitk | AggregateOp::LimitRatio
        )
    }
}

impl Node {
    pub(crate) fn new(kind: NodeKind, start: usize, end: usize) -> Node {
        let mut node = Node { kind, start, end, height: 0 };
        let mut height = 0;
        node.each_child(&mut |child| height = height.max(child.height));
        node.height = height + 1;
        node
    }
    /// The type of the node's value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            NodeKind::Number { .. } => ValueType::Scalar,
            NodeKind::String(_) => ValueType::String,
            NodeKind::Vector(_) | NodeKind::Aggregate(_) => ValueType::Vector,
            NodeKind::Matrix(_) | NodeKind::Subquery(_) => ValueType::Matrix,
            NodeKind::Call(call) => call.function.returns,
            NodeKind::Paren(inner) => inner.value_type(),
            NodeKind::Unary(unary) => unary.expr.value_type(),
            NodeKind::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
        }
    }
    /// The node without parentheses around it.
    pub fn unwrapped(&self) -> &Node {
        let mut node = self;
        while let NodeKind::Paren(inner) = &node.kind {
            node = inner;
        }
        node
    }
    /// Visits the direct children in the order of the text.
    pub fn each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match &self.kind {
            NodeKind::Number { .. } | NodeKind::String(_) | NodeKind::Vector(_) | NodeKind::Matrix(_) => {}
            NodeKind::Subquery(subquery) => visit(&subquery.expr),
            NodeKind::Call(call) => call.args.iter().for_each(visit),
            NodeKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    visit(param);
                }
                visit(&aggregate.expr);
            }
            NodeKind::Binary(binary) => {
                visit(&binary.lhs);
                visit(&binary.rhs);
            }
            NodeKind::Unary(unary) => visit(&unary.expr),
            NodeKind::Paren(inner) => visit(inner),
        }
    }
    /// Visits this node and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        visit(self);
        self.each_child(&mut |child| child.walk(visit));
    }
}

impl Duration {
    /// The length in milliseconds, with the step and the range of the query in milliseconds.
    pub(super) fn millis(&self, step: i64, range: i64) -> Result<i64, String> {
        if let Duration::Literal(ms) = self {
            return Ok(*ms);
        }
        let ms = (self.seconds(step, range)? * 1000.0).trunc();
        if ms.is_nan() || ms.abs() > DURATION_MS_MAX as f64 {
            return Err("duration is out of range".to_owned());
        }
        Ok(ms as i64)
    }
    fn seconds(&self, step: i64, range: i64) -> Result<f64, String> {
        let value = |d: &Duration| d.seconds(step, range);
        Ok(match self {
            Duration::Literal(ms) => *ms as f64 / 1000.0,
            Duration::Step => step as f64 / 1000.0,
            Duration::Range => range as f64 / 1000.0,
            Duration::Negative(inner) => -value(inner)?,
            Duration::Paren(inner) => value(inner)?,
            Duration::MinOf(a, b) => value(a)?.min(value(b)?),
            Duration::MaxOf(a, b) => value(a)?.max(value(b)?),
            Duration::Binary(op, a, b) => {
                let (a, b) = (value(a)?, value(b)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div if b == 0.0 => return Err("division by zero".to_owned()),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err("modulo by zero".to_owned()),
                    BinaryOp::Mod => a % b,
                    _ => a.powf(b),
                }
            }
        })
    }
}

/// The longest duration, as in Prometheus: 2^63 nanoseconds.
pub(super) const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;
