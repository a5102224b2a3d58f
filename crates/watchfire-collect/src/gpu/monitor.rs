//! The monitor itself: picks the source, takes the sample, tells everybody. It renders nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Instrument;
use watchfire_model::batch::Origin;
use watchfire_model::live::{GpuOrigin, GpuSample, GpuView, MemoryPressure, ServiceStatus, ViewFuture};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::Sink;

use super::callbacks::Callbacks;
use super::database::Database;
use super::detections::Detections;
use super::hailo::Hailo;
use super::names;
use super::ring::Ring;
use super::source::{Detail, Fetch, GpuSource, Reading, in_order};
use super::sysfs::Sysfs;
use super::temperature::Watch;
use super::{GpuError, Settings};
use crate::gather::{Cache, Gather};
use watchfire_net::blocking::spawn_blocking;

/// Sources that are better than the one in use are tried again this often; so is every source while there is none.
const RETRY: Duration = Duration::from_secs(30);

/// Tells the total of detections so far, over all series of `hsi_detections_processed_total`; `None` while nobody reports it.
pub type DetectionsTotal = dyn Fn() -> Option<f64> + Send + Sync;

/// What the monitor works with.
pub struct Parts {
    /// The time.
    pub clock: SharedClock,
    /// Where the series go.
    pub sink: Arc<dyn Sink>,
    /// Where our own counts go.
    pub meter: Meter,
    /// The total of detections; it is asked with every look and must not block.
    pub detections: Option<Arc<DetectionsTotal>>,
    /// How `/health` of AI services is fetched; without it that source is left out.
    pub fetch: Option<Arc<dyn Fetch>>,
}

struct Choice {
    /// Which source is in use; `None` is the mock.
    current: Option<usize>,
    tried_at: Option<Duration>,
    /// The last failure of the source in use, so that it is logged once.
    told: bool,
}

struct State {
    ring: Ring,
    detections: Detections,
    temperature: Watch,
    series: Cache,
    /// The last sample of a real GPU, which lends its name to rows of the database.
    last_real: Option<GpuSample>,
}

struct Inner {
    settings: Settings,
    parts: Parts,
    sources: Vec<Box<dyn GpuSource>>,
    /// GPUs of other makers.
    others: Sysfs,
    hailo: Hailo,
    choice: tokio::sync::Mutex<Choice>,
    state: Mutex<State>,
    callbacks: Callbacks,
    database: Option<Database>,
    batches_failed: Counter,
}

/// The GPU monitor. Cheap to clone.
#[derive(Clone)]
pub struct GpuMonitor {
    inner: Arc<Inner>,
}

impl GpuMonitor {
    /// A monitor that has not looked yet.
    pub fn new(settings: Settings, parts: Parts) -> GpuMonitor {
        let sources = in_order(&settings, parts.fetch.clone());
        let database = settings.database.clone().map(|address| Database::new(address, &parts.meter));
        let panics_help = "Callbacks of a collector that panicked.";
        let failed_help = "Batches of a collector that the store did not take.";
        let inner = Inner {
            callbacks: Callbacks::new(parts.meter.counter("watchfire_collect_callback_panics_total", panics_help, &[])),
            batches_failed: parts.meter.counter("watchfire_collect_batches_failed_total", failed_help, &[("collector", "accelerator")]),
            state: Mutex::new(State {
                ring: Ring::new(settings.history, settings.poll_interval),
                detections: Detections::default(),
                temperature: Watch::default(),
                series: Cache::default(),
                last_real: None,
            }),
            choice: tokio::sync::Mutex::new(Choice { current: None, tried_at: None, told: false }),
            others: Sysfs::find(&settings.root),
            hailo: Hailo::find(&settings),
            settings,
            parts,
            sources,
            database,
        };
        GpuMonitor { inner: Arc::new(inner) }
    }

    /// Calls back with every sample. A callback must not block.
    pub fn on_sample(&self, callback: impl Fn(&GpuSample) + Send + Sync + 'static) {
        self.inner.callbacks.add_sample(Arc::new(callback));
    }

    /// Calls back with `(new, old)` when the level of memory pressure changes. A callback must not block.
    pub fn on_pressure(&self, callback: impl Fn(MemoryPressure, MemoryPressure) + Send + Sync + 'static) {
        self.inner.callbacks.add_pressure(Arc::new(callback));
    }

