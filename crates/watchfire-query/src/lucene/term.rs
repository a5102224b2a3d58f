//! Words of a query as conditions: plain ones, those with wildcards, expressions, similar words.

use regex::{Regex, RegexBuilder};
use watchfire_model::matcher::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX};

use crate::documents::analysis::{Glob, all_words, auto_distance};
use crate::documents::{Context, FieldNames, Filter, Test, Words};

/// Whether a word as written has wildcards that are not escaped.
pub(super) fn has_wildcards(word: &str) -> bool {
    let mut escaped = false;
    word.chars().any(|c| {
        let wild = !escaped && matches!(c, '*' | '?');
        escaped = !escaped && c == '\\';
        wild
    })
}

/// The word without its escapes.
pub(super) fn unescaped(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            out.extend(chars.next());
        } else {
            out.push(c);
        }
    }
    out
}

/// A word as it was written, for a field. The error is a sentence without a place.
pub(super) fn word(names: FieldNames, written: &str, context: &Context) -> Result<Filter, String> {
    if has_wildcards(written) {
        let glob = Glob::new(written);
        return Ok(match names {
            FieldNames::One(name) if glob.is_any() => Filter::exists(&name),
            names => Filter::Field(names, if glob.is_any() { Test::Exists } else { Test::Wildcard { glob, folds: true } }),
        });
    }
    let text = unescaped(written);
    let wanted = if context.default_and { Words::All } else { Words::Any };
    // Several words of one text, as in `user@host`, are meant as they stand.
    let test = match all_words(&text).len() {
        0 => Test::term(text, false),
        1 => Test::words(&text, wanted)?,
        _ => Test::phrase(&text, 0, false)?,
    };
    Ok(Filter::Field(names, test))
}

/// A word and how far others may be from it.
pub(super) fn fuzzy(names: FieldNames, written: &str, distance: Option<f64>) -> Filter {
    let word = unescaped(written).to_lowercase();
    let distance = match distance {
        None => auto_distance(&word),
        // A fraction is how similar words must be, as older versions had it.
        Some(similarity) if similarity > 0.0 && similarity < 1.0 => ((1.0 - similarity) * word.chars().count() as f64) as usize,
        Some(distance) => distance as usize,
    };
    Filter::Field(names, Test::Fuzzy { word, distance: distance.min(2) })
}

/// An expression that matches a whole value or word.
pub(crate) fn whole(pattern: &str, folds: bool) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("the regular expression is {} bytes long, more than {PATTERN_BYTES_MAX}", pattern.len()));
    }
    let built = RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .case_insensitive(folds)
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .nest_limit(50)
        .build();
    built.map_err(|error| {
        let text = error.to_string();
        format!("cannot compile regular expression /{pattern}/: {}", text.lines().last().unwrap_or("").trim_start_matches("error: "))
    })
}
