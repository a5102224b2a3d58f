//! Log lines on to places that are away, refuse, take a part, or are too busy: what was collected arrives, in order, and what will never
//! arrive is counted with its reason.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::outputs::Output;
use watchfire_collect::logs::{filebeat, promtail};
use watchfire_forward::entries::{EntryForwarder, Kind};
use watchfire_forward::write::Parts;
use watchfire_ingest::loki;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_model::write::Sink;
use watchfire_net::client::Caller;
use watchfire_net::inflate::{Encoding, Limits, decode};
use watchfire_store::{Options, Store};

use crate::stub::{Asked, Receiver, WholeReply, until, wait_ms};

const SOURCE: &str = "files/promtail/j//a";

/// A store and what sends from it.
struct House {
    store: Arc<Store>,
    forwarder: EntryForwarder,
    meter: Meter,
    runtime: tokio::runtime::Runtime,
    time: i64,
}

impl House {
    fn open(dir: &Path) -> House {
        let clock = SystemClock::shared();
        let options = Options { min_free_bytes: 0, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) };
        let store = Arc::new(Store::open(options).expect("a store"));
        store.set_tail_bytes_max(u64::MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let meter = Meter::new();
        let parts = Parts {
            store: store.clone(),
            caller: Arc::new(Caller::new(clock.clone())),
            clock: clock.clone(),
            meter: meter.clone(),
            runtime: runtime.handle().clone(),
        };
        House { store, forwarder: EntryForwarder::new(Kind::Logs, parts), meter, runtime, time: clock.now().millis() * 1_000_000 }
    }
    fn apply(&self, outputs: &[Output]) {
        self.forwarder.apply(outputs).expect("a start");
    }
    fn write(&mut self, source: &str, lines: std::ops::Range<u32>) {
        let mut batch = Batch::new(Origin::new(source));
        let mut entry = |n: u32| {
            self.time += 1_000;
            LogEntry { time: Nanos(self.time), line: format!("line {n}").into(), metadata: Labels::from_pairs([("trace", "t")]) }
        };
        batch.logs.push(StreamEntries { labels: Labels::from_pairs([("job", source), ("site", "own")]), entries: lines.map(&mut entry).collect() });
        self.store.write(batch).expect("a write");
    }
    fn figure(&self, name: &str, part: &str) -> f64 {
        let families = self.meter.gather();
        let name = format!("watchfire_forward_logs_{name}");
        families.iter().flat_map(|f| &f.points).filter(|(l, _)| l.metric_name() == name && l.to_string().contains(part)).map(|(_, v)| v).sum()
    }
    fn close(self) {
        self.forwarder.stop();
        self.store.close();
        drop(self.runtime);
    }
}

/// The outputs of a `promtail.yml` with one client.
fn client(url: &str, more: &str) -> Vec<Output> {
    let text = format!(
        "clients: [{{url: '{url}', batchwait: 20ms, backoff_config: {{min_period: 5ms, max_period: 30ms}}{more}}}]\n\
         scrape_configs: [{{job_name: j, static_configs: [{{labels: {{__path__: /a}}}}]}}]\n"
    );
    let parsed = promtail::parse("promtail.yml", &text, &Lookup::default());
    let mut collected = parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    collected.join_outputs();
    assert_eq!(collected.outputs[0].sources, BTreeSet::from([SOURCE.to_owned()]));
    collected.outputs
}

fn events(output: &str) -> Vec<Output> {
    let text = format!("filebeat.inputs: [{{type: log, paths: [/a]}}]\n{output}\n");
    let outside = filebeat::Outside { environment: &|_| None, host: "h" };
    let mut collected = filebeat::parse("filebeat.yml", &text, &outside).config.expect("a configuration");
    collected.outputs.iter_mut().for_each(|output| output.sources = [SOURCE.to_owned()].into());
    collected.outputs
}

fn push_url(receiver: &Receiver) -> String {
    format!("http://{}/loki/api/v1/push", receiver.address)
}

/// Labels and lines that came in.
fn arrived(requests: &[Asked]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for asked in requests {
        let message = decode(Encoding::Snappy, &asked.body, Limits::default()).expect("snappy");
        for stream in loki::decode(loki::Format::Protobuf, &message, Origin::new("x")).expect("a push").batch.logs {
            found.extend(stream.entries.iter().map(|e| (stream.labels.to_string(), e.line.to_string())));
        }
    }
    found
}

fn lines(receiver: &Receiver) -> Vec<String> {
    arrived(&receiver.taken()).into_iter().map(|(_, line)| line).collect()
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("line {n}")).collect()
}

