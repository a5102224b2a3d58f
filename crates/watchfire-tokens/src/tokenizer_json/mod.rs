//! Counting with a `tokenizer.json` of Hugging Face: byte-pair encoding over bytes, as in Llama 3, Qwen and Mistral's newer models, and over
//! characters with bytes for what the vocabulary lacks, as in Llama 2 and Gemma. Added tokens are found in the text, as there; nothing is
//! put around it. Other kinds of models are refused with their name. Nothing here opens a file.

mod cut;
mod document;
mod normalize;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use regex::Regex;

use crate::model::merge::{Bench, Part};
use crate::model::words::{Words, inline};
use cut::Cut;
use document::{AddedToken, Document, PreTokenizer, Prepend};
use normalize::Step;
use vocabulary::Vocabulary;
use watchfire_model::order::Order as _;

/// The largest file that is read. Those of today have up to 35 MB.
pub const TOKENIZER_JSON_BYTES_MAX: u64 = 128 << 20;
/// The mark that stands for a blank in vocabularies of characters.
const MARK: char = '\u{2581}';

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenizerError {
    /// It is no such file.
    #[error("cannot read the tokenizer: {0}")]
    Malformed(String),
    /// It asks for something that is not done here.
    #[error("cannot count with {0}")]
    Unsupported(String),
    /// A pattern cannot be carried out.
    #[error("cannot cut words with the pattern {0:?}")]
    Pattern(String),
}

/// A loaded `tokenizer.json`.
pub(crate) struct Tokenizer {
    added: Added,
    steps: Vec<Step>,
    /// Whether a blank is put before a text that begins without one.
    blank_in_front: bool,
    metaspace: Option<Metaspace>,
    cuts: Vec<Cut>,
    vocabulary: Vocabulary,
}

/// Blanks as marks.
struct Metaspace {
    mark: char,
    prepend: Prepend,
}

/// Tokens that are found in the text: in the raw one, and in the normalised one.
struct Added {
    raw: Option<Regex>,
    normalized: Option<Regex>,
    tokens: HashMap<String, AddedToken>,
}

/// Memory of one call.
struct Work {
    words: Words,
    bench: Bench,
}

impl Tokenizer {
    /// Reads a file's content.
    pub(crate) fn read(json: &[u8]) -> Result<Tokenizer, TokenizerError> {
        let document: Document = serde_json::from_slice(json).map_err(|e| TokenizerError::Malformed(e.to_string()))?;
        let steps = normalize::read(document.normalizer)?;
        let mut tokenizer = Tokenizer {
            added: Added::read(document.added_tokens, &steps)?,
            steps,
            blank_in_front: false,
            metaspace: None,
            cuts: Vec::new(),
            vocabulary: Vocabulary::default(),
        };
        let is_byte_level = tokenizer.read_cuts(document.pre_tokenizer)?;
        tokenizer.vocabulary = Vocabulary::read(document.model, is_byte_level)?;
        if tokenizer.cuts.is_empty() && tokenizer.vocabulary.breaks_before(MARK) {
            tokenizer.cuts.push(Cut::before(MARK));
        }
        Ok(tokenizer)
    }

