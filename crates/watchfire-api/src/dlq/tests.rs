//! The dead letter face as its clients meet it.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use watchfire_pipeline::queue::failure::Report;

use crate::auth::Rights;
use crate::server::Level;
use crate::testing::{Answered, Faces};

/// Lets a job die.
async fn die(faces: &Faces, queue: &str, payload: &str, error: &str) {
    let queues = &faces.app.rooms.queues;
    let queue = queues.queue(queue).unwrap();
    queues.push(queue, Bytes::copy_from_slice(payload.as_bytes())).await.unwrap();
    for _ in 0..3 {
        let work = queues.lease(queue, "w", 1, None, Duration::ZERO).await.unwrap().pop().unwrap();
        queues.fail(queue, &work.leased.lease, &Report { error: error.to_owned(), ..Report::default() }).await.unwrap();
        faces.clock.advance(Duration::from_secs(45));
    }
}
async fn deaths(faces: &Faces, queue: &str, count: usize) {
    for n in 0..count {
        die(faces, queue, &format!("{{\"n\": {n}}}"), "Connection timeout to RT-DETRv2").await;
    }
}
async fn send(faces: &Faces, method: Method, path: &str) -> Answered {
    faces.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}
fn numbers(page: &Value) -> Vec<i64> {
    page["jobs"].as_array().unwrap().iter().map(|j| j["original_job"]["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn dlq_04_stats_are_two_counts_and_their_sum() {
    let faces = Faces::new();
    deaths(&faces, "detection_queue", 3).await;
    deaths(&faces, "analysis_queue", 1).await;
    for prefix in super::PREFIXES {
        let stats = faces.get(&format!("{prefix}/stats")).await.json();
        assert_eq!((&stats["detection_queue_count"], &stats["analysis_queue_count"], &stats["total_count"]), (&json!(3), &json!(1), &json!(4)));
        let places: Vec<_> = stats["queues"].as_array().unwrap().iter().map(|q| q["queue_name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(places, ["dlq:detection_queue", "dlq:overflow:detection_queue", "dlq:analysis_queue", "dlq:overflow:analysis_queue"]);
    }
}

#[tokio::test]
async fn dlq_05_a_listing_has_jobs_queue_name_start_limit_and_total() {
    let faces = Faces::new();
    die(&faces, "detection_queue", r#"{"file_path": "/export/foscam/front_door/image001.jpg", "camera_id": "front_door"}"#, "Connection timeout to RT-DETRv2")
        .await;
    let page = faces.get("/api/dlq/jobs/dlq:detection_queue").await.json();
    let keys: Vec<_> = page.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["jobs", "queue_name", "start", "limit", "total", "count"]);
    assert_eq!(
        (&page["queue_name"], &page["start"], &page["limit"], &page["total"], &page["count"]),
        (&json!("dlq:detection_queue"), &json!(0), &json!(100), &json!(1), &json!(1))
    );
    let job = &page["jobs"][0];
    assert_eq!(job["original_job"], json!({"file_path": "/export/foscam/front_door/image001.jpg", "camera_id": "front_door"}));
    assert_eq!((&job["error"], &job["attempt_count"]), (&json!("Connection timeout to RT-DETRv2"), &json!(3)));
    assert_eq!((&job["first_failed_at"], &job["last_failed_at"]), (&json!("2025-12-30T10:15:00Z"), &json!("2025-12-30T10:16:30Z")));
    assert_eq!((&job["queue_name"], &job["dlq_name"]), (&json!("detection_queue"), &json!("dlq:detection_queue")));
    let id = job["id"].as_str().unwrap();
    assert_eq!(faces.get(&format!("/api/dlq/jobs/dlq:detection_queue/{id}")).await.json(), *job);
    let payload = faces.get(&format!("/api/dlq/jobs/dlq:detection_queue/{id}/payload")).await;
    assert_eq!(payload.text(), r#"{"file_path": "/export/foscam/front_door/image001.jpg", "camera_id": "front_door"}"#);
    assert_eq!(faces.get("/api/dlq/jobs/dlq:detection_queue/0123456789abcdef").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dlq_06_start_is_0_limit_is_100_and_others_than_1_to_1000_are_refused() {
    let faces = Faces::new();
    for path in ["/api/dlq/jobs/dlq:detection_queue", "/api/system/dlq/jobs"] {
        for (query, status) in
            [("", 200), ("?limit=1", 200), ("?limit=1000", 200), ("?limit=0", 422), ("?limit=1001", 422), ("?limit=x", 422), ("?start=-1", 422)]
        {
            let answer = faces.get(&format!("{path}{query}")).await;
            assert_eq!(answer.status.as_u16(), status, "{path}{query}: {}", answer.text());
        }
        let page = faces.get(path).await.json();
        assert_eq!((&page["start"], &page["limit"]), (&json!(0), &json!(100)));
    }
    let unknown = faces.get("/api/dlq/jobs/dlq:nope").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("unknown_queue")));
    assert_eq!(faces.get("/api/dlq/jobs/detection_queue").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn dlq_07_pages_do_not_overlap() {
    let faces = Faces::new();
    deaths(&faces, "detection_queue", 120).await;
    let page = async |query: &str| numbers(&faces.get(&format!("/api/dlq/jobs/dlq:detection_queue?{query}")).await.json());
    let all: Vec<i64> = [page("start=0&limit=50").await, page("start=50&limit=50").await, page("start=100&limit=50").await].concat();
    assert_eq!(all, (0..120).collect::<Vec<_>>());
    assert_eq!(page("start=500").await, Vec::<i64>::new());
}

#[tokio::test]
async fn all_places_can_be_listed_as_one() {
    let faces = Faces::new();
    deaths(&faces, "detection_queue", 2).await;
    deaths(&faces, "analysis_queue", 3).await;
    let page = faces.get("/api/system/dlq/jobs?start=1&limit=3").await.json();
    assert_eq!((&page["queue_name"], &page["total"], numbers(&page)), (&json!("all"), &json!(5), vec![1, 0, 1]));
    let one = faces.get("/api/system/dlq/jobs?queue=dlq:analysis_queue").await.json();
    assert_eq!((&one["queue_name"], &one["total"]), (&json!("dlq:analysis_queue"), &json!(3)));
}

#[tokio::test]
async fn dead_letters_go_back_with_the_known_sentences() {
    let faces = Faces::new();
    deaths(&faces, "detection_queue", 5).await;
    let post = async |path: &str| {
        let answer = send(&faces, Method::POST, path).await;
        (answer.status.as_u16(), answer.json())
    };
    let (status, one) = post("/api/dlq/requeue/dlq:detection_queue").await;
    assert_eq!((status, &one["success"], &one["job"], &one["count"]), (200, &json!(true), &json!(null), &json!(1)));
    let ids: Vec<String> = faces.get("/api/dlq/jobs/dlq:detection_queue?start=1&limit=2").await.json()["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["id"].as_str().unwrap().to_owned())
        .collect();
    let two = faces.post("/api/dlq/requeue/dlq:detection_queue", "application/json", &json!({ "ids": ids }).to_string()).await;
    assert_eq!(two.json()["count"], 2);
    let again = faces.post("/api/dlq/requeue/dlq:detection_queue", "application/json", &json!({ "ids": ids }).to_string()).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let (_, all) = post("/api/system/dlq/requeue-all?queue=dlq:detection_queue").await;
    assert_eq!(all["message"], "Requeued 2 jobs from dlq:detection_queue to detection_queue");
    let (status, none) = post("/api/dlq/requeue-all/dlq:detection_queue").await;
    assert_eq!((status, &none["success"], &none["message"]), (200, &json!(false), &json!("No jobs to requeue from dlq:detection_queue")));
    assert_eq!(post("/api/dlq/requeue-all/dlq:detection_queue?rate=0").await.0, 422);
    assert_eq!(post("/api/dlq/requeue-all/dlq:detection_queue?rate=5").await.0, 202);
    assert_eq!(post("/api/system/dlq/requeue-all").await.0, 422);
    assert_eq!(faces.get("/api/queues").await.json()[0]["waiting"], 5);
}

#[tokio::test]
async fn what_was_cleared_can_be_restored_and_the_trail_tells_who() {
    let faces = Faces::new();
    deaths(&faces, "detection_queue", 2).await;
    let cleared = send(&faces, Method::DELETE, "/api/system/dlq/clear?queue=dlq:detection_queue").await.json();
    assert_eq!(
        (&cleared["success"], &cleared["message"], &cleared["queue_name"]),
        (&json!(true), &json!("Cleared 2 jobs from dlq:detection_queue"), &json!("dlq:detection_queue"))
    );
    assert_eq!(send(&faces, Method::DELETE, "/api/dlq/dlq:detection_queue").await.json()["count"], 0);
    let name = cleared["undo"].as_str().unwrap();
    assert_eq!(faces.get("/api/dlq/undo").await.json()[0]["name"], name);
    let restored = send(&faces, Method::POST, &format!("/api/dlq/undo/{name}/restore")).await.json();
    assert_eq!((&restored["count"], &restored["message"]), (&json!(2), &json!("Restored 2 jobs to dlq:detection_queue")));
    assert_eq!(send(&faces, Method::POST, "/api/dlq/undo/none/restore").await.status, StatusCode::NOT_FOUND);
    let trail = faces.get("/api/dlq/audit?limit=2").await.json();
    assert_eq!((&trail[0]["what"], &trail[0]["who"], &trail[0]["via"], &trail[0]["count"]), (&json!("restore"), &json!("test"), &json!("token"), &json!(2)));
    assert_eq!(numbers(&faces.get("/api/dlq/jobs/dlq:detection_queue").await.json()), [0, 1]);
}

#[tokio::test]
async fn r57_no_secret_is_in_any_view() {
    let faces = Faces::new();
    die(
        &faces,
        "detection_queue",
        r#"{"url": "rtsp://u:canary@cam/", "n": 1, "token": "canary"}"#,
        "no http://u:canary@host/, Authorization: Bearer canary123",
    )
    .await;
    for path in ["/api/dlq/jobs/dlq:detection_queue", "/api/system/dlq/jobs", "/api/dlq/audit", "/api/dlq/stats"] {
        let text = faces.get(path).await.text();
        assert!(!text.contains("canary"), "{path}: {text}");
    }
    // Whoever needs the job itself must be allowed to.
    let id = faces.get("/api/dlq/jobs/dlq:detection_queue").await.json()["jobs"][0]["id"].as_str().unwrap().to_owned();
    faces.house.held().rights = Some(Rights::of(Level::Read));
    assert_eq!(faces.get(&format!("/api/dlq/jobs/dlq:detection_queue/{id}/payload")).await.status, StatusCode::FORBIDDEN);
}
