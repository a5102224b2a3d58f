//! Tiers: windows tell exactly what the samples told, while these are there and when they have gone.

use watchfire_model::matcher::Matcher;
use watchfire_model::sample::stale_nan;
use watchfire_model::windows::{Kept, Window, reduce};

use super::*;
use crate::options::Tier;

const RESOLUTION: i64 = HOUR;
const WEEK: i64 = 7 * DAY;
const STEP: i64 = 20 * 60_000;
/// A Thursday, as the weeks of tiers begin.
const START: i64 = NOW - NOW % WEEK - 4 * WEEK;

type Windows = BTreeMap<String, Vec<Window>>;

fn with_tiers(clock: &Arc<ManualClock>) -> Options {
    let tier = Tier { resolution: Duration::from_secs(3600), after: Duration::from_secs(86_400), keep: None };
    Options { tiers: vec![tier], ..options(clock) }
}

fn reopen(disk: &SimulatedDisk, clock: &Arc<ManualClock>) -> Engine {
    Engine::open(Arc::new(disk.clone()), with_tiers(clock)).expect("an engine")
}

/// Three weeks and a half, and one moment of the week before: the border belongs to it. A gauge, a counter with resets, a series that ends, and histograms, which have no windows.
fn filled(disk: &SimulatedDisk, clock: &Arc<ManualClock>) -> Engine {
    let engine = reopen(disk, clock);
    for n in 0..(7 * WEEK / 2 / STEP) {
        let time = START + n * STEP;
        clock.jump_to(Timestamp(time));
        let mut samples = vec![(series(0), time, (n as f64 * 0.37).sin()), (series(1), time, (n % 50) as f64)];
        if n < 700 {
            samples.push((series(2), time, if n == 699 { stale_nan() } else { 5.0 }));
        }
        engine.write(&with_histogram(batch(&samples), series(1000), time, counter(n as u64))).unwrap();
        if n % 36 == 35 {
            engine.flush().unwrap();
        }
    }
    while engine.merge().unwrap() {}
    engine
}

/// The windows as the samples tell them.
fn expected(engine: &Engine) -> Windows {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let mut all = Windows::new();
    let read = engine.select(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW))), &mut |s| {
        all.insert(s.labels.to_string(), reduce(&s.times, &s.values, RESOLUTION));
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    all.retain(|_, windows| !windows.is_empty());
    all
}

fn windows(engine: &Engine, start: i64, end: i64) -> Windows {
    let selection = Selection { matchers: vec![], start: Timestamp(start), end: Timestamp(end) };
    let mut all = Windows::new();
    let read = engine.windows(&selection, RESOLUTION, &Budget::unlimited(ManualClock::new(Timestamp(NOW))), &mut |s| {
        assert_eq!(s.resolution_ms, RESOLUTION);
        assert_eq!(s.histograms, s.windows.is_empty(), "the histograms are series of their own");
        assert!(s.histograms || all.insert(s.labels.to_string(), s.windows).is_none(), "every series once");
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    all
}

/// The windows of one that the other does not have so.
fn difference(a: &Windows, b: &Windows) -> Vec<(String, Window)> {
    let other = |series: &String| b.get(series).map_or(&[][..], Vec::as_slice);
    a.iter().flat_map(|(series, windows)| windows.iter().filter(move |w| !other(series).contains(w)).map(move |w| (series.clone(), *w))).collect()
}

fn assert_same(found: &Windows, expected: &Windows, when: &str) {
    assert!(found == expected, "{when}: too much {:?}, too little {:?}", difference(found, expected), difference(expected, found));
}

fn between(all: &Windows, start: i64, end: i64) -> Windows {
    let part = |windows: &Vec<Window>| windows.iter().filter(|w| w.start >= start && w.start <= end).copied().collect::<Vec<_>>();
    all.iter().map(|(series, windows)| (series.clone(), part(windows))).filter(|(_, windows)| !windows.is_empty()).collect()
}

#[test]
fn windows_outlive_the_samples_and_tell_the_same() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(START));
    let mut engine = filled(&disk, &clock);
    let all = expected(&engine);
    let check = |engine: &Engine, when: &str| {
        for (start, end) in [(i64::MIN, i64::MAX), (START + 1, START + 2 * WEEK), (START + WEEK - DAY, START + WEEK + 90 * 60_000), (START + 2, START + 3)] {
            assert_same(&windows(engine, start, end), &between(&all, start, end), &format!("{when}: from {start} to {end}"));
        }
    };
    check(&engine, "from samples");
    assert!(engine.downsample().unwrap() && engine.downsample().unwrap(), "two weeks are over by more than a day");
    check(&engine, "from both");
    while engine.downsample().unwrap() {}
    assert_eq!(engine.stats().tiers, 4);
    drop(engine);
    engine = reopen(&disk, &clock);
    check(&engine, "after a restart");
    assert!(!engine.downsample().unwrap(), "nothing is due");
    let kept = |alone_until| [Kept { resolution_ms: RESOLUTION, since: i64::MIN, until: START + 3 * WEEK, alone_until }];
    assert_eq!(engine.kept_windows(), kept(i64::MIN), "all samples are there");
    // The samples of the first two weeks go; a week that no tier has would wait.
    drop(engine);
    let keep = Options { retention: Some(Duration::from_secs(10 * 86_400)), ..with_tiers(&clock) };
    engine = Engine::open(Arc::new(disk.clone()), keep).unwrap();
    let before = engine.stats().segment_samples;
    for _ in 0..30 {
        clock.advance(Duration::from_secs(61));
        engine.tick();
    }
    let stats = engine.stats();
    assert!(stats.segment_samples < before / 2, "{stats:?}");
    assert!(expected(&engine).values().all(|windows| windows[0].start > START + WEEK), "samples have gone");
    check(&engine, "where samples have gone");
    assert_eq!(engine.kept_windows(), kept(START + 2 * WEEK));
    drop(engine);
    engine = reopen(&disk, &clock);
    check(&engine, "where samples have gone, after a restart");
    let target = Path::new("/backup");
    engine.snapshot(target, false, &|_| Ok(())).unwrap();
    let copy = Engine::open(Arc::new(disk.clone()), Options { dir: target.to_owned(), ..with_tiers(&clock) }).unwrap();
    check(&copy, "in a snapshot");
}

