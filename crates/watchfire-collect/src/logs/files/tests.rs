//! Files that are written, rotated, emptied, compressed and replaced while they are read, by processes that die at any moment.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{Clock, ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};

use super::*;
use crate::logs::Surroundings;
use crate::logs::stages::{Blocks, Join, Stage, compile};

/// A sink that keeps entries as the store does: what comes again is not kept twice.
#[derive(Default)]
struct Kept {
    entries: Mutex<Vec<(String, i64, String)>>,
    known: Mutex<HashSet<(String, i64, String)>>,
    full: AtomicBool,
    /// Breaks after the next write.
    breaks: Mutex<Option<Arc<State>>>,
    /// How many entries are on the medium.
    synced: AtomicUsize,
}
impl Sink for Kept {
    fn write(&self, batch: watchfire_model::batch::Batch) -> Result<Written, WriteError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(WriteError::Busy("on purpose".into()));
        }
        for stream in batch.logs {
            for entry in stream.entries {
                let entry = (stream.labels.to_string(), entry.time.0, entry.line.to_string());
                if self.known.lock().unwrap().insert(entry.clone()) {
                    self.entries.lock().unwrap().push(entry);
                }
            }
        }
        if let Some(state) = self.breaks.lock().unwrap().take() {
            state.broken.store(true, Ordering::SeqCst);
        }
        Ok(Written::default())
    }
    fn sync(&self) -> Result<(), WriteError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(WriteError::Failed("on purpose".into()));
        }
        self.synced.store(self.entries.lock().unwrap().len(), Ordering::SeqCst);
        Ok(())
    }
}
impl Kept {
    /// What is not on the medium is gone.
    fn cut_power(&self) {
        let mut entries = self.entries.lock().unwrap();
        let mut known = self.known.lock().unwrap();
        entries.drain(self.synced.load(Ordering::SeqCst)..).for_each(|entry| assert!(known.remove(&entry)));
    }
}

#[derive(Default)]
struct State {
    entries: Mutex<BTreeMap<(Table, String), Vec<u8>>>,
    broken: AtomicBool,
    commits: AtomicUsize,
}
impl StateStore for State {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.entries.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let entries = self.entries.lock().unwrap();
        Ok(entries.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StateError { doing: "commit", reason: "on purpose".into() });
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let mut entries = self.entries.lock().unwrap();
        for change in changes {
            match change {
                Change::Put(table, key, value) => drop(entries.insert((*table, key.clone()), value.clone())),
                Change::Delete(table, key) => drop(entries.remove(&(*table, key.clone()))),
            }
        }
        Ok(())
    }
}

struct World {
    dir: tempfile::TempDir,
    sink: Arc<Kept>,
    state: Arc<State>,
    clock: Arc<ManualClock>,
    meter: Meter,
    pattern: &'static str,
    name: &'static str,
    stages: Vec<Stage>,
    foreign: BTreeMap<PathBuf, u64>,
}
impl World {
    fn new(pattern: &'static str) -> World {
        World {
            dir: tempfile::tempdir().unwrap(),
            sink: Arc::default(),
            state: Arc::default(),
            clock: ManualClock::new(Timestamp(1_700_000_000_000)),
            meter: Meter::new(),
            pattern,
            name: "promtail/t",
            stages: Vec::new(),
            foreign: BTreeMap::new(),
        }
    }
    /// A process that has just started.
    fn start(&self) -> Files {
        let group = Group { paths: vec![Glob::new(&self.path(self.pattern).display().to_string()).unwrap()], ..Group::default() };
        let source = Source {
            name: self.name.into(),
            groups: vec![group],
            stages: self.stages.clone(),
            encoding: Encoding::Utf8,
            line_bytes_max: 2_000,
            skip_empty: false,
            path_label: Some("filename".into()),
            foreign_positions: self.foreign.clone(),
        };
        Files::new(Surroundings::new(self.sink.clone(), self.state.clone(), self.clock.clone(), &self.meter), vec![source])
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap().write_all(text.as_ref()).unwrap();
    }
    fn gzip(&self, from: &str, to: &str) {
        let mut encoder = flate2::write::GzEncoder::new(fs::File::create(self.path(to)).unwrap(), flate2::Compression::fast());
        encoder.write_all(&fs::read(self.path(from)).unwrap()).unwrap();
        encoder.finish().unwrap();
    }
    fn rounds(&self, files: &mut Files, count: usize) {
        for _ in 0..count {
            let wait = files.round();
            self.clock.advance(wait.max(Duration::from_millis(250)));
        }
    }
    fn lines(&self) -> Vec<String> {
        self.sink.entries.lock().unwrap().iter().map(|e| e.2.clone()).collect()
    }
    /// Rounds until files that are gone from their names are let go.
    fn linger(&self, files: &mut Files) {
        self.rounds(files, 5);
        self.clock.advance(LINGER);
        self.rounds(files, 5);
    }
    /// A first line that is long enough to tell a file.
    fn long(&self, what: &str) -> String {
        format!("{what} {}\n", "x".repeat(300))
    }
    fn short(&self) -> Vec<String> {
        self.lines().iter().map(|l| l.replace(&"x".repeat(300), "…")).collect()
    }
    /// Whether a position of the file was kept after its begin was read.
    fn is_read_since(&self, time_ms: i64) -> bool {
        use std::os::unix::fs::MetadataExt;
        let about = fs::metadata(self.path("a.log")).unwrap();
        let key = format!("promtail/t\n{:x}:{:x}", about.dev(), about.ino());
        let kept = self.state.get(position::LOG_FILES, &key).unwrap();
        let value: serde_json::Value = kept.map_or(serde_json::Value::Null, |v| serde_json::from_slice(&v).unwrap());
        value["kept"].as_i64().is_some_and(|kept| kept > time_ms) && value["offset"].as_u64().is_some_and(|offset| offset > 400)
    }
    fn count(&self, name: &str) -> f64 {
        self.meter.gather().iter().filter(|f| &*f.name == name).flat_map(|f| &f.points).map(|p| p.1).sum()
    }
}

