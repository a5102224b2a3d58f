//! What is asked of a value of a field: words, phrases, whole texts, beginnings, patterns, ranges. Texts are compared as words and as
//! wholes, because nobody has told whether a field is a text or a keyword. It knows no fields.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use regex::Regex;

use super::analysis::{Glob, all_words, within_distance, words};
use super::dates::{self, Period};
use super::document::{Document, Scalar};
use super::range::Range;
use crate::logql::ip::IpRange;
use crate::logql::units;

/// The most words of one phrase.
pub const PHRASE_WORDS_MAX: usize = 256;
/// The most words of one text that are looked for one by one.
pub const WORDS_MAX: usize = 4_096;

/// How many of several words must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// One.
    Any,
    /// All.
    All,
    /// So many.
    AtLeast(usize),
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub enum Test {
    /// It has words; in the same value, in any order.
    Words {
        /// The words, in lower case, ascending.
        words: Vec<String>,
        /// The text they come from.
        text: String,
        /// How many.
        wanted: Words,
    },
    /// It has words one after the other.
    Phrase {
        /// The words, in lower case.
        words: Vec<String>,
        /// The text they come from.
        text: String,
        /// How many moves of words are forgiven.
        slop: usize,
        /// Whether the last one may go on.
        open: bool,
    },
    /// It is this text, or one of its words is.
    Term {
        /// The text.
        text: String,
        /// The same in lower case where case does not matter.
        folded: Option<String>,
    },
    /// It is one of these texts, or one of its words is.
    OneOf(Arc<Choices>),
    /// It begins so, or one of its words does.
    Prefix {
        /// The beginning.
        text: String,
        /// The same in lower case, as words are.
        lower: String,
        /// Whether case does not matter.
        folds: bool,
    },
    /// It fits, or one of its words does.
    Wildcard {
        /// The pattern.
        glob: Glob,
        /// Whether case does not matter.
        folds: bool,
    },
    /// All of it matches, or all of one of its words does.
    Regex(Regex),
    /// One of its words is at most so many changes away.
    Fuzzy {
        /// The word, in lower case.
        word: String,
        /// How many changes.
        distance: usize,
    },
    /// It lies in a range.
    Range(Range),
    /// It is there.
    Exists,
}

/// Texts of which a value may be any, with what else they mean.
#[derive(Debug, Default)]
pub struct Choices {
    texts: HashSet<String>,
    /// The bits of those that are numbers.
    numbers: HashSet<u64>,
    periods: Vec<Period>,
}

impl Choices {
    fn new(texts: Vec<String>) -> Choices {
        let mut all = Choices::default();
        for text in texts {
            all.numbers.extend(units::number(text.trim()).map(bits));
            if !text.trim_start().starts_with("now") {
                all.periods.extend(dates::period(&text, watchfire_model::logs::Nanos(0), &TimeZone::UTC));
            }
            all.texts.insert(text);
        }
        all
    }

    fn has(&self, field: &str, value: &Scalar<'_>, document: &Document<'_>) -> bool {
        match value {
            Scalar::Text(whole) => self.texts.contains(&**whole) || (!is_exact(field) && any_word(whole, &mut |word| self.texts.contains(word))),
            Scalar::Number(number, written) => self.texts.contains(*written) || self.numbers.contains(&bits(*number)),
            Scalar::Bool(truth) => self.texts.contains(if *truth { "true" } else { "false" }),
            Scalar::Time(time) => document.spend(self.periods.len()) && self.periods.iter().any(|p| p.start <= *time && *time < p.end),
        }
    }
}

