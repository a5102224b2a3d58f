//! Log lines, spans and metrics on to other places: what a configuration collects goes to the outputs that it names, to Loki,
//! Elasticsearch or Logstash, and everything by OTLP to places of our own configuration. The store's log is the queue, so a place that is away for hours misses nothing and costs no memory; a place that hangs delays nobody else.

mod elasticsearch;
mod figures;
mod logstash;
mod loki;
mod otlp;
mod outcome;
mod points;
mod queue;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use tokio::sync::watch;
use watchfire_collect::logs::outputs::{Destination, Output};
use watchfire_store::{Store, Tail, TailError, TailStats, TailStop};

use crate::write::{ForwardError, Parts};
use queue::Queue;
use target::Target;

/// The stack of a thread that reads the log.
const STACK_BYTES: usize = 512 << 10;

/// What is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Log lines of some origins, or of all of them by OTLP.
    Logs,
    /// All spans.
    Spans,
    /// All samples.
    Metrics,
}

impl Kind {
    /// What people call it.
    fn words(self) -> &'static str {
        match self {
            Kind::Logs => "log lines",
            Kind::Spans => "spans",
            Kind::Metrics => "metrics",
        }
    }
    fn tail(self, store: &Store, key: &str, output: &Output) -> Result<Tail, TailError> {
        match self {
            // No collector leads there, so nothing says which lines are meant.
            Kind::Logs if matches!(output.destination, Destination::Otlp { .. }) => store.whole_log_tail(key),
            Kind::Logs => store.log_tail(key, output.sources.clone()),
            Kind::Spans => store.span_tail(key),
            Kind::Metrics => store.metric_tail(key),
        }
    }
    fn forget_others(self, store: &Store, keys: &[String]) -> Result<(), TailError> {
        match self {
            Kind::Logs => store.forget_other_log_tails(keys),
            Kind::Spans => store.forget_other_span_tails(keys),
            Kind::Metrics => store.forget_other_metric_tails(keys),
        }
    }
    fn stats(self, store: &Store, key: &str) -> Result<Option<TailStats>, TailError> {
        match self {
            Kind::Logs => store.log_tail_stats(key),
            Kind::Spans => store.span_tail_stats(key),
            Kind::Metrics => store.metric_tail_stats(key),
        }
    }
}

/// All outputs of one kind.
pub struct EntryForwarder(Arc<Inner>);

struct Inner {
    kind: Kind,
    parts: Parts,
    /// One change at a time.
    changing: Mutex<()>,
    running: Mutex<BTreeMap<String, Running>>,
}

/// An output at work.
struct Running {
    output: Output,
    target: Arc<Target>,
    stop: watch::Sender<bool>,
    /// Closed when it is to stop.
    alive: Sender<()>,
    tail: Arc<Mutex<TailStop>>,
    thread: JoinHandle<()>,
}

impl EntryForwarder {
    /// A forwarder without outputs.
    pub fn new(kind: Kind, parts: Parts) -> EntryForwarder {
        let inner = Arc::new(Inner { kind, parts, changing: Mutex::default(), running: Mutex::default() });
        let weak: Weak<Inner> = Arc::downgrade(&inner);
        inner.parts.meter.on_gather(move |out| {
            if let Some(inner) = weak.upgrade() {
                out.extend(inner.families());
            }
        });
        EntryForwarder(inner)
    }

    /// Makes these the outputs: others stop, changed ones go on where they were, new ones begin with what is written from now on. An output
    /// is recognised by its name, or by its address when it has none. Blocks until stopped ones have ended.
    pub fn apply(&self, outputs: &[Output]) -> Result<(), ForwardError> {
        let wanted = keyed(outputs);
        let _turn = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<Running> = self.0.running().extract_if(.., |key, r| wanted.get(key).is_none_or(|output| **output != r.output)).map(|(_, r)| r).collect();
        end(over);
        let keys: Vec<String> = wanted.keys().cloned().collect();
        self.0.kind.forget_others(&self.0.parts.store, &keys).map_err(ForwardError::Forget)?;
        for (key, output) in wanted {
            if !self.0.running().contains_key(&key) {
                let started = self.0.start(key.clone(), output)?;
                self.0.running().insert(key, started);
            }
        }
        Ok(())
    }

    /// Stops all outputs in good order: what was not sent stays in the log.
    pub fn stop(&self) {
        let all = std::mem::take(&mut *self.0.running());
        end(all.into_values().collect());
    }
}

/// The key of each output: its name, or its address with a number when several have it.
fn keyed(outputs: &[Output]) -> BTreeMap<String, &Output> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut keyed = BTreeMap::new();
    for output in outputs {
        let address = || format!("url {}", watchfire_net::client::without_credentials(output.url.expose()));
        let base = output.name.as_ref().map_or_else(address, |name| format!("name {name}"));
        let n = seen.entry(base.clone()).or_default();
        *n += 1;
        keyed.insert(if *n == 1 { base } else { format!("{base} {n}") }, output);
    }
    keyed
}

/// Tells all of them to stop, then waits for each.
fn end(outputs: Vec<Running>) {
    let stopping: Vec<_> = outputs
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
            tracing::error!(url = %target.shown_url, "BUG: sending {} on panicked", target.kind.words());
        }
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, key: String, output: &Output) -> Result<Running, ForwardError> {
        let Parts { store, caller, clock, runtime, .. } = &self.parts;
        let target = Arc::new(Target::new(self.kind, key, output.clone(), caller.clone(), clock.clone()));
        let url = || target.shown_url.clone();
        let tail = self.kind.tail(store, &target.key, output).map_err(|source| ForwardError::Tail { url: url(), source })?;
        let (stop, watched) = watch::channel(false);
        let (alive, stopped) = std::sync::mpsc::channel();
        let tail_stop = Arc::new(Mutex::new(tail.stop_handle()));
        let queue = Queue { target: target.clone(), store: store.clone(), runtime: runtime.clone(), stop: watched, stopped };
        let newest = tail_stop.clone();
        let on_tail = move |stop: TailStop| *newest.lock().unwrap_or_else(PoisonError::into_inner) = stop;
        let builder = std::thread::Builder::new()
            .name(match self.kind {
                Kind::Logs => "forward-logs".into(),
                Kind::Spans => "forward-spans".into(),
                Kind::Metrics => "forward-metrics".into(),
            })
            .stack_size(STACK_BYTES);
        let thread = builder.spawn(move || queue.run(tail, on_tail)).map_err(|source| ForwardError::Thread { url: url(), source })?;
        tracing::info!(url = %target.shown_url, sources = output.sources.len(), "{} go on to another place", self.kind.words());
        Ok(Running { output: output.clone(), target, stop, alive, tail: tail_stop, thread })
    }

    fn families(&self) -> Vec<watchfire_model::meter::Family> {
        let running = self.running();
        let shown: Vec<_> = running
            .values()
            .map(|r| {
                let tail = self.kind.stats(&self.parts.store, &r.target.key).ok().flatten();
                figures::Shown { target: &r.target, behind_bytes: tail.as_ref().map_or(0, |t| t.behind_bytes), lost: tail.map_or(0, |t| t.lost) }
            })
            .collect();
        if shown.is_empty() { Vec::new() } else { figures::families(self.kind, &shown, self.parts.clock.now()) }
    }
}

impl Drop for EntryForwarder {
    fn drop(&mut self) {
        self.stop();
    }
}
