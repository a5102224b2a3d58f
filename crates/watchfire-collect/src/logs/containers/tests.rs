//! A socket as Docker and Podman have it, with two containers behind it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use watchfire_ingest::relabel::Action;
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::state::{StateError, StateStore, Table};
use watchfire_model::time::SystemClock;
use watchfire_model::write::{Sink, WriteError, Written};

use super::*;

#[derive(Default)]
struct House {
    lines: Mutex<Vec<String>>,
    state: Mutex<BTreeMap<String, Vec<u8>>>,
    kept: tokio::sync::Notify,
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
        Ok(Vec::new())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        for change in changes {
            if let Change::Put(_, key, value) = change {
                self.state.lock().unwrap().insert(key.clone(), value.clone());
            }
        }
        self.kept.notify_one();
        Ok(())
    }
}

fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![stream, 0, 0, 0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Answers as an engine does, and notes what was asked.
async fn engine(path: &Path, asked: Arc<Mutex<Vec<String>>>) {
    let listener = UnixListener::bind(path).unwrap();
    loop {
        let (mut peer, _) = listener.accept().await.unwrap();
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut request = vec![0; 4_096];
            let length = peer.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..length]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or("").to_owned();
            asked.lock().unwrap().push(format!("{} {target}", head.split(' ').next().unwrap_or("")));
            let json = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes();
            let answer = if target.starts_with("/containers/json") {
                json(r#"[{"Id":"abc1","Names":["backend"],"Image":"hsi/backend:1","State":"running","Labels":{"com.x":"y"}}]"#)
            } else if target.ends_with("/abc1/json") {
                json(r#"{"Config":{"Tty":false}}"#)
            } else {
                let mut body = frame(1, "1970-01-01T00:00:01.000000005Z INFO up camera=front\n");
                body.extend(frame(2, "1970-01-01T00:00:02Z half "));
                body.extend(frame(2, "1970-01-01T00:00:02Z whole\n"));
                let mut all = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for part in body.chunks(7) {
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
        labels: BTreeMap::from([("job".to_owned(), "podman-containers".to_owned())]),
        relabel: vec![rule("__meta_docker_container_name", "container"), rule("__meta_docker_container_image", "image")],
        stages: Vec::new(),
    }
}

#[tokio::test]
async fn log_13_container_and_image_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let engine = tokio::spawn({
        let (socket, asked) = (socket.clone(), asked.clone());
        async move { engine(&socket, asked).await }
    });
    while !socket.exists() {
        tokio::task::yield_now().await;
    }
    let house = Arc::new(House::default());
    let parts = Surroundings::new(house.clone(), house.clone(), SystemClock::shared(), &Meter::new());
    let reading = tokio::spawn(run(source(&socket), parts.clone()));
    house.kept.notified().await;
    reading.abort();
    let labels = r#"{container="backend", image="hsi/backend:1", job="podman-containers"}"#;
    let mut found = house.lines.lock().unwrap().clone();
    found.sort();
    assert_eq!(found, [format!("1000000005 {labels} INFO up camera=front"), format!("2000000000 {labels} half whole")]);
    // Another process goes on from there, and only asks.
    let reading = tokio::spawn(run(source(&socket), parts));
    house.kept.notified().await;
    reading.abort();
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().all(|line| line.starts_with("GET /containers/")), "{asked:?}");
    assert!(asked.iter().any(|line| line.ends_with("&since=2.000000000")), "{asked:?}");
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
