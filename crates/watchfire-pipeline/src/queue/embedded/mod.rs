//! Jobs in our own state store: each move is one commit, on the medium before it is acknowledged. For one process; other programs
//! reach these queues by HTTP.

mod shelf;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use watchfire_model::state::{Change, QUEUE_FAILURES, QUEUE_JOBS, QUEUE_STATES, StateError, StateStore};
use watchfire_model::time::Timestamp;

use super::backend::{
    Answer, Backend, DeadEntry, DeadPage, Depths, LEASED_MAX, LeaseId, Leased, Overflow, PAGE_BYTES_MAX, Pushed, QueueError, Revived, Room, Settle,
};
use super::failure::{Failure, History, failure_of, overflow_entry, payload_of};
use super::name::{DeadQueue, QueueName};
use super::token;
use shelf::{Place, Shelf, State};
use watchfire_net::blocking::spawn_blocking;

/// The version of stored states.
const VERSION: u8 = 1;
/// Jobs that leave a full queue at once; a queue that is fuller gets rid of the rest with the next jobs.
const EVICTED_MAX: usize = 100;

/// The embedded backend. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);
struct Inner {
    store: Arc<dyn StateStore>,
    books: Mutex<Books>,
}
struct Books {
    shelves: BTreeMap<QueueName, Shelf>,
    /// The largest number that was given.
    last: u64,
}

/// What changes about one job.
struct Edit {
    id: u64,
    /// Where it goes; `None` removes it.
    to: Option<State>,
    /// Its payload, when it is new.
    payload: Option<Bytes>,
    /// Why it is dead, when it dies.
    failure: Option<Failure>,
}
impl Edit {
    fn to(id: u64, state: State) -> Edit {
        Edit { id, to: Some(state), payload: None, failure: None }
    }
    fn gone(id: u64) -> Edit {
        Edit { id, to: None, payload: None, failure: None }
    }
}

fn key(queue: &QueueName, id: u64) -> String {
    format!("{queue}/{id:016x}")
}
fn number(id: &str) -> Option<u64> {
    (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten()
}
fn failed(error: StateError) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

impl Embedded {
    /// Reads where the jobs of these queues stand, and of queues that are not named any more but hold jobs. Blocks.
    pub fn open(store: Arc<dyn StateStore>, queues: &[QueueName]) -> Result<Embedded, StateError> {
        let mut shelves: BTreeMap<QueueName, Shelf> = queues.iter().map(|q| (q.clone(), Shelf::default())).collect();
        let mut last = 0;
        for (key, value) in store.scan(QUEUE_STATES, "")? {
            let parsed = key.rsplit_once('/').and_then(|(queue, id)| Some((QueueName::new(queue)?, number(id)?)));
            match (parsed, serde_json::from_slice::<State>(&value)) {
                (Some((queue, id)), Ok(state)) if state.v == VERSION => shelves.entry(queue).or_default().put(id, state),
                _ => tracing::error!(key, "a job's state cannot be read; the job stays where it is, untouched"),
            }
        }
        for shelf in shelves.values() {
            last = last.max(shelf.last());
        }
        Ok(Embedded(Arc::new(Inner { store, books: Mutex::new(Books { shelves, last }) })))
    }
    /// The queues that hold jobs.
    pub fn in_use(&self) -> Vec<QueueName> {
        let books = self.0.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.shelves.iter().filter(|(_, shelf)| shelf.last() > 0).map(|(queue, _)| queue.clone()).collect()
    }

    /// Runs a step where it may block.
    fn run<T: Send + 'static>(&self, step: impl FnOnce(&Inner, &mut Books) -> Result<T, QueueError> + Send + 'static) -> Answer<'static, T> {
        let inner = self.0.clone();
        let work = move || {
            let mut books = inner.books.lock().unwrap_or_else(PoisonError::into_inner);
            step(&inner, &mut books)
        };
        Box::pin(async move {
            match spawn_blocking(work).await {
                Ok(outcome) => outcome,
                Err(_) => Err(QueueError::Unavailable("a step panicked".to_owned())),
            }
        })
    }
}

impl Books {
    fn shelf(&mut self, queue: &QueueName) -> &mut Shelf {
        self.shelves.entry(queue.clone()).or_default()
    }
    /// A number above all that were given, also before a restart: the time makes sure where everything was removed since.
    fn next(&mut self, now: Timestamp) -> u64 {
        let by_time = u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1024);
        self.last = self.last.saturating_add(1).max(by_time);
        self.last
    }
}