    /// The level of memory pressure right now.
    pub fn pressure(&self) -> MemoryPressure {
        self.inner.callbacks.pressure()
    }

    /// How the database is doing, as the service `database`.
    pub fn database_status(&self) -> ServiceStatus {
        match &self.inner.database {
            Some(database) => database.status(),
            None => ServiceStatus { name: "database".to_owned(), status: "not_configured", message: "no DATABASE_URL is set".to_owned() },
        }
    }

    /// Polls for ever and keeps the database connection; ends only when the future is dropped.
    pub async fn run(self) {
        let database = self.inner.database.clone();
        let writing = async {
            match database {
                Some(database) => database.run().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(Box::pin(writing), Box::pin(self.poll_for_ever()));
    }

    async fn poll_for_ever(&self) {
        let settings = &self.inner.settings;
        tracing::info!(
            target: "watchfire::gpu",
            poll_interval_s = settings.poll_interval.as_secs_f64(),
            history_s = settings.history.as_secs_f64(),
            "GPU monitor starts"
        );
        let mut ticks = tokio::time::interval(settings.poll_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.poll().await;
        }
    }

    /// Looks once.
    pub async fn poll(&self) {
        let span = tracing::info_span!("gpu.poll", otel.kind = "internal");
        self.poll_once().instrument(span).await;
    }

    async fn poll_once(&self) {
        let at = self.inner.parts.clock.now();
        let mut readings = self.look(at).await;
        let details = self.details().await;
        if readings.is_empty() {
            readings.push((0, GpuSample::mock(at)));
        }
        let total = self.inner.parts.detections.as_ref().and_then(|total| total());
        let now = self.inner.parts.clock.monotonic();
        let first = {
            let mut state = self.state();
            let rate = state.detections.rate(now, total);
            for (index, sample) in &readings {
                state.temperature.look(*index, &sample.name, sample.temperature);
            }
            let (_, first) = &mut readings[0];
            first.inference_fps = rate;
            if first.origin != GpuOrigin::Mock {
                state.last_real = Some(first.clone());
            }
            state.ring.push(now, first.clone());
            first.clone()
        };
        if let Some(database) = &self.inner.database {
            database.enqueue(&first);
        }
        self.inner.callbacks.tell(&first);
        self.store(readings, details, at).await;
    }

    /// What the source in use has shown beside its samples.
    async fn details(&self) -> Vec<Detail> {
        let current = self.inner.choice.lock().await.current;
        current.and_then(|current| self.inner.sources.get(current)).map(|source| source.details()).unwrap_or_default()
    }

    /// Reads the best source that works; nothing when none does.
    async fn look(&self, at: Timestamp) -> Vec<Reading> {
        let mut choice = self.inner.choice.lock().await;
        let now = self.inner.parts.clock.monotonic();
        let retry = choice.tried_at.is_none_or(|tried| now.saturating_sub(tried) >= RETRY);
        let current = choice.current;
        if retry {
            choice.tried_at = Some(now);
            let better = current.unwrap_or(self.inner.sources.len());
            if let Some(readings) = self.first_of(0..better, &mut choice, at).await {
                return readings;
            }
        }
        let Some(current) = current else { return Vec::new() };
        match self.read(current, at).await {
            Ok(readings) => {
                choice.told = false;
                return readings;
            }
            Err(error) if !choice.told => {
                tracing::warn!(target: "watchfire::gpu", %error, "GPU source fails, the next is tried");
                choice.told = true;
            }
            Err(_) => {}
        }
        // The others from the best on: whatever made this one fail may have brought a better one back.
        let others = (0..self.inner.sources.len()).filter(|i| *i != current && !(retry && *i < current));
        if let Some(readings) = self.first_of(others, &mut choice, at).await {
            return readings;
        }
        choice.current = None;
        choice.tried_at = Some(now);
        tracing::warn!(target: "watchfire::gpu", "no GPU source works any more, mock data is given");
        Vec::new()
    }

    async fn first_of(&self, sources: impl Iterator<Item = usize>, choice: &mut Choice, at: Timestamp) -> Option<Vec<Reading>> {
        let begins = choice.current.is_none();
        for index in sources {
            match self.read(index, at).await {
                Ok(readings) => {
                    choice.current = Some(index);
                    choice.told = false;
                    let (source, gpu) = (self.inner.sources[index].origin().name(), &readings[0].1.name);
                    tracing::info!(target: "watchfire::gpu", source, gpu, gpus = readings.len(), "GPU monitor uses this source");
                    return Some(readings);
                }
                Err(error) => tracing::debug!(target: "watchfire::gpu", %error, "GPU source does not work"),
            }
        }
        if begins && !choice.told {
            choice.told = true;
            let source = GpuOrigin::Mock.name();
            tracing::info!(target: "watchfire::gpu", source, "GPU monitor found no NVIDIA GPU, mock data is given until one appears");
        }
        None
    }

    async fn read(&self, source: usize, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
        let source = &self.inner.sources[source];
        let readings = source.read(at).await?;
        if readings.is_empty() {
            return Err(GpuError::Source { source_name: source.origin().name(), problem: "it knows no GPU".to_owned() });
        }
        Ok(readings)
    }

    /// Writes the series of all GPUs; a mock has none, and series of a GPU that is gone are ended.
    async fn store(&self, readings: Vec<Reading>, details: Vec<Detail>, at: Timestamp) {
        let real = readings.iter().any(|(_, sample)| sample.origin != GpuOrigin::Mock);
        if !real && self.inner.others.is_empty() && self.inner.hailo.is_empty() && self.state().series.is_empty() {
            return;
        }
        self.inner.hailo.ask(self.inner.parts.clock.monotonic()).await;
        let monitor = self.clone();
        let written = spawn_blocking(move || {
            let mut others = monitor.inner.others.read(at);
            others.extend(monitor.inner.hailo.read(at));
            let batch = {
                let mut state = monitor.state();
                let mut out = Gather::batch(&mut state.series, Origin::new("gpu"), "gpu", &monitor.inner.settings.instance, at);
                for (index, sample) in readings.iter().filter(|(_, sample)| sample.origin != GpuOrigin::Mock) {
                    let gpu = index.to_string();
                    names::put(&mut out, &gpu, sample);
                    names::put_dcgm(&mut out, &gpu, sample);
                    details.iter().filter(|detail| detail.gpu == *index).for_each(|detail| names::put_detail(&mut out, &gpu, &sample.name, detail, true));
                }
                for card in &others {
                    names::put(&mut out, &card.name, &card.sample);
                    card.details.iter().for_each(|detail| names::put_detail(&mut out, &card.name, &card.sample.name, detail, false));
                    names::put_info(&mut out, &card.name, &card.sample.name, &card.facts);
                }
                out.into_batch()
            };
            match batch.filter(|batch| !batch.series.is_empty()) {
                Some(batch) => monitor.inner.parts.sink.write(batch).map(|_| ()),
                None => Ok(()),
            }
        });
        let problem = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.inner.batches_failed.inc();
        tracing::warn!(target: "watchfire::gpu", problem, "cannot store the figures of the GPU");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GpuView for GpuMonitor {
    fn current(&self) -> Option<GpuSample> {
        self.state().ring.latest().cloned()
    }

    fn history(&self, since: Timestamp, limit: usize) -> ViewFuture<'_, Vec<GpuSample>> {
        Box::pin(async move {
            let (recent, until, like) = {
                let state = self.state();
                let until = state.ring.earliest().unwrap_or(Timestamp::MAX);
                let like = state.last_real.clone().unwrap_or_else(|| GpuSample { origin: GpuOrigin::Nvml, name: "GPU".to_owned(), ..GpuSample::mock(until) });
                (state.ring.since(since, limit), until, like)
            };
            let missing = limit.saturating_sub(recent.len());
            let Some(database) = self.inner.database.as_ref().filter(|_| missing > 0 && since < until) else { return recent };
            match database.history(since, until, missing, &like).await {
                Ok(mut older) => {
                    older.extend(recent);
                    older
                }
                Err(error) => {
                    tracing::warn!(target: "watchfire::gpu", error = &error as &dyn std::error::Error, "GPU history is given from memory only");
                    recent
                }
            }
        })
    }
}
