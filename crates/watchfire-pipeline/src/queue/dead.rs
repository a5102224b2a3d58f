//! Dead letters: looked at when somebody asks, put back, cleared with a way back. Every change is written into the audit trail.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::audit::Who;
use super::backend::{DeadEntry, QueueError};
use super::failure::{payload_of, view};
use super::name::DeadQueue;
use super::undo::UndoFile;
use super::{Queues, blocking};

/// Jobs that one call puts back at most.
pub const REQUEUE_MAX: u64 = 10_000;
/// Entries that are moved, deleted or restored in one step.
const STEP: usize = 200;

/// A dead job for people: without secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadJob {
    /// Names it in its place.
    pub id: String,
    /// The place.
    pub place: String,
    /// The keys of a `JobFailure`.
    pub failure: Map<String, Value>,
}

/// Some dead jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The jobs, oldest first.
    pub jobs: Vec<DeadJob>,
    /// How many there are in all.
    pub total: u64,
}

/// Which dead jobs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// The oldest one.
    Oldest,
    /// These.
    These(Vec<String>),
    /// All.
    All,
}

/// What became of jobs that were to go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Jobs that are in their queue again.
    pub moved: u64,
    /// Jobs that cannot be told from their entries, or are too large to be looked at: they stay.
    pub unreadable: u64,
    /// Whether the queue had no room for more.
    pub full: bool,
    /// Whether more than [`REQUEUE_MAX`] were there.
    pub limited: bool,
}

/// What was cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Jobs that are gone.
    pub cleared: u64,
    /// Jobs that are too large to be written into an undo file: they stay.
    pub left: u64,
    /// The undo file, if anything was cleared.
    pub undo: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The place.
    pub queue: String,
    /// How many jobs.
    pub restored: u64,
}

impl Queues {
    /// Dead jobs of one place; fewer than asked for when they are large.
    pub async fn list(&self, dead: &DeadQueue, start: u64, limit: usize) -> Result<Listing, QueueError> {
        let page = self.backend.dead(dead, start, limit).await?;
        let (place, entries) = (dead.clone(), page.entries);
        let shown = move || entries.into_iter().map(|e| DeadJob { failure: seen(&place, &e), place: place.to_string(), id: e.id }).collect();
        Ok(Listing { jobs: blocking(shown).await?, total: page.total })
    }
    /// Dead jobs of several places, one after the other; fewer than asked for when they are large.
    pub async fn list_all(&self, places: &[DeadQueue], start: u64, limit: usize) -> Result<Listing, QueueError> {
        let mut all = Listing::default();
        let (mut skip, mut wanted) = (start, limit);
        for dead in places {
            // Nothing is skipped: where a place gives less than it has, later ones give nothing but their number.
            let one = self.list(dead, skip, wanted).await?;
            let expected = one.total.saturating_sub(skip).min(wanted as u64);
            skip = skip.saturating_sub(one.total);
            wanted = if (one.jobs.len() as u64) < expected { 0 } else { wanted - one.jobs.len() };
            all.total += one.total;
            all.jobs.extend(one.jobs);
        }
        Ok(all)
    }
    /// One dead job.
    pub async fn one(&self, dead: &DeadQueue, id: &str) -> Result<DeadJob, QueueError> {
        let entry = self.backend.find(dead, id).await?.ok_or_else(|| QueueError::UnknownJob(dead.clone()))?;
        Ok(DeadJob { failure: seen(dead, &entry), place: dead.to_string(), id: entry.id })
    }
    /// The payload of a dead job, byte for byte, secrets included.
    pub async fn payload(&self, dead: &DeadQueue, id: &str) -> Result<Bytes, QueueError> {
        let unknown = || QueueError::UnknownJob(dead.clone());
        let entry = self.backend.find(dead, id).await?.and_then(|e| e.entry).ok_or_else(unknown)?;
        payload_of(&entry).ok_or_else(unknown)
    }

