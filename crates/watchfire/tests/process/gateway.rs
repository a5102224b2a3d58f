//! The gateway in the running program, before a stub of an inference server: streams byte for byte for raw clients and OpenAI's own,
//! tokens exact after aborts and deaths, keys that reach nobody else, ports and levels.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::python::python;
use crate::server::{Server, free_port, request, until, wait_ms};

/// An inference server on threads. What it says depends on the model that is asked for:
/// `slow-…` streams without an end, `error-…` answers 500, anything else answers as many tokens as its name ends in.
struct Stub {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    /// Tokens that were told to somebody, all of them.
    input: Arc<AtomicU64>,
    output: Arc<AtomicU64>,
    /// Whether somebody closed a stream before its end.
    aborted: Arc<AtomicBool>,
}

impl Stub {
    fn start() -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stub = Stub { address, seen: Arc::default(), input: Arc::default(), output: Arc::default(), aborted: Arc::default() };
        let (seen, input, output, aborted) = (stub.seen.clone(), stub.input.clone(), stub.output.clone(), stub.aborted.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (seen, input, output, aborted) = (seen.clone(), input.clone(), output.clone(), aborted.clone());
                std::thread::spawn(move || {
                    let mut socket = socket;
                    while let Some((head, body)) = read(&mut socket) {
                        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                        seen.lock().unwrap().push(format!("{head}\r\n\r\n{}", String::from_utf8_lossy(&body)));
                        if !answer(&mut socket, &asked, (&input, &output), &aborted) || head.contains("HTTP/1.0") {
                            return;
                        }
                    }
                });
            }
        });
        stub
    }
    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

fn read(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 65_536];
    loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
            if bytes.len() >= at + 4 + length {
                return Some((head, bytes[at + 4..at + 4 + length].to_vec()));
            }
        }
        let n = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
    }
}

/// Answers; `false` ends the connection.
fn answer(socket: &mut TcpStream, asked: &Value, told: (&AtomicU64, &AtomicU64), aborted: &AtomicBool) -> bool {
    let model = asked["model"].as_str().unwrap_or("m-3");
    let say = |socket: &mut TcpStream, text: &str| socket.write_all(text.as_bytes()).is_ok();
    let whole = |socket: &mut TcpStream, status: &str, body: &str| {
        say(socket, &format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    };
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let event = |value: Value| format!("data: {value}\n\n");
    if model.starts_with("error") {
        return whole(socket, "500 Internal Server Error", r#"{"error":{"message":"on purpose"}}"#);
    }
    let tokens = model.rsplit('-').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(3);
    let usage = json!({"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens});
    let tell = || {
        told.0.fetch_add(7, Ordering::SeqCst);
        told.1.fetch_add(tokens, Ordering::SeqCst);
    };
    if asked["stream"] != json!(true) {
        tell();
        let choice = json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "wort ".repeat(tokens as usize)}});
        return whole(
            socket,
            "200 OK",
            &json!({"id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}).to_string(),
        );
    }
    if !say(socket, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n") {
        return false;
    }
    let delta = |content: &str| json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]});
    if model.starts_with("slow") {
        for _ in 0..2_000 {
            if !say(socket, &chunk(&event(delta("wört ")))) {
                aborted.store(true, Ordering::SeqCst);
                return false;
            }
            wait_ms(10);
        }
        return false;
    }
    // Cut wherever it falls, so that events, lines and characters come in pieces.
    let mut text = String::from(": begin\n\n");
    for _ in 0..tokens {
        text.push_str(&event(delta("wört 🦊 ")));
    }
    text.push_str(&event(
        json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ));
    if asked["stream_options"]["include_usage"] == json!(true) {
        tell();
        text.push_str(&event(json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [], "usage": usage})));
    }
    text.push_str("data: [DONE]\n\n");
    for piece in text.as_bytes().chunks(37) {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
        if socket.write_all(&framed).is_err() {
            aborted.store(true, Ordering::SeqCst);
            return false;
        }
    }
    say(socket, "0\r\n\r\n")
}

fn configured(dir: &Path, text: &str) -> String {
    let path = dir.join("watchfire.yml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> crate::server::Answer {
    let all: Vec<(&str, &str)> = headers.iter().copied().chain([("Content-Type", "application/json")]).collect();
    request(address, "POST", path, &all, body.to_string().as_bytes()).unwrap()
}

fn chat(model: &str, stream: bool) -> Value {
    let mut asked = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    if stream {
        asked["stream"] = json!(true);
        asked["stream_options"] = json!({"include_usage": true});
    }
    asked
}

/// The body of an answer without the framing of chunks.
fn plain(answer: &crate::server::Answer) -> Vec<u8> {
    if !answer.head.contains("transfer-encoding: chunked") {
        return answer.body.clone();
    }
    let (mut rest, mut all) = (&answer.body[..], Vec::new());
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        all.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 4 + size..];
    }
    all
}

