//! One output's way from the log to the other side: a thread reads the log, gathers lines to batches, sends each until it is taken or
//! given up, and gives the log free behind what was sent. One request at a time, so the order is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use watchfire_model::labels::Labels;
use watchfire_net::backoff::Backoff;
use watchfire_store::{Portion, Position, Store, Tail, TailError, TailStop};

use super::Kind;
use super::outcome::{Item, Outcome, Verdict};
use super::points::Points;
use super::target::{Speaker, Target};

/// The longest sleep while nothing is written.
const IDLE: Duration = Duration::from_secs(1);
/// After the log could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long a request under way may go on when we are to stop.
const GRACE: Duration = Duration::from_secs(2);

/// What works for one output.
pub(super) struct Queue {
    pub(super) target: Arc<Target>,
    pub(super) store: Arc<Store>,
    pub(super) runtime: Handle,
    /// Tells requests to stop.
    pub(super) stop: watch::Receiver<bool>,
    /// Is closed when we are to stop.
    pub(super) stopped: Receiver<()>,
}

/// Lines that go together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
    /// When the first one came.
    since: Option<Duration>,
    /// How many lines were put in ever, and how many of them are settled.
    put: u64,
    settled: u64,
    /// Positions in the log, and how many lines were put in before them.
    ends: VecDeque<(u64, Position)>,
}

impl Batch {
    fn push(&mut self, item: Item, now: Duration) {
        self.bytes += item.bytes();
        self.items.push(item);
        self.since.get_or_insert(now);
        self.put += 1;
    }
    fn take(&mut self) -> Vec<Item> {
        (self.bytes, self.since) = (0, None);
        std::mem::take(&mut self.items)
    }
    /// Nothing before a position comes any more.
    fn ends_at(&mut self, position: Position) {
        match self.ends.back_mut() {
            Some((put, last)) if *put == self.put => *last = position,
            _ => self.ends.push_back((self.put, position)),
        }
    }
    /// The last position before which everything is settled.
    fn settled_to(&mut self) -> Option<Position> {
        let mut last = None;
        while let Some((_, position)) = self.ends.pop_front_if(|(put, _)| *put <= self.settled) {
            last = Some(position);
        }
        last
    }
}

