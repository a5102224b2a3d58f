//! Pushes by each method and what queries see of them; refusals; a restart.

use std::collections::BTreeMap as Map;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::meter::Meter;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::is_stale;
use watchfire_model::state::{PUSHED_ENDS, Table};
use watchfire_model::time::ManualClock;
use watchfire_model::write::{WriteError, Written};
use watchfire_testkit::memory::Memory;

use super::*;
use crate::exposition::{Format, render};
use crate::gate::Limits;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Something to be done once, while somebody else is at work.
#[derive(Default)]
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);
impl Meanwhile {
    fn set(&self, work: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(work));
    }
    fn run(&self) {
        let work = self.0.lock().unwrap().take();
        work.into_iter().for_each(|work| work());
    }
    fn is_done(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

/// A store that can be told to take nothing.
#[derive(Default)]
struct Disk {
    memory: Memory,
    meanwhile: Meanwhile,
    broken: AtomicBool,
}
impl Sink for Disk {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.meanwhile.run();
        if self.broken.load(Ordering::Relaxed) { Err(WriteError::Failed("test".to_owned())) } else { self.memory.write(batch) }
    }
}

#[derive(Default)]
struct State(Mutex<Map<(Table, String), Vec<u8>>>, Meanwhile);
impl StateStore for State {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, _: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(self.0.lock().unwrap().iter().filter(|((t, _), _)| *t == table).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        self.1.run();
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(self.0.lock().unwrap().insert((table, key), value)),
                Change::Delete(table, key) => drop(self.0.lock().unwrap().remove(&(table, key))),
            }
        }
        Ok(())
    }
}

struct House {
    disk: Arc<Disk>,
    clock: Arc<ManualClock>,
    state: Arc<State>,
    meter: Meter,
    pushgateway: Arc<Pushgateway>,
}
impl House {
    fn new() -> House {
        let (disk, clock, state, meter) = (Arc::new(Disk::default()), ManualClock::new(NOW), Arc::new(State::default()), Meter::new());
        let pushgateway = open(&disk, &state, &clock, &meter);
        House { disk, clock, state, meter, pushgateway }
    }
    fn push(&self, path: &str, body: &str, replace: bool) -> Result<(), PushError> {
        self.clock.advance(Duration::from_secs(1));
        self.pushgateway.push(&Key::from_path(path).unwrap(), Body::Text(body.as_bytes()), replace)
    }
    /// The newest value of every series, the ended ones without a value.
    fn now(&self) -> Vec<String> {
        let selection =
            Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, "[^p].*").unwrap()], start: Timestamp(0), end: Timestamp(i64::MAX) };
        let mut lines = Vec::new();
        self.disk
            .memory
            .select(&selection, &Budget::unlimited(self.clock.clone()), &mut |series| {
                let value = *series.values.last().unwrap();
                lines.push(if is_stale(value) { format!("{} ended", series.labels) } else { format!("{} {value}", series.labels) });
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        lines
    }
    /// What comes after a death: the state is there, and the store is well again.
    fn restarted(self) -> House {
        self.disk.broken.store(false, Ordering::Relaxed);
        let meter = Meter::new();
        let pushgateway = open(&self.disk, &self.state, &self.clock, &meter);
        House { pushgateway, meter, ..self }
    }
    fn breaks(&self) {
        self.disk.broken.store(true, Ordering::Relaxed);
    }
    fn repeat(&self) {
        self.clock.advance(Duration::from_secs(15));
        self.pushgateway.repeat();
    }
    fn kept_ends(&self) -> usize {
        self.state.scan(PUSHED_ENDS, "").unwrap().len()
    }
    fn refused(&self, reason: &str) -> u64 {
        self.meter.counter("watchfire_pushgateway_pushes_refused_total", "", &[("reason", reason)]).get()
    }
    fn text(&self) -> String {
        render(Format::PrometheusText, &self.pushgateway.families())
    }
}
fn open(disk: &Arc<Disk>, state: &Arc<State>, clock: &Arc<ManualClock>, meter: &Meter) -> Arc<Pushgateway> {
    let gate = Arc::new(Gate::new(disk.clone(), clock.clone(), meter, Limits::default()));
    Arc::new(Pushgateway::open(gate, state.clone(), clock.clone(), meter).unwrap())
}