/// Waits until so many exchanges are accounted for.
fn accounted(server: &Server, exchanges: u64) -> Value {
    until("accounts", || server.json("/api/llm/cost")["ever"].clone(), |ever| ever["exchanges"].as_u64() >= Some(exchanges))
}

#[test]
fn streams_pass_byte_for_byte_and_tokens_are_those_of_the_upstream() {
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    let port = free_port();
    let config = configured(
        dir.path(),
        &format!(
            "gateway:\n  upstreams: [{{name: stub, url: '{}', api_key: canary-key, listen: '127.0.0.1:{port}'}}]\n  prices: [{{model: '*', input_per_million: 1, output_per_million: 2}}]\n",
            stub.url()
        ),
    );
    let server = Server::start(&dir.path().join("data"), &["--config", &config], &[]);
    for stream in [false, true] {
        let asked = chat("nano-40", stream);
        let direct = post(stub.address, "/v1/chat/completions", &[], &asked);
        let through = post(server.address, "/llm/v1/chat/completions", &[("X-Camera-Id", "front"), ("Authorization", "Bearer sk-mine")], &asked);
        let direct = plain(&direct);
        assert!(direct.len() > 100);
        assert_eq!((through.status, &direct), (200, &plain(&through)), "stream: {stream}");
        let own: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
        assert_eq!(plain(&post(own, "/v1/chat/completions", &[], &asked)), direct, "on its own port");
    }
    let ever = accounted(&server, 4);
    assert_eq!(
        (&ever["input_tokens"], &ever["output_tokens"], &ever["partial"], &ever["estimated_input_tokens"]),
        (&json!(28), &json!(160), &json!(0), &json!(0))
    );
    let requests = stub.seen.lock().unwrap().clone();
    assert_eq!(requests.len(), 6);
    for request in &requests {
        let from_us = request.contains("Bearer canary-key");
        assert!(!request.contains("sk-mine") && (from_us || request.contains("HTTP/1.0")), "{request}");
    }
    let text = server.get("/metrics").unwrap().text();
    for line in [
        "hsi_nemotron_tokens_input_total{camera_id=\"front\"} 14",
        "hsi_nemotron_tokens_output_total{camera_id=\"front\"} 80",
        "inference_requests_total{model=\"nano-40\"} 4",
        "inference_requests_failed_total 0",
        "inference_tokens_total{model=\"nano-40\"} 160",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in {text}");
    }
    assert!(text.contains("hsi_ai_request_duration_seconds_count{service=\"nemotron\"} 4"), "{text}");
    for place in [text, server.log(), server.json("/api/llm/cost").to_string(), server.json("/api/v1/status/config").to_string()] {
        assert!(!place.contains("canary-key") && !place.contains("sk-mine"), "{place}");
    }
    // Errors of the upstream pass, and what nobody serves does not.
    assert_eq!(post(server.address, "/llm/v1/chat/completions", &[], &chat("error-1", false)).status, 500);
    let own = request(format!("127.0.0.1:{port}").parse().unwrap(), "GET", "/api/system/gpu", &[], b"").unwrap();
    assert_eq!((own.status, own.json()["error"]["code"].clone()), (404, json!("not_found")));
}

