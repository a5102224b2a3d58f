//! What is done for queues now and then: jobs of workers that fell silent are given to others, and figures of a shared backend are asked for.
//! Dead letters are never looked into here; they are read when somebody asks.

use super::Queues;
use super::backend::QueueError;
use super::name::QueueName;

/// Jobs of silent workers that are given back in one round of one queue.
const EXPIRED_MAX: usize = 100;

impl Queues {
    /// One round. Gives how many jobs were taken from silent workers; errors are told to the log and end the round of their queue only.
    pub async fn keep(&self, figures: bool) -> u64 {
        let mut lost = 0;
        let rests = self.rests();
        for queue in self.settings.names.iter().filter(|_| !rests) {
            match self.keep_one(queue, figures).await {
                Ok(count) => lost += count,
                Err(error) => tracing::debug!(%error, %queue, "a queue could not be looked after"),
            }
        }
        self.roll.forget_silent();
        lost
    }
    async fn keep_one(&self, queue: &QueueName, figures: bool) -> Result<u64, QueueError> {
        let expired = self.backend.expired(queue, self.clock.now(), EXPIRED_MAX).await?;
        let mut lost = 0;
        for job in expired {
            let lease = job.lease.clone();
            self.roll.lost(&lease);
            match self.lose(queue, job).await {
                Ok(outcome) => {
                    tracing::warn!(%queue, job = lease.job, ?outcome, "a worker fell silent; its job goes on");
                    self.figures.event(queue, "expired", 1);
                    lost += 1;
                }
                // Its worker answered at the last moment.
                Err(QueueError::UnknownLease) => {}
                Err(error) => return Err(error),
            }
        }
        if lost > 0 {
            self.pushed.notify_waiters();
        }
        if figures {
            self.depths(queue).await?;
        }
        Ok(lost)
    }
}
