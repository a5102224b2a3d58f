//! Our view of a real PostgreSQL beside the real postgres_exporter's: the same series with the same labels and types, and the same values
//! where neither program changes them by looking.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::gpu::database::Address;
use watchfire_collect::postgres::{Choices, Plan, PostgresExporter, modules, own};
use watchfire_collect::probe::{Access, Surroundings};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_testkit::ports::free_port;

const PROGRAM: &str = "/usr/bin/prometheus-postgres-exporter";
/// Where distributions keep the server programs.
const PLACES: [&str; 6] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
    "/usr/local/bin",
];
/// What we do not offer; the reasons are in `docs/reference/postgres-exporter.md`.
const LEFT_OUT: [&str; 5] = ["go_", "process_", "promhttp_", "postgres_exporter_build_info", "pg_scrape_collector_"];
/// What newer versions of the original have and the installed one lacks.
const NEWER: [&str; 5] = ["pg_replication_", "pg_database_connection_limit", "pg_roles_", "pg_stat_user_tables_", "pg_statio_user_tables_"];
/// Settings of a session, which each client chooses for itself.
const OWN: [&str; 1] = ["pg_settings_extra_float_digits"];
/// Values that neither look changes, by start of the name.
const STEADY: [&str; 5] =
    ["pg_settings_", "pg_database_size_bytes{datname=\"template0\"", "pg_static", "pg_stat_archiver_failed", "pg_stat_database_conflicts"];

struct Program(Child);
impl Drop for Program {
    fn drop(&mut self) {
        // The program is ours, and a test that fails must not leave it behind.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A server of our own; stopped when dropped.
struct Server {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
}
impl Server {
    fn start() -> Option<Server> {
        let Some(bin) = PLACES.iter().map(Path::new).find(|p| p.join("initdb").exists() && p.join("pg_ctl").exists()) else {
            eprintln!("SKIPPED: no PostgreSQL server programs, so nothing was compared");
            return None;
        };
        let server = Server { bin: bin.to_owned(), dir: tempfile::tempdir().unwrap(), port: free_port() };
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root, so its directory and itself belong to the user that its package made.
            let given = Command::new("chown").arg("postgres").arg(server.dir.path()).status();
            if !given.is_ok_and(|s| s.success()) {
                eprintln!("SKIPPED: no user postgres to run the server as, so nothing was compared");
                return None;
            }
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]);
        let options = format!("-p {} -k {} -h 127.0.0.1", server.port, server.dir.path().display());
        server.run("pg_ctl", &["-D", &data, "-o", &options, "-l", &format!("{data}/log"), "-w", "start"]);
        Some(server)
    }
    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.bin.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        let status = command.args(arguments).current_dir(self.dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program} failed");
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
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

fn exporter(url: Option<&str>, plan: Plan) -> PostgresExporter {
    let clock = SystemClock::shared();
    let access = Arc::new(Access::new(clock.clone(), Policy::free()));
    let outside = Surroundings { caller: Arc::new(Caller::new(clock.clone())), clock, meter: Meter::new(), access };
    let exporter = PostgresExporter::new(outside, url.map(|url| Address::parse(url, None).unwrap()));
    exporter.apply(plan);
    exporter
}

fn ask(exporter: &PostgresExporter) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let question = Question { path: "/metrics".to_owned(), base: "", params: Vec::new(), asker: Asker::Reader, patience: None };
    let Said::Families(families) = runtime.block_on(exporter.ask(question)).said else { panic!("no metrics") };
    render(Format::PrometheusText, &families)
}

fn probe(exporter: &PostgresExporter, asker: Asker, params: &[(&str, &str)]) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let reply = runtime.block_on(exporter.ask(Question { path: "/probe".to_owned(), base: "", params, asker, patience: None }));
    match reply.said {
        Said::Families(families) => (reply.status, render(Format::PrometheusText, &families)),
        Said::Text(text) | Said::Json(text) | Said::Html(text) => (reply.status, text),
    }
}

fn look(url: Option<&str>) -> String {
    ask(&exporter(url, Plan::default()))
}

fn queries(file: &str, text: &str) -> Plan {
    let (queries, findings) = own::parse(file, text);
    Plan { queries: Some(queries.unwrap_or_else(|| panic!("{findings:?}"))), ..Plan::default() }
}

