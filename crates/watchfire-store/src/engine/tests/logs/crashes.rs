//! Deaths and power cuts at every change of the disk while logs are written and flushed, beside metrics and alone.

use super::super::crashes::check;
use super::*;
use crate::logs::Signal;

/// Batch `n` with logs and a metric.
fn mixed(n: u64) -> Batch {
    let mut batch = nth_logs(n);
    batch.series = super::super::batch(&nth(n)[..1]).series;
    batch
}

/// Writes, flushes of logs alone and of everything; ends early when the process is dead. Returns how many batches were acknowledged.
fn eventful(disk: &SimulatedDisk, sync_interval: Duration) -> u64 {
    let clock = ManualClock::new(Timestamp(NOW));
    let opened = Engine::open(Arc::new(disk.clone()), Options { wal_file_bytes: 2_000, sync_interval, logs: small(), ..options(&clock) });
    let Ok(engine) = opened else { return 0 };
    let mut acknowledged = 0;
    for n in 0..30 {
        if engine.write(&mixed(n)).is_err() {
            break;
        }
        acknowledged = n + 1;
        let done = match n {
            4 | 8 | 15 | 23 => engine.flush_entries(Signal::Logs).is_ok(),
            12 | 20 => engine.flush().is_ok(),
            18 | 26 => engine.merge_all_entries(Signal::Logs).is_ok(),
            _ => true,
        };
        if !done && disk.is_dead() {
            break;
        }
    }
    engine.close();
    acknowledged
}

/// What is there after a start, if that is what was acknowledged, or one batch more; and what was acknowledged is known when it comes again.
/// A batch is a frame of samples and one of lines. A power cut may tear the first and keep the second, and what stands behind such a gap is kept aside.
fn found_right(disk: &SimulatedDisk, acknowledged: u64, power: bool) -> Result<(), String> {
    let engine = open_small(disk);
    let found = all(&engine);
    if engine.stats().quarantined > 0 && !power {
        return Err("a death is no damage".into());
    }
    let whole = (acknowledged..=acknowledged + 1).find(|n| found == expected_logs(*n));
    let Some(batches) = whole else { return Err(format!("{acknowledged} batches were acknowledged, {} entries found: {found:?}", found.len())) };
    let next = engine.write(&nth_logs(acknowledged)).map_err(|e| e.to_string())?.logs;
    if (next.stored > 0) == (batches > acknowledged) || next.stored + next.duplicates != 4 {
        return Err(format!("a batch that comes again: {next:?}, {batches} were there"));
    }
    engine.flush().map_err(|e| e.to_string())?;
    if all(&engine) == expected_logs(acknowledged + 1) { Ok(()) } else { Err("the flush changed something".into()) }
}

/// Dies in every `stride`th step, and then in every step of the recovery. Returns how many recoveries died.
fn deaths(stride: u64, power: bool) -> Result<u64, String> {
    let sync_interval = if power { Duration::ZERO } else { Duration::from_secs(5) };
    let whole = SimulatedDisk::default();
    assert_eq!(eventful(&whole, sync_interval), 30);
    let steps = whole.changes();
    let mut random = Random(3);
    let mut died = 0;
    for step in (0..steps).step_by(stride as usize) {
        let disk = SimulatedDisk::default();
        disk.die_after(step);
        let acknowledged = eventful(&disk, sync_interval);
        let left = if power { disk.cut_power(&mut random) } else { disk.copy() };
        found_right(&left.copy(), acknowledged, power).map_err(|e| format!("step {step}: {e}"))?;
        for second in 0.. {
            let disk = left.copy();
            disk.die_after(second);
            let clock = ManualClock::new(Timestamp(NOW));
            if let Ok(engine) = Engine::open(Arc::new(disk.clone()), Options { wal_file_bytes: 2_000, logs: small(), ..options(&clock) }) {
                let _flushed = engine.flush_entries(Signal::Logs).and_then(|()| engine.merge_all_entries(Signal::Logs)).and_then(|()| engine.flush());
                engine.close();
            }
            let dead = disk.is_dead();
            let disk = if power { disk.cut_power(&mut random) } else { disk.copy() };
            found_right(&disk, acknowledged, power).map_err(|e| format!("step {step}, step {second} of the recovery: {e}"))?;
            if !dead {
                break;
            }
            died += 1;
        }
    }
    Ok(died)
}

/// A build that forgets lines must be noticed, however well it keeps its samples.
const WRONG: bool = cfg!(feature = "canary-forgets-lines");

#[cfg(not(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery")))]
#[test]
fn r02_death_at_every_step_loses_and_doubles_no_entry() {
    check(|| deaths(rounds(29, 1), false), WRONG);
}

#[cfg(not(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery", feature = "canary-nofsync")))]
#[test]
fn r03_a_power_cut_at_every_step_loses_and_doubles_no_entry() {
    check(|| deaths(rounds(29, 1), true), WRONG);
}

/// Syncs now and then, and a cut: a prefix comes back that has everything synced.
#[cfg(not(any(feature = "canary-ack-before-write", feature = "canary-nofsync", feature = "canary-forgets-lines")))]
#[test]
fn r07_after_a_power_cut_a_prefix_of_the_entries_comes_back() {
    for seed in 0..rounds(150, 20_000) {
        let mut random = Random(seed);
        let disk = SimulatedDisk::default();
        let (mut written, mut synced) = (0, 0);
        {
            let engine = open_small(&disk);
            for _ in 0..random.below(25) {
                engine.write(&nth_logs(written)).unwrap();
                written += 1;
                match random.below(8) {
                    0 => engine.sync(),
                    1 => engine.flush_entries(Signal::Logs).unwrap(),
                    2 => engine.flush().unwrap(),
                    _ => continue,
                }
                synced = written;
            }
        }
        let engine = open_small(&disk.cut_power(&mut random));
        let found = all(&engine);
        assert!((synced..=written).any(|n| found == expected_logs(n)), "seed {seed}: {written} written, {synced} synced, found {}", found.len());
    }
}
