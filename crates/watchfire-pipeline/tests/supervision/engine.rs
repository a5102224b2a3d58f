//! The container socket: what is asked of it, and what is made of its answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use watchfire_pipeline::supervision::engine::Engine;
use watchfire_pipeline::supervision::policy::{Verdict, Who};

use crate::bench::{eventually, look, settings, supervise, why};

/// A socket that writes down every request line and answers by the path.
struct Fake {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start() -> Fake {
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let book = asked.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && request.len() < 4096 {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let line = text.lines().next().unwrap_or("").trim_end_matches(" HTTP/1.1").to_owned();
                let state = |status: &str, running: bool, health: &str| {
                    let health = if health.is_empty() { String::new() } else { format!(",\"Health\":{{\"Status\":\"{health}\"}}") };
                    (200, format!("{{\"Id\":\"1\",\"State\":{{\"Status\":\"{status}\",\"Running\":{running}{health}}}}}"))
                };
                let (status, body) = match line.as_str() {
                    "GET /_ping" => (200, "OK".to_owned()),
                    "GET /version" => (200, "{\"Version\":\"99.1\"}".to_owned()),
                    "GET /containers/json" => (200, "[{\"Names\":[\"/good\",\"/bad\"]}]".to_owned()),
                    "GET /containers/good/json" => state("running", true, ""),
                    "GET /containers/well/json" => state("running", true, "healthy"),
                    "GET /containers/starting/json" => state("running", true, "starting"),
                    "GET /containers/sick/json" => state("running", true, "unhealthy"),
                    "GET /containers/bad/json" => state("exited", false, ""),
                    "GET /containers/odd/json" => (200, "no JSON".to_owned()),
                    "GET /containers/broken/json" => (500, String::new()),
                    "GET /containers/huge/json" => (200, "x".repeat(2 << 20)),
                    "POST /containers/bad/restart?t=10" => (204, String::new()),
                    _ => (404, String::new()),
                };
                book.lock().unwrap().push(line);
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                // Who has gone needs no answer.
                stream.write_all(&[head.into_bytes(), body.into_bytes()].concat()).await.ok();
            }
        });
        Fake { dir, asked }
    }
    fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }
    fn check(&self, name: &str) -> String {
        format!("container_socket: {}\nwatch:\n  - {{name: x, check: {{container: {name}}}}}\n", self.socket().display())
    }
}

#[tokio::test]
async fn r56_states_of_containers() {
    let fake = Fake::start().await;
    for (name, expected) in [
        ("good", ""),
        ("well", ""),
        ("sick", "the container sick is unhealthy"),
        ("bad", "the container bad is exited"),
        ("none", "there is no container none"),
        ("starting", "unknown: the container starting is starting"),
        ("odd", "unknown: cannot read the answer of the container engine"),
        ("broken", "unknown: the container engine answers with status 500"),
    ] {
        assert_eq!(why(look(&fake.check(name)).await), expected, "{name}");
    }
    assert!(why(look(&fake.check("huge")).await).starts_with("unknown: "), "a huge answer is not read");
    let absent = "container_socket: /nowhere/engine.sock\nwatch:\n  - {name: x, check: {container: good}}\n";
    assert!(matches!(look(absent).await, Verdict::Unknown { .. }), "an engine that is away says nothing about the service");
    let engine = Engine::at(fake.socket());
    assert_eq!(engine.version(Duration::from_secs(5)).await.unwrap(), "99.1");
    assert_eq!(engine.names(Duration::from_secs(5)).await.unwrap(), ["good", "bad"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r56_only_listed_paths_are_read_and_only_named_containers_restarted() {
    let fake = Fake::start().await;
    let text = format!(
        "container_socket: {}\nwatch:\n  - {{name: detector, check: {{container: bad}}, restart: {{container: bad}}, interval: 1s, timeout: 1s, backoff_base: 0.1}}\n",
        fake.socket().display()
    );
    let (supervisor, _) = supervise(&text);
    // The name of the service is no name of a container, and nothing that is asked for becomes one.
    for name in ["bad", "good", "../bad", "bad/restart", "detector/../../bad", "detector?x", "%2e%2e", "detector\r\nX: y", ""] {
        assert!(supervisor.restart(name, Who { name: "somebody", via: "token" }).is_err(), "{name:?}");
    }
    let asked = fake.asked.clone();
    eventually("a restart", || asked.lock().unwrap().iter().any(|line| line.starts_with("POST"))).await;
    let all: std::collections::BTreeSet<String> = fake.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["GET /containers/bad/json", "POST /containers/bad/restart?t=10"]);
}

#[test]
fn r56_the_socket_is_off_unless_it_is_named() {
    let settings = settings("watch:\n  - {name: x, health_url: 'http://localhost:1/'}\n");
    assert_eq!(settings.services[0].rules.restart, None);
}
