//! A process under test: how it is started and stopped, and what the kernel says about it. What it is asked is not here.

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

/// Longer than any start may take.
const START_MAX: Duration = Duration::from_secs(300);

/// Where a program lies.
pub fn find(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin"].iter().map(|dir| PathBuf::from(dir).join(program)).find(|path| path.is_file())
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The bytes of all files below a directory.
pub fn bytes_under(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The last lines of a file.
pub fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// A running process. Dropping it kills it.
pub struct Process {
    child: Child,
    began: Instant,
}

impl Process {
    /// Starts a program, which says what it has to say into a file.
    pub fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Process> {
        let log = File::create(log)?;
        // What we start dies with us, even when we are killed ourselves.
        let mut command = match Path::new("/usr/bin/setpriv").exists() {
            true => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--pdeathsig", "KILL"]).arg(binary);
                command
            }
            false => Command::new(binary),
        };
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Process { child, began })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long ago it was started.
    pub fn since_start(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until a path answers with success; returns how long that took since the start.
    pub fn wait_ready(&mut self, address: &str, path: &str) -> Result<Duration> {
        loop {
            if Client::new(address).get(path).is_ok_and(|a| a.status == 200) {
                return Ok(self.began.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at its start: {status}");
            }
            if self.began.elapsed() > START_MAX {
                bail!("it is not ready after {} s", START_MAX.as_secs());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // An error says that it has ended already, which is what is wanted.
            kill_process(pid, signal).ok();
        }
    }

    /// A clean stop.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        self.child.wait()?;
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the process uses next to no processor for two seconds.
    pub fn wait_quiet(&self, longest: Duration) {
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

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.child.wait());
    }
}

/// Processor time, user and system, of all threads of a process so far.
pub fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second()
}

/// A field of `/proc/PID/status` in bytes.
pub fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Watches the resident memory of a process.
pub struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<u64>,
}

impl Watch {
    /// Begins to.
    pub fn new(pid: u32) -> Watch {
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
    pub fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let average = self.thread.join().unwrap_or(0);
        (self.most.load(Ordering::Relaxed), average)
    }
}
