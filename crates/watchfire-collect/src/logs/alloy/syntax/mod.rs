//! Alloy's configuration language as a tree with places: text → tokens → statements. It knows the grammar, and no component, no function
//! and no value.

mod lexer;
mod parser;
mod text;

use std::sync::Arc;

pub(crate) use parser::parse;

/// The largest file.
pub(crate) const FILE_BYTES_MAX: usize = 4 << 20;
/// How deep blocks and brackets may stand in each other.
const DEPTH_MAX: usize = 64;
/// How many steps an expression may have from its top to its ends: `a + b + c` and `a.b.c` have as many as they are long.
const HEIGHT_MAX: usize = 200;

/// A place in the file, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Why a text is no configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SyntaxError {
    pub(crate) at: Place,
    pub(crate) message: String,
}

/// A word with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: Arc<str>,
    pub(crate) at: Place,
}

/// What stands between braces, or in the whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Body {
    pub(crate) attributes: Vec<(Word, Expression)>,
    pub(crate) blocks: Vec<Block>,
}

/// `name "label" { … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    /// With its dots.
    pub(crate) name: Word,
    pub(crate) label: Option<Word>,
    pub(crate) body: Body,
}

/// Something that has a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) kind: Kind,
    pub(crate) at: Place,
    /// The steps to its ends.
    height: usize,
}

/// The forms of expressions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Vec<Expression>),
    Object(Vec<(Word, Expression)>),
    Name(Arc<str>),
    Member(Box<Expression>, Word),
    Index(Box<Expression>, Box<Expression>),
    Call(Box<Expression>, Vec<Expression>),
    Not(Box<Expression>),
    Minus(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Power,
}
impl Operator {
    /// As it is written.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Operator::Or => "||",
            Operator::And => "&&",
            Operator::Equal => "==",
            Operator::Unequal => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Times => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Power => "^",
        }
    }
    /// What binds tighter has more.
    fn precedence(self) -> usize {
        match self {
            Operator::Or => 1,
            Operator::And => 2,
            Operator::Equal | Operator::Unequal | Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => 3,
            Operator::Plus | Operator::Minus => 4,
            Operator::Times | Operator::Divide | Operator::Modulo => 5,
            Operator::Power => 6,
        }
    }
}

impl Kind {
    /// The steps to its ends.
    fn height(&self) -> usize {
        let inner = match self {
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Name(_) => 0,
            Kind::List(items) => items.iter().map(|item| item.height).max().unwrap_or(0),
            Kind::Object(fields) => fields.iter().map(|(_, value)| value.height).max().unwrap_or(0),
            Kind::Member(of, _) | Kind::Not(of) | Kind::Minus(of) => of.height,
            Kind::Index(of, by) | Kind::Binary(_, of, by) => of.height.max(by.height),
            Kind::Call(of, items) => items.iter().map(|item| item.height).max().unwrap_or(0).max(of.height),
        };
        inner + 1
    }
}

impl Expression {
    /// `a.b.c` as one text; nothing for what is no chain of names.
    pub(crate) fn path(&self) -> Option<String> {
        match &self.kind {
            Kind::Name(name) => Some(name.to_string()),
            Kind::Member(of, name) => Some(format!("{}.{}", of.path()?, name.text)),
            _ => None,
        }
    }
}
