//! Files of Loki, Promtail and Filebeat as the watched products' documents have them, and what they make the program do.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use watchfire_model::time::Timestamp;

use crate::containers::{count, now_ms};
use crate::server::{Answer, Server, escape, free_port, request, until};

const LOKI: &str = "
auth_enabled: false
server:
  http_listen_port: 3100
common:
  path_prefix: /loki
  storage:
    filesystem:
      chunks_directory: /loki/chunks
      rules_directory: /loki/rules
  replication_factor: 1
  ring:
    kvstore:
      store: inmemory
schema_config:
  configs:
    - {from: 2020-10-24, store: boltdb-shipper, object_store: filesystem, schema: v11, index: {prefix: index_, period: 24h}}
limits_config:
  retention_period: 168h
";

const LOKI_REDUCED: &str = "
limits_config:
  retention_period: 72h
  ingestion_rate_mb: 4
  ingestion_burst_size_mb: 6
  max_streams_per_user: 10000
";

/// A server that finds this file as its `loki.yml`.
fn with_loki(text: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("loki.yml"), text).unwrap();
    let monitoring = dir.path().display().to_string();
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", &monitoring], environment);
    (dir, server)
}

fn push(server: &Server, tenant: &str, streams: &serde_json::Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-scope-orgid", tenant)];
    request(server.address, "POST", "/loki/api/v1/push", &headers, json!({ "streams": streams }).to_string().as_bytes()).unwrap()
}

/// One stream with one line of an age.
fn line(age_ms: i64, text: &str) -> serde_json::Value {
    json!([{"stream": {"app": "a"}, "values": [[((now_ms() - age_ms) * 1_000_000).to_string(), text]]}])
}

const HOUR: i64 = 3_600_000;

#[test]
fn pis_21_the_assistants_loki_is_read_as_it_is() {
    let (dir, server) = with_loki(LOKI, &[]);
    // Another schema than ours is told and needs nothing; the port is Loki's own.
    let said = crate::server::run(&["check", "loki.yml"], dir.path());
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("schema_config: is not needed") && !said.contains("error") && !said.contains("http_listen_port"), "{said}");
    // No tenants: what one brings, everybody finds.
    assert_eq!(push(&server, "one", &line(0, "first")).status, 204);
    let asked = request(server.address, "GET", "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D", &[("x-scope-orgid", "two")], b"").unwrap();
    assert!(asked.text().contains("first"), "{}", asked.text());
    assert_eq!(push(&server, "one", &line(167 * HOUR, "young")).status, 204);
    let old = push(&server, "one", &line(169 * HOUR, "old"));
    assert!(old.status == 400 && old.text().contains("too_old"), "{}", old.text());
}

#[test]
fn pis_28_the_reduced_limits_hold() {
    let (_dir, server) = with_loki(LOKI_REDUCED, &[]);
    assert_eq!(push(&server, "", &line(71 * HOUR, "young")).status, 204);
    let old = push(&server, "", &line(73 * HOUR, "old"));
    assert!(old.status == 400 && old.text().contains("too_old"), "{}", old.text());
    // More streams than one sender may have: those beyond are refused, the others are kept.
    let many: Vec<_> = (0..10_010).map(|n| json!({"stream": {"pod": n.to_string()}, "values": [[(now_ms() * 1_000_000).to_string(), "x"]]})).collect();
    let refused = push(&server, "", &json!(many));
    assert!(refused.status == 429 && refused.text().contains("stream_limit"), "{} {}", refused.status, refused.text());
    assert_eq!(count(&server, r#"{pod="9000"}"#), 1);
    // Six megabytes may come at once, and four a second after that.
    let large = |mebibytes: usize, text: &str| {
        let values: Vec<_> = (0..mebibytes * 16).map(|n| json!([(now_ms() * 1_000_000).to_string(), format!("{n} {}", text.repeat(65_000))])).collect();
        json!([{"stream": {"app": "a"}, "values": values}])
    };
    // Twenty at once are more than both, however slow this machine is to take them.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let (server, large) = (&server, &large);
        let pushes = ["a", "b", "c", "d"].map(|text| scope.spawn(move || push(server, "", &large(5, text))));
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    });
    assert!(answers.iter().any(|answer| answer.status == 204));
    let fast = answers.iter().find(|answer| answer.status != 204).expect("one is too fast");
    assert!(fast.status == 429 && fast.head.contains("retry-after"), "{} {}", fast.status, fast.text());
    until("what was too fast comes later", || push(&server, "", &large(5, "z")).status, |status| *status == 204);
}

