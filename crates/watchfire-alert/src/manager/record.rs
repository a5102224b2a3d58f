//! What is stored of the Alertmanager inside, as JSON with a version: alerts, silences, the notification log, the queue of
//! notifications with their content, and dead letters. Documented in docs/formats/alerting.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::state::Table;
use watchfire_model::time::Timestamp;

use super::alert::Alert;
use super::notification::Told;
use super::silences::Silence;

/// Alerts that fire, or whose end somebody may not know yet: fingerprint → alert.
pub const ALERTS: Table = Table("alerts");
/// Silences, expired ones for a while: id → silence.
pub const SILENCES: Table = Table("silences");
/// What each integration was last told about each group.
pub const NOTIFICATION_LOG: Table = Table("notification_log");
/// Notifications that were decided and not yet delivered: sequence → where to and which content.
pub const NOTIFICATION_QUEUE: Table = Table("notification_queue");
/// What they say: sequence → alerts of a group.
pub const NOTIFICATION_CONTENTS: Table = Table("notification_contents");
/// Notifications that nobody could be told.
pub const DEAD_LETTERS: Table = Table("notification_dead_letters");

/// The version of all records.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    record: T,
}

/// The bytes of a record.
pub(super) fn encode<T: Serialize>(record: T) -> Vec<u8> {
    serde_json::to_vec(&Versioned { v: VERSION, record }).unwrap_or_default()
}

/// A record from its bytes; `None` when it is damaged or of another version.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Versioned<T>>(bytes).ok().filter(|r| r.v == VERSION).map(|r| r.record)
}

type Pairs = BTreeMap<String, String>;

fn pairs(labels: &Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[derive(Serialize, Deserialize)]
pub(super) struct AlertRecord {
    labels: Pairs,
    annotations: Pairs,
    starts_ms: i64,
    ends_ms: i64,
    updated_ms: i64,
    timeout: bool,
    url: String,
    pub(super) resolved: bool,
}
impl AlertRecord {
    pub(super) fn of(alert: &Alert, resolved: bool) -> AlertRecord {
        AlertRecord {
            labels: pairs(&alert.labels),
            annotations: pairs(&alert.annotations),
            starts_ms: alert.starts_at.millis(),
            ends_ms: alert.ends_at.millis(),
            updated_ms: alert.updated_at.millis(),
            timeout: alert.timeout,
            url: alert.generator_url.clone(),
            resolved,
        }
    }
    pub(super) fn alert(&self) -> Alert {
        Alert {
            labels: Labels::from_pairs(&self.labels),
            annotations: Labels::from_pairs(&self.annotations),
            starts_at: Timestamp(self.starts_ms),
            ends_at: Timestamp(self.ends_ms),
            updated_at: Timestamp(self.updated_ms),
            timeout: self.timeout,
            generator_url: self.url.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct MatcherRecord {
    name: String,
    op: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SilenceRecord {
    id: String,
    matchers: Vec<MatcherRecord>,
    starts_ms: i64,
    ends_ms: i64,
    updated_ms: i64,
    created_by: String,
    comment: String,
}
impl SilenceRecord {
    pub(super) fn of(silence: &Silence) -> SilenceRecord {
        let matcher = |m: &Matcher| MatcherRecord { name: m.name.clone(), op: m.op.symbol().to_owned(), value: m.value.clone() };
        SilenceRecord {
            id: silence.id.clone(),
            matchers: silence.matchers.iter().map(matcher).collect(),
            starts_ms: silence.starts_at.millis(),
            ends_ms: silence.ends_at.millis(),
            updated_ms: silence.updated_at.millis(),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
        }
    }
    /// `None` when a matcher cannot be made any more.
    pub(super) fn silence(self) -> Option<Silence> {
        let op = |symbol: &str| [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex].into_iter().find(|op| op.symbol() == symbol);
        let matchers = self.matchers.iter().map(|m| Matcher::new(&m.name, op(&m.op)?, &m.value).ok()).collect::<Option<Vec<_>>>()?;
        Some(Silence {
            id: self.id,
            matchers,
            starts_at: Timestamp(self.starts_ms),
            ends_at: Timestamp(self.ends_ms),
            updated_at: Timestamp(self.updated_ms),
            created_by: self.created_by,
            comment: self.comment,
        })
    }
}

/// Where a notification goes, about which group: the unit in which order is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneKey {
    /// The receiver.
    pub receiver: String,
    /// The kind of integration.
    pub kind: String,
    /// Its place among those of its kind.
    pub index: usize,
    /// The group's key.
    pub group: String,
}
impl LaneKey {
    /// The key in tables.
    pub(super) fn stored(&self) -> String {
        format!("{}\u{1f}{}\u{1f}{}\u{1f}{}", self.receiver, self.kind, self.index, self.group)
    }
}

/// What an integration was told of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    pub(super) lane: LaneKey,
    pub(super) at_ms: i64,
    pub(super) expires_ms: i64,
    pub(super) firing: Vec<u64>,
    pub(super) resolved: Vec<u64>,
}

/// The alerts of a group when it was decided to tell of them.
#[derive(Serialize, Deserialize)]
pub(super) struct ContentRecord {
    group_labels: Pairs,
    alerts: Vec<AlertRecord>,
}
impl ContentRecord {
    pub(super) fn of(group_labels: &Labels, alerts: &[Told]) -> ContentRecord {
        ContentRecord { group_labels: pairs(group_labels), alerts: alerts.iter().map(|t| AlertRecord::of(&t.alert, t.resolved)).collect() }
    }
    pub(super) fn group_labels(&self) -> Labels {
        Labels::from_pairs(&self.group_labels)
    }
    pub(super) fn alerts(&self) -> Vec<Told> {
        self.alerts.iter().map(|r| Told { alert: Arc::new(r.alert()), resolved: r.resolved }).collect()
    }
}

/// One notification on its way.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ParcelRecord {
    pub(super) lane: LaneKey,
    /// The same at every try.
    pub(super) id: String,
    /// The sequence of its content; missing when there is nothing to send and only the log changes.
    pub(super) content: Option<u64>,
    pub(super) created_ms: i64,
    pub(super) expires_after_ms: i64,
    pub(super) firing: Vec<u64>,
    pub(super) resolved: Vec<u64>,
}

/// A notification that nobody could be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it should have gone.
    pub lane: LaneKey,
    /// Its id, the same at every try.
    pub id: String,
    /// What went wrong at last.
    pub reason: String,
    /// When it was first given up.
    pub first_ms: i64,
    /// When it was last given up.
    pub last_ms: i64,
    /// How often it was given up: the same is tried again as long as its alerts fire.
    pub times: u64,
    /// How often it was tried before it was given up at last.
    pub attempts: u32,
    /// The labels of its alerts, the first of them.
    pub alerts: Vec<BTreeMap<String, String>>,
    /// How many alerts it had.
    pub alerts_count: usize,
}
