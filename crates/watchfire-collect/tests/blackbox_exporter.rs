//! Our probers beside the real blackbox_exporter on this machine: the same series with the same label names for the same targets, and the
//! same values where they do not depend on time. Not a test of what a good answer is; that is beside each prober.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::probe::{Access, Prober, Surroundings, config};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_net::secret::Secret;
use watchfire_net::tls::server_config;
use watchfire_testkit::ports::free_port;

const PROGRAM: &str = "/usr/bin/prometheus-blackbox-exporter";
const MODULES: &str = "
modules:
  http_2xx: {prober: http, timeout: 5s}
  https: {prober: http, timeout: 5s, http: {tls_config: {insecure_skip_verify: true}}}
  strict: {prober: http, timeout: 5s, http: {fail_if_body_not_matches_regexp: ['never']}}
  nofollow: {prober: http, timeout: 5s, http: {follow_redirects: false, valid_status_codes: [302]}}
  limited: {prober: http, timeout: 5s, http: {body_size_limit: 3B}}
  searching: {prober: http, timeout: 5s, http: {fail_if_body_matches_regexp: ['never']}}
  other_version: {prober: http, timeout: 5s, http: {valid_http_versions: ['HTTP/2.0']}}
  header: {prober: http, timeout: 5s, http: {fail_if_header_not_matches: [{header: X-None, regexp: a}]}}
  head: {prober: http, timeout: 5s, http: {method: HEAD}}
  gzip: {prober: http, timeout: 5s, http: {compression: gzip}}
  ssl: {prober: http, timeout: 5s, http: {fail_if_ssl: true, tls_config: {insecure_skip_verify: true}}}
  not_ssl: {prober: http, timeout: 5s, http: {fail_if_not_ssl: true}}
  tcp_connect: {prober: tcp, timeout: 5s}
  parts: {prober: tcp, timeout: 5s, tcp: {query_response: [{send: hello}, {expect: '^HTTP/1.1 (.*)'}, {send: '${1}'}]}}
  tcp_tls: {prober: tcp, timeout: 5s, tcp: {tls: true, tls_config: {insecure_skip_verify: true}}}
  talk: {prober: tcp, timeout: 5s, tcp: {query_response: [{send: hello}, {expect: '^HTTP'}]}}
  dns: {prober: dns, timeout: 5s, dns: {query_name: localhost, query_type: A, preferred_ip_protocol: ip4}}
  grpc: {prober: grpc, timeout: 5s, grpc: {preferred_ip_protocol: ip4}}
  icmp: {prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4}}
  all_match: {prober: dns, timeout: 5s, dns: {query_name: a.example, query_type: A, preferred_ip_protocol: ip4, validate_answer_rrs: {fail_if_all_match_regexp: ['10\\.']}}}
  some_match: {prober: dns, timeout: 5s, dns: {query_name: a.example, query_type: A, preferred_ip_protocol: ip4, validate_answer_rrs: {fail_if_all_match_regexp: ['10.0.0.1$']}}}
  must_match: {prober: dns, timeout: 5s, dns: {query_name: a.example, query_type: A, preferred_ip_protocol: ip4, validate_answer_rrs: {fail_if_none_matches_regexp: ['^a\\.example\\.\\t60\\tIN\\tA\\t10']}}}
  zone: {prober: dns, timeout: 5s, dns: {query_name: a.example, query_type: SOA, preferred_ip_protocol: ip4}}
  none_there: {prober: dns, timeout: 5s, dns: {query_name: a.example, query_type: A, preferred_ip_protocol: ip4, validate_additional_rrs: {fail_if_not_matches_regexp: ['x']}}}
";
/// What a newer version of the original has and the installed one may lack: a family, a label.
const NEWER: [&str; 1] = ["probe_tls_cipher_info"];
/// Values that are those of a moment.
const MOVING: [&str; 1] = ["_seconds"];

