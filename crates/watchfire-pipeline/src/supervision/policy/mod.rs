//! Decides what is checked and what is restarted, and records it before it is done. It is a plain state machine: time comes in as
//! an argument, checks and restarts are made by whoever drives it. The rules:
//!
//! * a restart needs [`FAILURES_MIN`] or more failed checks in a row, a wait that doubles, and one more failed check after the wait;
//! * there are at most [`RESTARTS_MAX`] restarts of a service within [`WINDOW`], and `max_retries` without success; then the status is
//!   `failed` and a person must act;
//! * what depends on something that is not healthy is not restarted, nor is anything in maintenance, nor anything that we may only
//!   fail to reach because of our own network;
//! * a restart is on the medium as decided before it is begun, so no death of ours makes a count smaller;
//! * nothing here reads the wall clock for a decision, except windows of maintenance: budgets and waits run on a steady count that
//!   stands still while we do not run.

mod books;
mod journal;
mod record;
mod rules;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::order::Order as _;
use watchfire_model::state::{Change, SERVICE_AUDIT, SERVICES, StateError, StateStore};
use watchfire_model::time::Timestamp;

use self::books::{Books, STEADY};
use self::record::{ServiceRecord, SteadyRecord, key};
use self::service::{Phase, Service, ms};

pub use self::books::Notice;
pub use self::journal::{AUDIT_MAX, EVENTS_MAX, RECENT_MAX};
pub(crate) use self::journal::{audit, history};
pub use self::record::{AuditEntry, AuditOutcome, Event, EventKind, OneOff};
pub use self::rules::{BACKOFF_MAX, BY_HAND_MAX, FAILURES_MIN, RESTARTS_MAX, Rules, SERVICES_MAX, WINDOW, is_name};
pub use self::service::{Counts, LastCheck, Status, View, Withheld};

/// The first check after a restart comes so soon, and the next ones no later than that apart while the service may still start.
const AFTER_RESTART: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// How long a restart waits for a fresh look at what the service depends on.
const DEPENDENCY_WAIT: Duration = Duration::from_secs(1);
/// How long a restart waits that could not be recorded.
const RECORD_WAIT: Duration = Duration::from_secs(30);
/// So many checks in a row that cannot be made are told as a failure.
const UNKNOWNS_MAX: u32 = 3;
/// How often the steady count is kept while a budget depends on it.
const KEEP_STEADY: Duration = Duration::from_secs(60);
/// Records of services that are not configured any more, at most.
const FORGOTTEN_MAX: usize = 64;
/// First checks of different services begin so far apart.
const STAGGER_MS: u64 = 20;

/// The time, twice.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The steady count: how long Watchfire has been supervising in all.
    pub steady_ms: u64,
    /// The wall clock, for people and windows of maintenance.
    pub wall: Timestamp,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service works.
    Healthy,
    /// It does not.
    Failed {
        /// What is wrong, without secrets.
        why: String,
        /// Whether anybody answered at all; if not, it may be the network's fault.
        reached: bool,
    },
    /// The check could not be made, which says nothing about the service.
    Unknown {
        /// What was missing.
        why: String,
    },
}
impl Verdict {
    /// The word for labels and answers.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Failed { .. } => "failed",
            Verdict::Unknown { .. } => "unknown",
        }
    }
}

/// What is to be done now. The ticket comes back with the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Check a service.
    Check {
        /// Which.
        service: String,
        /// The number of this check.
        ticket: u64,
    },
    /// Restart a service. It is recorded already.
    Restart {
        /// Which.
        service: String,
        /// The number of this restart.
        ticket: u64,
    },
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The name of the token or user.
    pub name: &'a str,
    /// How they were recognised.
    pub via: &'a str,
}
/// Ourselves.
const POLICY: Who<'static> = Who { name: "watchfire", via: "policy" };

/// Why something that was asked for is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such service.
    #[error("no service of that name is configured")]
    NoSuchService,
    /// It has no way to be restarted.
    #[error("the configuration names no way to restart this service")]
    NoRestart,
    /// A restart runs already.
    #[error("a restart of this service is in progress")]
    Busy,
    /// Too many lately.
    #[error("there were {BY_HAND_MAX} restarts of this service within ten minutes")]
    TooMany,
    /// It was not in maintenance, or only in a recurring window, which the configuration ends.
    #[error("no maintenance that was asked for is in progress")]
    NoMaintenance,
    /// The time is too long or over.
    #[error("maintenance must end in the future, within 7 days")]
    Until,
    /// The record could not be made, so nothing was done.
    #[error("cannot record the request, so nothing was done: {0}")]
    Record(StateError),
}

