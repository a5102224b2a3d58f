//! Workers of this process on one queue: each leases a job, keeps the lease while it works, and says how it went. A worker that panics fails
//! its job first and is started again by the supervisor.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use watchfire_net::tasks::Tasks;

use super::supervisor::{Supervisor, said};
use crate::queue::Queues;
use crate::queue::backend::QueueError;
use crate::queue::failure::Report;
use crate::queue::jobs::{WAIT_MAX, Work};
use crate::queue::name::QueueName;

/// Works on jobs. It may get a job twice and must be able to bear that.
pub trait Handler: Send + Sync {
    /// Works on one job.
    fn work<'a>(&'a self, job: &'a Work) -> Pin<Box<dyn Future<Output = Result<(), Report>> + Send + 'a>>;
}

/// Some workers on one queue.
pub struct Pool {
    /// The queues.
    pub queues: Arc<Queues>,
    /// Who starts workers again.
    pub supervisor: Arc<Supervisor>,
    /// Where they live.
    pub tasks: Tasks,
}

impl Pool {
    /// Starts so many workers.
    pub fn start(&self, queue: &QueueName, workers: usize, handler: &Arc<dyn Handler>) {
        for number in 1..=workers {
            let name = format!("{queue}_worker_{number}");
            let one = Worker { name: name.clone(), queue: queue.clone(), queues: self.queues.clone(), handler: handler.clone() };
            let (supervisor, stop) = (self.supervisor.clone(), self.tasks.stop());
            self.tasks.spawn_until_done(name.clone(), async move {
                supervisor.run(&name, stop, || one.work()).await;
            });
        }
    }
}

struct Worker {
    name: String,
    queue: QueueName,
    queues: Arc<Queues>,
    handler: Arc<dyn Handler>,
}

impl Worker {
    /// Works for ever. An error of the queues ends it; the supervisor waits and starts it again.
    async fn work(&self) -> Result<(), String> {
        loop {
            let jobs = self.queues.lease(&self.queue, &self.name, 1, None, WAIT_MAX).await.map_err(|e| e.to_string())?;
            for job in jobs {
                self.one(&job).await?;
            }
        }
    }
    async fn one(&self, job: &Work) -> Result<(), String> {
        let (queues, lease) = (&self.queues, &job.leased.lease);
        let handled = AssertUnwindSafe(self.handler.work(job)).catch_unwind();
        let outcome = tokio::select! {
            outcome = handled => outcome,
            () = self.keep(job) => return Ok(()),
        };
        let settled = match &outcome {
            Ok(Ok(())) => queues.ack(&self.queue, lease).await,
            Ok(Err(report)) => queues.fail(&self.queue, lease, report).await.map(drop),
            Err(panic) => {
                let report = Report { error: format!("the worker panicked: {}", said(&**panic)), error_type: Some("panic".to_owned()), ..Report::default() };
                queues.fail(&self.queue, lease, &report).await.map(drop)
            }
        };
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        match settled {
            // Somebody else has the job by now.
            Err(QueueError::UnknownLease) | Ok(()) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
    /// Keeps a lease; ends when it is lost, because then somebody else has the job.
    async fn keep(&self, job: &Work) {
        let half = self.queues.settings().lease.max(Duration::from_secs(2)) / 2;
        loop {
            tokio::time::sleep(half).await;
            if let Err(QueueError::UnknownLease) = self.queues.extend(&self.queue, &job.leased.lease, None).await {
                return;
            }
        }
    }
}