#[test]
fn samples_wait_for_their_tier() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(START));
    drop(filled(&disk, &clock));
    let tier = Tier { resolution: Duration::from_secs(3600), after: Duration::from_secs(60 * 86_400), keep: None };
    let keep = Options { retention: Some(Duration::from_secs(86_400)), tiers: vec![tier], ..options(&clock) };
    let engine = Engine::open(Arc::new(disk.clone()), keep).unwrap();
    assert_eq!(engine.cleanup_preview().files, [], "no tier has them yet");
    drop(engine);
    let crossing = Tier { resolution: Duration::from_secs(5 * 3600), after: Duration::ZERO, keep: None };
    assert!(Engine::open(Arc::new(disk), Options { tiers: vec![crossing], ..options(&clock) }).is_err(), "windows must divide a week");
}

#[test]
fn late_samples_and_deletions_reach_the_tier() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(START));
    let engine = filled(&disk, &clock);
    while engine.downsample().unwrap() {}
    // A series that is new may bring samples of any age.
    engine.write(&batch(&[(series(7), START + DAY, 1.0), (series(7), START + DAY + 1, 3.0)])).unwrap();
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "from memory");
    engine.flush().unwrap();
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "from a segment that the tier does not have");
    assert!(engine.downsample().unwrap());
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "written anew");
    assert_eq!(engine.stats().tiers, 4);
    let (start, end) = (START + DAY + 90 * 60_000, START + 2 * DAY);
    engine.delete_series(&[vec![Matcher::equal("n", "0")]], start, end).unwrap();
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "deleted");
    engine.clean_tombstones().unwrap();
    while engine.downsample().unwrap() {}
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "cleaned");
    drop(engine);
    let engine = reopen(&disk, &clock);
    assert_same(&windows(&engine, i64::MIN, i64::MAX), &expected(&engine), "after a restart");
    assert_eq!(engine.stats().tombstones, 0);
}

#[test]
fn r02_death_at_every_step_of_a_tier_loses_nothing() {
    let start = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(START));
    let engine = filled(&start, &clock);
    assert!(engine.downsample().unwrap() && engine.downsample().unwrap());
    // One week is rewritten, two are new.
    engine.write(&batch(&[(series(7), START + DAY, 1.0)])).unwrap();
    engine.flush().unwrap();
    let all = expected(&engine);
    drop(engine);
    let scenario = |disk: &SimulatedDisk| {
        if let Ok(engine) = Engine::open(Arc::new(disk.clone()), with_tiers(&clock)) {
            while engine.downsample().unwrap_or(false) {}
            engine.close();
        }
    };
    let whole = start.copy();
    scenario(&whole);
    for step in 0..whole.changes() {
        let disk = start.copy();
        disk.die_after(step);
        scenario(&disk);
        let disk = disk.copy();
        let engine = reopen(&disk, &clock);
        assert_same(&windows(&engine, i64::MIN, i64::MAX), &all, &format!("step {step}"));
        while engine.downsample().unwrap() {}
        assert_same(&windows(&engine, i64::MIN, i64::MAX), &all, &format!("step {step}"));
        assert_eq!((engine.stats().tiers, engine.stats().quarantined), (4, 0), "step {step}");
    }
}

#[test]
fn the_ends_of_time_have_weeks_too() {
    let (disk, clock) = (SimulatedDisk::default(), ManualClock::new(Timestamp(NOW)));
    let engine = reopen(&disk, &clock);
    for time in [i64::MIN, i64::MAX - WEEK, i64::MAX] {
        engine.write_within(&batch(&[(series(0), time, 1.0)]), i64::MAX).unwrap();
        engine.flush().unwrap();
    }
    let all = everything(&engine);
    for _ in 0..9 {
        engine.downsample().unwrap();
    }
    assert_eq!(everything(&engine), all);
    drop((windows(&engine, i64::MIN, i64::MAX), engine.kept_windows()));
}
