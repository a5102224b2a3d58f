//! The reporter against small servers that answer as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::{Dropped, OBSERVATIONS_MAX, Reporter, SERIES_MAX, Settings};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn read_request(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// A server that gives these answers in turn, the last one for ever; `None` hangs up without an answer.
pub(crate) fn server(answers: Vec<Option<(u16, &'static str)>>) -> (Settings, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, requests) = channel();
    std::thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let Some(request) = read_request(&stream) else { continue };
            if told.send(request).is_err() {
                return;
            }
            if let Some((status, body)) = answers[i.min(answers.len() - 1)] {
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
            }
        }
    });
    // Only `flush` sends in these tests.
    (Settings { url, interval: Duration::from_secs(3_600), ..Settings::default() }, requests)
}

pub(crate) fn sorted(request: &Value) -> Vec<String> {
    let mut items: Vec<String> = request.as_array().unwrap().iter().map(Value::to_string).collect();
    items.sort();
    items
}

#[test]
fn counters_are_added_up_gauges_replaced_and_observations_kept() {
    let (settings, requests) = server(vec![Some((200, r#"{"recorded":5,"refused":0,"errors":[]}"#))]);
    let reporter = Reporter::start(settings).unwrap();
    for _ in 0..3 {
        reporter.add("c_total", &[("k", "a")], 2.0);
    }
    reporter.add("c_total", &[("k", "b")], 1.0);
    reporter.set("g", &[], 4.0);
    reporter.set("g", &[], 5.0);
    reporter.observe("h", &[], 0.5);
    reporter.observe("h", &[], 0.5);
    assert!(reporter.flush(PATIENCE));
    let expected = [
        r#"{"name":"c_total","labels":{"k":"a"},"value":6.0}"#,
        r#"{"name":"c_total","labels":{"k":"b"},"value":1.0}"#,
        r#"{"name":"g","labels":{},"value":5.0}"#,
        r#"{"name":"h","labels":{},"value":0.5}"#,
        r#"{"name":"h","labels":{},"value":0.5}"#,
    ];
    assert_eq!(sorted(&requests.recv().unwrap()), expected);
    assert_eq!(reporter.dropped(), Dropped::default());
}

#[test]
fn what_surely_did_not_arrive_is_sent_again_and_newer_values_win() {
    let (settings, requests) = server(vec![Some((503, "")), Some((200, "{}"))]);
    let reporter = Reporter::start(settings).unwrap();
    reporter.add("c_total", &[], 1.0);
    reporter.set("g", &[], 1.0);
    reporter.observe("h", &[], 1.0);
    assert!(!reporter.flush(PATIENCE), "the server was busy");
    requests.recv().unwrap();
    reporter.add("c_total", &[], 2.0);
    reporter.set("g", &[], 2.0);
    reporter.observe("h", &[], 2.0);
    assert!(reporter.flush(PATIENCE));
    let values: Vec<String> = sorted(&requests.recv().unwrap());
    let expected = [
        r#"{"name":"c_total","labels":{},"value":3.0}"#,
        r#"{"name":"g","labels":{},"value":2.0}"#,
        r#"{"name":"h","labels":{},"value":1.0}"#,
        r#"{"name":"h","labels":{},"value":2.0}"#,
    ];
    assert_eq!(values, expected);
    assert_eq!(reporter.dropped(), Dropped::default());
}

#[test]
fn what_may_have_arrived_is_not_sent_twice() {
    let (settings, requests) = server(vec![None, Some((200, "{}"))]);
    let reporter = Reporter::start(settings).unwrap();
    reporter.add("c_total", &[], 1.0);
    assert!(reporter.flush(PATIENCE), "it is gone, and counted");
    reporter.add("c_total", &[], 2.0);
    assert!(reporter.flush(PATIENCE));
    let values: Vec<Value> = requests.try_iter().map(|r| r[0]["value"].clone()).collect();
    assert_eq!(values, [1.0, 2.0]);
    assert_eq!(reporter.dropped(), Dropped { unanswered: 1, ..Dropped::default() });
}

#[test]
fn refusals_are_counted() {
    let (settings, _requests) = server(vec![Some((422, r#"{"recorded":1,"refused":1}"#)), Some((401, ""))]);
    let reporter = Reporter::start(settings).unwrap();
    reporter.add("a_total", &[], 1.0);
    reporter.add("b_total", &[], 1.0);
    assert!(reporter.flush(PATIENCE));
    assert_eq!(reporter.dropped().refused, 1, "one item was named");
    reporter.observe("h", &[], 1.0);
    assert!(reporter.flush(PATIENCE));
    assert_eq!(reporter.dropped(), Dropped { refused: 2, ..Dropped::default() }, "and a whole message");
}

#[test]
fn a_server_that_is_away_costs_bounded_memory_and_every_loss_is_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings { url: format!("http://{closed}"), interval: Duration::from_secs(3_600), ..Settings::default() };
    let reporter = Reporter::start(settings).unwrap();
    for i in 0..SERIES_MAX + 10 {
        reporter.add("c_total", &[("k", &i.to_string())], 1.0);
    }
    for _ in 0..OBSERVATIONS_MAX + 10 {
        reporter.observe("h", &[], 1.0);
    }
    assert!(!reporter.flush(PATIENCE));
    assert_eq!(reporter.dropped(), Dropped { full: 20, ..Dropped::default() });
    let held = reporter.shared.buffer();
    let mut buffer = held;
    let mut items = 0;
    loop {
        let message = buffer.take();
        if message.is_empty() {
            break;
        }
        items += message.len();
    }
    assert_eq!(items, SERIES_MAX + OBSERVATIONS_MAX);
}

#[test]
fn dropping_the_reporter_sends_the_rest() {
    let (settings, requests) = server(vec![Some((200, "{}"))]);
    let reporter = Reporter::start(settings).unwrap();
    reporter.add("c_total", &[], 7.0);
    drop(reporter);
    assert_eq!(requests.recv().unwrap()[0]["value"], 7.0);
}

#[test]
fn a_token_is_never_printed() {
    let settings = Settings { token: Some("hunter2".into()), ..Settings::default() };
    assert!(!format!("{settings:?}").contains("hunter2"));
}
