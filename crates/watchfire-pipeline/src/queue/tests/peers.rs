//! A real Redis with data that survive `kill -9`.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// A running Redis.
pub(super) struct RedisServer {
    child: Mutex<Child>,
    port: u16,
    dir: tempfile::TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts one that syncs every change. `None`, loudly, where none is installed.
    pub(super) async fn start(arguments: &[&str]) -> Option<RedisServer> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|s| s.success()) {
            eprintln!("SKIPPED: redis-server is not installed");
            return None;
        }
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        for _ in 0..5 {
            let port = watchfire_testkit::ports::free_port();
            let dir = tempfile::tempdir().unwrap();
            let child = Mutex::new(spawn(port, &dir, &arguments));
            let server = RedisServer { child, port, dir, arguments: arguments.clone() };
            // Somebody else may take a free port before we do: then the one that answers there is not ours.
            if server.ready().await {
                return Some(server);
            }
        }
        panic!("no port for redis-server");
    }
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
    /// Ends it the hard way and starts it again with what it had written.
    pub(super) async fn kill_and_restart(&self) {
        {
            let mut child = self.child.lock().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            *child = spawn(self.port, &self.dir, &self.arguments);
        }
        assert!(self.ready().await, "another program took the port");
    }
    /// What `redis-cli` answers, as raw text.
    pub(super) fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string(), "--raw"]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }
    /// Waits for an answer. Says whether it is ours.
    async fn ready(&self) -> bool {
        let own = format!("process_id:{}", self.child.lock().unwrap().id());
        for _ in 0..1000 {
            // While it loads its data it answers, but does not work.
            let told = self.ask(&["INFO"]);
            if told.contains("process_id:") && told.contains("loading:0") {
                return told.lines().any(|line| line.trim() == own);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not answer");
    }
}

fn spawn(port: u16, dir: &tempfile::TempDir, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(dir.path())
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        drop(child.kill());
        drop(child.wait());
    }
}
