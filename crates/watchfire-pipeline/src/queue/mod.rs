//! Queues of jobs that outlive their workers: pushed by producers, leased by workers, retried with growing waits, and kept as dead letters
//! when they fail too often. This is what queues mean; where jobs lie is a [`Backend`]'s affair, and routes are the faces'.

pub mod audit;
pub mod backend;
mod dead;
pub mod embedded;
pub mod failure;
mod figures;
mod jobs;
mod keeper;
pub mod mask;
pub mod name;
pub mod redis;
pub mod retry;
#[cfg(test)]
mod tests;
pub mod undo;
pub mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use watchfire_net::blocking::spawn_blocking;

use tokio::sync::Notify;
use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;

use audit::Audit;
use backend::{Backend, Depths, Overflow, QueueError, Room};
use figures::Figures;
use name::{DeadQueue, QueueName};
use retry::RetryPolicy;
use undo::UndoFiles;
use workers::Roll;

pub use audit::{Entry as AuditEntry, Who};
pub use dead::{Cleared, DeadJob, Listing, Moved, Picked, REQUEUE_MAX, Restored};
pub use jobs::{Accepted, Outcome, Work};

/// The queue of images that wait for the detector.
pub const DETECTION: &str = "detection_queue";
/// The queue of batches that wait for the language model.
pub const ANALYSIS: &str = "analysis_queue";
/// Queues that one installation may have.
pub const QUEUES_MAX: usize = 16;
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(86_400);

/// How queues work.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The queues.
    pub names: Vec<QueueName>,
    /// How much each holds.
    pub room: Room,
    /// From this share on, producers are told to slow down.
    pub backpressure: f64,
    /// How long a worker has a job unless it says otherwise.
    pub lease: Duration,
    /// When jobs are tried again.
    pub retry: RetryPolicy,
    /// How often figures of a shared backend are asked for.
    pub refresh: Duration,
    /// Where undo files go.
    pub undo_dir: PathBuf,
    /// How many bytes of them are kept.
    pub undo_bytes: u64,
}
impl Settings {
    /// The replaced program's defaults.
    pub fn new(undo_dir: PathBuf) -> Settings {
        Settings {
            names: [DETECTION, ANALYSIS].into_iter().filter_map(QueueName::new).collect(),
            room: Room { jobs: 10_000, bytes: 64 << 20, overflow: Overflow::Dlq, dead: 10_000, dead_bytes: 64 << 20 },
            backpressure: 0.8,
            lease: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            refresh: Duration::from_secs(5),
            undo_dir,
            undo_bytes: 64 << 20,
        }
    }
}

/// What queues need from the rest of the house.
pub struct Parts {
    /// Where jobs lie.
    pub backend: Arc<dyn Backend>,
    /// Small durable state, for the audit trail.
    pub state: Arc<dyn StateStore>,
    /// The time.
    pub clock: SharedClock,
    /// Who is told what happens.
    pub observe: Arc<dyn Observe>,
    /// Our own meter.
    pub meter: Meter,
    /// Makes waits differ from process to process.
    pub seed: u64,
}

/// All queues of the house. Share it in an `Arc`.
pub struct Queues {
    settings: Settings,
    backend: Arc<dyn Backend>,
    clock: SharedClock,
    audit: Arc<Audit>,
    undo: Arc<UndoFiles>,
    figures: Figures,
    roll: Roll,
    dice: Mutex<u64>,
    /// Wakes workers that wait for a job.
    pushed: Notify,
    /// Places whose dead letters are being put back slowly.
    trickling: Mutex<BTreeSet<DeadQueue>>,
    depths: Mutex<BTreeMap<QueueName, Depths>>,
}