#[test]
fn a_caller_that_leaves_stops_the_upstream_and_a_death_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    let environment = [("WATCHFIRE_GATEWAY_UPSTREAM", stub.url()), ("AI_MAX_CONCURRENT_INFERENCES", "16".to_owned())];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let data = dir.path().join("data");
    let mut server = Server::start(&data, &[], &environment);
    let begin = |server: &Server| {
        let mut socket = TcpStream::connect(server.address).unwrap();
        let body = chat("slow-1", true).to_string();
        let head = format!(
            "POST /llm/v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            server.address,
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut got = String::new();
        let mut piece = [0; 4096];
        while got.matches("data: ").count() < 3 {
            let n = socket.read(&mut piece).unwrap();
            assert!(n > 0, "{got}");
            got.push_str(&String::from_utf8_lossy(&piece[..n]));
        }
        socket
    };
    drop(begin(&server));
    until("the upstream's stream is closed", || stub.aborted.load(Ordering::SeqCst), |aborted| *aborted);
    let ever = accounted(&server, 1);
    assert_eq!((&ever["partial"], &ever["failed"], &ever["input_tokens"]), (&json!(1), &json!(0), &json!(0)));

    // Exchanges that end while others are cut off by a death, three times over.
    let (mut ended, mut cut) = (0, 1);
    for _ in 0..3 {
        let open: Vec<TcpStream> = (0..3).map(|_| begin(&server)).collect();
        for n in 1..=5 {
            assert_eq!(post(server.address, "/llm/v1/chat/completions", &[], &chat(&format!("nano-{n}"), n % 2 == 0)).status, 200);
            ended += 1;
        }
        // An account is written before the end of an answer that tells its usage.
        server.kill();
        drop(open);
        cut += 3;
        server = Server::start(&data, &[], &environment);
        let ever = server.json("/api/llm/cost")["ever"].clone();
        let told = (stub.input.load(Ordering::SeqCst), stub.output.load(Ordering::SeqCst));
        assert_eq!((&ever["exchanges"], &ever["partial"]), (&json!(ended + cut), &json!(cut)), "{ever}");
        assert_eq!((&ever["input_tokens"], &ever["output_tokens"]), (&json!(told.0), &json!(told.1)), "{ever}");
    }
    let text = server.get("/metrics").unwrap().text();
    assert!(text.contains(&format!("inference_requests_success_total {}", ended + cut)), "counters go on: {text}");
    assert!(server.terminate().success());
    let server = Server::start(&data, &[], &environment);
    assert_eq!(server.json("/api/llm/cost")["ever"]["partial"], json!(cut), "an orderly end leaves nothing open");
}

#[test]
fn r58_a_thousand_exchanges_of_every_kind_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    let config = configured(
        dir.path(),
        &format!("gateway:\n  upstreams: [{{name: stub, url: '{}', breaker: {{failures: 1000000}}}}]\n  concurrency: {{max: 16, queue: 1000}}\n", stub.url()),
    );
    let server = Server::start(&dir.path().join("data"), &["--config", &config], &[]);
    let address = server.address;
    let caller = move |number: usize| {
        let (mut failed, mut left) = (0u64, 0u64);
        for n in 0..64usize {
            let kind = (number * 31 + n * 17) % 13;
            match kind {
                0 => {
                    assert_eq!(post(address, "/llm/v1/chat/completions", &[], &chat("error-1", false)).status, 500);
                    failed += 1;
                }
                1 => {
                    // Leaves in the middle of a stream.
                    let mut socket = TcpStream::connect(address).unwrap();
                    let body = chat("slow-1", true).to_string();
                    let head = format!(
                        "POST /llm/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    socket.write_all(head.as_bytes()).unwrap();
                    socket.write_all(body.as_bytes()).unwrap();
                    assert!(socket.read(&mut [0; 512]).unwrap() > 0);
                    left += 1;
                }
                kind => {
                    let camera = format!("camera-{}", number % 4);
                    let answer = post(address, "/llm/v1/chat/completions", &[("X-Camera-Id", &camera)], &chat(&format!("nano-{kind}"), n % 2 == 0));
                    assert_eq!(answer.status, 200);
                }
            }
        }
        (failed, left)
    };
    let threads: Vec<_> = (0..16).map(|number| std::thread::spawn(move || caller(number))).collect();
    let counted: Vec<(u64, u64)> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let (failed, left) = (counted.iter().map(|c| c.0).sum::<u64>(), counted.iter().map(|c| c.1).sum::<u64>());
    let ever = accounted(&server, 16 * 64);
    let told = (stub.input.load(Ordering::SeqCst), stub.output.load(Ordering::SeqCst));
    assert_eq!((&ever["exchanges"], &ever["failed"], &ever["partial"]), (&json!(16 * 64), &json!(failed), &json!(left)), "{ever}");
    assert_eq!((&ever["input_tokens"], &ever["output_tokens"]), (&json!(told.0), &json!(told.1)), "{ever}");
    let text = server.get("/metrics").unwrap().text();
    let of_cameras = |family: &str| -> f64 {
        let lines = text.lines().filter(|l| l.starts_with(&format!("{family}{{camera_id=\"camera-")));
        lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(of_cameras("hsi_nemotron_tokens_input_total"), told.0 as f64);
    assert_eq!(of_cameras("hsi_nemotron_tokens_output_total"), told.1 as f64);
}

#[test]
fn a_dead_upstream_is_told_within_a_second_and_then_rests() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_GATEWAY_UPSTREAM", &nobody)]);
    let mut codes = Vec::new();
    for _ in 0..6 {
        let answer = post(server.address, "/llm/v1/chat/completions", &[], &chat("m", false));
        codes.push((answer.status, answer.json()["error"]["code"].as_str().unwrap().to_owned()));
        if answer.status == 503 {
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        }
    }
    let unreachable = (502, "upstream_unreachable".to_owned());
    assert_eq!(codes[..5], [const { (502, String::new()) }; 5].map(|_| unreachable.clone()));
    assert_eq!(codes[5], (503, "circuit_open".to_owned()));
    let text = server.get("/metrics").unwrap().text();
    assert!(text.contains("hsi_circuit_breaker_state{breaker=\"default\",service=\"default\"} 1"), "{text}");
    assert!(text.contains("hsi_circuit_breaker_trips_total{breaker=\"default\",service=\"default\"} 1"), "{text}");
}

