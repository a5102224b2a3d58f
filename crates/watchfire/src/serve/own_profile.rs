//! Profiles of this process, on request: how long each of its threads ran, by the kernel's own measure, and what its memory is. They go
//! out as everybody's do. No stack is walked; `docs/decisions/0025-own-profile-by-threads.md` says why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use watchfire_ingest::pyroscope::{Ingest, Pyroscope};
use watchfire_model::batch::Origin;
use watchfire_model::logs::Nanos;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_net::client::{Caller, HttpOptions, Request};
use watchfire_net::tasks::Tasks;
use watchfire_store::Store;

use crate::settings::ProfilingSettings;

/// What we are called in profiles.
const SERVICE: &str = "watchfire";
/// How long a push may take.
const PUSH_TIME_MAX: Duration = Duration::from_secs(10);
/// More threads than this are not told apart.
const THREADS_MAX: usize = 4_096;

/// What taking and sending need.
pub(super) struct Parts {
    pub(super) pyroscope: Arc<Pyroscope>,
    pub(super) store: Arc<Store>,
    pub(super) caller: Arc<Caller>,
    pub(super) instance: String,
    pub(super) clock: SharedClock,
}

/// Where profiles go.
struct Sender {
    parts: Parts,
    url: Option<String>,
    options: Arc<HttpOptions>,
    sent: Counter,
    failed: Counter,
    /// Whether the last one went out; nothing before the first.
    well: Option<bool>,
}

/// Begins, if it is wanted.
pub(super) fn start(settings: &ProfilingSettings, parts: Parts, tasks: &Tasks, meter: &Meter) {
    if settings.enabled {
        tasks.spawn("own_profile", run(settings.clone(), parts, meter.clone()));
    }
}

