//! Processes made of files: which belong where, what is counted when they come and go, and cameras.

use std::path::Path;

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::document::{Context, Reader, Severity, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;

const BOOT: i64 = 1_767_000_000;

fn settings(text: &str) -> (Settings, Vec<String>) {
    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", text).unwrap();
    let settings = Settings::read(Reader::new(&context, &node, "processes"));
    let errors = context.into_findings().into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.message).collect();
    (settings, errors)
}

/// A process as files; counts grow with `n`.
fn write(root: &Path, pid: u32, parent: u32, ticks: u64, words: &[&str], n: u64) {
    let dir = root.join(format!("proc/{pid}"));
    std::fs::create_dir_all(dir.join("fd")).unwrap();
    let comm = words[0].rsplit('/').next().unwrap();
    let stat = format!("{pid} ({comm}) S {parent} 1 1 0 -1 4 {} 0 {} 0 {} {} 0 0 20 0 3 0 {ticks} 1000000 5 0", 10 * n, n, 100 * n, 50 * n);
    std::fs::write(dir.join("stat"), stat).unwrap();
    std::fs::write(dir.join("cmdline"), words.join("\0") + "\0").unwrap();
    std::fs::write(dir.join("cgroup"), "0::/system.slice/recorder.service\n").unwrap();
    let status = format!("Name:\t{comm}\nUid:\t1000\t1000\nVmSwap:\t 8 kB\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{n}\n", 3 * n);
    std::fs::write(dir.join("status"), status).unwrap();
    std::fs::write(dir.join("io"), format!("rchar: 9\nread_bytes: {}\nwrite_bytes: {}\ncancelled_write_bytes: 7\n", 4096 * n, 512 * n)).unwrap();
    std::fs::write(dir.join("limits"), "Limit  Soft  Hard  Units\nMax open files            8                    16              files\n").unwrap();
    std::fs::write(dir.join("smaps_rollup"), "Rss: 9 kB\nPss:                  6 kB\nSwapPss:              2 kB\n").unwrap();
    for fd in 0..2 {
        std::fs::write(dir.join(format!("fd/{fd}")), "").unwrap();
    }
}

struct House {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    meter: Meter,
    collector: ProcessCollector,
}

fn house(text: &str) -> House {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("proc")).unwrap();
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("proc/stat"), format!("cpu 1\nbtime {BOOT}\n")).unwrap();
    std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nvideo:x:1000:1000::/:/bin/sh\n").unwrap();
    let clock = ManualClock::new(Timestamp((BOOT + 1_000) * 1_000));
    let meter = Meter::new();
    let (settings, errors) = settings(text);
    assert!(errors.is_empty(), "{errors:?}");
    let collector = ProcessCollector::new(settings, dir.path(), "node-1", clock.clone(), &meter);
    House { dir, clock, meter, collector }
}

impl House {
    fn write(&self, pid: u32, parent: u32, ticks: u64, words: &[&str], n: u64) {
        write(self.dir.path(), pid, parent, ticks, words, n);
    }
    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.dir.path().join(format!("proc/{pid}"))).unwrap();
    }
    fn poll(&self) -> Vec<String> {
        self.clock.advance(Duration::from_secs(10));
        lines(&self.collector.poll())
    }
    fn figure(&self, name: &str) -> f64 {
        self.meter.gather().iter().find(|f| &*f.name == name).map_or(0.0, |f| f.points.iter().map(|(_, v)| v).sum())
    }
}

fn lines(batch: &Batch) -> Vec<String> {
    let line = |s: &watchfire_model::batch::SeriesSamples| {
        assert_eq!((s.labels.get("job"), s.labels.get("instance")), (Some("processes"), Some("node-1")), "{}", s.labels);
        let value = s.samples.as_slice()[0].value;
        let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
        format!("{} {value}", s.labels.without("job").without("instance"))
    };
    batch.series.iter().map(line).collect()
}

fn check(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|l| l == line), "{line} is not among {lines:#?}");
    }
}

const FFMPEG: &str = r#"
process_names:
- name: "ffmpeg:{{.Matches.camera}}"
  comm: [ffmpeg]
  cmdline: ['rtsp://[^/ ]+/(?P<camera>\w+)']
  labels: {owner: "{{.Username}}"}
  camera_id: "{{.Matches.camera}}"
- exe: [/usr/bin/python3]
- {name: "{{.Comm}}", cgroup: 'recorder\.service', comm: [mediamtx]}
"#;

