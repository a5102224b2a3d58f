//! One shard: takes items in order, makes batches, and sends each of them until it is on the other side or refused for good. A
//! hanging receiver holds up this shard and, through it, the reading of the log for this target, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use watchfire_model::meter::Histogram;
use watchfire_net::backoff::Backoff;

use super::Behind;
use super::figures::{Counts, Dropped};
use super::ledger::Ledger;
use super::target::{Outcome, Target};
use crate::wire::{Item, Value};

/// How long a request under way may go on when we are to stop.
const GRACE: Duration = Duration::from_secs(2);

/// The status that says that a request cannot be taken as it is.
const BAD_REQUEST: u16 = 400;
/// A refused batch is sent in at most so many slices.
const SLICES_MAX: usize = 64;

/// What became of items.
enum Delivered {
    /// They are on the other side, or will never be.
    Settled,
    /// The other side does not want them.
    Refused(Refused),
    /// We are to stop.
    Stopped,
}

/// Items that the other side does not want, and what it said.
struct Refused {
    items: Vec<Item>,
    status: u16,
    why: String,
}

pub(super) struct Shard {
    pub(super) target: Arc<Target>,
    pub(super) ledger: Arc<Ledger<Behind>>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) durations: Histogram,
    pub(super) seed: u64,
}

