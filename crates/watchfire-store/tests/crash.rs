//! Kills a writing process again and again, at random moments, and compares what the store gives back with what was
//! acknowledged: nothing may be lost, invented or changed.
//!
//! The same program is the writer (`crash writer <dir> <first batch>`): it prints `ack <n>` after batch `n` was acknowledged.
//! `WATCHFIRE_CRASH_KILLS` sets the number of kills (50), `WATCHFIRE_CRASH_SEED` the seed, which is printed. Built with the feature
//! `canary-ack-before-write`, which acknowledges too early, the loop must find losses, and the test fails if it does not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{CounterReset, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::{HistogramSample, Sample, stale_nan};
use watchfire_model::time::{Clock, SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const START: i64 = 1_700_000_000_000;
const STEP: i64 = 1000;
const SERIES: u64 = 20;
/// Before every batch of a multiple of this, old samples of one series are deleted.
const DELETE_EVERY: u64 = 100;
/// So many batches before the present one are not deleted.
const KEPT: u64 = 20;
/// Then a new directory begins, because checking grows with what was written.
const KILLS_PER_DIRECTORY: u64 = 10;

/// What a sample is, compared by bits. What is known of a counter reset depends on the neighbours and is left out.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Float(u64),
    Histogram(Box<Histogram>),
}

/// Batch `n`: some series in every batch, some that come and go, values of every kind.
fn batch(n: u64) -> Vec<(Labels, i64, Value)> {
    let time = START + n as i64 * STEP;
    let float = |value: f64| Value::Float(value.to_bits());
    let mut samples: Vec<_> = (0..SERIES).map(|s| (series("steady", s), time, float(value(n, s)))).collect();
    samples.push((series("passing", n / 50), time, float(n as f64)));
    if n % 10 == 9 {
        samples.push((series("late", 0), time - 5 * STEP, float(n as f64)));
    } else {
        samples.push((series("late", 1), time, float(n as f64)));
    }
    samples.push((series("histogram", 0), time, histogram(n, true)));
    let late = if n % 10 == 9 { time - 5 * STEP } else { time };
    samples.push((series("histogram", 1 + n % 10 / 9), late, histogram(n, false)));
    samples.push((series("deleted", 0), time, float(n as f64)));
    // A series that is a float now and a histogram then.
    samples.push((series("mixed", 0), time, if n % 20 < 10 { float(n as f64) } else { histogram(n, true) }));
    samples
}

/// The first batch whose sample of the series with deletions is there when batch `n` is acknowledged.
fn first_kept(n: u64) -> u64 {
    (n / DELETE_EVERY * DELETE_EVERY).saturating_sub(KEPT)
}

/// Deletes what batch `n` asks for. A deletion that was not acknowledged is done again.
fn delete(store: &Store, n: u64) -> std::io::Result<()> {
    if n == 0 || !n.is_multiple_of(DELETE_EVERY) {
        return Ok(());
    }
    let matchers = vec![Matcher::equal("__name__", "crash_deleted")];
    let end = START + (first_kept(n) as i64 - 1) * STEP;
    store.delete_series(&[matchers], Timestamp::MIN, Timestamp(end))?;
    if n.is_multiple_of(3 * DELETE_EVERY) {
        store.clean_tombstones()?;
    }
    Ok(())
}

fn histogram(n: u64, integer: bool) -> Value {
    if n % 31 == 30 {
        return Value::Histogram(Box::new(Histogram::stale()));
    }
    let buckets: Vec<f64> = (0..1 + n % 50 / 9).map(|b| (n % 40 * b) as f64 / if integer { 1.0 } else { 4.0 }).collect();
    Value::Histogram(Box::new(Histogram {
        schema: (n % 100 / 30) as i8,
        integer,
        count: buckets.iter().sum(),
        sum: value(n, 1),
        negative_spans: vec![Span { offset: 3, length: buckets.len() as u32 }],
        negative_buckets: buckets,
        ..Histogram::default()
    }))
}

fn series(kind: &str, n: u64) -> Labels {
    Labels::from_pairs([("__name__", format!("crash_{kind}")), ("n", n.to_string())])
}

