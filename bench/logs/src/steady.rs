//! A steady feed: so many megabytes of lines a second for so long, as a house full of programs writes them, and what each server keeps in
//! memory meanwhile. Lines come with the time at which they are sent; nothing is asked.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_harness::load::{Loaded, Sender};
use bench_harness::process::{Watch, bytes_under, cpu_ms, status_bytes};
use bench_harness::table::{Table, machine, number, progress};

use crate::push::{HEADERS, Push};
use crate::report::NAME;
use crate::server::{Kind, Setup};
use crate::workload::{Plan, STREAMS};

/// How often a request goes out, as long as the server keeps up.
const EVERY: Duration = Duration::from_millis(100);
const MB: f64 = 1e6;

/// How much, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    /// Megabytes of lines in a second.
    pub(crate) rate: f64,
    pub(crate) seconds: u64,
}

impl Feed {
    /// The bytes that should be there after some time.
    fn due(self, elapsed: Duration) -> u64 {
        (self.rate * MB * elapsed.as_secs_f64()) as u64
    }
    fn length(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// What was measured of one server.
pub(crate) struct Steady {
    kind: Kind,
    fed: Loaded,
    idle: u64,
    most: u64,
    average: u64,
    /// The part that no file stands behind, at the end.
    anonymous: u64,
    cpu_ms: u64,
    disk_bytes: u64,
}

/// Sends what is due every tenth of a second. A server that is slower is behind, and the rate that is reached says so.
fn feed(address: &str, path: &str, feed: Feed, now_ms: impl Fn() -> i64) -> Result<Loaded> {
    let plan = Plan::of_bytes(feed.due(feed.length()) as usize + 1, now_ms());
    let mut sender = Sender::new(address, path, HEADERS);
    let mut pending: Vec<Vec<String>> = vec![Vec::new(); STREAMS];
    let mut push = Push::default();
    let began = Instant::now();
    while began.elapsed() < feed.length() {
        let due = feed.due(began.elapsed());
        while sender.loaded.bytes < due {
            let line = plan.line(sender.loaded.items % plan.lines);
            sender.loaded.items += 1;
            sender.loaded.bytes += line.text.len() as u64;
            pending[line.stream].push(line.text);
        }
        let time = now_ms();
        let mut any = false;
        for (stream, lines) in pending.iter_mut().enumerate().filter(|(_, lines)| !lines.is_empty()) {
            push.stream(&format!("{{app=\"service-{stream}\", env=\"prod\"}}"));
            lines.drain(..).for_each(|text| push.entry(time, &text));
            any = true;
        }
        if any {
            sender.post(&push.finish()?)?;
        }
        std::thread::sleep(EVERY);
    }
    sender.loaded.took = began.elapsed();
    sender.loaded.latencies.sort_unstable();
    Ok(sender.loaded)
}

/// Measures one server.
pub(crate) fn run(setup: &Setup, how: Feed, now_ms: impl Fn() -> i64) -> Result<Steady> {
    let server = setup.start()?;
    let pid = server.process.pid();
    std::thread::sleep(Duration::from_secs(3));
    let idle = status_bytes(pid, "VmRSS");
    progress(NAME, &format!("{}: {} MB of lines a second for {} s", setup.kind.name(), how.rate, how.seconds));
    let cpu = cpu_ms(pid);
    let watch = Watch::new(pid);
    let fed = feed(&server.address, setup.kind.push_path(), how, now_ms);
    let cpu_ms = cpu_ms(pid) - cpu;
    let anonymous = status_bytes(pid, "RssAnon");
    let (most, average) = watch.end();
    let fed = fed.with_context(|| setup.kind.name())?;
    server.process.stop()?;
    Ok(Steady { kind: setup.kind, fed, idle, most, average, anonymous, cpu_ms, disk_bytes: bytes_under(&setup.data()) })
}

/// All of it as markdown.
pub(crate) fn tables(how: Feed, results: &[Steady]) -> String {
    let mut table = Table::new(results.iter().map(|steady| steady.kind.name()).collect(), Kind::Watchfire.name());
    table.text(&format!("{} MB of lines a second in {STREAMS} streams for {} s; {}\n", number(how.rate), how.seconds, machine()));
    table.head("a steady feed");
    let mut row = |title: &str, value: &dyn Fn(&Steady) -> f64| table.row(title, &results.iter().map(value).collect::<Vec<_>>());
    row("MB of lines per second, reached", &|s| s.fed.bytes as f64 / MB / s.fed.took.as_secs_f64());
    row("RSS before, MB", &|s| s.idle as f64 / MB);
    row("RSS, most, MB", &|s| s.most as f64 / MB);
    row("RSS, average, MB", &|s| s.average as f64 / MB);
    row("anonymous RSS at the end, MB", &|s| s.anonymous as f64 / MB);
    row("processors in use", &|s| s.cpu_ms as f64 / 1_000.0 / s.fed.took.as_secs_f64());
    row("request, ms: 99th percentile", &|s| s.fed.percentile_ms(99));
    row("requests that had to be sent again", &|s| s.fed.retries as f64);
    row("bytes stored per byte of lines, after a stop", &|s| s.disk_bytes as f64 / s.fed.bytes as f64);
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_follows_the_clock() {
        let feed = Feed { rate: 10.0, seconds: 60 };
        assert_eq!((feed.due(Duration::ZERO), feed.due(Duration::from_millis(100)), feed.due(feed.length())), (0, 1_000_000, 600_000_000));
    }
}
