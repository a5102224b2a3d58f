//! `make bench-logs`: pushes the same lines into this program, VictoriaLogs and Loki one after the other, asks each the same questions, and
//! prints tables in which `zstd -1` on the same lines is the unit. It asserts nothing but that a million streams stay inside the memory.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time, and waits for other processes")]

mod load;
mod measure;
mod push;
mod report;
mod server;
mod steady;
mod streams;
mod workload;
mod yardstick;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bench_harness::process::last_lines;
use bench_harness::table::{progress, skipped};
use clap::Parser;

use server::{Kind, Setup};
use steady::Feed;
use workload::Plan;

/// What our process may take while very many streams come.
const STREAMS_MEMORY_LIMIT: u64 = 256 << 20;

#[derive(Parser)]
#[command(about = "Compares this program with VictoriaLogs and Loki on one workload of logs")]
struct Cli {
    /// Our binary.
    #[arg(long)]
    watchfire: PathBuf,
    /// Which servers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "victoria-logs,loki,watchfire")]
    servers: Vec<String>,
    /// Megabytes of lines; 0 leaves this part out.
    #[arg(long, default_value_t = 1_000)]
    megabytes: usize,
    /// Distinct streams in a day, for us alone; 0 leaves this part out.
    #[arg(long, default_value_t = 1_000_000)]
    streams: u64,
    /// Megabytes of lines a second for a steady feed; 0 leaves this part out.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How many seconds the steady feed lasts.
    #[arg(long, default_value_t = 300)]
    rate_seconds: u64,
    /// Further lines for our configuration, such as "memory: {limit: 1GiB}".
    #[arg(long, default_value = "")]
    settings: String,
    /// Where the servers keep their data; emptied before use, removed afterwards.
    #[arg(long)]
    dir: PathBuf,
}

/// The time of day. A clock before 1970 is one that nobody has.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    // A whole five minutes, and a little in the past, so that nothing is in the future of a server.
    let end_ms = (now_ms() - 60_000) / 300_000 * 300_000;
    if cli.megabytes > 0 {
        cli.compare(end_ms)?;
    }
    if cli.rate > 0.0 {
        cli.steady()?;
    }
    if cli.streams > 0 {
        let setup = cli.setup(Kind::Watchfire, cli.watchfire.clone(), format!("memory: {{limit: {STREAMS_MEMORY_LIMIT}}}"))?;
        let outcome = streams::run(&setup, cli.streams, end_ms, STREAMS_MEMORY_LIMIT);
        let words = last_lines(&setup.dir.join("log"));
        std::fs::remove_dir_all(&setup.dir)?;
        outcome.with_context(|| words)?;
    }
    Ok(())
}

impl Cli {
    fn setup(&self, kind: Kind, binary: PathBuf, settings: String) -> Result<Setup> {
        let dir = self.dir.join(kind.name());
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        Ok(Setup { kind, binary, dir, settings })
    }

    fn compare(&self, end_ms: i64) -> Result<()> {
        let plan = Plan::of_bytes(self.megabytes * 1_000_000, end_ms);
        progress(report::NAME, &format!("zstd -1 over {} lines", plan.lines));
        let yardstick = yardstick::measure(&plan)?;
        let expected = measure::expected(&plan);
        let results = self.each(|setup| measure::run(setup, &plan))?;
        println!("{}", report::tables(&plan, &yardstick, &results, &expected));
        Ok(())
    }

    fn steady(&self) -> Result<()> {
        let feed = Feed { rate: self.rate, seconds: self.rate_seconds };
        let results = self.each(|setup| steady::run(setup, feed, now_ms))?;
        println!("{}", steady::tables(feed, &results));
        Ok(())
    }

    /// What is measured of each server that is installed. One that fails is said, and the others go on.
    fn each<T>(&self, measure: impl Fn(&Setup) -> Result<T>) -> Result<Vec<T>> {
        let mut results = Vec::new();
        for name in &self.servers {
            let kind = Kind::named(name).with_context(|| format!("no server is named {name}"))?;
            let found = if kind == Kind::Watchfire { Some(self.watchfire.clone()) } else { kind.installed() };
            let Some(binary) = found.filter(|b| b.is_file()) else {
                skipped(&format!("{name} is not installed"));
                continue;
            };
            let setup = self.setup(kind, binary, self.settings.clone())?;
            match measure(&setup) {
                Ok(figures) => results.push(figures),
                Err(error) => skipped(&format!("{name}: {error:#}\n{}", last_lines(&setup.dir.join("log")))),
            }
            std::fs::remove_dir_all(&setup.dir)?;
        }
        Ok(results)
    }
}