#[test]
fn a_token_of_ours_is_the_api_key_and_goes_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    let data = dir.path().join("data");
    let server = Server::start(&data, &[], &[("WATCHFIRE_GATEWAY_UPSTREAM", &stub.url()), ("WATCHFIRE_AUTH_ENABLED", "true")]);
    let admin = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let bearer = format!("Bearer {}", admin.trim());
    let made = post(server.address, "/api/auth/tokens", &[("Authorization", &bearer)], &json!({"name": "analyzer", "level": "ingest"}));
    assert!((200..300).contains(&made.status), "{}", made.text());
    let token = format!("Bearer {}", made.json()["token"].as_str().unwrap());
    let asked = chat("nano-2", false);
    let none = post(server.address, "/llm/v1/chat/completions", &[], &asked);
    assert_eq!((none.status, none.json()["error"]["type"].clone()), (401, json!("authentication_error")));
    assert_eq!(post(server.address, "/llm/v1/chat/completions", &[("Authorization", &token)], &asked).status, 200);
    let seen = stub.seen.lock().unwrap().clone();
    assert!(seen.len() == 1 && !seen[0].to_ascii_lowercase().contains("authorization"), "{seen:?}");
    let costs = request(server.address, "GET", "/api/llm/cost", &[("Authorization", &bearer)], b"").unwrap().json();
    assert_eq!(costs["callers"][0]["name"], "analyzer");
}

const PROGRAM: &str = r#"
import sys, json
import httpx2 as httpx  # what this version of the client is made of
from openai import OpenAI, APIStatusError
direct, through = sys.argv[1], sys.argv[2]

class Recorded(httpx.SyncByteStream):
    def __init__(self, inner, kept): self.inner, self.kept = inner, kept
    def __iter__(self):
        for piece in self.inner:
            self.kept.append(piece)
            yield piece
    def close(self): self.inner.close()
class Recording(httpx.HTTPTransport):
    def handle_request(self, request):
        response = super().handle_request(request)
        self.kept = []
        response.stream = Recorded(response.stream, self.kept)
        return response

def stream(base):
    transport = Recording()
    client = OpenAI(base_url=base, api_key="sk-unused", http_client=httpx.Client(transport=transport), max_retries=0)
    words, usage = [], None
    for chunk in client.chat.completions.create(model="nano-25", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}):
        words += [c.delta.content or "" for c in chunk.choices]
        usage = chunk.usage or usage
    whole = client.chat.completions.create(model="nano-4", messages=[{"role": "user", "content": "hi"}])
    return "".join(words), usage.completion_tokens, whole.choices[0].message.content, transport.kept

def raw(base):
    transport = Recording()
    client = OpenAI(base_url=base, api_key="sk-unused", http_client=httpx.Client(transport=transport), max_retries=0)
    for _ in client.chat.completions.create(model="nano-25", messages=[{"role": "user", "content": "hi"}], stream=True): pass
    return b"".join(transport.kept)

a, b = stream(direct), stream(through)
assert a[:3] == b[:3], (a, b)
assert raw(direct) == raw(through)
client = OpenAI(base_url=through, api_key="x", max_retries=0)
try:
    client.chat.completions.create(model="error-1", messages=[])
except APIStatusError as error:
    assert error.status_code == 500 and "on purpose" in str(error), error
else:
    raise AssertionError("an error is an error")
print(json.dumps({"words": len(b[0]), "tokens": b[1]}))
"#;

#[test]
fn openais_own_client_streams_through_unchanged() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_GATEWAY_UPSTREAM", &stub.url())]);
    let output = Command::new(python).args(["-c", PROGRAM, &stub.url(), &format!("{}/llm/v1", server.url())]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["tokens"], 25);
    let ever = accounted(&server, 4);
    // The stream that was not asked to tell its usage is counted by us; the error counts no token.
    assert_eq!((&ever["input_tokens"], &ever["output_tokens"], &ever["failed"]), (&json!(14), &json!(29), &json!(1)));
    assert!(ever["estimated_output_tokens"].as_u64() > Some(25), "{ever}");
}
