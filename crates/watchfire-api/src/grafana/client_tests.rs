//! What clients ask beside dashboards themselves: proxies of data sources, queries in frames, numbers in the stead of uids, titles that are
//! taken. Over the test house.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use watchfire_model::labels;

use crate::auth::Rights;
use crate::testing::{Answered, Faces, NOW};

async fn send(faces: &Faces, method: Method, path: &str, body: &Value) -> Answered {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    faces.send(request.body(Body::from(body.to_string())).unwrap()).await
}
async fn post(faces: &Faces, path: &str, body: Value) -> Answered {
    send(faces, Method::POST, path, &body).await
}
#[track_caller]
fn said(answer: &Answered, status: u16, words: &str) {
    assert!(answer.status == status && answer.json()["message"].as_str().unwrap().contains(words), "{status} {words}: {} {}", answer.status, answer.text());
}

#[tokio::test]
async fn a_proxy_is_the_route_that_it_leads_to() {
    let faces = Faces::new();
    faces.house.put(labels!("__name__" => "queue_depth", "job" => "a"), &[(0, 3.0)]);
    let added = post(&faces, "/api/datasources", json!({"name": "prom", "type": "prometheus", "url": "http://prometheus:9090"})).await.json();
    let direct = faces.get("/api/v1/query?query=queue_depth").await;
    for base in ["/api/datasources/proxy/uid/prometheus", &format!("/api/datasources/proxy/{}", added["id"]), "/api/datasources/proxy/1"] {
        let through = faces.get(&format!("{base}/api/v1/query?query=queue_depth")).await;
        assert_eq!((through.status, through.json()["data"].clone()), (direct.status, direct.json()["data"].clone()), "{base}");
        let form = faces.form(&format!("{base}/api/v1/query"), "query=queue_depth").await;
        assert_eq!(form.json()["data"], direct.json()["data"], "{base}");
    }
    for base in
        ["/api/datasources/proxy/uid/loki/loki/api/v1/labels", "/api/datasources/proxy/uid/loki/api/v1/labels", "/api/datasources/proxy/2/loki/api/v1/labels"]
    {
        assert_eq!(faces.get(base).await.json()["status"], "success", "{base}");
    }
    // What a route refuses, its proxy refuses, too.
    assert_eq!(faces.get("/api/datasources/proxy/uid/prometheus/api/v1/query?query=sum(").await.status, 400);
    assert_eq!(post(&faces, "/api/datasources/proxy/uid/prometheus/api/datasources/proxy/1/api/v1/query", json!({})).await.status, 502, "no circles");
    let far = post(&faces, "/api/datasources", json!({"uid": "far", "name": "Far", "type": "prometheus", "url": "http://far.example:9090"})).await.json();
    for (path, status, words) in [
        ("/api/datasources/proxy/uid/nobody/x", 404, "Data source not found"),
        ("/api/datasources/proxy/99999/x", 404, "Data source not found"),
        ("/api/datasources/proxy/x/y", 404, "Data source not found"),
        ("/api/datasources/proxy/uid/far/api/v1/query?query=up", 502, "Not followed: it names far.example:9090"),
        (&format!("/api/datasources/proxy/{}/api/v1/query", far["id"]), 502, "Not followed"),
    ] {
        said(&faces.get(path).await, status, words);
    }
    faces.house.held().rights = Some(Rights::NONE);
    for path in ["/api/datasources/proxy/uid/prometheus/api/v1/query?query=1", "/api/datasources/proxy/uid/nobody/x"] {
        assert_eq!(faces.get(path).await.status, 401, "{path}");
    }
}

