//! Taking up where the last process ended. A damaged record is counted, told and left where it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::state::{StateError, Table};

use super::Engine;
use super::alerts::Held;
use super::lanes::{Content, Entry, Parcel, TRIED_MAX, fingerprints};
use super::needs::Sets;
use crate::manager::alert::Fingerprint;
use crate::manager::record::{
    ALERTS, AlertRecord, ContentRecord, DEAD_LETTERS, DeadLetter, EntryRecord, NOTIFICATION_CONTENTS, NOTIFICATION_LOG, NOTIFICATION_QUEUE, ParcelRecord,
    SILENCES, SilenceRecord, decode,
};

/// What is tried at least, however long ago it was decided.
const TRIED_MIN: Duration = Duration::from_secs(600);
/// How long a refused end waits whose group has gone with the last process: as long as groups do by default.
const INTERVAL_LOADED: Duration = Duration::from_secs(300);

impl Engine {
    pub(super) fn load(&mut self) -> Result<(), StateError> {
        for silence in self.records::<SilenceRecord>(SILENCES)? {
            if let Some(silence) = silence.1.silence() {
                self.silences.restore(silence);
            }
        }
        for (_, letter) in self.records::<DeadLetter>(DEAD_LETTERS)? {
            self.dead.insert(letter.id.clone(), letter);
        }
        for (_, entry) in self.records::<EntryRecord>(NOTIFICATION_LOG)? {
            let (_, lane) = self.lanes.lane(&entry.lane);
            lane.delivered = Some(Entry::of(&entry));
        }
        self.load_queue()?;
        self.load_alerts()
    }

    fn load_queue(&mut self) -> Result<(), StateError> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let mut contents = HashMap::new();
        for (key, record) in self.records::<ContentRecord>(NOTIFICATION_CONTENTS)? {
            let Ok(sequence) = u64::from_str_radix(&key, 16) else { continue };
            self.sequence = self.sequence.max(sequence);
            contents.insert(sequence, Arc::new(Content { sequence, group_labels: record.group_labels(), alerts: record.alerts() }));
        }
        for (key, record) in self.records::<ParcelRecord>(NOTIFICATION_QUEUE)? {
            let Ok(sequence) = u64::from_str_radix(&key, 16) else { continue };
            self.sequence = self.sequence.max(sequence);
            let content = record.content.and_then(|sequence| contents.get(&sequence).cloned());
            if record.content.is_some() && content.is_none() {
                self.meters.damaged(NOTIFICATION_CONTENTS.0);
                continue;
            }
            let age = Duration::from_millis(u64::try_from(now.millis().saturating_sub(record.created_ms)).unwrap_or(0));
            let left = TRIED_MAX.saturating_sub(age).max(TRIED_MIN);
            let sets = Sets { firing: fingerprints(&record.firing), resolved: fingerprints(&record.resolved) };
            if let Some(content) = &content {
                self.lanes.hold_content(content.sequence);
            }
            let (key, lane) = self.lanes.lane(&record.lane.clone());
            lane.queue.push_back(Parcel { sequence, record, sets, content, until: monotonic + left, interval: INTERVAL_LOADED });
            if lane.queue.len() == 1 {
                self.lanes.schedule(&key, monotonic);
            }
        }
        Ok(())
    }

    /// A sender that still has something to say gets the time to say it: alerts that fired go on firing for a while.
    fn load_alerts(&mut self) -> Result<(), StateError> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let grace_ms = self.config.global.resolve_timeout_ms;
        for (key, record) in self.records::<AlertRecord>(ALERTS)? {
            let (resolved, mut alert) = (record.resolved, record.alert());
            let fingerprint = alert.fingerprint();
            if key != fingerprint.to_string() {
                self.meters.damaged(ALERTS.0);
                continue;
            }
            let mut expires = Duration::ZERO;
            if !resolved {
                alert.ends_at = alert.ends_at.max(now.plus_ms(grace_ms));
                expires = monotonic + Duration::from_millis(u64::try_from(alert.ends_at.millis().saturating_sub(now.millis())).unwrap_or(0));
            }
            self.alerts_bytes += alert.bytes();
            self.inhibitor.insert(fingerprint, &alert.labels);
            self.alerts.insert(fingerprint, Held { alert: Arc::new(alert), resolved, expires, stored: Some(resolved), groups: Vec::new() });
        }
        let all: Vec<Fingerprint> = self.alerts.keys().copied().collect();
        for fingerprint in all {
            self.place(fingerprint);
        }
        Ok(())
    }

    fn records<T: serde::de::DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, StateError> {
        let mut found = Vec::new();
        for (key, bytes) in self.state.scan(table, "")? {
            match decode(&bytes) {
                Some(record) => found.push((key, record)),
                None => {
                    self.meters.damaged(table.0);
                    tracing::error!(table = table.0, key, "a record of the alert state cannot be read; it is left as it is");
                }
            }
        }
        Ok(found)
    }
}
