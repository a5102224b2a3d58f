//! Supervised workers, the pool, and the roll of those who work.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use watchfire_model::time::SystemClock;
use watchfire_net::tasks::Tasks;

use super::*;
use crate::queue::workers::{Handler, Pool, Restarts, State, Supervisor};

fn quick() -> Restarts {
    let ms = Duration::from_millis;
    Restarts { base: ms(1), cap: ms(4), max: 2, failed: ms(20), stable: ms(60_000) }
}

/// Waits until something holds; processes and tasks live in real time.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// Remembers every value that was told.
#[derive(Default)]
struct Told(Mutex<Vec<(String, f64)>>);
impl Observe for Told {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|(_, v)| *v).collect();
        self.0.lock().unwrap().push((format!("{family}{{{}}}", labels.join(",")), value));
    }
}
impl Told {
    fn of(&self, key: &str) -> Vec<f64> {
        self.0.lock().unwrap().iter().filter(|(k, _)| k == key).map(|(_, v)| *v).collect()
    }
}

#[test]
fn met_19_the_status_of_a_worker_takes_0_to_4() {
    let all = [State::Stopped, State::Running, State::Crashed, State::Restarting, State::Failed];
    assert_eq!(all.map(State::status), [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn met_18_a_worker_is_running_restarting_failed_and_stopped() {
    assert_eq!([State::Stopped, State::Running, State::Restarting, State::Failed].map(State::pipeline), [0.0, 1.0, 2.0, 3.0]);
    let (told, tasks) = (Arc::new(Told::default()), Tasks::new(&Meter::new()));
    let supervisor = Arc::new(Supervisor::new(quick(), told.clone(), SystemClock::shared()));
    let runs = Arc::new(AtomicUsize::new(0));
    let (one, count, stop) = (supervisor.clone(), runs.clone(), tasks.stop());
    tasks.spawn_until_done("w", async move {
        let make = || {
            let run = count.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => panic!("on purpose"),
                    1 => Err("connection refused".to_owned()),
                    2..=4 => Ok(()),
                    _ => std::future::pending().await,
                }
            }
        };
        one.run("w", stop, make).await;
    });
    until("it is alive again", || runs.load(Ordering::SeqCst) == 6).await;
    assert_eq!(supervisor.states(), [("w".to_owned(), State::Running)]);
    supervisor.tell_uptimes();
    assert!(told.of("hsi_pipeline_worker_uptime_seconds{w}").last().unwrap() >= &0.0);
    assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, Vec::<String>::new());
    assert_eq!(supervisor.states(), [("w".to_owned(), State::Stopped)]);
    let pipeline = told.of("hsi_pipeline_worker_state{w}");
    assert_eq!(pipeline, [1.0, 2.0, 2.0, 1.0, 2.0, 2.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 0.0]);
    assert_eq!(told.of("hsi_worker_status{w}"), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 0.0]);
    assert_eq!(told.of("hsi_worker_crashes_total{w}").len(), 5);
    assert_eq!(told.of("hsi_worker_restarts_total{w}").len(), 5);
    assert_eq!(told.of("hsi_worker_max_restarts_exceeded_total{w}"), [1.0]);
    assert_eq!(told.of("hsi_pipeline_worker_restarts_total{w,exception}").len(), 1);
    assert_eq!(told.of("hsi_pipeline_worker_restarts_total{w,connection}").len(), 1);
    assert_eq!(told.of("hsi_pipeline_worker_restart_duration_seconds{w}").len(), 5);
    assert_eq!(told.of("hsi_pipeline_worker_consecutive_failures{w}"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(told.of("hsi_pipeline_worker_uptime_seconds{w}").last(), Some(&-1.0));
}

#[tokio::test]
async fn met_20_workers_are_counted_as_active_busy_and_idle() {
    for ground in Ground::all().await {
        let house = House::new(ground, |_| {});
        let counts = || ["active", "busy", "idle"].map(|what| house.seen.get(&format!("hsi_worker_{what}_count{{}}")));
        assert_eq!(counts(), [None; 3]);
        house.push("a").await;
        house.push("b").await;
        let lease = async |worker: &str| house.queues.lease(house.detection(), worker, 1, None, Duration::ZERO).await.unwrap().pop();
        let first = lease("one").await.unwrap();
        lease("two").await.unwrap();
        assert!(lease("three").await.is_none());
        assert_eq!(counts(), [Some(3.0), Some(2.0), Some(1.0)]);
        house.queues.ack(house.detection(), &first.leased.lease).await.unwrap();
        assert_eq!(counts(), [Some(3.0), Some(1.0), Some(2.0)]);
        // "two" falls silent: its lease ends, and later it is no worker any more.
        house.clock.advance(Duration::from_secs(61));
        house.queues.keep(false).await;
        assert_eq!(counts(), [Some(0.0), Some(0.0), Some(0.0)]);
    }
}

/// Fails or panics on some jobs, the first time that it sees them.
struct Clumsy(Mutex<BTreeMap<String, usize>>);
impl Handler for Clumsy {
    fn work<'a>(&'a self, job: &'a Work) -> Pin<Box<dyn Future<Output = Result<(), Report>> + Send + 'a>> {
        let payload = String::from_utf8_lossy(&job.leased.payload).into_owned();
        let seen = {
            let mut all = self.0.lock().unwrap();
            let count = all.entry(payload.clone()).or_default();
            *count += 1;
            *count
        };
        Box::pin(async move {
            match (payload.as_str(), seen) {
                ("panics", 1) => panic!("token=canary"),
                ("fails", 1) | ("poison", _) => Err(report("it did not work")),
                _ => Ok(()),
            }
        })
    }
}

#[tokio::test]
async fn a_pool_works_through_failures_and_panics() {
    for ground in Ground::all().await {
        let house = House::new(ground, |s| {
            s.retry.base = Duration::ZERO;
        });
        for job in ["a", "panics", "fails", "poison", "b"] {
            house.push(job).await;
        }
        let tasks = Tasks::new(&Meter::new());
        let supervisor = Arc::new(Supervisor::new(quick(), house.seen.clone(), SystemClock::shared()));
        let clumsy = Arc::new(Clumsy(Mutex::default()));
        let pool = Pool { queues: house.queues.clone(), supervisor, tasks: tasks.clone() };
        pool.start(house.detection(), 2, &(clumsy.clone() as Arc<dyn Handler>));
        // Asked anew: of two workers that end at once, the later may have told what the earlier saw.
        let done = async {
            loop {
                let depths = house.queues.depths(house.detection()).await.unwrap();
                if depths.depth() + depths.leased == 0 && depths.dead == 1 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), done).await.expect("all jobs are done");
        let seen = clumsy.0.lock().unwrap().clone();
        let times: Vec<_> = ["a", "panics", "fails", "poison", "b"].map(|job| seen[job]).to_vec();
        assert_eq!(times, [1, 2, 2, 3, 1]);
        assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, Vec::<String>::new());
        let dead = house.queues.list(&house.dead(), 0, 1).await.unwrap();
        assert_eq!(dead.jobs[0].failure["original_job"], "poison");
        let crashes: f64 = house.seen.all().iter().filter(|k| k.starts_with("hsi_worker_crashes_total")).filter_map(|k| house.seen.get(k)).sum();
        assert_eq!(crashes, 1.0);
    }
}
