//! Counts and tokens against tiktoken itself: the vocabularies by the hashes that it publishes, a fixture for ever, and the Python
//! package on some ten megabytes of text where Python can be had; files against the Python package of Hugging Face.

mod corpus;
mod peer;

use base64::Engine as _;
use sha2::{Digest, Sha256};
use watchfire_tokens::{Counter, Encoding};

/// A vocabulary as tiktoken's file has it.
fn tiktoken_file(encoding: Encoding) -> Vec<u8> {
    let line = |(token, bytes): (u32, Vec<u8>)| format!("{} {token}\n", base64::engine::general_purpose::STANDARD.encode(bytes));
    encoding.tokens().into_iter().map(line).collect::<String>().into_bytes()
}

#[test]
fn vocabularies_have_the_hashes_that_tiktoken_checks() {
    let hashes = [
        (Encoding::R50kBase, "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
        (Encoding::P50kBase, "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
        (Encoding::Cl100kBase, "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
        (Encoding::O200kBase, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    ];
    for (encoding, expected) in hashes {
        let hash: String = Sha256::digest(tiktoken_file(encoding)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "{}", encoding.name());
    }
}

#[test]
fn tok_01_counts_of_the_fixture_stay() {
    let encodings = [Encoding::R50kBase, Encoding::P50kBase, Encoding::Cl100kBase, Encoding::O200kBase].map(Counter::new);
    let lines: Vec<&str> = include_str!("counts.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 150);
    for line in lines {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let text: String = serde_json::from_str(fields[4]).expect("a text in JSON");
        for (counter, expected) in encodings.iter().zip(&fields) {
            assert_eq!(counter.count(&text).to_string(), *expected, "{}: {text:?}", counter.name());
        }
    }
}

#[test]
fn every_token_is_encoded_as_itself() {
    for encoding in [Encoding::P50kBase, Encoding::Cl100kBase, Encoding::O200kBase] {
        let counter = Counter::new(encoding);
        let words = encoding.tokens().into_iter().filter_map(|(token, bytes)| Some((token, String::from_utf8(bytes).ok()?)));
        let alone = words.filter(|(token, word)| counter.encode(word) == [*token]).count();
        // What is left cannot be one word of the pattern, or is half a character.
        assert!(alone * 100 > encoding.tokens().len() * 97, "{}: {alone}", encoding.name());
    }
}

#[test]
fn tok_01_numbers_are_those_of_tiktoken() {
    let Some(python) = peer::python() else { return };
    let texts = corpus::texts();
    let encodings = [Encoding::R50kBase, Encoding::P50kBase, Encoding::P50kEdit, Encoding::Cl100kBase, Encoding::O200kBase, Encoding::O200kHarmony];
    let mut theirs = peer::tiktoken(&python, &texts, tiktoken_file);
    for encoding in encodings {
        let counter = Counter::new(encoding);
        // Two are others by name only.
        let is_alias = matches!(encoding, Encoding::P50kEdit | Encoding::O200kHarmony);
        for text in texts.iter().take(if is_alias { peer::ALIAS_TEXTS } else { usize::MAX }) {
            let expected = theirs.next_tokens();
            assert_eq!(counter.encode(text), expected, "{}: {text:?}", encoding.name());
            assert_eq!(counter.count(text), expected.len(), "{}: {text:?}", encoding.name());
        }
    }
    assert!(theirs.is_at_end());
}

#[test]
fn files_count_as_hugging_faces_tokenizers_do() {
    let Some(python) = peer::python() else { return };
    let texts = corpus::short_texts();
    let families = peer::huggingface(&python, &corpus::training(), &texts);
    assert_eq!(families.len(), 15);
    for (name, (json, mut theirs)) in families {
        let counter = Counter::from_tokenizer_json(&name, &json).unwrap_or_else(|e| panic!("{name}: {e}"));
        for text in &texts {
            let expected = theirs.next_tokens();
            // Compatibility forms are those of the newest Unicode here, and of an older one there.
            if name == "runs_of_digits" && text.len() > 4_000 {
                continue;
            }
            assert_eq!(counter.encode(text), expected, "{name}: {text:?}");
            assert_eq!(counter.count(text), expected.len(), "{name}: {text:?}");
        }
        assert!(theirs.is_at_end());
    }
}
