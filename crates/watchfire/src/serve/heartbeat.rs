//! Whether alerts would reach somebody at this moment, for the dead man's heartbeat: rules are evaluated when they are due and do
//! not all fail, the Alertmanager inside decides, and where alerts go somebody takes them. It asks and holds up nobody.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watchfire_alert::manager::Manager;
use watchfire_alert::receivers::Outside;
use watchfire_alert::receivers::heartbeat::Heartbeat;
use watchfire_alert::rules::GroupView;
use watchfire_alert::sender::Way;
use watchfire_model::meter::Meter;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_net::client::Caller;

use super::alerting::Alerting;

/// How long after three intervals a group may be late: a jump of the clock holds evaluations back for a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// Beats as long as all is well.
pub(super) fn start(
    heartbeat: &Heartbeat,
    alerting: &Arc<Alerting>,
    inside: &Arc<Manager>,
    caller: Arc<Caller>,
    clock: &SharedClock,
    meter: &Meter,
) -> impl Future<Output = ()> + use<> {
    let (heartbeat, meter, begun, seen) = (heartbeat.clone(), meter.clone(), clock.now(), AtomicU64::new(u64::MAX));
    let (alerting, inside, clock) = (alerting.clone(), inside.clone(), clock.clone());
    let outside = Outside { caller, clock: clock.clone(), pictures: Arc::default() };
    async move {
        let well = move || {
            let turns = inside.pulse();
            let signs = Signs {
                groups: &alerting.groups(),
                begun,
                now: clock.now(),
                way: alerting.way(),
                tells_somebody: inside.config().tells_somebody(),
                hangs: seen.swap(turns, Ordering::Relaxed) == turns,
            };
            signs.unwell().map_or(Ok(()), Err)
        };
        heartbeat.run(outside, &meter, well).await;
    }
}

/// What tells whether an alert would reach somebody.
struct Signs<'a> {
    groups: &'a [GroupView],
    /// When this process began.
    begun: Timestamp,
    now: Timestamp,
    /// Which way alerts take.
    way: Way,
    /// Whether the Alertmanager inside has somebody to tell.
    tells_somebody: bool,
    /// Whether the Alertmanager inside has decided nothing since the last beat.
    hangs: bool,
}
impl Signs<'_> {
    /// Why an alert would reach nobody; nothing when all is well.
    fn unwell(&self) -> Option<String> {
        if let Some(late) = self.first(|group| self.is_late(group)) {
            return Some(format!("the rules of {late} are not evaluated"));
        }
        if let Some(failing) = self.first(|group| self.fails(group)) {
            return Some(format!("all rules of {failing} fail"));
        }
        match self.way {
            Way::Outside { failing: true } => Some("no Alertmanager outside takes alerts".to_owned()),
            Way::Inside if !self.tells_somebody => Some("no route leads to a receiver that tells anybody".to_owned()),
            _ if self.hangs => Some("the Alertmanager inside hangs".to_owned()),
            Way::Unknown | Way::Inside | Way::Outside { .. } => None,
        }
    }

    fn first(&self, bad: impl Fn(&GroupView) -> bool) -> Option<String> {
        self.groups.iter().find(|group| bad(group)).map(|group| format!("{};{}", group.file, group.name))
    }
    fn since(&self, then: Timestamp) -> u128 {
        u128::try_from(self.now.millis().saturating_sub(then.millis())).unwrap_or(0)
    }

    /// Whether a group should have been evaluated long ago.
    fn is_late(&self, group: &GroupView) -> bool {
        self.since(group.last_evaluation.unwrap_or(self.begun)) > (group.interval * 3 + PATIENCE).as_millis()
    }
    /// Whether every rule of a group has failed for three intervals: what its alerts are about goes unseen.
    fn fails(&self, group: &GroupView) -> bool {
        let long = |since: Timestamp| self.since(since) >= (group.interval * 3).as_millis();
        !group.rules.is_empty() && group.rules.iter().all(|rule| rule.failing_since.is_some_and(long))
    }
}

#[cfg(test)]
mod tests {
    use watchfire_alert::rules::{AlertState, Health, RuleView};

    use super::*;

    fn rule(failing_since: Option<i64>) -> RuleView {
        RuleView {
            name: "r".to_owned(),
            query: "up".to_owned(),
            labels: Vec::new(),
            health: Health::Unknown,
            last_error: None,
            failing_since: failing_since.map(Timestamp),
            duration: Duration::ZERO,
            last_evaluation: None,
            kind: watchfire_alert::rules::file::RuleKind::Record,
            state: AlertState::Inactive,
            alerts: Vec::new(),
        }
    }
    fn group(last: Option<i64>, rules: Vec<RuleView>) -> GroupView {
        GroupView {
            name: "g".to_owned(),
            file: "f.yml".into(),
            language: watchfire_alert::rules::file::Language::Metrics,
            interval: Duration::from_secs(60),
            limit: 0,
            duration: Duration::ZERO,
            last_evaluation: last.map(Timestamp),
            rules,
        }
    }
    /// Signs of a process in which all is well.
    fn well(groups: &[GroupView]) -> Signs<'_> {
        Signs { groups, begun: Timestamp(700_000), now: Timestamp(1_000_000), way: Way::Inside, tells_somebody: true, hangs: false }
    }

    #[test]
    fn groups_that_are_not_evaluated_are_late() {
        let at = |last, now| {
            let groups = [group(Some(1_000_000), Vec::new()), group(last, Vec::new())];
            Signs { now: Timestamp(now), ..well(&groups) }.unwell()
        };
        let late = Some("the rules of f.yml;g are not evaluated".to_owned());
        assert_eq!(at(Some(1_000_000), 1_300_000), None);
        assert_eq!(at(Some(999_999), 1_300_000), late);
        assert_eq!(at(None, 1_000_000), None);
        assert_eq!(at(None, 1_000_001), late);
    }

    #[test]
    fn groups_whose_rules_have_all_failed_for_three_intervals_tell_nobody() {
        let at = |rules: Vec<RuleView>| well(&[group(Some(1_000_000), Vec::new()), group(Some(1_000_000), rules)]).unwell();
        assert_eq!(at(vec![rule(Some(820_000)), rule(Some(1_000))]), Some("all rules of f.yml;g fail".to_owned()));
        assert_eq!(at(vec![rule(Some(820_001)), rule(Some(1_000))]), None, "not for long");
        assert_eq!(at(vec![rule(Some(1_000)), rule(None)]), None, "one of them works");
    }

    #[test]
    fn alerts_that_nobody_takes_stop_the_heart() {
        let at = |way, tells_somebody, hangs| Signs { way, tells_somebody, hangs, ..well(&[]) }.unwell();
        assert_eq!(at(Way::Inside, true, false), None);
        assert_eq!(at(Way::Inside, false, false).as_deref(), Some("no route leads to a receiver that tells anybody"));
        assert_eq!(at(Way::Inside, true, true).as_deref(), Some("the Alertmanager inside hangs"));
        let (failing, taking) = (Way::Outside { failing: true }, Way::Outside { failing: false });
        assert_eq!(at(failing, true, false).as_deref(), Some("no Alertmanager outside takes alerts"));
        assert_eq!((at(taking, false, false), at(Way::Unknown, false, false)), (None, None));
        assert_eq!(at(taking, false, true).as_deref(), Some("the Alertmanager inside hangs"));
    }
}
