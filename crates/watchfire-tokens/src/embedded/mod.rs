//! The vocabularies of tiktoken in the binary. A token of several bytes is the merge of two earlier ones, so a vocabulary is a list of
//! pairs, one for each token from 256 on; the numbers stand in planes of one byte each, lowest first, left numbers before right ones,
//! and every plane is compressed with zstd behind its length. `examples/embed_vocabulary.rs` writes such a file. Nothing is loaded here
//! before it is asked for, and nothing is kept.

use crate::model::merge::{Bench, Part};
use crate::model::pairs::Pairs;
use crate::model::{Model, Pattern};
use crate::split::{Cl100k, Gpt2, O200k};

/// What a damaged file could claim at most.
const TOKENS_MAX: usize = 1 << 20;

const R50K: &[u8] = include_bytes!("r50k_base.pairs");
const CL100K: &[u8] = include_bytes!("cl100k_base.pairs");
const O200K: &[u8] = include_bytes!("o200k_base.pairs");

/// An encoding of tiktoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// GPT-2; the same as `r50k_base`.
    Gpt2,
    /// GPT-3.
    R50kBase,
    /// Codex: `r50k_base` and runs of blanks.
    P50kBase,
    /// Codex with edits; ordinary text is as in `p50k_base`.
    P50kEdit,
    /// GPT-4.
    Cl100kBase,
    /// GPT-4o and later.
    O200kBase,
    /// gpt-oss; ordinary text is as in `o200k_base`.
    O200kHarmony,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 7] =
        [Encoding::Gpt2, Encoding::R50kBase, Encoding::P50kBase, Encoding::P50kEdit, Encoding::Cl100kBase, Encoding::O200kBase, Encoding::O200kHarmony];

    /// Its name in tiktoken.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Gpt2 => "gpt2",
            Encoding::R50kBase => "r50k_base",
            Encoding::P50kBase => "p50k_base",
            Encoding::P50kEdit => "p50k_edit",
            Encoding::Cl100kBase => "cl100k_base",
            Encoding::O200kBase => "o200k_base",
            Encoding::O200kHarmony => "o200k_harmony",
        }
    }

    /// The encoding of a name.
    pub fn named(name: &str) -> Option<Encoding> {
        Encoding::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Encodings that are the same for ordinary text are loaded once.
    pub(crate) fn canonical(self) -> Encoding {
        match self {
            Encoding::Gpt2 => Encoding::R50kBase,
            Encoding::P50kEdit => Encoding::P50kBase,
            Encoding::O200kHarmony => Encoding::O200kBase,
            other => other,
        }
    }

    /// Every token of the vocabulary as bytes, by its number; special tokens are none. For comparison with others.
    pub fn tokens(self) -> Vec<(u32, Vec<u8>)> {
        let canonical = self.canonical();
        let mut tokens: Vec<(u32, Vec<u8>)> = (0..).zip(0..=255).map(|(token, _): (u32, u8)| (token, Vec::new())).collect();
        for (byte, token) in (0..=255).zip(byte_tokens()) {
            tokens[token as usize].1.push(byte);
        }
        for (token, (left, right)) in (256..).zip(unpack(canonical.file()).unwrap_or_default()) {
            let half = |half: u32| tokens.get(half as usize).map_or(&[][..], |(_, bytes)| bytes);
            let bytes = [half(left), half(right)].concat();
            tokens.push((token, bytes));
        }
        if canonical == Encoding::P50kBase {
            tokens.extend((P50K_BLANKS..).zip(2..=BLANKS_MAX).map(|(token, len)| (token, vec![b' '; len])));
        }
        tokens
    }

    fn file(self) -> &'static [u8] {
        match self.canonical() {
            Encoding::Cl100kBase => CL100K,
            Encoding::O200kBase => O200K,
            _ => R50K,
        }
    }

    fn pattern(self) -> Pattern {
        match self.canonical() {
            Encoding::Cl100kBase => Pattern::Cl100k(Cl100k { digits_max: 3, whole_tail: true }),
            Encoding::O200kBase => Pattern::O200k(O200k { digits_max: 3, contractions: true }),
            _ => Pattern::Gpt2(Gpt2),
        }
    }

    /// Unpacks the vocabulary. Our own files are whole, and tests see to it; were one damaged, single bytes would be counted.
    pub(crate) fn load(self) -> Model {
        let merges = unpack(self.file()).unwrap_or_default();
        let mut pairs = Pairs::with_capacity(merges.len() + 32);
        for (token, (left, right)) in (256..).zip(&merges) {
            pairs.insert(*left, *right, token);
        }
        let mut model = Model::new(pairs, byte_tokens(), self.pattern());
        if self.canonical() == Encoding::P50kBase {
            add_runs_of_blanks(&mut model);
        }
        model
    }
}

/// Every vocabulary of tiktoken begins with the bytes, first those that GPT-2 thought printable.
fn byte_tokens() -> [u32; 256] {
    let is_printable = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut tokens = [0; 256];
    let printable = (0..=255).filter(is_printable);
    let others = (0..=255).filter(|byte| !is_printable(byte));
    for (token, byte) in (0..).zip(printable.chain(others)) {
        tokens[usize::from(byte)] = token;
    }
    tokens
}

/// In `p50k_base` runs of 2 to 25 blanks are the tokens from here on; the one before is the end of a text.
const P50K_BLANKS: u32 = 50_257;
const BLANKS_MAX: usize = 25;

/// Each run of blanks is made of the two that merging the shorter ones leaves.
fn add_runs_of_blanks(model: &mut Model) {
    let blank = Part { token: byte_tokens()[usize::from(b' ')], bytes: 1 };
    for (token, len) in (P50K_BLANKS..).zip(2..=BLANKS_MAX) {
        let mut bench = Bench::default();
        bench.parts = vec![blank; len];
        bench.merge(model);
        if let [left, right] = bench.parts[..] {
            model.add(left.token, right.token, token);
        }
    }
}

fn unpack(file: &[u8]) -> Option<Vec<(u32, u32)>> {
    let mut rest = file;
    let mut planes = Vec::with_capacity(6);
    for _ in 0..6 {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (frame, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        planes.push(zstd::bulk::decompress(frame, TOKENS_MAX).ok()?);
        rest = behind;
    }
    let [l0, l1, l2, r0, r1, r2] = &planes[..] else { return None };
    let number = |low: &[u8], middle: &[u8], high: &[u8], at: usize| Some(u32::from_le_bytes([*low.get(at)?, *middle.get(at)?, *high.get(at)?, 0]));
    (0..l0.len()).map(|at| Some((number(l0, l1, l2, at)?, number(r0, r1, r2, at)?))).collect()
}