impl Queue {
    /// Works until stopped. `tail` is the first reading of the log; after a failure another one begins where the acknowledged part ends.
    pub(super) fn run(mut self, tail: Tail, on_tail: impl Fn(TailStop)) {
        let mut next = Some(tail);
        let mut speaker = self.target.speaker();
        while !*self.stop.borrow() {
            let opened = next.take().map_or_else(|| self.target.kind.tail(&self.store, &self.target.key, &self.target.output), Ok);
            let problem = match opened {
                Ok(tail) => {
                    on_tail(tail.stop_handle());
                    self.session(tail, &mut speaker).err()
                }
                Err(error) => Some(error),
            };
            if let Some(error) = problem {
                tracing::error!(%error, url = %self.target.shown_url, "{} to be sent on cannot be read; it is tried again", self.target.kind.words());
            }
            if !*self.stop.borrow() && self.stopped.recv_timeout(RETRY_PAUSE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn session(&mut self, mut tail: Tail, speaker: &mut Speaker) -> Result<(), TailError> {
        let mut batch = Batch::default();
        let mut points = Points::new(&self.store);
        while !*self.stop.borrow() {
            if let Some((portion, position)) = tail.next(self.wait_for_more(&batch))? {
                if !self.take(portion, &mut points, &mut batch, speaker) {
                    break;
                }
                batch.ends_at(position);
            }
            if self.is_due(&batch) && !self.send(&mut batch, speaker) {
                break;
            }
            match batch.settled_to() {
                Some(position) => tail.acknowledge(position)?,
                // What was acknowledged before is kept now and then.
                None => tail.save_now_and_then()?,
            }
        }
        Ok(())
    }

    fn wait_for_more(&self, batch: &Batch) -> Duration {
        let now = self.target.clock.monotonic();
        batch.since.map_or(IDLE, |since| (since + self.target.output.batch_wait).saturating_sub(now).min(IDLE))
    }

    fn is_due(&self, batch: &Batch) -> bool {
        let waited = |since: Duration| self.target.clock.monotonic().saturating_sub(since);
        batch.since.is_some_and(|since| waited(since) >= self.target.output.batch_wait)
    }

    /// Puts what the log gave into batches, and sends those that are full. False when we are to stop.
    fn take(&mut self, portion: Portion, points: &mut Points, batch: &mut Batch, speaker: &mut Speaker) -> bool {
        self.target.figures.damaged_bytes.add(portion.damaged_bytes);
        if self.target.kind == Kind::Metrics {
            let (items, dropped) = points.of(portion);
            dropped.into_iter().for_each(|(reason, count)| self.target.figures.drop_entries(reason, count));
            return items.into_iter().all(|item| self.put(item, batch, speaker));
        }
        // Lines of one stream come together, so its labels are made once.
        let mut last: Option<(Labels, Labels)> = None;
        for entries in &portion.entries {
            for (labels, entry) in entries.iter() {
                let named = match &last {
                    Some((same, named)) if same == labels => named.clone(),
                    _ => last.insert((labels.clone(), self.target.labels(labels))).1.clone(),
                };
                let item = self.target.item(&named, entry);
                if !self.put(item, batch, speaker) {
                    return false;
                }
            }
        }
        true
    }

    /// Puts one item into the batch, after sending what is in a full one. False when we are to stop.
    fn put(&mut self, item: Item, batch: &mut Batch, speaker: &mut Speaker) -> bool {
        let batch_bytes = usize::try_from(self.target.output.batch_bytes).unwrap_or(usize::MAX);
        let is_full = batch.items.len() >= self.target.output.batch_entries || batch.bytes + item.bytes() > batch_bytes;
        if is_full && !batch.items.is_empty() && !self.send(batch, speaker) {
            return false;
        }
        batch.push(item, self.target.clock.monotonic());
        true
    }

    /// Sends a batch until it is settled. False when we are to stop before that: it comes out of the log again after the next start.
    fn send(&mut self, batch: &mut Batch, speaker: &mut Speaker) -> bool {
        let items = batch.take();
        let count = items.len() as u64;
        let figures = &self.target.figures;
        figures.waiting_since_ms.store(self.target.clock.now().millis(), Ordering::Relaxed);
        let runtime = self.runtime.clone();
        let settled = runtime.block_on(self.deliver(items, speaker));
        if settled {
            self.target.figures.waiting_since_ms.store(0, Ordering::Relaxed);
            batch.settled += count;
        }
        settled
    }

    async fn deliver(&mut self, mut items: Vec<Item>, speaker: &mut Speaker) -> bool {
        let target = self.target.clone();
        let (min, max) = target.output.backoff;
        let mut backoff = Backoff::new(min, max, target.clock.now().millis().unsigned_abs());
        let mut tries: u64 = 0;
        while !items.is_empty() {
            let outcome = tokio::select! {
                outcome = speaker.send(&target, &items) => outcome,
                () = async { stopped(&mut self.stop.clone()).await; tokio::time::sleep(GRACE).await } => return false,
            };
            let (left, after) = self.settle(items, outcome);
            items = left;
            if items.is_empty() {
                break;
            }
            tries += 1;
            if target.output.retries > 0 && tries >= target.output.retries {
                self.give_up(&items, "retries_exhausted", "it was tried as often as the configuration says");
                break;
            }
            target.figures.retried.add(items.len() as u64);
            let wait = after.unwrap_or_else(|| backoff.next_wait());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopped(&mut self.stop) => return false,
            }
        }
        true
    }

    /// Counts what is settled; returns what is to be sent again, and when the other side wants it.
    fn settle(&self, items: Vec<Item>, outcome: Outcome) -> (Vec<Item>, Option<Duration>) {
        let target = &self.target;
        match outcome {
            Outcome::Taken => {
                self.taken(&items);
                (Vec::new(), None)
            }
            Outcome::Partly(refused, why) => {
                let refused = usize::try_from(refused).unwrap_or(usize::MAX).min(items.len());
                let (lost, there) = items.split_at(refused);
                self.taken(there);
                self.give_up(lost, "rejected", &why);
                (Vec::new(), None)
            }
            Outcome::Refused(reason, why) => {
                target.figures.failed.inc();
                self.give_up(&items, &reason, &why);
                (Vec::new(), None)
            }
            Outcome::Again { why, too_much, .. } if too_much && target.output.drop_rate_limited => {
                target.figures.failed.inc();
                self.give_up(&items, "rate_limited", &why);
                (Vec::new(), None)
            }
            Outcome::Again { after, why, .. } => {
                target.figures.failed.inc();
                target.complain(&why);
                (items, after)
            }
            Outcome::Each(verdicts) => {
                let (mut taken, mut again) = (Vec::new(), Vec::new());
                for (item, verdict) in items.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Taken => taken.push(item),
                        Verdict::Again => again.push(item),
                        Verdict::Refused(reason) => self.give_up(&[item], &reason, &reason),
                    }
                }
                self.taken(&taken);
                if !again.is_empty() {
                    target.figures.failed.inc();
                    target.complain("not everything was taken");
                }
                (again, None)
            }
        }
    }

    fn taken(&self, items: &[Item]) {
        if !items.is_empty() {
            self.target.figures.sent.add(items.len() as u64);
            let bytes = |item: &Item| if item.point.is_some() { item.bytes() } else { item.line.len() };
            self.target.figures.bytes.add(items.iter().map(|item| bytes(item) as u64).sum());
            self.target.relieved();
        }
    }

    fn give_up(&self, items: &[Item], reason: &str, why: &str) {
        self.target.figures.drop_entries(reason, items.len() as u64);
        tracing::error!(url = %self.target.shown_url, entries = items.len(), reason, why, "{} are not sent on; they are kept here", self.target.kind.words());
    }
}

/// Ends when we are to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could stop us is gone, which is a stop as well.
    if stop.wait_for(|stop| *stop).await.is_err() {}
}
