//! Our view of a real Redis beside the real redis_exporter's: the same series with the same label names and types, and the same values where
//! neither program changes them by looking. Also a password, a target that is away, keys to measure.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::probe::{Access, Surroundings};
use watchfire_collect::redis::keys::{self, Checks};
use watchfire_collect::redis::{RedisExporter, Settings};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_net::redis::Place;
use watchfire_net::secret::Secret;
use watchfire_testkit::ports::free_port;

const SERVER: &str = "/usr/bin/redis-server";
const PROGRAM: &str = "/usr/bin/prometheus-redis-exporter";
/// What we do not offer; the reasons are in `docs/reference/redis-exporter.md`.
const LEFT_OUT: [&str; 7] = [
    "go_",
    "process_",
    "promhttp_",
    "redis_exporter_build_info",
    "redis_exporter_scrape_duration_seconds",
    "redis_key_value_as_string",
    "redis_last_key_groups_scrape_duration_milliseconds",
];
/// What newer versions of the original have and the installed one lacks.
const NEWER: [&str; 24] = [
    "redis_acl_access_denied",
    "redis_client_output_buffer_limit",
    "redis_client_query_buffer_limit",
    "redis_current_eviction_exceeded",
    "redis_errors_total",
    "redis_evicted_clients_total",
    "redis_evicted_scripts_total",
    "redis_eviction_exceeded",
    "redis_expire_cycle_cpu",
    "redis_latency_spike",
    "redis_max_clients",
    "redis_mem_overhead_db_hashtable",
    "redis_mem_total_replication",
    "redis_memory_used_functions",
    "redis_memory_used_scripts_eval",
    "redis_memory_used_vm_",
    "redis_net_repl_",
    "redis_rdb_last_load_",
    "redis_rdb_saves_total",
    "redis_reply_buffer_",
    "redis_stream_first_entry_id",
    "redis_stream_group_entries_read",
    "redis_stream_group_lag",
    "redis_stream_last_entry_id",
];
/// The same, which is only there for streams.
const NEWER_STREAM: &str = "redis_stream_max_deleted_entry_id";
/// Values that neither look changes.
const STEADY: [&str; 18] = [
    "redis_up",
    "redis_keys_count",
    "redis_stream_length",
    "redis_stream_groups",
    "redis_stream_last_generated_id",
    "redis_stream_group_messages_pending",
    "redis_stream_group_consumer_messages_pending",
    "redis_db_keys",
    "redis_db_keys_expiring",
    "redis_key_size",
    "redis_memory_max_bytes",
    "redis_connected_slaves",
    "redis_config_maxclients",
    "redis_rdb_changes_since_last_save",
    "redis_keyspace_misses_total",
    "redis_start_time_seconds",
    "redis_aof_enabled",
    "redis_rdb_last_bgsave_status",
];

