//! What stands in for searching the web: a few texts, and those of them that have most of the words that are asked for.

use std::io::Result;

use serde_json::json;

use crate::clock;
use crate::faults::Known;
use crate::http::Response;
use crate::part::Part;
use crate::plan::Plan;

const TEXTS: &[&str] = &[
    "A cat sleeps most of the day and hunts at dusk.",
    "A door that is closed at night keeps the warmth in the house.",
    "Light in the kitchen helps whoever is hungry at night.",
    "A garden needs water in the evening rather than at noon.",
];
const SLOW_MS: u64 = 3_000;

const FAULTS: &[Known] = &[("slow", "each search takes three seconds longer"), ("down", "searches end in an error")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("search", plan, FAULTS);
    let of = part.clone();
    part.serve("/metrics", move |request| {
        let query = request.path.strip_prefix("/search/")?;
        if of.faults.is("slow") {
            clock::pause_ms(SLOW_MS);
        }
        Some(match of.faults.is("down") {
            true => Response::status_json(500, &json!({"error": "the index is gone"})),
            false => Response::json(&json!({"found": best(query)})),
        })
    })?;
    part.live()
}

/// The text with most of the words; nothing when it has none.
fn best(query: &str) -> Option<&'static str> {
    let words: Vec<String> = query.split('-').map(str::to_lowercase).collect();
    let hits = |text: &str| words.iter().filter(|word| text.to_lowercase().contains(word.as_str())).count();
    TEXTS.iter().copied().filter(|text| hits(text) > 0).max_by_key(|text| hits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_words_win() {
        assert_eq!(best("light-kitchen-cat"), Some(TEXTS[2]));
        assert_eq!(best("ship"), None);
    }
}
