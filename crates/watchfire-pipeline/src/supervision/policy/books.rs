//! The books of the policy: every change of a status goes through here, to the medium and to whoever listens. Decides nothing.

use std::sync::Arc;

use watchfire_model::state::{Change, SERVICES, StateError, StateStore};
use watchfire_model::time::Timestamp;

use super::journal::Journal;
use super::record::{AuditEntry, AuditOutcome, Event, EventKind, SteadyRecord, VERSION, bytes};
use super::service::{Service, Status};
use super::{Now, Who, closed};

/// The key of the steady count; no service has such a name.
pub(super) const STEADY: &str = "@steady";

/// Something to tell about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub service: String,
    /// Its status now.
    pub status: Status,
    /// A sentence for people.
    pub message: String,
    /// What the last check found, if that is the reason.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// Whether the status is another than before; otherwise it is only told for the first time since we run.
    pub changed: bool,
}

pub(super) struct Books {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) journal: Journal,
    pub(super) notices: Vec<Notice>,
    /// What the steady count was when it was last kept.
    pub(super) kept_steady: u64,
    pub(super) lost: u64,
}

impl Books {
    pub(super) fn open(store: Arc<dyn StateStore>, steady: u64) -> Result<Books, StateError> {
        Ok(Books { journal: Journal::open(store.clone())?, store, notices: Vec::new(), kept_steady: steady, lost: 0 })
    }

    /// Commits, with the steady count.
    pub(super) fn commit(&mut self, mut changes: Vec<Change>, now: Now) -> Result<(), StateError> {
        let steady = SteadyRecord { v: VERSION, steady_ms: now.steady_ms };
        changes.push(Change::Put(SERVICES, STEADY.to_owned(), bytes(&steady)));
        self.store.commit(&changes)?;
        self.kept_steady = now.steady_ms;
        Ok(())
    }

    /// The same where life goes on without.
    fn try_commit(&mut self, changes: Vec<Change>, what: &str, now: Now) {
        if let Err(error) = self.commit(changes, now) {
            self.lost += 1;
            tracing::error!(target: "watchfire::services", %error, "cannot record {what}");
        }
    }

    pub(super) fn keep_steady(&mut self, now: Now) {
        // Not being able to keep it costs nothing but patience, and must not be tried again at once.
        self.try_commit(Vec::new(), "the steady count", now);
        self.kept_steady = now.steady_ms;
    }

    pub(super) fn save(&mut self, service: &Service, now: Now) {
        let put = Change::Put(SERVICES, service.rules.name.clone(), bytes(&service.record()));
        self.try_commit(vec![put], "the state of a service", now);
    }

    fn event(&mut self, service: &Service, kind: EventKind, detail: &str, now: Now) -> Event {
        Event {
            v: VERSION,
            seq: self.journal.number(),
            at_ms: now.wall.millis(),
            service: service.rules.name.clone(),
            kind,
            status: service.status.map(Status::name).unwrap_or_default().to_owned(),
            message: service.message.clone(),
            detail: detail.to_owned(),
        }
    }

    /// Keeps an event that is no change of status, with the state of the service.
    pub(super) fn note(&mut self, service: &Service, kind: EventKind, message: &str, now: Now) {
        let event = Event { message: message.to_owned(), ..self.event(service, kind, "", now) };
        let mut changes = self.journal.keep(&event);
        changes.push(Change::Put(SERVICES, event.service, bytes(&service.record())));
        self.try_commit(changes, "an event of a service", now);
    }

    /// A new status. It is told even when it cannot be recorded. The same status again only changes who knows of it.
    pub(super) fn change(&mut self, service: &mut Service, status: Status, kind: EventKind, message: &str, detail: &str, now: Now) {
        let before = service.status;
        if before == Some(status) {
            return self.tell(service, now);
        }
        (service.status, service.since, service.message) = (Some(status), now.wall, message.to_owned());
        let mut changes = Vec::new();
        // A service that is well from the beginning has no history.
        if before.is_some() || status != Status::Healthy {
            let event = self.event(service, kind, detail, now);
            changes = self.journal.keep(&event);
        }
        changes.push(Change::Put(SERVICES, service.rules.name.clone(), bytes(&service.record())));
        self.try_commit(changes, "a change of a service", now);
        self.announce(service, detail, true, now);
    }

    /// A new status that does not come about unless it is recorded, together with an audit record.
    pub(super) fn change_with(
        &mut self,
        service: &mut Service,
        status: Status,
        kind: EventKind,
        message: &str,
        entry: Option<&AuditEntry>,
        now: Now,
    ) -> Result<(), StateError> {
        let before = (service.status, service.since, std::mem::replace(&mut service.message, message.to_owned()));
        (service.status, service.since) = (Some(status), now.wall);
        let event = self.event(service, kind, "", now);
        let mut changes = entry.map(|entry| self.journal.audit(entry)).unwrap_or_default();
        changes.extend(self.journal.keep(&event));
        changes.push(Change::Put(SERVICES, service.rules.name.clone(), bytes(&service.record())));
        if let Err(error) = self.commit(changes, now) {
            (service.status, service.since, service.message) = before;
            self.journal.take_back(&event);
            self.lost += 1;
            tracing::error!(target: "watchfire::services", service = service.rules.name, %error, "cannot record a restart, so it is not made");
            return Err(error);
        }
        if let Some(entry) = entry {
            self.journal.audited(entry.seq);
        }
        self.announce(service, "", before.0 != Some(status), now);
        Ok(())
    }

    /// Tells the present status once after a start.
    pub(super) fn tell(&mut self, service: &mut Service, now: Now) {
        if !service.told && service.status.is_some() {
            self.announce(service, "", false, now);
        }
    }

    fn announce(&mut self, service: &mut Service, detail: &str, changed: bool, now: Now) {
        let Some(status) = service.status else { return };
        service.told = true;
        let (service, message) = (service.rules.name.clone(), service.message.clone());
        self.notices.push(Notice { service, status, message, detail: detail.to_owned(), at: now.wall, changed });
    }

    /// A fresh audit record.
    pub(super) fn entry(&mut self, who: Who<'_>, action: &str, service: &str, how: String, now: Now) -> AuditEntry {
        AuditEntry {
            v: VERSION,
            seq: self.journal.number(),
            at_ms: now.wall.millis(),
            who: who.name.to_owned(),
            via: who.via.to_owned(),
            action: action.to_owned(),
            service: service.to_owned(),
            how,
            outcome: AuditOutcome::Begun,
        }
    }

    /// The same for something that was under way when we ended: if nothing more is known, nobody knows.
    pub(super) fn close_if_open(&mut self, audit: u64) {
        if self.journal.entry(audit).is_some_and(|entry| entry.outcome == AuditOutcome::Begun) {
            self.close(audit, AuditOutcome::Unknown);
        }
    }

    /// Notes what became of something that was audited.
    pub(super) fn close(&mut self, audit: u64, outcome: AuditOutcome) {
        let Some(entry) = self.journal.entry(audit) else { return };
        if let Err(error) = self.store.commit(&[closed(entry, outcome)]) {
            self.lost += 1;
            tracing::error!(target: "watchfire::services", %error, "cannot record what became of a restart");
        }
    }
}
