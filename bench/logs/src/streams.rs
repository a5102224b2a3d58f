//! Very many streams in a day: whether our process stays inside the memory that it was given while they come, while one of them is asked
//! for, and after a start.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench_harness::client::{Client, encoded};
use bench_harness::load::Sender;
use bench_harness::process::{Watch, bytes_under, cpu_ms, status_bytes};
use bench_harness::table::{ms, number, progress};

use crate::push::{HEADERS, Push};
use crate::report::NAME;
use crate::server::{Kind, Setup};
use crate::workload::{Plan, SPAN_MS};

/// A sender may have so many streams within an hour; then another one goes on.
const STREAMS_PER_SENDER: u64 = 90_000;
/// Streams of one request.
const STREAMS_PER_REQUEST: u64 = 2_000;
/// Values of a label: with more it would make no streams.
const VALUES: u64 = 100;

/// What was measured.
struct Streams {
    most: u64,
    anonymous: u64,
    after_start: u64,
    cpu_ms: u64,
    took: Duration,
    disk_bytes: u64,
    one: Duration,
    start: Duration,
}

fn labels(n: u64) -> String {
    format!("{{app=\"a{}\", zone=\"z{}\", pod=\"p{}\"}}", n % VALUES, n / VALUES % VALUES, n / VALUES / VALUES)
}

/// Another address for each sender, all of them this machine's.
fn sender_address(sender: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1 + (sender / 250) as u8, 1 + (sender % 250) as u8)
}

fn load(address: &str, count: u64, plan: &Plan) -> Result<()> {
    let mut push = Push::default();
    let path = Kind::Watchfire.push_path();
    let mut senders: u64 = 0;
    let mut sender = Sender::from(address, path, HEADERS, sender_address(0));
    for first in (0..count).step_by(STREAMS_PER_REQUEST as usize) {
        if first / STREAMS_PER_SENDER > senders {
            senders = first / STREAMS_PER_SENDER;
            sender = Sender::from(address, path, HEADERS, sender_address(senders));
        }
        for n in first..(first + STREAMS_PER_REQUEST).min(count) {
            push.stream(&labels(n));
            let time = plan.start_ms() + (i128::from(SPAN_MS) * i128::from(n) / i128::from(count)) as i64;
            push.entry(time, &format!("started with {} of memory and job={n}", n % 7));
        }
        sender.post(&push.finish()?)?;
    }
    Ok(())
}

/// How many lines a selector finds over the whole day, and how long that took.
fn found(address: &str, selector: &str, plan: &Plan) -> Result<(f64, Duration)> {
    let query = encoded(&format!("sum(count_over_time({selector}[1d]))"));
    let began = Instant::now();
    let body = Client::new(address).get(&format!("/loki/api/v1/query?query={query}&time={}000000", plan.end_ms - 1))?.text()?;
    Ok((Kind::Watchfire.found(crate::server::Ask::Scan, &body)?, began.elapsed()))
}

fn measure(setup: &Setup, count: u64, plan: &Plan) -> Result<Streams> {
    let server = setup.start()?;
    let pid = server.process.pid();
    progress(NAME, &format!("{count} streams"));
    let (cpu, began) = (cpu_ms(pid), Instant::now());
    let watch = Watch::new(pid);
    load(&server.address, count, plan)?;
    let (cpu_ms, took) = (cpu_ms(pid) - cpu, began.elapsed());
    let (all, _) = found(&server.address, "{app=~\"a.*\"}", plan)?;
    ensure!(all == count as f64, "{all} of {count} lines are found");
    let (one, asked) = found(&server.address, &labels(count / 2).replace(", ", ","), plan)?;
    ensure!(one == 1.0, "{one} lines of one stream are found instead of 1");
    server.process.wait_quiet(Duration::from_secs(120));
    let (most, _) = watch.end();
    let anonymous = status_bytes(pid, "RssAnon");
    server.process.stop()?;
    let server = setup.start()?;
    let start = server.process.since_start();
    let (again, _) = found(&server.address, "{app=~\"a.*\"}", plan)?;
    ensure!(again == count as f64, "{again} of {count} lines are found after a start");
    let after_start = status_bytes(server.process.pid(), "VmHWM");
    server.process.stop()?;
    Ok(Streams { most, anonymous, after_start, cpu_ms, took, disk_bytes: bytes_under(&setup.data()), one: asked, start })
}

/// Measures and prints; fails where it took more memory than it was given.
pub(crate) fn run(setup: &Setup, count: u64, end_ms: i64, limit: u64) -> Result<()> {
    let plan = Plan { lines: count, end_ms };
    let measured = measure(setup, count, &plan)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("| {} distinct streams in a day, a line each | |\n|---|---|", number(count as f64));
    for (title, value) in [
        ("memory.limit, MiB", mib(limit)),
        ("RSS while they came and were asked for, most, MiB", mib(measured.most)),
        ("anonymous RSS afterwards, MiB", mib(measured.anonymous)),
        ("RSS after a start and a question about all of them, most, MiB", mib(measured.after_start)),
        ("CPU s", measured.cpu_ms as f64 / 1000.0),
        ("seconds (wall)", measured.took.as_secs_f64()),
        ("bytes stored per stream", measured.disk_bytes as f64 / count as f64),
        ("one of them asked for over the whole day, ms", ms(measured.one)),
        ("start until ready, ms", ms(measured.start)),
    ] {
        println!("| {title} | {} |", number(value));
    }
    println!();
    let most = measured.most.max(measured.after_start);
    ensure!(most <= limit, "{:.1} MiB are more than the limit of {:.1} MiB", mib(most), mib(limit));
    Ok(())
}
