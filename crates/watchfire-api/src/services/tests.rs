//! Tests of the face of supervision: shapes, levels, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use watchfire_pipeline::supervision::policy::{Rules, Verdict};
use watchfire_pipeline::supervision::{Check, Checking, Definition, Restart, Restarting, Settings};

use crate::auth::{Level, Rights};
use crate::testing::{Answered, Faces};

/// A service that is as the test says.
struct Is(bool);
impl Check for Is {
    fn look(&self, _: Duration) -> Checking<'_> {
        let verdict = if self.0 { Verdict::Healthy } else { Verdict::Failed { why: "connection refused".to_owned(), reached: true } };
        Box::pin(async move { verdict })
    }
    fn target(&self) -> String {
        "http://localhost:8090/health".to_owned()
    }
}
struct Works;
impl Restart for Works {
    fn restart(&self) -> Restarting<'_> {
        Box::pin(async { Ok("exit status 0".to_owned()) })
    }
    fn shown(&self) -> String {
        "systemd rtdetr.service".to_owned()
    }
}

pub(crate) fn definition(name: &str, healthy: bool, restartable: bool) -> Definition {
    let restart = restartable.then(|| Arc::new(Works) as Arc<dyn Restart>);
    let rules = Rules { restart: restart.as_ref().map(|r| r.shown()), depends_on: Vec::new(), ..Rules::new(name) };
    Definition { rules, check: Arc::new(Is(healthy)), check_kind: "http", restart, worker: None }
}

/// The faces over services that were checked once; changes go to the hub.
pub(crate) async fn supervising(services: Vec<Definition>) -> Faces {
    let faces = Faces::new();
    let supervisor = faces.app.rooms.supervisor.clone();
    let app = faces.app.clone();
    supervisor.on_change(move |service, at| app.hub.publish_service(service, at));
    supervisor.apply(&Settings { services }).unwrap();
    // First checks are a little apart; the clock stands still otherwise.
    faces.clock.advance(Duration::from_secs(1));
    tokio::spawn(supervisor.clone().run());
    until(|| supervisor.snapshot().services.iter().all(|s| s.view.status.is_some())).await;
    faces
}

pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen");
}

async fn send(faces: &Faces, method: Method, path: &str, body: Option<Value>) -> Answered {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    faces.send(request.body(body.map_or_else(Body::empty, |b| Body::from(b.to_string()))).unwrap()).await
}

#[tokio::test]
async fn services_are_listed_with_what_is_known() {
    let faces = supervising(vec![definition("rtdetr", false, true), definition("redis", true, false)]).await;
    let list = faces.get("/api/system/services").await.json();
    let names: Vec<&str> = list["services"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["redis", "rtdetr"]);
    let sick = &list["services"][1];
    assert_eq!((&sick["status"], &sick["message"], &sick["last_error"]), (&json!("unhealthy"), &json!("Health check failed"), &json!("connection refused")));
    assert_eq!(sick["check"], json!({ "kind": "http", "target": "http://localhost:8090/health", "interval_seconds": 15.0, "timeout_seconds": 5.0 }));
    assert_eq!((&sick["restart"], &sick["attempts"], &sick["max_retries"]), (&json!("systemd rtdetr.service"), &json!(0), &json!(3)));
    assert_eq!((&sick["restarts"], &sick["maintenance"], &sick["withheld"]), (&json!(0), &Value::Null, &Value::Null));
    assert!(sick["next_check"].is_string() && sick["since"].is_string());
    assert_eq!(list["services"][0]["restart"], Value::Null);
    assert_eq!(faces.get("/api/system/services/rtdetr").await.json()["name"], "rtdetr");
    assert_eq!(faces.get("/api/system/services/none").await.status, StatusCode::NOT_FOUND);
    let history = faces.get("/api/system/services/rtdetr/history?limit=5").await.json();
    assert_eq!((&history["count"], &history["events"][0]["event_type"], &history["events"][0]["status"]), (&json!(1), &json!("failure"), &json!("unhealthy")));
    assert_eq!(faces.get("/api/system/services/none/history").await.status, StatusCode::NOT_FOUND);
    let metrics: Vec<String> = faces.app.rooms.meter.gather().into_iter().flat_map(|f| f.points).map(|(labels, value)| format!("{labels} {value}")).collect();
    assert!(metrics.contains(&"watchfire_service_up{service=\"redis\"} 1".to_owned()), "{metrics:?}");
    assert!(metrics.contains(&"watchfire_service_status{service=\"rtdetr\", status=\"unhealthy\"} 1".to_owned()));
}

