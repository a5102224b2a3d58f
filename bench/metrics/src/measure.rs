//! What is done with one server: idle, load, settle, stop, three starts, queries, merge, kill. Figures only; tables are made elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::kill::{self, Account};
use crate::load;
use crate::query::{self, Asked};
use crate::report;
use crate::server::{Kind, Server, Setup};
use crate::template::Template;
use crate::workload::{INTERVAL_MS, Instance, Plan};
use bench_harness::client::{Client, encoded};
use bench_harness::process::{Watch, bytes_under, cpu_ms, status_bytes};
use bench_harness::table::{progress, skipped};

const STARTS: usize = 3;
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// What is to be done.
pub(crate) struct Course<'a> {
    pub(crate) template: &'a Template,
    pub(crate) plan: Plan,
    pub(crate) pace: Option<f64>,
    pub(crate) queries: bool,
    pub(crate) kill: bool,
    pub(crate) hours: f64,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) idle: u64,
    pub(crate) most: u64,
    pub(crate) average: u64,
    pub(crate) after: u64,
    pub(crate) after_start: u64,
    pub(crate) after_queries: u64,
}

/// What was measured of one server.
pub(crate) struct Figures {
    pub(crate) kind: Kind,
    pub(crate) samples: u64,
    pub(crate) took: Duration,
    pub(crate) cpu_ms: u64,
    /// Until it was quiet again after the last acknowledgement.
    pub(crate) cpu_settled_ms: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) latency: (Duration, Duration),
    pub(crate) retries: u64,
    /// The whole data directory after a stop, a start and a rest.
    pub(crate) disk_bytes: u64,
    /// At its smallest: Prometheus' blocks alone, VictoriaMetrics after a merge that was asked for.
    pub(crate) disk_bytes_least: u64,
    pub(crate) memory: Memory,
    /// Ready and first correct answer, for each start.
    pub(crate) starts: Vec<(Duration, Duration)>,
    pub(crate) queries: Vec<(&'static str, Asked)>,
    pub(crate) killed: Option<Account>,
}

impl Course<'_> {
    pub(crate) fn run(&self, setup: &Setup) -> Result<Figures> {
        let name = setup.kind.name();
        let mut server = setup.start()?;
        server.wait_ready()?;
        std::thread::sleep(Duration::from_secs(3));
        let mut memory = Memory { idle: status_bytes(server.pid(), "VmRSS"), ..Memory::default() };

        progress(report::NAME, &format!("{name}: loading {} samples", self.plan.samples(self.template)));
        let cpu = cpu_ms(server.pid());
        let watch = Watch::new(server.pid());
        let loaded = load::load(&server.address, &self.plan, self.template, self.pace);
        let cpu_loaded = cpu_ms(server.pid()) - cpu;
        (memory.most, memory.average) = watch.end();
        if let Some(failed) = &loaded.failed {
            anyhow::bail!("the load failed after {} samples: {failed}", loaded.samples);
        }
        if setup.kind == Kind::VictoriaMetrics {
            Client::new(&server.address).get("/internal/force_flush")?;
        }
        server.process.wait_quiet(SETTLE_MAX);
        let cpu_settled = cpu_ms(server.pid()) - cpu;
        memory.after = status_bytes(server.pid(), "VmRSS");
        let blocks = if setup.kind == Kind::Prometheus { Some(snapshot_bytes(setup, &server)?) } else { None };
        server.stop()?;

        progress(report::NAME, &format!("{name}: starting {STARTS} times"));
        let mut starts = Vec::new();
        let mut server = None;
        for left in (0..STARTS).rev() {
            let mut started = setup.start()?;
            let ready = started.wait_ready()?;
            starts.push((ready, self.first_answers(&started)?));
            memory.after_start = status_bytes(started.pid(), "VmRSS");
            if left > 0 { started.stop()? } else { server = Some(started) }
        }
        let server = server.context("no start")?;
        server.process.wait_quiet(SETTLE_MAX);
        // A stop and a start have put on the disk what was in memory only.
        let disk_bytes = setup.disk_bytes();

        let mut queries = Vec::new();
        if self.queries {
            for query in query::queries() {
                if query.hours() as f64 > self.hours {
                    skipped(&format!("{} needs {} hours of data", query.name, query.hours()));
                    continue;
                }
                progress(report::NAME, &format!("{name}: {}", query.name));
                queries.push((query.name, query::time(&query, &server, self.plan.end_ms() / 1000)?));
            }
        }
        memory.after_queries = status_bytes(server.pid(), "VmRSS");
        if setup.kind == Kind::VictoriaMetrics {
            Client::new(&server.address).get("/internal/force_merge")?;
            server.process.wait_quiet(SETTLE_MAX);
        }
        let disk_bytes_least = blocks.unwrap_or_else(|| setup.disk_bytes());
        server.stop()?;

        let mut killed = None;
        if self.kill {
            progress(report::NAME, &format!("{name}: kill -9"));
            let fresh = Setup { dir: setup.dir.join("kill"), ..setup.clone() };
            killed = Some(kill::run(&fresh, self.template, self.plan.instances.min(10), self.plan.end_ms(), self.plan.seed)?);
        }
        let at = |part: usize| loaded.latencies[(loaded.latencies.len() * part / 100).min(loaded.latencies.len() - 1)];
        Ok(Figures {
            kind: setup.kind,
            samples: loaded.samples,
            took: loaded.took,
            cpu_ms: cpu_loaded,
            cpu_settled_ms: cpu_settled,
            wire_bytes: loaded.wire_bytes,
            latency: (at(50), at(99)),
            retries: loaded.retries,
            disk_bytes,
            disk_bytes_least,
            memory,
            starts,
            queries,
            killed,
        })
    }

    /// Waits until two questions are answered as they must be: one over all instances, one over the whole time.
    fn first_answers(&self, server: &Server) -> Result<Duration> {
        let first = Instance::name(0, 0);
        let span_s = self.plan.rounds as i64 * INTERVAL_MS / 1000;
        let wanted = [
            ("count(node_load1)".to_owned(), self.plan.instances as f64),
            (format!("count_over_time(node_load1{{instance=\"{first}\"}}[{span_s}s])"), self.plan.rounds as f64),
        ];
        let began = Instant::now();
        let mut client = Client::new(&server.address);
        loop {
            let mut wrong = None;
            for (question, value) in &wanted {
                let path = format!("/api/v1/query?query={}&time={}&nocache=1", encoded(question), self.plan.end_ms() / 1000);
                let rows = query::rows(&client.get(&path)?.text()?)?;
                let found = rows.values().next().and_then(|points| points.first()).map(|(_, v)| *v);
                if found != Some(*value) {
                    wrong = Some(format!("{question} gave {found:?} instead of {value}"));
                }
            }
            let Some(wrong) = wrong else { return Ok(server.process.since_start()) };
            ensure!(began.elapsed() < Duration::from_secs(30), "{wrong}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The bytes of Prometheus' blocks, those of its newest samples included.
fn snapshot_bytes(setup: &Setup, server: &Server) -> Result<u64> {
    Client::new(&server.address).send("POST", "/api/v1/admin/tsdb/snapshot", "", &[])?.text()?;
    let dir = setup.dir.join("data/snapshots");
    let bytes = bytes_under(&dir);
    std::fs::remove_dir_all(&dir)?;
    Ok(bytes)
}
