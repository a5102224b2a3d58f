//! The real OpenTelemetry SDK of Python against the real binary: metrics of both temporalities and traces, by HTTP and gRPC.

use std::process::Command;

use crate::python::python;
use crate::server::{Server, free_port, request, until};

const PROGRAM: &str = r#"
import sys
kind, endpoint, temporality, token = sys.argv[1:5]
from opentelemetry.sdk.metrics import MeterProvider, Counter, Histogram
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader, AggregationTemporality
from opentelemetry.sdk.metrics.view import View, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
if kind == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    extra = {"insecure": True, "compression": grpc.Compression.Gzip, "headers": (("authorization", "Bearer " + token),)}
else:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter, Compression
    extra = {"compression": Compression.Gzip, "headers": {"authorization": "Bearer " + token}}
chosen = AggregationTemporality.DELTA if temporality == "delta" else AggregationTemporality.CUMULATIVE
exporter = OTLPMetricExporter(endpoint=endpoint, preferred_temporality={Counter: chosen, Histogram: chosen}, **extra)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3600000)
resource = Resource.create({"service.name": "shop-" + kind, "service.namespace": "eu", "service.instance.id": temporality, "host.name": "h1"})
views = [View(instrument_name="payload.size", aggregation=ExponentialBucketHistogramAggregation())]
provider = MeterProvider(resource=resource, metric_readers=[reader], views=views)
meter = provider.get_meter("test")
orders = meter.create_counter("orders", unit="{order}", description="Orders taken")
latency = meter.create_histogram("latency", unit="ms")
size = meter.create_histogram("payload.size", unit="By")
for round in range(2):
    orders.add(3, {"payment.kind": "card"})
    latency.record(7)
    size.record(1000)
    assert provider.force_flush(10000), "not taken"
provider.shutdown()
"#;

