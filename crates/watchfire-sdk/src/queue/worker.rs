//! A worker: asks for jobs, prolongs the leases of those it has, and counts what became of them. Its handler is the caller's
//! thread; one thread of its own sends heartbeats.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http::{Http, Patience, Pause};
use super::job::Job;
use super::{QueueError, Report, Settings};

/// The most jobs that a worker has at once; it asks for no more until some are settled.
pub const HELD_MAX: usize = 1_000;
/// The most that one request may bring.
const COUNT_MAX: usize = 100;
/// The shortest lease that the server gives.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest wait that the server allows.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What became of jobs, and how the connection was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were given to this worker.
    pub leased: u64,
    /// Jobs that are done.
    pub done: u64,
    /// Attempts that failed and are followed by another.
    pub retried: u64,
    /// Jobs that failed for good.
    pub dead: u64,
    /// Failures of which it is not known whether another attempt follows.
    pub unknown: u64,
    /// Jobs that were given back.
    pub released: u64,
    /// Jobs that could not be settled: their lease had ended, or the server stayed away. They come back to somebody.
    pub unsettled: u64,
    /// Jobs that could not be read. They come back when their lease ends.
    pub unreadable: u64,
    /// Requests that were repeated.
    pub repeated: u64,
}

/// What a handler makes of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The attempt failed.
    Failed(Report),
    /// It is given back untouched.
    Release,
}

/// What the worker, its jobs and its heart have in common.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) http: Http,
    /// Is over when the worker is to stop.
    stopping: Pause,
    /// Is never over.
    pub(super) settle_pause: Pause,
    /// Is over when the last of worker and jobs is gone.
    dying: Pause,
    held: Mutex<BTreeSet<String>>,
    counts: Mutex<Counts>,
}
impl Shared {
    fn held(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn holds(&self, lease: &str) -> bool {
        self.held().contains(lease)
    }
    pub(super) fn let_go(&self, lease: &str) {
        self.held().remove(lease);
    }
    pub(super) fn count(&self, which: impl FnOnce(&mut Counts) -> &mut u64) {
        *which(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner)) += 1;
    }
    fn lease_ms(&self) -> u128 {
        self.settings.lease.max(LEASE_MIN).as_millis()
    }
    /// Prolongs every lease; one that has ended is let go.
    fn beat(&self) {
        let held: Vec<String> = self.held().iter().cloned().collect();
        for lease in held {
            let path = format!("leases/{lease}/extend?lease_ms={}", self.lease_ms());
            match self.http.post(&path, "application/json", &[]) {
                Ok(_) => {}
                Err(QueueError::LeaseEnded) => self.let_go(&lease),
                // The next beat tries again; a lease has two more of them.
                Err(_) => self.count(|c| &mut c.repeated),
            }
        }
    }
}

/// A worker of one queue.
pub struct Worker {
    shared: Arc<Shared>,
    heart: Option<JoinHandle<()>>,
}

impl Worker {
    /// A worker with a thread for heartbeats; nothing is asked of the queue yet.
    pub fn start(settings: Settings) -> std::io::Result<Worker> {
        let http = Http::new(&settings);
        let shared = Arc::new(Shared {
            settings,
            http,
            stopping: Pause::default(),
            settle_pause: Pause::default(),
            dying: Pause::default(),
            held: Mutex::default(),
            counts: Mutex::default(),
        });
        let theirs = shared.clone();
        let beat = theirs.settings.lease.max(LEASE_MIN) / 3;
        let heart = std::thread::Builder::new().name("watchfire-heart".into()).spawn(move || {
            while !theirs.dying.wait(beat) {
                theirs.beat();
            }
        })?;
        Ok(Worker { shared, heart: Some(heart) })
    }
    /// What became of its jobs so far.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Jobs in its hands.
    pub fn held(&self) -> usize {
        self.shared.held().len()
    }
    /// Asks [`Worker::run`] to end after the job that it has. May be called from any thread.
    pub fn stop(&self) {
        self.shared.stopping.end();
    }
    /// Whether it was asked to end.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.is_over()
    }

    /// Asks once for jobs, and waits for one as long as the settings say. An empty list is an answer.
    pub fn lease(&self) -> Result<Vec<Job>, QueueError> {
        let room = HELD_MAX.saturating_sub(self.held());
        let count = self.shared.settings.count.clamp(1, COUNT_MAX).min(room);
        if count == 0 {
            self.shared.stopping.wait(Duration::from_millis(100));
            return Ok(Vec::new());
        }
        let wait = self.shared.settings.wait.min(WAIT_MAX);
        let path =
            format!("lease?worker={}&count={count}&wait_ms={}&lease_ms={}", encode(&self.shared.settings.worker), wait.as_millis(), self.shared.lease_ms());
        let told = self.shared.http.post_waiting(&path, "application/json", &[], wait)?;
        let mut jobs = Vec::new();
        for one in told["jobs"].as_array().map(Vec::as_slice).unwrap_or_default() {
            match Job::read(&self.shared, one) {
                Some(job) => {
                    self.shared.held().insert(job.lease().to_owned());
                    self.shared.count(|c| &mut c.leased);
                    jobs.push(job);
                }
                None => self.shared.count(|c| &mut c.unreadable),
            }
        }
        Ok(jobs)
    }

    /// Works until it is stopped: each job goes to the handler, and what the handler says to the server. A server that is away is
    /// asked again with growing pauses for as long as the settings have patience; then, and when it refuses, this ends with the error.
    pub fn run(&self, mut handle: impl FnMut(&Job) -> Outcome) -> Result<(), QueueError> {
        while !self.is_stopping() {
            for job in self.lease_patiently()? {
                if self.is_stopping() {
                    // Dropped, and so given back.
                    continue;
                }
                // What could not be settled is counted and comes back; the next job does not suffer for it.
                match handle(&job) {
                    Outcome::Done => drop(job.done()),
                    Outcome::Failed(report) => drop(job.fail(&report)),
                    Outcome::Release => drop(job.release()),
                }
            }
        }
        Ok(())
    }
    /// [`Worker::lease`], repeated while the server is away. A lease whose answer got lost is no harm: its jobs come back.
    pub fn lease_patiently(&self) -> Result<Vec<Job>, QueueError> {
        let mut patience = Patience::new(self.shared.settings.patience);
        loop {
            let error = match self.lease() {
                Err(error @ (QueueError::Away(_) | QueueError::Unanswered(_))) => error,
                settled => return settled,
            };
            self.shared.count(|c| &mut c.repeated);
            match patience.next() {
                Some(wait) if !self.shared.stopping.wait(wait) => {}
                Some(_) => return Ok(Vec::new()),
                None => return Err(error),
            }
        }
    }
}
impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stopping.end();
        self.shared.dying.end();
        // If it panicked, there is nobody left to tell.
        self.heart.take().map(JoinHandle::join);
    }
}

/// Percent-encodes a query parameter.
fn encode(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
