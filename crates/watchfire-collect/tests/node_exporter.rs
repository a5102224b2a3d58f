//! Our host collector beside the real node_exporter on this machine: the same names with the same label names, and the same
//! values where they do not change. Not a test of values that move; those are read from a fixture elsewhere.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use watchfire_collect::host::{HostCollector, Settings};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;

const PROGRAM: &str = "/usr/bin/prometheus-node-exporter";
/// What we do not offer, by start of the name; the reasons are in `docs/reference/host-metrics.md`.
const LEFT_OUT: [&str; 7] = ["go_", "process_", "promhttp_", "node_exporter_build_info", "node_textfile_", "node_time_zone_offset_seconds", "node_systemd_"];
/// Collectors whose `node_scrape_collector_*` series only the one side has.
const SCRAPE: &str = "node_scrape_collector_";

struct Exporter(Child);
impl Drop for Exporter {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Starts the program on a free port and returns what it answers, or `None` when it is absent.
fn exposition(arguments: &[&str]) -> Option<String> {
    if !std::path::Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared");
        return None;
    }
    let port = watchfire_testkit::ports::free_port();
    let child = Command::new(PROGRAM)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut exporter = Exporter(child);
    // The program says nowhere that it is ready: ask until it answers or has ended.
    let (waker, wait) = std::sync::mpsc::channel::<()>();
    for _ in 0..200 {
        if let Some(body) = get(port) {
            drop(waker);
            return Some(body);
        }
        assert!(exporter.0.try_wait().unwrap().is_none(), "node_exporter has ended");
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
    }
    panic!("node_exporter does not answer");
}

type Values = BTreeMap<String, BTreeMap<String, f64>>;

/// Name → label names → one value; and name → type. Labels with empty values do not exist.
fn parse(text: &str) -> (BTreeSet<String>, BTreeMap<String, String>, Values) {
    let (mut shapes, mut types, mut values) = (BTreeSet::new(), BTreeMap::new(), Values::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.replace("untyped", "unknown"));
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let mut names = Vec::new();
        let mut rest = labels;
        while let Some((label, tail)) = rest.split_once("=\"") {
            let end = tail.find('"').unwrap();
            if end > 0 {
                names.push(label.trim_start_matches(',').to_owned());
            }
            rest = tail.split_at(end + 1).1;
        }
        names.sort();
        shapes.insert(format!("{name}{{{}}}", names.join(",")));
        values.entry(name.to_owned()).or_default().insert(labels.trim_end_matches('}').to_owned(), value.parse().unwrap());
    }
    (shapes, types, values)
}

#[test]
fn names_labels_and_types_are_node_exporters() {
    let Some(text) = exposition(&["--collector.processes", "--collector.netdev.device-exclude=^$"]) else { return };
    let mut settings = Settings::new("here");
    settings.enabled.push("processes".to_owned());
    let host = HostCollector::new(settings, SystemClock::shared(), &Meter::new()).unwrap();
    let families = host.families();
    let (theirs, types, values) = parse(&text);

    let mut ours = BTreeSet::new();
    for family in &families {
        for (labels, _) in &family.points {
            let names: Vec<&str> = labels.iter().map(|(n, _)| n).filter(|n| *n != METRIC_NAME).collect();
            ours.insert(format!("{}{{{}}}", labels.metric_name(), names.join(",")));
        }
        if let Some(kind) = types.get(&*family.name) {
            assert_eq!(family.kind.name(), kind, "type of {}", family.name);
        }
    }
    let claimed = |shape: &&String| !LEFT_OUT.iter().any(|start| shape.starts_with(start)) && !shape.starts_with(SCRAPE);
    let missing: Vec<_> = theirs.iter().filter(claimed).filter(|s| !ours.contains(*s)).collect();
    let extra: Vec<_> = ours.iter().filter(claimed).filter(|s| !theirs.contains(*s)).collect();
    assert!(missing.is_empty(), "node_exporter has, we do not: {missing:#?}");
    assert!(extra.is_empty(), "we have, node_exporter does not: {extra:#?}");
    assert!(ours.len() > 100, "only {} shapes were compared", ours.len());

    let value = |name: &str| families.iter().find(|f| &*f.name == name).and_then(|f| f.points.first()).map(|(_, v)| *v).unwrap();
    for name in ["node_memory_MemTotal_bytes", "node_memory_SwapTotal_bytes", "node_boot_time_seconds", "node_filefd_maximum", "node_os_version"] {
        let theirs = *values[name].values().next().unwrap();
        assert!((value(name) - theirs).abs() <= 1.0, "{name}: ours {}, theirs {theirs}", value(name));
    }
    let size = families.iter().find(|f| &*f.name == "node_filesystem_size_bytes").unwrap();
    for (labels, ours) in &size.points {
        let mount = format!("mountpoint=\"{}\"", labels.get("mountpoint").unwrap());
        if let Some((_, theirs)) = values["node_filesystem_size_bytes"].iter().find(|(l, _)| l.contains(&mount)) {
            assert_eq!(ours, theirs, "{labels}");
        }
    }
    close(&families, &values);
}