    /// Reads how words are cut; says whether words are bytes.
    fn read_cuts(&mut self, pre_tokenizer: Option<PreTokenizer>) -> Result<bool, TokenizerError> {
        let mut is_byte_level = false;
        let steps = match pre_tokenizer {
            None => Vec::new(),
            Some(PreTokenizer::Sequence { pretokenizers }) => pretokenizers,
            Some(one) => vec![one],
        };
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                PreTokenizer::ByteLevel { add_prefix_space, use_regex } => {
                    if add_prefix_space && n > 0 {
                        return Err(TokenizerError::Unsupported(
                            "a blank in front of every word (ByteLevel with add_prefix_space behind another step)".to_owned(),
                        ));
                    }
                    (is_byte_level, self.blank_in_front) = (true, add_prefix_space);
                    self.cuts.extend(use_regex.then(Cut::gpt2));
                }
                PreTokenizer::Split { pattern, behavior, invert } => self.cuts.push(Cut::read(pattern, behavior, invert)?),
                PreTokenizer::Digits { individual_digits } => self.cuts.push(Cut::digits(individual_digits)?),
                PreTokenizer::Metaspace { replacement, prepend_scheme, add_prefix_space, split } if n == 0 => {
                    let prepend = prepend_scheme.unwrap_or(if add_prefix_space == Some(false) { Prepend::Never } else { Prepend::Always });
                    self.metaspace = Some(Metaspace { mark: replacement, prepend });
                    self.cuts.extend(split.then(|| Cut::before(replacement)));
                }
                PreTokenizer::Metaspace { .. } => return Err(TokenizerError::Unsupported("Metaspace behind another step".to_owned())),
                PreTokenizer::Sequence { .. } => return Err(TokenizerError::Unsupported("a Sequence of pre-tokenizers in another".to_owned())),
                PreTokenizer::Unknown => return Err(TokenizerError::Unsupported("this kind of pre-tokenizer".to_owned())),
            }
        }
        Ok(is_byte_level)
    }

    /// The tokens of a text, or `None` when they are more than `max`.
    pub(crate) fn count(&self, text: &str, max: usize) -> Option<usize> {
        let mut count = 0;
        let mut work = Work { words: Words::new(), bench: Bench::default() };
        let done = self.pieces(text, &mut |piece| {
            count += match piece {
                Piece::Added(_) => 1,
                Piece::Word(word) => self.count_word(word, &mut work),
            };
            if count > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        done.is_continue().then_some(count)
    }

    /// The tokens themselves.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let (mut tokens, mut bench) = (Vec::new(), Bench::default());
        let _all = self.pieces(text, &mut |piece| {
            match piece {
                Piece::Added(token) => tokens.push(token),
                Piece::Word(word) => {
                    self.vocabulary.merge(word, &mut bench);
                    tokens.extend(bench.parts.iter().map(|part: &Part| part.token));
                }
            }
            ControlFlow::Continue(())
        });
        tokens
    }

    fn count_word(&self, word: &str, work: &mut Work) -> usize {
        let key = inline(word.as_bytes(), 0, word.len());
        if let Some(known) = key.and_then(|key| work.words.get(key)) {
            return known;
        }
        self.vocabulary.merge(word, &mut work.bench);
        if let Some(key) = key {
            work.words.put(key, work.bench.parts.len());
        }
        work.bench.parts.len()
    }

    /// Added tokens and words, in order.
    fn pieces(&self, text: &str, take: &mut dyn FnMut(Piece<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        Added::split(&self.added.raw, &self.added.tokens, text, &mut |part, begin| match part {
            Piece::Added(token) => take(Piece::Added(token)),
            Piece::Word(raw) => {
                let normal = normalize::apply(&self.steps, raw);
                Added::split(&self.added.normalized, &self.added.tokens, &normal, &mut |part, inner| match part {
                    Piece::Added(token) => take(Piece::Added(token)),
                    Piece::Word(text) => self.words(text, begin == 0 && inner == 0, take),
                })
            }
        })
    }

    fn words(&self, text: &str, is_first: bool, take: &mut dyn FnMut(Piece<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let text = self.with_marks(text, is_first);
        cut_by(&self.cuts, &text, take)
    }

    fn with_marks<'a>(&self, text: &'a str, is_first: bool) -> Cow<'a, str> {
        if self.blank_in_front && !text.starts_with(' ') {
            return Cow::Owned(format!(" {text}"));
        }
        let Some(Metaspace { mark, prepend }) = &self.metaspace else { return Cow::Borrowed(text) };
        let marked = text.replace(' ', &mark.to_string());
        let wants = *prepend == Prepend::Always || *prepend == Prepend::First && is_first;
        match wants && !marked.starts_with(*mark) {
            true => Cow::Owned(format!("{mark}{marked}")),
            false => Cow::Owned(marked),
        }
    }
}

/// One cut after the other, each in the words of the one before.
fn cut_by(cuts: &[Cut], text: &str, take: &mut dyn FnMut(Piece<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
    let Some((first, rest)) = cuts.split_first() else {
        return if text.is_empty() { ControlFlow::Continue(()) } else { take(Piece::Word(text)) };
    };
    let mut done = ControlFlow::Continue(());
    first.cut(text, &mut |range| {
        if done.is_continue() {
            done = cut_by(rest, text.get(range).unwrap_or_default(), take);
        }
    });
    done
}

/// A part of a text.
enum Piece<'a> {
    Added(u32),
    Word(&'a str),
}

impl Added {
    /// Tokens of the normalised text are written as they are in the raw one.
    fn read(mut tokens: Vec<AddedToken>, steps: &[Step]) -> Result<Added, TokenizerError> {
        for token in tokens.iter_mut().filter(|token| token.normalized) {
            token.content = normalize::apply(steps, &token.content).into_owned();
        }
        if let Some(token) = tokens.iter().find(|token| token.single_word) {
            return Err(TokenizerError::Unsupported(format!("the added token {:?}, which is one only as a whole word", token.content)));
        }
        let any_of = |normalized: bool| -> Result<Option<Regex>, TokenizerError> {
            let mut contents: Vec<&str> = tokens.iter().filter(|t| t.normalized == normalized && !t.content.is_empty()).map(|t| t.content.as_str()).collect();
            // Of two that begin at the same place the longer one counts.
            contents.order_by_key(|content| std::cmp::Reverse(content.len()));
            let pattern: Vec<String> = contents.iter().map(|content| regex::escape(content)).collect();
            let made = (!pattern.is_empty()).then(|| Regex::new(&pattern.join("|"))).transpose();
            made.map_err(|_| TokenizerError::Unsupported("so many added tokens".to_owned()))
        };
        let (raw, normalized) = (any_of(false)?, any_of(true)?);
        Ok(Added { raw, normalized, tokens: tokens.into_iter().map(|token| (token.content.clone(), token)).collect() })
    }

    /// Added tokens and what stands between them, with the place where it begins.
    fn split(
        regex: &Option<Regex>,
        tokens: &HashMap<String, AddedToken>,
        text: &str,
        take: &mut dyn FnMut(Piece<'_>, usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut at = 0;
        for found in regex.iter().flat_map(|regex| regex.find_iter(text)) {
            let Some(token) = tokens.get(found.as_str()) else { continue };
            if found.start() < at {
                continue;
            }
            let before = text.get(at..found.start()).unwrap_or_default();
            let before = if token.lstrip { before.trim_end() } else { before };
            if !before.is_empty() {
                take(Piece::Word(before), at)?;
            }
            take(Piece::Added(token.id), found.start())?;
            let behind = text.get(found.end()..).unwrap_or_default();
            at = if token.rstrip { text.len() - behind.trim_start().len() } else { found.end() };
        }
        let rest = text.get(at..).unwrap_or_default();
        if rest.is_empty() { ControlFlow::Continue(()) } else { take(Piece::Word(rest), at) }
    }
}
