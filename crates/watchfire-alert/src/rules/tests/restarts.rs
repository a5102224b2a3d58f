//! Reloads and restarts: what goes on, what ends, what is taken up again.

use watchfire_model::labels;
use watchfire_model::time::Timestamp;

use super::*;

const DOWN: &str = "  - alert: Down\n    expr: up == 0\n    for: 5m\n";

#[test]
fn a_changed_group_takes_over_what_it_had() {
    let stage = stage();
    let up = labels!("__name__" => "up");
    let before = group(&file_of(&format!("{DOWN}  - record: old\n    expr: up\n  - record: kept\n    expr: up\n")));
    stage.memory.add(&up, Timestamp(0), 0.0);
    stage.evaluate(&before, 0);
    let after = group(&file_of(&format!("{DOWN}  - record: kept\n    expr: up + 1\n")).replace("5m", "1m"));
    assert!(!after.is_same_as(&before));
    after.take_over(&before);
    stage.memory.add(&up, Timestamp(MINUTE), 0.0);
    stage.evaluate(&after, MINUTE);
    let view = only_rule(&after);
    assert_eq!((view.state, view.alerts[0].active_at), (AlertState::Firing, Timestamp(0)), "the alert did not wait again");
    assert_eq!(stage.shown("kept", MINUTE), ["kept 1"]);
    let old = watchfire_query::promql::parse("old").unwrap();
    assert!(stage.surroundings.asker.ask_metrics(&old, Timestamp(MINUTE), Duration::MAX).unwrap().is_empty(), "the series of a rule that is gone has ended");
}

#[test]
fn a_reload_before_the_restore_does_not_forget_it() {
    let before = groups(&file_of(DOWN), &Common::default(), false).remove(0);
    let after = groups(&file_of(DOWN), &Common::default(), true).remove(0);
    after.take_over(&before);
    assert!(!after.is_restored());
    before.set_restored();
    after.take_over(&before);
    assert!(after.is_restored());
}

#[test]
fn a_group_is_the_same_unless_something_of_it_changed() {
    let text = file_of(DOWN);
    let base = group(&text);
    assert!(base.is_same_as(&group(&text)));
    for (from, to) in [
        ("5m", "6m"),
        ("== 0", "== 1"),
        ("Down", "Up"),
        ("  rules:", "  interval: 1s\n  rules:"),
        ("  rules:", "  limit: 1\n  rules:"),
        ("  rules:", "  query_offset: 1s\n  rules:"),
    ] {
        assert!(!base.is_same_as(&group(&text.replace(from, to))), "{from} {to}");
    }
    let elsewhere = Common { external_labels: labels!("a" => "b"), ..Common::default() };
    assert!(!base.is_same_as(&groups(&text, &elsewhere, true)[0]), "texts may speak of external labels");
}

#[test]
fn a_group_that_is_gone_ends_its_series() {
    let stage = stage();
    let group = group(&file_of("  - record: r\n    expr: vector(1)\n"));
    stage.evaluate(&group, 0);
    group.end_all(Timestamp(MINUTE), &stage.surroundings);
    let r = watchfire_query::promql::parse("r").unwrap();
    assert!(stage.surroundings.asker.ask_metrics(&r, Timestamp(MINUTE), Duration::MAX).unwrap().is_empty());
}

/// Runs a group until it is killed, and a new one after an outage; gives the minute after the outage at which the alert fires.
fn fires_after(for_min: i64, held_min: i64, outage_min: i64, restore: Restore) -> Option<i64> {
    let stage = stage();
    let common = Common { restore, ..Common::default() };
    let text = file_of(DOWN).replace("5m", &format!("{for_min}m"));
    let up = labels!("__name__" => "up", "job" => "a");
    let run = |group: &Group, from: i64, to: i64| {
        let mut fired = None;
        for minute in from..=to {
            stage.memory.add(&up, Timestamp(minute * MINUTE), 0.0);
            stage.evaluate(group, minute * MINUTE);
            if minute == from + 1 && !group.is_restored() {
                assert!(stage.last("ALERTS", minute * MINUTE).is_empty(), "nothing is written before it is known what was");
                group.restore(&tick(minute * MINUTE), &stage.surroundings);
            }
            if fired.is_none() && stage.told.take().iter().any(|a| !a.resolved) {
                fired = Some(minute - from);
            }
        }
        fired
    };
    run(&groups(&text, &common, true)[0], 0, held_min);
    stage.told.take();
    let begin = held_min + outage_min;
    run(&groups(&text, &common, false)[0], begin, begin + for_min + 20)
}

#[test]
fn r59_a_restart_does_not_make_an_alert_wait_again() {
    let restore = Restore::default();
    // Held 20 of 60 minutes: 40 more. The outage does not count, and neither does the minute before the restore.
    assert_eq!(fires_after(60, 20, 30, restore), Some(41));
    // It was nearly there: the grace period.
    assert_eq!(fires_after(60, 58, 30, restore), Some(11));
    // It fired before: told as soon as what was is known.
    assert_eq!(fires_after(60, 70, 30, restore), Some(1));
    assert_eq!(fires_after(5, 10, 30, restore), Some(1));
    // Shorter than the grace period, where Prometheus would begin anew.
    assert_eq!(fires_after(5, 3, 30, restore), Some(3));
    // Longer ago than an hour: begun anew.
    assert_eq!(fires_after(20, 10, 61, restore), Some(20));
    assert_eq!(fires_after(20, 10, 5, Restore { outage_ms: 60_000, ..restore }), Some(20));
}

#[test]
fn what_had_ended_before_the_restart_begins_anew() {
    let stage = stage();
    let up = labels!("__name__" => "up");
    let text = file_of(DOWN);
    let before = group(&text);
    stage.memory.add(&up, Timestamp(0), 0.0);
    stage.evaluate(&before, 0);
    stage.memory.add(&up, Timestamp(MINUTE), 1.0);
    stage.evaluate(&before, MINUTE);
    let after = groups(&text, &Common::default(), false).remove(0);
    for minute in [10, 11] {
        stage.memory.add(&up, Timestamp(minute * MINUTE), 0.0);
        stage.evaluate(&after, minute * MINUTE);
    }
    after.restore(&tick(11 * MINUTE), &stage.surroundings);
    assert_eq!(only_rule(&after).alerts[0].active_at, Timestamp(10 * MINUTE));
}
