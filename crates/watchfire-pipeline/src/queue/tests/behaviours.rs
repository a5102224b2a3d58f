//! What the replaced program documents about retry, dead letters and overflow, and what it got wrong.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use serde_json::{Value, json};

use super::*;
use crate::queue::backend::{Answer, DeadEntry, DeadPage, Depths, LeaseId, Leased, Pushed, QueueError, Revived, Room, Settle};
use crate::queue::{Outcome, Picked};

#[tokio::test]
async fn dlq_01_a_job_that_exceeds_its_retries_goes_to_the_dead_letters_of_its_queue() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        for name in ["detection_queue", "analysis_queue"] {
            let queue = house.queues.queue(name).unwrap();
            let dead = DeadQueue::Failed(queue.clone());
            house.queues.push(queue, Bytes::from_static(b"{\"file_path\": \"/a.jpg\"}")).await.unwrap();
            for attempt in 1..=3u32 {
                let work = house.queues.lease(queue, "w", 1, None, Duration::ZERO).await.unwrap().pop().unwrap();
                assert_eq!(work.attempt, attempt);
                let outcome = house.queues.fail(queue, &work.leased.lease, &report("Connection timeout")).await.unwrap();
                if attempt < 3 {
                    let Outcome::Retry { failed, delay, .. } = outcome else { panic!("{outcome:?}") };
                    let plain = f64::from(1 << (attempt - 1));
                    assert!(failed == attempt && (plain..=plain * 1.25).contains(&delay.as_secs_f64()), "{delay:?}");
                    assert!(house.queues.lease(queue, "w", 1, None, Duration::ZERO).await.unwrap().is_empty(), "it waits");
                    house.clock.advance(delay);
                } else {
                    assert_eq!(outcome, Outcome::Dead { failed: 3, queue: dead.clone() });
                }
            }
            let listing = house.queues.list(&dead, 0, 10).await.unwrap();
            assert_eq!((listing.total, &listing.jobs[0].failure["original_job"]), (1, &json!({"file_path": "/a.jpg"})));
            assert_eq!(listing.jobs[0].failure["retry_delays"].as_array().unwrap().len(), 2);
            assert_eq!(house.queues.depths(queue).await.unwrap(), Depths { dead: 1, ..Depths::default() });
            if let Ground::Redis(server) = &house.ground {
                let entry: Value = serde_json::from_str(&server.ask(&["LINDEX", &dead.to_string(), "0"])).unwrap();
                assert_eq!((&entry["queue_name"], &entry["attempt_count"]), (&json!(name), &json!(3)));
            }
        }
    }
}

#[tokio::test]
async fn dlq_08_requeue_all_moves_all_and_leaves_nothing() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        assert_eq!(house.queues.requeue(&house.dead(), &Picked::All, &me()).await.unwrap().moved, 0);
        let jobs: Vec<String> = (0..5).map(|n| format!("{{\"n\": {n}.0}}")).collect();
        for job in &jobs {
            house.kill(job).await;
        }
        assert_eq!(house.seen.get("hsi_dlq_depth{dlq:detection_queue}"), Some(5.0));
        let moved = house.queues.requeue(&house.dead(), &Picked::All, &me()).await.unwrap();
        assert_eq!((moved.moved, moved.full, moved.limited), (5, false, false));
        assert_eq!(house.queues.depths(house.detection()).await.unwrap(), Depths { waiting: 5, ..Depths::default() });
        assert_eq!(house.seen.get("hsi_dlq_depth{dlq:detection_queue}"), Some(0.0));
        if let Ground::Redis(server) = &house.ground {
            assert_eq!(server.ask(&["LINDEX", "detection_queue", "0"]), jobs[0], "byte for byte");
        }
        assert_eq!(house.drain().await, jobs);
        let audit = house.queues.audit(10).await.unwrap();
        assert_eq!((audit[0].what.as_str(), audit[0].who.as_str(), audit[0].count), ("requeue_all", "admin", 5));
    }
}

