//! Jobs in Redis, in the lists that the replaced program uses: producers and consumers of it go on working beside us. Each move is one
//! script, so a job is always in exactly one place, whoever dies.

mod link;
mod scripts;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use sha2::{Digest, Sha256};
use watchfire_model::time::{SharedClock, Timestamp};

pub use watchfire_net::redis::Place;

use super::backend::{Answer, Backend, DeadEntry, DeadPage, Depths, LEASED_MAX, LeaseId, Leased, PAGE_BYTES_MAX, Pushed, QueueError, Revived, Room, Settle};
use super::failure::{ENTRY_BYTES_MAX, overflow_entry, payload_of};
use super::name::{DeadQueue, QueueName};
use super::token;
use link::Link;

/// How often a push is tried again because consumers changed the queue meanwhile.
const PUSH_TRIES: usize = 5;
/// Oldest jobs that are moved to the overflow at once.
const EVICTED_MAX: i64 = 100;
/// Dead letters that are searched for one id at once.
const SEARCHED: usize = 200;

/// The Redis backend.
pub struct Redis {
    link: Link,
}

/// The keys of a queue, in the order of `scripts`.
fn keys(queue: &QueueName) -> [String; 8] {
    let ours = |what: &str| format!("watchfire:{queue}:{what}");
    let dead = |dead: DeadQueue| dead.to_string();
    [
        queue.to_string(),
        ours("jobs"),
        ours("histories"),
        ours("tokens"),
        ours("leased"),
        ours("retries"),
        dead(DeadQueue::Failed(queue.clone())),
        dead(DeadQueue::Overflow(queue.clone())),
    ]
}

/// A script with keys.
fn script(text: &str, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(key.as_str());
    }
    command
}

