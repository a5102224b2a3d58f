//! What waits for one Alertmanager, and the task that tells it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify as Bell;
use watchfire_net::client::{CallError, Caller, ClientError, Request};
use watchfire_net::inflate::Limits;

use super::{Losses, Lost, Target, wire};
use crate::rules::OutgoingAlert;

/// At most so many alerts are sent at once.
pub(super) const BATCH_MAX: usize = 256;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What sending needs.
pub(super) struct Post {
    pub(super) caller: Arc<Caller>,
    pub(super) losses: Losses,
}

/// The queue of one Alertmanager.
pub(super) struct Queue {
    target: Mutex<Target>,
    waiting: Mutex<VecDeque<OutgoingAlert>>,
    max: usize,
    bell: Bell,
    closed: AtomicBool,
    failing: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Queue {
    pub(super) fn new(target: Target, max: usize) -> Queue {
        Queue {
            target: Mutex::new(target),
            waiting: Mutex::default(),
            max,
            bell: Bell::new(),
            closed: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
    fn target(&self) -> Target {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn waiting(&self) -> MutexGuard<'_, VecDeque<OutgoingAlert>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn url(&self) -> String {
        self.target().url
    }
    /// Whether an address stands for us.
    pub(super) fn is_replaced(&self) -> bool {
        self.target().replaced
    }
    /// Whether the last request was not taken.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }
    /// Goes on with other options.
    pub(super) fn change(&self, target: Target) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }
    /// Ends its task; gives the number of alerts that waited.
    pub(super) fn close(&self) -> usize {
        self.closed.store(true, Ordering::SeqCst);
        self.bell.notify_one();
        std::mem::take(&mut *self.waiting()).len()
    }

    /// Adds alerts; when there is no room the oldest go. Gives the number of those that relabelling took out.
    pub(super) fn push(&self, alerts: &[OutgoingAlert], losses: &Losses) -> usize {
        let relabel = self.target().relabel;
        let mut waiting = self.waiting();
        let mut taken_out = 0;
        for alert in alerts {
            match relabel(&alert.labels) {
                Some(labels) => waiting.push_back(OutgoingAlert { labels, ..alert.clone() }),
                None => taken_out += 1,
            }
            if waiting.len() > self.max {
                waiting.pop_front();
                losses.add(Lost::QueueFull, 1);
            }
        }
        drop(waiting);
        self.bell.notify_one();
        taken_out
    }

    pub(super) fn next(&self) -> Vec<OutgoingAlert> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }

    /// Sends what waits until the queue is closed.
    pub(super) async fn run(self: Arc<Self>, post: Post) {
        while !self.closed.load(Ordering::SeqCst) {
            let batch = self.next();
            if batch.is_empty() {
                self.bell.notified().await;
                continue;
            }
            let count = batch.len();
            match self.send(&post.caller, &batch).await {
                Ok(()) => {
                    self.sent.fetch_add(count as u64, Ordering::Relaxed);
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!(alertmanager = self.url(), "the Alertmanager takes alerts again");
                    }
                }
                Err(Refusal::Inside) => post.losses.add(Lost::Inside, count),
                Err(Refusal::Failed(error)) => {
                    self.failed.fetch_add(count as u64, Ordering::Relaxed);
                    post.losses.add(Lost::Failed, count);
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(alertmanager = self.url(), count, error, "cannot tell an Alertmanager; rules tell again");
                    }
                }
            }
        }
    }

    async fn send(&self, caller: &Caller, batch: &[OutgoingAlert]) -> Result<(), Refusal> {
        let target = self.target();
        let mut request = Request::get(target.url, target.timeout).header("Content-Type", "application/json");
        request.method = http::Method::POST;
        request.body = wire::body(batch).map_err(Refusal::Failed)?.into();
        request.limits = Limits::both(ANSWER_BYTES_MAX);
        match caller.send(&target.options, request).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(Refusal::Failed(format!("bad response status {}", answer.status))),
            Err(CallError::Client(ClientError::Connect { .. })) if target.replaced => Err(Refusal::Inside),
            Err(error) => Err(Refusal::Failed(error.to_string())),
        }
    }
}

/// Why alerts were not taken.
enum Refusal {
    /// Nobody is there, and we are meant.
    Inside,
    /// The reason in words.
    Failed(String),
}
