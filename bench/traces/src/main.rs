//! `make bench-traces`: pushes the traces of a shop by OTLP, asks for them in three ways, and prints tables in which decoding the same
//! requests alone is the unit. It asserts nothing; what was found stands beside what had to be.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time, and waits for another process")]

mod ask;
mod measure;
mod otlp;
mod report;
mod workload;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bench_harness::process::last_lines;
use clap::Parser;

use measure::Setup;
use workload::Plan;

/// What the benchmark calls itself while it works.
pub(crate) const NAME: &str = "bench-traces";

#[derive(Parser)]
#[command(about = "Measures this program on one workload of traces")]
struct Cli {
    /// Our binary.
    #[arg(long)]
    watchfire: PathBuf,
    /// Traces of eight spans.
    #[arg(long, default_value_t = 100_000)]
    traces: u64,
    /// Spans a second of the steady part; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Seconds of the steady part.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Further lines for the configuration, such as "memory: {limit: 1GiB}".
    #[arg(long, default_value = "")]
    settings: String,
    /// Where the server keeps its data; emptied before use, removed afterwards.
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    // A little in the past, so that nothing is in the future of the server.
    let plan = Plan { traces: cli.traces, end_nanos: now - 60_000_000_000 };
    let setup = Setup { binary: cli.watchfire, dir: cli.dir, settings: cli.settings };
    let paced = (cli.rate > 0).then_some((cli.rate, cli.seconds));
    let figures = measure::run(&setup, &plan, paced).with_context(|| last_lines(&setup.dir.join("log")))?;
    std::fs::remove_dir_all(&setup.dir)?;
    println!("{}", report::tables(&plan, &figures, &ask::expected(&plan)));
    Ok(())
}
