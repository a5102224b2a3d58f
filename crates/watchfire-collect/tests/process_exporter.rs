//! Our processes beside the real process-exporter on this machine: the same names with the same labels and types, and the same values where
//! they do not move. What we leave out is said in `docs/reference/processes.md`.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use watchfire_collect::process::{ProcessCollector, Settings};
use watchfire_model::batch::Batch;
use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;

const PROGRAM: &str = "/usr/bin/prometheus-process-exporter";

struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Running {
    Running(Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// `name{labels}` without spaces, and the value.
fn ours(batch: &Batch) -> BTreeMap<String, f64> {
    let series = |s: &watchfire_model::batch::SeriesSamples| {
        let name = s.labels.without("job").without("instance").to_string().replace("\", ", "\",");
        (name, s.samples.as_slice()[0].value)
    };
    batch.series.iter().map(series).collect()
}

#[test]
fn names_labels_types_and_values_are_process_exporters() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared");
        return;
    }
    // A name that only we have on this machine.
    let mark = format!("{}", std::process::id());
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(format!("wf{mark}"));
    std::os::unix::fs::symlink("/bin/cat", &program).unwrap();
    let names = format!("process_names:\n- name: 'x:{{{{.Comm}}}}:{{{{.ExeBase}}}}:{{{{.Matches.what}}}}'\n  cmdline: ['wf{mark} (?P<what>-+)$']\n");
    let file = dir.path().join("names.yml");
    std::fs::write(&file, &names).unwrap();
    let _cat = run(program.to_str().unwrap(), &["-"]);
    let port = watchfire_testkit::ports::free_port();
    let mut exporter = run(PROGRAM, &["--config.path", file.to_str().unwrap(), &format!("--web.listen-address=127.0.0.1:{port}")]);
    let (waker, wait) = std::sync::mpsc::channel::<()>();
    let text = (0..200).find_map(|_| {
        assert!(exporter.0.try_wait().unwrap().is_none(), "process-exporter has ended");
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
        get(port)
    });
    drop(waker);
    let text = text.unwrap();

    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", &format!("proportional_memory: true\n{names}")).unwrap();
    let settings = Settings::read(Reader::new(&context, &node, "processes"));
    assert!(!context.has_errors());
    let collector = ProcessCollector::new(settings, Path::new("/"), "here", SystemClock::shared(), &Meter::new());
    let batch = collector.poll();
    let ours = ours(&batch);

    let left_out = |line: &&str| line.starts_with("namedprocess_namegroup_t") || !line.starts_with("namedprocess_namegroup_");
    let mut compared = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')).filter(|line| !left_out(line)) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let theirs: f64 = value.parse().unwrap();
        let value = ours.get(series).unwrap_or_else(|| panic!("process-exporter has {series}, we do not: {ours:#?}"));
        // The start is in whole seconds there, and shared pages are divided anew with every process that comes or goes.
        let tolerance = if series.contains("start_time") {
            2.0
        } else if series.contains("proportional") {
            1e6
        } else {
            0.0
        };
        assert!((value - theirs).abs() <= tolerance, "{series}: ours {value}, theirs {theirs}");
        compared += 1;
    }
    assert!(compared == ours.len() && compared > 15, "{compared} of {}", ours.len());
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE namedprocess_namegroup_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        if let Some(metadata) = batch.metadata.iter().find(|m| *m.family == *format!("namedprocess_namegroup_{name}")) {
            assert_eq!(metadata.kind.name(), kind, "{name}");
        }
    }
}
