//! Clocks that jump: nothing acknowledged is lost by it, retention does not trust it, and the present is always taken.

use super::*;

#[test]
fn r26_a_clock_that_was_wrong_for_a_while_does_not_shut_out_the_present() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), options(&clock)).unwrap();
    let write = |time: i64| engine.write(&batch(&[(series(0), time, time as f64)])).unwrap();
    assert_eq!(write(NOW).stored, 1);
    for (n, jump) in [1000, 60_000, HOUR, DAY, 5 * 365 * DAY].into_iter().enumerate() {
        clock.jump_to(Timestamp(NOW + jump));
        assert_eq!(write(NOW + jump).stored, 1, "{jump} ahead");
        engine.tick();
        clock.jump_to(Timestamp(NOW + 500));
        assert_eq!(write(NOW + 400 + n as i64).stored, 1, "back from {jump}");
    }
    let before = everything(&engine);
    engine.flush().unwrap();
    assert_eq!(everything(&engine), before);
    assert_eq!(write(NOW + 499).stored, 1);
    drop(engine);
    assert_eq!(everything(&open(&disk)).values().map(Vec::len).sum::<usize>(), 12);
}

#[test]
fn r27_a_clock_that_jumps_costs_no_data() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let keep = Options { retention: Some(Duration::from_secs(3 * 86_400)), ..options(&clock) };
    let engine = Engine::open(Arc::new(disk.clone()), keep).unwrap();
    for day in 0..2 {
        engine.write(&batch(&[(series(0), NOW + day * DAY, 1.0)])).unwrap();
        engine.flush().unwrap();
        clock.advance(Duration::from_secs(86_400));
        engine.tick();
    }
    assert_eq!(engine.stats().segments, 2);
    let true_now = NOW + 2 * DAY;
    clock.jump_to(Timestamp(true_now + 5 * 365 * DAY));
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        engine.tick();
    }
    assert_eq!(engine.stats().segments, 2, "nothing is removed although everything looks old");
    assert!(engine.cleanup_preview().held);
    assert_eq!(engine.cleanup_preview().files.len(), 2);
    clock.jump_to(Timestamp(true_now + 600_000));
    clock.advance(Duration::from_secs(60));
    engine.tick();
    assert!(!engine.cleanup_preview().held);
    assert_eq!(engine.stats().segments, 2);
    // Honest time does remove, one segment a minute, oldest first.
    for _ in 0..4 {
        clock.advance(Duration::from_secs(20 * 3600));
        engine.tick();
    }
    assert_eq!(engine.stats().segments, 0);
    assert!(disk.list(Path::new("/data/metrics")).unwrap().is_empty());
}

/// How wrong the clock may be, in milliseconds beside the true time; `None` is 1970, as on a board without a clock of its own.
const WRONG: [Option<i64>; 12] = [
    Some(1000),
    Some(-1000),
    Some(60_000),
    Some(-60_000),
    Some(HOUR),
    Some(-HOUR),
    Some(DAY),
    Some(-DAY),
    Some(5 * 365 * DAY),
    Some(-5 * 365 * DAY),
    Some(0),
    None,
];
/// What is kept, in days.
const KEPT_DAYS: i64 = 10;

fn kept(clock: &Arc<ManualClock>) -> Options {
    Options { retention: Some(Duration::from_secs(KEPT_DAYS as u64 * 86_400)), ..options(clock) }
}

/// A clock that jumps about, with restarts on the way. Every sample that was stored with a time that retention still covers must
/// be there in the end.
fn jump_about(steps: &[(usize, bool, bool)]) -> Result<(), String> {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let mut engine = Engine::open(Arc::new(disk.clone()), kept(&clock)).map_err(|e| e.to_string())?;
    let mut stored = Everything::new();
    let mut note = |engine: &Engine, time: i64, value: f64| -> Result<(), String> {
        let written = engine.write(&batch(&[(series(0), time, value)])).map_err(|e| e.to_string())?;
        if written.stored != 1 {
            return Err(format!("at {}: {written:?}", Timestamp(time).rfc3339_millis()));
        }
        stored.entry(series(0).to_string()).or_default().push((time, value.to_bits()));
        Ok(())
    };
    for day in 1..KEPT_DAYS - 2 {
        clock.jump_to(Timestamp(NOW - (KEPT_DAYS - 2 - day) * DAY));
        note(&engine, clock_now(&clock), day as f64)?;
        engine.flush().map_err(|e| e.to_string())?;
    }
    let mut true_now = NOW;
    for (n, (wrong, flush, restart)) in steps.iter().enumerate() {
        let wrong_now = WRONG[*wrong].map_or(n as i64 * 60_000, |by| true_now + by);
        clock.jump_to(Timestamp(wrong_now));
        // No two samples have the same time, whatever the jumps.
        note(&engine, wrong_now + n as i64 + 1, n as f64)?;
        if *flush {
            engine.flush().map_err(|e| e.to_string())?;
        }
        if *restart {
            drop(engine);
            engine = Engine::open(Arc::new(disk.clone()), kept(&clock)).map_err(|e| e.to_string())?;
        }
        // For some minutes the store works on, in the belief that this is the time.
        for _ in 0..5 {
            clock.advance(Duration::from_secs(61));
            true_now += 61_000;
            engine.tick();
        }
    }
    clock.jump_to(Timestamp(true_now));
    note(&engine, true_now + 99, -1.0)?;
    engine.tick();
    drop(engine);
    let found = everything(&Engine::open(Arc::new(disk.clone()), kept(&clock)).map_err(|e| e.to_string())?);
    let found = found.get(&series(0).to_string()).cloned().unwrap_or_default();
    for sample in &stored[&series(0).to_string()] {
        // A jump by less than a day is believed, so the last day of retention is nobody's.
        let covered = sample.0 >= true_now - (KEPT_DAYS - 1) * DAY;
        if covered && !found.contains(sample) {
            return Err(format!("lost: the sample of {}", Timestamp(sample.0).rfc3339_millis()));
        }
    }
    Ok(())
}

