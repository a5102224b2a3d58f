//! `watchfire alert try`: what a receiver's places hear, what is told of their answers, and how the command ends.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::server::run;

/// Takes so many requests and answers them with a status; gives their bodies.
fn place(status: &'static str, count: usize) -> (u16, std::thread::JoinHandle<Vec<Value>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for stream in listener.incoming().take(count) {
            let mut stream = stream.unwrap();
            let mut raw = Vec::new();
            let mut byte = [0];
            while !raw.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                raw.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&raw).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nRetry-After: 9\r\nConnection: close\r\n\r\nok").as_bytes()).unwrap();
            bodies.push(serde_json::from_slice(&body).unwrap());
        }
        bodies
    });
    (port, heard)
}

#[test]
fn a_receiver_is_tried_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let (good, heard) = place("200 OK", 2);
    let (bad, _) = place("503 Busy", 1);
    let text = format!(
        "route: {{receiver: ops}}
receivers:
- name: ops
  slack_configs: [{{api_url: 'http://127.0.0.1:{good}/s', channel: '#c'}}]
  webhook_configs: [{{url: 'http://127.0.0.1:{good}/w'}}]
- name: bad
  gotify_configs: [{{url: 'http://127.0.0.1:{bad}', token: canary}}]
- name: empty
- name: later
  victorops_configs: [{{api_key: k, routing_key: r}}]
"
    );
    std::fs::write(dir.path().join("alertmanager.yml"), text).unwrap();
    let attempt = |receiver: &str| {
        let output = run(&["alert", "try", receiver, "--monitoring-dir", "."], dir.path());
        let (out, error) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        (output.status.code(), out, error)
    };
    let (code, out, error) = attempt("ops");
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("webhook[0]: taken after ") && out.contains("slack[0]: taken after "), "{out}");
    let heard = heard.join().unwrap();
    assert_eq!(heard[0]["alerts"][0]["labels"]["alertname"], "WatchfireTest");
    assert_eq!(heard[1]["attachments"][0]["title"], "[FIRING:1] WatchfireTest (ops info)");
    let (code, out, _) = attempt("bad");
    assert_eq!(code, Some(1));
    assert!(out.starts_with("gotify[0]: failed, to be tried again after 9 s: it answered 503") && !out.contains("canary"), "{out}");
    for (receiver, expected) in [("empty", "has no integration"), ("nobody", "there is no receiver \"nobody\"; there are ops, bad, empty, later")] {
        let (code, _, error) = attempt(receiver);
        assert!(code == Some(1) && error.contains(expected), "{error}");
    }
    let (code, out, _) = attempt("later");
    assert_eq!((code, out.as_str()), (Some(1), "victorops: this version does not deliver to it\n"));
    let output = run(&["alert", "try", "ops"], dir.path());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no alertmanager.yml is configured"), "{output:?}");
}
