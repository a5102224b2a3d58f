//! `watchfire demo` as a user runs it, with ffmpeg, its own server and the stand-in; then its data are asked, by another server over them,
//! whether every promised family has samples and every job is accounted for.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{BINARY, Server, free_port, installed, request, run};

const GUIDE: &str = include_str!("../../../../docs/guides/demo.md");

/// The families of the guide's table.
fn promised() -> BTreeSet<&'static str> {
    let rows = GUIDE.split_once("## What it promises").unwrap().1.split_once("Not promised").unwrap().0;
    rows.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(family, _)| family)).collect()
}

/// How long the long form runs.
#[expect(clippy::disallowed_methods, reason = "a test has no other settings")]
fn minutes() -> Option<u64> {
    std::env::var("WATCHFIRE_DEMO_MINUTES").ok()?.parse().ok()
}

fn demo(arguments: &[&str], directory: &std::path::Path) -> (i32, Value, String) {
    let output = run(&[&["demo", "--json"], arguments].concat(), directory);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), told)
}

#[test]
fn the_demo_fills_every_promised_family_and_loses_nothing() {
    if !installed("ffmpeg") {
        return;
    }
    let (duration, fps) = minutes().map_or_else(|| ("40s".to_owned(), "8"), |m| (format!("{m}m"), "4"));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (code, summary, told) = demo(&["--serve", "--data-dir", data.to_str().unwrap(), "--duration", &duration, "--fps", fps], dir.path());
    assert_eq!((code, &summary["clean"]), (0, &json!(true)), "{summary} {told}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("demo (the answers come from a stand-in")), "{told}");

    // Every job is done, dead or waiting.
    for queue in ["detection_queue", "analysis_queue"] {
        let count = |what: &str| summary[queue][what].as_u64().unwrap();
        assert_eq!(count("pushed"), count("done") + count("dead") + count("waiting"), "{summary}");
        assert!(count("done") > 0 && count("dead") > 0, "{summary}");
    }
    assert_eq!(summary["torn_on_purpose"], summary["detection_queue"]["dead"], "each torn picture is a dead letter, and nothing else is: {summary}");
    let events: u64 = summary["events"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(json!(events), summary["analysis_queue"]["done"], "{summary}");
    let written = std::fs::read_to_string(data.join("demo-events.jsonl")).unwrap();
    assert_eq!(written.lines().count() as u64, events);
    assert!(written.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["stand_in"] == json!(true)));

    let server = Server::start(&data, &[], &[]);
    let range = |selector: &str| server.query(&format!("count(count_over_time({selector}[1h]))"), None);
    let missing: Vec<&str> = promised().into_iter().filter(|family| range(&format!("{{__name__=~\"{family}(_count)?\"}}")) == json!([])).collect();
    assert!(missing.is_empty(), "the guide promises these, and there are no samples: {missing:?}");
    assert!(promised().len() > 30);
    let last = |selector: &str| server.query(&format!("sum(last_over_time({selector}[1h]))"), None)[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(last("hsi_events_created_total"), events as f64);
    assert_eq!(json!(last("hsi_detections_processed_total")), json!(summary["detections"].as_u64().unwrap() as f64));
    let dead = server.json("/api/system/dlq/stats");
    for queue in ["detection_queue", "analysis_queue"] {
        assert_eq!(dead[format!("{queue}_count")], summary[queue]["dead"], "{dead}");
    }
    let jobs = server.json("/api/dlq/jobs/dlq:detection_queue");
    assert_eq!(jobs["jobs"][0]["error_type"], "invalid_image", "{jobs}");
    one_trace_from_the_picture_to_the_answer(&server);
}

/// The context goes through both queues: a trace that the analyser has a part in began with a picture.
fn one_trace_from_the_picture_to_the_answer(server: &Server) {
    let found = server.json("/jaeger/api/traces?service=demo-analyser&lookback=1h&limit=20");
    let traces = found["data"].as_array().unwrap();
    assert!(!traces.is_empty(), "{found}");
    let pieces = |trace: &Value| -> BTreeSet<(String, String)> {
        let service = |span: &Value| trace["processes"][span["processID"].as_str().unwrap()]["serviceName"].as_str().unwrap().to_owned();
        trace["spans"].as_array().unwrap().iter().map(|span| (service(span), span["operationName"].as_str().unwrap().to_owned())).collect()
    };
    let expected = [
        ("demo-camera", "take picture"),
        ("demo-detector", "detect"),
        ("demo-detector", "batch"),
        ("demo-analyser", "analyse"),
        ("demo-analyser", "POST /chat/completions"),
    ];
    let expected: BTreeSet<(String, String)> = expected.map(|(service, name)| (service.to_owned(), name.to_owned())).into();
    for trace in traces {
        assert_eq!(pieces(trace), expected, "{trace}");
        let roots = trace["spans"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|span| span["references"].as_array().is_none_or(|of| of.iter().all(|r| r["refType"] != "CHILD_OF")));
        let roots: Vec<&Value> = roots.map(|span| &span["operationName"]).collect();
        assert_eq!(roots, [&json!("take picture")], "{trace}");
    }
    let services = server.json("/jaeger/api/services");
    assert!(["demo-camera", "demo-detector", "demo-analyser"].iter().all(|name| services["data"].as_array().unwrap().contains(&json!(name))), "{services}");
}

#[test]
fn the_demo_reports_to_a_server_that_is_there_and_takes_nobodys_work() {
    if !installed("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let url = server.url();
    let (code, summary, told) = demo(&["--url", &url, "--duration", "8s", "--fps", "10"], dir.path());
    assert_eq!((code, &summary["clean"]), (0, &json!(true)), "{summary} {told}");
    assert!(told.contains("directly, not through the gateway"), "{told}");
    assert!(summary["detections"].as_u64().unwrap() > 0, "{summary}");
    let text = server.get("/metrics").unwrap().text();
    assert!(text.lines().any(|line| line.starts_with("hsi_ai_request_duration_seconds_count") && !line.ends_with(" 0")));

    // Somebody's job is left alone. (On a slow machine the first demo may have left jobs that its summary tells of.)
    let waiting = || server.json("/api/queues")[0]["waiting"].as_u64().unwrap();
    let before = waiting();
    let pushed = request(server.address, "POST", "/api/queues/detection_queue/jobs", &[], b"{\"file_path\": \"mine\"}").unwrap();
    assert_eq!(pushed.status, 201);
    let (code, _, told) = demo(&["--url", &url, "--duration", "5s"], dir.path());
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("takes nobody's work"), "{told}");
    assert_eq!(waiting(), before + 1);
}

#[test]
fn the_demo_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = format!("http://127.0.0.1:{}/v1", free_port());
    // A program that does not exist at all places where programs are.
    let output = Command::new(BINARY)
        .args(["demo", "--serve", "--duration", "1s"])
        .env("PATH", dir.path())
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("apt-get install ffmpeg"), "{told}");
    let (code, _, told) = demo(&["--serve", "--llm", &nowhere, "--duration", "1s"], dir.path());
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("say which with --model") || told.contains("cannot use the language model"), "{told}");
    let (code, _, told) = demo(&["--duration", "never"], dir.path());
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("--duration \"never\""), "{told}");
}
