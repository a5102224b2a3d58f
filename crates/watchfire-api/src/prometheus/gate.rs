//! The query gate: how many queries run and wait, and what happens when the asker goes away. It bounds work; the
//! budget of each query bounds the work's size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::read::Budget;

use super::answer::{ApiError, ErrorKind};
use crate::app::{App, QueryLimits};
use watchfire_net::blocking::spawn_blocking;

/// Admits queries: some run, some wait, the rest is refused.
pub struct QueryGate {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    timeout: Duration,
    running: Gauge,
    admitted: Counter,
    refused: Counter,
    late: Counter,
}

/// Counts a waiting query for as long as it waits, also when its asker goes away meanwhile.
struct Waiting<'a>(&'a AtomicUsize);
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to run one query.
pub(crate) struct Permit {
    _slot: OwnedSemaphorePermit,
    running: Gauge,
}
impl Drop for Permit {
    fn drop(&mut self) {
        self.running.add(-1.0);
    }
}

/// Cancels a query when the handler that waits for it is dropped, which is what happens when the asker disconnects.
struct CancelOnDrop(Budget);
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl QueryGate {
    /// A gate with these limits.
    pub fn new(limits: &QueryLimits, meter: &Meter) -> QueryGate {
        let refused = |reason| meter.counter("watchfire_queries_refused_total", "Queries that were not run, by reason.", &[("reason", reason)]);
        QueryGate {
            slots: Arc::new(Semaphore::new(limits.parallel)),
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            timeout: limits.timeout,
            running: meter.gauge("watchfire_queries_running", "Queries that run now.", &[]),
            admitted: meter.counter("watchfire_queries_total", "Queries that were run.", &[]),
            refused: refused("queue_full"),
            late: refused("queue_timeout"),
        }
    }

    /// Queries that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a query that was answered where it came in.
    pub(super) fn ran_at_once(&self) {
        self.admitted.inc();
    }

    async fn admit(&self) -> Result<Permit, ApiError> {
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => self.wait().await?,
        };
        self.admitted.inc();
        self.running.add(1.0);
        Ok(Permit { _slot: slot, running: self.running.clone() })
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.queue {
            self.refused.inc();
            return Err(ApiError::new(ErrorKind::Overloaded, format!("too many queries at once: {} are waiting", self.queue)));
        }
        match tokio::time::timeout(self.timeout, self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(ApiError::new(ErrorKind::Internal, "the query gate is closed")),
            Err(_) => {
                self.late.inc();
                Err(ApiError::new(ErrorKind::Timeout, "query timed out in query queue"))
            }
        }
    }
}

/// Runs work that reads the store: through the gate, off the asynchronous threads, within a budget, and cancelled when
/// the returned future is dropped.
pub(crate) async fn run<T, E, F>(app: &Arc<App>, timeout: Option<Duration>, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<ApiError> + Send + 'static,
    F: FnOnce(&App, &Budget) -> Result<T, E> + Send + 'static,
{
    let budget = app.budget(timeout);
    let _cancel = CancelOnDrop(budget.clone());
    let permit = app.queries.admit().await?;
    let app = app.clone();
    let task = spawn_blocking(move || {
        let _permit = permit;
        work(&app, &budget)
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a query ended in a panic");
        Err(ApiError::new(ErrorKind::Internal, "the query failed inside; the server's log says more").into())
    })
}
