//! Supervision in the real program: settings, reload, death by `kill -9` in the middle of a restart, and what is really run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{BINARY, Server, free_port, request, signal, until, wait_ms};

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn config(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("watchfire.yml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn service(server: &Server, name: &str) -> Value {
    server.json(&format!("/api/system/services/{name}"))
}

fn runs(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn r55_kill_9_in_the_middle_of_restarts_loses_no_count() {
    let dir = tempfile::tempdir().unwrap();
    let (command, ran) = (dir.path().join("restart"), dir.path().join("ran"));
    // It says that it runs, and then takes its time, in which Watchfire is killed.
    script(&command, &format!("echo run >> {}; sleep 2", ran.display()));
    let text = format!(
        "services:\n  watch:\n    - {{name: broken, check: {{process: {{name: no-such-process}}}}, interval: 1s, timeout: 1s, backoff_base: 0.1, start_period: 1s, restart: {{command: [{}]}}}}\n",
        command.display()
    );
    let config = config(dir.path(), &text);
    let arguments = ["--config", config.to_str().unwrap()];
    let data = dir.path().join("data");
    for round in 1..=3 {
        let mut server = Server::start(&data, &arguments, &[]);
        until("the restart begins", || runs(&ran), |n| *n == round);
        server.kill();
    }
    let server = Server::start(&data, &arguments, &[]);
    let broken = until("it gives up", || service(&server, "broken"), |s| s["status"] == "failed");
    assert_eq!((&broken["restarts"], &broken["attempts"], runs(&ran)), (&json!(3), &json!(3), 3));
    let audit = server.json("/api/system/services/audit");
    let outcomes: Vec<&Value> = audit["records"].as_array().unwrap().iter().map(|r| &r["outcome"]).collect();
    assert_eq!(outcomes, [&json!("unknown"), &json!("unknown"), &json!("unknown")]);
    let history = server.json("/api/system/services/broken/history");
    assert_eq!((&history["events"][0]["status"], &history["events"][0]["event_type"]), (&json!("failed"), &json!("failure")));
    assert_eq!(server.json("/api/system/health")["recent_events"][0]["service"], "broken");
}

#[test]
fn a_reload_takes_new_services_and_keeps_what_is_known_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let one = format!("services:\n  interval: 1s\n  timeout: 1s\n  watch:\n    - {{name: rtdetr, health_url: 'http://127.0.0.1:{}/health'}}\n", free_port());
    let path = config(dir.path(), &one);
    let server = Server::start(&dir.path().join("data"), &["--config", path.to_str().unwrap()], &[]);
    let before = until("the first check", || service(&server, "rtdetr"), |s| s["status"] == "unhealthy");
    assert_eq!((&before["message"], &before["restart"]), (&json!("Health check failed"), &Value::Null));
    config(dir.path(), &format!("{one}    - {{name: us, health_url: '{}/health'}}\n", server.url()));
    signal(server.pid(), "HUP");
    until("the new service", || server.get("/api/system/services/us").unwrap().status, |s| *s == 200);
    until("its check", || service(&server, "us"), |s| s["status"] == "healthy");
    assert_eq!(service(&server, "rtdetr")["since"], before["since"]);
    let health = server.json("/api/system/health");
    assert_eq!((&health["services"]["rtdetr"], &health["services"]["us"], &health["status"]), (&json!("unhealthy"), &json!("healthy"), &json!("degraded")));
    // A command in a file that others may write is an error, and what runs goes on.
    let bad = format!("{one}    - {{name: us, health_url: 'http://x/', restart: {{command: [/bin/true]}}}}\n");
    std::fs::set_permissions(config(dir.path(), &bad), std::fs::Permissions::from_mode(0o666)).unwrap();
    signal(server.pid(), "HUP");
    until("the refusal", || server.log(), |log| log.contains("nobody else may write"));
    assert_eq!(service(&server, "us")["restart"], Value::Null);
    let check = Command::new(BINARY).args(["check", "--config", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(check.status.code(), Some(2));
}

#[test]
fn r54_only_the_configured_words_are_ever_executed() {
    let dir = tempfile::tempdir().unwrap();
    let trial = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !trial.is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED: strace is not there or may not trace, so what is executed was not seen");
        return;
    }
    let text =
        "services:\n  watch:\n    - {name: x, check: {process: {name: no-such-process}}, interval: 1h, restart: {command: [/bin/echo, \"$(id) `id`; id\"]}}\n";
    let path = config(dir.path(), text);
    let server = Server::start(&dir.path().join("data"), &["--config", path.to_str().unwrap()], &[]);
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-v", "-s", "200", "-e", "trace=execve", "-o"]).arg(&trace).args(["-p", &server.pid().to_string()]);
    let mut strace = strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let traced =
        || std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap().lines().any(|l| l.starts_with("TracerPid:") && !l.ends_with("\t0"));
    until("strace is there", traced, |is| *is);
    let ask = |name: &str| {
        let path = format!("/api/system/services/{name}/restart");
        request(server.address, "POST", &path, &[], b"").unwrap().status
    };
    for name in ["$(id)", "x;id", "x%3Bid", "%60id%60", "x%20&&%20id", "..%2f..%2fbin%2fid", "x%00", "x%0aid", "-x", "%24%7Bx%7D"] {
        assert!(matches!(ask(name), 400 | 404), "{name}");
    }
    assert_eq!(ask("x"), 202);
    let record = || server.json("/api/system/services/audit")["records"][0].clone();
    let record = until("the outcome", record, |r| r["outcome"] == "done");
    assert_eq!((&record["how"], &record["who"]), (&json!("command /bin/echo $(id) `id`; id"), &json!("local")));
    until("strace tells", || std::fs::read_to_string(&trace).unwrap_or_default(), |t| t.contains("execve("));
    wait_ms(200);
    signal(strace.id(), "INT");
    strace.wait().unwrap();
    let executed: Vec<String> = std::fs::read_to_string(&trace).unwrap().lines().filter(|l| l.contains("execve(")).map(str::to_owned).collect();
    assert_eq!(executed.len(), 1, "{executed:?}");
    assert!(executed[0].contains(r#"execve("/bin/echo", ["/bin/echo", "$(id) `id`; id"], []) = 0"#), "{executed:?}");
}
