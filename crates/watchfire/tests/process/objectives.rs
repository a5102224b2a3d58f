//! Objectives and packs in the real process, through a reload; the heartbeat that somebody outside hears, and the warning that alerts
//! go to what they are about.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::server::{Server, signal, until};

/// What is asked of a port: first lines, and the bodies behind them.
fn listener() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = String::new();
            let mut piece = [0; 4096];
            while !is_whole(&request)
                && let Ok(read @ 1..) = stream.read(&mut piece)
            {
                request.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
            let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
            noted.lock().unwrap().push(format!("{}{body}", head.lines().next().unwrap_or_default()));
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        }
    });
    (port, heard)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()).next();
    body.len() >= length.unwrap_or(0)
}

fn names(server: &Server) -> Vec<String> {
    let groups = server.json("/api/v1/rules")["data"]["groups"].clone();
    let rules = groups.as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap().clone());
    rules.map(|r| r["name"].as_str().unwrap().to_owned()).collect()
}

fn start(dir: &Path, config: &str) -> Server {
    std::fs::write(dir.join("w.yml"), config).unwrap();
    Server::start(&dir.join("data"), &["--config", dir.join("w.yml").to_str().unwrap()], &[])
}

#[test]
fn objectives_and_packs_change_with_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let slo = "slos:\n- {name: answers, objective: 99, ratio: 'avg_over_time(vector(0.5)[$window:1m])', windows: [5m], interval: 1s, alerts: [{name: Burn, burn: {5m: 20}}]}\n";
    let server = start(dir.path(), slo);
    assert_eq!(
        names(&server),
        ["slo:answers:ratio_rate5m", "slo:answers:ratio_rate30d", "slo:burn_rate:answers_5m", "slo:error_budget:answers_remaining", "AnswersBurn"]
    );
    // Half of what is asked for is good: fifty times what 99 % allow.
    let burn = || server.query("slo:burn_rate:answers_5m", None)[0]["value"][1].clone();
    until("the burn rate", burn, |value| value.as_str().is_some_and(|v| v.parse::<f64>().is_ok_and(|v| (v - 50.0).abs() < 0.001)));
    until("the alert", || server.json("/api/v1/alerts")["data"]["alerts"][0]["labels"]["alertname"].clone(), |name| name == "AnswersBurn");
    std::fs::write(dir.path().join("w.yml"), "packs: [hsi, vms]\n").unwrap();
    signal(server.pid(), "HUP");
    let after = until("the rules of packs", || names(&server), |names| names.iter().any(|n| n == "CameraOffline"));
    for name in ["hsi:error_budget:api_availability_remaining", "hsi:burn_rate:api_availability_1h", "HSIAPIAvailabilityFastBurn"] {
        assert!(after.iter().any(|n| n == name), "{name}: {after:?}");
    }
    assert!(!after.iter().any(|n| n.starts_with("slo:")), "{after:?}");
    assert!(!server.log().contains("takes effect at the next start"), "{}", server.log());
}

#[test]
fn r60_somebody_outside_hears_the_heart() {
    let dir = tempfile::tempdir().unwrap();
    let (port, heard) = listener();
    let manager = format!("alertmanager:\n  route: {{receiver: a}}\n  receivers: [{{name: a, webhook_configs: [{{url: 'http://127.0.0.1:{port}/hook'}}]}}]\n");
    let config = format!("heartbeat: {{url: 'http://127.0.0.1:{port}/canary', alert: true}}\n{manager}");
    let server = start(dir.path(), &config);
    until("the heartbeat", || heard.lock().unwrap().clone(), |lines| lines.iter().any(|l| l == "GET /canary HTTP/1.1"));
    let alert = || server.json("/api/v2/alerts?filter=alertname%3DHeartbeat")[0]["labels"]["severity"].clone();
    until("the alert", alert, |severity| severity == "none");
    until("the figure", || server.get("/metrics").unwrap().text(), |text| text.contains("watchfire_heartbeat_sent_total 1"));
    assert!(!server.log().contains("canary"), "{}", server.log());
}

/// Alerts of our own go the way of those of rules, with the external labels.
#[test]
fn r60_our_own_alerts_reach_an_alertmanager_outside() {
    let dir = tempfile::tempdir().unwrap();
    let (port, heard) = listener();
    let mon = dir.path().join("mon");
    std::fs::create_dir(&mon).unwrap();
    let alerting = |port| {
        format!(
            "global: {{external_labels: {{site: home}}}}\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]}}\nscrape_configs: []\n"
        )
    };
    std::fs::write(mon.join("prometheus.yml"), alerting(port)).unwrap();
    let own = dir.path().join("w.yml");
    std::fs::write(&own, "heartbeat: {alert: true}\n").unwrap();
    let arguments = ["--config", own.to_str().unwrap(), "--monitoring-dir", mon.to_str().unwrap()];
    let server = Server::start(&dir.path().join("data"), &arguments, &[]);
    until(
        "the alert outside",
        || heard.lock().unwrap().clone(),
        |lines| {
            lines.iter().any(|l| l.starts_with("POST /api/v2/alerts HTTP/1.1") && l.contains("\"alertname\":\"Heartbeat\"") && l.contains("\"site\":\"home\""))
        },
    );
    assert_eq!(server.json("/api/v2/alerts"), serde_json::json!([]), "it went outside instead");
    until(
        "the figure",
        || server.get("/metrics").unwrap().text(),
        |text| text.contains(&format!("watchfire_notifications_sent_total{{alertmanager=\"http://127.0.0.1:{port}/api/v2/alerts\"}} 1")),
    );
}

#[test]
fn alerts_that_go_to_what_they_are_about_are_named_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let manager = "alertmanager:\n  route: {receiver: a}\n  receivers: [{name: a, webhook_configs: [{url: 'http://127.0.0.1:9/hook'}]}]\n";
    let watched = "services: {watch: [{name: hub, health_url: 'http://127.0.0.1:9/health'}]}\n";
    let server = start(dir.path(), &format!("{manager}{watched}"));
    until("the warning", || server.log(), |log| log.contains("which the supervision of hub watches"));
}
