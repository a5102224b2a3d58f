//! Text → tokens with places. As in Go, the end of a line ends a statement where one could end there. Comments leave nothing behind.

use super::text::unescape;
use super::{FILE_BYTES_MAX, Operator, Place, SyntaxError};

/// The most tokens of one file.
const TOKENS_MAX: usize = 1_000_000;

/// The smallest parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    Operator(Operator),
    Not,
    Assign,
    Dot,
    Comma,
    Open(char),
    Close(char),
    /// The end of a line that may end a statement.
    Terminator,
    End,
}
impl Token {
    /// What to call it in a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("{name:?}"),
            Token::Int(_) | Token::Float(_) => "a number".to_owned(),
            Token::Text(_) => "a text".to_owned(),
            Token::Operator(operator) => operator.sign().to_owned(),
            Token::Not => "!".to_owned(),
            Token::Assign => "=".to_owned(),
            Token::Dot => ".".to_owned(),
            Token::Comma => ",".to_owned(),
            Token::Open(c) | Token::Close(c) => c.to_string(),
            Token::Terminator => "the end of the line".to_owned(),
            Token::End => "the end of the file".to_owned(),
        }
    }
    /// Whether a statement can end behind it.
    fn may_end(&self) -> bool {
        matches!(self, Token::Name(_) | Token::Int(_) | Token::Float(_) | Token::Text(_) | Token::Close(_))
    }
}

/// All tokens; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Place)>, SyntaxError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(SyntaxError { at: Place { line: 1, column: 1 }, message: format!("the file has more than {FILE_BYTES_MAX} bytes") });
    }
    let mut lexer =
        Lexer { chars: text.strip_prefix('\u{feff}').unwrap_or(text).chars().collect(), at: 0, place: Place { line: 1, column: 1 }, out: Vec::new() };
    while lexer.step()? {
        if lexer.out.len() > TOKENS_MAX {
            return Err(lexer.error(lexer.place, "the file has too many words"));
        }
    }
    let end = lexer.place;
    lexer.end_line(end);
    lexer.out.push((Token::End, end));
    Ok(lexer.out)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    place: Place,
    out: Vec<(Token, Place)>,
}

