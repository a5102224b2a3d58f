//! `make bench-metrics`: drives this program, Prometheus and VictoriaMetrics one after the other with the same samples and
//! prints a table of ratios. It asserts nothing; read processor time and ratios, not wall times, on a shared machine.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time, and waits for other processes")]

mod kill;
mod load;
mod measure;
mod query;
mod record;
mod report;
mod server;
mod template;
mod workload;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bench_harness::process::find;
use bench_harness::table::skipped;
use clap::{Args, Parser, Subcommand};

use measure::Course;
use server::{Kind, Setup};
use template::{RECORDING, Template};
use workload::{INTERVAL_MS, Plan};

#[derive(Parser)]
#[command(about = "Compares this program with Prometheus and VictoriaMetrics on one workload")]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Loads, asks, restarts and kills each server, and prints tables.
    Run(Run),
    /// Prints a new recording from a running node_exporter and a running Prometheus (HOST:PORT).
    Record { node_exporter: String, prometheus: String },
}

#[derive(Args)]
struct Run {
    /// Our binary.
    #[arg(long)]
    watchfire: PathBuf,
    /// Which servers, separated by commas; the first of prometheus, watchfire is the reference for answers.
    #[arg(long, value_delimiter = ',', default_value = "prometheus,victoria-metrics,watchfire")]
    servers: Vec<String>,
    /// Series at any moment (1,000 per instance).
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// Hours of data at one sample every 15 s.
    #[arg(long, default_value_t = 24.0)]
    hours: f64,
    /// Per cent of instances that are replaced by new ones in an hour.
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Samples per second; without it as fast as the server takes them.
    #[arg(long)]
    pace: Option<f64>,
    /// Leaves out the queries.
    #[arg(long)]
    no_queries: bool,
    /// Leaves out `kill -9`.
    #[arg(long)]
    no_kill: bool,
    /// The same seed gives the same samples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Further lines for our configuration, such as "memory: {limit: 1GiB}".
    #[arg(long, default_value = "")]
    settings: String,
    /// Where the servers keep their data; emptied before use, removed afterwards.
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        What::Record { node_exporter, prometheus } => record::record(&node_exporter, &prometheus),
        What::Run(run) => run.run(),
    }
}

impl Run {
    fn run(&self) -> Result<()> {
        let template = Template::parse(RECORDING)?;
        let instances = self.series / template.series.len();
        ensure!(instances > 0, "at least {} series", template.series.len());
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let rounds = (self.hours * 3_600_000.0 / INTERVAL_MS as f64) as usize;
        // A whole minute, and a little in the past, so that nothing is in the future of a server.
        let end_ms = (now_ms - 60_000) / 60_000 * 60_000;
        let plan = Plan { instances, rounds, start_ms: end_ms - rounds as i64 * INTERVAL_MS, churn_per_hour: self.churn / 100.0, seed: self.seed };
        let course = Course { template: &template, plan, pace: self.pace, queries: !self.no_queries, kill: !self.no_kill, hours: self.hours };

        let mut results = Vec::new();
        for name in &self.servers {
            let kind = Kind::named(name).with_context(|| format!("no server is named {name}"))?;
            let found = if kind == Kind::Watchfire { Some(self.watchfire.clone()) } else { find(name) };
            let Some(binary) = found.filter(|b| b.is_file()) else {
                skipped(&format!("{name} is not installed"));
                continue;
            };
            let dir = self.dir.join(name);
            if dir.exists() {
                std::fs::remove_dir_all(&dir)?;
            }
            let setup = Setup { kind, binary, dir: dir.clone(), settings: self.settings.clone() };
            match course.run(&setup) {
                Ok(figures) => results.push(figures),
                Err(error) => skipped(&format!("{name}: {error:#}\n{}", setup.last_words())),
            }
            std::fs::remove_dir_all(&dir)?;
        }
        print!("{}", report::tables(&course, &results));
        Ok(())
    }
}
