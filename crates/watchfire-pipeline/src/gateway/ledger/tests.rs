//! Tests of the ledger: restarts, deaths at any moment, damage, midnight.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::state::{Change, Table};
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;

/// A state store in memory, whose commits may fail.
#[derive(Default)]
struct Memory {
    entries: Mutex<BTreeMap<(Table, String), Vec<u8>>>,
    fails: std::sync::atomic::AtomicBool,
}
impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.entries.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let all = self.entries.lock().unwrap();
        Ok(all.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(StateError { doing: "commit", reason: "on purpose".to_owned() });
        }
        let mut all = self.entries.lock().unwrap();
        for change in changes.iter().cloned() {
            match change {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}

/// 2026-03-28T22:30:00Z: half an hour before midnight in Berlin, one night before the clocks change there.
const NOW: Timestamp = Timestamp(1_774_737_000_000);

struct Bench {
    dir: tempfile::TempDir,
    state: Arc<Memory>,
    clock: Arc<ManualClock>,
}
impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap(), state: Arc::default(), clock: ManualClock::new(NOW) }
    }
    fn journal(&self) -> std::path::PathBuf {
        self.dir.path().join("model-calls.journal")
    }
    fn open(&self) -> Ledger {
        let zone = TimeZone::get("Europe/Berlin").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(1)));
        let keeping = Keeping { state: self.state.clone(), journal: self.journal(), clock: self.clock.clone(), zone };
        Ledger::open(keeping, &Meter::new()).unwrap()
    }
}

fn key(model: &str) -> Key {
    Key { model: model.to_owned(), upstream: "u".to_owned(), camera: "front".to_owned(), caller: "x".to_owned() }
}
fn told(input: u64, output: u64) -> Sums {
    Sums { exchanges: 1, input, output, cost: input + 2 * output, ..Sums::default() }
}
fn ever(ledger: &Ledger) -> Sums {
    ledger.look(|books| books.total(Period::Ever))
}

#[test]
fn a_death_loses_no_exchange_that_ended_and_closes_those_that_did_not() {
    let bench = Bench::new();
    let ledger = bench.open();
    let (a, b, c) = (ledger.begin(&key("m"), 10), ledger.begin(&key("m"), 7), ledger.begin(&key("n"), 5));
    ledger.end(a, &key("m"), &told(11, 3));
    ledger.fold().unwrap();
    ledger.end(b, &key("m"), &told(8, 2));
    assert_eq!(ledger.end(b, &key("m"), &told(8, 2)), None, "an exchange ends once");
    ledger.progress(c, 4);
    // Nobody says good-bye: what is not in the state file stands in the journal.
    drop(ledger);
    for _ in 0..3 {
        let ledger = bench.open();
        let sums = ever(&ledger);
        assert_eq!((sums.exchanges, sums.input, sums.output, sums.partial), (3, 19, 5, 1));
        assert_eq!((sums.estimated_input, sums.estimated_output), (5, 4));
    }
    let last = bench.open().begin(&key("m"), 1);
    assert!(last > c, "ids are not given twice");
}

#[test]
fn a_death_between_the_commit_and_the_new_journal_counts_nothing_twice() {
    let bench = Bench::new();
    let ledger = bench.open();
    let a = ledger.begin(&key("m"), 10);
    ledger.begin(&key("m"), 7);
    ledger.end(a, &key("m"), &told(11, 3));
    drop(ledger);
    let before = std::fs::read(bench.journal()).unwrap();
    drop(bench.open());
    // The journal is as it was before the start that has closed everything.
    std::fs::write(bench.journal(), before).unwrap();
    let sums = ever(&bench.open());
    assert_eq!((sums.exchanges, sums.input, sums.partial), (2, 11, 1));
}

#[test]
fn a_state_file_that_refuses_loses_nothing() {
    let bench = Bench::new();
    let ledger = bench.open();
    bench.state.fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let a = ledger.begin(&key("m"), 10);
    ledger.end(a, &key("m"), &told(11, 3));
    assert!(ledger.fold().is_err());
    drop(ledger);
    let ledger = bench.open();
    assert_eq!(ever(&ledger).input, 11);
    bench.state.fails.store(false, std::sync::atomic::Ordering::SeqCst);
    ledger.fold().unwrap();
    drop(ledger);
    std::fs::remove_file(bench.journal()).unwrap();
    assert_eq!(ever(&bench.open()).input, 11);
}