const PROMTAIL: &str = r#"
positions: {filename: /nowhere/positions.yaml}
clients:
  - url: http://loki:3100/loki/api/v1/push
scrape_configs:
  - job_name: pisovereign
    static_configs:
      - targets: [localhost]
        labels:
          job: pisovereign
          __path__: /var/log/pisovereign/*.log
    pipeline_stages:
      - json:
          expressions: {level: level, message: message, target: target, request_id: request_id}
      - labels:
          level:
          target:
      - timestamp:
          source: timestamp
          format: RFC3339
"#;

#[test]
fn pis_25_lines_of_the_application_are_json_whose_fields_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("pisovereign");
    std::fs::create_dir(&logs).unwrap();
    let time = now_ms() - 90_000;
    let line = |n: i64, level: &str, target: &str| {
        let at = Timestamp(time + n * 1_000).rfc3339_millis();
        format!(
            "{}\n",
            json!({"timestamp": at, "level": level, "target": target, "message": format!("request {n} \"done\""), "request_id": format!("req-{n}")})
        )
    };
    std::fs::write(logs.join("app.log"), line(1, "INFO", "api::chat") + &line(2, "ERROR", "api::chat") + &line(3, "WARN", "store")).unwrap();
    std::fs::write(dir.path().join("promtail.yml"), PROMTAIL.replace("/var/log/pisovereign", &logs.display().to_string())).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", &dir.path().display().to_string()], &[]);
    until("all lines are there", || count(&server, r#"{job="pisovereign"}"#), |found| *found == 3);
    for (query, expected) in [
        (r#"{job="pisovereign", level="ERROR"}"#, 1),
        (r#"{job="pisovereign", target="api::chat"}"#, 2),
        (r#"{job="pisovereign"} | json | request_id="req-3""#, 1),
        (r#"{job="pisovereign"} | json | message=~"request . \"done\"" | timestamp!="""#, 3),
    ] {
        assert_eq!(count(&server, query), expected, "{query}");
    }
    let values = server.json("/loki/api/v1/label/level/values");
    assert_eq!(values["data"], json!(["ERROR", "INFO", "WARN"]));
    // The line's own time, not that of reading it.
    let answer = server.json(&format!("/loki/api/v1/query_range?query={}", escape(r#"{target="store"}"#)));
    assert_eq!(answer["data"]["result"][0]["values"][0][0], json!(((time + 3_000) * 1_000_000).to_string()));
}

#[test]
fn log_21_labels_are_indexed_and_words_of_lines_are_not() {
    let (_dir, server) = with_loki(LOKI, &[]);
    let value = |n: i64| json!([(now_ms() * 1_000_000 + n).to_string(), format!("user=u{n} word{n} ends")]);
    let streams = json!([{"stream": {"app": "shop"}, "values": (0..500).map(value).collect::<Vec<_>>()}]);
    assert_eq!(push(&server, "", &streams).status, 204);
    // What lines say makes no label, no value and no stream, however much they differ.
    assert_eq!(server.json("/loki/api/v1/labels")["data"], json!(["app"]));
    assert_eq!(server.json("/loki/api/v1/label/user/values")["data"].as_array().map_or(0, Vec::len), 0);
    let stats = server.json(&format!("/loki/api/v1/index/stats?query={}", escape(r#"{app="shop"}"#)));
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(500)));
    for (query, expected) in [(r#"{user="u7"}"#, 0), (r#"{app="shop"} |= "word7 ""#, 1), (r#"{app="shop"} | logfmt | user="u7""#, 1)] {
        assert_eq!(count(&server, query), expected, "{query}");
    }
}

#[test]
fn log_25_memory_is_bounded_and_no_object_storage_is_needed() {
    const LIMIT_MIB: u64 = 64;
    let text = LOKI.replace(
        "    filesystem:\n      chunks_directory: /loki/chunks\n      rules_directory: /loki/rules",
        "    s3: {bucketnames: logs, region: eu-central-1}",
    );
    let (dir, server) = with_loki(&text, &[("WATCHFIRE_MEMORY_LIMIT", &format!("{LIMIT_MIB}MiB"))]);
    let said = crate::server::run(&["check", "loki.yml"], dir.path());
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("s3") && !said.contains("error"), "{said}");
    // Half as much again as there is memory.
    let mut expected = 0;
    for round in 0..24i64 {
        let word = |n: i64| (n * 7_919 + round * 104_729).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
        let value = |n: i64| {
            json!([
                (now_ms() * 1_000_000 + n).to_string(),
                format!("round={round} n={n} {}", (0..24).map(|i| format!("{:016x} ", word(n * 24 + i))).collect::<String>())
            ])
        };
        expected += 10_000;
        let streams = json!([{"stream": {"app": "shop"}, "values": (0..10_000).map(value).collect::<Vec<_>>()}]);
        // Who is told that memory is full comes again, as every sender does.
        until("the store takes them", || push(&server, "", &streams).status, |status| *status == 204);
    }
    let all = server.json(&format!("/loki/api/v1/query?query={}", escape(r#"sum(count_over_time({app="shop"}[1h]))"#)));
    assert_eq!(all["data"]["result"][0]["value"][1], json!(expected.to_string()));
    assert_eq!(count(&server, r#"{app="shop"} |= "round=3 n=77 ""#), 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let anonymous: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    // A build for tests has larger stacks, and the allocator keeps some of what was given back.
    assert!(anonymous < (LIMIT_MIB << 10) * 5 / 4, "{anonymous} kB");
}

const FILEBEAT: &str = r#"
filebeat.inputs:
  - type: log
    enabled: true
    paths:
      - /var/log/vms/recording-engine/*.log
    fields:
      component: recording
      environment: production
    multiline:
      pattern: '^\d{4}-\d{2}-\d{2}'
      negate: true
      match: after
  - type: log
    paths:
      - /var/log/vms/api/*.log
    fields:
      component: api
    json:
      keys_under_root: true
      add_error_key: true
output.logstash:
  hosts: ["logstash:5044"]
processors:
  - add_host_metadata:
      when.not.contains.tags: forwarded
"#;

fn append(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn vms_37_logs_flow_from_filebeat_by_logstash_into_what_kibana_asks() {
    let dir = tempfile::tempdir().unwrap();
    let beats = format!("127.0.0.1:{}", free_port());
    std::fs::write(dir.path().join("there.yml"), format!("beats: {{listen: '{beats}'}}\n")).unwrap();
    let there = Server::start(&dir.path().join("there"), &["--config", &dir.path().join("there.yml").display().to_string()], &[]);
    let logs = dir.path().join("vms");
    append(&logs.join("recording-engine/a.log"), "2024-05-06 ERROR connection failed\n  at camera 7\n2024-05-06 INFO fine\n2024-05-06 end\n");
    let api = |status: u32, time: u32| format!("{}\n", json!({"level": "ERROR", "status": status, "response_time": time, "message": "bad gateway"}));
    append(&logs.join("api/a.log"), &(api(502, 1_500) + &api(200, 3)));
    let filebeat = FILEBEAT.replace("/var/log/vms", &logs.display().to_string()).replace("logstash:5044", &beats);
    std::fs::write(dir.path().join("filebeat.yml"), filebeat).unwrap();
    std::fs::write(dir.path().join("here.yml"), "filebeat: filebeat.yml\n").unwrap();
    let _here = Server::start(&dir.path().join("here"), &["--config", &dir.path().join("here.yml").display().to_string()], &[]);
    let found = |query: &str| there.json(&format!("/elasticsearch/_count?q={}", escape(query)))["count"].as_u64();
    until("the events are there", || found("component:recording OR component:api"), |count| *count >= Some(4));
    for (query, expected) in [
        ("component:recording AND level:ERROR", 0),
        (r#"message:"connection failed" AND component:recording"#, 1),
        (r#"message:"camera 7" AND environment:production"#, 1),
        ("component:api AND status:>=500 AND @timestamp:[now-15m TO now]", 1),
        ("component:api AND response_time:>1000", 1),
        ("component:auth AND (event:failed_login OR event:unauthorized_access)", 0),
    ] {
        assert_eq!(found(query), Some(expected), "{query}");
    }
    let hit = there.json(&format!("/elasticsearch/filebeat-*/_search?q={}", escape("response_time:>1000")))["hits"]["hits"][0].clone();
    assert_eq!((&hit["_source"]["fields"]["component"], &hit["_source"]["status"]), (&json!("api"), &json!(502)), "{hit}");
    assert!(hit["_source"]["host"]["hostname"].is_string() && hit["_source"]["@timestamp"].is_string(), "{hit}");
}
