//! Tokens → statements and expressions. The first error ends it, because what follows would be guessed.

use super::lexer::{Token, tokens};
use super::{Block, Body, DEPTH_MAX, Expression, HEIGHT_MAX, Kind, Operator, Place, SyntaxError, Word};

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> Result<Body, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let body = parser.body(&Token::End)?;
    Ok(body)
}

struct Parser {
    tokens: Vec<(Token, Place)>,
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, SyntaxError>;

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is the end, and nothing goes beyond it.
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }
    fn place(&self) -> Place {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Place { line: 1, column: 1 }, |(_, place)| *place)
    }
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }
    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }
    fn error<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(SyntaxError { at: self.place(), message: message.into() })
    }
    fn expect(&mut self, token: &Token, where_: &str) -> Read<()> {
        if self.take(token) { Ok(()) } else { self.error(format!("expected {} {where_}, not {}", token.describe(), self.peek().describe())) }
    }
    /// Goes one level down; `DEPTH_MAX` keeps the stack small whatever stands in the file.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= DEPTH_MAX {
            return self.error("this stands too deep");
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    fn body(&mut self, end: &Token) -> Read<Body> {
        let mut body = Body::default();
        loop {
            while self.take(&Token::Terminator) {}
            if self.take(end) {
                return Ok(body);
            }
            self.statement(&mut body)?;
            if self.peek() != end && !self.take(&Token::Terminator) {
                return self.error(format!("expected the end of the line, not {}", self.peek().describe()));
            }
        }
    }

    fn statement(&mut self, body: &mut Body) -> Read<()> {
        let at = self.place();
        let Token::Name(first) = self.peek().clone() else {
            return self.error(format!("expected the name of an attribute or a block, not {}", self.peek().describe()));
        };
        self.next();
        let (mut name, mut dotted) = (first, false);
        while self.take(&Token::Dot) {
            let Token::Name(part) = self.peek().clone() else {
                return self.error(format!("expected a name behind the dot, not {}", self.peek().describe()));
            };
            self.next();
            name.push('.');
            name.push_str(&part);
            dotted = true;
        }
        let word = Word { text: name.into(), at };
        if self.peek() == &Token::Assign {
            if dotted {
                return self.error(format!("{} cannot be set: names of attributes have no dots", word.text));
            }
            self.next();
            let value = self.expression()?;
            if body.attributes.iter().any(|(known, _)| known.text == word.text) {
                return Err(SyntaxError { at, message: format!("{} is set already", word.text) });
            }
            body.attributes.push((word, value));
            return Ok(());
        }
        let mut label = None;
        if let Token::Text(text) = self.peek().clone() {
            if !is_name(&text) {
                return self.error(format!("the label {text:?} must be a name: letters, digits and _"));
            }
            label = Some(Word { text: text.into(), at: self.place() });
            self.next();
        }
        if self.peek() != &Token::Open('{') {
            return self.error(format!("expected = or {{ behind {}, not {}", word.text, self.peek().describe()));
        }
        self.next();
        let inner = self.deeper(|parser| parser.body(&Token::Close('}')))?;
        body.blocks.push(Block { name: word, label, body: inner });
        Ok(())
    }

    fn expression(&mut self) -> Read<Expression> {
        self.deeper(|parser| parser.binary(1))
    }

    fn binary(&mut self, least: usize) -> Read<Expression> {
        let mut left = self.unary()?;
        loop {
            let Token::Operator(operator) = *self.peek() else { return Ok(left) };
            let precedence = operator.precedence();
            if precedence < least {
                return Ok(left);
            }
            self.next();
            // A power belongs to what stands right of it first.
            let right = if operator == Operator::Power { self.deeper(|parser| parser.binary(precedence))? } else { self.binary(precedence + 1)? };
            let at = left.at;
            left = make(Kind::Binary(operator, Box::new(left), Box::new(right)), at)?;
        }
    }

    fn unary(&mut self) -> Read<Expression> {
        let at = self.place();
        if self.take(&Token::Not) {
            let of = self.deeper(Self::unary)?;
            return make(Kind::Not(Box::new(of)), at);
        }
        if self.take(&Token::Operator(Operator::Minus)) {
            let of = self.deeper(Self::unary)?;
            return make(Kind::Minus(Box::new(of)), at);
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Read<Expression> {
        let mut of = self.primary()?;
        loop {
            let at = of.at;
            let kind = match self.peek() {
                Token::Dot => {
                    self.next();
                    let name_at = self.place();
                    let Token::Name(name) = self.peek().clone() else {
                        return self.error(format!("expected a name behind the dot, not {}", self.peek().describe()));
                    };
                    self.next();
                    Kind::Member(Box::new(of), Word { text: name.into(), at: name_at })
                }
                Token::Open('[') => {
                    self.next();
                    let index = self.expression()?;
                    self.expect(&Token::Close(']'), "behind the index")?;
                    Kind::Index(Box::new(of), Box::new(index))
                }
                Token::Open('(') => {
                    self.next();
                    Kind::Call(Box::new(of), self.list(')')?)
                }
                _ => break,
            };
            of = make(kind, at)?;
        }
        Ok(of)
    }

    fn primary(&mut self) -> Read<Expression> {
        let at = self.place();
        let kind = match self.peek().clone() {
            Token::Int(number) => Kind::Int(number),
            Token::Float(number) => Kind::Float(number),
            Token::Text(text) => Kind::Text(text.into()),
            Token::Name(name) => match name.as_str() {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "null" => Kind::Null,
                _ => Kind::Name(name.into()),
            },
            Token::Open('[') => {
                self.next();
                return make(Kind::List(self.list(']')?), at);
            }
            Token::Open('{') => {
                self.next();
                return make(Kind::Object(self.object()?), at);
            }
            Token::Open('(') => {
                self.next();
                let mut inner = self.expression()?;
                self.expect(&Token::Close(')'), "behind the expression")?;
                inner.at = at;
                return Ok(inner);
            }
            other => return self.error(format!("expected a value, not {}", other.describe())),
        };
        self.next();
        make(kind, at)
    }

    /// Expressions with commas between them, to the closing bracket.
    fn list(&mut self, close: char) -> Read<Vec<Expression>> {
        let mut items = Vec::new();
        loop {
            if self.take(&Token::Close(close)) {
                return Ok(items);
            }
            items.push(self.expression()?);
            self.comma(close)?;
        }
    }

    fn object(&mut self) -> Read<Vec<(Word, Expression)>> {
        let mut fields: Vec<(Word, Expression)> = Vec::new();
        loop {
            if self.take(&Token::Close('}')) {
                return Ok(fields);
            }
            let at = self.place();
            let (Token::Name(name) | Token::Text(name)) = self.peek().clone() else {
                return self.error(format!("expected the name of a field, not {}", self.peek().describe()));
            };
            self.next();
            self.expect(&Token::Assign, "behind the name of a field")?;
            let value = self.expression()?;
            if fields.iter().any(|(known, _)| *known.text == *name) {
                return Err(SyntaxError { at, message: format!("{name} is set already") });
            }
            fields.push((Word { text: name.into(), at }, value));
            self.comma('}')?;
        }
    }

    /// A comma, or the closing bracket, which stays.
    fn comma(&mut self, close: char) -> Read<()> {
        match self.peek() {
            Token::Comma => {
                self.next();
                Ok(())
            }
            Token::Close(c) if *c == close => Ok(()),
            Token::Terminator => self.error(format!("expected a comma at the end of the line, or {close} on it")),
            other => self.error(format!("expected a comma or {close}, not {}", other.describe())),
        }
    }
}

/// An expression that is not too high: whoever walks through it does so step by step on the stack.
fn make(kind: Kind, at: Place) -> Read<Expression> {
    let height = kind.height();
    if height > HEIGHT_MAX {
        return Err(SyntaxError { at, message: format!("this expression has more than {HEIGHT_MAX} steps") });
    }
    Ok(Expression { kind, at, height })
}

/// Whether a text is a name.
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
}
