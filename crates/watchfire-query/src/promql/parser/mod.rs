//! The parser: tokens to a checked tree, by precedence climbing (Pratt). Messages follow Prometheus' own.
//! Its depth is limited, so hostile texts cannot exhaust the stack.

mod duration;
mod operators;
mod selector;

use std::sync::Arc;

use watchfire_model::labels::quoted;
use watchfire_model::matcher::Matcher;

use super::ast::{Aggregate, AggregateOp, BinaryOp, Call, Expr, Node, NodeKind, Unary};
use super::check::check;
use super::error::ParseError;
use super::functions::function;
use super::lexer::{Keyword, Kind, Lexed, Token, lex, unquote};
use super::numbers::parse_number;

/// The longest text that is parsed, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// How deep parentheses, calls and unary operators may nest.
pub const NESTING_MAX: usize = 64;
/// The longest path in a tree: nesting and chains of binary operators together.
const HEIGHT_MAX: usize = 256;

/// Parses and type-checks a query.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    if parser.peek().kind == Kind::End {
        return Err(ParseError::at(text, 0, "no expression found in input"));
    }
    let root = parser.expression(0)?;
    parser.expect_end()?;
    check(text, &root)?;
    Ok(Expr { text: text.into(), root: Arc::new(root) })
}

/// Parses a series selector such as `match[]` holds: a name, matchers, or both; no offset, no range.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let name = match parser.peek().kind {
        Kind::LeftBrace => None,
        kind if is_metric_name(kind) => Some(parser.next()),
        _ => return Err(parser.unexpected("", "")),
    };
    let node = parser.vector_selector(name)?;
    parser.expect_end()?;
    check(text, &node)?;
    match node.kind {
        NodeKind::Vector(selector) => Ok(selector.matchers),
        _ => Err(ParseError::at(text, 0, "series selector expected")),
    }
}

/// Tokens that may stand where a metric's name is expected.
fn is_metric_name(kind: Kind) -> bool {
    match kind {
        Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator(_) => true,
        Kind::Op(op) => op.is_set(),
        Kind::Keyword(word) => !matches!(word, Keyword::Bool | Keyword::On | Keyword::Ignoring | Keyword::GroupLeft | Keyword::GroupRight),
        _ => false,
    }
}

type Parsed<T> = Result<T, ParseError>;

