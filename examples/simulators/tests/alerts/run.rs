//! A simulated system with a server that watches it: started, switched, asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rules::{EVALUATED, FACTOR, accelerated};

/// How long anything may take at most; the machine may be busy with others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

#[expect(clippy::disallowed_methods, reason = "real programs live in real time")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(250));
}
#[expect(clippy::disallowed_methods, reason = "real programs live in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether the rows that take long run, too.
#[expect(clippy::disallowed_methods, reason = "a test has no other settings")]
pub(crate) fn is_long() -> bool {
    std::env::var("WATCHFIRE_SIMULATE_LONG").is_ok_and(|said| said == "1")
}

/// The server's program.
#[expect(clippy::disallowed_methods, reason = "a test has no other settings")]
fn program() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_simulate")).with_file_name("watchfire");
    let program = std::env::var("WATCHFIRE_BIN").map_or(beside, PathBuf::from);
    assert!(program.is_file(), "cannot find {}: cargo build -p watchfire", program.display());
    program
}

/// Whether a program is there, by asking for its version.
pub(crate) fn installed(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

fn request(address: SocketAddr, method: &str, target: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "{method} {target} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok((head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0), body.to_owned()))
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The server's program, with a small disk for its data where it is to have one.
fn starter(own_disk: bool, data: &Path) -> Command {
    if !own_disk {
        return Command::new(program());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs -o size=160m tmpfs \"$0\" && exec \"$@\""]).arg(data).arg(program());
    command
}

/// Both run until it goes.
pub(crate) struct Run {
    fleet: Child,
    server: Child,
    control: SocketAddr,
    server_address: SocketAddr,
    /// Whether the server's data lie on a file system of their own.
    own_disk: bool,
    pub(crate) dir: tempfile::TempDir,
}

impl Run {
    /// Starts a system and a server with the accelerated rules of files of packs, further ones, and such over logs.
    pub(crate) fn start(system: &str, arguments: &[&str], packs: &[&str], further: &[&str], over_logs: &[&str]) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let mut fleet = Command::new(env!("CARGO_BIN_EXE_simulate"))
            .arg(system)
            .args(["--dir", dir.path().to_str().unwrap()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(fleet.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{system} did not start: {error}: {line}"));
        if told["mounts"] != true && system == "vms" {
            eprintln!("SKIPPED: no file system can be mounted here, so disks are directories with a limit");
        }
        let read = |pack: &&str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(pack)).unwrap();
        let texts: Vec<String> = packs.iter().map(read).chain(further.iter().map(|text| (*text).to_owned())).collect();
        for (i, text) in texts.iter().enumerate() {
            std::fs::write(dir.path().join(format!("rules/{i}.yml")), accelerated(&format!("rules-{i}"), text, FACTOR)).unwrap();
        }
        for (i, text) in over_logs.iter().enumerate() {
            std::fs::write(dir.path().join(format!("log-rules/{i}.yml")), accelerated(&format!("log-rules-{i}"), text, FACTOR)).unwrap();
        }
        let server_address: SocketAddr = told["watchfire"].as_str().unwrap().parse().unwrap();
        // The pipeline's alerts have one of the disk that the data lie on.
        let own_disk = told["mounts"] == true && system == "hsi";
        std::fs::create_dir_all(dir.path().join("data")).unwrap();
        let server = starter(own_disk, &dir.path().join("data"))
            .args(["serve", "--listen", &server_address.to_string(), "--data-dir"])
            .arg(dir.path().join("data"))
            .arg("--config")
            .arg(dir.path().join("watchfire.yml"))
            // Only the assistant's dashboard shows the machine.
            .envs((system != "pisovereign").then_some(("WATCHFIRE_HOST_ROOT", "/nonexistent")))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("server.log")).unwrap())
            .spawn()
            .unwrap();
        let mut run = Run { fleet, server, control: told["control"].as_str().unwrap().parse().unwrap(), server_address, own_disk, dir };
        let began = now();
        while !request(server_address, "GET", "/health").is_ok_and(|(status, _)| status == 200) {
            assert!(run.server.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE, "the server does not start: {}", run.log());
            pause();
        }
        let groups: usize = texts.iter().map(String::as_str).chain(over_logs.iter().copied()).map(|text| text.matches("rules:\n").count()).sum();
        while run.query(&format!("ALERTS{{alertname=\"{EVALUATED}\"}}")).len() < groups {
            assert!(began.elapsed() < PATIENCE, "not every group of rules is evaluated: {}", run.log());
            pause();
        }
        run
    }
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }
    pub(crate) fn has_own_disk(&self) -> bool {
        if !self.own_disk {
            eprintln!("SKIPPED: no file system can be mounted here, so no disk was filled");
        }
        self.own_disk
    }
    /// The server's data as it sees them itself.
    pub(crate) fn data_dir(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.server.id(), self.dir.path().join("data").display()))
    }
    /// All bytes of the disk of the server's data, and those that are free.
    pub(crate) fn data_space(&self) -> (u64, u64) {
        let found = rustix::fs::statvfs(self.data_dir()).unwrap();
        (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
    }
    /// Tells the system something.
    pub(crate) fn control(&self, method: &str, target: &str) {
        let (status, answer) = request(self.control, method, target).unwrap();
        assert_eq!(status, 200, "{method} {target}: {answer}");
    }
    pub(crate) fn ask(&self, method: &str, target: &str) -> (u16, String) {
        request(self.server_address, method, target).unwrap()
    }
    pub(crate) fn json(&self, target: &str) -> Value {
        let (status, body) = self.ask("GET", target);
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}"))
    }
    /// The result of an instant query.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.json(&format!("/api/v1/query?query={}", escape(expression)));
        match &answer["data"]["result"] {
            Value::Array(result) => result.clone(),
            other => panic!("{expression}: {other}"),
        }
    }
    /// What a query over log lines of the last hour gives.
    pub(crate) fn lines(&self, expression: &str) -> Vec<Value> {
        let answer = self.json(&format!("/loki/api/v1/query_range?query={}", escape(expression)));
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }
    /// Alerts that fire: those of the accelerated rules, and those that the server raises by itself.
    pub(crate) fn firing(&self) -> Vec<Value> {
        let of = |place: &str| self.json(place)["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let rules = [of("/api/v1/alerts"), of("/loki/prometheus/api/v1/alerts")].concat();
        let own = self.json("/api/v2/alerts").as_array().cloned().unwrap_or_default();
        let factor = FACTOR.to_string();
        let of_rules = rules.into_iter().filter(|alert| alert["state"] == "firing" && alert["labels"]["factor"] == factor.as_str());
        of_rules.chain(own.into_iter().filter(|alert| alert["labels"]["job"] == "watchfire")).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Parts end when the other end of their pipe does.
        drop(self.server.kill());
        drop(self.server.wait());
        drop(self.fleet.stdin.take());
        drop(self.fleet.wait());
    }
}
