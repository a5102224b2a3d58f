//! Where the words of a text end, before any merging: the patterns that the encodings prescribe, as scanners by hand. A word's
//! end depends only on what follows it, so a text is cut in one pass. Nothing here knows a vocabulary.

mod cl100k;
mod gpt2;
mod o200k;
#[cfg(test)]
mod tests;

use crate::classes::{Classes, NEWLINE, NUMBER, SPACE};

pub(crate) use cl100k::Cl100k;
pub(crate) use gpt2::Gpt2;
pub(crate) use o200k::O200k;

/// Cuts words off the front of a text.
pub(crate) trait Split {
    /// Where the word that begins at `at` ends. `at` lies before the end of the text and on the boundary of a character; so does
    /// the answer, which is greater.
    fn end(&self, text: &Scan<'_>, at: usize) -> usize;
}

/// A text, looked at by classes of characters.
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    classes: &'static Classes,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Scan<'a> {
        Scan { bytes: text.as_bytes(), classes: Classes::shared() }
    }
    /// The byte at a place; zero behind the end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }
    /// The class of the character at a place and where the next one begins; no class behind the end.
    #[inline]
    fn class(&self, at: usize) -> (u8, usize) {
        match self.bytes.get(at) {
            Some(byte) if *byte < 128 => (self.classes.ascii(*byte), at + 1),
            Some(byte) => self.class_of_longer(*byte, at),
            None => (0, at),
        }
    }
    fn class_of_longer(&self, first: u8, at: usize) -> (u8, usize) {
        let low = |n: usize| u32::from(self.byte(at + n) & 0x3f);
        let first = u32::from(first);
        match first {
            0xf0.. => (self.classes.of((first & 7) << 18 | low(1) << 12 | low(2) << 6 | low(3)), at + 4),
            0xe0.. => (self.classes.of((first & 15) << 12 | low(1) << 6 | low(2)), at + 3),
            _ => (self.classes.of((first & 31) << 6 | low(1)), at + 2),
        }
    }
    /// The first place from `at` on whose character has none of the classes.
    #[inline]
    fn run(&self, mut at: usize, classes: u8) -> usize {
        loop {
            let (class, next) = self.class(at);
            if class & classes == 0 {
                return at;
            }
            at = next;
        }
    }
    /// The end of at most `count` numbers.
    fn numbers(&self, mut at: usize, count: usize) -> usize {
        for _ in 0..count {
            let (class, next) = self.class(at);
            if class & NUMBER == 0 {
                break;
            }
            at = next;
        }
        at
    }
    /// The end of `'s`, `'t`, `'re` and their like, when one begins here. Without regard to case, the long s of old prints (ſ)
    /// is an s.
    fn contraction(&self, at: usize, any_case: bool) -> Option<usize> {
        if self.byte(at) != b'\'' {
            return None;
        }
        let letter = |n: usize| if any_case { self.byte(at + n).to_ascii_lowercase() } else { self.byte(at + n) };
        match (letter(1), letter(2)) {
            (b's' | b'd' | b'm' | b't', _) => Some(at + 2),
            (b'l', b'l') | (b'v' | b'r', b'e') => Some(at + 3),
            (0xc5, 0xbf) if any_case => Some(at + 3),
            _ => None,
        }
    }
    /// The white space that begins here.
    fn white_space(&self, at: usize) -> WhiteSpace {
        let mut run = WhiteSpace { begin: at, end: at, last: at, after_newline: None, ends_text: false };
        loop {
            let (class, next) = self.class(run.end);
            if class & SPACE == 0 {
                run.ends_text = run.end == self.bytes.len();
                return run;
            }
            (run.last, run.end) = (run.end, next);
            if class & NEWLINE != 0 {
                run.after_newline = Some(next);
            }
        }
    }
}

/// A run of white space.
struct WhiteSpace {
    begin: usize,
    end: usize,
    /// Where its last character begins.
    last: usize,
    /// Behind its last line end, when it has one.
    after_newline: Option<usize>,
    ends_text: bool,
}
impl WhiteSpace {
    /// `\s+(?!\S)|\s+`: all of it at the end of the text, else all but the last character, which belongs to the next word, unless it
    /// is the only one.
    fn before_last(&self) -> usize {
        match self.ends_text || self.last == self.begin {
            true => self.end,
            false => self.last,
        }
    }
}
