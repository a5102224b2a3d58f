//! Sends all lines by Loki's push over two connections, half a megabyte of lines in a request, and counts what was acknowledged.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_harness::client::Client;

use crate::push::{HEADERS, Push};
use crate::workload::{Plan, STREAMS};

const CONNECTIONS: u64 = 2;
const REQUEST_BYTES: usize = 512 << 10;
/// Answers that ask to try again later are tried again this often.
const RETRIES: u32 = 2_000;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a load did.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) lines: u64,
    /// Of lines alone.
    pub(crate) bytes: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) took: Duration,
    /// How long each request took, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// How often the server asked to try again later.
    pub(crate) retries: u64,
}

/// One connection that pushes.
pub(crate) struct Sender<'a> {
    client: Client,
    path: &'a str,
    pub(crate) loaded: Loaded,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(address: &str, path: &'a str, from: Option<Ipv4Addr>) -> Sender<'a> {
        let client = from.map_or_else(|| Client::new(address), |from| Client::from(address, from));
        Sender { client, path, loaded: Loaded::default() }
    }

    /// Sends a body until it is taken.
    pub(crate) fn post(&mut self, body: &[u8]) -> Result<()> {
        for _ in 0..RETRIES {
            let sent = Instant::now();
            let answer = self.client.send("POST", self.path, HEADERS, body)?;
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

    /// Every second request of the plan.
    fn run(mut self, plan: &Plan, connection: u64) -> Result<Loaded> {
        let mut pending: Vec<Vec<(i64, String)>> = vec![Vec::new(); STREAMS];
        let mut push = Push::default();
        let most = plan.lines_of(REQUEST_BYTES);
        for request in (connection..plan.lines.div_ceil(most)).step_by(CONNECTIONS as usize) {
            for n in request * most..((request + 1) * most).min(plan.lines) {
                let line = plan.line(n);
                self.loaded.lines += 1;
                self.loaded.bytes += line.text.len() as u64;
                pending[line.stream].push((line.time_ms, line.text));
            }
            for (stream, entries) in pending.iter_mut().enumerate().filter(|(_, entries)| !entries.is_empty()) {
                push.stream(&format!("{{app=\"service-{stream}\", env=\"prod\"}}"));
                entries.drain(..).for_each(|(time, text)| push.entry(time, &text));
            }
            self.post(&push.finish()?)?;
        }
        Ok(self.loaded)
    }
}

/// Sends everything.
pub(crate) fn load(address: &str, path: &str, plan: &Plan) -> Result<Loaded> {
    let began = Instant::now();
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|connection| scope.spawn(move || Sender::new(address, path, None).run(plan, connection))).collect();
        threads.into_iter().map(|t| t.join().ok().context("the loader failed")?).collect::<Result<Vec<Loaded>>>()
    })?;
    let mut all = Loaded { took: began.elapsed(), ..Loaded::default() };
    for part in parts {
        all.lines += part.lines;
        all.bytes += part.bytes;
        all.wire_bytes += part.wire_bytes;
        all.retries += part.retries;
        all.latencies.extend(part.latencies);
    }
    all.latencies.sort_unstable();
    Ok(all)
}
