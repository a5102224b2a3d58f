//! The parser: a recursive descent over the tokens, which also checks what cannot be said. Every error names its place.

mod filter;
mod metric;
mod range;
mod stage;

use watchfire_model::matcher::{MatchOp, Matcher};

use super::ast::{Expr, LogExpr};
use super::error::ParseError;
use super::lexer::{Kind, Token, tokens};
pub use super::regexes::REGEXES_MAX;

/// The longest query, in bytes.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// How deep parentheses may nest.
pub const NESTING_MAX: usize = 100;
/// The most binary operators of one query: together with the nesting they bound the height of its tree.
pub const OPERATORS_MAX: usize = 150;
/// The most conditions on labels and lines of one query.
pub const CONDITIONS_MAX: usize = 512;
/// The most labels that matchers, stages and aggregations of one query name, one by one.
pub const NAMES_MAX: usize = 1_000;
/// The most stages of one pipeline.
pub const STAGES_MAX: usize = 256;

type Parsed<T> = Result<T, ParseError>;

/// Parses a query over logs.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    let expr = parser.expr(0)?;
    parser.end()?;
    Ok(match expr {
        Operand::Log(log) => Expr::Log(log),
        Operand::Metric(metric) => Expr::Metric(metric),
    })
}

/// Parses a selector and its pipeline; a query that gives numbers is an error.
pub fn parse_log(text: &str) -> Result<LogExpr, ParseError> {
    match parse(text)? {
        Expr::Log(log) => Ok(log),
        Expr::Metric(_) => Err(ParseError::at(text, 0, "only log queries are possible here, not metric queries")),
    }
}

/// Parses the matchers of streams: `{a="b"}`. `{}` is everything.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let matchers = parser.selector()?;
    parser.end()?;
    Ok(matchers)
}

/// What an expression can be.
enum Operand {
    Log(LogExpr),
    Metric(super::ast::Metric),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    operators: usize,
    conditions: usize,
    regexes: usize,
    names: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Parser<'a>> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseError::at(text, 0, format!("query is {} bytes long, more than {TEXT_BYTES_MAX}", text.len())));
        }
        if text.trim().is_empty() {
            return Err(ParseError::at(text, 0, "syntax error: the query is empty"));
        }
        Ok(Parser { text, tokens: tokens(text)?, at: 0, depth: 0, operators: 0, conditions: 0, regexes: 0, names: 0 })
    }

    fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }
    fn ahead(&self, n: usize) -> Token<'a> {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + n).min(last)]
    }
    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }
    fn is(&self, mark: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Mark && token.text == mark
    }
    fn is_word(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word)
    }
    fn accept(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }
    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, mark: &str) -> Parsed<()> {
        if self.accept(mark) { Ok(()) } else { Err(self.unexpected(&format!("{mark:?}"))) }
    }
    fn word(&mut self, what: &str) -> Parsed<&'a str> {
        if self.peek().kind == Kind::Word { Ok(self.take().text) } else { Err(self.unexpected(what)) }
    }
    /// A text in quotes, its escapes resolved.
    fn string(&mut self, what: &str) -> Parsed<String> {
        let token = self.peek();
        if token.kind != Kind::Text {
            return Err(self.unexpected(what));
        }
        self.at += 1;
        watchfire_template::unquote(token.text).ok_or_else(|| ParseError::at(self.text, token.start, "syntax error: invalid escape in a quoted text"))
    }
    fn end(&self) -> Parsed<()> {
        if self.peek().kind == Kind::End { Ok(()) } else { Err(self.unexpected("the end of the query")) }
    }

    fn fail(&self, token: Token<'_>, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, token.start, message)
    }
    fn unexpected(&self, expected: &str) -> ParseError {
        let token = self.peek();
        let found = match token.kind {
            Kind::End => "end of the query".to_owned(),
            Kind::Text => format!("text {}", token.text),
            Kind::Number => format!("number {}", token.text),
            _ => format!("{:?}", token.text),
        };
        self.fail(token, format!("syntax error: unexpected {found}, expecting {expected}"))
    }

    /// Counts a condition on a label or a line.
    fn condition(&mut self, on: &str) -> Parsed<()> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return Err(self.fail(self.peek(), format!("query has more than {CONDITIONS_MAX} conditions on {on}")));
        }
        Ok(())
    }

    /// Counts a label that is named.
    fn name(&mut self) -> Parsed<()> {
        self.names += 1;
        if self.names > NAMES_MAX {
            return Err(self.fail(self.peek(), format!("query names more than {NAMES_MAX} labels")));
        }
        Ok(())
    }

    /// Counts a regular expression, before it is compiled.
    fn regex(&mut self, token: Token<'_>) -> Parsed<()> {
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return Err(self.fail(token, format!("query has more than {REGEXES_MAX} regular expressions")));
        }
        Ok(())
    }

    /// Runs a part of the parser one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.fail(self.peek(), format!("query is nested more than {NESTING_MAX} levels deep")));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// `{a="b", c!~"d"}`
    fn selector(&mut self) -> Parsed<Vec<Matcher>> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        while !self.is("}") {
            matchers.push(self.matcher()?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(matchers)
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        self.name()?;
        let name = self.word("a label name or \"}\"")?;
        let op = match self.match_op() {
            Some(op) => op,
            None => return Err(self.unexpected("one of \"=\", \"!=\", \"=~\", \"!~\"")),
        };
        let value_token = self.peek();
        let value = self.string("a text in quotes")?;
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.regex(value_token)?;
        }
        Matcher::new(name, op, &value).map_err(|e| self.fail(value_token, e.to_string()))
    }

    fn match_op(&mut self) -> Option<MatchOp> {
        let token = self.peek();
        let op = match (token.kind, token.text) {
            (Kind::Mark, "=") => MatchOp::Equal,
            (Kind::Mark, "!=") => MatchOp::NotEqual,
            (Kind::Mark, "=~") => MatchOp::Regex,
            (Kind::Mark, "!~") => MatchOp::NotRegex,
            _ => return None,
        };
        self.at += 1;
        Some(op)
    }

    /// The selector of a query, which must not select everything by accident.
    fn checked_selector(&mut self) -> Parsed<Vec<Matcher>> {
        let start = self.peek();
        let matchers = self.selector()?;
        if !matchers.iter().any(|m| !m.matches_empty()) {
            return Err(self.fail(
                start,
                "queries require at least one regexp or equality matcher that does not have an empty-compatible value: app=~\".*\" does not meet this requirement, but app=~\".+\" does",
            ));
        }
        Ok(matchers)
    }

    /// Whether `| unwrap` comes next, and no label of that name.
    fn unwraps_next(&self) -> bool {
        self.is("|") && self.ahead(1).kind == Kind::Word && self.ahead(1).text == "unwrap" && self.ahead(2).kind == Kind::Word
    }

    /// A selector and its stages.
    fn log_expr(&mut self) -> Parsed<LogExpr> {
        let matchers = self.checked_selector()?;
        let mut stages = Vec::new();
        while self.begins_stage() {
            if self.unwraps_next() {
                return Err(self.fail(self.ahead(1), "unwrap is only possible in a range aggregation"));
            }
            self.stage(&mut stages)?;
        }
        Ok(LogExpr { matchers, stages })
    }
}
