//! The lexer: text to tokens with byte positions. Words mean nothing here; the parser knows where a word is one of the language's.

use super::error::ParseError;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a word of the language.
    Word,
    /// Digits with whatever letters follow: a number, a duration or a size.
    Number,
    /// A text in quotes.
    Text,
    /// `--strict`
    Flag,
    /// One of [`PUNCTUATION`].
    Mark,
    End,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

/// Longer ones first where one begins another.
const PUNCTUATION: [&str; 30] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "|", "=", ">", "<", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[", "]", ",", ":", "@",
    "!",
];

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

    /// Reads one token; false at the end.
    fn step(&mut self) -> Result<bool, ParseError> {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(false) };
        match c {
            ' ' | '\t' | '\r' | '\n' => self.at += 1,
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            '"' | '`' => {
                let length = quoted_length(rest, c).map_err(|message| ParseError::at(self.text, self.at, message))?;
                self.push(Kind::Text, length);
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                self.push(Kind::Word, rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count());
            }
            '0'..='9' => self.push(Kind::Number, number_length(rest)),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.push(Kind::Number, number_length(rest)),
            '-' if rest.as_bytes().get(1) == Some(&b'-') && rest.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic) => {
                let name = rest.bytes().skip(2).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
                self.push(Kind::Flag, name + 2);
            }
            _ => match PUNCTUATION.iter().find(|mark| rest.starts_with(**mark)) {
                Some(mark) => self.push(Kind::Mark, mark.len()),
                None => return Err(ParseError::at(self.text, self.at, format!("syntax error: unexpected character {c:?}"))),
            },
        }
        Ok(true)
    }
}

/// The bytes of a text in quotes.
fn quoted_length(rest: &str, quote: char) -> Result<usize, &'static str> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            '\n' if quote == '"' => break,
            c if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err("syntax error: literal not terminated")
}

/// The bytes of a number with its unit or exponent.
fn number_length(rest: &str) -> usize {
    let mut length = 0;
    let mut before = ' ';
    let mut numeric = true;
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    for (at, c) in rest.char_indices() {
        let exponent = !hexadecimal && numeric && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | 'µ' | 'μ') || exponent) {
            break;
        }
        numeric &= c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        before = c;
        length = at + c.len_utf8();
    }
    length
}
