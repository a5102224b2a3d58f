//! Remote write: everything that is written to the store goes on to other places as well. The store's log is the queue, so a place
//! that is away for hours misses nothing and costs no memory; a place that hangs delays nobody else.

mod figures;
mod ledger;
mod queue;
mod shard;
mod sharding;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::watch;
use watchfire_collect::scrape::config::RemoteWrite;
use watchfire_model::labels::Labels;
use watchfire_model::meter::{Histogram, Meter};
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_store::{Position, Store, TailError, TailStop};

use queue::Queue;
use target::Target;

/// How far something was sent.
type Behind = Position;

/// Upper bounds of the durations of requests, in seconds.
const DURATION_BOUNDS: [f64; 15] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0];
/// The stack of a thread that reads the log.
const STACK_BYTES: usize = 512 << 10;

/// What remote write works with.
pub struct Parts {
    /// Where everything comes from.
    pub store: Arc<Store>,
    /// What makes the requests.
    pub caller: Arc<Caller>,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub meter: Meter,
    /// Where requests run.
    pub runtime: Handle,
}

/// All targets of remote write.
pub struct Forwarder(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// One change at a time.
    changing: Mutex<()>,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A target at work.
struct Running {
    target: Arc<Target>,
    stop: watch::Sender<bool>,
    /// Closed when it is to stop.
    alive: Sender<()>,
    tail: Arc<Mutex<TailStop>>,
    thread: JoinHandle<()>,
}

/// Why a target cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Its place in the log cannot be found.
    #[error("cannot forward to {url}: {source}")]
    Tail {
        /// The target.
        url: String,
        /// What went wrong.
        source: TailError,
    },
    /// The system gives no thread.
    #[error("cannot start a thread for {url}: {source}")]
    Thread {
        /// The target.
        url: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Positions of others cannot be forgotten.
    #[error("cannot forget former targets of remote write: {0}")]
    Forget(#[source] TailError),
}

impl Forwarder {
    /// A forwarder without targets.
    pub fn new(parts: Parts) -> Forwarder {
        let inner = Arc::new(Inner { parts, changing: Mutex::default(), running: Mutex::default() });
        let weak: Weak<Inner> = Arc::downgrade(&inner);
        inner.parts.meter.on_gather(move |out| {
            if let Some(inner) = weak.upgrade() {
                out.extend(inner.families());
            }
        });
        Forwarder(inner)
    }

    /// Makes these the targets: others stop, changed ones go on where they were, new ones begin with what is written from now on.
    /// A target is recognised by its name, or by its address when it has none. Blocks until stopped ones have ended.
    pub fn apply(&self, configs: &[Arc<RemoteWrite>], external: &Labels) -> Result<(), ForwardError> {
        let wanted = keyed(configs);
        let _turn = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |key: &String, r: &Running| wanted.get(key).is_some_and(|c| c.identity == r.target.config.identity && r.target.external == *external);
        let over: Vec<Running> = self.0.running().extract_if(.., |key, r| !is_same(key, r)).map(|(_, r)| r).collect();
        end(over);
        let keys: Vec<String> = wanted.keys().cloned().collect();
        self.0.parts.store.forget_other_tails(&keys).map_err(ForwardError::Forget)?;
        for (key, config) in wanted {
            if !self.0.running().contains_key(&key) {
                let started = self.0.start(key.clone(), config, external)?;
                self.0.running().insert(key, started);
            }
        }
        Ok(())
    }

    /// Stops all targets in good order: what was not sent stays in the log.
    pub fn stop(&self) {
        let all = std::mem::take(&mut *self.0.running());
        end(all.into_values().collect());
    }
}

/// The key of each target: its name, or its address with a number when several have it.
fn keyed(configs: &[Arc<RemoteWrite>]) -> BTreeMap<String, Arc<RemoteWrite>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut keyed = BTreeMap::new();
    for config in configs {
        let address = || format!("url {}", watchfire_net::client::without_credentials(config.url.expose()));
        let base = config.name.as_ref().map_or_else(address, |name| format!("name {name}"));
        let n = seen.entry(base.clone()).or_default();
        *n += 1;
        let key = if *n == 1 { base } else { format!("{base} {n}") };
        keyed.insert(key, config.clone());
    }
    keyed
}

/// Tells all of them to stop, then waits for each.
fn end(targets: Vec<Running>) {
    let stopping: Vec<_> = targets
        .into_iter()
        .map(|running| {
            running.stop.send_replace(true);
            drop(running.alive);
            running.tail.lock().unwrap_or_else(PoisonError::into_inner).stop();
            (running.target, running.thread)
        })
        .collect();
    for (target, thread) in stopping {
        if thread.join().is_err() {
            tracing::error!(url = %target.shown_url, "BUG: remote write panicked");
        }
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, key: String, config: Arc<RemoteWrite>, external: &Labels) -> Result<Running, ForwardError> {
        let Parts { store, caller, clock, runtime, .. } = &self.parts;
        let target = Arc::new(Target::new(key, config, external.clone(), caller.clone(), clock.clone()));
        let url = || target.shown_url.clone();
        let tail = store.tail(&target.key).map_err(|source| ForwardError::Tail { url: url(), source })?;
        let (stop, watched) = watch::channel(false);
        let (alive, stopped) = std::sync::mpsc::channel();
        if target.config.metadata.send {
            runtime.spawn(queue::send_metadata(target.clone(), store.clone(), watched.clone()));
        }
        let tail_stop = Arc::new(Mutex::new(tail.stop_handle()));
        let queue =
            Queue { target: target.clone(), store: store.clone(), runtime: runtime.clone(), durations: self.durations(&target), stop: watched, stopped };
        let newest = tail_stop.clone();
        let on_tail = move |stop: TailStop| *newest.lock().unwrap_or_else(PoisonError::into_inner) = stop;
        let builder = std::thread::Builder::new().name("forward".into()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || queue.run(tail, on_tail)).map_err(|source| ForwardError::Thread { url: url(), source })?;
        tracing::info!(url = %target.shown_url, name = %target.name, "remote write started");
        Ok(Running { target, stop, alive, tail: tail_stop, thread })
    }

    fn durations(&self, target: &Target) -> Histogram {
        self.parts.meter.histogram(
            "prometheus_remote_storage_sent_batch_duration_seconds",
            "Duration of send calls to the remote storage.",
            &DURATION_BOUNDS,
            &[("remote_name", &target.name), ("url", &target.shown_url)],
        )
    }

    fn families(&self) -> Vec<watchfire_model::meter::Family> {
        let running = self.running();
        if running.is_empty() {
            return Vec::new();
        }
        let tails = self.parts.store.tail_stats().unwrap_or_default();
        let shown: Vec<_> = running
            .values()
            .map(|r| {
                let tail = tails.iter().find(|t| t.name == r.target.key);
                figures::Shown {
                    name: &r.target.name,
                    url: &r.target.shown_url,
                    figures: &r.target.figures,
                    queue: &r.target.config.queue,
                    behind_bytes: tail.map_or(0, |t| t.behind_bytes),
                    lost_samples: tail.map_or(0, |t| t.lost),
                }
            })
            .collect();
        figures::families(&shown)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop();
    }
}
