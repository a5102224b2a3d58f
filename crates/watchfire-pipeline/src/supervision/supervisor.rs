//! Drives the policy: asks it what is due, makes the checks and restarts it wants, brings their outcomes back, tells everybody who
//! listens. Each check runs by itself, so a slow one delays nobody. It decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tracing::Instrument;
use tracing::field::Empty;
use watchfire_model::live::ServiceStatus;
use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::state::{StateError, StateStore};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_net::trace;

use super::metrics;
use super::policy::{self, Action, AuditEntry, Event, Notice, Now, Policy, Refused, SERVICES_MAX, Status, Verdict, View, Who};
use super::settings::{Definition, Settings};

/// How long a look may go on after its time, for a second look at the place.
const GRACE: Duration = Duration::from_secs(2);
/// A look that took longer than even that was held up by ourselves: a stopped process, a starved machine.
const HELD_UP: Duration = Duration::from_secs(5);
/// How long we sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// Outcomes that wait for the policy: a check and a restart for each service at most.
const OUTCOMES_MAX: usize = 2 * SERVICES_MAX;

/// What the supervisor works with.
pub struct Parts {
    /// Where counts, history and audit are kept.
    pub state: Arc<dyn StateStore>,
    /// The time.
    pub clock: SharedClock,
    /// Our own meter.
    pub meter: Meter,
    /// Who is told about workers of the watched pipeline.
    pub observe: Arc<dyn Observe>,
}

/// A service as the API shows it.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// What the policy knows.
    pub view: View,
    /// The kind of its check.
    pub check_kind: &'static str,
    /// What the check looks at, without secrets.
    pub check_target: String,
    /// The worker of the watched pipeline that it is.
    pub worker: Option<String>,
}

/// Everything that is known, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All services, ascending by name.
    pub services: Vec<ServiceView>,
    /// The newest events, newest first.
    pub recent: Vec<Event>,
    /// Changes that could not be recorded since we run.
    pub records_lost: u64,
}

enum Outcome {
    Checked { service: String, ticket: u64, verdict: Verdict },
    Restarted { service: String, ticket: u64, outcome: Result<String, String> },
}

type Listener = Box<dyn Fn(&ServiceStatus, Timestamp) + Send + Sync>;

/// The supervisor. Cheap to clone; `run` does the work.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);
struct Inner {
    policy: Mutex<Policy>,
    definitions: Mutex<BTreeMap<String, Definition>>,
    snapshot: Arc<Mutex<Arc<Snapshot>>>,
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    observe: Arc<dyn Observe>,
    /// The steady count and the monotonic clock at the beginning.
    began: (u64, Duration),
    wake: Notify,
    outcomes: mpsc::Sender<Outcome>,
    incoming: Mutex<Option<mpsc::Receiver<Outcome>>>,
    listener: OnceLock<Listener>,
}

impl Supervisor {
    /// A supervisor with what is stored about services, and none to watch yet.
    pub fn open(parts: Parts) -> Result<Supervisor, StateError> {
        let (policy, steady) = Policy::open(parts.state.clone())?;
        let (outcomes, incoming) = mpsc::channel(OUTCOMES_MAX);
        let snapshot = Arc::new(Mutex::new(Arc::new(Snapshot { recent: policy.recent(), ..Snapshot::default() })));
        metrics::register(&parts.meter, snapshot.clone());
        let inner = Inner {
            policy: Mutex::new(policy),
            definitions: Mutex::default(),
            snapshot,
            state: parts.state,
            began: (steady, parts.clock.monotonic()),
            clock: parts.clock,
            observe: parts.observe,
            wake: Notify::new(),
            outcomes,
            incoming: Mutex::new(Some(incoming)),
            listener: OnceLock::new(),
        };
        Ok(Supervisor(Arc::new(inner)))
    }

    /// Who hears of every change. The first call counts. The listener must not ask the supervisor anything but [`Supervisor::snapshot`].
    pub fn on_change(&self, listener: impl Fn(&ServiceStatus, Timestamp) + Send + Sync + 'static) {
        let _first = self.0.listener.set(Box::new(listener));
    }

    /// Takes over new settings; what is known about services that stay is kept. May block.
    pub fn apply(&self, settings: &Settings) -> Result<(), StateError> {
        let rules = settings.services.iter().map(|s| s.rules.clone()).collect();
        let definitions = settings.services.iter().map(|s| (s.rules.name.clone(), s.clone())).collect();
        let outcome = self.step(|policy, now| {
            *lock(&self.0.definitions) = definitions;
            policy.apply(rules, now)
        });
        self.0.wake.notify_one();
        outcome
    }

