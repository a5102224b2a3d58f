//! Tests of the Grafana face over the test house: what upload tools and the page ask.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::auth::Rights;
use crate::server::Level;
use crate::testing::{Answered, Faces};

async fn send(faces: &Faces, method: Method, path: &str, body: &Value) -> Answered {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    faces.send(request.body(Body::from(body.to_string())).unwrap()).await
}
async fn post(faces: &Faces, path: &str, body: Value) -> Answered {
    send(faces, Method::POST, path, &body).await
}
async fn save(faces: &Faces, body: Value) -> Answered {
    post(faces, "/api/dashboards/db", body).await
}
#[track_caller]
fn said(answer: &Answered, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["message"].as_str()), (status, Some(message)), "{}", answer.text());
}

#[tokio::test]
async fn a_dashboard_is_saved_found_read_and_deleted() {
    let faces = Faces::new();
    let board = json!({"uid": "bar1", "title": "Bar & Food", "tags": ["x"], "schemaVersion": 39, "panels": [{"type": "stat", "targets": [{"expr": "up"}]}]});
    let saved = save(&faces, json!({"dashboard": board, "overwrite": true, "message": "first"})).await.json();
    assert_eq!(
        saved,
        json!({"id": saved["id"], "uid": "bar1", "url": "/d/bar1/bar-food", "status": "success", "version": 1, "slug": "bar-food", "folderUid": ""})
    );
    let read = faces.get("/api/dashboards/uid/bar1").await.json();
    assert_eq!(read["dashboard"]["panels"], board["panels"]);
    assert_eq!((&read["dashboard"]["id"], &read["dashboard"]["version"], &read["meta"]["canSave"]), (&saved["id"], &json!(1), &json!(true)));
    assert_eq!(read["meta"]["created"], "2025-12-30T10:15:00Z");
    let found = faces.get("/api/search?query=food&tag=x&type=dash-db").await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["uid"], &found[0]["url"]), (1, &json!("bar1"), &json!("/d/bar1/bar-food")));
    for none in ["query=zzz", "tag=y", "type=dash-folder", "starred=true", "folderUIDs=f", "dashboardUIDs=other", "page=2"] {
        assert_eq!(faces.get(&format!("/api/search?{none}")).await.json(), json!([]), "{none}");
    }
    assert_eq!(faces.get("/api/dashboards/tags").await.json(), json!([{"term": "x", "count": 1}]));
    let deleted = send(&faces, Method::DELETE, "/api/dashboards/uid/bar1", &Value::Null).await.json();
    assert_eq!((&deleted["title"], &deleted["message"]), (&json!("Bar & Food"), &json!("Dashboard Bar & Food deleted")));
    said(&faces.get("/api/dashboards/uid/bar1").await, 404, "Dashboard not found");
    said(&send(&faces, Method::DELETE, "/api/dashboards/uid/bar1", &Value::Null).await, 404, "Dashboard not found");
}