/// What the real program says with these flags.
fn theirs(url: &str, flags: &[&str]) -> String {
    let listen = free_port();
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--web.listen-address=127.0.0.1:{listen}")).args(flags).env("DATA_SOURCE_NAME", url);
    let _program = Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let (_waker, wait) = std::sync::mpsc::channel::<()>();
    let text = (0..200).find_map(|_| {
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
        get(listen).filter(|text| text.contains("\npg_up"))
    });
    text.expect("postgres_exporter answers")
}

/// The server and the program, where both are there.
fn both() -> Option<(Server, String)> {
    let server = Server::start()?;
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared with it");
        return None;
    }
    let url = format!("postgresql://tester@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    Some((server, url))
}

fn execute(url: &str, statements: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for statement in statements {
            client.batch_execute(statement).await.unwrap();
        }
    });
}

/// Values by series without empty labels, and types by family.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
            // The original writes empty labels, and `le` behind all others.
            let mut labels: Vec<&str> = labels.split(',').filter(|label| !label.is_empty() && !label.ends_with("=\"\"")).collect();
            labels.sort_unstable();
            let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
            values.insert(series, value.parse().unwrap());
        }
    }
    (values, types)
}

/// The same series with the same types, apart from those that begin so.
fn assert_same(theirs: &str, ours: &str, apart: &[&str]) -> (BTreeMap<String, f64>, BTreeMap<String, f64>) {
    let ((theirs, their_types), (ours, our_types)) = (parse(theirs), parse(ours));
    let meant = |series: &&String| !LEFT_OUT.iter().chain(apart).any(|start| series.starts_with(start));
    let missing: Vec<_> = theirs.keys().filter(meant).filter(|s| !ours.contains_key(*s)).collect();
    let extra: Vec<_> = ours.keys().filter(meant).filter(|s| !theirs.contains_key(*s)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "postgres_exporter has, we do not: {missing:#?}; we have, it does not: {extra:#?}");
    for (name, kind) in their_types.iter().filter(|(name, _)| meant(name)) {
        assert_eq!(our_types.get(name), Some(kind), "type of {name}");
    }
    (theirs, ours)
}

#[test]
fn series_and_values_are_postgres_exporters() {
    let Some((_server, url)) = both() else { return };
    let (theirs, ours) = assert_same(&theirs(&url, &[]), &look(Some(&url)), &NEWER);
    assert_eq!(ours["pg_exporter_last_scrape_error"], 0.0, "every question is answered");
    let mut compared = 0;
    for (series, value) in
        theirs.iter().filter(|(series, _)| STEADY.iter().any(|start| series.starts_with(start)) && !OWN.iter().any(|start| series.starts_with(start)))
    {
        let ours = ours[series];
        assert!((ours - value).abs() <= value.abs() * 1e-9 || (ours.is_nan() && value.is_nan()), "{series}: ours {ours}, theirs {value}");
        compared += 1;
    }
    assert!(compared > 200, "only {compared} values were compared");
}

#[test]
fn tables_are_shown_by_name() {
    let Some(server) = Server::start() else { return };
    let words = format!("host=127.0.0.1 port={} user=tester dbname=postgres sslmode=disable", server.port);
    execute(&words, &["CREATE SCHEMA odd; CREATE TABLE odd.\"Cam eras\" (id int PRIMARY KEY); ALTER ROLE tester CONNECTION LIMIT 7"]);
    // The same address in libpq's words.
    let (ours, types) = parse(&look(Some(&words)));
    let table = format!("{{datname=\"postgres\",relname=\"Cam eras\",schemaname=\"odd\",server=\"127.0.0.1:{}\"}}", server.port);
    let of = |name: &str, labels: &str| ours.get(&format!("{name}{labels}")).copied();
    assert_eq!((of("pg_up", ""), of("pg_exporter_last_scrape_error", "")), (Some(1.0), Some(0.0)), "{ours:?}");
    for name in ["pg_stat_user_tables_n_dead_tup", "pg_stat_user_tables_last_autovacuum", "pg_statio_user_tables_toast_blocks_hit"] {
        assert_eq!(of(name, &table), Some(0.0), "{name}{table} in {ours:?}");
    }
    assert_eq!(of("pg_roles_connection_limit", &format!("{{rolname=\"tester\",server=\"127.0.0.1:{}\"}}", server.port)), Some(7.0));
    assert_eq!(of("pg_database_connection_limit", &format!("{{datname=\"postgres\",server=\"127.0.0.1:{}\"}}", server.port)), Some(-1.0));
    assert_eq!((types["pg_stat_user_tables_seq_scan"].as_str(), types["pg_stat_user_tables_n_live_tup"].as_str()), ("counter", "gauge"));
}

