//! `Counter`: how many tokens a text is, in one vocabulary. An embedded vocabulary is loaded at the first question and given back when
//! nobody asks any more. Budgets and prompts are not known here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::embedded::Encoding;
use crate::model::Model;
use crate::tokenizer_json::{Tokenizer, TokenizerError};

/// Why there is no counter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CounterError {
    /// No encoding has this name.
    #[error("cannot count tokens with the encoding {0:?}: known are {known}", known = names())]
    UnknownEncoding(String),
    /// The file cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

fn names() -> String {
    Encoding::ALL.map(Encoding::name).join(", ")
}

/// Counts tokens. Cheap to clone; clones share what is loaded.
#[derive(Clone)]
pub struct Counter(Arc<Shared>);

enum Shared {
    /// An encoding in the program: can be loaded again.
    Embedded { encoding: Encoding, loaded: Mutex<Option<Arc<Model>>>, asked: AtomicBool },
    /// A `tokenizer.json`: stays.
    File { name: String, tokenizer: Box<Tokenizer> },
}

impl Counter {
    /// A counter with one of tiktoken's encodings. Nothing is loaded yet.
    pub fn new(encoding: Encoding) -> Counter {
        Counter(Arc::new(Shared::Embedded { encoding, loaded: Mutex::default(), asked: AtomicBool::new(false) }))
    }

    /// The same, by the encoding's name.
    pub fn named(name: &str) -> Result<Counter, CounterError> {
        Encoding::named(name).map(Counter::new).ok_or_else(|| CounterError::UnknownEncoding(name.to_owned()))
    }

    /// A counter with the content of a `tokenizer.json` of Hugging Face. Added tokens, such as those of a chat template, are found in
    /// texts. `name` is for people.
    pub fn from_tokenizer_json(name: &str, json: &[u8]) -> Result<Counter, CounterError> {
        Ok(Counter(Arc::new(Shared::File { name: name.to_owned(), tokenizer: Box::new(Tokenizer::read(json)?) })))
    }

    /// The name of the encoding, or what the file was called.
    pub fn name(&self) -> &str {
        match &*self.0 {
            Shared::Embedded { encoding, .. } => encoding.name(),
            Shared::File { name, .. } => name,
        }
    }

    /// The tokens of a text. With an encoding, all of it is ordinary: text that looks like a special token is counted as the letters
    /// that it is.
    pub fn count(&self, text: &str) -> usize {
        self.count_within(text, usize::MAX).unwrap_or(usize::MAX)
    }

    /// The tokens of a text, or `None` when they are more than `max`; stops there.
    pub fn count_within(&self, text: &str, max: usize) -> Option<usize> {
        match &*self.0 {
            Shared::Embedded { encoding, loaded, asked } => model(*encoding, loaded, asked).count(text, max),
            Shared::File { tokenizer, .. } => tokenizer.count(text, max),
        }
    }

    /// The tokens themselves, by their numbers.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match &*self.0 {
            Shared::Embedded { encoding, loaded, asked } => {
                let mut tokens = Vec::new();
                model(*encoding, loaded, asked).encode(text, |part| tokens.push(part.token));
                tokens
            }
            Shared::File { tokenizer, .. } => tokenizer.encode(text),
        }
    }

    /// Whether the vocabulary is in memory.
    pub fn is_loaded(&self) -> bool {
        match &*self.0 {
            Shared::Embedded { loaded, .. } => loaded.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
            Shared::File { .. } => true,
        }
    }

    /// Gives the vocabulary back when nobody asked since the last call. Whoever owns the process calls it now and then. That of a file
    /// stays.
    pub fn release_if_idle(&self) {
        if let Shared::Embedded { loaded, asked, .. } = &*self.0
            && !asked.swap(false, Ordering::Relaxed)
        {
            *loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn model(encoding: Encoding, loaded: &Mutex<Option<Arc<Model>>>, asked: &AtomicBool) -> Arc<Model> {
    asked.store(true, Ordering::Relaxed);
    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.get_or_insert_with(|| Arc::new(encoding.load())).clone()
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.name()).finish()
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
        let error = Counter::named("cl100k").expect_err("there is none").to_string();
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
    fn counting_stops_when_it_is_too_much() {
        let counter = Counter::new(Encoding::Cl100kBase);
        let text = "The fox 🦊🦊 漢字   \n\n  jumps over 1234567 dogs\u{301}\u{301}. \u{1f3f3}\u{fe0f}";
        let all = counter.count(text);
        assert_eq!(all, counter.encode(text).len());
        assert_eq!(counter.count_within(text, all), Some(all));
        assert_eq!(counter.count_within(text, all - 1), None);
        assert_eq!(counter.count_within("", 0), Some(0));
    }
}
