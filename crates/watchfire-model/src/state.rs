//! The seam for small durable state that changes in place: tokens, users, sessions, silences, dashboards, offsets.
//! Not for telemetry: that goes through `write::Sink`.

/// A table of the state store. Tables are named here so that two owners never share one by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub &'static str);

/// Named API tokens: name → level and hash.
pub const TOKENS: Table = Table("tokens");
/// People who log in to the page: name → level and password hash.
pub const USERS: Table = Table("users");
/// Sessions of the page.
pub const SESSIONS: Table = Table("sessions");
/// Facts about this installation: first start, last clean stop.
pub const INSTALLATION: Table = Table("installation");
/// How far readers of the store's log got: name → position.
pub const LOG_POSITIONS: Table = Table("log_positions");
/// Groups of pushed metrics: grouping key → what was pushed.
pub const PUSHED_GROUPS: Table = Table("pushed_groups");
/// Pushed series whose end is not stored yet: grouping key → their labels.
pub const PUSHED_ENDS: Table = Table("pushed_ends");
/// Supervised services: name → what must survive a restart of ours.
pub const SERVICES: Table = Table("services");
/// What happened to supervised services: name and number → event.
pub const SERVICE_EVENTS: Table = Table("service_events");
/// Who had supervised services restarted or kept from it: number → record.
pub const SERVICE_AUDIT: Table = Table("service_audit");
/// Payloads of jobs: queue and job → the bytes that the producer sent.
pub const QUEUE_JOBS: Table = Table("queue_jobs");
/// Where each job stands: queue and job → JSON.
pub const QUEUE_STATES: Table = Table("queue_states");
/// Why dead jobs died: queue and job → JSON.
pub const QUEUE_FAILURES: Table = Table("queue_failures");
/// Who did what to dead letters: a running number → JSON.
pub const QUEUE_AUDIT: Table = Table("queue_audit");
/// What exchanges with language models came to: period and whose → sums.
pub const MODEL_COSTS: Table = Table("model_costs");

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put(Table, String, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Table, String),
}

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} in the state file: {reason}")]
pub struct StateError {
    /// What was tried.
    pub doing: &'static str,
    /// What went wrong.
    pub reason: String,
}

/// Keeps small state. A commit is atomic and durable when it returns.
pub trait StateStore: Send + Sync {
    /// The value of a key.
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError>;
    /// All entries whose key begins with a prefix, ascending.
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError>;
    /// Applies all changes or none.
    fn commit(&self, changes: &[Change]) -> Result<(), StateError>;
}
