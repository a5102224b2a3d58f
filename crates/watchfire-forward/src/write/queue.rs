//! One target's way from the log to its shards: a thread reads the log, names the series as the target wants them, deals items out
//! to shards by series (so that the order within a series is kept), and gives the log free behind what was sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use watchfire_model::labels::Labels;
use watchfire_model::meter::Histogram;
use watchfire_store::{Portion, Store, Tail, TailError, TailStop};

use super::Behind;
use super::figures::{Counts, Dropped};
use super::ledger::Ledger;
use super::shard::{Shard, stopped};
use super::sharding::{Sharding, Totals};
use super::target::Target;
use crate::wire::{Item, Value};

/// The longest sleep while nothing is written.
const IDLE: Duration = Duration::from_secs(1);
/// How often the number of shards is looked at.
const RESHARD_PAUSE: Duration = Duration::from_secs(10);
/// After the log could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What works for one target.
pub(super) struct Queue {
    pub(super) target: Arc<Target>,
    pub(super) store: Arc<Store>,
    pub(super) runtime: Handle,
    pub(super) durations: Histogram,
    /// Tells the asynchronous parts to stop.
    pub(super) stop: watch::Receiver<bool>,
    /// Is closed when we are to stop.
    pub(super) stopped: Receiver<()>,
}

/// What one reading of the log has in hand.
struct Session {
    tail: Tail,
    ledger: Arc<Ledger<Behind>>,
    shards: Shards,
    /// The series of the present epoch as the target knows them; `None` when it does not want them.
    series: HashMap<u32, Option<Labels>>,
    sharding: Sharding,
    resharded: Duration,
}

