//! The lexer: text to tokens with byte positions. Inside braces and brackets other rules hold, as in Prometheus.
//! It stops at the first error; the parser reports it when it gets there.

mod keywords;
mod literals;

use super::ast::{AggregateOp, BinaryOp};

pub(super) use keywords::keyword;
pub(super) use literals::unquote;

/// Words with a meaning in some places; most are also allowed as metric and label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Anchored,
    Smoothed,
    Start,
    End,
    Step,
    Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Error,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Assign,
    RegexMatch,
    RegexNoMatch,
    At,
    Op(BinaryOp),
    Keyword(Keyword),
    Aggregator(AggregateOp),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All tokens up to the end or the first error, whose text is `error`.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) error: String,
}

pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer =
        Lexer { text, bytes: text.as_bytes(), at: 0, start: 0, tokens: Vec::new(), paren_depth: 0, in_braces: false, in_brackets: false, got_colon: false };
    let error = match lexer.run() {
        Ok(()) => String::new(),
        Err(message) => {
            lexer.emit(Kind::Error);
            message
        }
    };
    Lexed { tokens: lexer.tokens, error }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    start: usize,
    tokens: Vec<Token>,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    got_colon: bool,
}

type Step<T = ()> = Result<T, String>;

/// A character the way Go's `%q` shows it; the end of the text is a replacement character there.
fn shown(c: Option<char>) -> String {
    match c {
        Some('\'') => r"'\''".to_owned(),
        Some('\\') => r"'\\'".to_owned(),
        Some('\n') => r"'\n'".to_owned(),
        Some('\t') => r"'\t'".to_owned(),
        Some('\r') => r"'\r'".to_owned(),
        Some(c) if (c as u32) < 0x20 || c as u32 == 0x7f => format!("'\\x{:02x}'", c as u32),
        Some(c) => format!("'{c}'"),
        None => "'\u{fffd}'".to_owned(),
    }
}

