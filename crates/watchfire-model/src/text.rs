//! Foreign text in our own words: what somebody sent is shown in a refusal as far as a person reads it, and what is too long to be kept is cut. It knows no language and escapes
//! nothing.

use std::borrow::Cow;

/// The most characters of foreign text that a refusal shows.
pub const SHOWN_CHARS_MAX: usize = 200;
/// How many of them are the end of the text: messages of parsers say there where they stopped.
const END_CHARS: usize = 60;

/// The beginning and the end of a text that is too long to be shown.
pub fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN_CHARS_MAX || text.chars().nth(SHOWN_CHARS_MAX).is_none() {
        return Cow::Borrowed(text);
    }
    let start = text.char_indices().nth(SHOWN_CHARS_MAX - END_CHARS - 1).map_or(0, |(at, _)| at);
    let end = text.char_indices().nth_back(END_CHARS - 1).map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}…{}", text.get(..start).unwrap_or(""), text.get(end..).unwrap_or("")))
}

/// As much of the beginning of a text as so many bytes hold, without a part of a character at its end.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_between_characters() {
        for (text, bytes_max, kept) in [("", 0, ""), ("ab", 0, ""), ("ab", 2, "ab"), ("ab", 9, "ab"), ("aä", 2, "a"), ("aä", 3, "aä"), ("\u{1f525}b", 3, "")]
        {
            assert_eq!(cut(text, bytes_max), kept);
        }
    }

    #[test]
    fn long_texts_keep_both_ends() {
        for text in ["", "short", &"x".repeat(SHOWN_CHARS_MAX), &"ä".repeat(SHOWN_CHARS_MAX)] {
            assert_eq!(shortened(text), text);
        }
        for c in ["x", "ä", "\u{1f525}"] {
            let text = format!("first {} last", c.repeat(1_000_000));
            let shown = shortened(&text);
            assert_eq!(shown.chars().count(), SHOWN_CHARS_MAX);
            assert!(shown.starts_with("first ") && shown.ends_with(" last") && shown.contains('…'), "{shown}");
        }
    }
}
