//! Rules in the real process: beside Prometheus with the same rules, before Debian's Alertmanager, through kills and reloads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use watchfire_model::time::Timestamp;

use crate::prometheus::ask;
use crate::server::{Peer, Server, free_port, installed, run, signal, until, wait_ms};

/// Without this machine's own metrics, so that a test is small.
const QUIET: [(&str, &str); 1] = [("WATCHFIRE_HOST_ROOT", "/nonexistent")];

/// A scrape target whose text a test changes.
struct Target {
    address: SocketAddr,
    text: Arc<Mutex<String>>,
}
impl Target {
    fn start() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, text) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
        let served = text.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok() {
                    let body = served.lock().unwrap().clone();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    drop(stream.write_all((head + &body).as_bytes()));
                }
            }
        });
        Target { address, text }
    }
    fn set(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }
}

const RULES: &str = "groups:\n- name: records\n  interval: 1s\n  rules:\n  - record: job:load:sum\n    expr: sum by (job) (load)\n    labels: {kind: sum}\n  \
                     - record: broken\n    expr: load\n    labels: {i: same}\n- name: alerts\n  interval: 1s\n  limit: 5\n  rules:\n  \
                     - alert: Loaded\n    expr: load > 10\n    for: 3s\n    labels: {severity: page, level: '{{ if gt $value 50.0 }}high{{ else }}low{{ end }}'}\n    \
                     annotations: {summary: 'load of {{ $labels.i }} is {{ $value | humanize }} on {{ $externalLabels.site }}', link: '{{ $externalURL | len | lt 0 }}'}\n  \
                     - alert: Kept\n    expr: load > 10\n    keep_firing_for: 1h\n  - alert: Never\n    expr: load > 1e9\n    for: 1m\n";

fn config(target: SocketAddr, more: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{site: home}}}}\nrule_files: [rules.yml]\n\
         scrape_configs:\n- job_name: t\n  static_configs: [{{targets: ['{target}'], labels: {{instance: t}}}}]\n{more}"
    )
}

fn write(dir: &Path, config: &str, rules: &str) {
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    std::fs::write(dir.join("rules.yml"), rules).unwrap();
}

/// Groups, rules and alerts without what differs by nature: moments, durations, and where the file lies.
fn normal(answer: &Value) -> Value {
    let mut groups = answer["data"]["groups"].clone();
    // Prometheus 2.42 shows groups that a filter left empty, later ones do not.
    if let Some(list) = groups.as_array_mut() {
        list.retain(|g| g["rules"].as_array().is_some_and(|r| !r.is_empty()));
    }
    for group in groups.as_array_mut().into_iter().flatten() {
        let group = group.as_object_mut().unwrap();
        for key in ["file", "evaluationTime", "lastEvaluation"] {
            group.remove(key);
        }
        for rule in group["rules"].as_array_mut().unwrap() {
            let rule = rule.as_object_mut().unwrap();
            for key in ["evaluationTime", "lastEvaluation"] {
                rule.remove(key);
            }
            // Prometheus 2.42 tells of this key only where it is set, or not at all.
            rule.remove("keepFiringFor");
            let mut alerts = rule.get("alerts").and_then(Value::as_array).cloned().unwrap_or_default();
            for alert in &mut alerts {
                let alert = alert.as_object_mut().unwrap();
                alert.remove("activeAt");
                // What is kept has the value of the last moment at which its condition held, and each server has moments of its own.
                if alert.remove("keepFiringSince").is_some() {
                    alert.remove("value");
                }
            }
            alerts.sort_by_key(|a| a["labels"].to_string());
            if rule.contains_key("alerts") {
                rule.insert("alerts".to_owned(), alerts.into());
            }
        }
    }
    groups
}

