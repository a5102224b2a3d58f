//! The answers of the face of supervision, made from what the supervisor shows. No logic.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::time::Timestamp;
use watchfire_pipeline::supervision::policy::{AuditEntry, AuditOutcome, Event, Status};
use watchfire_pipeline::supervision::{ServiceView, Snapshot};

/// All supervised services.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Services"))]
pub(super) struct ServicesJson {
    /// Ascending by name. A service that is missing here is not configured.
    services: Vec<ServiceJson>,
    /// When this was found out.
    timestamp: String,
}

/// One supervised service.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "SupervisedService"))]
pub(super) struct ServiceJson {
    name: String,
    /// `healthy`, `unhealthy`, `restarting`, `restart_failed` or `failed`; null before the first check.
    status: Option<&'static str>,
    /// Since when; null before the first check.
    since: Option<String>,
    /// A sentence for people.
    message: String,
    check: CheckJson,
    /// The last check; null before the first one.
    last_check: Option<LastCheckJson>,
    /// When the next check begins; null while a check or a restart runs.
    next_check: Option<String>,
    /// What the last check found wrong.
    last_error: Option<String>,
    /// Failed checks in a row that count for a restart, and how many are needed.
    consecutive_failures: u32,
    failures_needed: u32,
    /// How it is restarted; null when it is only watched.
    restart: Option<String>,
    /// Restarts without success so far, and after how many we give up.
    attempts: u32,
    max_retries: u32,
    /// The wait before the first restart, which doubles with each further one.
    backoff_base_seconds: f64,
    /// All restarts ever.
    restarts: u64,
    /// Restarts within the last ten minutes, and how many there may be.
    restarts_recent: u32,
    restarts_max: u32,
    /// The earliest time of the restart that is planned, if one is.
    next_restart: Option<String>,
    /// Why the last restart that was due was not made.
    withheld: Option<WithheldJson>,
    /// What it needs.
    depends_on: Vec<String>,
    maintenance: Option<MaintenanceJson>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceCheck"))]
struct CheckJson {
    /// `http`, `tcp`, `redis`, `postgresql`, `process`, `container`, `systemd` or `command`.
    kind: &'static str,
    /// What is looked at, without secrets.
    target: String,
    interval_seconds: f64,
    timeout_seconds: f64,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceLastCheck"))]
struct LastCheckJson {
    at: String,
    duration_ms: u64,
    /// `healthy`, `failed`, or `unknown` when the check could not be made.
    outcome: &'static str,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceRestartWithheld"))]
struct WithheldJson {
    /// `maintenance`, `dependency`, `own_network` or `record`.
    reason: &'static str,
    /// A sentence for people.
    message: String,
}
/// A window in which a service is not restarted.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceMaintenance"))]
pub(super) struct MaintenanceJson {
    /// `one_off` or `recurring`.
    pub(super) kind: &'static str,
    /// When it ends.
    pub(super) until: String,
    pub(super) reason: Option<String>,
    /// Who asked for it.
    pub(super) by: Option<String>,
}

impl ServicesJson {
    pub(super) fn new(snapshot: &Snapshot, now: Timestamp) -> ServicesJson {
        ServicesJson { services: snapshot.services.iter().map(ServiceJson::new).collect(), timestamp: now.rfc3339() }
    }
}

impl ServiceJson {
    pub(super) fn new(service: &ServiceView) -> ServiceJson {
        let (view, rules) = (&service.view, &service.view.rules);
        let maintenance = view.maintenance_until.map(|until| MaintenanceJson {
            kind: if view.maintenance.is_some() { "one_off" } else { "recurring" },
            until: until.rfc3339(),
            reason: view.maintenance.as_ref().map(|m| m.reason.clone()),
            by: view.maintenance.as_ref().map(|m| m.by.clone()),
        });
        let check = CheckJson {
            kind: service.check_kind,
            target: service.check_target.clone(),
            interval_seconds: rules.interval.as_secs_f64(),
            timeout_seconds: rules.timeout.as_secs_f64(),
        };
        let last = view.last.as_ref();
        ServiceJson {
            name: rules.name.clone(),
            status: view.status.map(Status::name),
            since: view.status.map(|_| view.since.rfc3339()),
            message: if view.status.is_some() { view.message.clone() } else { "not checked yet".to_owned() },
            check,
            last_check: last.map(|l| LastCheckJson { at: l.at.rfc3339_millis(), duration_ms: l.took.as_millis() as u64, outcome: l.outcome }),
            next_check: view.next_check.map(Timestamp::rfc3339_millis),
            last_error: last.map(|l| l.error.clone()).filter(|e| !e.is_empty()),
            consecutive_failures: view.failures,
            failures_needed: rules.failures,
            restart: rules.restart.clone(),
            attempts: view.attempts,
            max_retries: rules.max_retries,
            backoff_base_seconds: rules.backoff_base.as_secs_f64(),
            restarts: view.restarts_total,
            restarts_recent: view.restarts_recent,
            restarts_max: rules.restarts_max,
            next_restart: view.next_restart.map(Timestamp::rfc3339_millis),
            withheld: view.withheld.as_ref().map(|w| WithheldJson { reason: w.reason(), message: w.sentence() }),
            depends_on: rules.depends_on.clone(),
            maintenance,
        }
    }
}

/// What happened to a service.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceHistory"))]
pub(super) struct HistoryJson {
    service: String,
    /// Newest first.
    events: Vec<EventJson>,
    count: usize,
}
/// One change of a service.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceEvent"))]
pub(crate) struct EventJson {
    timestamp: String,
    service: String,
    /// `failure`, `recovery` or `restart`.
    event_type: &'static str,
    /// The new status.
    status: String,
    message: String,
    /// What the last check found, if that was the reason.
    detail: Option<String>,
}
impl EventJson {
    pub(crate) fn new(event: &Event) -> EventJson {
        EventJson {
            timestamp: Timestamp(event.at_ms).rfc3339(),
            service: event.service.clone(),
            event_type: event.kind.name(),
            status: event.status.clone(),
            message: event.message.clone(),
            detail: Some(event.detail.clone()).filter(|d| !d.is_empty()),
        }
    }
}
impl HistoryJson {
    pub(super) fn new(service: String, events: &[Event]) -> HistoryJson {
        HistoryJson { service, events: events.iter().map(EventJson::new).collect(), count: events.len() }
    }
}

/// A restart that begins.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceRestart"))]
pub(super) struct RestartJson {
    pub(super) service: String,
    /// `restarting`.
    pub(super) status: &'static str,
}

/// Who had what done.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceAudit"))]
pub(super) struct AuditJson {
    /// Newest first.
    records: Vec<AuditRecordJson>,
    count: usize,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceAuditRecord"))]
struct AuditRecordJson {
    timestamp: String,
    /// The token or user; `watchfire` for what was decided by the rules.
    who: String,
    /// How they were recognised; `policy` for the rules.
    via: String,
    /// `restart`, `maintenance_begin` or `maintenance_end`.
    action: String,
    service: String,
    /// The way of the restart, or the time and reason of the maintenance.
    how: String,
    /// `begun`, `done`, `failed`, or `unknown` when Watchfire ended meanwhile.
    outcome: &'static str,
    /// The outcome in words.
    detail: Option<String>,
}
impl AuditJson {
    pub(super) fn new(records: Vec<AuditEntry>) -> AuditJson {
        let record = |entry: AuditEntry| {
            let (outcome, detail) = match entry.outcome {
                AuditOutcome::Begun => ("begun", None),
                AuditOutcome::Done(how) => ("done", Some(how)),
                AuditOutcome::Failed(why) => ("failed", Some(why)),
                AuditOutcome::Unknown => ("unknown", None),
            };
            AuditRecordJson {
                timestamp: Timestamp(entry.at_ms).rfc3339(),
                who: entry.who,
                via: entry.via,
                action: entry.action,
                service: entry.service,
                how: entry.how,
                outcome,
                detail: detail.filter(|d| !d.is_empty()),
            }
        };
        let count = records.len();
        AuditJson { records: records.into_iter().map(record).collect(), count }
    }
}
