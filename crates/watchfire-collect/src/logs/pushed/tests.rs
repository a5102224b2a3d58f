//! Real pushes over a socket: both formats, compressed and not, through labels, rules and stages, and what senders are told.

use std::io::Write;
use std::sync::Mutex;

use ::http::{Method, StatusCode};
use bytes::Bytes;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::client::{Client, Request};
use watchfire_net::tls::ClientTls;

use super::*;
use crate::discovery::glob::Lookup;
use crate::logs::promtail;

#[derive(Default)]
struct House {
    lines: Mutex<Vec<String>>,
    busy: std::sync::atomic::AtomicBool,
}
impl Sink for House {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if self.busy.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(WriteError::Closed);
        }
        for stream in batch.logs {
            let shown = |e: &watchfire_model::logs::LogEntry| format!("{} {} {} {:?}", e.time.0, stream.labels, e.metadata, e.line);
            self.lines.lock().unwrap().extend(stream.entries.iter().map(shown));
        }
        Ok(Written::default())
    }
}
impl StateStore for House {
    fn get(&self, _table: Table, _key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }
    fn scan(&self, _table: Table, _prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(Vec::new())
    }
    fn commit(&self, _changes: &[Change]) -> Result<(), StateError> {
        Ok(())
    }
}

const JOB: &str = "
scrape_configs:
- job_name: pushes
  loki_push_api:
    server: {http_listen_address: 127.0.0.1, http_listen_port: {port}, log_level: warn}
    labels: {job: pushed}
    use_incoming_timestamp: {kept}
  relabel_configs:
  - {source_labels: [__tenant_id__], target_label: tenant}
  - {source_labels: [app], regex: noise, action: drop}
  - {regex: secret, action: labeldrop}
  pipeline_stages:
  - multiline: {firstline: '^[A-Z]', max_wait_time: 1s}
  - regex: {expression: 'user=(?P<user>\\w+)'}
  - structured_metadata: {user: }
";

struct Listening {
    port: u16,
    house: Arc<House>,
    clock: Arc<ManualClock>,
    meter: Meter,
    task: tokio::task::JoinHandle<()>,
}
impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listening(job: &str, kept: bool) -> Listening {
    let port = watchfire_testkit::ports::free_port();
    let text = job.replace("{port}", &port.to_string()).replace("{kept}", &kept.to_string());
    let parsed = promtail::parse("promtail.yml", &text, &Lookup::default());
    assert_eq!(parsed.findings, []);
    let source = parsed.config.unwrap().pushed.remove(0);
    assert_eq!(source.name, "promtail/pushes");
    let (house, clock, meter) = (Arc::new(House::default()), ManualClock::new(Timestamp(5_000)), Meter::new());
    let task = tokio::spawn(run(source, Surroundings::new(house.clone(), house.clone(), clock.clone(), &meter)));
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    Listening { port, house, clock, meter, task }
}

impl Listening {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (StatusCode, String) {
        let mut request = Request::get(format!("http://127.0.0.1:{}{path}", self.port), Duration::from_secs(60));
        (request.method, request.body) = (method, Bytes::copy_from_slice(body));
        request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let response = Client::new(ClientTls::default()).send(request).await.unwrap();
        (response.status, String::from_utf8_lossy(&response.body).into_owned())
    }
    async fn push(&self, headers: &[(&str, &str)], body: &[u8]) -> (StatusCode, String) {
        self.ask(Method::POST, "/loki/api/v1/push", headers, body).await
    }
    fn took(&self) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.house.lines.lock().unwrap());
        lines.sort();
        lines
    }
    fn dropped(&self, reason: &str) -> f64 {
        let found =
            self.meter.counter("watchfire_logs_lines_dropped_total", "Log lines that stages of the configuration dropped, by reason.", &[("reason", reason)]);
        found.get() as f64
    }
}

const TAKEN: (StatusCode, &str) = (StatusCode::NO_CONTENT, "");
fn is_taken(answer: (StatusCode, String)) {
    assert_eq!((answer.0, answer.1.as_str()), TAKEN);
}

