//! The shapes of the native face, over a house in memory.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use watchfire_model::batch::MetricType;
use watchfire_model::labels;
use watchfire_model::live::{GpuSample, ServiceStatus};
use watchfire_model::meter::Family;

use crate::app::Cleanup;
use crate::auth::Rights;
use crate::testing::{Faces, NOW, gpu_sample};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn service(name: &str, status: &'static str) -> ServiceStatus {
    ServiceStatus { name: name.to_owned(), status, message: String::new() }
}

const SIX: [&str; 6] = ["gpu_name", "gpu_utilization", "memory_used", "memory_total", "temperature", "power_usage"];

#[tokio::test]
async fn gpu_05_a_sample_has_the_named_fields_and_units() {
    let faces = Faces::new();
    faces.house.held().gpu = vec![gpu_sample(NOW)];
    let sample = faces.get("/api/system/gpu").await.json();
    assert_eq!(keys(&sample)[..6], SIX);
    assert_eq!((&sample["gpu_name"], &sample["gpu_utilization"], &sample["memory_used"]), (&json!("NVIDIA RTX A5500"), &json!(45.0), &json!(8192)));
    assert_eq!((&sample["memory_total"], &sample["temperature"], &sample["power_usage"]), (&json!(24576), &json!(62.0), &json!(125.5)));
    assert_eq!(sample["inference_fps"], json!(3.5));
}

#[tokio::test]
async fn gpu_06_inference_fps_is_only_a_number_when_known() {
    let faces = Faces::new();
    faces.house.held().gpu = vec![GpuSample { inference_fps: None, ..gpu_sample(NOW) }];
    assert_eq!(faces.get("/api/system/gpu").await.json()["inference_fps"], Value::Null);
}

#[tokio::test]
async fn gpu_13_answers_come_from_the_monitor_with_memory_and_database() {
    let faces = Faces::new();
    assert_eq!(faces.get("/api/system/gpu/history").await.json(), json!([]));
    faces.house.held().gpu = (0..3).map(|i| gpu_sample(NOW.plus_ms(-7_200_000 + i * 1000))).collect();
    let answer = faces.get("/api/system/gpu/history?since=1970-01-01T00:00:00Z").await;
    assert_eq!(answer.json().as_array().unwrap().len(), 3, "samples older than the memory holds are asked for too");
}

#[tokio::test]
async fn gpu_14_current_sample_is_one_object_with_recorded_at_in_utc() {
    let faces = Faces::new();
    faces.house.held().gpu = vec![gpu_sample(NOW.plus_ms(-5000)), gpu_sample(NOW.plus_ms(437))];
    let answer = faces.get("/api/system/gpu").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(answer.json()["recorded_at"], "2025-12-30T10:15:00Z");
    assert_eq!(keys(&answer.json())[6], "recorded_at");
    for key in ["throttle_reasons", "power_limit"] {
        assert!(answer.json().get(key).is_some_and(Value::is_number), "{key}");
    }
}

