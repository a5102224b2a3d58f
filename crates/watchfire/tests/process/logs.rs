//! Logs through the real binary: the seeds' `curl`s and searches over what real clients of Python push, and `kill -9` behind them.

use std::process::Command;

use serde_json::json;
use watchfire_model::time::{Clock, SystemClock};

use crate::python::python;
use crate::server::{BINARY, Server, escape, request, until, wait_ms};

/// Nanoseconds since 1970.
fn now() -> u128 {
    SystemClock::new().now().millis() as u128 * 1_000_000
}

fn started() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    (dir, server)
}

/// Pushes lines of a backend, a second apart.
fn push(server: &Server, count: u128) {
    let now = now();
    let value =
        |i: u128| json!([(now - i * 1_000_000_000).to_string(), format!("level=ERROR camera=front_door trace_id={} needle{i} duration={i}", "a".repeat(32))]);
    let labels = json!({"container": "backend", "level": "ERROR", "camera": "front_door"});
    let body = json!({"streams": [{"stream": labels, "values": (0..count).map(value).collect::<Vec<_>>()}]}).to_string();
    let answer = request(server.address, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

pub(crate) fn found(server: &Server, query: &str) -> usize {
    let answer = server.json(&format!("/loki/api/v1/query_range?limit=1000&query={}", escape(query)));
    answer["data"]["result"].as_array().unwrap().iter().map(|s| s["values"].as_array().unwrap().len()).sum()
}

#[test]
fn log_22_selectors_and_filters_of_the_seeds() {
    let (_dir, server) = started();
    push(&server, 50);
    for (query, expected) in [
        (r#"{container="backend"}"#, 50),
        (r#"{container="backend", camera="front_door"}"#, 50),
        (r#"{container="backend"} |= "ERROR""#, 50),
        (r#"{container="backend"} |= "needle7 ""#, 1),
        (r#"{container=~"back.*"} |= "needle" | level="ERROR""#, 50),
        (r#"{container="postgres"} | pg_slow_query != """#, 0),
        (r#"{container="backend"} | logfmt | duration > 40"#, 9),
    ] {
        assert_eq!(found(&server, query), expected, "{query}");
    }
}

#[test]
fn log_08_lines_are_found_by_their_trace() {
    let (_dir, server) = started();
    push(&server, 3);
    let id = "a".repeat(32);
    assert_eq!(found(&server, &format!(r#"{{container="backend"}} |= "trace_id={id}""#)), 3);
    assert_eq!(found(&server, &format!(r#"{{container="backend"}} |= "{id}" # pragma: allowlist secret"#)), 3);
}

#[test]
fn log_23_the_curls_of_the_seeds() {
    let (_dir, server) = started();
    push(&server, 2);
    assert_eq!(server.get("/loki/ready").unwrap().text(), "ready\n");
    let range = server.json(&format!("/loki/api/v1/query_range?query={}&start=2026-01-23T00:00:00Z", escape(r#"{container="backend"}"#)));
    assert_eq!(range["data"]["resultType"], "streams");
    assert_eq!(server.json("/loki/api/v1/label/container/values"), json!({"status": "success", "data": ["backend"]}));
}

#[test]
fn log_19_too_many_streams_are_answered_with_429_and_what_is_good_is_kept() {
    let (_dir, server) = started();
    let streams: Vec<_> = (0..120_000).map(|i| json!({"stream": {"pod": i.to_string()}, "values": [[now().to_string(), "x"]]})).collect();
    let body = json!({"streams": streams}).to_string();
    let answer = request(server.address, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.text().contains(" of 120000 entries were refused (stream_limit: "), "{}", answer.text());
    assert_eq!(found(&server, r#"{pod="7"}"#), 1);
}

/// `make bench-logs` does the same with a million streams from several addresses.
#[test]
fn many_distinct_streams_in_a_day_stay_inside_the_memory() {
    const STREAMS: u128 = 20_000;
    const LIMIT_MIB: u64 = 64;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_MEMORY_LIMIT", &format!("{LIMIT_MIB}MiB"))]);
    let now = now();
    let day = 86_400_000_000_000;
    for first in (0..STREAMS).step_by(2_000) {
        let stream = |n: u128| {
            let labels = json!({"app": format!("a{}", n % 100), "zone": format!("z{}", n / 100 % 100), "pod": format!("p{}", n / 10_000)});
            json!({"stream": labels, "values": [[(now - day + day * n / STREAMS).to_string(), format!("job={n}")]]})
        };
        let body = json!({"streams": (first..first + 2_000).map(stream).collect::<Vec<_>>()}).to_string();
        let answer = request(server.address, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let count = |selector: &str| {
        let answer = server.json(&format!("/loki/api/v1/query?query={}", escape(&format!("sum(count_over_time({selector}[25h]))"))));
        answer["data"]["result"][0]["value"][1].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!((count(r#"{app=~"a.*"}"#), count(r#"{app="a7",zone="z3",pod="p1"}"#)), (STREAMS.to_string(), "1".to_owned()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let anonymous: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    // The pages of the program itself are not counted: without optimisation it is many times larger.
    assert!(anonymous < LIMIT_MIB << 10, "{anonymous} kB");
}

#[test]
fn lines_survive_a_kill_and_are_not_doubled() {
    let (dir, mut server) = started();
    push(&server, 50);
    server.kill();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    assert_eq!(found(&server, r#"{container="backend"}"#), 50);
}

#[test]
fn the_command_logs_prints_lines_and_numbers() {
    let (_dir, server) = started();
    push(&server, 3);
    let run = |arguments: &[&str]| Command::new(BINARY).arg("logs").args(arguments).args(["--url", &server.url()]).output().unwrap();
    let lines = String::from_utf8(run(&[r#"{container="backend"}"#]).stdout).unwrap();
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.lines().next().unwrap().contains("needle2 duration=2"), "{lines}");
    let refused = run(&["{"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("parse error at line 1"));
}

const ELASTIC: &str = r#"
import sys, datetime
from elasticsearch import Elasticsearch, helpers, NotFoundError
es = Elasticsearch(sys.argv[1] + "/elasticsearch")
assert es.info()["version"]["number"].startswith("8."), es.info()
assert es.cluster.health()["status"] == "green"
now = datetime.datetime.now(datetime.timezone.utc)
documents = [{"_index": "vms", "@timestamp": now.isoformat(), "component": "recording", "level": "ERROR", "message": f"connection failed {i}",
              "response_time": 900 + i * 10, "status": 500} for i in range(20)]
assert helpers.bulk(es, documents) == (20, [])
made = es.index(index="vms", document={"@timestamp": now.isoformat(), "component": "auth", "event": "failed_login"})
assert made["result"] == "created"
assert es.get(index="vms", id=made["_id"])["_source"]["event"] == "failed_login"
def total(q): return es.search(index="vms", q=q, size=0)["hits"]["total"]["value"]
searches = {
    "component:recording AND level:ERROR AND @timestamp:[now-1h TO now]": 20,
    'message:"connection failed" AND component:recording': 20,
    "component:recording AND response_time:>1000": 9,
    "status:>=500 AND @timestamp:[now-15m TO now]": 20,
    "component:auth AND (event:failed_login OR event:unauthorized_access)": 1,
}
for q, n in searches.items(): assert total(q) == n, (q, total(q))
found = es.search(index="vms", query={"bool": {"filter": [{"range": {"response_time": {"gte": 1000}}}, {"term": {"component": "recording"}}]}},
                  sort=[{"response_time": "desc"}], size=3, aggs={"by": {"terms": {"field": "status"}}})
assert [h["_source"]["response_time"] for h in found["hits"]["hits"]] == [1090, 1080, 1070], found
assert found["aggregations"]["by"]["buckets"][0]["doc_count"] == 10, found
more = es.search(index="vms", sort=[{"response_time": "desc"}], size=3, search_after=found["hits"]["hits"][-1]["sort"], query={"match_all": {}})
assert more["hits"]["hits"][0]["_source"]["response_time"] == 1060, more
assert es.count(index="vms", query={"match_all": {}})["count"] == 21
both = es.msearch(searches=[{"index": "vms"}, {"size": 0}, {}, {"query": {"query_string": {"query": "status:500"}}}])
assert [r["hits"]["total"]["value"] for r in both["responses"]] == [21, 20], both
assert es.indices.exists(index="vms") and not es.indices.exists(index="nothing")
try: es.search(index="nothing"); raise SystemExit("found what is not there")
except NotFoundError: pass
"#;

/// Runs a program of a client, which must be content.
pub(crate) fn client(program: &str, server: &Server, more: &[&str]) -> bool {
    let Some(python) = python() else { return false };
    let output = Command::new(&python).args(["-c", program, &server.url()]).args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn vms_38_the_five_searches_over_what_the_official_client_wrote() {
    let (_dir, server) = started();
    if client(ELASTIC, &server, &[]) {
        assert_eq!(found(&server, r#"{_index="vms"} | json | response_time > 1000"#), 9, "documents are lines, too");
    }
}

#[test]
fn vms_39_log_events_have_the_fields_of_the_searches() {
    let (_dir, server) = started();
    let document = r#"{"component":"api","level":"ERROR","message":"m","status":500,"response_time":7,"event":"e"}"#;
    let body = format!("{{\"index\":{{\"_index\":\"vms\"}}}}\n{document}\n");
    let answer = request(server.address, "POST", "/elasticsearch/_bulk", &[("content-type", "application/x-ndjson")], body.as_bytes()).unwrap();
    assert_eq!(answer.json()["errors"], false);
    let hit = server.json("/elasticsearch/_search?q=component:api")["hits"]["hits"][0]["_source"].clone();
    for name in ["component", "level", "message", "status", "response_time", "event", "@timestamp"] {
        assert!(!hit[name].is_null(), "{name}: {hit}");
    }
}

const LOKI: &str = r#"
import sys, logging, logging_loki
handler = logging_loki.LokiHandler(url=sys.argv[1] + "/loki/api/v1/push", tags={"application": "shop"}, version="1")
log = logging.getLogger("orders"); log.addHandler(handler); log.setLevel(logging.INFO)
logging.raiseExceptions = True
for i in range(5): log.error("order %d failed", i, extra={"tags": {"customer": "7"}})
"#;

const OTLP: &str = r#"
import sys, logging
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk.resources import Resource
provider = LoggerProvider(resource=Resource.create({"service.name": "shop", "host.name": "h1"}))
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=sys.argv[1] + "/v1/logs")))
log = logging.getLogger("orders"); log.addHandler(LoggingHandler(logger_provider=provider)); log.setLevel(logging.INFO)
for i in range(5): log.error("order %d failed", i, extra={"customer": "7"})
provider.shutdown()
"#;

#[test]
fn loki_and_otlp_from_their_clients_of_python() {
    let (_dir, server) = started();
    if client(LOKI, &server, &[]) && client(OTLP, &server, &[]) {
        assert_eq!(found(&server, r#"{application="shop", severity="error", logger="orders", customer="7"} |= "failed""#), 5);
        assert_eq!(found(&server, r#"{service_name="shop"} | customer="7" | host_name="h1" | detected_level="error""#), 5);
    }
}

#[test]
fn syslog_by_both_ways_can_be_asked_for() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("watchfire.yml");
    let address = format!("127.0.0.1:{}", crate::server::free_port());
    std::fs::write(&config, format!("syslog: {{listen: '{address}'}}\n")).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[]);
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.send_to(b"<34>1 - cam-1 recorder 7 - - over udp", &address).unwrap();
    std::net::TcpStream::connect(&address).unwrap().write_all(b"<13>Jan  2 15:04:05 cam-1 recorder[7]: over tcp\n").unwrap();
    crate::server::until("syslog", || found(&server, r#"{job="syslog", host="cam-1", app="recorder"} | pid="7" |= "over""#), |count| *count == 2);
}

/// What we say is found where everybody looks for lines, and saying it does not make more of it.
#[test]
fn own_lines_are_in_the_store_and_do_not_feed_on_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_LOG_KEEP", "info")]);
    let found = |query: &str| server.json(&format!("/loki/api/v1/query_range?limit=5000&query={}", escape(query)))["data"]["result"].clone();
    let own = r#"{job="watchfire", service_name="watchfire", level="INFO"} |= "listening""#;
    let streams = until("our first lines", || found(own), |streams| !streams[0]["values"].is_null());
    let line: serde_json::Value = serde_json::from_str(streams[0]["values"][0][1].as_str().unwrap()).unwrap();
    assert_eq!((line["target"].as_str(), line["level"].as_str()), (Some("watchfire::serve"), Some("INFO")));
    let count = || {
        let answer = server.json(&format!("/loki/api/v1/query?query={}", escape(r#"sum(count_over_time({job="watchfire"}[5m]))"#)));
        answer["data"]["result"][0]["value"][1].as_str().map_or(0.0, |text| text.parse::<f64>().unwrap())
    };
    let before = count();
    for _ in 0..3 {
        wait_ms(1_200);
        count();
    }
    let more = count() - before;
    assert!(more < 20.0, "{more} further lines within four seconds of looking");
    let metrics = server.get("/metrics").unwrap().text();
    assert!(metrics.contains("watchfire_own_log_lines_dropped_total{reason=\"failed\"} 0"), "{metrics}");
}