/// The state machine.
pub struct Policy {
    services: BTreeMap<String, Service>,
    books: Books,
    ready: Vec<Action>,
    tickets: u64,
}

impl Policy {
    /// Reads what is stored. The steady count goes on where it was last kept.
    pub fn open(store: Arc<dyn StateStore>) -> Result<(Policy, u64), StateError> {
        let steady = match store.get(SERVICES, STEADY)? {
            Some(bytes) => serde_json::from_slice::<SteadyRecord>(&bytes).map_or(0, |record| record.steady_ms),
            None => 0,
        };
        let books = Books::open(store, steady)?;
        Ok((Policy { services: BTreeMap::new(), books, ready: Vec::new(), tickets: 0 }, steady))
    }

    /// Takes over the rules for all services. What is known about those that stay is kept, their schedule too.
    pub fn apply(&mut self, rules: Vec<Rules>, now: Now) -> Result<(), StateError> {
        let wanted: BTreeSet<&str> = rules.iter().map(|r| r.name.as_str()).collect();
        self.services.retain(|name, _| wanted.contains(name.as_str()));
        for (at, rules) in rules.into_iter().take(SERVICES_MAX).enumerate() {
            if let Some(known) = self.services.get_mut(&rules.name) {
                known.next_check = known.next_check.min(now.steady_ms + ms(rules.interval));
                if rules.restart.is_none() && matches!(known.phase, Phase::Waiting { .. } | Phase::GivenUp) {
                    known.phase = Phase::Watching;
                }
                known.rules = rules;
                continue;
            }
            let mut service = self.restore(rules, now)?;
            service.next_check += at as u64 * STAGGER_MS;
            self.services.insert(service.rules.name.clone(), service);
        }
        self.forget(now)
    }

