//! Containers behind a socket as an engine has it, with control groups of both versions as files.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use watchfire_model::document::{Context, parse_yaml};
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;

const ID: &str = "aaaa000000000000000000000000000000000000000000000000000000000001";

/// What the engine says.
struct Engine {
    asked: Mutex<Vec<String>>,
    list: Mutex<String>,
    about: Mutex<String>,
    broken: AtomicBool,
}

async fn serve(listener: UnixListener, engine: Arc<Engine>) {
    loop {
        let (mut peer, _) = listener.accept().await.unwrap();
        let engine = engine.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            let mut buffer = [0; 4096];
            while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                let n = peer.read(&mut buffer).await.unwrap();
                head.extend_from_slice(&buffer[..n]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let line = head.lines().next().unwrap_or("").to_owned();
            engine.asked.lock().unwrap().push(line.clone());
            let body = if line.contains("/containers/json") { engine.list.lock().unwrap().clone() } else { engine.about.lock().unwrap().clone() };
            let status = if engine.broken.load(Ordering::Relaxed) { "500 x" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            peer.write_all(answer.as_bytes()).await.unwrap();
        });
    }
}

fn about(pid: u32, restarts: u32) -> String {
    format!(r#"{{"State":{{"Pid":{pid},"StartedAt":"2025-12-30T10:15:00.5Z"}},"RestartCount":{restarts}}}"#)
}

struct House {
    dir: tempfile::TempDir,
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    meter: Meter,
    collector: ContainerCollector,
}

fn house(more: &str) -> House {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let list = format!(
        r#"[{{"Id":"{ID}","Names":["/db"],"Image":"postgres:16","State":"running","Labels":{{"com.docker.compose.service":"database","no":"1"}}}},{{"Id":"../../etc"}}]"#
    );
    let engine = Engine { asked: Mutex::default(), list: Mutex::new(list), about: Mutex::new(about(77, 2)), broken: AtomicBool::new(false) };
    let engine = Arc::new(engine);
    tokio::spawn(serve(UnixListener::bind(&socket).unwrap(), engine.clone()));
    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", &format!("{{socket: {}{more}}}", socket.display())).unwrap();
    let settings = Settings::read(Reader::new(&context, &node, "containers"));
    assert!(!context.has_errors());
    let (clock, meter) = (ManualClock::new(Timestamp(1_767_100_000_250)), Meter::new());
    let collector = ContainerCollector::new(settings, dir.path(), "here", clock.clone(), &meter);
    House { dir, engine, clock, meter, collector }
}

impl House {
    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    fn process(&self, pid: u32, cgroup: &str) {
        self.write(&format!("proc/{pid}/cgroup"), cgroup);
        let lines = "Inter-|   Receive\n face |bytes\n    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n";
        self.write(&format!("proc/{pid}/net/dev"), lines);
        self.write("proc/diskstats", "   8       0 sda 1 2 3\n");
    }
    async fn poll(&self) -> Vec<String> {
        lines(&self.collector.poll().await.unwrap())
    }
    fn figure(&self, name: &str) -> f64 {
        self.meter.gather().iter().find(|f| &*f.name == name).map_or(0.0, |f| f.points.iter().map(|(_, v)| v).sum())
    }
}

/// Series with their own labels; those of the container are the same everywhere.
fn lines(batch: &Batch) -> Vec<String> {
    let line = |s: &watchfire_model::batch::SeriesSamples| {
        let mut text = s.labels.metric_name().to_owned();
        for (name, value) in
            s.labels.iter().filter(|(n, _)| !["__name__", "job", "instance", "id", "name", "image"].contains(n) && !n.starts_with("container_label"))
        {
            write!(text, " {name}={value}").unwrap();
        }
        let value = s.samples.as_slice()[0].value;
        if is_stale(value) { format!("{text} stale") } else { format!("{text} {value}") }
    };
    batch.series.iter().map(line).collect()
}

fn check(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|l| l == line), "{line} is not among {lines:#?}");
    }
}

