//! The behaviours of supervision, each by its id, and the rules of restarts one by one.

use std::time::Duration;

use super::bench::{Bench, SOMEBODY, down, restartable, unreachable};
use super::memory::Next;
use crate::supervision::policy::{AuditOutcome, Refused, Rules, Status, Verdict, Withheld, audit, history};

fn done(_: &str) -> Result<String, String> {
    Ok("done".to_owned())
}

#[test]
fn hlt_02_what_has_no_way_to_be_restarted_only_raises_events() {
    let mut bench = Bench::new(vec![Rules { restart: None, ..restartable("redis") }]);
    bench.all_down_until(3_600_000);
    assert_eq!(bench.statuses("redis"), ["unhealthy"]);
    assert_eq!(bench.restarts, []);
    assert!(matches!(bench.policy.restart_by_hand("redis", SOMEBODY, bench.now()), Err(Refused::NoRestart)));
}

#[test]
fn hlt_03_a_service_goes_through_exactly_five_statuses() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.until(2_000, |_, _| Verdict::Healthy, done);
    bench.all_down_until(600_000);
    let expected = ["healthy", "unhealthy", "restarting", "restart_failed", "restarting", "restart_failed", "restarting", "restart_failed", "failed"];
    assert_eq!(bench.statuses("rtdetr"), expected);
    assert_eq!(Status::ALL.map(Status::name), ["healthy", "unhealthy", "restarting", "restart_failed", "failed"]);
}

#[test]
fn hlt_04_failed_stays_until_a_person_acts_or_the_service_is_well() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.all_down_until(24 * 3_600_000);
    assert_eq!((bench.restarts.len(), bench.view("rtdetr").status), (3, Some(Status::Failed)));
    let (status, message) = bench.told("rtdetr").pop().unwrap();
    assert_eq!((status, message.as_str()), ("failed", "Gave up after 3 restarts without success; a person must act"));
    let now = bench.now();
    bench.policy.restart_by_hand("rtdetr", SOMEBODY, now).unwrap();
    let end = bench.t + 60_000;
    bench.until(end, |_, _| Verdict::Healthy, done);
    assert_eq!((bench.restarts.len(), bench.view("rtdetr").status), (4, Some(Status::Healthy)));
    assert_eq!(bench.statuses("rtdetr")[7..], ["failed", "restarting", "healthy"]);
}

#[test]
fn hlt_06_the_wait_doubles_and_after_max_retries_it_gives_up() {
    for (base, waits) in [(5.0, [5, 10, 20, 40]), (10.0, [10, 20, 40, 80]), (120.0, [120, 240, 300, 300])] {
        let rules = Rules { backoff_base: Duration::from_secs_f64(base), ..restartable("x") };
        assert_eq!([1, 2, 3, 4].map(|attempt| rules.backoff(attempt).as_secs()), waits, "{base}");
    }
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.all_down_until(3_600_000);
    // Checks at 0, 1 and 2 s fail; 5 s later is the first restart. It settles for 2 s, so a check at 9 s fails for good; and so on.
    assert_eq!(bench.restarts_of("rtdetr"), [7_000, 19_000, 41_000]);
    assert_eq!(bench.statuses("rtdetr").last(), Some(&"failed"));
}

#[test]
fn hlt_08_the_message_of_a_failed_check() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.all_down_until(100);
    assert_eq!(bench.told("rtdetr"), [("unhealthy", "Health check failed".to_owned())]);
    assert_eq!(bench.notices[0].detail, "connection refused");
}

#[test]
fn hlt_15_recovery_goes_on_until_health_returns_and_resets_the_attempts() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    // The second restart helps.
    let mut restarts = 0;
    let up = std::cell::Cell::new(false);
    let restart = |_: &str| {
        restarts += 1;
        up.set(restarts == 2);
        Ok("done".to_owned())
    };
    bench.until(30_000, |_, _| if up.get() { Verdict::Healthy } else { down() }, restart);
    assert_eq!(bench.statuses("rtdetr"), ["unhealthy", "restarting", "restart_failed", "restarting", "healthy"]);
    assert_eq!(bench.told("rtdetr").last().unwrap().1, "Service recovered");
    assert_eq!((bench.view("rtdetr").attempts, bench.view("rtdetr").restarts_recent), (0, 2));
    // The next trouble begins with the first wait again.
    bench.all_down_until(40_000);
    let restarts = bench.restarts_of("rtdetr");
    assert_eq!(restarts.len(), 3);
    assert_eq!(bench.view("rtdetr").attempts, 1);
}