#[tokio::test]
async fn requeued_jobs_begin_anew_and_some_can_be_chosen() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        for n in 0..4 {
            house.kill(&format!("{n}")).await;
        }
        let moved = house.queues.requeue(&house.dead(), &Picked::Oldest, &me()).await.unwrap();
        assert_eq!((moved.moved, house.drain().await), (1, vec!["0".to_owned()]));
        let ids: Vec<String> = house.queues.list(&house.dead(), 1, 10).await.unwrap().jobs.into_iter().map(|j| j.id).collect();
        assert_eq!(house.queues.one(&house.dead(), &ids[0]).await.unwrap().failure["original_job"], 2);
        assert_eq!(house.queues.payload(&house.dead(), &ids[0]).await.unwrap(), "2");
        let moved = house.queues.requeue(&house.dead(), &Picked::These(ids.clone()), &me()).await.unwrap();
        assert_eq!(moved.moved, 2);
        let again = house.queues.requeue(&house.dead(), &Picked::These(ids.clone()), &me()).await;
        assert!(matches!(again, Err(QueueError::UnknownJob(_))), "a second time there is nothing: {again:?}");
        assert!(house.queues.one(&house.dead(), &ids[0]).await.is_err());
        assert_eq!(house.lease().await.unwrap().attempt, 1);
    }
}

#[tokio::test]
async fn dlq_09_clear_deletes_all_and_an_undo_file_brings_them_back() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        let jobs: Vec<String> = (0..3).map(|n| format!("{{\"n\": {n}}}")).collect();
        for job in jobs.iter().chain([&jobs[0]]) {
            house.kill(job).await;
        }
        let before = house.queues.list(&house.dead(), 0, 10).await.unwrap();
        let cleared = house.queues.clear(&house.dead(), &me()).await.unwrap();
        assert_eq!((cleared.cleared, cleared.left), (4, 0));
        assert_eq!(house.queues.list(&house.dead(), 0, 10).await.unwrap().total, 0);
        assert_eq!(house.queues.clear(&house.dead(), &me()).await.unwrap().undo, None);
        let file = cleared.undo.unwrap();
        let known = house.queues.undo_files().await.unwrap();
        assert_eq!((known.len(), &known[0].name, known[0].queue.as_str(), known[0].restored), (1, &file, "dlq:detection_queue", false));
        assert_eq!(house.queues.restore(&file, &me()).await.unwrap().restored, 4);
        assert_eq!(house.queues.list(&house.dead(), 0, 10).await.unwrap(), before, "as they were");
        assert!(house.queues.restore(&file, &me()).await.is_err(), "once is enough");
        let audit: Vec<_> = house.queues.audit(10).await.unwrap().into_iter().map(|e| (e.what, e.count)).collect();
        assert_eq!(audit, [("restore".to_owned(), 4), ("clear".to_owned(), 0), ("clear".to_owned(), 4)]);
    }
}

#[tokio::test]
async fn nothing_is_cleared_when_the_undo_file_cannot_be_written() {
    for ground in Ground::all().await {
        let house = House::new(ground, |s| s.undo_dir = "/proc/nowhere".into());
        house.kill("1").await;
        assert!(matches!(house.queues.clear(&house.dead(), &me()).await, Err(QueueError::Undo(_))));
        assert_eq!(house.queues.list(&house.dead(), 0, 10).await.unwrap().total, 1);
    }
}

