//! Requests in JSON and the series that come of them, by each setting; deltas; refusals; the same in protobuf; garbage.

mod bounds;

use std::ops::ControlFlow;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Reason;
use watchfire_testkit::memory::Memory;

use super::*;
use crate::gate::Limits;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

struct House {
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    otlp: Otlp,
    meter: Meter,
}

impl House {
    fn new(settings: Settings) -> House {
        let memory = Arc::new(Memory::new());
        let clock = ManualClock::new(NOW);
        let meter = Meter::new();
        let gate = Arc::new(Gate::new(memory.clone(), clock.clone(), &meter, Limits::default()));
        let otlp = Otlp::new(gate, clock.clone(), &meter, settings);
        House { memory, clock, otlp, meter }
    }
    fn send(&self, json: &str) -> Result<Received, OtlpError> {
        self.otlp.metrics(json.as_bytes(), Format::Json, Origin::new("otlp/test"))
    }
    fn lines(&self) -> Vec<String> {
        stored(&self.memory)
    }
}

/// Everything stored: `series time value`, times in seconds after `T`.
fn stored(memory: &Memory) -> Vec<String> {
    let selection = Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()], start: Timestamp(i64::MIN), end: Timestamp(i64::MAX) };
    let mut lines = Vec::new();
    let since = |ms: i64| (ms - T_MS) as f64 / 1000.0;
    memory
        .select(&selection, &Budget::unlimited(ManualClock::new(NOW)), &mut |series| {
            for (time, value) in series.times.iter().zip(&series.values) {
                let value = if watchfire_model::sample::is_stale(*value) { "stale".to_owned() } else { value.to_string() };
                lines.push(format!("{} {} {value}", series.labels, since(*time)));
            }
            for sample in &series.histograms {
                let h = &sample.value;
                let text = if h.is_stale() {
                    "stale".to_owned()
                } else {
                    format!("schema={} count={} sum={} zero={}@{:e} {:?}", h.schema, h.count, h.sum, h.zero_count, h.zero_threshold, h.positive_buckets)
                };
                lines.push(format!("{} {} {text}", series.labels, since(sample.time.0)));
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    lines
}

/// A minute before now.
const T_MS: i64 = NOW.0 - 60_000;

/// A request of one resource and scope; times in the metrics are `T+seconds`.
#[expect(clippy::string_slice, reason = "the requests of these tests are ASCII")]
fn request(resource: &str, metrics: &str) -> String {
    let attributes = |text: &str| -> String {
        let pairs = text.split(',').filter(|p| !p.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap();
            format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
        });
        format!("[{}]", pairs.collect::<Vec<_>>().join(","))
    };
    let mut metrics = metrics.to_owned();
    while let Some(at) = metrics.find("attrs(") {
        let end = at + metrics[at..].find(')').unwrap();
        let list = attributes(&metrics[at + 6..end]);
        metrics.replace_range(at..=end, &format!(r#""attributes":{list}"#));
    }
    while let Some(at) = metrics.find("T+") {
        let end = at + 2 + metrics[at + 2..].find(|c: char| !c.is_ascii_digit()).unwrap();
        let seconds: i64 = metrics[at + 2..end].parse().unwrap();
        metrics.replace_range(at..end, &format!(r#""{}""#, (T_MS + seconds * 1000) * 1_000_000 + 999));
    }
    let scope = r#"{"name":"lib","version":"1.2","attributes":[{"key":"team.name","value":{"stringValue":"x"}}]}"#;
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":{}}},"scopeMetrics":[{{"scope":{scope},"schemaUrl":"http://s","metrics":[{metrics}]}}]}}]}}"#,
        attributes(resource)
    )
}

fn check(settings: Settings, resource: &str, metrics: &str, expected: &[&str]) {
    let house = House::new(settings);
    let received = house.send(&request(resource, metrics)).unwrap();
    assert_eq!(received.rejected, 0, "{received:?}");
    assert_eq!(house.lines(), expected, "{metrics}");
}

const GAUGE: &str =
    r#"{"name":"cpu.temp","unit":"Cel","description":"How hot","gauge":{"dataPoints":[{"timeUnixNano":T+0,"asDouble":41.5,attrs(core.id=0)}]}}"#;
const COUNTER: &str = r#"{"name":"http.requests","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"startTimeUnixNano":T+0,"timeUnixNano":T+10,"asInt":"7"}]}}"#;
const HISTOGRAM: &str = r#"{"name":"latency","unit":"ms","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":T+0,"count":"6","sum":8.5,
    "bucketCounts":[1,2,3],"explicitBounds":[0.5,10],"exemplars":[
    {"timeUnixNano":T+0,"asDouble":7,"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0102030405060708","filteredAttributes":[{"key":"user","value":{"intValue":5}}]},
    {"asInt":100}]}]}}"#;