#[test]
fn r55_a_restart_needs_three_failed_checks_in_a_row() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    // Two failures, then a good check, and again.
    bench.until(600_000, |_, t| if (t / 1000) % 3 == 2 { Verdict::Healthy } else { down() }, done);
    assert_eq!(bench.restarts, []);
    // Two failures, then a check that could not be made: no row either.
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.until(600_000, |_, t| if (t / 1000) % 3 == 2 { Verdict::Unknown { why: "no route".to_owned() } } else { down() }, done);
    assert_eq!((bench.restarts.len(), bench.statuses("rtdetr")), (0, vec!["unhealthy"]));
}

#[test]
fn r55_a_service_that_recovers_during_the_wait_is_left_alone() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.until(60_000, |_, t| if t < 6_000 { down() } else { Verdict::Healthy }, done);
    assert_eq!((bench.restarts.len(), bench.statuses("rtdetr")), (0, vec!["unhealthy", "healthy"]));
}

#[test]
fn r55_three_restarts_in_ten_minutes_are_the_end_even_when_each_one_helps() {
    let mut bench = Bench::new(vec![restartable("flapping")]);
    // Each restart helps for ten seconds.
    let well_until = std::cell::Cell::new(0);
    let clock = std::cell::Cell::new(0);
    let restart = |_: &str| {
        well_until.set(clock.get() + 10_000);
        Ok("done".to_owned())
    };
    let answer = |_: &str, t: u64| {
        clock.set(t);
        if t < well_until.get() { Verdict::Healthy } else { down() }
    };
    bench.until(590_000, answer, restart);
    assert_eq!(bench.restarts.len(), 3);
    let (status, message) = bench.told("flapping").pop().unwrap();
    assert_eq!((status, message.as_str()), ("failed", "Gave up after 3 restarts within ten minutes; a person must act"));
    let spread = bench.restarts_of("flapping");
    assert!(spread[2] - spread[0] < 600_000);
}

#[test]
fn r55_a_restart_of_ours_resets_no_count() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    // Watchfire dies every 40 seconds for hours, sometimes for long, and the wall clock jumps by years meanwhile.
    for round in 0..240_u64 {
        let end = bench.t + 40_000;
        bench.all_down_until(end);
        bench.wall_offset += if round % 2 == 0 { 100_000_000_000 } else { -90_000_000_000 };
        bench.dies_for(if round % 5 == 0 { 300_000 } else { 0 });
    }
    assert_eq!((bench.restarts.len(), bench.view("rtdetr").status), (3, Some(Status::Failed)));
    assert_eq!(bench.view("rtdetr").restarts_total, 3);
}

#[test]
fn r55_death_between_decision_and_deed_counts_as_a_restart() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.all_down_until(6_900);
    // The check at 7 s decides; the commit is on the medium, and we are dead.
    bench.t = 7_000;
    let now = bench.now();
    let due = bench.policy.poll(now);
    bench.store.next(Next::DiesAfter);
    let crate::supervision::policy::Action::Check { service, ticket } = due[0].clone() else { panic!("{due:?}") };
    bench.policy.checked(&service, ticket, down(), now);
    assert!(bench.store.died());
    bench.dies_for(1_000);
    let view = bench.view("rtdetr");
    assert_eq!((view.status, view.attempts, view.restarts_recent, view.restarts_total), (Some(Status::Restarting), 1, 1, 1));
    let records = audit(&bench.store, 10).unwrap();
    assert_eq!((records.len(), &records[0].outcome), (1, &AuditOutcome::Unknown));
    let events = history(&bench.store, "rtdetr", 10).unwrap();
    assert_eq!(events[0].message, "Watchfire ended during a restart; whether it was carried out is not known");
    bench.all_down_until(3_600_000);
    assert_eq!(bench.restarts.len(), 2, "two more, which makes three");
}

#[test]
fn r54_what_cannot_be_recorded_is_not_done() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    for second in 0..120 {
        bench.store.next(Next::Refuses);
        bench.all_down_until(second * 1_000);
    }
    assert_eq!(bench.restarts, []);
    assert_eq!(bench.view("rtdetr").withheld, Some(Withheld::Record));
    assert!(bench.policy.records_lost() > 0);
    bench.store.next(Next::Refuses);
    let now = bench.now();
    assert!(matches!(bench.policy.restart_by_hand("rtdetr", SOMEBODY, now), Err(Refused::Record(_))));
    assert!(bench.policy.recent().iter().all(|event| event.status != "restarting"), "nothing is told of what did not happen");
    bench.store.next(Next::Works);
    bench.all_down_until(240_000);
    assert!(!bench.restarts.is_empty());
}

