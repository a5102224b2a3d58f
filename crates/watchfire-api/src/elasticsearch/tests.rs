//! Tests of the Elasticsearch face over the test house: bulk requests, searches, what clients ask before.

use std::io::Write;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, Request};
use serde_json::json;
use watchfire_model::write::WriteError;

use crate::auth::Rights;
use crate::server::Level;
use crate::testing::{Answered, Faces};

async fn ask(faces: &Faces, method: &Method, path: &str, body: impl Into<Body>) -> Answered {
    let vendor = "application/vnd.elasticsearch+json; compatible-with=8";
    let request = Request::builder().method(method).uri(format!("/elasticsearch{path}")).header("content-type", vendor).header("accept", vendor);
    let answer = faces.send(request.body(body.into()).unwrap()).await;
    assert_eq!(answer.header("x-elastic-product"), "Elasticsearch", "{method} {path}");
    answer
}

/// Twenty documents, a second apart.
async fn faces_with_documents() -> Faces {
    let faces = Faces::new();
    let mut body = String::new();
    for i in 0..20 {
        let document = json!({
            "@timestamp": format!("2025-12-30T10:14:{:02}.000Z", i), "component": "recording", "level": "ERROR", "message": format!("connection failed {i}"),
            "response_time": 900 + i * 10, "status": 500
        });
        body.push_str(&format!("{}\n\n{document}\n", json!({"create": {"_index": if i < 15 { "vms-1" } else { "vms-2" }}})));
    }
    let answer = ask(&faces, &Method::PUT, "/_bulk", body).await;
    assert_eq!((answer.status.as_u16(), answer.json()["errors"].clone()), (200, json!(false)));
    assert_eq!(answer.json()["items"].as_array().unwrap().len(), 20);
    faces
}

