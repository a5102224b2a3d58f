//! The servers under test: how each is started, what it is asked to do, and what the kernel says about its process.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Watchfire,
    Prometheus,
    VictoriaMetrics,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Watchfire, Kind::Prometheus, Kind::VictoriaMetrics];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Watchfire => "watchfire",
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria-metrics",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    fn ready_path(self) -> &'static str {
        if self == Kind::VictoriaMetrics { "/health" } else { "/-/ready" }
    }
}

/// How a server is run in this benchmark.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    /// Further lines of our configuration.
    pub(crate) settings: String,
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    child: Child,
    began: Instant,
}

/// A port that nobody listens on at the moment.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Setup {
    /// Starts the server and returns at once.
    pub(crate) fn start(&self) -> Result<Server> {
        fs::create_dir_all(&self.dir)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let data = self.dir.join("data");
        let mut arguments: Vec<String> = Vec::new();
        match self.kind {
            Kind::Watchfire => {
                let config = self.dir.join("watchfire.yml");
                // This machine's own metrics stay out, so that all servers do the same work.
                fs::write(&config, format!("host: {{interval: 1h}}\nstorage: {{series_max: 4000000, source_series_max: 4000000}}\n{}", self.settings))?;
                arguments.extend(["serve".into(), "--config".into(), shown(&config), "--listen".into(), address.clone(), "--data-dir".into(), shown(&data)]);
            }
            Kind::Prometheus => {
                let config = self.dir.join("prometheus.yml");
                fs::write(&config, "global: {}\n")?;
                arguments.extend([
                    format!("--config.file={}", shown(&config)),
                    format!("--storage.tsdb.path={}", shown(&data)),
                    format!("--web.listen-address={address}"),
                    "--web.enable-remote-write-receiver".into(),
                    "--web.enable-admin-api".into(),
                    "--query.max-samples=500000000".into(),
                    "--log.level=warn".into(),
                ]);
            }
            Kind::VictoriaMetrics => arguments.extend([
                format!("-storageDataPath={}", shown(&data)),
                format!("-httpListenAddr={address}"),
                "-retentionPeriod=100y".into(),
                "-search.maxUniqueTimeseries=5000000".into(),
                "-search.maxSeries=5000000".into(),
                "-loggerLevel=WARN".into(),
            ]),
        }
        let log = File::create(self.dir.join("log"))?;
        // What we start dies with us, even when we are killed ourselves.
        let mut command = match Path::new("/usr/bin/setpriv").exists() {
            true => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--pdeathsig", "KILL"]).arg(&self.binary);
                command
            }
            false => Command::new(&self.binary),
        };
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        Ok(Server { kind: self.kind, address, child, began })
    }

    /// The bytes of all files of its data directory.
    pub(crate) fn disk_bytes(&self) -> u64 {
        bytes_under(&self.dir.join("data"))
    }

    /// The last lines that the server said.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) fn bytes_under(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready; returns how long that took since its start.
    pub(crate) fn wait_ready(&mut self) -> Result<Duration> {
        let path = self.kind.ready_path();
        loop {
            let mut client = Client::new(&self.address);
            if client.get(path).is_ok_and(|a| a.status == 200) {
                return Ok(self.began.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}", self.kind.name());
            }
            if self.began.elapsed() > Duration::from_secs(300) {
                bail!("{} is not ready after 300 s", self.kind.name());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn since_start(&self) -> Duration {
        self.began.elapsed()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // An error says that it has ended already, which is what is wanted.
            kill_process(pid, signal).ok();
        }
    }

    /// A clean stop.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        self.child.wait()?;
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the process uses next to no processor for two seconds.
    pub(crate) fn wait_quiet(&self, longest: Duration) {
        let began = Instant::now();
        let mut quiet = 0;
        let mut before = cpu_ms(self.pid());
        while quiet < 4 && began.elapsed() < longest {
            std::thread::sleep(Duration::from_millis(500));
            let now = cpu_ms(self.pid());
            quiet = if now - before <= 20 { quiet + 1 } else { 0 };
            before = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.child.wait());
    }
}

/// Processor time, user and system, of all threads of a process so far.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second()
}

/// A field of `/proc/PID/status` in bytes.
pub(crate) fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Watches the resident memory of a process.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<u64>,
}

impl Watch {
    pub(crate) fn new(pid: u32) -> Watch {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, largest) = (stop.clone(), most.clone());
        let thread = std::thread::spawn(move || {
            let (mut sum, mut count) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                let rss = status_bytes(pid, "VmRSS");
                largest.fetch_max(rss, Ordering::Relaxed);
                sum += rss;
                count += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            sum / count.max(1)
        });
        Watch { stop, most, thread }
    }

    /// The most and the average, in bytes.
    pub(crate) fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let average = self.thread.join().unwrap_or(0);
        (self.most.load(Ordering::Relaxed), average)
    }
}