#[test]
fn lines_are_read_as_they_come_and_positions_survive() {
    let w = World::new("*.log");
    w.append("a.log", "one\ntwo\nthr");
    let mut files = w.start();
    w.rounds(&mut files, 3);
    assert_eq!(w.lines(), ["one", "two"]);
    assert_eq!(w.sink.entries.lock().unwrap()[0].0, format!("{{filename=\"{}\"}}", w.path("a.log").display()));
    w.append("a.log", "ee\nfour\n");
    w.rounds(&mut files, 8);
    drop(files);
    w.append("a.log", "five\n");
    w.append("b.log", b"six\r\n\xff\n");
    w.rounds(&mut w.start(), 3);
    // Which of two files comes first is not said.
    let mut found = w.lines();
    found.sort();
    assert_eq!(found, ["five", "four", "one", "six", "three", "two", "\u{fffd}"]);
    assert_eq!((w.count("watchfire_logs_lines_read_total"), w.count("watchfire_logs_lines_replaced_total")), (7.0, 1.0));
}

#[test]
fn equal_lines_are_all_kept_and_in_order() {
    let w = World::new("*.log");
    w.append("a.log", "same\n".repeat(500));
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.lines().len(), 500);
    let times: Vec<i64> = w.sink.entries.lock().unwrap().iter().map(|e| e.1).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn lines_that_are_too_long_lose_their_end() {
    let w = World::new("*.log");
    w.append("a.log", format!("{}\nb\n", "é".repeat(1_500)));
    w.append("b.log", "z".repeat(5_000));
    let mut files = w.start();
    w.rounds(&mut files, 3);
    let mut lengths: Vec<usize> = w.lines().iter().map(String::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 2_000, 2_000]);
    w.rounds(&mut files, 8);
    drop(files);
    w.append("b.log", "zz\nc\n");
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.lines()[3..], ["c"]);
    assert_eq!(w.count("watchfire_logs_lines_shortened_total"), 2.0);
}