#[tokio::test]
async fn r54_a_named_service_is_restarted_by_an_administrator_and_audited() {
    let faces = supervising(vec![definition("rtdetr", true, true), definition("redis", true, false)]).await;
    let answer = send(&faces, Method::POST, "/api/system/services/rtdetr/restart", None).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::ACCEPTED, json!({ "service": "rtdetr", "status": "restarting" })));
    let supervisor = faces.app.rooms.supervisor.clone();
    until(|| supervisor.audit(1).unwrap()[0].outcome != watchfire_pipeline::supervision::policy::AuditOutcome::Begun).await;
    let audit = faces.get("/api/system/services/audit").await.json();
    let expected = json!({
        "timestamp": audit["records"][0]["timestamp"], "who": "test", "via": "token", "action": "restart", "service": "rtdetr",
        "how": "systemd rtdetr.service", "outcome": "done", "detail": "exit status 0",
    });
    assert_eq!(audit, json!({ "records": [expected], "count": 1 }));
    for (path, status) in [
        ("redis/restart", StatusCode::UNPROCESSABLE_ENTITY),
        ("none/restart", StatusCode::NOT_FOUND),
        ("%24(id)/restart", StatusCode::NOT_FOUND),
        ("rtdetr%3Bid/restart", StatusCode::NOT_FOUND),
        ("..%2frtdetr/restart", StatusCode::NOT_FOUND),
        ("rtdetr%00/restart", StatusCode::NOT_FOUND),
        ("rtdetr%0a/restart", StatusCode::NOT_FOUND),
        ("RTDETR/restart", StatusCode::NOT_FOUND),
    ] {
        let answer = send(&faces, Method::POST, &format!("/api/system/services/{path}"), None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert_eq!(faces.get("/api/system/services/audit").await.json()["count"], 1);
    assert_eq!(faces.get("/api/system/services/rtdetr/restart").await.status, StatusCode::METHOD_NOT_ALLOWED, "nothing changes state on GET");
}

#[tokio::test]
async fn maintenance_is_begun_and_ended() {
    let faces = supervising(vec![definition("rtdetr", true, true)]).await;
    let path = "/api/system/services/rtdetr/maintenance";
    let answer = send(&faces, Method::POST, path, Some(json!({ "duration": "1h", "reason": "new model" }))).await;
    let expected = json!({ "kind": "one_off", "until": "2025-12-30T11:15:01Z", "reason": "new model", "by": "test" });
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected.clone()));
    assert_eq!(faces.get("/api/system/services/rtdetr").await.json()["maintenance"], expected);
    assert_eq!(send(&faces, Method::DELETE, path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(&faces, Method::DELETE, path, None).await.status, StatusCode::CONFLICT);
    let actions: Vec<Value> = faces.get("/api/system/services/audit").await.json()["records"].as_array().unwrap().iter().map(|r| r["action"].clone()).collect();
    assert_eq!(actions, ["maintenance_end", "maintenance_begin"]);
    for bad in [
        json!({}),
        json!({ "duration": "8d" }),
        json!({ "duration": "1h", "until": "2026-01-01T00:00:00Z" }),
        json!({ "until": "2020-01-01T00:00:00Z" }),
        json!({ "duration": "1h", "reason": "a\nb" }),
    ] {
        let answer = send(&faces, Method::POST, path, Some(bad.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", answer.text());
    }
}

#[tokio::test]
async fn who_may_only_read_changes_nothing() {
    let faces = supervising(vec![definition("rtdetr", true, true)]).await;
    faces.house.held().rights = Some(Rights::of(Level::Read));
    assert_eq!(faces.get("/api/system/services").await.status, StatusCode::OK);
    assert_eq!(faces.get("/api/system/services/audit").await.status, StatusCode::FORBIDDEN);
    for (method, path) in [(Method::POST, "restart"), (Method::POST, "maintenance"), (Method::DELETE, "maintenance")] {
        let answer = send(&faces, method.clone(), &format!("/api/system/services/rtdetr/{path}"), Some(json!({ "duration": "1h" }))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(faces.app.rooms.supervisor.audit(10).unwrap(), []);
}

#[tokio::test]
async fn hlt_09_health_gives_status_services_and_timestamp() {
    let services = ["database", "redis", "rtdetr", "nemotron"].map(|name| definition(name, true, false));
    let faces = supervising(services.to_vec()).await;
    faces.house.held().services = faces.app.rooms.supervisor.statuses();
    let health = faces.get("/api/system/health").await.json();
    assert_eq!((&health["status"], &health["timestamp"]), (&json!("healthy"), &json!("2025-12-30T10:15:01Z")));
    for name in ["database", "redis", "rtdetr", "nemotron", "ai"] {
        assert_eq!(health["services"][name], "healthy", "{name}");
    }
    assert_eq!(health["recent_events"], json!([]), "what is well from the beginning is no event");
    let faces = supervising(vec![definition("rtdetr", false, false)]).await;
    faces.house.held().services = faces.app.rooms.supervisor.statuses();
    let health = faces.get("/api/system/health").await.json();
    let event = json!({
        "timestamp": "2025-12-30T10:15:01Z", "service": "rtdetr", "event_type": "failure", "status": "unhealthy",
        "message": "Health check failed", "detail": "connection refused",
    });
    assert_eq!((&health["recent_events"], &health["services"]["database"]), (&json!([event]), &json!("not_configured")));
    assert_eq!(health["details"]["rtdetr"]["message"], "Health check failed: connection refused");
}

#[tokio::test]
async fn hlt_11_the_whole_is_healthy_degraded_or_unhealthy() {
    for (database, rtdetr, expected, ready) in
        [(true, true, "healthy", StatusCode::OK), (true, false, "degraded", StatusCode::OK), (false, true, "unhealthy", StatusCode::SERVICE_UNAVAILABLE)]
    {
        let faces = supervising(vec![definition("database", database, false), definition("rtdetr", rtdetr, false)]).await;
        faces.house.held().services = faces.app.rooms.supervisor.statuses();
        assert_eq!(faces.get("/api/system/health").await.json()["status"], expected);
        assert_eq!(faces.get("/api/system/health/ready").await.status, ready, "{expected}");
    }
}

#[tokio::test]
async fn a_service_that_was_not_checked_yet_is_not_healthy() {
    let faces = Faces::new();
    faces.app.rooms.supervisor.apply(&Settings { services: vec![definition("rtdetr", true, false)] }).unwrap();
    faces.house.held().services = faces.app.rooms.supervisor.statuses();
    let health = faces.get("/api/system/health").await.json();
    assert_eq!((&health["status"], &health["services"]["rtdetr"]), (&json!("degraded"), &json!("not_initialized")));
    let service = faces.get("/api/system/services/rtdetr").await.json();
    assert_eq!((&service["status"], &service["message"], &service["since"]), (&Value::Null, &json!("not checked yet"), &Value::Null));
}
