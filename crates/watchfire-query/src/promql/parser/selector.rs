//! Selectors: names, braces, brackets, `offset` and `@`.

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::matcher::{MatchOp, Matcher};

use super::super::ast::{At, BinaryOp, Duration, Extension, MatrixSelector, Node, NodeKind, Subquery, VectorSelector};
use super::super::error::ParseError;
use super::super::lexer::{Keyword, Kind, Token};
use super::{Parsed, Parser};

impl Parser<'_> {
    /// A selector whose name, if it has one before the braces, has been read.
    pub(super) fn vector_selector(&mut self, name: Option<Token>) -> Parsed<Node> {
        let start = name.map_or(self.peek().start, |t| t.start);
        let mut matchers = if self.peek().kind == Kind::LeftBrace { self.matchers()? } else { Vec::new() };
        let name = name.map(|t| self.word(t).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        self.node(NodeKind::Vector(VectorSelector { name, matchers, offset: None, at: None, extension: None }), start)
    }

    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        const CONTEXT: &str = "label matching";
        self.expect(Kind::LeftBrace)?;
        let mut matchers = Vec::new();
        loop {
            if self.peek().kind == Kind::RightBrace {
                self.at += 1;
                return Ok(matchers);
            }
            matchers.push(self.matcher(CONTEXT)?);
            if !self.accept(Kind::Comma) && self.peek().kind != Kind::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn matcher(&mut self, context: &str) -> Parsed<Matcher> {
        let name_token = self.peek();
        let name = match name_token.kind {
            Kind::Identifier => self.word(name_token).to_owned(),
            Kind::String => self.string(name_token)?,
            _ => return Err(self.unexpected(context, "identifier or \"}\"")),
        };
        self.at += 1;
        let op = match self.peek().kind {
            Kind::Assign => MatchOp::Equal,
            Kind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::RegexMatch => MatchOp::Regex,
            Kind::RegexNoMatch => MatchOp::NotRegex,
            Kind::Comma | Kind::RightBrace if name_token.kind == Kind::String => return Ok(Matcher::equal(METRIC_NAME, &name)),
            _ if name_token.kind == Kind::String => return Err(self.unexpected(context, "\",\" or \"}\"")),
            _ => return Err(self.unexpected(context, "label matching operator")),
        };
        self.at += 1;
        let value = self.peek();
        if value.kind != Kind::String {
            return Err(self.unexpected(context, "string"));
        }
        self.at += 1;
        let value = self.string(value)?;
        Matcher::new(&name, op, &value).map_err(|reason| self.error(name_token.start, reason.to_string()))
    }

    /// Everything that may follow a primary expression.
    pub(super) fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let token = self.peek();
            node = match token.kind {
                Kind::LeftBracket => self.brackets(node)?,
                Kind::Keyword(Keyword::Offset) => self.offset(node)?,
                Kind::At => self.at_modifier(node)?,
                Kind::Keyword(Keyword::Anchored) => self.extension(node, Extension::Anchored)?,
                Kind::Keyword(Keyword::Smoothed) => self.extension(node, Extension::Smoothed)?,
                _ => return Ok(node),
            };
        }
    }

    fn brackets(&mut self, node: Node) -> Parsed<Node> {
        const LENGTH: &str = "number, duration, step(), or range()";
        let open = self.next();
        if matches!(self.peek().kind, Kind::RightBracket | Kind::Colon | Kind::End) {
            return Err(self.unexpected("subquery selector", LENGTH));
        }
        let range = self.positive_duration()?;
        match self.peek().kind {
            Kind::RightBracket => {
                self.at += 1;
                self.matrix_selector(node, range, open)
            }
            Kind::Colon => {
                self.at += 1;
                let step = if self.peek().kind == Kind::RightBracket { None } else { Some(self.positive_duration()?) };
                if !self.accept(Kind::RightBracket) {
                    return Err(self.unexpected("subquery selector", "\"]\""));
                }
                let start = node.start;
                self.node(NodeKind::Subquery(Subquery { expr: Box::new(node), range, step, offset: None, at: None }), start)
            }
            _ => Err(self.unexpected("subquery or range selector", "\":\" or \"]\"")),
        }
    }

    fn matrix_selector(&mut self, node: Node, range: Duration, open: Token) -> Parsed<Node> {
        let start = node.start;
        let NodeKind::Vector(selector) = node.kind else {
            return Err(self.error(open.start, "ranges only allowed for vector selectors"));
        };
        if selector.offset.is_some() {
            return Err(self.error(open.start, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(open.start, "no @ modifiers allowed before range"));
        }
        self.node(NodeKind::Matrix(MatrixSelector { selector, range }), start)
    }

    fn offset(&mut self, mut node: Node) -> Parsed<Node> {
        self.at += 1;
        let offset = self.offset_duration()?;
        let end = self.previous_end();
        let Some((slot, _)) = modifiers(&mut node.kind) else {
            return Err(self.error(node.start, "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"));
        };
        if slot.is_some() {
            return Err(self.error(node.start, "offset may not be set multiple times"));
        }
        // An offset of nothing is no offset, so it may still be followed by another one, as in Prometheus.
        *slot = (offset != Duration::Literal(0)).then_some(offset);
        node.end = end;
        Ok(node)
    }

    fn extension(&mut self, mut node: Node, extension: Extension) -> Parsed<Node> {
        self.at += 1;
        let selector = match &mut node.kind {
            NodeKind::Vector(selector) => selector,
            NodeKind::Matrix(matrix) => &mut matrix.selector,
            NodeKind::Subquery(_) => return Err(self.error(node.start, format!("{} modifier is not supported for subqueries", extension.name()))),
            _ => return Err(self.error(node.start, format!("{} modifier not implemented", extension.name()))),
        };
        if selector.extension.replace(extension).is_some_and(|known| known != extension) {
            return Err(self.error(node.start, "anchored and smoothed modifiers cannot be used together"));
        }
        Ok(node)
    }

    fn at_modifier(&mut self, mut node: Node) -> Parsed<Node> {
        self.at += 1;
        let token = self.peek();
        let time = match token.kind {
            Kind::Keyword(word @ (Keyword::Start | Keyword::End)) => {
                self.at += 1;
                if !self.accept(Kind::LeftParen) || !self.accept(Kind::RightParen) {
                    return Err(self.unexpected("@", "timestamp"));
                }
                if word == Keyword::Start { At::Start } else { At::End }
            }
            _ => {
                let seconds = self.signed_number("@", "timestamp")?;
                if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 / 1000.0 {
                    return Err(self.error(node.start, format!("timestamp out of bounds for @ modifier: {seconds:.6}")));
                }
                At::Time((seconds * 1000.0).round() as i64)
            }
        };
        let end = self.previous_end();
        let Some((_, slot)) = modifiers(&mut node.kind) else {
            return Err(self.error(node.start, "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"));
        };
        if slot.is_some() {
            return Err(self.error(node.start, "@ <timestamp> may not be set multiple times"));
        }
        *slot = Some(time);
        node.end = end;
        Ok(node)
    }

    fn previous_end(&self) -> usize {
        self.lexed.tokens.get(self.at.saturating_sub(1)).map_or(self.text.len(), |t| t.end)
    }

    /// A duration that must be longer than nothing.
    fn positive_duration(&mut self) -> Result<Duration, ParseError> {
        let start = self.peek().start;
        let duration = self.duration_expression(0)?;
        match duration {
            Duration::Literal(ms) if ms <= 0 => Err(self.error(start, "duration must be greater than 0")),
            other => Ok(other),
        }
    }
}

/// The slots for `offset` and `@` of nodes that may have them.
fn modifiers(kind: &mut NodeKind) -> Option<(&mut Option<Duration>, &mut Option<At>)> {
    match kind {
        NodeKind::Vector(selector) => Some((&mut selector.offset, &mut selector.at)),
        NodeKind::Matrix(matrix) => Some((&mut matrix.selector.offset, &mut matrix.selector.at)),
        NodeKind::Subquery(subquery) => Some((&mut subquery.offset, &mut subquery.at)),
        _ => None,
    }
}