    /// Everything that is known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        lock(&self.0.snapshot).clone()
    }

    /// All services in the words of `/api/system/health`. One that was not checked yet is never healthy.
    pub fn statuses(&self) -> Vec<ServiceStatus> {
        let status = |service: &ServiceView| {
            let view = &service.view;
            let error = view.last.as_ref().map(|last| last.error.as_str()).filter(|error| !error.is_empty() && view.status != Some(Status::Healthy));
            let message = match (view.status, error) {
                (None, _) => "not checked yet".to_owned(),
                (Some(_), Some(error)) => format!("{}: {error}", view.message),
                (Some(_), None) => view.message.clone(),
            };
            ServiceStatus { name: view.rules.name.clone(), status: view.status.map_or("not_initialized", Status::name), message }
        };
        self.snapshot().services.iter().map(status).collect()
    }

    /// Whether a service of this name is watched.
    pub fn watches(&self, name: &str) -> bool {
        self.snapshot().services.iter().any(|s| s.view.rules.name == name)
    }

    /// The stored events of a service, newest first; `None` when it is not watched. May block.
    pub fn history(&self, name: &str, limit: usize) -> Result<Option<Vec<Event>>, StateError> {
        if !self.watches(name) {
            return Ok(None);
        }
        policy::history(&*self.0.state, name, limit).map(Some)
    }

    /// The stored audit records, newest first. May block.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StateError> {
        policy::audit(&*self.0.state, limit)
    }

    /// Restarts a service because somebody asks. May block.
    pub fn restart(&self, name: &str, who: Who<'_>) -> Result<(), Refused> {
        let outcome = self.step(|policy, now| policy.restart_by_hand(name, who, now));
        self.told(name, who, "restart", &outcome);
        outcome
    }

    /// Keeps a service from being restarted until some time. May block.
    pub fn begin_maintenance(&self, name: &str, until: Timestamp, reason: &str, who: Who<'_>) -> Result<(), Refused> {
        let outcome = self.step(|policy, now| policy.begin_maintenance(name, until, reason, who, now));
        self.told(name, who, "maintenance_begin", &outcome);
        outcome
    }

    /// Ends maintenance that was asked for. May block.
    pub fn end_maintenance(&self, name: &str, who: Who<'_>) -> Result<(), Refused> {
        let outcome = self.step(|policy, now| policy.end_maintenance(name, who, now));
        self.told(name, who, "maintenance_end", &outcome);
        outcome
    }

    fn told(&self, name: &str, who: Who<'_>, action: &str, outcome: &Result<(), Refused>) {
        self.0.wake.notify_one();
        match outcome {
            Ok(()) => tracing::info!(target: "watchfire::audit", service = name, caller = who.name, via = who.via, action, "taken"),
            Err(error) => tracing::warn!(target: "watchfire::audit", service = name, caller = who.name, via = who.via, action, %error, "refused"),
        }
    }

    /// Supervises for ever; ends only when the future is dropped.
    pub async fn run(self) {
        let Some(mut incoming) = lock(&self.0.incoming).take() else { return };
        loop {
            let poll = |policy: &mut Policy, now: Now| (policy.poll(now), policy.next_due(), now.steady_ms);
            let Some((actions, due, now)) = self.background(poll).await else { return };
            for action in actions {
                self.begin(action);
            }
            let wait = due.map_or(IDLE, |due| Duration::from_millis(due.saturating_sub(now)));
            tokio::select! {
                outcome = incoming.recv() => {
                    let Some(outcome) = outcome else { return };
                    if self.background(move |policy, now| take(policy, outcome, now)).await.is_none() {
                        return;
                    }
                }
                () = tokio::time::sleep(wait) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }

    /// One step of the policy on a thread that may wait for the disk; `None` when the process ends.
    async fn background<T: Send + 'static>(&self, step: impl FnOnce(&mut Policy, Now) -> T + Send + 'static) -> Option<T> {
        let supervisor = self.clone();
        match tokio::task::spawn_blocking(move || supervisor.step(step)).await {
            Ok(value) => Some(value),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    fn now(&self) -> Now {
        let (steady, monotonic) = self.0.began;
        let passed = self.0.clock.monotonic().saturating_sub(monotonic);
        Now { steady_ms: steady + u64::try_from(passed.as_millis()).unwrap_or(u64::MAX / 2), wall: self.0.clock.now() }
    }

    /// One step of the policy. What it has to tell is told before the next step, so that nobody hears of things out of order.
    fn step<T>(&self, step: impl FnOnce(&mut Policy, Now) -> T) -> T {
        let mut policy = lock(&self.0.policy);
        let now = self.now();
        let value = step(&mut policy, now);
        let notices = policy.take_notices();
        let definitions = lock(&self.0.definitions);
        let services = policy.views(now).into_iter().filter_map(|view| {
            let definition = definitions.get(&view.rules.name)?;
            let (check_kind, check_target, worker) = (definition.check_kind, definition.check.target(), definition.worker.clone());
            Some(ServiceView { view, check_kind, check_target, worker })
        });
        let snapshot = Snapshot { services: services.collect(), recent: policy.recent(), records_lost: policy.records_lost() };
        metrics::observe_workers(&*self.0.observe, &snapshot, &notices, now);
        *lock(&self.0.snapshot) = Arc::new(snapshot);
        drop(definitions);
        for notice in notices {
            self.tell(&notice);
        }
        value
    }

    fn tell(&self, notice: &Notice) {
        let Notice { service, status, message, detail, at, changed } = notice;
        if *changed {
            match status {
                Status::Healthy => tracing::info!(target: "watchfire::services", service, status = status.name(), "{message}"),
                Status::Unhealthy | Status::Restarting => {
                    tracing::warn!(target: "watchfire::services", service, status = status.name(), detail, "{message}");
                }
                Status::RestartFailed => tracing::error!(target: "watchfire::services", service, status = status.name(), detail, "{message}"),
                Status::Failed => tracing::error!(target: "watchfire::services", service, status = status.name(), severity = "critical", "{message}"),
            }
        }
        if let Some(listener) = self.0.listener.get() {
            listener(&ServiceStatus { name: service.clone(), status: status.name(), message: message.clone() }, *at);
        }
    }

    /// Begins a check or a restart; its outcome comes back by the channel.
    fn begin(&self, action: Action) {
        let supervisor = self.clone();
        match action {
            Action::Check { service, ticket } => {
                let definition = lock(&self.0.definitions).get(&service).cloned();
                let name = service.clone();
                let look = tokio::spawn(async move { supervisor.look(&name, definition).await });
                let outcomes = self.0.outcomes.clone();
                tokio::spawn(async move {
                    let verdict = look.await.unwrap_or_else(|_| Verdict::Unknown { why: "the check panicked".to_owned() });
                    // Without a receiver the process is ending.
                    outcomes.send(Outcome::Checked { service, ticket, verdict }).await.ok();
                });
            }
            Action::Restart { service, ticket } => {
                let restart = lock(&self.0.definitions).get(&service).and_then(|d| d.restart.clone());
                let work = tokio::spawn(async move {
                    match restart {
                        Some(restart) => restart.restart().await,
                        None => Err("the configuration names no way to restart this service any more".to_owned()),
                    }
                });
                let outcomes = self.0.outcomes.clone();
                tokio::spawn(async move {
                    let outcome = work.await.unwrap_or_else(|_| Err("the restart panicked".to_owned()));
                    // Without a receiver the process is ending.
                    outcomes.send(Outcome::Restarted { service, ticket, outcome }).await.ok();
                });
            }
        }
    }

    /// Looks at a service, and doubts what was seen when we ourselves were held up.
    async fn look(&self, service: &str, definition: Option<Definition>) -> Verdict {
        let Some(Definition { rules, check, .. }) = definition else { return Verdict::Unknown { why: "the service is gone".to_owned() } };
        let span = tracing::info_span!("service.check", otel.kind = "internal", otel.status_code = Empty, otel.status_description = Empty, service);
        let began = self.0.clock.monotonic();
        let late = || Verdict::Failed { why: format!("no answer within {} s", rules.timeout.as_secs_f64()), reached: check.remote().is_none() };
        let verdict = tokio::time::timeout(rules.timeout + GRACE, check.look(rules.timeout)).instrument(span.clone()).await.unwrap_or_else(|_| late());
        if let Verdict::Failed { why, .. } = &verdict {
            trace::failed(&span, why);
        }
        let took = self.0.clock.monotonic().saturating_sub(began);
        match verdict {
            Verdict::Failed { .. } if took > rules.timeout + HELD_UP => {
                Verdict::Unknown { why: format!("Watchfire itself was held up: the check took {} s", took.as_secs()) }
            }
            Verdict::Failed { why, reached } => Verdict::Failed { why: shown(&why), reached },
            other => other,
        }
    }
}

/// An error as it may be shown: one line of a bounded length.
fn shown(why: &str) -> String {
    const CHARS_MAX: usize = 300;
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect()
}

fn take(policy: &mut Policy, outcome: Outcome, now: Now) {
    match outcome {
        Outcome::Checked { service, ticket, verdict } => policy.checked(&service, ticket, verdict, now),
        Outcome::Restarted { service, ticket, outcome } => policy.restarted(&service, ticket, outcome, now),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
