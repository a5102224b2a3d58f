//! Literals: numbers, durations and strings as tokens, and the value of a string token.

use super::{Kind, Lexer, Step, is_alnum};

impl Lexer<'_> {
    pub(super) fn number_or_duration(&mut self) -> Step {
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
        if hex {
            self.accept(b'_');
        }
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

    pub(super) fn string(&mut self, quote: char) -> Step {
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

/// The value of a string token, quotes included: escapes are resolved unless it is a raw one.
pub(in crate::promql) fn unquote(token: &str) -> Result<String, String> {
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
