//! Programs that report by our SDKs, against the real binary: Python's own tests, and one trace across processes in both languages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::python::python_for_our_client;
use crate::server::{BINARY, Peer, Server, escape, free_port, request, until};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn the_python_client_passes_its_own_tests() {
    let Some(python) = python_for_our_client() else { return };
    let home = repository().join("clients/python");
    let output = Command::new(python).args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(home).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// As in the documents' `uv run pytest …/test_metrics.py -v`, with no server anywhere.
#[test]
fn met_28_the_metric_tests_run_by_themselves() {
    let Some(python) = python_for_our_client() else { return };
    let home = repository().join("clients/python");
    let output = Command::new(python).args(["-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/test_metrics.py"]).current_dir(home).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    // A counter rises, a histogram observes, labels are bounded, there is one instance.
    for test in ["test_met_06_there_is_one_service", "test_met_07_met_08_and_met_09_the_operations_of_pipelines", "test_classes_are_those_of_the_rust_sdk"] {
        assert!(told.lines().any(|line| line.contains(&format!("{test} PASSED"))), "{test} in {told}");
    }
}

/// The SDK's example, which a build of the whole workspace has made.
fn rust_service() -> PathBuf {
    let built = Path::new(BINARY).parent().unwrap().join("examples/service");
    if !built.exists() {
        let build =
            Command::new(env!("CARGO")).args(["build", "--locked", "-q", "-p", "watchfire-sdk", "--example", "service"]).current_dir(repository()).status();
        assert!(build.unwrap().success(), "the example cannot be built");
    }
    built
}

/// A backend as the documents have it: FastAPI, the client's names, the detector asked by HTTPX.
const BACKEND: &str = r#"
import logging, os
import httpx, uvicorn
from fastapi import FastAPI
from watchfire import get_metrics_service, get_token_counter, get_trace_id, setup_logging, setup_telemetry, trace_function, trace_span
from watchfire.middleware import RequestMiddleware

setup_logging(handler=logging.FileHandler(os.environ["LOG_FILE"]))
app = FastAPI()
app.add_middleware(RequestMiddleware)
setup_telemetry(app)

@trace_function("analyze_batch")
async def analyze_batch(camera: str):
    async with httpx.AsyncClient() as client:
        return (await client.get(os.environ["NEXT_URL"] + "/" + camera)).raise_for_status().json()

@app.get("/cameras/{camera}")
async def camera(camera: str):
    with trace_span("read_camera", camera_id=camera) as span:
        answer = await analyze_batch(camera)
        span.set_attribute("detection_count", 1)
        logging.getLogger("backend").info("Processing", extra={"trace_id": get_trace_id(), "camera_id": camera})
        get_metrics_service().record_event_created()
    return {"trace_id": get_trace_id(), "next": answer}

@app.get("/tokens")
def tokens():
    return {"tokens": get_token_counter().count_tokens("hello world"), "budget": get_token_counter().get_context_budget()}

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_config=None)
"#;

/// A service that knows nothing of us: OpenTelemetry's own SDK, by HTTP, and lines as Alloy's expressions look for them.
const ENRICHER: &str = r#"
import logging, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

