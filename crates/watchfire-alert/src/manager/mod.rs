//! The Alertmanager inside: takes alerts, groups them, keeps quiet where silences, inhibition and time intervals say so, and tells
//! receivers for certain: what was decided to be told survives any crash until it was delivered or, after a day, listed as dead.
//!
//! `config` reads `alertmanager.yml`; `engine` decides and waits for nobody; here the engine meets the clock, the receivers and
//! the tasks that wait for them. It evaluates no rule and answers no HTTP route.

pub mod alert;
pub mod config;
pub mod engine;
mod inhibitor;
mod meters;
pub mod notification;
pub mod record;
pub mod silences;
#[cfg(test)]
mod simulation;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Instrument;
use tracing::field::Empty;
use watchfire_model::state::StateError;
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;
use watchfire_net::trace;

use self::alert::NewAlert;
use self::config::Config;
use self::engine::{AlertFilter, AlertView, Engine, GroupView, Job, Parts, Step, Taken};
use self::record::{DeadLetter, LaneKey};
use self::silences::{Silence, SilenceError};
use crate::receivers::{DELIVERY_TIME_MAX, DeliveryError, Outside};

/// The running Alertmanager. All of it may block for as long as the state takes to be stored.
pub struct Manager {
    engine: Mutex<Engine>,
    /// Something happened that the loop has to look at.
    changed: Notify,
    /// Tries that ended without saying how.
    lost: Mutex<Vec<Arc<LaneKey>>>,
    outside: Outside,
    /// How often the loop has decided.
    turns: AtomicU64,
}

/// Says that a try was lost, unless it is told how the try went.
struct Trying {
    manager: Arc<Manager>,
    lane: Option<Arc<LaneKey>>,
}
impl Drop for Trying {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.manager.lost.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
            self.manager.changed.notify_one();
        }
    }
}

impl Manager {
    /// Takes up where the last process ended; nothing is sent before [`Manager::run`].
    pub fn open(parts: Parts, caller: Arc<Caller>) -> Result<Manager, StateError> {
        let clock: SharedClock = parts.clock.clone();
        Ok(Manager {
            engine: Mutex::new(Engine::open(parts)?),
            changed: Notify::new(),
            lost: Mutex::default(),
            outside: Outside { caller, clock, pictures: Arc::default() },
            turns: AtomicU64::new(0),
        })
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes alerts; they are stored when this returns, if it says so.
    pub fn take(&self, alerts: Vec<NewAlert>) -> Taken {
        let taken = self.engine().take(alerts);
        self.changed.notify_one();
        taken
    }
    /// Whether links of a message lead to us, so that its alerts came back to us; then they are counted as refused.
    pub fn refuse_own(&self, url: &str, count: usize) -> bool {
        let engine = self.engine();
        let own = !url.is_empty() && engine.external_url().trim_end_matches('/') == url.trim_end_matches('/');
        if own {
            engine.meters.refused_many("own", count as u64);
        }
        own
    }
    /// Carries out another configuration.
    pub fn apply(&self, config: Arc<Config>) {
        self.engine().apply(config);
        self.changed.notify_one();
    }
    /// Who paints panels for notifications, once somebody does.
    pub fn pictures(&self) -> &crate::receivers::Pictures {
        &self.outside.pictures
    }
    /// The configuration that runs.
    pub fn config(&self) -> Arc<Config> {
        self.engine().config().clone()
    }
    /// Alerts that have not ended.
    pub fn alerts(&self, filter: &AlertFilter) -> Vec<AlertView> {
        self.engine().alerts(filter)
    }
    /// Groups of them.
    pub fn groups(&self, filter: &AlertFilter) -> Vec<GroupView> {
        self.engine().groups(filter)
    }
    /// All silences.
    pub fn silences(&self) -> Vec<Silence> {
        self.engine().silences().cloned().collect()
    }
    /// One of them.
    pub fn silence(&self, id: &str) -> Option<Silence> {
        self.engine().silence(id).cloned()
    }
    /// Sets or changes one; gives its name.
    pub fn set_silence(&self, silence: Silence) -> Result<String, SilenceError> {
        self.engine().set_silence(silence)
    }
    /// Ends one.
    pub fn expire_silence(&self, id: &str) -> Result<(), SilenceError> {
        self.engine().expire_silence(id)
    }
    /// Notifications that nobody could be told, the newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.engine().dead_letters()
    }

    /// How often the loop has decided so far. It decides once more soon, unless it hangs.
    pub fn pulse(&self) -> u64 {
        self.changed.notify_one();
        self.turns.load(Ordering::Relaxed)
    }

    /// Decides and delivers until the tasks are stopped.
    pub async fn run(self: Arc<Manager>, tasks: Tasks) {
        loop {
            let manager = self.clone();
            let step = spawn_blocking(move || manager.turn()).await;
            let Ok(Step { jobs, wait }) = step else {
                tracing::error!("a turn of the Alertmanager inside panicked");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            for job in jobs {
                tasks.spawn(format!("notify_{}", job.lane.kind), self.clone().deliver(job));
            }
            tokio::select! {
                () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn turn(&self) -> Step {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        let mut engine = self.engine();
        for lane in lost {
            engine.done(&lane, Err(DeliveryError::Later { reason: "the try broke off".to_owned(), after: None }));
        }
        let step = engine.step();
        self.turns.fetch_add(1, Ordering::Relaxed);
        step
    }

    /// One try, in a task of its own: whoever hangs holds up nobody else.
    async fn deliver(self: Arc<Manager>, job: Job) {
        let Job { lane, integration, notification } = job;
        let mut trying = Trying { manager: self.clone(), lane: Some(lane.clone()) };
        let begun = self.outside.clock.monotonic();
        let limit = DELIVERY_TIME_MAX + Duration::from_secs(5);
        let span = tracing::info_span!(
            "notification.deliver",
            otel.kind = "internal",
            otel.status_code = Empty,
            otel.status_description = Empty,
            receiver = lane.kind
        );
        let outcome = tokio::time::timeout(limit, integration.deliver(&notification, &self.outside)).instrument(span.clone()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(DeliveryError::Later { reason: format!("no answer within {} s", limit.as_secs()), after: None }));
        if let Err(error) = &outcome {
            trace::failed(&span, error);
        }
        drop(span);
        let took = self.outside.clock.monotonic().saturating_sub(begun);
        let manager = self.clone();
        let told = spawn_blocking(move || {
            let mut engine = manager.engine();
            engine.meters.took(&lane.kind, took.as_secs_f64());
            engine.done(&lane, outcome);
        });
        trying.lane = None;
        if told.await.is_err() {
            tracing::error!("noting the outcome of a notification panicked");
        }
        self.changed.notify_one();
    }
}
