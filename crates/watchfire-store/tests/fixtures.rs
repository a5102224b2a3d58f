//! Data directories of every version of the format, committed once and opened for ever. Version 1 was written by
//! `examples/make_fixtures.rs`; the state file is kept compressed because it is mostly zeros.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use watchfire_model::batch::MetricType;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::state::TOKENS;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_store::{Options, Store};

const START: i64 = 1_767_052_800_000;
const SAMPLES: i64 = 28 * 60;

/// A copy of a fixture that may be written to.
fn copy_of(version: &str) -> tempfile::TempDir {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
    let to = tempfile::tempdir().expect("a directory");
    copy(&from, to.path());
    let packed = fs::read(to.path().join("state.redb.zst")).expect("the state file");
    fs::write(to.path().join("state.redb"), zstd::bulk::decompress(&packed, 64 << 20).expect("a state file")).expect("room");
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("room");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a fixture");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("room");
        }
    }
}

#[test]
fn r63_version_1_is_read() {
    let dir = copy_of("v1");
    let clock = ManualClock::new(Timestamp(START + 32 * 3_600_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).unwrap();
    let stats = store.stats();
    assert_eq!((stats.segments, stats.quarantined, stats.replay.samples, stats.replay.clean), (2, 0, 300, true), "{stats:?}");
    let mut seen = 0;
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let read = store.select(&selection, &Budget::unlimited(clock), &mut |series| {
        seen += 1;
        assert_eq!(series.times, (0..SAMPLES).map(|n| START + n * 60_000 + n % 3).collect::<Vec<_>>());
        for (n, value) in (0..SAMPLES).zip(&series.values) {
            let expected = match series.labels.metric_name() {
                "fixture_constant" => 42.0f64.to_bits(),
                "fixture_counter" => (n as f64 * 17.0).to_bits(),
                "fixture_decimal" => (n as f64 * 0.125).to_bits(),
                // Sines may differ between machines in the last bit; the stored ones are near ours.
                "fixture_float" if (value - (n as f64 * 0.1).sin()).abs() < 1e-12 => value.to_bits(),
                "fixture_odd" if n % 50 == 49 => STALE_NAN_BITS,
                "fixture_odd" => (-0.0f64).to_bits(),
                other => panic!("{other} at {n}: {value}"),
            };
            assert_eq!(value.to_bits(), expected, "{} at {n}", series.labels);
        }
        Ok(ControlFlow::Continue(()))
    });
    read.unwrap();
    assert_eq!(seen, 5);
    let metadata = store.metadata();
    assert_eq!((&*metadata[0].family, metadata[0].kind, &*metadata[0].help), ("fixture_counter", MetricType::Counter, "Counts."));
    assert_eq!(store.state().get(TOKENS, "fixture").unwrap(), Some(b"value".to_vec()));
}
