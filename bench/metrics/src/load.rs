//! Sends a plan to a server by remote write: two connections, requests of 2,000 series, and notes what was acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::template::Template;
use crate::workload::{Group, Plan};
use bench_harness::client::Client;

const CONNECTIONS: usize = 2;
/// How many rounds one connection may be ahead of the other: their clocks are the same.
const ROUNDS_AHEAD: usize = 4;
const HEADERS: &str = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";
/// Answers that ask to try again later are tried again this often.
const RETRIES: u32 = 2_000;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a load did.
pub(crate) struct Loaded {
    /// Per group: so many rounds from the first on are acknowledged.
    pub(crate) acknowledged: Vec<usize>,
    pub(crate) samples: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) took: Duration,
    /// How long each request took, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// How often the server asked to try again later.
    pub(crate) retries: u64,
    /// Why it ended early.
    pub(crate) failed: Option<String>,
}

struct Progress {
    rounds: Mutex<[usize; CONNECTIONS]>,
    moved: Condvar,
}

impl Progress {
    /// Says where a connection is, and waits for the other.
    fn reach(&self, connection: usize, round: usize) {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds[connection] = round;
        self.moved.notify_all();
        while rounds.iter().any(|r| *r != usize::MAX && r.saturating_add(ROUNDS_AHEAD) < round) && round != usize::MAX {
            rounds = self.moved.wait(rounds).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Sends everything, or until the server is gone. `per_second` paces it.
pub(crate) fn load(address: &str, plan: &Plan, template: &Template, per_second: Option<f64>) -> Loaded {
    let (_, groups) = plan.groups(template);
    let acknowledged: Vec<AtomicUsize> = (0..groups).map(|_| AtomicUsize::new(0)).collect();
    let progress = Progress { rounds: Mutex::new([0; CONNECTIONS]), moved: Condvar::new() };
    let began = Instant::now();
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let (acknowledged, progress) = (&acknowledged, &progress);
                scope.spawn(move || {
                    let mut part = Part::default();
                    let sender = Sender { connection, address, plan, template, pace: per_second.map(|p| p / CONNECTIONS as f64), began };
                    let result = sender.run(acknowledged, progress, &mut part);
                    progress.reach(connection, usize::MAX);
                    part.failed = result.err().map(|e| format!("{e:#}"));
                    part
                })
            })
            .collect();
        threads.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    let mut loaded = Loaded {
        acknowledged: acknowledged.into_iter().map(AtomicUsize::into_inner).collect(),
        samples: 0,
        wire_bytes: 0,
        took: began.elapsed(),
        latencies: Vec::new(),
        retries: 0,
        failed: None,
    };
    for part in parts {
        loaded.samples += part.samples;
        loaded.wire_bytes += part.wire_bytes;
        loaded.latencies.extend(part.latencies);
        loaded.retries += part.retries;
        loaded.failed = loaded.failed.or(part.failed);
    }
    loaded.latencies.sort_unstable();
    loaded
}

#[derive(Default)]
struct Part {
    samples: u64,
    wire_bytes: u64,
    latencies: Vec<Duration>,
    retries: u64,
    failed: Option<String>,
}

struct Sender<'a> {
    connection: usize,
    address: &'a str,
    plan: &'a Plan,
    template: &'a Template,
    pace: Option<f64>,
    began: Instant,
}

impl Sender<'_> {
    fn run(&self, acknowledged: &[AtomicUsize], progress: &Progress, part: &mut Part) -> Result<()> {
        let mut client = Client::new(self.address);
        let numbers: Vec<usize> = (self.connection..acknowledged.len()).step_by(CONNECTIONS).collect();
        let mut groups: Vec<(usize, Group)> = numbers.into_iter().map(|n| (n, Group::new(self.plan, self.template, n))).collect();
        let (mut raw, mut packed) = (Vec::new(), Vec::new());
        let mut encoder = snap::raw::Encoder::new();
        for round in 0..self.plan.rounds {
            progress.reach(self.connection, round);
            for (number, group) in &mut groups {
                group.advance(round, self.template);
                let samples = group.request(round, &mut raw);
                packed.resize(snap::raw::max_compress_len(raw.len()), 0);
                let len = encoder.compress(&raw, &mut packed)?;
                if let Some(pace) = self.pace {
                    let due = Duration::from_secs_f64(part.samples as f64 / pace);
                    std::thread::sleep(due.saturating_sub(self.began.elapsed()));
                }
                self.post(&mut client, &packed[..len], part)?;
                part.samples += samples as u64;
                part.wire_bytes += len as u64;
                acknowledged[*number].store(round + 1, Ordering::Release);
            }
        }
        Ok(())
    }

    fn post(&self, client: &mut Client, body: &[u8], part: &mut Part) -> Result<()> {
        for _ in 0..RETRIES {
            let sent = Instant::now();
            let answer = client.send("POST", "/api/v1/write", HEADERS, body)?;
            if answer.status == 503 || answer.status == 429 {
                part.retries += 1;
                std::thread::sleep(RETRY_PAUSE);
                continue;
            }
            ensure!(answer.status / 100 == 2, "the write was refused: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
            part.latencies.push(sent.elapsed());
            return Ok(());
        }
        anyhow::bail!("the server asked {RETRIES} times to try again later")
    }
}