struct Program(Child);
impl Drop for Program {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
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

/// Starts the program, or says that it is absent.
fn exporter(directory: &std::path::Path) -> Option<(Program, u16)> {
    if !std::path::Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared");
        return None;
    }
    let (file, port) = (directory.join("blackbox.yml"), free_port());
    std::fs::write(&file, MODULES).unwrap();
    let child = Command::new(PROGRAM)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut exporter = Program(child);
    // The program says nowhere that it is ready: ask until it answers or has ended.
    let (waker, wait) = std::sync::mpsc::channel::<()>();
    for _ in 0..200 {
        if get(port, "/metrics").is_some() {
            drop(waker);
            return Some((exporter, port));
        }
        assert!(exporter.0.try_wait().unwrap().is_none(), "blackbox_exporter has ended");
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
    }
    panic!("blackbox_exporter does not answer");
}

/// A page, with TLS where there is a configuration for it. Each connection has a thread.
fn serve(tls: Option<Arc<rustls::ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            std::thread::spawn(move || match tls {
                Some(config) => {
                    let session = rustls::ServerConnection::new(config).unwrap();
                    page(rustls::StreamOwned::new(session, stream));
                }
                None => page(stream),
            });
        }
    });
    port
}

fn page(mut stream: impl Read + Write) {
    let mut heard = [0; 2_048];
    if let Ok(length) = stream.read(&mut heard)
        && length > 0
    {
        let (body, path) = ("hello", String::from_utf8_lossy(&heard[..length]).split(' ').nth(1).unwrap_or_default().to_owned());
        let leads = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
        let other = match path.as_str() {
            "/loop" => Some(leads("/loop")),
            "/leads" => Some(leads("/x")),
            "/half" => Some("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc".to_owned()),
            "/nothing" => Some(String::new()),
            "/bare" => Some("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned()),
            _ => None,
        };
        if let Some(said) = other {
            drop(stream.write_all(said.as_bytes()));
            drop(stream.flush());
            return;
        }
        let said =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\n{body}", body.len());
        drop(stream.write_all(said.as_bytes()));
        drop(stream.flush());
    }
}

/// A server of names: two addresses for each, and no more.
fn serve_names() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut heard = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut heard) {
            let mut said = heard[..length].to_vec();
            let is_zone = said[length - 4..].starts_with(&[0, 6]);
            said[2] |= 0x80;
            said[3] = 0x80;
            said[7] = if is_zone { 0 } else { 2 };
            said[11] = 0;
            for last in [1, 2].into_iter().filter(|_| !is_zone) {
                said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, last]);
            }
            drop(socket.send_to(&said, from));
        }
    });
    port
}

/// Series without values of labels that differ by nature, with their values.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with("probe_"));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(series, value)| (series.replace("serialnumber", ""), value.parse().unwrap())).collect()
}

/// The series by name and label names.
fn shapes(values: &BTreeMap<String, f64>) -> BTreeSet<String> {
    let name = |series: &str| series.split('{').next().unwrap().to_owned();
    let phases = |series: &str| if series.contains("phase=") || series.contains("serving_status=") { series.to_owned() } else { name(series) };
    values.keys().map(|series| phases(series)).filter(|shape| !NEWER.contains(&shape.as_str())).collect()
}

