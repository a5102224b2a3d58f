//! The engine that stands in for the accelerator: a table of which word follows which, read from a file, and a walk through it. It knows
//! nothing, but its tokens are really made one after the other.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::Path;

use serde_json::json;

use crate::clock;
use crate::faults::Known;
use crate::http::{Request, Response};
use crate::part::Part;
use crate::plan::Plan;

/// What the model is made from.
const TEXT: &str = "the house is quiet and the door is closed and the light in the kitchen is on while the cat sleeps near the door and the \
                    garden is dark and nobody is in the garden but the cat and the light";
/// Tokens of one answer, of a long one, and of one that finds no end.
const TOKENS_MAX: u64 = 40;
const LONG_TOKENS: u64 = 60;
const RUNAWAY_TOKENS: u64 = 4_000_000;
/// Words of an answer that are sent; a runaway's would be megabytes.
const WORDS_SENT: usize = 40;
/// How long a slowed engine takes for each token.
const SLOWED_MS: u64 = 300;
/// How long a wedged engine keeps somebody waiting before the connection ends.
const WEDGED_MS: u64 = 20_000;

const FAULTS: &[Known] = &[
    ("slowed", "each token takes 300 ms"),
    ("wedged", "nothing is answered, not even whether it is well"),
    ("model-gone", "the file of the model is moved away, so no inference works"),
    ("runaway", "answers find no end and have four million tokens"),
];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("engine", plan, FAULTS);
    let model = part.plan.dir.join("engine").join("model.txt");
    std::fs::create_dir_all(part.plan.dir.join("engine"))?;
    std::fs::write(&model, TEXT)?;
    let away = model.with_extension("away");
    let moved = model.clone();
    part.every(50, move |part| {
        let (from, to) = if part.faults.is("model-gone") { (&moved, &away) } else { (&away, &moved) };
        // It is where it should be already, most of the time.
        std::fs::rename(from, to).ok();
    })?;
    let of = part.clone();
    part.serve("/metrics", move |request| answer(&of, &model, request))?;
    part.live()
}

fn answer(part: &Part, model: &Path, request: &Request) -> Option<Response> {
    let began = clock::now();
    while part.faults.is("wedged") && clock::ms_since(began) < WEDGED_MS as f64 {
        clock::pause_ms(50);
    }
    if request.path != "/infer" {
        return None;
    }
    let asked = request.json();
    let wanted = if asked["model"] == "words-long" { LONG_TOKENS } else { TOKENS_MAX };
    let answered = infer(part, model, asked["prompt"].as_str().unwrap_or_default(), wanted);
    Some(answered.map_or_else(
        |error| Response::status_json(500, &json!({"error": error.to_string()})),
        |(text, tokens)| Response::json(&json!({"text": text, "tokens": tokens})),
    ))
}

/// Words by number, and for each word those that follow it.
struct Model {
    words: Vec<String>,
    follows: Vec<Vec<usize>>,
}

impl Model {
    fn read(path: &Path) -> Result<Model> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::new(error.kind(), format!("cannot read the model: {error}")))?;
        Ok(Model::of(&text))
    }
    fn of(text: &str) -> Model {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut model = Model { words: Vec::new(), follows: Vec::new() };
        let mut before = None;
        for word in text.split_whitespace() {
            let number = *numbers.entry(word).or_insert_with(|| {
                model.words.push(word.to_owned());
                model.follows.push(Vec::new());
                model.words.len() - 1
            });
            if let Some(follows) = before.and_then(|before: usize| model.follows.get_mut(before)) {
                follows.push(number);
            }
            before = Some(number);
        }
        model
    }
    /// The word after another, chosen by how far the walk is.
    fn next(&self, word: usize, step: u64) -> usize {
        let follows = self.follows.get(word).filter(|follows| !follows.is_empty());
        follows.and_then(|follows| follows.get((step % follows.len() as u64) as usize)).copied().unwrap_or(0)
    }
}

/// An answer and how many tokens it has.
fn infer(part: &Part, path: &Path, prompt: &str, wanted: u64) -> Result<(String, u64)> {
    let model = Model::read(path)?;
    let tokens = if part.faults.is("runaway") { RUNAWAY_TOKENS } else { wanted };
    let mut word = prompt.len() % model.words.len().max(1);
    let mut sent = Vec::new();
    for step in 0..tokens {
        word = model.next(word, step);
        if sent.len() < WORDS_SENT {
            sent.push(model.words.get(word).cloned().unwrap_or_default());
        }
        if part.faults.is("slowed") && step < TOKENS_MAX {
            clock::pause_ms(SLOWED_MS);
        }
    }
    Ok((sent.join(" "), tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_follows_the_text() {
        let model = Model::of("a b a c");
        assert_eq!((model.words.len(), model.next(0, 0), model.next(0, 1), model.next(2, 5)), (3, 1, 2, 0));
        assert!(Model::read(Path::new("/nonexistent")).is_err());
        assert_eq!(Model::of("").next(0, 3), 0);
    }
}
