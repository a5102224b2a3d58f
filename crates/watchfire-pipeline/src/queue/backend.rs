//! The seam between what queues mean and where jobs lie. Each method is one atomic step: after a crash it happened or it did not. When a
//! job is retried or dead is decided above; a backend only moves.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use watchfire_model::time::Timestamp;

use super::failure::{Failure, History};
use super::name::{DeadQueue, QueueName};

/// The largest payload of a job, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Jobs that may be leased at once from one queue.
pub const LEASED_MAX: usize = 10_000;
/// Payload bytes that one lease or one page of dead letters carries; the rest comes with the next one.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// What a backend answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// Why a queue could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The place of the jobs cannot be reached or does not work.
    #[error("cannot use the queues: {0}")]
    Unavailable(String),
    /// The queue is full, and its policy is to refuse.
    #[error("cannot take the job: {0} is full")]
    Full(QueueName),
    /// The payload is too large.
    #[error("cannot take a job of {0} bytes: {PAYLOAD_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// The lease is unknown: it ended, or it was never given.
    #[error("cannot use this lease: it has ended or was never given")]
    UnknownLease,
    /// There is no such queue.
    #[error("cannot use {0:?}: there is no such queue")]
    UnknownQueue(String),
    /// There is no such dead job.
    #[error("cannot find this job in {0}")]
    UnknownJob(DeadQueue),
    /// The same is being done already.
    #[error("cannot begin: {0}")]
    Busy(String),
    /// What would be deleted cannot be written down first.
    #[error("cannot write the undo file: {0}")]
    Undo(String),
    /// There is no such undo file.
    #[error("cannot find the undo file {0:?}")]
    UnknownUndo(String),
}

/// What happens to a job for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// It is refused.
    Reject,
    /// The oldest waiting jobs are thrown away.
    DropOldest,
    /// The oldest waiting jobs go to `dlq:overflow:<queue>`.
    Dlq,
}
impl Overflow {
    /// The words of all policies.
    pub const WORDS: [&'static str; 3] = ["reject", "drop_oldest", "dlq"];
    /// The word in settings and labels.
    pub fn word(self) -> &'static str {
        match self {
            Overflow::Reject => "reject",
            Overflow::DropOldest => "drop_oldest",
            Overflow::Dlq => "dlq",
        }
    }
    /// The policy with a word.
    pub fn from_word(word: &str) -> Option<Overflow> {
        [Overflow::Reject, Overflow::DropOldest, Overflow::Dlq].into_iter().find(|p| p.word() == word)
    }
}

/// How much a queue and its dead letters may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Jobs that wait, retries included.
    pub jobs: u64,
    /// Their bytes, where the backend knows them.
    pub bytes: u64,
    /// What happens above that.
    pub overflow: Overflow,
    /// Dead letters in each place; the oldest are dropped above that, and counted.
    pub dead: u64,
    /// Their bytes, where the backend knows them.
    pub dead_bytes: u64,
}

/// What became of a pushed job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The job's id, where the backend gives one.
    pub id: Option<String>,
    /// Whether it was refused because the queue is full.
    pub rejected: bool,
    /// Jobs that were moved to the overflow.
    pub moved: u64,
    /// Jobs that were thrown away for it.
    pub dropped: u64,
    /// Dead letters that were thrown away for these.
    pub dead_dropped: u64,
}

/// The right to work on a job until its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId {
    /// The job.
    pub job: String,
    /// Proves that it is this lease and no later one of the same job.
    pub token: String,
}
impl LeaseId {
    /// Reads `job.token`, both of letters and digits.
    pub fn parse(text: &str) -> Option<LeaseId> {
        let (job, token) = text.split_once('.')?;
        let fits = |part: &str| (1..=64).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        (fits(job) && fits(token)).then(|| LeaseId { job: job.to_owned(), token: token.to_owned() })
    }
}
impl std::fmt::Display for LeaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.job, self.token)
    }
}

/// A job in somebody's hands.
#[derive(Clone, Debug, PartialEq)]
pub struct Leased {
    /// The lease.
    pub lease: LeaseId,
    /// What the producer sent.
    pub payload: Bytes,
    /// What the job went through.
    pub history: History,
}

