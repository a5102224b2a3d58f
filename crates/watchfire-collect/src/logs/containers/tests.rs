//! A socket as Docker and Podman have it, with two containers behind it.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use watchfire_ingest::relabel::Action;
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};

use std::path::Path;

use super::*;

#[derive(Default)]
pub(crate) struct House {
    pub(crate) lines: Mutex<Vec<String>>,
    state: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) kept: tokio::sync::Notify,
}
impl Sink for House {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for stream in batch.logs {
            self.lines.lock().unwrap().extend(stream.entries.iter().map(|e| format!("{} {} {}", e.time.0, stream.labels, e.line)));
        }
        Ok(Written::default())
    }
}
impl StateStore for House {
    fn get(&self, _table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.state.lock().unwrap().get(key).cloned())
    }
    fn scan(&self, _table: Table, _prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(self.state.lock().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        for change in changes {
            match change {
                Change::Put(_, key, value) => drop(self.state.lock().unwrap().insert(key.clone(), value.clone())),
                Change::Delete(_, key) => drop(self.state.lock().unwrap().remove(key)),
            }
        }
        self.kept.notify_one();
        Ok(())
    }
}

pub(crate) fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![stream, 0, 0, 0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// One container's name, and the frames of its log.
pub(crate) type OneContainer = (&'static str, Vec<u8>);

/// Answers as an engine with one container does, and notes what was asked.
pub(crate) async fn engine(listener: UnixListener, asked: Arc<Mutex<Vec<String>>>, (name, log): OneContainer) {
    loop {
        let (mut peer, _) = listener.accept().await.unwrap();
        let (asked, log) = (Arc::clone(&asked), log.clone());
        tokio::spawn(async move {
            let mut request = vec![0; 4_096];
            let length = peer.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..length]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or("").to_owned();
            asked.lock().unwrap().push(format!("{} {target}", head.split(' ').next().unwrap_or("")));
            let json = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes();
            let answer = if target.starts_with("/containers/json") {
                json(&format!(
                    r#"[{{"Id":"abc1","Names":["{name}"],"Image":"hsi/{name}:1","State":"running","Labels":{{"com.x":"y"}}}},
                        {{"Id":"gone2","Names":["gone"],"Image":"x","State":"removing"}}]"#
                ))
            } else if target.ends_with("/abc1/json") {
                json(r#"{"Config":{"Tty":false}}"#)
            } else if target.contains("/gone2/") {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_vec()
            } else {
                let mut all = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for part in log.chunks(7) {
                    all.extend(format!("{:x}\r\n", part.len()).bytes());
                    all.extend(part);
                    all.extend(b"\r\n");
                }
                all
            };
            peer.write_all(&answer).await.unwrap();
            // A log that is followed does not end.
            std::future::pending::<()>().await;
        });
    }
}

fn source(socket: &Path) -> Source {
    let rule = |from: &str, to: &str| RelabelConfig::new(Action::Replace, &[from], "/?(.*)", to, "$1").unwrap();
    Source {
        name: "alloy/docker".into(),
        socket: socket.to_path_buf(),
        filters: Vec::new(),
        refresh: Duration::from_secs(60),
        discovery: Vec::new(),
        labels: BTreeMap::from([("job".to_owned(), "podman-containers".to_owned())]),
        relabel: vec![rule("__meta_docker_container_name", "container"), rule("__meta_docker_container_image", "image")],
        stages: Vec::new(),
    }
}

/// Turns the clock until a place was kept.
pub(crate) async fn kept(house: &House, clock: &ManualClock) {
    loop {
        tokio::select! {
            () = house.kept.notified() => return,
            () = tokio::time::sleep(Duration::from_millis(5)) => clock.advance(Duration::from_secs(1)),
        }
    }
}

#[test]
fn places_of_containers_that_are_gone_are_forgotten_and_others_taken_over() {
    let house = Arc::new(House::default());
    let day = 86_400_000_000_000i64;
    let clock = ManualClock::new(Timestamp(100 * 86_400_000));
    let parts = Surroundings::new(house.clone(), house.clone(), clock, &Meter::new());
    let places = [
        ("promtail/a\nhere", 99),
        ("promtail/a\ngone", 99),
        ("promtail/old/0\nmoved", 99),
        ("promtail/old/0\nhere", 99),
        ("promtail/old/0\nelsewhere", 99),
        ("promtail/old/0\nlong ago", 1),
        ("alloy/x\nmoved", 99),
        ("promtail/b\nother engine", 1),
        ("promtail/journal", 1),
    ];
    for (key, at) in places {
        house.state.lock().unwrap().insert(key.to_owned(), (at * day).to_string().into_bytes());
    }
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<String>>();
    kept::tidy(&parts, "promtail/a", &set(&["promtail/a", "promtail/b", "alloy/y"]), &set(&["here", "moved"]));
    let left: Vec<String> = house.state.lock().unwrap().keys().cloned().collect();
    let expected = [
        "alloy/x\nmoved",
        "promtail/a\nhere",
        "promtail/a\nmoved",
        "promtail/b\nother engine",
        "promtail/journal",
        "promtail/old/0\nelsewhere",
        "promtail/old/0\nhere",
    ];
    assert_eq!(left, expected);
}

#[tokio::test]
async fn log_13_container_and_image_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut log = frame(1, "1970-01-01T00:00:01.000000005Z INFO up camera=front\n");
    log.extend(frame(2, "1970-01-01T00:00:02Z half "));
    log.extend(frame(2, "1970-01-01T00:00:02Z whole\n"));
    let engine = tokio::spawn(engine(UnixListener::bind(&socket).unwrap(), asked.clone(), ("backend", log)));
    let house = Arc::new(House::default());
    let clock = ManualClock::new(Timestamp(10_000));
    let parts = Surroundings::new(house.clone(), house.clone(), clock.clone(), &Meter::new());
    let names = Arc::new(HashSet::from(["alloy/docker".to_owned()]));
    let reading = tokio::spawn(run(source(&socket), parts.clone(), names.clone()));
    kept(&house, &clock).await;
    reading.abort();
    let labels = r#"{container="backend", image="hsi/backend:1", job="podman-containers"}"#;
    let mut found = house.lines.lock().unwrap().clone();
    found.sort();
    assert_eq!(found, [format!("1000000005 {labels} INFO up camera=front"), format!("2000000000 {labels} half whole")]);
    // Another process goes on from there, and only asks.
    let reading = tokio::spawn(run(source(&socket), parts, names));
    kept(&house, &clock).await;
    reading.abort();
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().all(|line| line.starts_with("GET /containers/")), "{asked:?}");
    assert!(asked.iter().any(|line| line.ends_with("&since=2.000000000")), "{asked:?}");
    // One that was removed is asked for once by each.
    assert_eq!(asked.iter().filter(|line| line.contains("/gone2/")).count(), 2, "{asked:?}");
    engine.abort();
}

proptest! {
    /// However the bytes are cut, and whatever they are, nothing breaks and the same lines come out.
    #[test]
    fn frames_may_be_cut_anywhere(bytes in proptest::collection::vec(any::<u8>(), 0..200), texts in proptest::collection::vec("[a-z \n]{0,20}", 0..5), cut in 1usize..30) {
        let mut all: Vec<u8> = texts.iter().enumerate().flat_map(|(i, text)| frame(1 + (i % 2) as u8, text)).collect();
        all.extend(&bytes);
        let read = |cut: usize| {
            let (mut frames, mut out) = (Frames::new(false), Vec::new());
            all.chunks(cut).for_each(|piece| frames.take(piece, &mut out));
            frames.end(&mut out);
            out
        };
        prop_assert_eq!(read(cut), read(usize::MAX));
    }
}
