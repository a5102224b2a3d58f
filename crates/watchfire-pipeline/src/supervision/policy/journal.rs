//! The durable history and audit of supervision, both bounded. It makes the changes of a commit; the commit itself is made by the
//! policy, together with the state that goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use watchfire_model::order::Order as _;
use watchfire_model::state::{Change, SERVICE_AUDIT, SERVICE_EVENTS, StateError, StateStore};

use super::record::{AuditEntry, Event, bytes, key};

/// Events that are kept of one service.
pub const EVENTS_MAX: usize = 500;
/// Audit records that are kept in all.
pub const AUDIT_MAX: usize = 1000;
/// Newest events of all services that are held in memory.
pub const RECENT_MAX: usize = 100;

/// Numbers events and audit records, and knows which of them are stored.
pub(super) struct Journal {
    store: Arc<dyn StateStore>,
    next: u64,
    events: BTreeMap<String, VecDeque<u64>>,
    audit: VecDeque<u64>,
    recent: VecDeque<Event>,
}

impl Journal {
    pub(super) fn open(store: Arc<dyn StateStore>) -> Result<Journal, StateError> {
        let mut journal = Journal { store, next: 1, events: BTreeMap::new(), audit: VecDeque::new(), recent: VecDeque::new() };
        let mut all: Vec<Event> = Vec::new();
        for (at, value) in journal.store.scan(SERVICE_EVENTS, "")? {
            let Some((service, seq)) = at.rsplit_once('/').and_then(|(s, n)| Some((s, u64::from_str_radix(n, 16).ok()?))) else { continue };
            journal.events.entry(service.to_owned()).or_default().push_back(seq);
            journal.next = journal.next.max(seq.saturating_add(1));
            all.extend(serde_json::from_slice::<Event>(&value));
        }
        for (at, _) in journal.store.scan(SERVICE_AUDIT, "")? {
            let Ok(seq) = u64::from_str_radix(&at, 16) else { continue };
            journal.audit.push_back(seq);
            journal.next = journal.next.max(seq.saturating_add(1));
        }
        all.order_by_key(|event| event.seq);
        journal.recent = all.split_off(all.len().saturating_sub(RECENT_MAX)).into();
        Ok(journal)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// What to commit so that an event is kept, and older ones beyond the limit are not.
    pub(super) fn keep(&mut self, event: &Event) -> Vec<Change> {
        let at = |seq| format!("{}/{}", event.service, key(seq));
        let mut changes = vec![Change::Put(SERVICE_EVENTS, at(event.seq), bytes(event))];
        let known = self.events.entry(event.service.clone()).or_default();
        known.push_back(event.seq);
        while known.len() > EVENTS_MAX {
            changes.extend(known.pop_front().map(|old| Change::Delete(SERVICE_EVENTS, at(old))));
        }
        self.recent.push_back(event.clone());
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        changes
    }

    /// An event did not come about after all.
    pub(super) fn take_back(&mut self, event: &Event) {
        self.recent.retain(|known| known.seq != event.seq);
        if let Some(known) = self.events.get_mut(&event.service) {
            known.retain(|seq| *seq != event.seq);
        }
    }

    /// The same for a new audit record. Nothing is remembered until the commit went well.
    pub(super) fn audit(&self, entry: &AuditEntry) -> Vec<Change> {
        let mut changes = vec![Change::Put(SERVICE_AUDIT, key(entry.seq), bytes(entry))];
        let surplus = (self.audit.len() + 1).saturating_sub(AUDIT_MAX);
        changes.extend(self.audit.iter().take(surplus).map(|old| Change::Delete(SERVICE_AUDIT, key(*old))));
        changes
    }

    /// The commit with an audit record went well.
    pub(super) fn audited(&mut self, seq: u64) {
        self.audit.push_back(seq);
        while self.audit.len() > AUDIT_MAX {
            self.audit.pop_front();
        }
    }

    /// One audit record, as it is stored.
    pub(super) fn entry(&self, seq: u64) -> Option<AuditEntry> {
        serde_json::from_slice(&self.store.get(SERVICE_AUDIT, &key(seq)).ok()??).ok()
    }

    /// What to commit so that nothing is kept of a service.
    pub(super) fn forget(&mut self, service: &str) -> Vec<Change> {
        let gone = self.events.remove(service).unwrap_or_default();
        gone.into_iter().map(|seq| Change::Delete(SERVICE_EVENTS, format!("{service}/{}", key(seq)))).collect()
    }

    /// The newest events of all services, newest first.
    pub(super) fn recent(&self) -> impl Iterator<Item = &Event> {
        self.recent.iter().rev()
    }
}

/// The stored events of one service, newest first. Reads the store.
pub(crate) fn history(store: &dyn StateStore, service: &str, limit: usize) -> Result<Vec<Event>, StateError> {
    let found = store.scan(SERVICE_EVENTS, &format!("{service}/"))?;
    Ok(found.iter().rev().filter_map(|(_, value)| serde_json::from_slice(value).ok()).take(limit).collect())
}

/// The stored audit records, newest first. Reads the store.
pub(crate) fn audit(store: &dyn StateStore, limit: usize) -> Result<Vec<AuditEntry>, StateError> {
    let found = store.scan(SERVICE_AUDIT, "")?;
    Ok(found.iter().rev().filter_map(|(_, value)| serde_json::from_slice(value).ok()).take(limit).collect())
}