impl Inner {
    /// Writes the edits down, and only then believes them.
    fn carry_out(&self, queue: &QueueName, shelf: &mut Shelf, edits: Vec<Edit>) -> Result<(), QueueError> {
        let mut changes = Vec::with_capacity(edits.len() * 2);
        for edit in &edits {
            let key = key(queue, edit.id);
            let was_dead = shelf.state(edit.id).is_some_and(|s| s.place == Place::Dead);
            match &edit.to {
                Some(state) => {
                    let value = serde_json::to_vec(state).map_err(|e| QueueError::Unavailable(e.to_string()))?;
                    changes.push(Change::Put(QUEUE_STATES, key.clone(), value));
                }
                None => {
                    changes.push(Change::Delete(QUEUE_STATES, key.clone()));
                    changes.push(Change::Delete(QUEUE_JOBS, key.clone()));
                }
            }
            if let Some(payload) = &edit.payload {
                changes.push(Change::Put(QUEUE_JOBS, key.clone(), payload.to_vec()));
            }
            match &edit.failure {
                Some(failure) => {
                    let value = serde_json::to_vec(failure).map_err(|e| QueueError::Unavailable(e.to_string()))?;
                    changes.push(Change::Put(QUEUE_FAILURES, key, value));
                }
                None if was_dead => changes.push(Change::Delete(QUEUE_FAILURES, key)),
                None => {}
            }
        }
        if !changes.is_empty() {
            self.store.commit(&changes).map_err(failed)?;
        }
        for edit in edits {
            match edit.to {
                Some(state) => shelf.put(edit.id, state),
                None => shelf.take(edit.id),
            }
        }
        Ok(())
    }

    fn payload(&self, queue: &QueueName, id: u64) -> Result<Option<Bytes>, QueueError> {
        Ok(self.store.get(QUEUE_JOBS, &key(queue, id)).map_err(failed)?.map(Bytes::from))
    }

    fn push(&self, books: &mut Books, queue: &QueueName, payload: Bytes, room: Room, now: Timestamp) -> Result<Pushed, QueueError> {
        let first = books.next(now);
        // Who has to leave gets a turn in the overflow, before the new job.
        let id = first.saturating_add(EVICTED_MAX as u64);
        books.last = id;
        let shelf = books.shelf(queue);
        let bytes = payload.len() as u64;
        let (mut pushed, mut edits) = (Pushed::default(), Vec::new());
        let (mut jobs, mut held) = (shelf.depths().depth() + 1, shelf.bytes[0] + bytes);
        let mut oldest = shelf.waiting.values().copied();
        while (jobs > room.jobs || held > room.bytes) && edits.len() < EVICTED_MAX {
            let victim = if room.overflow == Overflow::Reject { None } else { oldest.next() };
            let Some((victim, state)) = victim.and_then(|id| Some((id, shelf.state(id)?.clone()))) else {
                // Partly made room is no room: nothing is thrown away for a job that is refused.
                return Ok(Pushed { rejected: true, ..Pushed::default() });
            };
            jobs -= 1;
            held = held.saturating_sub(state.bytes);
            if room.overflow == Overflow::DropOldest {
                pushed.dropped += 1;
                edits.push(Edit::gone(victim));
            } else {
                pushed.moved += 1;
                let order = first + edits.len() as u64;
                edits.push(Edit::to(victim, State { place: Place::Overflow { moved_ms: now.millis() }, order, ..state }));
            }
        }
        let places = edits.iter().filter(|e| e.to.is_some()).fold((0, 0), |(n, b), e| (n + 1, b + e.to.as_ref().map_or(0, |s| s.bytes)));
        let mut dropped = drop_oldest(shelf, &shelf.overflow, 2, places, room, &mut edits);
        if dropped == shelf.overflow.len() as u64 {
            dropped += drop_moved(places, room, &mut edits);
        }
        pushed.dead_dropped = dropped;
        let state = State { v: VERSION, place: Place::Waiting, order: id, bytes, history: History::default() };
        edits.push(Edit { id, to: Some(state), payload: Some(payload), failure: None });
        pushed.id = Some(format!("{id:016x}"));
        self.carry_out(queue, shelf, edits)?;
        Ok(pushed)
    }