    /// Puts dead jobs back into their queue, as fast as it goes.
    pub async fn requeue(&self, dead: &DeadQueue, picked: &Picked, who: &Who) -> Result<Moved, QueueError> {
        let (what, moved) = match picked {
            Picked::All => ("requeue_all", self.requeue_first(dead, REQUEUE_MAX, usize::MAX, None).await),
            Picked::Oldest => ("requeue", self.requeue_first(dead, 1, 1, None).await),
            Picked::These(ids) => ("requeue", self.requeue_these(dead, ids).await),
        };
        self.after(dead, what, &moved, who).await;
        moved
    }
    /// Puts all dead jobs back, so many per second. Gives how many that are; the work goes on until it is done or the process ends.
    pub async fn trickle(self: &Arc<Self>, dead: DeadQueue, per_second: u32, who: Who) -> Result<u64, QueueError> {
        let total = self.backend.dead(&dead, 0, 0).await?.total.min(REQUEUE_MAX);
        if !self.trickling.lock().unwrap_or_else(PoisonError::into_inner).insert(dead.clone()) {
            return Err(QueueError::Busy(format!("{dead} is being requeued already")));
        }
        self.note(&who, "requeue_all", dead.to_string(), 0, format!("begins, {per_second} per second")).await;
        let queues = self.clone();
        tokio::spawn(async move {
            let moved = queues.requeue_first(&dead, total, usize::MAX, Some(per_second.max(1))).await;
            queues.after(&dead, "requeue_all", &moved, &who).await;
            queues.trickling.lock().unwrap_or_else(PoisonError::into_inner).remove(&dead);
        });
        Ok(total)
    }
    /// Places that are being requeued slowly.
    pub fn trickling(&self) -> Vec<String> {
        self.trickling.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ToString::to_string).collect()
    }

    async fn after(&self, dead: &DeadQueue, what: &'static str, moved: &Result<Moved, QueueError>, who: &Who) {
        let (count, note) = match moved {
            Ok(m) if m.full => (m.moved, "the queue is full".to_owned()),
            Ok(m) if m.unreadable > 0 => (m.moved, format!("{} entries cannot be read", m.unreadable)),
            Ok(m) => (m.moved, String::new()),
            Err(error) => (0, error.to_string()),
        };
        self.figures.event(dead.origin(), "requeued", count);
        self.changed(dead.origin()).await;
        self.pushed.notify_waiters();
        self.note(who, what, dead.to_string(), count, note).await;
    }

    /// Moves from the head of a place on; what cannot be read is stepped over.
    async fn requeue_first(&self, dead: &DeadQueue, max: u64, step: usize, rate: Option<u32>) -> Result<Moved, QueueError> {
        let mut moved = Moved::default();
        // Jobs that fail again meanwhile stand behind these, and are not meant.
        let total = self.backend.dead(dead, 0, 0).await?.total;
        let mut left = total.min(max);
        moved.limited = total > max && max == REQUEUE_MAX;
        while left > 0 && !moved.full {
            let step = step.min(STEP).min(usize::try_from(left).unwrap_or(STEP)).min(rate.map_or(STEP, |r| r as usize));
            let page = self.backend.dead(dead, moved.unreadable, step).await?;
            let (good, bad): (Vec<_>, Vec<_>) = page.entries.into_iter().partition(|e| e.entry.as_ref().is_some_and(|entry| payload_of(entry).is_some()));
            if good.is_empty() && bad.is_empty() {
                break;
            }
            let one = self.backend.revive(dead, &good, self.settings.room, self.clock.now()).await?;
            moved.unreadable += bad.len() as u64;
            moved.moved += one.moved;
            moved.full = one.full;
            left = left.saturating_sub((good.len() + bad.len()) as u64);
            if let Some(rate) = rate
                && left > 0
            {
                self.changed(dead.origin()).await;
                self.pushed.notify_waiters();
                tokio::time::sleep(Duration::from_secs(step as u64) / rate).await;
            }
        }
        Ok(moved)
    }

    async fn requeue_these(&self, dead: &DeadQueue, ids: &[String]) -> Result<Moved, QueueError> {
        let mut moved = Moved::default();
        for id in ids {
            let Some(entry) = self.backend.find(dead, id).await? else { continue };
            if entry.entry.as_ref().is_none_or(|e| payload_of(e).is_none()) {
                moved.unreadable += 1;
                continue;
            }
            let one = self.backend.revive(dead, &[entry], self.settings.room, self.clock.now()).await?;
            moved.moved += one.moved;
            if one.full {
                moved.full = true;
                break;
            }
        }
        if moved == Moved::default() {
            return Err(QueueError::UnknownJob(dead.clone()));
        }
        Ok(moved)
    }

    /// Deletes all dead jobs of a place. First they are written into an undo file.
    pub async fn clear(&self, dead: &DeadQueue, who: &Who) -> Result<Cleared, QueueError> {
        let mut cleared = Cleared::default();
        let outcome = self.clear_into(dead, &mut cleared).await;
        let note = match (&outcome, &cleared.undo) {
            (Err(error), _) => error.to_string(),
            (Ok(()), Some(file)) => format!("undo file {file}"),
            (Ok(()), None) => String::new(),
        };
        self.figures.event(dead.origin(), "cleared", cleared.cleared);
        self.changed(dead.origin()).await;
        self.note(who, "clear", dead.to_string(), cleared.cleared, note).await;
        outcome.map(|()| cleared)
    }
    async fn clear_into(&self, dead: &DeadQueue, cleared: &mut Cleared) -> Result<(), QueueError> {
        let mut left = self.backend.dead(dead, 0, 0).await?.total;
        if left == 0 {
            return Ok(());
        }
        let (undo, name, now) = (self.undo.clone(), dead.to_string(), self.clock.now());
        let mut file = blocking(move || undo.begin(&name, now)).await??;
        cleared.undo = Some(file.name.clone());
        while left > 0 {
            let page = self.backend.dead(dead, cleared.left, STEP.min(usize::try_from(left).unwrap_or(STEP))).await?;
            if page.entries.is_empty() {
                break;
            }
            left = left.saturating_sub(page.entries.len() as u64);
            cleared.left += page.entries.iter().filter(|e| e.entry.is_none()).count() as u64;
            let readable: Vec<_> = page.entries.into_iter().filter(|e| e.entry.is_some()).collect();
            let written = readable.clone();
            let added = blocking(move || (file.add(&written), file)).await?;
            file = added.1;
            added.0.map_err(|e| QueueError::Undo(e.to_string()))?;
            cleared.cleared += self.backend.erase(dead, &readable).await?;
        }
        if cleared.cleared == 0 {
            cleared.undo = None;
            let undo = self.undo.clone();
            blocking(move || undo.discard(file)).await?;
        }
        Ok(())
    }
    /// The undo files, newest first.
    pub async fn undo_files(&self) -> Result<Vec<UndoFile>, QueueError> {
        let undo = self.undo.clone();
        blocking(move || undo.list()).await?.map_err(|e| QueueError::Undo(e.to_string()))
    }
    /// Brings back what was cleared.
    pub async fn restore(&self, name: &str, who: &Who) -> Result<Restored, QueueError> {
        let (undo, file) = (self.undo.clone(), name.to_owned());
        let mut reading = blocking(move || undo.read(&file)).await??;
        let dead = self.dead_queue(&reading.queue)?;
        let mut restored = Restored { queue: dead.to_string(), restored: 0 };
        let mut before: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let read = blocking(move || (reading.next(STEP), reading)).await?;
            reading = read.1;
            let entries = read.0.map_err(|e| QueueError::Undo(e.to_string()))?;
            if entries.is_empty() {
                break;
            }
            restored.restored += self.backend.restore(&dead, &with_earlier(entries, &mut before), self.clock.now()).await?;
        }
        let (undo, file) = (self.undo.clone(), name.to_owned());
        blocking(move || undo.finish(&file)).await?.map_err(|e| QueueError::Undo(e.to_string()))?;
        self.changed(dead.origin()).await;
        self.note(who, "restore", restored.queue.clone(), restored.restored, name.to_owned()).await;
        Ok(restored)
    }
}

/// A backend brings an entry back as often as it stands in one call, less those that are there: so what earlier calls brought stands in it once
/// more.
fn with_earlier(entries: Vec<DeadEntry>, before: &mut BTreeMap<String, usize>) -> Vec<DeadEntry> {
    let mut all = Vec::with_capacity(entries.len());
    let mut here: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let count = here.entry(entry.id.clone()).or_default();
        if *count == 0 {
            all.extend(std::iter::repeat_n(entry.clone(), before.get(&entry.id).copied().unwrap_or(0)));
        }
        *count += 1;
        all.push(entry);
    }
    for (id, count) in here {
        *before.entry(id).or_default() += count;
    }
    all
}

fn seen(dead: &DeadQueue, entry: &DeadEntry) -> Map<String, Value> {
    view(dead, entry.entry.as_deref().unwrap_or_default())
}
