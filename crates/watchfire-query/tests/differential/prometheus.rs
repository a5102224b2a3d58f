//! A real Prometheus under test: blocks made by promtool from OpenMetrics text, a server on a free port, plain HTTP to ask it.
//! Everything ends with the value: the process is killed and its directory removed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A running server.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

/// Whether both programs can be started.
pub(crate) fn installed() -> bool {
    ["prometheus", "promtool"]
        .iter()
        .all(|program| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success()))
}

impl Prometheus {
    /// Starts a server over the given exposition.
    pub(crate) fn start(open_metrics: &str) -> Prometheus {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("data.om"), open_metrics).unwrap();
        std::fs::write(path.join("prometheus.yml"), "global: {}\n").unwrap();
        let made =
            Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics"]).arg(path.join("data.om")).arg(path.join("tsdb")).output().unwrap();
        assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
        let port = watchfire_testkit::ports::free_port();
        let child = Self::spawn(path, port);
        let server = Prometheus { child, port, _directory: directory };
        server.wait();
        server
    }

    fn spawn(path: &Path, port: u16) -> Child {
        Command::new("prometheus")
            .arg(format!("--config.file={}", path.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait(&self) {
        let (_never, pause) = mpsc::channel::<()>();
        for _ in 0..300 {
            if self.get("/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200")) {
                return;
            }
            assert!(pause.recv_timeout(Duration::from_millis(100)).is_err());
        }
        panic!("prometheus does not become ready");
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Asks `query` or `query_range` and gives the whole JSON body.
    pub(crate) fn ask(&self, endpoint: &str, parameters: &[(&str, String)]) -> Value {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = self.get(&format!("/api/v1/{endpoint}?{}", query.join("&"))).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
