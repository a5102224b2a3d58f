//! The lexer: text to tokens with byte positions. Inside braces and brackets other rules hold, as in Prometheus.
//! It stops at the first error; the parser reports it when it gets there.

use super::ast::{AggregateOp, BinaryOp};

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
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, start: 0, tokens: Vec::new(), paren_depth: 0, in_braces: false, in_brackets: false, got_colon: false };
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

    fn number_or_duration(&mut self) -> Step {
        let kind = if self.scan_number() {
            Kind::Number
        } else if self.scan_duration() {
            Kind::Duration
        } else {
            return Err(format!("bad number or duration syntax: {}", watchfire_model::labels::quoted(self.word())));
        };
        self.emit(kind);
        Ok(())
    }

    /// Decimal, hexadecimal, octal or float with `_` between digits. On failure it stays where it got stuck,
    /// for a duration to go on from there.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept(b'0') && (self.accept(b'x') || self.accept(b'X'));
        let digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let (mut dot, mut exponent) = (false, false);
        loop {
            self.accept_while(digit);
            let Some(next) = self.peek() else { break };
            match next {
                b'.' => {
                    self.at += 1;
                    if dot || hex || self.accept(b'_') || self.accept(b'.') {
                        return false;
                    }
                    dot = true;
                }
                b'e' | b'E' if !hex => {
                    self.at += 1;
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    if !self.accept(b'+') {
                        self.accept(b'-');
                    }
                    if self.stuck_after_sign() {
                        return false;
                    }
                }
                b'_' => {
                    self.at += 1;
                    if self.stuck_after_sign() {
                        return false;
                    }
                }
                _ => break,
            }
        }
        !self.peek().is_some_and(is_alnum)
    }

    /// After an exponent or a separator a digit must follow.
    fn stuck_after_sign(&mut self) -> bool {
        match self.peek() {
            Some(b'.' | b'_' | b'e' | b'E') => {
                self.at += 1;
                true
            }
            other => other.is_none(),
        }
    }

    /// The units of a duration whose first digits have been read.
    fn scan_duration(&mut self) -> bool {
        let mut first = true;
        loop {
            // Years can only come first.
            match self.peek() {
                Some(b's' | b'm' | b'h' | b'd' | b'w') => {}
                Some(b'y') if first => {}
                _ => return false,
            }
            first = false;
            self.at += 1;
            self.accept(b's');
            if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
                break;
            }
            self.accept_while(|b| b.is_ascii_digit());
        }
        let clean = !self.peek().is_some_and(is_alnum);
        if !clean {
            self.next_char();
        }
        clean
    }

    fn string(&mut self, quote: char) -> Step {
        self.at += 1;
        loop {
            match self.next_char() {
                Some(c) if c == quote => break,
                None if quote == '`' => return Err("unterminated raw string".to_owned()),
                None => return Err("unterminated quoted string".to_owned()),
                Some('\n') if quote != '`' => return Err("unterminated quoted string".to_owned()),
                Some('\\') if quote != '`' => self.escape(quote)?,
                Some(_) => {}
            }
        }
        self.emit(Kind::String);
        Ok(())
    }

    fn escape(&mut self, quote: char) -> Step {
        let terminated = |c: Option<char>| c.ok_or_else(|| "escape sequence not terminated".to_owned());
        let c = terminated(self.next_char())?;
        let (mut digits, base, max) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, 0x10_ffff),
            'U' => (8, 16, 0x10_ffff),
            c => return Err(format!("unknown escape sequence U+{:04X} '{c}'", c as u32)),
        };
        let mut code = 0u64;
        while digits > 0 {
            let c = terminated(self.next_char())?;
            let digit = c.to_digit(base).ok_or_else(|| format!("illegal character U+{:04X} '{c}' in escape sequence", c as u32))?;
            code = code * u64::from(base) + u64::from(digit);
            digits -= 1;
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}

/// The meaning of a reserved word; case does not matter.
pub(super) fn keyword(word: &str) -> Option<Kind> {
    let lower = word.to_ascii_lowercase();
    if let Some(op) = AggregateOp::from_name(&lower) {
        return Some(Kind::Aggregator(op));
    }
    Some(match lower.as_str() {
        "and" => Kind::Op(BinaryOp::And),
        "or" => Kind::Op(BinaryOp::Or),
        "unless" => Kind::Op(BinaryOp::Unless),
        "atan2" => Kind::Op(BinaryOp::Atan2),
        "inf" | "nan" => Kind::Number,
        "bool" => Kind::Keyword(Keyword::Bool),
        "by" => Kind::Keyword(Keyword::By),
        "without" => Kind::Keyword(Keyword::Without),
        "on" => Kind::Keyword(Keyword::On),
        "ignoring" => Kind::Keyword(Keyword::Ignoring),
        "group_left" => Kind::Keyword(Keyword::GroupLeft),
        "group_right" => Kind::Keyword(Keyword::GroupRight),
        "fill" => Kind::Keyword(Keyword::Fill),
        "fill_left" => Kind::Keyword(Keyword::FillLeft),
        "fill_right" => Kind::Keyword(Keyword::FillRight),
        "offset" => Kind::Keyword(Keyword::Offset),
        "anchored" => Kind::Keyword(Keyword::Anchored),
        "smoothed" => Kind::Keyword(Keyword::Smoothed),
        "start" => Kind::Keyword(Keyword::Start),
        "end" => Kind::Keyword(Keyword::End),
        "step" => Kind::Keyword(Keyword::Step),
        "range" => Kind::Keyword(Keyword::Range),
        _ => return None,
    })
}

/// The value of a string token, quotes included: escapes are resolved unless it is a raw one.
pub(super) fn unquote(token: &str) -> Result<String, String> {
    let mut chars = token.chars();
    let quote = chars.next();
    chars.next_back();
    if quote == Some('`') {
        return Ok(chars.as_str().to_owned());
    }
    let mut out: Vec<u8> = Vec::with_capacity(token.len());
    while let Some(c) = chars.next() {
        if c != '\\' {
            push_char(&mut out, c);
            continue;
        }
        match chars.next() {
            Some('a') => out.push(0x07),
            Some('b') => out.push(0x08),
            Some('f') => out.push(0x0c),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('v') => out.push(0x0b),
            Some('x') => out.push(digits(&mut chars, 2, 16, 0) as u8),
            Some(c @ '0'..='7') => out.push(digits(&mut chars, 2, 8, c as u32 - '0' as u32) as u8),
            Some('u') => push_char(&mut out, char::from_u32(digits(&mut chars, 4, 16, 0)).unwrap_or('\u{fffd}')),
            Some('U') => push_char(&mut out, char::from_u32(digits(&mut chars, 8, 16, 0)).unwrap_or('\u{fffd}')),
            Some(c) => push_char(&mut out, c),
            None => {}
        }
    }
    String::from_utf8(out).map_err(|_| "invalid UTF-8".to_owned())
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, base: u32, first: u32) -> u32 {
    let mut code = first;
    for c in chars.by_ref().take(count) {
        code = code.wrapping_mul(base).wrapping_add(c.to_digit(base).unwrap_or(0));
    }
    code
}
