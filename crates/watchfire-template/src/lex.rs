//! The text of a template → tokens, after the rules of Go's `text/template/parse`: delimiters `{{` and `}}`, trim markers,
//! comments. It knows no grammar.

use super::error::{Position, Syntax};

/// A token with its place in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text outside of actions.
    Text,
    Left,
    Right,
    /// A run of blanks within an action; it separates arguments.
    Space,
    Identifier,
    Keyword,
    /// `.name`
    Field,
    /// `$name`
    Variable,
    Dot,
    Nil,
    Bool,
    Number,
    /// `'c'`
    Character,
    /// `"…"`
    Quoted,
    /// `` `…` ``
    Raw,
    Pipe,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
    End,
}

const KEYWORDS: [&str; 10] = ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Syntax> {
    let mut lexer = Lexer { text, at: 0, out: Vec::new() };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Vec<Token>,
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn wordy(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn push(&mut self, kind: Kind, len: usize) {
        let text = self.rest().get(..len).unwrap_or("").to_owned();
        self.out.push(Token { kind, text, at: self.at });
        self.at += len;
    }
    fn error<T>(&self, message: impl Into<String>) -> Result<T, Syntax> {
        Err(Syntax { at: Position::of(self.text, self.at), message: message.into() })
    }

    fn run(&mut self) -> Result<(), Syntax> {
        let mut trim_next = false;
        loop {
            let rest = self.rest();
            let text = rest.find("{{").map_or(rest, |n| rest.get(..n).unwrap_or(rest));
            let ends = text.len() == rest.len();
            let skipped = if trim_next { text.len() - text.trim_start_matches(blank).len() } else { 0 };
            let trims = !ends && self.trims_before(self.at + text.len() + 2);
            let kept = text.get(skipped..).unwrap_or("");
            let kept = if trims { kept.trim_end_matches(blank) } else { kept };
            if !kept.is_empty() {
                self.out.push(Token { kind: Kind::Text, text: kept.to_owned(), at: self.at + skipped });
            }
            self.at += text.len();
            if ends {
                self.push(Kind::End, 0);
                return Ok(());
            }
            trim_next = self.action(trims)?;
        }
    }

    /// Whether a marker there trims the text before it.
    fn trims_before(&self, at: usize) -> bool {
        let mut chars = self.text.get(at..).unwrap_or("").chars();
        chars.next() == Some('-') && chars.next().is_some_and(blank)
    }
    /// How long the end of an action is, and whether it trims what follows.
    fn right(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        let trimmed = rest.strip_prefix(blank).and_then(|r| r.strip_prefix('-'));
        match trimmed.is_some_and(|r| r.starts_with("}}")) {
            true => Some((4, true)),
            false => rest.starts_with("}}").then_some((2, false)),
        }
    }

    /// One action; returns whether it trims the text behind it.
    fn action(&mut self, trims: bool) -> Result<bool, Syntax> {
        let start = self.at;
        self.at += if trims { 4 } else { 2 };
        if self.rest().starts_with("/*") {
            return self.comment();
        }
        self.out.push(Token { kind: Kind::Left, text: "{{".into(), at: start });
        let mut depth = 0_usize;
        loop {
            if let Some((len, trim)) = self.right() {
                if depth > 0 {
                    return self.error("unclosed left paren");
                }
                self.out.push(Token { kind: Kind::Right, text: "}}".into(), at: self.at });
                self.at += len;
                return Ok(trim);
            }
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return self.error("unclosed action") };
            match c {
                _ if blank(c) => {
                    let mut len = rest.len() - rest.trim_start_matches(blank).len();
                    // The blank of a trim marker belongs to the marker.
                    if rest.get(len..).is_some_and(|r| r.starts_with("-}}")) {
                        len -= 1;
                    }
                    if len > 0 {
                        self.push(Kind::Space, len);
                    }
                }
                ':' if rest.starts_with(":=") => self.push(Kind::Declare, 2),
                ':' => return self.error("expected :="),
                '=' => self.push(Kind::Assign, 1),
                '|' => self.push(Kind::Pipe, 1),
                ',' => self.push(Kind::Comma, 1),
                '(' => {
                    depth += 1;
                    self.push(Kind::Open, 1);
                }
                ')' if depth == 0 => return self.error("unexpected right paren"),
                ')' => {
                    depth -= 1;
                    self.push(Kind::Close, 1);
                }
                '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::Character, "unterminated character constant")?,
                '`' => match rest.get(1..).and_then(|r| r.find('`')) {
                    Some(n) => self.push(Kind::Raw, n + 2),
                    None => return self.error("unterminated raw quoted string"),
                },
                '.' if !rest.get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())) => self.word('.', Kind::Field, Kind::Dot)?,
                '$' => self.word('$', Kind::Variable, Kind::Variable)?,
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                _ if wordy(c) => self.identifier()?,
                _ => return self.error(format!("unrecognized character in action: {}", named(c))),
            }
        }
    }

    fn comment(&mut self) -> Result<bool, Syntax> {
        let Some(len) = self.rest().find("*/") else { return self.error("unclosed comment") };
        self.at += len + 2;
        match self.right() {
            Some((len, trim)) => {
                self.at += len;
                Ok(trim)
            }
            None => self.error("comment ends before closing delimiter"),
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), Syntax> {
        let mut escaped = false;
        for (n, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    self.push(kind, n + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.error(unterminated)
    }

    /// A name behind `.` or `$`; without one it is the sign itself.
    fn word(&mut self, sign: char, named: Kind, alone: Kind) -> Result<(), Syntax> {
        let rest = self.rest().get(sign.len_utf8()..).unwrap_or("");
        let len = rest.len() - rest.trim_start_matches(wordy).len();
        self.push(if len == 0 { alone } else { named }, sign.len_utf8() + len);
        self.terminated()
    }

    fn identifier(&mut self) -> Result<(), Syntax> {
        let rest = self.rest();
        let len = rest.len() - rest.trim_start_matches(wordy).len();
        let kind = match rest.get(..len).unwrap_or("") {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.push(kind, len);
        self.terminated()
    }

    fn number(&mut self) -> Result<(), Syntax> {
        let rest = self.rest();
        let mut len = rest.len() - rest.strip_prefix(['+', '-']).unwrap_or(rest).len();
        let body = rest.get(len..).unwrap_or("");
        let hex = ["0x", "0X"].iter().any(|p| body.starts_with(p));
        let mut before = ' ';
        for c in body.chars() {
            let exponent = if hex { matches!(before, 'p' | 'P') } else { matches!(before, 'e' | 'E') };
            if !(wordy(c) || c == '.' || (exponent && matches!(c, '+' | '-'))) {
                break;
            }
            len += c.len_utf8();
            before = c;
        }
        let text = rest.get(..len).unwrap_or("");
        if super::number::parse(text).is_none() {
            return self.error(format!("bad number syntax: {text:?}"));
        }
        self.push(Kind::Number, len);
        Ok(())
    }

    /// Words and fields must not run into something else.
    fn terminated(&self) -> Result<(), Syntax> {
        match self.rest().chars().next() {
            Some(c) if !(blank(c) || matches!(c, '.' | ',' | '|' | ':' | '(' | ')' | '=') || self.rest().starts_with("}}")) => {
                self.error(format!("bad character {}", named(c)))
            }
            _ => Ok(()),
        }
    }
}

/// A character as Go's `%#U` writes it.
fn named(c: char) -> String {
    format!("U+{:04X} '{c}'", c as u32)
}
