//! `/ws/system` through a real socket, and the hub's limits.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use watchfire_model::labels;
use watchfire_model::live::{GpuSample, ServiceStatus};

use super::{CLIENTS_MAX, QUEUED_MAX, SystemFigures, beat, listen};
use crate::testing::{Faces, NOW, gpu_sample};
use watchfire_net::blocking::spawn_blocking;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn listening(faces: &Faces) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = faces.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn connect(address: SocketAddr) -> Client {
    tokio_tungstenite::connect_async(format!("ws://{address}/ws/system")).await.unwrap().0
}

/// The next message, at most ten seconds from now.
async fn next(client: &mut Client) -> Value {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(10), client.next()).await.expect("a message comes").unwrap().unwrap();
        if let Frame::Text(text) = frame {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn say(client: &mut Client, text: &str) -> Value {
    client.send(Frame::text(text)).await.unwrap();
    next(client).await
}

/// A connected client that has seen the first sample.
async fn with_client(faces: &Faces) -> Client {
    faces.house.held().gpu = vec![gpu_sample(NOW)];
    let mut client = connect(listening(faces).await).await;
    assert_eq!(next(&mut client).await["type"], "gpu_stats", "the present comes at once");
    client
}

fn service(status: &'static str) -> ServiceStatus {
    ServiceStatus { name: "rtdetr".to_owned(), status, message: "Health check failed".to_owned() }
}

#[tokio::test]
async fn gpu_12_every_poll_reaches_every_subscriber() {
    let faces = Faces::new();
    let mut first = with_client(&faces).await;
    let mut second = connect(listening(&faces).await).await;
    next(&mut second).await;
    for i in 1..=3 {
        faces.app.hub.publish_gpu(&GpuSample { utilization: Some(f64::from(i)), ..gpu_sample(NOW.plus_ms(i64::from(i) * 5000)) });
    }
    for client in [&mut first, &mut second] {
        for i in 1..=3 {
            assert_eq!(next(client).await["gpu_utilization"], json!(f64::from(i)));
        }
    }
}

#[tokio::test]
async fn gpu_29_flat_fields_are_at_the_top_level() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    faces.app.hub.publish_gpu(&gpu_sample(NOW));
    let message = next(&mut client).await;
    assert_eq!(
        (&message["type"], &message["gpu_utilization"], &message["memory_used"], &message["memory_total"]),
        (&json!("gpu_stats"), &json!(45.0), &json!(8192), &json!(24576))
    );
}

#[tokio::test]
async fn gpu_30_nested_fields_and_milliseconds() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    faces.app.hub.publish_gpu(&gpu_sample(NOW.plus_ms(7)));
    let message = next(&mut client).await;
    let data = &message["data"];
    for key in ["gpu_name", "gpu_utilization", "memory_used", "memory_total", "temperature", "power_usage"] {
        assert!(!data[key].is_null() && data[key] == message[key], "{key}");
    }
    assert_eq!((&data["recorded_at"], &message["timestamp"]), (&json!("2025-12-30T10:15:00.007Z"), &json!("2025-12-30T10:15:00.007Z")));
    faces.app.hub.publish_gpu(&GpuSample::mock(NOW));
    let mock = next(&mut client).await;
    assert_eq!((&mock["data"]["gpu_utilization"], &mock["data"]["recorded_at"]), (&Value::Null, &json!("2025-12-30T10:15:00.000Z")));
}

#[tokio::test]
async fn api_06_socket_and_polling_tell_the_same() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    let sample = GpuSample { temperature: Some(71.0), ..gpu_sample(NOW.plus_ms(5000)) };
    faces.house.held().gpu.push(sample.clone());
    faces.app.hub.publish_gpu(&sample);
    faces.app.hub.publish_service(&service("unhealthy"), NOW);
    let polled = faces.get("/api/system/gpu").await.json();
    let pushed = next(&mut client).await;
    for key in ["gpu_name", "gpu_utilization", "memory_used", "memory_total", "temperature", "power_usage", "inference_fps"] {
        assert_eq!(polled[key], pushed["data"][key], "{key}");
    }
    assert_eq!(next(&mut client).await["type"], "service_status", "what an alert is made of is pushed too");
}

#[tokio::test]
async fn service_changes_are_sent_once_and_told_to_newcomers() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    for status in ["unhealthy", "unhealthy", "restarting"] {
        faces.app.hub.publish_service(&service(status), NOW);
    }
    let expected = json!({ "type": "service_status", "data": { "service": "rtdetr", "status": "unhealthy", "message": "Health check failed" }, "timestamp": "2025-12-30T10:15:00Z" });
    assert_eq!(next(&mut client).await, expected);
    assert_eq!(next(&mut client).await["data"]["status"], "restarting");
    let mut newcomer = connect(listening(&faces).await).await;
    assert_eq!(next(&mut newcomer).await["type"], "gpu_stats");
    assert_eq!(next(&mut newcomer).await["data"]["status"], "restarting");
}

