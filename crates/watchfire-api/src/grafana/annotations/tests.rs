//! Tests of annotations over the test house.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use super::kept::Annotation;
use crate::auth::Rights;
use crate::server::Level;
use crate::testing::{Answered, Faces, Memory, NOW};

async fn send(faces: &Faces, method: Method, path: &str, body: Value) -> Answered {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    faces.send(request.body(Body::from(body.to_string())).unwrap()).await
}
async fn note(faces: &Faces, body: Value) -> Value {
    let answer = send(faces, Method::POST, "/api/annotations", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}
async fn found(faces: &Faces, query: &str) -> Vec<String> {
    let answer = faces.get(&format!("/api/annotations?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json().as_array().unwrap().iter().map(|a| a["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn annotations_are_noted_found_changed_and_removed() {
    let faces = Faces::new();
    assert_eq!(note(&faces, json!({"text": "deploy", "tags": ["ci", "v1"], "time": 1_000})).await, json!({"id": 1, "message": "Annotation added"}));
    note(&faces, json!({"text": "outage", "tags": ["v1"], "time": 5_000, "timeEnd": 3_000, "dashboardUID": "b", "panelId": 7})).await;
    note(&faces, json!({"text": "now"})).await;
    for (query, expected) in [
        ("", &["now", "outage", "deploy"][..]),
        ("from=2000&to=4000", &["outage"]),
        ("from=0&to=0", &["now", "outage", "deploy"]),
        ("to=1000", &["deploy"]),
        ("tags=v1&tags=ci", &["deploy"]),
        ("tags=ci&tags=none&matchAny=true", &["deploy"]),
        ("dashboardUID=b&panelId=7", &["outage"]),
        ("panelId=8", &[]),
        ("type=alert", &[]),
        ("type=annotation&limit=1", &["now"]),
    ] {
        assert_eq!(found(&faces, query).await, expected, "{query}");
    }
    let outage = faces.get("/api/annotations/2").await.json();
    assert_eq!((&outage["time"], &outage["timeEnd"], &outage["dashboardUID"], &outage["login"]), (&json!(3_000), &json!(5_000), &json!("b"), &json!("test")));
    assert_eq!(found(&faces, "").await.len(), 3);
    assert_eq!(faces.get("/api/annotations/3").await.json()["time"], NOW.millis());
    let tags = faces.get("/api/annotations/tags?tag=v").await.json();
    assert_eq!(tags, json!({"result": {"tags": [{"tag": "v1", "count": 2}]}}));
    assert_eq!(send(&faces, Method::PATCH, "/api/annotations/1", json!({"text": "deployed"})).await.json()["message"], "Annotation patched");
    assert_eq!(faces.get("/api/annotations/1").await.json()["tags"], json!(["ci", "v1"]));
    assert_eq!(send(&faces, Method::PUT, "/api/annotations/1", json!({"text": "anew"})).await.json()["message"], "Annotation updated");
    let anew = faces.get("/api/annotations/1").await.json();
    assert_eq!((&anew["text"], &anew["tags"], &anew["time"]), (&json!("anew"), &json!([]), &json!(1_000)));
    assert_eq!(send(&faces, Method::DELETE, "/api/annotations/1", Value::Null).await.json()["message"], "Annotation deleted");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(send(&faces, method, "/api/annotations/1", Value::Null).await.status, 404);
    }
    assert_eq!(send(&faces, Method::PATCH, "/api/annotations/1", json!({"text": "x"})).await.status, 404);
    assert_eq!(send(&faces, Method::POST, "/api/annotations/mass-delete", json!({"dashboardUID": "b", "panelId": 7})).await.status, 200);
    assert_eq!(found(&faces, "").await, ["now"]);
}

#[tokio::test]
async fn annotations_of_graphite_and_of_dashboards_by_number() {
    let faces = Faces::new();
    let board = json!({"dashboard": {"uid": "b", "title": "B"}});
    let id = send(&faces, Method::POST, "/api/dashboards/db", board).await.json()["id"].clone();
    for (tags, expected) in [(json!("a b"), json!(["a", "b"])), (json!(["a b"]), json!(["a b"])), (Value::Null, json!([]))] {
        let made = send(&faces, Method::POST, "/api/annotations/graphite", json!({"what": "w", "data": "d", "when": 5, "tags": tags})).await.json();
        assert_eq!(made["message"], "Graphite annotation added");
        let read = faces.get(&format!("/api/annotations/{}", made["id"])).await.json();
        assert_eq!((&read["text"], &read["time"], &read["tags"]), (&json!("w\nd"), &json!(5_000), &expected));
    }
    let made = note(&faces, json!({"text": "x", "dashboardId": id})).await;
    assert_eq!(faces.get(&format!("/api/annotations/{}", made["id"])).await.json()["dashboardUID"], "b");
}

#[tokio::test]
async fn what_is_no_annotation_is_refused_and_few_may_change_them() {
    let faces = Faces::new();
    for (body, words) in [
        (json!({}), "text field should not be empty"),
        (json!({"text": "  "}), "text field should not be empty"),
        (json!({"text": 1}), "text must be a text"),
        (json!({"text": "x", "tags": "a"}), "tags must be a list"),
        (json!({"text": "x", "tags": [1]}), "tags must be texts"),
        (json!({"text": "x", "time": "now"}), "time must be milliseconds"),
        (json!({"text": "x", "time": 1e300}), "time must be milliseconds"),
        (json!({"text": "x", "dashboardUID": "../x"}), "dashboardUID is no uid"),
        (json!({"text": "x", "dashboardId": 99}), "Dashboard not found"),
        (json!({"text": "x".repeat(3_000)}), "longer than 2048 bytes"),
        (json!({"text": "x", "tags": vec!["t"; 21]}), "there may be 20 tags"),
        (json!([]), "bad request data"),
    ] {
        let answer = send(&faces, Method::POST, "/api/annotations", body.clone()).await;
        assert!(answer.status == 400 && answer.json()["message"].as_str().unwrap().contains(words), "{body}: {}", answer.text());
    }
    for path in ["/api/annotations/graphite", "/api/annotations/mass-delete"] {
        assert_eq!(send(&faces, Method::POST, path, json!({"panelId": 1})).await.status, 400, "{path}");
    }
    for odd in ["from=x", "panelId=x", "limit=x"] {
        assert_eq!(faces.get(&format!("/api/annotations?{odd}")).await.status, 400, "{odd}");
    }
    assert_eq!(faces.get("/api/annotations/x").await.status, 400);
    faces.house.held().rights = Some(Rights::of(Level::Ingest));
    note(&faces, json!({"text": "by a script"})).await;
    assert_eq!(send(&faces, Method::DELETE, "/api/annotations/1", Value::Null).await.status, 403);
    faces.house.held().rights = Some(Rights::of(Level::Read));
    assert_eq!(send(&faces, Method::POST, "/api/annotations", json!({"text": "x"})).await.status, 403);
    assert_eq!(found(&faces, "").await, ["by a script"]);
}

#[tokio::test]
async fn the_oldest_annotations_make_room() {
    let faces = Faces::new();
    for n in 0..2_003 {
        note(&faces, json!({"text": n.to_string(), "time": 1_000 + n})).await;
    }
    let all = found(&faces, "limit=9999").await;
    assert_eq!((all.len(), all.first().map(String::as_str), all.last().map(String::as_str)), (2_000, Some("2002"), Some("3")));
}

#[test]
fn annotations_are_there_after_a_restart() {
    let state = Arc::new(Memory::default());
    let kept = super::Annotations::new(state.clone());
    for n in 0..3 {
        assert_eq!(kept.add(Annotation { text: n.to_string(), ..Annotation::empty("me", 1_000 + n) }).unwrap(), n + 1);
    }
    kept.remove(|id, _| id == 2).unwrap();
    state.0.lock().unwrap().insert((watchfire_model::state::Table("annotations"), "00000000000000000009".to_owned()), b"{".to_vec());
    let again = super::Annotations::new(state);
    let found: Vec<i64> = again.find(usize::MAX, |_, _| true).unwrap().iter().map(|(id, _)| *id).collect();
    assert_eq!(found, [3, 1], "one that cannot be read is passed over");
    assert_eq!(again.add(Annotation::empty("me", 5)).unwrap(), 4);
}
