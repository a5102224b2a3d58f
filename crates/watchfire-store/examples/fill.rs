//! Fills a data directory with a synthetic fleet up to now, so that the start of the program can be measured on real volumes.
//! It goes through the store as the program does; it is not a backfill for anybody's data.
//!
//! `cargo run --release -p watchfire-store --example fill -- DIR [--series 2500] [--days 1] [--interval 15] [--kill]`
//!
//! With `--kill` the last two hours stay in the write-ahead log and the process ends by SIGKILL, as in a crash.
//! What must be found afterwards is printed before that, as `name=value` lines.

mod fleet;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use fleet::{Random, advance, fleet};
use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::sample::Sample;
use watchfire_model::time::{Clock, ManualClock, SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

/// How much of the end stays in the log before a kill.
const UNFLUSHED_MS: i64 = 2 * 3_600_000;

struct Arguments {
    dir: PathBuf,
    series: usize,
    days: i64,
    interval_ms: i64,
    kill: bool,
}

fn arguments() -> Option<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut read = Arguments { dir: PathBuf::from(given.next()?), series: 2500, days: 1, interval_ms: 15_000, kill: false };
    while let Some(name) = given.next() {
        match name.as_str() {
            "--series" => read.series = given.next()?.parse().ok()?,
            "--days" => read.days = given.next()?.parse().ok()?,
            "--interval" => read.interval_ms = given.next()?.parse::<i64>().ok()? * 1000,
            "--kill" => read.kill = true,
            _ => return None,
        }
    }
    (read.series > 0 && read.days > 0 && read.interval_ms > 0).then_some(read)
}

fn main() {
    let Some(Arguments { dir, series, days, interval_ms, kill }) = arguments() else {
        eprintln!("usage: fill DIR [--series N] [--days N] [--interval SECONDS] [--kill]");
        std::process::exit(2);
    };
    // The last scrape is the newest round time, the first one comes one interval less than the whole range before it.
    let end = SystemClock::new().now().0 / interval_ms * interval_ms;
    let steps = days * 86_400_000 / interval_ms;
    let start = end - (steps - 1) * interval_ms;
    let clock = ManualClock::new(Timestamp(start));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(&dir, clock.clone()) }).expect("a store");
    let mut fleet = fleet(series);
    let mut random = Random(7);
    let mut samples = 0;
    let mut flushed = false;
    for step in 0..steps {
        let time = Timestamp(start + step * interval_ms);
        for target in &mut fleet {
            let mut batch = Batch::new(Origin::new("fill"));
            for (labels, kind, value) in target {
                advance(*kind, value, &mut random);
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time, value: *value }) });
            }
            samples += store.write(batch).expect("room").stored;
        }
        clock.advance(Duration::from_millis(interval_ms.unsigned_abs()));
        if !kill || time.0 < end - UNFLUSHED_MS {
            store.tick();
        } else if !flushed {
            flushed = true;
            store.flush().expect("a flush");
        }
    }
    let stats = store.stats();
    println!("series={series}\nsamples={samples}\nsteps={steps}\nend_s={}\nhead_samples={}\nsegments={}", end / 1000, stats.head_samples, stats.segments);
    std::io::stdout().flush().expect("standard output");
    if kill {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("a signal to ourselves");
    }
    store.close();
}
