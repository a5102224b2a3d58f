//! Senders of logs that speak over sockets, through the real binary: `logger`, rsyslog, Beats' protocol and GELF by clients from PyPI, and
//! `kill -9` between a window and its acknowledgement.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::logs::{client, found};
use crate::server::{Server, free_port, installed, until};

/// A server with some sockets; `addresses` are put in the place of `{0}`, `{1}`, … of a configuration.
fn started(configuration: &str, addresses: &[String]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let text = addresses.iter().enumerate().fold(configuration.to_owned(), |text, (at, address)| text.replace(&format!("{{{at}}}"), address));
    std::fs::write(dir.path().join("watchfire.yml"), text).unwrap();
    let server = start(dir.path());
    (dir, server)
}

fn start(dir: &Path) -> Server {
    Server::start(&dir.join("data"), &["--config", dir.join("watchfire.yml").to_str().unwrap()], &[])
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn port(address: &str) -> &str {
    address.split(':').next_back().unwrap()
}

/// One of the server's own counters.
fn counted(server: &Server, series: &str) -> u64 {
    let all = server.get("/metrics").unwrap().text();
    let value = all.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) as u64
}

#[test]
fn logger_counts_the_bytes_of_its_messages() {
    if !installed("logger") {
        return;
    }
    let tcp = address();
    let (_dir, server) = started("syslog: {listen: '{0}'}\n", std::slice::from_ref(&tcp));
    for framing in ["--octet-count", "--tcp"] {
        let said = Command::new("logger")
            .args(["--server", "127.0.0.1", "--port", port(&tcp), "--tcp", framing, "--tag", "shop", "--id=7", "order 12 failed"])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    until("logger's messages", || found(&server, r#"{job="syslog", app="shop"} | pid="7" |= "order 12 failed""#), |count| *count == 2);
}

/// A running rsyslog with a configuration of its own.
struct Rsyslog(std::process::Child);
impl Rsyslog {
    fn start(dir: &Path, configuration: &str) -> Option<Rsyslog> {
        let program = ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("SKIPPED: rsyslogd is not installed");
            return None;
        };
        let file = dir.join("rsyslog.conf");
        std::fs::write(&file, configuration).unwrap();
        let log = std::fs::File::create(dir.join("rsyslog.log")).unwrap();
        let child = Command::new(program)
            .arg("-n")
            .arg("-f")
            .arg(&file)
            .arg("-i")
            .arg(dir.join("rsyslog.pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Some(Rsyslog(child.unwrap()))
    }
}
impl Drop for Rsyslog {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether rsyslog has a module.
fn has_module(name: &str) -> bool {
    let found = ["/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib64/rsyslog", "/usr/lib/rsyslog"]
        .iter()
        .any(|dir| Path::new(dir).join(format!("{name}.so")).exists());
    if !found {
        eprintln!("SKIPPED: rsyslog has no {name}");
    }
    found
}

fn certificate(dir: &Path) -> bool {
    if !installed("openssl") {
        return false;
    }
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

const FORWARDING: &str = r#"
module(load="imfile" PollingInterval="1")
global(workDirectory="{dir}" defaultNetstreamDriverCAFile="{dir}/cert.pem")
input(type="imfile" File="{dir}/in.log" Tag="shop:" Severity="error" Facility="local0")
action(type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
action(type="omfwd" target="127.0.0.1" port="{tls}" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
       StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost")
"#;

#[test]
fn rsyslog_forwards_with_counts_and_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    if !has_module("lmnsd_ossl") || !certificate(dir.path()) {
        return;
    }
    let (tcp, tls) = (address(), address());
    let files = dir.path().display().to_string();
    let (_data, server) = started(
        "syslog: {listen: '{0}', tls_listen: '{1}', tls: {cert_file: '{2}/cert.pem', key_file: '{2}/key.pem'}}\n",
        &[tcp.clone(), tls.clone(), files.clone()],
    );
    let configuration = FORWARDING.replace("{dir}", &files).replace("{tcp}", port(&tcp)).replace("{tls}", port(&tls));
    std::fs::write(dir.path().join("in.log"), (0..50).map(|i| format!("order {i} failed\n")).collect::<String>()).unwrap();
    let Some(_rsyslog) = Rsyslog::start(dir.path(), &configuration) else { return };
    // Both ways bring the same lines of the same times, which are kept once.
    until("rsyslog's lines", || found(&server, r#"{job="syslog", app="shop", level="error"} |~ "order [0-9]+ failed""#), |count| *count == 50);
    until("lines by both ways", || counted(&server, "watchfire_syslog_lines_total"), |lines| *lines >= 100);
}

const OMELASTICSEARCH: &str = r#"
module(load="imfile" PollingInterval="1")
module(load="omelasticsearch")
global(workDirectory="{dir}")
template(name="document" type="list") {
  constant(value="{\"@timestamp\":\"") property(name="timegenerated" dateFormat="rfc3339")
  constant(value="\",\"component\":\"") property(name="programname" format="json")
  constant(value="\",\"message\":\"") property(name="msg" format="json") constant(value="\"}")
}
input(type="imfile" File="{dir}/in.log" Tag="shop:")
action(type="omelasticsearch" server="{server}/elasticsearch" template="document" searchIndex="rsyslog" bulkmode="on" errorFile="{dir}/errors.json")
"#;

#[test]
fn rsyslog_writes_documents() {
    let dir = tempfile::tempdir().unwrap();
    if !has_module("omelasticsearch") {
        return;
    }
    let (_data, server) = started("{}\n", &[]);
    std::fs::write(dir.path().join("in.log"), (0..50).map(|i| format!("order \"{i}\" failed\n")).collect::<String>()).unwrap();
    let configuration = OMELASTICSEARCH.replace("{dir}", &dir.path().display().to_string()).replace("{server}", &server.url());
    let Some(_rsyslog) = Rsyslog::start(dir.path(), &configuration) else { return };
    until("rsyslog's documents", || found(&server, r#"{_index="rsyslog", component="shop"} | json | message=~"order .* failed""#), |count| *count == 50);
    assert!(!dir.path().join("errors.json").exists(), "{:?}", std::fs::read_to_string(dir.path().join("errors.json")));
}

const BEATS: &str = r#"
import sys, pylogbeat
host, port = sys.argv[2].split(":")
for window in range(3):
    with pylogbeat.PyLogBeatClient(host, int(port), ssl_enable=False) as client:
        client.send([{"@timestamp": "2024-05-05T00:00:%02d.%03dZ" % (window, i), "@metadata": {"beat": "shop", "version": "1.0"}, "message": "order %d failed" % i} for i in range(500)])
"#;

#[test]
fn a_client_of_beats_from_pypi() {
    let beats = address();
    let (_dir, server) = started("beats: {listen: '{0}'}\nstorage: {retention: {logs: unlimited}}\n", std::slice::from_ref(&beats));
    if client(BEATS, &server, &[&beats]) {
        until("stored events", || counted(&server, r#"watchfire_ingest_log_entries_stored_total{origin_kind="beats"}"#), |count| *count == 1_500);
        let old = format!("/elasticsearch/shop-1.0/_count?q={}", crate::server::escape("message:\"order 499 failed\""));
        assert_eq!(server.json(&old)["count"], 3);
    }
}

const BEATS_OVER_TLS: &str = r#"
import sys, pylogbeat
host, port = sys.argv[2].split(":")
with pylogbeat.PyLogBeatClient("localhost", int(port), ssl_enable=True, ca_certs=sys.argv[3]) as client:
    client.send([{"@timestamp": "2024-05-05T00:00:00.%03dZ" % i, "message": "order %d failed" % i} for i in range(20)])
"#;

#[test]
fn a_client_of_beats_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    if !certificate(dir.path()) {
        return;
    }
    let (beats, files) = (address(), dir.path().display().to_string());
    let configuration = "beats: {listen: '{0}', tls: {cert_file: '{1}/cert.pem', key_file: '{1}/key.pem'}}\nstorage: {retention: {logs: unlimited}}\n";
    let (_data, server) = started(configuration, &[beats.clone(), files.clone()]);
    if client(BEATS_OVER_TLS, &server, &[&beats, &format!("{files}/cert.pem")]) {
        assert_eq!(server.json("/elasticsearch/beats/_count")["count"], 20);
        // Who speaks without TLS is not understood, and counted.
        drop(TcpStream::connect(&beats).unwrap().write_all(b"2W\0\0\0\x01"));
        let refused = || counted(&server, r#"watchfire_lumberjack_connections_ended_total{reason="refused"}"#);
        until("a refused connection", refused, |count| *count == 1);
    }
}

const GELF: &str = r#"
import sys, logging, pygelf
host, port = sys.argv[2].split(":")
log = logging.getLogger("orders"); log.setLevel(logging.INFO)
for handler in [pygelf.GelfUdpHandler(host=host, port=int(port), compress=True, chunk_size=60, debug=True, _app="shop"), pygelf.GelfTcpHandler(host=host, port=int(port), debug=True, _app="shop")]:
    log.addHandler(handler)
for i in range(5): log.error("order %d failed %s", i, "x" * 100, extra={"customer": "7"})
logging.shutdown()
"#;

#[test]
fn gelf_by_udp_and_tcp_from_a_client_from_pypi() {
    let gelf = address();
    let (_dir, server) = started("gelf: {listen: '{0}'}\n", std::slice::from_ref(&gelf));
    if client(GELF, &server, &[&gelf]) {
        until("GELF's messages", || found(&server, r#"{job="gelf", app="shop", level="error"} |= "failed""#), |count| *count >= 5);
        until("messages by both ways", || counted(&server, "watchfire_gelf_messages_total"), |count| *count == 10);
    }
}

/// Sends windows of ten events until the connection breaks. The numbers of those that were acknowledged.
fn send_windows(beats: &str, from: u32) -> u32 {
    let Ok(mut stream) = TcpStream::connect(beats) else { return from };
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut acknowledged = from;
    loop {
        let mut frames = [b"2W", &10u32.to_be_bytes()[..]].concat();
        for sequence in 1..=10u32 {
            let event = json!({"@timestamp": "2024-05-05T00:00:00Z", "message": format!("event {}", acknowledged + sequence)}).to_string();
            frames.extend([b"2J", &sequence.to_be_bytes()[..], &u32::try_from(event.len()).unwrap().to_be_bytes(), event.as_bytes()].concat());
        }
        let mut answer = [0u8; 6];
        let mut last = 0;
        let window = stream.write_all(&frames).and_then(|()| {
            while last < 10 {
                stream.read_exact(&mut answer)?;
                last = u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]);
            }
            Ok(())
        });
        acknowledged += last;
        if window.is_err() {
            return acknowledged;
        }
    }
}

#[test]
fn no_event_that_was_acknowledged_is_lost_to_a_kill() {
    let beats = address();
    let (dir, mut server) = started("beats: {listen: '{0}'}\nstorage: {retention: {logs: unlimited}}\n", std::slice::from_ref(&beats));
    let mut acknowledged = 0;
    for round in 0..3 {
        let (address, from) = (beats.clone(), acknowledged);
        let sender = std::thread::spawn(move || send_windows(&address, from));
        until("acknowledged events", || counted(&server, "watchfire_lumberjack_events_acknowledged_total"), |count| *count > 20);
        server.kill();
        acknowledged = sender.join().unwrap();
        assert!(acknowledged > 0, "nothing was acknowledged in round {round}");
        server = start(dir.path());
    }
    // What was sent and not acknowledged may be there, too, but nothing in between is missing.
    let count = server.json("/elasticsearch/beats/_count")["count"].as_u64().unwrap();
    assert!(count >= u64::from(acknowledged), "{count} of {acknowledged}");
    for event in [1, acknowledged / 2, acknowledged] {
        let query = crate::server::escape(&format!("message:\"event {event}\""));
        assert_eq!(server.json(&format!("/elasticsearch/beats/_count?q={query}"))["count"], 1, "event {event} of {acknowledged}");
    }
}