#[test]
fn renamed_files_are_read_to_their_end() {
    for pattern in ["*.log", "*.log*"] {
        let w = World::new(pattern);
        w.append("a.log", w.long("one"));
        let mut files = w.start();
        w.rounds(&mut files, 2);
        fs::rename(w.path("a.log"), w.path("a.log.1")).unwrap();
        w.append("a.log.1", "late\nno end");
        w.append("a.log", "new\n");
        w.linger(&mut files);
        let mut found = w.short();
        found.sort();
        let expected: &[&str] = if pattern == "*.log" { &["late", "new", "no end", "one …"] } else { &["late", "new", "one …"] };
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn what_was_rotated_while_nobody_read_is_read_afterwards() {
    for compressed in [false, true] {
        let w = World::new("*.log");
        w.append("a.log", w.long("one"));
        w.rounds(&mut w.start(), 2);
        w.append("a.log", "two\n");
        fs::rename(w.path("a.log"), w.path("a.log.1")).unwrap();
        if compressed {
            w.gzip("a.log.1", "a.log.2.gz");
            fs::remove_file(w.path("a.log.1")).unwrap();
        }
        w.append("a.log", "three\n");
        let mut files = w.start();
        w.linger(&mut files);
        w.linger(&mut w.start());
        let mut found = w.short();
        found.sort();
        assert_eq!(found, ["one …", "three", "two"], "compressed: {compressed}");
    }
}

#[test]
fn copies_of_emptied_files_are_read_once() {
    for pattern in ["*.log", "*.log*"] {
        let w = World::new(pattern);
        w.append("a.log", w.long("one"));
        let mut files = w.start();
        w.rounds(&mut files, 2);
        w.append("a.log", "two\n");
        fs::copy(w.path("a.log"), w.path("a.log.1")).unwrap();
        fs::write(w.path("a.log"), "").unwrap();
        w.append("a.log", "three\n");
        w.linger(&mut files);
        // The copy is there for a while before the file is emptied.
        w.append("a.log", w.long("four"));
        w.rounds(&mut files, 3);
        fs::copy(w.path("a.log"), w.path("a.log.2")).unwrap();
        w.rounds(&mut files, 20);
        w.append("a.log", "five\n");
        fs::write(w.path("a.log"), "").unwrap();
        w.rounds(&mut files, 3);
        w.append("a.log", w.long("six") + &w.long("seven") + &w.long("eight"));
        w.linger(&mut files);
        let mut found = w.short();
        found.sort();
        // "five" was written between the copy and the end of the file: nobody has it.
        assert_eq!(found, ["eight …", "four …", "one …", "seven …", "six …", "three", "two"], "{pattern}");
        assert_eq!(w.count("watchfire_logs_files_truncated_total"), 2.0);
    }
}

#[test]
fn compressed_history_is_read_once() {
    let w = World::new("*");
    w.append("plain", "a\nb\nc");
    w.gzip("plain", "old.gz");
    fs::remove_file(w.path("plain")).unwrap();
    w.append("other.xz", "never");
    let mut files = w.start();
    w.rounds(&mut files, 20);
    drop(files);
    w.rounds(&mut w.start(), 20);
    assert_eq!(w.lines(), ["a", "b", "c"]);
    // Half a file is not there yet.
    let whole = fs::read(w.path("old.gz")).unwrap();
    fs::write(w.path("new.gz"), &whole[..whole.len() - 6]).unwrap();
    let mut files = w.start();
    w.rounds(&mut files, 20);
    assert_eq!(w.lines().len(), 3);
    fs::write(w.path("new.gz"), &whole).unwrap();
    w.linger(&mut files);
    assert_eq!(w.lines().len(), 6);
}

#[test]
fn another_file_under_the_same_inode_is_read_from_its_begin() {
    let w = World::new("*.log");
    w.append("a.log", w.long("one"));
    w.rounds(&mut w.start(), 2);
    // The same inode with other and longer content, as a file system gives an inode out again.
    fs::write(w.path("a.log"), w.long("two") + &w.long("three")).unwrap();
    w.rounds(&mut w.start(), 5);
    assert_eq!(w.short(), ["one …", "two …", "three …"]);
}

#[test]
fn pis_24_positions_of_another_program_are_honoured() {
    let mut w = World::new("*.log");
    w.append("a.log", "one\ntwo\n");
    w.foreign.insert(w.path("a.log"), 4);
    w.rounds(&mut w.start(), 3);
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.lines(), ["two"]);
}

#[test]
fn a_source_under_another_name_goes_on_where_it_was() {
    let mut w = World::new("*.log");
    w.append("a.log", "one\n");
    w.rounds(&mut w.start(), 3);
    w.name = "promtail/another";
    w.append("a.log", "two\n");
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.lines(), ["one", "two"]);
    let names = |w: &World| -> Vec<String> {
        w.state.scan(position::LOG_FILES, "").unwrap().iter().map(|(key, _)| key.split('\n').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&w), ["promtail/another"]);
    // Another collector's configuration has its own positions, and those of nobody go after a while.
    w.name = "filebeat/a";
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.lines(), ["one", "two", "one", "two"]);
    w.clock.advance(Duration::from_secs(31 * 86_400));
    w.rounds(&mut w.start(), 3);
    assert_eq!(names(&w), ["filebeat/a"]);
    assert_eq!(w.lines().len(), 4);
}

