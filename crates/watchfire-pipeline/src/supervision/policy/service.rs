//! What is known about one supervised service while we run, and how it looks from outside. It changes nothing by itself; the
//! policy does.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_model::time::Timestamp;

use super::record::{OneOff, Pending, ServiceRecord, VERSION};
use super::rules::{Rules, WINDOW};
use super::{Now, Verdict};

/// The status of a service, in the words that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It responds normally.
    Healthy,
    /// A health check failed.
    Unhealthy,
    /// A restart is in progress.
    Restarting,
    /// A restart did not help.
    RestartFailed,
    /// All tries are used up; a person must act.
    Failed,
}
impl Status {
    /// All of them.
    pub const ALL: [Status; 5] = [Status::Healthy, Status::Unhealthy, Status::Restarting, Status::RestartFailed, Status::Failed];
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
            Status::Restarting => "restarting",
            Status::RestartFailed => "restart_failed",
            Status::Failed => "failed",
        }
    }
    pub(super) fn of(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Why a restart that was due was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// A window of maintenance is open.
    Maintenance,
    /// A service that it needs is not healthy.
    Dependency(String),
    /// We cannot tell whether our own network works.
    OwnNetwork,
    /// The decision could not be recorded.
    Record,
}
impl Withheld {
    /// The word for labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Withheld::Maintenance => "maintenance",
            Withheld::Dependency(_) => "dependency",
            Withheld::OwnNetwork => "own_network",
            Withheld::Record => "record",
        }
    }
    /// A sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Withheld::Maintenance => "not restarted during maintenance".to_owned(),
            Withheld::Dependency(name) => format!("not restarted while {name} is not healthy"),
            Withheld::OwnNetwork => "not restarted while our own network is in doubt".to_owned(),
            Withheld::Record => "not restarted because the decision cannot be recorded".to_owned(),
        }
    }
}

/// What is being done about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing but checks.
    Watching,
    /// The first failed check from then on leads to a restart.
    Waiting { until: u64 },
    /// The restart of this ticket runs.
    Restarting { ticket: u64, audit: u64 },
    /// It was restarted; until then it may fail checks.
    Settling { until: u64 },
    /// A person must act.
    GivenUp,
}

/// The last check.
#[derive(Clone, Debug, PartialEq)]
pub struct LastCheck {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// `healthy`, `failed` or `unknown`.
    pub outcome: &'static str,
    /// What was wrong; empty when nothing was.
    pub error: String,
}

/// Counts of one service since we run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Checks that went well, that failed, and that could not be made.
    pub checks: [u64; 3],
    /// Restarts that were carried out, and that could not be.
    pub restarts: [u64; 2],
    /// Restarts that were due and not made, by reason.
    pub withheld: std::collections::BTreeMap<&'static str, u64>,
}

/// One service.
pub(super) struct Service {
    pub(super) rules: Rules,
    pub(super) status: Option<Status>,
    pub(super) since: Timestamp,
    pub(super) message: String,
    pub(super) last: Option<LastCheck>,
    /// Failed checks in a row that count for a restart.
    pub(super) failures: u32,
    /// Checks in a row that could not be made.
    pub(super) unknowns: u32,
    /// When the first check of the row of failures began.
    pub(super) failing_since: Option<u64>,
    /// Whether the other machine answered the last check that failed.
    pub(super) reached: bool,
    pub(super) last_well: Option<u64>,
    /// When the other machine last answered anything at all.
    pub(super) last_contact: Option<u64>,
    pub(super) attempts: u32,
    pub(super) restarts_total: u64,
    pub(super) recent: VecDeque<u64>,
    pub(super) phase: Phase,
    /// Whether the restart that runs was asked for by somebody.
    pub(super) by_hand: bool,
    pub(super) next_check: u64,
    /// The check that runs, and when it began.
    pub(super) check: Option<(u64, u64)>,
    /// Whether a restart began after that check.
    pub(super) check_is_stale: bool,
    pub(super) maintenance: Option<OneOff>,
    pub(super) withheld: Option<Withheld>,
    /// Whether anybody was told the status since we run.
    pub(super) told: bool,
    pub(super) counts: Counts,
}

impl Service {
    /// A service as its record says, or a fresh one.
    pub(super) fn new(rules: Rules, record: Option<ServiceRecord>, now: Now) -> Service {
        let record = record.unwrap_or_default();
        let status = Status::of(&record.status);
        let phase = match status {
            Some(Status::Failed) => Phase::GivenUp,
            Some(Status::Restarting) => Phase::Settling { until: now.steady_ms + ms(rules.start_period) },
            _ => Phase::Watching,
        };
        Service {
            status,
            since: Timestamp(record.since_ms),
            message: record.message,
            last: None,
            failures: 0,
            unknowns: 0,
            failing_since: None,
            reached: true,
            last_well: None,
            last_contact: None,
            attempts: record.attempts,
            restarts_total: record.restarts_total,
            // A count from the future is damage; it counts as of now, which gives no restart away.
            recent: record.recent.into_iter().map(|at| at.min(now.steady_ms)).collect(),
            phase,
            by_hand: false,
            next_check: now.steady_ms,
            check: None,
            check_is_stale: false,
            maintenance: record.maintenance,
            withheld: None,
            told: false,
            counts: Counts::default(),
            rules,
        }
    }

