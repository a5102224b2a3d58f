//! Deaths of the process and power cuts at every change of the disk, once and again during the recovery.

use super::*;

/// Writes, rotations of the log, flushes and a merge; ends early when the process is dead. Returns how many batches were
/// acknowledged.
fn eventful(disk: &SimulatedDisk, sync_interval: Duration) -> u64 {
    let clock = ManualClock::new(Timestamp(NOW));
    let opened = Engine::open(Arc::new(disk.clone()), Options { wal_file_bytes: 300, sync_interval, ..options(&clock) });
    let Ok(engine) = opened else { return 0 };
    let mut acknowledged = 0;
    for n in 0..30 {
        if engine.write(&nth_unique(n)).is_err() {
            break;
        }
        acknowledged = n + 1;
        let done = match n {
            5 | 12 | 20 | 25 => engine.flush().is_ok(),
            8 => {
                engine.sync();
                true
            }
            _ => true,
        };
        // Death is final; a store that only failed to flush goes on.
        if !done && disk.is_dead() {
            break;
        }
    }
    // Everything belongs to one day; its segments are merged as if it were over.
    if !disk.is_dead() {
        let _merged = engine.merge_all();
    }
    engine.close();
    acknowledged
}

/// A start after a death, and what a store does soon after it.
fn recover(disk: &SimulatedDisk) {
    let clock = ManualClock::new(Timestamp(NOW));
    if let Ok(engine) = Engine::open(Arc::new(disk.clone()), Options { wal_file_bytes: 300, sync_interval: Duration::ZERO, ..options(&clock) }) {
        let _flushed = engine.flush();
        let _merged = engine.merge_all();
        engine.close();
    }
}

/// What is there after a start, if that is what was acknowledged, or one batch more.
fn found_right(disk: &SimulatedDisk, acknowledged: u64) -> Result<Everything, String> {
    let engine = open(disk);
    let found = everything(&engine);
    if engine.stats().quarantined > 0 {
        return Err("a death is no damage".into());
    }
    if found != expected(acknowledged) && found != expected(acknowledged + 1) {
        return Err(format!("{acknowledged} batches were acknowledged, found {found:?}"));
    }
    engine.flush().map_err(|e| e.to_string())?;
    if everything(&engine) == found { Ok(found) } else { Err("the flush changed something".into()) }
}

/// Dies in every `stride`th step of a scenario, and for each of them in every step of the recovery. With `power`, each death is a
/// power cut: what was not synced is torn, and every acknowledgement waits for its sync. Returns how many recoveries died.
fn deaths_in_deaths(stride: u64, power: bool) -> Result<u64, String> {
    let sync_interval = if power { Duration::ZERO } else { Duration::from_secs(5) };
    let whole = SimulatedDisk::default();
    let batches = eventful(&whole, sync_interval);
    let steps = whole.changes();
    if batches != 30 || steps < 100 {
        return Err(format!("the scenario itself: {batches} batches, {steps} steps"));
    }
    let mut random = Random(22);
    let mut died = 0;
    for step in (0..steps).step_by(stride as usize) {
        let disk = SimulatedDisk::default();
        disk.die_after(step);
        let acknowledged = eventful(&disk, sync_interval);
        let left = if power { disk.cut_power(&mut random) } else { disk.copy() };
        found_right(&left.copy(), acknowledged).map_err(|e| format!("step {step}: {e}"))?;
        for second in 0.. {
            let disk = left.copy();
            disk.die_after(second);
            recover(&disk);
            let dead = disk.is_dead();
            let disk = if power { disk.cut_power(&mut random) } else { disk.copy() };
            found_right(&disk, acknowledged).map_err(|e| format!("step {step}, step {second} of the recovery: {e}"))?;
            if !dead {
                break;
            }
            died += 1;
        }
    }
    Ok(died)
}

/// The same runs in a build that is wrong on purpose: they must notice.
pub(super) fn check(outcome: impl FnOnce() -> Result<u64, String> + std::panic::UnwindSafe, wrong: bool) {
    match (std::panic::catch_unwind(outcome), wrong) {
        (Ok(Ok(died)), false) => {
            println!("{died} recoveries died, nothing was lost");
            assert!(died > 50, "only {died} recoveries died");
        }
        (Ok(Err(fault)), false) => panic!("{fault}"),
        (Err(panic), false) => std::panic::resume_unwind(panic),
        (Ok(Ok(died)), true) => panic!("{died} recoveries died and nobody noticed what is wrong with this build"),
        (Ok(Err(_)) | Err(_), true) => {}
    }
}

/// What a stop writes last is torn by a cut, wherever the sectors of the log end: nothing is missing, and nothing is damaged.
#[cfg(not(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery", feature = "canary-nofsync")))]
#[test]
fn r05_a_cut_while_we_stop_is_no_damage() {
    let stopped = |disk: &SimulatedDisk, batches: u64| {
        let clock = ManualClock::new(Timestamp(NOW));
        let Ok(engine) = Engine::open(Arc::new(disk.clone()), Options { sync_interval: Duration::ZERO, ..options(&clock) }) else { return };
        for n in 0..batches {
            engine.write(&nth_unique(n)).unwrap();
        }
        engine.close();
    };
    let mut random = Random(5);
    for batches in 1..90 {
        let whole = SimulatedDisk::default();
        stopped(&whole, batches);
        for late in 1..5 {
            let disk = SimulatedDisk::default();
            disk.die_after(whole.changes() - late);
            stopped(&disk, batches);
            for _ in 0..8 {
                let engine = open(&disk.cut_power(&mut random));
                let found = everything(&engine) == expected(batches);
                assert_eq!((engine.stats().quarantined, found), (0, true), "{batches} batches, {late} changes before the end");
            }
        }
    }
}

#[cfg(not(feature = "canary-ack-before-write"))]
#[test]
fn r02_death_at_every_step_loses_nothing() {
    let whole = SimulatedDisk::default();
    assert_eq!(eventful(&whole, Duration::from_secs(5)), 30);
    for step in 0..whole.changes() {
        let disk = SimulatedDisk::default();
        disk.die_after(step);
        let acknowledged = eventful(&disk, Duration::from_secs(5));
        found_right(&disk.copy(), acknowledged).unwrap_or_else(|e| panic!("step {step}: {e}"));
    }
}

#[test]
fn r02_a_second_death_at_every_step_of_the_recovery_loses_nothing() {
    let wrong = cfg!(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery"));
    check(|| deaths_in_deaths(rounds(9, 1), false), wrong);
}

#[test]
fn r03_a_second_power_cut_at_every_step_of_the_recovery_loses_nothing() {
    let wrong = cfg!(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery", feature = "canary-nofsync"));
    check(|| deaths_in_deaths(rounds(9, 1), true), wrong);
}
