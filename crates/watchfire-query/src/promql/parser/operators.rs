//! Binary operators with their modifiers, and lists of labels.

use watchfire_model::labels::is_classic_label_name;

use super::super::ast::{Binary, BinaryOp, Cardinality, Matching, Node, NodeKind};
use super::super::lexer::{Keyword, Kind};
use super::{Parsed, Parser};

impl Parser<'_> {
    /// The rest of a binary operation whose left side and operator have been read.
    pub(super) fn binary(&mut self, lhs: Node, op: BinaryOp, op_start: usize) -> Parsed<Node> {
        let return_bool = self.accept(Kind::Keyword(Keyword::Bool));
        let matching = self.matching()?;
        // `^` is right-associative: its right side may hold further `^`.
        let min = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
        let rhs = self.deeper(|p| p.expression(min))?;
        let start = lhs.start;
        self.node(NodeKind::Binary(Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs), return_bool, matching, op_start }), start)
    }

    fn matching(&mut self) -> Parsed<Matching> {
        let mut matching = Matching::default();
        match self.peek().kind {
            Kind::Keyword(Keyword::On) => matching.on = true,
            Kind::Keyword(Keyword::Ignoring) => {}
            _ => {
                self.fills(&mut matching)?;
                return Ok(matching);
            }
        }
        self.at += 1;
        matching.labels = self.label_list()?;
        matching.cardinality = match self.peek().kind {
            Kind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            Kind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => Cardinality::OneToOne,
        };
        if matching.cardinality != Cardinality::OneToOne {
            self.at += 1;
            if self.peek().kind == Kind::LeftParen {
                matching.include = self.label_list()?;
            }
        }
        self.fills(&mut matching)?;
        Ok(matching)
    }

    fn fills(&mut self, matching: &mut Matching) -> Parsed<()> {
        loop {
            let (left, right) = match self.peek().kind {
                Kind::Keyword(Keyword::Fill) => (true, true),
                Kind::Keyword(Keyword::FillLeft) => (true, false),
                Kind::Keyword(Keyword::FillRight) => (false, true),
                _ => return Ok(()),
            };
            self.at += 1;
            self.expect(Kind::LeftParen)?;
            let value = self.signed_number("fill modifiers", "number")?;
            self.expect(Kind::RightParen)?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
    }

    /// A number or duration with an optional sign.
    pub(super) fn signed_number(&mut self, context: &str, expected: &str) -> Parsed<f64> {
        let negative = match self.peek().kind {
            Kind::Op(BinaryOp::Sub) => true,
            Kind::Op(BinaryOp::Add) => false,
            Kind::Number | Kind::Duration => return Ok(self.number_or_duration()?.0),
            _ => return Err(self.unexpected(context, expected)),
        };
        self.at += 1;
        if !matches!(self.peek().kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected(context, expected));
        }
        let (value, _) = self.number_or_duration()?;
        Ok(if negative { -value } else { value })
    }

    /// `(label, "quoted label", …)`.
    pub(super) fn label_list(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if !self.accept(Kind::LeftParen) {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        loop {
            if self.accept(Kind::RightParen) {
                return Ok(labels);
            }
            labels.push(self.grouping_label(CONTEXT)?);
            if !self.accept(Kind::Comma) && self.peek().kind != Kind::RightParen {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
    }

    fn grouping_label(&mut self, context: &str) -> Parsed<String> {
        let token = self.peek();
        let word = self.word(token);
        let label = match token.kind {
            Kind::String => self.string(token)?,
            Kind::Identifier | Kind::Keyword(_) | Kind::Aggregator(_) => word.to_owned(),
            Kind::Op(op) if op.is_set() || op == BinaryOp::Atan2 => word.to_owned(),
            _ => return Err(self.unexpected(context, "label")),
        };
        if label.is_empty() || (token.kind != Kind::String && !is_classic_label_name(&label)) {
            return Err(self.unexpected(context, "label"));
        }
        self.at += 1;
        Ok(label)
    }
}