#[test]
fn a_database_that_is_away_is_down() {
    for url in [None, Some(format!("postgresql://u:canary@127.0.0.1:{}/x", free_port()))] {
        let text = look(url.as_deref());
        assert!(text.lines().any(|line| line == "pg_up 0") && text.lines().any(|line| line == "pg_exporter_last_scrape_error 1"), "{text}");
        assert!(!text.contains("canary"));
    }
}

const QUERIES: &str = r#"
own_kinds:
  query: "SELECT 'a'::text AS who, NULL::text AS whom, true AS yes, 2.50::numeric AS price, 7::int AS n, -3::bigint AS big, 'x'::text AS word, 12::oid AS o,
    '2020-01-01 12:00+02'::timestamptz AS at, '2020-01-01'::date AS day, NULL::int AS nothing, 1.5::float8 AS f, interval '1 hour' AS i, 'NaN'::float8 AS no;"
  metrics:
    - who: {usage: LABEL, description: "Who"}
    - whom: {usage: LABEL}
    - yes: {usage: GAUGE, description: "Yes"}
    - price: {usage: COUNTER, description: "Price"}
      n: {usage: GAUGE}
    - word: {usage: DISCARD}
own_labels:
  query: "SELECT true AS flag, 1.5::float8 AS f, '2020-01-01'::timestamptz AS t, 12::numeric AS n, '10.0.0.1'::inet AS ip, 'tester'::name AS who, 1 AS one
    UNION ALL SELECT false, 2, '2021-01-01', 13.5, '::1', 'other', 2"
  master: true
  metrics: [{flag: {usage: LABEL}}, {f: {usage: LABEL}}, {t: {usage: LABEL}}, {n: {usage: LABEL}}, {ip: {usage: LABEL}}, {who: {usage: LABEL}}, {one: {usage: COUNTER}}]
own_hist:
  query: "SELECT 'a'::text AS who, ARRAY[0.5,1,10] AS took, ARRAY[1,2,3] AS took_bucket, 4.5 AS took_sum, 4 AS took_count"
  metrics: [{who: {usage: LABEL}}, {took: {usage: HISTOGRAM, description: "T"}}]
own_time:
  query: "SELECT 100::int AS d, 'x'::text AS word"
  cache_seconds: 30
  metrics: [{d: {usage: DURATION, description: "D"}}, {word: {usage: MAPPEDMETRIC}}]
pg_locks:
  query: "SELECT current_database() AS datname, 5 AS count"
  metrics: [{datname: {usage: LABEL}}, {count: {usage: GAUGE}}]
pg_stat_archiver:
  metrics: [{archived_count: {usage: COUNTER}}]
"#;

#[test]
fn own_queries_are_postgres_exporters() {
    let Some((server, url)) = both() else { return };
    let file = server.dir.path().join("queries.yaml");
    std::fs::write(&file, QUERIES).unwrap();
    let name = file.display().to_string();
    let theirs = theirs(&url, &["--extend.query-path", &name]);
    let (theirs, ours) = assert_same(&theirs, &ask(&exporter(Some(&url), queries(&name, QUERIES))), &NEWER);
    assert_eq!(ours["pg_exporter_last_scrape_error"], 0.0);
    let own: Vec<_> = theirs.iter().filter(|(series, _)| series.starts_with("own_") || series.starts_with("pg_locks")).collect();
    assert!(own.len() >= 20, "{own:?}");
    for (series, value) in own {
        assert!(ours[series] == *value || (ours[series].is_nan() && value.is_nan()), "{series}: ours {}, theirs {value}", ours[series]);
    }
    // A file that one of us cannot carry out wholly.
    let bad = "own_bad: {query: 'SELECT nothing FROM nowhere', metrics: []}\nown_good: {query: 'SELECT 1 AS one', metrics: [{one: {usage: GAUGE}}]}\n";
    std::fs::write(&file, bad).unwrap();
    let (_, ours) = assert_same(&self::theirs(&url, &["--extend.query-path", &name]), &ask(&exporter(Some(&url), queries(&name, bad))), &NEWER);
    assert_eq!((ours["pg_exporter_last_scrape_error"], ours["pg_up"]), (1.0, 1.0));
}

