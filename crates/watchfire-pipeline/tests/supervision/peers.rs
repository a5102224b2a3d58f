//! The checks that ask somebody: a web server, any port, Redis, PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use watchfire_pipeline::supervision::policy::Verdict;

use crate::bench::{look, why};

/// Answers every request with the same text; gives its port.
async fn web(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut asked = [0; 2048];
            let n = stream.read(&mut asked).await.unwrap_or(0);
            let wants_key = answer.contains("needs-key");
            let has_key = String::from_utf8_lossy(&asked[..n]).contains("x-key: hunter2");
            let answer = if wants_key && !has_key { "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n" } else { answer };
            // Who has gone needs no answer.
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    port
}

fn one(check: &str) -> String {
    format!("watch:\n  - {{name: x, {check}}}\n")
}

#[tokio::test]
async fn hlt_01_health_pages_are_asked_with_get() {
    let good = web("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}").await;
    assert_eq!(look(&one(&format!("health_url: 'http://127.0.0.1:{good}/health'"))).await, Verdict::Healthy);
    assert_eq!(look(&one(&format!("check: {{http: {{url: 'http://localhost:{good}/', json: {{status: ok}}}}}}"))).await, Verdict::Healthy);
    let busy = web("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    assert!(why(look(&one(&format!("health_url: 'http://127.0.0.1:{busy}/health'"))).await).ends_with("answers with status 503"));
    let closed = web("needs-key\r\n\r\n").await;
    let keyed = one(&format!("check: {{http: {{url: 'http://127.0.0.1:{closed}/', status: 401, headers: {{X-Key: hunter2}}}}}}"));
    assert!(why(look(&keyed).await).contains("cannot complete the exchange"), "with the key the answer is no HTTP");
    let unkeyed = one(&format!("check: {{http: {{url: 'http://127.0.0.1:{closed}/', status: 401}}}}"));
    assert_eq!(look(&unkeyed).await, Verdict::Healthy);
    assert!(matches!(look(&one(&format!("check: {{tcp: '127.0.0.1:{good}'}}"))).await, Verdict::Healthy));
}

#[tokio::test]
async fn r55_whose_fault_a_failure_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    // Somebody takes the connection and never answers: the service's fault.
    let settings = crate::bench::settings(&one(&format!("health_url: 'http://127.0.0.1:{silent}/'")));
    let verdict = settings.services[0].check.look(Duration::from_millis(200)).await;
    assert!(matches!(verdict, Verdict::Failed { reached: true, .. }), "{verdict:?}");
    drop(listener);
    for check in [
        format!("health_url: 'http://127.0.0.1:{silent}/'"),
        format!("check: {{tcp: '127.0.0.1:{silent}'}}"),
        format!("check: {{redis: '127.0.0.1:{silent}'}}"),
    ] {
        let verdict = look(&one(&check)).await;
        assert!(matches!(verdict, Verdict::Failed { reached: true, .. }), "{verdict:?}");
    }
}

/// A Redis of our own.
struct Redis {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}
impl Redis {
    fn start(arguments: &[&str]) -> Option<Redis> {
        let dir = tempfile::tempdir().unwrap();
        let port = watchfire_testkit::ports::free_port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path()).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match child {
            Ok(child) => Some(Redis { child, port, _dir: dir }),
            Err(_) => {
                eprintln!("SKIPPED: no redis-server, so the check of Redis was tested without a real one");
                None
            }
        }
    }
}
impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn hlt_01_redis_is_pinged() {
    let Some(open) = Redis::start(&[]) else { return };
    let Some(closed) = Redis::start(&["--requirepass", "hunter2"]) else { return };
    let until_up = async |check: String| {
        for _ in 0..1000 {
            let verdict = look(&one(&check)).await;
            if !why(verdict.clone()).contains("cannot connect") {
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("Redis did not start");
    };
    assert_eq!(until_up(format!("check: {{redis: 'redis://127.0.0.1:{}'}}", open.port)).await, Verdict::Healthy);
    assert_eq!(until_up(format!("check: {{redis: 'redis://:surplus@127.0.0.1:{}'}}", open.port)).await, Verdict::Healthy, "a password that is not needed");
    let port = closed.port;
    assert_eq!(until_up(format!("check: {{redis: 'redis://:hunter2@127.0.0.1:{port}/1'}}")).await, Verdict::Healthy);
    assert_eq!(until_up(format!("check: {{redis: {{url: 'localhost:{port}', user: default, password: hunter2}}}}")).await, Verdict::Healthy);
    assert!(why(until_up(format!("check: {{redis: 'redis://127.0.0.1:{port}'}}")).await).ends_with("answers PING with NOAUTH"));
    let wrong = why(until_up(format!("check: {{redis: 'redis://:hunter3@127.0.0.1:{port}'}}")).await);
    assert!(wrong.ends_with("refuses the password: WRONGPASS") && !wrong.contains("hunter"), "{wrong}");
}

/// Where distributions keep the server programs.
const PLACES: [&str; 6] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
    "/usr/bin",
];

/// A PostgreSQL of our own on a port.
struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
}
impl Postgres {
    fn start() -> Option<Postgres> {
        let Some(bin) = PLACES.iter().map(Path::new).find(|p| p.join("initdb").exists() && p.join("pg_ctl").exists()) else {
            eprintln!("SKIPPED: no PostgreSQL server programs, so its check was not tested");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let root = rustix::process::geteuid().is_root();
        // The server refuses to run as root, so its directory and itself belong to the user that its package made.
        if root && !Command::new("chown").arg("postgres").arg(dir.path()).status().is_ok_and(|s| s.success()) {
            eprintln!("SKIPPED: no user postgres to run the server as, so its check was not tested");
            return None;
        }
        let port = watchfire_testkit::ports::free_port();
        let server = Postgres { bin: bin.to_owned(), dir, port };
        let password = server.dir.path().join("password");
        std::fs::write(&password, "hunter2").unwrap();
        let password = format!("--pwfile={}", password.display());
        server.run("initdb", &["-D", &server.data(), "-U", "tester", "-A", "scram-sha-256", "--no-sync", &password]);
        let options = format!("-c fsync=off -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories=''");
        server.run("pg_ctl", &["-D", &server.data(), "-w", "-t", "60", "-l", "/dev/null", "-o", &options, "start"]);
        Some(server)
    }
    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.bin.join(program);
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        } else {
            command = Command::new(path);
        }
        let status = command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{program} {arguments:?}");
    }
}
impl Drop for Postgres {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hlt_01_postgresql_is_connected_to() {
    let Some(server) = Postgres::start() else { return };
    let port = server.port;
    let url = |password: &str| one(&format!("check: {{postgresql: 'postgresql+asyncpg://tester:{password}@127.0.0.1:{port}/postgres'}}"));
    assert_eq!(look(&url("hunter2")).await, Verdict::Healthy);
    let wrong = why(look(&url("hunter3")).await);
    assert!(wrong.contains("password authentication failed") && !wrong.contains("hunter"), "{wrong}");
    drop(server);
    let gone = look(&url("hunter2")).await;
    assert!(matches!(gone, Verdict::Failed { reached: true, .. }), "{gone:?}");
}
