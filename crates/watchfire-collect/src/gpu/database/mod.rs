//! The optional PostgreSQL table `gpu_stats`: one row per poll, and history that is older than memory. One connection, a bounded
//! queue in front of it, and no poll ever waits for it. Rows of a mock GPU are not written: they say nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Client;
use tracing::Instrument;
use watchfire_model::live::{GpuOrigin, GpuSample, ServiceStatus};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::time::Timestamp;
use watchfire_net::backoff::Backoff;
use watchfire_net::postgres::connect;

pub use watchfire_net::postgres::Address;
use watchfire_net::trace;

use super::GpuError;

/// Rows that wait while the database is away; at one poll in five seconds these are a good hour. The oldest are dropped first.
pub const QUEUE_ROWS_MAX: usize = 1000;
/// The most rows that one history answer takes from the database.
pub const HISTORY_ROWS_MAX: usize = 100_000;
/// One statement may take this long.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// One connection attempt may take this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The session speaks UTC, so that a column without a time zone gets UTC too.
const PREPARE: &str = "\
SET TIME ZONE 'UTC';
CREATE TABLE IF NOT EXISTS gpu_stats (
    id BIGSERIAL PRIMARY KEY,
    recorded_at TIMESTAMPTZ NOT NULL,
    gpu_utilization DOUBLE PRECISION,
    memory_used BIGINT,
    memory_total BIGINT,
    temperature DOUBLE PRECISION,
    power_usage DOUBLE PRECISION,
    inference_fps DOUBLE PRECISION
);
CREATE INDEX IF NOT EXISTS idx_gpu_stats_recorded_at ON gpu_stats (recorded_at);";
/// The casts make our types fit whatever number types an existing table has.
const INSERT: &str = "\
INSERT INTO gpu_stats (recorded_at, gpu_utilization, memory_used, memory_total, temperature, power_usage, inference_fps)
VALUES (to_timestamp($1::float8 / 1000.0), $2::float8, $3::int8, $4::int8, $5::float8, $6::float8, $7::float8)";
const SELECT: &str = "\
SELECT (extract(epoch FROM recorded_at) * 1000)::float8, gpu_utilization::float8, memory_used::int8, memory_total::int8,
       temperature::float8, power_usage::float8, inference_fps::float8
FROM gpu_stats WHERE recorded_at >= to_timestamp($1::float8 / 1000.0) AND recorded_at < to_timestamp($2::float8 / 1000.0)
ORDER BY recorded_at DESC LIMIT $3::int8";

struct State {
    queue: VecDeque<GpuSample>,
    client: Option<Arc<Client>>,
    /// Why there is no connection, or why the last row was refused; empty when all is well.
    problem: String,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    dropped_full: Counter,
    dropped_refused: Counter,
    written: Counter,
    waiting: Gauge,
}

/// The writer and reader of the table. Cheap to clone; `run` does the work.
#[derive(Clone)]
pub struct Database {
    address: Arc<Address>,
    shared: Arc<Shared>,
}

impl Database {
    /// A database that is not connected yet.
    pub fn new(address: Address, meter: &Meter) -> Database {
        let dropped = "Rows that did not get into the database, by reason.";
        let state = State { queue: VecDeque::new(), client: None, problem: "not connected yet".to_owned() };
        let shared = Shared {
            state: Mutex::new(state),
            wake: Notify::new(),
            dropped_full: meter.counter("watchfire_database_rows_dropped_total", dropped, &[("reason", "queue_full")]),
            dropped_refused: meter.counter("watchfire_database_rows_dropped_total", dropped, &[("reason", "refused")]),
            written: meter.counter("watchfire_database_rows_written_total", "Rows written to the database.", &[]),
            waiting: meter.gauge("watchfire_database_rows_waiting", "Rows that wait for the database.", &[]),
        };
        Database { address: Arc::new(address), shared: Arc::new(shared) }
    }

