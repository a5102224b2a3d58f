//! Whether alerts would reach somebody at this moment, for the dead man's heartbeat: rules are evaluated when they are due, and the
//! Alertmanager inside decides. It asks both and holds up neither.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watchfire_alert::manager::Manager;
use watchfire_alert::receivers::Outside;
use watchfire_alert::receivers::heartbeat::Heartbeat;
use watchfire_alert::rules::GroupView;
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
    let outside = Outside { caller, clock: clock.clone() };
    async move {
        let well = move || {
            if let Some(late) = late(&alerting.groups(), begun, clock.now()) {
                return Err(format!("the rules of {late} are not evaluated"));
            }
            let turns = inside.pulse();
            if seen.swap(turns, Ordering::Relaxed) == turns { Err("the Alertmanager inside hangs".to_owned()) } else { Ok(()) }
        };
        heartbeat.run(outside, &meter, well).await;
    }
}

/// The first group that should have been evaluated long ago.
fn late(groups: &[GroupView], begun: Timestamp, now: Timestamp) -> Option<String> {
    let overdue = |group: &&GroupView| {
        let since = now.millis().saturating_sub(group.last_evaluation.unwrap_or(begun).millis());
        u128::try_from(since).is_ok_and(|since| since > (group.interval * 3 + PATIENCE).as_millis())
    };
    groups.iter().find(overdue).map(|group| format!("{};{}", group.file, group.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_not_evaluated_are_late() {
        let group = |last: Option<i64>| GroupView {
            name: "g".to_owned(),
            file: "f.yml".into(),
            interval: Duration::from_secs(60),
            limit: 0,
            duration: Duration::ZERO,
            last_evaluation: last.map(Timestamp),
            rules: Vec::new(),
        };
        let at = |last, now| late(&[group(Some(1_000_000)), group(last)], Timestamp(700_000), Timestamp(now));
        assert_eq!(at(Some(1_000_000), 1_300_000), None);
        assert_eq!(at(Some(999_999), 1_300_000), Some("f.yml;g".to_owned()));
        assert_eq!(at(None, 1_000_000), None);
        assert_eq!(at(None, 1_000_001), Some("f.yml;g".to_owned()));
    }
}