#[test]
fn lines_of_the_configuration_arrive_once_in_order_and_as_promtail_sends_them() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| Some((204, "")));
    let mut house = House::open(dir.path());
    house.write(SOURCE, 0..5);
    let more = ", batchsize: 2000, tenant_id: me, headers: {X-Own: yes}, basic_auth: {username: u, password: p}, external_labels: {site: other, cluster: c}";
    house.apply(&client(&push_url(&receiver), more));
    for n in 1..=20 {
        house.write(SOURCE, n * 50..n * 50 + 50);
        house.write("loki/10.0.0.1", 0..10);
        house.write("files/promtail/other", 0..10);
    }
    until("all are there", || lines(&receiver).len(), |n| *n >= 1000);
    assert_eq!(lines(&receiver), numbered(50..1050));
    let taken = receiver.taken();
    assert!(taken.len() > 3 && taken.iter().all(|a| a.body.len() < 3_000), "batches are as large as they may be");
    let first = &taken[0];
    assert_eq!((first.header("x-scope-orgid"), first.header("x-own"), first.header("content-type")), ("me", "yes", "application/x-protobuf"));
    assert!(first.header("authorization").starts_with("basic "));
    // The stream's own label counts; those that it does not have are added.
    assert_eq!(arrived(&taken)[0].0, format!("{{cluster=\"c\", job=\"{SOURCE}\", site=\"own\"}}"));
    until("the figures settle", || house.figure("sent_entries_total", ""), |n| *n == 1000.0);
    assert_eq!((house.figure("dropped_entries_total", ""), house.figure("lag_seconds", "")), (0.0, 0.0));
    assert!(!house.meter.gather().iter().any(|f| f.points.iter().any(|(l, _)| l.to_string().contains("password"))));
    house.close();
}

#[test]
fn nothing_is_lost_while_the_other_side_is_away_or_too_busy() {
    let dir = tempfile::tempdir().unwrap();
    let address = watchfire_testkit::ports::nobody();
    let url = format!("http://{address}/push");
    let mut house = House::open(dir.path());
    house.apply(&client(&url, ""));
    house.write(SOURCE, 0..100);
    until("it is tried again", || house.figure("failed_requests_total", ""), |n| *n >= 3.0);
    // Nobody is there, and we are stopped in good order and started again.
    house.close();
    let mut house = House::open(dir.path());
    house.apply(&client(&url, ""));
    house.write(SOURCE, 100..200);
    let answers = [500, 429, 503, 429];
    let receiver = Receiver::at(address, move |n, _| Some((answers.get(n).copied().unwrap_or(204), "")));
    until("all are there", || lines(&receiver).len(), |n| *n >= 200);
    assert_eq!(lines(&receiver), numbered(0..200));
    assert_eq!(house.figure("dropped_entries_total", ""), 0.0);
    assert!(house.figure("retried_entries_total", "") > 0.0);
    // What was taken is kept in mind, so nothing comes twice.
    until("all is acknowledged", || house.figure("sent_entries_total", ""), |n| *n == 200.0);
    wait_ms(1_200);
    house.close();
    let mut house = House::open(dir.path());
    house.apply(&client(&url, ""));
    house.write(SOURCE, 200..210);
    until("the new ones are there", || lines(&receiver).len(), |n| *n >= 210);
    assert_eq!(lines(&receiver), numbered(0..210));
    house.close();
}

#[test]
fn what_is_refused_for_good_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|n, _| Some((if n == 0 { 400 } else { 204 }, "")));
    let mut house = House::open(dir.path());
    house.apply(&client(&push_url(&receiver), ""));
    house.write(SOURCE, 0..10);
    until("it is counted", || house.figure("dropped_entries_total", "reason=\"status_400\""), |n| *n == 10.0);
    house.write(SOURCE, 10..20);
    until("what follows arrives", || lines(&receiver).len(), |n| *n >= 10);
    assert_eq!((lines(&receiver), receiver.count()), (numbered(10..20), 2));
    house.close();

    let dir = tempfile::tempdir().unwrap();
    let busy = Receiver::start(|_, _| Some((429, "")));
    let mut house = House::open(dir.path());
    house.apply(&client(&push_url(&busy), ", drop_rate_limited_batches: true"));
    house.write(SOURCE, 0..10);
    until("it is counted", || house.figure("dropped_entries_total", "reason=\"rate_limited\""), |n| *n == 10.0);
    house.close();

    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open(dir.path());
    let few = client(&push_url(&busy), "").into_iter().map(|output| Output { retries: 3, ..output }).collect::<Vec<_>>();
    let before = busy.count();
    house.apply(&few);
    house.write(SOURCE, 0..10);
    until("it is given up", || house.figure("dropped_entries_total", "reason=\"retries_exhausted\""), |n| *n == 10.0);
    assert_eq!(busy.count() - before, 3);
    house.close();
}

/// Documents of a bulk request.
fn documents(asked: &Asked) -> Vec<serde_json::Value> {
    let text = String::from_utf8(asked.body.clone()).expect("what was sent");
    text.lines().skip(1).step_by(2).map(|line| serde_json::from_str(line).expect("what was sent")).collect()
}

