//! The way of a job: pushed, leased, done; or failed, tried again, dead. Given at least once: whoever takes a job must be able to bear it twice.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;
use watchfire_model::time::Timestamp;

use super::backend::{LeaseId, Leased, PAYLOAD_BYTES_MAX, QueueError, Settle};
use super::failure::{DELAYS_MAX, Failure, History, Report};
use super::name::{DeadQueue, QueueName};
use super::retry::Judged;
use super::{ANALYSIS, DETECTION, LEASE_MAX, Queues};

/// Jobs that one lease gives at most.
pub(super) const LEASE_JOBS_MAX: usize = 100;
/// How long a worker may wait for a job.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a waiting worker looks again, because others push without our knowledge.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A job that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Its id, where the backend gives one.
    pub id: Option<String>,
    /// Jobs that wait now.
    pub depth: u64,
    /// The filled share of the queue.
    pub fill: f64,
    /// Whether the producer should slow down.
    pub backpressure: bool,
}

/// A job for a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The job and its lease.
    pub leased: Leased,
    /// Which attempt this is, from one.
    pub attempt: u32,
    /// When the job goes to somebody else.
    pub until: Timestamp,
}

/// What becomes of a job that failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is tried again.
    Retry {
        /// Attempts so far.
        failed: u32,
        /// The wait.
        delay: Duration,
        /// When.
        due: Timestamp,
    },
    /// It is dead.
    Dead {
        /// Attempts so far.
        failed: u32,
        /// Where it lies.
        queue: DeadQueue,
    },
}