#[test]
fn a_power_cut_takes_no_line_whose_position_is_kept() {
    let w = World::new("*.log");
    w.append("a.log", "one\n");
    w.rounds(&mut w.start(), 2);
    w.sink.cut_power();
    assert!(w.lines().is_empty());
    let mut files = w.start();
    w.rounds(&mut files, 10);
    assert_eq!((w.lines(), w.sink.synced.load(Ordering::SeqCst)), (vec!["one".to_owned()], 1));
    w.append("a.log", "two\n");
    w.rounds(&mut files, 2);
    w.sink.cut_power();
    w.rounds(&mut w.start(), 10);
    assert_eq!(w.lines(), ["one", "two"]);
    // In good order, nothing has to be read again.
    let mut files = w.start();
    w.append("a.log", "three\n");
    w.rounds(&mut files, 2);
    files.rest();
    let before = w.count("watchfire_logs_lines_read_total");
    w.rounds(&mut w.start(), 3);
    assert_eq!(w.count("watchfire_logs_lines_read_total"), before);
}

#[test]
fn positions_are_kept_once_a_second_at_most() {
    let w = World::new("*.log");
    w.append("a.log", "one\n");
    let mut files = w.start();
    w.rounds(&mut files, 10);
    let (began, before) = (w.clock.monotonic(), w.state.commits.load(Ordering::SeqCst));
    for n in 0..200 {
        w.append("a.log", format!("{n}\n"));
        w.rounds(&mut files, 1);
    }
    let (took, commits) = ((w.clock.monotonic() - began).as_secs() as usize, w.state.commits.load(Ordering::SeqCst) - before);
    assert!(commits <= took + 1, "{commits} in {took} s");
    // Without lines there is nothing to keep.
    w.rounds(&mut files, 20);
    let before = w.state.commits.load(Ordering::SeqCst);
    w.rounds(&mut files, 20);
    assert_eq!(w.state.commits.load(Ordering::SeqCst), before);
}

#[test]
fn a_sink_that_takes_nothing_holds_reading_up() {
    let w = World::new("*.log");
    w.append("a.log", "one\n");
    let mut files = w.start();
    w.sink.full.store(true, Ordering::SeqCst);
    w.rounds(&mut files, 3);
    w.append("a.log", "two\n".repeat(10));
    w.rounds(&mut files, 3);
    assert_eq!(w.count("watchfire_logs_lines_read_total"), 1.0);
    w.sink.full.store(false, Ordering::SeqCst);
    w.rounds(&mut files, 5);
    assert_eq!(w.lines().len(), 11);
}

#[test]
fn blocks_survive_a_kill_whole() {
    let mut w = World::new("*.log");
    w.stages = vec![Stage::Blocks(Arc::new(Blocks {
        pattern: compile("^A").unwrap(),
        negate: false,
        join: Join::Begins,
        max_wait: Duration::from_secs(3),
        max_lines: 128,
        cut: true,
        newline: true,
        flush_pattern: None,
    }))];
    w.append("a.log", "A1\n x\nA2\n");
    let mut files = w.start();
    w.rounds(&mut files, 1);
    assert_eq!(w.lines(), ["A1\n x"]);
    drop(files);
    w.append("a.log", " y\n");
    w.rounds(&mut w.start(), 20);
    assert_eq!(w.lines(), ["A1\n x", "A2\n y"]);
}

#[test]
fn very_short_lines_come_in_small_portions() {
    let w = World::new("*.log");
    w.append("a.log", "\n".repeat(200_000));
    let mut files = w.start();
    w.rounds(&mut files, 1);
    assert!((1..=CHUNK_LINES).contains(&w.lines().len()), "{}", w.lines().len());
    w.rounds(&mut files, 60);
    assert_eq!(w.lines().len(), 200_000);
}

#[test]
fn compressed_files_are_open_some_at_a_time() {
    let w = World::new("*.gz");
    let text: String = (0..30_000).map(|n| format!("line {n} of a longer file\n")).collect();
    for n in 0..COMPRESSED_MAX + 3 {
        w.append("plain", format!("file {n}\n{}", if n == 0 { text.as_str() } else { "" }));
        w.gzip("plain", &format!("{n}.gz"));
        fs::remove_file(w.path("plain")).unwrap();
    }
    let mut files = w.start();
    w.rounds(&mut files, 3);
    assert!(w.count("watchfire_logs_files_open") <= COMPRESSED_MAX as f64);
    w.rounds(&mut files, 100);
    assert_eq!(w.lines().len(), 30_000 + COMPRESSED_MAX + 3);
}

