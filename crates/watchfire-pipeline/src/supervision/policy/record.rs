//! What is stored about supervised services, in the form in which it is stored. Each record has a version. A record that cannot be
//! read never gives a restart: its service begins with a used-up budget.

use serde::{Deserialize, Serialize};

/// The version of all records here.
pub(super) const VERSION: u32 = 1;

/// What of a service must survive a restart of ours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ServiceRecord {
    pub(super) v: u32,
    /// Empty before the first check.
    pub(super) status: String,
    pub(super) since_ms: i64,
    pub(super) message: String,
    pub(super) attempts: u32,
    pub(super) restarts_total: u64,
    /// The restarts that count for the budget, by the steady count; those that people asked for count alike.
    pub(super) recent: Vec<u64>,
    pub(super) pending: Option<Pending>,
    pub(super) maintenance: Option<OneOff>,
}

/// A restart that was decided and of which no outcome is known yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The number of its audit record.
    pub(super) audit: u64,
}

/// A window of maintenance that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneOff {
    /// When it ends.
    pub until_ms: i64,
    /// Who asked.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

/// The steady count: how long Watchfire has been supervising in all, whatever the wall clock said meanwhile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SteadyRecord {
    pub(super) v: u32,
    pub(super) steady_ms: u64,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A service became worse.
    Failure,
    /// A service became well.
    Recovery,
    /// A restart began.
    Restart,
}
impl EventKind {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Failure => "failure",
            EventKind::Recovery => "recovery",
            EventKind::Restart => "restart",
        }
    }
}

/// One change of a service's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version of the stored form.
    pub v: u32,
    /// Its number; later events of all services have higher ones.
    pub seq: u64,
    /// When, by the wall clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// The service.
    pub service: String,
    /// What kind of change.
    pub kind: EventKind,
    /// The new status.
    pub status: String,
    /// A sentence for people.
    pub message: String,
    /// What the last check found, if that is the reason.
    #[serde(default)]
    pub detail: String,
}

/// What became of something that was audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum AuditOutcome {
    /// Decided; nothing more is known yet.
    Begun,
    /// It was carried out.
    Done(String),
    /// It went wrong.
    Failed(String),
    /// Watchfire ended meanwhile, so nobody knows.
    Unknown,
}

/// Who had something done to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The version of the stored form.
    pub v: u32,
    /// Its number.
    pub seq: u64,
    /// When, by the wall clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// The token or user, or `watchfire` for what it decided itself.
    pub who: String,
    /// How they were recognised, or `policy`.
    pub via: String,
    /// `restart`, `maintenance_begin` or `maintenance_end`.
    pub action: String,
    /// The service.
    pub service: String,
    /// How, or until when and why.
    pub how: String,
    /// What became of it.
    pub outcome: AuditOutcome,
}

/// The key of a number, so that text order is number order.
pub(super) fn key(seq: u64) -> String {
    format!("{seq:016x}")
}

pub(super) fn bytes(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("BUG: plain records always serialise")
}
