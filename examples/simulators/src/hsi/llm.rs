//! What stands in for the language model: it reads the numbers of a prompt and makes a score of them by a fixed rule, a token at a time. It is no
//! model.

use std::io::Result;
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::faults::Known;
use crate::http::Response;
use crate::part::Part;
use crate::plan::Plan;
use crate::telling::{SERVER, Span, Telling};

/// Work for each word of a prompt.
const ROUNDS: u64 = 2_000;
const SLOW: Duration = Duration::from_secs(3);

const FAULTS: &[Known] = &[("slow", "each answer takes three seconds longer"), ("failing", "every answer is an error")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("ai-llm", plan, FAULTS);
    let telling = Telling::default();
    telling.run(&part)?;
    let of = part.clone();
    part.serve("/metrics", move |request| {
        if request.path != "/v1/completions" {
            return None;
        }
        let span = Span::begin("POST /v1/completions", SERVER, request.header("traceparent"));
        let began = clock::now();
        if of.faults.is("slow") {
            clock::pause_ms(SLOW.as_millis() as u64);
        }
        if of.faults.is("failing") {
            telling.end(&of, &span, Some("out of memory"));
            telling.line(&of, "ERROR", "error: out of memory", &[]);
            return Some(Response::status_json(500, &json!({"error": "out of memory"})));
        }
        let asked = request.json();
        let (risk, words) = judge(asked["prompt"].as_str().unwrap_or_default());
        telling.end(&of, &span, None);
        let text = format!("a fixed rule gives {risk} of 100");
        let usage = json!({"prompt_tokens": words, "completion_tokens": text.split_whitespace().count()});
        Some(Response::json(&json!({"risk_score": risk, "text": text, "usage": usage, "gpu_seconds": began.elapsed().as_secs_f64()})))
    })?;
    part.live()
}

/// A score from 0 to 100 by how much was seen and how large it was, and the number of words that were read.
fn judge(prompt: &str) -> (u64, u64) {
    let (mut areas, mut words, mut read) = (0, 0, 1u64);
    for word in prompt.split_whitespace() {
        words += 1;
        if let Some(area) = word.strip_prefix("area=").and_then(|area| area.parse::<u64>().ok()) {
            areas += area;
        }
        for _ in 0..ROUNDS {
            read = std::hint::black_box(read.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(words));
        }
    }
    ((areas / 40).min(100), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_larger_things_score_more() {
        assert_eq!(judge("nothing was seen"), (0, 3));
        assert_eq!(judge("person area=280 cat area=120").0, 10);
        assert_eq!(judge("area=99999 area=x").0, 100);
    }
}