#[test]
fn own_queries_are_bounded_and_read_only() {
    let Some(server) = Server::start() else { return };
    let url = format!("postgresql://tester@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    execute(&url, &["CREATE SEQUENCE turn"]);
    let text = "
many: {query: 'SELECT n::text AS n, 1 AS one FROM generate_series(1, 20000) n', metrics: [{n: {usage: LABEL}}, {one: {usage: GAUGE}}]}
writes: {query: \"SELECT nextval('turn') AS n\", metrics: []}
two: {query: 'SELECT 1 AS one; SELECT 2 AS two', metrics: []}
old: {query: 'SELECT 1 AS one', runonserver: '<9.0.0', metrics: []}
new: {query: 'SELECT 1 AS one', runonserver: '>=9.0.0', metrics: []}
kept: {query: 'SELECT random() AS dice', cache_seconds: 1000, metrics: [{dice: {usage: GAUGE}}]}
thrown: {query: 'SELECT random() AS dice', metrics: [{dice: {usage: GAUGE}}]}
words: {query: \"SELECT '1m30s' AS took, 'on' AS state\", metrics: [{took: {usage: DURATION}}, {state: {usage: MAPPEDMETRIC, metric_mapping: {on: 4}}}]}
twice: {query: 'SELECT 1 AS one UNION ALL SELECT 2', metrics: []}
pg: {query: 'SELECT 0 AS up', metrics: [{up: {usage: GAUGE}}]}
";
    let exporter = exporter(Some(&url), queries("q.yaml", text));
    let (first, _) = parse(&ask(&exporter));
    let (second, _) = parse(&ask(&exporter));
    let of = |name: &str| first.get(&format!("{name}{{server=\"127.0.0.1:{}\"}}", server.port)).copied();
    assert_eq!(first.keys().filter(|series| series.starts_with("many_one")).count(), 10_000);
    assert_eq!((of("old_one"), of("new_one"), of("two_two"), of("writes_n")), (None, Some(1.0), None, None));
    assert_eq!((of("words_took_milliseconds"), of("words_state"), of("twice_one")), (Some(90_000.0), Some(4.0), Some(1.0)));
    assert_eq!((first["pg_up"], first["pg_exporter_last_scrape_error"]), (1.0, 1.0));
    let dice = |values: &BTreeMap<String, f64>, name: &str| values.iter().find(|(series, _)| series.starts_with(name)).map(|(_, value)| *value).unwrap();
    assert_eq!(dice(&first, "kept_dice"), dice(&second, "kept_dice"));
    assert_ne!(dice(&first, "thrown_dice"), dice(&second, "thrown_dice"));
}

#[test]
fn a_question_without_an_end_does_not_end_the_others() {
    let Some(server) = Server::start() else { return };
    let url = format!("postgresql://tester@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    let text = "never: {query: 'SELECT pg_sleep(600)', metrics: []}\nafter: {query: 'SELECT 1 AS one', metrics: []}\n";
    let (values, _) = parse(&ask(&exporter(Some(&url), queries("q.yaml", text))));
    assert_eq!(values.get(&format!("after_one{{server=\"127.0.0.1:{}\"}}", server.port)), Some(&1.0));
    assert_eq!((values["pg_up"], values["pg_exporter_last_scrape_error"]), (1.0, 1.0));
}

#[test]
fn targets_are_probed_as_the_configuration_has_them() {
    let Some((server, url)) = both() else { return };
    execute(&url, &["CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'canary'"]);
    let rules = server.dir.path().join("data/pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("host all guarded 127.0.0.1/32 scram-sha-256\n{before}")).unwrap();
    server.run("pg_ctl", &["-D", &server.data(), "-w", "restart"]);
    let file = "auth_modules:\n  right:\n    type: userpass\n    userpass: {username: guarded, password: canary}\n    options: {sslmode: disable}\n  \
                wrong:\n    type: userpass\n    userpass: {username: guarded, password: canary2}\n";
    let plan = Plan { modules: modules::parse("p.yml", file).0.unwrap(), ..Plan::default() };
    let ours = exporter(None, plan);
    let target = format!("127.0.0.1:{}/postgres", server.port);
    let (status, text) = probe(&ours, Asker::Configuration, &[("target", &target), ("auth_module", "right")]);
    assert_eq!(status, 200);
    assert_same(&theirs(&url, &[]), &text, &NEWER);
    assert!(text.contains("\npg_up 1\n") && !text.contains("canary"), "{text}");
    let up = |params: &[(&str, &str)]| probe(&ours, Asker::Configuration, params).1.contains("\npg_up 1\n");
    assert!(!up(&[("target", &target), ("auth_module", "wrong")]));
    assert!(up(&[("target", &format!("postgresql://guarded:canary@{target}?sslmode=disable"))]));
    assert!(up(&[("target", &format!("host=127.0.0.1 port={} user=tester dbname=postgres", server.port)), ("auth_module", "")]));
}

#[test]
fn targets_that_nobody_named_are_for_admins_and_get_no_password() {
    let file = "auth_modules: {m: {type: userpass, userpass: {username: u, password: canary}}}";
    let ours = exporter(None, Plan { modules: modules::parse("p.yml", file).0.unwrap(), ..Plan::default() });
    let status = |asker, params: &[(&str, &str)]| {
        let (status, text) = probe(&ours, asker, params);
        assert!(!text.contains("canary"), "{text}");
        status
    };
    assert_eq!(status(Asker::Reader, &[("target", "db/all")]), 403);
    for target in [
        "127.0.0.1/all",
        "postgresql://u:canary@169.254.169.254/all",
        "postgresql://[::ffff:169.254.169.254]/all",
        "10.0.0.1,127.0.0.1/all",
        "host=10.0.0.1 hostaddr=127.0.0.1",
        "host=/run/postgresql",
        "10.0.0.1/all?host=127.0.0.1",
        "2130706433/all",
    ] {
        assert_eq!(status(Asker::Admin, &[("target", target)]), 403, "{target}");
    }
    assert_eq!(status(Asker::Admin, &[("target", "10.0.0.1/all"), ("auth_module", "m")]), 403);
    assert_eq!((status(Asker::Configuration, &[]), status(Asker::Configuration, &[("target", "")])), (400, 400));
    assert_eq!(status(Asker::Configuration, &[("target", "db/all"), ("auth_module", "n")]), 400);
    assert_eq!(status(Asker::Configuration, &[("target", "mysql://u:canary@db")]), 400);
}

#[test]
fn databases_are_discovered_and_what_is_shown_is_chosen_as_there() {
    let Some((server, url)) = both() else { return };
    execute(&url, &["CREATE DATABASE other", "CREATE DATABASE hidden", "CREATE DATABASE third"]);
    let text = "own_db: {query: 'SELECT current_database() AS datname, 1 AS here', metrics: [{datname: {usage: LABEL}}, {here: {usage: GAUGE}}]}\n\
                own_master: {query: 'SELECT current_database() AS datname, 2 AS here', master: true, metrics: [{datname: {usage: LABEL}}]}\n";
    let file = server.dir.path().join("queries.yaml");
    std::fs::write(&file, text).unwrap();
    let name = file.display().to_string();
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let discover = Choices { discover: true, ..Choices::default() };
    let labels = vec![("house".to_owned(), "one".to_owned()), ("floor".to_owned(), "two".to_owned())];
    for (flags, choices, expected) in [
        (&["--auto-discover-databases"][..], discover.clone(), 4),
        (&["--auto-discover-databases", "--exclude-databases=hidden,third"], Choices { exclude: strings(&["hidden", "third"]), ..discover.clone() }, 2),
        (&["--auto-discover-databases", "--include-databases=hidden"], Choices { include: strings(&["hidden"]), ..discover.clone() }, 2),
        (
            &["--disable-default-metrics", "--constantLabels=house=one,floor=two"],
            Choices { without_default: true, labels: labels.clone(), ..Choices::default() },
            1,
        ),
        (&["--disable-settings-metrics"], Choices { without_settings: true, ..Choices::default() }, 1),
    ] {
        let theirs = theirs(&url, &[flags, &["--extend.query-path", &name]].concat());
        let ours = ask(&exporter(Some(&url), Plan { choices, ..queries(&name, text) }));
        let (_, ours) = assert_same(&theirs, &ours, &NEWER);
        assert_eq!(ours.keys().filter(|series| series.starts_with("own_db_here")).count(), expected, "{flags:?}");
        assert_eq!(ours.iter().find(|(series, _)| series.starts_with("pg_exporter_last_scrape_error")).map(|(_, value)| *value), Some(0.0), "{flags:?}");
    }
    // Series that do not say which database they are of end a scrape there; here the first one is shown.
    let same = queries("q.yaml", "own_one: {query: 'SELECT 1 AS one', metrics: []}");
    let (values, _) = parse(&ask(&exporter(Some(&url), Plan { choices: discover, ..same })));
    assert_eq!(values.keys().filter(|series| series.starts_with("own_one")).count(), 1);
}
