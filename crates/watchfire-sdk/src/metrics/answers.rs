//! What an assistant of the pack `pisovereign` tells of its HTTP requests and of its model: counts by outcome, requests under way, times as
//! a histogram with their mean beside it, and whether inference works. It sees no request itself; a server tells it when one begins and ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{MetricsService, pisovereign};

/// Requests of one server.
pub struct Answers {
    metrics: Arc<MetricsService>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    active: u64,
    ended: u64,
    milliseconds: f64,
}

impl Answers {
    /// Nothing is under way yet.
    pub fn new(metrics: Arc<MetricsService>) -> Arc<Answers> {
        metrics.set(&pisovereign::HTTP_REQUESTS_ACTIVE, [], 0.0);
        Arc::new(Answers { metrics, told: Mutex::default() })
    }
    /// A request begins.
    #[expect(clippy::disallowed_methods, reason = "there is no clock to turn in other people's programs")]
    pub fn begin(self: &Arc<Answers>) -> Underway {
        self.active(|active| active + 1);
        Underway { answers: Arc::clone(self), began: Instant::now() }
    }
    /// Whether the model's engine works.
    pub fn inference_healthy(&self, healthy: bool) {
        self.metrics.set(&pisovereign::INFERENCE_HEALTHY, [], f64::from(u8::from(healthy)));
    }

    /// The gauge is set under the lock, so that the last value told is the last that was true.
    fn active(&self, change: impl FnOnce(u64) -> u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.active = change(told.active);
        self.metrics.set(&pisovereign::HTTP_REQUESTS_ACTIVE, [], told.active as f64);
    }
    fn ended(&self, status: u16, milliseconds: f64) {
        let metrics = &self.metrics;
        metrics.increment(&pisovereign::HTTP_REQUESTS_TOTAL, [&status.to_string()]);
        match status / 100 {
            2 => metrics.increment(&pisovereign::HTTP_REQUESTS_SUCCESS_TOTAL, []),
            4 => metrics.increment(&pisovereign::HTTP_REQUESTS_CLIENT_ERROR_TOTAL, []),
            5 => metrics.increment(&pisovereign::HTTP_REQUESTS_SERVER_ERROR_TOTAL, []),
            _ => {}
        }
        metrics.observe(&pisovereign::HTTP_RESPONSE_TIME_MS, [], milliseconds);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.ended += 1;
        told.milliseconds += milliseconds;
        metrics.set(&pisovereign::HTTP_RESPONSE_TIME_AVG_MS, [], told.milliseconds / told.ended as f64);
    }
}

/// A request that is under way. Dropped without an answer, it counts as no answer, and is not under way any more.
pub struct Underway {
    answers: Arc<Answers>,
    began: Instant,
}
impl Underway {
    /// The request is answered.
    pub fn end(self, status: u16) {
        self.answers.ended(status, self.began.elapsed().as_secs_f64() * 1_000.0);
    }
}
impl Drop for Underway {
    fn drop(&mut self) {
        self.answers.active(|active| active.saturating_sub(1));
    }
}