#[test]
fn a_line_whose_rest_never_comes_does_not_hold_the_position() {
    let mut w = World::new("*.log");
    let text = "scrape_configs: [{job_name: j, static_configs: [{labels: {__path__: /x}}], pipeline_stages: [{cri: {}}]}]";
    w.stages = crate::logs::promtail::parse("promtail.yml", text, &Default::default()).config.unwrap().files.remove(0).stages;
    let begin = "2024-01-01T00:00:00Z stdout P half ";
    w.append("a.log", format!("{begin}\n"));
    let mut files = w.start();
    for n in 0..100 {
        w.append("a.log", format!("2024-01-01T00:00:01Z stderr F line {n}\n"));
        w.rounds(&mut files, 1);
    }
    w.rounds(&mut files, 10);
    assert!(w.lines().contains(&"half ".to_owned()), "{:?}", w.lines());
    let read = w.count("watchfire_logs_lines_read_total");
    w.rounds(&mut w.start(), 5);
    assert_eq!((w.count("watchfire_logs_lines_read_total"), w.lines().len()), (read, 101));
}

#[test]
fn a_file_that_only_begins_like_another_is_read_by_itself() {
    for both_grow in [true, false] {
        let w = World::new("*.log");
        w.append("a.log", w.long("begin"));
        let mut files = w.start();
        w.rounds(&mut files, 3);
        fs::copy(w.path("a.log"), w.path("b.log")).unwrap();
        w.rounds(&mut files, 20);
        if both_grow {
            w.append("a.log", "only in a\nlater in a\n");
        }
        w.append("b.log", "only in b\nlater in b\n");
        w.rounds(&mut files, 20);
        w.append("b.log", "end of b\n");
        w.rounds(&mut files, 20);
        let of_b = format!("{{filename=\"{}\"}}", w.path("b.log").display());
        let found: Vec<String> = w.sink.entries.lock().unwrap().iter().filter(|e| e.0 == of_b).map(|e| e.2.clone()).collect();
        assert_eq!(found, ["only in b", "later in b", "end of b"], "both grow: {both_grow}");
        assert_eq!(w.lines().len(), if both_grow { 6 } else { 4 });
    }
}

#[test]
fn a_copy_under_the_inode_of_a_file_that_is_gone_is_read_once() {
    let w = World::new("a.log*");
    w.append("a.log", w.long("one"));
    w.append("a.log.1", w.long("other"));
    w.rounds(&mut w.start(), 3);
    // As if the file system gave the inode out again.
    fs::copy(w.path("a.log"), w.path("a.log.1")).unwrap();
    fs::write(w.path("a.log"), "").unwrap();
    w.append("a.log", "two\n");
    w.rounds(&mut w.start(), 20);
    let mut found = w.short();
    found.sort();
    assert_eq!(found, ["one …", "other …", "two"]);
}

/// A file was renamed, read and compressed; then another one was copied under its inode while nobody looked.
#[test]
fn what_had_the_inode_of_a_copy_is_not_read_again_where_it_went() {
    let w = World::new("a.log*");
    w.append("a.log", w.long("one"));
    let mut files = w.start();
    w.rounds(&mut files, 3);
    fs::rename(w.path("a.log"), w.path("a.log.1")).unwrap();
    w.append("a.log", w.long("two"));
    w.rounds(&mut files, 20);
    drop(files);
    w.gzip("a.log.1", "a.log.1.gz");
    fs::rename(w.path("a.log.1"), w.path("a.log.2")).unwrap();
    fs::copy(w.path("a.log"), w.path("a.log.2")).unwrap();
    fs::write(w.path("a.log"), "").unwrap();
    w.append("a.log", w.long("three"));
    w.linger(&mut w.start());
    let mut found = w.short();
    found.sort();
    assert_eq!(found, ["one …", "three …", "two …"]);
}