#[tokio::test]
async fn the_beat_tells_how_the_system_is() {
    let faces = Faces::new();
    let node = |name| labels!("__name__" => name, "job" => "node");
    faces.house.put(node("node_memory_MemTotal_bytes"), &[(0, 8e9)]);
    faces.house.put(node("node_memory_MemAvailable_bytes"), &[(0, 6e9)]);
    faces.house.put(node("node_load1"), &[(0, 0.5)]);
    faces.house.put(labels!("__name__" => "node_cpu_seconds_total", "job" => "node", "mode" => "idle"), &[(50, 0.0), (0, 25.0)]);
    faces.house.put(labels!("__name__" => "hsi_analysis_queue_depth"), &[(0, 2.0)]);
    faces.house.put(labels!("__name__" => "hsi_events_created_total", "camera_id" => "garden"), &[(0, 2.0)]);
    faces.house.held().services = vec![service("unhealthy")];
    tokio::spawn(beat(faces.app.clone()));
    let mut client = connect(listening(&faces).await).await;
    let status = loop {
        let message = next(&mut client).await;
        if message["type"] == "system_status" {
            break message;
        }
    };
    let data = &status["data"];
    assert_eq!(
        (&data["health"], &data["queue"], &data["cameras"]),
        (&json!("degraded"), &json!({ "pending": null, "processing": 2 }), &json!({ "active": 1, "total": 1 }))
    );
    assert_eq!((&data["host"]["memory_used_bytes"], &data["host"]["memory_total_bytes"], &data["host"]["load1"]), (&json!(2e9), &json!(8e9), &json!(0.5)));
    assert!((data["host"]["cpu_percent"].as_f64().unwrap() - 50.0).abs() < 10.0, "{data}");
    assert_eq!((&data["host"]["uptime_seconds"], &data["gpu"]["utilization"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_clients_say_is_answered() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    assert_eq!(say(&mut client, r#"{"type":"ping"}"#).await["type"], "pong");
    for (said, error) in [
        ("{", "invalid_json"),
        ("[1]", "invalid_message_format"),
        (r#"{"type":7}"#, "invalid_message_format"),
        (r#"{"type":"dance"}"#, "unknown_message_type"),
        (r#"{"type":"subscribe","channels":[]}"#, "validation_error"),
        (r#"{"type":"subscribe","channels":"all"}"#, "validation_error"),
    ] {
        let answer = say(&mut client, said).await;
        assert_eq!((&answer["type"], &answer["error"]), (&json!("error"), &json!(error)), "{said}");
        assert!(answer["message"].is_string() && answer.get("details").is_some(), "{said}");
    }
    client.send(Frame::text(r#"{"type":"subscribe","channels":["system"]}"#)).await.unwrap();
    assert_eq!(say(&mut client, r#"{"type":"resync"}"#).await["type"], "gpu_stats", "the present once more");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let faces = Faces::new();
    let mut client = with_client(&faces).await;
    // The server may close while we still send, so the sending may fail.
    let _may_fail = client.send(Frame::text("x".repeat((64 << 10) + 1))).await;
    let ended = async { while let Some(Ok(_)) = client.next().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the connection ends");
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_others_are_not() {
    let faces = Faces::new();
    let mut slow = listen(&faces.app).unwrap();
    let mut quick = listen(&faces.app).unwrap();
    for _ in 0..=QUEUED_MAX {
        faces.app.hub.publish_system(&SystemFigures::default(), NOW);
        assert!(quick.messages.recv().await.is_some());
    }
    for _ in 0..QUEUED_MAX {
        assert!(slow.messages.recv().await.is_some());
    }
    assert!(slow.messages.recv().await.is_none(), "its queue was taken away");
    faces.app.hub.publish_gpu(&gpu_sample(NOW));
    assert!(quick.messages.recv().await.is_some());
}

#[tokio::test]
async fn listeners_are_limited_and_leave() {
    let faces = Faces::new();
    let mut all: Vec<_> = (0..CLIENTS_MAX).map(|_| listen(&faces.app).unwrap()).collect();
    assert!(listen(&faces.app).is_none());
    all.pop();
    assert!(listen(&faces.app).is_some());
    all.clear();
    assert!(!faces.app.hub.is_heard());
}

#[tokio::test]
async fn hlt_07_every_change_of_a_service_is_a_service_status_with_a_time_at_the_top() {
    use crate::services::tests::{definition, supervising, until};
    let faces = supervising(vec![definition("rtdetr", false, true)]).await;
    let mut client = connect(listening(&faces).await).await;
    let message = |status: &str, text: &str| json!({ "type": "service_status", "data": { "service": "rtdetr", "status": status, "message": text }, "timestamp": "2025-12-30T10:15:01Z" });
    assert_eq!(next(&mut client).await, message("unhealthy", "Health check failed"), "the present comes at once");
    let supervisor = faces.app.rooms.supervisor.clone();
    let who = watchfire_pipeline::supervision::policy::Who { name: "me", via: "token" };
    let asked = supervisor.clone();
    spawn_blocking(move || asked.restart("rtdetr", who)).await.unwrap().unwrap();
    assert_eq!(next(&mut client).await, message("restarting", "Restart asked for by me"));
    until(|| supervisor.snapshot().services[0].view.counts.restarts == [1, 0]).await;
}

#[tokio::test]
async fn a_service_that_is_not_configured_any_more_is_not_told_to_newcomers() {
    let faces = Faces::new();
    faces.house.held().gpu = vec![gpu_sample(NOW)];
    faces.app.hub.publish_service(&service("unhealthy"), NOW);
    faces.app.hub.keep_services(|name| name == "rtdetr");
    assert_eq!(listen(&faces.app).unwrap().first.len(), 2);
    faces.app.hub.keep_services(|name| name == "redis");
    assert_eq!(listen(&faces.app).unwrap().first.len(), 1);
}

#[tokio::test]
async fn system_status_shows_our_queues_once_they_are_used() {
    let faces = Faces::new();
    let queues = async || super::beat::figures(&faces.app).await.unwrap().queues;
    assert_eq!(queues().await, (None, None));
    faces.post("/api/queues/analysis_queue/jobs", "application/json", "1").await;
    assert_eq!(queues().await.1, Some(1));
}