#[tokio::test]
async fn nobody_writes_over_what_another_has_saved() {
    let faces = Faces::new();
    let with = |version: u64, title: &str| json!({"uid": "b", "title": title, "version": version});
    assert_eq!(save(&faces, json!({"dashboard": with(0, "one")})).await.json()["version"], 1);
    let refused = save(&faces, json!({"dashboard": with(0, "two")})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()),
        (412, json!({"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}))
    );
    assert_eq!(save(&faces, json!({"dashboard": with(1, "two"), "message": "second"})).await.json()["version"], 2);
    assert_eq!(save(&faces, json!({"dashboard": with(0, "three"), "overwrite": true})).await.json()["version"], 3);
    let versions = faces.get("/api/dashboards/uid/b/versions?limit=2").await.json();
    assert_eq!(
        (versions.as_array().unwrap().len(), &versions[0]["version"], &versions[1]["message"], &versions[1]["createdBy"]),
        (2, &json!(3), &json!("second"), &json!("test"))
    );
    assert_eq!(faces.get("/api/dashboards/uid/b/versions/1").await.json()["data"]["title"], "one");
    said(&faces.get("/api/dashboards/uid/b/versions/9").await, 404, "Dashboard version not found");
    assert_eq!(post(&faces, "/api/dashboards/uid/b/restore", json!({"version": 1})).await.json()["version"], 4);
    assert_eq!(faces.get("/api/dashboards/uid/b").await.json()["dashboard"]["title"], "one");
    assert_eq!(faces.get("/api/dashboards/uid/b/versions/4").await.json()["restoredFrom"], 1);
    // By its number, as scripts of old do.
    let id = faces.get("/api/dashboards/uid/b").await.json()["dashboard"]["id"].clone();
    assert_eq!(save(&faces, json!({"dashboard": {"id": id, "title": "five", "version": 4}})).await.json()["uid"], "b");
    said(&save(&faces, json!({"dashboard": {"id": 99, "title": "x"}})).await, 404, "Dashboard not found");
    let made = save(&faces, json!({"dashboard": {"id": null, "uid": null, "title": "six"}})).await.json();
    assert!(made["uid"].as_str().is_some_and(|uid| uid.len() == 18 && uid != "b"), "{made}");
}

#[tokio::test]
async fn what_is_no_dashboard_is_refused_with_the_reason() {
    let faces = Faces::new();
    for (body, words) in [
        (json!({}), "the body needs an object \"dashboard\""),
        (json!([]), "bad request data"),
        (json!({"dashboard": {"title": " "}}), "Dashboard title cannot be empty"),
        (json!({"dashboard": {"title": "x", "uid": "a/b"}}), "uid contains illegal characters"),
        (json!({"dashboard": {"title": "x", "uid": "a".repeat(41)}}), "uid too long"),
        (json!({"dashboard": {"title": "x", "panels": {}}}), "panels must be a list"),
        (json!({"dashboard": {"apiVersion": "dashboard.grafana.app/v2beta1", "spec": {"title": ""}}}), "Dashboard title cannot be empty"),
        (json!({"dashboard": {"title": "x"}, "folderUid": "nobody"}), "folder not found"),
        (json!({"dashboard": {"title": "x"}, "isFolder": true}), "folders endpoint"),
    ] {
        let answer = save(&faces, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["message"].as_str().unwrap().contains(words), "{body}: {}", answer.text());
    }
    assert_eq!(save(&faces, json!({"dashboard": {"title": "x", "text": "y".repeat(1 << 20)}})).await.status, 413);
    assert_eq!(save(&faces, json!({"dashboard": {"title": "x", "text": "y".repeat(3 << 20)}})).await.status, 413, "the body itself");
    assert_eq!(faces.post("/api/dashboards/db", "text/plain", "{}").await.status, 415);
    assert_eq!(faces.get("/api/search").await.json(), json!([]));
}

#[tokio::test]
async fn folders_hold_dashboards_and_go_with_them() {
    let faces = Faces::new();
    let folder = post(&faces, "/api/folders", json!({"uid": "ops", "title": "Ops"})).await.json();
    assert_eq!((&folder["uid"], &folder["url"], &folder["version"]), (&json!("ops"), &json!("/dashboards/f/ops/ops"), &json!(1)));
    assert_eq!(post(&faces, "/api/folders", json!({"uid": "ops", "title": "Other"})).await.status, 412);
    assert_eq!(post(&faces, "/api/folders", json!({"title": "Ops"})).await.status, 409);
    assert_eq!(post(&faces, "/api/folders", json!({"title": ""})).await.status, 400);
    save(&faces, json!({"dashboard": {"uid": "in", "title": "In"}, "folderUid": "ops"})).await;
    save(&faces, json!({"dashboard": {"uid": "out", "title": "Out"}})).await;
    // By its number, as scripts of old do.
    let by_number = save(&faces, json!({"dashboard": {"uid": "old", "title": "Old"}, "folderId": folder["id"]})).await.json();
    assert_eq!(by_number["folderUid"], "ops");
    assert_eq!(save(&faces, json!({"dashboard": {"title": "x"}, "folderId": 77})).await.status, 400);
    send(&faces, Method::DELETE, "/api/dashboards/uid/old", &Value::Null).await;
    let found = async |query: &str| {
        let answer = faces.get(&format!("/api/search?{query}")).await.json();
        answer.as_array().unwrap().iter().map(|e| e["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, ["ops", "in", "out"]);
    assert_eq!(found("sort=alpha-desc").await, ["out", "in", "ops"]);
    assert_eq!(found("limit=1&page=2").await, ["in"]);
    assert_eq!(found("folderUIDs=ops").await, ["in"]);
    assert_eq!(found("folderUIDs=general&type=dash-db").await, ["out"]);
    assert_eq!(faces.get("/api/search?query=in").await.json()[0]["folderTitle"], "Ops");
    assert_eq!(faces.get("/api/dashboards/uid/in").await.json()["meta"]["folderUid"], "ops");
    let renamed = send(&faces, Method::PUT, "/api/folders/ops", &json!({"title": "Work", "version": 1})).await.json();
    assert_eq!((&renamed["title"], &renamed["version"]), (&json!("Work"), &json!(2)));
    assert_eq!(send(&faces, Method::PUT, "/api/folders/ops", &json!({"title": "Late", "version": 1})).await.status, 412);
    // What is saved again without a folder stays where it is.
    save(&faces, json!({"dashboard": {"uid": "in", "title": "In"}, "overwrite": true})).await;
    assert_eq!(faces.get("/api/folders").await.json()[0]["title"], "Work");
    assert_eq!(send(&faces, Method::DELETE, "/api/folders/ops", &Value::Null).await.json()["message"], "Folder Work deleted");
    assert_eq!(found("").await, ["out"]);
    said(&faces.get("/api/folders/ops").await, 404, "folder not found");
}

#[tokio::test]
async fn data_sources_are_our_faces_and_what_was_added() {
    let faces = Faces::new();
    let names = async || {
        let all = faces.get("/api/datasources").await.json();
        all.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["Alertmanager", "Elasticsearch", "Jaeger", "Loki", "Prometheus", "Pyroscope", "Tempo"]);
    assert_eq!(faces.get("/api/datasources/name/Prometheus").await.json()["isDefault"], true);
    let ours =
        post(&faces, "/api/datasources", json!({"name": "Prometheus", "type": "prometheus", "url": "http://prometheus:9090", "isDefault": true})).await.json();
    assert_eq!((&ours["message"], &ours["datasource"]["uid"]), (&json!("Datasource added"), &json!("PBFA97CFB590B2093")), "the uid that Grafana gives");
    assert_eq!(post(&faces, "/api/datasources", json!({"name": "Prometheus", "type": "prometheus", "url": "x"})).await.status, 409);
    let other = post(&faces, "/api/datasources", json!({"uid": "far", "name": "Far", "type": "prometheus", "url": "http://far.example:9090"})).await.json();
    assert!(other["message"].as_str().unwrap().starts_with("Datasource added, but not followed: it names far.example:9090"), "{other}");
    let mysql =
        post(&faces, "/api/datasources", json!({"uid": "m", "name": "M", "type": "mysql", "url": "db:3306", "secureJsonData": {"password": "canary"}})).await;
    assert!(mysql.text().contains("not followed") && !mysql.text().contains("canary"));
    assert_eq!(names().await.len(), 9, "ours took the place of the one of its name");
    for (uid, status) in [("PBFA97CFB590B2093", 200), ("prometheus", 200), ("loki", 200), ("far", 400), ("m", 400), ("nobody", 404)] {
        assert_eq!(faces.get(&format!("/api/datasources/uid/{uid}/health")).await.status, status, "{uid}");
    }
    assert_eq!(faces.get("/api/datasources/uid/far/health").await.json()["status"], "ERROR");
    assert_eq!(faces.get("/api/datasources/id/Far").await.json()["id"], other["id"]);
    assert_eq!(send(&faces, Method::DELETE, "/api/datasources/uid/loki", &Value::Null).await.status, 403);
    assert_eq!(send(&faces, Method::DELETE, "/api/datasources/uid/far", &Value::Null).await.status, 200);
    assert_eq!(send(&faces, Method::DELETE, "/api/datasources/name/M", &Value::Null).await.status, 200);
    assert_eq!(faces.get("/api/datasources/uid/far").await.status, 404);
    for bad in [json!({"name": "x"}), json!({"name": "x", "type": "loki", "uid": "a b"})] {
        assert_eq!(post(&faces, "/api/datasources", bad).await.status, 400);
    }
}

#[tokio::test]
async fn dashboards_of_packs_come_with_them_and_stay_as_they_are() {
    let faces = Faces::new();
    said(&faces.get("/api/dashboards/uid/vms-one").await, 404, "Dashboard not found");
    faces.house.held().packs = vec!["vms".to_owned()];
    let read = faces.get("/api/dashboards/uid/vms-one").await.json();
    assert_eq!((&read["meta"]["pack"], &read["meta"]["canSave"], &read["meta"]["folderTitle"]), (&json!("vms"), &json!(false), &json!("vms")));
    assert_eq!(faces.get("/api/folders/pack-vms").await.json()["canSave"], false);
    assert_eq!(faces.get("/api/search?folderUIDs=pack-vms").await.json()[0]["uid"], "vms-one");
    assert_eq!(faces.get("/api/dashboards/uid/vms-one/versions").await.json(), json!([]));
    let change = json!({"dashboard": {"uid": "vms-one", "title": "Mine", "version": 1}, "folderUid": "pack-vms"});
    let copy = save(&faces, change.clone()).await.json();
    assert!(copy["uid"] != "vms-one" && copy["version"] == 1, "{copy}");
    assert_eq!(faces.get("/api/dashboards/uid/vms-one").await.json()["dashboard"]["title"], "Cameras");
    let again = save(&faces, change).await.json();
    assert_eq!((&again["uid"], &again["version"]), (&copy["uid"], &json!(2)), "no second copy");
    // A copy under an address of its own, as the page saves it: the pack's folder is the pack's.
    let other = save(&faces, json!({"dashboard": {"uid": "", "title": "Other", "version": 1}, "folderUid": "pack-vms"})).await;
    assert_eq!((other.status.as_u16(), &other.json()["folderUid"]), (200, &json!("")), "{}", other.text());
    said(&send(&faces, Method::DELETE, "/api/dashboards/uid/vms-one", &Value::Null).await, 400, "provisioned dashboard cannot be deleted");
    assert_eq!(send(&faces, Method::DELETE, "/api/folders/pack-vms", &Value::Null).await.status, 400);
}

#[tokio::test]
async fn inputs_of_an_import_are_filled_in() {
    let faces = Faces::new();
    let board =
        json!({"uid": "i", "title": "I", "__inputs": [{"name": "DS_PROMETHEUS"}], "panels": [{"datasource": {"uid": "${DS_PROMETHEUS}"}, "expr": "${other}"}]});
    let inputs = json!([{"name": "DS_PROMETHEUS", "type": "datasource", "value": "prometheus"}]);
    let imported = post(&faces, "/api/dashboards/import", json!({"dashboard": board, "inputs": inputs})).await.json();
    assert_eq!((&imported["imported"], &imported["uid"]), (&json!(true), &json!("i")));
    let read = faces.get("/api/dashboards/uid/i").await.json();
    assert_eq!(read["dashboard"]["panels"][0], json!({"datasource": {"uid": "prometheus"}, "expr": "${other}"}));
    assert_eq!(read["dashboard"].get("__inputs"), None);
    // Inputs that name each other double what stands there.
    let doubling: Vec<Value> = (0..40).map(|n| json!({"name": format!("v{n}"), "value": format!("${{v{}}}${{v{}}}", n + 1, n + 1)})).collect();
    let bomb = json!({"uid": "j", "title": "J", "panels": [{"expr": "${v0}"}]});
    assert_eq!(post(&faces, "/api/dashboards/import", json!({"dashboard": bomb, "inputs": doubling})).await.status, 413);
    let many: Vec<Value> = (0..101).map(|n| json!({"name": n.to_string(), "value": "x"})).collect();
    assert_eq!(post(&faces, "/api/dashboards/import", json!({"dashboard": {"title": "M"}, "inputs": many})).await.status, 400);
}

#[tokio::test]
async fn what_grafana_says_of_itself() {
    let faces = Faces::new();
    assert_eq!(faces.get("/api/health").await.json()["database"], "ok");
    assert_eq!(faces.get("/api/org").await.json()["id"], 1);
    assert_eq!(faces.get("/api/user").await.json()["login"], "test");
    let settings = faces.get("/api/frontend/settings").await.json();
    assert_eq!((&settings["defaultDatasource"], &settings["datasources"]["Loki"]["type"]), (&json!("Prometheus"), &json!("loki")));
    assert_eq!(faces.get("/api/dashboards/home").await.json()["meta"]["isHome"], true);
    faces.house.held().rights = Some(Rights::NONE);
    assert_eq!(faces.get("/api/health").await.json(), json!({"database": "ok"}), "strangers learn no version");
    let refused = faces.get("/api/search").await;
    assert!(refused.status == 401 && refused.json()["message"].is_string(), "{}", refused.text());
    faces.house.held().rights = Some(Rights::of(Level::Read));
    assert_eq!(save(&faces, json!({"dashboard": {"title": "x"}})).await.status, 403);
    assert_eq!(post(&faces, "/api/dashboards/query", json!({"from": 0, "to": 1, "queries": []})).await.json(), json!({"results": []}));
}

#[tokio::test]
async fn pis_13_a_data_source_at_localhost_is_added_and_tested() {
    let faces = Faces::new();
    // As somebody does it who has logged in: add, then Save & Test.
    let added = post(&faces, "/api/datasources", json!({"name": "prom", "type": "prometheus", "access": "proxy", "url": "http://localhost:9090"})).await.json();
    assert_eq!(added["message"], "Datasource added");
    let uid = added["datasource"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(faces.get(&format!("/api/datasources/uid/{uid}/health")).await.json()["status"], "OK");
    assert_eq!(faces.get("/api/datasources/name/prom").await.json()["uid"], uid.as_str());
}
