//! Profiles beside logs and spans in the engine: a third room with the same machinery, from which stacks come back as they came.

use watchfire_model::logs::{LogSelection, Nanos, StreamEntries};
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::{Frame, Frames, NewProfile, ProfileRow, ProfileType, StackTree, key};

use super::*;
use crate::logs::Signal;

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// A profile of a service: so many stacks, of which each has the value `value`.
fn profile(service: &str, second: i64, stacks: usize, value: i64) -> StreamEntries {
    let (mut frames, mut tree) = (Frames::default(), StackTree::default());
    let names: Vec<String> = (0..stacks).map(|n| format!("function_{n}")).collect();
    let main = frames.number(Frame { name: "main", file: "main.py", line: 1 }).unwrap();
    let main = tree.callee(StackTree::ROOT, main).unwrap();
    for name in &names {
        let frame = frames.number(Frame { name, file: "work.py", line: 7 }).unwrap();
        let node = tree.callee(main, frame).unwrap();
        tree.add(node, value, None);
    }
    let labels = ProfileType::parse(CPU).unwrap().labels(&[(key::SERVICE, service)]);
    let new = NewProfile { time: Nanos(NOW * 1_000_000 + second * 1_000_000_000), duration: 15_000_000_000, period: 10_000_000, id: "" };
    StreamEntries { labels, entries: vec![new.entry(&frames, &tree).unwrap().unwrap()] }
}

fn batch(profiles: Vec<StreamEntries>) -> Batch {
    Batch { profiles, ..Batch::new(Origin::new("test")) }
}

/// How many profiles of a service there are, their totals, and the sum of what their stacks say.
fn found(engine: &Engine, service: &str) -> (usize, u64, u64) {
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let selection = LogSelection::new(vec![Matcher::equal(key::SERVICE, service), Matcher::equal(key::PROFILE_TYPE, CPU)], Nanos::MIN, Nanos::MAX);
    let mut found = (0, 0, 0);
    let read = engine.select_entries(Signal::Profiles, &selection, &budget, &mut |line| {
        let row = ProfileRow::new(line);
        found.0 += 1;
        found.1 += row.total();
        found.2 += row.stacks().unwrap().nodes.iter().map(|node| node.own).sum::<u64>();
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    found
}

#[test]
fn profiles_are_kept_through_restarts_flushes_merges_and_snapshots() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let open = |disk: &SimulatedDisk| Engine::open(Arc::new(disk.clone()), options(&clock)).expect("an engine");
    let engine = open(&disk);
    let written = engine.write(&batch(vec![profile("backend", 0, 5, 10), profile("backend", 15, 6, 10), profile("yolo", 0, 3, 1)])).unwrap();
    assert_eq!((written.profiles.stored, written.profiles.new_streams, written.spans.stored, written.logs.stored), (3, 2, 0, 0));
    assert_eq!(engine.write(&batch(vec![profile("backend", 0, 5, 10)])).unwrap().profiles.duplicates, 1, "what comes again is not there twice");
    assert_eq!((found(&engine, "backend"), found(&engine, "yolo"), found(&engine, "nobody")), ((2, 110, 110), (1, 3, 3), (0, 0, 0)));
    drop(engine);

    let engine = open(&disk);
    assert_eq!((engine.stats().replay.profiles, engine.stats().replay.spans), (3, 0));
    assert_eq!(found(&engine, "backend"), (2, 110, 110));
    engine.flush_entries(Signal::Profiles).unwrap();
    let stats = engine.stats();
    assert_eq!((stats.profiles.segments, stats.profiles.segment_entries, stats.logs.segments, stats.spans.segments), (1, 3, 0, 0));
    drop(engine);

    let engine = open(&disk);
    assert_eq!(engine.stats().replay.profiles, 0, "what is in a segment does not come from the log a second time");
    engine.write(&batch(vec![profile("backend", 30, 5, 10)])).unwrap();
    engine.flush().unwrap();
    engine.merge_all_entries(Signal::Profiles).unwrap();
    assert_eq!((engine.stats().profiles.segments, found(&engine, "backend")), (1, (3, 160, 160)));
    let report = engine.snapshot(Path::new("/copy/of"), false, &|_| Ok(())).unwrap();
    assert_eq!((report.profile_segments, report.profiles), (1, 4));
    let copy = Engine::open(Arc::new(disk.clone()), Options { dir: "/copy/of".into(), ..options(&clock) }).unwrap();
    assert_eq!(found(&copy, "backend"), (3, 160, 160));
}

#[test]
fn profiles_go_with_age_by_a_rule_of_their_own() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let mut options = options(&clock);
    options.profiles.retention = Some(std::time::Duration::from_secs(3600));
    let engine = Engine::open(Arc::new(disk), options).expect("an engine");
    engine.write(&batch(vec![profile("backend", 0, 5, 10)])).unwrap();
    engine.flush().unwrap();
    clock.advance(std::time::Duration::from_secs(7200));
    let removed = engine.cleanup();
    assert!(removed.files.len() == 1 && removed.files[0].name.starts_with("profiles/"), "{removed:?}");
    assert_eq!(found(&engine, "backend"), (0, 0, 0));
}