#[test]
fn groups_have_process_exporters_names() {
    let house = house(FFMPEG);
    house.write(10, 1, 5_000, &["ffmpeg", "-i", "rtsp://cam/front"], 2);
    house.write(11, 1, 6_000, &["/usr/bin/python3", "x.py"], 2);
    house.write(12, 1, 7_000, &["mediamtx"], 2);
    house.write(13, 1, 8_000, &["bash"], 2);
    house.poll();
    house.write(10, 1, 5_000, &["ffmpeg", "-i", "rtsp://cam/front"], 3);
    let found = house.poll();
    let page = rustix::param::page_size();
    let labels = r#"groupname="ffmpeg:front", owner="video""#;
    let front = |name: &str, value: &str| format!("namedprocess_namegroup_{name}{{{labels}}} {value}");
    let resident = format!(r#"namedprocess_namegroup_memory_bytes{{groupname="ffmpeg:front", memtype="resident", owner="video"}} {}"#, 5 * page);
    let expected = [
        front("num_procs", "1"),
        front("num_threads", "3"),
        front("open_filedesc", "2"),
        front("worst_fd_ratio", "0.25"),
        front("oldest_start_time_seconds", "1767000050"),
        // What ran before we looked for the first time is no news.
        front("minor_page_faults_total", "10"),
        front("major_page_faults_total", "1"),
        front("read_bytes_total", "4096"),
        front("write_bytes_total", "512"),
        resident,
    ];
    check(&found, &expected.each_ref().map(String::as_str));
    check(
        &found,
        &[
            r#"namedprocess_namegroup_cpu_seconds_total{groupname="ffmpeg:front", mode="user", owner="video"} 1"#,
            r#"namedprocess_namegroup_cpu_seconds_total{groupname="ffmpeg:front", mode="system", owner="video"} 0.5"#,
            r#"namedprocess_namegroup_context_switches_total{ctxswitchtype="voluntary", groupname="ffmpeg:front", owner="video"} 3"#,
            r#"namedprocess_namegroup_context_switches_total{ctxswitchtype="nonvoluntary", groupname="ffmpeg:front", owner="video"} 1"#,
            r#"namedprocess_namegroup_memory_bytes{groupname="ffmpeg:front", memtype="virtual", owner="video"} 1000000"#,
            r#"namedprocess_namegroup_memory_bytes{groupname="ffmpeg:front", memtype="swapped", owner="video"} 8192"#,
            r#"namedprocess_namegroup_states{groupname="ffmpeg:front", owner="video", state="Sleeping"} 1"#,
            r#"namedprocess_namegroup_states{groupname="ffmpeg:front", owner="video", state="Other"} 0"#,
            r#"namedprocess_namegroup_num_procs{groupname="python3"} 1"#,
            r#"namedprocess_namegroup_num_procs{groupname="mediamtx"} 1"#,
        ],
    );
    assert!(!found.iter().any(|l| l.contains("bash") || l.contains("proportional")), "{found:#?}");
}

#[test]
fn counts_go_on_when_processes_end_and_levels_do_not() {
    let house = house("{proportional_memory: true, process_names: [{comm: sh}]}");
    house.write(10, 1, 5_000, &["sh"], 4);
    house.poll();
    house.write(10, 1, 5_000, &["sh"], 5);
    // It began after our first look, so all that it did counts.
    house.write(11, 1, 101_000, &["sh"], 2);
    let both = house.poll();
    check(&both, &[r#"namedprocess_namegroup_num_procs{groupname="sh"} 2"#, r#"namedprocess_namegroup_minor_page_faults_total{groupname="sh"} 30"#]);
    check(&both, &[r#"namedprocess_namegroup_memory_bytes{groupname="sh", memtype="proportionalResident"} 12288"#]);
    house.end(10);
    house.end(11);
    let none = house.poll();
    check(&none, &[r#"namedprocess_namegroup_num_procs{groupname="sh"} 0"#, r#"namedprocess_namegroup_minor_page_faults_total{groupname="sh"} 30"#]);
    check(&none, &[r#"namedprocess_namegroup_oldest_start_time_seconds{groupname="sh"} stale"#]);
    house.clock.advance(Duration::from_secs(3_700));
    check(&house.poll(), &[r#"namedprocess_namegroup_num_procs{groupname="sh"} stale"#]);
    // The same number again is another process.
    house.write(10, 1, 500_000, &["sh"], 1);
    check(&house.poll(), &[r#"namedprocess_namegroup_minor_page_faults_total{groupname="sh"} 10"#]);
}

#[test]
fn children_belong_to_their_ancestors_unless_a_rule_names_them() {
    let text = "process_names: [{comm: parent}, {comm: named}]";
    for (children, expected) in [(true, "3"), (false, "1")] {
        let house = house(&format!("{{children: {children}, {text}}}"));
        house.write(10, 1, 1, &["parent"], 1);
        house.write(11, 10, 2, &["child"], 1);
        house.write(12, 11, 3, &["grandchild"], 1);
        house.write(13, 11, 3, &["named"], 1);
        // Neither a chain that bites its tail nor one that leads nowhere is followed for ever.
        house.write(14, 15, 3, &["lost"], 1);
        house.write(15, 14, 3, &["lost"], 1);
        let found = house.poll();
        check(
            &found,
            &[&format!(r#"namedprocess_namegroup_num_procs{{groupname="parent"}} {expected}"#), r#"namedprocess_namegroup_num_procs{groupname="named"} 1"#],
        );
        assert!(!found.iter().any(|l| l.contains("lost")));
    }
}

#[test]
fn another_program_in_the_same_process_is_asked_about_again() {
    let house = house("process_names: [{comm: [ffmpeg]}]");
    house.write(10, 1, 1, &["sh"], 1);
    assert!(house.poll().is_empty());
    house.write(10, 1, 1, &["ffmpeg"], 1);
    check(&house.poll(), &[r#"namedprocess_namegroup_num_procs{groupname="ffmpeg"} 1"#]);
}

#[test]
fn vms_02_ffmpeg_processes_are_shown_by_camera() {
    let house = house(FFMPEG);
    let words = ["ffmpeg", "-i", "rtsp://cam/front"];
    house.write(10, 1, 5_000, &words, 2);
    // Its child is in its group, and is not the camera's process.
    house.write(20, 10, 5_000, &["helper"], 2);
    let first = house.poll();
    let memory = 5.0 * rustix::param::page_size() as f64 / 1_048_576.0;
    let restarts = |n| format!(r#"ffmpeg_process_restarts_total{{camera_id="front"}} {n}"#);
    check(
        &first,
        &[&restarts(0), r#"ffmpeg_process_uptime_seconds{camera_id="front"} 960"#, &format!(r#"ffmpeg_process_memory_mb{{camera_id="front"}} {memory}"#)],
    );
    assert!(!first.iter().any(|l| l.starts_with("ffmpeg_process_cpu_percent")), "nothing is known of the time before");
    house.write(10, 1, 5_000, &words, 4);
    // Two more hundreds of user and one hundred of system ticks in ten seconds.
    check(&house.poll(), &[&restarts(0), r#"ffmpeg_process_cpu_percent{camera_id="front"} 30"#]);
    // A second process beside the first is no restart.
    house.write(11, 1, 100_900, &words, 1);
    check(&house.poll(), &[&restarts(0)]);
    house.end(10);
    check(&house.poll(), &[&restarts(0)]);
    house.end(11);
    let down = house.poll();
    check(&down, &[&restarts(0), r#"ffmpeg_process_uptime_seconds{camera_id="front"} stale"#]);
    house.write(12, 1, 104_500, &words, 1);
    check(&house.poll(), &[&restarts(1)]);
    house.end(12);
    house.write(12, 1, 105_500, &words, 1);
    check(&house.poll(), &[&restarts(2)]);
    assert_eq!(house.figure("watchfire_processes_partly_read_total"), 0.0);
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let house = house(r#"process_names: [{name: "{{.PID}}", comm: x}]"#);
    for pid in 2..(groups::GROUPS_MAX as u32 + 5) {
        house.write(pid, 1, 1, &["x"], 1);
    }
    let found = house.poll();
    assert_eq!(found.iter().filter(|l| l.starts_with("namedprocess_namegroup_num_procs")).count(), groups::GROUPS_MAX);
    assert_eq!(house.figure("watchfire_processes_left_out_total"), 3.0);
}

#[test]
fn what_cannot_be_used_is_an_error() {
    let errors = [
        ("process_names: [{name: x}]", "needs at least one of comm, exe, cmdline and cgroup"),
        ("process_names: [{comm: x, name: '{{.Nothing}}'}]", "invalid template"),
        ("process_names: [{comm: x, name: '{{'}]", "invalid template"),
        ("process_names: [{cmdline: '('}]", "cannot compile"),
        ("process_names: [{comm: x, labels: {groupname: y}}]", "cannot be a label here"),
        ("process_names: [{comm: x, camera_id: '{{.X}}'}]", "invalid template"),
        ("process_names: [{comm: x, cmd: y}]", "cmd"),
        ("interval: 10ms", "at least 1s"),
    ];
    for (text, expected) in errors {
        let (_, errors) = settings(text);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{text}: {errors:?}");
    }
}

proptest! {
    #[test]
    fn any_stat_is_survived(text in "(\\PC|[0-9 ()]){0,200}") {
        let _stat = proc::stat(&text, 4096.0);
    }
}
