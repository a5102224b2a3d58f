//! Remote write to real peers, Prometheus and VictoriaMetrics, that are away, come, go and come back, while we are killed in
//! between: what is stored here is there in the end, sample by sample. Each peer is left out loudly where it is not installed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::server::{Peer, Server, escape, free_port, installed, request, signal, until, wait_ms};

/// A target with 200 series whose values change with every scrape.
fn target() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (scrape, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let body: String = (0..200).map(|n| format!("work_total{{part=\"{n}\"}} {}.5\n", scrape * (n + 1))).collect();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
        }
    });
    address
}

/// A program that takes remote write.
struct Receiver {
    program: &'static str,
    address: SocketAddr,
    directory: PathBuf,
    running: Option<Peer>,
}

impl Receiver {
    fn new(program: &'static str, directory: &Path) -> Option<Receiver> {
        let address = format!("127.0.0.1:{}", free_port()).parse().unwrap();
        installed(program).then(|| Receiver { program, address, directory: directory.join(program), running: None })
    }
    fn start(&mut self) {
        std::fs::create_dir_all(&self.directory).unwrap();
        let mut command = Command::new(self.program);
        if self.program == "prometheus" {
            let config = self.directory.join("prometheus.yml");
            std::fs::write(&config, "{}").unwrap();
            command.arg(format!("--config.file={}", config.display())).arg("--web.enable-remote-write-receiver");
            command.arg(format!("--storage.tsdb.path={}", self.directory.join("data").display())).arg(format!("--web.listen-address={}", self.address));
        } else {
            command.arg(format!("-storageDataPath={}", self.directory.display())).arg(format!("-httpListenAddr={}", self.address));
            // Late samples are asked for at once; these are young ones.
            command.args(["-search.latencyOffset=0s", "-search.disableCache"]);
        }
        let child: Child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.running = Some(Peer(child));
    }
    /// Ends it in good order: VictoriaMetrics loses what it took when it is killed.
    fn stop(&mut self) {
        if let Some(mut peer) = self.running.take() {
            signal(peer.0.id(), "TERM");
            peer.0.wait().unwrap();
        }
    }
    fn ask(&self, path: &str) -> Value {
        request(self.address, "GET", path, &[], b"").map_or(Value::Null, |a| serde_json::from_slice(&a.body).unwrap_or(Value::Null))
    }
    /// All samples by series. VictoriaMetrics keeps what comes twice twice; a set does not mind.
    fn samples(&self, time: f64) -> Samples {
        if self.program == "prometheus" {
            return samples(&self.ask(&raw(time))["data"]["result"]);
        }
        let answer = request(self.address, "GET", &format!("/api/v1/export?match[]={}", escape("{site=\"here\"}")), &[], b"");
        let text = answer.map(|a| a.text()).unwrap_or_default();
        let mut found = Samples::new();
        for row in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let series = found.entry(name(&row["metric"])).or_default();
            let pairs = row["timestamps"].as_array().into_iter().flatten().zip(row["values"].as_array().into_iter().flatten());
            let whole = |(time, value): (&Value, &Value)| Some((time.as_i64()?, value.as_f64()?.to_bits()));
            series.extend(pairs.filter_map(whole).filter(|(at, _)| (*at as f64) <= time * 1000.0));
        }
        found
    }
}

/// Value bits by time in milliseconds, by series.
type Samples = BTreeMap<String, BTreeMap<i64, u64>>;

fn raw(time: f64) -> String {
    format!("/api/v1/query?query={}&time={time:.3}", escape("{job=\"work\"}[10m]"))
}

/// The labels of a series without those that were added on the way.
fn name(metric: &Value) -> String {
    let mut labels: Vec<String> = metric.as_object().unwrap().iter().filter(|(name, _)| *name != "site").map(|(n, v)| format!("{n}={v}")).collect();
    labels.sort();
    labels.join(",")
}

fn samples(result: &Value) -> Samples {
    let mut found = Samples::new();
    for row in result.as_array().into_iter().flatten() {
        let series = found.entry(name(&row["metric"])).or_default();
        for point in row["values"].as_array().into_iter().flatten() {
            let value: f64 = point[1].as_str().and_then(|t| t.parse().ok()).unwrap_or(f64::NAN);
            series.insert((point[0].as_f64().unwrap_or(0.0) * 1000.0).round() as i64, value.to_bits());
        }
    }
    found
}

/// Samples of the first that the second has not, or has with another value.
fn missing(here: &Samples, there: &Samples) -> usize {
    here.iter().map(|(series, samples)| samples.iter().filter(|(time, bits)| there.get(series).and_then(|s| s.get(time)) != Some(bits)).count()).sum()
}

#[test]
fn what_is_stored_here_is_there_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut receivers: Vec<Receiver> = ["prometheus", "victoria-metrics"].into_iter().filter_map(|p| Receiver::new(p, dir.path())).collect();
    if receivers.is_empty() {
        return;
    }
    let monitoring = dir.path().join("monitoring");
    std::fs::create_dir(&monitoring).unwrap();
    let targets: String = receivers
        .iter()
        .map(|r| {
            format!(
                "- url: http://{}/api/v1/write\n  name: {}\n  queue_config: {{batch_send_deadline: 200ms, max_backoff: 500ms}}\n  \
                 write_relabel_configs: [{{source_labels: [job], regex: work, action: keep}}]\n",
                r.address, r.program
            )
        })
        .collect();
    let config = format!(
        "global: {{external_labels: {{site: here}}}}\nscrape_configs:\n- {{job_name: work, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{{targets: ['{}']}}]}}\nremote_write:\n{targets}",
        target()
    );
    std::fs::write(monitoring.join("prometheus.yml"), config).unwrap();
    let start = || {
        let arguments = ["--monitoring-dir", monitoring.to_str().unwrap()];
        Server::start(&dir.path().join("data"), &arguments, &[("WATCHFIRE_HOST_ROOT", "/nonexistent")])
    };
    // Nobody is there; we are killed and start anew.
    let mut server = start();
    wait_ms(1_500);
    server.kill();
    drop(server);
    let mut server = start();
    wait_ms(500);
    // They come.
    receivers.iter_mut().for_each(Receiver::start);
    let time = |server: &Server| server.query("max(timestamp(work_total))", None)[0]["value"][1].as_str().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    let all_there = |server: &Server, receivers: &[Receiver], what: &str| {
        let now = until("a sample here", || time(server), |t| *t > 0.0);
        let here = samples(&server.json(&raw(now))["data"]["result"]);
        assert!(here.len() >= 200, "{}", here.len());
        for receiver in receivers {
            let lost = || missing(&here, &receiver.samples(now));
            until(&format!("{what}: samples missing in {}", receiver.program), lost, |n| *n == 0);
        }
    };
    all_there(&server, &receivers, "after both were away");
    // We are killed in the middle, with requests under way, and they go for a while.
    for _ in 0..2 {
        wait_ms(300);
        server.kill();
        drop(server);
        server = start();
    }
    receivers.iter_mut().for_each(Receiver::stop);
    wait_ms(700);
    receivers.iter_mut().for_each(Receiver::start);
    wait_ms(300);
    all_there(&server, &receivers, "after kills on both sides");
    let metrics = server.get("/metrics").unwrap().text();
    for receiver in &receivers {
        let line = format!("prometheus_remote_storage_samples_total{{remote_name=\"{}\"", receiver.program);
        assert!(metrics.lines().any(|l| l.starts_with(&line) && !l.ends_with(" 0")), "{line}");
    }
    assert!(server.terminate().success());
}
