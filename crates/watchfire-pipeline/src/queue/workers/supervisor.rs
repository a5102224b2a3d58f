//! Starts a worker again when it panics or ends, with growing waits, and tells how it is. Each worker has its own waits, so one that keeps
//! failing delays nobody else.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use watchfire_model::observe::Observe;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Stop;

/// How a supervised worker is; the numbers are those of `hsi_worker_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was asked to end.
    Stopped = 0,
    /// It runs.
    Running = 1,
    /// It has just died.
    Crashed = 2,
    /// It waits to be started again.
    Restarting = 3,
    /// It died too often; it is tried again much later.
    Failed = 4,
}
impl State {
    /// The number of `hsi_worker_status`.
    pub fn status(self) -> f64 {
        f64::from(self as u8)
    }
    /// The number of `hsi_pipeline_worker_state`: 0 stopped, 1 running, 2 restarting, 3 failed.
    pub fn pipeline(self) -> f64 {
        match self {
            State::Stopped => 0.0,
            State::Running => 1.0,
            State::Crashed | State::Restarting => 2.0,
            State::Failed => 3.0,
        }
    }
}

/// How workers are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// The first wait; it doubles.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Restarts in a row before a worker counts as failed.
    pub max: u32,
    /// The wait of a worker that counts as failed.
    pub failed: Duration,
    /// A worker that ran for so long has recovered: its failures are forgotten.
    pub stable: Duration,
}
impl Default for Restarts {
    fn default() -> Restarts {
        let secs = Duration::from_secs;
        Restarts { base: secs(1), cap: secs(60), max: 5, failed: secs(600), stable: secs(300) }
    }
}

struct Known {
    state: State,
    since: Duration,
}

/// Supervises the workers of this process.
pub struct Supervisor {
    restarts: Restarts,
    observe: Arc<dyn Observe>,
    clock: SharedClock,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Supervisor {
    /// Supervises nobody yet.
    pub fn new(restarts: Restarts, observe: Arc<dyn Observe>, clock: SharedClock) -> Supervisor {
        Supervisor { restarts, observe, clock, known: Mutex::default() }
    }
    /// How every worker is.
    pub fn states(&self) -> Vec<(String, State)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, k)| (name.clone(), k.state)).collect()
    }
    /// Tells for how long workers run; -1 for those that do not.
    pub fn tell_uptimes(&self) {
        let now = self.clock.monotonic();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, k) in known.iter() {
            let uptime = if k.state == State::Running { now.saturating_sub(k.since).as_secs_f64() } else { -1.0 };
            self.observe.observe("hsi_pipeline_worker_uptime_seconds", &[("worker_name", name)], uptime);
        }
    }
    fn enter(&self, name: &str, state: State) {
        let since = self.clock.monotonic();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Known { state, since });
        let label = [("worker_name", name)];
        self.observe.observe("hsi_worker_status", &label, state.status());
        self.observe.observe("hsi_pipeline_worker_state", &label, state.pipeline());
        self.observe.observe("hsi_pipeline_worker_uptime_seconds", &label, if state == State::Running { 0.0 } else { -1.0 });
    }

    /// Runs a worker until a stop is requested; what `make` gives is run again whenever it ends.
    pub async fn run<F>(&self, name: &str, mut stop: Stop, make: impl Fn() -> F + Send + Sync)
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let label = [("worker_name", name)];
        let mut failures = 0;
        self.observe.observe("hsi_pipeline_worker_consecutive_failures", &label, 0.0);
        loop {
            self.enter(name, State::Running);
            let began = self.clock.monotonic();
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(make()).catch_unwind() => outcome,
                () = stop.requested() => break,
            };
            if stop.is_requested() {
                break;
            }
            let ended = self.clock.monotonic();
            let why = match outcome {
                Ok(Ok(())) => "it ended by itself".to_owned(),
                Ok(Err(error)) => error,
                Err(panic) => format!("exception: it panicked: {}", said(&*panic)),
            };
            failures = if ended.saturating_sub(began) >= self.restarts.stable { 1 } else { failures + 1 };
            let wait = self.died(name, failures, &why);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.requested() => break,
            }
            self.observe.observe("hsi_worker_restarts_total", &label, 1.0);
            self.observe.observe("hsi_pipeline_worker_restarts_total", &[label[0], ("reason_category", category(&why))], 1.0);
            let took = self.clock.monotonic().saturating_sub(ended).as_secs_f64();
            self.observe.observe("hsi_pipeline_worker_restart_duration_seconds", &label, took);
        }
        self.enter(name, State::Stopped);
    }

    /// Tells that a worker died. Gives how long to wait.
    fn died(&self, name: &str, failures: u32, why: &str) -> Duration {
        let label = [("worker_name", name)];
        tracing::error!(worker = name, failures, why, "a worker died");
        self.observe.observe("hsi_worker_crashes_total", &label, 1.0);
        self.observe.observe("hsi_pipeline_worker_consecutive_failures", &label, f64::from(failures));
        self.enter(name, State::Crashed);
        if failures > self.restarts.max {
            if failures == self.restarts.max + 1 {
                self.observe.observe("hsi_worker_max_restarts_exceeded_total", &label, 1.0);
            }
            self.enter(name, State::Failed);
            return self.restarts.failed;
        }
        self.enter(name, State::Restarting);
        self.restarts.base.saturating_mul(2u32.saturating_pow(failures - 1)).min(self.restarts.cap)
    }
}

/// What a panic says.
pub(super) fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The class of a reason, by the first word of these that stands in it.
fn category(why: &str) -> &'static str {
    const WORDS: [(&str, &[&str]); 6] = [
        ("timeout", &["timeout", "timed out"]),
        ("memory", &["memory", "oom"]),
        ("connection", &["connection", "connect", "refused", "unreachable"]),
        ("resource", &["resource", "too many", "no space", "exhausted"]),
        ("dependency", &["dependency", "unavailable", "cannot use"]),
        ("exception", &["exception", "error", "panic"]),
    ];
    let why = why.to_lowercase();
    WORDS.iter().find(|(_, words)| words.iter().any(|w| why.contains(w))).map_or("unknown", |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_classes() {
        for (why, expected) in [
            ("connection timed out", "timeout"),
            ("Out of memory", "memory"),
            ("Connection refused", "connection"),
            ("too many open files", "resource"),
            ("exception: it panicked: x", "exception"),
            ("it ended by itself", "unknown"),
        ] {
            assert_eq!(category(why), expected, "{why}");
        }
    }
}
