//! Spans on to a place that is away, busy, keeps a part, or refuses: what was stored arrives, and what never will is counted. What speaks
//! gRPC is tested with the binary.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::otlp;
use watchfire_collect::logs::outputs::Output;
use watchfire_forward::entries::{EntryForwarder, Kind};
use watchfire_forward::write::Parts;
use watchfire_ingest::gate::{Gate, Limits as GateLimits};
use watchfire_ingest::otlp::{Format, Otlp, Settings};
use watchfire_ingest::protobuf::Writer;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::Meter;
use watchfire_model::spans::{NewSpan, SpanId, SpanRow, SpanStream, TraceId, Value};
use watchfire_model::time::SystemClock;
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::client::Caller;
use watchfire_net::inflate::{Encoding, Limits, decode};
use watchfire_store::{Options, Store};

use crate::stub::{Asked, Receiver, until, wait_ms};

/// A store and what sends from it.
struct House {
    store: Arc<Store>,
    forwarder: EntryForwarder,
    meter: Meter,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn open(dir: &Path) -> House {
        let clock = SystemClock::shared();
        let options = Options { min_free_bytes: 0, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) };
        let store = Arc::new(Store::open(options).expect("a store"));
        store.set_tail_bytes_max(u64::MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let meter = Meter::new();
        let parts =
            Parts { store: store.clone(), caller: Arc::new(Caller::new(clock.clone())), clock, meter: meter.clone(), runtime: runtime.handle().clone() };
        House { store, forwarder: EntryForwarder::new(Kind::Spans, parts), meter, runtime }
    }
    fn write(&self, numbers: std::ops::Range<u64>) {
        let mut batch = Batch::new(Origin::new("otlp/x"));
        let resource = [("service.name".into(), Value::text("api")), ("process.pid".into(), Value::Int(7))];
        let now = SystemClock::shared().now().millis();
        let entry = |n: u64| {
            let attributes = vec![("n".into(), Value::Int(n as i64))];
            NewSpan {
                trace: TraceId([7; 16]),
                span: SpanId((n + 1).to_be_bytes()),
                start: Nanos::from_millis(now),
                duration: n,
                attributes,
                ..NewSpan::default()
            }
            .entry()
        };
        let labels = SpanStream { resource: &resource, name: "work", ..SpanStream::default() }.labels();
        batch.spans.push(StreamEntries { labels, entries: numbers.map(entry).collect() });
        // Lines are not spans, and go nowhere.
        let line = LogEntry { time: Nanos::from_millis(now), line: "a line".into(), metadata: Labels::empty() };
        batch.logs.push(StreamEntries { labels: watchfire_model::labels!("app" => "a"), entries: vec![line] });
        self.store.write(batch).expect("a write");
    }
    fn figure(&self, name: &str, part: &str) -> f64 {
        let families = self.meter.gather();
        let name = format!("watchfire_forward_traces_{name}");
        families.iter().flat_map(|f| &f.points).filter(|(l, _)| l.metric_name() == name && l.to_string().contains(part)).map(|(_, v)| v).sum()
    }
    fn close(self) {
        self.forwarder.stop();
        self.store.close();
        drop(self.runtime);
    }
}

fn place(address: SocketAddr, more: &str) -> Vec<Output> {
    let text = format!("{{endpoint: 'http://{address}', protocol: http, name: far, batch_wait: 20ms, min_backoff: 5ms, max_backoff: 30ms{more}}}");
    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", &text).expect("YAML");
    let output = otlp::read(Reader::new(&context, &node, "forward[0]"), &Lookup::default());
    assert!(!context.has_errors(), "{:?}", context.into_findings());
    output.into_iter().collect()
}

/// Keeps the numbers of spans that come.
#[derive(Default)]
struct Numbers(Mutex<Vec<u64>>);
impl Sink for Numbers {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for stream in &batch.spans {
            for entry in &stream.entries {
                let row = SpanRow::from_parts(&stream.labels, entry);
                assert_eq!((row.service(), row.name(), row.resource_attribute("process.pid")), ("api", "work", Some(Value::Int(7))));
                assert_eq!(row.attribute("n"), Some(Value::Int(row.duration() as i64)));
                self.0.lock().expect("the numbers").push(row.duration());
            }
        }
        Ok(Written::default())
    }
}