impl Lexer {
    fn error(&self, at: Place, message: impl Into<String>) -> SyntaxError {
        SyntaxError { at, message: message.into() }
    }
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }
    fn advance(&mut self, count: usize) {
        for _ in 0..count {
            let Some(c) = self.chars.get(self.at) else { return };
            self.at += 1;
            if *c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
    }
    fn end_line(&mut self, at: Place) {
        if self.out.last().is_some_and(|(token, _)| token.may_end()) {
            self.out.push((Token::Terminator, at));
        }
    }
    /// Takes one token, or what stands between tokens; tells whether there may be more.
    fn step(&mut self) -> Result<bool, SyntaxError> {
        let Some(c) = self.peek(0) else { return Ok(false) };
        let place = self.place;
        match c {
            '\n' => {
                self.end_line(place);
                self.advance(1);
            }
            ' ' | '\t' | '\r' => self.advance(1),
            '/' if matches!(self.peek(1), Some('/' | '*')) => self.comment()?,
            '"' => self.quoted()?,
            '`' => self.raw()?,
            c if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) => self.number()?,
            c if c.is_alphabetic() || c == '_' => {
                let start = self.at;
                while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.advance(1);
                }
                let name = self.chars.get(start..self.at).unwrap_or(&[]).iter().collect();
                self.out.push((Token::Name(name), place));
            }
            c => self.sign(c)?,
        }
        Ok(true)
    }

    fn comment(&mut self) -> Result<(), SyntaxError> {
        let place = self.place;
        if self.peek(1) == Some('/') {
            while self.peek(0).is_some_and(|c| c != '\n') {
                self.advance(1);
            }
            return Ok(());
        }
        self.advance(2);
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('*'), Some('/')) => break,
                (Some('\n'), _) => {
                    self.end_line(place);
                    self.advance(1);
                }
                (Some(_), _) => self.advance(1),
                (None, _) => return Err(self.error(place, "the comment has no end")),
            }
        }
        self.advance(2);
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), SyntaxError> {
        let place = self.place;
        self.advance(1);
        let start = self.at;
        loop {
            match self.peek(0) {
                Some('"') => break,
                Some('\\') => self.advance(2),
                Some('\n') | None => return Err(self.error(place, "the text has no closing \" on its line; texts of several lines stand between backticks")),
                Some(_) => self.advance(1),
            }
        }
        let inside = self.chars.get(start..self.at).unwrap_or(&[]);
        let text = unescape(inside).map_err(|(at, why)| self.error(Place { line: place.line, column: place.column + 1 + at }, why))?;
        self.advance(1);
        self.out.push((Token::Text(text), place));
        Ok(())
    }

    fn raw(&mut self) -> Result<(), SyntaxError> {
        let place = self.place;
        self.advance(1);
        let start = self.at;
        while self.peek(0).is_some_and(|c| c != '`') {
            self.advance(1);
        }
        if self.peek(0).is_none() {
            return Err(self.error(place, "the text has no closing backtick"));
        }
        let text = self.chars.get(start..self.at).unwrap_or(&[]).iter().filter(|c| **c != '\r').collect();
        self.advance(1);
        self.out.push((Token::Text(text), place));
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let (place, start) = (self.place, self.at);
        let mut before = ' ';
        while let Some(c) = self.peek(0) {
            let exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            if !(c.is_ascii_alphanumeric() || c == '.' || exponent_sign) {
                break;
            }
            before = c;
            self.advance(1);
        }
        let text: String = self.chars.get(start..self.at).unwrap_or(&[]).iter().collect();
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let token = match hexadecimal {
            Some(digits) => i64::from_str_radix(digits, 16).ok().map(Token::Int),
            None => text.parse().ok().map(Token::Int).or_else(|| text.parse().ok().map(Token::Float)),
        };
        let token = token.ok_or_else(|| self.error(place, format!("{text} is no number")))?;
        self.out.push((token, place));
        Ok(())
    }

    fn sign(&mut self, c: char) -> Result<(), SyntaxError> {
        let (token, length) = match (c, self.peek(1)) {
            ('|', Some('|')) => (Token::Operator(Operator::Or), 2),
            ('&', Some('&')) => (Token::Operator(Operator::And), 2),
            ('=', Some('=')) => (Token::Operator(Operator::Equal), 2),
            ('!', Some('=')) => (Token::Operator(Operator::Unequal), 2),
            ('<', Some('=')) => (Token::Operator(Operator::LessOrEqual), 2),
            ('>', Some('=')) => (Token::Operator(Operator::GreaterOrEqual), 2),
            ('<', _) => (Token::Operator(Operator::Less), 1),
            ('>', _) => (Token::Operator(Operator::Greater), 1),
            ('+', _) => (Token::Operator(Operator::Plus), 1),
            ('-', _) => (Token::Operator(Operator::Minus), 1),
            ('*', _) => (Token::Operator(Operator::Times), 1),
            ('/', _) => (Token::Operator(Operator::Divide), 1),
            ('%', _) => (Token::Operator(Operator::Modulo), 1),
            ('^', _) => (Token::Operator(Operator::Power), 1),
            ('!', _) => (Token::Not, 1),
            ('=', _) => (Token::Assign, 1),
            ('.', _) => (Token::Dot, 1),
            (',', _) => (Token::Comma, 1),
            ('{' | '[' | '(', _) => (Token::Open(c), 1),
            ('}' | ']' | ')', _) => (Token::Close(c), 1),
            ('#', _) => return Err(self.error(self.place, "# begins no comment here; write // or /* … */")),
            ('\'', _) => return Err(self.error(self.place, "texts stand between double quotes or backticks")),
            (other, _) => return Err(self.error(self.place, format!("{other:?} has no meaning here"))),
        };
        self.out.push((token, self.place));
        self.advance(length);
        Ok(())
    }
}