#[test]
fn r54_every_restart_is_audited_before_and_after() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    let store = bench.store.clone();
    let mut seen = Vec::new();
    bench.until(
        15_000,
        |_, _| down(),
        |_| {
            seen.push(audit(&store, 1).unwrap()[0].clone());
            Err("exit status 1".to_owned())
        },
    );
    assert_eq!((seen[0].outcome.clone(), seen[0].who.as_str(), seen[0].how.as_str()), (AuditOutcome::Begun, "watchfire", "command /bin/true"));
    assert_eq!(audit(&bench.store, 1).unwrap()[0].outcome, AuditOutcome::Failed("exit status 1".to_owned()));
    assert_eq!(bench.told("rtdetr")[2], ("restart_failed", "Restart attempt 1 of 3 failed".to_owned()));
}

#[test]
fn r55_what_depends_on_something_unhealthy_is_not_restarted() {
    let needs = |name: &str, on: &str| Rules { depends_on: vec![on.to_owned()], ..restartable(name) };
    let database = Rules { restart: None, interval: Duration::from_secs(60), ..restartable("database") };
    let mut bench = Bench::new(vec![database, needs("backend", "database"), needs("page", "backend")]);
    bench.until(1_000, |_, _| Verdict::Healthy, done);
    bench.all_down_until(600_000);
    assert_eq!(bench.restarts, [], "the database is looked at before anything is done, although its own check comes once a minute");
    assert_eq!(bench.view("backend").withheld, Some(Withheld::Dependency("database".to_owned())));
    // The database is back: the backend is restarted, and only then, when it is well, the page.
    let backend = std::cell::Cell::new(false);
    let restart = |name: &str| {
        backend.set(backend.get() || name == "backend");
        Ok("done".to_owned())
    };
    let answer = |name: &str, _: u64| if name == "database" || (name == "backend" && backend.get()) { Verdict::Healthy } else { down() };
    bench.until(900_000, answer, restart);
    let order: Vec<&str> = bench.restarts.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(order[..2], ["backend", "page"]);
}

#[test]
fn r55_nothing_is_restarted_because_our_own_network_is_away() {
    let far = |name: &str, host: &str| Rules { remote: Some(host.to_owned()), ..restartable(name) };
    let mut bench = Bench::new(vec![far("a", "one"), far("b", "two"), restartable("here")]);
    bench.until(5_000, |_, _| Verdict::Healthy, done);
    // Nobody far away answers: that is us.
    bench.until(600_000, |name, _| if name == "here" { Verdict::Healthy } else { unreachable() }, done);
    assert_eq!((bench.restarts.len(), bench.view("a").withheld), (0, Some(Withheld::OwnNetwork)));
    assert_eq!(bench.view("a").status, Some(Status::Unhealthy), "it is told all the same");
    // The other machine answers: then it is that one.
    bench.until(700_000, |name, _| if name == "a" { unreachable() } else { Verdict::Healthy }, done);
    assert!(bench.restarts.iter().all(|(_, name)| name == "a") && !bench.restarts.is_empty());
    // A machine that refuses the connection does answer.
    let mut alone = Bench::new(vec![far("a", "one")]);
    alone.all_down_until(60_000);
    assert!(!alone.restarts.is_empty());
}

#[test]
fn r28_wall_clocks_that_jump_move_no_check_and_no_wait() {
    let run = |jump: i64| {
        let mut bench = Bench::new(vec![restartable("rtdetr")]);
        for second in 0..60 {
            bench.wall_offset += jump;
            bench.all_down_until(second * 1_000);
        }
        (bench.checks.clone(), bench.restarts.clone())
    };
    let usual = run(0);
    assert_eq!(usual, run(86_400_000));
    assert_eq!(usual, run(-86_400_000));
}

#[test]
fn maintenance_keeps_from_restarts_and_ends_by_itself() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    let now = bench.now();
    bench.policy.begin_maintenance("rtdetr", now.wall.plus_ms(60_000), "new model", SOMEBODY, now).unwrap();
    bench.all_down_until(59_000);
    assert_eq!((bench.restarts.len(), bench.statuses("rtdetr")), (0, vec!["unhealthy"]));
    bench.dies_for(0);
    assert_eq!(bench.view("rtdetr").maintenance.unwrap().reason, "new model", "it survives");
    bench.all_down_until(120_000);
    let first = bench.restarts_of("rtdetr")[0];
    assert!(first >= 60_000 + 3_000 + 5_000 - 1_000, "failures during maintenance do not count: {first}");
    let now = bench.now();
    assert!(matches!(bench.policy.begin_maintenance("rtdetr", now.wall, "", SOMEBODY, now), Err(Refused::Until)));
    assert!(matches!(bench.policy.begin_maintenance("rtdetr", now.wall.plus_ms(8 * 86_400_000), "", SOMEBODY, now), Err(Refused::Until)));
    assert!(matches!(bench.policy.end_maintenance("rtdetr", SOMEBODY, now), Err(Refused::NoMaintenance)));
}