#[test]
fn damage_costs_its_own_line_and_is_counted() {
    let bench = Bench::new();
    let ledger = bench.open();
    for n in 1..=5 {
        let id = ledger.begin(&key("m"), 1);
        ledger.end(id, &key("m"), &told(n, 0));
    }
    drop(ledger);
    let mut bytes = std::fs::read(bench.journal()).unwrap();
    let ended: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i..].starts_with(b"\"t\":\"e\"")).collect();
    bytes[ended[2]] ^= 1;
    bytes.extend_from_slice(b"0000 torn");
    std::fs::write(bench.journal(), &bytes).unwrap();
    let keeping = |meter: &Meter| {
        Ledger::open(Keeping { state: bench.state.clone(), journal: bench.journal(), clock: bench.clock.clone(), zone: TimeZone::UTC }, meter).unwrap()
    };
    let meter = Meter::new();
    let ledger = keeping(&meter);
    let sums = ever(&ledger);
    assert_eq!((sums.input, sums.partial), (1 + 2 + 4 + 5, 1), "the exchange whose end is damaged counts as partial");
    let counted = meter.gather().into_iter().find(|f| &*f.name == "watchfire_gateway_ledger_damaged_total").unwrap();
    assert_eq!(counted.points[0].1, 1.0);
    std::fs::write(bench.journal(), b"something else").unwrap();
    drop(keeping(&Meter::new()));
}

#[test]
fn spending_rolls_over_at_local_midnight_and_with_the_month() {
    let bench = Bench::new();
    let ledger = bench.open();
    let spend = |cost| {
        let id = ledger.begin(&key("m"), 0);
        ledger.end(id, &key("m"), &Sums { exchanges: 1, cost, ..Sums::default() }).unwrap()
    };
    assert_eq!(ledger.today().to_string(), "2026-03-28");
    assert_eq!(spend(5), Spent { day: (0, 5), month: (0, 5) });
    assert_eq!(spend(2), Spent { day: (5, 7), month: (5, 7) });
    bench.clock.advance(Duration::from_secs(31 * 60));
    assert_eq!(ledger.today().to_string(), "2026-03-29");
    assert_eq!(ledger.spending(), (0, 7));
    assert_eq!(spend(1), Spent { day: (0, 1), month: (7, 8) });
    // This day has 23 hours.
    bench.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(ledger.today().to_string(), "2026-03-30");
    bench.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(ledger.spending(), (0, 0));
    // A clock that goes back finds the day as it was.
    bench.clock.jump_to(NOW);
    assert_eq!(ledger.spending(), (7, 8));
    ledger.fold().unwrap();
    assert_eq!(bench.open().spending(), (7, 8), "spending survives a restart");
}

#[test]
fn the_journal_does_not_grow_without_end() {
    let bench = Bench::new();
    let ledger = bench.open();
    let stays = ledger.begin(&key("m"), 3);
    while size(&bench.journal()) <= journal::BYTES_MAX {
        let id = ledger.begin(&key("m"), 1);
        ledger.end(id, &key("m"), &told(1, 1));
    }
    let before = ever(&ledger);
    ledger.fold().unwrap();
    assert!(size(&bench.journal()) < 1_000);
    drop(ledger);
    let mut expected = before;
    expected.add(&Sums { exchanges: 1, partial: 1, estimated_input: 3, ..Sums::default() });
    assert_eq!(ever(&bench.open()), expected, "exchange {stays} was still open");
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    End(usize, u64),
    Fold,
    Refuse(bool),
    Die,
}
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Begin),
        3 => (0usize..8, 1u64..100).prop_map(|(i, n)| Step::End(i, n)),
        1 => Just(Step::Fold),
        1 => any::<bool>().prop_map(Step::Refuse),
        1 => Just(Step::Die),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn r58_sums_are_right_after_any_death(steps in steps()) {
        let bench = Bench::new();
        let mut ledger = bench.open();
        let (mut open, mut begun, mut ended, mut lost) = (Vec::new(), 0u64, 0u64, 0u64);
        for step in steps.into_iter().chain([Step::Die]) {
            match step {
                Step::Begin => {
                    open.push(ledger.begin(&key("m"), 0));
                    begun += 1;
                }
                Step::End(at, tokens) if !open.is_empty() => {
                    let id = open.remove(at % open.len());
                    prop_assert!(ledger.end(id, &key("m"), &told(tokens, 0)).is_some());
                    ended += tokens;
                }
                Step::End(..) => {}
                Step::Fold => drop(ledger.fold()),
                Step::Refuse(refuse) => bench.state.fails.store(refuse, std::sync::atomic::Ordering::SeqCst),
                Step::Die => {
                    drop(ledger);
                    lost += open.drain(..).count() as u64;
                    ledger = bench.open();
                    let sums = ever(&ledger);
                    prop_assert_eq!((sums.exchanges, sums.partial, sums.input), (begun, lost, ended));
                }
            }
        }
    }
}
