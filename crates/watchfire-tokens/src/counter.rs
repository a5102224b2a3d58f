//! `Counter`: how many tokens a text is, in one vocabulary. Loads its vocabulary at the first question and gives it back when nobody
//! asks any more. Budgets and prompts are not known here.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::embedded::Encoding;
use crate::model::Model;

/// Why there is no counter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CounterError {
    /// No encoding has this name.
    #[error("cannot count tokens with the encoding {0:?}: known are {known}", known = names())]
    UnknownEncoding(String),
}

fn names() -> String {
    Encoding::ALL.map(Encoding::name).join(", ")
}

/// Counts tokens. Cheap to clone; clones share what is loaded.
#[derive(Clone)]
pub struct Counter(Arc<Shared>);

struct Shared {
    encoding: Encoding,
    loaded: Mutex<Option<Arc<Model>>>,
    asked: AtomicBool,
}

impl Counter {
    /// A counter with one of tiktoken's encodings. Nothing is loaded yet.
    pub fn new(encoding: Encoding) -> Counter {
        Counter(Arc::new(Shared { encoding, loaded: Mutex::default(), asked: AtomicBool::new(false) }))
    }

    /// The same, by the encoding's name.
    pub fn named(name: &str) -> Result<Counter, CounterError> {
        Encoding::named(name).map(Counter::new).ok_or_else(|| CounterError::UnknownEncoding(name.to_owned()))
    }

    /// The name of the encoding.
    pub fn name(&self) -> &str {
        self.0.encoding.name()
    }

    fn model(&self) -> Arc<Model> {
        self.0.asked.store(true, Ordering::Relaxed);
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get_or_insert_with(|| Arc::new(self.0.encoding.load())).clone()
    }

    /// The tokens of a text, all of it ordinary: text that looks like a special token is counted as the letters that it is.
    pub fn count(&self, text: &str) -> usize {
        self.model().count(text, usize::MAX).unwrap_or(usize::MAX)
    }

    /// The tokens of a text, or `None` when they are more than `max`; stops there.
    pub fn count_within(&self, text: &str, max: usize) -> Option<usize> {
        self.model().count(text, max)
    }

    /// The tokens themselves, by their numbers.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.model().encode(text, |part| {
            tokens.push(part.token);
            ControlFlow::Continue(())
        });
        tokens
    }

    /// The longest beginning of a text that is known to have at most `max` tokens. It ends between characters.
    pub fn prefix<'a>(&self, text: &'a str, max: usize) -> &'a str {
        let model = self.model();
        let mut wanted = max;
        loop {
            let (mut left, mut end) = (wanted, 0);
            model.encode(text, |part| {
                if left == 0 {
                    return ControlFlow::Break(());
                }
                left -= 1;
                end += part.bytes as usize;
                ControlFlow::Continue(())
            });
            let prefix = text.get(..text.floor_char_boundary(end)).unwrap_or_default();
            // What was cut in the middle of a character or of white space may read as more tokens than it was.
            match model.count(prefix, max) {
                Some(_) => return prefix,
                None => wanted = wanted.saturating_sub(1),
            }
        }
    }

    /// Whether the vocabulary is in memory.
    pub fn is_loaded(&self) -> bool {
        self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Gives the vocabulary back when nobody asked since the last call. Whoever owns the process calls it now and then.
    pub fn release_if_idle(&self) {
        if !self.0.asked.swap(false, Ordering::Relaxed) {
            *self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tiktoken_are_known_and_others_are_not() {
        for encoding in Encoding::ALL {
            assert_eq!(Counter::named(encoding.name()).expect("it is known").name(), encoding.name());
        }
        let error = Counter::named("cl100k").err().expect("there is none").to_string();
        assert!(error.starts_with("cannot count tokens with the encoding \"cl100k\": known are gpt2, "), "{error}");
    }

    #[test]
    fn a_vocabulary_is_loaded_when_asked_for_and_given_back_when_nobody_asks() {
        let counter = Counter::new(Encoding::R50kBase);
        assert!(!counter.is_loaded());
        assert_eq!(counter.count("hello world"), 2);
        counter.release_if_idle();
        assert!(counter.is_loaded(), "it was asked a moment ago");
        counter.release_if_idle();
        assert!(!counter.is_loaded());
        assert_eq!(counter.clone().count("hello world"), 2);
        assert!(counter.is_loaded(), "clones share it");
    }

    #[test]
    fn a_prefix_never_has_more_tokens_than_it_may() {
        let counter = Counter::new(Encoding::Cl100kBase);
        let text = "The fox 🦊🦊 漢字   \n\n  jumps over 1234567 dogs\u{301}\u{301}. \u{1f3f3}\u{fe0f}";
        let all = counter.count(text);
        for max in 0..=all {
            let prefix = counter.prefix(text, max);
            assert!(counter.count(prefix) <= max, "{prefix:?}");
            assert!(text.starts_with(prefix));
        }
        assert_eq!(counter.prefix(text, all), text);
        assert_eq!(counter.count_within(text, all), Some(all));
        assert_eq!(counter.count_within(text, all - 1), None);
    }
}