fn value(n: u64, s: u64) -> f64 {
    match s {
        0 => 1.0,
        1 => f64::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        2 if n.is_multiple_of(7) => stale_nan(),
        3 => -0.0,
        _ => n as f64 * s as f64 / 8.0,
    }
}

fn open(dir: &Path) -> Result<Store, watchfire_store::OpenError> {
    let clock = SystemClock::shared();
    // Small sizes make files turn over many times within one run.
    Store::open(Options {
        memory_max: 48 << 10,
        wal_file_bytes: 16 << 10,
        sync_interval: Duration::from_millis(50),
        min_free_bytes: 0,
        ..Options::new(dir, clock)
    })
}

/// The process that is killed. It goes on at the first batch that is not stored yet.
fn writer(dir: &str, first: u64) -> ExitCode {
    let store = match open(Path::new(dir)) {
        Ok(store) => store,
        Err(error) => {
            println!("error cannot open: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = std::io::stdout().lock();
    for n in first.. {
        if let Err(error) = delete(&store, n) {
            println!("error cannot delete before batch {n}: {error}");
            return ExitCode::FAILURE;
        }
        let mut request = Batch::new(Origin::new("crash"));
        for (labels, time, value) in batch(n) {
            let time = Timestamp(time);
            match value {
                Value::Float(bits) => request.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value: f64::from_bits(bits) }) }),
                Value::Histogram(h) => request.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: Arc::new(*h) }] }),
            }
        }
        request.metadata.push(Metadata { family: format!("crash_{}", n / 100).into(), kind: MetricType::Gauge, help: "".into(), unit: "".into() });
        let wanted = request.sample_count() as u64;
        let acknowledged = loop {
            match store.write(request.clone()) {
                Ok(written) => break written,
                Err(watchfire_model::write::WriteError::Busy(_)) => store.tick(),
                Err(error) => {
                    println!("error cannot write batch {n}: {error}");
                    return ExitCode::FAILURE;
                }
            }
        };
        // Conservation: every sample is accounted for. A batch that was written but not acknowledged comes again as duplicates.
        if acknowledged.stored + acknowledged.duplicates != wanted {
            println!("error batch {n}: {acknowledged:?} of {wanted} samples");
            return ExitCode::FAILURE;
        }
        if writeln!(out, "ack {n}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

fn kill(child: &mut Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("a dead child");
}

/// Runs the writer, kills it after a while, and returns the number of acknowledged batches.
fn run_and_kill(dir: &Path, acknowledged: u64, random: &mut Random) -> Result<u64, String> {
    let program = std::env::current_exe().expect("our own path");
    let mut child = Command::new(program)
        .args(["writer", dir.to_str().expect("a plain path"), &acknowledged.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a writer");
    let output = child.stdout.take().expect("its output");
    let (send, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    // One in five dies within the first milliseconds, while it reads the log back; the others somewhere within the writing.
    let early = random.below(5) == 0;
    let micros = if early { random.below(5_000) } else { 10_000 + random.below(110_000) };
    let mut count = acknowledged;
    let mut error = None;
    let mut take = |line: String| match line.strip_prefix("ack ").and_then(|n| n.parse::<u64>().ok()) {
        Some(n) => count = n + 1,
        None => error = Some(line),
    };
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + Duration::from_micros(micros);
    while let Ok(line) = lines.recv_timeout(deadline.saturating_sub(clock.monotonic())) {
        take(line);
    }
    kill(&mut child);
    reader.join().expect("the reader");
    lines.try_iter().for_each(&mut take);
    match error {
        Some(error) => Err(error),
        None => Ok(count),
    }
}

type Everything = BTreeMap<Labels, BTreeMap<i64, Value>>;

fn everything(store: &Store) -> Everything {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let mut all = Everything::new();
    let read = store.select(&selection, &Budget::unlimited(SystemClock::shared()), &mut |s| {
        let floats = s.times.iter().copied().zip(s.values.iter().map(|v| Value::Float(v.to_bits())));
        let plain = |h: &Histogram| Value::Histogram(Box::new(Histogram { reset: CounterReset::Unknown, ..h.clone() }));
        all.insert(s.labels, floats.chain(s.histograms.iter().map(|h| (h.time.0, plain(&h.value)))).collect());
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    all
}

/// Compares what is stored with what may be there: all acknowledged batches, and at most the one after them. Returns how many
/// batches are stored.
fn verify(dir: &Path, acknowledged: u64) -> Result<u64, String> {
    let store = open(dir).map_err(|e| format!("cannot open: {e}"))?;
    let stats = store.stats();
    if stats.quarantined > 0 {
        return Err(format!("a kill must not damage anything: {stats:?}"));
    }
    let mut found = everything(&store);
    store.close();
    for n in 0..acknowledged {
        for (labels, time, value) in batch(n) {
            // Deleted for good, or by a deletion that nobody has heard of yet.
            let deleted = labels == series("deleted", 0) && n < first_kept(acknowledged.saturating_sub(1));
            let perhaps = labels == series("deleted", 0) && n < first_kept(acknowledged);
            match found.get_mut(&labels).and_then(|s| s.remove(&time)) {
                Some(_) if deleted => return Err(format!("not deleted: {labels} at {time}, batch {n} of {acknowledged}")),
                Some(found) if found == value => {}
                None if deleted || perhaps => {}
                Some(found) => return Err(format!("changed: {labels} at {time}: {value:?} became {found:?}")),
                None => return Err(format!("lost: {labels} at {time}, batch {n} of {acknowledged}")),
            }
        }
    }
    let next: Vec<_> = batch(acknowledged);
    let mut extra = 0;
    for (labels, samples) in &found {
        for (time, value) in samples {
            if !next.iter().any(|(l, t, v)| l == labels && t == time && v == value) {
                return Err(format!("invented: {labels} at {time}: {value:?}"));
            }
            extra += 1;
        }
    }
    if extra == 0 || extra == next.len() { Ok(acknowledged) } else { Err(format!("batch {acknowledged} is there in part: {extra} of {}", next.len())) }
}

#[expect(clippy::disallowed_methods, reason = "a test program has no configuration but its environment")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Kills and verifies; returns the number of acknowledged batches, or the first fault.
fn kill_loop(kills: u64, random: &mut Random) -> Result<u64, String> {
    let mut dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    let mut total = 0;
    for round in 0..kills {
        if round % KILLS_PER_DIRECTORY == 0 {
            dir = tempfile::tempdir().expect("a directory");
            total += std::mem::take(&mut acknowledged);
        }
        acknowledged = run_and_kill(dir.path(), acknowledged, random).map_err(|e| format!("kill {round}: {e}"))?;
        // Half of the time the next writer is the first to see what the crash left.
        let last = round + 1 == kills || (round + 1) % KILLS_PER_DIRECTORY == 0;
        if last || random.below(2) == 0 {
            verify(dir.path(), acknowledged).map_err(|e| format!("kill {round}: {e}"))?;
        }
    }
    Ok(total + acknowledged)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir, first] = &arguments[..]
        && mode == "writer"
    {
        return writer(dir, first.parse().expect("a number"));
    }
    if arguments.iter().any(|a| a == "--list") {
        println!("r01_kills_lose_nothing: test");
        return ExitCode::SUCCESS;
    }
    let seed = setting("WATCHFIRE_CRASH_SEED").unwrap_or_else(|| SystemClock::new().now().millis() as u64);
    let kills = setting("WATCHFIRE_CRASH_KILLS").unwrap_or(50);
    println!("crash test: {kills} kills, WATCHFIRE_CRASH_SEED={seed}");
    let result = kill_loop(kills, &mut Random(seed));
    let canary = cfg!(feature = "canary-ack-before-write");
    match (result, canary) {
        (Ok(batches), false) => {
            println!("test r01_kills_lose_nothing ... ok ({batches} batches acknowledged, none lost, invented or changed)");
            ExitCode::SUCCESS
        }
        (Err(fault), true) => {
            println!("test r04_early_acknowledgement_is_caught ... ok ({fault})");
            ExitCode::SUCCESS
        }
        (Err(fault), false) => {
            println!("test r01_kills_lose_nothing ... FAILED: {fault}");
            ExitCode::FAILURE
        }
        (Ok(_), true) => {
            println!("test r04_early_acknowledgement_is_caught ... FAILED: the build that acknowledges too early was not caught");
            ExitCode::FAILURE
        }
    }
}