/// What both versions say about the container.
const BOTH: [&str; 35] = [
    "container_cpu_usage_seconds_total cpu=total 12.5",
    "container_cpu_user_seconds_total 8",
    "container_cpu_system_seconds_total 4.5",
    "container_cpu_cfs_periods_total 10",
    "container_cpu_cfs_throttled_periods_total 3",
    "container_cpu_cfs_throttled_seconds_total 0.25",
    "container_spec_cpu_quota 50000",
    "container_spec_cpu_period 100000",
    "container_memory_usage_bytes 1000000",
    "container_memory_working_set_bytes 700000",
    "container_memory_max_usage_bytes 1200000",
    "container_memory_rss 600000",
    "container_memory_cache 350000",
    "container_memory_mapped_file 90000",
    "container_memory_swap 4096",
    "container_memory_failcnt 7",
    "container_oom_events_total 1",
    "container_memory_failures_total failure_type=pgfault scope=container 55",
    "container_memory_failures_total failure_type=pgmajfault scope=container 5",
    "container_spec_memory_limit_bytes 2000000",
    "container_spec_memory_swap_limit_bytes 0",
    "container_memory_failures_total failure_type=pgfault scope=hierarchy 55",
    "container_processes 2",
    "container_threads 4",
    "container_threads_max 0",
    "container_fs_reads_bytes_total device=/dev/sda 4096",
    "container_fs_writes_bytes_total device=/dev/sda 8192",
    "container_fs_reads_total device=/dev/sda 1",
    "container_fs_writes_total device=/dev/sda 2",
    "container_network_receive_bytes_total interface=eth0 100",
    "container_network_receive_packets_dropped_total interface=eth0 4",
    "container_network_transmit_errors_total interface=eth0 7",
    "container_start_time_seconds 1767089700.5",
    "container_last_seen 1767100000",
    "container_restarts_total 2",
];

fn write_two(house: &House, at: &str) {
    let files = [
        ("cpu.stat", "usage_usec 12500000\nuser_usec 8000000\nsystem_usec 4500000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 250000\n"),
        ("cpu.max", "50000 100000\n"),
        ("cpu.weight", "100\n"),
        ("memory.current", "1000000\n"),
        ("memory.peak", "1200000\n"),
        ("memory.stat", "anon 600000\nfile 350000\nfile_mapped 90000\ninactive_file 300000\npgfault 55\npgmajfault 5\n"),
        ("memory.max", "2000000\n"),
        ("memory.low", "5000\n"),
        ("memory.min", "0\n"),
        ("memory.swap.current", "4096\n"),
        ("memory.swap.max", "max\n"),
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n"),
        ("pids.current", "4\n"),
        ("pids.max", "max\n"),
        ("cgroup.procs", ""),
        ("container/cgroup.procs", "77\n78\n"),
        ("io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"),
    ];
    files.iter().for_each(|(file, text)| house.write(&format!("sys/fs/cgroup{at}/{file}"), text));
}

#[tokio::test]
async fn containers_have_cadvisors_names_with_control_groups_of_version_two() {
    let house = house("");
    let at = format!("/machine.slice/libpod-{ID}.scope");
    // The process is in a group below the container's.
    house.process(77, &format!("0::{at}/container\n"));
    write_two(&house, &at);
    let batch = house.collector.poll().await.unwrap();
    let labels = &batch.series[0].labels;
    let of = |name: &str| labels.get(name).unwrap_or("");
    assert_eq!((of("id"), of("name"), of("image"), of("job"), of("instance")), (at.as_str(), "db", "postgres:16", "cadvisor", "here"));
    assert_eq!((of("container_label_com_docker_compose_service"), of("container_label_no")), ("database", "1"));
    let found = lines(&batch);
    check(&found, &BOTH);
    check(&found, &["container_spec_cpu_shares 2597", "container_spec_memory_reservation_limit_bytes 0"]);
    assert!(!found.iter().any(|l| l.contains("interface=lo")));
    let asked = house.engine.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|line| line.starts_with("GET /containers/")) && !asked.iter().any(|line| line.contains("etc")), "{asked:?}");
    assert_eq!(house.figure("watchfire_containers_engine_up"), 1.0);
}

