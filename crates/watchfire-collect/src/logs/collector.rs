//! Runs what configurations say is to be collected, and takes another configuration over while it runs.

use std::collections::{BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use watchfire_model::batch::{Batch, Origin};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;

use super::face::{Listed, listed};
use super::files::Files;
use super::outputs::Output;
use super::stages::Metrics;
use super::{Surroundings, containers, files, journal, pushed, syslog};
use crate::scrape::config::ScrapeConfig;

/// How often metrics that stages make are stored.
const METRICS_EVERY: Duration = Duration::from_secs(15);

/// Everything that configurations say is to be collected.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Files.
    pub files: Vec<files::Source>,
    /// Journals.
    pub journals: Vec<journal::Source>,
    /// Containers.
    pub containers: Vec<containers::Source>,
    /// Addresses for syslog.
    pub syslog: Vec<syslog::Source>,
    /// Addresses for pushes.
    pub pushed: Vec<pushed::Source>,
    /// The stages that make metrics.
    pub metrics: Vec<Arc<Metrics>>,
    /// Where lines go on to besides being kept.
    pub outputs: Vec<Output>,
    /// Where spans go on to that stand in a configuration for logs, too.
    pub span_outputs: Vec<Output>,
    /// Scrape jobs that stand in a configuration for logs, too.
    pub jobs: Vec<Arc<ScrapeConfig>>,
}
impl Collected {
    /// This name for a source, or one made of it when another source has it: positions of two must not be mixed.
    pub fn free_name(&self, wanted: String) -> String {
        let files = self.files.iter().map(|source| &source.name);
        let all = files.chain(self.journals.iter().map(|source| &source.name)).chain(self.containers.iter().map(|source| &source.name));
        let all = all.chain(self.syslog.iter().map(|source| &source.name)).chain(self.pushed.iter().map(|source| &source.name));
        let taken: HashSet<&String> = all.collect();
        let numbered = (2..).map(|n: usize| format!("{wanted} {n}"));
        std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(wanted)
    }
    /// The origins of all lines.
    pub(super) fn origins(&self) -> BTreeSet<String> {
        let files = self.files.iter().map(|source| origin(files::KIND, &source.name));
        let journals = self.journals.iter().map(|source| origin(journal::KIND, &source.name));
        let containers = self.containers.iter().map(|source| origin(containers::KIND, &source.name));
        let syslog = self.syslog.iter().map(|source| origin(syslog::KIND, &source.name));
        let pushed = self.pushed.iter().map(|source| origin(pushed::KIND, &source.name));
        files.chain(journals).chain(containers).chain(syslog).chain(pushed).collect()
    }
    /// Lets the lines of all sources go to the outputs that do not say whose they want.
    pub fn join_outputs(&mut self) {
        let all = self.origins();
        self.outputs.iter_mut().filter(|output| output.sources.is_empty()).for_each(|output| output.sources.clone_from(&all));
    }
    /// Adds what another configuration says.
    pub fn add(&mut self, mut other: Collected) {
        other.join_outputs();
        self.files.extend(other.files);
        self.journals.extend(other.journals);
        self.containers.extend(other.containers);
        self.syslog.extend(other.syslog);
        self.pushed.extend(other.pushed);
        self.metrics.extend(other.metrics);
        self.outputs.extend(other.outputs);
        self.span_outputs.extend(other.span_outputs);
        self.jobs.extend(other.jobs);
    }
}

/// The origin of the lines of a source.
pub(super) fn origin(kind: &str, source: &str) -> String {
    format!("{kind}/{source}")
}

/// Collects lines.
pub struct Collector {
    parts: Surroundings,
    tasks: Tasks,
    /// What the configuration in force says, for whoever asks.
    sources: Mutex<Arc<[Listed]>>,
    /// Ends what runs.
    current: Mutex<Option<watch::Sender<bool>>>,
    /// Whoever reads files holds it: two at once would read lines twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Collector {
    /// A collector that reads nothing yet.
    pub fn new(parts: Surroundings, tasks: Tasks) -> Collector {
        Collector { parts, tasks, sources: Mutex::new(Arc::new([])), current: Mutex::default(), turn: Arc::default() }
    }

