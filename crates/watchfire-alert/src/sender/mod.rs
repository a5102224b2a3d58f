//! Alerts on their way: external labels and relabelling, then to the Alertmanager inside and to those outside: a bounded queue for each, so that one that hangs delays no other, and the second version of
//! their interface. Nothing is tried twice: rules tell again of everything that fires, and for a while of what ended.

mod inside;
mod queue;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::meter::{Counter, Family, Meter};
use watchfire_net::client::{Caller, HttpOptions};
use watchfire_net::tasks::Tasks;

pub use self::inside::Inside;
use self::queue::{Post, Queue};
use crate::rules::{Notify, OutgoingAlert};

/// At most so many alerts wait for one Alertmanager; then the oldest go.
pub const QUEUE_MAX: usize = 10_000;
/// At most so many Alertmanagers are told.
pub const TARGETS_MAX: usize = 256;

/// Changes the labels of an alert on its way; nothing when it must not be sent.
pub type Relabel = Arc<dyn Fn(&Labels) -> Option<Labels> + Send + Sync>;

/// One Alertmanager.
#[derive(Clone)]
pub struct Target {
    /// The whole address of its interface: `http://host:9093/api/v2/alerts`.
    pub url: String,
    /// How requests are made.
    pub options: Arc<HttpOptions>,
    /// How long one may take.
    pub timeout: Duration,
    /// What happens to the labels of alerts for this one.
    pub relabel: Relabel,
    /// Whether its address is that of a program that we replace: while nobody answers there, we are meant, and have the alerts.
    pub replaced: bool,
}

/// What all Alertmanagers have in common.
#[derive(Clone)]
pub struct Common {
    /// Labels that alerts get unless they have them.
    pub external_labels: Labels,
    /// What happens to the labels of all alerts after that.
    pub relabel: Relabel,
}

/// Why an alert was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The queue was full.
    QueueFull,
    /// The Alertmanager did not take it.
    Failed,
    /// Nobody answers at an address that stands for us; the alert is inside already.
    Inside,
    /// Its Alertmanager is no longer configured.
    TargetGone,
}
impl Lost {
    /// All reasons.
    pub const ALL: [Lost; 4] = [Lost::QueueFull, Lost::Failed, Lost::Inside, Lost::TargetGone];
    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Lost::QueueFull => "queue_full",
            Lost::Failed => "failed",
            Lost::Inside => "inside",
            Lost::TargetGone => "target_gone",
        }
    }
}

/// Counts what was lost, by reason, and what relabelling took out.
#[derive(Clone)]
struct Losses {
    lost: Vec<(Lost, Counter)>,
    relabelled: Counter,
}
impl Losses {
    fn new(meter: &Meter) -> Losses {
        let lost = |why: Lost| {
            meter.counter("watchfire_notifications_dropped_total", "Alerts that no Alertmanager outside got, by reason.", &[("reason", why.name())])
        };
        Losses {
            lost: Lost::ALL.into_iter().map(|why| (why, lost(why))).collect(),
            relabelled: meter.counter("watchfire_notifications_relabelled_away_total", "Alerts that alert_relabel_configs took out.", &[]),
        }
    }
    fn add(&self, why: Lost, count: usize) {
        if let Some((_, counter)) = self.lost.iter().find(|(known, _)| *known == why) {
            counter.add(count as u64);
        }
    }
    fn total(&self) -> u64 {
        self.lost.iter().map(|(_, c)| c.get()).sum()
    }
}

struct State {
    common: Option<Common>,
    inside: Option<Arc<dyn Notify>>,
    queues: Vec<Arc<Queue>>,
    /// Names of Prometheus' metrics that rules ask for.
    asked: HashSet<String>,
    /// Whether somebody outside is to be told; nothing while nobody knows yet.
    outside: Option<bool>,
}

/// Which way alerts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nobody knows yet whether there is an Alertmanager outside.
    Unknown,
    /// To the Alertmanager inside.
    Inside,
    /// To Alertmanagers outside.
    Outside {
        /// Whether the last request of every one of them failed.
        failing: bool,
    },
}

/// Tells Alertmanagers. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    state: Arc<Mutex<State>>,
    losses: Losses,
    caller: Arc<Caller>,
    runtime: Handle,
    tasks: Tasks,
}

impl Sender {
    /// A sender that knows nobody yet.
    pub fn new(caller: Arc<Caller>, runtime: Handle, tasks: Tasks, meter: &Meter) -> Sender {
        let state = Arc::new(Mutex::new(State { common: None, inside: None, queues: Vec::new(), asked: HashSet::new(), outside: None }));
        let losses = Losses::new(meter);
        let (told, lost) = (Arc::downgrade(&state), losses.clone());
        meter.on_gather(move |out| {
            if let Some(state) = told.upgrade() {
                tell(&lock(&state), lost.total(), out);
            }
        });
        Sender { state, losses, caller, runtime, tasks }
    }

    /// Sets what all Alertmanagers have in common, and which metrics of Prometheus rules ask for.
    pub fn set_common(&self, common: Common, asked: HashSet<String>) {
        let mut state = lock(&self.state);
        state.common = Some(common);
        state.asked = asked;
    }

    /// Sets who takes alerts, with the same labels, as long as no Alertmanager outside is configured. Addresses of programs that
    /// we replace mean ourselves.
    pub fn set_inside(&self, inside: Arc<dyn Notify>) {
        lock(&self.state).inside = Some(inside);
    }

