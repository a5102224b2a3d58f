//! One job: takes what discovery finds, keeps one loop per target, and follows changes of its configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use watchfire_model::labels::Labels;
use watchfire_model::live::{LastScrape, TargetStatus};
use watchfire_model::order::Order as _;

use super::config::ScrapeConfig;
use super::intake::Intake;
use super::manager::Env;
use super::target::{Outcome, Target, build};
use super::worker::{Order, Status, Worker};
use crate::discovery::{self, Known, UPDATES_MAX, Update};
use watchfire_net::blocking::spawn_blocking;

/// How long a changed job waits for slow discovery before targets that are not found again are given up.
const FIRST_LOOK_MS: u64 = 15_000;
/// Targets of one job that are scraped, whatever discovery finds.
pub(super) const TARGETS_MAX: usize = 20_000;
/// At most so many dropped or invalid targets are remembered when the job sets no limit.
const DROPPED_MAX: usize = 1_000;

/// What a job is to be.
#[derive(Clone, Debug)]
pub(super) enum Desired {
    /// Running with this configuration.
    Run(Arc<ScrapeConfig>),
    /// Gone; its series end.
    End,
    /// Stopped at once; its series do not end.
    Stop,
}

/// What is shown of a job.
pub(super) struct View {
    job: Arc<ScrapeConfig>,
    live: Vec<(Arc<Target>, Arc<Status>)>,
    /// Targets that are not scraped; the text says why one cannot be.
    idle: Vec<(Labels, String)>,
}
impl View {
    pub(super) fn new(job: Arc<ScrapeConfig>) -> View {
        View { job, live: Vec::new(), idle: Vec::new() }
    }
    pub(super) fn targets(&self) -> Vec<TargetStatus> {
        let blank = |discovered: &Labels| TargetStatus {
            scrape_pool: self.job.name.clone(),
            scrape_url: String::new(),
            discovered_labels: discovered.clone(),
            labels: Labels::empty(),
            interval_ms: self.job.interval_ms,
            timeout_ms: self.job.timeout_ms,
            dropped: true,
            last: None,
            alias_of: None,
        };
        let mut live: Vec<TargetStatus> = self
            .live
            .iter()
            .map(|(target, status)| {
                let shown = status.shown();
                TargetStatus {
                    scrape_url: target.url(),
                    labels: target.labels.clone(),
                    interval_ms: target.interval_ms,
                    timeout_ms: target.timeout_ms,
                    dropped: false,
                    last: shown.last,
                    alias_of: shown.alias_of,
                    ..blank(&target.discovered)
                }
            })
            .collect();
        live.order_by(|a, b| a.scrape_url.cmp(&b.scrape_url));
        let idle = self.idle.iter().map(|(discovered, reason)| TargetStatus {
            last: (!reason.is_empty()).then(|| LastScrape { at: Default::default(), duration_s: 0.0, error: reason.clone() }),
            ..blank(discovered)
        });
        live.extend(idle);
        live
    }
}

/// A loop that runs, or that waits to end its series.
struct Loop {
    target: Arc<Target>,
    status: Arc<Status>,
    order: watch::Sender<Order>,
    done: oneshot::Receiver<Option<Box<Intake>>>,
}
impl Loop {
    /// Stops it and takes its state over.
    async fn release(self) -> Option<Box<Intake>> {
        self.order.send_replace(Order::Release);
        self.done.await.ok().flatten()
    }
}

/// A job at work.
pub(super) struct Pool {
    env: Arc<Env>,
    job: Arc<ScrapeConfig>,
    view: Arc<Mutex<View>>,
    known: Known,
    /// Mechanisms that have not yet said anything.
    silent: usize,
    /// Whether the job is gone and only waits for its series to end.
    retired: bool,
    live: HashMap<u64, Loop>,
    ending: Vec<Loop>,
    barred: Arc<Mutex<Option<String>>>,
    /// Dropped to stop the mechanisms of a former configuration.
    mechanisms: watch::Sender<()>,
    updates: (mpsc::Sender<Update>, mpsc::Receiver<Update>),
}

