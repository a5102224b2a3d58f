//! A job in a worker's hands: its payload, and the three ways to let go of it. One that is dropped unsettled is given back.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::http::Patience;
use super::worker::Shared;
use super::{QueueError, Report};

/// What becomes of a job that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again after a while.
    Retry {
        /// After how long.
        after: Duration,
    },
    /// It is a dead letter.
    Dead {
        /// Where it lies.
        place: String,
    },
    /// The first report was not answered and a second one found nothing to settle: it was one of the two.
    Unknown,
}

/// A job. It stays the worker's, by heartbeats, until it is settled or dropped.
pub struct Job {
    shared: Arc<Shared>,
    lease: String,
    id: String,
    attempt: u32,
    max_attempts: u32,
    payload: Vec<u8>,
    settled: bool,
}

impl Job {
    /// Reads a job as the server tells it.
    pub(super) fn read(shared: &Arc<Shared>, told: &Value) -> Option<Job> {
        let payload = match (told["payload"].as_str(), told["payload_base64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(coded)) => BASE64.decode(coded).ok()?,
            (None, None) => return None,
        };
        let number = |key: &str| told[key].as_u64().and_then(|n| u32::try_from(n).ok());
        Some(Job {
            shared: shared.clone(),
            lease: told["lease"].as_str()?.to_owned(),
            id: told["id"].as_str()?.to_owned(),
            attempt: number("attempt")?,
            max_attempts: number("max_attempts")?,
            payload,
            settled: false,
        })
    }
    pub(super) fn lease(&self) -> &str {
        &self.lease
    }
    /// The job's id.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// What the producer sent.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
    /// Which attempt this is, from one.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
    /// Whether a failure now is the last one.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
    /// Whether the lease has ended although it was prolonged: somebody else may have the job.
    pub fn is_lost(&self) -> bool {
        !self.shared.holds(&self.lease)
    }

    /// The work is done: the job is gone.
    pub fn done(mut self) -> Result<(), QueueError> {
        self.settled = true;
        let settled = self.settle("ack", &[]).map(drop);
        self.shared.count(|c| if settled.is_ok() { &mut c.done } else { &mut c.unsettled });
        settled
    }
    /// The attempt failed.
    pub fn fail(mut self, report: &Report) -> Result<Fate, QueueError> {
        self.settled = true;
        let told = match self.settle("fail", &report.body()) {
            Ok(told) => told,
            Err(error) => {
                self.shared.count(|c| &mut c.unsettled);
                return Err(error);
            }
        };
        let fate = match (told["outcome"].as_str(), told["dlq_name"].as_str()) {
            (Some("retry"), _) => Fate::Retry { after: Duration::from_millis(told["delay_ms"].as_u64().unwrap_or(0)) },
            (Some("dead"), Some(place)) => Fate::Dead { place: place.to_owned() },
            _ => Fate::Unknown,
        };
        self.shared.count(|c| match fate {
            Fate::Retry { .. } => &mut c.retried,
            Fate::Dead { .. } => &mut c.dead,
            Fate::Unknown => &mut c.unknown,
        });
        Ok(fate)
    }
    /// Gives the job back untouched: it is the next one.
    pub fn release(mut self) -> Result<(), QueueError> {
        self.settled = true;
        let settled = self.settle("release", &[]).map(drop);
        self.shared.count(|c| if settled.is_ok() { &mut c.released } else { &mut c.unsettled });
        settled
    }

    /// Settling twice does nothing, so that it may be repeated for as long as the lease lasts, whatever became of the first request.
    fn settle(&self, what: &str, body: &[u8]) -> Result<Value, QueueError> {
        let path = format!("leases/{}/{what}", self.lease);
        let mut patience = Patience::new(self.shared.settings.lease.min(self.shared.settings.patience));
        let mut doubt = false;
        let settled = loop {
            let error = match self.shared.http.post(&path, "application/json", body) {
                // The lease was ours a moment ago, by a request whose answer got lost.
                Err(QueueError::LeaseEnded) if doubt => break Ok(Value::Null),
                Err(error @ (QueueError::Away(_) | QueueError::Unanswered(_))) => error,
                settled => break settled,
            };
            doubt |= matches!(error, QueueError::Unanswered(_));
            self.shared.count(|c| &mut c.repeated);
            match patience.next() {
                // A worker that stops still settles what it has: this pause is not cut short.
                Some(wait) => self.shared.settle_pause.wait(wait),
                None => break Err(error),
            };
        };
        self.shared.let_go(&self.lease);
        settled
    }
}
impl Drop for Job {
    fn drop(&mut self) {
        if !self.settled {
            let released = self.shared.http.post(&format!("leases/{}/release", self.lease), "application/json", &[]);
            self.shared.let_go(&self.lease);
            self.shared.count(|c| if released.is_ok() { &mut c.released } else { &mut c.unsettled });
        }
    }
}
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