#[test]
fn a_prometheus_with_the_same_rules_shows_the_same() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start();
    write(dir.path(), &config(target.address, ""), RULES);
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", dir.path().to_str().unwrap()], &QUIET);
    let port = free_port();
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("prom").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _peer = Peer(prometheus);
    let theirs: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let loaded = |answer: &Value, state: &str| {
        let text = answer["data"]["groups"].to_string();
        text.contains("\"name\":\"Loaded\"")
            && answer["data"]["groups"].as_array().is_some_and(|groups| {
                groups
                    .iter()
                    .flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default())
                    .any(|r| r["name"] == "Loaded" && r["state"] == state && r["health"] == "ok")
            })
    };
    let level = |values: &[(&str, f64)]| target.set(&values.iter().map(|(i, v)| format!("load{{i=\"{i}\"}} {v}\n")).collect::<String>());
    let steps: [(&[(&str, f64)], &str); 5] = [
        (&[("a", 1.0)], "inactive"),
        (&[("a", 12.0), ("b", 2.0)], "firing"),
        (&[("a", 99.0), ("b", 2.0)], "firing"),
        (&[("a", 1.0), ("b", 2.0)], "inactive"),
        // More than the limit allows.
        (&[("a", 11.0), ("b", 12.0), ("c", 13.0), ("d", 14.0), ("e", 15.0), ("f", 16.0)], "inactive"),
    ];
    let last = steps.len() - 1;
    for (at, (values, state)) in steps.into_iter().enumerate() {
        level(values);
        let both = || (ask(server.address, "/api/v1/rules"), ask(theirs, "/api/v1/rules"));
        let settled = |(ours, theirs): &(Value, Value)| {
            let there = |answer: &Value| at == last || loaded(answer, state);
            there(ours) && there(theirs) && normal(ours) == normal(theirs) && (at != last || ours.to_string().contains("exceeded limit of 5 with 6 alerts"))
        };
        let (ours, theirs) = until(&format!("step {at}"), both, settled);
        assert_eq!(normal(&ours), normal(&theirs));
        assert_eq!(ours.to_string().contains("same labelset after applying rule labels"), values.len() > 1, "step {at}");
    }
    for path in ["/api/v1/rules?type=record", "/api/v1/rules?type=alert"] {
        assert_eq!(normal(&ask(server.address, path)), normal(&ask(theirs, path)), "{path}");
    }
    for query in ["job:load:sum", "count(ALERTS{alertname=\"Kept\"})", "ALERTS{alertname=\"Never\"}"] {
        let path = format!("/api/v1/query?query={}", crate::server::escape(query));
        let labels =
            |answer: &Value| answer["data"]["result"].as_array().map(|r| r.iter().map(|s| (s["metric"].clone(), s["value"][1].clone())).collect::<Vec<_>>());
        until(query, || (labels(&ask(server.address, &path)), labels(&ask(theirs, &path))), |(ours, theirs)| ours == theirs && ours.is_some());
    }
}