    /// The sources of the configuration in force.
    pub(super) fn sources(&self) -> Arc<[Listed]> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// What collecting has from outside.
    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.parts
    }

    /// Reads what a configuration says, and nothing else any more. Must be called within a tokio runtime.
    pub fn apply(&self, collected: Collected) {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = listed(&collected).into();
        let (cancel, cancelled) = watch::channel(false);
        let before = self.current.lock().unwrap_or_else(PoisonError::into_inner).replace(cancel);
        if let Some(before) = before {
            before.send_replace(true);
        }
        let Collected { files, journals, containers, syslog, pushed, metrics, .. } = collected;
        if !files.is_empty() {
            let (parts, turn, mut stop) = (self.parts.clone(), Arc::clone(&self.turn), self.tasks.stop());
            let mut cancelled = cancelled.clone();
            self.tasks.spawn_until_done("log_files", async move {
                let over = async move {
                    tokio::select! {
                        _ = cancelled.wait_for(|gone| *gone) => {}
                        () = stop.requested() => {}
                    }
                };
                tokio::pin!(over);
                let turn = tokio::select! {
                    turn = turn.lock_owned() => turn,
                    () = &mut over => return,
                };
                read_files(parts, files, turn, over).await;
            });
        }
        for source in journals {
            let name = format!("log_journal_{}", source.name);
            self.until(&name, &cancelled, journal::run(source, self.parts.clone()));
        }
        let names: Arc<HashSet<String>> = Arc::new(containers.iter().map(|source| source.name.clone()).collect());
        for source in containers {
            let names = names.clone();
            let name = format!("log_containers_{}", source.name);
            self.until(&name, &cancelled, containers::run(source, self.parts.clone(), names));
        }
        for source in syslog {
            let name = format!("log_syslog_{}", source.name);
            self.until(&name, &cancelled, syslog::run(source, self.parts.clone()));
        }
        for source in pushed {
            let name = format!("log_pushed_{}", source.name);
            self.until(&name, &cancelled, pushed::run(source, self.parts.clone()));
        }
        if !metrics.is_empty() {
            self.until("log_metrics", &cancelled, store_metrics(self.parts.clone(), metrics));
        }
    }

    fn until(&self, name: &str, cancelled: &watch::Receiver<bool>, work: impl Future<Output = ()> + Send + 'static) {
        let mut cancelled = cancelled.clone();
        self.tasks.spawn(name, async move {
            tokio::select! {
                () = work => {}
                // An error means that the collector is gone.
                _ = cancelled.wait_for(|gone| *gone) => {}
            }
        });
    }
}

/// Reads files in rounds until it is over. A round that has begun is ended and what can be kept is kept, so that what follows finds its
/// positions.
async fn read_files(parts: Surroundings, sources: Vec<files::Source>, _turn: tokio::sync::OwnedMutexGuard<()>, mut over: Pin<&mut impl Future<Output = ()>>) {
    let Ok(mut files) = spawn_blocking(move || Files::new(parts, sources)).await else { return };
    loop {
        let round = spawn_blocking(move || {
            let wait = files.round();
            (files, wait)
        });
        let wait = match round.await {
            Ok((back, wait)) => {
                files = back;
                wait
            }
            Err(error) => {
                tracing::error!(%error, "reading log files ended");
                return;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = &mut over => break,
        }
    }
    if let Err(error) = spawn_blocking(move || files.rest()).await {
        tracing::error!(%error, "keeping positions of log files panicked");
    }
}

async fn store_metrics(parts: Surroundings, stages: Vec<Arc<Metrics>>) {
    let mut ticks = tokio::time::interval(METRICS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut batch = Batch::new(Origin::new("logs"));
        stages.iter().for_each(|stage| stage.gather(parts.clock.now(), parts.clock.monotonic(), &mut batch));
        if batch.series.is_empty() {
            continue;
        }
        let sink = parts.sink.clone();
        match spawn_blocking(move || sink.write(batch)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "metrics of log lines were not stored; the next try holds them too"),
            Err(error) => tracing::error!(%error, "storing metrics of log lines panicked"),
        }
    }
}
