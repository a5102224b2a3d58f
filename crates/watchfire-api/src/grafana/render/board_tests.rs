//! Pictures of what boards say beyond their queries: repetitions. Over the test house; where things stand has tests of its own.

use serde_json::{Value, json};
use watchfire_model::labels;

use super::tests::well_formed;
use crate::testing::Faces;

/// A dashboard over three hosts with their loads.
async fn board(panels: Value, variables: Value) -> Faces {
    let faces = Faces::new();
    for (host, zone, value) in [("a", "north", 1.0), ("b", "south", 2.0), ("c", "north", 40.0)] {
        let samples = [(600, value), (300, value + 1.0), (0, value)];
        faces.house.put(labels!("__name__" => "load", "host" => host, "zone" => zone), &samples);
    }
    let body = json!({"dashboard": {"uid": "b", "title": "B", "panels": panels, "templating": {"list": variables}}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &body.to_string()).await.status, 200);
    faces
}

async fn picture(faces: &Faces, path: &str) -> String {
    let answer = faces.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let text = answer.text();
    well_formed(&text);
    text
}

/// The texts of a picture in their order.
fn texts(svg: &str) -> Vec<&str> {
    svg.split("<text").skip(1).filter_map(|tag| tag.split_once('>')?.1.split('<').next()).collect()
}

/// Whether texts stand in a picture one after the other.
#[track_caller]
fn in_order(svg: &str, wanted: &[&str]) {
    let mut all = texts(svg).into_iter();
    for text in wanted {
        assert!(all.any(|found| found == *text), "{text}: {:?}", texts(svg));
    }
}

#[tokio::test]
async fn panels_and_rows_stand_once_for_each_value() {
    let panels = json!([
        {"id": 1, "type": "stat", "title": "On $host", "repeat": "host", "maxPerRow": 2, "gridPos": {"x": 0, "y": 0, "w": 24, "h": 4}, "targets": [{"expr": "load{host=\"$host\"}"}]},
        {"id": 2, "type": "row", "title": "In $zone", "repeat": "zone", "gridPos": {"x": 0, "y": 4, "w": 24, "h": 1}},
        {"id": 3, "type": "stat", "title": "All of $zone", "gridPos": {"x": 0, "y": 5, "w": 12, "h": 4}, "targets": [{"expr": "sum(load{zone=\"$zone\"})"}]},
    ]);
    let variable = |name: &str, values: Value| json!({"name": name, "type": "query", "query": format!("label_values(load, {name})"), "multi": true, "includeAll": true, "current": {"value": values}});
    let faces = board(panels, json!([variable("host", json!("$__all")), variable("zone", json!(["north", "south"]))])).await;
    let whole = picture(&faces, "/render/d/b?width=1200&from=now-10m").await;
    in_order(&whole, &["On a", "1", "On b", "2", "On c", "40", "In north", "All of north", "41", "In south", "All of south", "2"]);
    // Two beside each other, the third below; rows begin below that, each with its panel.
    for place in ["translate(2.0 2.0)", "translate(602.0 2.0)", "translate(2.0 122.0)", "translate(2.0 272.0)", "translate(2.0 422.0)"] {
        assert!(whole.contains(place), "{place}: {whole}");
    }
    assert!(whole.contains("height=\"540\""), "{whole}");
    let chosen = picture(&faces, "/render/d/b?width=1200&from=now-10m&var-host=b&var-host=c&var-zone=$__all").await;
    in_order(&chosen, &["On b", "On c", "In north", "In south"]);
    assert!(!chosen.contains("On a"), "{chosen}");
    in_order(&picture(&faces, "/render/d-solo/b?panelId=1&from=now-10m").await, &["On a", "1"]);
    in_order(&picture(&faces, "/render/d-solo/b?panelId=1&from=now-10m&var-host=c").await, &["On c", "40"]);
    in_order(&picture(&faces, "/render/d-solo/b?panelId=3&from=now-10m").await, &["All of north", "41"]);
}