/// The bits of a number; both zeros are one.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl Test {
    /// One of the words of a text, or all of them. The error is a sentence without a place.
    pub fn words(text: &str, wanted: Words) -> Result<Test, String> {
        let mut words = all_words(text);
        if words.len() > WORDS_MAX {
            return Err(format!("a text has {} words, more than {WORDS_MAX}", words.len()));
        }
        words.sort_unstable();
        Ok(Test::Words { words, text: text.to_owned(), wanted })
    }
    /// The words of a text one after the other. The error is a sentence without a place.
    pub fn phrase(text: &str, slop: usize, open: bool) -> Result<Test, String> {
        let words = all_words(text);
        if words.len() > PHRASE_WORDS_MAX {
            return Err(format!("a phrase has {} words, more than {PHRASE_WORDS_MAX}", words.len()));
        }
        Ok(Test::Phrase { words, text: text.to_owned(), slop, open })
    }
    /// A text, or a word; `folds` when case does not matter.
    pub fn term(text: String, folds: bool) -> Test {
        Test::Term { folded: folds.then(|| text.to_lowercase()), text }
    }
    /// One of several texts, or a word that is one.
    pub fn one_of(texts: Vec<String>) -> Test {
        Test::OneOf(Arc::new(Choices::new(texts)))
    }
    /// A beginning; `folds` when case does not matter.
    pub fn prefix(text: String, folds: bool) -> Test {
        Test::Prefix { lower: text.to_lowercase(), text, folds }
    }

    pub(super) fn holds(&self, field: &str, value: &Scalar<'_>, document: &Document<'_>) -> bool {
        let size = if let Scalar::Text(text) = value { text.len() } else { 0 };
        if !document.spend(size + 16) {
            return false;
        }
        match (self, value) {
            (Test::Range(range), value) => range.has(value),
            (Test::Exists, _) => true,
            (Test::OneOf(choices), value) => choices.has(field, value, document),
            (Test::Words { text, .. } | Test::Phrase { text, .. } | Test::Term { text, .. }, Scalar::Number(..) | Scalar::Bool(_) | Scalar::Time(_)) => {
                equal_scalar(text, value)
            }
            (Test::Words { words, text, wanted }, Scalar::Text(whole)) => {
                whole == text || in_network(text, whole) || (!is_exact(field) && has_words(whole, words, *wanted))
            }
            (Test::Phrase { words, text, slop, open }, Scalar::Text(whole)) => {
                whole == text || in_network(text, whole) || (!is_exact(field) && has_phrase(whole, words, *slop, *open, document))
            }
            (Test::Term { text, folded }, Scalar::Text(whole)) => {
                whole == text
                    || in_network(text, whole)
                    || folded.as_ref().is_some_and(|folded| whole.to_lowercase() == *folded)
                    || (!is_exact(field) && any_word(whole, &mut |word| word == text || folded.as_deref() == Some(word)))
            }
            (Test::Prefix { text, lower, folds }, value) => {
                let whole = value.text();
                let begins = whole.starts_with(text.as_str()) || (*folds && whole.to_lowercase().starts_with(lower.as_str()));
                begins || (!is_exact(field) && any_word(&whole, &mut |word| word.starts_with(lower.as_str())))
            }
            (Test::Wildcard { glob, folds }, value) => {
                let whole = value.text();
                glob.fits(&whole, *folds) || (!is_exact(field) && any_word(&whole, &mut |word| glob.fits(word, *folds)))
            }
            (Test::Regex(regex), value) => {
                let whole = value.text();
                regex.is_match(&whole) || (!is_exact(field) && any_word(&whole, &mut |word| regex.is_match(word)))
            }
            (Test::Fuzzy { word, distance }, value) => any_word(&value.text(), &mut |other| within_distance(word, other, *distance)),
        }
    }
}

/// A field that is asked for as keyword is compared as a whole.
fn is_exact(field: &str) -> bool {
    field.ends_with(".keyword")
}

/// Whether a value is an address within a network: `10.0.0.0/8`.
fn in_network(network: &str, value: &str) -> bool {
    network.contains('/') && value.parse().is_ok_and(|address| IpRange::parse(network).is_ok_and(|range| range.contains(address)))
}

fn equal_scalar(text: &str, value: &Scalar<'_>) -> bool {
    match value {
        Scalar::Number(number, written) => text == *written || units::number(text.trim()).is_some_and(|n| n == *number),
        Scalar::Bool(truth) => text.parse::<bool>().is_ok_and(|t| t == *truth),
        // A date is the whole span that it names; no moment is `now` any more.
        Scalar::Time(_) if text.trim_start().starts_with("now") => false,
        Scalar::Time(time) => dates::period(text, *time, &TimeZone::UTC).is_some_and(|p| p.start <= *time && *time < p.end),
        Scalar::Text(whole) => whole == text,
    }
}

fn any_word(text: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut found = false;
    words(text, &mut |word| {
        found = test(word);
        !found
    });
    found
}

/// `wanted` ascends.
fn has_words(text: &str, wanted: &[String], how: Words) -> bool {
    let least = match how {
        Words::Any => 1,
        Words::All => wanted.len(),
        Words::AtLeast(least) => least.min(wanted.len()),
    };
    if wanted.is_empty() {
        return false;
    }
    if let [one] = wanted {
        return any_word(text, &mut |word| word == one);
    }
    let mut seen = vec![false; wanted.len()];
    let mut count = 0;
    words(text, &mut |word| {
        let first = wanted.partition_point(|w| w.as_str() < word);
        for (slot, _) in seen.iter_mut().zip(wanted).skip(first).take_while(|(_, w)| *w == word) {
            count += usize::from(!std::mem::replace(slot, true));
        }
        count < least
    });
    count >= least
}