    fn lease(&self, books: &mut Books, queue: &QueueName, count: usize, until_ms: i64, now: Timestamp) -> Result<Vec<Leased>, QueueError> {
        let shelf = books.shelf(queue);
        let count = count.min(LEASED_MAX.saturating_sub(shelf.leased.len()));
        let due = shelf.retry.iter().take_while(|(due, _)| *due <= now.millis()).map(|(_, id)| *id);
        let chosen: Vec<u64> = due.chain(shelf.waiting.values().copied()).take(count).collect();
        let (mut leased, mut edits, mut bytes) = (Vec::new(), Vec::new(), 0);
        for id in chosen {
            let Some(state) = shelf.state(id) else { continue };
            bytes += state.bytes as usize;
            if bytes > PAGE_BYTES_MAX && !leased.is_empty() {
                break;
            }
            let Some(payload) = self.payload(queue, id)? else {
                // Commits are whole, so only damage can do this; the job must not stand in the way of the others for ever.
                tracing::error!(%queue, job = format!("{id:016x}"), "the payload of a job is gone; the job is removed");
                edits.push(Edit::gone(id));
                continue;
            };
            let lease = LeaseId { job: format!("{id:016x}"), token: token()? };
            leased.push(Leased { payload, history: state.history.clone(), lease: lease.clone() });
            edits.push(Edit::to(id, State { place: Place::Leased { until_ms, token: lease.token }, ..state.clone() }));
        }
        self.carry_out(queue, shelf, edits)?;
        Ok(leased)
    }

    fn settle(&self, books: &mut Books, queue: &QueueName, lease: &LeaseId, how: Settle, now: Timestamp) -> Result<Option<u64>, QueueError> {
        let fresh = books.next(now);
        let shelf = books.shelf(queue);
        let Some((id, state)) = held(shelf, lease) else { return Ok(None) };
        let mut edits = Vec::new();
        let mut dropped = 0;
        match how {
            Settle::Done => edits.push(Edit::gone(id)),
            Settle::Return if state.history.failed == 0 => edits.push(Edit::to(id, State { place: Place::Waiting, ..state })),
            Settle::Return => edits.push(Edit::to(id, State { place: Place::Retry { due_ms: now.millis() }, ..state })),
            Settle::Retry { due, history } => edits.push(Edit::to(id, State { place: Place::Retry { due_ms: due.millis() }, history, ..state })),
            Settle::Extend { until } => {
                edits.push(Edit::to(id, State { place: Place::Leased { until_ms: until.millis(), token: lease.token.clone() }, ..state }));
            }
            Settle::Bury { failure, history, room } => {
                dropped = drop_oldest(shelf, &shelf.dead, 1, (1, state.bytes), room, &mut edits);
                let state = State { place: Place::Dead, order: fresh, history, ..state };
                edits.push(Edit { id, to: Some(state), payload: None, failure: Some(*failure) });
            }
        }
        self.carry_out(queue, shelf, edits)?;
        Ok(Some(dropped))
    }

    fn entry(&self, queue: &QueueName, id: u64, state: &State) -> Result<DeadEntry, QueueError> {
        let Some(payload) = self.payload(queue, id)? else { return Ok(DeadEntry { id: format!("{id:016x}"), entry: None }) };
        let entry = match &state.place {
            Place::Overflow { moved_ms } => overflow_entry(queue, &payload, Timestamp(*moved_ms)),
            _ => {
                let stored = self.store.get(QUEUE_FAILURES, &key(queue, id)).map_err(failed)?.unwrap_or_default();
                serde_json::from_slice::<Failure>(&stored).unwrap_or_default().entry(&payload)
            }
        };
        Ok(DeadEntry { id: format!("{id:016x}"), entry: Some(entry) })
    }

    fn page(&self, books: &mut Books, dead: &DeadQueue, start: u64, limit: usize) -> Result<DeadPage, QueueError> {
        let queue = dead.origin();
        let shelf = books.shelf(queue);
        let place = place(shelf, dead);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for id in place.values().skip(usize::try_from(start).unwrap_or(usize::MAX)).take(limit) {
            let Some(state) = shelf.state(*id) else { continue };
            bytes += state.bytes as usize;
            if bytes > PAGE_BYTES_MAX && !entries.is_empty() {
                break;
            }
            entries.push(self.entry(queue, *id, state)?);
        }
        Ok(DeadPage { entries, total: place.len() as u64 })
    }

