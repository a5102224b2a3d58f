//! Objectives and packs in the real process, through a reload; the heartbeat that somebody outside hears, and the warning that alerts
//! go to what they are about.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::server::{Server, signal, until};

/// The first lines of what is asked of a port.
fn listener() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let Ok(read) = stream.read(&mut request) else { continue };
            let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            noted.lock().unwrap().push(line);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        }
    });
    (port, heard)
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
    let config = format!("heartbeat: {{url: 'http://127.0.0.1:{port}/canary', alert: true}}\n");
    let server = start(dir.path(), &config);
    until("the heartbeat", || heard.lock().unwrap().clone(), |lines| lines.first().is_some_and(|l| l == "GET /canary HTTP/1.1"));
    let alert = || server.json("/api/v2/alerts?filter=alertname%3DHeartbeat")[0]["labels"]["severity"].clone();
    until("the alert", alert, |severity| severity == "none");
    until("the figure", || server.get("/metrics").unwrap().text(), |text| text.contains("watchfire_heartbeat_sent_total 1"));
    assert!(!server.log().contains("canary"), "{}", server.log());
}

#[test]
fn alerts_that_go_to_what_they_are_about_are_named_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let manager = "alertmanager:\n  route: {receiver: a}\n  receivers: [{name: a, webhook_configs: [{url: 'http://127.0.0.1:9/hook'}]}]\n";
    let watched = "services: {watch: [{name: hub, health_url: 'http://127.0.0.1:9/health'}]}\n";
    let server = start(dir.path(), &format!("{manager}{watched}"));
    until("the warning", || server.log(), |log| log.contains("which the supervision of hub watches"));
}
