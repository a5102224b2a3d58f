//! Who asks for jobs: workers of this process and of others, by the name that they give. Busy is who has a job, idle who asked lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::observe::Observe;
use watchfire_model::time::{SharedClock, Timestamp};

use crate::queue::backend::LeaseId;

/// Workers that are remembered; further ones are served, but not counted.
const WORKERS_MAX: usize = 1_000;
/// The longest name that is kept, in characters.
const NAME_CHARS_MAX: usize = 64;
/// For how long an idle worker counts after it asked last.
const SILENCE: Duration = Duration::from_secs(60);

/// The workers that were seen.
pub struct Roll {
    observe: Arc<dyn Observe>,
    clock: SharedClock,
    seen: Mutex<Seen>,
}
#[derive(Default)]
struct Seen {
    workers: BTreeMap<String, Worker>,
    leases: HashMap<LeaseId, String>,
    told: Option<(usize, usize)>,
}
struct Worker {
    asked: Duration,
    leases: HashMap<LeaseId, Timestamp>,
}

impl Roll {
    pub(crate) fn new(observe: Arc<dyn Observe>, clock: SharedClock) -> Roll {
        Roll { observe, clock, seen: Mutex::default() }
    }
    /// A worker asks for jobs.
    pub(crate) fn seen(&self, worker: &str) {
        self.change(|seen, now| {
            let name: String = worker.chars().take(NAME_CHARS_MAX).collect();
            if let Some(known) = seen.workers.get_mut(&name) {
                known.asked = now;
            } else if seen.workers.len() < WORKERS_MAX {
                seen.workers.insert(name, Worker { asked: now, leases: HashMap::new() });
            }
        });
    }
    /// A worker got a job.
    pub(crate) fn took(&self, worker: &str, lease: &LeaseId, until: Timestamp) {
        self.change(|seen, _| {
            let name: String = worker.chars().take(NAME_CHARS_MAX).collect();
            if let Some(known) = seen.workers.get_mut(&name) {
                known.leases.insert(lease.clone(), until);
                seen.leases.insert(lease.clone(), name);
            }
        });
    }
    /// It keeps it for longer.
    pub(crate) fn extended(&self, lease: &LeaseId, until: Timestamp) {
        self.change(|seen, now| {
            let Some(worker) = seen.leases.get(lease).and_then(|name| seen.workers.get_mut(name)) else { return };
            worker.asked = now;
            worker.leases.insert(lease.clone(), until);
        });
    }
    /// It has it no longer.
    pub(crate) fn ended(&self, lease: &LeaseId) {
        self.change(|seen, now| {
            let Some(worker) = seen.leases.remove(lease).and_then(|name| seen.workers.get_mut(&name)) else { return };
            worker.asked = now;
            worker.leases.remove(lease);
        });
    }
    /// It has it no longer, and did not say so.
    pub(crate) fn lost(&self, lease: &LeaseId) {
        self.change(|seen, _| {
            if let Some(worker) = seen.leases.remove(lease).and_then(|name| seen.workers.get_mut(&name)) {
                worker.leases.remove(lease);
            }
        });
    }
    /// Forgets who did not ask for a while and has nothing in hand.
    pub(crate) fn forget_silent(&self) {
        let wall = self.clock.now();
        self.change(|seen, now| {
            let Seen { workers, leases, .. } = seen;
            for worker in workers.values_mut() {
                worker.leases.retain(|lease, until| *until > wall || leases.remove(lease).is_none());
            }
            workers.retain(|_, worker| !worker.leases.is_empty() || now.saturating_sub(worker.asked) <= SILENCE);
        });
    }
    /// Workers that are there, and those of them that have a job.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.counts()
    }
    fn change(&self, change: impl FnOnce(&mut Seen, Duration)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seen, self.clock.monotonic());
        let counts = seen.counts();
        if seen.told != Some(counts) && (seen.told.is_some() || counts.0 > 0) {
            seen.told = Some(counts);
            let (active, busy) = counts;
            for (family, value) in [("hsi_worker_active_count", active), ("hsi_worker_busy_count", busy), ("hsi_worker_idle_count", active - busy)] {
                self.observe.observe(family, &[], value as f64);
            }
        }
    }
}
impl Seen {
    fn counts(&self) -> (usize, usize) {
        (self.workers.len(), self.workers.values().filter(|w| !w.leases.is_empty()).count())
    }
}
