//! Shapes of the dead letter face. Keys that existing pages read come first; further ones are ours.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use watchfire_pipeline::queue::name::DeadQueue;
use watchfire_pipeline::queue::undo::UndoFile;
use watchfire_pipeline::queue::{AuditEntry, DeadJob, Listing};

/// How many dead letters there are.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetterStats"))]
pub(super) struct StatsJson {
    /// Of `dlq:detection_queue`.
    pub(super) detection_queue_count: u64,
    /// Of `dlq:analysis_queue`.
    pub(super) analysis_queue_count: u64,
    /// Jobs that failed, of all queues.
    pub(super) total_count: u64,
    /// Jobs that found no room, of all queues; they are not in `total_count`.
    pub(super) overflow_count: u64,
    /// Every place.
    pub(super) queues: Vec<PlaceJson>,
    /// Where jobs lie: `embedded` or `redis`.
    pub(super) backend: &'static str,
}

/// One place of dead letters.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetterPlace"))]
pub(super) struct PlaceJson {
    /// Its name.
    queue_name: String,
    /// `failed` or `overflow`.
    kind: &'static str,
    /// The queue that its jobs came from.
    original_queue: String,
    /// How many there are.
    count: u64,
    /// Whether they are being put back slowly.
    requeueing: bool,
}
impl PlaceJson {
    pub(super) fn new(place: &DeadQueue, count: u64, trickling: &[String]) -> PlaceJson {
        let queue_name = place.to_string();
        PlaceJson {
            kind: if matches!(place, DeadQueue::Failed(_)) { "failed" } else { "overflow" },
            original_queue: place.origin().to_string(),
            count,
            requeueing: trickling.contains(&queue_name),
            queue_name,
        }
    }
}

/// A page of dead letters.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetters"))]
pub(super) struct JobsJson {
    /// The jobs, oldest first.
    jobs: Vec<FailureJson>,
    /// The place, or `all`.
    queue_name: String,
    /// The first job of this page.
    start: u64,
    /// How many were asked for.
    limit: usize,
    /// How many there are in all.
    total: u64,
    /// How many are on this page.
    count: usize,
}
impl JobsJson {
    pub(super) fn new(queue_name: String, start: u64, limit: usize, listing: Listing) -> JobsJson {
        let jobs: Vec<FailureJson> = listing.jobs.into_iter().map(Into::into).collect();
        JobsJson { count: jobs.len(), jobs, queue_name, start, limit, total: listing.total }
    }
}

/// A dead letter: the keys of a `JobFailure` (`original_job`, `error`, `attempt_count`, `first_failed_at`, `last_failed_at`, `queue_name`, …).
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetter"))]
pub(super) struct FailureJson {
    #[serde(flatten)]
    failure: Map<String, Value>,
    /// Names it in its place.
    id: String,
    /// The place that it lies in.
    dlq_name: String,
}
impl From<DeadJob> for FailureJson {
    fn from(job: DeadJob) -> FailureJson {
        FailureJson { failure: job.failure, id: job.id, dlq_name: job.place }
    }
}

/// Dead letters by their ids.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "PickedDeadLetters"))]
#[serde(deny_unknown_fields)]
pub(super) struct PickedJson {
    /// The ids, at most 100.
    pub(super) ids: Vec<String>,
}

/// What became of jobs that were to go back.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Requeued"))]
pub(super) struct MovedJson {
    /// Whether anything was moved.
    pub(super) success: bool,
    /// A sentence for people.
    pub(super) message: String,
    /// Always null.
    pub(super) job: Option<Value>,
    /// How many were moved, or will be.
    pub(super) count: u64,
    /// Entries that cannot be read; they stay.
    pub(super) unreadable: u64,
    /// Whether the queue had no room for more.
    pub(super) full: bool,
}

/// What was cleared.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ClearedDeadLetters"))]
pub(super) struct ClearedJson {
    /// Always true.
    pub(super) success: bool,
    /// A sentence for people.
    pub(super) message: String,
    /// The place.
    pub(super) queue_name: String,
    /// How many are gone.
    pub(super) count: u64,
    /// The undo file that brings them back.
    pub(super) undo: Option<String>,
}

/// What came back.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "RestoredDeadLetters"))]
pub(super) struct RestoredJson {
    /// Always true.
    pub(super) success: bool,
    /// A sentence for people.
    pub(super) message: String,
    /// The place.
    pub(super) queue_name: String,
    /// How many came back.
    pub(super) count: u64,
}

/// One change of dead letters.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetterAudit"))]
pub(super) struct AuditJson {
    /// When, RFC 3339.
    at: String,
    /// Who: the name of a token or user, or a word for callers without one.
    who: String,
    /// How they were recognised.
    via: String,
    /// What: `requeue`, `requeue_all`, `clear`, `restore`.
    what: String,
    /// The place.
    queue_name: String,
    /// How many jobs.
    count: u64,
    /// More, for people.
    note: String,
}
impl From<AuditEntry> for AuditJson {
    fn from(e: AuditEntry) -> AuditJson {
        AuditJson { at: e.at, who: e.who, via: e.via, what: e.what, queue_name: e.queue, count: e.count, note: e.note }
    }
}

/// A file with cleared dead letters.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DeadLetterUndo"))]
pub(super) struct UndoJson {
    /// Its name.
    name: String,
    /// The place that was cleared.
    queue_name: String,
    /// When, RFC 3339.
    cleared_at: String,
    /// Its size.
    bytes: u64,
    /// Whether it was restored already.
    restored: bool,
}
impl From<UndoFile> for UndoJson {
    fn from(f: UndoFile) -> UndoJson {
        UndoJson { name: f.name, queue_name: f.queue, cleared_at: f.cleared_at, bytes: f.bytes, restored: f.restored }
    }
}
