//! Durations: literals, and expressions over them in brackets and behind `offset`.

use watchfire_model::duration::parse_millis;
use watchfire_model::labels::quoted;

use super::super::ast::{BinaryOp, DURATION_MS_MAX, Duration};
use super::super::lexer::{Keyword, Kind, Token};
use super::{Parsed, Parser};

const EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// The milliseconds of a duration token.
    pub(super) fn duration_literal(&self, token: Token) -> Parsed<i64> {
        let word = self.word(token);
        match parse_millis(word) {
            Some(ms) if ms as i64 > DURATION_MS_MAX => Err(self.error(token.start, "duration out of range")),
            Some(ms) => Ok(ms as i64),
            None => Err(self.error(token.start, format!("not a valid duration string: {}", quoted(word)))),
        }
    }

    /// Arithmetic over durations, as it may stand in brackets.
    pub(super) fn duration_expression(&mut self, min: u8) -> Parsed<Duration> {
        self.deeper(|p| {
            let mut left = p.duration_prefix()?;
            let mut operators = 0;
            while let Kind::Op(op) = p.peek().kind {
                let arithmetic = matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow);
                if !arithmetic || op.precedence() < min {
                    break;
                }
                operators += 1;
                if operators > super::NESTING_MAX {
                    return Err(p.error(p.peek().start, format!("duration expression has more than {} operators", super::NESTING_MAX)));
                }
                let operator = p.next();
                let next = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
                let right = p.duration_expression(next)?;
                match op {
                    BinaryOp::Div if right == Duration::Literal(0) => return Err(p.error(operator.start, "division by zero")),
                    BinaryOp::Mod if right == Duration::Literal(0) => return Err(p.error(operator.start, "modulo by zero")),
                    _ => {}
                }
                left = Duration::Binary(op, Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn duration_prefix(&mut self) -> Parsed<Duration> {
        let negative = match self.peek().kind {
            Kind::Op(BinaryOp::Sub) => true,
            Kind::Op(BinaryOp::Add) => false,
            _ => return self.duration_primary("subquery selector"),
        };
        self.at += 1;
        let operand = self.duration_expression(BinaryOp::Pow.precedence())?;
        Ok(if negative { negated(operand) } else { operand })
    }

    /// What may follow `offset`: one value with an optional sign, or anything in parentheses.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let negative = match self.peek().kind {
            Kind::Op(BinaryOp::Sub) => true,
            Kind::Op(BinaryOp::Add) => false,
            _ => return self.duration_primary("offset"),
        };
        self.at += 1;
        let operand = self.duration_primary("offset")?;
        Ok(if negative { negated(operand) } else { operand })
    }

    fn duration_primary(&mut self, context: &str) -> Parsed<Duration> {
        let token = self.peek();
        let word = self.word(token).to_ascii_lowercase();
        match token.kind {
            Kind::Number | Kind::Duration => self.duration_number(),
            Kind::Keyword(Keyword::Step) => self.duration_call(Duration::Step),
            Kind::Keyword(Keyword::Range) => self.duration_call(Duration::Range),
            Kind::LeftParen => {
                self.at += 1;
                let inner = self.duration_expression(0)?;
                self.expect(Kind::RightParen)?;
                Ok(Duration::Paren(Box::new(inner)))
            }
            Kind::Identifier if word == "min_of" || word == "max_of" => {
                self.at += 1;
                self.expect(Kind::LeftParen)?;
                let first = Box::new(self.duration_expression(0)?);
                self.expect(Kind::Comma)?;
                let second = Box::new(self.duration_expression(0)?);
                self.expect(Kind::RightParen)?;
                Ok(if word == "min_of" { Duration::MinOf(first, second) } else { Duration::MaxOf(first, second) })
            }
            _ => Err(self.unexpected(context, EXPECTED)),
        }
    }

    fn duration_number(&mut self) -> Parsed<Duration> {
        let start = self.peek().start;
        let (seconds, _) = self.number_or_duration()?;
        // Prometheus rounds to nanoseconds and then cuts to milliseconds: 1.001 is 1001 ms, although 1.001 * 1000 is a little less.
        let nanos = (seconds * 1e9).round();
        if !nanos.is_finite() || nanos.abs() > i64::MAX as f64 {
            return Err(self.error(start, "duration out of range"));
        }
        Ok(Duration::Literal((nanos as i64) / 1_000_000))
    }

    fn duration_call(&mut self, value: Duration) -> Parsed<Duration> {
        self.at += 1;
        self.expect(Kind::LeftParen)?;
        self.expect(Kind::RightParen)?;
        Ok(value)
    }
}

fn negated(duration: Duration) -> Duration {
    match duration {
        Duration::Literal(ms) => Duration::Literal(-ms),
        other => Duration::Negative(Box::new(other)),
    }
}
