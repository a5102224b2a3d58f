//! The Alertmanager face over a real manager that tells nobody.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::auth::Rights;
use crate::testing::{Answered, Faces};

async fn post(faces: &Faces, path: &str, body: Value) -> Answered {
    faces.post(path, "application/json", &body.to_string()).await
}

async fn names(faces: &Faces, query: &str) -> Vec<String> {
    let found = faces.get(&format!("/api/v2/alerts?{query}")).await;
    assert_eq!(found.status, 200, "{query}: {}", found.text());
    let mut names: Vec<String> = found.json().as_array().unwrap().iter().map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn alert(labels: Value) -> Value {
    json!({"labels": labels, "annotations": {"summary": "s"}, "generatorURL": "http://prom/"})
}

#[tokio::test]
async fn alerts_are_taken_and_shown() {
    let faces = Faces::new();
    let posted = post(&faces, "/api/v2/alerts", json!([alert(json!({"alertname": "A", "team": "x", "empty": ""})), alert(json!({"alertname": "B"}))])).await;
    assert_eq!((posted.status.as_u16(), posted.text().as_str()), (200, ""));
    let all = faces.get("/api/v2/alerts").await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let a = all.as_array().unwrap().iter().find(|a| a["labels"]["alertname"] == "A").unwrap();
    assert_eq!(a["labels"], json!({"alertname": "A", "team": "x"}));
    assert_eq!(
        (&a["startsAt"], &a["endsAt"], &a["updatedAt"]),
        (&json!("2025-12-30T10:15:00.000Z"), &json!("2025-12-30T10:20:00.000Z"), &json!("2025-12-30T10:15:00.000Z"))
    );
    assert_eq!(a["receivers"], json!([{"name": "team-x"}]));
    assert_eq!(a["status"], json!({"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"}));
    assert_eq!(a["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(names(&faces, "receiver=team-.*").await, ["A"]);
    assert_eq!(names(&faces, "filter=team%3D%22x%22&filter=alertname%3D~A.*").await, ["A"]);
    assert_eq!(names(&faces, "filter=team%3D%22%22").await, ["B"]);
    assert_eq!(names(&faces, "active=false").await, Vec::<String>::new());
    let groups = faces.get("/api/v2/alerts/groups").await.json();
    let shown: Vec<_> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|g| (g["labels"]["alertname"].clone(), g["receiver"]["name"].clone(), g["alerts"].as_array().unwrap().len()))
        .collect();
    assert_eq!(shown, [(json!("A"), json!("team-x"), 1), (json!("B"), json!("default"), 1)]);
    // An end in the past is an end.
    let ended = json!([{"labels": {"alertname": "B"}, "startsAt": "2025-12-30T10:00:00Z", "endsAt": "2025-12-30T10:14:59.999Z"}]);
    assert_eq!(post(&faces, "/api/v2/alerts", ended).await.status, 200);
    assert_eq!(names(&faces, "").await, ["A"]);
    // Go's zero time is no time.
    let zero = json!([{"labels": {"alertname": "Z"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}]);
    assert_eq!(post(&faces, "/api/v2/alerts", zero).await.status, 200);
    assert_eq!(names(&faces, "").await, ["A", "Z"]);
}

#[tokio::test]
async fn pis_20_webhooks_of_an_alertmanager_are_accepted() {
    let faces = Faces::new();
    let message = |status: &str, name: &str, ends: &str, from: &str| {
        json!({"version": "4", "groupKey": "{}:{}", "status": status, "receiver": "critical", "externalURL": from, "truncatedAlerts": 0,
            "groupLabels": {}, "commonLabels": {"alertname": name}, "commonAnnotations": {},
            "alerts": [{"status": status, "labels": {"alertname": name}, "annotations": {"summary": "s"}, "fingerprint": "x",
                "startsAt": "2025-12-30T10:00:00Z", "endsAt": ends, "generatorURL": "http://prom/"}]})
    };
    let firing = message("firing", "A", "0001-01-01T00:00:00Z", "http://elsewhere:9093");
    for path in ["/v1/alerts/webhook", "/api/webhooks/alerts"] {
        assert_eq!(post(&faces, path, firing.clone()).await.status, 200);
        let all = faces.get("/api/v2/alerts").await.json();
        let known = (&all[0]["labels"]["alertname"], &all[0]["startsAt"], &all[0]["endsAt"], &all[0]["annotations"]["summary"]);
        assert_eq!(known, (&json!("A"), &json!("2025-12-30T10:00:00.000Z"), &json!("2025-12-31T10:15:00.000Z"), &json!("s")));
    }
    let resolved = message("resolved", "A", "2025-12-30T10:14:00Z", "http://elsewhere:9093");
    assert_eq!(post(&faces, "/v1/alerts/webhook", resolved).await.status, 200);
    assert_eq!(names(&faces, "").await, Vec::<String>::new());
    // What we told ourselves does not come back.
    let own = message("firing", "Own", "0001-01-01T00:00:00Z", "http://localhost:8000");
    assert_eq!(post(&faces, "/v1/alerts/webhook", own).await.status, 200);
    assert_eq!(names(&faces, "").await, Vec::<String>::new());
    let mut old = message("firing", "B", "", "");
    old["version"] = json!("3");
    for bad in [json!([]), json!({}), old, message("sleeping", "B", "", ""), message("resolved", "B", "", "")] {
        assert_eq!(post(&faces, "/v1/alerts/webhook", bad.clone()).await.status, 400, "{bad}");
    }
    assert_eq!(names(&faces, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn good_alerts_are_taken_beside_bad_ones() {
    let faces = Faces::new();
    let mixed = json!([alert(json!({"alertname": "A"})), alert(json!({})), {"labels": {"a": "b"}, "startsAt": "soon"}]);
    let posted = post(&faces, "/api/v2/alerts", mixed).await;
    assert_eq!(posted.status, 400);
    assert_eq!(posted.json(), json!("\"soon\" is not a time such as 2025-12-30T10:15:00Z; at least one label pair required"));
    assert_eq!(names(&faces, "").await, ["A"]);
    for (path, body, status) in [("/api/v2/alerts", "{", 400), ("/api/v2/alerts", "{}", 400), ("/api/v2/silences", "[]", 400)] {
        assert_eq!(faces.post(path, "application/json", body).await.status.as_u16(), status, "{path} {body}");
    }
    assert_eq!(faces.post("/api/v2/alerts", "text/plain", "[]").await.status, 415);
    for query in ["filter=x", "receiver=(", "active=maybe", "receiver_matchers=a!%3Db"] {
        let refused = faces.get(&format!("/api/v2/alerts?{query}")).await;
        assert!(refused.status == 400 && refused.json().is_string(), "{query}: {}", refused.text());
    }
}

#[tokio::test]
async fn refusals_show_only_the_beginning_of_what_was_sent() {
    let faces = Faces::new();
    let long = "z".repeat(100_000);
    let hook = |status: &str, version: &str| json!({"version": version, "alerts": [{"status": status, "labels": {"a": "b"}}]});
    let many: Vec<Value> = (0..1_000).map(|_| json!({"labels": {"a": "b"}, "startsAt": long.get(..1_000)})).collect();
    for (path, body) in [
        ("/api/v2/alerts", json!(many)),
        ("/api/v2/alerts", json!(long)),
        ("/api/v2/silences", json!(long)),
        ("/v1/alerts/webhook", hook("firing", &long)),
        ("/v1/alerts/webhook", hook(&long, "4")),
        ("/v1/alerts/webhook", json!(long)),
    ] {
        let refused = post(&faces, path, body).await;
        assert_eq!(refused.status, 400, "{path}");
        let text = refused.text();
        assert!(text.contains("zzz") && text.len() < 3_000, "{path}: {} bytes", text.len());
    }
    assert!(post(&faces, "/api/v2/alerts", json!(many)).await.text().contains("and 990 more"));
}

fn silence(id: &str, value: &str, starts: &str, ends: &str) -> Value {
    json!({"id": id, "matchers": [{"name": "alertname", "value": value, "isRegex": false, "isEqual": true}], "startsAt": starts, "endsAt": ends, "createdBy": "me", "comment": "c"})
}

#[tokio::test]
async fn silences_are_set_changed_and_ended() {
    let faces = Faces::new();
    post(&faces, "/api/v2/alerts", json!([alert(json!({"alertname": "A"}))])).await;
    let set = post(&faces, "/api/v2/silences", silence("", "A", "2025-01-01T00:00:00Z", "2099-01-01T00:00:00Z")).await;
    let id = set.json()["silenceID"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36);
    assert_eq!(names(&faces, "silenced=false").await, Vec::<String>::new());
    assert_eq!(faces.get("/api/v2/alerts").await.json()[0]["status"], json!({"inhibitedBy": [], "mutedBy": [], "silencedBy": [id], "state": "suppressed"}));
    let shown = faces.get(&format!("/api/v2/silence/{id}")).await.json();
    assert_eq!((&shown["startsAt"], &shown["status"]), (&json!("2025-12-30T10:15:00.000Z"), &json!({"state": "active"})));
    let longer = post(&faces, "/api/v2/silences", silence(&id, "A", "2025-12-30T10:15:00.000Z", "2100-01-01T00:00:00Z")).await;
    assert_eq!(longer.json()["silenceID"], json!(id));
    let other = post(&faces, "/api/v2/silences", silence(&id, "B", "2025-12-30T10:15:00.000Z", "2100-01-01T00:00:00Z")).await;
    assert_ne!(other.json()["silenceID"], json!(id));
    assert_eq!(names(&faces, "silenced=false").await, ["A"]);
    let listed = |query: &'static str| {
        let faces = &faces;
        async move {
            let all = faces.get(&format!("/api/v2/silences?{query}")).await.json();
            all.as_array()
                .unwrap()
                .iter()
                .map(|s| (s["matchers"][0]["value"].as_str().unwrap().to_owned(), s["status"]["state"].as_str().unwrap().to_owned()))
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed("").await, [("B".to_owned(), "active".to_owned()), ("A".to_owned(), "expired".to_owned())]);
    assert_eq!(listed("filter=alertname%3DA").await.len(), 1);
    let end = async |id: &str| faces.send(Request::builder().method(Method::DELETE).uri(format!("/api/v2/silence/{id}")).body(Body::empty()).unwrap()).await;
    assert_eq!(end(other.json()["silenceID"].as_str().unwrap()).await.status, 200);
    assert_eq!(end(other.json()["silenceID"].as_str().unwrap()).await.status, 200, "what has ended stays so");
    assert_eq!(end("nobody").await.status, 404);
    assert_eq!(faces.get("/api/v2/silence/nobody").await.status, 404);
    for (body, words) in [
        (silence("", "", "2025-12-30T10:15:00Z", "2099-01-01T00:00:00Z"), "must not match the empty string"),
        (silence("", "A", "2025-12-30T10:15:00Z", "2025-12-30T10:15:00Z"), "start time must be before end time"),
        (silence("", "A", "2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z"), "in the past"),
    ] {
        let refused = post(&faces, "/api/v2/silences", body).await;
        assert!(refused.status == 400 && refused.text().contains(words), "{}", refused.text());
    }
}

#[tokio::test]
async fn inhibited_alerts_say_by_whom() {
    let faces = Faces::new();
    post(&faces, "/api/v2/alerts", json!([alert(json!({"alertname": "Down", "host": "h"})), alert(json!({"alertname": "Slow", "host": "h"}))])).await;
    assert_eq!(names(&faces, "inhibited=false").await, ["Down"]);
    let all = faces.get("/api/v2/alerts").await.json();
    let of = |name: &str| all.as_array().unwrap().iter().find(|a| a["labels"]["alertname"] == name).unwrap().clone();
    assert_eq!(of("Slow")["status"]["inhibitedBy"], json!([of("Down")["fingerprint"]]));
}

#[tokio::test]
async fn the_status_has_no_secrets_and_levels_hold() {
    let faces = Faces::new();
    let status = faces.get("/api/v2/status").await.json();
    assert!(!status.to_string().contains("canary") && status["config"]["original"].as_str().unwrap().contains("smtp_auth_password: <secret>"));
    assert_eq!(status["cluster"], json!({"name": "", "peers": [], "status": "disabled"}));
    assert!(status["versionInfo"]["version"].is_string() && status["uptime"].is_string());
    assert_eq!(faces.get("/api/v2/receivers").await.json(), json!([{"name": "default"}, {"name": "team-x"}]));
    assert_eq!(faces.get("/api/system/notifications/dead-letters").await.json(), json!({"total": 0, "items": []}));
    // Grafana takes an answer under this prefix for another program.
    assert_eq!(faces.get("/alertmanager/api/v2/status").await.status, 404);
    faces.house.held().rights = Some(Rights::NONE);
    assert_eq!(faces.get("/api/v2/alerts").await.status, 401);
    assert_eq!(post(&faces, "/api/v2/alerts", json!([])).await.status, 401);
    assert_eq!(post(&faces, "/api/v2/silences", json!({})).await.status, 401);
}
