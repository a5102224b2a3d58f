//! The token counter in the running program: routes, metrics, log, settings from the pipeline's variables.

use serde_json::{Value, json};

use crate::server::{Server, request, until};

#[test]
fn tok_20_the_exposition_shows_the_histogram_after_a_check() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let variables = [("NEMOTRON_CONTEXT_WINDOW", "4096"), ("WATCHFIRE_LOG_FILE", log.to_str().unwrap())];
    let server = Server::start(&dir.path().join("data"), &[], &variables);
    let post = |path: &str, body: Value| {
        let answer = request(server.address, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let budget = server.json("/api/llm/budget");
    assert_eq!((&budget["context_window"], &budget["max_output_tokens"], &budget["available_for_prompt"]), (&json!(4096), &json!(1536), &json!(2560)));
    assert_eq!(post("/api/llm/count", json!({"text": "hello world"}))["tokens"], 2);
    assert_eq!(post("/api/llm/validate", json!({"prompt": " word".repeat(2_400)}))["is_valid"], true);
    let long = format!("## Depth Context\n{}\n## Camera\nfront\n", " far".repeat(3_000));
    assert_eq!(post("/api/llm/validate", json!({"prompt": long}))["is_valid"], false);
    assert_eq!(post("/api/llm/truncate", json!({"prompt": long}))["sections_removed"], json!(["depth_context"]));

    let text = server.get("/metrics").unwrap().text();
    let shown = |line: &str| {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in {:#?}",
            text.lines().filter(|l| l.contains("hsi_llm_context") || l.contains("prompt")).collect::<Vec<_>>()
        )
    };
    shown("hsi_llm_context_utilization_bucket{le=\"0.9\"} 0");
    shown("hsi_llm_context_utilization_bucket{le=\"0.95\"} 1");
    shown("hsi_llm_context_utilization_bucket{le=\"+Inf\"} 2");
    shown("hsi_llm_context_utilization_count 2");
    shown("hsi_prompts_high_utilization_total 2");
    shown("hsi_prompts_truncated_total 1");
    shown("hsi_prompt_truncated_total{section_name=\"depth_context\"} 1");

    // What the documentation greps for.
    let logged = |words: &str| until(words, || std::fs::read_to_string(&log).unwrap(), |text| text.contains(words));
    assert!(logged("context utilization").contains("WARN"));
    assert!(logged("prompt truncated").contains("depth_context"));
}