impl Pool {
    pub(super) fn new(env: Arc<Env>, job: Arc<ScrapeConfig>, view: Arc<Mutex<View>>) -> Pool {
        Pool {
            env,
            job,
            view,
            known: Known::default(),
            silent: 0,
            retired: false,
            live: HashMap::new(),
            ending: Vec::new(),
            barred: Arc::default(),
            mechanisms: watch::Sender::new(()),
            updates: mpsc::channel(UPDATES_MAX),
        }
    }

    pub(super) async fn run(mut self, mut desired: watch::Receiver<Desired>) {
        self.look().await;
        let mut stop = self.env.tasks.stop();
        loop {
            let patience = Duration::from_millis(FIRST_LOOK_MS);
            tokio::select! {
                biased;
                changed = desired.changed() => {
                    let wanted = if changed.is_ok() { desired.borrow_and_update().clone() } else { Desired::Stop };
                    match wanted {
                        Desired::Run(job) => self.change(job).await,
                        Desired::End => self.retire(),
                        Desired::Stop => return self.stop().await,
                    }
                }
                () = stop.requested() => return self.stop().await,
                Some(update) = self.updates.1.recv() => {
                    self.take(update);
                    if self.silent == 0 {
                        self.sync().await;
                    }
                }
                () = tokio::time::sleep(patience), if self.silent > 0 => {
                    self.silent = 0;
                    self.sync().await;
                }
                () = finished(&mut self.ending), if self.retired => return,
            }
        }
    }

    fn take(&mut self, update: Update) {
        let first = self.known.take(update);
        self.silent = self.silent.saturating_sub(usize::from(first));
    }

    /// Starts discovery anew and takes what is known at once.
    async fn look(&mut self) {
        self.mechanisms = watch::Sender::new(());
        self.updates = mpsc::channel(UPDATES_MAX);
        self.known = Known::default();
        let all = self.job.discovery.clone();
        let meter = self.env.meter.clone();
        let initial = spawn_blocking(move || all.iter().map(|d| d.initial(&meter)).collect::<Vec<_>>()).await.unwrap_or_default();
        self.silent = initial.iter().filter(|groups| groups.is_none()).count();
        for (from, groups) in initial.into_iter().enumerate() {
            if let Some(groups) = groups {
                self.known.take(Update { from, groups });
            }
        }
        for (from, mechanism) in self.job.discovery.iter().enumerate() {
            let outside = discovery::Surroundings { meter: self.env.meter.clone(), fetch: self.env.fetch.clone() };
            if let Some(running) = mechanism.clone().run(from, outside, self.updates.0.clone()) {
                let mut former = self.mechanisms.subscribe();
                self.env.tasks.spawn(format!("discovery/{}", self.job.name), async move {
                    tokio::select! {
                        () = running => {}
                        // The sender is gone: another configuration has taken over.
                        _ = former.changed() => {}
                    }
                });
            }
        }
        if self.silent == 0 {
            self.sync().await;
        }
    }

    /// Follows a changed configuration: every loop starts again with the new rules and what the old one knew.
    async fn change(&mut self, job: Arc<ScrapeConfig>) {
        self.job = job;
        self.view.lock().unwrap_or_else(PoisonError::into_inner).job = self.job.clone();
        // The old loops wait, state in hand, until the targets are known again.
        self.retired = false;
        self.let_go();
        self.look().await;
    }