#[test]
fn debian_s_alertmanager_is_told() {
    if !installed("prometheus-alertmanager") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("am.yml"), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let (target, port) = (Target::start(), free_port());
    let alertmanager = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", dir.path().join("am.yml").display()))
        .arg(format!("--storage.path={}", dir.path().join("am").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _peer = Peer(alertmanager);
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let alerting = format!(
        "alerting:\n  alert_relabel_configs: [{{regex: noise, action: labeldrop}}, {{source_labels: [alertname], regex: Secret, action: drop}}]\n  \
         alertmanagers:\n  - static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    );
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Loaded\n    expr: load > 10\n    labels: {noise: x}\n    annotations: {summary: 'at {{ $value }}'}\n  \
                 - alert: Secret\n    expr: load > 10\n";
    std::fs::create_dir(dir.path().join("mon")).unwrap();
    write(&dir.path().join("mon"), &config(target.address, &alerting), rules);
    target.set("load{i=\"a\"} 12\n");
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", dir.path().join("mon").to_str().unwrap()], &QUIET);
    // This machine's own alerts, such as of a full disk, are told, too.
    let active = || {
        let all = ask(address, "/api/v2/alerts");
        Value::from(all.as_array().into_iter().flatten().filter(|alert| alert["labels"]["job"] != "watchfire").cloned().collect::<Vec<_>>())
    };
    let told = until("told", active, |a| a.as_array().is_some_and(|a| a.len() == 1));
    assert_eq!(told[0]["labels"], json!({"alertname": "Loaded", "i": "a", "instance": "t", "job": "t", "site": "home"}));
    assert_eq!(told[0]["annotations"], json!({"summary": "at 12"}));
    assert!(told[0]["generatorURL"].as_str().unwrap().ends_with("/graph?g0.expr=load+%3E+10&g0.tab=1"), "{told}");
    let managers = ask(server.address, "/api/v1/alertmanagers");
    assert_eq!(managers["data"]["activeAlertmanagers"][0]["url"], format!("http://127.0.0.1:{port}/api/v2/alerts"));
    target.set("load{i=\"a\"} 1\n");
    until("resolved", active, |a| a.as_array().is_some_and(Vec::is_empty));
    let sent = server.query("watchfire_notifications_sent_total", None);
    assert!(sent.as_array().is_some(), "{sent}");
}

/// The alerts of a name.
fn alerts(server: &Server, name: &str) -> Vec<Value> {
    let all = ask(server.address, "/api/v1/alerts");
    all["data"]["alerts"].as_array().cloned().unwrap_or_default().into_iter().filter(|a| a["labels"]["alertname"] == name).collect()
}

const SLOW: &str =
    "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Slow\n    expr: vector(1)\n    for: 1h\n  - alert: Quick\n    expr: vector(1)\n    for: 1s\n";

#[test]
fn r59_a_kill_while_an_alert_is_pending_does_not_make_it_wait_again() {
    let dir = tempfile::tempdir().unwrap();
    let mon = dir.path().join("mon");
    std::fs::create_dir(&mon).unwrap();
    write(&mon, "rule_files: [rules.yml]\n", SLOW);
    let arguments = ["--monitoring-dir", mon.to_str().unwrap()];
    let data = dir.path().join("data");
    let mut server = Server::start(&data, &arguments, &QUIET);
    until("quick fires", || alerts(&server, "Quick"), |a| a.first().is_some_and(|a| a["state"] == "firing"));
    let since = |server: &Server| server.query("ALERTS_FOR_STATE{alertname=\"Slow\"}", None)[0]["value"][1].as_str().and_then(|t| t.parse::<f64>().ok());
    let before = until("slow is pending", || since(&server), Option::is_some).unwrap();
    wait_ms(4_000);
    server.kill();
    let down = server.data.clone();
    wait_ms(2_000);
    let server = Server::start(&down, &arguments, &QUIET);
    let pending = |server: &Server| alerts(server, "Slow").first().map(|a| seconds(a["activeAt"].as_str().unwrap_or("")));
    let begun = until("slow is pending again", || pending(&server), Option::is_some).unwrap();
    // At first it is new; once what was before is read back, only the outage is left out of its wait.
    let restored = until("restored", || pending(&server), |t| t.is_some_and(|t| t < begun - 2.0)).unwrap();
    assert!(restored >= before && restored - before < begun - before - 2.0, "{before} {restored} {begun}");
    until("written again", || since(&server), |t| t.is_some_and(|t| (t - restored).abs() < 1.5));
}

/// Seconds since 1970 of a moment in an answer.
fn seconds(text: &str) -> f64 {
    Timestamp::parse(text).map_or(0.0, Timestamp::secs_f64)
}

#[test]
fn a_reload_keeps_alerts_and_refuses_files_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mon = dir.path().join("mon");
    std::fs::create_dir(&mon).unwrap();
    write(&mon, "rule_files: [rules.yml]\n", SLOW);
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", mon.to_str().unwrap()], &QUIET);
    let slow = |server: &Server| alerts(server, "Slow").first().cloned();
    let before = until("pending", || slow(&server), Option::is_some).unwrap();
    write(&mon, "rule_files: [rules.yml]\n", &SLOW.replace("for: 1h", "for: 2h").replace("- alert: Quick", "- alert: Other"));
    signal(server.pid(), "HUP");
    until("the other", || alerts(&server, "Other"), |a| !a.is_empty());
    assert_eq!(slow(&server).unwrap()["activeAt"], before["activeAt"]);
    assert_eq!(alerts(&server, "Quick"), [Value::Null; 0]);
    write(&mon, "rule_files: [rules.yml]\n", "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]\n");
    signal(server.pid(), "HUP");
    until("refused", || server.log(), |log| log.contains("could not parse expression"));
    assert_eq!(slow(&server).unwrap()["activeAt"], before["activeAt"], "what ran before runs on");
}

#[test]
fn check_reads_rules_and_runs_their_tests() {
    let dir = tempfile::tempdir().unwrap();
    let check = |files: &[(&str, &str)], arguments: &[&str], code: i32, expected: &[&str]| {
        for (name, text) in files {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let output = run(&[&["check"], arguments].concat(), dir.path());
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        for part in expected {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    };
    let good = "groups: [{name: g, rules: [{record: a, expr: 'x * 2'}]}]\n";
    check(&[("r.yml", good)], &["r.yml"], 0, &[]);
    check(
        &[("bad.yml", "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {x: '{{ nonsense }}'}}]}]\n")],
        &["bad.yml"],
        2,
        &["bad.yml:1:", "nonsense"],
    );
    let test = |value: &str| {
        format!(
            "rule_files: [r.yml]\ntests: [{{input_series: [{{series: x, values: '1'}}], promql_expr_test: [{{expr: a, eval_time: 0s, exp_samples: [{{labels: a, value: {value}}}]}}]}}]\n"
        )
    };
    check(&[("t.yml", &test("2"))], &["t.yml"], 0, &["Unit Testing:  t.yml", "  SUCCESS"]);
    check(
        &[("t.yml", &test("3"))],
        &["t.yml"],
        2,
        &["  FAILED:", "    expr: \"a\", time: 0s,\n        exp: {__name__=\"a\"} 3E+00\n        got: {__name__=\"a\"} 2E+00"],
    );
    let mon = [("mon/prometheus.yml", "rule_files: [/etc/prometheus/rules/*.yml]\n"), ("mon/rules/named.yml", good), ("mon/my_rules.yml", good)];
    check(&mon, &["--monitoring-dir", "mon"], 1, &["mon/my_rules.yml: warning: no rule_files names this file; it is loaded all the same"]);
    check(&[("mon/my_rules.yml", "groups: 5\n")], &["--monitoring-dir", "mon"], 1, &["it is not loaded", "my_rules.yml:1:9: warning: groups: must be a list"]);
    check(&[("mon/rules/named.yml", "groups: 5\n")], &["--monitoring-dir", "mon"], 2, &["named.yml:1:9: error: groups: must be a list"]);
}
