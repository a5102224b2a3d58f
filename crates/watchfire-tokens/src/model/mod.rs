//! A loaded vocabulary: it cuts a text into words and merges their bytes into tokens. Where vocabularies come from is not decided
//! here, nor when they are loaded.

pub(crate) mod merge;
pub(crate) mod pairs;
pub(crate) mod words;

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use crate::split::{Cl100k, Gpt2, O200k, Scan, Split};
use merge::{Bench, Merges, Part};
use pairs::Pairs;
use words::{Words, inline};

/// So many sets of working memory wait for the next text.
const IDLE_MAX: usize = 4;
/// What working memory for one word may keep, in parts.
const KEEP_MAX: usize = 4096;

/// How a text becomes words.
pub(crate) enum Pattern {
    Gpt2(Gpt2),
    Cl100k(Cl100k),
    O200k(O200k),
}

/// Byte-pair encoding over bytes, where the rank of a merge is the token that it makes.
pub(crate) struct Model {
    pairs: Pairs,
    byte_tokens: [u32; 256],
    pattern: Pattern,
    idle: Mutex<Vec<Work>>,
}

/// What counting one text needs beside the vocabulary.
struct Work {
    words: Words,
    bench: Bench,
}

impl Merges for Model {
    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.pairs.rank(left, right)
    }
    #[inline]
    fn merged(&self, rank: u32) -> u32 {
        rank
    }
}

impl Model {
    /// A model of merges: `pairs` must be complete.
    pub(crate) fn new(pairs: Pairs, byte_tokens: [u32; 256], pattern: Pattern) -> Model {
        Model { pairs, byte_tokens, pattern, idle: Mutex::default() }
    }

    /// Adds a merge to those that are there.
    pub(crate) fn add(&mut self, left: u32, right: u32, token: u32) {
        self.pairs.insert(left, right, token);
    }

    fn work(&self) -> Work {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        waiting.unwrap_or_else(|| Work { words: Words::new(), bench: Bench::default() })
    }

    fn put_back(&self, mut work: Work) {
        work.bench.shrink(KEEP_MAX);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(work);
        }
    }

    /// The tokens of a text, or `None` as soon as they are more than `max`.
    pub(crate) fn count(&self, text: &str, max: usize) -> Option<usize> {
        let mut work = self.work();
        let mut count = 0;
        let walked = self.walk(text, |begin, end| {
            count += self.count_word(text.as_bytes(), begin, end, &mut work);
            if count > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.put_back(work);
        walked.is_continue().then_some(count)
    }

    /// Every token, in order.
    pub(crate) fn encode(&self, text: &str, mut take: impl FnMut(Part)) {
        let mut work = self.work();
        let _whole = self.walk(text, |begin, end| {
            self.merge_word(text.as_bytes().get(begin..end).unwrap_or_default(), &mut work.bench);
            work.bench.parts.iter().for_each(|part| take(*part));
            ControlFlow::Continue(())
        });
        self.put_back(work);
    }

    fn walk(&self, text: &str, take: impl FnMut(usize, usize) -> ControlFlow<()>) -> ControlFlow<()> {
        match &self.pattern {
            Pattern::Gpt2(split) => walk(split, text, take),
            Pattern::Cl100k(split) => walk(split, text, take),
            Pattern::O200k(split) => walk(split, text, take),
        }
    }

    #[inline]
    fn count_word(&self, text: &[u8], begin: usize, end: usize, work: &mut Work) -> usize {
        if end - begin == 1 {
            return 1;
        }
        let Some(word) = inline(text, begin, end) else {
            self.merge_word(&text[begin..end], &mut work.bench);
            return work.bench.parts.len();
        };
        if let Some(count) = work.words.get(word) {
            return count;
        }
        self.merge_word(&text[begin..end], &mut work.bench);
        work.words.put(word, work.bench.parts.len());
        work.bench.parts.len()
    }

    fn merge_word(&self, word: &[u8], bench: &mut Bench) {
        bench.parts.clear();
        bench.parts.extend(word.iter().map(|byte| Part { token: self.byte_tokens[usize::from(*byte)], bytes: 1 }));
        bench.merge(self);
    }
}

fn walk(split: &impl Split, text: &str, mut take: impl FnMut(usize, usize) -> ControlFlow<()>) -> ControlFlow<()> {
    let scan = Scan::new(text);
    let mut at = 0;
    while at < text.len() {
        let end = split.end(&scan, at);
        take(at, end)?;
        at = end;
    }
    ControlFlow::Continue(())
}