    fn revive(&self, books: &mut Books, dead: &DeadQueue, ids: &[u64], room: Room, now: Timestamp) -> Result<Revived, QueueError> {
        let mut revived = Revived::default();
        let mut edits = Vec::new();
        let orders: Vec<u64> = ids.iter().map(|_| books.next(now)).collect();
        let shelf = books.shelf(dead.origin());
        let (mut jobs, mut bytes) = (shelf.depths().depth(), shelf.bytes[0]);
        for (id, order) in ids.iter().zip(orders) {
            let Some(state) = shelf.state(*id).filter(|s| is_in(s, dead)) else { continue };
            (jobs, bytes) = (jobs + 1, bytes + state.bytes);
            if jobs > room.jobs || bytes > room.bytes {
                revived.full = true;
                break;
            }
            let failed_before = state.history.failed_before.saturating_add(state.history.failed);
            let history = History { failed: 0, failed_before, ..state.history.clone() };
            edits.push(Edit::to(*id, State { place: Place::Waiting, order, history, ..state.clone() }));
            revived.moved += 1;
        }
        self.carry_out(dead.origin(), shelf, edits)?;
        Ok(revived)
    }

    fn restore(&self, books: &mut Books, dead: &DeadQueue, entries: &[DeadEntry], now: Timestamp) -> Result<u64, QueueError> {
        let mut edits: Vec<Edit> = Vec::new();
        for one in entries {
            let order = books.next(now);
            let shelf = books.shelf(dead.origin());
            // An entry of another backend has another kind of id.
            let id = number(&one.id).unwrap_or(order);
            let Some(entry) = one.entry.as_ref().filter(|_| shelf.state(id).is_none() && !edits.iter().any(|e| e.id == id)) else { continue };
            let (Some(payload), Some(failure)) = (payload_of(entry), failure_of(entry)) else { continue };
            let failed = failure.attempts();
            let (place, failure) = match dead {
                DeadQueue::Failed(_) => (Place::Dead, Some(failure)),
                DeadQueue::Overflow(_) => (Place::Overflow { moved_ms: now.millis() }, None),
            };
            let state = State { v: VERSION, place, order, bytes: payload.len() as u64, history: History { failed, ..History::default() } };
            edits.push(Edit { id, to: Some(state), payload: Some(payload), failure });
        }
        let restored = edits.len() as u64;
        let last = edits.iter().map(|e| e.id).max().unwrap_or(0);
        books.last = books.last.max(last);
        self.carry_out(dead.origin(), books.shelf(dead.origin()), edits)?;
        Ok(restored)
    }
}

/// The jobs of entries, each once.
fn numbers(entries: &[DeadEntry]) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    entries.iter().filter_map(|e| number(&e.id)).filter(|id| seen.insert(*id)).collect()
}

/// The job of a lease, while somebody has it by this very lease.
fn held(shelf: &Shelf, lease: &LeaseId) -> Option<(u64, State)> {
    let id = number(&lease.job)?;
    let state = shelf.state(id)?;
    matches!(&state.place, Place::Leased { token, .. } if *token == lease.token).then(|| (id, state.clone()))
}

fn place<'a>(shelf: &'a Shelf, dead: &DeadQueue) -> &'a BTreeMap<u64, u64> {
    match dead {
        DeadQueue::Failed(_) => &shelf.dead,
        DeadQueue::Overflow(_) => &shelf.overflow,
    }
}

fn is_in(state: &State, dead: &DeadQueue) -> bool {
    match dead {
        DeadQueue::Failed(_) => state.place == Place::Dead,
        DeadQueue::Overflow(_) => matches!(state.place, Place::Overflow { .. }),
    }
}

/// Removes the oldest of a place until some more fit.
fn drop_oldest(shelf: &Shelf, place: &BTreeMap<u64, u64>, kind: usize, more: (u64, u64), room: Room, edits: &mut Vec<Edit>) -> u64 {
    let (mut jobs, mut bytes) = (place.len() as u64 + more.0, shelf.bytes[kind] + more.1);
    let mut dropped = 0;
    for id in place.values() {
        if more.0 == 0 || jobs <= room.dead && bytes <= room.dead_bytes {
            break;
        }
        jobs -= 1;
        bytes = bytes.saturating_sub(shelf.state(*id).map_or(0, |s| s.bytes));
        edits.push(Edit::gone(*id));
        dropped += 1;
    }
    dropped
}