#[tokio::test]
async fn containers_have_cadvisors_names_with_control_groups_of_version_one() {
    let house = house(", labels: [no]");
    let at = format!("/docker/{ID}");
    let controllers = ["cpu,cpuacct", "memory", "blkio", "pids", "name=systemd"];
    let lines: String = controllers.iter().zip(2..).map(|(controller, n)| format!("{n}:{controller}:{at}\n")).collect();
    house.process(77, &format!("{lines}0::{at}\n"));
    let files = [
        ("cpuacct", "cpuacct.usage", "12500000000\n"),
        ("cpuacct", "cpuacct.stat", "user 800\nsystem 450\n"),
        ("cpu", "cpu.stat", "nr_periods 10\nnr_throttled 3\nthrottled_time 250000000\n"),
        ("cpu", "cpu.cfs_quota_us", "50000\n"),
        ("cpu", "cpu.cfs_period_us", "100000\n"),
        ("cpu", "cpu.shares", "1024\n"),
        ("memory", "memory.usage_in_bytes", "1000000\n"),
        ("memory", "memory.max_usage_in_bytes", "1200000\n"),
        ("memory", "memory.limit_in_bytes", "2000000\n"),
        ("memory", "memory.memsw.limit_in_bytes", "9223372036854771712\n"),
        ("memory", "memory.failcnt", "7\n"),
        ("memory", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        (
            "memory",
            "memory.stat",
            "inactive_file 1\ntotal_inactive_file 300000\ntotal_rss 600000\ntotal_cache 350000\ntotal_mapped_file 90000\ntotal_swap 4096\ntotal_pgfault 55\ntotal_pgmajfault 5\n",
        ),
        ("blkio", "blkio.throttle.io_service_bytes", "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\nTotal 12288\n"),
        ("blkio", "blkio.throttle.io_serviced", "8:0 Read 1\n8:0 Write 2\nTotal 3\n"),
        ("pids", "pids.current", "4\n"),
        ("pids", "pids.max", "max\n"),
        ("cpu", "cgroup.procs", "77\n78\n"),
    ];
    files.iter().for_each(|(controller, file, text)| house.write(&format!("sys/fs/cgroup/{controller}{at}/{file}"), text));
    let found = house.poll().await;
    check(&found, &BOTH);
    check(&found, &["container_spec_cpu_shares 1024"]);
    let batch = house.collector.poll().await.unwrap();
    let names: Vec<&str> = batch.series[0].labels.iter().map(|(n, _)| n).filter(|n| n.starts_with("container_label_")).collect();
    assert_eq!(names, ["container_label_no"]);
}

#[tokio::test]
async fn a_process_that_is_not_to_be_seen_is_no_hindrance() {
    let house = house("");
    write_two(&house, &format!("/system.slice/docker-{ID}.scope"));
    house.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    check(&house.poll().await, &["container_memory_usage_bytes 1000000"]);
}

#[tokio::test]
async fn containers_that_start_again_end_or_hide() {
    let house = house("");
    let at = format!("/machine.slice/libpod-{ID}.scope");
    house.process(77, &format!("0::{at}\n"));
    write_two(&house, &at);
    house.poll().await;
    house.poll().await;
    let asked = |house: &House| house.engine.asked.lock().unwrap().iter().filter(|line| line.contains(ID)).count();
    assert_eq!(asked(&house), 1, "what is known is not asked for at once");
    // Another process in its place: the engine is asked who it is.
    std::fs::remove_dir_all(house.dir.path().join("proc/77")).unwrap();
    house.write("proc/77/cgroup", "0::/system.slice/other.service\n");
    house.process(78, &format!("0::{at}\n"));
    *house.engine.about.lock().unwrap() = about(78, 3);
    check(&house.poll().await, &["container_restarts_total 3", "container_network_receive_bytes_total interface=eth0 100"]);
    house.clock.advance(INSPECT_EVERY);
    house.poll().await;
    assert_eq!(asked(&house), 3);
    // A container without a group is not shown, and that is counted.
    std::fs::remove_dir_all(house.dir.path().join("sys/fs/cgroup/machine.slice")).unwrap();
    check(&house.poll().await, &["container_last_seen stale", "container_memory_usage_bytes stale"]);
    assert_eq!(house.figure("watchfire_containers_without_cgroup_total"), 1.0);
    // An engine that does not answer.
    write_two(&house, &at);
    check(&house.poll().await, &["container_memory_usage_bytes 1000000"]);
    house.engine.broken.store(true, Ordering::Relaxed);
    assert!(house.collector.poll().await.is_err());
    check(&lines(&house.collector.none()), &["container_memory_usage_bytes stale"]);
    assert_eq!((house.figure("watchfire_containers_engine_up"), house.figure("watchfire_containers_questions_failed_total")), (0.0, 1.0));
}

#[test]
fn nothing_is_looked_at_unless_it_is_asked_for() {
    let read = |text: &str| {
        let context = Context::new("w.yml");
        let node = parse_yaml("w.yml", text).unwrap();
        let settings = Settings::read(Reader::new(&context, &node, "containers"));
        (settings, context.into_findings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(read("{}").0.socket, None);
    let (settings, said) = read("{socket: 'unix:///nonexistent/docker.sock', filters: [{name: label, values: [a=b]}]}");
    assert_eq!(settings.socket.as_deref(), Some(Path::new("/nonexistent/docker.sock")));
    assert!(said.contains("warning: containers.socket: cannot connect") || said.contains("there is nothing at this path"), "{said}");
    assert!(read("{socket: docker.sock}").1.contains("absolute"), "{}", read("{socket: docker.sock}").1);
    assert!(read("{interval: 1ms}").1.contains("at least 1s"));
}

proptest! {
    /// Whatever stands there leads to no place outside.
    #[test]
    fn paths_of_groups_stay_below_the_kernels_files(text in "([0-9]{0,2}:[a-z,]{0,8}:(/|\\.\\.|abc|x){0,8}\n){0,4}") {
        if let Some(place) = Place::read(&text, "abc") {
            prop_assert!(place.id.contains("abc") && !place.id.split('/').any(|part| part == ".."));
        }
    }
}