#[tokio::test]
async fn identical_dead_letters_are_all_restored() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let entry =
        r#"{"original_job": {"a": 1}, "error": "x", "attempt_count": 3, "first_failed_at": "a", "last_failed_at": "b", "queue_name": "detection_queue"}"#;
    for _ in 0..450 {
        server.ask(&["RPUSH", "dlq:detection_queue", entry]);
    }
    server.ask(&["RPUSH", "dlq:detection_queue", "no json"]);
    let house = House::new(Ground::Redis(Arc::new(server)), |_| {});
    let cleared = house.queues.clear(&house.dead(), &me()).await.unwrap();
    assert_eq!(cleared.cleared, 451);
    assert_eq!(house.queues.restore(&cleared.undo.unwrap(), &me()).await.unwrap().restored, 451);
    // What cannot be read stays and says so; it stands in nobody's way.
    let moved = house.queues.requeue(&house.dead(), &Picked::All, &me()).await.unwrap();
    assert_eq!((moved.moved, moved.unreadable), (450, 1));
    let left = house.queues.list(&house.dead(), 0, 10).await.unwrap();
    assert_eq!((left.total, &left.jobs[0].failure["unreadable"]), (1, &json!(true)));
}

#[tokio::test]
async fn met_22_each_policy_of_a_full_queue_is_counted_apart() {
    for policy in [Overflow::Reject, Overflow::DropOldest, Overflow::Dlq] {
        for ground in Ground::all().await {
            let house = House::new(ground, |s| {
                s.room.jobs = 3;
                s.room.overflow = policy;
                s.room.dead = 2;
            });
            for n in 0..3 {
                house.push(&n.to_string()).await;
            }
            let count = |family: &str, labels: &str| house.seen.get(&format!("{family}{{{labels}}}")).unwrap_or(0.0);
            assert_eq!(count("hsi_queue_overflow_total", "detection_queue,dlq"), 0.0);
            let mut refused = 0;
            for n in 3..6 {
                let pushed = house.queues.push(house.detection(), Bytes::from(n.to_string())).await;
                refused += u32::from(matches!(pushed, Err(QueueError::Full(_))));
            }
            let queue = "detection_queue";
            assert_eq!(count("hsi_queue_overflow_total", &format!("{queue},{}", policy.word())), 3.0);
            let expected = match policy {
                Overflow::Reject => (3, 0.0, 0.0, 3.0, vec!["0", "1", "2"]),
                Overflow::DropOldest => (0, 0.0, 3.0, 0.0, vec!["3", "4", "5"]),
                Overflow::Dlq => (0, 3.0, 0.0, 0.0, vec!["3", "4", "5"]),
            };
            let items = |what: &str| count(&format!("hsi_queue_items_{what}_total"), queue);
            let overflow = DeadQueue::Overflow(house.detection().clone());
            let lost = house.queues.list(&overflow, 0, 10).await.unwrap();
            assert_eq!((refused, items("moved_to_dlq"), items("dropped"), items("rejected"), house.drain().await), {
                let (a, b, c, d, e) = expected;
                (a, b, c, d, e.into_iter().map(str::to_owned).collect())
            });
            if policy == Overflow::Dlq {
                // The overflow is bounded too, and what had to leave it is counted.
                let jobs: Vec<_> = lost.jobs.iter().map(|j| j.failure["original_job"].clone()).collect();
                assert_eq!((lost.total, jobs), (2, vec![json!(1), json!(2)]));
                assert_eq!(count("hsi_queue_items_dropped_total", "dlq:overflow:detection_queue"), 1.0);
                assert_eq!(house.queues.requeue(&overflow, &Picked::All, &me()).await.unwrap().moved, 2);
                assert_eq!(house.drain().await, ["1", "2"]);
            }
        }
    }
}

#[tokio::test]
async fn met_21_a_queue_that_backs_up_is_seen_and_told() {
    for ground in Ground::all().await {
        let house = House::new(ground, |s| s.room.jobs = 125);
        assert_eq!(house.seen.all(), Vec::<String>::new(), "nothing is invented before anybody uses the queues");
        let mut pressed = Vec::new();
        for n in 0..101 {
            let accepted = house.queues.push(house.detection(), Bytes::from(n.to_string())).await.unwrap();
            assert_eq!(accepted.depth, n + 1);
            pressed.push(accepted.backpressure);
        }
        assert!(house.seen.get("hsi_detection_queue_depth{}").unwrap() > 100.0);
        assert_eq!(pressed.iter().position(|p| *p), Some(99), "from 80 % on");
        let fill = house.meter.gather().into_iter().find(|f| &*f.name == "watchfire_queue_fill_ratio").unwrap();
        assert_eq!(fill.points[0].1, 101.0 / 125.0);
    }
}

