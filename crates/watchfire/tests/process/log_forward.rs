//! Log lines that one Watchfire collects as a `promtail.yml` says, and sends on to another one, which is away, comes, is killed and comes
//! back, while the first is killed, too: every line is at both in the end, and once.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::server::{Server, escape, free_port, until, wait_ms};

/// How often each line is there.
fn lines(server: &Server) -> BTreeMap<String, usize> {
    let query = escape(r#"{job="app"}"#);
    let mut found = BTreeMap::new();
    let Ok(answer) = server.get(&format!("/loki/api/v1/query_range?limit=5000&since=1h&query={query}")) else { return found };
    if answer.status != 200 {
        return found;
    }
    let answer = answer.json();
    for stream in answer["data"]["result"].as_array().into_iter().flatten() {
        for value in stream["values"].as_array().into_iter().flatten() {
            *found.entry(value[1].as_str().unwrap_or("").to_owned()).or_default() += 1;
        }
    }
    found
}

/// Appends so many lines.
fn write(file: &Path, numbers: std::ops::Range<u32>) {
    let text: String = numbers.map(|n| format!("line {n}\n")).collect();
    std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn figure(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").unwrap().text();
    text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn what_is_collected_here_is_there_in_the_end_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let there: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let promtail = dir.path().join("promtail.yml");
    let text = format!(
        "clients:\n- url: http://{there}/loki/api/v1/push\n  batchwait: 200ms\n  backoff_config: {{min_period: 50ms, max_period: 300ms}}\n  external_labels: {{site: here}}\n\
         scrape_configs:\n- job_name: app\n  static_configs: [{{targets: [localhost], labels: {{job: app, __path__: {}}}}}]\n",
        log.display()
    );
    std::fs::write(&promtail, text).unwrap();
    // Not where the other one would find it.
    let settings = dir.path().join("here.yml");
    std::fs::write(&settings, format!("promtail: {}\n", promtail.display())).unwrap();
    let here = || Server::start(&dir.path().join("here"), &["--config", settings.to_str().unwrap()], &[]);
    let start_there = || Server::start_at(there, &dir.path().join("there"), &[], &[]);

    write(&log, 0..100);
    let mut server = here();
    until("the first lines are here", || lines(&server).len(), |n| *n == 100);
    until("nobody is there", || figure(&server, "watchfire_forward_logs_failed_requests_total"), |n| *n > 0.0);
    // Killed while nothing could be sent.
    server.kill();
    write(&log, 100..200);
    let mut server = here();
    let mut other = start_there();
    until("what waited is there", || lines(&other).len(), |n| *n >= 200);
    write(&log, 200..300);
    until("more is there", || lines(&other).len(), |n| *n >= 300);
    // Killed with lines that are sent and not yet acknowledged in the log.
    server.kill();
    other.kill();
    write(&log, 300..400);
    let server = here();
    write(&log, 400..500);
    wait_ms(2_500);
    let other = start_there();
    let all: BTreeMap<String, usize> = (0..500).map(|n| (format!("line {n}"), 1)).collect();
    until("all of it is there", || lines(&other).len(), |n| *n >= 500);
    let wrong = |server: &Server| -> Vec<(String, usize)> { lines(server).into_iter().filter(|(line, n)| all.get(line) != Some(n)).take(9).collect() };
    assert_eq!(wrong(&other), [], "each once: the other side knows what comes again");
    assert_eq!(wrong(&server), []);
    assert_eq!(figure(&server, "watchfire_forward_logs_dropped_entries_total"), 0.0);
    let labels = other.json(&format!("/loki/api/v1/series?match[]={}", escape(r#"{job="app"}"#)));
    assert_eq!((labels["data"][0]["site"].as_str(), labels["data"][0]["filename"].as_str()), (Some("here"), log.to_str()));
}

#[test]
fn an_output_that_leads_to_ourselves_goes_in_no_circle() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let address: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let promtail = dir.path().join("promtail.yml");
    let text = format!(
        "clients: [{{url: 'http://localhost:{}/loki/api/v1/push'}}, {{url: 'http://loki:3100/loki/api/v1/push'}}]\n\
         scrape_configs: [{{job_name: app, static_configs: [{{labels: {{job: app, __path__: {}}}}}]}}]\n",
        address.port(),
        log.display()
    );
    std::fs::write(&promtail, text).unwrap();
    let settings = dir.path().join("watchfire.yml");
    std::fs::write(&settings, format!("promtail: {}\n", promtail.display())).unwrap();
    write(&log, 0..10);
    let server = Server::start_at(address, &dir.path().join("data"), &["--config", settings.to_str().unwrap()], &[]);
    until("the lines are here", || lines(&server).len(), |n| *n == 10);
    wait_ms(2_000);
    assert!(lines(&server).values().all(|n| *n == 1));
    assert!(!server.get("/metrics").unwrap().text().contains("watchfire_forward_logs_"));
}
