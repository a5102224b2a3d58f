//! Redis is killed and started again in the middle of everything: no job that was taken is lost.

use std::collections::BTreeSet;

use watchfire_model::time::SystemClock;

use super::*;
use crate::queue::Picked;

/// Kills; `WATCHFIRE_CRASH_KILLS` sets another number.
const KILLS: usize = 8;
/// So many jobs are taken between two kills, however slow the machine is.
const JOBS_BETWEEN: usize = 8;

fn kills() -> usize {
    std::env::var_os("WATCHFIRE_CRASH_KILLS").and_then(|n| n.to_str()?.parse().ok()).unwrap_or(KILLS)
}

/// What happened, seen from outside.
#[derive(Default)]
struct Ledger {
    taken: BTreeSet<String>,
    delivered: BTreeSet<String>,
    done: BTreeSet<String>,
    wrong: Vec<String>,
}

/// Pushes, works, fails and requeues until told to end.
async fn busy(queues: Arc<Queues>, ledger: Arc<Mutex<Ledger>>, number: usize, mut stop: tokio::sync::watch::Receiver<bool>) {
    let queue = queues.queue(super::super::DETECTION).unwrap().clone();
    let mut n = 0;
    while !*stop.borrow_and_update() {
        n += 1;
        let payload = format!("{{\"job\": \"{number}-{n}\"}}");
        match queues.push(&queue, Bytes::from(payload.clone())).await {
            Ok(_) => drop(ledger.lock().unwrap().taken.insert(payload)),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        for work in queues.lease(&queue, "w", 2, Some(Duration::from_secs(1)), Duration::ZERO).await.unwrap_or_default() {
            let payload = String::from_utf8(work.leased.payload.to_vec()).unwrap();
            {
                let mut ledger = ledger.lock().unwrap();
                if ledger.done.contains(&payload) {
                    ledger.wrong.push(format!("{payload} was done and came again"));
                }
                ledger.delivered.insert(payload.clone());
            }
            match n % 4 {
                0 => drop(queues.fail(&queue, &work.leased.lease, &report("x")).await),
                1 => drop(queues.release(&queue, &work.leased.lease).await),
                _ => {
                    if queues.ack(&queue, &work.leased.lease).await.is_ok() {
                        ledger.lock().unwrap().done.insert(payload);
                    }
                }
            }
        }
        if n % 10 == 0 {
            drop(queues.requeue(&DeadQueue::Failed(queue.clone()), &Picked::All, &me()).await);
            queues.keep(true).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost_when_redis_is_killed_in_the_middle_of_moves() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let server = Arc::new(server);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path().join("undo"));
    settings.retry.base = Duration::from_millis(5);
    settings.room.jobs = 1_000_000;
    settings.room.dead = 1_000_000;
    let clock = SystemClock::shared();
    let backend = Arc::new(Redis::new(Place::parse(&server.url()).unwrap(), clock.clone()));
    let parts = Parts { backend, state: Arc::new(Memory::default()), clock, observe: Arc::new(Seen::default()), meter: Meter::new(), seed: 1 };
    let queues = Arc::new(Queues::new(settings, parts));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let workers: Vec<_> = (0..4).map(|n| tokio::spawn(busy(queues.clone(), ledger.clone(), n, stopped.clone()))).collect();
    for n in 0..kills() {
        tokio::time::sleep(Duration::from_millis(60 + (n as u64 * 37) % 90)).await;
        while ledger.lock().unwrap().taken.len() < (n + 1) * JOBS_BETWEEN {
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        server.kill_and_restart().await;
    }
    stop.send(true).unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
    // What is still somewhere is worked off.
    let queue = queues.queue(super::super::DETECTION).unwrap().clone();
    for _ in 0..3000 {
        let depths = queues.depths(&queue).await;
        if depths.as_ref().is_ok_and(|d| d.depth() + d.leased + d.dead == 0) {
            break;
        }
        queues.keep(false).await;
        drop(queues.requeue(&DeadQueue::Failed(queue.clone()), &Picked::All, &me()).await);
        for work in queues.lease(&queue, "w", 100, Some(Duration::from_secs(1)), Duration::from_millis(20)).await.unwrap_or_default() {
            let payload = String::from_utf8(work.leased.payload.to_vec()).unwrap();
            ledger.lock().unwrap().delivered.insert(payload);
            drop(queues.ack(&queue, &work.leased.lease).await);
        }
    }
    let ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger.taken.difference(&ledger.delivered).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), ledger.taken.len());
    assert!(ledger.wrong.is_empty(), "{:?}", ledger.wrong);
    eprintln!("{} jobs, {} kills, none lost", ledger.taken.len(), kills());
}