/// One line of `{app="a"}` at two seconds, in protobuf.
fn protobuf(line: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.message(1, |stream| {
        stream.text(1, "{app=\"a\", secret=\"s\"}");
        stream.message(2, |entry| {
            entry.message(1, |time| time.uint(1, 2));
            entry.text(2, line);
            entry.message(3, |pair| {
                pair.text(1, "k");
                pair.text(2, "v");
            });
        });
    });
    out.into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: &[u8] = br#"{"streams":[{"stream":{"app":"a","job":"theirs"},"values":[["2000000000","A user=ann",{"k":"v"}],["3000000000","B"]]},
    {"stream":{"app":"noise"},"values":[["1","N"]]}]}"#;

#[tokio::test]
async fn both_formats_go_through_labels_rules_and_stages() {
    let there = listening(&JOB.replace("  - multiline: {firstline: '^[A-Z]', max_wait_time: 1s}\n", ""), true).await;
    let plain = protobuf("A user=ann");
    let block = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let expected = ["2000000000 {app=\"a\", job=\"pushed\"} {k=\"v\", user=\"ann\"} \"A user=ann\""];
    for (headers, body) in [
        (&[PROTOBUF][..], &block),
        (&[PROTOBUF, ("Content-Encoding", "snappy")], &block),
        (&[PROTOBUF], &plain),
        (&[PROTOBUF, ("Content-Encoding", "gzip")], &gzip(&plain)),
        (&[PROTOBUF, ("Content-Encoding", "gzip")], &gzip(&block)),
    ] {
        is_taken(there.push(headers, body).await);
        assert_eq!(there.took(), expected, "{headers:?}");
    }
    for (headers, body) in [(&[][..], JSON), (&[("Content-Encoding", "gzip"), ("Content-Type", "application/json")], &gzip(JSON))] {
        is_taken(there.push(headers, body).await);
        assert_eq!(there.took(), [expected[0], "3000000000 {app=\"a\", job=\"pushed\"} {} \"B\""]);
    }
    assert_eq!(there.dropped("relabel"), 2.0);
    is_taken(there.push(&[("X-Scope-OrgID", "t1")], br#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}"#).await);
    assert_eq!(there.took(), ["1 {a=\"b\", job=\"pushed\", tenant=\"t1\"} {} \"x\""]);
    is_taken(there.ask(Method::POST, "/promtail/api/v1/raw", &[], b"one\r\n\ntwo user=bob").await);
    assert_eq!(there.took(), ["5000000000 {job=\"pushed\"} {user=\"bob\"} \"two user=bob\"", "5000000000 {job=\"pushed\"} {} \"one\""]);
    assert_eq!(there.ask(Method::GET, "/ready", &[], b"").await, (StatusCode::OK, "ready\n".to_owned()));
}

#[tokio::test]
async fn who_pushes_waits_for_what_stages_hold() {
    let there = listening(JOB, false).await;
    let first = there.push(&[], br#"{"streams":[{"stream":{"app":"a"},"values":[["1","Begin"],["2"," more"]]}]}"#);
    // The end of the block comes by time, which is turned on for as long as somebody waits.
    let time = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            there.clock.advance(Duration::from_millis(300));
        }
    };
    let third = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The rest of the block, or a line by itself where time was faster.
        there.push(&[], br#"{"streams":[{"stream":{"app":"a"},"values":[["3"," and more"]]}]}"#).await
    };
    let both = async { tokio::join!(first, third) };
    let (first, third) = tokio::select! {
        both = both => both,
        () = time => return,
    };
    is_taken(first);
    is_taken(third);
    let lines = there.took();
    assert!(lines.iter().any(|line| line.contains("\"Begin\\n more")), "{lines:?}");
    assert!(lines.concat().contains("and more"), "{lines:?}");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_the_rest_is_kept() {
    let there = listening(&JOB.replace("  - multiline: {firstline: '^[A-Z]', max_wait_time: 1s}\n", ""), true).await;
    let check = async |method: Method, path: &str, headers: &[(&str, &str)], body: &[u8], status: u16, words: &str| {
        let (found, text) = there.ask(method, path, headers, body).await;
        assert_eq!((found.as_u16(), text.contains(words)), (status, true), "{path} {headers:?}: {text}");
        assert_eq!(there.took(), [""; 0]);
    };
    const PUSH: &str = "/loki/api/v1/push";
    check(Method::GET, PUSH, &[], b"", 405, "only POST").await;
    check(Method::POST, "/loki/api/v1/query", &[], b"", 404, "push to").await;
    check(Method::POST, PUSH, &[("Content-Type", "text/html")], JSON, 415, "text/html").await;
    check(Method::POST, PUSH, &[("Content-Encoding", "br")], JSON, 415, "br").await;
    check(Method::POST, PUSH, &[("Content-Encoding", "gzip")], JSON, 400, "gzip").await;
    check(Method::POST, PUSH, &[("Origin", "http://evil.example")], JSON, 403, "only this machine").await;
    check(Method::POST, PUSH, &[], b"{\"streams\":[", 400, "cannot read the push request").await;
    check(Method::POST, PUSH, &[PROTOBUF], b"\x0a\xff\xff", 400, "cannot read the push request").await;
    check(Method::POST, PUSH, &[("Content-Encoding", "gzip")], &gzip(&vec![b' '; 17 << 20]), 413, "16777216").await;
    check(Method::POST, PUSH, &[], b"{\"streams\":[]}", 204, "").await;
    let half = br#"{"streams":[{"labels":"{app=","entries":[{"ts":"1","line":"x"}]},{"stream":{"app":"a"},"values":[["4","good"]]}]}"#;
    let (status, text) = there.push(&[], half).await;
    assert_eq!((status, text.contains("1 entries were refused")), (StatusCode::BAD_REQUEST, true), "{text}");
    assert_eq!(there.took(), ["4 {app=\"a\", job=\"pushed\"} {} \"good\""]);
    assert_eq!((there.dropped("push_invalid"), there.dropped("push_refused")), (1.0, 1.0));
}

#[tokio::test]
async fn nothing_is_acknowledged_that_the_store_does_not_have() {
    let there = listening(&JOB.replace("  - multiline: {firstline: '^[A-Z]', max_wait_time: 1s}\n", ""), true).await;
    there.house.busy.store(true, std::sync::atomic::Ordering::Relaxed);
    let pushed = there.push(&[], br#"{"streams":[{"stream":{"app":"a"},"values":[["4","late"]]}]}"#);
    tokio::pin!(pushed);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut pushed).await.is_err(), "no answer while the store takes nothing");
    there.house.busy.store(false, std::sync::atomic::Ordering::Relaxed);
    is_taken(pushed.await);
    assert_eq!(there.took(), ["4 {app=\"a\", job=\"pushed\"} {} \"late\""]);
}

#[test]
fn what_is_opened_and_what_is_wrong() {
    let check = |server: &str, expected: Result<&str, &str>| {
        let text = format!("scrape_configs: [{{job_name: a, loki_push_api: {{{server}}}}}]\n");
        let parsed = promtail::parse("p.yml", &text, &Lookup::default());
        let found = match parsed.config {
            Some(mut config) => Ok(config.pushed.remove(0).address.to_string()),
            None => Err(parsed.findings[0].to_string()),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(words)) => assert!(found.contains(words), "{server}: {found}"),
            (found, _) => panic!("{server}: {found:?}"),
        }
    };
    check("server: {http_listen_port: 3500, grpc_listen_port: 3600}", Ok("0.0.0.0:3500"));
    check("server: {http_listen_port: 3500, http_listen_address: localhost}", Ok("127.0.0.1:3500"));
    check("server: {http_listen_port: 3500, http_listen_address: '::1'}", Ok("[::1]:3500"));
    check("server: {http_listen_port: 3500, http_listen_address: there}", Err("must be an address of this machine, not \"there\""));
    check("server: {http_listen_port: 70000}", Err("must be a port from 1 to 65535"));
    check("server: {}", Err("must be a port from 1 to 65535"));
    check("labels: {a: b}", Err("server: is missing"));
    check("server: {http_listen_port: 1, http_listen_prot: 1}", Err("unknown key \"http_listen_prot\""));
}