async fn queried(faces: &Faces, queries: Value) -> (u16, Value) {
    let body = json!({"from": (NOW.millis() - 60_000).to_string(), "to": NOW.millis().to_string(), "queries": queries});
    let answer = post(faces, "/api/ds/query", body).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn queries_are_answered_in_frames() {
    let faces = Faces::new();
    faces.house.put(labels!("__name__" => "queue_depth", "job" => "a"), &[(60, 1.0), (30, f64::INFINITY), (0, 3.0)]);
    let prometheus = json!({"type": "prometheus", "uid": "prometheus"});
    let (status, answer) = queried(
        &faces,
        json!([
            {"refId": "A", "datasource": prometheus, "expr": "queue_depth", "range": true, "intervalMs": 30_000, "maxDataPoints": 100, "legendFormat": "{{job}}!"},
            {"refId": "B", "datasource": prometheus, "expr": "queue_depth", "instant": true},
            {"refId": "C", "datasourceId": 1, "expr": "queue_depth", "instant": true, "range": true, "intervalMs": 30_000},
            {"refId": "D", "expr": "max_over_time(queue_depth[$__range])", "instant": true},
        ]),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let results = &answer["results"];
    let begin = NOW.millis() - 60_000;
    let frame = &results["A"]["frames"][0];
    assert_eq!(frame["data"], json!({"values": [[begin, begin + 30_000, begin + 60_000], [1.0, null, 3.0]], "entities": [null, {"Inf": [1]}]}));
    assert_eq!(
        (&frame["schema"]["refId"], &frame["schema"]["name"], &frame["schema"]["meta"]["custom"]["resultType"]),
        (&json!("A"), &json!("a!"), &json!("matrix"))
    );
    let value = &frame["schema"]["fields"][1];
    assert_eq!((&value["type"], &value["labels"]["job"], &value["config"]["displayNameFromDS"]), (&json!("number"), &json!("a"), &json!("a!")));
    assert_eq!(results["B"]["frames"][0]["data"]["values"], json!([[NOW.millis()], [3.0]]));
    assert_eq!(results["B"]["frames"][0]["schema"]["name"], "queue_depth{job=\"a\"}");
    assert_eq!(results["C"]["frames"].as_array().unwrap().len(), 2);
    assert_eq!(results["D"]["frames"][0]["data"]["values"][1], json!([null]), "the highest of them has no number in JSON");
    assert_eq!(results["D"]["status"], 200);
}

#[tokio::test]
async fn lines_come_in_one_frame() {
    let faces = Faces::new();
    let ns = NOW.millis() * 1_000_000 - 5;
    let push = json!({"streams": [{"stream": {"app": "x"}, "values": [[ns.to_string(), "one line"]]}]});
    assert!(post(&faces, "/loki/api/v1/push", push).await.status.is_success());
    let (status, answer) =
        queried(&faces, json!([{"refId": "A", "datasource": {"uid": "loki"}, "expr": "{app=\"x\"}", "queryType": "range", "maxDataPoints": 10}])).await;
    let frame = &answer["results"]["A"]["frames"][0];
    assert_eq!((status, &frame["schema"]["fields"][2]["name"]), (200, &json!("Line")), "{answer}");
    let names: Vec<&str> = frame["schema"]["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["labels", "Time", "Line", "tsNs", "id"]);
}

#[tokio::test]
async fn what_fails_in_frames_says_why_and_where() {
    let faces = Faces::new();
    let (status, answer) = queried(
        &faces,
        json!([
            {"refId": "A", "expr": "1"},
            {"refId": "B", "expr": "sum("},
            {"expr": " "},
            {"refId": "D", "expr": "1", "datasource": {"uid": "tempo"}},
            {"refId": "E", "expr": "1", "datasource": {"uid": "nobody"}},
        ]),
    )
    .await;
    assert_eq!(status, 400);
    let results = &answer["results"];
    assert_eq!((&results["A"]["status"], results["A"]["frames"].as_array().unwrap().len()), (&json!(200), 1), "{answer}");
    for (name, words) in [("B", "parse error"), ("C", "no expr"), ("D", "of type \"tempo\""), ("E", "not found")] {
        assert!(results[name]["error"].as_str().unwrap().contains(words) && results[name]["status"] == 400, "{name}: {answer}");
    }
    for (body, words) in [
        (json!({"queries": []}), "no queries"),
        (json!({"queries": [{"expr": "1"}], "from": "yesterday"}), "from must be a time"),
        (json!({"queries": [{"expr": "1"}], "from": "now", "to": "now-1h"}), "ends before it begins"),
        (json!({"queries": vec![json!({"expr": "1"}); 101]}), "101 queries"),
        (json!([]), "bad request data"),
    ] {
        said(&post(&faces, "/api/ds/query", body).await, 400, words);
    }
    let odd = json!([{"expr": "1", "intervalMs": 1e300, "maxDataPoints": -5, "interval": "x", "intervalFactor": 1e18}]);
    assert_eq!(queried(&faces, odd).await.0, 200);
}

#[tokio::test]
async fn data_sources_are_changed_and_found_by_number() {
    let faces = Faces::new();
    let added = post(&faces, "/api/datasources", json!({"uid": "p", "name": "P", "type": "prometheus", "url": "http://prometheus:9090"})).await.json();
    let id = added["id"].clone();
    assert_eq!(faces.get(&format!("/api/datasources/{id}")).await.json()["uid"], "p");
    let change = json!({"name": "Q", "type": "loki", "url": "http://loki:3100", "jsonData": {"maxLines": 5}});
    let changed = send(&faces, Method::PUT, "/api/datasources/uid/p", &change).await.json();
    assert_eq!((&changed["message"], &changed["id"], &changed["datasource"]["type"]), (&json!("Datasource updated"), &id, &json!("loki")));
    assert_eq!(send(&faces, Method::PUT, &format!("/api/datasources/{id}"), &json!({"name": "R", "type": "loki"})).await.json()["name"], "R");
    let read = faces.get("/api/datasources/uid/p").await.json();
    assert_eq!((&read["name"], &read["jsonData"]), (&json!("R"), &json!({})));
    post(&faces, "/api/datasources", json!({"uid": "s", "name": "S", "type": "loki"})).await;
    said(&send(&faces, Method::PUT, "/api/datasources/uid/s", &json!({"name": "R", "type": "loki"})).await, 409, "same name");
    said(&send(&faces, Method::PUT, "/api/datasources/uid/loki", &json!({"name": "L", "type": "loki"})).await, 403, "read-only");
    said(&send(&faces, Method::PUT, "/api/datasources/uid/nobody", &json!({"name": "L", "type": "loki"})).await, 404, "not found");
    said(&send(&faces, Method::PUT, "/api/datasources/uid/s", &json!({"name": "S"})).await, 400, "name and type");
    said(&faces.get("/api/datasources/x").await, 400, "id is invalid");
    said(&faces.get("/api/datasources/0").await, 404, "Data source not found");
    assert_eq!(send(&faces, Method::DELETE, &format!("/api/datasources/{id}"), &Value::Null).await.status, 200);
    assert_eq!(send(&faces, Method::DELETE, &format!("/api/datasources/{id}"), &Value::Null).await.status, 404);
    assert_eq!(send(&faces, Method::DELETE, "/api/datasources/2", &Value::Null).await.status, 403, "ours stay");
}

/// Scripts that upload without a uid mean the dashboard of that title, again and again.
#[tokio::test]
async fn a_title_decides_where_nobody_says_which_dashboard() {
    let faces = Faces::new();
    post(&faces, "/api/folders", json!({"uid": "ops", "title": "Ops"})).await;
    let up = async |overwrite: bool, folder: &str| {
        let body = json!({"dashboard": {"id": null, "title": "Nodes"}, "overwrite": overwrite, "folderUid": folder, "message": "m"});
        let answer = post(&faces, "/api/dashboards/db", body).await;
        (answer.status.as_u16(), answer.json())
    };
    let (_, first) = up(false, "").await;
    let (status, refused) = up(false, "").await;
    assert_eq!((status, refused), (412, json!({"message": "A dashboard with the same name in the folder already exists", "status": "name-exists"})));
    let (_, again) = up(true, "").await;
    assert_eq!((&again["uid"], &again["id"], &again["version"]), (&first["uid"], &first["id"], &json!(2)));
    let (status, elsewhere) = up(false, "ops").await;
    assert!(status == 200 && elsewhere["uid"] != first["uid"], "another folder: {elsewhere}");
    // Who says a uid means that one, whatever others are called.
    let named = post(&faces, "/api/dashboards/db", json!({"dashboard": {"uid": "mine", "title": "Nodes"}})).await.json();
    assert_eq!((&named["uid"], &named["version"]), (&json!("mine"), &json!(1)));
}

#[tokio::test]
async fn numbers_pages_and_limits_as_tools_ask_for_them() {
    let faces = Faces::new();
    let folder = post(&faces, "/api/folders", json!({"uid": "ops", "title": "Ops"})).await.json();
    let inside = post(&faces, "/api/dashboards/db", json!({"dashboard": {"uid": "in", "title": "In"}, "folderUid": "ops"})).await.json();
    post(&faces, "/api/dashboards/db", json!({"dashboard": {"uid": "out", "title": "Out"}})).await;
    let found = async |query: &str| {
        let answer = faces.get(&format!("/api/search?{query}")).await.json();
        answer.as_array().unwrap().iter().map(|e| e["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (query, expected) in [
        (format!("folderIds={}", folder["id"]), &["in"][..]),
        ("folderIds=0&type=dash-db".to_owned(), &["out"]),
        ("folderIds=0".to_owned(), &["ops", "out"]),
        (format!("dashboardIds={}", inside["id"]), &["in"]),
        ("dashboardIds=999".to_owned(), &[]),
        ("limit=0&page=0".to_owned(), &["ops", "in", "out"]),
        ("limit=&query=".to_owned(), &["ops", "in", "out"]),
    ] {
        assert_eq!(found(&query).await, expected, "{query}");
    }
    said(&faces.get("/api/search?limit=5001").await, 422, "Limit is above maximum allowed (5000)");
    said(&faces.get("/api/search?limit=x").await, 400, "limit must be a number");
    assert_eq!(faces.get(&format!("/api/folders/id/{}", folder["id"])).await.json()["uid"], "ops");
    said(&faces.get("/api/folders/id/99").await, 404, "folder not found");
    post(&faces, "/api/folders", json!({"uid": "dev", "title": "Dev"})).await;
    assert_eq!(faces.get("/api/folders?limit=1&page=2").await.json()[0]["uid"], "ops");
    assert_eq!(faces.get("/api/folders?parentUid=ops").await.json(), json!([]));
    said(&send(&faces, Method::PUT, "/api/folders/dev", &json!({"title": "Ops", "overwrite": true})).await, 409, "same name");
    said(&post(&faces, "/api/folders", json!({"title": "Within", "parentUid": "ops"})).await, 400, "no folders in them");
    assert_eq!(faces.get("/api/user/orgs").await.json()[0]["role"], "Admin");
    assert_eq!(faces.get("/api/orgs").await.json()[0]["id"], 1);
}
