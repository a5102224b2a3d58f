//! Workers and producers against a small queue on a real socket, which can hang up, be slow to answer and end leases.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Counts, Fate, Outcome, Producer, QueueError, Report, Settings, Worker};

/// How the stub treats the next requests whose path contains a text.
#[derive(Clone)]
enum Mood {
    /// Answers with a status and a code instead.
    Refuse(u16, &'static str),
    /// Does it and hangs up.
    DoAndHangUp,
}

#[derive(Default)]
struct Book {
    waiting: Vec<(u32, Vec<u8>)>,
    leased: BTreeMap<String, (u32, Vec<u8>)>,
    extended: u64,
    given: u64,
    dead: u64,
    moods: Vec<(&'static str, Mood)>,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Stub {
    url: String,
    book: Arc<Mutex<Book>>,
}

impl Stub {
    fn start() -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Stub { url: format!("http://{}", listener.local_addr().unwrap()), book: Arc::default() };
        let book = stub.book.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let book = book.clone();
                std::thread::spawn(move || serve(stream, &book));
            }
        });
        stub
    }
    fn settings(&self) -> Settings {
        Settings { wait: Duration::from_millis(20), patience: Duration::from_secs(5), ..Settings::new(&self.url, "q", "a worker") }
    }
    fn push(&self, payload: &[u8]) {
        Producer::new(&self.settings()).push(payload).unwrap();
    }
    fn mood(&self, path: &'static str, mood: Mood) {
        self.book.lock().unwrap().moods.push((path, mood));
    }
}

