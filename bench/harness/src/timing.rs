//! How long a question takes a process, and how much of the processor: asked again and again, because the kernel counts in steps of 10 ms.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::client::Client;
use crate::process::cpu_ms;

/// Each question is asked at least this often, …
const RUNS_MIN: usize = 15;
/// … at most this often, …
const RUNS_MAX: usize = 3_000;
/// … and until this much time has gone by.
const RUNS_TIME: Duration = Duration::from_millis(1_200);
/// A question that takes very long is not asked again after this.
const RUNS_TIME_MAX: Duration = Duration::from_secs(15);
const WARM_UPS: usize = 3;

/// What was measured, and the last answer before.
pub struct Timed {
    /// Half of the answers took no longer.
    pub median: Duration,
    /// Nineteen in twenty took no longer.
    pub p95: Duration,
    /// Processor time of the process for one answer.
    pub cpu_ms: f64,
    /// The body of an answer.
    pub body: String,
}

/// CPU seconds of this thread so far.
pub fn thread_cpu() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Asks for a path of a process many times; every answer must be a success.
pub fn time(pid: u32, address: &str, path: &str) -> Result<Timed> {
    let mut client = Client::new(address);
    repeat(pid, || client.get(path)?.text().with_context(|| format!("cannot ask {path}")))
}

/// The same, whatever the status of the answers is.
pub fn time_any(pid: u32, address: &str, path: &str) -> Result<Timed> {
    let mut client = Client::new(address);
    repeat(pid, || Ok(String::from_utf8_lossy(&client.get(path)?.body).into_owned()))
}

fn repeat(pid: u32, mut ask: impl FnMut() -> Result<String>) -> Result<Timed> {
    let mut body = String::new();
    let began = Instant::now();
    for _ in 0..WARM_UPS {
        body = ask()?;
        if began.elapsed() > RUNS_TIME_MAX {
            break;
        }
    }
    let mut took = Vec::new();
    let cpu = cpu_ms(pid);
    let began = Instant::now();
    while took.len() < RUNS_MAX && (took.len() < RUNS_MIN || began.elapsed() < RUNS_TIME) && (took.is_empty() || began.elapsed() < RUNS_TIME_MAX) {
        let sent = Instant::now();
        ask()?;
        took.push(sent.elapsed());
    }
    let cpu_ms = (cpu_ms(pid) - cpu) as f64 / took.len() as f64;
    took.sort_unstable();
    Ok(Timed { median: took[took.len() / 2], p95: took[(took.len() * 95 / 100).min(took.len() - 1)], cpu_ms, body })
}
