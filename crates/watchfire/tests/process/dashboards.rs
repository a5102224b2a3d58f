//! Dashboards as tools and files bring them: saved ones outlive a kill, files are followed, pictures and packs are there at once.

use serde_json::{Value, json};

use crate::server::{Server, request, until};

fn post(server: &Server, path: &str, body: &Value) -> Value {
    request(server.address, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).unwrap().json()
}

#[test]
fn pis_12_dashboards_come_by_hand_and_by_provisioning_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir_all(site.join("grafana/dashboards")).unwrap();
    let provider =
        "apiVersion: 1\nproviders:\n- {name: P, folder: PiSovereign, type: file, updateIntervalSeconds: 1, options: {path: /var/lib/grafana/dashboards}}\n";
    std::fs::write(site.join("grafana/dashboards.yml"), provider).unwrap();
    let file = site.join("grafana/dashboards/pisovereign.json");
    std::fs::write(&file, r#"{"uid": "pis", "title": "First", "panels": []}"#).unwrap();
    let arguments = ["--monitoring-dir", site.to_str().unwrap()];
    let mut server = Server::start(&dir.path().join("data"), &arguments, &[]);
    let provided = server.json("/api/dashboards/uid/pis");
    assert_eq!((&provided["meta"]["folderTitle"], &provided["meta"]["provisioned"]), (&json!("PiSovereign"), &json!(true)));
    std::fs::write(&file, r#"{"uid": "pis", "title": "The second one", "panels": []}"#).unwrap();
    until("the file is read again", || server.json("/api/dashboards/uid/pis")["dashboard"]["title"].clone(), |title| title == "The second one");
    let board =
        json!({"dashboard": {"uid": "hand", "title": "By hand", "panels": [{"id": 1, "type": "stat", "title": "Up", "targets": [{"expr": "vector(7)"}]}]}});
    assert_eq!(post(&server, "/api/dashboards/db", &board)["status"], "success");
    server.kill();
    let server = Server::start(&dir.path().join("data"), &arguments, &[]);
    assert_eq!(server.json("/api/dashboards/uid/hand")["dashboard"]["panels"], board["dashboard"]["panels"], "what was acknowledged survives a kill");
    let found = server.json("/api/search?query=second");
    assert_eq!((&found[0]["uid"], &found[0]["folderTitle"]), (&json!("pis"), &json!("PiSovereign")));
    let asked = json!({"from": 0, "to": 60_000, "queries": [{"ref": "A", "kind": "prometheus", "expr": "vector(7)", "type": "instant"}]});
    assert_eq!(post(&server, "/api/dashboards/query", &asked)["results"][0]["data"]["result"][0]["value"], json!([60, "7"]));
    let picture = server.get("/render/d-solo/hand?panelId=1&width=300&height=200").unwrap();
    assert!(picture.head.contains("image/svg+xml") && picture.text().contains(">7</text>"), "{}", picture.text());
    // This machine is always there.
    assert_eq!(server.json("/api/dashboards/uid/watchfire-host-overview")["meta"]["pack"], "host");
}
