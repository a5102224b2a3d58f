//! All groups together: one task for each, and reloads that change only what changed. It reads no files.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use watchfire_model::meter::Meter;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;

use super::figures;
use super::file::RuleFile;
use super::group::{Common, Group, Surroundings};
use super::schedule::{Schedule, Tick};
use super::view::GroupView;

/// At most so many groups are evaluated at the same time; the others wait.
pub const EVALUATIONS_PARALLEL: usize = 4;
/// How long nothing is evaluated after a jump of the wall clock: by then targets have been scraped by the new time.
const SETTLE: Duration = Duration::from_secs(60);
/// A group that is gone ends its series after so many intervals; by then a group that took them over has written them again.
const INTERVALS_TO_END: u32 = 2;

/// What a group's task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run,
    /// Stop after the evaluation that runs; another group takes over.
    HandOver,
    /// Stop, and end all series.
    End,
}

struct Running {
    group: Arc<Group>,
    order: watch::Sender<Order>,
    done: oneshot::Receiver<()>,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<(Arc<str>, String), Running>,
    /// Names of Prometheus' own metrics that rules ask for.
    asked: HashSet<&'static str>,
    /// Whether a configuration was carried out: groups of later ones have nothing to restore.
    begun: bool,
}

/// Runs groups of rules.
pub struct Manager {
    surroundings: Surroundings,
    runtime: Handle,
    tasks: Tasks,
    slots: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

impl Manager {
    /// A manager without groups. Its tasks run on a runtime that may block elsewhere.
    pub fn new(surroundings: Surroundings, runtime: Handle, tasks: Tasks, meter: &Meter) -> Manager {
        let state: Arc<Mutex<State>> = Arc::default();
        let told = Arc::downgrade(&state);
        let (durations, clock) = (surroundings.durations.clone(), surroundings.clock.clone());
        meter.on_gather(move |out| {
            let Some(state) = told.upgrade() else { return };
            let state = lock(&state);
            figures::tell(state.groups.values().map(|r| &*r.group), &state.asked, out);
            durations.tell(clock.monotonic(), &state.asked, out);
        });
        Manager { surroundings, runtime, tasks, slots: Arc::new(Semaphore::new(EVALUATIONS_PARALLEL)), state }
    }

    /// Carries out a configuration. Groups that did not change go on; those that did take over what they had.
    pub fn apply(&self, files: &[RuleFile], common: Common) {
        let common = Arc::new(common);
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.groups);
        for file in files {
            for group in &file.groups {
                let new = Arc::new(Group::new(file, group, &common, state.begun));
                let running = match before.remove(&new.key()) {
                    Some(running) if running.group.is_same_as(&new) => running,
                    former => self.start(new.clone(), former),
                };
                state.groups.insert(new.key(), running);
            }
        }
        for gone in before.into_values() {
            gone.order.send_replace(Order::End);
        }
        state.begun = true;
        state.asked = figures::asked_for(state.groups.values().map(|r| &*r.group));
    }

    fn start(&self, group: Arc<Group>, former: Option<Running>) -> Running {
        let (order, orders) = watch::channel(Order::Run);
        let (done, is_done) = oneshot::channel();
        let worker = Worker {
            group: group.clone(),
            surroundings: self.surroundings.clone(),
            slots: self.slots.clone(),
            tasks: self.tasks.clone(),
            orders,
            settled_at: i64::MIN,
            evaluations: 0,
        };
        let _within = self.runtime.enter();
        // The name is one for all, so that the list of tasks does not grow with every reload.
        self.tasks.spawn_until_done("rules", async move {
            if let Some(former) = former {
                former.order.send_replace(Order::HandOver);
                // An error means that it ended in a panic: what it had is still there.
                former.done.await.ok();
                worker.group.take_over(&former.group);
            }
            worker.run(done).await;
        });
        Running { group, order, done: is_done }
    }

    /// What is shown of all groups, by file and name.
    pub fn groups(&self) -> Vec<GroupView> {
        let groups: Vec<Arc<Group>> = lock(&self.state).groups.values().map(|r| r.group.clone()).collect();
        groups.iter().map(|g| g.view()).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task of one group.
struct Worker {
    group: Arc<Group>,
    surroundings: Surroundings,
    slots: Arc<Semaphore>,
    tasks: Tasks,
    orders: watch::Receiver<Order>,
    /// The moment on the group's line of time before which the clock is not trusted again.
    settled_at: i64,
    evaluations: u64,
}

impl Worker {
    async fn run(mut self, done: oneshot::Sender<()>) {
        let clock = self.surroundings.clock.clone();
        let mut plan = Schedule::new(&self.group.file, &self.group.name, self.group.interval_ms(), clock.now(), clock.monotonic());
        let mut stop = self.tasks.stop();
        let order = loop {
            tokio::select! {
                biased;
                () = stop.requested() => break Order::HandOver,
                order = ordered(&mut self.orders) => break order,
                () = tokio::time::sleep(plan.wait(clock.monotonic())) => {}
            }
            let tick = plan.tick(clock.now(), clock.monotonic());
            self.group.figures.scheduled(tick.missed);
            self.work(tick).await;
        };
        drop(done);
        if order == Order::End {
            self.end().await;
        }
    }

    async fn work(&mut self, tick: Tick) {
        if tick.jumped {
            tracing::warn!(group = self.group.name, "the wall clock jumped; rules wait until there are samples by the new time");
            self.settled_at = tick.line.saturating_add(SETTLE.as_millis() as i64).max(tick.line.saturating_add(self.group.interval_ms() as i64));
        }
        if tick.line < self.settled_at {
            self.group.figures.held();
            if tick.jumped {
                self.blocking(move |group, surroundings| group.tell_again(&tick, surroundings)).await;
            }
            return;
        }
        self.evaluations += 1;
        let restore = self.evaluations > 1 && !self.group.is_restored();
        self.blocking(move |group, surroundings| {
            let _span = tracing::info_span!("rules.evaluate", otel.kind = "internal", group = group.name, rules = group.rules.len()).entered();
            group.evaluate(&tick, surroundings);
            if restore {
                group.restore(&tick, surroundings);
            }
        })
        .await;
    }

    /// Ends the series of a group that is gone, unless the process ends before.
    async fn end(self) {
        let at = self.surroundings.clock.now();
        let patience = Duration::from_millis(self.group.interval_ms()).saturating_mul(INTERVALS_TO_END);
        let mut stop = self.tasks.stop();
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(patience) => self.blocking(move |group, surroundings| group.end_all(at, surroundings)).await,
        }
    }

    /// Does what blocks off the asynchronous threads, when it is its turn.
    async fn blocking(&self, work: impl FnOnce(&Group, &Surroundings) + Send + 'static) {
        // The semaphore is never closed.
        let permit = self.slots.clone().acquire_owned().await.ok();
        let (group, surroundings) = (self.group.clone(), self.surroundings.clone());
        let task = spawn_blocking(move || {
            let _permit = permit;
            work(&group, &surroundings);
        });
        if let Err(error) = task.await {
            self.group.figures.evaluated(true);
            tracing::error!(group = self.group.name, %error, "an evaluation of rules ended in a panic");
        }
    }
}

/// The next order that is not to run on. A manager that is gone hands over to nobody.
async fn ordered(orders: &mut watch::Receiver<Order>) -> Order {
    loop {
        let order = *orders.borrow_and_update();
        if order != Order::Run {
            return order;
        }
        if orders.changed().await.is_err() {
            return Order::HandOver;
        }
    }
}