fn is_alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
    fn peek_char(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }
    fn next_char(&mut self) -> Option<char> {
        let c = self.peek_char()?;
        self.at += c.len_utf8();
        Some(c)
    }
    fn accept(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }
    fn accept_while(&mut self, test: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&test) {
            self.at += 1;
        }
    }
    fn emit(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, start: self.start, end: self.at });
        self.start = self.at;
    }
    fn word(&self) -> &str {
        self.text.get(self.start..self.at).unwrap_or("")
    }

    fn run(&mut self) -> Step {
        loop {
            self.accept_while(is_space);
            self.start = self.at;
            if self.peek() == Some(b'#') {
                self.accept_while(|b| b != b'\n' && b != b'\r');
                continue;
            }
            let Some(c) = self.peek_char() else { return self.finish() };
            if self.in_braces {
                self.inside_braces(c)?;
            } else if self.in_brackets {
                self.inside_brackets(c)?;
            } else {
                self.statement(c)?;
            }
        }
    }

    fn finish(&mut self) -> Step {
        if self.in_braces {
            return Err("unexpected end of input inside braces".to_owned());
        }
        if self.in_brackets && !self.after_value() {
            return Err("unexpected end of input in duration expression".to_owned());
        }
        if self.paren_depth != 0 {
            return Err("unclosed left parenthesis".to_owned());
        }
        if self.in_brackets {
            return Err("unclosed left bracket".to_owned());
        }
        self.emit(Kind::End);
        Ok(())
    }

    fn inside_braces(&mut self, c: char) -> Step {
        match c {
            '_' | 'a'..='z' | 'A'..='Z' => {
                self.accept_while(is_alnum);
                self.emit(Kind::Identifier);
            }
            '"' | '\'' | '`' => self.string(c)?,
            ',' => self.single(Kind::Comma),
            '=' => {
                self.at += 1;
                let regex = self.accept(b'~');
                self.emit(if regex { Kind::RegexMatch } else { Kind::Assign });
            }
            '!' => {
                self.at += 1;
                match self.next_char() {
                    Some('~') => self.emit(Kind::RegexNoMatch),
                    Some('=') => self.emit(Kind::Op(BinaryOp::NotEqual)),
                    other => return Err(format!("unexpected character after '!' inside braces: {}", shown(other))),
                }
            }
            '{' => return Err(format!("unexpected left brace {}", shown(Some(c)))),
            '}' => {
                self.single(Kind::RightBrace);
                self.in_braces = false;
            }
            _ => return Err(format!("unexpected character inside braces: {}", shown(Some(c)))),
        }
        Ok(())
    }

    /// Whether a value or the colon of a subquery stands before: from there on messages are those of plain text.
    fn after_value(&self) -> bool {
        matches!(self.tokens.last().map(|t| t.kind), Some(Kind::Number | Kind::Duration | Kind::Colon))
    }

    fn inside_brackets(&mut self, c: char) -> Step {
        let after_value = self.after_value();
        match c {
            ']' => {
                self.single(Kind::RightBracket);
                self.in_brackets = false;
            }
            ':' if self.got_colon => return Err(format!("unexpected colon {}", shown(Some(c)))),
            ':' => {
                self.got_colon = true;
                self.single(Kind::Colon);
            }
            '_' | 'a'..='z' | 'A'..='Z' => {
                self.accept_while(is_alnum);
                let kind = match self.word().to_ascii_lowercase().as_str() {
                    "step" => Kind::Keyword(Keyword::Step),
                    "range" => Kind::Keyword(Keyword::Range),
                    "min_of" | "max_of" => Kind::Identifier,
                    _ if after_value => return Err(format!("unexpected character: {}, expected ':'", shown(Some(c)))),
                    _ => return Err(format!("unexpected character in duration expression: {}", shown(Some(c)))),
                };
                self.emit(kind);
            }
            '(' | ')' | '+' | '-' | '*' | '/' | '%' | '^' | ',' | '0'..='9' | '.' => self.statement(c)?,
            _ if after_value => return Err(format!("unexpected character: {}", shown(Some(c)))),
            _ => return Err(format!("unexpected character in duration expression: {}", shown(Some(c)))),
        }
        Ok(())
    }

    fn single(&mut self, kind: Kind) {
        self.at += 1;
        self.emit(kind);
    }

    fn statement(&mut self, c: char) -> Step {
        match c {
            ',' => self.single(Kind::Comma),
            '@' => self.single(Kind::At),
            '(' => {
                self.paren_depth += 1;
                self.single(Kind::LeftParen);
            }
            ')' => {
                self.single(Kind::RightParen);
                match self.paren_depth.checked_sub(1) {
                    Some(depth) => self.paren_depth = depth,
                    None => {
                        self.tokens.pop();
                        return Err(format!("unexpected right parenthesis {}", shown(Some(c))));
                    }
                }
            }
            '{' => {
                self.in_braces = true;
                self.single(Kind::LeftBrace);
            }
            '[' => {
                self.in_brackets = true;
                self.got_colon = false;
                self.single(Kind::LeftBracket);
            }
            ']' => return Err(format!("unexpected right bracket {}", shown(Some(c)))),
            '"' | '\'' | '`' => self.string(c)?,
            '_' | ':' | 'a'..='z' | 'A'..='Z' => self.keyword_or_identifier(),
            '0'..='9' => self.number_or_duration()?,
            '.' if self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) => self.number_or_duration()?,
            _ => self.operator(c)?,
        }
        Ok(())
    }

    fn operator(&mut self, c: char) -> Step {
        let op = match c {
            '+' => BinaryOp::Add,
            '-' => BinaryOp::Sub,
            '*' => BinaryOp::Mul,
            '%' => BinaryOp::Mod,
            '^' => BinaryOp::Pow,
            '/' => BinaryOp::Div,
            '=' | '!' | '<' | '>' => return self.comparison(c),
            _ => return Err(format!("unexpected character: {}", shown(Some(c)))),
        };
        self.single(Kind::Op(op));
        Ok(())
    }

    fn comparison(&mut self, c: char) -> Step {
        self.at += 1;
        let op = match (c, self.peek()) {
            ('=', Some(b'=')) => BinaryOp::Equal,
            ('=', Some(b'~')) => return Err("unexpected character after '=': '~'".to_owned()),
            ('=', _) => {
                self.emit(Kind::Assign);
                return Ok(());
            }
            ('!', Some(b'=')) => BinaryOp::NotEqual,
            ('!', _) => {
                let next = self.next_char();
                return Err(format!("unexpected character after '!': {}", shown(next)));
            }
            ('<', Some(b'=')) => BinaryOp::LessOrEqual,
            ('<', Some(b'/')) => BinaryOp::TrimUpper,
            ('>', Some(b'=')) => BinaryOp::GreaterOrEqual,
            ('>', Some(b'/')) => BinaryOp::TrimLower,
            ('<', _) => BinaryOp::Less,
            _ => BinaryOp::Greater,
        };
        if !matches!(op, BinaryOp::Less | BinaryOp::Greater) {
            self.at += 1;
        }
        self.emit(Kind::Op(op));
        Ok(())
    }

    fn keyword_or_identifier(&mut self) {
        self.accept_while(|b| is_alnum(b) || b == b':');
        let kind = match keyword(self.word()) {
            Some(Kind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) if !self.paren_follows() => Kind::Identifier,
            Some(kind) => kind,
            None if self.word().contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        };
        self.emit(kind);
    }

    fn paren_follows(&self) -> bool {
        self.bytes.iter().skip(self.at).find(|b| !is_space(**b)) == Some(&b'(')
    }
}
