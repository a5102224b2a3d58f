//! Expressions over the fields of a span, and the checks of their types.

use watchfire_model::matcher::anchored;
use watchfire_model::spans::{SpanId, SpanKind, StatusCode, TraceId};

use super::super::ast::{Arithmetic, Comparison, Expr, Field, Intrinsic};
use super::super::lexer::Kind;
use super::super::value::{Val, negative};
use super::{Parsed, Parser, REGEXES_MAX};
use crate::logql::units::duration_nanos;

/// What is known of the type of an expression before there are spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Nil,
    Bool,
    Number,
    Text,
    Status,
    Kind,
}

impl Type {
    fn fits(self, wanted: Type) -> bool {
        self == Type::Any || self == wanted
    }
}

pub(super) fn type_of(expr: &Expr) -> Type {
    match expr {
        Expr::Literal(value) => match value {
            Val::Nil => Type::Nil,
            Val::Text(_) => Type::Text,
            Val::Bool(_) => Type::Bool,
            Val::Status(_) => Type::Status,
            Val::Kind(_) => Type::Kind,
            Val::Int(_) | Val::Float(_) | Val::Duration(_) => Type::Number,
            Val::Unknown | Val::Several(_) => Type::Any,
        },
        Expr::Field(field) => type_of_field(field),
        Expr::Negative(_) | Expr::Compute(..) => Type::Number,
        Expr::Not(_) | Expr::And(..) | Expr::Or(..) | Expr::Compare(..) | Expr::Match { .. } => Type::Bool,
    }
}

pub(super) fn type_of_field(field: &Field) -> Type {
    match field {
        Field::Attribute(..) => Type::Any,
        Field::Intrinsic(intrinsic) => match intrinsic {
            Intrinsic::Status => Type::Status,
            Intrinsic::Kind => Type::Kind,
            Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTime | Intrinsic::ChildCount => Type::Number,
            Intrinsic::NestedSetLeft | Intrinsic::NestedSetRight | Intrinsic::NestedSetParent => Type::Number,
            _ => Type::Text,
        },
    }
}

/// How tightly operators bind; `&&` and `||` bind alike.
fn strength(mark: &str) -> Option<u8> {
    Some(match mark {
        "&&" | "||" => 1,
        "=" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~" => 2,
        "+" | "-" => 3,
        "*" | "/" | "%" => 4,
        "^" => 5,
        _ => return None,
    })
}
/// How tightly a sign or a negation binds what follows.
const SIGN: u8 = 4;

