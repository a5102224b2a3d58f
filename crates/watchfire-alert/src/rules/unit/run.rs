//! One test after another: series in, rules step by step, comparisons. What failed comes back as texts in promtool's form.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::sample::stale_nan;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_query::promql::Engine;
use watchfire_query::promql::notation::Item;

use super::compare::{alerts_differ, samples_differ};
use super::file::{ExpectedAlert, TestFile, TestGroup};
use super::storage::Storage;
use crate::rules::file::RuleFile;
use crate::rules::{AlertState, Asker, Common, Expand, Group, Limits, Notify, OutgoingAlert, Surroundings, Tick};

/// What one evaluation of a rule may cost in a test.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(120), samples_max: 50_000_000, memory_max: 1 << 30 };

/// Alerts go nowhere in a test.
struct Nobody;
impl Notify for Nobody {
    fn notify(&self, _alerts: Vec<OutgoingAlert>) {}
}

/// Runs all tests of a file over the rules it names; gives what failed.
pub fn run(file: &TestFile, rules: &[RuleFile], templates: &Arc<dyn Expand>) -> Vec<String> {
    file.tests.iter().flat_map(|test| Run::new(file, test, rules, templates).run()).collect()
}

struct Run<'a> {
    file: &'a TestFile,
    test: &'a TestGroup,
    storage: Arc<Storage>,
    groups: Vec<Group>,
    surroundings: Surroundings,
}

impl<'a> Run<'a> {
    fn new(file: &'a TestFile, test: &'a TestGroup, rules: &[RuleFile], templates: &Arc<dyn Expand>) -> Run<'a> {
        let storage: Arc<Storage> = Arc::default();
        // It stands still: the limits of time do not count here.
        let clock = ManualClock::new(Timestamp(0));
        let asker = Asker { source: storage.clone(), logs: None, engine: Engine::default(), pool: None, limits: LIMITS, clock: clock.clone() };
        let surroundings =
            Surroundings { asker, sink: storage.clone(), notify: Arc::new(Nobody), templates: templates.clone(), clock, durations: Arc::default() };
        let common = Arc::new(Common {
            interval_ms: test.interval_ms.unsigned_abs(),
            external_labels: test.external_labels.clone(),
            external_url: test.external_url.clone(),
            ..Common::default()
        });
        let mut groups: Vec<Group> = rules.iter().flat_map(|f| f.groups.iter().map(|g| Group::new(f, g, &common, true)).collect::<Vec<_>>()).collect();
        let place = |group: &Group| file.order.iter().position(|name| *name == group.key().1).unwrap_or(0);
        groups.order_by_key(place);
        Run { file, test, storage, groups, surroundings }
    }

    /// The last moment that is looked at.
    fn end(&self) -> i64 {
        let moments = self.test.alerts.iter().map(|t| t.at_ms).chain(self.test.queries.iter().map(|t| t.at_ms));
        moments.max().unwrap_or(0)
    }

    fn run(mut self) -> Vec<String> {
        let mut failures = Vec::new();
        let moments: BTreeSet<i64> = self.test.alerts.iter().map(|t| t.at_ms).collect();
        let mut loaded = 0;
        let mut now = 0;
        while now <= self.end() {
            loaded = self.load(loaded, now);
            let broken = self.evaluate(now);
            failures.extend(broken.iter().cloned());
            if !broken.is_empty() {
                return failures;
            }
            for moment in moments.range(now..now.saturating_add(self.file.interval_ms)) {
                failures.extend(self.check_alerts(*moment));
            }
            now = now.saturating_add(self.file.interval_ms);
        }
        self.load(loaded, self.end());
        failures.extend(self.check_queries());
        failures
    }

    /// Puts the values in whose time has come; `from` is the first that is not yet in.
    fn load(&self, from: usize, now: i64) -> usize {
        let until = usize::try_from(now / self.test.interval_ms + 1).unwrap_or(usize::MAX);
        for (labels, items) in &self.test.series {
            for (i, item) in items.iter().enumerate().take(until).skip(from) {
                let time = (i as i64).saturating_mul(self.test.interval_ms);
                match item {
                    Item::Nothing => {}
                    Item::Marker => self.storage.add(labels, time, stale_nan()),
                    Item::Float(value) => self.storage.add(labels, time, *value),
                    Item::Histogram(literal) => self.storage.add_histogram(labels, time, literal.histogram.clone()),
                }
            }
        }
        until.max(from)
    }

    fn evaluate(&mut self, now: i64) -> Vec<String> {
        let tick = Tick { line: now, at: Timestamp(now), missed: 0, jumped: false };
        let mut broken = Vec::new();
        for group in &self.groups {
            group.evaluate(&tick, &self.surroundings);
            for rule in group.view().rules {
                if let Some(error) = rule.last_error {
                    broken.push(format!("    rule: {}, time: {}, err: {error}", rule.name, go_duration(now)));
                }
            }
        }
        broken
    }

    /// The alerts of a name that fire, whatever group they are of.
    fn firing(&self, name: &str) -> Vec<ExpectedAlert> {
        let rules = self.groups.iter().flat_map(|g| g.view().rules).filter(|r| r.kind.is_alert() && r.name == name);
        let firing = rules.flat_map(|r| r.alerts).filter(|a| a.state == AlertState::Firing);
        let mut found: Vec<_> = firing.map(|a| ExpectedAlert { labels: a.labels, annotations: a.annotations }).collect();
        found.order();
        found
    }

    fn check_alerts(&self, moment: i64) -> Vec<String> {
        let tests = self.test.alerts.iter().filter(|t| t.at_ms == moment);
        tests.filter_map(|test| alerts_differ(self.test.name.as_deref(), test, &self.firing(&test.name))).collect()
    }

    fn check_queries(&self) -> Vec<String> {
        let check = |test: &super::file::QueryTest| {
            let found = self.surroundings.asker.ask_metrics(&test.expr, Timestamp(test.at_ms), Duration::MAX);
            samples_differ(test, found.map_err(|e| e.to_string()), self.file.fuzzy)
        };
        self.test.queries.iter().filter_map(check).collect()
    }
}

/// A duration as Go writes it: `1m30s`, `1h0m0s`, `1.5s`.
fn go_duration(ms: i64) -> String {
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let seconds = (ms % 60_000) as f64 / 1_000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// All labels within braces, the name among them.
pub(super) fn in_braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={}", watchfire_model::labels::quoted(v))).collect();
    format!("{{{}}}", pairs.join(", "))
}
