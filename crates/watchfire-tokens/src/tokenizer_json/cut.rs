//! How a `tokenizer.json` cuts a text into words: the patterns of known families by the scanners of `split`, others by the regex engine. What
//! needs a look at what follows, other than the usual end of such patterns, is refused.

use std::ops::Range;

use regex::Regex;

use super::TokenizerError;
use super::document::{Behavior, Pattern};
use crate::split::{Cl100k, Gpt2, O200k, Scan, Split};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How most patterns end.
const USUAL_END: &str = r"|\s+(?!\S)|\s+";

/// One way to cut.
pub(super) enum Cut {
    Gpt2(Gpt2),
    Cl100k(Cl100k),
    O200k(O200k),
    /// Matches, and what becomes of them.
    Split {
        finder: Finder,
        behavior: Behavior,
        invert: bool,
    },
}

/// What finds matches.
pub(super) enum Finder {
    Text(String),
    Regex(Regex),
    /// The pattern without its usual end; the last group is white space that gives back its last character.
    WithUsualEnd(Regex),
}

impl Cut {
    /// The cut of GPT-2.
    pub(super) fn gpt2() -> Cut {
        Cut::Gpt2(Gpt2)
    }

    /// Runs of digits, or every digit alone.
    pub(super) fn digits(individual: bool) -> Result<Cut, TokenizerError> {
        let behavior = if individual { Behavior::Isolated } else { Behavior::Contiguous };
        Ok(Cut::Split { finder: regex(r"\p{N}")?, behavior, invert: false })
    }

    /// Before each mark of a blank.
    pub(super) fn before(mark: char) -> Cut {
        Cut::Split { finder: Finder::Text(mark.to_string()), behavior: Behavior::MergedWithNext, invert: false }
    }

    /// A cut as it is written.
    pub(super) fn read(pattern: Pattern, behavior: Behavior, invert: bool) -> Result<Cut, TokenizerError> {
        let text = match pattern {
            Pattern::String(text) => return Ok(Cut::Split { finder: Finder::Text(text), behavior, invert }),
            Pattern::Regex(text) => text,
        };
        // These patterns match every character, so that it makes no difference what becomes of matches.
        let covers = matches!((behavior, invert), (Behavior::Isolated, _) | (Behavior::Removed, true));
        let known = match text.as_str() {
            GPT2 => Some(Cut::Gpt2(Gpt2)),
            LLAMA_3 => Some(Cut::Cl100k(Cl100k { digits_max: 3, whole_tail: false })),
            QWEN_2 => Some(Cut::Cl100k(Cl100k { digits_max: 1, whole_tail: false })),
            O200K => Some(Cut::O200k(O200k { digits_max: 3, contractions: true })),
            TEKKEN => Some(Cut::O200k(O200k { digits_max: 1, contractions: false })),
            _ => None,
        };
        if let Some(cut) = known.filter(|_| covers) {
            return Ok(cut);
        }
        let finder = match text.strip_suffix(USUAL_END) {
            Some(front) => Finder::WithUsualEnd(Regex::new(&format!(r"(?:{front})|(?P<space>\s+)")).map_err(|_| unusable(&text))?),
            None => regex(&text)?,
        };
        Ok(Cut::Split { finder, behavior, invert })
    }

    /// Cuts one piece.
    pub(super) fn cut(&self, text: &str, take: &mut dyn FnMut(Range<usize>)) {
        match self {
            Cut::Gpt2(split) => scan(split, text, take),
            Cut::Cl100k(split) => scan(split, text, take),
            Cut::O200k(split) => scan(split, text, take),
            Cut::Split { finder, behavior, invert } => merge(pieces(finder, text, *invert), *behavior, take),
        }
    }
}

fn regex(text: &str) -> Result<Finder, TokenizerError> {
    Regex::new(text).map(Finder::Regex).map_err(|_| unusable(text))
}

fn unusable(pattern: &str) -> TokenizerError {
    TokenizerError::Pattern(pattern.chars().take(200).collect())
}

fn scan(split: &impl Split, text: &str, take: &mut dyn FnMut(Range<usize>)) {
    let scan = Scan::new(text);
    let mut at = 0;
    while at < text.len() {
        let end = split.end(&scan, at);
        take(at..end);
        at = end;
    }
}

/// All of a text in order, as what matches and what does not; the other way round when `invert`.
fn pieces(finder: &Finder, text: &str, invert: bool) -> Vec<(Range<usize>, bool)> {
    let mut all = Vec::new();
    let mut at = 0;
    let mut matched = |range: Range<usize>, at: &mut usize| {
        if *at < range.start {
            all.push((*at..range.start, invert));
        }
        *at = range.end;
        if !range.is_empty() {
            all.push((range, !invert));
        }
    };
    match finder {
        Finder::Text(part) if part.is_empty() => {}
        Finder::Text(part) => text.match_indices(part.as_str()).for_each(|(begin, found)| matched(begin..begin + found.len(), &mut at)),
        Finder::Regex(regex) => regex.find_iter(text).for_each(|found| matched(found.range(), &mut at)),
        Finder::WithUsualEnd(regex) => {
            let mut from = 0;
            while let Some(found) = regex.captures_at(text, from) {
                let Some(range) = found.get(0).map(|all| all.range()).filter(|range| !range.is_empty()) else { break };
                let end = if found.name("space").is_some() { before_last(text, range.clone()) } else { range.end };
                matched(range.start..end, &mut at);
                from = end;
            }
        }
    }
    if at < text.len() {
        all.push((at..text.len(), invert));
    }
    all
}

/// White space before a word gives back its last character, unless it is the only one.
fn before_last(text: &str, range: Range<usize>) -> usize {
    let space = text.get(range.clone()).unwrap_or_default();
    match space.char_indices().next_back() {
        Some((last, _)) if last > 0 && range.end < text.len() => range.start + last,
        _ => range.end,
    }
}

fn merge(pieces: Vec<(Range<usize>, bool)>, behavior: Behavior, take: &mut dyn FnMut(Range<usize>)) {
    let mut kept: Vec<(Range<usize>, bool)> = Vec::new();
    for (range, is_match) in pieces {
        let joins = |(_, last): &(Range<usize>, bool)| match behavior {
            Behavior::Removed | Behavior::Isolated => false,
            Behavior::Contiguous => *last == is_match,
            Behavior::MergedWithPrevious => is_match && !*last,
            Behavior::MergedWithNext => *last && !is_match,
        };
        if behavior == Behavior::Removed && is_match {
            continue;
        }
        match kept.last_mut().filter(|last| joins(last)) {
            Some(last) => (last.0.end, last.1) = (range.end, is_match),
            None => kept.push((range, is_match)),
        }
    }
    kept.into_iter().for_each(|(range, _)| take(range));
}
