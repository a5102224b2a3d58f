//! Conditions on labels: `a="b" and (latency > 250ms or size <= 20KB), addr = ip("10.0.0.0/8")`.

use watchfire_model::matcher::{MatchOp, Matcher};

use super::super::ast::{Comparison, LabelFilter};
use super::super::lexer::Kind;
use super::super::units;
use super::{Parsed, Parser};
use crate::promql::BinaryOp;

impl Parser<'_> {
    /// A whole condition, from left to right: `and` and `or` bind equally, and a comma or nothing at all is `and`.
    pub(super) fn label_filter(&mut self) -> Parsed<LabelFilter> {
        self.nested(|parser| {
            let mut left = parser.label_filter_unit()?;
            loop {
                let or = parser.accept_word("or");
                let goes_on = or || parser.accept_word("and") || parser.accept(",") || parser.begins_label_filter();
                if !goes_on {
                    return Ok(left);
                }
                let right = Box::new(parser.label_filter_unit()?);
                left = if or { LabelFilter::Or(Box::new(left), right) } else { LabelFilter::And(Box::new(left), right) };
            }
        })
    }

    fn begins_label_filter(&self) -> bool {
        let token = self.peek();
        (token.kind == Kind::Mark && token.text == "(") || (token.kind == Kind::Word && !matches!(token.text, "or" | "and" | "offset"))
    }

    fn label_filter_unit(&mut self) -> Parsed<LabelFilter> {
        if self.accept("(") {
            let inner = self.label_filter()?;
            self.expect(")")?;
            return Ok(inner);
        }
        // A long chain makes a high tree.
        self.condition("labels")?;
        let name = self.word("a label name")?.to_owned();
        let token = self.take();
        let op = match (token.kind, token.text) {
            (Kind::Mark, "=" | "==") => BinaryOp::Equal,
            (Kind::Mark, "!=") => BinaryOp::NotEqual,
            (Kind::Mark, ">") => BinaryOp::Greater,
            (Kind::Mark, ">=") => BinaryOp::GreaterOrEqual,
            (Kind::Mark, "<") => BinaryOp::Less,
            (Kind::Mark, "<=") => BinaryOp::LessOrEqual,
            (Kind::Mark, "=~") => return self.text_filter(&name, MatchOp::Regex),
            (Kind::Mark, "!~") => return self.text_filter(&name, MatchOp::NotRegex),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a comparison"));
            }
        };
        match (self.peek().kind, token.text) {
            (Kind::Text, "=") => self.text_filter(&name, MatchOp::Equal),
            (Kind::Text, "!=") => self.text_filter(&name, MatchOp::NotEqual),
            (Kind::Text, other) => Err(self.fail(self.peek(), format!("syntax error: a text cannot be compared by {other}"))),
            _ if self.is_word("ip") && self.ahead(1).text == "(" => {
                if !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) || token.text == "==" {
                    return Err(self.fail(token, format!("ip() is only possible with = and !=, not with {}", token.text)));
                }
                self.at += 1;
                let range = self.ip_argument()?;
                Ok(LabelFilter::Ip { name, negative: op == BinaryOp::NotEqual, range })
            }
            _ => self.number_filter(name, op),
        }
    }

    fn text_filter(&mut self, name: &str, op: MatchOp) -> Parsed<LabelFilter> {
        let token = self.peek();
        let value = self.string("a text in quotes")?;
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.regex(token)?;
        }
        Matcher::new(name, op, &value).map(LabelFilter::Text).map_err(|e| self.fail(token, e.to_string()))
    }

    fn number_filter(&mut self, name: String, op: BinaryOp) -> Parsed<LabelFilter> {
        let sign = if self.accept("-") {
            "-"
        } else {
            self.accept("+");
            ""
        };
        let token = self.peek();
        if token.kind != Kind::Number {
            return Err(self.unexpected("a text in quotes, a number, a duration, a size or ip()"));
        }
        self.at += 1;
        let text = format!("{sign}{}", token.text);
        let comparison = |value: f64| Comparison { name, op, value, text: text.clone() };
        if let Some(value) = units::number(&text).filter(|v| v.is_finite()) {
            return Ok(LabelFilter::Number(comparison(value)));
        }
        if let Some(nanos) = units::duration_nanos(&text) {
            return Ok(LabelFilter::Duration(comparison(nanos as f64 / 1e9)));
        }
        match units::bytes(&text) {
            Some(bytes) => Ok(LabelFilter::Bytes(comparison(bytes))),
            None => Err(self.fail(token, format!("syntax error: {text} is no number, duration or size"))),
        }
    }
}