impl Queues {
    /// Puts a job at the end of a queue; it is durable when this returns.
    pub async fn push(&self, queue: &QueueName, payload: Bytes) -> Result<Accepted, QueueError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(QueueError::TooLarge(payload.len()));
        }
        let room = self.settings.room;
        let pushed = self.backend.push(queue, payload, room, self.clock.now()).await?;
        self.figures.pushed(queue, &pushed, room.overflow);
        self.pushed.notify_waiters();
        let depths = self.depths(queue).await;
        if pushed.rejected {
            return Err(QueueError::Full(queue.clone()));
        }
        let depth = depths.map(|d| d.depth()).unwrap_or_default();
        let fill = depth as f64 / room.jobs.max(1) as f64;
        Ok(Accepted { id: pushed.id, depth, fill, backpressure: fill >= self.settings.backpressure })
    }

    /// Gives jobs to a worker, at once or as soon as there are any.
    pub async fn lease(&self, queue: &QueueName, worker: &str, count: usize, lease: Option<Duration>, wait: Duration) -> Result<Vec<Work>, QueueError> {
        let count = count.clamp(1, LEASE_JOBS_MAX);
        let lease = lease.unwrap_or(self.settings.lease).clamp(Duration::from_secs(1), LEASE_MAX);
        let ends = self.clock.monotonic() + wait.min(WAIT_MAX);
        self.roll.seen(worker);
        loop {
            let woken = self.pushed.notified();
            let now = self.clock.now();
            let jobs = self.backend.lease(queue, count, lease, now).await?;
            let left = ends.saturating_sub(self.clock.monotonic());
            if !jobs.is_empty() || left.is_zero() {
                return Ok(self.hand_out(queue, worker, jobs, now.plus_ms(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))).await);
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
            }
        }
    }
    async fn hand_out(&self, queue: &QueueName, worker: &str, jobs: Vec<Leased>, until: Timestamp) -> Vec<Work> {
        if !jobs.is_empty() {
            self.figures.event(queue, "leased", jobs.len() as u64);
            self.changed(queue).await;
        }
        for job in &jobs {
            self.roll.took(worker, &job.lease, until);
        }
        jobs.into_iter().map(|leased| Work { attempt: leased.history.failed + 1, leased, until }).collect()
    }

    /// The work is done.
    pub async fn ack(&self, queue: &QueueName, lease: &LeaseId) -> Result<(), QueueError> {
        self.settle(queue, lease, Settle::Done, "acked").await.map(drop)
    }
    /// The job is given back as if it had never been taken.
    pub async fn release(&self, queue: &QueueName, lease: &LeaseId) -> Result<(), QueueError> {
        self.settle(queue, lease, Settle::Return, "returned").await?;
        self.pushed.notify_waiters();
        Ok(())
    }
    /// The work takes longer. Gives the new end.
    pub async fn extend(&self, queue: &QueueName, lease: &LeaseId, by: Option<Duration>) -> Result<Timestamp, QueueError> {
        let by = by.unwrap_or(self.settings.lease).clamp(Duration::from_secs(1), LEASE_MAX);
        let now = self.clock.now();
        let until = now.plus_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        match self.backend.settle(queue, lease, Settle::Extend { until }, now).await? {
            Some(_) => self.roll.extended(lease, until),
            None => return Err(QueueError::UnknownLease),
        }
        Ok(until)
    }
    async fn settle(&self, queue: &QueueName, lease: &LeaseId, how: Settle, event: &str) -> Result<u64, QueueError> {
        let settled = self.backend.settle(queue, lease, how, self.clock.now()).await?;
        self.roll.ended(lease);
        let dropped = settled.ok_or(QueueError::UnknownLease)?;
        self.figures.event(queue, event, 1);
        self.changed(queue).await;
        Ok(dropped)
    }

    /// The attempt failed: the job is tried again or dead, as the policy says.
    pub async fn fail(&self, queue: &QueueName, lease: &LeaseId, report: &Report) -> Result<Outcome, QueueError> {
        let job = self.backend.leased(queue, lease).await?.ok_or(QueueError::UnknownLease)?;
        self.judge(queue, job, report, None).await
    }
    /// The worker of a job did not answer within its lease.
    pub(super) async fn lose(&self, queue: &QueueName, job: Leased) -> Result<Outcome, QueueError> {
        let report =
            Report { error: "the worker did not answer within its lease".to_owned(), error_type: Some("lease_expired".to_owned()), ..Report::default() };
        // The lease was the wait already.
        self.judge(queue, job, &report, Some(Duration::ZERO)).await
    }

    async fn judge(&self, queue: &QueueName, job: Leased, report: &Report, wait: Option<Duration>) -> Result<Outcome, QueueError> {
        let now = self.clock.now();
        let Leased { lease, mut history, .. } = job;
        history.failed = history.failed.saturating_add(1);
        history.first_failed_ms.get_or_insert(now.millis());
        let judged = Judged { failed: history.failed, error_type: report.error_type.as_deref(), http_status: report.http_status, retry: report.retry };
        let failed = history.failed;
        let Some(delay) = self.settings.retry.wait(judged, self.chance()).map(|delay| wait.unwrap_or(delay)) else {
            return self.bury(queue, &lease, report, history, now).await;
        };
        if history.delays.len() < DELAYS_MAX {
            history.delays.push(delay.as_millis() as f64 / 1000.0);
        }
        let due = now.plus_ms(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        self.settle(queue, &lease, Settle::Retry { due, history }, "retried").await?;
        Ok(Outcome::Retry { failed, delay, due })
    }

    async fn bury(&self, queue: &QueueName, lease: &LeaseId, report: &Report, history: History, now: Timestamp) -> Result<Outcome, QueueError> {
        let mut context = Map::new();
        for name in [DETECTION, ANALYSIS] {
            if let Some(depths) = self.last_depths(name) {
                context.insert(format!("{name}_depth"), depths.depth().into());
            }
        }
        if history.failed_before > 0 {
            context.insert("earlier_attempts".to_owned(), history.failed_before.into());
        }
        let failed = history.failed;
        let failure = Box::new(Failure::new(queue, report, &history, context, now));
        let dead = DeadQueue::Failed(queue.clone());
        let dropped = self.settle(queue, lease, Settle::Bury { failure, history, room: self.settings.room }, "died").await?;
        self.figures.dead_dropped(&dead, dropped);
        Ok(Outcome::Dead { failed, queue: dead })
    }
}