#[tokio::test]
async fn a_worker_that_falls_silent_gives_its_job_back() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        house.push("job").await;
        let first = house.lease().await.unwrap();
        assert!(house.lease().await.is_none());
        house.clock.advance(Duration::from_secs(59));
        house.queues.extend(house.detection(), &first.leased.lease, None).await.unwrap();
        house.clock.advance(Duration::from_secs(59));
        assert_eq!(house.queues.keep(true).await, 0);
        house.clock.advance(Duration::from_secs(1));
        assert_eq!(house.queues.keep(true).await, 1);
        let second = house.lease().await.unwrap();
        assert_eq!((second.attempt, &second.leased.payload[..]), (2, &b"job"[..]));
        for gone in [&first.leased.lease, &LeaseId { job: second.leased.lease.job.clone(), token: "x".into() }] {
            assert!(matches!(house.queues.ack(house.detection(), gone).await, Err(QueueError::UnknownLease)));
            assert!(matches!(house.queues.fail(house.detection(), gone, &report("x")).await, Err(QueueError::UnknownLease)));
            assert!(matches!(house.queues.release(house.detection(), gone).await, Err(QueueError::UnknownLease)));
            assert!(matches!(house.queues.extend(house.detection(), gone, None).await, Err(QueueError::UnknownLease)));
        }
        // A job that kills its workers is dead in the end.
        house.clock.advance(Duration::from_secs(60));
        house.queues.keep(false).await;
        house.lease().await.unwrap();
        house.clock.advance(Duration::from_secs(60));
        house.queues.keep(false).await;
        let dead = house.queues.list(&house.dead(), 0, 1).await.unwrap();
        assert_eq!(dead.jobs[0].failure["error_type"], "lease_expired");
        assert!(house.lease().await.is_none());
    }
}

#[tokio::test]
async fn a_released_job_is_the_next_one_and_no_attempt_is_counted() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        house.push("a").await;
        house.push("b").await;
        let work = house.lease().await.unwrap();
        house.queues.release(house.detection(), &work.leased.lease).await.unwrap();
        let again = house.lease().await.unwrap();
        assert_eq!((again.attempt, &again.leased.payload[..]), (1, &b"a"[..]));
        house.queues.fail(house.detection(), &again.leased.lease, &report("x")).await.unwrap();
        house.clock.advance(Duration::from_secs(2));
        let work = house.lease().await.unwrap();
        house.queues.release(house.detection(), &work.leased.lease).await.unwrap();
        assert_eq!(house.lease().await.unwrap().attempt, 2, "what happened before stays known");
    }
}

#[tokio::test]
async fn hopeless_errors_are_not_retried() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        house.push("a").await;
        let work = house.lease().await.unwrap();
        let hopeless = Report { error_type: Some("FileNotFoundError".into()), ..report("no such file") };
        let outcome = house.queues.fail(house.detection(), &work.leased.lease, &hopeless).await.unwrap();
        assert_eq!(outcome, Outcome::Dead { failed: 1, queue: house.dead() });
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    for ground in Ground::all().await {
        let mut house = House::new(ground, |_| {});
        house.kill("dead").await;
        house.push("leased").await;
        house.push("failed once").await;
        house.push("waiting").await;
        let leased = house.lease().await.unwrap();
        let failed = house.lease().await.unwrap();
        house.queues.fail(house.detection(), &failed.leased.lease, &report("x")).await.unwrap();
        let before = house.queues.depths(house.detection()).await.unwrap();
        assert_eq!(before, Depths { waiting: 1, retrying: 1, leased: 1, dead: 1, overflow: 0 });
        house = house.restart();
        assert_eq!(house.queues.depths(house.detection()).await.unwrap(), before);
        house.queues.ack(house.detection(), &leased.leased.lease).await.unwrap();
        house.clock.advance(Duration::from_secs(2));
        let retried = house.lease().await.unwrap();
        assert_eq!((retried.attempt, &retried.leased.payload[..]), (2, &b"failed once"[..]));
        assert_eq!(house.drain().await, ["waiting"]);
        assert_eq!(house.queues.list(&house.dead(), 0, 1).await.unwrap().jobs[0].failure["original_job"], "dead");
    }
}