async fn total(faces: &Faces, path: &str) -> u64 {
    let answer = ask(faces, &Method::GET, path, "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()["hits"]["total"]["value"].as_u64().unwrap()
}

fn q(query: &str) -> String {
    format!("/_search?q={}", url::form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>())
}

#[tokio::test]
async fn searches_in_kql_are_asked_for_by_the_parameter_language() {
    let faces = faces_with_documents().await;
    let times = r#"@timestamp >= "2025-12-30T10:14:05.000000000Z" and @timestamp < "2025-12-30T10:14:10.000000000Z""#;
    for (query, expected) in [(times.to_owned(), 5), (format!("(level: error and not message: *7) and {times}"), 4), ("response_time > 1000".to_owned(), 9)] {
        assert_eq!(total(&faces, &format!("{}&language=kql", q(&query))).await, expected, "{query}");
    }
    // The same range in Lucene, its end left out.
    let lucene = r#"(level:ERROR) AND @timestamp:["2025-12-30T10:14:05.000000000Z" TO "2025-12-30T10:14:10.000000000Z"}"#;
    assert_eq!(total(&faces, &format!("{}&language=lucene", q(lucene))).await, 5);
    let refused = ask(&faces, &Method::GET, &format!("{}&language=sql", q("a")), "").await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[tokio::test]
async fn searches_by_query_string_find_what_was_acknowledged() {
    let faces = faces_with_documents().await;
    for (query, expected) in [
        ("component:recording AND level:ERROR AND @timestamp:[now-1h TO now]", 20),
        (r#"message:"connection failed" AND component:recording"#, 20),
        ("component:recording AND response_time:>1000", 9),
        ("status:>=500 AND @timestamp:[now-15m TO now]", 20),
        ("component:auth AND (event:failed_login OR event:unauthorized_access)", 0),
        ("", 20),
    ] {
        assert_eq!(total(&faces, &q(query)).await, expected, "{query}");
    }
    let page = ask(&faces, &Method::GET, "/_search?size=2&from=1&sort=response_time:desc&_source=message", "").await.json();
    assert_eq!(page["hits"]["hits"][0]["_source"], json!({"message": "connection failed 18"}));
    assert_eq!((page["hits"]["hits"].as_array().unwrap().len(), &page["hits"]["hits"][0]["_index"]), (2, &json!("vms-2")));
    let plain = ask(&faces, &Method::GET, "/_search?rest_total_hits_as_int=true&size=0", "").await.json();
    assert_eq!(plain["hits"]["total"], 20);
    let wrong = ask(&faces, &Method::GET, &q("a AND (b"), "").await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["error"]["type"].as_str()), (400, Some("query_shard_exception")));
}

#[tokio::test]
async fn searches_by_body_and_in_some_indices() {
    let faces = faces_with_documents().await;
    assert_eq!(total(&faces, "/vms-1/_search").await, 15);
    assert_eq!(total(&faces, "/vms-1,vms-2/_search").await, 20);
    assert_eq!(total(&faces, "/vms-*,-vms-2/_search").await, 15);
    assert_eq!(total(&faces, "/lo*/_search").await, 0);
    assert_eq!(total(&faces, "/nothing/_search?ignore_unavailable=true").await, 0);
    let missing = ask(&faces, &Method::POST, "/nothing/_search", "{}").await;
    assert_eq!((missing.status.as_u16(), missing.json()["error"]["type"].as_str()), (404, Some("index_not_found_exception")));
    let body = json!({
        "query": {"bool": {"filter": [{"range": {"response_time": {"gte": 1000}}}, {"term": {"component": "recording"}}]}},
        "aggs": {"per": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10s"}}}, "size": 1, "sort": [{"@timestamp": "desc"}]
    });
    let found = ask(&faces, &Method::POST, "/vms-*/_search", body.to_string()).await.json();
    assert_eq!((&found["hits"]["total"]["value"], &found["timed_out"]), (&json!(10), &json!(false)));
    assert_eq!(found["aggregations"]["per"]["buckets"][0]["doc_count"], 10);
    assert_eq!(found["hits"]["hits"][0]["_source"]["response_time"], 1090);
    let count = ask(&faces, &Method::POST, "/vms-2/_count", json!({"query": {"match_all": {}}}).to_string()).await.json();
    assert_eq!(count["count"], 5);
    assert_eq!(ask(&faces, &Method::GET, "/_count?q=status:500", "").await.json()["count"], 20);
    assert_eq!(ask(&faces, &Method::POST, "/_count", r#"{"size": 1}"#).await.status, 400);
    assert_eq!(ask(&faces, &Method::POST, "/_search", "{").await.json()["error"]["type"], "parsing_exception");
}

#[tokio::test]
async fn several_searches_at_once_fail_alone() {
    let faces = faces_with_documents().await;
    let body = "{\"index\":\"vms-1\"}\n{\"size\":0}\n\n{\"query\":{\"query_string\":{\"query\":\"status:500\"}}}\n{\"index\":[\"nothing\"]}\n{}\n{}\n{\"query\":{\"made_up\":{}}}\n";
    let answer = ask(&faces, &Method::POST, "/_msearch?max_concurrent_shard_requests=5", body).await.json();
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!(responses.iter().map(|r| r["status"].as_u64().unwrap()).collect::<Vec<_>>(), [200, 200, 404, 400]);
    assert_eq!((&responses[0]["hits"]["total"]["value"], &responses[1]["hits"]["total"]["value"]), (&json!(15), &json!(20)));
    assert_eq!(ask(&faces, &Method::POST, "/_msearch", "").await.status, 400);
}

#[tokio::test]
async fn results_of_bulk_requests() {
    let faces = Faces::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"index\":{\"_id\":\"mine\"}}\n{\"a\":1}\n{\"create\":{}}\nnonsense\n{\"index\":{}}\n{\"a\":2}\n").unwrap();
    let request = Request::post("/elasticsearch/filebeat-1/_bulk").header("content-type", "application/x-ndjson").header("content-encoding", "gzip");
    let answer = faces.send(request.body(Body::from(gzip.finish().unwrap())).unwrap()).await.json();
    assert_eq!(answer["errors"], true);
    let items = answer["items"].as_array().unwrap();
    assert_eq!((&items[0]["index"]["_id"], &items[0]["index"]["status"], &items[0]["index"]["_index"]), (&json!("mine"), &json!(201), &json!("filebeat-1")));
    assert_eq!((&items[1]["create"]["status"], &items[1]["create"]["error"]["type"]), (&json!(400), &json!("document_parsing_exception")));
    let id = items[2]["index"]["_id"].as_str().unwrap();
    let found = ask(&faces, &Method::GET, &format!("/filebeat-1/_doc/{id}"), "").await.json();
    assert_eq!((&found["found"], &found["_source"]["a"]), (&json!(true), &json!(2)));
    let brief = ask(&faces, &Method::POST, "/_bulk?filter_path=errors,items.*.error,items.*.status", "{\"create\":{\"_index\":\"a\"}}\n{}\n").await.json();
    assert_eq!(brief["items"], json!([{"create": {"status": 201}}]));
    let malformed = ask(&faces, &Method::POST, "/_bulk", "nonsense\n").await;
    assert_eq!((malformed.status.as_u16(), malformed.json()["error"]["type"].as_str()), (400, Some("illegal_argument_exception")));
    faces.house.held().write_error = Some(|| WriteError::Busy("x".to_owned()));
    assert_eq!(ask(&faces, &Method::POST, "/_bulk", "{\"create\":{\"_index\":\"a\"}}\n{}\n").await.status, 429);
    faces.house.held().rights = Some(Rights::of(Level::Read));
    let forbidden = ask(&faces, &Method::POST, "/_bulk", "").await;
    assert_eq!((forbidden.status.as_u16(), forbidden.json()["error"]["type"].as_str()), (403, Some("security_exception")));
}

#[tokio::test]
async fn single_documents() {
    let faces = Faces::new();
    let made = ask(&faces, &Method::POST, "/app/_doc", "{\n \"a\": 1\n}").await;
    assert_eq!((made.status.as_u16(), made.json()["result"].as_str()), (201, Some("created")));
    assert_eq!(ask(&faces, &Method::PUT, "/app/_doc/7", r#"{"b": 2}"#).await.json()["_id"], "7");
    let found = ask(&faces, &Method::GET, "/app/_doc/7", "").await.json();
    assert_eq!((&found["found"], &found["_source"]["b"]), (&json!(true), &json!(2)));
    assert_eq!(ask(&faces, &Method::GET, "/app/_doc/8", "").await.status, 404);
    assert_eq!(ask(&faces, &Method::POST, "/app/_doc", "[]").await.status, 400);
}

#[tokio::test]
async fn indices_and_their_fields() {
    let faces = faces_with_documents().await;
    assert_eq!(ask(&faces, &Method::HEAD, "/vms-1", "").await.status, 200);
    assert_eq!(ask(&faces, &Method::HEAD, "/nothing", "").await.status, 404);
    let mapping = ask(&faces, &Method::GET, "/vms-1/_mapping", "").await.json();
    let properties = &mapping["vms-1"]["mappings"]["properties"];
    assert_eq!(
        (&properties["@timestamp"]["type"], &properties["status"]["type"], &properties["message"]["type"]),
        (&json!("date"), &json!("long"), &json!("text"))
    );
    assert!(ask(&faces, &Method::GET, "/_cat/indices", "").await.text().starts_with("green open vms-1 vms-1 1 0 15 0 "));
    assert_eq!(ask(&faces, &Method::GET, "/_cat/indices?format=json", "").await.json()[1]["docs.count"], "5");
    let some = ask(&faces, &Method::GET, "/_cat/indices?v&h=index,docs.count&s=docs.count&bytes=b", "").await.text();
    assert_eq!(some, "index docs.count\nvms-2 5\nvms-1 15\n");
    assert_eq!(ask(&faces, &Method::GET, "/_cat/indices?h=index&s=index:desc", "").await.text(), "vms-2\nvms-1\n");
    let crowd = ask(&faces, &Method::GET, &format!("/_cat/indices?h={}index", "pri,".repeat(2_000)), "").await.text();
    assert_eq!(crowd, format!("{0}\n{0}\n", ["1"; 10].join(" ")), "no more columns than there are");
    let stats = ask(&faces, &Method::GET, "/vms-*/_stats", "").await.json();
    assert_eq!((&stats["_all"]["primaries"]["docs"]["count"], &stats["indices"]["vms-2"]["total"]["docs"]["count"]), (&json!(20), &json!(5)));
    let twice = ask(&faces, &Method::PUT, "/vms-1", "").await;
    assert_eq!((twice.status.as_u16(), twice.json()["error"]["type"].as_str()), (400, Some("resource_already_exists_exception")));
    let by_address = ask(&faces, &Method::GET, "/_search?source_content_type=application/json&source=%7B%22size%22%3A1%7D", "").await.json();
    assert_eq!(by_address["hits"]["hits"].as_array().unwrap().len(), 1);
    assert!(ask(&faces, &Method::GET, "/_cat/count", "").await.text().ends_with(" 10:15:00 20\n"));
    assert_eq!(ask(&faces, &Method::GET, "/_cat/count/vms-2?format=json", "").await.json()[0]["count"], "5");
    let health = ask(&faces, &Method::GET, "/_cat/health?v", "").await.text();
    assert!(health.starts_with("epoch timestamp cluster status ") && health.contains(" watchfire green 1 1 "), "{health}");
    assert_eq!(ask(&faces, &Method::GET, "/_cat/nodes?format=json", "").await.json()[0]["name"], "watchfire");
    assert_eq!(ask(&faces, &Method::GET, "/_cluster/settings", "").await.json(), json!({"persistent": {}, "transient": {}}));
    let settings = ask(&faces, &Method::GET, "/vms-*/_settings", "").await.json();
    assert_eq!((settings.as_object().unwrap().len(), &settings["vms-1"]["settings"]["index"]["number_of_shards"]), (2, &json!("1")));
    assert_eq!(ask(&faces, &Method::GET, "/nothing/_settings", "").await.status, 404);
    let hit = ask(&faces, &Method::GET, "/vms-1/_search?size=1", "").await.json()["hits"]["hits"][0].clone();
    let path = format!("/vms-1/_source/{}", hit["_id"].as_str().unwrap());
    assert_eq!(ask(&faces, &Method::GET, &path, "").await.json(), hit["_source"]);
    assert_eq!(ask(&faces, &Method::GET, &format!("{path}?_source_includes=status"), "").await.json(), json!({"status": 500}));
    assert_eq!(ask(&faces, &Method::GET, "/vms-1/_source/none", "").await.status, 404);
    let deleted = ask(&faces, &Method::POST, "/vms-1/_delete_by_query", json!({"query": {"range": {"response_time": {"lt": 950}}}}).to_string()).await.json();
    assert_eq!(deleted["deleted"], 5);
    assert_eq!(ask(&faces, &Method::POST, "/vms-1/_delete_by_query", "{}").await.status, 400);
    assert_eq!(ask(&faces, &Method::DELETE, "/vms-2", "").await.json()["acknowledged"], true);
    assert_eq!(ask(&faces, &Method::DELETE, "/vms-2", "").await.status, 404);
    assert_eq!(ask(&faces, &Method::DELETE, "/vms-*", "").await.status, 400);
    assert_eq!(total(&faces, "/_search").await, 10);
    // What came with no index is deleted by the name under which it is shown, and nothing else is.
    let labels = watchfire_model::labels::Labels::from_pairs([("job", "syslog")]);
    let logs = faces.house.held().logs.clone();
    logs.add_line(&labels, watchfire_model::logs::Nanos(1_767_089_700_000_000_000), "a line", &watchfire_model::labels::Labels::empty());
    assert_eq!((total(&faces, "/logs/_search").await, total(&faces, "/_search").await), (1, 11));
    assert_eq!(ask(&faces, &Method::DELETE, "/logs", "").await.json()["acknowledged"], true);
    assert_eq!((total(&faces, "/logs/_search").await, total(&faces, "/_search").await), (0, 10));
}

#[tokio::test]
async fn trc_15_the_cluster_is_green_while_we_can_write() {
    let faces = Faces::new();
    assert_eq!(ask(&faces, &Method::GET, "/_cluster/health", "").await.json()["status"], "green");
    faces.house.held().storage.failure = Some("disk".to_owned());
    assert_eq!(ask(&faces, &Method::GET, "/_cluster/health", "").await.json()["status"], "red");
}

#[tokio::test]
async fn what_senders_ask_before() {
    let faces = Faces::new();
    let root = ask(&faces, &Method::GET, "", "").await.json();
    assert!(root["version"]["number"].as_str().unwrap().starts_with("8."));
    assert_eq!(ask(&faces, &Method::HEAD, "/", "").await.status, 200);
    assert_eq!(ask(&faces, &Method::GET, "/_license?human=false", "").await.json()["license"]["status"], "active");
    for path in ["/_index_template/filebeat-8.19", "/_ilm/policy/filebeat", "/_ingest/pipeline/x", "/_data_stream/filebeat-8.19", "/_xpack", "/_nodes/http"] {
        assert_eq!(ask(&faces, &Method::GET, path, "").await.status, 200, "{path}");
        assert_eq!(ask(&faces, &Method::HEAD, path, "").await.status, 200, "{path}");
    }
    for path in ["/_index_template/filebeat-8.19", "/_ilm/policy/filebeat", "/_ingest/pipeline/x", "/_template/x", "/new-index"] {
        assert_eq!(ask(&faces, &Method::PUT, path, "{}").await.json()["acknowledged"], true, "{path}");
    }
    let unknown = super::fallback(Request::get("/_made/_up").body(Body::empty()).unwrap()).await.into_response();
    assert_eq!((unknown.status().as_u16(), unknown.headers()["x-elastic-product"].to_str().unwrap()), (404, "Elasticsearch"));
    let paths: Vec<String> = super::port_routes().iter().map(|r| r.spec().path.clone()).collect();
    assert!(paths.contains(&"/_bulk".to_owned()) && paths.contains(&"/".to_owned()));
}

#[tokio::test]
async fn aliases_are_kept_listed_written_to_and_searched() {
    let faces = faces_with_documents().await;
    let change = async |body: serde_json::Value| ask(&faces, &Method::POST, "/_aliases", body.to_string()).await;
    let get = async |path: &str| {
        let answer = ask(&faces, &Method::GET, path, "").await;
        (answer.status.as_u16(), if answer.text().starts_with('{') { answer.json() } else { json!(answer.text()) })
    };
    let added = change(json!({"actions": [
        {"add": {"index": "vms-1", "alias": "vms"}}, {"add": {"indices": ["vms-2"], "aliases": ["vms", "newest"], "is_write_index": true}}
    ]}))
    .await;
    assert_eq!((added.status.as_u16(), added.json()), (200, json!({"acknowledged": true, "errors": false})));
    let crowd: Vec<String> = (0..60_000).map(|n| format!("a{n}")).collect();
    let told = change(json!({"actions": [{"remove": {"index": "*", "aliases": crowd, "must_exist": false}}]})).await;
    assert!(told.status == 400 && told.text().contains("changes of aliases in one request"), "{}", told.text());
    let both = json!({"vms-1": {"aliases": {"vms": {}}}, "vms-2": {"aliases": {"newest": {"is_write_index": true}, "vms": {"is_write_index": true}}}});
    assert_eq!(get("/_alias").await, (200, both));
    assert_eq!(get("/_alias/new*").await, (200, json!({"vms-2": {"aliases": {"newest": {"is_write_index": true}}}})));
    assert_eq!(get("/vms-1/_alias/vms").await, (200, json!({"vms-1": {"aliases": {"vms": {}}}})));
    assert_eq!(get("/_alias/other").await.0, 404);
    assert_eq!(get("/vms").await.1.as_object().unwrap().len(), 2);
    assert_eq!(get("/_cat/aliases?v").await.1.as_str().unwrap().lines().nth(1), Some("newest vms-2 - - - true"));
    for (path, expected) in [("/vms/_search", 20), ("/newest/_search", 5), ("/v*s,-newest/_search", 15), ("/vms,-vms-1/_search", 5)] {
        assert_eq!(total(&faces, path).await, expected, "{path}");
    }
    // What is written to an alias goes to the one index that may be written to.
    let document = |n: u32| json!({"@timestamp": "2025-12-30T10:14:30Z", "message": format!("new {n}")}).to_string();
    let written = ask(&faces, &Method::POST, "/vms/_doc", document(1)).await;
    assert_eq!((written.status.as_u16(), written.json()["_index"].clone()), (201, json!("vms-2")));
    let bulk = ask(&faces, &Method::POST, "/_bulk", format!("{{\"create\":{{\"_index\":\"newest\"}}}}\n{}\n", document(2))).await;
    assert_eq!(bulk.json()["items"][0]["create"]["_index"], "vms-2");
    assert_eq!(total(&faces, "/newest/_search").await, 7);
    // An index that is created brings its aliases; one without a place to write to refuses.
    let created = ask(&faces, &Method::PUT, "/fresh-1", r#"{"aliases":{"fresh":{"is_write_index":false}}}"#).await;
    assert_eq!(created.status, 200, "{}", created.text());
    assert_eq!(total(&faces, "/fresh/_search").await, 0);
    let refused = ask(&faces, &Method::POST, "/fresh/_doc", document(3)).await;
    assert_eq!((refused.status.as_u16(), refused.text().contains("no write index is defined for alias [fresh]")), (400, true), "{}", refused.text());
    let one = ask(&faces, &Method::PUT, "/fresh-1/_alias/again", "").await;
    assert_eq!(one.status, 200, "{}", one.text());
    assert_eq!(ask(&faces, &Method::POST, "/again/_doc", document(4)).await.json()["_index"], "fresh-1");
    // What cannot be.
    for (action, words) in [
        (json!({"add": {"index": "vms-1", "alias": "a", "filter": {"term": {"x": 1}}}}), "[filter] of an alias is not carried out"),
        (json!({"add": {"index": "vms-1", "alias": "A*"}}), "Invalid alias name"),
        (json!({"add": {"index": "vms-1", "alias": "vms-2"}}), "exists with the same name"),
        (json!({"add": {"index": "nowhere", "alias": "a"}}), "no such index"),
        (json!({"add": {"index": "vms-1", "alias": "vms", "is_write_index": true}}), "more than one write index"),
        (json!({"remove": {"index": "vms-1", "alias": "newest"}}), "missing"),
        (json!({"remove_index": {"index": "vms-1"}}), "needs [index] and [alias]"),
        (json!({"swap": {"index": "vms-1", "alias": "a"}}), "no action of aliases"),
    ] {
        let answer = change(json!({"actions": [action]})).await;
        assert!(answer.status.is_client_error() && answer.text().contains(words), "{words}: {}", answer.text());
    }
    assert!(ask(&faces, &Method::DELETE, "/vms", "").await.text().contains("matches an alias"));
    assert!(ask(&faces, &Method::PUT, "/vms", "").await.text().contains("already exists as alias"));
    // They are taken away, and gone with their index.
    assert_eq!(ask(&faces, &Method::DELETE, "/vms-2/_alias/newest", "").await.status, 200);
    assert_eq!(get("/_alias/newest").await.0, 404);
    assert_eq!(ask(&faces, &Method::DELETE, "/vms-1", "").await.status, 200);
    assert_eq!(get("/_alias/vms").await.1, json!({"vms-2": {"aliases": {"vms": {"is_write_index": true}}}}));
}
