//! What is done with the server: idle, load, rest, stop, start, questions; and a second one that is given so many spans a second.
//! Figures only; tables are made elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_harness::client::Client;
use bench_harness::load::{Loaded, Sender, all};
use bench_harness::process::{Process, Watch, bytes_under, cpu_ms, free_port, status_bytes};
use bench_harness::table::progress;
use bench_harness::timing::{self, Timed, thread_cpu};
use prost::Message;

use crate::NAME;
use crate::ask::Ask;
use crate::otlp::Request;
use crate::workload::{BATCH, Plan, SPANS};

const CONNECTIONS: u64 = 2;
const PATH: &str = "/v1/traces";
const HEADERS: &str = "Content-Type: application/x-protobuf\r\n";
/// How long the server may work on after the last acknowledgement.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// One question: what it took and what was found.
pub(crate) struct Answered {
    pub(crate) ask: Ask,
    pub(crate) timed: Timed,
    pub(crate) found: u64,
}

/// CPU of a load, and memory.
pub(crate) struct Ingested {
    pub(crate) loaded: Loaded,
    /// To the last acknowledgement.
    pub(crate) cpu_ms: u64,
    /// Until it was quiet again.
    pub(crate) cpu_settled_ms: u64,
    /// Resident memory in bytes.
    pub(crate) idle: u64,
    pub(crate) most: u64,
    pub(crate) average: u64,
    pub(crate) after: u64,
}

/// What was measured.
pub(crate) struct Figures {
    /// CPU seconds to decode all requests, and nothing else.
    pub(crate) decoding: f64,
    pub(crate) full: Ingested,
    pub(crate) paced: Option<Ingested>,
    /// The whole data directory after a stop.
    pub(crate) disk_bytes: u64,
    /// The same after the questions and another stop: what was merged is gone by then.
    pub(crate) disk_bytes_later: u64,
    pub(crate) start: Duration,
    pub(crate) answers: Vec<Answered>,
    pub(crate) after_questions: u64,
}

/// How the server is run here.
pub(crate) struct Setup {
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    /// Further lines of its configuration.
    pub(crate) settings: String,
}

struct Server {
    address: String,
    process: Process,
}

impl Setup {
    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn clear(&self) -> Result<()> {
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)?;
        }
        Ok(fs::create_dir_all(&self.dir)?)
    }

    fn start(&self) -> Result<Server> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = self.dir.join("watchfire.yml");
        // This machine's own metrics stay out.
        fs::write(&config, format!("host: {{interval: 1h}}\n{}\n", self.settings))?;
        let shown = |path: &Path| path.display().to_string();
        let arguments = ["serve".into(), "--config".into(), shown(&config), "--listen".into(), address.clone(), "--data-dir".into(), shown(&self.data())];
        let process = Process::start(&self.binary, &arguments, &self.dir.join("log"))?;
        let mut server = Server { address, process };
        server.process.wait_ready(&server.address, "/-/ready")?;
        Ok(server)
    }
}

/// CPU seconds that this thread needs to decode all requests.
fn decoding(plan: &Plan) -> Result<f64> {
    let mut seconds = 0.0;
    for request in 0..plan.requests() {
        let body = plan.request(request).encode_to_vec();
        let began = thread_cpu();
        let decoded = Request::decode(body.as_slice())?;
        seconds += thread_cpu() - began;
        anyhow::ensure!(!decoded.resource_spans.is_empty(), "a request without spans");
    }
    Ok(seconds)
}

/// Sends all traces, at most `per_second` spans in a second.
fn load(address: &str, plan: &Plan, per_second: Option<u64>) -> Result<Loaded> {
    let began = Instant::now();
    all(CONNECTIONS, |connection| {
        let mut sender = Sender::new(address, PATH, HEADERS);
        for request in (connection..plan.requests()).step_by(CONNECTIONS as usize) {
            let body = plan.request(request).encode_to_vec();
            if let Some(rate) = per_second {
                let due = Duration::from_secs_f64((request * BATCH * SPANS) as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            sender.post(&body)?;
            sender.loaded.items += (plan.traces - request * BATCH).min(BATCH) * SPANS;
            sender.loaded.bytes += body.len() as u64;
        }
        Ok(sender.loaded)
    })
}

fn ingest(server: &Server, plan: &Plan, per_second: Option<u64>) -> Result<Ingested> {
    let pid = server.process.pid();
    std::thread::sleep(Duration::from_secs(3));
    let (idle, cpu, watch) = (status_bytes(pid, "VmRSS"), cpu_ms(pid), Watch::new(pid));
    let loaded = load(&server.address, plan, per_second);
    let cpu_loaded = cpu_ms(pid) - cpu;
    let (most, average) = watch.end();
    let loaded = loaded?;
    server.process.wait_quiet(SETTLE_MAX);
    Ok(Ingested { loaded, cpu_ms: cpu_loaded, cpu_settled_ms: cpu_ms(pid) - cpu, idle, most, average, after: status_bytes(pid, "VmRSS") })
}

fn question(server: &Server, ask: Ask, plan: &Plan) -> Result<Answered> {
    let path = ask.path(plan);
    let first = Client::new(&server.address).get(&path)?;
    if first.status != ask.status() {
        bail!("status {} for {path}: {}", first.status, String::from_utf8_lossy(&first.body));
    }
    let found = ask.found(&String::from_utf8(first.body).context("the answer is not UTF-8")?)?;
    Ok(Answered { ask, timed: timing::time_any(server.process.pid(), &server.address, &path)?, found })
}

/// Everything. `paced` is spans a second and for how many seconds.
pub(crate) fn run(setup: &Setup, plan: &Plan, paced: Option<(u64, u64)>) -> Result<Figures> {
    progress(NAME, &format!("decoding {} spans", plan.spans()));
    let decoding = decoding(plan)?;
    setup.clear()?;
    let server = setup.start()?;
    progress(NAME, &format!("loading {} spans", plan.spans()));
    let full = ingest(&server, plan, None)?;
    // A stop puts on the disk what was in memory only.
    server.process.stop()?;
    let disk_bytes = bytes_under(&setup.data());
    let server = setup.start()?;
    let start = server.process.since_start();
    server.process.wait_quiet(SETTLE_MAX);
    let mut answers = Vec::new();
    for ask in Ask::ALL {
        progress(NAME, ask.title());
        answers.push(question(&server, ask, plan)?);
    }
    let after_questions = status_bytes(server.process.pid(), "VmRSS");
    server.process.stop()?;
    let disk_bytes_later = bytes_under(&setup.data());

    let mut second = None;
    if let Some((rate, seconds)) = paced {
        setup.clear()?;
        let server = setup.start()?;
        progress(NAME, &format!("{rate} spans a second for {seconds} s"));
        second = Some(ingest(&server, &Plan { traces: rate * seconds / SPANS, ..*plan }, Some(rate))?);
        server.process.stop()?;
    }
    Ok(Figures { decoding, full, paced: second, disk_bytes, disk_bytes_later, start, answers, after_questions })
}
