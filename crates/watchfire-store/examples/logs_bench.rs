//! Measures the store's logs alone on synthetic lines: what keeping and reading them costs, as multiples of what `zstd -1` takes to
//! compress and decompress the same lines in the same run. Not a comparison with other programs: that needs their protocols.
//!
//! `cargo run --release -p watchfire-store --example logs_bench -- [megabytes]`

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, LogOrder, LogSelection, LogSource, Nanos, StreamEntries};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::Budget;
use watchfire_model::time::{Clock, ManualClock, SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{LogOptions, Options, Store};

const START: i64 = 1_767_052_800_000;
const HOURS: i64 = 6;
const STREAMS: usize = 10;
const BATCH_BYTES: usize = 512 << 10;
const MESSAGES: [&str; 12] = [
    "request completed",
    "user signed in",
    "cache miss, loading from database",
    "payment authorised",
    "order placed",
    "inventory reserved",
    "email queued for delivery",
    "retrying upstream call after timeout",
    "session expired",
    "rate limit reached for client",
    "failed to connect to database replica",
    "background job finished",
];

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

/// A small random generator.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Line `n` of `lines`: its stream, time in ms, level and text. The same `n` is always the same line.
fn line(n: u64, lines: u64) -> (usize, i64, &'static str, String) {
    let mut random = Random(n.wrapping_mul(0x1234_5678_9abc_def1));
    let time = START + (HOURS * 3_600_000) * n as i64 / lines as i64;
    let level = match random.below(100) {
        0..82 => "info",
        82..93 => "debug",
        93..98 => "warn",
        _ => "error",
    };
    let mut message = MESSAGES[random.below(12) as usize].to_owned();
    if n % 200_003 == 100_000 {
        message.push_str(" needle-7f3a9c");
    }
    let method = ["GET", "POST", "PUT", "DELETE"][random.below(4) as usize];
    let path = ["/api/orders", "/api/users", "/api/cart", "/api/checkout", "/health", "/api/search"][random.below(6) as usize];
    let status = [200, 200, 200, 201, 204, 302, 400, 404, 500, 503][random.below(10) as usize];
    let (duration, user) = (random.below(2000), random.below(50_000));
    let trace = (u128::from(random.next()) << 64) | u128::from(random.next());
    let stream = random.below(STREAMS as u64) as usize;
    let at = Timestamp(time).rfc3339_millis();
    let text = format!(
        r#"{{"ts":"{at}","level":"{level}","msg":"{message}","method":"{method}","path":"{path}","status":{status},"duration_ms":{duration},"user_id":{user},"trace_id":"{trace:032x}"}}"#
    );
    (stream, time, level, text)
}

fn streams() -> Vec<Labels> {
    (0..STREAMS).map(|n| Labels::from_pairs([("app", format!("service-{n}").as_str()), ("env", "prod")])).collect()
}

/// What `zstd -1` takes for the same lines, in MB per CPU second: compressing, decompressing; and what is left of a byte.
fn yardstick(lines: u64) -> (f64, f64, f64) {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    let mut decompressor = zstd::bulk::Decompressor::new().expect("a decompressor");
    let (mut raw, mut stored, mut packing, mut unpacking) = (0, 0, 0.0, 0.0);
    let mut block = String::new();
    for n in 0..lines {
        block.push_str(&line(n, lines).3);
        block.push('\n');
        if block.len() >= 1 << 20 || n + 1 == lines {
            let began = cpu();
            let packed = compressor.compress(block.as_bytes()).expect("memory");
            packing += cpu() - began;
            let began = cpu();
            let back = decompressor.decompress(&packed, block.len()).expect("memory");
            unpacking += cpu() - began;
            assert_eq!(back.len(), block.len());
            raw += block.len();
            stored += packed.len();
            block.clear();
        }
    }
    (raw as f64 / packing / 1e6, raw as f64 / unpacking / 1e6, stored as f64 / raw as f64)
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::open(Options { keeper: false, min_free_bytes: 0, logs: LogOptions::default(), ..Options::new(dir, clock.clone()) }).expect("a store")
}

/// Writes all lines in batches, with the keeper's duties every ten megabytes. Returns bytes of lines, and CPU seconds.
fn ingest(store: &Store, clock: &ManualClock, lines: u64) -> (u64, f64) {
    let streams = streams();
    let levels: Vec<(&str, Labels)> = ["info", "debug", "warn", "error"].map(|l| (l, Labels::from_pairs([("detected_level", l)]))).to_vec();
    let (mut bytes, mut spent, mut since_tick) = (0u64, 0.0, 0usize);
    let mut pending: Vec<Vec<LogEntry>> = vec![Vec::new(); STREAMS];
    let mut size = 0;
    for n in 0..lines {
        let (stream, time, level, text) = line(n, lines);
        size += text.len();
        let metadata = levels.iter().find(|(l, _)| *l == level).map_or_else(Labels::empty, |(_, m)| m.clone());
        pending[stream].push(LogEntry { time: Nanos::from_millis(time), line: text.into(), metadata });
        if size < BATCH_BYTES && n + 1 < lines {
            continue;
        }
        let mut batch = Batch::new(Origin::new("bench"));
        batch.logs =
            streams.iter().zip(&mut pending).map(|(labels, entries)| StreamEntries { labels: labels.clone(), entries: std::mem::take(entries) }).collect();
        let began = cpu();
        store.write(batch).expect("room");
        since_tick += size;
        if since_tick > 10 << 20 {
            clock.advance(Duration::from_secs(1));
            store.tick();
            since_tick = 0;
        }
        spent += cpu() - began;
        bytes += std::mem::take(&mut size) as u64;
    }
    let began = cpu();
    store.flush().expect("room");
    while store.merge().expect("room") {}
    (bytes, spent + cpu() - began)
}

struct Asked {
    found: u64,
    bytes: u64,
    wall_ms: f64,
    cpu_ms: f64,
}

/// The median of several runs.
fn ask(store: &Store, selection: &LogSelection, limit: u64) -> Asked {
    let clock = Arc::new(SystemClock::new());
    let mut runs = Vec::new();
    for _ in 0..7 {
        let (mut found, mut bytes) = (0, 0);
        let (began, wall) = (cpu(), clock.monotonic());
        let read = store.select_logs(selection, &Budget::unlimited(clock.clone()), &mut |line| {
            if selection.contains.iter().all(|text| line.line.contains(text.as_str())) {
                found += 1;
                bytes += line.line.len() as u64;
            }
            Ok(if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        read.expect("a readable store");
        runs.push(Asked { found, bytes, wall_ms: (clock.monotonic() - wall).as_secs_f64() * 1e3, cpu_ms: (cpu() - began) * 1e3 });
    }
    runs.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
    runs.swap_remove(runs.len() / 2)
}

fn queries(store: &Store, (unpack, lines): (f64, u64)) {
    let all = LogSelection::new(vec![], Nanos::MIN, Nanos::MAX);
    let one = vec![Matcher::equal("app", "service-3")];
    let containing = |text: &str| LogSelection { contains: vec![text.to_owned()], ..all.clone() };
    let trace = line(lines / 3, lines).3;
    let trace = trace.split("\"trace_id\":\"").nth(1).and_then(|rest| rest.get(..32)).unwrap_or("").to_owned();
    let scan = ask(store, &all, u64::MAX);
    println!(
        "| scan of everything, MB per CPU second | {:.0} ({:.2} × zstd -1 decompressing) |",
        scan.bytes as f64 / scan.cpu_ms / 1e3,
        scan.bytes as f64 / scan.cpu_ms / 1e3 / unpack
    );
    let cases: [(&str, LogSelection, u64); 10] = [
        ("last 100 lines of one stream", LogSelection { matchers: one.clone(), order: LogOrder::Backward, ..all.clone() }, 100),
        ("last 100 lines of all", LogSelection { order: LogOrder::Backward, ..all.clone() }, 100),
        ("needle over everything", containing("needle-7f3a9c"), u64::MAX),
        ("needle from within a word", containing("eedle-7f3"), u64::MAX),
        ("a trace id that is there", containing(&trace), u64::MAX),
        ("a trace id that is nowhere", containing("00112233445566778899aabbccddeeff"), u64::MAX),
        ("a JSON field, `\"status\":503`", containing("\"status\":503"), u64::MAX),
        ("a count of everything by level", LogSelection { lines: false, ..all.clone() }, u64::MAX),
        (
            "a count of the errors of one stream",
            LogSelection { lines: false, matchers: [one, vec![Matcher::equal("detected_level", "error")]].concat(), ..all.clone() },
            u64::MAX,
        ),
        ("everything in order", LogSelection { order: LogOrder::Forward, ..all.clone() }, u64::MAX),
    ];
    for (what, selection, limit) in cases {
        let asked = ask(store, &selection, limit);
        println!("| {what}: {} lines, ms (CPU ms) | {:.1} ({:.1}) |", asked.found, asked.wall_ms, asked.cpu_ms);
    }
}

fn main() {
    let megabytes: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(500);
    let lines = megabytes * 1_000_000 / line(0, 1).3.len() as u64;
    let (pack, unpack, left) = yardstick(lines);
    println!("| zstd -1 in blocks of 1 MiB, MB per CPU second: compress / decompress; bytes left of a byte | {pack:.0} / {unpack:.0}; {left:.3} |");
    let dir = std::env::temp_dir().join(format!("watchfire-logs-bench-{}", std::process::id()));
    let clock = ManualClock::new(Timestamp(START + HOURS * 3_600_000));
    let store = open(&dir, &clock);
    let (bytes, spent) = ingest(&store, &clock, lines);
    let stats = store.stats();
    let rate = bytes as f64 / spent / 1e6;
    println!("| lines; bytes of them | {}; {bytes} |", stats.logs.segment_entries);
    println!("| ingest with flushes and merges, MB per CPU second | {rate:.0} ({:.2} × zstd -1 compressing) |", rate / pack);
    println!("| bytes stored per byte | {:.3} |", stats.logs.segment_bytes as f64 / bytes as f64);
    println!("| log written per byte | {:.3} |", stats.wal_written_bytes as f64 / bytes as f64);
    println!("| segments | {} |", stats.logs.segments);
    println!("| memory after / peak, MB | {:.0} / {:.0} |", memory().0, memory().1);
    queries(&store, (unpack, lines));
    println!("| memory after queries / peak, MB | {:.0} / {:.0} |", memory().0, memory().1);
    drop(store);
    let wall = SystemClock::new();
    let began = wall.monotonic();
    let store = open(&dir, &clock);
    println!("| open, ms | {:.1} |", (wall.monotonic() - began).as_secs_f64() * 1e3);
    drop(store);
    std::fs::remove_dir_all(&dir).expect("the directory of this run");
}
