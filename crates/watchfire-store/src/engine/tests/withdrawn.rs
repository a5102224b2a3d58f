//! A segment that stands in for others and cannot be opened goes again: nobody knows it, and the next start would believe it.

use super::*;
use crate::options::Tier;

/// Damages a segment as soon as it has its name.
fn damage(disk: &SimulatedDisk, path: &'static str) {
    let inside = disk.clone();
    disk.when_named(Path::new(path), move || inside.put(Path::new(path), b"not what was written".to_vec()));
}

fn files(disk: &SimulatedDisk, dir: &str) -> usize {
    disk.list(Path::new(dir)).unwrap().len()
}

#[test]
fn a_merge_that_cannot_be_opened_leaves_nothing() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    for n in 0..3 {
        engine.write(&nth_unique(n)).unwrap();
        engine.flush().unwrap();
    }
    let before = everything(&engine);
    damage(&disk, "/data/metrics/00000004.seg");
    assert!(engine.merge_all().is_err());
    assert_eq!((files(&disk, "/data/metrics"), engine.stats().segments), (3, 3));
    assert_eq!(everything(&engine), before);
    assert!(engine.merge_all().unwrap());
    assert_eq!((files(&disk, "/data/metrics"), engine.stats().segments), (1, 1));
    assert_eq!(everything(&open(&disk)), before);
    assert_eq!(files(&disk, "/data/quarantine"), 0);
}

#[test]
fn a_week_of_a_tier_that_cannot_be_opened_leaves_nothing() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let tier = Tier { resolution: Duration::from_secs(3600), after: Duration::from_secs(86_400), keep: None };
    let engine =
        Engine::open(Arc::new(disk.clone()), Options { tiers: vec![tier], out_of_order_window: Duration::from_secs(30 * 86_400), ..options(&clock) }).unwrap();
    engine.write_within(&batch(&[(series(1), NOW - 60 * DAY, 1.0)]), i64::MAX).unwrap();
    engine.write(&batch(&[(series(1), NOW, 2.0)])).unwrap();
    engine.flush().unwrap();
    let next = *engine.building();
    assert_eq!(next, 2, "the name below is that of the tier's segment");
    damage(&disk, "/data/tiers/00000002.seg");
    assert!(engine.downsample().is_err());
    assert_eq!((files(&disk, "/data/tiers"), engine.stats().tiers), (0, 0));
    assert!(engine.downsample().unwrap());
    assert_eq!((files(&disk, "/data/tiers"), engine.stats().tiers), (1, 1));
}
