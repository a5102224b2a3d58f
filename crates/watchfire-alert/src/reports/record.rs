//! What is remembered of each report, as it stands in the state file. It decides nothing.

use serde::{Deserialize, Serialize};
use watchfire_model::state::{Change, StateError, StateStore, Table};

/// Reports: name → JSON.
const REPORTS: Table = Table("reports");
/// How far ahead of the clock something may be done; further, the clock was wrong then.
pub(super) const AHEAD_MAX_MS: i64 = 8 * 86_400_000;

/// One report. Moments are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// The moment up to which reports are sent, or were not wanted.
    pub(super) done_ms: i64,
    /// When the last one was sent.
    pub(super) sent_ms: i64,
    /// The moment whose report is being tried.
    pub(super) due_ms: i64,
    /// Tries of it that failed, with the one under way.
    pub(super) failures: u32,
    /// Before which it is not tried again.
    pub(super) next_ms: i64,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// What is known of a report. A record that cannot be read is none, and told.
pub(super) fn read(state: &dyn StateStore, name: &str) -> Result<Option<Record>, StateError> {
    let Some(bytes) = state.get(REPORTS, name)? else { return Ok(None) };
    Ok(serde_json::from_slice(&bytes).inspect_err(|error| tracing::error!(report = name, %error, "a record of a report cannot be read")).ok())
}

/// Remembers it, durably.
pub(super) fn write(state: &dyn StateStore, name: &str, record: &Record) -> Result<(), StateError> {
    let bytes = serde_json::to_vec(record).map_err(|error| StateError { doing: "write a report", reason: error.to_string() })?;
    state.commit(&[Change::Put(REPORTS, name.to_owned(), bytes)])
}

/// Forgets reports that are not configured any more: one that comes back begins anew.
pub(super) fn forget_others(state: &dyn StateStore, names: &[&str]) -> Result<(), StateError> {
    let all = state.scan(REPORTS, "")?;
    let gone: Vec<Change> = all.into_iter().filter(|(name, _)| !names.contains(&name.as_str())).map(|(name, _)| Change::Delete(REPORTS, name)).collect();
    if gone.is_empty() { Ok(()) } else { state.commit(&gone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_version_is_read_for_ever() {
        let text = r#"{"done_ms":1,"sent_ms":2,"due_ms":3,"failures":4,"next_ms":5,"error":"refused"}"#;
        let record = Record { done_ms: 1, sent_ms: 2, due_ms: 3, failures: 4, next_ms: 5, error: Some("refused".to_owned()) };
        assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record);
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }
}
