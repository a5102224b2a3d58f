//! A scripted upstream on a real socket, and a gateway before it whose observations are kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{SharedClock, SystemClock};
use watchfire_net::client::{Caller, HttpOptions, Phases, Pooling};
use watchfire_tokens::{Budget, Counter, Encoding, TokenCounter};

use crate::gateway::Endpoint;
use crate::gateway::{BreakerSettings, Gateway, Incoming, Parts, Settings, UpstreamSettings};

/// What the upstream does with the next request.
#[derive(Clone)]
pub(super) enum Act {
    /// Writes this and goes on.
    Say(Vec<u8>),
    /// Waits until the test lets it go on.
    Wait(Arc<tokio::sync::Semaphore>),
    /// Closes the connection.
    Close,
    /// Waits until the other side closes, and tells.
    UntilClosed(mpsc::UnboundedSender<()>),
}

/// Requests as they came, head and body.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// Serves every request with the next script; the last one serves all further ones.
pub(super) async fn upstream(scripts: Vec<Vec<Act>>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked: Asked = Arc::default();
    let (seen, next) = (asked.clone(), Arc::new(Mutex::new(0usize)));
    tokio::task::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::task::spawn(serve(socket, scripts.clone(), next.clone(), seen.clone()));
        }
    });
    (address, asked)
}

async fn serve(mut socket: TcpStream, scripts: Vec<Vec<Act>>, next: Arc<Mutex<usize>>, seen: Asked) {
    while let Some(request) = read(&mut socket).await {
        seen.lock().unwrap().push(request);
        let script = {
            let mut next = next.lock().unwrap();
            *next += 1;
            scripts[(*next - 1).min(scripts.len() - 1)].clone()
        };
        for act in script {
            match act {
                Act::Say(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Wait(turn) => turn.acquire().await.unwrap().forget(),
                Act::Close => return,
                Act::UntilClosed(tell) => {
                    let mut rest = [0; 64];
                    while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                    tell.send(()).unwrap();
                    return;
                }
            }
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = socket.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if body.len() >= length {
            return Some(text);
        }
    }
}

/// A whole answer.
pub(super) fn answer(status: &str, content_type: &str, body: &str) -> Vec<Act> {
    vec![Act::Say(format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())]
}
pub(super) fn json(body: &str) -> Vec<Act> {
    answer("200 OK", "application/json", body)
}

/// The head of a stream in chunks.
pub(super) fn stream_head() -> Act {
    Act::Say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n".to_vec())
}
pub(super) fn chunk(data: impl AsRef<[u8]>) -> Act {
    let data = data.as_ref();
    Act::Say([format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat())
}
pub(super) fn end() -> Act {
    Act::Say(b"0\r\n\r\n".to_vec())
}

/// Keeps what is observed: the sum of what was said of each series, and the last value.
#[derive(Default)]
pub(super) struct Observed(Mutex<BTreeMap<String, (f64, f64)>>);
impl Observe for Observed {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut all = self.0.lock().unwrap();
        let entry = all.entry(format!("{family}{{{}}}", labels.join(","))).or_default();
        *entry = (entry.0 + value, value);
    }
}
impl Observed {
    pub(super) fn sum(&self, series: &str) -> f64 {
        self.0.lock().unwrap().get(series).map_or(f64::NAN, |v| v.0)
    }
    pub(super) fn last(&self, series: &str) -> f64 {
        self.0.lock().unwrap().get(series).map_or(f64::NAN, |v| v.1)
    }
    pub(super) fn all(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

/// A state store in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<(Table, String), Vec<u8>>>);
impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut all = self.0.lock().unwrap();
        for change in changes.iter().cloned() {
            match change {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}

/// A gateway with what it keeps and tells.
pub(super) struct Bench {
    pub(super) gateway: Gateway,
    pub(super) observed: Arc<Observed>,
    pub(super) state: Arc<Memory>,
    pub(super) dir: Arc<tempfile::TempDir>,
    pub(super) settings: Settings,
}

pub(super) fn settings(url: &str) -> UpstreamSettings {
    let secs = Duration::from_secs;
    UpstreamSettings {
        name: "llama".to_owned(),
        url: url.to_owned(),
        models: Vec::new(),
        service: "nemotron".to_owned(),
        options: Arc::new(HttpOptions::default()),
        phases: Phases { head: secs(20), idle: secs(20), total: secs(60) },
        breaker: BreakerSettings { failures: 3, open: secs(30) },
        context_window: Some(4_096),
    }
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Bench {
        Bench::open(settings, Arc::default(), Arc::new(tempfile::tempdir().unwrap()), SystemClock::shared())
    }
    pub(super) fn before(url: &str) -> Bench {
        Bench::new(Settings { upstreams: vec![settings(url)], ..Settings::default() })
    }
    pub(super) fn open(settings: Settings, state: Arc<Memory>, dir: Arc<tempfile::TempDir>, clock: SharedClock) -> Bench {
        let observed: Arc<Observed> = Arc::default();
        let counter = TokenCounter::new(Counter::new(Encoding::Cl100kBase), Budget::new(10_000, 1_000, 0.8).unwrap(), true, observed.clone());
        let pooling = Pooling { connect: Some(Duration::from_millis(500)), ..Pooling::default() };
        let parts = Parts {
            settings: settings.clone(),
            caller: Arc::new(Caller::new(clock.clone()).with_pooling(pooling)),
            counter: Arc::new(counter),
            observe: observed.clone(),
            total: Arc::new(|family| (family == "hsi_events_created_total").then_some(4.0)),
            state: state.clone(),
            journal: dir.path().join("journal"),
            clock,
            zone: Some("UTC".to_owned()),
            meter: Meter::new(),
        };
        Bench { gateway: Gateway::open(parts).unwrap(), observed, state, dir, settings }
    }
    /// The same after the death of the process: nothing is said to the old one.
    pub(super) fn reborn(&self) -> Bench {
        Bench::open(self.settings.clone(), self.state.clone(), self.dir.clone(), SystemClock::shared())
    }

    /// Waits for accounts, which are made after the answer.
    pub(super) async fn accounted(&self, exchanges: u64) -> crate::gateway::Line {
        for _ in 0..2_000 {
            let ever = self.gateway.costs(9, 9).ever;
            if ever.exchanges >= exchanges {
                return ever;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never accounted: {:?}", self.gateway.costs(9, 9));
    }
}

/// A request for a chat.
pub(super) fn chat(body: &str, headers: &[(&'static str, &'static str)]) -> Incoming {
    let pairs = headers.iter().map(|(n, v)| (http::HeaderName::from_static(n), http::HeaderValue::from_static(v)));
    Incoming { endpoint: Endpoint::Chat, upstream: None, headers: pairs.collect(), body: body.to_owned().into(), caller: None }
}
