//! Words against what the regular expressions of the encodings give.

use super::*;

fn words<'a>(split: &impl Split, text: &'a str) -> Vec<&'a str> {
    let scan = Scan::new(text);
    let (mut at, mut words) = (0, Vec::new());
    while at < text.len() {
        let end = split.end(&scan, at);
        assert!(end > at, "no progress in {text:?} at {at}");
        words.push(text.get(at..end).expect("a word ends between characters"));
        at = end;
    }
    words
}

const CL100K: Cl100k = Cl100k { digits_max: 3, whole_tail: true };
const O200K: O200k = O200k { digits_max: 3, contractions: true };

#[test]
fn texts_are_cut_as_the_patterns_say() {
    assert_eq!(words(&Gpt2, "I'll, 12345  x"), ["I", "'ll", ",", " 12345", " ", " x"]);
    assert_eq!(words(&Gpt2, "a\n\n b 'S"), ["a", "\n\n", " b", " '", "S"]);
    assert_eq!(words(&CL100K, "I'LL 12345  x!\n\ny"), ["I", "'LL", " ", "123", "45", " ", " x", "!\n\n", "y"]);
    assert_eq!(words(&CL100K, "a \n\t\n  b \n "), ["a", " \n\t\n", " ", " b", " \n "]);
    assert_eq!(words(&CL100K, "it'ſ \u{301}e .e"), ["it", "'ſ", " \u{301}", "e", " .", "e"]);
    assert_eq!(words(&O200K, "camelCase HTTPServer it's a/b\n/"), ["camel", "Case", " HTTPServer", " it's", " a", "/b", "\n", "/"]);
    assert_eq!(words(&O200K, "漢A中b 漢AB!c \n "), ["漢A中b", " 漢", "AB", "!c", " \n", " "]);
}

#[test]
fn a_newline_at_the_very_end_is_cut_differently_by_relatives() {
    let llama = Cl100k { digits_max: 3, whole_tail: false };
    assert_eq!(words(&llama, "a \n  "), ["a", " \n", "  "]);
    assert_eq!(words(&CL100K, "a \n  "), ["a", " \n  "]);
}
