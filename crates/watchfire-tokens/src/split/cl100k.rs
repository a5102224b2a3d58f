//! The pattern of cl100k_base and its relatives (Llama 3, Qwen):
//! `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+$|\s*[\r\n]+|\s+(?!\S)|\s+`. Not the merging.

use super::{Scan, Split};
use crate::classes::{LETTER, NEWLINE, NUMBER, OTHER};

pub(crate) struct Cl100k {
    /// How many digits make a word.
    pub(crate) digits_max: usize,
    /// Whether white space at the end of the text is one word although it has line ends.
    pub(crate) whole_tail: bool,
}

impl Split for Cl100k {
    #[inline]
    fn end(&self, text: &Scan<'_>, at: usize) -> usize {
        let (class, next) = text.class(at);
        if class & LETTER != 0 {
            return text.run(next, LETTER);
        }
        if let Some(end) = text.contraction(at, true) {
            return end;
        }
        if class & (NEWLINE | NUMBER) == 0 {
            let (following, after) = text.class(next);
            if following & LETTER != 0 {
                return text.run(after, LETTER);
            }
        }
        if class & NUMBER != 0 {
            return text.numbers(next, self.digits_max - 1);
        }
        let begin = if text.byte(at) == b' ' { next } else { at };
        if text.class(begin).0 & OTHER != 0 {
            return text.run(text.run(begin, OTHER), NEWLINE);
        }
        let space = text.white_space(at);
        match space.after_newline {
            Some(end) if !(space.ends_text && self.whole_tail) => end,
            _ => space.before_last(),
        }
    }
}
