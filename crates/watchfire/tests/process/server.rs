//! Starts the real binary on a free port with a temporary data directory and talks plain HTTP/1.0 to it.
//! Not a client library: it knows just what these tests need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
pub(crate) use watchfire_testkit::ports::free_port;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Waits for other processes. There is no clock to turn there.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
pub(crate) fn wait_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Asks until the answer satisfies; panics with the last one after 30 seconds.
pub(crate) fn until<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let mut last = ask();
    for _ in 0..300 {
        if good(&last) {
            return last;
        }
        wait_ms(100);
        last = ask();
    }
    panic!("{what}: still {last:?} after 30 s");
}

/// Status, headers in lower case, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}
impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }
}

/// Sends one request.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut head = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    let split = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(raw.len());
    let head = String::from_utf8_lossy(&raw[..split]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head, body: raw.get(split + 4..).unwrap_or(&[]).to_vec() })
}

/// A running Watchfire.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
}
impl Server {
    /// Starts with a data directory and further arguments, and waits until it is healthy.
    pub(crate) fn start(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::start_at(format!("127.0.0.1:{}", free_port()).parse().unwrap(), data, arguments, environment)
    }
    /// The same at an address.
    pub(crate) fn start_at(address: SocketAddr, data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::started(Command::new(BINARY), address, data, arguments, environment)
    }
    /// The same where names have the addresses of a file of hosts, for this process alone. `None`, loudly, where nobody may do that.
    pub(crate) fn start_with_hosts(hosts: &Path, data: &Path, arguments: &[&str]) -> Option<Server> {
        let own_hosts = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let within = |program: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-c", own_hosts]).arg(hosts).args(program);
            command
        };
        if !within(&["true"]).status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no name can be given an address for one process here (unshare)");
            return None;
        }
        Some(Server::started(within(&[BINARY]), format!("127.0.0.1:{}", free_port()).parse().unwrap(), data, arguments, &[]))
    }
    fn started(mut command: Command, address: SocketAddr, data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log")).unwrap();
        let child = command
            .args(["serve", "--listen", &address.to_string(), "--data-dir"])
            .arg(data)
            .args(arguments)
            // What a test sends is what it counts; our own lines have a test of their own.
            .env("WATCHFIRE_LOG_KEEP", "off")
            .envs(environment.iter().copied())
            .current_dir(data.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { child, address, data: data.to_path_buf() };
        for _ in 0..300 {
            if server.get("/health").is_ok_and(|a| a.status == 200) {
                return server;
            }
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("ended with {status}: {}", server.log());
            }
            wait_ms(50);
        }
        panic!("not healthy after 15 s: {}", server.log());
    }
    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    pub(crate) fn get(&self, path: &str) -> std::io::Result<Answer> {
        request(self.address, "GET", path, &[], b"")
    }
    /// A GET that must answer 200 with JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
    /// The result of an instant query.
    pub(crate) fn query(&self, expression: &str, time: Option<f64>) -> Value {
        let time = time.map(|t| format!("&time={t:.3}")).unwrap_or_default();
        self.json(&format!("/api/v1/query?query={}{time}", escape(expression)))["data"]["result"].clone()
    }
    /// Ends it the hard way.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Asks it to end and waits.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        signal(self.pid(), "TERM");
        self.child.wait().unwrap()
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal by name.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str], directory: &Path) -> Output {
    Command::new(BINARY).args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// Percent-encodes a query parameter.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A child process that ends with the test.
pub(crate) struct Peer(pub(crate) Child);
impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether a program is installed; says so loudly when it is not.
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}