#[test]
fn a_restart_by_hand_counts_and_has_a_limit() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.until(1_000, |_, _| Verdict::Healthy, done);
    for _ in 0..10 {
        let now = bench.now();
        bench.policy.restart_by_hand("rtdetr", SOMEBODY, now).unwrap();
        assert!(matches!(bench.policy.restart_by_hand("rtdetr", SOMEBODY, now), Err(Refused::Busy)));
        let end = bench.t + 10_000;
        bench.until(end, |_, _| Verdict::Healthy, done);
    }
    let now = bench.now();
    assert!(matches!(bench.policy.restart_by_hand("rtdetr", SOMEBODY, now), Err(Refused::TooMany)));
    assert!(matches!(bench.policy.restart_by_hand("other", SOMEBODY, now), Err(Refused::NoSuchService)));
    assert_eq!(audit(&bench.store, 1).unwrap()[0].who, "somebody");
    // With ten restarts by hand there is nothing left for the rules.
    let end = bench.t + 60_000;
    bench.all_down_until(end);
    assert_eq!(bench.restarts.len(), 10);
    assert_eq!(bench.view("rtdetr").status, Some(Status::Failed));
}

#[test]
fn new_settings_keep_what_is_known() {
    let mut bench = Bench::new(vec![restartable("rtdetr"), restartable("nemotron")]);
    bench.all_down_until(8_000);
    let before = bench.view("rtdetr");
    bench.rules[0].max_retries = 5;
    bench.rules.remove(1);
    bench.rules.push(restartable("redis"));
    bench.apply();
    let after = bench.view("rtdetr");
    assert_eq!((after.status, after.attempts, after.next_check, after.since), (before.status, before.attempts, before.next_check, before.since));
    assert_eq!(after.rules.max_retries, 5);
    // One that comes back finds its counts.
    bench.rules.push(restartable("nemotron"));
    bench.apply();
    assert_eq!(bench.view("nemotron").restarts_recent, 1);
}

#[test]
fn what_nobody_could_look_at_is_not_shown_as_healthy() {
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.until(1_000, |_, _| Verdict::Healthy, done);
    bench.until(3_600_000, |_, _| Verdict::Unknown { why: "no route".to_owned() }, done);
    assert_eq!((bench.statuses("rtdetr"), bench.restarts.len()), (vec!["healthy", "unhealthy"], 0));
}

#[test]
fn a_record_that_cannot_be_read_gives_no_restart() {
    use watchfire_model::state::{Change, SERVICES, StateStore};
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.store.commit(&[Change::Put(SERVICES, "rtdetr".to_owned(), b"{".to_vec())]).unwrap();
    bench.dies_for(0);
    bench.all_down_until(500_000);
    assert_eq!((bench.restarts.len(), bench.view("rtdetr").status), (0, Some(Status::Failed)));
}

#[test]
fn history_and_audit_are_bounded() {
    use crate::supervision::policy::EVENTS_MAX;
    let mut bench = Bench::new(vec![Rules { restart: None, ..restartable("redis") }]);
    bench.until(3_600_000, |_, t| if (t / 1000) % 2 == 0 { down() } else { Verdict::Healthy }, done);
    let events = history(&bench.store, "redis", usize::MAX).unwrap();
    assert_eq!(events.len(), EVENTS_MAX);
    assert!(events.windows(2).all(|pair| pair[0].seq > pair[1].seq), "newest first");
    bench.dies_for(0);
    bench.until(3_700_000, |_, t| if (t / 1000) % 2 == 0 { down() } else { Verdict::Healthy }, done);
    let after = history(&bench.store, "redis", usize::MAX).unwrap();
    assert_eq!(after.len(), EVENTS_MAX);
    assert!(after[0].seq > events[0].seq, "numbers go on after a restart");
    assert_eq!(bench.policy.recent().len(), 100);
}

#[test]
fn a_check_that_began_before_a_restart_says_nothing_after_it() {
    use crate::supervision::policy::Action;
    let mut bench = Bench::new(vec![restartable("rtdetr")]);
    bench.all_down_until(500);
    bench.t = 1_000;
    let now = bench.now();
    let Action::Check { ticket: check, .. } = bench.policy.poll(now)[0].clone() else { panic!("a check is due") };
    bench.policy.restart_by_hand("rtdetr", SOMEBODY, now).unwrap();
    let Action::Restart { ticket, .. } = bench.policy.poll(now)[0].clone() else { panic!("a restart is due") };
    bench.policy.restarted("rtdetr", ticket, Ok("done".to_owned()), now);
    bench.t = 3_500;
    let now = bench.now();
    assert_eq!(bench.policy.poll(now), [], "no second check beside the first");
    bench.policy.checked("rtdetr", check, Verdict::Healthy, now);
    assert_eq!(bench.view("rtdetr").status, Some(Status::Restarting), "the old check knows nothing of the restart");
    assert!(matches!(bench.policy.poll(now)[..], [Action::Check { .. }]));
}