impl Queues {
    /// Puts queues together; nothing is asked of the backend yet.
    pub fn new(settings: Settings, parts: Parts) -> Queues {
        let Parts { backend, state, clock, observe, meter, seed } = parts;
        Queues {
            audit: Arc::new(Audit::new(state)),
            undo: Arc::new(UndoFiles::new(settings.undo_dir.clone(), settings.undo_bytes)),
            figures: Figures::new(observe.clone(), meter),
            roll: Roll::new(observe, clock.clone()),
            dice: Mutex::new(seed),
            pushed: Notify::new(),
            trickling: Mutex::default(),
            depths: Mutex::default(),
            settings,
            backend,
            clock,
        }
    }
    /// How they work.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// Where jobs lie, in a word.
    pub fn kind(&self) -> &'static str {
        self.backend.kind()
    }
    /// The workers that ask for jobs here.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }
    /// What was done to dead letters, newest first.
    pub async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, QueueError> {
        let audit = self.audit.clone();
        blocking(move || audit.newest(limit)).await?
    }
    async fn note(&self, who: &Who, what: &'static str, queue: String, count: u64, note: String) {
        let (audit, who, now) = (self.audit.clone(), who.clone(), self.clock.now());
        if blocking(move || audit.note(&who, now, what, &queue, count, &note)).await.is_err() {
            tracing::error!(what, "writing the audit trail panicked");
        }
    }
    /// The queue with a name.
    pub fn queue(&self, name: &str) -> Result<&QueueName, QueueError> {
        self.settings.names.iter().find(|q| q.as_str() == name).ok_or_else(|| QueueError::UnknownQueue(name.to_owned()))
    }
    /// The place of dead letters with a name.
    pub fn dead_queue(&self, name: &str) -> Result<DeadQueue, QueueError> {
        self.dead_queues().into_iter().find(|d| d.to_string() == name).ok_or_else(|| QueueError::UnknownQueue(name.to_owned()))
    }
    /// All places of dead letters: first those of jobs that failed, then those of jobs that found no room.
    pub fn dead_queues(&self) -> Vec<DeadQueue> {
        let names = &self.settings.names;
        names.iter().cloned().map(DeadQueue::Failed).chain(names.iter().cloned().map(DeadQueue::Overflow)).collect()
    }
    /// How many jobs are where, asked now. The figures are told on the way.
    pub async fn depths(&self, queue: &QueueName) -> Result<Depths, QueueError> {
        match self.backend.depths(queue).await {
            Ok(depths) => {
                self.tell(queue, depths);
                Ok(depths)
            }
            Err(error) => {
                // What is not known is not shown: an old figure would look like a present one.
                self.depths.lock().unwrap_or_else(PoisonError::into_inner).remove(queue);
                Err(error)
            }
        }
    }
    /// How many jobs were where when last asked; `None` while nobody used the queue.
    pub fn last_depths(&self, queue: &str) -> Option<Depths> {
        let name = self.queue(queue).ok()?;
        if !self.figures.is_in_use() {
            return None;
        }
        self.depths.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }
    /// Whether anybody uses these queues: they lie on a Redis that somebody configured, or a job was seen.
    pub fn is_in_use(&self) -> bool {
        self.figures.is_in_use()
    }
    /// Whether there is nothing to look after: all of these queues are our own and were empty when last asked. Who pushes tells of itself.
    fn rests(&self) -> bool {
        let asked = || self.depths.lock().unwrap_or_else(PoisonError::into_inner).len() == self.settings.names.len();
        !self.backend.is_shared() && !self.is_in_use() && asked()
    }
    fn tell(&self, queue: &QueueName, depths: Depths) {
        if self.backend.is_shared() || depths != Depths::default() {
            self.figures.begin_use();
        }
        let room = self.settings.room.jobs;
        self.figures.depths(queue, depths, room, self.settings.backpressure);
        self.depths.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.clone(), depths);
    }
    /// Asks for the figures after a change, where that costs nothing worth saving.
    async fn changed(&self, queue: &QueueName) {
        if let Err(error) = self.depths(queue).await {
            tracing::debug!(%error, %queue, "the depth of a queue is not known");
        }
    }
    /// A number between 0 and 1.
    fn chance(&self) -> f64 {
        let mut seed = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        // One step of splitmix64: spreading retries needs no better generator.
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, QueueError> {
    spawn_blocking(work).await.map_err(|_| QueueError::Unavailable("a step panicked".to_owned()))
}

/// A text that nobody can guess.
fn token() -> Result<String, QueueError> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|_| QueueError::Unavailable("there is no randomness".to_owned()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