fn clock_now(clock: &Arc<ManualClock>) -> i64 {
    watchfire_model::time::Clock::now(&**clock).millis()
}

#[test]
fn r26_a_board_that_starts_in_1970_keeps_what_it_has() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), kept(&clock)).unwrap();
    engine.write(&nth_unique(0)).unwrap();
    engine.flush().unwrap();
    engine.write(&nth_unique(1)).unwrap();
    drop(engine);
    let clock = ManualClock::new(Timestamp(3000));
    let engine = Engine::open(Arc::new(disk.clone()), kept(&clock)).unwrap();
    assert_eq!(everything(&engine), expected(2));
    // What others send has the right time, which looks far ahead; it is refused with that reason and comes again later.
    let refused = engine.write(&nth_unique(2)).unwrap();
    assert_eq!((refused.stored, refused.rejected.iter().map(|(reason, _)| *reason).collect::<Vec<_>>()), (0, vec![Reason::TooFarFuture]));
    // What we measure ourselves has the clock's time and is taken.
    assert_eq!(engine.write(&batch(&[(series(50), 3000, 1.0)])).unwrap().stored, 1);
    for _ in 0..5 {
        clock.advance(Duration::from_secs(60));
        engine.tick();
    }
    clock.jump_to(Timestamp(NOW + 60_000));
    engine.tick();
    assert!(engine.write(&nth_unique(2)).unwrap().stored > 0);
    engine.flush().unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(61));
        engine.tick();
    }
    let mut all = expected(3);
    assert!(engine.cleanup_preview().held, "a jump over 55 years is not believed at once");
    all.insert(series(50).to_string(), vec![(3000, 1f64.to_bits())]);
    assert_eq!(everything(&engine), all);
    drop(engine);
    assert_eq!(everything(&open(&disk)), all);
}

#[test]
fn r27_a_restart_does_not_make_a_wrong_clock_right() {
    // Ahead by five years, a sample with that time, a restart: the newest sample and the clock now agree.
    jump_about(&[(8, true, true), (8, false, true), (10, false, false)]).unwrap();
    // Nor does it when the clock was right in between.
    jump_about(&[(8, false, true), (10, false, false), (8, false, false)]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(300, 5000) as u32))]
    #[test]
    fn r26_jumps_lose_nothing_and_the_present_is_taken(steps in proptest::collection::vec((0..WRONG.len(), any::<bool>(), any::<bool>()), 1..11)) {
        prop_assert_eq!(jump_about(&steps), Ok(()));
    }
}

#[test]
fn a_cleanup_removes_at_once_what_the_preview_named() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let keep = Options { retention: Some(Duration::from_secs(3 * 86_400)), ..options(&clock) };
    let engine = Engine::open(Arc::new(disk.clone()), keep).unwrap();
    for day in 0..6 {
        engine.write(&batch(&[(series(0), NOW + day * DAY, 1.0)])).unwrap();
        engine.flush().unwrap();
        clock.advance(Duration::from_secs(86_400));
    }
    let preview = engine.cleanup_preview();
    assert!(!preview.held && preview.files.len() == 3, "{preview:?}");
    assert_eq!(engine.cleanup(), preview);
    for file in &preview.files {
        assert!(!disk.files().keys().any(|path| path.ends_with(&file.name)), "{} is still there", file.name);
    }
    assert_eq!((engine.stats().segments, engine.stats().oldest), (3, Some(NOW + 3 * DAY)));
    assert_eq!(engine.cleanup().files, [], "nothing is removed twice");
    // What a jump of the clock makes look old stays, whoever asks.
    clock.jump_to(Timestamp(NOW + 5 * 365 * DAY));
    assert_eq!(engine.cleanup_preview().files.len(), 3);
    let held = engine.cleanup();
    assert!(held.held && held.files.is_empty(), "{held:?}");
    assert_eq!(engine.stats().segments, 3);
}
