//! One connection that sends bodies until each is taken, and what that took. What is sent is not here.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::Client;

/// Answers that ask to try again later are tried again this often.
const RETRIES: u32 = 2_000;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a load did.
#[derive(Default)]
pub struct Loaded {
    /// Lines, spans: what was sent.
    pub items: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Bytes of the bodies.
    pub wire_bytes: u64,
    /// From the first to the last.
    pub took: Duration,
    /// How long each request took, ascending once all are together.
    pub latencies: Vec<Duration>,
    /// How often the server asked to try again later.
    pub retries: u64,
}

impl Loaded {
    /// The latency that so many of a hundred requests stayed below, in milliseconds.
    pub fn percentile_ms(&self, part: usize) -> f64 {
        self.latencies.get(self.latencies.len() * part / 100).map_or(f64::NAN, |d| d.as_secs_f64() * 1000.0)
    }
}

/// One connection that pushes.
pub struct Sender<'a> {
    client: Client,
    path: &'a str,
    headers: &'a str,
    /// What it has done so far.
    pub loaded: Loaded,
}

impl<'a> Sender<'a> {
    /// One that posts to a path; `headers` are whole lines.
    pub fn new(address: &str, path: &'a str, headers: &'a str) -> Sender<'a> {
        Sender { client: Client::new(address), path, headers, loaded: Loaded::default() }
    }

    /// The same, from another address of this machine.
    pub fn from(address: &str, path: &'a str, headers: &'a str, from: Ipv4Addr) -> Sender<'a> {
        Sender { client: Client::from(address, from), ..Sender::new(address, path, headers) }
    }

    /// Sends a body until it is taken.
    pub fn post(&mut self, body: &[u8]) -> Result<()> {
        for _ in 0..RETRIES {
            let sent = Instant::now();
            let answer = self.client.send("POST", self.path, self.headers, body)?;
            if answer.status == 503 || answer.status == 429 {
                self.loaded.retries += 1;
                std::thread::sleep(RETRY_PAUSE);
                continue;
            }
            if answer.status / 100 != 2 {
                bail!("the push was refused: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            self.loaded.latencies.push(sent.elapsed());
            self.loaded.wire_bytes += body.len() as u64;
            return Ok(());
        }
        bail!("the server asked {RETRIES} times to try again later")
    }
}

/// Runs `connections` loaders beside each other, each told its number, and adds up what they did.
pub fn all(connections: u64, run: impl Fn(u64) -> Result<Loaded> + Sync) -> Result<Loaded> {
    let began = Instant::now();
    let run = &run;
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|connection| scope.spawn(move || run(connection))).collect();
        threads.into_iter().map(|t| t.join().ok().context("the loader failed")?).collect::<Result<Vec<Loaded>>>()
    })?;
    let mut all = Loaded { took: began.elapsed(), ..Loaded::default() };
    for part in parts {
        all.items += part.items;
        all.bytes += part.bytes;
        all.wire_bytes += part.wire_bytes;
        all.retries += part.retries;
        all.latencies.extend(part.latencies);
    }
    all.latencies.sort_unstable();
    Ok(all)
}
