//! Makes a prompt fit: removes named sections in the order of their priority until it does, and when that is not enough shortens what
//! is data, never what tells the model how to answer. Counting is the counter's.

mod sections;
mod shorten;
#[cfg(test)]
mod tests;
mod titles;

pub use titles::SECTIONS;

use crate::counter::Counter;
use sections::{Kind, Piece, divide};

/// What became of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The prompt, shortened where that was needed.
    pub text: String,
    /// Its tokens before.
    pub original_tokens: usize,
    /// Its tokens now.
    pub final_tokens: usize,
    /// The sections that were removed, in the order of their removal.
    pub sections_removed: Vec<&'static str>,
    /// Whether text was cut that is no named section.
    pub was_cut: bool,
    /// Whether it fits now. It does not when the instructions alone are too long.
    pub fits: bool,
}

impl Truncation {
    /// Whether anything was taken away.
    pub fn was_truncated(&self) -> bool {
        self.was_cut || !self.sections_removed.is_empty()
    }
}

/// Shortens a prompt to at most `max_tokens`, no more than is needed: whole sections first, then data line by line from the end.
pub fn truncate(counter: &Counter, prompt: &str, max_tokens: usize) -> Truncation {
    let original_tokens = counter.count(prompt);
    let mut done = Truncation {
        text: prompt.to_owned(),
        original_tokens,
        final_tokens: original_tokens,
        sections_removed: Vec::new(),
        was_cut: false,
        fits: original_tokens <= max_tokens,
    };
    if done.fits {
        return done;
    }
    let mut pieces = divide(prompt);
    for (section, name) in SECTIONS.iter().enumerate() {
        let before = pieces.len();
        pieces.retain(|piece| piece.kind != Kind::Section(section));
        if pieces.len() == before {
            continue;
        }
        done.sections_removed.push(name);
        done.text = join(prompt, &pieces);
        if let Some(tokens) = counter.count_within(&done.text, max_tokens) {
            (done.final_tokens, done.fits) = (tokens, true);
            return done;
        }
    }
    shorten::shorten(counter, prompt, &pieces, max_tokens, &mut done);
    done
}

fn join(prompt: &str, pieces: &[Piece]) -> String {
    pieces.iter().filter_map(|piece| prompt.get(piece.begin..piece.end)).collect()
}