/// Where more jobs are moved at once than their new place holds, the first of them go altogether.
fn drop_moved((mut jobs, mut bytes): (u64, u64), room: Room, edits: &mut [Edit]) -> u64 {
    let mut dropped = 0;
    for edit in edits {
        if jobs <= 1 || jobs <= room.dead && bytes <= room.dead_bytes {
            break;
        }
        let Some(state) = &edit.to else { continue };
        jobs -= 1;
        bytes = bytes.saturating_sub(state.bytes);
        *edit = Edit::gone(edit.id);
        dropped += 1;
    }
    dropped
}

impl Backend for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }
    fn is_shared(&self) -> bool {
        false
    }
    fn push<'a>(&'a self, queue: &'a QueueName, payload: Bytes, room: Room, now: Timestamp) -> Answer<'a, Pushed> {
        let queue = queue.clone();
        self.run(move |inner, books| inner.push(books, &queue, payload, room, now))
    }
    fn lease<'a>(&'a self, queue: &'a QueueName, count: usize, lease: Duration, now: Timestamp) -> Answer<'a, Vec<Leased>> {
        let queue = queue.clone();
        let until = now.millis().saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        self.run(move |inner, books| inner.lease(books, &queue, count, until, now))
    }
    fn leased<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId) -> Answer<'a, Option<Leased>> {
        let (queue, lease) = (queue.clone(), lease.clone());
        self.run(move |inner, books| {
            let Some((id, state)) = held(books.shelf(&queue), &lease) else { return Ok(None) };
            Ok(Some(Leased { payload: inner.payload(&queue, id)?.unwrap_or_default(), history: state.history, lease }))
        })
    }
    fn settle<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId, how: Settle, now: Timestamp) -> Answer<'a, Option<u64>> {
        let (queue, lease) = (queue.clone(), lease.clone());
        self.run(move |inner, books| inner.settle(books, &queue, &lease, how, now))
    }
    fn expired<'a>(&'a self, queue: &'a QueueName, now: Timestamp, limit: usize) -> Answer<'a, Vec<Leased>> {
        let queue = queue.clone();
        self.run(move |inner, books| {
            let shelf = books.shelf(&queue);
            let mut over = Vec::new();
            for (_, id) in shelf.leased.iter().take_while(|(until, _)| *until <= now.millis()).take(limit) {
                if let Some(State { place: Place::Leased { token, .. }, history, .. }) = shelf.state(*id) {
                    let lease = LeaseId { job: format!("{id:016x}"), token: token.clone() };
                    over.push(Leased { lease, payload: inner.payload(&queue, *id)?.unwrap_or_default(), history: history.clone() });
                }
            }
            Ok(over)
        })
    }
    fn depths<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Depths> {
        // Not on the caller's thread: whoever holds the books may be waiting for the disk.
        let queue = queue.clone();
        self.run(move |_, books| Ok(books.shelf(&queue).depths()))
    }
    fn dead<'a>(&'a self, dead: &'a DeadQueue, start: u64, limit: usize) -> Answer<'a, DeadPage> {
        let dead = dead.clone();
        self.run(move |inner, books| inner.page(books, &dead, start, limit))
    }
    fn find<'a>(&'a self, dead: &'a DeadQueue, id: &'a str) -> Answer<'a, Option<DeadEntry>> {
        let (dead, id) = (dead.clone(), number(id));
        self.run(move |inner, books| {
            let state = id.and_then(|id| Some((id, books.shelf(dead.origin()).state(id).filter(|s| is_in(s, &dead))?.clone())));
            state.map(|(id, state)| inner.entry(dead.origin(), id, &state)).transpose()
        })
    }
    fn revive<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], room: Room, now: Timestamp) -> Answer<'a, Revived> {
        let (dead, ids) = (dead.clone(), numbers(entries));
        self.run(move |inner, books| inner.revive(books, &dead, &ids, room, now))
    }
    fn erase<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry]) -> Answer<'a, u64> {
        let (dead, ids) = (dead.clone(), numbers(entries));
        self.run(move |inner, books| {
            let shelf = books.shelf(dead.origin());
            let edits: Vec<_> = ids.into_iter().filter(|id| shelf.state(*id).is_some_and(|s| is_in(s, &dead))).map(Edit::gone).collect();
            let erased = edits.len() as u64;
            inner.carry_out(dead.origin(), shelf, edits)?;
            Ok(erased)
        })
    }
    fn restore<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], now: Timestamp) -> Answer<'a, u64> {
        let (dead, entries) = (dead.clone(), entries.to_vec());
        self.run(move |inner, books| inner.restore(books, &dead, &entries, now))
    }
}