/// Words in their order, with so many words between them altogether; with slop they may also change places.
fn has_phrase(text: &str, wanted: &[String], slop: usize, open: bool, document: &Document<'_>) -> bool {
    let Some((last, _)) = wanted.split_last() else { return false };
    let present = all_words(text);
    if slop > 0 {
        return has_moved(&present, wanted, slop, open.then_some(last.as_str()), document);
    }
    let fits = |i: usize, word: &str| if open && i + 1 == wanted.len() { word.starts_with(last.as_str()) } else { word == wanted[i] };
    present.windows(wanted.len()).any(|window| document.spend(16) && window.iter().enumerate().all(|(i, word)| fits(i, word)))
}

/// How far each word is from its place, if the phrase begins somewhere, is its start; whether there are starts of all words that are no
/// farther from each other than the slop. `open` is the last word where it may go on.
fn has_moved(present: &[String], wanted: &[String], slop: usize, open: Option<&str>, document: &Document<'_>) -> bool {
    let slop = i64::try_from(slop).unwrap_or(i64::MAX);
    let closed = wanted.len() - usize::from(open.is_some());
    // Words that are asked for several times have the same places.
    let mut places: HashMap<&str, Vec<i64>> = wanted.iter().take(closed).map(|word| (word.as_str(), Vec::new())).collect();
    let mut continued = Vec::new();
    for (at, word) in present.iter().enumerate() {
        if let Some(known) = places.get_mut(word.as_str()) {
            known.push(at as i64);
        }
        if open.is_some_and(|beginning| word.starts_with(beginning)) {
            continued.push(at as i64);
        }
    }
    let none = Vec::new();
    let of = |i: usize| if i < closed { places.get(wanted[i].as_str()).unwrap_or(&none) } else { &continued };
    // The lowest start of all is moved on until the highest is near enough or a word has no further place.
    let start = |i: usize, n: usize| of(i).get(n).map(|at| at - i as i64);
    let mut heap = BinaryHeap::with_capacity(wanted.len());
    let mut highest = i64::MIN;
    for i in 0..wanted.len() {
        let Some(first) = start(i, 0) else { return false };
        highest = highest.max(first);
        heap.push(Reverse((first, i, 0)));
    }
    while let Some(Reverse((lowest, i, n))) = heap.pop() {
        if highest - lowest <= slop {
            return true;
        }
        let Some(next) = start(i, n + 1).filter(|_| document.spend(16)) else { return false };
        highest = highest.max(next);
        heap.push(Reverse((next, i, n + 1)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::labels::Labels;
    use watchfire_model::logs::{LogLine, Nanos};

    fn phrase(text: &str, asked: &str, slop: usize, open: bool) -> bool {
        let labels = Labels::empty();
        let document = Document::new(LogLine { labels: &labels, metadata: &labels, time: Nanos(0), line: text });
        Test::phrase(asked, slop, open).unwrap().holds("message", &Scalar::Text(text.into()), &document)
    }

    #[test]
    fn phrases_with_moved_words() {
        for (text, asked, slop, open, expected) in [
            ("the quick brown fox jumps", "quick fox", 1, false, true),
            ("the quick brown fox jumps", "quick jumps", 1, false, false),
            ("the quick brown fox jumps", "quick jumps", 2, false, true),
            ("the quick brown fox jumps", "fox quick", 3, false, true),
            ("the quick brown fox jumps", "fox quick", 2, false, false),
            ("the quick brown fox jumps", "quick ju", 2, true, true),
            ("the quick brown fox jumps", "quick ju", 2, false, false),
            ("a b c", "c a", usize::MAX, false, true),
            ("a b c", "c x", usize::MAX, false, false),
        ] {
            assert_eq!(phrase(text, asked, slop, open), expected, "{text} {asked} {slop}");
        }
        assert!(Test::phrase(&"a ".repeat(PHRASE_WORDS_MAX), 0, false).is_ok());
        assert!(Test::phrase(&"a ".repeat(PHRASE_WORDS_MAX + 1), 0, false).unwrap_err().contains("257 words"));
        assert!(Test::words(&"a ".repeat(WORDS_MAX + 1), Words::Any).unwrap_err().contains("4097 words"));
    }

    #[test]
    fn several_words_count_as_often_as_they_are_asked_for() {
        let fits = |text: &str, asked: &str, wanted| {
            let Ok(Test::Words { words, .. }) = Test::words(asked, wanted) else { panic!("{asked}") };
            has_words(text, &words, wanted)
        };
        assert!(fits("z b a", "a z", Words::All) && !fits("z b", "a z", Words::All));
        assert!(fits("b", "b a b", Words::AtLeast(2)) && !fits("a", "b a b", Words::AtLeast(2)) && fits("c a", "b a", Words::Any));
    }
}
