//! Our view of a real PostgreSQL beside the real postgres_exporter's: the same series with the same labels and types, and the same values
//! where neither program changes them by looking.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use watchfire_collect::gpu::database::Address;
use watchfire_collect::postgres::PostgresExporter;
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
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

fn look(url: Option<&str>) -> String {
    let exporter = PostgresExporter::new(url.map(|url| Address::parse(url, None).unwrap()), &Meter::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let question = Question { path: "/metrics".to_owned(), base: "", params: Vec::new(), asker: Asker::Reader, patience: None };
    let Said::Families(families) = runtime.block_on(exporter.ask(question)).said else { panic!("no metrics") };
    render(Format::PrometheusText, &families)
}

/// Values by series without empty labels, and types by family.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            values.insert(series.replace("datname=\"\",", ""), value.parse().unwrap());
        }
    }
    (values, types)
}

#[test]
fn series_and_values_are_postgres_exporters() {
    let Some(server) = Server::start() else { return };
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: {PROGRAM} is not installed, so nothing was compared with it");
        return;
    }
    let listen = free_port();
    let url = format!("postgresql://tester@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    let child = Command::new(PROGRAM)
        .arg(format!("--web.listen-address=127.0.0.1:{listen}"))
        .env("DATA_SOURCE_NAME", &url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _program = Program(child);
    let (_waker, wait) = std::sync::mpsc::channel::<()>();
    let theirs = (0..200).find_map(|_| {
        let _elapsed = wait.recv_timeout(Duration::from_millis(50));
        get(listen).filter(|text| text.contains("\npg_up 1"))
    });
    let (theirs, their_types) = parse(&theirs.expect("postgres_exporter answers"));
    let (ours, our_types) = parse(&look(Some(&url)));
    assert_eq!(ours["pg_exporter_last_scrape_error"], 0.0, "every question is answered");
    let meant = |series: &&String| !LEFT_OUT.iter().chain(&NEWER).any(|start| series.starts_with(start));
    let missing: Vec<_> = theirs.keys().filter(meant).filter(|s| !ours.contains_key(*s)).collect();
    let extra: Vec<_> = ours.keys().filter(meant).filter(|s| !theirs.contains_key(*s)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "postgres_exporter has, we do not: {missing:#?}; we have, it does not: {extra:#?}");
    for (name, kind) in their_types.iter().filter(|(name, _)| meant(name)) {
        assert_eq!(our_types.get(name), Some(kind), "type of {name}");
    }
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&words, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("CREATE SCHEMA odd; CREATE TABLE odd.\"Cam eras\" (id int PRIMARY KEY); ALTER ROLE tester CONNECTION LIMIT 7").await.unwrap();
    });
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
