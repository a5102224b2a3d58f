//! Queues on both backends: every behaviour once in our own store and once in a real Redis, where one is installed.

mod behaviours;
mod crash;
mod model;
mod peers;
mod workers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};

use super::backend::{Backend, Overflow};
use super::embedded::Embedded;
use super::failure::Report;
use super::name::{DeadQueue, QueueName};
use super::redis::{Place, Redis};
use super::{Parts, Queues, Settings, Who, Work};
use peers::RedisServer;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// A state store in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<(Table, String), Vec<u8>>>);
impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut all = self.0.lock().unwrap();
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}

/// Remembers what was observed: sums of counters, last values of gauges.
#[derive(Default)]
struct Seen(Mutex<BTreeMap<String, f64>>);
impl Observe for Seen {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|(_, v)| *v).collect();
        let key = format!("{family}{{{}}}", labels.join(","));
        let mut seen = self.0.lock().unwrap();
        if family.ends_with("_total") {
            *seen.entry(key).or_default() += value;
        } else {
            seen.insert(key, value);
        }
    }
}
impl Seen {
    fn get(&self, key: &str) -> Option<f64> {
        self.0.lock().unwrap().get(key).copied()
    }
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

/// Where the jobs of a test lie.
#[derive(Clone)]
enum Ground {
    Embedded(Arc<Memory>),
    Redis(Arc<RedisServer>),
}
impl Ground {
    fn backend(&self, settings: &Settings, clock: &Arc<ManualClock>) -> Arc<dyn Backend> {
        match self {
            Ground::Embedded(memory) => Arc::new(Embedded::open(memory.clone(), &settings.names).unwrap()),
            Ground::Redis(server) => Arc::new(Redis::new(Place::parse(&server.url()).unwrap(), clock.clone())),
        }
    }
    /// Our own store, and a fresh Redis where one is installed.
    async fn all() -> Vec<Ground> {
        let mut all = vec![Ground::Embedded(Arc::default())];
        all.extend(RedisServer::start(&[]).await.map(|server| Ground::Redis(Arc::new(server))));
        all
    }
}

/// Queues under test.
struct House {
    ground: Ground,
    queues: Arc<Queues>,
    clock: Arc<ManualClock>,
    seen: Arc<Seen>,
    meter: Meter,
    dir: tempfile::TempDir,
}
impl House {
    fn new(ground: Ground, change: impl FnOnce(&mut Settings)) -> House {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(dir.path().join("undo"));
        change(&mut settings);
        let clock = ManualClock::new(NOW);
        let backend = ground.backend(&settings, &clock);
        House::with(ground, settings, backend, clock, dir)
    }
    fn with(ground: Ground, settings: Settings, backend: Arc<dyn Backend>, clock: Arc<ManualClock>, dir: tempfile::TempDir) -> House {
        let (seen, meter) = (Arc::new(Seen::default()), Meter::new());
        let state = Arc::new(Memory::default());
        let parts = Parts { backend, state, clock: clock.clone(), observe: seen.clone(), meter: meter.clone(), seed: 7 };
        House { ground, queues: Arc::new(Queues::new(settings, parts)), clock, seen, meter, dir }
    }
    /// The same jobs in a new process.
    fn restart(self) -> House {
        let settings = self.queues.settings().clone();
        let backend = self.ground.backend(&settings, &self.clock);
        House::with(self.ground, settings, backend, self.clock, self.dir)
    }
    fn detection(&self) -> &QueueName {
        self.queues.queue(super::DETECTION).unwrap()
    }
    fn dead(&self) -> DeadQueue {
        DeadQueue::Failed(self.detection().clone())
    }
    async fn push(&self, payload: &str) {
        self.queues.push(self.detection(), Bytes::copy_from_slice(payload.as_bytes())).await.unwrap();
    }
    async fn lease(&self) -> Option<Work> {
        self.queues.lease(self.detection(), "tester", 1, None, Duration::ZERO).await.unwrap().pop()
    }
    /// Fails a job until it is dead.
    async fn kill(&self, payload: &str) {
        self.push(payload).await;
        for _ in 0..3 {
            let work = self.lease().await.expect("a job");
            assert_eq!(work.leased.payload, payload.as_bytes());
            self.queues.fail(self.detection(), &work.leased.lease, &report("Connection timeout to RT-DETRv2")).await.unwrap();
            self.clock.advance(Duration::from_secs(60));
        }
    }
    /// The payloads of all waiting jobs, in order; takes them away.
    async fn drain(&self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(work) = self.lease().await {
            self.queues.ack(self.detection(), &work.leased.lease).await.unwrap();
            all.push(String::from_utf8_lossy(&work.leased.payload).into_owned());
        }
        all
    }
}

fn report(error: &str) -> Report {
    Report { error: error.to_owned(), error_type: Some("TimeoutError".to_owned()), ..Report::default() }
}
fn me() -> Who {
    Who { name: "admin".to_owned(), via: "token".to_owned() }
}
