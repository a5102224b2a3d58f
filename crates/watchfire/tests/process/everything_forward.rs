//! Metrics, log lines and spans on to an OTLP receiver of somebody else: OpenTelemetry's own messages and gRPC's own server, in Python.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use watchfire_model::time::SystemClock;

use crate::python::python;
use crate::server::{Server, free_port, request, until};

/// Prints a line of JSON for each request; answers the first of each kind with UNAVAILABLE, as a backend that starts does.
const RECEIVER: &str = r#"
import json, sys, threading, grpc
from concurrent import futures
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as l, logs_service_pb2_grpc as lg
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as m, metrics_service_pb2_grpc as mg
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as t, trace_service_pb2_grpc as tg
seen = set()
turn = threading.Lock()
def take(kind, answer):
    def export(self, request, context):
        if kind not in seen:
            seen.add(kind)
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        with turn:
            print(json.dumps({"kind": kind, "request": MessageToDict(request)}), flush=True)
        return answer()
    return export
server = grpc.server(futures.ThreadPoolExecutor(4))
for kind, base, answer, add in [
    ("metrics", mg.MetricsServiceServicer, m.ExportMetricsServiceResponse, mg.add_MetricsServiceServicer_to_server),
    ("logs", lg.LogsServiceServicer, l.ExportLogsServiceResponse, lg.add_LogsServiceServicer_to_server),
    ("traces", tg.TraceServiceServicer, t.ExportTraceServiceResponse, tg.add_TraceServiceServicer_to_server),
]:
    add(type(kind, (base,), {"Export": take(kind, answer)})(), server)
assert server.add_insecure_port(sys.argv[1])
server.start()
print(json.dumps({"kind": "ready"}), flush=True)
server.wait_for_termination()
"#;

/// The receiver, which ends with the test.
struct Receiver {
    child: Child,
    lines: std::sync::mpsc::Receiver<Value>,
    seen: Vec<Value>,
}
impl Receiver {
    fn start(python: &std::path::Path, address: SocketAddr) -> Receiver {
        let mut child = Command::new(python).args(["-c", RECEIVER, &address.to_string()]).stdout(Stdio::piped()).spawn().expect("a Python that starts");
        let output = child.stdout.take().expect("a pipe");
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(serde_json::from_str(&line).unwrap_or(Value::Null)).is_err() {
                    return;
                }
            }
        });
        let mut receiver = Receiver { child, lines, seen: Vec::new() };
        until("the receiver is there", || receiver.requests("ready").len(), |n| *n == 1);
        receiver
    }
    /// The requests of a kind so far.
    fn requests(&mut self, kind: &str) -> Vec<Value> {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().filter(|line| line["kind"] == kind).map(|line| line["request"].clone()).collect()
    }
}
impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Everything that stands under a name, at any depth.
fn all<'a>(tree: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(items) if key == name => found.extend(items),
                    _ => all(value, name, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, name, found)),
        _ => {}
    }
}

fn of<'a>(requests: &'a [Value], name: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    requests.iter().for_each(|request| all(request, name, &mut found));
    found
}

#[test]
fn all_signals_go_on_to_a_backend_of_somebody_else() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let settings = dir.path().join("w.yml");
    let text = format!(
        "host: {{interval: 1h}}\notlp: {{grpc_listen: off, http_listen: off}}\nforward:\n  otlp:\n  - {{name: theirs, endpoint: 'http://{address}', batch_wait: 50ms, min_backoff: 20ms, max_backoff: 100ms}}\n"
    );
    std::fs::write(&settings, text).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", settings.to_str().unwrap()], &[]);
    let now = SystemClock::shared().now().millis();
    let post = |path: &str, body: &str, content: &str| {
        let answer = request(server.address, "POST", path, &[("Content-Type", content)], body.as_bytes()).unwrap();
        assert!(answer.status / 100 == 2, "{path}: {} {}", answer.status, answer.text());
    };
    // The place is away at first: all of it waits in the log.
    let exposition = "# TYPE own_jobs counter\n# HELP own_jobs Jobs.\nown_jobs_total{queue=\"a\"} 7\n# TYPE own_took_seconds histogram\nown_took_seconds_bucket{le=\"0.5\"} 3\nown_took_seconds_bucket{le=\"+Inf\"} 5\nown_took_seconds_sum 2.25\nown_took_seconds_count 5\n# EOF\n";
    post("/metrics/job/shop", exposition, "application/openmetrics-text; version=1.0.0");
    let line = json!({"streams": [{"stream": {"service_name": "api"}, "values": [[format!("{now}000000"), "level=error it broke"]]}]});
    post("/loki/api/v1/push", &line.to_string(), "application/json");
    let span = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]}, "scopeSpans": [{"spans": [{
        "traceId": "1234abcd5678ef901234abcd5678ef90", "spanId": "0000000000000001", "name": "work", "kind": 2,
        "startTimeUnixNano": format!("{now}000000"), "endTimeUnixNano": format!("{now}500000")}]}]}]});
    post("/v1/traces", &span.to_string(), "application/json");

    let mut receiver = Receiver::start(&python, address);
    let of_family = |requests: &[Value], name: &str| of(requests, "metrics").into_iter().filter(|metric| metric["name"] == name).cloned().collect::<Vec<_>>();
    until("the counter is there", || of_family(&receiver.requests("metrics"), "own_jobs_total").len(), |n| *n > 0);
    let metrics = receiver.requests("metrics");
    let jobs = &of_family(&metrics, "own_jobs_total")[0];
    assert_eq!((&jobs["sum"]["isMonotonic"], &jobs["sum"]["aggregationTemporality"]), (&json!(true), &json!("AGGREGATION_TEMPORALITY_CUMULATIVE")), "{jobs}");
    let point = &jobs["sum"]["dataPoints"][0];
    assert_eq!((&point["asDouble"], &point["attributes"][0]["key"]), (&json!(7.0), &json!("queue")), "{jobs}");
    let took = &of_family(&metrics, "own_took_seconds")[0]["histogram"]["dataPoints"][0];
    assert_eq!((&took["bucketCounts"], &took["explicitBounds"], &took["sum"]), (&json!(["3", "2"]), &json!([0.5]), &json!(2.25)), "{took}");
    let resources = of(&metrics, "resourceMetrics");
    assert!(resources.iter().any(|r| r["resource"]["attributes"][0]["value"]["stringValue"] == "shop"), "{resources:?}");

    until("the line is there", || of(&receiver.requests("logs"), "logRecords").len(), |n| *n > 0);
    let logs = receiver.requests("logs");
    let records = of(&logs, "logRecords");
    let broke = records.iter().find(|record| record["body"]["stringValue"] == "level=error it broke").unwrap();
    assert_eq!((&broke["severityNumber"], &broke["timeUnixNano"]), (&json!("SEVERITY_NUMBER_ERROR"), &json!(format!("{now}000000"))), "{broke}");

    until("the span is there", || of(&receiver.requests("traces"), "spans").len(), |n| *n > 0);
    assert_eq!(of(&receiver.requests("traces"), "spans")[0]["name"], "work");
    let text = server.get("/metrics").unwrap().text();
    let figure = |name: &str| text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>();
    for kind in ["metrics_retried_points", "logs_retried_entries", "traces_retried_spans"] {
        assert!(figure(&format!("watchfire_forward_{kind}_total")) > 0.0, "{kind}");
    }
    assert_eq!(figure("watchfire_forward_traces_dropped_spans_total") + figure("watchfire_forward_logs_dropped_entries_total"), 0.0);
}