#[tokio::test]
async fn gpu_15_history_takes_since_and_limit_and_is_an_array() {
    let faces = Faces::new();
    faces.house.held().gpu = (0..10).map(|i| gpu_sample(NOW.plus_ms((i - 10) * 5000))).collect();
    let times = |answer: Value| answer.as_array().unwrap().iter().map(|s| s["recorded_at"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let got = times(faces.get("/api/system/gpu/history?since=2025-12-30T10:14:45Z&limit=2").await.json());
    assert_eq!(got, ["2025-12-30T10:14:50Z", "2025-12-30T10:14:55Z"], "the newest, ascending");
    assert_eq!(times(faces.get("/api/system/gpu/history?since=2025-12-30T10:14:45Z&limit=300").await.json()).len(), 3);
    assert_eq!(times(faces.get("/api/system/gpu/history?since=2025-12-30T11:14:45+01:00").await.json()).len(), 3, "an unescaped plus is understood");
    assert_eq!(times(faces.get("/api/system/gpu/history?limit=0").await.json()).len(), 1, "clamped to 1");
    assert_eq!(times(faces.get("/api/system/gpu/history?limit=99999").await.json()).len(), 10, "clamped to 5000");
    for bad in ["since=yesterday", "limit=many", "minutes=1.5"] {
        let answer = faces.get(&format!("/api/system/gpu/history?{bad}")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_parameter")), "{bad}");
    }
}

#[tokio::test]
async fn gpu_16_history_takes_minutes_and_since_wins() {
    let faces = Faces::new();
    faces.house.held().gpu = (0..60).map(|i| gpu_sample(NOW.plus_ms((i - 60) * 60_000))).collect();
    let count = |answer: Value| answer.as_array().unwrap().len();
    assert_eq!(count(faces.get("/api/system/gpu/history?minutes=30").await.json()), 30);
    assert_eq!(count(faces.get("/api/system/gpu/history?minutes=30&since=2025-12-30T10:05:00Z").await.json()), 10);
    assert_eq!(count(faces.get("/api/system/gpu/history?minutes=-5").await.json()), 0);
    assert_eq!(count(faces.get("/api/system/gpu/history?minutes=9223372036854775807").await.json()), 60);
}

#[tokio::test]
async fn gpu_17_the_mock_sample_is_exactly_six_keys() {
    let faces = Faces::new();
    faces.house.held().gpu = vec![GpuSample::mock(NOW)];
    let expected = json!({
        "gpu_name": "Mock GPU (No NVIDIA GPU Available)", "gpu_utilization": null, "memory_used": null,
        "memory_total": null, "temperature": null, "power_usage": null,
    });
    let answer = faces.get("/api/system/gpu").await.json();
    assert_eq!((&answer, keys(&answer)), (&expected, SIX.to_vec()));
    let history = faces.get("/api/system/gpu/history").await.json();
    assert_eq!(history[0]["recorded_at"], "2025-12-30T10:15:00Z", "history always has times");
}

#[tokio::test]
async fn gpu_26_the_exposition_has_no_gpu_hardware() {
    let faces = Faces::new();
    faces.house.held().families = vec![
        Family::new("hsi_gpu_seconds_total", MetricType::Counter, "GPU time.").with(&[("model", "nemotron")], 12.5),
        Family::new("hsi_gpu_utilization", MetricType::Gauge, "Hardware.").with(&[], 45.0),
        Family::new("hsi_gpu_temperature_celsius", MetricType::Gauge, "Hardware.").with(&[], 62.0),
        Family::new("hsi_events_created_total", MetricType::Counter, "Declared, without samples."),
        Family::new("watchfire_queries_total", MetricType::Counter, "Ours.").with(&[], 3.0),
    ];
    let body = faces.get("/metrics").await.text();
    let gpu: Vec<&str> = body.lines().filter(|l| !l.starts_with('#') && l.contains("gpu")).collect();
    assert_eq!(gpu, ["hsi_gpu_seconds_total{model=\"nemotron\"} 12.5"]);
    assert!(body.contains("# TYPE hsi_events_created_total counter"), "{body}");
    assert!(body.contains("watchfire_queries_total 3\n"));
}

#[tokio::test]
async fn metrics_have_three_names_and_two_formats() {
    let faces = Faces::new();
    faces.house.held().families = vec![Family::new("x_total", MetricType::Counter, "X.").with(&[], 1.0)];
    for path in ["/metrics", "/api/metrics", "/metrics/prometheus"] {
        let answer = faces.get(path).await;
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8", "{path}");
        assert_eq!(answer.text(), "# HELP x_total X.\n# TYPE x_total counter\nx_total 1\n");
        let open = faces.get_with(path, &[("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")]).await;
        assert!(open.header("content-type").starts_with("application/openmetrics-text"), "{path}");
        assert!(open.text().ends_with("x_total 1\n# EOF\n"), "{}", open.text());
    }
}

#[tokio::test]
async fn api_01_stats_count_what_is_recorded() {
    let faces = Faces::new();
    let empty = faces.get("/api/system/stats").await.json();
    assert_eq!((&empty["total_cameras"], &empty["total_events"], &empty["total_detections"]), (&json!(0), &json!(0), &json!(0)));
    let put = |name, camera, samples: &[(i64, f64)]| faces.house.put(labels!("__name__" => name, "camera_id" => camera), samples);
    put("hsi_events_created_total", "front_door", &[(30, 5.0), (20, 8.0), (10, 2.0)]);
    put("hsi_events_created_total", "garden", &[(30, 1.0)]);
    put("hsi_detections_processed_total", "garden", &[(30, 10.0), (20, 40.0)]);
    put("other_total", "not_ours", &[(30, 10.0)]);
    faces.clock.advance(Duration::from_millis(1500));
    let stats = faces.get("/api/system/stats").await.json();
    assert_eq!(
        (&stats["total_cameras"], &stats["total_events"], &stats["total_detections"]),
        (&json!(2), &json!(11), &json!(40)),
        "a restart of a counter loses nothing"
    );
    assert_eq!((&stats["uptime_seconds"], &stats["total_series"], &stats["total_samples"]), (&json!(1.5), &json!(7), &json!(900)));
}

#[tokio::test]
async fn api_02_storage_stats_give_disk_use() {
    let faces = Faces::new();
    let stats = faces.get("/api/system/storage/stats").await.json();
    assert_eq!(
        (&stats["disk_total_bytes"], &stats["disk_used_bytes"], &stats["disk_free_bytes"], &stats["disk_usage_percent"]),
        (&json!(1_000_000), &json!(700_000), &json!(250_000), &json!(73.68)),
        "what is reserved for root is neither used nor free"
    );
    assert_eq!((&stats["total_bytes"], &stats["signals"]["metrics"]["samples"]), (&json!(5120), &json!(900)));
    for key in ["thumbnails", "images", "clips", "gpu_stats_count", "logs_count", "failure"] {
        assert_eq!(stats[key], Value::Null, "{key} is not ours and says so");
    }
    faces.house.held().storage.disk_used_bytes = 0;
    faces.house.held().storage.disk_free_bytes = 0;
    assert_eq!(faces.get("/api/system/storage/stats").await.json()["disk_usage_percent"], Value::Null);
}

#[tokio::test]
async fn api_03_cleanup_preview_tells_and_changes_nothing() {
    let faces = Faces::new();
    faces.house.put(labels!("__name__" => "a"), &[(10, 1.0)]);
    faces.house.held().preview =
        Cleanup { segments: 3, samples: 1200, bytes: 8192, retention: Some(Duration::from_secs(30 * 86_400)), keep_from: Some(NOW), held: false };
    let before = faces.house.held().series.clone();
    let preview = faces.get("/api/system/cleanup/preview").await.json();
    assert_eq!((&preview["dry_run"], &preview["retention_days"], &preview["space_reclaimed"]), (&json!(true), &json!(30), &json!(8192)));
    assert_eq!((&preview["segments_deleted"], &preview["samples_deleted"], &preview["keep_from"]), (&json!(3), &json!(1200), &json!("2025-12-30T10:15:00Z")));
    for key in ["events_deleted", "detections_deleted", "gpu_stats_deleted", "logs_deleted", "thumbnails_deleted", "images_deleted"] {
        assert_eq!(preview[key], json!(0), "{key}");
    }
    assert_eq!(faces.house.held().series, before);
    faces.house.held().preview.retention = None;
    assert_eq!(faces.get("/api/system/cleanup/preview").await.json()["retention_days"], Value::Null);
}

#[tokio::test]
async fn a_cleanup_does_what_its_preview_said_once() {
    let faces = Faces::new();
    let due = Cleanup { segments: 3, samples: 1200, bytes: 8192, retention: Some(Duration::from_secs(36 * 3600)), keep_from: Some(NOW), held: true };
    faces.house.held().preview = due;
    let preview = faces.get("/api/system/cleanup/preview").await.json();
    assert_eq!(faces.post("/api/system/cleanup?dry_run=true", "application/json", "").await.json(), preview);
    let answer = faces.post("/api/system/cleanup?dry_run=maybe", "application/json", "").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_parameter")));
    let done = faces.post("/api/system/cleanup", "application/json", "").await.json();
    assert_eq!(keys(&done), keys(&preview));
    assert_eq!((&done["dry_run"], &done["segments_deleted"], &done["samples_deleted"]), (&json!(false), &json!(3), &json!(1200)));
    assert_eq!((&done["space_reclaimed"], &done["retention_days"], &done["held"]), (&json!(8192), &json!(2), &json!(true)));
    let again = faces.post("/api/system/cleanup?dry_run=false", "application/json", "").await.json();
    assert_eq!((&again["segments_deleted"], &again["space_reclaimed"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_cleanup_is_for_admins() {
    let faces = Faces::new();
    faces.house.held().preview.segments = 3;
    faces.house.held().rights = Some(Rights::READ_AND_INGEST);
    assert_eq!(faces.post("/api/system/cleanup", "application/json", "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(faces.get("/api/system/cleanup/preview").await.json()["segments_deleted"], json!(3));
}

#[tokio::test]
async fn api_05_outside_systems_can_poll_and_scrape() {
    let faces = Faces::new();
    faces.house.held().families = vec![Family::new("x_total", MetricType::Counter, "X.").with(&[], 1.0)];
    for path in ["/api/system/gpu", "/api/system/health", "/api/system/stats", "/api/v1/query?query=up", "/metrics"] {
        let answer = faces.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn health_names_what_is_not_configured() {
    let faces = Faces::new();
    let health = faces.get("/api/system/health").await.json();
    assert_eq!(health["status"], "healthy");
    for name in ["database", "redis", "rtdetr", "nemotron", "ai", "gpu"] {
        assert_eq!(health["services"][name], "not_configured", "{name}");
    }
    assert_eq!((&health["services"]["storage"], &health["timestamp"]), (&json!("healthy"), &json!("2025-12-30T10:15:00Z")));
    assert_eq!(keys(&health)[..3], ["status", "services", "timestamp"]);
}

#[tokio::test]
async fn health_of_the_whole_follows_what_is_configured() {
    let check = async |services: Vec<ServiceStatus>, failure: Option<&str>, status: &str, ready: u16| {
        let faces = Faces::new();
        faces.house.held().services = services.clone();
        faces.house.held().storage.failure = failure.map(str::to_owned);
        assert_eq!(faces.get("/api/system/health").await.json()["status"], status, "{services:?}");
        let answer = faces.get("/api/system/health/ready").await;
        assert_eq!((answer.status.as_u16(), answer.json()["ready"] == json!(true)), (ready, ready == 200), "{services:?}");
    };
    check(vec![service("database", "healthy"), service("redis", "healthy")], None, "healthy", 200).await;
    check(vec![service("redis", "unhealthy")], None, "degraded", 503).await;
    check(vec![service("nemotron", "restarting")], None, "degraded", 200).await;
    check(vec![service("database", "unhealthy"), service("redis", "healthy")], None, "unhealthy", 503).await;
    check(vec![service("redis", "not_configured")], None, "healthy", 200).await;
    check(vec![], Some("disk is full"), "unhealthy", 503).await;
}

#[tokio::test]
async fn hlt_10_health_gathers_ai_and_gpu() {
    let faces = Faces::new();
    faces.house.held().services = vec![service("rtdetr", "healthy"), service("nemotron", "failed")];
    faces.house.held().gpu = vec![gpu_sample(NOW)];
    let health = faces.get("/api/system/health").await.json();
    assert_eq!((&health["services"]["ai"], &health["services"]["gpu"]), (&json!("unhealthy"), &json!("healthy")));
    assert_eq!(health["details"]["ai"]["message"], "not healthy: nemotron");
    faces.clock.advance(Duration::from_secs(121));
    assert_eq!(faces.get("/api/system/health").await.json()["services"]["gpu"], "unhealthy", "an old sample is no sign of life");
}

#[tokio::test]
async fn liveness_and_readiness_for_probes() {
    let faces = Faces::new();
    assert_eq!(faces.get("/health").await.json(), json!({ "status": "healthy" }));
    assert_eq!(faces.get("/api/system/health/live").await.json(), json!({ "status": "alive" }));
    assert_eq!(faces.get("/ready").await.json(), json!({ "status": "ready" }));
    faces.house.held().storage.failure = Some("disk is full".to_owned());
    let answer = faces.get("/ready").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not_ready" })));
    assert_eq!(faces.get("/health").await.status, StatusCode::OK, "liveness is about the process only");
}

#[tokio::test]
async fn telemetry_is_null_until_somebody_reports() {
    let faces = Faces::new();
    let telemetry = faces.get("/api/system/telemetry").await.json();
    assert_eq!((&telemetry["queues"], &telemetry["latencies"]), (&json!({ "detection_queue": null, "analysis_queue": null }), &Value::Null));
}

#[tokio::test]
async fn telemetry_comes_from_recorded_metrics() {
    let faces = Faces::new();
    faces.house.put(labels!("__name__" => "hsi_detection_queue_depth", "job" => "backend"), &[(10, 4.0)]);
    faces.house.put(labels!("__name__" => "hsi_detection_queue_depth", "job" => "json"), &[(10, 4.0)]);
    for (le, count) in [("0.1", 10.0), ("0.5", 90.0), ("+Inf", 100.0)] {
        faces.house.put(labels!("__name__" => "hsi_stage_duration_seconds_bucket", "stage" => "detect", "le" => le), &[(240, 0.0), (0, count)]);
    }
    faces.house.put(labels!("__name__" => "hsi_stage_duration_seconds_count", "stage" => "detect"), &[(240, 0.0), (0, 100.0)]);
    faces.house.put(labels!("__name__" => "hsi_stage_duration_seconds_sum", "stage" => "detect"), &[(240, 0.0), (0, 30.0)]);
    let telemetry = faces.get("/api/system/telemetry").await.json();
    assert_eq!(telemetry["queues"], json!({ "detection_queue": 4, "analysis_queue": null }), "a depth that is exported twice counts once");
    let detect = &telemetry["latencies"]["detect"];
    assert_eq!((&detect["avg_ms"], &detect["p50_ms"], &detect["min_ms"]), (&json!(300.0), &json!(300.0), &Value::Null));
    assert_eq!(telemetry["latencies"]["watch"], Value::Null);
}

#[tokio::test]
async fn recording_keeps_the_good_and_names_the_bad() {
    let faces = Faces::new();
    let post = async |body: &str| faces.post("/api/metrics/record", "application/json", body).await;
    let good = post(r#"[{"name":"known_total","value":1}]"#).await;
    assert_eq!((good.status, good.json()), (StatusCode::OK, json!({ "recorded": 1, "refused": 0, "errors": [] })));
    let mixed = post(r#"[{"name":"known_total","value":1},{"name":"no_such","value":1}]"#).await;
    assert_eq!(mixed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        (&mixed.json()["recorded"], &mixed.json()["errors"][0]["index"], &mixed.json()["errors"][0]["code"]),
        (&json!(1), &json!(1), &json!("unknown_metric"))
    );
    let large = format!("{}[]", " ".repeat(2 << 20));
    assert_eq!(post(&large).await.status, StatusCode::OK, "ten thousand items of usual size fit");
    let broken = post("{").await;
    assert_eq!((broken.status, &broken.json()["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("malformed_body")));
}
