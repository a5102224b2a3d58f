//! The lexer: text to tokens with byte positions. Names of attributes take nearly every character, so they are tokens of their own;
//! words mean nothing here.

use super::ast::Owner;
use super::error::ParseError;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word of the language, with a scope before a colon or without one.
    Word,
    /// Digits with whatever letters follow: a number or a duration.
    Number,
    /// A text in quotes.
    Text,
    /// An attribute and whose it is.
    Attribute(Owner, String),
    /// One of [`PUNCTUATION`].
    Mark,
    End,
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

/// Longer ones first where one begins another.
const PUNCTUATION: [&str; 36] = [
    "!>>", "!<<", "&>>", "&<<", "&&", "||", "!>", "!<", "!~", "!=", "&>", "&<", "&~", ">>", "<<", ">=", "<=", "=~", "=", ">", "<", "|", "~", "+", "-", "*",
    "/", "%", "^", "(", ")", "{", "}", ",", "!", ";",
];

/// Whether a character can be in the name of an attribute without quotes.
pub(super) fn plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',' | '"' | '`')
}

/// All tokens of a text with an end behind them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while lexer.step()? {}
    lexer.tokens.push(Token { kind: Kind::End, text: "", start: text.len() });
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn push(&mut self, kind: Kind, length: usize) {
        let text = self.rest().get(..length).unwrap_or("");
        self.tokens.push(Token { kind, text, start: self.at });
        self.at += length;
    }
    fn fail(&self, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, self.at, message)
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> Result<bool, ParseError> {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(false) };
        match c {
            c if c.is_whitespace() => self.at += c.len_utf8(),
            '/' if rest.starts_with("//") => self.at += rest.find('\n').unwrap_or(rest.len()),
            '"' | '`' => {
                let length = quoted_length(rest, c).ok_or_else(|| self.fail("syntax error: literal not terminated"))?;
                self.push(Kind::Text, length);
            }
            '0'..='9' => self.push(Kind::Number, number_length(rest)),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.push(Kind::Number, number_length(rest)),
            '.' => self.attribute(Owner::Any)?,
            'a'..='z' | 'A'..='Z' | '_' => self.word()?,
            _ => match PUNCTUATION.iter().find(|mark| rest.starts_with(**mark)) {
                Some(mark) => self.push(Kind::Mark, mark.len()),
                None => return Err(self.fail(format!("syntax error: unexpected character {c:?}"))),
            },
        }
        Ok(true)
    }

    fn word(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        // The longest one: `parent.span.` is more than `parent.`.
        let owner = Owner::ALL.into_iter().rev().find(|(owner, prefix)| *owner != Owner::Any && rest.starts_with(prefix));
        if let Some((owner, _)) = owner {
            return self.attribute(owner);
        }
        let part = |text: &str| text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let mut length = part(rest);
        if rest.as_bytes().get(length) == Some(&b':') {
            length += 1 + part(rest.get(length + 1..).unwrap_or(""));
        }
        self.push(Kind::Word, length);
        Ok(())
    }

    /// An attribute: what is in quotes is taken as it is, and quotes may begin and end anywhere in a name.
    fn attribute(&mut self, owner: Owner) -> Result<(), ParseError> {
        let prefix = owner.prefix().len();
        let (mut name, mut quoted, mut escaped, mut length) = (String::new(), false, false, prefix);
        for c in self.rest().get(prefix..).unwrap_or("").chars() {
            match c {
                '"' | '\\' if escaped => {
                    name.push(c);
                    escaped = false;
                }
                _ if escaped => return Err(self.fail("syntax error: invalid escape in the name of an attribute")),
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                c if quoted || plain(c) => name.push(c),
                _ => break,
            }
            length += c.len_utf8();
        }
        if quoted {
            return Err(self.fail("syntax error: the name of an attribute is not terminated"));
        }
        if name.is_empty() {
            return Err(self.fail("syntax error: an attribute without a name"));
        }
        self.push(Kind::Attribute(owner, name), length);
        Ok(())
    }
}

/// The bytes of a text in quotes.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            '\n' if quote == '"' => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The bytes of a number with its unit or exponent.
fn number_length(rest: &str) -> usize {
    let (mut length, mut before, mut numeric) = (0, ' ', true);
    for (at, c) in rest.char_indices() {
        let exponent = numeric && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | 'µ' | 'μ') || exponent) {
            break;
        }
        numeric &= c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        before = c;
        length = at + c.len_utf8();
    }
    length
}