impl Redis {
    /// A Redis that is connected to when it is first needed.
    pub fn new(place: Place, clock: SharedClock) -> Redis {
        Redis { link: Link::new(place, clock) }
    }
    /// Where it is, without secrets.
    pub fn shown(&self) -> String {
        self.link.shown()
    }
    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.link.ask(&redis::cmd("PING")).await.map(drop)
    }
    async fn numbers(&self, command: &Cmd) -> Result<Vec<u64>, QueueError> {
        let answer = self.link.ask(command).await?;
        let numbers = list(answer).into_iter().map(|v| if let Value::Int(n) = v { u64::try_from(n).unwrap_or(0) } else { 0 });
        Ok(numbers.collect())
    }
    async fn texts(&self, command: &Cmd) -> Result<Vec<Bytes>, QueueError> {
        Ok(list(self.link.ask(command).await?).into_iter().map(bytes).collect())
    }
    fn leases(parts: &[Bytes]) -> Vec<Leased> {
        let leased = parts.chunks_exact(4).map(|job| Leased {
            lease: LeaseId { job: String::from_utf8_lossy(&job[0]).into_owned(), token: String::from_utf8_lossy(&job[1]).into_owned() },
            payload: job[2].clone(),
            history: serde_json::from_slice(&job[3]).unwrap_or_default(),
        });
        leased.collect()
    }

    async fn push_one(&self, queue: &QueueName, payload: &[u8], room: Room, now: Timestamp) -> Result<Pushed, QueueError> {
        let keys = keys(queue);
        let mut oldest: Vec<Bytes> = Vec::new();
        for _ in 0..PUSH_TRIES {
            let mut command = script(scripts::PUSH, &keys);
            command.arg(payload).arg(room.jobs).arg(room.overflow.word()).arg(room.dead);
            for job in &oldest {
                command.arg(&job[..]).arg(&overflow_entry(queue, job, now)[..]);
            }
            let answer = self.numbers(&command).await?;
            let [outcome, moved, dropped, dead_dropped, many] = answer[..] else { return Err(odd()) };
            match outcome {
                0 => return Ok(Pushed { rejected: true, ..Pushed::default() }),
                1 => return Ok(Pushed { id: None, rejected: false, moved, dropped, dead_dropped }),
                // What the overflow gets must be known before the step, because a script cannot write JSON exactly.
                _ => oldest = self.oldest(queue, i64::try_from(many).unwrap_or(EVICTED_MAX).clamp(1, EVICTED_MAX)).await?,
            }
        }
        Err(QueueError::Unavailable("the queue changes too fast".to_owned()))
    }
    async fn oldest(&self, queue: &QueueName, count: i64) -> Result<Vec<Bytes>, QueueError> {
        let mut command = redis::cmd("LRANGE");
        command.arg(queue.as_str()).arg(0).arg(count - 1);
        Ok(list(self.link.ask(&command).await?).into_iter().map(bytes).collect())
    }

    async fn lease_some(&self, queue: &QueueName, count: usize, until: i64, now: Timestamp) -> Result<Vec<Leased>, QueueError> {
        let mut command = script(scripts::LEASE, &keys(queue));
        command.arg(now.millis()).arg(until).arg(count).arg(LEASED_MAX).arg(PAGE_BYTES_MAX).arg(ENTRY_BYTES_MAX);
        for _ in 0..count {
            command.arg(token()?).arg(token()?);
        }
        let parts = self.texts(&command).await?;
        let Some((large, parts)) = parts.split_first() else { return Err(odd()) };
        if &large[..] != b"0" {
            let count = String::from_utf8_lossy(large);
            tracing::warn!(%queue, %count, "jobs are too large to be given to a worker; they are among the dead letters now");
        }
        Ok(Redis::leases(parts))
    }

    async fn settle_one(&self, queue: &QueueName, lease: &LeaseId, how: Settle, now: Timestamp) -> Result<Option<u64>, QueueError> {
        let keys = keys(queue);
        let begun = |text: &str| {
            let mut command = script(text, &keys);
            command.arg(&lease.job).arg(&lease.token);
            command
        };
        let command = match how {
            Settle::Done => begun(scripts::DONE),
            Settle::Return => begun(scripts::RETURN).arg(now.millis()).take(),
            Settle::Extend { until } => begun(scripts::EXTEND).arg(until.millis()).take(),
            Settle::Retry { due, history } => begun(scripts::RETRY).arg(due.millis()).arg(serde_json::to_string(&history).unwrap_or_default()).take(),
            Settle::Bury { failure, room, .. } => {
                let Some(job) = self.leased_one(queue, lease).await? else { return Ok(None) };
                begun(scripts::BURY).arg(&failure.entry(&job.payload)[..]).arg(room.dead).take()
            }
        };
        match self.numbers(&command).await?[..] {
            [0, _] => Ok(None),
            [_, dropped] => Ok(Some(dropped)),
            _ => Err(odd()),
        }
    }

    async fn leased_one(&self, queue: &QueueName, lease: &LeaseId) -> Result<Option<Leased>, QueueError> {
        let command = script(scripts::LEASED, &keys(queue)).arg(&lease.job).arg(&lease.token).take();
        let parts: Vec<Bytes> = list(self.link.ask(&command).await?).into_iter().map(bytes).collect();
        let [payload, history] = &parts[..] else { return Ok(None) };
        let history = serde_json::from_slice(history).unwrap_or_default();
        Ok(Some(Leased { lease: lease.clone(), payload: payload.clone(), history }))
    }

    async fn page(&self, dead: &DeadQueue, start: u64, limit: usize) -> Result<DeadPage, QueueError> {
        let command = script(scripts::PAGE, &[dead.to_string()]).arg(start).arg(limit).arg(ENTRY_BYTES_MAX).arg(PAGE_BYTES_MAX).take();
        let mut answer = list(self.link.ask(&command).await?).into_iter();
        let Some(Value::Int(total)) = answer.next() else { return Err(odd()) };
        let entries = answer.map(bytes).enumerate().map(|(at, entry)| match entry.is_empty() {
            true => DeadEntry { id: format!("unreadable-{}", start + at as u64), entry: None },
            false => DeadEntry { id: id_of(&entry), entry: Some(entry) },
        });
        Ok(DeadPage { entries: entries.collect(), total: u64::try_from(total).unwrap_or(0) })
    }

    async fn search(&self, dead: &DeadQueue, id: &str) -> Result<Option<DeadEntry>, QueueError> {
        let mut at = 0;
        loop {
            let page = self.page(dead, at, SEARCHED).await?;
            at += page.entries.len() as u64;
            let empty = page.entries.is_empty();
            if let Some(found) = page.entries.into_iter().find(|e| e.id == id) {
                return Ok(Some(found));
            }
            if empty || at >= page.total {
                return Ok(None);
            }
        }
    }

    async fn revive_some(&self, dead: &DeadQueue, entries: &[DeadEntry], room: Room) -> Result<Revived, QueueError> {
        let [queue, _, _, _, _, retries, ..] = keys(dead.origin());
        let command = &mut script(scripts::REVIVE, &[dead.to_string(), queue, retries]);
        command.arg(room.jobs);
        for entry in entries.iter().filter_map(|e| e.entry.as_ref()) {
            if let Some(payload) = payload_of(entry) {
                command.arg(&entry[..]).arg(&payload[..]);
            }
        }
        match self.numbers(command).await?[..] {
            [moved, full] => Ok(Revived { moved, full: full == 1 }),
            _ => Err(odd()),
        }
    }

    async fn number(&self, command: &Cmd) -> Result<u64, QueueError> {
        match self.link.ask(command).await? {
            Value::Int(n) => Ok(u64::try_from(n).unwrap_or(0)),
            _ => Err(odd()),
        }
    }
}

