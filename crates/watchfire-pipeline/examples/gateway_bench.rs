//! What the gateway adds to a model call: the same requests to a stub of an inference server, directly and through a running Watchfire, in
//! turn, as a table. Run by `make bench-gateway`; it asserts nothing but that answers are equal, and is no load test.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::time::{Clock, SystemClock};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Requests of each kind and way, after some that do not count.
const REQUESTS: usize = 2_000;
const WARM_UP: usize = 200;
/// Events of a stream.
const EVENTS: usize = 50;

/// One kind of request.
struct Kind {
    name: &'static str,
    callers: usize,
    body: String,
}

/// One way to the stub.
#[derive(Clone, Copy)]
struct Way {
    address: SocketAddr,
    path: &'static str,
}

/// When the first event and the end came, in microseconds.
#[derive(Clone, Copy)]
struct Took {
    first: f64,
    all: f64,
}

fn main() -> Outcome<()> {
    let binary = std::env::args().nth(1).ok_or("usage: gateway_bench BINARY")?;
    let stub = TcpListener::bind("127.0.0.1:0")?;
    let upstream = stub.local_addr()?;
    std::thread::spawn(move || {
        for socket in stub.incoming().flatten() {
            std::thread::spawn(move || serve(socket));
        }
    });
    let dir = std::env::temp_dir().join(format!("watchfire-bench-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let running = Running(
        Command::new(binary)
            .args(["serve", "--listen", &address.to_string(), "--data-dir"])
            .arg(dir.join("data"))
            .current_dir(&dir)
            .envs([("WATCHFIRE_GATEWAY_UPSTREAM", format!("http://{upstream}/v1")), ("AI_MAX_CONCURRENT_INFERENCES", "64".to_owned())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let through = Way { address, path: "/llm/v1/chat/completions" };
    let direct = Way { address: upstream, path: "/v1/chat/completions" };
    wait_for(address)?;
    println!("| request | callers | | direct p50 | direct p99 | gateway p50 | gateway p99 | added p50 | added p99 |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for kind in kinds() {
        measure(&kind, direct, WARM_UP)?;
        measure(&kind, through, WARM_UP)?;
        // In turn, so that what else the machine does meets both.
        let (mut by_stub, mut by_gateway) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            by_stub.extend(measure(&kind, direct, REQUESTS / 4)?);
            by_gateway.extend(measure(&kind, through, REQUESTS / 4)?);
        }
        row(&kind, "first event", &by_stub, &by_gateway, |t| t.first);
        row(&kind, "whole answer", &by_stub, &by_gateway, |t| t.all);
    }
    drop(running);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Ends with the benchmark.
struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn kinds() -> Vec<Kind> {
    let chat = |stream: bool, words: usize| {
        let content = "a word ".repeat(words);
        format!(r#"{{"model":"bench","stream":{stream},"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    let kind = |name, callers, body| Kind { name, callers, body };
    vec![
        kind("JSON, 1 KB prompt", 1, chat(false, 150)),
        kind("JSON, 1 KB prompt", 8, chat(false, 150)),
        kind("JSON, 500 KB prompt", 1, chat(false, 72_000)),
        kind("stream of 50 events", 1, chat(true, 150)),
        kind("stream of 50 events", 8, chat(true, 150)),
    ]
}

fn row(kind: &Kind, what: &str, direct: &[Took], through: &[Took], part: fn(&Took) -> f64) {
    let at = |all: &[Took], share: f64| {
        let mut times: Vec<f64> = all.iter().map(part).collect();
        times.sort_by(f64::total_cmp);
        let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or(f64::NAN) / 1_000.0
    };
    let figures = [at(direct, 0.5), at(direct, 0.99), at(through, 0.5), at(through, 0.99)];
    let [d50, d99, t50, t99] = figures;
    println!(
        "| {} | {} | {what} | {d50:.2} ms | {d99:.2} ms | {t50:.2} ms | {t99:.2} ms | {:.2} ms | {:.2} ms |",
        kind.name,
        kind.callers,
        t50 - d50,
        t99 - d99
    );
}

/// Makes requests on kept connections, from as many callers as the kind says.
fn measure(kind: &Kind, way: Way, requests: usize) -> Outcome<Vec<Took>> {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nx-camera-id: bench\r\ncontent-length: {}\r\n\r\n",
        way.path,
        way.address,
        kind.body.len()
    );
    let message: Arc<[u8]> = [head.as_bytes(), kind.body.as_bytes()].concat().into();
    let clock = Arc::new(SystemClock::new());
    let each = requests.div_ceil(kind.callers);
    let callers: Vec<_> = (0..kind.callers)
        .map(|_| {
            let (message, clock) = (message.clone(), clock.clone());
            std::thread::spawn(move || -> Outcome<Vec<Took>> {
                let mut socket = TcpStream::connect(way.address)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(Duration::from_secs(20)))?;
                (0..each).map(|_| one(&mut socket, &message, &clock)).collect()
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.join().map_err(|_| "a caller panicked")??);
    }
    Ok(all)
}

/// One request and its whole answer.
fn one(socket: &mut TcpStream, message: &[u8], clock: &SystemClock) -> Outcome<Took> {
    let began = clock.monotonic();
    let since = || (clock.monotonic().saturating_sub(began)).as_secs_f64() * 1e6;
    socket.write_all(message)?;
    let mut got = Vec::new();
    let mut piece = [0; 16_384];
    let mut first = None;
    loop {
        let n = socket.read(&mut piece)?;
        if n == 0 {
            return Err(format!("the connection ended after {} bytes: {}", got.len(), String::from_utf8_lossy(&got)).into());
        }
        got.extend_from_slice(&piece[..n]);
        let Some(at) = find(&got, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&got[..at]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(format!("refused: {}", String::from_utf8_lossy(&got)).into());
        }
        if got.len() > at + 4 {
            first.get_or_insert_with(since);
        }
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let complete = match length {
            Some(length) => got.len() >= at + 4 + length,
            None => got.ends_with(b"0\r\n\r\n"),
        };
        if complete {
            let all = since();
            return Ok(Took { first: first.unwrap_or(all), all });
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

fn wait_for(address: SocketAddr) -> Outcome<()> {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        // A pause that nothing ends early, as the other end is kept.
        if never.recv_timeout(Duration::from_millis(50)).is_ok() {
            break;
        }
    }
    Err("watchfire does not listen after 10 s".into())
}

/// The stub: answers at once, a stream one event at a time.
fn serve(mut socket: TcpStream) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let usage = r#"{"prompt_tokens":200,"completion_tokens":50,"total_tokens":250}"#;
    let mut bytes = Vec::new();
    let mut piece = vec![0; 65_536];
    loop {
        let n = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let Some(at) = find(&bytes, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if bytes.len() < at + 4 + length {
            continue;
        }
        let streams = find(&bytes[at..(at + 120).min(bytes.len())], b"\"stream\":true").is_some();
        bytes.drain(..at + 4 + length);
        if !streams {
            let body =
                format!(r#"{{"model":"bench","choices":[{{"message":{{"content":"{}"}},"finish_reason":"stop"}}],"usage":{usage}}}"#, "word ".repeat(50));
            socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).ok()?;
            continue;
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
        let mut say = |text: String| socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok();
        for _ in 0..EVENTS {
            say("data: {\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n".to_owned())?;
        }
        say(format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"))?;
        socket.write_all(b"0\r\n\r\n").ok()?;
    }
}
