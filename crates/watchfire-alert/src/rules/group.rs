//! A group of rules with how it goes: what it is, what is shown of it, what it keeps across reloads. How it is evaluated stands in
//! `evaluate`, when in `schedule`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::sample::Sample;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::Sink;

use super::ask::Asker;
use super::durations::Durations;
use super::figures::Figures;
use super::file::{Language, Rule, RuleFile, RuleGroup};
use super::restore::Restore;
use super::state::AlertBook;
use super::{Expand, Notify};

/// What rules need of the rest of the house. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// Answers queries.
    pub asker: Asker,
    /// Where results go.
    pub sink: Arc<dyn Sink>,
    /// Who takes alerts on.
    pub notify: Arc<dyn Notify>,
    /// Expands labels and annotations.
    pub templates: Arc<dyn Expand>,
    /// The time.
    pub clock: SharedClock,
    /// How long evaluations take.
    pub durations: Arc<Durations>,
}

/// What all groups of one configuration have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The interval of groups that set none, in milliseconds.
    pub interval_ms: u64,
    /// How far behind groups look that do not say so, in milliseconds.
    pub query_offset_ms: u64,
    /// Labels that templates see. Who takes alerts on adds them to alerts.
    pub external_labels: Labels,
    /// Our own address.
    pub external_url: String,
    /// How often a firing alert is told again, in milliseconds.
    pub resend_ms: i64,
    /// How what was before a restart is taken up again.
    pub restore: Restore,
}
impl Default for Common {
    fn default() -> Common {
        Common {
            interval_ms: 60_000,
            query_offset_ms: 0,
            external_labels: Labels::empty(),
            external_url: String::new(),
            resend_ms: 60_000,
            restore: Restore::default(),
        }
    }
}

/// How the last evaluation of a rule went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There was none yet.
    #[default]
    Unknown,
    /// Well.
    Ok,
    /// It failed.
    Err,
}
impl Health {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Err => "err",
        }
    }
}

/// How a rule goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) health: Health,
    pub(super) last_error: Option<String>,
    /// Since when every evaluation failed.
    pub(super) failing_since: Option<Timestamp>,
    pub(super) last_evaluation: Option<Timestamp>,
    pub(super) duration: Duration,
    pub(super) alerts: AlertBook,
    /// What must be added to the line of time of its alerts to get wall time.
    pub(super) skew_ms: i64,
}

/// A rule at work.
pub(super) struct RuleAtWork {
    pub(super) rule: Rule,
    progress: Mutex<Progress>,
}
impl RuleAtWork {
    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What tells it from other rules of its group, across reloads.
    fn identity(&self) -> (&str, bool, &[(String, String)]) {
        (&self.rule.name, self.rule.kind.is_alert(), &self.rule.labels)
    }
}

/// Series that were written and have not ended.
#[derive(Default)]
pub(super) struct Living {
    pub(super) by_rule: Vec<HashSet<Labels>>,
    /// Those of rules that are gone.
    pub(super) orphaned: Vec<Labels>,
}

/// A group at work. Only one evaluation of it runs at a time.
pub struct Group {
    pub(super) file: Arc<str>,
    pub(super) language: Language,
    pub(super) name: String,
    pub(super) interval_ms: u64,
    pub(super) query_offset_ms: u64,
    pub(super) limit: usize,
    pub(super) rules: Vec<RuleAtWork>,
    pub(super) common: Arc<Common>,
    pub(super) figures: Figures,
    pub(super) origin: Origin,
    restored: AtomicBool,
    living: Mutex<Living>,
}

impl Group {
    /// A group that was never evaluated. Alerts that may have been there before a restart are restored unless it is said that they are.
    pub fn new(file: &RuleFile, group: &RuleGroup, common: &Arc<Common>, restored: bool) -> Group {
        let rules: Vec<_> = group.rules.iter().map(|rule| RuleAtWork { rule: rule.clone(), progress: Mutex::default() }).collect();
        let living = Living { by_rule: vec![HashSet::new(); rules.len()], orphaned: Vec::new() };
        Group {
            file: file.name.clone(),
            language: file.language,
            name: group.name.clone(),
            interval_ms: group.interval_ms.unwrap_or(common.interval_ms),
            query_offset_ms: group.query_offset_ms.unwrap_or(common.query_offset_ms),
            limit: group.limit,
            rules,
            common: common.clone(),
            figures: Figures::default(),
            origin: Origin::new(&format!("rule/{};{}", file.name, group.name)),
            restored: AtomicBool::new(restored),
            living: Mutex::new(living),
        }
    }

    /// File and name, which no other group has.
    pub fn key(&self) -> (Arc<str>, String) {
        (self.file.clone(), self.name.clone())
    }

    /// How often it is evaluated, in milliseconds.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// Whether a reload brought nothing new for it, so that it can simply go on.
    pub(super) fn is_same_as(&self, other: &Group) -> bool {
        let alike = |(a, b): (&RuleAtWork, &RuleAtWork)| a.identity() == b.identity() && a.rule.kind == b.rule.kind && a.rule.expr.text() == b.rule.expr.text();
        (self.key(), self.language) == (other.key(), other.language)
            && (self.interval_ms, self.query_offset_ms, self.limit) == (other.interval_ms, other.query_offset_ms, other.limit)
            && self.common == other.common
            && self.rules.len() == other.rules.len()
            && self.rules.iter().zip(&other.rules).all(alike)
    }

    /// Whether it is known what was before a restart.
    pub fn is_restored(&self) -> bool {
        self.restored.load(Ordering::SeqCst)
    }
    pub(super) fn set_restored(&self) {
        self.restored.store(true, Ordering::SeqCst);
    }

    pub(super) fn living(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the group of the same name had before a reload: alerts, figures, and series that must be ended when
    /// their rule is gone. Rules are the same when their names and labels are; of several the first takes from the first.
    pub(super) fn take_over(&self, from: &Group) {
        let mut by_identity: HashMap<_, std::collections::VecDeque<usize>> = HashMap::new();
        for (i, rule) in from.rules.iter().enumerate() {
            by_identity.entry(rule.identity()).or_default().push_back(i);
        }
        let (mut living, mut before) = (self.living(), std::mem::take(&mut *from.living()));
        for (i, rule) in self.rules.iter().enumerate() {
            let Some(former) = by_identity.get_mut(&rule.identity()).and_then(std::collections::VecDeque::pop_front) else { continue };
            living.by_rule[i] = before.by_rule.get_mut(former).map(std::mem::take).unwrap_or_default();
            let known = from.rules[former].progress().clone();
            let mut progress = rule.progress();
            progress.alerts.take_over(&known.alerts, known.skew_ms);
            *progress = Progress { alerts: std::mem::take(&mut progress.alerts), skew_ms: 0, ..known };
        }
        living.orphaned = before.orphaned;
        living.orphaned.extend(before.by_rule.into_iter().flatten());
        self.figures.take_over(&from.figures);
        // A reload before the second evaluation must not make anybody forget what was before the restart.
        self.restored.store(from.is_restored(), Ordering::SeqCst);
    }
}

/// One sample at a moment.
pub(super) fn sample(time: Timestamp, value: f64) -> watchfire_model::batch::Samples {
    watchfire_model::batch::Samples::One(Sample { time, value })
}