    /// Makes the loops those of the known targets.
    async fn sync(&mut self) {
        let (targets, idle) = self.targets();
        self.bar(targets.len());
        let gone: Vec<u64> = self.live.keys().filter(|key| !targets.contains_key(key)).copied().collect();
        for key in gone {
            if let Some(old) = self.live.remove(&key) {
                old.order.send_replace(Order::End);
                self.ending.push(old);
            }
        }
        for (key, target) in targets {
            if !self.live.contains_key(&key) {
                let intake = self.inherit(&target).await;
                self.live.insert(key, self.start(Arc::new(target), intake));
            }
        }
        self.ending.retain_mut(|old| matches!(old.done.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.live = self.live.values().map(|l| (l.target.clone(), l.status.clone())).collect();
        view.idle = idle;
    }

    /// Targets to scrape, and those that are not.
    fn targets(&self) -> (HashMap<u64, Target>, Vec<(Labels, String)>) {
        let keep = if self.job.limits.dropped_targets > 0 { self.job.limits.dropped_targets as usize } else { DROPPED_MAX };
        let (mut targets, mut idle, mut left_out) = (HashMap::new(), Vec::new(), 0u64);
        for group in self.known.groups() {
            for own in &group.targets {
                let (labels, reason) = match build(&self.job, group, own) {
                    Outcome::Active(target) if targets.len() < TARGETS_MAX || targets.contains_key(&target.key) => {
                        targets.entry(target.key).or_insert(target);
                        continue;
                    }
                    Outcome::Active(target) => {
                        left_out += 1;
                        (target.discovered, format!("the job has more than {TARGETS_MAX} targets"))
                    }
                    Outcome::Dropped(labels) => (labels, String::new()),
                    Outcome::Invalid(labels, reason) => {
                        self.env.meters.invalid_targets.inc();
                        tracing::warn!(job = self.job.name, %labels, reason, "a target cannot be scraped");
                        (labels, reason)
                    }
                };
                if idle.len() < keep {
                    idle.push((labels, reason));
                }
            }
        }
        if left_out > 0 {
            self.env.meters.left_out.add(left_out);
            tracing::warn!(job = self.job.name, left_out, "the job has too many targets; those are not scraped");
        }
        (targets, idle)
    }

    /// Too many targets make every scrape of the job fail, as in Prometheus.
    fn bar(&self, targets: usize) {
        let limit = self.job.limits.targets;
        let over = (limit > 0 && targets as u64 > limit).then(|| format!("target_limit exceeded (number of targets: {targets}, limit: {limit})"));
        *self.barred.lock().unwrap_or_else(PoisonError::into_inner) = over;
    }

    /// The state of a loop with the same series that is about to end, if there is one.
    async fn inherit(&mut self, target: &Target) -> Box<Intake> {
        if let Some(at) = self.ending.iter().position(|old| old.target.labels == target.labels)
            && let Some(intake) = self.ending.swap_remove(at).release().await
        {
            return Box::new(intake.with_new_rules(&self.job, target));
        }
        Box::new(Intake::new(&self.job, target))
    }

    fn start(&self, target: Arc<Target>, intake: Box<Intake>) -> Loop {
        let status = Arc::<Status>::default();
        let (order, receiver) = watch::channel(Order::Run);
        let worker = Worker {
            env: self.env.clone(),
            job: self.job.clone(),
            target: target.clone(),
            status: status.clone(),
            barred: self.barred.clone(),
            alias_until: None,
            answered: false,
        };
        let done = self.env.supervise(format!("scrape/{}/target", self.job.name), worker.run(intake, receiver));
        Loop { target, status, order, done }
    }

    /// The job is gone: its loops end their series, unless it comes back before that.
    fn retire(&mut self) {
        self.retired = true;
        self.silent = 0;
        self.mechanisms = watch::Sender::new(());
        self.known = Known::default();
        self.let_go();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        *view = View::new(self.job.clone());
    }

    /// Makes every loop end; it waits, state in hand, for a while.
    fn let_go(&mut self) {
        for (_, old) in self.live.drain() {
            old.order.send_replace(Order::End);
            self.ending.push(old);
        }
    }

    async fn stop(mut self) {
        self.mechanisms = watch::Sender::new(());
        let loops: Vec<Loop> = self.live.drain().map(|(_, l)| l).chain(self.ending.drain(..)).collect();
        for each in &loops {
            each.order.send_replace(Order::Release);
        }
        for each in loops {
            each.release().await;
        }
    }
}

/// Waits until every loop has ended.
async fn finished(loops: &mut Vec<Loop>) {
    while let Some(last) = loops.last_mut() {
        if (&mut last.done).await.is_err() {
            tracing::error!(target = %last.target.labels, "a scrape loop ended in a panic");
        }
        loops.pop();
    }
}