#[test]
fn otlp_from_the_python_sdk() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (grpc, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let config = dir.path().join("watchfire.yml");
    let otlp = "prometheus: {otlp: {promote_resource_attributes: [host.name]}}\nauth: {enabled: true}\n";
    std::fs::write(&config, format!("{otlp}otlp: {{grpc_listen: '{grpc}', http_listen: '{http}'}}\n")).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[]);
    let token = std::fs::read_to_string(server.data.join("admin.token")).unwrap().trim().to_owned();
    let send = |kind: &str, endpoint: &str, temporality: &str, token: &str| {
        let output = Command::new(&python).args(["-c", PROGRAM, kind, endpoint, temporality, token]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let http_endpoint = format!("http://{http}/v1/metrics");
    for (kind, endpoint) in [("http", http_endpoint.as_str()), ("grpc", grpc.as_str())] {
        for temporality in ["cumulative", "delta"] {
            let (taken, said) = send(kind, endpoint, temporality, &token);
            assert!(taken && said.is_empty(), "{kind} {temporality}: {said}");
        }
        let (_, said) = send(kind, endpoint, "cumulative", "wrong");
        assert!(said.contains("401") || said.contains("UNAUTHENTICATED"), "{kind}: {said}");
    }
    let query = |expression: &str| {
        let headers = [("Authorization", &*format!("Bearer {token}"))];
        let path = format!("/api/v1/query?query={}", crate::server::escape(expression));
        let answer = request(server.address, "GET", &path, &headers, b"").unwrap().json();
        answer["data"]["result"].as_array().map_or(0, |all| all.iter().filter(|s| s["value"][1] != "0").count())
    };
    for (expression, series) in [
        (r#"orders_total{job=~"eu/shop-(http|grpc)", instance=~"delta|cumulative", payment_kind="card", host_name="h1"} == 6"#, 4),
        (r#"latency_milliseconds_bucket{le="10"} == 2"#, 4),
        (r#"latency_milliseconds_sum == 14"#, 4),
        ("histogram_count(payload_size_bytes) == 2", 4),
        ("histogram_sum(payload_size_bytes) == 2000", 4),
        (r#"target_info{host_name="h1", telemetry_sdk_language="python"}"#, 4),
    ] {
        until(expression, || query(expression), |found| *found == series);
    }
}

const TRACES: &str = r#"
import sys, time
kind, endpoint = sys.argv[1:3]
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
if kind == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter, Compression
    exporter = OTLPSpanExporter(endpoint=endpoint, compression=Compression.Gzip)
provider = TracerProvider(resource=Resource.create({"service.name": "nemotron-backend", "host.name": kind}))
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("pipeline", "1.2")
with tracer.start_as_current_span("detect_objects", attributes={"camera_id": "front_door", "frames": 3}) as span:
    print(format(span.get_span_context().trace_id, "032x"))
    try:
        with tracer.start_as_current_span("llm_inference", kind=trace.SpanKind.CLIENT):
            raise ValueError("no answer")
    except ValueError:
        pass
assert provider.force_flush(10000), "not taken"
provider.shutdown()
"#;

/// Jaeger waits for an Elasticsearch and ends without one. Here spans are taken, found and kept while nobody is where the variables lead.
#[test]
fn trc_14_spans_need_no_elasticsearch_to_be_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let environment = [("SPAN_STORAGE_TYPE", "elasticsearch"), ("ES_SERVER_URLS", nowhere.as_str())];
    let mut server = Server::start(&dir.path().join("data"), &[], &environment);
    let begun = crate::containers::now_ms() as u64 * 1_000_000;
    let span = serde_json::json!({"traceId": "1234abcd5678ef901234abcd5678ef90", "spanId": "abcdef1234567890", "name": "detect", "kind": 2,
        "startTimeUnixNano": begun.to_string(), "endTimeUnixNano": (begun + 1_000_000).to_string()});
    let resource = serde_json::json!({"attributes": [{"key": "service.name", "value": {"stringValue": "nemotron-backend"}}]});
    let body = serde_json::json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}).to_string();
    let sent = request(server.address, "POST", "/v1/traces", &[("content-type", "application/json")], body.as_bytes()).unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text());
    for again in [false, true] {
        if again {
            server.kill();
            server = Server::start(&dir.path().join("data"), &[], &environment);
        }
        let get = |path: &str| request(server.address, "GET", path, &[], b"").unwrap().json();
        assert_eq!(get("/elasticsearch/_cluster/health")["status"], "green");
        assert_eq!(get("/jaeger/api/traces/1234abcd5678ef901234abcd5678ef90")["data"][0]["spans"][0]["operationName"], "detect");
    }
    assert!(server.log().contains("ES_SERVER_URLS"), "what has no meaning here is told: {}", server.log());
}

/// The SDK's traces by both transports, asked for as the documents do it, and still there after a kill.
#[test]
fn trc_17_traces_from_the_python_sdk_by_grpc_and_http() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (grpc, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let config = dir.path().join("watchfire.yml");
    std::fs::write(&config, format!("otlp: {{grpc_listen: '{grpc}', http_listen: '{http}'}}\n")).unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let mut server = Server::start(&dir.path().join("data"), &arguments, &[]);
    let mut ids = Vec::new();
    for (kind, endpoint) in [("http", format!("http://{http}/v1/traces")), ("grpc", format!("http://{grpc}"))] {
        let output = Command::new(&python).args(["-c", TRACES, kind, &endpoint]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{kind}: {said}");
        ids.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    for again in [false, true] {
        if again {
            server.kill();
            server = Server::start(&dir.path().join("data"), &arguments, &[]);
        }
        let get = |path: &str| request(server.address, "GET", path, &[], b"").unwrap().json();
        assert_eq!(get("/jaeger/api/services")["data"], serde_json::json!(["nemotron-backend"]));
        let found = get("/jaeger/api/traces?service=nemotron-backend&limit=20")["data"].as_array().unwrap().len();
        assert_eq!(found, 2, "each trace once, whatever died");
        for (id, kind) in ids.iter().zip(["http", "grpc"]) {
            let trace = get(&format!("/jaeger/api/traces/{id}"))["data"][0].clone();
            assert_eq!(trace["spans"].as_array().unwrap().len(), 2);
            let (outer, inner) = (&trace["spans"][0], &trace["spans"][1]);
            assert_eq!((&outer["operationName"], &inner["operationName"]), (&"detect_objects".into(), &"llm_inference".into()));
            assert_eq!(inner["references"][0]["spanID"], outer["spanID"]);
            let tags = |span: &serde_json::Value| -> Vec<String> {
                span["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| format!("{} {} {}", t["key"].as_str().unwrap(), t["type"].as_str().unwrap(), t["value"]))
                    .collect()
            };
            for tag in ["camera_id string \"front_door\"", "frames int64 3", "span.kind string \"internal\""] {
                assert!(tags(outer).iter().any(|t| t == tag), "{tag}: {:?}", tags(outer));
            }
            assert!(tags(inner).iter().any(|t| t == "error bool true"), "{:?}", tags(inner));
            let fields = inner["logs"][0]["fields"].as_array().unwrap();
            assert!(fields.iter().any(|f| f["key"] == "exception.type" && f["value"] == "ValueError"), "{fields:?}");
            let process = &trace["processes"][outer["processID"].as_str().unwrap()];
            assert!(process["tags"].as_array().unwrap().iter().any(|t| t["key"] == "host.name" && t["value"] == kind), "{process}");
        }
    }
}
