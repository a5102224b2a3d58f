//! Rules at work over a database in memory and a clock that is turned by hand.

mod groups;
mod life;
mod over_logs;
mod restarts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_query::promql::Engine;
use watchfire_testkit::logs::Logs;
use watchfire_testkit::memory::Memory;

use super::file::read;
use super::*;

pub(super) const MINUTE: i64 = 60_000;

/// Remembers what it is told.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<OutgoingAlert>>);
impl Notify for Told {
    fn notify(&self, alerts: Vec<OutgoingAlert>) {
        self.0.lock().unwrap().extend(alerts);
    }
}
impl Told {
    pub(super) fn take(&self) -> Vec<OutgoingAlert> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A database, a clock and somebody who is told.
pub(super) struct Stage {
    pub(super) memory: Arc<Memory>,
    pub(super) logs: Arc<Logs>,
    pub(super) told: Arc<Told>,
    pub(super) surroundings: Surroundings,
}

pub(super) fn stage() -> Stage {
    let (memory, told, clock) = (Arc::new(Memory::new()), Arc::new(Told::default()), ManualClock::new(Timestamp(0)));
    let logs = Arc::new(Logs::new());
    let limits = Limits { timeout: Duration::from_secs(30), samples_max: 1_000_000, memory_max: 64 << 20 };
    let asker = Asker { source: memory.clone(), logs: Some(logs.clone()), engine: Engine::default(), pool: None, limits, clock: clock.clone() };
    let templates = Arc::new(GoTemplates::new(clock.clone()));
    let surroundings = Surroundings { asker, sink: memory.clone(), notify: told.clone(), templates, clock, durations: Arc::default() };
    Stage { memory, logs, told, surroundings }
}

/// The groups of a file.
pub(super) fn groups(text: &str, common: &Common, restored: bool) -> Vec<Group> {
    let parsed = read("r.yml", text, None);
    let file = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    let common = Arc::new(common.clone());
    file.groups.iter().map(|group| Group::new(&file, group, &common, restored)).collect()
}

pub(super) fn group(text: &str) -> Group {
    groups(text, &Common::default(), true).remove(0)
}

/// A rule of the group `g` as a file.
pub(super) fn file_of(rules: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n{rules}")
}

pub(super) fn tick(ms: i64) -> Tick {
    Tick { line: ms, at: Timestamp(ms), missed: 0, jumped: false }
}

impl Stage {
    pub(super) fn evaluate(&self, group: &Group, ms: i64) {
        group.evaluate(&tick(ms), &self.surroundings);
    }
    /// The last sample of every series of a name at a moment, those that ended left out.
    pub(super) fn last(&self, name: &str, ms: i64) -> BTreeMap<Labels, f64> {
        let mut found = BTreeMap::new();
        let selection = Selection { matchers: vec![Matcher::equal("__name__", name)], start: Timestamp(ms), end: Timestamp(ms) };
        let budget = Budget::unlimited(self.surroundings.clock.clone());
        self.memory
            .select(&selection, &budget, &mut |series| {
                found.insert(series.labels, *series.values.last().unwrap());
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
        found.retain(|_, value| !is_stale(*value));
        found
    }
    pub(super) fn shown(&self, name: &str, ms: i64) -> Vec<String> {
        self.last(name, ms).iter().map(|(labels, value)| format!("{labels} {value}")).collect()
    }
}

/// The only rule of a group as it is shown.
pub(super) fn only_rule(group: &Group) -> RuleView {
    group.view().rules.remove(0)
}
