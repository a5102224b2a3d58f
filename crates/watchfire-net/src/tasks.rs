//! The supervised task set: everything that runs in the background is spawned here, by name. A panic ends its own task
//! only, and is logged and counted. Not a scheduler: a task decides itself when it works.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use watchfire_model::meter::Meter;

/// A set of background tasks. Cheap to clone; all clones are one set.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);
struct Inner {
    meter: Meter,
    stop: watch::Sender<bool>,
    running: watch::Sender<usize>,
    states: Mutex<BTreeMap<String, State>>,
}
struct State {
    running: usize,
    message: Option<String>,
}

/// How a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Why it does not, when there is something to say.
    pub message: Option<String>,
}

/// Tells a task that it should end.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);
impl Stop {
    /// Ends when the process is asked to stop.
    pub async fn requested(&mut self) {
        // An error means that the set itself is gone, which is a stop as well.
        if self.0.wait_for(|stop| *stop).await.is_err() {}
    }
    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

impl Tasks {
    /// An empty set.
    pub fn new(meter: &Meter) -> Tasks {
        let inner = Inner { meter: meter.clone(), stop: watch::Sender::new(false), running: watch::Sender::new(0), states: Mutex::default() };
        Tasks(Arc::new(inner))
    }

    /// Runs a future until it ends or a stop is requested (then it is dropped). Must be called within a tokio runtime.
    pub fn spawn(&self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop();
        self.spawn_until_done(name, async move {
            tokio::select! {
                () = work => {}
                () = stop.requested() => {}
            }
        });
    }

    /// Runs a future that watches [`Tasks::stop`] itself and ends in good order.
    pub fn spawn_until_done(&self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        self.change(&name, 1, None);
        self.0.running.send_modify(|n| *n += 1);
        let set = self.clone();
        // Boxed, so that what carries tasks is compiled once and not for each of them.
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        tokio::spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let message = outcome.err().map(|panic| set.tell_panic(&name, &*panic));
            set.change(&name, -1, message);
            set.0.running.send_modify(|n| *n -= 1);
        });
    }

    fn tell_panic(&self, name: &str, panic: &(dyn std::any::Any + Send)) -> String {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        self.0.meter.counter("watchfire_task_panics_total", "Background tasks that ended in a panic.", &[("task", name)]).inc();
        tracing::error!(task = name, panic = text, "a background task panicked");
        format!("panicked: {text}")
    }

    fn change(&self, name: &str, by: isize, message: Option<String>) {
        let mut states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(name.to_owned()).or_insert(State { running: 0, message: None });
        state.running = state.running.saturating_add_signed(by);
        state.message = message;
    }

    /// What a task waits on to end in good order.
    pub fn stop(&self) -> Stop {
        Stop(self.0.stop.subscribe())
    }

    /// Asks everybody to end and waits, at most so long. Gives the names of those that did not.
    pub async fn shut_down(&self, patience: Duration) -> Vec<String> {
        self.0.stop.send_replace(true);
        let mut running = self.0.running.subscribe();
        let ended = tokio::time::timeout(patience, running.wait_for(|n| *n == 0)).await.is_ok();
        if ended { Vec::new() } else { self.statuses().into_iter().filter(|s| s.running).map(|s| s.name).collect() }
    }

    /// How every task is doing, ascending by name.
    pub fn statuses(&self) -> Vec<TaskStatus> {
        let states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().map(|(name, s)| TaskStatus { name: name.clone(), running: s.running > 0, message: s.message.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let meter = Meter::new();
        let tasks = Tasks::new(&meter);
        tasks.spawn("bad", async { panic!("on purpose") });
        tasks.spawn("good", std::future::pending());
        while tasks.statuses().iter().any(|s| s.name == "bad" && s.running) {
            tokio::task::yield_now().await;
        }
        let statuses = tasks.statuses();
        assert_eq!(statuses[0].message.as_deref(), Some("panicked: on purpose"));
        assert!(statuses[1].running);
        assert_eq!(meter.gather()[0].points[0].1, 1.0);
        assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn who_does_not_end_is_named() {
        let tasks = Tasks::new(&Meter::new());
        tasks.spawn_until_done("stubborn", std::future::pending());
        assert_eq!(tasks.shut_down(Duration::from_millis(20)).await, ["stubborn"]);
    }
}