    /// A service as it was left.
    fn restore(&mut self, rules: Rules, now: Now) -> Result<Service, StateError> {
        let name = rules.name.clone();
        // What cannot be read must not give restarts away.
        let unreadable = |_| {
            tracing::error!(service = name, "the record of this service cannot be read; its restart budget counts as used up");
            ServiceRecord { recent: vec![now.steady_ms; RESTARTS_MAX as usize], ..ServiceRecord::default() }
        };
        let record = self.books.store.get(SERVICES, &name)?.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_else(unreadable));
        let pending = record.as_ref().and_then(|r| r.pending.clone());
        let mut service = Service::new(rules, record, now);
        if let Some(pending) = pending {
            service.phase = Phase::Settling { until: now.steady_ms + ms(service.rules.start_period) };
            self.books.close_if_open(pending.audit);
            self.books.note(&service, EventKind::Restart, "Watchfire ended during a restart; whether it was carried out is not known", now);
        }
        Ok(service)
    }

    /// Removes the records of services that are gone for longest, beyond a limit.
    fn forget(&mut self, now: Now) -> Result<(), StateError> {
        let mut gone: Vec<(i64, String)> = Vec::new();
        for (name, bytes) in self.books.store.scan(SERVICES, "")? {
            if name != STEADY && !self.services.contains_key(&name) {
                let since = serde_json::from_slice::<ServiceRecord>(&bytes).map_or(0, |record| record.since_ms);
                gone.push((since, name));
            }
        }
        gone.order();
        let surplus = gone.len().saturating_sub(FORGOTTEN_MAX);
        for (_, name) in gone.drain(..surplus) {
            let mut changes = self.books.journal.forget(&name);
            changes.push(Change::Delete(SERVICES, name));
            self.books.commit(changes, now)?;
        }
        Ok(())
    }

    /// What is due now.
    pub fn poll(&mut self, now: Now) -> Vec<Action> {
        let mut due = std::mem::take(&mut self.ready);
        let mut budgets = false;
        for (name, service) in &mut self.services {
            service.prune(now);
            budgets |= !service.recent.is_empty();
            if service.maintenance.as_ref().is_some_and(|m| m.until_ms <= now.wall.millis()) {
                service.maintenance = None;
                self.books.save(service, now);
            }
            if service.is_idle() && service.next_check <= now.steady_ms {
                self.tickets += 1;
                service.check = Some((self.tickets, now.steady_ms));
                service.next_check = now.steady_ms + ms(pace(service));
                if let Phase::Waiting { until } = service.phase
                    && until > now.steady_ms
                {
                    service.next_check = service.next_check.min(until);
                }
                due.push(Action::Check { service: name.clone(), ticket: self.tickets });
            }
        }
        if budgets && self.books.kept_steady + ms(KEEP_STEADY) <= now.steady_ms {
            self.books.keep_steady(now);
        }
        due
    }

    /// When [`Policy::poll`] has something to do next, by the steady count.
    pub fn next_due(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        let checks = self.services.values().filter(|s| s.is_idle()).map(|s| s.next_check);
        let budgets = self.services.values().any(|s| !s.recent.is_empty());
        checks.chain(budgets.then(|| self.books.kept_steady + ms(KEEP_STEADY))).min()
    }

    /// A check has ended.
    pub fn checked(&mut self, name: &str, ticket: u64, verdict: Verdict, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        let Some((_, began)) = service.check.take_if(|(running, _)| *running == ticket) else { return };
        // A check that began before a restart says nothing any more.
        if std::mem::take(&mut service.check_is_stale) {
            return;
        }
        service.note(&verdict, began, now);
        match verdict {
            Verdict::Healthy => self.healthy(name, now),
            Verdict::Unknown { why } => self.unknown(name, &why, now),
            Verdict::Failed { why, .. } => self.failed(name, &why, now),
        }
    }

    fn healthy(&mut self, name: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        (service.attempts, service.phase, service.withheld) = (0, Phase::Watching, None);
        let message = if service.status.is_none() { "Service is healthy" } else { "Service recovered" };
        self.books.change(service, Status::Healthy, EventKind::Recovery, message, "", now);
    }

    fn unknown(&mut self, name: &str, why: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        if matches!(service.phase, Phase::Waiting { .. }) {
            self.withhold(name, Withheld::OwnNetwork);
        }
        let Some(service) = self.services.get_mut(name) else { return };
        // What nobody could look at for a while is not shown as healthy.
        if service.unknowns >= UNKNOWNS_MAX && matches!(service.status, None | Some(Status::Healthy)) {
            self.books.change(service, Status::Unhealthy, EventKind::Failure, "Health check failed", why, now);
        }
    }

    fn failed(&mut self, name: &str, why: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        match service.phase {
            Phase::Watching => {
                if matches!(service.status, None | Some(Status::Healthy)) {
                    self.books.change(service, Status::Unhealthy, EventKind::Failure, "Health check failed", why, now);
                }
                if service.rules.restart.is_some() && service.failures >= service.rules.failures {
                    self.plan(name, now);
                }
            }
            Phase::Waiting { .. } if service.in_maintenance(now).is_some() => self.withhold(name, Withheld::Maintenance),
            Phase::Waiting { until } if until <= now.steady_ms => self.consider(name, now),
            Phase::Settling { until } if until <= now.steady_ms => self.restart_failed(name, why, now),
            Phase::Waiting { .. } | Phase::Settling { .. } | Phase::Restarting { .. } | Phase::GivenUp => {}
        }
        if let Some(service) = self.services.get_mut(name) {
            self.books.tell(service, now);
        }
    }

    /// Plans the next restart, or gives up.
    fn plan(&mut self, name: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        if service.attempts >= service.rules.max_retries {
            let message = format!("Gave up after {} restarts without success; a person must act", service.attempts);
            return self.give_up(name, &message, now);
        }
        let until = now.steady_ms + ms(service.rules.backoff(service.attempts + 1));
        service.phase = Phase::Waiting { until };
        service.next_check = service.next_check.min(until);
    }

    fn give_up(&mut self, name: &str, message: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        service.phase = Phase::GivenUp;
        self.books.change(service, Status::Failed, EventKind::Failure, message, "", now);
    }

    /// The wait is over and the service still fails: restart it, unless something speaks against it.
    fn consider(&mut self, name: &str, now: Now) {
        let Some(service) = self.services.get(name) else { return };
        if self.is_network_in_doubt(service) {
            return self.withhold(name, Withheld::OwnNetwork);
        }
        let (mut sick, mut stale) = (None, Vec::new());
        for needed in self.all_needed(name) {
            match self.services.get(&needed) {
                Some(other) if other.status == Some(Status::Healthy) => {
                    if other.last_well.is_none_or(|at| Some(at) < service.failing_since) {
                        stale.push(needed);
                    }
                }
                _ => sick = sick.or(Some(needed)),
            }
        }
        if let Some(sick) = sick {
            return self.withhold(name, Withheld::Dependency(sick));
        }
        if !stale.is_empty() {
            return self.look_first(name, &stale, now);
        }
        let Some(service) = self.services.get_mut(name) else { return };
        service.prune(now);
        if service.recent.len() >= service.rules.restarts_max as usize {
            let message = format!("Gave up after {} restarts within ten minutes; a person must act", service.recent.len());
            return self.give_up(name, &message, now);
        }
        let attempt = service.attempts + 1;
        let message = format!("Restart attempt {attempt} of {}", service.rules.max_retries);
        if self.begin(name, POLICY, attempt, &message, now).is_err() {
            self.withhold(name, Withheld::Record);
            if let Some(service) = self.services.get_mut(name) {
                service.phase = Phase::Waiting { until: now.steady_ms + ms(RECORD_WAIT) };
            }
        }
    }

    /// Whether a failure to reach another machine may be ours: nobody there answered, and nobody elsewhere since then.
    fn is_network_in_doubt(&self, service: &Service) -> bool {
        let Some(host) = &service.rules.remote else { return false };
        let answers = |other: &Service| other.rules.remote.as_ref().is_some_and(|h| h != host) && other.last_contact >= service.failing_since.or(Some(0));
        !service.reached && !self.services.values().any(answers)
    }

    /// Everything that a service needs, directly or not.
    fn all_needed(&self, name: &str) -> BTreeSet<String> {
        let (mut found, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
        while let Some(next) = open.pop() {
            for needed in self.services.get(&next).into_iter().flat_map(|s| &s.rules.depends_on) {
                if needed != name && found.insert(needed.clone()) {
                    open.push(needed.clone());
                }
            }
        }
        found
    }

    /// What a service depends on was last seen before it began to fail: look at that first.
    fn look_first(&mut self, name: &str, stale: &[String], now: Now) {
        for needed in stale {
            if let Some(other) = self.services.get_mut(needed) {
                other.next_check = other.next_check.min(now.steady_ms);
            }
        }
        if let Some(service) = self.services.get_mut(name) {
            let until = now.steady_ms + ms(DEPENDENCY_WAIT);
            service.phase = Phase::Waiting { until };
            service.next_check = service.next_check.min(until);
        }
    }

    /// A restart is due and not made. Failures are counted anew, so that it comes only when they go on.
    fn withhold(&mut self, name: &str, reason: Withheld) {
        let Some(service) = self.services.get_mut(name) else { return };
        *service.counts.withheld.entry(reason.reason()).or_default() += 1;
        if service.withheld.as_ref() != Some(&reason) {
            tracing::warn!(target: "watchfire::services", service = name, reason = reason.reason(), "{}", reason.sentence());
        }
        (service.phase, service.failures, service.failing_since) = (Phase::Watching, 0, None);
        service.withheld = Some(reason);
    }

    /// Records a restart and, when that is done, makes it due.
    fn begin(&mut self, name: &str, who: Who<'_>, attempts: u32, message: &str, now: Now) -> Result<(), Refused> {
        let Some(service) = self.services.get_mut(name) else { return Err(Refused::NoSuchService) };
        let how = service.rules.restart.clone().ok_or(Refused::NoRestart)?;
        self.tickets += 1;
        let ticket = self.tickets;
        let entry = self.books.entry(who, "restart", name, how, now);
        let before = (service.phase, service.attempts);
        (service.phase, service.attempts) = (Phase::Restarting { ticket, audit: entry.seq }, attempts);
        service.recent.push_back(now.steady_ms);
        service.restarts_total += 1;
        if let Err(error) = self.books.change_with(service, Status::Restarting, EventKind::Restart, message, Some(&entry), now) {
            (service.phase, service.attempts) = before;
            service.recent.pop_back();
            service.restarts_total -= 1;
            return Err(Refused::Record(error));
        }
        (service.check_is_stale, service.withheld, service.by_hand) = (service.check.is_some(), None, who.via != POLICY.via);
        self.ready.push(Action::Restart { service: name.to_owned(), ticket });
        Ok(())
    }

    /// A restart has ended: in words how, or what went wrong.
    pub fn restarted(&mut self, name: &str, ticket: u64, outcome: Result<String, String>, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        let Phase::Restarting { ticket: running, audit } = service.phase else { return };
        if running != ticket {
            return;
        }
        let began = Phase::Settling { until: now.steady_ms + ms(service.rules.start_period) };
        (service.phase, service.failures, service.failing_since) = (began, 0, None);
        match outcome {
            Ok(how) => {
                service.counts.restarts[0] += 1;
                service.next_check = now.steady_ms + ms(AFTER_RESTART.0);
                self.books.close(audit, AuditOutcome::Done(how));
                self.books.save(service, now);
            }
            Err(why) => {
                service.counts.restarts[1] += 1;
                service.next_check = now.steady_ms + ms(pace(service));
                self.books.close(audit, AuditOutcome::Failed(why.clone()));
                self.restart_failed(name, &why, now);
            }
        }
    }

    fn restart_failed(&mut self, name: &str, why: &str, now: Now) {
        let Some(service) = self.services.get_mut(name) else { return };
        let message = match service.by_hand {
            true => "Restart failed".to_owned(),
            false => format!("Restart attempt {} of {} failed", service.attempts, service.rules.max_retries),
        };
        service.phase = Phase::Watching;
        self.books.change(service, Status::RestartFailed, EventKind::Failure, &message, why, now);
        self.plan(name, now);
    }

    /// Restarts a service because somebody asks. Their tries begin anew; the budget of ours does not.
    pub fn restart_by_hand(&mut self, name: &str, who: Who<'_>, now: Now) -> Result<(), Refused> {
        let service = self.services.get_mut(name).ok_or(Refused::NoSuchService)?;
        if service.rules.restart.is_none() {
            return Err(Refused::NoRestart);
        }
        if matches!(service.phase, Phase::Restarting { .. }) {
            return Err(Refused::Busy);
        }
        service.prune(now);
        if service.recent.len() >= BY_HAND_MAX {
            return Err(Refused::TooMany);
        }
        self.begin(name, who, 0, &format!("Restart asked for by {}", who.name), now)
    }

    /// Keeps a service from being restarted for a while.
    pub fn begin_maintenance(&mut self, name: &str, until: Timestamp, reason: &str, who: Who<'_>, now: Now) -> Result<(), Refused> {
        let service = self.services.get_mut(name).ok_or(Refused::NoSuchService)?;
        let length = until.millis().saturating_sub(now.wall.millis());
        if !(1..=super::maintenance::ONE_OFF_MS_MAX).contains(&length) {
            return Err(Refused::Until);
        }
        let before = service.maintenance.replace(OneOff { until_ms: until.millis(), by: who.name.to_owned(), reason: reason.to_owned() });
        let how = if reason.is_empty() { format!("until {}", until.rfc3339()) } else { format!("until {}: {reason}", until.rfc3339()) };
        self.audited_save(name, who, "maintenance_begin", how, before, now)
    }

    /// Ends what [`Policy::begin_maintenance`] began.
    pub fn end_maintenance(&mut self, name: &str, who: Who<'_>, now: Now) -> Result<(), Refused> {
        let service = self.services.get_mut(name).ok_or(Refused::NoSuchService)?;
        let before = service.maintenance.take();
        if before.as_ref().is_none_or(|m| m.until_ms <= now.wall.millis()) {
            return Err(Refused::NoMaintenance);
        }
        self.audited_save(name, who, "maintenance_end", String::new(), before, now)
    }

    fn audited_save(&mut self, name: &str, who: Who<'_>, action: &str, how: String, before: Option<OneOff>, now: Now) -> Result<(), Refused> {
        let entry = AuditEntry { outcome: AuditOutcome::Done(String::new()), ..self.books.entry(who, action, name, how, now) };
        let Some(service) = self.services.get_mut(name) else { return Err(Refused::NoSuchService) };
        let mut changes = self.books.journal.audit(&entry);
        changes.push(Change::Put(SERVICES, name.to_owned(), record::bytes(&service.record())));
        if let Err(error) = self.books.commit(changes, now) {
            service.maintenance = before;
            return Err(Refused::Record(error));
        }
        self.books.journal.audited(entry.seq);
        Ok(())
    }

    /// What there is to tell since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.books.notices)
    }

    /// How every service looks, ascending by name.
    pub fn views(&self, now: Now) -> Vec<View> {
        self.services.values().map(|service| service.view(now)).collect()
    }

    /// The newest events of all services, newest first.
    pub fn recent(&self) -> Vec<Event> {
        self.books.journal.recent().cloned().collect()
    }

    /// Changes that happened and could not be recorded.
    pub fn records_lost(&self) -> u64 {
        self.books.lost
    }
}

/// The time from one check to the next.
fn pace(service: &Service) -> Duration {
    match service.phase {
        Phase::Settling { .. } => service.rules.interval.min(AFTER_RESTART.1),
        _ => service.rules.interval,
    }
}

/// Overwrites an audit record with its outcome.
fn closed(entry: AuditEntry, outcome: AuditOutcome) -> Change {
    Change::Put(SERVICE_AUDIT, key(entry.seq), record::bytes(&AuditEntry { outcome, ..entry }))
}
