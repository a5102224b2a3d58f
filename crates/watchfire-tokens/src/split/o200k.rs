//! The pattern of o200k_base and its relatives (Tekken), which cuts `camelCase` at the capital:
//! `P?U*W+C?|P?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+` where P is `[^\r\n\p{L}\p{N}]`, U is
//! `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, W is `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, and C a contraction such as `'s`. Not the merging.

use super::{Scan, Split};
use crate::classes::{LETTER, LOWER, NEWLINE, NUMBER, OTHER, UPPER};

pub(crate) struct O200k {
    /// How many digits make a word.
    pub(crate) digits_max: usize,
    /// Whether `'s` belongs to the word before it.
    pub(crate) contractions: bool,
}

impl Split for O200k {
    #[inline]
    fn end(&self, text: &Scan<'_>, at: usize) -> usize {
        let (class, next) = text.class(at);
        let may_lead = class & (NEWLINE | LETTER | NUMBER) == 0;
        let word = (may_lead.then(|| lower_word(text, next)).flatten())
            .or_else(|| lower_word(text, at))
            .or_else(|| may_lead.then(|| upper_word(text, next)).flatten())
            .or_else(|| upper_word(text, at));
        if let Some(end) = word {
            return self.contractions.then(|| text.contraction(end, true)).flatten().unwrap_or(end);
        }
        if class & NUMBER != 0 {
            return text.numbers(next, self.digits_max - 1);
        }
        let begin = if text.byte(at) == b' ' { next } else { at };
        if text.class(begin).0 & OTHER != 0 {
            let mut end = text.run(begin, OTHER);
            while matches!(text.byte(end), b'\r' | b'\n' | b'/') {
                end += 1;
            }
            return end;
        }
        let space = text.white_space(at);
        space.after_newline.unwrap_or_else(|| space.before_last())
    }
}

/// `U*W+`, as far as it reaches. When nothing of W follows the run of U, the run gives back characters until one of them is also of W.
#[inline]
fn lower_word(text: &Scan<'_>, at: usize) -> Option<usize> {
    let (mut end, mut both) = (at, None);
    loop {
        let (class, next) = text.class(end);
        if class & UPPER == 0 {
            return if class & LOWER != 0 { Some(text.run(next, LOWER)) } else { both };
        }
        if class & LOWER != 0 {
            both = Some(next);
        }
        end = next;
    }
}

/// `U+W*`, where `U*W+` did not fit, so that nothing of W follows.
fn upper_word(text: &Scan<'_>, at: usize) -> Option<usize> {
    let end = text.run(at, UPPER);
    (end > at).then_some(end)
}