fn serve(mut stream: TcpStream, book: &Mutex<Book>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((path, body)) = read(&mut reader) {
        let mut book = book.lock().unwrap();
        book.asked.push(path.clone());
        let mood = book.moods.iter().position(|(part, _)| path.contains(part)).map(|i| book.moods.remove(i).1);
        let (status, answer) = match mood {
            Some(Mood::Refuse(status, code)) => (status, json!({"error": {"code": code, "message": "as told"}})),
            Some(Mood::DoAndHangUp) => {
                answer(&mut book, &path, body);
                return;
            }
            None => answer(&mut book, &path, body),
        };
        drop(book);
        let answer = answer.to_string();
        if write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((lines[0].split(' ').nth(1)?.strip_prefix("/api/queues/q/")?.to_owned(), body))
}

fn answer(book: &mut Book, path: &str, body: Vec<u8>) -> (u16, Value) {
    if path == "jobs" {
        book.waiting.push((1, body));
        return (201, json!({"id": "1", "depth": book.waiting.len(), "fill": 0.0, "backpressure": false}));
    }
    if path.starts_with("lease?") {
        let count = path.split('&').find_map(|p| p.strip_prefix("count=")?.parse::<usize>().ok()).unwrap();
        let many = count.min(book.waiting.len());
        let jobs: Vec<Value> = book.waiting.drain(..many).collect::<Vec<_>>().into_iter().map(|(attempt, payload)| lend(book, attempt, payload)).collect();
        return (200, json!({ "jobs": jobs }));
    }
    let mut parts = path.split(['/', '?']).skip(1);
    let (lease, what) = (parts.next().unwrap().to_owned(), parts.next().unwrap());
    let Some((attempt, payload)) = book.leased.get(&lease).cloned() else { return (404, json!({"error": {"code": "unknown_lease", "message": ""}})) };
    if what == "extend" {
        book.extended += 1;
        return (200, json!({"success": true}));
    }
    book.leased.remove(&lease);
    match what {
        "ack" => (200, json!({"success": true})),
        "release" => {
            book.waiting.insert(0, (attempt, payload));
            (200, json!({"success": true}))
        }
        "fail" => {
            let report: Value = serde_json::from_slice(&body).unwrap();
            if report["retry"] == json!(false) || attempt == 3 {
                book.dead += 1;
                return (200, json!({"outcome": "dead", "attempt_count": attempt, "delay_ms": null, "dlq_name": "dlq:q"}));
            }
            book.waiting.push((attempt + 1, payload));
            (200, json!({"outcome": "retry", "attempt_count": attempt, "delay_ms": 7, "dlq_name": null}))
        }
        other => panic!("{other}"),
    }
}

fn lend(book: &mut Book, attempt: u32, payload: Vec<u8>) -> Value {
    book.given += 1;
    let lease = format!("{}.t", book.given);
    book.leased.insert(lease.clone(), (attempt, payload.clone()));
    let mut told = json!({"id": book.given.to_string(), "lease": lease, "attempt": attempt, "max_attempts": 3, "leased_until": ""});
    match String::from_utf8(payload) {
        Ok(text) => told["payload"] = text.into(),
        Err(bytes) => told["payload_base64"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes.into_bytes()).into(),
    }
    told
}

#[test]
fn jobs_come_byte_for_byte_and_are_settled_as_the_handler_says() {
    let stub = Stub::start();
    for payload in [&b"{\"a\":  1}"[..], b"\xff\x00", b"bad", b"worse"] {
        stub.push(payload);
    }
    let worker = Worker::start(Settings { count: 4, ..stub.settings() }).unwrap();
    let mut seen = Vec::new();
    worker
        .run(|job| {
            seen.push((job.payload().to_vec(), job.attempt(), job.is_last_attempt()));
            match job.payload() {
                b"bad" if job.is_last_attempt() => {
                    worker.stop();
                    Outcome::Failed(Report::new("timeout_error", "too slow"))
                }
                b"bad" => Outcome::Failed(Report::new("timeout_error", "too slow")),
                b"worse" => Outcome::Failed(Report { retry: Some(false), ..Report::new("invalid_image", "torn") }),
                _ => Outcome::Done,
            }
        })
        .unwrap();
    assert_eq!(seen[..2], [(b"{\"a\":  1}".to_vec(), 1, false), (b"\xff\x00".to_vec(), 1, false)]);
    assert_eq!(worker.counts(), Counts { leased: 6, done: 2, retried: 2, dead: 2, ..Counts::default() });
    assert_eq!(worker.held(), 0);
    assert!(stub.book.lock().unwrap().asked.iter().any(|path| path.starts_with("lease?worker=a%20worker&count=4")));
}

#[test]
fn a_stopped_worker_gives_back_what_it_did_not_begin() {
    let stub = Stub::start();
    for payload in [b"1", b"2", b"3"] {
        stub.push(payload);
    }
    let worker = Worker::start(Settings { count: 3, ..stub.settings() }).unwrap();
    worker
        .run(|_| {
            worker.stop();
            Outcome::Done
        })
        .unwrap();
    assert_eq!(worker.counts(), Counts { leased: 3, done: 1, released: 2, ..Counts::default() });
    assert_eq!(stub.book.lock().unwrap().waiting.len(), 2);
}

#[test]
fn a_handler_that_panics_loses_no_job() {
    let stub = Stub::start();
    stub.push(b"1");
    let worker = Worker::start(stub.settings()).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run(|_| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!((worker.counts().released, stub.book.lock().unwrap().waiting.len()), (1, 1));
}

#[test]
fn heartbeats_keep_jobs_and_notice_when_they_are_gone() {
    let stub = Stub::start();
    stub.push(b"1");
    let worker = Worker::start(Settings { lease: Duration::from_secs(1), ..stub.settings() }).unwrap();
    let job = worker.lease().unwrap().remove(0);
    let pause = super::http::Pause::default();
    while stub.book.lock().unwrap().extended < 2 {
        pause.wait(Duration::from_millis(10));
    }
    assert!(!job.is_lost());
    stub.book.lock().unwrap().leased.clear();
    while !job.is_lost() {
        pause.wait(Duration::from_millis(10));
    }
    assert_eq!(job.done(), Err(QueueError::LeaseEnded));
    assert_eq!(worker.counts().unsettled, 1);
}

#[test]
fn a_busy_server_is_asked_again_and_lost_answers_are_no_loss() {
    let stub = Stub::start();
    stub.mood("jobs", Mood::Refuse(503, "busy"));
    stub.push(b"1");
    stub.push(b"2");
    stub.mood("lease?", Mood::Refuse(503, "busy"));
    stub.mood("/ack", Mood::Refuse(503, "busy"));
    stub.mood("/ack", Mood::DoAndHangUp);
    stub.mood("/fail", Mood::DoAndHangUp);
    let worker = Worker::start(stub.settings()).unwrap();
    let job = worker.lease_patiently().unwrap().remove(0);
    assert_eq!(job.done(), Ok(()));
    let job = worker.lease_patiently().unwrap().remove(0);
    assert_eq!(job.fail(&Report::new("x", "y")), Ok(Fate::Unknown));
    assert_eq!(worker.counts(), Counts { leased: 2, done: 1, unknown: 1, repeated: 4, ..Counts::default() });
}

#[test]
fn a_push_that_may_have_arrived_is_not_repeated() {
    let stub = Stub::start();
    stub.mood("jobs", Mood::DoAndHangUp);
    let pushed = Producer::new(&stub.settings()).push(b"1");
    assert!(matches!(pushed, Err(QueueError::Unanswered(_))), "{pushed:?}");
    assert_eq!(stub.book.lock().unwrap().waiting.len(), 1);
}

#[test]
fn refusals_are_told_with_their_reason() {
    let stub = Stub::start();
    stub.mood("jobs", Mood::Refuse(429, "queue_full"));
    let full = Producer::new(&stub.settings()).push(b"1");
    assert_eq!(full, Err(QueueError::Refused { status: 429, code: "queue_full".into(), message: "as told".into() }));
    stub.mood("lease?", Mood::Refuse(403, "forbidden"));
    let worker = Worker::start(stub.settings()).unwrap();
    let ended = worker.run(|_| Outcome::Done).unwrap_err().to_string();
    assert_eq!(ended, "cannot use the queue: it answered 403 forbidden: as told");
}

#[test]
fn a_server_that_is_away_ends_the_patience() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings { patience: Duration::from_millis(250), ..Settings::new(&format!("http://{address}"), "q", "w") };
    assert!(matches!(Producer::new(&settings).push(b"1"), Err(QueueError::Away(_))));
    let worker = Worker::start(settings).unwrap();
    assert!(matches!(worker.run(|_| Outcome::Done), Err(QueueError::Away(_))));
    assert_eq!(worker.counts().repeated, 3);
}