    /// How it is doing, as the service `database`.
    pub fn status(&self) -> ServiceStatus {
        let state = self.state();
        let (status, message) = match (&state.client, state.problem.is_empty()) {
            (Some(_), true) => ("healthy", format!("connected to {}", self.address)),
            (_, _) => ("unhealthy", format!("{}: {}", self.address, state.problem)),
        };
        ServiceStatus { name: "database".to_owned(), status, message }
    }

    /// Puts a sample in the queue; never blocks. The mock is passed over.
    pub(crate) fn enqueue(&self, sample: &GpuSample) {
        if sample.origin == GpuOrigin::Mock {
            return;
        }
        let mut state = self.state();
        if state.queue.len() >= QUEUE_ROWS_MAX {
            state.queue.pop_front();
            self.shared.dropped_full.inc();
        }
        state.queue.push_back(sample.clone());
        self.shared.waiting.set(state.queue.len() as f64);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Rows with `since <= recorded_at < until`, ascending; of more than `limit` the newest. The table has no name column, so the
    /// samples bear the name and origin of `like`.
    pub(crate) async fn history(&self, since: Timestamp, until: Timestamp, limit: usize, like: &GpuSample) -> Result<Vec<GpuSample>, GpuError> {
        let Some(client) = self.state().client.clone() else { return Ok(Vec::new()) };
        // Bounds that no calendar holds would be refused.
        let milliseconds = |t: Timestamp| t.millis().clamp(-60_000_000_000_000, 250_000_000_000_000) as f64;
        let limit = limit.min(HISTORY_ROWS_MAX) as i64;
        let span = trace::database("postgresql", "SELECT gpu_stats");
        let rows = limited("read", client.query(SELECT, &[&milliseconds(since), &milliseconds(until), &limit])).instrument(span.clone()).await;
        let rows = rows.inspect_err(|error| trace::failed(&span, error))?;
        let mut samples = Vec::with_capacity(rows.len());
        for row in rows.iter().rev() {
            let read = || -> Result<GpuSample, tokio_postgres::Error> {
                let whole = |i: usize| row.try_get::<_, Option<i64>>(i).map(|v| v.and_then(|v| u64::try_from(v).ok()));
                Ok(GpuSample {
                    name: like.name.clone(),
                    origin: like.origin,
                    utilization: row.try_get(1)?,
                    memory_used_mb: whole(2)?,
                    memory_total_mb: whole(3)?,
                    temperature: row.try_get(4)?,
                    power_usage: row.try_get(5)?,
                    inference_fps: row.try_get(6)?,
                    ..GpuSample::mock(Timestamp(row.try_get::<_, f64>(0)?.round() as i64))
                })
            };
            samples.push(read().map_err(|source| GpuError::Database { action: "read", source })?);
        }
        Ok(samples)
    }

    /// Connects, writes what is queued, and connects again when the connection ends. Ends only when the future is dropped.
    pub async fn run(self) {
        let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX, u64::from(std::process::id()));
        loop {
            let problem = self.connected().await;
            // A connection that worked is made again at once.
            if self.state().client.is_some() {
                backoff.reset();
            }
            self.lost(&chain(&problem));
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// Makes a connection and uses it; returns why it could not be made or has ended.
    async fn connected(&self) -> GpuError {
        match connect(&self.address, CONNECT_TIMEOUT).await {
            Ok((client, connection)) => self.with_connection(client, connection).await,
            Err(error) => GpuError::Connect(error.0),
        }
    }

    async fn with_connection(&self, client: Client, connection: impl Future<Output = Result<(), tokio_postgres::Error>>) -> GpuError {
        let client = Arc::new(client);
        tokio::select! {
            ended = connection => match ended {
                Ok(()) => GpuError::Connect("the server closed the connection".to_owned()),
                Err(error) => GpuError::Connect(chain(&error)),
            },
            served = self.serve(&client) => match served {
                Err(ended) => ended,
            },
        }
    }

    /// Writes rows until something goes wrong.
    async fn serve(&self, client: &Arc<Client>) -> Result<Infallible, GpuError> {
        limited("prepare", client.batch_execute(PREPARE)).await?;
        let insert = limited("prepare", client.prepare(INSERT)).await?;
        {
            let mut state = self.state();
            state.client = Some(client.clone());
            state.problem.clear();
        }
        tracing::info!(target: "watchfire::gpu", database = %self.address, "GPU history is written to the table gpu_stats");
        loop {
            let woken = self.shared.wake.notified();
            let Some(sample) = self.take() else {
                woken.await;
                continue;
            };
            if let Err(error) = self.insert(client, &insert, &sample).await {
                // A row that the database refuses would be refused again; anything else is the connection's fault.
                match &error {
                    GpuError::Database { source, .. } if source.as_db_error().is_some() && !client.is_closed() => self.refused(source),
                    _ => {
                        self.put_back(sample);
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn insert(&self, client: &Client, statement: &tokio_postgres::Statement, sample: &GpuSample) -> Result<(), GpuError> {
        let stage = tracing::info_span!("gpu.store", otel.kind = "internal");
        let span = stage.in_scope(|| trace::database("postgresql", "INSERT gpu_stats"));
        let written = self.insert_untold(client, statement, sample).instrument(span.clone()).instrument(stage).await;
        written.inspect_err(|error| trace::failed(&span, error))
    }

    async fn insert_untold(&self, client: &Client, statement: &tokio_postgres::Statement, sample: &GpuSample) -> Result<(), GpuError> {
        let at = sample.recorded_at.millis() as f64;
        let whole = |v: Option<u64>| v.and_then(|v| i64::try_from(v).ok());
        let (used, total) = (whole(sample.memory_used_mb), whole(sample.memory_total_mb));
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&at, &sample.utilization, &used, &total, &sample.temperature, &sample.power_usage, &sample.inference_fps];
        limited("write to", client.execute(statement, &values)).await?;
        self.shared.written.inc();
        self.state().problem.clear();
        Ok(())
    }

    fn take(&self) -> Option<GpuSample> {
        let mut state = self.state();
        let sample = state.queue.pop_front();
        self.shared.waiting.set(state.queue.len() as f64);
        sample
    }

    fn put_back(&self, sample: GpuSample) {
        let mut state = self.state();
        if state.queue.len() < QUEUE_ROWS_MAX {
            state.queue.push_front(sample);
        } else {
            self.shared.dropped_full.inc();
        }
    }

    fn refused(&self, error: &tokio_postgres::Error) {
        self.shared.dropped_refused.inc();
        let mut state = self.state();
        if state.problem.is_empty() {
            tracing::warn!(target: "watchfire::gpu", error = %chain(error), "the database refuses GPU rows");
        }
        state.problem = format!("it refuses rows: {}", chain(error));
    }

    fn lost(&self, problem: &str) {
        let mut state = self.state();
        if state.problem != problem {
            tracing::warn!(target: "watchfire::gpu", database = %self.address, problem, "no connection to the database, GPU rows wait");
        }
        state.problem = problem.to_owned();
        state.client = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn limited<T>(action: &'static str, statement: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, GpuError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(outcome) => outcome.map_err(|source| GpuError::Database { action, source }),
        Err(_) => Err(GpuError::DatabaseTimeout(action)),
    }
}

/// An error with its causes; tokio-postgres says what happened only in the cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_counts_what_it_drops() {
        let meter = Meter::new();
        let database = Database::new(Address::parse("postgresql://u:p@localhost/d", None).unwrap(), &meter);
        for i in 0..(QUEUE_ROWS_MAX as i64 + 7) {
            database.enqueue(&GpuSample { origin: GpuOrigin::Nvml, ..GpuSample::mock(Timestamp(i)) });
            database.enqueue(&GpuSample::mock(Timestamp(i)));
        }
        assert_eq!(database.shared.dropped_full.get(), 7);
        assert_eq!(database.take().unwrap().recorded_at, Timestamp(7), "the oldest went first");
        assert_eq!(database.shared.waiting.get(), QUEUE_ROWS_MAX as f64 - 1.0);
        let status = database.status();
        assert_eq!((status.name.as_str(), status.status), ("database", "unhealthy"));
        assert!(!status.message.contains(":p@"), "{}", status.message);
    }
}