logging.basicConfig(filename=os.environ["LOG_FILE"], level=logging.INFO)
provider = TracerProvider(resource=Resource.create({"service.name": "enricher"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["ENDPOINT"] + "/v1/traces"), schedule_delay_millis=200))
tracer = provider.get_tracer("enricher")

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        context = extract({k.lower(): v for k, v in self.headers.items()})
        with tracer.start_as_current_span("enrich", context=context, kind=trace.SpanKind.SERVER) as span:
            logging.info("enriched trace_id=%032x", span.get_span_context().trace_id)
            body = b'{"correlation_id": "%s"}' % self.headers["x-correlation-id"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

fn start(command: &mut Command, environment: &[(&str, &str)]) -> Peer {
    let child: Child = command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    Peer(child)
}

fn python(interpreter: &Path, program: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.args(["-c", program]).env("PYTHONPATH", repository().join("clients/python/src")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn answers(port: u16) {
    until("a service answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), |up| *up);
}

/// Spans by name: their service, their own id and their parent's.
fn spans(trace: &Value) -> Vec<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |span: &Value| {
        let service = text(&trace["processes"][span["processID"].as_str().unwrap()]["serviceName"]);
        (text(&span["operationName"]), service, text(&span["spanID"]), text(&span["references"][0]["spanID"]))
    };
    trace["spans"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn trc_23_one_trace_across_three_processes_and_log_02_its_lines_by_its_id() {
    let Some(interpreter) = python_for_our_client() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (grpc, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let config = dir.path().join("watchfire.yml");
    let files = format!("{{targets: [localhost], labels: {{job: backend, __path__: '{}/*.log'}}}}", logs.display());
    let promtail =
        format!("promtail: {{clients: [{{url: 'http://loki:3100/loki/api/v1/push'}}], scrape_configs: [{{job_name: b, static_configs: [{files}]}}]}}");
    fs::write(&config, format!("otlp: {{grpc_listen: '{grpc}', http_listen: '{http}'}}\n{promtail}\n")).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[]);

    let ports = [free_port(), free_port(), free_port()];
    let [backend, detector, enricher] = ports.map(|port| format!("127.0.0.1:{port}"));
    let log = |name: &str| logs.join(name).display().to_string();
    let (grpc_url, http_url, port) = (format!("http://{grpc}"), format!("http://{http}"), ports.map(|port| port.to_string()));
    let _enricher = start(&mut python(&interpreter, ENRICHER), &[("PORT", &port[2]), ("LOG_FILE", &log("enricher.log")), ("ENDPOINT", &http_url)]);
    let traced = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*grpc_url), ("WATCHFIRE_URL", &*server.url())];
    let next = (format!("http://{enricher}/enrich"), format!("http://{detector}/detect"));
    let own = [("OTEL_SERVICE_NAME", "detector"), ("LISTEN", &*detector), ("NEXT_URL", &*next.0), ("LOG_FILE", &*log("detector.log"))];
    let _detector = start(Command::new(rust_service()).envs(traced), &own);
    let _backend = start(python(&interpreter, BACKEND).envs(traced), &[("PORT", &port[0]), ("NEXT_URL", &next.1), ("LOG_FILE", &log("backend.log"))]);
    ports.into_iter().for_each(answers);

    let headers = [("x-correlation-id", "req-abc123")];
    let answer = request(backend.parse().unwrap(), "GET", "/cameras/front_door", &headers, b"").unwrap();
    assert!(answer.status == 200 && answer.head.contains("x-correlation-id: req-abc123"), "{} {}", answer.head, answer.text());
    let told = answer.json();
    let id = told["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(told["next"], json!({"trace_id": id, "next": {"correlation_id": "req-abc123"}}), "all in one trace, and belonging together");

    let names = ["GET /cameras/{camera}", "read_camera", "analyze_batch", "GET /detect/{camera}", "detect_objects", "enrich"];
    let whole = |found: &Vec<(String, String, String, String)>| names.iter().all(|name| found.iter().any(|span| span.0 == *name));
    let ask = || server.get(&format!("/jaeger/api/traces/{id}")).unwrap();
    let found = until("the whole trace", || if ask().status == 200 { spans(&ask().json()["data"][0]) } else { Vec::new() }, whole);
    let by_name = |name: &str| found.iter().find(|span| span.0 == name).unwrap();
    assert_eq!(names.map(|name| by_name(name).1.as_str()), ["nemotron-backend", "nemotron-backend", "nemotron-backend", "detector", "detector", "enricher"]);
    let parent = |span: &(String, String, String, String)| found.iter().find(|other| other.2 == span.3).cloned();
    let mut way = vec![by_name("enrich").clone()];
    while let Some(above) = parent(&way[way.len() - 1]) {
        way.push(above);
    }
    let way: Vec<&str> = way.iter().map(|span| span.0.as_str()).rev().collect();
    assert_eq!(way, [names[0], names[1], names[2], "GET", names[3], names[4], "GET", names[5]], "callers and calls alternate from end to end");
    let services = server.json("/jaeger/api/services")["data"].clone();
    assert!(["nemotron-backend", "detector", "enricher"].iter().all(|s| services.as_array().unwrap().contains(&json!(s))), "{services}");

    let lines = || {
        let query = escape(&format!(r#"{{job="backend"}} |= "{id}" # pragma: allowlist secret"#));
        let answer = server.json(&format!("/loki/api/v1/query_range?query={query}&since=1h"));
        let streams = answer["data"]["result"].as_array().unwrap().clone();
        streams.iter().flat_map(|stream| stream["values"].as_array().unwrap().clone()).map(|value| value[1].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let lines =
        until("lines of all three", lines, |lines| ["Processing", "Detection complete", "enriched"].iter().all(|m| lines.iter().any(|l| l.contains(m))));
    for message in ["Processing", "Detection complete"] {
        let line: Value = serde_json::from_str(lines.iter().find(|line| line.contains(message)).unwrap()).unwrap();
        assert_eq!((&line["trace_id"], &line["correlation_id"], &line["camera_id"]), (&json!(id), &json!("req-abc123"), &json!("front_door")));
        assert!(line["span_id"].as_str().unwrap().len() == 16 && line["request_id"].as_str().unwrap().len() == 32, "{line}");
    }
    let started = fs::read_to_string(log("backend.log")).unwrap() + &fs::read_to_string(log("detector.log")).unwrap();
    assert_eq!(started.matches("telemetry: tracing is on").count(), 2, "{started}");

    until(
        "metrics of both",
        || server.query(r#"hsi_events_created_total{job="app"} == 1 or hsi_detections_by_class_total{object_class="person"} == 1"#, None),
        |r| r.as_array().unwrap().len() == 2,
    );
    let tokens = request(backend.parse().unwrap(), "GET", "/tokens", &[], b"").unwrap().json();
    assert_eq!((&tokens["tokens"], &tokens["budget"]["available_for_prompt"]), (&json!(2), &json!(129_536)));
}