struct Program(Child);
impl Drop for Program {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn start(program: &str, arguments: &[&str]) -> Option<Program> {
    if !std::path::Path::new(program).exists() {
        eprintln!("SKIPPED: {program} is not installed, so nothing was compared with it");
        return None;
    }
    Some(Program(Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
}

/// Asks until it answers: programs do not say when they are ready.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let (_waker, wait) = std::sync::mpsc::channel::<()>();
    for _ in 0..200 {
        if let Some(answer) = ask() {
            return answer;
        }
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
    }
    panic!("no answer within ten seconds");
}

fn say(port: u16, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    // A Sentinel does not hang up when it is told to: then what it said is all when nothing more comes.
    while let Ok(length) = stream.read(&mut piece)
        && length > 0
    {
        bytes.extend_from_slice(&piece[..length]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn redis(more: &[&str]) -> Option<(Program, u16)> {
    let port = free_port();
    let text = port.to_string();
    let server = start(SERVER, &[&["--port", &text, "--save", "", "--bind", "127.0.0.1", "--dir", "/tmp"], more].concat())?;
    until(|| say(port, "PING").filter(|text| text.contains("PONG") || text.contains("NOAUTH")));
    Some((server, port))
}

fn exporter(place: Place, patterns: &str, names: &str) -> RedisExporter {
    let clock = SystemClock::shared();
    let access = Arc::new(Access::new(clock.clone(), Policy::free()));
    let outside = Surroundings { caller: Arc::new(Caller::new(clock.clone())), clock, meter: Meter::new(), access };
    let checks = Checks { patterns: keys::read(patterns), names: keys::read(names), ..Checks::default() };
    RedisExporter::new(outside, Settings { place, checks })
}

fn ask(exporter: &RedisExporter, asker: Asker, path: &str, target: Option<&str>) -> (u16, String) {
    asking(exporter, asker, path, &target.map(|t| ("target", t)).into_iter().collect::<Vec<_>>())
}

fn asking(exporter: &RedisExporter, asker: Asker, path: &str, params: &[(&str, &str)]) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let question = Question { path: path.to_owned(), base: "", params, asker, patience: Some(Duration::from_secs(10)) };
    let reply = runtime.block_on(exporter.ask(question));
    match reply.said {
        Said::Families(families) => (reply.status, render(Format::PrometheusText, &families)),
        Said::Text(text) | Said::Json(text) | Said::Html(text) => (reply.status, text),
    }
}

/// Names with label names, types by family, values by series.
fn parse(text: &str) -> (BTreeSet<String>, BTreeMap<String, String>, BTreeMap<String, f64>) {
    let (mut shapes, mut types, mut values) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else { continue };
        // A label without a value is none.
        let series = series.replace("{err=\"\"}", "");
        let (name, labels) = series.split_once('{').unwrap_or((&series, ""));
        let mut names: Vec<&str> = labels.split("=\"").map(|part| part.rsplit([',', '{', '"']).next().unwrap()).collect();
        names.pop();
        names.sort_unstable();
        shapes.insert(format!("{name}{{{}}}", names.join(",")));
        values.insert(series.clone(), value.parse().unwrap());
    }
    (shapes, types, values)
}

#[test]
fn rdx_04_series_and_values_are_redis_exporters() {
    let Some((_server, port)) = redis(&[]) else { return };
    for words in ["LPUSH queue:a 1 2 3", "LPUSH queue:b 1", "SET plain hello", "SELECT 2\r\nSET x 7 EX 1000"] {
        say(port, words).unwrap();
    }
    let listen = free_port();
    let address = format!("127.0.0.1:{listen}");
    let url = format!("redis://127.0.0.1:{port}");
    let options = ["-redis.addr", &url, "-web.listen-address", &address, "-check-keys", "queue:*", "-check-single-keys", "db2=x"];
    let Some(_exporter) = start(PROGRAM, &options) else { return };
    let theirs = until(|| get(listen, "/metrics").filter(|text| text.contains("\nredis_up 1")));
    let ours = exporter(Place::parse(&url).unwrap(), "queue:*", "db2=x");
    let (status, ours) = ask(&ours, Asker::Reader, "/metrics", None);
    assert_eq!(status, 200);
    let ((their_shapes, their_types, their_values), (our_shapes, our_types, our_values)) = (parse(&theirs), parse(&ours));
    assert_same_shapes(&their_shapes, &our_shapes);
    let meant = |shape: &&String| is_meant(shape);
    for (name, kind) in their_types.iter().filter(|(name, _)| meant(name)) {
        if let Some(ours) = our_types.get(name) {
            assert_eq!(ours, kind, "type of {name}");
        }
    }
    let mut compared = 0;
    for (series, value) in &their_values {
        if STEADY.contains(&series.split('{').next().unwrap()) {
            let ours = our_values.get(series).unwrap_or_else(|| panic!("{series} is missing"));
            assert!((ours - value).abs() <= 2.0 && (ours == value || series.contains("start_time")), "{series}: ours {ours}, theirs {value}");
            compared += 1;
        }
    }
    assert!(compared > 40 && our_shapes.len() > 100, "only {compared} values of {} series were compared", our_shapes.len());
}

fn is_meant(shape: &str) -> bool {
    !LEFT_OUT.iter().chain(&NEWER).chain([&NEWER_STREAM]).any(|start| shape.starts_with(start))
}

#[track_caller]
fn assert_same_shapes(theirs: &BTreeSet<String>, ours: &BTreeSet<String>) {
    // Labels without a value are none, and are not written here.
    let bare = |shape: &String| if shape.starts_with("redis_instance_info{") { "redis_instance_info".to_owned() } else { shape.clone() };
    let meant = |shapes: &BTreeSet<String>| shapes.iter().filter(|shape| is_meant(shape)).map(bare).collect::<BTreeSet<_>>();
    let (theirs, ours) = (meant(theirs), meant(ours));
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&theirs).collect();
    assert!(missing.is_empty() && extra.is_empty(), "redis_exporter has, we do not: {missing:#?}; we have, it does not: {extra:#?}");
}

#[test]
fn rdx_04_replicas_clusters_and_sentinels_are_shown_alike() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    let Some((_master, master)) = redis(&[]) else { return };
    let Some((_replica, replica)) = redis(&["--replicaof", "127.0.0.1", &master.to_string()]) else { return };
    let nodes = format!("{dir}/nodes.conf");
    let Some((_node, node)) = redis(&["--cluster-enabled", "yes", "--cluster-config-file", &nodes, "--cluster-port", &free_port().to_string()]) else { return };
    say(node, "CLUSTER ADDSLOTSRANGE 0 16383").unwrap();
    let file = format!("{dir}/sentinel.conf");
    std::fs::write(&file, format!("dir {dir}\nsentinel monitor mymaster 127.0.0.1 {master} 1\n")).unwrap();
    let port = free_port();
    let Some(_sentinel) = start(SERVER, &[&file, "--port", &port.to_string(), "--bind", "127.0.0.1", "--sentinel"]) else { return };
    until(|| say(replica, "INFO replication").filter(|text| text.contains("master_link_status:up")));
    until(|| say(port, "INFO sentinel").filter(|text| text.contains("slaves=1")));
    let listen = free_port();
    let Some(_exporter) = start(PROGRAM, &["-web.listen-address", &format!("127.0.0.1:{listen}")]) else { return };
    let ours = exporter(Place::parse(&format!("127.0.0.1:{master}")).unwrap(), "", "");
    until(|| get(listen, "/"));
    for (target, wanted) in [
        (master, "redis_connected_slave_lag_seconds"),
        (replica, "redis_slave_info"),
        (node, "redis_cluster_messages_sent_total"),
        (port, "redis_sentinel_master_ok_slaves"),
    ] {
        // Commands are counted as they come: one look by each of us shows them to the other.
        ask(&ours, Asker::Configuration, "/scrape", Some(&format!("redis://127.0.0.1:{target}")));
        let theirs = get(listen, &format!("/scrape?target=redis://127.0.0.1:{target}")).unwrap();
        let (_, text) = ask(&ours, Asker::Configuration, "/scrape", Some(&format!("127.0.0.1:{target}")));
        assert!(text.contains(&format!("\n{wanted}")), "{wanted} is missing: {text}");
        let ((their_shapes, _, their_values), (our_shapes, _, our_values)) = (parse(&theirs), parse(&text));
        assert_same_shapes(&their_shapes, &our_shapes);
        for (series, value) in
            their_values.iter().filter(|(series, _)| ["redis_cluster_", "redis_sentinel_", "redis_db_keys"].iter().any(|s| series.starts_with(s)))
        {
            assert!(series.contains("messages") || our_values.get(series) == Some(value), "{series}: theirs {value}, ours {:?}", our_values.get(series));
        }
    }
}

#[test]
fn rdx_04_streams_counts_and_the_append_only_file_are_shown_alike() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_server, port)) = redis(&["--appendonly", "yes", "--dir", directory.path().to_str().unwrap()]) else { return };
    for words in [
        "XADD s:1 1700000000001-0 a 1",
        "XADD s:1 1700000000002-0 a 2",
        "XGROUP CREATE s:1 workers 0",
        "XREADGROUP GROUP workers one COUNT 1 STREAMS s:1 >",
        "XADD s:empty 5-1 a 1",
        "XDEL s:empty 5-1",
        "SET s:text 1",
        "SELECT 3\r\nXADD other 1700000000009-0 a 1",
    ] {
        say(port, words).unwrap();
    }
    let listen = free_port();
    let lists = [("check-streams", "db0=s:*"), ("check-single-streams", "db3=other,nothing"), ("count-keys", "db0=s:*,db3=*,db4=x")];
    let Some(_exporter) = start(PROGRAM, &["-web.listen-address", &format!("127.0.0.1:{listen}")]) else { return };
    until(|| get(listen, "/"));
    let target = format!("redis://127.0.0.1:{port}");
    let params: Vec<(&str, &str)> = [("target", target.as_str())].into_iter().chain(lists).collect();
    let query: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "%20"))).collect();
    let path = format!("/scrape?{}", query.join("&"));
    let ours = exporter(Place::parse(&target).unwrap(), "", "");
    // One look by each of us shows our commands to the other.
    asking(&ours, Asker::Configuration, "/scrape", &params);
    let theirs = get(listen, &path).unwrap();
    let (status, text) = asking(&ours, Asker::Configuration, "/scrape", &params);
    assert_eq!(status, 200);
    let ((their_shapes, their_types, their_values), (our_shapes, our_types, our_values)) = (parse(&theirs), parse(&text));
    assert_same_shapes(&their_shapes, &our_shapes);
    let mut compared = 0;
    for (series, value) in their_values.iter().filter(|(series, _)| STEADY.contains(&series.split('{').next().unwrap())) {
        let name = series.split('{').next().unwrap();
        assert_eq!(our_types.get(name), their_types.get(name), "type of {name}");
        if name.starts_with("redis_stream") || name == "redis_keys_count" || name == "redis_aof_enabled" {
            assert_eq!(our_values.get(series), Some(value), "{series}");
            compared += 1;
        }
    }
    assert!(compared >= 14 && text.contains("\nredis_aof_delayed_fsync 0\n"), "{compared} of {theirs} beside {text}");
    assert!(text.contains("redis_stream_group_lag{db=\"db0\",group=\"workers\",stream=\"s:1\"} 1"), "{text}");
    assert_eq!((ask(&ours, Asker::Reader, "/health", None), get(listen, "/health").as_deref()), ((200, "ok".to_owned()), Some("ok")));
}