#[test]
fn elasticsearch_says_of_each_event_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (seen, taken) = (refused.clone(), kept.clone());
    // Every third event is for later when it comes first; line 7 is never taken.
    let receiver = Receiver::answering(SocketAddr::from(([127, 0, 0, 1], 0)), move |_, asked| -> WholeReply {
        let mut items = Vec::new();
        for document in documents(asked) {
            let message = document["message"].as_str().unwrap().to_owned();
            let number: u32 = message.strip_prefix("line ").unwrap().parse().unwrap();
            let status = match number {
                7 => 400,
                n if n % 3 == 0 && seen.lock().unwrap().insert(n) => 429,
                _ => 201,
            };
            if status == 201 {
                taken.lock().unwrap().push(message);
            }
            items.push(serde_json::json!({"create": {"status": status, "error": {"type": "strange"}}}));
        }
        Some((200, "", serde_json::json!({"errors": true, "items": items}).to_string().into_bytes()))
    });
    let mut house = House::open(dir.path());
    house.apply(&events(&format!(
        "output.elasticsearch: {{hosts: ['{}'], api_key: 'a:b', index: 'x-%{{+yyyy}}', backoff: {{init: 5ms, max: 20ms}}}}",
        receiver.address
    )));
    house.write(SOURCE, 0..30);
    until("all that can be are there", || kept.lock().unwrap().len(), |n| *n >= 29);
    let mut all = kept.lock().unwrap().clone();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), kept.lock().unwrap().len()), (29, 29), "each once");
    until("it is counted", || house.figure("dropped_entries_total", "reason=\"strange\""), |n| *n == 1.0);
    until("the figures settle", || house.figure("sent_entries_total", ""), |n| *n == 29.0);
    let asked = &receiver.taken()[0];
    assert!(asked.head.starts_with("post /_bulk http") && asked.header("authorization") == "apikey ytpi", "{}", asked.head);
    house.close();
}

/// Takes events as Logstash does, but breaks the first connection after half of a window.
fn lumberjack(lines: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("what was sent");
    let address = listener.local_addr().expect("what was sent");
    let connections = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("what was sent");
            let number = connections.fetch_add(1, Ordering::SeqCst);
            let mut head = [0u8; 6];
            while stream.read_exact(&mut head).is_ok() {
                assert_eq!(&head[..2], b"2W");
                let count = u32::from_be_bytes(head[2..].try_into().expect("what was sent"));
                let most = if number == 0 { count / 2 } else { count };
                for n in 1..=most {
                    let mut frame = [0u8; 10];
                    stream.read_exact(&mut frame).expect("what was sent");
                    assert_eq!((&frame[..2], u32::from_be_bytes(frame[2..6].try_into().expect("what was sent"))), (&b"2J"[..], n));
                    let mut body = vec![0; u32::from_be_bytes(frame[6..].try_into().expect("what was sent")) as usize];
                    stream.read_exact(&mut body).expect("what was sent");
                    let event: serde_json::Value = serde_json::from_slice(&body).expect("what was sent");
                    assert_eq!(event["@metadata"]["beat"], "filebeat");
                    assert!(event["@timestamp"].is_string());
                    lines.lock().expect("what was sent").push(event["message"].as_str().expect("what was sent").to_owned());
                }
                // A sign of life first.
                for n in [0, most] {
                    let mut answer = b"2A".to_vec();
                    answer.extend(n.to_be_bytes());
                    stream.write_all(&answer).expect("what was sent");
                }
                if number == 0 {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn logstash_acknowledges_windows_and_parts_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let address = lumberjack(lines.clone());
    let mut house = House::open(dir.path());
    house.apply(&events(&format!("output.logstash: {{hosts: ['{address}'], bulk_max_size: 20, timeout: 5s, backoff: {{init: 5ms, max: 20ms}}}}")));
    house.write(SOURCE, 0..50);
    until("all are there", || lines.lock().unwrap().len(), |n| *n >= 50);
    assert_eq!(*lines.lock().unwrap(), numbered(0..50));
    until("the figures settle", || house.figure("sent_entries_total", ""), |n| *n == 50.0);
    house.close();
}

#[test]
fn the_log_is_given_free_though_the_configuration_collects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| Some((204, "")));
    let mut house = House::open(dir.path());
    house.apply(&client(&push_url(&receiver), ""));
    house.write("loki/x", 0..1_000);
    house.store.flush().unwrap();
    until("nothing waits", || house.figure("buffered_bytes", ""), |n| *n < 1_000.0);
    assert_eq!(receiver.count(), 0);
    // An output that is taken out is forgotten.
    house.apply(&[]);
    assert!(house.store.tail_stats().unwrap().is_empty());
    house.close();
}
