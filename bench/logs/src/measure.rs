//! What is done with one server: idle, load, rest, questions, stop, start. Figures only; tables are made elsewhere.

use std::time::Duration;

use anyhow::{Context, Result};
use bench_harness::load::Loaded;
use bench_harness::process::{Watch, bytes_under, cpu_ms, status_bytes};
use bench_harness::table::progress;
use bench_harness::timing::{self, Timed};

use crate::load;
use crate::report::NAME;
use crate::server::{Ask, Kind, Setup};
use crate::workload::Plan;

/// How long a server may work on after the last acknowledgement.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// Resident memory, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) idle: u64,
    pub(crate) most: u64,
    pub(crate) average: u64,
    pub(crate) after: u64,
    pub(crate) after_queries: u64,
    pub(crate) after_start: u64,
}

/// One question: what it took and what was found.
pub(crate) struct Answered {
    pub(crate) ask: Ask,
    pub(crate) timed: Timed,
    pub(crate) found: f64,
}

/// What was measured of one server.
pub(crate) struct Figures {
    pub(crate) kind: Kind,
    pub(crate) loaded: Loaded,
    /// To the last acknowledgement.
    pub(crate) cpu_ms: u64,
    /// Until it was quiet again.
    pub(crate) cpu_settled_ms: u64,
    pub(crate) memory: Memory,
    /// The whole data directory after a stop.
    pub(crate) disk_bytes: u64,
    pub(crate) answers: Vec<Answered>,
    pub(crate) start: Duration,
}

impl Figures {
    pub(crate) fn answer(&self, ask: Ask) -> Option<&Answered> {
        self.answers.iter().find(|a| a.ask == ask)
    }
}

pub(crate) fn run(setup: &Setup, plan: &Plan) -> Result<Figures> {
    let name = setup.kind.name();
    let server = setup.start()?;
    let pid = server.process.pid();
    std::thread::sleep(Duration::from_secs(3));
    let mut memory = Memory { idle: status_bytes(pid, "VmRSS"), ..Memory::default() };

    progress(NAME, &format!("{name}: loading {} lines", plan.lines));
    let cpu = cpu_ms(pid);
    let watch = Watch::new(pid);
    let loaded = load::load(&server.address, setup.kind.push_path(), plan);
    let cpu_loaded = cpu_ms(pid) - cpu;
    (memory.most, memory.average) = watch.end();
    let loaded = loaded?;
    server.process.wait_quiet(SETTLE_MAX);
    let cpu_settled = cpu_ms(pid) - cpu;
    memory.after = status_bytes(pid, "VmRSS");

    // A stop puts on the disk what was in memory only.
    server.process.stop()?;
    let disk_bytes = bytes_under(&setup.data());
    let server = setup.start()?;
    let start = server.process.since_start();
    memory.after_start = status_bytes(server.process.pid(), "VmRSS");
    server.process.wait_quiet(SETTLE_MAX);

    let mut answers = Vec::new();
    for ask in Ask::ALL {
        progress(NAME, &format!("{name}: {}", ask.title()));
        let timed = timing::time(server.process.pid(), &server.address, &setup.kind.path(ask, plan)).with_context(|| name.to_owned())?;
        let found = setup.kind.found(ask, &timed.body)?;
        answers.push(Answered { ask, timed, found });
    }
    memory.after_queries = status_bytes(server.process.pid(), "VmRSS");
    server.process.stop()?;
    Ok(Figures { kind: setup.kind, loaded, cpu_ms: cpu_loaded, cpu_settled_ms: cpu_settled, memory, disk_bytes, answers, start })
}

/// What the questions must find, by the lines themselves.
pub(crate) fn expected(plan: &Plan) -> Vec<(Ask, f64)> {
    let (mut stream, mut needles, mut errors) = (0u64, 0u64, 0u64);
    for n in 0..plan.lines {
        let line = plan.line(n);
        stream += u64::from(line.stream == 3);
        needles += u64::from(line.text.contains(crate::workload::NEEDLE));
        errors += u64::from(line.status == 503 && line.path == "/api/cart");
    }
    vec![
        (Ask::Last100, stream.min(100) as f64),
        (Ask::Needle, needles as f64),
        (Ask::ByLevel, plan.lines as f64),
        (Ask::JsonField, errors as f64),
        (Ask::Scan, 0.0),
    ]
}
