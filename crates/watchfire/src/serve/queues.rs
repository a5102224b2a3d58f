//! The queues of this process: in our own store, or in the Redis that the watched pipeline uses; and who looks after them. What queues mean
//! is decided elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use watchfire_ingest::record::Recorder;
use watchfire_model::live::ServiceStatus;
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;
use watchfire_pipeline::queue::backend::Backend;
use watchfire_pipeline::queue::embedded::Embedded;
use watchfire_pipeline::queue::redis::Redis;
use watchfire_pipeline::queue::workers::{Restarts, Supervisor};
use watchfire_pipeline::queue::{self, Queues};

use crate::settings::Settings;

/// How often silent workers are looked for.
const ROUND: Duration = Duration::from_secs(1);
/// How often it is told for how long workers run.
const UPTIME_ROUNDS: u32 = 15;

/// The running queues.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) queues: Arc<Queues>,
    redis: Option<Arc<Redis>>,
    status: Arc<Mutex<Option<ServiceStatus>>>,
}

impl Running {
    /// How the Redis is, once that is known; nothing when there is none.
    pub(crate) fn redis_status(&self) -> Option<ServiceStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    async fn ask_redis(&self) {
        let Some(redis) = &self.redis else { return };
        let (status, message) = match redis.ping().await {
            Ok(()) => ("healthy", "Redis connected".to_owned()),
            Err(error) => ("unhealthy", error.to_string()),
        };
        let mut known = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|k| k.status != status) {
            match status {
                "healthy" => tracing::info!(redis = redis.shown(), "Redis is there"),
                _ => tracing::warn!(redis = redis.shown(), message, "Redis cannot be used; its queues wait"),
            }
        }
        *known = Some(ServiceStatus { name: "redis".to_owned(), status, message });
    }
    /// Looks after the queues for ever.
    async fn keep(&self, supervisor: &Supervisor) {
        let refresh = self.queues.settings().refresh;
        let every = u32::try_from(refresh.as_secs()).unwrap_or(u32::MAX).max(1);
        let mut round = 0u32;
        loop {
            let figures = round.is_multiple_of(every);
            if figures {
                self.ask_redis().await;
            }
            // Where nobody uses our own queues, there is nothing to look after.
            if figures || self.queues.is_in_use() {
                self.queues.keep(figures).await;
            }
            if round.is_multiple_of(UPTIME_ROUNDS) {
                supervisor.tell_uptimes();
            }
            // Nor is there a round then before figures or uptimes are due.
            let to_next = |rounds: u32| rounds - round % rounds;
            let rounds = if self.queues.is_in_use() { 1 } else { to_next(every).min(to_next(UPTIME_ROUNDS)) };
            tokio::time::sleep(ROUND * rounds).await;
            round = round.wrapping_add(rounds);
        }
    }
}

/// Opens the queues and looks after them until the tasks end. Blocks.
pub(super) fn start(
    settings: &Settings,
    state: Arc<dyn StateStore>,
    recorder: &Arc<Recorder>,
    clock: &SharedClock,
    meter: &Meter,
    tasks: &Tasks,
) -> Result<Running> {
    let mut own = settings.queues.queues.clone();
    own.undo_dir = settings.server.data_dir.join("undo");
    let embedded = Embedded::open(state.clone(), &own.names).context("cannot open the queues")?;
    let redis = settings.queues.redis.clone().map(|place| Arc::new(Redis::new(place, clock.clone())));
    for queue in embedded.in_use().iter().filter(|queue| redis.is_some() || !own.names.contains(queue)) {
        tracing::warn!(%queue, "the data directory holds jobs of a queue that is not used; they stay there");
    }
    let backend: Arc<dyn Backend> = match &redis {
        Some(redis) => redis.clone(),
        None => Arc::new(embedded),
    };
    let seed = clock.now().millis().unsigned_abs() ^ u64::from(std::process::id());
    let parts = queue::Parts { backend, state, clock: clock.clone(), observe: recorder.clone(), meter: meter.clone(), seed };
    let running = Running { queues: Arc::new(Queues::new(own, parts)), redis, status: Arc::default() };
    let supervisor = Arc::new(Supervisor::new(Restarts::default(), recorder.clone(), clock.clone()));
    let (keeper, stop) = (running.clone(), tasks.stop());
    tasks.spawn_until_done("queue_keeper", async move {
        let work = || async {
            keeper.keep(&supervisor).await;
            Ok(())
        };
        supervisor.run("queue_keeper", stop, work).await;
    });
    Ok(running)
}
