//! Who may paint: one at a time, a few wait, the rest is refused. Pixels take memory and a core; the queries behind them have their own gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_model::meter::{Counter, Meter};

use super::super::error::GrafanaError;

/// Pictures that wait; one more is refused.
const WAITING_MAX: usize = 8;

/// Admits pictures.
pub(crate) struct PictureGate {
    slot: Arc<Semaphore>,
    waiting: AtomicUsize,
    wait_max: Duration,
    pub(super) drawn: [Counter; 2],
    full: Counter,
    late: Counter,
    pub(super) unfinished: Counter,
}

struct Waiting<'a>(&'a AtomicUsize);
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PictureGate {
    /// A gate at which nobody waits longer than this.
    pub(crate) fn new(wait_max: Duration, meter: &Meter) -> PictureGate {
        let drawn = |format| meter.counter("watchfire_pictures_total", "Pictures of panels and dashboards that were drawn.", &[("format", format)]);
        let refused = |reason| meter.counter("watchfire_pictures_refused_total", "Pictures that were not drawn, by reason.", &[("reason", reason)]);
        PictureGate {
            slot: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            wait_max,
            drawn: ["svg", "png"].map(drawn),
            full: refused("queue_full"),
            late: refused("queue_timeout"),
            unfinished: refused("timeout"),
        }
    }
    pub(super) async fn admit(&self) -> Result<OwnedSemaphorePermit, GrafanaError> {
        let refused = |counter: &Counter, message: String| {
            counter.inc();
            GrafanaError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        if let Ok(slot) = self.slot.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING_MAX {
            return Err(refused(&self.full, format!("too many pictures at once: {WAITING_MAX} are waiting")));
        }
        match tokio::time::timeout(self.wait_max, self.slot.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(refused(&self.late, "other pictures took too long".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_paints_and_few_wait() {
        let gate = Arc::new(PictureGate::new(Duration::from_secs(3_600), &Meter::new()));
        let first = gate.admit().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { gate.admit().await.map(drop) })
            })
            .collect();
        while gate.waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        let refused = gate.admit().await.err().map(|e| e.status);
        assert_eq!((refused, gate.full.get()), (Some(StatusCode::SERVICE_UNAVAILABLE), 1));
        drop(first);
        for task in waiting {
            assert!(task.await.unwrap().is_ok());
        }
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
        let slow = PictureGate::new(Duration::ZERO, &Meter::new());
        let _held = slow.admit().await.unwrap();
        assert!(slow.admit().await.is_err() && slow.late.get() == 1);
    }
}
