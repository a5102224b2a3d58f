//! All jobs of a configuration: starts them, changes them when the configuration changes, and tells how targets are
//! doing. What has not changed is not touched: loops, caches and timing go on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{oneshot, watch};
use watchfire_model::batch::Batch;
use watchfire_model::live::TargetStatus;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError};
use watchfire_net::tasks::Tasks;

use super::alias::Aliases;
use super::config::{Extras, PrometheusConfig, ScrapeConfig};
use super::fetch::Fetch;
use super::intake::Counts;
use super::pool::{Desired, Pool, View};

/// What scraping needs from outside.
pub struct Surroundings {
    /// The runtime of the scraping thread. Writing may block it, so it must not be the one that serves requests.
    pub runtime: tokio::runtime::Handle,
    /// Where samples go.
    pub sink: Arc<dyn Sink>,
    /// The time.
    pub clock: SharedClock,
    /// Our own metrics.
    pub meter: Meter,
    /// The supervised set in which everything runs.
    pub tasks: Tasks,
    /// Makes requests.
    pub fetch: Arc<dyn Fetch>,
    /// Which addresses mean ourselves.
    pub aliases: Aliases,
    /// What is done with extras of all targets.
    pub extras: Extras,
    /// Spreads the scrapes of several Watchfires with the same targets: a hash of the host's name, for example.
    pub offset_seed: u64,
}

/// The same, shared by all loops.
pub(super) struct Env {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: SharedClock,
    pub(super) meter: Meter,
    pub(super) tasks: Tasks,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) aliases: Aliases,
    pub(super) offset_seed: u64,
    pub(super) meters: Meters,
}

/// What is counted about scraping.
pub(super) struct Meters {
    good: Counter,
    failed: Counter,
    duplicates: Counter,
    unconverted: Counter,
    lost: Counter,
    pub(super) invalid_targets: Counter,
    pub(super) left_out: Counter,
    pub(super) panics: Counter,
}
impl Meters {
    fn new(meter: &Meter) -> Meters {
        let scrapes = |result| meter.counter("watchfire_scrapes_total", "Scrapes by result.", &[("result", result)]);
        Meters {
            good: scrapes("success"),
            failed: scrapes("failure"),
            duplicates: meter.counter(
                "watchfire_scrape_duplicate_samples_total",
                "Samples left out because their series already had one in the same scrape.",
                &[],
            ),
            unconverted: meter.counter(
                "watchfire_scrape_unconverted_histograms_total",
                "Classic histograms that could not become native ones: their counts do not fit.",
                &[],
            ),
            lost: meter.counter("watchfire_scrape_lost_samples_total", "Samples lost because nothing could be stored.", &[]),
            invalid_targets: meter.counter("watchfire_scrape_invalid_targets_total", "Discovered targets that cannot be scraped.", &[]),
            left_out: meter.counter(
                "watchfire_scrape_targets_left_out_total",
                "Targets that are not scraped because their job has too many, counted at each change of the list.",
                &[],
            ),
            panics: meter.counter("watchfire_scrape_panics_total", "Scrapes that ended in a bug of ours.", &[]),
        }
    }
}

impl Env {
    /// Runs a future in the supervised set; the receiver gets its result, or an error when it panicked.
    pub(super) fn supervise<T: Send + 'static>(&self, name: String, work: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        self.tasks.spawn_until_done(name, async move {
            // Whoever started it may be gone; then nobody wants the result.
            done.send(work.await).ok();
        });
        result
    }
    /// Writes a batch; blocks.
    pub(super) fn write(&self, batch: Batch) {
        let samples = batch.sample_count() as u64;
        if let Err(error) = self.sink.write(batch) {
            self.meters.lost.add(samples);
            if !matches!(error, WriteError::Closed) {
                tracing::warn!(samples, %error, "samples of a scrape are lost");
            }
        }
    }
    pub(super) fn count(&self, counts: &Counts, failed: bool) {
        if failed {
            self.meters.failed.inc()
        } else {
            self.meters.good.inc()
        }
        self.meters.duplicates.add(counts.duplicates);
        self.meters.unconverted.add(counts.unconverted);
    }
}