const EXPONENTIAL: &str = r#"{"name":"size","unit":"By","exponentialHistogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[
    {"timeUnixNano":T+0,"count":"10","sum":20,"scale":1,"zeroCount":1,"positive":{"offset":-1,"bucketCounts":[4,0,5]},"min":0,"max":9}]}}"#;
const SUMMARY: &str = r#"{"name":"rpc","summary":{"dataPoints":[{"timeUnixNano":T+0,"count":"3","sum":1.5,
    "quantileValues":[{"quantile":0.5,"value":0.2},{"quantile":1,"value":0.9}]}]}}"#;

#[test]
fn each_type() {
    let usual = Settings::default;
    check(usual(), "", GAUGE, &[r#"cpu_temp_celsius{core_id="0"} 0 41.5"#]);
    check(usual(), "", COUNTER, &["http_requests_total 10 7"]);
    check(usual(), "", &COUNTER.replace(r#""isMonotonic":true,"#, ""), &["http_requests 10 7"]);
    let classic = [
        r#"latency_milliseconds_bucket{le="+Inf"} 0 6"#,
        r#"latency_milliseconds_bucket{le="0.5"} 0 1"#,
        r#"latency_milliseconds_bucket{le="10"} 0 3"#,
        "latency_milliseconds_count 0 6",
        "latency_milliseconds_sum 0 8.5",
    ];
    check(usual(), "", HISTOGRAM, &classic);
    let custom = Settings { convert_to_custom_buckets: true, ..Settings::default() };
    check(custom, "", HISTOGRAM, &["latency_milliseconds 0 schema=-53 count=6 sum=8.5 zero=0@0e0 [1.0, 2.0, 3.0]"]);
    check(usual(), "", EXPONENTIAL, &["size_bytes 0 schema=1 count=10 sum=20 zero=1@1e-128 [4.0, 0.0, 5.0]"]);
    check(usual(), "", SUMMARY, &[r#"rpc{quantile="0.5"} 0 0.2"#, r#"rpc{quantile="1"} 0 0.9"#, "rpc_count 0 3", "rpc_sum 0 1.5"]);
    // Without buckets there is one up to infinity; without a sum there is none.
    let bare = r#"{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":T+0,"count":3}]}}"#;
    check(usual(), "", bare, &[r#"h_bucket{le="+Inf"} 0 3"#, "h_count 0 3"]);
    let typed = Settings { type_and_unit_labels: true, ..Settings::default() };
    check(typed, "", GAUGE, &[r#"cpu_temp_celsius{__type__="gauge", __unit__="celsius", core_id="0"} 0 41.5"#]);
    check(usual(), "", r#"{"name":"none","gauge":{"dataPoints":[]}},{"name":"nothing"}"#, &[]);
}

#[test]
fn the_end_of_a_series() {
    let stale = |metric: &str| metric.replace(r#""timeUnixNano":T+0"#, r#""flags":1,"timeUnixNano":T+0"#);
    check(Settings::default(), "", &stale(GAUGE), &[r#"cpu_temp_celsius{core_id="0"} 0 stale"#]);
    check(Settings::default(), "", &stale(EXPONENTIAL), &["size_bytes 0 stale"]);
    let parts = [r#"rpc{quantile="0.5"} 0 stale"#, r#"rpc{quantile="1"} 0 stale"#, "rpc_count 0 stale", "rpc_sum 0 stale"];
    check(Settings::default(), "", &stale(SUMMARY), &parts);
}

#[test]
fn labels_of_resource_and_scope() {
    let resource = "service.name=shop,service.namespace=eu,service.instance.id=i1,host.name=h1,k8s.pod=p1";
    let info = r#"target_info{host_name="h1", instance="i1", job="eu/shop", k8s_pod="p1"} 0 1"#;
    let with = |labels: &str| format!(r#"cpu_temp_celsius{{core_id="0", {labels}}} 0 41.5"#);
    let check_labels = |settings: Settings, labels: &str, info: &str| check(settings, resource, GAUGE, &[&with(labels), info]);
    check_labels(Settings::default(), r#"instance="i1", job="eu/shop""#, info);
    let some = Settings { promoted: Promoted::Only(vec!["host.name".to_owned(), "absent".to_owned()]), ..Settings::default() };
    check_labels(some, r#"host_name="h1", instance="i1", job="eu/shop""#, info);
    let all = Settings { promoted: Promoted::AllBut(vec!["k8s.pod".to_owned(), "service.namespace".to_owned()]), ..Settings::default() };
    check_labels(all, r#"host_name="h1", instance="i1", job="eu/shop", service_instance_id="i1", service_name="shop""#, info);
    let keeping = Settings { keep_identifying: true, ..Settings::default() };
    let full =
        r#"target_info{host_name="h1", instance="i1", job="eu/shop", k8s_pod="p1", service_instance_id="i1", service_name="shop", service_namespace="eu"} 0 1"#;
    check_labels(keeping, r#"instance="i1", job="eu/shop""#, full);
    let scoped = Settings { promote_scope: true, ..Settings::default() };
    let scope = r#"instance="i1", job="eu/shop", otel_scope_name="lib", otel_scope_schema_url="http://s", otel_scope_team_name="x", otel_scope_version="1.2""#;
    check_labels(scoped, scope, info);
    let raw = Settings { strategy: TranslationStrategy::NoTranslation, ..Settings::default() };
    check(
        raw,
        "service.name=shop,host.name=h1",
        GAUGE,
        &[r#"{"cpu.temp", "core.id"="0", job="shop"} 0 41.5"#, r#"target_info{"host.name"="h1", job="shop"} 0 1"#],
    );
    // Without a name nobody could join it; with nothing but a name there is nothing to say.
    check(Settings::default(), "host.name=h1", GAUGE, &[r#"cpu_temp_celsius{core_id="0"} 0 41.5"#]);
    check(Settings::default(), "service.name=a", GAUGE, &[r#"cpu_temp_celsius{core_id="0", job="a"} 0 41.5"#]);
}

#[test]
fn colliding_attributes_are_joined() {
    let gauge = r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":T+0,"asInt":1,attrs(a.b=2,a_b=3,a-b=1,__name__=evil,job=mine)}]}}"#;
    check(Settings::default(), "", gauge, &[r#"g{a_b="1;2;3", job="mine"} 0 1"#]);
    check(Settings::default(), "service.name=svc", gauge, &[r#"g{a_b="1;2;3", job="svc"} 0 1"#]);
}

#[test]
fn target_info_covers_the_span_of_the_points() {
    let gauge = r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":T+0,"asInt":1},{"timeUnixNano":T+50,"asInt":2}]}}"#;
    let settings = Settings { lookback_ms: 40_000, ..Settings::default() };
    let info = |at: i32| format!(r#"target_info{{job="a", x="y"}} {at} 1"#);
    let lines = [r#"g{job="a"} 0 1"#, r#"g{job="a"} 50 2"#, &info(0), &info(20), &info(40), &info(50)].map(str::to_owned);
    check(settings, "service.name=a,x=y", gauge, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let house = House::new(Settings::default());
    let ancient = gauge.replace("T+0", "\"1\"");
    house.send(&request("service.name=a,x=y", &ancient)).unwrap();
    assert_eq!(house.lines().iter().filter(|l| l.starts_with("target_info")).count(), 100);
}

#[test]
fn exemplars_and_metadata() {
    let house = House::new(Settings::default());
    house.send(&request("", &format!("{HISTOGRAM},{GAUGE}"))).unwrap();
    let selection = Selection { matchers: vec![Matcher::equal("__name__", "latency_milliseconds_bucket")], start: Timestamp(0), end: Timestamp(i64::MAX) };
    let found = house.memory.exemplars(&selection, &Budget::unlimited(house.clock.clone())).unwrap();
    let lines: Vec<String> = found.iter().map(|s| format!("{} {} {}", s.labels.get("le").unwrap(), s.exemplars[0].labels, s.exemplars[0].value)).collect();
    let traced = r#"10 {span_id="0102030405060708", trace_id="000102030405060708090a0b0c0d0e0f", user="5"} 7"#;
    assert_eq!(lines, ["+Inf {} 100", traced]);
    assert!(found.iter().all(|s| s.exemplars[0].time.0 == T_MS));
    let metadata = house.memory.metadata();
    let told: Vec<String> = metadata.iter().map(|m| format!("{} {} {} {}", m.family, m.kind.name(), m.unit, m.help)).collect();
    assert_eq!(told, ["cpu_temp_celsius gauge celsius How hot", "latency_milliseconds histogram milliseconds "]);
}

#[test]
fn deltas_become_sums() {
    let house = House::new(Settings::default());
    let number = |start: u32, end: u32, value: i32| {
        let point = format!(r#"{{"startTimeUnixNano":T+{start},"timeUnixNano":T+{end},"asInt":{value}}}"#);
        request("", &format!(r#"{{"name":"n","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{point}]}}}}"#))
    };
    for (start, end, value) in [(0, 10, 5), (10, 20, 2), (10, 20, 2)] {
        assert_eq!(house.send(&number(start, end, value)).unwrap().rejected, 0);
    }
    let refused = house.send(&number(10, 20, 3)).unwrap();
    assert_eq!((refused.rejected, refused.written.rejected[0].0), (1, Reason::OutOfOrder));
    assert_eq!(house.lines(), ["n_total 10 5", "n_total 20 7"]);

    let house = House::new(Settings::default());
    let histogram = |end: u32| HISTOGRAM.replace(r#""aggregationTemporality":2"#, r#""aggregationTemporality":1"#).replacen("T+0", &format!("T+{end}"), 1);
    for end in [10, 20] {
        assert_eq!(house.send(&request("", &histogram(end))).unwrap().rejected, 0);
    }
    let at_20: Vec<String> = house.lines().into_iter().filter(|l| l.contains(" 20 ")).collect();
    let expected = [
        r#"latency_milliseconds_bucket{le="+Inf"} 20 12"#,
        r#"latency_milliseconds_bucket{le="0.5"} 20 2"#,
        r#"latency_milliseconds_bucket{le="10"} 20 6"#,
        "latency_milliseconds_count 20 12",
        "latency_milliseconds_sum 20 17",
    ];
    assert_eq!(at_20, expected);

    let house = House::new(Settings::default());
    let exponential = |end: u32| EXPONENTIAL.replace("CUMULATIVE", "DELTA").replacen("T+0", &format!("T+{end}"), 1);
    house.send(&request("", &exponential(10))).unwrap();
    house.send(&request("", &exponential(20).replace(r#""scale":1"#, r#""scale":0"#))).unwrap();
    let lines = house.lines();
    // At scale 0 the buckets -1, 0, 1 of scale 1 are -1, 0, 0.
    assert_eq!(lines[1], "size_bytes 20 schema=0 count=20 sum=40 zero=2@1e-128 [8.0, 5.0, 5.0]");
}

#[test]
fn a_start_time_can_be_a_sample_of_zero() {
    let settings = Settings { start_time_zero_samples: true, ..Settings::default() };
    let house = House::new(settings);
    for _ in 0..2 {
        house.send(&request("", COUNTER)).unwrap();
    }
    house.send(&request("", &COUNTER.replace("T+10", "T+20"))).unwrap();
    assert_eq!(house.lines(), ["http_requests_total 0 0", "http_requests_total 10 7", "http_requests_total 20 7"]);
}

#[test]
fn what_cannot_be_kept_is_counted_and_said() {
    let check = |metric: &str, rejected: u64, reason: Reason, words: &str| {
        let house = House::new(Settings::default());
        let received = house.send(&request("", &format!("{metric},{COUNTER}"))).unwrap();
        assert_eq!((received.rejected, received.written.rejected[0].0), (rejected, reason), "{received:?}");
        assert!(received.message().contains(words), "{}", received.message());
        assert!(house.lines().contains(&"http_requests_total 10 7".to_owned()), "the good point is kept");
        let json: serde_json::Value = serde_json::from_slice(&received.answer(Format::Json)).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedDataPoints"], rejected.to_string());
        let gathered = house.meter.gather();
        let total = |name: &str| gathered.iter().filter(|f| &*f.name == name).flat_map(|f| &f.points).map(|p| p.1).sum::<f64>();
        let settled = total("watchfire_ingest_samples_stored_total") + total("watchfire_ingest_samples_rejected_total");
        assert_eq!(total("watchfire_ingest_samples_received_total"), settled);
        assert_eq!(total("watchfire_otlp_points_rejected_total"), rejected as f64);
    };
    let sum = r#"{"name":"s","sum":{"dataPoints":[{"asInt":1},{"asInt":2}]}}"#;
    check(sum, 2, Reason::UnsupportedType, r#"invalid temporality and type combination for metric "s""#);
    check(r#"{"name":"...","gauge":{"dataPoints":[{"asInt":1}]}}"#, 1, Reason::InvalidLabels, "no metric name can be made of \"...\"");
    let attribute = r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":T+0,"asInt":1,attrs(..=x)}]}}"#;
    check(attribute, 1, Reason::InvalidLabels, "no label name can be made of attribute \"..\": g");
    check(&EXPONENTIAL.replace(r#""scale":1"#, r#""scale":-5"#), 1, Reason::InvalidHistogram, "Scale must be >= -4, was -5");
    check(&EXPONENTIAL.replace(r#""count":"10""#, r#""count":"11""#), 1, Reason::InvalidHistogram, "should equal the number of observations");
    let future = r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":T+9999999,"asInt":1}]}}"#;
    check(future, 1, Reason::TooFarFuture, "1 of 2 data points were refused (too_far_future: 1); for example");
}

#[test]
fn answers() {
    let mut received = Received::default();
    assert_eq!((received.answer(Format::Protobuf), received.answer(Format::Json)), (Vec::new(), b"{}".to_vec()));
    received.points = 3;
    received.rejected = 2;
    received.written.reject(Reason::TooOld, 2);
    let message = "2 of 3 data points were refused (too_old: 2)";
    let mut expected = vec![0x0a, 4 + message.len() as u8, 0x08, 2, 0x12, message.len() as u8];
    expected.extend_from_slice(message.as_bytes());
    assert_eq!(received.answer(Format::Protobuf), expected);
}

#[test]
fn the_same_in_protobuf() {
    let text = request("service.name=a,x=y", &[GAUGE, COUNTER, HISTOGRAM, EXPONENTIAL, SUMMARY].join(","));
    let (from_json, from_protobuf) = (House::new(Settings::default()), House::new(Settings::default()));
    from_json.send(&text).unwrap();
    let message = json::transcode(text.as_bytes(), &json::METRICS_REQUEST).unwrap();
    from_protobuf.otlp.metrics(&message, Format::Protobuf, Origin::new("otlp/test")).unwrap();
    assert_eq!(from_json.lines(), from_protobuf.lines());
    for cut in 1..message.len() {
        // A message cut within a field is an error; cut between two it is a shorter message.
        drop(from_protobuf.otlp.metrics(&message[..cut], Format::Protobuf, Origin::new("otlp/test")));
    }
}

#[test]
fn large_requests_reach_the_store_in_parts() {
    let house = House::new(Settings::default());
    let points: Vec<String> = (0..25_000).map(|i| format!(r#"{{"timeUnixNano":"{}","asInt":{i}}}"#, (T_MS - i) * 1_000_000)).collect();
    let gauge = format!(r#"{{"name":"g","gauge":{{"dataPoints":[{}]}}}}"#, points.join(","));
    let received = house.send(&request("", &gauge)).unwrap();
    assert_eq!((received.points, received.written.stored), (25_000, 25_000));
}

#[test]
fn idle_sums_are_forgotten() {
    let house = House::new(Settings::default());
    let delta = |end: u32| request("", &COUNTER.replace(r#":2,"#, r#":1,"#).replace("T+10", &format!("T+{end}")));
    house.send(&delta(10)).unwrap();
    house.clock.advance(Duration::from_secs(4000));
    house.send(&delta(20)).unwrap();
    assert_eq!(house.lines(), ["http_requests_total 10 7", "http_requests_total 20 7"]);
}

proptest! {
    #[test]
    fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..300), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), sound in any::<bool>()) {
        let house = House::new(Settings { start_time_zero_samples: true, promote_scope: true, promoted: Promoted::AllBut(Vec::new()), ..Settings::default() });
        if sound {
            let text = request("service.name=a,x=y", &[GAUGE, &COUNTER.replace(":2,", ":1,"), HISTOGRAM, &EXPONENTIAL.replace("CUMULATIVE", "DELTA"), SUMMARY].join(","));
            bytes = json::transcode(text.as_bytes(), &json::METRICS_REQUEST).unwrap();
        }
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        for _ in 0..2 {
            drop(house.otlp.metrics(&bytes, Format::Protobuf, Origin::new("otlp/test")));
            drop(house.otlp.metrics(&bytes, Format::Json, Origin::new("otlp/test")));
        }
    }
}