#[tokio::test]
async fn a_full_queue_takes_back_what_fits_and_the_rest_stays() {
    for ground in Ground::all().await {
        let house = House::new(ground, |s| s.room.jobs = 3);
        for n in 0..4 {
            house.kill(&n.to_string()).await;
        }
        house.push("a").await;
        let moved = house.queues.requeue(&house.dead(), &Picked::All, &me()).await.unwrap();
        assert_eq!((moved.moved, moved.full), (2, true));
        assert_eq!(house.queues.depths(house.detection()).await.unwrap(), Depths { waiting: 3, dead: 2, ..Depths::default() });
    }
}

#[tokio::test]
async fn a_slow_requeue_moves_a_piece_per_second() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        for n in 0..3 {
            house.kill(&n.to_string()).await;
        }
        assert_eq!(house.queues.trickle(house.dead(), 200, me()).await.unwrap(), 3);
        for _ in 0..200 {
            if house.queues.trickling().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(house.drain().await, ["0", "1", "2"]);
        house.kill("x").await;
        house.kill("y").await;
        assert_eq!(house.queues.trickle(house.dead(), 1, me()).await.unwrap(), 2);
        assert!(matches!(house.queues.trickle(house.dead(), 1, me()).await, Err(QueueError::Busy(_))));
        assert_eq!(house.queues.trickling(), ["dlq:detection_queue"]);
    }
}

#[tokio::test]
async fn a_waiting_worker_gets_a_job_as_soon_as_there_is_one() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        let (queues, queue) = (house.queues.clone(), house.detection().clone());
        let waiting = tokio::spawn(async move { queues.lease(&queue, "w", 5, None, Duration::from_secs(20)).await.unwrap() });
        tokio::task::yield_now().await;
        house.push("late").await;
        let got = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("woken").unwrap();
        assert_eq!(&got[0].leased.payload[..], b"late");
    }
}

#[tokio::test]
async fn payloads_have_a_limit() {
    let house = House::new(Ground::Embedded(Arc::default()), |_| {});
    let large = Bytes::from(vec![b'x'; (1 << 20) + 1]);
    assert!(matches!(house.queues.push(house.detection(), large).await, Err(QueueError::TooLarge(_))));
    // The bytes of all jobs have one as well.
    let house = House::new(Ground::Embedded(Arc::default()), |s| s.room.bytes = 10);
    for job in ["aaaa", "bbbb", "cccc"] {
        house.push(job).await;
    }
    assert_eq!(house.drain().await, ["bbbb", "cccc"]);
}

