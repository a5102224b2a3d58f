//! Jobs over HTTP, and what other faces show of queues.

use http::StatusCode;
use serde_json::{Value, json};

use crate::testing::{Answered, Faces};

async fn post(faces: &Faces, path: &str, body: &str) -> Answered {
    faces.post(&format!("/api/queues/detection_queue/{path}"), "application/json", body).await
}
async fn lease(faces: &Faces) -> Value {
    post(faces, "lease?worker=w", "").await.json()["jobs"][0].clone()
}

#[tokio::test]
async fn a_job_is_pushed_leased_failed_and_done() {
    let faces = Faces::new();
    let pushed = post(&faces, "jobs", "{\"a\":  1.0}").await;
    assert_eq!((pushed.status, &pushed.json()["depth"], &pushed.json()["backpressure"]), (StatusCode::CREATED, &json!(1), &json!(false)));
    let job = lease(&faces).await;
    assert_eq!((&job["payload"], &job["attempt"], &job["max_attempts"], &job["id"]), (&json!("{\"a\":  1.0}"), &json!(1), &json!(3), &pushed.json()["id"]));
    assert_eq!(job["leased_until"], "2025-12-30T10:16:00.000Z");
    let path = |job: &Value, what: &str| format!("leases/{}/{what}", job["lease"].as_str().unwrap());
    let failed = post(&faces, &path(&job, "fail"), r#"{"error": "x", "error_type": "TimeoutError", "http_status": 503}"#).await.json();
    assert_eq!((&failed["outcome"], &failed["attempt_count"]), (&json!("retry"), &json!(1)));
    assert_eq!(lease(&faces).await, Value::Null);
    faces.clock.advance(std::time::Duration::from_millis(failed["delay_ms"].as_u64().unwrap()));
    let job = lease(&faces).await;
    assert_eq!(post(&faces, &path(&job, "extend?lease_ms=120000"), "").await.json()["success"], true);
    assert_eq!(post(&faces, &path(&job, "release"), "").await.json()["success"], true);
    let job = lease(&faces).await;
    assert_eq!((&job["attempt"], post(&faces, &path(&job, "ack"), "").await.status), (&json!(2), StatusCode::OK));
    let twice = post(&faces, &path(&job, "ack"), "").await;
    assert_eq!((twice.status, &twice.json()["error"]["code"]), (StatusCode::NOT_FOUND, &json!("unknown_lease")));
    post(&faces, "jobs", "2").await;
    let dead = post(&faces, &path(&lease(&faces).await, "fail"), r#"{"error": "x", "retry": false}"#).await.json();
    assert_eq!((&dead["outcome"], &dead["dlq_name"]), (&json!("dead"), &json!("dlq:detection_queue")));
}

#[tokio::test]
async fn wrong_requests_are_refused_with_their_reason() {
    let faces = Faces::new();
    for (path, body, status) in [
        ("lease?count=0", "", 422),
        ("lease?count=101", "", 422),
        ("lease?lease_ms=1", "", 422),
        ("leases/x/ack", "", 404),
        ("leases/a.b/ack", "", 404),
        ("leases/a.b/fail", "{}", 400),
    ] {
        assert_eq!(post(&faces, path, body).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(faces.post("/api/queues/nope/jobs", "text/plain", "x").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(post(&faces, "jobs", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn telemetry_shows_our_queues_once_they_are_used() {
    let faces = Faces::new();
    let queues = async || faces.get("/api/system/telemetry").await.json()["queues"].clone();
    assert_eq!(queues().await, json!({ "detection_queue": null, "analysis_queue": null }));
    for _ in 0..2 {
        post(&faces, "jobs", "1").await;
    }
    assert_eq!(queues().await, json!({ "detection_queue": 2, "analysis_queue": 0 }));
    lease(&faces).await;
    assert_eq!(queues().await["detection_queue"], 1);
}
