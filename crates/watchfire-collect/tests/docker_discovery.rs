//! Our `docker_sd_configs` beside the real Prometheus' on this machine: a made engine behind a socket, the same targets with the same labels.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::discovery::{Place, Surroundings, docker};
use watchfire_collect::scrape::NetFetch;
use watchfire_model::document::{Context, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;

const PROGRAM: &str = "/usr/bin/prometheus";
const CONTAINERS: &str = r#"[
 {"Id":"aa11","Names":["/web","/other"],"Image":"nginx","State":"running","Labels":{"com.docker.compose.service":"web","x-y/z":"1"},"HostConfig":{"NetworkMode":"front"},
  "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"},{"PrivatePort":80,"PublicPort":8080,"IP":"::","Type":"tcp"},{"PrivatePort":53,"Type":"udp"},{"PrivatePort":9113,"Type":"tcp"}],
  "NetworkSettings":{"Networks":{"front":{"IPAddress":"172.18.0.2","NetworkID":"n1"},"back":{"IPAddress":"172.19.0.2","NetworkID":"n2"}}}},
 {"Id":"bb22","Names":["/db"],"Labels":{},"HostConfig":{"NetworkMode":"back"},"Ports":[],
  "NetworkSettings":{"Networks":{"back":{"IPAddress":"172.19.0.3","NetworkID":"n2"}}}},
 {"Id":"cc33","Names":["/agent"],"Labels":{"prometheus":"no"},"HostConfig":{"NetworkMode":"host"},"Ports":[],
  "NetworkSettings":{"Networks":{"host":{"IPAddress":"","NetworkID":"n3"}}}}]"#;
const NETWORKS: &str = r#"[{"Id":"n1","Name":"front","Scope":"local","Internal":false,"Ingress":false,"Labels":{"team.name":"a"}},
 {"Id":"n2","Name":"back","Scope":"local","Internal":true,"Ingress":false,"Labels":{}},{"Id":"n3","Name":"host","Scope":"local"}]"#;

struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// An engine as far as discovery asks for it, with and without a version in the path.
fn answer(mut peer: UnixStream) -> Option<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            let n = peer.read(&mut buffer).ok().filter(|n| *n > 0)?;
            head.extend_from_slice(&buffer[..n]);
        }
        let line = String::from_utf8_lossy(&head).lines().next()?.to_owned();
        assert!(line.starts_with("GET ") || line.starts_with("HEAD /_ping"), "{line}");
        head.clear();
        let body = match &line {
            line if line.starts_with("HEAD") => "",
            line if line.contains("/_ping") => "OK",
            line if line.contains("/networks") => NETWORKS,
            _ => CONTAINERS,
        };
        let begin = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n";
        peer.write_all(format!("{begin}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).ok()?;
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

type Targets = BTreeSet<BTreeMap<String, String>>;

fn of_discovery(labels: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    // A label without a value does not exist.
    labels.filter(|(name, value)| (name == "__address__" || name.starts_with("__meta_")) && !value.is_empty()).collect()
}

fn theirs(port: u16) -> Option<Targets> {
    let answer: serde_json::Value = serde_json::from_str(&get(port, "/api/v1/targets")?).ok()?;
    let data = answer.get("data")?;
    let all = ["activeTargets", "droppedTargets"].into_iter().filter_map(|key| data.get(key)?.as_array()).flatten();
    let targets: Targets = all
        .filter_map(|target| target.get("discoveredLabels")?.as_object())
        .map(|labels| of_discovery(labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))))
        .collect();
    (!targets.is_empty()).then_some(targets)
}

#[tokio::test]
async fn targets_and_labels_are_prometheus() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let peer = peer.unwrap();
            std::thread::spawn(move || answer(peer));
        }
    });
    let entry = format!("host: unix://{}, filters: [{{name: status, values: [running]}}], port: 9000", socket.display());
    let file = dir.path().join("prometheus.yml");
    // Targets that differ in nothing after the rules are one target there.
    std::fs::write(&file, format!("scrape_configs: [{{job_name: d, docker_sd_configs: [{{{entry}}}], relabel_configs: [{{source_labels: [__meta_docker_port_public_ip], target_label: public}}]}}]\n")).unwrap();
    let port = watchfire_testkit::ports::free_port();
    let mut program = Running(
        Command::new(PROGRAM)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut found = None;
    for _ in 0..400 {
        assert!(program.0.try_wait().unwrap().is_none(), "prometheus has ended");
        found = theirs(port);
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let theirs = found.unwrap();

    let context = Context::new("p.yml");
    // Later versions take one network of each container unless they are told otherwise; the one here knows no such key.
    let node = parse_yaml("p.yml", &format!("[{{{entry}, match_first_network: false}}]")).unwrap();
    let place = Place { context: &context, lookup: &Lookup::default(), path: "docker_sd_configs".to_owned() };
    let discovery = (docker::MECHANISM.read)(&place, &node).pop().unwrap();
    let (sender, mut updates) = tokio::sync::mpsc::channel(1);
    let fetch = Arc::new(NetFetch::through(Arc::new(Caller::new(SystemClock::shared()))));
    let running = discovery.run(0, Surroundings { meter: Meter::new(), fetch }, sender).unwrap();
    let update = tokio::select! {
        update = updates.recv() => update.unwrap(),
        () = running => panic!("it has ended"),
    };
    let ours: Targets = update.groups.into_iter().flat_map(|group| group.targets).map(|labels| of_discovery(labels.into_iter())).collect();
    assert_eq!(ours, theirs);
    assert!(ours.len() >= 6, "{ours:#?}");
}
