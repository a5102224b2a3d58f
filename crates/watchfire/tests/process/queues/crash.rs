//! `kill -9` of the program while producers and workers talk to it: no job whose push was acknowledged is lost, each is given at least once,
//! and none comes again after its acknowledgement was acknowledged.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::server::{Server, request, wait_ms};

/// Kills; `WATCHFIRE_CRASH_KILLS` sets another number.
const KILLS: usize = 20;

#[expect(clippy::disallowed_methods, reason = "a test is told by its caller how long to go on")]
fn kills() -> usize {
    std::env::var("WATCHFIRE_CRASH_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS)
}

#[derive(Default)]
struct Ledger {
    taken: BTreeSet<String>,
    given: BTreeSet<String>,
    done: BTreeSet<String>,
    wrong: Vec<String>,
}

fn post(address: SocketAddr, path: &str, body: &str) -> Option<Value> {
    let answer = request(address, "POST", path, &[("content-type", "application/json")], body.as_bytes()).ok()?;
    if answer.status == 0 || answer.status >= 300 { None } else { serde_json::from_slice(&answer.body).ok() }
}

/// Pushes jobs until told to end.
fn produce(number: usize, address: &Mutex<SocketAddr>, ledger: &Mutex<Ledger>, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let job = format!("{{\"job\": \"{number}-{n}\"}}");
        let at = *address.lock().unwrap();
        match post(at, "/api/queues/detection_queue/jobs", &job) {
            Some(_) => drop(ledger.lock().unwrap().taken.insert(job)),
            None => wait_ms(10),
        }
    }
}

/// Leases jobs; finishes most, fails some, forgets some.
fn work(address: &Mutex<SocketAddr>, ledger: &Mutex<Ledger>, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let at = *address.lock().unwrap();
        let Some(leased) = post(at, "/api/queues/detection_queue/lease?lease_ms=1000&count=3", "") else {
            wait_ms(10);
            continue;
        };
        for job in leased["jobs"].as_array().into_iter().flatten() {
            let payload = job["payload"].as_str().unwrap_or("").to_owned();
            {
                let mut ledger = ledger.lock().unwrap();
                if ledger.done.contains(&payload) {
                    ledger.wrong.push(format!("{payload} came again after it was done"));
                }
                ledger.given.insert(payload.clone());
            }
            let path = |what: &str| format!("/api/queues/detection_queue/leases/{}/{what}", job["lease"].as_str().unwrap_or(""));
            match n % 10 {
                0 => drop(post(at, &path("fail"), r#"{"error": "on purpose"}"#)),
                1 => {}
                _ => {
                    if post(at, &path("ack"), "").is_some() {
                        ledger.lock().unwrap().done.insert(payload);
                    }
                }
            }
        }
    }
}

#[test]
fn no_job_is_lost_when_the_program_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let environment = [("WATCHFIRE_QUEUES_RETRY_BASE", "10ms"), ("WATCHFIRE_QUEUES_MAX_SIZE", "100000"), ("WATCHFIRE_QUEUES_DEAD_MAX_SIZE", "100000")];
    let start = || Server::start(&data, &[], &environment);
    let mut server = start();
    let address = Arc::new(Mutex::new(server.address));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (address, ledger, stop) = (address.clone(), ledger.clone(), stop.clone());
            std::thread::spawn(move || if n < 2 { produce(n, &address, &ledger, &stop) } else { work(&address, &ledger, &stop) })
        })
        .collect();
    for n in 0..kills() {
        wait_ms(50 + (n as u64 * 83) % 200);
        server.kill();
        server = start();
        *address.lock().unwrap() = server.address;
    }
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    // Dead letters come back too, until nothing is left.
    for _ in 0..3000 {
        let state = server.json("/api/queues")[0].clone();
        if ["waiting", "retrying", "leased", "dead"].iter().all(|what| state[*what] == 0) {
            break;
        }
        drop(post(server.address, "/api/dlq/requeue-all/dlq:detection_queue", ""));
        let leased = post(server.address, "/api/queues/detection_queue/lease?count=100&wait_ms=50", "").unwrap_or_default();
        for job in leased["jobs"].as_array().into_iter().flatten() {
            ledger.lock().unwrap().given.insert(job["payload"].as_str().unwrap().to_owned());
            drop(post(server.address, &format!("/api/queues/detection_queue/leases/{}/ack", job["lease"].as_str().unwrap()), ""));
        }
    }
    let ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger.taken.difference(&ledger.given).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), ledger.taken.len());
    assert!(ledger.wrong.is_empty(), "{:?}", ledger.wrong);
    assert!(ledger.taken.len() > kills(), "only {} jobs", ledger.taken.len());
    eprintln!("queues: {} kills, {} jobs taken, {} done, none lost", kills(), ledger.taken.len(), ledger.done.len());
}
