//! A bench for the policy: time that is turned by hand, services that answer as a test says, restarts that take no time.

use std::time::Duration;

use watchfire_model::time::Timestamp;

use super::memory::Memory;
use crate::supervision::policy::{Action, Notice, Now, Policy, Rules, Verdict, View, Who};

/// 2025-12-30T10:15:00Z, a Tuesday.
pub(crate) const WALL: i64 = 1_767_089_700_000;
pub(crate) const SOMEBODY: Who<'static> = Who { name: "somebody", via: "token" };

pub(crate) struct Bench {
    pub(crate) store: Memory,
    pub(crate) policy: Policy,
    pub(crate) rules: Vec<Rules>,
    /// The true time.
    pub(crate) t: u64,
    pub(crate) wall_offset: i64,
    base: u64,
    born: u64,
    /// When each check began, and of whom.
    pub(crate) checks: Vec<(u64, String)>,
    /// When each restart began, and of whom.
    pub(crate) restarts: Vec<(u64, String)>,
    pub(crate) notices: Vec<Notice>,
}

pub(crate) fn down() -> Verdict {
    Verdict::Failed { why: "connection refused".to_owned(), reached: true }
}

pub(crate) fn unreachable() -> Verdict {
    Verdict::Failed { why: "no answer".to_owned(), reached: false }
}

/// A service that is checked every second and may be restarted.
pub(crate) fn restartable(name: &str) -> Rules {
    let second = Duration::from_secs(1);
    Rules { interval: second, timeout: second, start_period: 2 * second, restart: Some("command /bin/true".to_owned()), ..Rules::new(name) }
}

impl Bench {
    pub(crate) fn new(rules: Vec<Rules>) -> Bench {
        let store = Memory::default();
        let (policy, base) = Policy::open(store.shared()).unwrap();
        let mut bench = Bench { store, policy, rules, t: 0, wall_offset: WALL, base, born: 0, checks: Vec::new(), restarts: Vec::new(), notices: Vec::new() };
        bench.apply();
        bench
    }

    pub(crate) fn apply(&mut self) {
        let now = self.now();
        self.policy.apply(self.rules.clone(), now).unwrap();
    }

    pub(crate) fn now(&self) -> Now {
        Now { steady_ms: self.base + self.t - self.born, wall: Timestamp(self.t as i64 + self.wall_offset) }
    }

    /// Dies, and lives again after a while.
    pub(crate) fn dies_for(&mut self, ms: u64) {
        self.t += ms;
        let (policy, base) = Policy::open(self.store.shared()).unwrap();
        (self.policy, self.base, self.born) = (policy, base, self.t);
        self.apply();
    }

    /// Lets time pass; every service answers at once, as the test says for a name and a time.
    pub(crate) fn until(&mut self, end: u64, mut answer: impl FnMut(&str, u64) -> Verdict, mut restart: impl FnMut(&str) -> Result<String, String>) {
        while let Some(due) = self.policy.next_due() {
            let due = self.born + due.saturating_sub(self.base);
            if due > end {
                break;
            }
            self.t = self.t.max(due);
            let now = self.now();
            for action in self.policy.poll(now) {
                match action {
                    Action::Check { service, ticket } => {
                        self.checks.push((self.t, service.clone()));
                        let verdict = answer(&service, self.t);
                        self.policy.checked(&service, ticket, verdict, now);
                    }
                    Action::Restart { service, ticket } => {
                        self.restarts.push((self.t, service.clone()));
                        let outcome = restart(&service);
                        self.policy.restarted(&service, ticket, outcome, now);
                    }
                }
            }
            self.notices.extend(self.policy.take_notices());
        }
        self.t = end;
    }

    /// Every service is down for so long, and restarts are carried out without help.
    pub(crate) fn all_down_until(&mut self, end: u64) {
        self.until(end, |_, _| down(), |_| Ok("done".to_owned()));
    }

    pub(crate) fn view(&self, name: &str) -> View {
        self.policy.views(self.now()).into_iter().find(|v| v.rules.name == name).unwrap()
    }

    /// The statuses that were told of a service, with their messages.
    pub(crate) fn told(&self, name: &str) -> Vec<(&'static str, String)> {
        self.notices.iter().filter(|n| n.changed && n.service == name).map(|n| (n.status.name(), n.message.clone())).collect()
    }

    /// The same without messages.
    pub(crate) fn statuses(&self, name: &str) -> Vec<&'static str> {
        self.told(name).into_iter().map(|(status, _)| status).collect()
    }

    pub(crate) fn restarts_of(&self, name: &str) -> Vec<u64> {
        self.restarts.iter().filter(|(_, n)| n == name).map(|(t, _)| *t).collect()
    }
}
