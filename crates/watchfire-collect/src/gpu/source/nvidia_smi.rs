//! The `nvidia-smi` program as a child process: one line of CSV per GPU. Started without a shell, killed when it takes too long.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;

use super::{GPUS_MAX, GpuSource, LOCAL_TIMEOUT, Reading, blank, failed};
use crate::gpu::GpuError;

const ORIGIN: GpuOrigin = GpuOrigin::NvidiaSmi;
/// What every version of the program knows, in the order of the original monitor.
const FIELDS: &str = "--query-gpu=temperature.gpu,power.draw,utilization.gpu,memory.used,memory.total,name";
/// What newer versions know, appended.
const MORE_FIELDS: &str = ",index,power.limit,clocks_throttle_reasons.active,fan.speed,clocks.sm,clocks.mem,pstate";
const FIELDS_MIN: usize = 6;
/// How long a killed child may take to end.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);
/// Some hundred bytes per GPU are expected.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;

pub(crate) struct NvidiaSmi {
    program: OsString,
    search_path: Option<OsString>,
    /// Cleared when the program refuses the newer fields.
    more: AtomicBool,
    /// A child that did not even end when it was killed (a driver that hangs): no other is started beside it.
    stuck: tokio::sync::Mutex<Option<Child>>,
}

impl NvidiaSmi {
    pub(crate) fn new(program: OsString, search_path: Option<OsString>) -> NvidiaSmi {
        NvidiaSmi { program, search_path, more: AtomicBool::new(true), stuck: tokio::sync::Mutex::default() }
    }

    async fn ask(&self, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
        if self.more.load(Ordering::Relaxed) {
            match self.run(&format!("{FIELDS}{MORE_FIELDS}")).await {
                Ok((true, text)) => return parse(&text, at),
                Ok((false, _)) => {}
                Err(error) => return Err(error),
            }
        }
        match self.run(FIELDS).await? {
            (true, text) => {
                let readings = parse(&text, at)?;
                // It knows the old fields only: do not ask for the others again.
                self.more.store(false, Ordering::Relaxed);
                Ok(readings)
            }
            (false, text) => Err(failed(ORIGIN, first_line(&text))),
        }
    }

    /// Runs the program; whether it succeeded, and what it printed.
    async fn run(&self, query: &str) -> Result<(bool, String), GpuError> {
        let io = |error: std::io::Error| failed(ORIGIN, error.to_string());
        let mut stuck = self.stuck.lock().await;
        if let Some(child) = stuck.as_mut() {
            match child.try_wait() {
                Ok(None) => return Err(failed(ORIGIN, "an earlier call still hangs")),
                _ => *stuck = None,
            }
        }
        let mut child = self.start(query).map_err(io)?;
        let stdout = child.stdout.take().ok_or_else(|| failed(ORIGIN, "no output"))?;
        let working = async {
            let mut bytes = Vec::new();
            stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await.map_err(io)?;
            let status = child.wait().await.map_err(io)?;
            Ok((status.success(), String::from_utf8_lossy(&bytes).into_owned()))
        };
        if let Ok(outcome) = tokio::time::timeout(LOCAL_TIMEOUT, working).await {
            return outcome;
        }
        child.start_kill().map_err(io)?;
        if tokio::time::timeout(KILL_TIMEOUT, child.wait()).await.is_err() {
            *stuck = Some(child);
        }
        Err(failed(ORIGIN, "no answer within 5 s"))
    }

    /// Whether the program may be there. A process that fails to start costs more than a look at some directories.
    fn is_there(&self) -> bool {
        let Some(path) = self.search_path.as_ref().filter(|_| Path::new(&self.program).components().count() == 1) else { return true };
        std::env::split_paths(path).any(|dir| dir.join(&self.program).is_file())
    }

    fn start(&self, query: &str) -> std::io::Result<Child> {
        if !self.is_there() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Command::new(&self.program)
            .args([query, "--format=csv,noheader,nounits"])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

impl GpuSource for NvidiaSmi {
    fn origin(&self) -> GpuOrigin {
        ORIGIN
    }

    fn read(&self, at: Timestamp) -> ViewFuture<'_, Result<Vec<Reading>, GpuError>> {
        Box::pin(self.ask(at))
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "it failed without a word".to_owned() } else { line.chars().take(200).collect() }
}

/// Reads the program's lines.
fn parse(text: &str, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
    let mut readings = Vec::new();
    for (line, row) in text.lines().filter(|l| !l.trim().is_empty()).take(GPUS_MAX as usize).zip(0..) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() < FIELDS_MIN {
            return Err(failed(ORIGIN, format!("unexpected answer: {}", first_line(line))));
        }
        let index = cells.get(6).and_then(|c| c.parse().ok()).unwrap_or(row);
        readings.push((index, sample(&cells, at)));
    }
    if readings.is_empty() { Err(failed(ORIGIN, "it knows no GPU")) } else { Ok(readings) }
}

