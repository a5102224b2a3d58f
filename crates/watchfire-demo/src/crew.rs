//! The demo's workers, each on a thread: one that panics is started again, and their states become metrics. It does no work itself.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use watchfire_sdk::metrics::hsi;
use watchfire_sdk::queue::QueueError;

use crate::Run;
use crate::bell::Bell;

/// How long a worker that died rests.
const REST: Duration = Duration::from_secs(1);
/// A worker that died so often is not started again.
const DEATHS_MAX: u64 = 5;

/// A worker.
pub(crate) struct Member {
    pub(crate) name: String,
    started: Mutex<Option<Duration>>,
    failures: AtomicU64,
    gave_up: AtomicBool,
}
impl Member {
    pub(crate) fn new(name: &str) -> Member {
        Member { name: name.to_owned(), started: Mutex::default(), failures: AtomicU64::new(0), gave_up: AtomicBool::new(false) }
    }
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
    fn is_running_since(&self, since: Option<Duration>) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
    /// Tells how it is.
    pub(crate) fn report(&self, run: &Run) {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        // In the one family a worker that gave up is 4, in the other 3.
        let (status, state) = match (started, self.gave_up.load(Ordering::Relaxed)) {
            (_, true) => (4.0, 3.0),
            (Some(_), _) => (1.0, 1.0),
            (None, _) => (0.0, 0.0),
        };
        let uptime = started.map_or(-1.0, |at| run.clock.monotonic().saturating_sub(at).as_secs_f64());
        let name = [self.name.as_str()];
        run.metrics.set(&hsi::WORKER_STATUS, name, status);
        run.metrics.set(&hsi::PIPELINE_WORKER_STATE, name, state);
        run.metrics.set(&hsi::PIPELINE_WORKER_UPTIME_SECONDS, name, uptime);
        run.metrics.set(&hsi::PIPELINE_WORKER_CONSECUTIVE_FAILURES, name, self.failures.load(Ordering::Relaxed) as f64);
    }
    /// Keeps the work going until it ends by itself.
    pub(crate) fn keep_at(&self, run: &Run, over: &Bell, work: fn(&Run, &Member) -> Result<(), QueueError>) {
        for deaths in 1..=DEATHS_MAX {
            self.is_running_since(Some(run.clock.monotonic()));
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| work(run, self)));
            self.is_running_since(None);
            match ended {
                Ok(Ok(())) => return,
                // Without the queue there is nothing to work on.
                Ok(Err(error)) => {
                    self.gave_up.store(true, Ordering::Relaxed);
                    run.break_off(format!("{} ended: {error}", self.name));
                    return;
                }
                Err(_) => {
                    run.metrics.increment(&hsi::WORKER_CRASHES_TOTAL, [&self.name]);
                    run.voice.say(&format!("{} panicked for the {deaths}. time; its jobs went back to the queue", self.name));
                    over.wait(REST);
                    run.metrics.increment(&hsi::WORKER_RESTARTS_TOTAL, [&self.name]);
                }
            }
        }
        self.gave_up.store(true, Ordering::Relaxed);
        run.break_off(format!("{} panicked {DEATHS_MAX} times", self.name));
    }
}
