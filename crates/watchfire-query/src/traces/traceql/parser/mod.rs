//! The parser: a recursive descent over the tokens, which also checks what cannot be said. Every error names its place.

mod expr;
mod metrics;
mod pipeline;

use super::ast::{Field, Intrinsic, Owner, Query};
use super::error::ParseError;
use super::lexer::{Kind, Token, tokens};
use super::value::Val;

/// The longest query, in bytes.
pub const TEXT_BYTES_MAX: usize = 128 << 10;
/// How deep braces and parentheses may nest.
pub const NESTING_MAX: usize = 64;
/// The most operators of one query: together with the nesting they bound the height of its tree.
pub const OPERATORS_MAX: usize = 200;
/// The most regular expressions of one query; each may take megabytes.
pub const REGEXES_MAX: usize = 32;
/// The most steps of one pipeline, and the most fields that one of them names.
const ITEMS_MAX: usize = 64;

type Parsed<T> = Result<T, ParseError>;

/// Parses a query.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    let mut parser = Parser::new(text)?;
    let query = parser.query()?;
    parser.end()?;
    Ok(query)
}

/// The field that somebody means who writes its name alone: `span.http.url`, `status`. What is none of the language's is an attribute
/// whose name it is.
pub fn field_of(text: &str) -> Field {
    let parsed = Parser::new(text).and_then(|mut parser| {
        let field = parser.field()?;
        parser.end().map(|()| field)
    });
    parsed.unwrap_or_else(|_| {
        let owner = Owner::ALL.into_iter().rev().find_map(|(owner, prefix)| Some((owner, text.strip_prefix(prefix)?)));
        let (owner, name) = owner.unwrap_or((Owner::Any, text));
        Field::Attribute(owner, name.to_owned())
    })
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    operators: usize,
    regexes: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Parser<'a>> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseError::at(text, 0, format!("query is {} bytes long, more than {TEXT_BYTES_MAX}", text.len())));
        }
        if text.trim().is_empty() {
            return Err(ParseError::at(text, 0, "syntax error: the query is empty"));
        }
        Ok(Parser { text, tokens: tokens(text)?, at: 0, depth: 0, operators: 0, regexes: 0 })
    }

    fn peek(&self) -> &Token<'a> {
        self.ahead(0)
    }
    fn ahead(&self, n: usize) -> &Token<'a> {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + n).min(last)]
    }
    fn start(&self) -> usize {
        self.peek().start
    }
    /// The mark that comes next; empty when it is something else.
    fn mark(&self) -> &'a str {
        if self.peek().kind == Kind::Mark { self.peek().text } else { "" }
    }
    /// The word that comes next; empty when it is something else.
    fn word(&self) -> &'a str {
        if self.peek().kind == Kind::Word { self.peek().text } else { "" }
    }
    fn accept(&mut self, mark: &str) -> bool {
        let found = self.mark() == mark;
        self.at += usize::from(found);
        found
    }
    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, mark: &str) -> Parsed<()> {
        if self.accept(mark) { Ok(()) } else { Err(self.unexpected(&format!("{mark:?}"))) }
    }
    /// A text in quotes, its escapes resolved.
    fn string(&mut self) -> Parsed<String> {
        let (text, start) = (self.peek().text, self.start());
        if self.peek().kind != Kind::Text {
            return Err(self.unexpected("a text in quotes"));
        }
        self.at += 1;
        watchfire_template::unquote(text).ok_or_else(|| self.fail(start, "syntax error: invalid escape in a quoted text"))
    }
    fn end(&self) -> Parsed<()> {
        if self.peek().kind == Kind::End { Ok(()) } else { Err(self.unexpected("the end of the query")) }
    }

    fn fail(&self, start: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, start, message)
    }
    fn unexpected(&self, expected: &str) -> ParseError {
        let token = self.peek();
        let found = match token.kind {
            Kind::End => "end of the query".to_owned(),
            Kind::Text => format!("text {}", token.text),
            Kind::Number => format!("number {}", token.text),
            _ => format!("{:?}", token.text),
        };
        self.fail(token.start, format!("syntax error: unexpected {found}, expecting {expected}"))
    }

    /// Counts an operator and takes it.
    fn operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(self.fail(self.start(), format!("query has more than {OPERATORS_MAX} operators")));
        }
        self.at += 1;
        Ok(())
    }
    /// Runs a part of the parser one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.fail(self.start(), format!("query is nested more than {NESTING_MAX} levels deep")));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }
    /// Things with commas between them, up to a closing parenthesis.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect("(")?;
        let mut all = vec![one(self)?];
        while self.accept(",") {
            if all.len() >= ITEMS_MAX {
                return Err(self.fail(self.start(), format!("a list has more than {ITEMS_MAX} items")));
            }
            all.push(one(self)?);
        }
        self.expect(")")?;
        Ok(all)
    }

    fn field(&mut self) -> Parsed<Field> {
        let token = self.peek();
        let field = match &token.kind {
            Kind::Attribute(owner, name) => Field::Attribute(*owner, name.clone()),
            Kind::Word => match Intrinsic::from_name(token.text) {
                Some(intrinsic) => Field::Intrinsic(intrinsic),
                None => return Err(self.unexpected("an attribute (span.x, resource.x, .x) or a field such as name, status, duration")),
            },
            _ => return Err(self.unexpected("a field")),
        };
        self.at += 1;
        Ok(field)
    }

    fn query(&mut self) -> Parsed<Query> {
        let pipeline = self.pipeline(true)?;
        let metrics = if self.accept("|") { Some(self.metrics()?) } else { None };
        let hints = if self.accept_word("with") { self.list(Parser::hint)? } else { Vec::new() };
        Ok(Query { pipeline, metrics, hints })
    }
    /// `name=value`
    fn hint(&mut self) -> Parsed<(String, Val<'static>)> {
        let name = self.word().to_owned();
        if name.is_empty() {
            return Err(self.unexpected("the name of a hint"));
        }
        self.at += 1;
        self.expect("=")?;
        Ok((name, self.literal()?))
    }
}
