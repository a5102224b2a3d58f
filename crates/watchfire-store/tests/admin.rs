//! Deleting, cleaning, snapshots and exemplars of a store on a real disk, as the faces use them.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesSamples};
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::{Exemplar, Sample};
use watchfire_model::state::{Change, TOKENS};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const NOW: i64 = 1_767_089_700_000;

fn open(dir: &Path) -> Store {
    let clock = ManualClock::new(Timestamp(NOW));
    Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir, clock as Arc<_>) }).expect("a store")
}

fn up(instance: &str) -> Labels {
    labels!("__name__" => "up", "instance" => instance)
}

fn write(store: &Store, instance: &str, time: i64, value: f64) {
    let mut batch = Batch::new(Origin::new("test"));
    let labels = up(instance);
    batch
        .exemplars
        .push(SeriesExemplars { labels: labels.clone(), exemplars: vec![Exemplar { labels: labels!("trace_id" => "t"), time: Timestamp(time), value }] });
    batch.metadata.push(Metadata { family: "up".into(), kind: MetricType::Gauge, help: "Alive.".into(), unit: "".into() });
    batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: Timestamp(time), value }) });
    assert_eq!(store.write(batch).expect("room").stored, 1);
}

fn read(store: &Store) -> Vec<(String, Vec<i64>)> {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let mut found = Vec::new();
    let read = store.select(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW))), &mut |series| {
        found.push((series.labels.get("instance").unwrap_or("").to_owned(), series.times));
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    found.sort();
    found
}

#[test]
fn a_snapshot_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data"));
    for n in 0..10 {
        write(&store, "a", NOW - 10_000 + n * 1000, n as f64);
        write(&store, "b", NOW - 10_000 + n * 1000, n as f64);
        if n == 5 {
            store.flush().unwrap();
        }
    }
    store.state().commit(&[Change::Put(TOKENS, "one".into(), b"1".to_vec())]).unwrap();
    store.delete_series(&[vec![Matcher::equal("instance", "b")]], Timestamp(NOW - 8000), Timestamp::MAX).unwrap();
    let target = dir.path().join("backups/today");
    let report = store.snapshot(&target, false).unwrap();
    assert!(report.segments >= 2 && report.samples >= 12, "{report:?}");
    // Later changes do not reach the snapshot.
    let expected = read(&store);
    write(&store, "c", NOW, 1.0);
    store.clean_tombstones().unwrap();
    assert!(store.snapshot(&target, false).is_err(), "never over another one");
    let copy = open(&target);
    assert_eq!(read(&copy), expected);
    assert_eq!(expected[1].1, [NOW - 10_000, NOW - 9000]);
    assert_eq!(copy.state().get(TOKENS, "one").unwrap(), Some(b"1".to_vec()));
    assert_eq!(&*copy.metadata()[0].help, "Alive.");
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let exemplars = copy.exemplars(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW)))).unwrap();
    assert_eq!(exemplars.iter().map(|s| s.exemplars.len()).collect::<Vec<_>>(), [10, 2]);
    write(&copy, "d", NOW, 1.0);
    drop(copy);
    assert_eq!(read(&open(&target)).len(), 3);
    assert_eq!(read(&store).len(), 3);
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 1, "no unfinished snapshot is left");
}
