//! The vocabulary and merges of a `tokenizer.json`, over bytes or over characters. How a text becomes words is decided elsewhere.

use std::collections::HashMap;

use super::TokenizerError;
use super::document::{Bpe, Vocabulary as Written};
use crate::model::merge::{Bench, Merges, Part};
use crate::model::pairs::Pairs;

/// What the smallest parts of a word are.
enum Alphabet {
    /// Bytes: every one is a token.
    Bytes(Box<[u32; 256]>),
    /// Characters, and what stands for those that are none.
    Characters { known: HashMap<char, u32>, bytes: Option<Box<[u32; 256]>>, unknown: Option<u32>, fuse: bool },
}

/// Tokens and their merges.
pub(super) struct Vocabulary {
    alphabet: Alphabet,
    pairs: Pairs,
    /// What the merge of each rank makes.
    merged: Vec<u32>,
    /// Whole words that are tokens without any merge.
    whole: HashMap<String, u32>,
    /// Whether a mark in a merged token stands at its beginning or behind another mark.
    marks_begin: bool,
}

impl Default for Vocabulary {
    fn default() -> Vocabulary {
        let alphabet = Alphabet::Bytes(Box::new([0; 256]));
        Vocabulary { alphabet, pairs: Pairs::with_capacity(0), merged: Vec::new(), whole: HashMap::new(), marks_begin: false }
    }
}

impl Merges for Vocabulary {
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.pairs.rank(left, right)
    }
    fn merged(&self, rank: u32) -> u32 {
        self.merged.get(rank as usize).copied().unwrap_or(0)
    }
}

impl Vocabulary {
    pub(super) fn read(bpe: Bpe, is_byte_level: bool) -> Result<Vocabulary, TokenizerError> {
        check(&bpe)?;
        let Written::Map(tokens) = bpe.vocab else { return Err(unsupported("a vocabulary that is no map")) };
        let alphabet = match is_byte_level {
            true => Alphabet::Bytes(printable_bytes(&tokens)?),
            false => Alphabet::Characters {
                known: tokens.iter().filter_map(|(text, id)| Some((only_char(text)?, *id))).collect(),
                bytes: if bpe.byte_fallback { fallback_bytes(&tokens) } else { None },
                unknown: bpe.unk_token.and_then(|token| tokens.get(&token).copied()),
                fuse: bpe.fuse_unk,
            },
        };
        let mut vocabulary = Vocabulary { alphabet, pairs: Pairs::with_capacity(bpe.merges.len()), marks_begin: true, ..Vocabulary::default() };
        for (rank, merge) in (0..).zip(&bpe.merges) {
            let halves = merge.halves().and_then(|(left, right)| Some((*tokens.get(left)?, *tokens.get(right)?, format!("{left}{right}"))));
            let made = halves.and_then(|(left, right, text)| Some((left, right, *tokens.get(&text)?, text)));
            let Some((left, right, id, text)) = made else {
                return Err(TokenizerError::Malformed(format!("merge {rank} is not made of tokens of the vocabulary")));
            };
            if !vocabulary.pairs.insert(left, right, rank) {
                return Err(unsupported("so large a vocabulary"));
            }
            vocabulary.merged.push(id);
            vocabulary.marks_begin &= marks_begin(&text);
        }
        if bpe.ignore_merges {
            vocabulary.whole = whole_words(tokens, is_byte_level);
        }
        Ok(vocabulary)
    }

    /// Whether no token reaches over a place before a mark, so that a text may be cut there.
    pub(super) fn breaks_before(&self, mark: char) -> bool {
        matches!(&self.alphabet, Alphabet::Characters { known, unknown, fuse, .. } if known.contains_key(&mark) && !(*fuse && unknown.is_some()))
            && self.marks_begin
    }

    /// Merges a word; the tokens are the bench's parts.
    pub(super) fn merge(&self, word: &str, bench: &mut Bench) {
        bench.parts.clear();
        if let Some(token) = self.whole.get(word) {
            return bench.parts.push(Part { token: *token, bytes: word.len() as u32 });
        }
        match &self.alphabet {
            Alphabet::Bytes(tokens) => bench.parts.extend(word.bytes().map(|byte| one(tokens[usize::from(byte)]))),
            Alphabet::Characters { known, bytes, unknown, fuse } => {
                let mut after_unknown = false;
                for c in word.chars() {
                    let token = known.get(&c);
                    match (token, bytes, unknown) {
                        (Some(token), ..) => bench.parts.push(one(*token)),
                        (None, Some(tokens), _) => {
                            let mut utf8 = [0; 4];
                            bench.parts.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| one(tokens[usize::from(byte)])));
                        }
                        (None, None, Some(_)) if *fuse && after_unknown => {}
                        (None, None, Some(unknown)) => bench.parts.push(one(*unknown)),
                        (None, None, None) => {}
                    }
                    after_unknown = token.is_none() && bytes.is_none();
                }
            }
        }
        bench.merge(self);
    }
}

/// A smallest part. How many bytes it has is of no interest here, but a part of none would be taken for one that is gone.
fn one(token: u32) -> Part {
    Part { token, bytes: 1 }
}

fn check(bpe: &Bpe) -> Result<(), TokenizerError> {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if let Some(kind) = bpe.kind.as_deref().filter(|kind| *kind != "BPE") {
        return Err(unsupported(&format!("a model of kind {kind}; only BPE is known")));
    }
    if bpe.dropout.is_some_and(|share| share > 0.0) {
        return Err(unsupported("dropout, which is random"));
    }
    if is_set(&bpe.continuing_subword_prefix) || is_set(&bpe.end_of_word_suffix) {
        return Err(unsupported("marks inside or at the end of words"));
    }
    Ok(())
}

fn unsupported(what: &str) -> TokenizerError {
    TokenizerError::Unsupported(what.to_owned())
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// How byte-level vocabularies write bytes: printable ones as they are, others as the characters from U+0100 on.
fn written_byte(byte: u8) -> char {
    let is_printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    match is_printable(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + (0..byte).filter(|b| !is_printable(*b)).count() as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

fn printable_bytes(tokens: &HashMap<String, u32>) -> Result<Box<[u32; 256]>, TokenizerError> {
    let mut bytes = Box::new([0; 256]);
    for byte in 0..=255 {
        let token = tokens.get(&written_byte(byte).to_string());
        bytes[usize::from(byte)] = *token.ok_or_else(|| unsupported(&format!("a vocabulary that lacks the byte {byte:#04x}")))?;
    }
    Ok(bytes)
}

/// Bytes as `<0x0A>`, when all of them are there.
fn fallback_bytes(tokens: &HashMap<String, u32>) -> Option<Box<[u32; 256]>> {
    let mut bytes = Box::new([0; 256]);
    for byte in 0..=255u8 {
        bytes[usize::from(byte)] = *tokens.get(&format!("<0x{byte:02X}>"))?;
    }
    Some(bytes)
}

/// Every token that is valid text, as words are.
fn whole_words(tokens: HashMap<String, u32>, is_byte_level: bool) -> HashMap<String, u32> {
    if !is_byte_level {
        return tokens;
    }
    let bytes: HashMap<char, u8> = (0..=255).map(|byte| (written_byte(byte), byte)).collect();
    let text = |written: &str| String::from_utf8(written.chars().map(|c| bytes.get(&c).copied()).collect::<Option<Vec<u8>>>()?).ok();
    tokens.iter().filter_map(|(written, id)| Some((text(written)?, *id))).collect()
}

fn marks_begin(text: &str) -> bool {
    text.chars().zip(text.chars().skip(1)).all(|(before, c)| c != super::MARK || before == super::MARK)
}
