//! Conditions over documents, which all the languages become. A field that nobody has satisfies nothing; texts are compared as words and
//! as wholes, because nobody has told whether a field is a text or a keyword.

use jiff::tz::TimeZone;
use regex::Regex;
use watchfire_model::logs::Nanos;

use super::analysis::{Glob, all_words, within_distance, words};
use super::document::{Document, Scalar, TIME};
use super::range::Range;
use crate::logql::units;

/// What a query is read with.
#[derive(Clone, Debug)]
pub struct Context {
    /// What `now` is in date math.
    pub now: Nanos,
    /// The zone of dates that name none.
    pub zone: TimeZone,
    /// The fields that words without a field are looked for in; all of them when empty.
    pub default_fields: Vec<String>,
    /// Whether words that follow each other must all be there.
    pub default_and: bool,
}
impl Context {
    /// Words may be anywhere, one of them is enough, dates are UTC.
    pub fn new(now: Nanos) -> Context {
        Context { now, zone: TimeZone::UTC, default_fields: Vec::new(), default_and: false }
    }
}

/// Which fields a condition is about.
#[derive(Clone, Debug)]
pub enum FieldNames {
    /// Any field.
    Any,
    /// One.
    One(String),
    /// Those whose names fit a pattern.
    Fitting(Glob),
    /// One of several.
    Several(Vec<String>),
}
impl FieldNames {
    /// What a name in a query means, which may have wildcards.
    pub fn of(name: &str) -> FieldNames {
        match name {
            "*" | "_all" => FieldNames::Any,
            name if name.contains(['*', '?']) => FieldNames::Fitting(Glob::new(name)),
            name => FieldNames::One(name.replace('\\', "")),
        }
    }
    /// The fields of words that name none.
    pub fn default(context: &Context) -> FieldNames {
        match context.default_fields.as_slice() {
            [] => FieldNames::Any,
            [one] => FieldNames::of(one),
            several => FieldNames::Several(several.to_vec()),
        }
    }

