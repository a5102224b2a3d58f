//! The face of the gateway without an upstream: refusals, their shape, and what was spent. What passes through is tested where the
//! gateway is, and with real clients against the real program.

use crate::testing::Faces;

#[tokio::test]
async fn without_upstreams_everything_is_refused_in_openais_shape() {
    let faces = Faces::new();
    for path in ["/llm/v1/chat/completions", "/llm/other/v1/chat/completions", "/llm/completion", "/llm/api/chat"] {
        let answer = faces.post(path, "application/json", r#"{"model":"m","messages":[]}"#).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status.as_u16(), error["code"].as_str(), error["type"].as_str()),
            (404, Some("model_not_found"), Some("invalid_request_error")),
            "{path}"
        );
        assert!(error["message"].as_str().unwrap().contains("gateway.upstreams"), "{error}");
    }
    assert_eq!(faces.get("/llm/v1/models").await.status, 404);
    assert_eq!(faces.get("/llm/v1/models/org/m").await.status, 404);
    let broken = faces.post("/llm/v1/chat/completions", "application/json", "{").await;
    assert_eq!((broken.status.as_u16(), broken.json()["error"]["code"].as_str()), (400, Some("bad_request")));
    let form = faces.post("/llm/v1/chat/completions", "text/plain", "{}").await;
    assert_eq!((form.status.as_u16(), form.json()["error"]["type"].as_str()), (415, Some("invalid_request_error")));
}

#[tokio::test]
async fn costs_begin_at_nothing() {
    let faces = Faces::new();
    let costs = faces.get("/api/llm/cost").await.json();
    assert_eq!((costs["today"]["name"].as_str(), costs["today"]["cost_usd"].as_f64()), (Some("2025-12-30"), Some(0.0)));
    assert_eq!((costs["month"]["name"].as_str(), costs["month"]["budget_usd"].is_null()), (Some("2025-12"), true));
    assert_eq!(costs["days"].as_array().map(Vec::len), Some(0));
    assert_eq!(faces.get("/api/llm/cost?days=x").await.status, 400);
}
