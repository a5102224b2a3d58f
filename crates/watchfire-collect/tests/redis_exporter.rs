//! Our view of a real Redis beside the real redis_exporter's: the same series with the same label names and types, and the same values where
//! neither program changes them by looking. Also a password, a target that is away, keys to measure.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::probe::{Access, Surroundings};
use watchfire_collect::redis::{RedisExporter, Settings, keys};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_net::redis::Place;
use watchfire_net::secret::Secret;

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
const NEWER: [&str; 2] = ["redis_errors_total", "redis_latency_spike"];
/// Values that neither look changes.
const STEADY: [&str; 12] = [
    "redis_up",
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
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
    RedisExporter::new(outside, Settings { place, patterns: keys::read(patterns), names: keys::read(names) })
}

fn ask(exporter: &RedisExporter, asker: Asker, path: &str, target: Option<&str>) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let params = target.map(|t| ("target".to_owned(), t.to_owned())).into_iter().collect();
    let question = Question { path: path.to_owned(), base: "", params, asker, patience: Some(Duration::from_secs(10)) };
    let reply = runtime.block_on(exporter.ask(question));
    match reply.said {
        Said::Families(families) => (reply.status, render(Format::PrometheusText, &families)),
        Said::Text(text) | Said::Html(text) => (reply.status, text),
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
    let meant = |shape: &&String| !LEFT_OUT.iter().chain(&NEWER).any(|start| shape.starts_with(start));
    let missing: Vec<_> = their_shapes.iter().filter(meant).filter(|s| !our_shapes.contains(*s)).collect();
    let extra: Vec<_> = our_shapes.iter().filter(meant).filter(|s| !their_shapes.contains(*s)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "redis_exporter has, we do not: {missing:#?}; we have, it does not: {extra:#?}");
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
