//! The token routes: shapes, levels, limits, and what is told as metrics.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use watchfire_model::observe::Observe;
use watchfire_tokens::{Budget, Counter, Encoding, TokenCounter};

use super::TEXT_BYTES_MAX;
use crate::auth::{Level, Rights};
use crate::testing::Faces;

/// The names of what is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);
impl Observe for Told {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        self.0.lock().unwrap().push(format!("{family}{labels:?} {value}"));
    }
}

fn faces(available: usize) -> (Faces, Arc<Told>) {
    let told = Arc::new(Told::default());
    let budget = Budget::new(available + 1_536, 1_536, 0.8).unwrap();
    let tokens = Arc::new(TokenCounter::new(Counter::new(Encoding::Cl100kBase), budget, true, told.clone()));
    (Faces::with(|rooms| rooms.tokens = tokens), told)
}

async fn post(faces: &Faces, path: &str, body: &Value) -> Value {
    let answer = faces.post(path, "application/json", &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn texts_are_counted() {
    let (faces, told) = faces(2_364);
    let text = "The quick brown fox jumps over the lazy dog. \u{dc}n\u{ef}c\u{f6}d\u{e9} \u{6f22}\u{5b57} \u{1f98a}";
    assert_eq!(post(&faces, "/api/llm/count", &json!({"text": text})).await, json!({"tokens": 24, "encoding": "cl100k_base"}));
    assert_eq!(post(&faces, "/api/llm/count", &json!({"text": ""})).await["tokens"], 0);
    assert!(told.0.lock().unwrap().is_empty(), "counting is no check");
}

#[tokio::test]
async fn tok_06_get_context_budget_has_the_documented_fields() {
    let (faces, _) = faces(2_364);
    let budget = faces.get("/api/llm/budget").await.json();
    assert_eq!(
        budget,
        json!({
            "context_window": 3_900, "max_output_tokens": 1_536, "available_for_prompt": 2_364,
            "warning_threshold": 1_891, "warning_ratio": 0.8, "truncation_enabled": true, "encoding": "cl100k_base",
        })
    );
}

#[tokio::test]
async fn tok_03_validation_over_http() {
    let (faces, told) = faces(10);
    let fits = post(&faces, "/api/llm/validate", &json!({"prompt": " word".repeat(9), "model": "nemotron"})).await;
    assert_eq!(
        fits,
        json!({
            "is_valid": true, "prompt_tokens": 9, "available_for_prompt": 10, "context_window": 1_546, "utilization": 0.9,
            "warning": "high context utilization: 90.0 % (9 of 10 tokens)", "error": null,
        })
    );
    let over = post(&faces, "/api/llm/validate", &json!({"text": " word".repeat(11)})).await;
    assert_eq!((&over["is_valid"], &over["error"]), (&json!(false), &json!("the prompt has 11 tokens, and 10 are available")));
    let told = told.0.lock().unwrap();
    let expected = [
        "hsi_llm_context_utilization[] 0.9",
        "hsi_prompt_tokens[] 9",
        "hsi_llm_context_utilization_ratio[(\"model\", \"nemotron\")] 0.9",
        "hsi_prompts_high_utilization_total[] 1",
        "hsi_llm_context_utilization[] 1.1",
    ];
    assert_eq!(told[..5], expected);
}

#[tokio::test]
async fn tok_14_truncation_over_http() {
    let (faces, told) = faces(2_364);
    let prompt = format!("## Camera\nfront\n## Depth Context\n{}\n", " far".repeat(50));
    let done = post(&faces, "/api/llm/truncate", &json!({"prompt": prompt, "max_tokens": 10})).await;
    assert_eq!(
        done,
        json!({
            "truncated_prompt": "## Camera\nfront\n", "original_tokens": 60, "final_tokens": 5,
            "sections_removed": ["depth_context"], "was_truncated": true, "fits": true,
        })
    );
    let whole = post(&faces, "/api/llm/truncate", &json!({"prompt": prompt})).await;
    assert_eq!((&whole["truncated_prompt"], &whole["was_truncated"]), (&json!(prompt), &json!(false)));
    assert_eq!(told.0.lock().unwrap().len(), 2, "the second one changed nothing");
}

#[tokio::test]
async fn what_is_no_text_is_refused_and_so_is_too_much() {
    let (faces, _) = faces(10);
    for body in ["", "[]", "{}", "{\"text\": 1}", "{\"text\": \"a\", \"txt\": 1}", "{\"text\": \"\\ud800\"}"] {
        let answer = faces.post("/api/llm/count", "application/json", body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.text().contains("cannot read the body"), "{}", answer.text());
    }
    assert_eq!(faces.post("/api/llm/truncate", "application/json", "{\"prompt\": \"a\", \"max_tokens\": -1}").await.status, 400);
    assert_eq!(faces.post("/api/llm/count", "text/plain", "{\"text\": \"a\"}").await.status, 415);
    let large = json!({"text": "a".repeat(TEXT_BYTES_MAX)}).to_string();
    assert_eq!(faces.post("/api/llm/count", "application/json", &large).await.status, 413);
}

#[tokio::test]
async fn readers_count_and_only_those_who_tell_may_check() {
    let (faces, _) = faces(10);
    let send = async |path: &str| faces.post(path, "application/json", "{\"text\": \"a\"}").await.status.as_u16();
    faces.house.held().rights = Some(Rights::of(Level::Read));
    assert_eq!([send("/api/llm/count").await, send("/api/llm/validate").await, send("/api/llm/truncate").await], [200, 403, 403]);
    assert_eq!(faces.get("/api/llm/budget").await.status, 200);
    faces.house.held().rights = Some(Rights::of(Level::Ingest));
    assert_eq!([send("/api/llm/count").await, send("/api/llm/validate").await, send("/api/llm/truncate").await], [200, 200, 200]);
    assert_eq!(faces.get("/api/llm/budget").await.status, 200);
    assert_eq!(faces.get("/api/system/gpu").await.status, 403, "who sends sees nothing else");
}