#[test]
fn series_and_values_are_blackbox_exporters() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_exporter, port)) = exporter(directory.path()) else { return };
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = server_config(&Secret::new(made.cert.pem()), &Secret::new(made.signing_key.serialize_pem())).unwrap();
    let names = serve_names();
    let (plain, encrypted, closed) = (serve(None), serve(Some(Arc::new(config))), free_port());
    let clock = SystemClock::shared();
    let access = Arc::new(Access::new(clock.clone(), Policy::free()));
    let (modules, findings) = config::parse("blackbox.yml", MODULES, &|path| path.into());
    let outside = Surroundings { caller: Arc::new(Caller::new(clock.clone())), clock, meter: Meter::new(), access };
    let prober = Prober::new(outside, modules.unwrap_or_else(|| panic!("{findings:?}")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut compared = 0;
    for (module, target) in [
        ("http_2xx", format!("http://127.0.0.1:{plain}/x")),
        ("http_2xx", format!("http://127.0.0.1:{closed}/x")),
        ("strict", format!("http://127.0.0.1:{plain}/")),
        ("https", format!("https://127.0.0.1:{encrypted}/")),
        ("http_2xx", format!("https://127.0.0.1:{encrypted}/")),
        ("http_2xx", format!("http://127.0.0.1:{plain}/leads")),
        ("http_2xx", format!("http://127.0.0.1:{plain}/half")),
        ("http_2xx", format!("http://127.0.0.1:{plain}/nothing")),
        ("http_2xx", format!("http://127.0.0.1:{plain}/bare")),
        ("http_2xx", format!("http://nobody.invalid:{plain}/")),
        ("http_2xx", format!("http://127.0.0.1:{plain}/loop")),
        ("nofollow", format!("http://127.0.0.1:{plain}/leads")),
        ("limited", format!("http://127.0.0.1:{plain}/")),
        ("searching", format!("http://127.0.0.1:{plain}/half")),
        ("searching", format!("http://127.0.0.1:{plain}/")),
        ("other_version", format!("http://127.0.0.1:{plain}/")),
        ("header", format!("http://127.0.0.1:{plain}/")),
        ("head", format!("http://127.0.0.1:{plain}/bare")),
        ("gzip", format!("http://127.0.0.1:{plain}/bare")),
        ("ssl", format!("https://127.0.0.1:{encrypted}/")),
        ("not_ssl", format!("http://127.0.0.1:{plain}/")),
        ("parts", format!("127.0.0.1:{plain}")),
        ("tcp_connect", "nobody.invalid:1".to_owned()),
        ("grpc", "nobody.invalid:1".to_owned()),
        ("grpc", "127.0.0.1".to_owned()),
        ("all_match", format!("127.0.0.1:{names}")),
        ("some_match", format!("127.0.0.1:{names}")),
        ("must_match", format!("127.0.0.1:{names}")),
        ("none_there", format!("127.0.0.1:{names}")),
        ("zone", format!("127.0.0.1:{names}")),
        ("zone", format!("127.0.0.1:{closed}")),
        ("tcp_connect", format!("127.0.0.1:{plain}")),
        ("tcp_connect", format!("127.0.0.1:{closed}")),
        ("tcp_tls", format!("127.0.0.1:{encrypted}")),
        ("talk", format!("127.0.0.1:{plain}")),
        ("dns", format!("127.0.0.1:{closed}")),
        ("grpc", format!("127.0.0.1:{closed}")),
        ("icmp", "127.0.0.1".to_owned()),
    ] {
        let theirs = parse(&get(port, &format!("/probe?module={module}&target={target}")).unwrap());
        let params = vec![("module".to_owned(), module.to_owned()), ("target".to_owned(), target.clone())];
        let question = Question { path: "/probe".to_owned(), base: "", params, asker: Asker::Configuration, patience: None };
        let Said::Families(families) = runtime.block_on(prober.ask(question)).said else { panic!("no metrics for {module}") };
        let ours = parse(&render(Format::PrometheusText, &families));
        let mut expected = shapes(&theirs);
        let mut found = shapes(&ours);
        if module == "icmp" {
            // Sockets that are made for pinging do not show it, and a system may give none.
            for set in [&mut expected, &mut found] {
                set.remove("probe_icmp_reply_hop_limit");
            }
        }
        assert_eq!(found, expected, "{module} {target}");
        for (series, value) in &theirs {
            let moves = MOVING.iter().any(|end| series.contains(end)) && !series.contains("last_modified");
            if let Some(ours) = ours.get(series).filter(|_| series.contains("phase=")) {
                // Steps that were not made took no time, here and there.
                assert_eq!(*ours == 0.0, *value == 0.0, "{module} {target} {series}: ours {ours}, theirs {value}");
            }
            if let Some(ours) = ours.get(series).filter(|_| !moves) {
                assert!(ours == value || module == "icmp", "{module} {target} {series}: ours {ours}, theirs {value}");
                compared += 1;
            }
        }
    }
    assert!(compared > 250, "only {compared} values were compared");
}
