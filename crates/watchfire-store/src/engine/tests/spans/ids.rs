//! The index of ids of segments of spans: it is believed where it checks out, nothing is missing where it does not, and segments that
//! have none get one when they are merged.

use super::*;
use crate::options::LogOptions;

/// Traces of the test, each of two spans.
const TRACES: u8 = 120;

/// Small units and blocks, so that a few spans are many.
fn small(disk: &SimulatedDisk) -> Engine {
    let clock = ManualClock::new(Timestamp(NOW));
    let spans = LogOptions { block_bytes: 600, unit_bytes: 3_000, ..LogOptions::for_spans() };
    Engine::open(Arc::new(disk.clone()), Options { spans, ..options(&clock) }).expect("an engine")
}

/// Every trace in some segments; the spans of a trace are in different ones.
fn filled() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let engine = small(&disk);
    for half in 0..2u8 {
        for trace in 0..TRACES {
            engine.write(&batch(vec![span(trace, 2 * trace + half + 1, ["detect", "query"][usize::from(half)])], vec![])).unwrap();
            if trace % 40 == 39 {
                engine.flush_entries(Signal::Spans).unwrap();
            }
        }
    }
    engine.flush().unwrap();
    engine.close();
    disk
}

fn segments(disk: &SimulatedDisk) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    disk.files().into_iter().filter(|(path, _)| path.starts_with("/data/traces")).collect()
}

/// Whether the index of each segment can be read.
fn has_ids(engine: &Engine) -> Vec<Option<bool>> {
    let segments = engine.read().entries[Signal::Spans].segments.clone();
    segments.iter().map(|segment| segment.index(0).unwrap().expect("a readable index").has_ids(key::TRACE).unwrap()).collect()
}

#[test]
fn a_trace_is_looked_for_where_the_index_says() {
    let disk = filled();
    let engine = small(&disk);
    assert!(has_ids(&engine).len() > 3 && has_ids(&engine).iter().all(|has| *has == Some(true)), "{:?}", has_ids(&engine));
    assert!((0..TRACES).all(|trace| of_trace(&engine, trace) == 2));
    engine.merge_all_entries(Signal::Spans).unwrap();
    assert_eq!(has_ids(&engine), [Some(true)]);
    assert!((0..TRACES).all(|trace| of_trace(&engine, trace) == 2));
    let several = Matcher::new(key::TRACE, MatchOp::Regex, &[3, 77, 200].map(|n| TraceId([n; 16]).to_string()).join("|")).unwrap();
    assert_eq!(found(&engine, vec![several]).len(), 4);

    // With all blocks overwritten an id that no trace has is still known to be nowhere, and one that a trace has is missed.
    let [(path, mut bytes)] = <[_; 1]>::try_from(segments(&disk)).expect("one segment");
    let blocks: usize = {
        let segments = engine.read().entries[Signal::Spans].segments.clone();
        segments[0].index(0).unwrap().unwrap().blocks.iter().map(|block| block.info.len()).sum()
    };
    bytes[16..16 + blocks].fill(0);
    let overwritten = disk.copy();
    overwritten.put(&path, bytes);
    let engine = small(&overwritten);
    assert_eq!((of_trace(&engine, 250), engine.stats().damaged_blocks), (0, 0));
    assert_eq!(of_trace(&engine, 7), 0);
    assert!((1..=2).contains(&engine.stats().damaged_blocks), "the blocks of the trace and no others: {}", engine.stats().damaged_blocks);
}

#[test]
fn r06_damage_in_segments_of_spans_is_reported_never_wrong() {
    let disk = filled();
    let every = found(&small(&disk), vec![]);
    let segments = segments(&disk);
    let mut random = Random(6);
    let (mut missed, mut of_ids) = (0, 0);
    for round in 0..rounds(400, 5_000) {
        let (path, bytes) = &segments[random.below(segments.len() as u64) as usize];
        let mut bytes = bytes.clone();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        let damaged = disk.copy();
        damaged.put(path, bytes);
        let engine = small(&damaged);
        // In lots, as searches ask.
        let lot = |from: u8| (from..from + 12).map(|n| TraceId([n; 16]).to_string()).collect::<Vec<_>>().join("|");
        let of_lot = |from: u8| found(&engine, vec![Matcher::new(key::TRACE, MatchOp::Regex, &lot(from)).unwrap()]);
        let mut seen: Vec<_> = (0..TRACES).step_by(12).flat_map(of_lot).collect();
        seen.sort();
        assert!(seen.iter().all(|span| every.binary_search(span).is_ok()), "nothing is invented");
        engine.remove_damaged();
        let stats = engine.stats();
        assert!(seen == every || stats.quarantined > 0 || stats.damaged_blocks > 0, "round {round}: {} of {} after a bit at {at}", seen.len(), every.len());
        if stats.damaged_id_indexes > 0 {
            of_ids += 1;
            assert_eq!((seen.len(), stats.quarantined, stats.damaged_blocks), (every.len(), 0, 0), "round {round}: all is there without the index");
            // A merge makes a new one of what the blocks say.
            engine.merge_all_entries(Signal::Spans).unwrap();
            assert_eq!(has_ids(&engine), [Some(true)]);
            assert!(engine.stats().damaged_id_indexes > stats.damaged_id_indexes);
            assert!((0..TRACES).step_by(11).all(|trace| of_trace(&engine, trace) == 2));
        }
        missed += u64::from(seen.len() < every.len());
    }
    assert!(missed > 20 && of_ids > 20, "{missed} {of_ids}");
}

#[test]
fn segments_without_an_index_of_ids_get_one_when_they_are_merged() {
    let disk = SimulatedDisk::default();
    drop(small(&disk));
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v6/traces");
    for name in ["00000002.seg", "00000006.seg"] {
        disk.put(&Path::new("/data/traces").join(name), std::fs::read(fixture.join(name)).unwrap());
    }
    let engine = small(&disk);
    let every = found(&engine, vec![]);
    assert_eq!(has_ids(&engine), [None, None]);
    assert_eq!(every.len(), 480);
    let of = |engine: &Engine, id: &str| found(engine, vec![Matcher::equal(key::TRACE, id)]).len();
    assert!(every.iter().all(|(trace, ..)| of(&engine, trace) == 2));
    engine.merge_all_entries(Signal::Spans).unwrap();
    assert_eq!(has_ids(&engine), [Some(true)]);
    assert!(every.iter().all(|(trace, ..)| of(&engine, trace) == 2));
    assert_eq!((engine.stats().damaged_id_indexes, found(&engine, vec![])), (0, every));
}