#[test]
fn files_with_metrics_are_taken_as_node_exporter_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.prom", "# HELP jobs Jobs\\nthat ran.\n# TYPE jobs counter\njobs{a=\"b\",c=\"\"} 1\n\n# a comment\nbare 2\nnode_apt_upgrades{arch=\"amd64\"} 3\n"),
        (
            "b.prom",
            "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n",
        ),
        ("c.prom", "x_bucket{le=\"0.5\"} 1\nx_sum 3\nx_count 2\n# TYPE total counter\ntotal_total 5\n# TYPE g gauge\ng -Inf\n"),
        ("bad.prom", "lost 1\nbad{ 1\n"),
        ("crlf.prom", "lost 2\r\n"),
        ("empty.prom", ""),
        ("notes.txt", "lost 3\n"),
        ("timed.prom", "lost 4 1700000000000\n"),
        ("unfinished.prom", "lost 5\nlost_too 6"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let directory = format!("--collector.textfile.directory={}", dir.path().display());
    let Some(theirs) = exposition(&["--collector.disable-defaults", "--collector.textfile", &directory]) else { return };
    let mut settings = Settings::new("here");
    settings.textfile_directories.push(dir.path().to_owned());
    let host = HostCollector::new(settings, SystemClock::shared(), &Meter::new()).unwrap();
    let ours = render(Format::PrometheusText, &host.families_of(&["textfile".to_owned()]));
    let of_itself = ["go_", "process_", "promhttp_", "node_exporter_build_info", "node_scrape_collector_"];
    let lines = |text: &str| -> BTreeSet<String> {
        let about = |line: &str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").to_owned();
        // Labels without a value are none, and quantities are written in two ways.
        let line = |line: &str| line.replace("c=\"\"", "").replace(",}", "}");
        text.lines().filter(|l| !of_itself.iter().any(|start| about(l).starts_with(start))).map(line).collect()
    };
    let (theirs, ours) = (lines(&theirs), lines(&ours));
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&theirs).collect();
    assert!(missing.is_empty() && extra.is_empty(), "node_exporter has, we do not: {missing:#?}; we have, it does not: {extra:#?}");
    assert!(ours.contains("node_textfile_scrape_error 1") && ours.contains("jobs{a=\"b\"} 1"), "{ours:#?}");
}

/// Counters that only grow: ours were read later, so they are at least theirs.
fn close(families: &[watchfire_model::meter::Family], values: &Values) {
    for name in ["node_context_switches_total", "node_intr_total", "node_forks_total", "node_vmstat_pgfault"] {
        let ours = families.iter().find(|f| &*f.name == name).unwrap().points[0].1;
        let theirs = *values[name].values().next().unwrap();
        assert!(ours >= theirs && ours < theirs * 1.5 + 1e6, "{name}: ours {ours}, theirs {theirs}");
    }
}
