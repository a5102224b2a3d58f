//! Files that are refused, and what small ones do. Exactness is tested against Hugging Face's own program in `tests/peers`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(document: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::read(document.to_string().as_bytes())
}

/// A vocabulary of characters with two merges.
fn small(extra: &Value) -> Value {
    let mut document = json!({
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3, "\u{2581}": 4, "\u{2581}a": 5, "<unk>": 6}, "merges": ["a b", ["ab", "b"], ["\u{2581}", "a"]]}
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        match document.get_mut(key).and_then(Value::as_object_mut) {
            Some(known) => known.extend(value.as_object().cloned().unwrap_or_default()),
            None => document[key] = value.clone(),
        }
    }
    document
}

#[test]
fn what_cannot_be_done_exactly_is_refused_by_name() {
    let cases = [
        (json!({"model": {"type": "Unigram"}}), "a model of kind Unigram; only BPE is known"),
        (json!({"model": {"dropout": 0.1}}), "dropout, which is random"),
        (json!({"model": {"end_of_word_suffix": "</w>"}}), "marks inside or at the end of words"),
        (json!({"normalizer": {"type": "Lowercase"}}), "this kind of normalizer"),
        (json!({"pre_tokenizer": {"type": "BertPreTokenizer"}}), "this kind of pre-tokenizer"),
        (json!({"pre_tokenizer": {"type": "ByteLevel"}}), "a vocabulary that lacks the byte 0x00"),
        (json!({"added_tokens": [{"id": 9, "content": "x", "single_word": true}]}), "the added token \"x\", which is one only as a whole word"),
    ];
    for (extra, what) in cases {
        assert_eq!(read(&small(&extra)).err(), Some(TokenizerError::Unsupported(what.to_owned())), "{extra}");
    }
    let pattern = json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a(?=b)"}, "behavior": "Isolated", "invert": false}});
    assert_eq!(read(&small(&pattern)).err(), Some(TokenizerError::Pattern("a(?=b)".to_owned())));
    let merges = json!({"model": {"merges": ["a c"]}});
    assert_eq!(read(&small(&merges)).err(), Some(TokenizerError::Malformed("merge 0 is not made of tokens of the vocabulary".to_owned())));
    assert!(matches!(Tokenizer::read(b"{}"), Err(TokenizerError::Malformed(_))));
}

#[test]
fn characters_that_are_not_known_become_one_unknown_token_or_nothing() {
    assert_eq!(read(&small(&json!({}))).expect("it is sound").encode("abbxxab"), [3, 2]);
    let fused = read(&small(&json!({"model": {"unk_token": "<unk>", "fuse_unk": true}}))).expect("it is sound");
    assert_eq!(fused.encode("abxxb"), [2, 6, 1]);
    let single = read(&small(&json!({"model": {"unk_token": "<unk>"}}))).expect("it is sound");
    assert_eq!((single.encode("abxxb"), single.count("abxxb", 4), single.count("abxxb", 3)), (vec![2, 6, 6, 1], Some(4), None));
}

#[test]
fn blanks_become_marks_where_the_file_says_so() {
    let marks = |scheme: &str| json!({"pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true}});
    assert_eq!(read(&small(&marks("always"))).expect("it is sound").encode("a ab"), [5, 4, 2]);
    assert_eq!(read(&small(&marks("never"))).expect("it is sound").encode("a ab"), [0, 4, 2]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,40}") {
        if let Ok(tokenizer) = Tokenizer::read(&bytes) {
            tokenizer.count(&text, usize::MAX);
        }
    }

    #[test]
    fn counting_and_encoding_agree(text in "[ab x\u{2581}]{0,60}") {
        let tokenizer = read(&small(&json!({"model": {"unk_token": "<unk>"}}))).expect("it is sound");
        prop_assert_eq!(tokenizer.count(&text, usize::MAX), Some(tokenizer.encode(&text).len()));
    }
}