struct Parser<'a> {
    text: &'a str,
    lexed: Lexed,
    at: usize,
    depth: usize,
    /// How many aggregations are open: inside, messages without a context of their own name this one.
    aggregations: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Parser<'a>> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseError::at("", 0, format!("query is {} bytes long, more than {TEXT_BYTES_MAX}", text.len())));
        }
        Ok(Parser { text, lexed: lex(text), at: 0, depth: 0, aggregations: 0 })
    }

    fn peek(&self) -> Token {
        self.peek_at(0)
    }
    /// The token after some more; the last one (end or error) repeats for ever.
    fn peek_at(&self, ahead: usize) -> Token {
        let tokens = &self.lexed.tokens;
        let last = Token { kind: Kind::End, start: self.text.len(), end: self.text.len() };
        tokens.get(self.at + ahead).or(tokens.last()).copied().unwrap_or(last)
    }
    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }
    fn accept(&mut self, kind: Kind) -> bool {
        let hit = self.peek().kind == kind;
        self.at += usize::from(hit);
        hit
    }
    fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        if self.peek().kind == kind { Ok(self.next()) } else { Err(self.unexpected("", "")) }
    }
    fn expect_end(&mut self) -> Parsed<()> {
        self.expect(Kind::End).map(|_| ())
    }
    fn word(&self, token: Token) -> &'a str {
        self.text.get(token.start..token.end).unwrap_or("")
    }
    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, at, message)
    }

    /// The complaint about the next token; an error of the lexer takes its place.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        if token.kind == Kind::Error {
            return self.error(token.start, self.lexed.error.clone());
        }
        let mut message = format!("unexpected {}", self.describe(token));
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.start, message)
    }

    fn describe(&self, token: Token) -> String {
        let word = self.word(token);
        let short = || {
            let cut: String = word.chars().take(10).collect();
            if word.len() > 10 { format!("{}...", quoted(&cut)) } else { quoted(word) }
        };
        match token.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quoted(word)),
            Kind::MetricIdentifier => format!("metric identifier {}", quoted(word)),
            Kind::Number => format!("number {}", short()),
            Kind::Duration => format!("duration {}", short()),
            Kind::String => format!("string {}", short()),
            Kind::Op(_) | Kind::At | Kind::RegexMatch | Kind::RegexNoMatch => format!("<op:{word}>"),
            Kind::Aggregator(_) => format!("<aggr:{word}>"),
            Kind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) => quoted(word),
            Kind::Keyword(_) => format!("<{word}>"),
            _ => short(),
        }
    }

    /// Makes a node, unless the tree would become too high.
    fn node(&self, kind: NodeKind, start: usize) -> Parsed<Node> {
        let end = self.lexed.tokens.get(self.at.saturating_sub(1)).map_or(self.text.len(), |t| t.end);
        let node = Node::new(kind, start, end);
        if node.height > HEIGHT_MAX {
            return Err(self.error(start, format!("expression is nested more than {HEIGHT_MAX} levels deep")));
        }
        Ok(node)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.error(self.peek().start, format!("expression is nested more than {NESTING_MAX} levels deep")));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// An expression whose binary operators all bind at least as strongly as `min`.
    fn expression(&mut self, min: u8) -> Parsed<Node> {
        let mut left = self.deeper(Parser::prefix)?;
        while let Kind::Op(op) = self.peek().kind {
            if op.precedence() < min.max(1) {
                break;
            }
            let op_start = self.next().start;
            left = self.binary(left, op, op_start)?;
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Parsed<Node> {
        let token = self.peek();
        if let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = token.kind {
            self.at += 1;
            return self.unary(op == BinaryOp::Sub, token.start);
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    /// Unary plus and minus bind like `*`, so `-1^2` is `-(1^2)`.
    fn unary(&mut self, negative: bool, start: usize) -> Parsed<Node> {
        let mut operand = self.expression(BinaryOp::Pow.precedence())?;
        if let NodeKind::Number { value, .. } = &mut operand.kind {
            if negative {
                *value = -*value;
            }
            operand.start = start;
            return Ok(operand);
        }
        self.node(NodeKind::Unary(Unary { negative, expr: Box::new(operand) }), start)
    }

    fn primary(&mut self) -> Parsed<Node> {
        let token = self.peek();
        match token.kind {
            Kind::Number | Kind::Duration => {
                let (value, duration) = self.number_or_duration()?;
                self.node(NodeKind::Number { value, duration }, token.start)
            }
            Kind::String => {
                self.at += 1;
                let text = self.string(token)?;
                self.node(NodeKind::String(text), token.start)
            }
            Kind::LeftParen => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(Kind::RightParen)?;
                self.node(NodeKind::Paren(Box::new(inner)), token.start)
            }
            Kind::LeftBrace => self.vector_selector(None),
            Kind::Aggregator(op) if self.aggregation_follows() => self.aggregation(op),
            Kind::Identifier | Kind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) if self.peek_at(1).kind == Kind::LeftParen => {
                self.call()
            }
            kind if is_metric_name(kind) => {
                self.at += 1;
                self.vector_selector(Some(token))
            }
            _ => Err(self.unexpected("", "")),
        }
    }

    fn string(&self, token: Token) -> Parsed<String> {
        let word = self.word(token);
        unquote(word).map_err(|reason| self.error(token.start, format!("error unquoting string {}: {reason}", quoted(word))))
    }

    /// A number, or a duration in seconds.
    fn number_or_duration(&mut self) -> Parsed<(f64, bool)> {
        let token = self.next();
        let word = self.word(token);
        if token.kind == Kind::Duration {
            return Ok((self.duration_literal(token)? as f64 / 1000.0, true));
        }
        match parse_number(word) {
            Some(value) if value.is_infinite() && !word.eq_ignore_ascii_case("inf") => {
                Err(self.error(token.start, format!("error parsing number: strconv.ParseFloat: parsing {}: value out of range", quoted(word))))
            }
            Some(value) => Ok((value, false)),
            None => Err(self.error(token.start, format!("error parsing number: strconv.ParseFloat: parsing {}: invalid syntax", quoted(word)))),
        }
    }

    /// Whether the operator's name begins an aggregation; otherwise it is a metric's name.
    fn aggregation_follows(&self) -> bool {
        matches!(self.peek_at(1).kind, Kind::LeftParen | Kind::Keyword(Keyword::By | Keyword::Without))
    }

    fn aggregation(&mut self, op: AggregateOp) -> Parsed<Node> {
        let start = self.next().start;
        let mut modifier = self.aggregation_modifier()?;
        if self.peek().kind != Kind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        self.aggregations += 1;
        let mut args = self.arguments()?;
        self.aggregations -= 1;
        if modifier.is_none() {
            modifier = self.aggregation_modifier()?;
        }
        let wanted = 1 + usize::from(op.has_param());
        if args.is_empty() {
            return Err(self.error(start, "no arguments for aggregate expression provided"));
        }
        if args.len() != wanted {
            return Err(self.error(start, format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {}", args.len())));
        }
        let expr = args.pop().map(Box::new);
        let param = args.pop().map(Box::new);
        let (without, grouping) = modifier.unwrap_or_default();
        let Some(expr) = expr else { return Err(self.unexpected("aggregation", "")) };
        self.node(NodeKind::Aggregate(Aggregate { op, expr, param, grouping, without }), start)
    }

    fn aggregation_modifier(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.peek().kind {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some((without, self.label_list()?)))
    }

    fn call(&mut self) -> Parsed<Node> {
        let name = self.next();
        let args = self.arguments()?;
        let word = self.word(name);
        let Some(function) = function(word) else {
            return Err(self.error(name.start, format!("unknown function with name {}", quoted(word))));
        };
        self.node(NodeKind::Call(Call { function, args }), name.start)
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.expect(Kind::LeftParen)?;
        let mut args = Vec::new();
        if self.accept(Kind::RightParen) {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            let token = self.peek();
            if self.accept(Kind::RightParen) {
                return Ok(args);
            }
            self.expect(Kind::Comma)?;
            if self.peek().kind == Kind::RightParen {
                return Err(self.error(token.start, "trailing commas not allowed in function call args"));
            }
        }
    }
}
