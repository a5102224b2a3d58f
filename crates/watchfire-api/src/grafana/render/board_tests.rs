//! Pictures of what boards say beyond their queries: repetitions, overrides, transformations. Over the test house; the parts have tests of
//! their own.

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

#[tokio::test]
async fn overrides_name_colour_hide_and_measure() {
    let overrides = json!([
        {"matcher": {"id": "byType", "options": "number"}, "properties": [{"id": "displayName", "value": "${__field.labels.host} of $site, ${__field.labels.zone}"}]},
        {"matcher": {"id": "byRegexp", "options": "/host A/i"}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "#123456"}}]},
        {"matcher": {"id": "byName", "options": "host b"}, "properties": [{"id": "custom.hideFrom", "value": {"viz": true, "legend": true}}]},
        {"matcher": {"id": "byFrameRefID", "options": "B"}, "properties": [{"id": "unit", "value": "bytes"}, {"id": "min", "value": 0}, {"id": "max", "value": 4096}]},
    ]);
    let targets = json!([
        {"refId": "A", "expr": "load{host!=\"c\"}", "legendFormat": "host {{host}}"},
        {"refId": "B", "expr": "load{host=\"c\"} * 60", "legendFormat": "host {{host}}"},
    ]);
    let of = |id: i64, kind: &str| json!({"id": id, "type": kind, "title": kind, "targets": targets, "fieldConfig": {"defaults": {"unit": "percent"}, "overrides": overrides}});
    let old = json!({
        "id": 3, "type": "graph", "title": "Old", "targets": targets, "yaxes": [{"format": "percent"}, {"format": "bytes"}], "stack": true,
        "seriesOverrides": [{"alias": "/host c/", "yaxis": 2, "color": "#654321", "stack": false}], "aliasColors": {"host a": "#0a0b0c"},
    });
    let faces = board(json!([of(1, "timeseries"), of(2, "stat"), old]), json!([{"name": "site", "type": "constant", "query": "home"}])).await;
    let lines = picture(&faces, "/render/d-solo/b?panelId=1&from=now-10m&width=900&height=300").await;
    in_order(&lines, &["a of home, north", "c of home, north"]);
    assert!(!lines.contains("b of home") && lines.contains("stroke=\"#123456\""), "{lines}");
    assert_eq!(lines.matches("<polyline").count(), 2, "{lines}");
    // Two axes, each with its unit.
    in_order(&lines, &["0%", "2%", "0 B", "1.95 KiB"]);
    let stats = picture(&faces, "/render/d-solo/b?panelId=2&from=now-10m&width=900&height=300").await;
    in_order(&stats, &["1%", "a of home, north", "2.34 KiB", "c of home, north"]);
    let old = picture(&faces, "/render/d-solo/b?panelId=3&from=now-10m&width=900&height=300").await;
    assert!(["#0a0b0c", "#654321"].iter().all(|colour| old.contains(&format!("stroke=\"{colour}\""))), "{old}");
    // Two and three on one and two, and what is not stacked beside it.
    in_order(&old, &["0%", "6%", "0 B", "2.93 KiB"]);
}

#[tokio::test]
async fn tables_have_columns_and_go_through_transformations() {
    let target = |ref_id: &str, expr: &str| json!({"refId": ref_id, "expr": expr, "format": "table", "instant": true});
    let transformations = json!([
        {"id": "merge", "options": {}},
        {"id": "calculateField", "options": {"mode": "binary", "binary": {"left": "Value #B", "operator": "/", "right": "Value #A"}, "alias": "Share"}},
        {"id": "filterByValue", "options": {"type": "exclude", "match": "any", "filters": [{"fieldName": "host", "config": {"id": "equal", "options": {"value": "a"}}}]}},
        {"id": "sortBy", "options": {"sort": [{"field": "Value #A", "desc": true}]}},
        {"id": "regression", "options": {}},
        {"id": "limit", "options": {"limitField": 1}, "disabled": true},
        {"id": "organize", "options": {"excludeByName": {"Time": true, "__name__": true}, "renameByName": {"Value #A": "Load", "Value #B": "Twice"}, "indexByName": {"Share": 0, "host": 1}}},
    ]);
    let overrides = json!([
        {"matcher": {"id": "byName", "options": "Load"}, "properties": [{"id": "unit", "value": "percent"}, {"id": "thresholds", "value": {"steps": [{"color": "#111111", "value": null}, {"color": "#222222", "value": 10}]}}, {"id": "custom.cellOptions", "value": {"type": "color-background"}}]},
        {"matcher": {"id": "byRegexp", "options": "Twice|zone"}, "properties": [{"id": "custom.hidden", "value": true}]},
        {"matcher": {"id": "byName", "options": "host"}, "properties": [{"id": "displayName", "value": "Machine"}, {"id": "mappings", "value": [{"type": "value", "options": {"b": {"text": "Berta"}}}]}]},
    ]);
    let panels = json!([
        {"id": 1, "type": "table", "title": "T", "targets": [target("A", "load"), target("B", "load * 2")], "transformations": transformations, "fieldConfig": {"defaults": {}, "overrides": overrides}},
        {"id": 2, "type": "table", "title": "T", "targets": [target("A", "load{host=\"a\"}")]},
        {"id": 3, "type": "stat", "title": "S", "targets": [{"expr": "load", "legendFormat": "{{host}}"}], "transformations": [{"id": "renameByRegex", "options": {"regex": "(.)", "renamePattern": "host $1"}}]},
        {"id": 4, "type": "barchart", "title": "B", "targets": [target("A", "load")], "transformations": [{"id": "filterFieldsByName", "options": {"exclude": {"names": ["zone", "__name__"]}}}]},
        {"id": 5, "type": "logs", "title": "L", "datasource": "loki", "targets": [{"expr": "{app=\"x\"}"}], "transformations": [{"id": "extractFields"}]},
        {"id": 6, "type": "table", "title": "List", "targets": [{"expr": "load", "legendFormat": "{{host}} in $where"}], "fieldConfig": {"defaults": {"unit": "percent"}}},
    ]);
    let faces = board(panels, json!([{"name": "where", "type": "constant", "query": "town"}])).await;
    let get = async |id: i64| picture(&faces, &format!("/render/d-solo/b?panelId={id}&from=now-10m&width=600&height=200")).await;
    let table = get(1).await;
    assert_eq!(texts(&table), ["T", "not applied: regression", "Share", "2", "2", "Machine", "c", "Berta", "Load", "40%", "2%"], "{table}");
    assert!(table.contains("fill=\"#222222\"") && table.contains("fill=\"#111111\""), "{table}");
    in_order(&get(2).await, &["Time", "2025-12-30 10:15:00", "__name__", "load", "host", "a", "zone", "north", "Value", "1"]);
    in_order(&get(3).await, &["1", "host a", "2", "host b", "40", "host c"]);
    in_order(&get(4).await, &["a", "1", "b", "2", "c", "40"]);
    in_order(&get(5).await, &["not applied: extractFields", "no data"]);
    assert_eq!(texts(&get(6).await), ["List", "a in town", "b in town", "c in town", "1%", "2%", "40%"]);
}
