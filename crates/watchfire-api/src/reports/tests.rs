//! Reports over HTTP, in the test house.

use serde_json::json;
use watchfire_model::labels;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::testing::Faces;

#[tokio::test]
async fn reports_are_listed_shown_and_sent() {
    let faces = Faces::new();
    let panels = json!([{"id": 1, "type": "stat", "title": "One", "targets": [{"expr": "vector(1)"}], "gridPos": {"x": 0, "y": 0, "w": 24, "h": 4}}]);
    let board = json!({"dashboard": {"uid": "one", "title": "One", "panels": panels}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &board.to_string()).await.status, 200);
    let points: Vec<(i64, f64)> = (0..2_000).map(|minute| (minute * 60, 1.0)).collect();
    faces.house.put(labels!("__name__" => "up", "job" => "<api>", "instance" => "a:1"), &points);
    let listed = faces.get("/api/reports").await.json();
    assert_eq!(listed, json!({"reports": [{"name": "day", "schedule": "daily", "sent_at": null, "failures": 0, "error": null}]}));
    let preview = faces.get("/api/reports/day/preview").await;
    assert_eq!((preview.status.as_u16(), preview.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = preview.text();
    assert!(html.contains("Everything was all right.") && !html.contains("<api>"), "{html}");
    assert!(html.contains("src=\"data:image/png;base64,iVBORw0KGgo"), "{html}");
    // A browser may apply the style that stands there and nothing else.
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy = preview.header("content-security-policy");
    assert_eq!(policy, format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
    assert!(!html.contains("style=") && html.matches("<style").count() == 1, "{html}");
    assert!(faces.get("/api/reports").await.header("content-security-policy").starts_with("default-src 'self'"));
    let text = faces.get("/api/reports/day/preview?format=text").await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert!(text.text().contains("Everything was all right.") && !text.text().contains("</"), "{}", text.text());
    let mail = faces.get("/api/reports/day/preview?format=mail").await;
    assert!(mail.status == 503 && mail.text().contains("there is no sender"), "{}", mail.text());
    let odd = faces.get("/api/reports/day/preview?format=pdf").await;
    assert!(odd.status == 400 && odd.text().contains("format must be html, text or mail"), "{}", odd.text());
    assert_eq!(faces.get("/api/reports/nobody/preview").await.status, 404);
    assert_eq!(faces.post("/api/reports/nobody/send", "application/json", "").await.status, 404);
    let unsent = faces.post("/api/reports/day/send", "application/json", "").await;
    assert_eq!(unsent.status, 503, "{}", unsent.text());
    assert!(unsent.text().contains("there is no mail server"), "{}", unsent.text());
    assert_eq!(faces.get("/api/reports/day/send").await.status, 405);
}

#[tokio::test]
async fn panels_are_painted_for_notifications() {
    let faces = Faces::new();
    let panels = json!([{"id": 7, "type": "stat", "title": "One", "targets": [{"expr": "vector(1)"}]}]);
    let board = json!({"dashboard": {"uid": "one", "title": "One", "panels": panels}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &board.to_string()).await.status, 200);
    let paint = super::panel_painter(&faces.app);
    assert!(paint("one", 7).await.unwrap().starts_with(b"\x89PNG"));
    for (uid, panel, words) in [("one", 8, "Panel not found"), ("nobody", 7, "Dashboard not found")] {
        assert_eq!(paint(uid, panel).await.unwrap_err(), words);
    }
}

#[tokio::test]
async fn dashboards_are_painted_in_the_time_zone_of_a_report() {
    let faces = Faces::new();
    let board = json!({"dashboard": {"uid": "one", "title": "One", "panels": []}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &board.to_string()).await.status, 200);
    let paint = super::painter(&faces.app);
    for zone in [None, Some("Europe/Berlin"), Some("Etc/GMT+5")] {
        let painted = paint("one", [0, 86_400_000], zone).await;
        assert!(painted.as_ref().is_ok_and(|png| png.starts_with(b"\x89PNG")), "{zone:?}: {:?}", painted.err());
    }
}
