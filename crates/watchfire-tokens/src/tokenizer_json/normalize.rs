//! What a `tokenizer.json` does to a text before it is cut: Unicode's forms, and replacements of fixed texts.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::TokenizerError;
use super::document::{Normalizer, Pattern};

/// One step.
pub(super) enum Step {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Prepend(String),
    Replace(String, String),
}

/// The steps of a file.
pub(super) fn read(normalizer: Option<Normalizer>) -> Result<Vec<Step>, TokenizerError> {
    let step = match normalizer {
        None => return Ok(Vec::new()),
        Some(Normalizer::Sequence { normalizers }) => {
            let all: Result<Vec<Vec<Step>>, TokenizerError> = normalizers.into_iter().map(|one| read(Some(one))).collect();
            return all.map(|steps| steps.into_iter().flatten().collect());
        }
        Some(Normalizer::Nfc) => Step::Nfc,
        Some(Normalizer::Nfd) => Step::Nfd,
        Some(Normalizer::Nfkc) => Step::Nfkc,
        Some(Normalizer::Nfkd) => Step::Nfkd,
        Some(Normalizer::Prepend { prepend }) => Step::Prepend(prepend),
        Some(Normalizer::Replace { pattern: Pattern::String(from), content }) if !from.is_empty() => Step::Replace(from, content),
        Some(Normalizer::Replace { .. }) => return Err(TokenizerError::Unsupported("a Replace by pattern".to_owned())),
        Some(Normalizer::Unknown) => return Err(TokenizerError::Unsupported("this kind of normalizer".to_owned())),
    };
    Ok(vec![step])
}

/// The text after all steps.
pub(super) fn apply<'a>(steps: &[Step], text: &'a str) -> Cow<'a, str> {
    steps.iter().fold(Cow::Borrowed(text), |text, step| match step {
        // Every form leaves ASCII as it is.
        Step::Nfc | Step::Nfd | Step::Nfkc | Step::Nfkd if text.is_ascii() => text,
        Step::Nfc => Cow::Owned(text.nfc().collect()),
        Step::Nfd => Cow::Owned(text.nfd().collect()),
        Step::Nfkc => Cow::Owned(text.nfkc().collect()),
        Step::Nfkd => Cow::Owned(text.nfkd().collect()),
        Step::Prepend(_) if text.is_empty() => text,
        Step::Prepend(front) => Cow::Owned(format!("{front}{text}")),
        Step::Replace(from, to) => Cow::Owned(text.replace(from.as_str(), to)),
    })
}