/// One running job.
struct Job {
    desired: watch::Sender<Desired>,
    /// What it runs with; `None` when it is no longer wanted.
    fingerprint: Option<u64>,
    view: Arc<Mutex<View>>,
    done: oneshot::Receiver<()>,
}

/// Keeps the jobs of a configuration running.
pub struct Manager {
    runtime: tokio::runtime::Handle,
    env: Arc<Env>,
    extras: Extras,
    jobs: Mutex<BTreeMap<String, Job>>,
}

impl Manager {
    /// A manager without jobs.
    pub fn new(outside: Surroundings) -> Manager {
        let meters = Meters::new(&outside.meter);
        let Surroundings { runtime, sink, clock, meter, tasks, fetch, aliases, extras, offset_seed } = outside;
        let env = Env { sink, clock, meter, tasks, fetch, aliases, offset_seed, meters };
        Manager { runtime, env: Arc::new(env), extras, jobs: Mutex::default() }
    }

    /// Makes the running jobs those of a configuration. Returns at once.
    pub fn apply(&self, config: &PrometheusConfig) {
        self.apply_jobs(&config.jobs);
    }

    /// The same with a list of jobs.
    pub fn apply_jobs(&self, wanted: &[Arc<ScrapeConfig>]) {
        let names: BTreeSet<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // A job that went away is kept until its series have ended, in case it comes back.
        jobs.retain(|_, job| matches!(job.done.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        for (_, job) in jobs.iter_mut().filter(|(name, job)| job.fingerprint.is_some() && !names.contains(name.as_str())) {
            job.fingerprint = None;
            job.desired.send_replace(Desired::End);
        }
        for config in wanted {
            match jobs.get_mut(&config.name) {
                Some(job) if job.fingerprint == Some(config.fingerprint) => {}
                Some(job) => {
                    job.fingerprint = Some(config.fingerprint);
                    job.desired.send_replace(Desired::Run(self.with_extras(config)));
                }
                None => {
                    jobs.insert(config.name.clone(), self.start(config));
                }
            }
        }
    }

    fn start(&self, config: &Arc<ScrapeConfig>) -> Job {
        // All loops of the job are started by its pool, so they stay on this runtime.
        let _here = self.runtime.enter();
        let config = &self.with_extras(config);
        let (desired, receiver) = watch::channel(Desired::Run(config.clone()));
        let view = Arc::new(Mutex::new(View::new(config.clone())));
        let pool = Pool::new(self.env.clone(), config.clone(), view.clone());
        let done = self.env.supervise(format!("scrape/{}", config.name), pool.run(receiver));
        Job { desired, fingerprint: Some(config.fingerprint), view, done }
    }

    /// A job with what our own settings say about all jobs.
    fn with_extras(&self, config: &Arc<ScrapeConfig>) -> Arc<ScrapeConfig> {
        if self.extras == Extras::default() { config.clone() } else { Arc::new(ScrapeConfig::clone(config).with_extras(self.extras)) }
    }

    /// All targets, by job and address.
    pub fn targets(&self) -> Vec<TargetStatus> {
        let views: Vec<Arc<Mutex<View>>> = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).values().map(|job| job.view.clone()).collect();
        views.iter().flat_map(|view| view.lock().unwrap_or_else(PoisonError::into_inner).targets()).collect()
    }

    /// The names of all configured jobs, those without targets included.
    pub fn pools(&self) -> Vec<String> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().filter(|(_, job)| job.fingerprint.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// Stops all scraping and waits until the last write is done. Series are not ended: after a restart they go on.
    pub async fn shutdown(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for job in jobs.values() {
            job.desired.send_replace(Desired::Stop);
        }
        for (name, job) in jobs {
            if job.done.await.is_err() {
                tracing::error!(job = name, "a scrape job ended in a panic");
            }
        }
    }
}