fn sample(cells: &[&str], at: Timestamp) -> GpuSample {
    let float = |i: usize| cells.get(i).and_then(|c| value(c));
    let whole = |i: usize| float(i).filter(|v| *v >= 0.0).map(|v| v.round() as u64);
    let hex = |i: usize| cells.get(i).and_then(|c| u64::from_str_radix(c.strip_prefix("0x")?, 16).ok());
    let mut sample = blank(cells.get(5).copied().unwrap_or_default().to_owned(), ORIGIN, at);
    sample.temperature = float(0);
    sample.power_usage = float(1);
    sample.utilization = float(2);
    sample.memory_used_mb = whole(3);
    sample.memory_total_mb = whole(4);
    sample.power_limit = float(7);
    sample.throttle_reasons = hex(8);
    sample.fan_speed = float(9);
    sample.sm_clock = whole(10);
    sample.memory_clock = whole(11);
    sample.pstate = cells.get(12).and_then(|c| c.strip_prefix('P')?.parse().ok());
    sample
}

/// A number, with or without its unit; `[N/A]` and its relatives are unknown.
fn value(cell: &str) -> Option<f64> {
    cell.split_ascii_whitespace().next()?.parse().ok().filter(|v: &f64| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_program_is_known_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("smi"), "").unwrap();
        let check = |program: &str, path: Option<&Path>, expected| {
            let source = NvidiaSmi::new(program.into(), path.map(|p| std::env::join_paths([Path::new("/nonexistent"), p]).unwrap()));
            assert_eq!(source.is_there(), expected, "{program} {path:?}");
        };
        check("smi", Some(dir.path()), true);
        check("other", Some(dir.path()), false);
        check("other", None, true);
        check("/nonexistent/smi", Some(dir.path()), true);
    }
    use proptest::prelude::*;

    #[test]
    fn gpu_02_nvidia_smi_lines_are_read() {
        let text = "62, 125.50, 45, 8192, 24576, NVIDIA RTX A5500, 0, 230.00, 0x0000000000000004, 30, 1695, 8001, P2\n40, [N/A], [Not Supported], 1, 2, NVIDIA T4, 3\n";
        let readings = parse(text, Timestamp(5)).unwrap();
        let first = &readings[0].1;
        assert_eq!((readings[0].0, first.name.as_str()), (0, "NVIDIA RTX A5500"));
        assert_eq!((first.temperature, first.power_usage, first.utilization), (Some(62.0), Some(125.5), Some(45.0)));
        assert_eq!((first.memory_used_mb, first.memory_total_mb), (Some(8192), Some(24576)));
        assert_eq!((first.power_limit, first.throttle_reasons, first.fan_speed), (Some(230.0), Some(4), Some(30.0)));
        assert_eq!((first.sm_clock, first.memory_clock, first.pstate), (Some(1695), Some(8001), Some(2)));
        assert_eq!((first.recorded_at, first.origin), (Timestamp(5), GpuOrigin::NvidiaSmi));
        let second = &readings[1];
        assert_eq!((second.0, second.1.power_usage, second.1.utilization, second.1.pstate), (3, None, None, None));
    }

    #[test]
    fn units_and_short_lines() {
        let readings = parse("62, 125.5 W, 45 %, 8192 MiB, 24576 MiB, X\n", Timestamp(0)).unwrap();
        assert_eq!((readings[0].1.power_usage, readings[0].1.memory_used_mb), (Some(125.5), Some(8192)));
        for bad in ["", "\n\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "1, 2, 3"] {
            assert!(parse(bad, Timestamp(0)).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_output_is_survived(text in "([0-9a-zA-Z\\[\\]/., \\n%-]|\\PC){0,300}") {
            let _outcome = parse(&text, Timestamp(0)).map(|r| r.len());
        }
    }
}
