//! Profiles through the real binary: what Pyroscope's own clients for Python and Node.js push, what a `kill -9` leaves of it, and profiles
//! of ourselves.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::node::node;
use crate::python::python;
use crate::server::{Server, escape, request, until};

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// A program that looks at pictures for some seconds, and is profiled.
const PYTHON: &str = r#"
import sys, time, pyroscope
pyroscope.configure(application_name="backend", server_address=sys.argv[1], tags={"env": "prod"}, sample_rate=100)
def nms(n):
    s = 0
    for i in range(n): s += i * i
    return s
def detect_objects(seconds):
    end = time.time() + seconds
    while time.time() < end: nms(2000)
with pyroscope.tag_wrapper({"camera": "front_door"}):
    detect_objects(4)
pyroscope.shutdown()
"#;

/// The same for another language; it ends once its second profile is sent.
const NODE: &str = r"
const Pyroscope = require('@pyroscope/nodejs');
Pyroscope.init({serverAddress: process.argv[2], appName: 'ai-yolo26', tags: {env: 'prod'}, flushIntervalMs: 2000, wall: {samplingDurationMs: 2000, collectCpuTime: true}});
Pyroscope.start();
function nms(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i); return s }
function detectObjects() { const end = Date.now() + 100; while (Date.now() < end) nms(20000) }
let turns = 0;
const timer = setInterval(() => { detectObjects(); if (++turns > 50) { clearInterval(timer); Pyroscope.stop().then(() => process.exit(0)) } }, 10);
";

/// The flame graph of a query over the last hour.
fn render(server: &Server, query: &str) -> Value {
    server.json(&format!("/pyroscope/render?query={}&from=now-1h&until=now&format=json", escape(query)))
}

fn names(rendered: &Value) -> Vec<String> {
    rendered["flamebearer"]["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn services(server: &Server) -> Value {
    server.json("/pyroscope/label-values?label=service_name")
}

#[test]
fn stk_06_a_python_service_pushes_profiles_that_a_kill_leaves_whole() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("data"), &[], &[]);
    let output = Command::new(&python).args(["-c", PYTHON, &format!("{}/pyroscope", server.url())]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let query = format!("{CPU}{{service_name=\"backend\", env=\"prod\", camera=\"front_door\"}}");
    let before = until("the profile", || render(&server, &query), |found| found["flamebearer"]["numTicks"].as_i64() > Some(1_000_000_000));
    let found = names(&before);
    assert!(["nms", "detect_objects", "<module>"].iter().all(|name| found.iter().any(|n| n == name)), "{found:?}");
    server.kill();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    assert_eq!(render(&server, &query)["flamebearer"], before["flamebearer"]);
    // As Grafana asks: types, then stacks.
    let ask = |method: &str, body: &str| {
        let path = format!("/pyroscope/querier.v1.QuerierService/{method}");
        request(server.address, "POST", &path, &[("content-type", "application/json")], body.as_bytes()).unwrap().json()
    };
    assert_eq!(ask("ProfileTypes", "{}")["profileTypes"][0]["ID"], CPU);
    let flame = ask("SelectMergeStacktraces", &format!(r#"{{"profileTypeID": "{CPU}", "labelSelector": "{{service_name=\"backend\"}}"}}"#));
    assert!(flame["flamegraph"]["names"].as_array().unwrap().contains(&"nms".into()), "{flame}");
}

#[test]
fn stk_06_a_node_service_pushes_time_and_memory() {
    let Some(home) = node() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let script = home.join(format!("profiled-{}.js", std::process::id()));
    std::fs::write(&script, NODE).unwrap();
    let output = Command::new("node").arg(&script).arg(format!("{}/pyroscope", server.url())).current_dir(&home).stdin(Stdio::null()).output().unwrap();
    std::fs::remove_file(&script).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for kind in ["wall:wall:nanoseconds:wall:nanoseconds", "wall:cpu:nanoseconds:wall:nanoseconds"] {
        let found =
            names(&until(kind, || render(&server, &format!("{kind}{{service_name=\"ai-yolo26\", env=\"prod\"}}")), |f| f["flamebearer"]["numTicks"] != 0));
        assert!(["detectObjects", "nms"].iter().all(|name| found.iter().any(|n| n.contains(name))), "{kind}: {found:?}");
    }
    let heap = render(&server, "memory:inuse_space:bytes:inuse_space:bytes{service_name=\"ai-yolo26\"}");
    assert_eq!((heap["metadata"]["units"].as_str(), heap["metadata"]["name"].as_str()), (Some("bytes"), Some("inuse_space")));
}

#[test]
fn stk_05_profiles_of_a_process_are_pushed_only_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let place = Server::start(&dir.path().join("place"), &[], &[]);
    let url = format!("{}/pyroscope", place.url());
    let environment = |name: &'static str, enabled: &'static str| {
        [("PYROSCOPE_ENABLED", enabled), ("PYROSCOPE_URL", url.as_str()), ("WATCHFIRE_PROFILING_INTERVAL", "1s"), ("WATCHFIRE_HOST_NAME", name)]
            .map(|(n, v)| (n, v.to_owned()))
    };
    let start = |name: &'static str, enabled: &'static str| {
        let variables = environment(name, enabled);
        let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        Server::start(&dir.path().join(name), &[], &variables)
    };
    let (_silent, _told) = (start("silent", "false"), start("told", "true"));
    let query = format!("{CPU}{{service_name=\"watchfire\", instance=\"told\"}}");
    let found = until("a profile", || render(&place, &query), |found| found["flamebearer"]["numTicks"].as_i64() > Some(0));
    assert_eq!(names(&found).get(..3), Some(&["total", "watchfire", "threads"].map(str::to_owned)[..]), "{found}");
    assert!(found["flamebearer"]["levels"].as_array().unwrap().len() == 4, "threads stand below: {found}");
    let memory = render(&place, "memory:inuse_space:bytes:inuse_space:bytes{service_name=\"watchfire\", instance=\"told\"}");
    assert!(names(&memory).iter().any(|name| name == "pages of files") && memory["flamebearer"]["numTicks"].as_i64() > Some(1 << 20), "{memory}");
    assert_eq!(place.json("/pyroscope/label-values?label=instance"), serde_json::json!(["told"]), "the other one was not told to");
}

#[test]
fn stk_07_a_profile_from_outside_has_its_frames() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let path = format!("/pyroscope/ingest?name={}&from=now-10s&until=now&sampleRate=100&format=folded", escape("backend{env=prod}"));
    let answer = request(server.address, "POST", &path, &[], b"main;detect_objects;nms 30\nmain;store_event 5\n").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    let found = render(&server, &format!("{CPU}{{service_name=\"backend\"}}"));
    assert_eq!(names(&found), ["total", "main", "detect_objects", "nms", "store_event"]);
    assert_eq!((found["flamebearer"]["numTicks"].as_i64(), services(&server)), (Some(350_000_000), serde_json::json!(["backend"])));
}