impl Shard {
    /// Works until no more items can come, or until we are to stop.
    pub(super) async fn run(mut self, mut items: mpsc::Receiver<Vec<Item>>) {
        let batch_max = self.target.config.queue.max_samples_per_send;
        let patience = Duration::from_millis(self.target.config.queue.batch_send_deadline_ms);
        let mut pending: Vec<Item> = Vec::new();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return,
                more = items.recv(), if pending.len() < batch_max => match more {
                    None => break,
                    Some(more) => {
                        if pending.is_empty() {
                            due = Instant::now() + patience;
                        }
                        pending.extend(more);
                    }
                },
                () = tokio::time::sleep_until(due), if !pending.is_empty() => {
                    self.send(std::mem::take(&mut pending)).await;
                }
            }
            while pending.len() >= batch_max && !*self.stop.borrow() {
                let rest = pending.split_off(batch_max);
                self.send(std::mem::replace(&mut pending, rest)).await;
                due = Instant::now() + patience;
            }
        }
        if !pending.is_empty() {
            self.send(pending).await;
        }
    }

    /// Sends a batch until it is settled. When we are to stop before that, it comes out of the log again after the next start.
    async fn send(&mut self, items: Vec<Item>) {
        match self.deliver(items).await {
            Delivered::Refused(refused) if refused.status == BAD_REQUEST && refused.items.iter().any(|i| i.again) => self.send_what_is_new(refused).await,
            Delivered::Refused(refused) => self.give_up(refused),
            Delivered::Settled | Delivered::Stopped => {}
        }
    }

    /// After a crash the begin of the log may be on the other side already. Some receivers (Prometheus 2.42 is one) refuse a whole
    /// request for one sample that they have, and everything new in it would be lost. So such a batch goes in slices of one time
    /// each, in order.
    async fn send_what_is_new(&mut self, refused: Refused) {
        let Refused { items, status, why } = refused;
        let mut times: Vec<i64> = items.iter().map(|i| i.value.time_ms()).collect();
        times.sort_unstable();
        times.dedup();
        let per_slice = times.len().div_ceil(SLICES_MAX);
        let mut slices: Vec<Vec<Item>> = (0..times.len().div_ceil(per_slice)).map(|_| Vec::new()).collect();
        for item in items {
            let place = times.binary_search(&item.value.time_ms()).unwrap_or(0) / per_slice;
            slices[place].push(item);
        }
        if slices.len() == 1 {
            let slice = std::mem::take(&mut slices[0]);
            return self.send_new_part(Refused { items: slice, status, why }).await;
        }
        for slice in slices {
            match self.deliver(slice).await {
                Delivered::Refused(refused) => self.send_new_part(refused).await,
                Delivered::Settled => {}
                Delivered::Stopped => return,
            }
        }
    }

    /// What was sent before is the first part of a slice, because items come out of the log in the same order again. This looks for
    /// its end by halves.
    async fn send_new_part(&mut self, mut refused: Refused) {
        while refused.items.len() > 1 {
            let second = refused.items.split_off(refused.items.len() / 2);
            match self.deliver(second).await {
                // The end is further behind: the first half is there already.
                Delivered::Refused(later) => self.give_up(std::mem::replace(&mut refused, later)),
                Delivered::Settled => {}
                Delivered::Stopped => return,
            }
        }
        self.give_up(refused);
    }

    fn give_up(&self, refused: Refused) {
        let Refused { items, status, why } = refused;
        let counts = Counts::of(&items);
        self.target.figures.refuse(status, counts);
        tracing::error!(url = %self.target.shown_url, items = counts.total(), why, "remote write was refused for good; these items are not sent again");
        self.settle(&items);
    }

    /// Sends items until the other side has said yes or no.
    async fn deliver(&mut self, mut items: Vec<Item>) -> Delivered {
        let target = self.target.clone();
        let queue = &target.config.queue;
        let mut backoff = Backoff::new(Duration::from_millis(queue.min_backoff_ms), Duration::from_millis(queue.max_backoff_ms), self.seed);
        self.seed = self.seed.wrapping_add(1);
        // The body of the last attempt, and the version that it was made for.
        let mut made: Option<(bool, Bytes)> = None;
        let mut attempt = 0;
        loop {
            let version_2 = target.speaks_version_2();
            if self.drop_unsendable(&mut items, version_2) || made.as_ref().is_some_and(|(version, _)| *version != version_2) {
                made = None;
            }
            if items.is_empty() {
                return Delivered::Settled;
            }
            let counts = Counts::of(&items);
            let (_, body) = made.get_or_insert_with(|| (version_2, target.encode(&items, version_2))).clone();
            let bytes = body.len() as u64;
            target.figures.sent.add(counts);
            let began = target.clock.monotonic();
            let outcome = tokio::select! {
                outcome = target.send(body, version_2, counts, attempt) => outcome,
                () = async { stopped(&mut self.stop).await; tokio::time::sleep(GRACE).await } => return Delivered::Stopped,
            };
            let took = target.clock.monotonic().saturating_sub(began);
            target.figures.spend(took);
            self.durations.observe(took.as_secs_f64());
            let wait = match outcome {
                Outcome::Accepted(missing) => {
                    target.figures.bytes.add(bytes);
                    target.figures.note_sent(&items);
                    target.relieved();
                    if missing.total() > 0 {
                        target.figures.failed.add(missing);
                        tracing::error!(url = %target.shown_url, items = missing.total(), "remote write took a request, but not all of it");
                    }
                    self.settle(&items);
                    return Delivered::Settled;
                }
                Outcome::Refused(status, why) => return Delivered::Refused(Refused { items, status, why }),
                Outcome::SpeaksVersion1(why) => {
                    target.fall_back(&why);
                    Duration::ZERO
                }
                Outcome::Again(after, why) => {
                    target.complain(&why);
                    after.unwrap_or_else(|| backoff.next_wait())
                }
            };
            target.figures.retried.add(counts);
            attempt += 1;
            if !wait.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stopped(&mut self.stop) => return Delivered::Stopped,
                }
            }
        }
    }

    /// Takes out what must not or cannot be sent; returns whether there was anything.
    fn drop_unsendable(&self, items: &mut Vec<Item>, version_2: bool) -> bool {
        let before = items.len();
        let limit_ms = self.target.config.queue.sample_age_limit_ms;
        if limit_ms > 0 {
            let earliest = self.target.clock.now().millis().saturating_sub(i64::try_from(limit_ms).unwrap_or(i64::MAX));
            self.take_out(items, Dropped::TooOld, |value| value.time_ms() < earliest);
        }
        if !version_2 {
            self.take_out(items, Dropped::CustomBounds, |value| matches!(value, Value::Histogram(h) if h.value.has_custom_bounds()));
        }
        items.len() < before
    }

    fn take_out(&self, items: &mut Vec<Item>, reason: Dropped, is_out: impl Fn(&Value) -> bool) {
        let out: Vec<Item> = items.extract_if(.., |item| is_out(&item.value)).collect();
        if !out.is_empty() {
            self.target.figures.drop_items(reason, Counts::of(&out));
            self.settle(&out);
        }
    }

    fn settle(&self, items: &[Item]) {
        let counts = Counts::of(items);
        self.target.figures.add_pending(counts, -1.0);
        self.target.figures.settled.add(counts.total());
        self.ledger.done(items.iter().map(|i| i.portion));
    }
}

/// Ends when we are to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could stop us is gone, which is a stop as well.
    if stop.wait_for(|stop| *stop).await.is_err() {}
}