/// Takes and sends profiles until the task is stopped.
async fn run(settings: ProfilingSettings, parts: Parts, meter: Meter) {
    let pushes = |outcome| meter.counter("watchfire_profiling_pushes_total", "Profiles of this process that were pushed, by outcome.", &[("outcome", outcome)]);
    let (sent, failed) = (pushes("sent"), pushes("failed"));
    let mut sender = Sender { parts, url: settings.url, options: Arc::default(), sent, failed, well: None };
    let mut before = threads();
    let mut ticks = tokio::time::interval(settings.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick comes at once, when there is nothing to tell yet.
    ticks.tick().await;
    let mut from = now(&sender.parts.clock);
    loop {
        ticks.tick().await;
        let (until, after) = (now(&sender.parts.clock), threads());
        let cpu = folded(&ran(&before, &after));
        let memory = folded(&memory(&fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default(), &known_memory(&sender.parts.store)));
        // A sample stands for a nanosecond.
        sender.send("watchfire", (from, until), 1_000_000_000, cpu).await;
        sender.send("watchfire.inuse_space", (from, until), 1, memory).await;
        (before, from) = (after, until);
    }
}

fn now(clock: &SharedClock) -> Nanos {
    Nanos::from_millis(clock.now().millis())
}

impl Sender {
    async fn send(&mut self, name: &str, (from, until): (Nanos, Nanos), rate: u32, body: String) {
        if body.is_empty() {
            return;
        }
        let name = format!("{name}{{instance={}}}", self.parts.instance);
        let outcome = match &self.url {
            None => self.keep(name, (from, until), rate, body).await,
            Some(url) => {
                let address =
                    format!("{}/ingest?name={}&from={}&until={}&sampleRate={rate}&format=folded", url.trim_end_matches('/'), escaped(&name), from.0, until.0);
                let request = Request { method: Method::POST, body: body.into(), ..Request::get(address, PUSH_TIME_MAX) };
                match self.parts.caller.send(&self.options, request.header("content-type", "text/plain")).await {
                    Ok(answer) if answer.status.is_success() => Ok(()),
                    Ok(answer) => Err(format!("it answered with status {}", answer.status)),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        self.tell(outcome);
    }

    /// Without a place elsewhere we are the place.
    async fn keep(&self, name: String, (from, until): (Nanos, Nanos), rate: u32, body: String) -> Result<(), String> {
        let pyroscope = self.parts.pyroscope.clone();
        let task = tokio::task::spawn_blocking(move || {
            let ingest = Ingest { name: &name, from: Some(from), until: Some(until), sample_rate: Some(rate), format: "folded", content_type: "" };
            pyroscope.ingest(&ingest, body.as_bytes(), Origin::new("self"))
        });
        task.await.map_err(|error| error.to_string())?.map(drop).map_err(|error| error.to_string())
    }

    /// Once when it begins to fail, once when it is well again.
    fn tell(&mut self, outcome: Result<(), String>) {
        let well = outcome.is_ok();
        if well {
            self.sent.inc()
        } else {
            self.failed.inc()
        }
        match outcome {
            Err(error) if self.well != Some(false) => tracing::warn!(error, "cannot push profiles of this process; the next ones are tried all the same"),
            Ok(()) if self.well == Some(false) => tracing::info!("profiles of this process are taken again"),
            _ => {}
        }
        self.well = Some(well);
    }
}

/// Characters that an address may not have, as their bytes.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _written = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Names and nanoseconds on a processor of all threads, by their ids.
type Threads = BTreeMap<u32, (String, u64)>;

fn threads() -> Threads {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let ran = fs::read_to_string(entry.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
        Some((id, (name.trim().replace([';', '\n'], "_"), ran)))
    };
    // A thread that ends meanwhile is not there.
    entries.take(THREADS_MAX).filter_map(read).collect()
}

/// How long threads ran between two looks, by their names. Those that began in between ran all of it, of those that ended nothing is known.
fn ran(before: &Threads, after: &Threads) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (id, (name, ran)) in after {
        let earlier = before.get(id).filter(|(known, earlier)| known == name && earlier <= ran).map_or(0, |(_, earlier)| *earlier);
        *all.entry(format!("threads;{name}")).or_default() += ran - earlier;
    }
    all
}

/// What the store says that it holds.
fn known_memory(store: &Store) -> Vec<(&'static str, u64)> {
    let stats = store.stats();
    vec![
        ("recent samples", stats.head_bytes),
        ("exemplars", stats.exemplar_bytes),
        ("recent log entries", stats.logs.head_bytes),
        ("recent spans", stats.spans.head_bytes),
        ("recent profiles", stats.profiles.head_bytes),
    ]
}

/// Memory by kind: our own, of which the store knows a part, and pages of files.
fn memory(rollup: &str, known: &[(&'static str, u64)]) -> BTreeMap<String, u64> {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let (resident, own) = (field("Rss"), field("Anonymous"));
    let of_store: u64 = known.iter().map(|(_, bytes)| *bytes).sum();
    let mut all: BTreeMap<String, u64> = known.iter().map(|(name, bytes)| (format!("own;store;{name}"), *bytes)).collect();
    all.insert("own;everything else".to_owned(), own.saturating_sub(of_store));
    all.insert("pages of files".to_owned(), resident.saturating_sub(own));
    all.insert("swapped out".to_owned(), field("Swap"));
    all
}

fn folded(stacks: &BTreeMap<String, u64>) -> String {
    stacks.iter().filter(|(_, value)| **value > 0).fold(String::new(), |mut out, (stack, value)| {
        // Writing to a text does not fail.
        let _written = writeln!(out, "{SERVICE};{stack} {value}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(threads: &[(u32, &str, u64)]) -> Threads {
        threads.iter().map(|(id, name, ran)| (*id, ((*name).to_owned(), *ran))).collect()
    }

    #[test]
    fn threads_of_one_name_are_one_and_a_number_that_is_used_again_is_another_thread() {
        let before = seen(&[(1, "main", 100), (2, "worker", 50), (3, "worker", 10), (4, "gone", 5)]);
        let after = seen(&[(1, "main", 100), (2, "worker", 80), (3, "worker", 15), (4, "new", 7)]);
        assert_eq!(folded(&ran(&before, &after)), "watchfire;threads;new 7\nwatchfire;threads;worker 35\n");
    }

    #[test]
    fn memory_is_told_by_kind() {
        let rollup = "55 ---p [rollup]\nRss:  100 kB\nPss: 90 kB\nAnonymous:   60 kB\nSwap: 1 kB\n";
        let expected = "watchfire;own;everything else 60440\nwatchfire;own;store;a 1000\nwatchfire;pages of files 40960\nwatchfire;swapped out 1024\n";
        assert_eq!(folded(&memory(rollup, &[("a", 1000), ("b", 0)])), expected);
        assert_eq!(folded(&memory("", &[])), "");
    }

    #[test]
    fn this_process_has_threads() {
        assert!(threads().values().any(|(name, _)| !name.is_empty()));
        assert_eq!(escaped("a{b=c}"), "a%7Bb%3Dc%7D");
    }
}
