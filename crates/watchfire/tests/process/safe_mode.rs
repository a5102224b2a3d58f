//! A log that kills whoever reads it back: a program with little memory dies three times, then comes up in safe mode, serves, and
//! has lost nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels;
use watchfire_model::sample::Sample;
use watchfire_model::time::{Clock, SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

use crate::server::{BINARY, Peer, Server, free_port, request, until, wait_ms};

/// So many series take much more memory than the program may have.
const PARTS: u32 = 20;
const SERIES_PER_PART: u32 = 15_000;
const SERIES: u32 = PARTS * SERIES_PER_PART;
const SAMPLES: i64 = 2;
const MEMORY_MAX: u64 = 144 << 20;
const ALONE: (&str, &str) = ("WATCHFIRE_HOST_ROOT", "/nonexistent");

/// A group of processes that may take so much memory; removed with its last process.
struct Cage(PathBuf);

impl Cage {
    /// Version 1 or 2 of control groups, whichever is mounted and lets us.
    fn make() -> Result<Cage, String> {
        let name = format!("watchfire-test-{}", std::process::id());
        let tries = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        let mut why = String::new();
        for (root, limit) in tries {
            let dir = Path::new(root).join(&name);
            let made = fs::create_dir(&dir).and_then(|()| fs::write(dir.join(limit), MEMORY_MAX.to_string()));
            match made {
                Ok(()) => return Ok(Cage(dir)),
                Err(error) => {
                    why = format!("{}: {error}", dir.display());
                    drop(fs::remove_dir(&dir));
                }
            }
        }
        Err(why)
    }

    /// Starts the program within.
    fn start(&self, data: &Path, port: u16) -> Peer {
        let log = fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log")).unwrap();
        let child = Command::new("sh")
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .args([BINARY, "serve", "--memory-limit", "64MB", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data)
            .envs([ALONE])
            .current_dir(data.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Peer(child)
    }
}
impl Drop for Cage {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

/// Writes a log that a program with plenty of memory has left, without an end.
fn fill(data: &Path, now: i64) {
    let clock = SystemClock::shared();
    let options = Options {
        flush_on_close_log_bytes: u64::MAX,
        keeper: false,
        series_max: 1 << 20,
        memory_max: 1 << 30,
        flush_on_close_samples: u64::MAX,
        ..Options::new(data, clock)
    };
    let store = Store::open(options).unwrap();
    for round in 0..SAMPLES {
        for part in 0..PARTS {
            let mut batch = Batch::new(Origin::new("test"));
            batch.series.extend((0..SERIES_PER_PART).map(|n| {
                let labels = labels!("__name__" => "crowd", "part" => &part.to_string(), "n" => &n.to_string(), "job" => "a job of a crowd of series", "instance" => "some.host.example:9100");
                let sample = Sample { time: Timestamp(now - 60_000 * (SAMPLES - round)), value: f64::from(n) };
                SeriesSamples { labels, samples: Samples::One(sample) }
            }));
            assert_eq!(store.write(batch).unwrap().stored, u64::from(SERIES_PER_PART));
        }
    }
    store.close();
}

#[test]
fn r10_a_log_that_kills_its_reader_is_read_in_safe_mode() {
    let cage = match Cage::make() {
        Ok(cage) => cage,
        Err(why) => return eprintln!("SKIPPED: memory cannot be limited: {why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let now = SystemClock::new().now().millis();
    fill(&data, now);
    let log = || fs::read_to_string(data.with_extension("log")).unwrap_or_default();
    let mut deaths = 0;
    let mut survivor = loop {
        let port = free_port();
        let mut child = cage.start(&data, port);
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        let healthy = loop {
            if request(address, "GET", "/health", &[], b"").is_ok_and(|a| a.status == 200) {
                break true;
            }
            if child.0.try_wait().unwrap().is_some() {
                break false;
            }
            wait_ms(50);
        };
        if healthy {
            break (child, address);
        }
        deaths += 1;
        assert!(deaths <= 3, "it goes on dying: {}", log());
    };
    assert_eq!(deaths, 3, "the limit kills no start in this build: {}", log());
    assert!(log().contains("safe mode"), "{}", log());
    let ask = |path: &str| request(survivor.1, "GET", path, &[], b"").map(|a| a.json()).unwrap();
    // It serves: the page, its health, alerts, and the data.
    assert_eq!(request(survivor.1, "GET", "/", &[], b"").unwrap().status, 200);
    assert_eq!(ask("/api/v1/alerts")["status"], "success");
    assert_eq!(ask("/api/system/health")["details"]["storage"]["status"], "healthy");
    let samples =
        until("all samples", || ask("/api/system/storage/stats")["signals"]["metrics"]["samples"].as_u64().unwrap_or(0), |n| *n >= u64::from(SERIES) * 2);
    assert!(samples < u64::from(SERIES) * 2 + 100_000, "{samples}");
    let counted = ask(&format!("/api/v1/query?query=count(crowd%7Bpart%3D%227%22%7D)&time={}", now / 1000));
    assert_eq!(counted["data"]["result"][0]["value"][1], SERIES_PER_PART.to_string(), "{counted}");
    crate::server::signal(survivor.0.0.id(), "TERM");
    assert!(survivor.0.0.wait().unwrap().success());

    // With enough memory all of it is there, each sample once.
    let server = Server::start(&data, &["--memory-limit", "1GB"], &[ALONE]);
    for part in 0..PARTS {
        let ask = |expression: &str| server.query(&expression.replace('#', &format!("crowd{{part=\"{part}\"}}")), Some(now as f64 / 1000.0));
        assert_eq!(ask("sum(count_over_time(#[1h]))")[0]["value"][1], (u64::from(SERIES_PER_PART) * SAMPLES as u64).to_string(), "part {part}");
        assert_eq!(ask("sum(#)")[0]["value"][1], (u64::from(SERIES_PER_PART) * u64::from(SERIES_PER_PART - 1) / 2).to_string(), "part {part}");
    }
}