#[test]
fn put_replaces_the_group_and_post_metrics_of_the_same_name() {
    let house = House::new();
    house.push("job/a/instance/i", "# TYPE x gauge\nx{l=\"1\"} 1\nx{l=\"2\"} 2\ny 5", true).unwrap();
    house.push("job/b", "x 9\n", true).unwrap_err();
    house.push("job/b", "# TYPE x gauge\nx{job=\"other\"} 9\n", true).unwrap();
    house.push("job/a/instance/i", "# TYPE x gauge\nx{l=\"1\"} 3\n", false).unwrap();
    let x = |l: u8| format!(r#"x{{instance="i", job="a", l="{l}"}}"#);
    assert_eq!(house.now(), [format!("{} 3", x(1)), format!("{} ended", x(2)), r#"x{job="b"} 9"#.to_owned(), r#"y{instance="i", job="a"} 5"#.to_owned()]);
    house.push("job/a/instance/i", "", true).unwrap();
    assert_eq!(house.now()[..2], [format!("{} ended", x(1)), format!("{} ended", x(2))]);
    assert!(house.text().contains(r#"push_time_seconds{instance="i",job="a"} 1.767089705e+09"#), "{}", house.text());
    house.pushgateway.delete(&Key::from_path("job/b").unwrap()).unwrap();
    house.pushgateway.delete(&Key::from_path("job/b").unwrap()).unwrap();
    assert!(house.now().contains(&r#"x{job="b"} ended"#.to_owned()));
    assert!(!house.text().contains("job=\"b\""));
}

#[test]
fn refused_pushes_leave_their_mark_and_nothing_else() {
    let house = House::new();
    house.push("job/a", "# TYPE x counter\nx 1\n", true).unwrap();
    for (body, words) in [
        ("x 1 1767089700000\n", "pushed metrics must not have timestamps"),
        ("x 1\nx 2\n", "x was pushed twice"),
        ("x{\n", "cannot read the pushed metrics: line 1"),
    ] {
        let error = house.push("job/a", body, true).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = house.push("job/b", "# TYPE x gauge\nx 1\n", true).unwrap_err().to_string();
    assert_eq!(error, "pushed metrics are invalid or inconsistent with existing metrics: metric x is counter in another group and gauge here");
    let error = house.push("job/a/l/1", "# TYPE y gauge\ny 1\n", true).and_then(|()| house.push("job/a", "# TYPE y gauge\ny{l=\"1\"} 1\n", true)).unwrap_err();
    assert!(error.to_string().contains("is in another group already"), "{error}");
    assert_eq!(house.now(), [r#"x{job="a"} 1"#, r#"y{job="a", l="1"} 1"#]);
    let text = house.text();
    assert!(text.contains(r#"push_failure_time_seconds{job="a"} 1.767089707e+09"#), "{text}");
    assert!(text.contains("push_time_seconds{job=\"b\"} 0\n"), "{text}");
    assert_eq!(house.pushgateway.describe()[0]["last_push_successful"], false);
    assert_eq!(["malformed", "inconsistent", "full"].map(|reason| house.refused(reason)), [1, 4, 0]);
    assert!(matches!(house.push(&format!("job/{}", "x".repeat(KEY_BYTES_MAX)), "x 1\n", true), Err(PushError::Key(_))));
    assert_eq!((house.refused("group_labels"), house.pushgateway.describe().as_array().unwrap().len()), (1, 3), "no mark is left");
}

#[test]
fn groups_survive_and_are_repeated() {
    let house = House::new();
    house.push("job/a", "# HELP h What\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\nnan NaN\n", true).unwrap();
    let again = open(&house.disk, &house.state, &house.clock, &Meter::new());
    assert_eq!(again.describe(), house.pushgateway.describe());
    let samples = house.disk.memory.sample_count();
    house.clock.advance(Duration::from_secs(15));
    again.repeat();
    assert_eq!(house.disk.memory.sample_count(), samples * 2);
    let shown = &again.describe()[0]["h"];
    assert_eq!((&shown["type"], &shown["help"], &shown["time_stamp"]), (&"HISTOGRAM".into(), &"What".into(), &"2025-12-30T10:15:01.000Z".into()));
    assert_eq!(shown["metrics"], serde_json::json!([{"buckets": {"1.0": "2", "+Inf": "3"}, "sum": "4", "count": "3", "labels": {"job": "a"}}]));
    // A clock that stands still or goes back gives no two samples of one time.
    house.clock.jump_to(NOW);
    again.repeat();
    assert_eq!(house.disk.memory.sample_count(), samples * 3);
}

#[test]
fn ends_that_could_not_be_stored_come_with_the_next_repetition() {
    for dies in [false, true] {
        let house = House::new();
        house.push("job/a", "x{l=\"1\"} 1\nx{l=\"2\"} 2\ny 1\n", true).unwrap();
        house.push("job/b", "z 1\n", true).unwrap();
        assert_eq!(house.kept_ends(), 0);
        house.breaks();
        house.push("job/a", "x{l=\"1\"} 1\n", true).unwrap();
        house.push("job/a", "x{l=\"2\"} 3\n", true).unwrap();
        house.pushgateway.delete(&Key::from_path("job/b").unwrap()).unwrap();
        house.repeat();
        assert_eq!(house.kept_ends(), 2);
        let house = if dies { house.restarted() } else { house };
        house.disk.broken.store(false, Ordering::Relaxed);
        house.repeat();
        let x = |l: u8| format!(r#"x{{job="a", l="{l}"}}"#);
        let expected = [format!("{} ended", x(1)), format!("{} 3", x(2)), r#"y{job="a"} ended"#.to_owned(), r#"z{job="b"} ended"#.to_owned()];
        assert_eq!(house.now(), expected, "dies: {dies}");
        let samples = house.disk.memory.sample_count();
        house.repeat();
        assert_eq!((house.kept_ends(), house.disk.memory.sample_count()), (0, samples + 3), "an end is stored once");
    }
}

#[test]
fn a_series_that_lives_in_another_group_has_not_ended() {
    for dies in [false, true] {
        let house = House::new();
        house.push("job/a", "x{l=\"1\"} 1\n", true).unwrap();
        house.breaks();
        house.pushgateway.delete(&Key::from_path("job/a").unwrap()).unwrap();
        house.push("job/a/l/1", "x 5\n", true).unwrap();
        let house = if dies { house.restarted() } else { house };
        house.disk.broken.store(false, Ordering::Relaxed);
        house.repeat();
        assert_eq!(house.now(), [r#"x{job="a", l="1"} 5"#], "dies: {dies}");
        assert_eq!(house.kept_ends(), 0);
    }
}

#[test]
fn ends_are_kept_in_this_form() {
    let house = House::new();
    let record = br#"{"v":1,"series":[[["__name__","x"],["job","a"]]]}"#;
    house.state.commit(&[Change::Put(PUSHED_ENDS, r#"{"job":"a"}"#.to_owned(), record.to_vec())]).unwrap();
    house.state.commit(&[Change::Put(PUSHED_ENDS, "damaged".to_owned(), Vec::new())]).unwrap();
    let house = house.restarted();
    house.repeat();
    assert_eq!(house.now(), [r#"x{job="a"} ended"#]);
    let key = Key::from_path("job/a").unwrap();
    let series = HashSet::from([Labels::from_pairs([("__name__", "x"), ("job", "a")])]);
    assert_eq!(ended::change(&key, &series), Change::Put(PUSHED_ENDS, key.to_string(), record.to_vec()));
}

#[test]
fn ends_that_wait_are_bounded() {
    let house = House::new();
    house.breaks();
    for n in 0..GROUPS_MAX + 1 {
        let path = format!("job/{n}");
        house.push(&path, "", true).unwrap();
        house.pushgateway.delete(&Key::from_path(&path).unwrap()).unwrap();
    }
    assert_eq!(house.kept_ends(), GROUPS_MAX);
    // Those of the last group, the time of its push and that of its failure, found no room.
    assert_eq!(house.meter.counter("watchfire_pushgateway_ends_lost_total", "", &[]).get(), 2);
}

#[test]
fn who_looks_does_not_wait_for_state_or_store() {
    let house = House::new();
    house.push("job/a", "x 1\n", true).unwrap();
    // Looked at by the very thread that keeps or stores: were the groups locked, it would wait for ever.
    let look = |meanwhile: &Meanwhile| {
        let pushgateway = house.pushgateway.clone();
        meanwhile.set(move || assert_eq!(pushgateway.describe().as_array().unwrap().len(), 1));
    };
    look(&house.disk.meanwhile);
    house.push("job/a", "x 2\n", true).unwrap();
    assert!(house.disk.meanwhile.is_done());
    look(&house.disk.meanwhile);
    house.pushgateway.repeat();
    assert!(house.disk.meanwhile.is_done());
    look(&house.state.1);
    house.push("job/a", "x 3\n", true).unwrap();
    assert!(house.state.1.is_done());
}

#[test]
fn openmetrics_is_taken_too() {
    let house = House::new();
    let key = Key::from_path("job/a").unwrap();
    house.pushgateway.push(&key, Body::OpenMetrics(b"# TYPE c counter\nc_total 4\n# EOF\n"), true).unwrap();
    assert_eq!(house.now(), [r#"c_total{job="a"} 4"#]);
    assert!(house.pushgateway.push(&key, Body::OpenMetrics(b"c_total 4\n"), true).is_err(), "no # EOF");
}

#[test]
fn protobuf_is_taken_as_clients_of_go_send_it() {
    let house = House::new();
    // MetricFamily { name: "c_total", help: "H", type: COUNTER, metric { label { l: "v", job: "own" }, counter { value: 3 } } }
    let label =
        |name: &[u8], value: &[u8]| [&[0x0a, (4 + name.len() + value.len()) as u8, 0x0a, name.len() as u8], name, &[0x12, value.len() as u8], value].concat();
    let counter = [&[0x1a, 9, 0x09][..], &3f64.to_le_bytes()].concat();
    let metric = [label(b"l", b"v"), label(b"job", b"own"), counter].concat();
    let family = [&[0x0a, 7][..], b"c_total", &[0x12, 1], b"H", &[0x18, 0, 0x22, metric.len() as u8], &metric].concat();
    let body = [&[family.len() as u8][..], &family].concat();
    let key = Key::from_path("job/a").unwrap();
    house.pushgateway.push(&key, Body::Protobuf(&body), true).unwrap();
    assert_eq!(house.now(), [r#"c_total{job="a", l="v"} 3"#]);
    assert_eq!(house.pushgateway.describe()[0]["c_total"]["type"], "COUNTER");
    assert!(house.pushgateway.push(&key, Body::Protobuf(&body[..9]), true).is_err());
}

#[test]
fn labels_are_bounded_in_bytes() {
    let house = House::new();
    // MetricFamily { name: "h", type: HISTOGRAM, metric { label { l: … }, histogram { bucket { upper bound }* } } }
    let histogram = |label: usize, buckets: usize| {
        let mut out = crate::protobuf::Writer::new();
        out.text(1, "h");
        out.uint(3, 4);
        out.message(4, |metric| {
            metric.message(1, |pair| {
                pair.text(1, "l");
                pair.text(2, &"x".repeat(label));
            });
            metric.message(7, |histogram| (0..buckets).for_each(|i| histogram.message(3, |b| b.double(2, i as f64 + 1.0))));
        });
        let family = out.into_bytes();
        let mut body = crate::protobuf::Writer::new();
        body.always_bytes(1, &family);
        // The tag in front is no part of a delimited message.
        body.into_bytes().split_off(1)
    };
    let key = Key::from_path("job/a").unwrap();
    let push = |body: &[u8]| house.pushgateway.push(&key, Body::Protobuf(body), true).map_err(|e| e.to_string());
    push(&histogram(1 << 10, 1_000)).unwrap();
    let error = push(&histogram(100 << 10, 1_000)).unwrap_err();
    assert!(error.starts_with("too many pushed metrics: labels of too many bytes in one message"), "{error}");
    let error = push(&histogram(300 << 10, 1)).unwrap_err();
    assert!(error.starts_with("too many pushed metrics: labels of too many bytes: 3"), "{error}");
    // All groups together have a bound as well.
    let line = |i: usize| format!("x{i}{{l=\"{}\"}} 1\n", "y".repeat(200 << 10));
    let body: String = (0..150).map(line).collect();
    let outcomes: Vec<_> = (0..3).map(|i| house.push(&format!("job/big/group/{i}"), &body, true)).collect();
    assert!(matches!(&outcomes[..], [Ok(()), Ok(()), Err(PushError::Full(_))]), "{outcomes:?}");
}

proptest! {
    #[test]
    fn garbage_never_panics(path in "(job(@base64)?/)?[a-z@%/=0-9]{0,20}", body in prop::collection::vec(any::<u8>(), 0..80), format in 0..3) {
        let house = House::new();
        if let Ok(key) = Key::from_path(&path) {
            let body = [Body::Text, Body::OpenMetrics, Body::Protobuf][format as usize](&body);
            drop(house.pushgateway.push(&key, body, true));
            prop_assert!(Group::parse(&house.pushgateway.inner().groups[&key].render()).is_some());
        }
    }
}