    /// What of it must survive.
    pub(super) fn record(&self) -> ServiceRecord {
        let pending = match self.phase {
            Phase::Restarting { audit, .. } => Some(Pending { audit }),
            _ => None,
        };
        ServiceRecord {
            v: VERSION,
            status: self.status.map(Status::name).unwrap_or_default().to_owned(),
            since_ms: self.since.millis(),
            message: self.message.clone(),
            attempts: self.attempts,
            restarts_total: self.restarts_total,
            recent: self.recent.iter().copied().collect(),
            pending,
            maintenance: self.maintenance.clone(),
        }
    }

    /// Forgets restarts that are too old to count.
    pub(super) fn prune(&mut self, now: Now) {
        let window = ms(WINDOW);
        while self.recent.front().is_some_and(|at| at + window <= now.steady_ms) {
            self.recent.pop_front();
        }
    }

    /// Until when it is in maintenance, and why, if it is.
    pub(super) fn in_maintenance(&self, now: Now) -> Option<(Timestamp, Option<&OneOff>)> {
        let one_off = self.maintenance.as_ref().filter(|m| m.until_ms > now.wall.millis());
        one_off.map(|m| (Timestamp(m.until_ms), Some(m))).or_else(|| self.rules.in_window(now).map(|until| (until, None)))
    }

    /// Whether a check may begin.
    pub(super) fn is_idle(&self) -> bool {
        self.check.is_none() && !matches!(self.phase, Phase::Restarting { .. })
    }

    /// Notes what a check found, without drawing conclusions.
    pub(super) fn note(&mut self, verdict: &Verdict, began: u64, now: Now) {
        let (at, error) = match verdict {
            Verdict::Healthy => (0, String::new()),
            Verdict::Failed { why, .. } => (1, why.clone()),
            Verdict::Unknown { why } => (2, why.clone()),
        };
        self.counts.checks[at] += 1;
        let took = Duration::from_millis(now.steady_ms.saturating_sub(began));
        self.last = Some(LastCheck { at: now.wall, took, outcome: verdict.word(), error });
        match verdict {
            Verdict::Healthy => {
                (self.failures, self.unknowns, self.failing_since) = (0, 0, None);
                (self.last_well, self.last_contact) = (Some(began), Some(now.steady_ms));
            }
            Verdict::Failed { reached, .. } => {
                (self.unknowns, self.reached) = (0, *reached);
                if *reached {
                    self.last_contact = Some(now.steady_ms);
                }
                if self.in_maintenance(now).is_some() {
                    // What fails during maintenance is expected to.
                    (self.failures, self.failing_since) = (0, None);
                } else {
                    self.failures = self.failures.saturating_add(1);
                    self.failing_since.get_or_insert(began);
                }
            }
            Verdict::Unknown { .. } => {
                // A row of failures with a hole in it is none.
                (self.failures, self.failing_since) = (0, None);
                self.unknowns = self.unknowns.saturating_add(1);
            }
        }
    }
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How a service looks from outside.
#[derive(Clone, Debug)]
pub struct View {
    /// Its rules.
    pub rules: Rules,
    /// `None` before the first check.
    pub status: Option<Status>,
    /// Since when it has this status.
    pub since: Timestamp,
    /// A sentence for people.
    pub message: String,
    /// The last check.
    pub last: Option<LastCheck>,
    /// When the next check begins; `None` while one runs or a restart does.
    pub next_check: Option<Timestamp>,
    /// When the next restart may be made, if one is planned.
    pub next_restart: Option<Timestamp>,
    /// Failed checks in a row that count for a restart.
    pub failures: u32,
    /// Restarts without success so far.
    pub attempts: u32,
    /// All restarts ever.
    pub restarts_total: u64,
    /// Restarts that count for the budget now.
    pub restarts_recent: u32,
    /// Why the last restart that was due was not made.
    pub withheld: Option<Withheld>,
    /// Until when it is in maintenance.
    pub maintenance_until: Option<Timestamp>,
    /// Who asked for the maintenance and why; `None` for a recurring window.
    pub maintenance: Option<OneOff>,
    /// Counts since we run.
    pub counts: Counts,
}

impl Service {
    /// How it looks now.
    pub(super) fn view(&self, now: Now) -> View {
        let wall = |steady: u64| now.wall.plus_ms(steady as i64 - now.steady_ms as i64);
        let maintenance = self.in_maintenance(now);
        let next_restart = match self.phase {
            Phase::Waiting { until } => Some(wall(until)),
            _ => None,
        };
        let window = ms(WINDOW);
        View {
            rules: self.rules.clone(),
            status: self.status,
            since: self.since,
            message: self.message.clone(),
            last: self.last.clone(),
            next_check: self.is_idle().then(|| wall(self.next_check)),
            next_restart,
            failures: self.failures,
            attempts: self.attempts,
            restarts_total: self.restarts_total,
            restarts_recent: self.recent.iter().filter(|at| *at + window > now.steady_ms).count() as u32,
            withheld: self.withheld.clone(),
            maintenance_until: maintenance.map(|(until, _)| until),
            maintenance: maintenance.and_then(|(_, one_off)| one_off.cloned()),
            counts: self.counts.clone(),
        }
    }
}