/// Running shards.
struct Shards {
    senders: Vec<mpsc::Sender<Vec<Item>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// The shards have ended although nobody asked them to, or somebody did.
struct Ended;

impl Queue {
    /// Works until stopped. `tail` is the first reading of the log; after a failure another one begins where the acknowledged part ends.
    pub(super) fn run(self, tail: Tail, on_tail: impl Fn(TailStop)) {
        let mut next = Some(tail);
        while !*self.stop.borrow() {
            let opened = next.take().map_or_else(|| self.store.tail(&self.target.key), Ok);
            let problem = match opened {
                Ok(tail) => {
                    on_tail(tail.stop_handle());
                    self.session(tail).err()
                }
                Err(error) => Some(error),
            };
            if let Some(error) = problem {
                tracing::error!(%error, url = %self.target.shown_url, "remote write cannot read the log; it is tried again");
            }
            if !*self.stop.borrow() {
                // A shard failed, or the log: the acknowledged part is behind us, the rest comes again.
                if self.stopped.recv_timeout(RETRY_PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        }
    }

    fn session(&self, tail: Tail) -> Result<(), TailError> {
        let ledger = Arc::new(Ledger::new());
        let mut session = Session {
            shards: self.start_shards(self.target.config.queue.min_shards, &ledger),
            tail,
            ledger,
            series: HashMap::new(),
            sharding: Sharding::default(),
            resharded: self.target.clock.monotonic(),
        };
        let outcome = self.pass_on(&mut session);
        self.end_shards(session.shards);
        if let Some(position) = session.ledger.acknowledged() {
            session.tail.acknowledge(position)?;
        }
        for gauge in &self.target.figures.pending {
            gauge.set(0.0);
        }
        outcome
    }

    fn pass_on(&self, session: &mut Session) -> Result<(), TailError> {
        while !*self.stop.borrow() {
            if let Some((portion, position)) = session.tail.next(IDLE)? {
                let again = position <= session.tail.opened_at();
                let items = self.take(portion, again, session);
                if self.deal(items, position, session).is_err() {
                    break;
                }
            }
            if let Some(position) = session.ledger.acknowledged() {
                session.tail.acknowledge(position)?;
            }
            self.reshard(session);
        }
        Ok(())
    }

    /// What the target wants of a portion.
    fn take(&self, portion: Portion, again: bool, session: &mut Session) -> Vec<Item> {
        let (target, series) = (&self.target, &mut session.series);
        target.figures.damaged_bytes.add(portion.damaged_bytes);
        if portion.begins_anew {
            series.clear();
        }
        series.extend(portion.series.into_iter().map(|(number, labels)| (number, target.relabelled(&labels))));
        let mut items = Vec::with_capacity(portion.samples.len());
        let (mut unwanted, mut unknown) = (Counts::default(), Counts::default());
        let number = session.ledger.next();
        let mut take = |kind: usize, series_number: u32, value: Value| match series.get(&series_number) {
            Some(Some(labels)) => items.push(Item { labels: labels.clone(), value, portion: number, again }),
            Some(None) => unwanted.0[kind] += 1,
            None => unknown.0[kind] += 1,
        };
        portion.samples.into_iter().for_each(|(n, sample)| take(0, n, Value::Float(sample)));
        if target.config.send_native_histograms {
            portion.histograms.into_iter().for_each(|(n, sample)| take(1, n, Value::Histogram(sample)));
        }
        if target.config.send_exemplars {
            portion.exemplars.into_iter().for_each(|(n, exemplar)| take(2, n, Value::Exemplar(Box::new(exemplar))));
        }
        let figures = &target.figures;
        figures.drop_items(Dropped::Series, unwanted);
        figures.drop_items(Dropped::Unknown, unknown);
        figures.read.add(items.len() as u64 + unwanted.total() + unknown.total());
        if let Some(highest) = items.iter().map(|i| i.value.time_ms()).max() {
            figures.highest_read_ms.fetch_max(highest, Ordering::Relaxed);
        }
        items
    }

    /// Gives items to the shards, waiting while they are full.
    fn deal(&self, items: Vec<Item>, position: Behind, session: &Session) -> Result<(), Ended> {
        session.ledger.enter(position, items.len());
        let chunk_max = self.target.config.queue.max_samples_per_send;
        let shards = &session.shards.senders;
        let mut chunks: Vec<Vec<Item>> = vec![Vec::new(); shards.len()];
        for item in items {
            let at = (item.labels.hash_value() % shards.len() as u64) as usize;
            chunks[at].push(item);
            if chunks[at].len() >= chunk_max {
                self.push(&shards[at], std::mem::take(&mut chunks[at]))?;
            }
        }
        chunks.into_iter().zip(shards).filter(|(chunk, _)| !chunk.is_empty()).try_for_each(|(chunk, shard)| self.push(shard, chunk))
    }

    fn push(&self, shard: &mpsc::Sender<Vec<Item>>, chunk: Vec<Item>) -> Result<(), Ended> {
        self.target.figures.add_pending(Counts::of(&chunk), 1.0);
        shard.blocking_send(chunk).map_err(|_| Ended)
    }

    fn start_shards(&self, count: usize, ledger: &Arc<Ledger<Behind>>) -> Shards {
        let queue = &self.target.config.queue;
        let chunks = (queue.capacity / queue.max_samples_per_send).max(1);
        let mut shards = Shards { senders: Vec::new(), tasks: Vec::new() };
        for number in 0..count {
            let (sender, receiver) = mpsc::channel(chunks);
            let shard = Shard {
                target: self.target.clone(),
                ledger: ledger.clone(),
                stop: self.stop.clone(),
                durations: self.durations.clone(),
                seed: Labels::from_pairs([("target", &self.target.key)]).hash_value().wrapping_add(number as u64),
            };
            shards.tasks.push(self.runtime.spawn(shard.run(receiver)));
            shards.senders.push(sender);
        }
        self.target.figures.shards.store(count, Ordering::Relaxed);
        shards
    }

    /// Lets the shards send what they have, and waits for them.
    fn end_shards(&self, shards: Shards) {
        drop(shards.senders);
        for task in shards.tasks {
            if let Err(error) = self.runtime.block_on(task) {
                tracing::error!(%error, url = %self.target.shown_url, "BUG: a shard of remote write failed; what it held is sent again");
            }
        }
    }

    /// Changes the number of shards when another one is better. The order within a series wants all shards empty in between.
    fn reshard(&self, session: &mut Session) {
        let (target, now) = (&self.target, self.target.clock.monotonic());
        let since = now.saturating_sub(session.resharded);
        if since < RESHARD_PAUSE {
            return;
        }
        session.resharded = now;
        let (figures, queue) = (&target.figures, &target.config.queue);
        let totals = Totals {
            read: figures.read.get(),
            dropped: figures.dropped_total(),
            sent: figures.settled.get(),
            sending_s: figures.sending_us.load(Ordering::Relaxed) as f64 / 1e6,
        };
        let wall = target.clock.now().millis();
        let newest = self.store.stats().newest.unwrap_or(wall).min(wall);
        let sent = figures.highest_sent_ms.load(Ordering::Relaxed);
        let behind_s = if sent == 0 { 0.0 } else { newest.saturating_sub(sent) as f64 / 1000.0 };
        let count = session.shards.senders.len();
        let desired = session.sharding.desired(totals, since.as_secs_f64(), behind_s, count, (queue.min_shards, queue.max_shards));
        figures.shards_desired.set(desired);
        let desired = desired as usize;
        // While nothing goes through, more shards would only hold more in memory.
        if desired != count && !target.is_in_trouble() {
            tracing::info!(url = %target.shown_url, from = count, to = desired, "remote write changes its number of shards");
            let before = std::mem::replace(&mut session.shards, Shards { senders: Vec::new(), tasks: Vec::new() });
            self.end_shards(before);
            session.shards = self.start_shards(desired.max(1), &session.ledger);
        }
    }
}

/// Tells the other side what is known of metric families, again and again.
pub(super) async fn send_metadata(target: Arc<Target>, store: Arc<Store>, mut stop: watch::Receiver<bool>) {
    use watchfire_model::read::Source;
    let every = Duration::from_millis(target.config.metadata.send_interval_ms.max(1_000));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopped(&mut stop) => return,
        }
        let families = store.metadata();
        target.set_families(&families);
        if target.speaks_version_2() {
            continue;
        }
        for chunk in families.chunks(target.config.metadata.max_samples_per_send) {
            tokio::select! {
                () = send_families(&target, chunk) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }
}

/// Sends some families once more after a failure that may pass; what is not through then is sent with the next round.
async fn send_families(target: &Target, families: &[watchfire_model::batch::Metadata]) {
    use super::target::Outcome;
    let (figures, count) = (&target.figures, families.len() as u64);
    for attempt in 0..2 {
        figures.metadata_sent.add(count);
        let (bytes, outcome) = target.send_metadata(families, attempt).await;
        match outcome {
            Outcome::Accepted(_) => return figures.metadata_bytes.add(bytes as u64),
            Outcome::Again(after, why) if attempt == 0 => {
                target.complain(&why);
                figures.metadata_retried.add(count);
                tokio::time::sleep(after.unwrap_or(Duration::from_millis(target.config.queue.max_backoff_ms))).await;
            }
            Outcome::Again(_, why) | Outcome::Refused(_, why) | Outcome::SpeaksVersion1(why) => {
                tracing::debug!(url = %target.shown_url, why, "metadata is not taken");
                return figures.metadata_failed.add(count);
            }
        }
    }
}