    /// Whether a value of one of the fields passes a test.
    fn any(&self, document: &Document<'_>, test: &mut dyn FnMut(&str, &Scalar<'_>) -> bool) -> bool {
        let mut found = false;
        match self {
            FieldNames::One(name) => {
                document.each_value(name, &mut |value| found = found || test(name, value));
            }
            FieldNames::Several(names) => {
                for name in names {
                    document.each_value(name, &mut |value| found = found || test(name, value));
                }
            }
            FieldNames::Any => document.each_field(&mut |name, value| found = found || test(name, value)),
            FieldNames::Fitting(glob) => {
                document.each_field(&mut |name, value| found = found || (glob.fits(name, false) && test(name, value)));
                found = found || (glob.fits(TIME, false) && test(TIME, &Scalar::Time(document.entry.time)));
            }
        }
        found
    }
}

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
        /// The words, in lower case.
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
        /// Whether case does not matter.
        folds: bool,
    },
    /// It begins so, or one of its words does.
    Prefix {
        /// The beginning.
        text: String,
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

impl Test {
    /// One of the words of a text, or all of them.
    pub fn words(text: &str, wanted: Words) -> Test {
        Test::Words { words: all_words(text), text: text.to_owned(), wanted }
    }
    /// The words of a text one after the other.
    pub fn phrase(text: &str, slop: usize) -> Test {
        Test::Phrase { words: all_words(text), text: text.to_owned(), slop, open: false }
    }

    fn holds(&self, field: &str, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Test::Range(range), value) => range.has(value),
            (Test::Exists, Scalar::Text(text)) => !text.is_empty(),
            (Test::Exists, _) => true,
            (Test::Words { text, .. } | Test::Phrase { text, .. } | Test::Term { text, .. }, Scalar::Number(..) | Scalar::Bool(_) | Scalar::Time(_)) => {
                equal_scalar(text, value)
            }
            (Test::Words { words, text, wanted }, Scalar::Text(whole)) => {
                if whole == text {
                    return true;
                }
                if is_exact(field) {
                    return false;
                }
                has_words(whole, words, *wanted)
            }
            (Test::Phrase { words, text, slop, open }, Scalar::Text(whole)) => whole == text || (!is_exact(field) && has_phrase(whole, words, *slop, *open)),
            (Test::Term { text, folds }, Scalar::Text(whole)) => {
                whole == text
                    || (*folds && whole.to_lowercase() == text.to_lowercase())
                    || (!is_exact(field) && any_word(whole, &mut |word| word == text || (*folds && word == text.to_lowercase())))
            }
            (Test::Prefix { text, folds }, value) => {
                let begins = |whole: &str| whole.starts_with(text.as_str()) || (*folds && whole.to_lowercase().starts_with(&text.to_lowercase()));
                let whole = value.text();
                begins(&whole) || (!is_exact(field) && any_word(&whole, &mut |word| word.starts_with(&text.to_lowercase())))
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

fn equal_scalar(text: &str, value: &Scalar<'_>) -> bool {
    match value {
        Scalar::Number(number, written) => text == *written || units::number(text.trim()).is_some_and(|n| n == *number),
        Scalar::Bool(truth) => text.parse::<bool>().is_ok_and(|t| t == *truth),
        // A date is the whole span that it names; no moment is `now` any more.
        Scalar::Time(_) if text.trim_start().starts_with("now") => false,
        Scalar::Time(time) => super::dates::period(text, *time, &TimeZone::UTC).is_some_and(|p| p.start <= *time && *time < p.end),
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
        for (slot, _) in seen.iter_mut().zip(wanted).filter(|(_, w)| *w == word) {
            count += usize::from(!std::mem::replace(slot, true));
        }
        count < least
    });
    count >= least
}

/// Words in their order, with so many words between them altogether; with slop they may also change places.
fn has_phrase(text: &str, wanted: &[String], slop: usize, open: bool) -> bool {
    if wanted.is_empty() {
        return false;
    }
    let present = all_words(text);
    let fits = |i: usize, word: &str| if open && i + 1 == wanted.len() { word.starts_with(&wanted[i]) } else { word == wanted[i] };
    if slop == 0 {
        return present.windows(wanted.len()).any(|window| window.iter().enumerate().all(|(i, word)| fits(i, word)));
    }
    // How far each word is from its place, if the phrase begins somewhere; the spread of these is what was moved.
    let places: Vec<Vec<i64>> =
        (0..wanted.len()).map(|i| (0..present.len()).filter(|at| fits(i, &present[*at])).map(|at| at as i64 - i as i64).collect()).collect();
    if places.iter().any(Vec::is_empty) {
        return false;
    }
    let starts = places.iter().flatten();
    starts.copied().any(|start| places.iter().all(|own| own.iter().any(|place| (0..=slop as i64).contains(&(place - start)))))
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// All of them hold.
    And(Vec<Filter>),
    /// So many of them hold.
    AtLeast(usize, Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A value of a field passes.
    Field(FieldNames, Test),
    /// The document is one of these.
    Ids(Vec<String>),
}

impl Filter {
    /// One of them holds.
    pub fn or(filters: Vec<Filter>) -> Filter {
        Filter::AtLeast(1, filters)
    }
    /// It does not hold.
    pub fn negated(filter: Filter) -> Filter {
        Filter::Not(Box::new(filter))
    }

    /// Whether a document satisfies it.
    pub fn holds(&self, document: &Document<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::None => false,
            Filter::And(all) => all.iter().all(|f| f.holds(document)),
            Filter::AtLeast(least, some) => {
                let mut count = 0;
                *least == 0
                    || some.iter().any(|f| {
                        count += usize::from(f.holds(document));
                        count >= *least
                    })
            }
            Filter::Not(inner) => !inner.holds(document),
            Filter::Field(names, test) => names.any(document, &mut |field, value| test.holds(field, value)),
            Filter::Ids(ids) => {
                let id = document.id();
                ids.contains(&id)
            }
        }
    }

    /// The times outside which nothing can satisfy it: `start <= time < end`.
    pub fn times(&self) -> (i64, i64) {
        match self {
            Filter::Field(FieldNames::One(name), Test::Range(range)) if name == TIME => range.times().unwrap_or((i64::MIN, i64::MAX)),
            Filter::And(all) => all.iter().map(Filter::times).fold((i64::MIN, i64::MAX), |(from, to), (f, t)| (from.max(f), to.min(t))),
            Filter::AtLeast(least, some) if *least >= 1 && !some.is_empty() => {
                some.iter().map(Filter::times).fold((i64::MAX, i64::MIN), |(from, to), (f, t)| (from.min(f), to.max(t)))
            }
            Filter::None => (0, 0),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// Whether it may depend on the line of an entry: all but the time may lie there.
    pub fn needs_line(&self) -> bool {
        match self {
            Filter::All | Filter::None => false,
            Filter::And(all) | Filter::AtLeast(_, all) => all.iter().any(Filter::needs_line),
            Filter::Not(inner) => inner.needs_line(),
            Filter::Field(FieldNames::One(name), _) => name != TIME,
            Filter::Field(..) | Filter::Ids(_) => true,
        }
    }

    /// The number of conditions in it.
    pub fn size(&self) -> usize {
        match self {
            Filter::And(inner) | Filter::AtLeast(_, inner) => 1 + inner.iter().map(Filter::size).sum::<usize>(),
            Filter::Not(inner) => 1 + inner.size(),
            _ => 1,
        }
    }
}