    /// Sets whom to tell outside. Queues of those that stay are kept; what waits for others is lost and counted.
    pub fn set_targets(&self, targets: Vec<Target>) {
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.queues);
        state.outside = Some(targets.iter().any(|target| !target.replaced));
        if targets.len() > TARGETS_MAX {
            tracing::error!(count = targets.len(), max = TARGETS_MAX, "too many Alertmanagers; those beyond the limit are not told");
        }
        for target in targets.into_iter().take(TARGETS_MAX) {
            if state.queues.iter().any(|q| q.url() == target.url) {
                continue;
            }
            let queue = match before.iter().position(|q| q.url() == target.url) {
                Some(at) => {
                    let queue = before.swap_remove(at);
                    queue.change(target);
                    queue
                }
                None => self.start(target),
            };
            state.queues.push(queue);
        }
        for gone in before {
            self.losses.add(Lost::TargetGone, gone.close());
        }
    }

    fn start(&self, target: Target) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(target, QUEUE_MAX));
        let post = Post { caller: self.caller.clone(), losses: self.losses.clone() };
        let _within = self.runtime.enter();
        self.tasks.spawn("alert_sender", queue.clone().run(post));
        queue
    }

    /// Which way alerts take at this moment, and whether anybody takes them there.
    pub fn way(&self) -> Way {
        let state = lock(&self.state);
        match state.outside {
            None => Way::Unknown,
            Some(false) => Way::Inside,
            Some(true) => Way::Outside { failing: state.queues.iter().filter(|queue| !queue.is_replaced()).all(|queue| queue.is_failing()) },
        }
    }

    /// The addresses of all Alertmanagers.
    pub fn urls(&self) -> Vec<String> {
        lock(&self.state).queues.iter().map(|q| q.url()).collect()
    }
}

impl Notify for Sender {
    fn notify(&self, alerts: Vec<OutgoingAlert>) {
        let state = lock(&self.state);
        let Some(common) = &state.common else { return };
        let alerts: Vec<OutgoingAlert> = alerts.into_iter().filter_map(|alert| self.relabelled(alert, common)).collect();
        for queue in &state.queues {
            self.losses.relabelled.add(queue.push(&alerts, &self.losses) as u64);
        }
        let inside = state.inside.clone().filter(|_| state.outside != Some(true));
        // It stores what it takes, which must not keep others waiting for the list.
        drop(state);
        if let Some(inside) = inside.filter(|_| !alerts.is_empty()) {
            inside.notify(alerts);
        }
    }
}

impl Sender {
    /// An alert with the external labels, relabelled.
    fn relabelled(&self, alert: OutgoingAlert, common: &Common) -> Option<OutgoingAlert> {
        let mut labels = LabelsBuilder::from(&alert.labels);
        for (name, value) in &common.external_labels {
            if labels.get(name).is_empty() {
                labels.set(name, value);
            }
        }
        let labels = (common.relabel)(&labels.build());
        if labels.is_none() {
            self.losses.relabelled.inc();
        }
        Some(OutgoingAlert { labels: labels?, ..alert })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures by Alertmanager, under our names and under those of Prometheus that rules ask for.
fn tell(state: &State, lost: u64, out: &mut Vec<Family>) {
    type Value = fn(&Queue) -> f64;
    let by_target: [(&str, &str, MetricType, &str, Value); 3] = [
        ("watchfire_notifications_sent_total", "prometheus_notifications_sent_total", MetricType::Counter, "Alerts that an Alertmanager took.", |q| {
            q.sent() as f64
        }),
        (
            "watchfire_notifications_errors_total",
            "prometheus_notifications_errors_total",
            MetricType::Counter,
            "Alerts that an Alertmanager did not take.",
            |q| q.failed() as f64,
        ),
        ("watchfire_notifications_queue_length", "prometheus_notifications_queue_length", MetricType::Gauge, "Alerts that wait for an Alertmanager.", |q| {
            q.len() as f64
        }),
    ];
    for (ours, theirs, kind, help, value) in by_target {
        for name in [ours, theirs].into_iter().filter(|name| *name == ours || state.asked.contains(*name)) {
            let mut family = Family::new(name, kind, help);
            for queue in &state.queues {
                family.point(&[("alertmanager", &queue.url())], value(queue));
            }
            out.push(family);
        }
    }
    let whole = [
        (
            "watchfire_notifications_alertmanagers",
            "prometheus_notifications_alertmanagers_discovered",
            MetricType::Gauge,
            "Alertmanagers that are told.",
            state.queues.len() as f64,
        ),
        (
            "watchfire_notifications_queue_capacity",
            "prometheus_notifications_queue_capacity",
            MetricType::Gauge,
            "How many alerts may wait for one Alertmanager.",
            QUEUE_MAX as f64,
        ),
        // Ours are counted by reason.
        ("", "prometheus_notifications_dropped_total", MetricType::Counter, "Alerts that no Alertmanager outside got.", lost as f64),
    ];
    for (ours, theirs, kind, help, value) in whole {
        for name in [ours, theirs].into_iter().filter(|name| !name.is_empty() && (*name == ours || state.asked.contains(*name))) {
            out.push(Family::new(name, kind, help).with(&[], value));
        }
    }
}