impl Parser<'_> {
    /// An expression of operators that bind at least so tightly.
    pub(super) fn expr(&mut self, least: u8) -> Parsed<Expr> {
        let start = self.start();
        let mut left = self.operand()?;
        while let Some(found) = strength(self.mark()).filter(|found| *found >= least) {
            let mark = self.mark();
            self.operator()?;
            left = if matches!(mark, "=~" | "!~") {
                self.pattern(left, mark == "!~", start)?
            } else {
                // Powers lean to the right, all others to the left.
                let right_start = self.start();
                let right = self.nested(|p| p.expr(if mark == "^" { found } else { found + 1 }))?;
                self.combined(mark, left, right, (start, right_start))?
            };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.start();
        match self.mark() {
            "(" => {
                self.at += 1;
                let inner = self.nested(|p| p.expr(0))?;
                self.expect(")")?;
                Ok(inner)
            }
            "!" => {
                self.operator()?;
                let inner = self.nested(|p| p.expr(SIGN))?;
                self.check(&inner, Type::Bool, start, "!")?;
                Ok(Expr::Not(Box::new(inner)))
            }
            "-" => {
                self.operator()?;
                let inner = self.nested(|p| p.expr(SIGN))?;
                self.check(&inner, Type::Number, start, "-")?;
                Ok(match inner {
                    Expr::Literal(value) => Expr::Literal(negative(value)),
                    other => Expr::Negative(Box::new(other)),
                })
            }
            _ if self.begins_literal() => Ok(Expr::Literal(self.literal()?)),
            _ => Ok(Expr::Field(self.field()?)),
        }
    }

    fn check(&self, expr: &Expr, wanted: Type, start: usize, mark: &str) -> Parsed<()> {
        if type_of(expr).fits(wanted) {
            return Ok(());
        }
        let what = if wanted == Type::Bool { "a condition" } else { "a number" };
        Err(self.fail(start, format!("\"{mark}\" needs {what}, which {expr} is not")))
    }

    fn combined(&mut self, mark: &str, left: Expr, right: Expr, starts: (usize, usize)) -> Parsed<Expr> {
        let both = |wanted| self.check(&left, wanted, starts.0, mark).and_then(|()| self.check(&right, wanted, starts.1, mark));
        if let Some(op) = Arithmetic::from_symbol(mark) {
            both(Type::Number)?;
            return Ok(Expr::Compute(op, Box::new(left), Box::new(right)));
        }
        let Some(op) = Comparison::from_symbol(mark) else {
            both(Type::Bool)?;
            let (left, right) = (Box::new(left), Box::new(right));
            return Ok(if mark == "&&" { Expr::And(left, right) } else { Expr::Or(left, right) });
        };
        let (a, b) = (type_of(&left), type_of(&right));
        let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
        if a != b && a != Type::Any && b != Type::Any && a != Type::Nil && b != Type::Nil {
            return Err(self.fail(starts.0, format!("binary operations must operate on the same type: {left} {mark} {right}")));
        }
        if !equality && [a, b].iter().any(|t| !t.fits(Type::Number) && !t.fits(Type::Text)) {
            return Err(self.fail(starts.0, format!("\"{mark}\" compares numbers or texts, which is not so in {left} {mark} {right}")));
        }
        let left = with_whole_id(left, &right);
        let right = with_whole_id(right, &left);
        Ok(Expr::Compare(op, Box::new(left), Box::new(right)))
    }

    fn pattern(&mut self, of: Expr, negated: bool, start: usize) -> Parsed<Expr> {
        if !type_of(&of).fits(Type::Text) {
            return Err(self.fail(start, format!("a regular expression needs a text, which {of} is not")));
        }
        self.regexes += 1;
        let at = self.start();
        if self.regexes > REGEXES_MAX {
            return Err(self.fail(at, format!("query has more than {REGEXES_MAX} regular expressions")));
        }
        let pattern = self.string()?;
        let regex = anchored(&pattern).map_err(|error| self.fail(at, error.to_string()))?;
        Ok(Expr::Match { of: Box::new(of), negated, pattern, regex })
    }

    fn begins_literal(&self) -> bool {
        match self.peek().kind {
            Kind::Number | Kind::Text => true,
            Kind::Word => word_literal(self.word()).is_some(),
            _ => false,
        }
    }

    /// A literal, with a sign or without one.
    pub(super) fn literal(&mut self) -> Parsed<Val<'static>> {
        let start = self.start();
        match self.peek().kind {
            Kind::Text => return Ok(Val::Text(self.string()?.into())),
            Kind::Mark if self.mark() == "-" && self.ahead(1).kind == Kind::Number => {
                self.at += 1;
                return Ok(negative(self.literal()?));
            }
            Kind::Word => {
                if let Some(value) = word_literal(self.word()) {
                    self.at += 1;
                    return Ok(value);
                }
            }
            Kind::Number => {
                let text = self.peek().text;
                let value = number(text).ok_or_else(|| self.fail(start, format!("syntax error: {text:?} is neither a number nor a duration")))?;
                self.at += 1;
                return Ok(value);
            }
            _ => {}
        }
        Err(self.unexpected("a literal"))
    }
}

/// An id that is compared with one of a span is written as those are: in lower case, with all zeros at its beginning.
fn with_whole_id(literal: Expr, other: &Expr) -> Expr {
    let (Expr::Literal(Val::Text(text)), Expr::Field(Field::Intrinsic(intrinsic))) = (&literal, other) else { return literal };
    let whole = match intrinsic {
        Intrinsic::TraceId | Intrinsic::LinkTrace => TraceId::parse(text).map(|id| id.to_string()),
        Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::LinkSpan => SpanId::parse(text).map(|id| id.to_string()),
        _ => None,
    };
    whole.map_or(literal, |id| Expr::Literal(Val::Text(id.into())))
}

fn number(text: &str) -> Option<Val<'static>> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Val::Int(whole));
    }
    if let Ok(float) = text.parse::<f64>() {
        return float.is_finite().then_some(Val::Float(float));
    }
    duration_nanos(text).map(Val::Duration)
}

fn word_literal(word: &str) -> Option<Val<'static>> {
    Some(match word {
        "true" => Val::Bool(true),
        "false" => Val::Bool(false),
        "nil" => Val::Nil,
        _ => match StatusCode::from_name(word) {
            Some(code) => Val::Status(code),
            None => Val::Kind(SpanKind::from_name(word)?),
        },
    })
}