/// The name of an entry of a list, which gives none: equal entries are one and the same to everybody.
fn id_of(entry: &[u8]) -> String {
    Sha256::digest(entry).iter().take(16).map(|b| format!("{b:02x}")).collect()
}

fn list(value: Value) -> Vec<Value> {
    if let Value::Array(list) = value { list } else { Vec::new() }
}
fn bytes(value: Value) -> Bytes {
    match value {
        Value::BulkString(bytes) => bytes.into(),
        Value::SimpleString(text) => text.into(),
        _ => Bytes::new(),
    }
}
fn odd() -> QueueError {
    QueueError::Unavailable("Redis answered something else than was asked".to_owned())
}

impl Backend for Redis {
    fn kind(&self) -> &'static str {
        "redis"
    }
    fn is_shared(&self) -> bool {
        true
    }
    fn push<'a>(&'a self, queue: &'a QueueName, payload: Bytes, room: Room, now: Timestamp) -> Answer<'a, Pushed> {
        Box::pin(async move { self.push_one(queue, &payload, room, now).await })
    }
    fn lease<'a>(&'a self, queue: &'a QueueName, count: usize, lease: Duration, now: Timestamp) -> Answer<'a, Vec<Leased>> {
        let until = now.millis().saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        Box::pin(self.lease_some(queue, count, until, now))
    }
    fn leased<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId) -> Answer<'a, Option<Leased>> {
        Box::pin(self.leased_one(queue, lease))
    }
    fn settle<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId, how: Settle, now: Timestamp) -> Answer<'a, Option<u64>> {
        Box::pin(self.settle_one(queue, lease, how, now))
    }
    fn expired<'a>(&'a self, queue: &'a QueueName, now: Timestamp, limit: usize) -> Answer<'a, Vec<Leased>> {
        let command = script(scripts::EXPIRED, &keys(queue)).arg(now.millis()).arg(limit).arg(PAGE_BYTES_MAX).take();
        Box::pin(async move { Ok(Redis::leases(&self.texts(&command).await?)) })
    }
    fn depths<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Depths> {
        let command = script(scripts::DEPTHS, &keys(queue));
        Box::pin(async move {
            match self.numbers(&command).await?[..] {
                [waiting, retrying, leased, dead, overflow] => Ok(Depths { waiting, retrying, leased, dead, overflow }),
                _ => Err(odd()),
            }
        })
    }
    fn dead<'a>(&'a self, dead: &'a DeadQueue, start: u64, limit: usize) -> Answer<'a, DeadPage> {
        Box::pin(self.page(dead, start, limit))
    }
    fn find<'a>(&'a self, dead: &'a DeadQueue, id: &'a str) -> Answer<'a, Option<DeadEntry>> {
        Box::pin(self.search(dead, id))
    }
    fn revive<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], room: Room, _: Timestamp) -> Answer<'a, Revived> {
        Box::pin(self.revive_some(dead, entries, room))
    }
    fn erase<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry]) -> Answer<'a, u64> {
        let mut command = script(scripts::ERASE, &[dead.to_string()]);
        for entry in entries.iter().filter_map(|e| e.entry.as_ref()) {
            command.arg(&entry[..]);
        }
        Box::pin(async move { self.number(&command).await })
    }
    fn restore<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], _: Timestamp) -> Answer<'a, u64> {
        let mut counted: BTreeMap<&Bytes, u64> = BTreeMap::new();
        let mut order: Vec<&Bytes> = Vec::new();
        for entry in entries.iter().filter_map(|e| e.entry.as_ref()) {
            let count = counted.entry(entry).or_default();
            *count += 1;
            if *count == 1 {
                order.push(entry);
            }
        }
        let mut command = script(scripts::RESTORE, &[dead.to_string()]);
        for entry in order {
            command.arg(&entry[..]).arg(counted.get(entry).copied().unwrap_or(1));
        }
        Box::pin(async move { self.number(&command).await })
    }
}
