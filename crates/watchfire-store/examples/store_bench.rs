//! Measures the store alone on a synthetic fleet: ingest per CPU-second with the write-ahead log, bytes per sample, and what
//! selections cost. Not a comparison with other programs: that needs their protocols and belongs to the benchmarks of the stack.
//!
//! `cargo run --release -p watchfire-store --example store_bench -- [instances] [hours]`

mod fleet;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use fleet::{Random, advance, fleet};
use rustix::time::{ClockId, clock_gettime};
use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::Sample;
use watchfire_model::time::{Clock, ManualClock, SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const START: i64 = 1_767_052_800_000;
const STEP: i64 = 15_000;

/// CPU seconds of this process.
fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Memory of this process in MB, now and at most.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    (field("VmRSS"), field("VmHWM"))
}

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let instances = arguments.first().copied().unwrap_or(10);
    let hours = arguments.get(1).copied().unwrap_or(6);
    let dir = std::env::temp_dir().join(format!("watchfire-store-bench-{}", std::process::id()));
    let clock = ManualClock::new(Timestamp(START));
    let make = || Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(&dir, clock.clone()) }).expect("a store");
    let store = make();
    let mut fleet = fleet(instances * 1000);
    let mut random = Random(7);
    let (mut spent, mut ticking, mut samples) = (0.0, 0.0, 0u64);
    for step in 0..(hours as i64 * 3_600_000 / STEP) {
        for (n, target) in fleet.iter_mut().enumerate() {
            let time = Timestamp(START + step * STEP + n as i64 * 1000 + (random.next() % 4) as i64);
            let mut batch = Batch::new(Origin::new("bench"));
            for (labels, kind, value) in target {
                advance(*kind, value, &mut random);
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time, value: *value }) });
            }
            let began = cpu();
            samples += store.write(batch).expect("room").stored;
            spent += cpu() - began;
        }
        clock.advance(Duration::from_millis(STEP as u64));
        let began = cpu();
        store.tick();
        ticking += cpu() - began;
    }
    let (head_rss, _) = memory();
    let began = cpu();
    store.flush().expect("a flush");
    while store.merge().expect("a merge") {}
    ticking += cpu() - began;
    let stats = store.stats();
    let (rss, peak) = memory();
    println!("{instances} targets of 1,000 series, every 15 s, {hours} h: {samples} samples");
    println!("| figure | value |\n|---|---|");
    println!("| ingest (judge, log, head), M samples per CPU-second | {:.2} |", samples as f64 / spent / 1e6);
    println!("| ingest with flushes and merges, M samples per CPU-second | {:.2} |", samples as f64 / (spent + ticking) / 1e6);
    println!("| CPU of a scrape of 1,000 samples, µs | {:.0} |", spent * 1e9 / samples as f64);
    println!("| log, bytes per sample | {:.2} |", stats.wal_written_bytes as f64 / samples as f64);
    println!("| segments | {} |", stats.segments);
    println!("| blocks, bytes per sample | {:.3} |", stats.segment_sample_bytes as f64 / stats.segment_samples as f64);
    println!("| segments with index, bytes per sample | {:.3} |", stats.segment_bytes as f64 / stats.segment_samples as f64);
    println!("| memory before the last flush / after / peak, MB | {head_rss:.0} / {rss:.0} / {peak:.0} |");
    queries(&store, START + hours as i64 * 3_600_000);
    drop(store);
    let wall = SystemClock::new();
    let began = wall.monotonic();
    let store = make();
    println!("| open, ms | {:.1} |", (wall.monotonic() - began).as_secs_f64() * 1e3);
    println!("| memory after open (same process), MB | {:.0} |", memory().0);
    queries(&store, START + hours as i64 * 3_600_000);
    drop(store);
    std::fs::remove_dir_all(&dir).expect("the directory of this run");
    replay(instances, &dir);
}

/// What a start costs after two hours without a flush and without a clean stop.
fn replay(instances: usize, dir: &std::path::Path) {
    let clock = ManualClock::new(Timestamp(START));
    let make =
        || Store::open(Options { keeper: false, min_free_bytes: 0, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) }).expect("a store");
    let store = make();
    let mut fleet = fleet(instances * 1000);
    let mut random = Random(9);
    for step in 0..(2 * 3_600_000 / STEP) {
        for target in &mut fleet {
            let mut batch = Batch::new(Origin::new("bench"));
            for (labels, kind, value) in target {
                advance(*kind, value, &mut random);
                let sample = Sample { time: Timestamp(START + step * STEP), value: *value };
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(sample) });
            }
            store.write(batch).expect("room");
        }
        clock.advance(Duration::from_millis(STEP as u64));
    }
    println!("| memory of {} samples in the head (same process), MB | {:.1} |", store.stats().head_samples, store.stats().head_bytes as f64 / 1e6);
    drop(store);
    let wall = SystemClock::new();
    let began = wall.monotonic();
    let store = make();
    println!("| reading back a log of {} samples, ms | {:.0} |", store.stats().replay.samples, (wall.monotonic() - began).as_secs_f64() * 1e3);
    println!("| memory, now / peak, MB | {:.0} / {:.0} |", memory().0, memory().1);
    drop(store);
    std::fs::remove_dir_all(dir).expect("the directory of this run");
}

fn queries(store: &Store, end: i64) {
    let clock = Arc::new(SystemClock::new());
    let name = Matcher::equal("__name__", "node_metric_11_total");
    let one = [name.clone(), Matcher::equal("instance", "host-00.example.net:9100"), Matcher::equal("device", "device3")];
    let some = [name, Matcher::new("instance", MatchOp::Regex, "host-0[0-4].*").expect("a pattern")];
    let hour = 3_600_000;
    let cases: [(&str, &[Matcher], i64); 5] = [
        ("one series, whole range", &one, i64::MAX / 4),
        ("40 series, whole range", &some, i64::MAX / 4),
        ("40 series, last hour", &some, hour),
        ("40 series, last 5 min", &some, 300_000),
        ("all series, last 5 min", &[], 300_000),
    ];
    for (what, matchers, back) in cases {
        let selection = Selection { matchers: matchers.to_vec(), start: Timestamp(end - back), end: Timestamp(end) };
        let (mut series, mut samples) = (0, 0);
        let mut best = f64::MAX;
        for _ in 0..5 {
            (series, samples) = (0, 0);
            let began = cpu();
            let read = store.select(&selection, &Budget::unlimited(clock.clone()), &mut |s| {
                series += 1;
                samples += s.times.len();
                Ok(ControlFlow::Continue(()))
            });
            read.expect("a readable store");
            best = best.min(cpu() - began);
        }
        println!("| {what}: {series} series, {samples} samples, CPU ms | {:.2} |", best * 1e3);
    }
}