/// Counts who looks into dead letters, and who asks how many jobs there are.
struct Watched {
    inner: Arc<dyn Backend>,
    shared: bool,
    looks: AtomicUsize,
    counts: AtomicUsize,
    away: AtomicBool,
}
impl Watched {
    fn new(inner: Arc<dyn Backend>, shared: bool) -> Arc<Watched> {
        Arc::new(Watched { inner, shared, looks: 0.into(), counts: 0.into(), away: false.into() })
    }
}
impl Backend for Watched {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
    fn is_shared(&self) -> bool {
        self.shared
    }
    fn push<'a>(&'a self, queue: &'a QueueName, payload: Bytes, room: Room, now: Timestamp) -> Answer<'a, Pushed> {
        self.inner.push(queue, payload, room, now)
    }
    fn lease<'a>(&'a self, queue: &'a QueueName, count: usize, lease: Duration, now: Timestamp) -> Answer<'a, Vec<Leased>> {
        self.inner.lease(queue, count, lease, now)
    }
    fn leased<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId) -> Answer<'a, Option<Leased>> {
        self.inner.leased(queue, lease)
    }
    fn settle<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId, how: Settle, now: Timestamp) -> Answer<'a, Option<u64>> {
        self.inner.settle(queue, lease, how, now)
    }
    fn expired<'a>(&'a self, queue: &'a QueueName, now: Timestamp, limit: usize) -> Answer<'a, Vec<Leased>> {
        self.inner.expired(queue, now, limit)
    }
    fn depths<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Depths> {
        self.counts.fetch_add(1, SeqCst);
        if self.away.load(SeqCst) {
            return Box::pin(async { Err(QueueError::Unavailable("away".to_owned())) });
        }
        self.inner.depths(queue)
    }
    fn dead<'a>(&'a self, dead: &'a DeadQueue, start: u64, limit: usize) -> Answer<'a, DeadPage> {
        self.looks.fetch_add(1, SeqCst);
        self.inner.dead(dead, start, limit)
    }
    fn find<'a>(&'a self, dead: &'a DeadQueue, id: &'a str) -> Answer<'a, Option<DeadEntry>> {
        self.looks.fetch_add(1, SeqCst);
        self.inner.find(dead, id)
    }
    fn revive<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], room: Room, now: Timestamp) -> Answer<'a, Revived> {
        self.inner.revive(dead, entries, room, now)
    }
    fn erase<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry]) -> Answer<'a, u64> {
        self.inner.erase(dead, entries)
    }
    fn restore<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], now: Timestamp) -> Answer<'a, u64> {
        self.inner.restore(dead, entries, now)
    }
}

#[tokio::test]
async fn dlq_17_dead_letters_are_read_on_demand_only() {
    for ground in Ground::all().await {
        let dir = tempfile::tempdir().unwrap();
        let (settings, clock) = (Settings::new(dir.path().join("undo")), ManualClock::new(NOW));
        let watched = Watched::new(ground.backend(&settings, &clock), true);
        let house = House::with(ground, settings, watched.clone(), clock, dir);
        let looks = || watched.looks.load(SeqCst);
        house.kill("1").await;
        for _ in 0..20 {
            house.queues.keep(true).await;
            house.clock.advance(Duration::from_secs(5));
        }
        assert_eq!(looks(), 0, "nobody asked");
        house.queues.list(&house.dead(), 0, 1).await.unwrap();
        assert_eq!(looks(), 1);
    }
}

