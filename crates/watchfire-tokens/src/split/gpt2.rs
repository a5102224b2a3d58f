//! The pattern of GPT-2 and of the encodings before cl100k_base:
//! `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Not the merging.

use super::{Scan, Split};
use crate::classes::{LETTER, NUMBER, OTHER};

pub(crate) struct Gpt2;

impl Split for Gpt2 {
    #[inline]
    fn end(&self, text: &Scan<'_>, at: usize) -> usize {
        if let Some(end) = text.contraction(at, false) {
            return end;
        }
        let begin = if text.byte(at) == b' ' { at + 1 } else { at };
        let (class, next) = text.class(begin);
        match class & (LETTER | NUMBER | OTHER) {
            0 => text.white_space(at).before_last(),
            kind => text.run(next, kind),
        }
    }
}