/// How a lease ends, or goes on.
#[derive(Clone, Debug)]
pub enum Settle {
    /// The work is done: the job is gone.
    Done,
    /// The job is given back untouched.
    Return,
    /// It is tried again at a time.
    Retry {
        /// When.
        due: Timestamp,
        /// What it went through.
        history: History,
    },
    /// It is dead.
    Bury {
        /// Why.
        failure: Box<Failure>,
        /// What it went through.
        history: History,
        /// How many dead letters there may be.
        room: Room,
    },
    /// The work goes on until later.
    Extend {
        /// Until when.
        until: Timestamp,
    },
}

/// How many jobs are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Jobs that wait for a worker.
    pub waiting: u64,
    /// Jobs that wait for their next attempt.
    pub retrying: u64,
    /// Jobs in workers' hands.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that had to leave a full queue.
    pub overflow: u64,
}
impl Depths {
    /// Jobs that wait for anything.
    pub fn depth(&self) -> u64 {
        self.waiting + self.retrying
    }
}

/// A dead job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEntry {
    /// Names it in its place.
    pub id: String,
    /// The entry in the form of the dead letter lists; `None` when it is too large to be looked at.
    pub entry: Option<Bytes>,
}

/// A piece of the dead letters of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadPage {
    /// The entries, oldest first. Fewer than asked for when they are large.
    pub entries: Vec<DeadEntry>,
    /// How many there are in all.
    pub total: u64,
}

/// What became of dead jobs that were to go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revived {
    /// Jobs that are in their queue again.
    pub moved: u64,
    /// Whether the queue had no room for more.
    pub full: bool,
}

/// Where jobs lie. Jobs are given at least once: a lease that ends without a word gives its job to the next worker.
pub trait Backend: Send + Sync {
    /// A word for people: `embedded` or `redis`.
    fn kind(&self) -> &'static str;
    /// Whether others change the queues without our knowledge, so that figures must be asked for now and then.
    fn is_shared(&self) -> bool;
    /// Puts a job at the end of a queue.
    fn push<'a>(&'a self, queue: &'a QueueName, payload: Bytes, room: Room, now: Timestamp) -> Answer<'a, Pushed>;
    /// Gives jobs to a worker: retries that are due first, then the oldest.
    fn lease<'a>(&'a self, queue: &'a QueueName, count: usize, lease: Duration, now: Timestamp) -> Answer<'a, Vec<Leased>>;
    /// A leased job, while its lease is known.
    fn leased<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId) -> Answer<'a, Option<Leased>>;
    /// Ends or prolongs a lease. `None` when it is unknown; else how many dead letters were dropped for want of room.
    fn settle<'a>(&'a self, queue: &'a QueueName, lease: &'a LeaseId, how: Settle, now: Timestamp) -> Answer<'a, Option<u64>>;
    /// Jobs whose lease is over.
    fn expired<'a>(&'a self, queue: &'a QueueName, now: Timestamp, limit: usize) -> Answer<'a, Vec<Leased>>;
    /// How many jobs are where.
    fn depths<'a>(&'a self, queue: &'a QueueName) -> Answer<'a, Depths>;
    /// Dead letters from a position on.
    fn dead<'a>(&'a self, dead: &'a DeadQueue, start: u64, limit: usize) -> Answer<'a, DeadPage>;
    /// One of them.
    fn find<'a>(&'a self, dead: &'a DeadQueue, id: &'a str) -> Answer<'a, Option<DeadEntry>>;
    /// Puts dead jobs back at the end of their queue, as long as there is room. What is not there any more is passed over.
    fn revive<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], room: Room, now: Timestamp) -> Answer<'a, Revived>;
    /// Deletes dead jobs. Gives how many were there.
    fn erase<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry]) -> Answer<'a, u64>;
    /// Brings deleted entries back, but for those that are there. Gives how many came back.
    fn restore<'a>(&'a self, dead: &'a DeadQueue, entries: &'a [DeadEntry], now: Timestamp) -> Answer<'a, u64>;
}