#[test]
fn rdx_02_the_password_is_the_servers() {
    let Some((_server, port)) = redis(&["--requirepass", "canary"]) else { return };
    let place = Place::parse(&format!("127.0.0.1:{port}")).unwrap();
    let (_, without) = ask(&exporter(place.clone(), "", ""), Asker::Reader, "/metrics", None);
    assert!(without.lines().any(|line| line == "redis_up 0") && !without.contains("redis_connected_clients"), "{without}");
    let with = exporter(Place { password: Some(Secret::new("canary")), ..place }, "", "");
    let (_, text) = ask(&with, Asker::Reader, "/metrics", None);
    assert!(text.lines().any(|line| line == "redis_up 1") && text.contains("redis_connected_clients"), "{text}");
    assert!(!text.contains("canary"));
    // The same password is used for other targets of the configuration, and never for those that nobody named.
    let target = format!("redis://127.0.0.1:{port}");
    assert!(ask(&with, Asker::Configuration, "/scrape", Some(&target)).1.contains("\nredis_up 1\n"));
    assert_eq!(ask(&with, Asker::Admin, "/scrape", Some(&target)).0, 403, "this machine");
    assert_eq!(ask(&with, Asker::Reader, "/scrape", Some(&target)).0, 403, "nobody named it");
}

#[test]
fn rdx_03_a_server_that_is_away_is_down() {
    let away = exporter(Place::parse(&format!("127.0.0.1:{}", free_port())).unwrap(), "", "");
    let (status, text) = ask(&away, Asker::Reader, "/metrics", None);
    assert!(status == 200 && text.contains("\nredis_up 0\n") && text.contains("redis_exporter_last_scrape_error{err=\"cannot connect to "), "{text}");
    assert_eq!(ask(&away, Asker::Configuration, "/scrape", None).0, 400);
    assert_eq!(ask(&away, Asker::Configuration, "/scrape", Some("http://x")).0, 400);
    assert_eq!(ask(&away, Asker::Admin, "/scrape", Some("redis://169.254.169.254:6379")).0, 403);
}