/// The numbers of the spans in requests, as our own receiver reads them.
fn numbers(requests: &[Asked]) -> Vec<u64> {
    let (kept, meter, clock) = (Arc::new(Numbers::default()), Meter::new(), SystemClock::shared());
    let otlp = Otlp::new(Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, GateLimits::default())), clock, &meter, Settings::default());
    for asked in requests {
        assert_eq!((asked.header("content-type"), asked.head.lines().next()), ("application/x-protobuf", Some("post /v1/traces http/1.1")));
        let gzip = asked.header("content-encoding") == "gzip";
        let body = if gzip { decode(Encoding::Gzip, &asked.body, Limits::default()).expect("gzip") } else { asked.body.clone() };
        otlp.traces(&body, Format::Protobuf, Origin::new("x")).expect("a request");
    }
    kept.0.lock().expect("the numbers").clone()
}

#[test]
fn spans_arrive_once_although_the_place_is_away_or_busy_and_we_end_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let address = watchfire_testkit::ports::nobody();
    let house = House::open(dir.path());
    house.write(0..5);
    house.forwarder.apply(&place(address, "")).unwrap();
    // What was written before the place was named does not go there; nobody is there yet.
    house.write(5..100);
    until("it is tried", || house.figure("failed_requests_total", "far"), |n| *n > 1.0);
    assert!(house.figure("buffered_bytes", "far") > 0.0);
    house.close();
    let house = House::open(dir.path());
    house.forwarder.apply(&place(address, "")).unwrap();
    // It is busy at first, and says when to come again.
    let receiver = Receiver::at(address, |n, _| Some(if n < 2 { (503, "Retry-After: 0\r\n") } else { (200, "") }));
    house.write(100..200);
    until("all are there", || numbers(&receiver.taken()).len(), |n| *n >= 195);
    assert_eq!(numbers(&receiver.taken()), (5..200).collect::<Vec<_>>());
    until("it is told", || house.figure("sent_spans_total", "far"), |n| *n == 195.0);
    assert_eq!(house.figure("dropped_spans_total", ""), 0.0);
    until("the log is free", || house.figure("buffered_bytes", "far"), |n| *n == 0.0);
    house.close();
}

#[test]
fn what_will_never_be_there_is_counted_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut partial = Writer::new();
    partial.message(1, |partial| {
        partial.uint(1, 4);
        partial.text(2, "too old");
    });
    let partial = partial.into_bytes();
    let receiver = Receiver::answering(SocketAddr::from(([127, 0, 0, 1], 0)), move |n, _| match n {
        0 => Some((400, "", b"no".to_vec())),
        1 => Some((401, "", b"who?".to_vec())),
        2 => Some((200, "", partial.clone())),
        _ => Some((200, "", Vec::new())),
    });
    let house = House::open(dir.path());
    house.forwarder.apply(&place(receiver.address, ", compression: none, headers: {X-Own: a}")).unwrap();
    house.write(0..10);
    until("the first are refused", || house.figure("dropped_spans_total", "status_400"), |n| *n == 10.0);
    house.write(10..30);
    until("a part is refused", || house.figure("dropped_spans_total", "rejected"), |n| *n == 4.0);
    assert_eq!((house.figure("sent_spans_total", ""), house.figure("retried_spans_total", "")), (16.0, 20.0));
    assert!(receiver.taken().iter().all(|asked| asked.header("x-own") == "a" && asked.header("content-encoding").is_empty()));
    house.close();
}

#[test]
fn a_place_that_hangs_delays_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (hanging, quick) = (Receiver::start(|_, _| None), Receiver::start(|_, _| Some((200, ""))));
    let house = House::open(dir.path());
    let mut outputs = place(hanging.address, "");
    outputs.extend(place(quick.address, "").into_iter().map(|output| Output { name: Some("near".to_owned()), ..output }));
    house.forwarder.apply(&outputs).unwrap();
    house.write(0..10);
    until("they are there", || numbers(&quick.taken()).len(), |n| *n == 10);
    wait_ms(100);
    assert_eq!(numbers(&quick.taken()).into_iter().collect::<BTreeSet<_>>().len(), 10);
    assert_eq!((hanging.taken().len(), house.figure("sent_spans_total", "far")), (0, 0.0));
    house.close();
}