#[test]
fn a_file_written_anew_with_the_same_first_bytes_is_read_from_its_begin() {
    for while_read in [true, false] {
        let w = World::new("*.log");
        let header = format!("{}\n", "h".repeat(1_100));
        w.append("a.log", header.clone() + &w.long("one") + "end of one\n");
        let mut files = w.start();
        w.rounds(&mut files, 3);
        fs::write(w.path("a.log"), header + &w.long("two") + "end of two\n" + &w.long("three")).unwrap();
        if !while_read {
            files = w.start();
        }
        w.rounds(&mut files, 5);
        assert_eq!(
            w.short().iter().filter(|line| !line.starts_with('h')).collect::<Vec<_>>(),
            ["one …", "end of one", "two …", "end of two", "three …"],
            "{while_read}"
        );
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(u8),
    Half,
    Rotate,
    CopyTruncate,
    Compress,
    Round(u8),
    Kill,
    /// The process dies after the sink took lines and before their positions are kept.
    KillAfterWrite,
    /// What the sink took and did not put on the medium is gone.
    CutPower,
    Refuse(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u8..30).prop_map(Op::Append),
        1 => Just(Op::Half),
        1 => Just(Op::Rotate),
        1 => Just(Op::CopyTruncate),
        1 => Just(Op::Compress),
        4 => (1u8..4).prop_map(Op::Round),
        1 => Just(Op::Kill),
        1 => Just(Op::KillAfterWrite),
        1 => Just(Op::CutPower),
        1 => any::<bool>().prop_map(Op::Refuse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens to files and processes, every line arrives once, equal lines too.
    #[test]
    fn no_line_is_lost_and_none_is_doubled(ops in proptest::collection::vec(op(), 1..40), with_copies in any::<bool>()) {
        let w = World::new(if with_copies { "a.log*" } else { "a.log" });
        let mut files = w.start();
        let mut written = Vec::new();
        let (mut number, mut generation) = (0u64, 0);
        let mut rotated_at = w.clock.now().millis();
        let begin = |n: u64| format!("begin {n} {}", "xy".repeat(200 + n as usize % 50));
        let append = |text: &str| w.append("a.log", text);
        append(&format!("{}\n", begin(0)));
        written.push(begin(0));
        for op in ops {
            match op {
                Op::Append(count) => {
                    for i in 0..count {
                        let line = if i % 3 == 0 { "same".to_owned() } else { number += 1; format!("line {number}") };
                        append(&format!("{line}\n"));
                        written.push(line);
                    }
                }
                Op::Half => {
                    number += 1;
                    append(&format!("half {number} "));
                    w.rounds(&mut files, 1);
                    append("end\n");
                    written.push(format!("half {number} end"));
                }
                // What was never looked at cannot be told from another program's file.
                Op::Rotate | Op::CopyTruncate | Op::Compress if !w.is_read_since(rotated_at) => {}
                Op::Rotate | Op::CopyTruncate => {
                    generation += 1;
                    let old = format!("a.log.{generation}");
                    if matches!(op, Op::Rotate) {
                        fs::rename(w.path("a.log"), w.path(&old)).unwrap();
                    } else {
                        fs::copy(w.path("a.log"), w.path(&old)).unwrap();
                        fs::write(w.path("a.log"), "").unwrap();
                    }
                    number += 1;
                    append(&format!("{}\n", begin(number)));
                    written.push(begin(number));
                    rotated_at = w.clock.now().millis();
                }
                Op::Compress => {
                    let old = format!("a.log.{generation}");
                    if w.path(&old).exists() {
                        w.linger(&mut files);
                        w.gzip(&old, &format!("{old}.gz"));
                        fs::remove_file(w.path(&old)).unwrap();
                    }
                }
                Op::Round(count) => {
                    w.rounds(&mut files, usize::from(count));
                }
                Op::Kill => files = w.start(),
                Op::CutPower => {
                    w.sink.cut_power();
                    files = w.start();
                }
                Op::KillAfterWrite => {
                    *w.sink.breaks.lock().unwrap() = Some(w.state.clone());
                    w.rounds(&mut files, 2);
                    files = w.start();
                    *w.sink.breaks.lock().unwrap() = None;
                    w.state.broken.store(false, Ordering::SeqCst);
                }
                Op::Refuse(refuse) => w.sink.full.store(refuse, Ordering::SeqCst),
            }
        }
        w.sink.full.store(false, Ordering::SeqCst);
        w.linger(&mut files);
        w.linger(&mut files);
        let (mut found, mut expected) = (w.lines(), written);
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "{:?}", w.sink.entries.lock().unwrap());
    }
}
