//! Foreign text in our own words: what somebody sent is shown in a refusal as far as a person reads it. It knows no language and escapes
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

#[cfg(test)]
mod tests {
    use super::*;

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