#[tokio::test]
async fn own_queues_that_were_empty_are_not_asked_again_until_somebody_pushes() {
    for (shared, again) in [(false, 0), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let (settings, clock) = (Settings::new(dir.path().join("undo")), ManualClock::new(NOW));
        let ground = Ground::Embedded(Arc::default());
        let watched = Watched::new(ground.backend(&settings, &clock), shared);
        let house = House::with(ground, settings, watched.clone(), clock, dir);
        let round = async || {
            let before = watched.counts.load(SeqCst);
            house.queues.keep(true).await;
            watched.counts.load(SeqCst) - before
        };
        // What could not be seen is looked at again.
        watched.away.store(true, SeqCst);
        assert_eq!((round().await, round().await), (2, 2), "shared {shared}");
        watched.away.store(false, SeqCst);
        assert_eq!((round().await, round().await), (2, again), "shared {shared}");
        house.push("1").await;
        assert_eq!(round().await, 2, "shared {shared}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_and_not_a_wait() {
    let port = watchfire_testkit::ports::free_port();
    let clock = ManualClock::new(NOW);
    let redis = Redis::new(Place::parse(&format!("redis://:canary@127.0.0.1:{port}")).unwrap(), clock.clone());
    let error = redis.ping().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot use the queues: Redis at redis://127.0.0.1:{port}/0: ")) && !error.contains("canary"), "{error}");
}

#[tokio::test]
async fn a_redis_with_a_password_is_used_and_a_wrong_one_is_said() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    server.ask(&["CONFIG", "SET", "requirepass", "s3cret"]);
    let with = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
    let redis = |url: &str| Redis::new(Place::parse(url).unwrap(), ManualClock::new(NOW));
    redis(&with("s3cret")).ping().await.unwrap();
    for bad in [with("wr0ng"), server.url()] {
        let error = redis(&bad).ping().await.unwrap_err().to_string();
        assert!(!error.contains("wr0ng") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_job_in_redis_that_is_too_large_stands_in_nobodys_way() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let large = 9 << 20;
    server.ask(&["EVAL", "redis.call('RPUSH', 'detection_queue', string.rep('x', ARGV[1]), 'small')", "0", &large.to_string()]);
    let house = House::new(Ground::Redis(Arc::new(server)), |_| {});
    assert_eq!(&house.lease().await.unwrap().leased.payload[..], b"small");
    let dead = house.queues.list(&house.dead(), 0, 10).await.unwrap();
    assert_eq!((dead.total, &dead.jobs[0].failure["unreadable"]), (1, &json!(true)));
    let cleared = house.queues.clear(&house.dead(), &me()).await.unwrap();
    assert_eq!((cleared.cleared, cleared.left, cleared.undo), (0, 1, None), "what cannot be written down first is not deleted");
}

#[tokio::test]
async fn large_dead_letters_come_in_shorter_pages() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        for n in 0..7 {
            let payload = format!("{{\"n\": {n}, \"x\": \"{}\"}}", "x".repeat(1_000_000));
            house.kill(&payload).await;
        }
        let (mut at, mut seen) = (0, Vec::new());
        while at < 7 {
            let page = house.queues.list_all(&house.queues.dead_queues(), at, 100).await.unwrap();
            assert!(page.total == 7 && (1..=5).contains(&page.jobs.len()), "{}", page.jobs.len());
            at += page.jobs.len() as u64;
            seen.extend(page.jobs.iter().map(|j| j.failure["original_job"]["n"].as_u64().unwrap()));
        }
        assert_eq!(seen, (0..7).collect::<Vec<_>>());
        let cleared = house.queues.clear(&house.dead(), &me()).await.unwrap();
        assert_eq!(house.queues.restore(&cleared.undo.unwrap(), &me()).await.unwrap().restored, 7);
        assert_eq!(house.queues.requeue(&house.dead(), &Picked::All, &me()).await.unwrap().moved, 7);
        let work = house.lease().await.unwrap();
        let hopeless = Report { retry: Some(false), ..report("x") };
        house.queues.fail(house.detection(), &work.leased.lease, &hopeless).await.unwrap();
        let again = house.queues.list(&house.dead(), 0, 1).await.unwrap();
        if matches!(house.ground, Ground::Embedded(_)) {
            assert_eq!(again.jobs[0].failure["context"]["earlier_attempts"], 3, "what happened before is not forgotten");
        }
    }
}

#[tokio::test]
async fn a_redis_with_tls_is_used_when_it_proves_its_name() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key, ca) = (file("cert.pem", &certificate.pem()), file("key.pem", &key.serialize_pem()), file("ca.pem", &authority.pem()));
    let port = watchfire_testkit::ports::free_port();
    let arguments = ["--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"];
    let Some(_server) = RedisServer::start(&arguments).await else { return };
    let ping = async |host: &str, ca_pem: Option<String>| {
        let place = Place { ca_pem: ca_pem.map(Into::into), ..Place::parse(&format!("rediss://{host}:{port}")).unwrap() };
        Redis::new(place, ManualClock::new(NOW)).ping().await
    };
    ping("localhost", Some(authority.pem())).await.unwrap();
    assert!(ping("127.0.0.1", Some(authority.pem())).await.is_err(), "another name");
    assert!(ping("localhost", None).await.is_err(), "an unknown authority");
}
