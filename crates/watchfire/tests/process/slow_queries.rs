//! A real PostgreSQL: its slow statements are found. Other tests use it too. Skipped, loudly, where its server programs are not installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::containers::{alloy_with, count, engine};
use crate::server::{Server, until, wait_ms};

/// A database on a Unix socket, which ends with the test.
pub(crate) struct Database {
    bin: PathBuf,
    dir: tempfile::TempDir,
}

impl Database {
    /// Logs as the documents say; what it would write to its standard output goes to a file.
    pub(crate) fn start() -> Option<Database> {
        let places = (13..=18).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
        let Some(bin) = places.chain(["/usr/local/bin".into(), "/usr/bin".into()]).find(|p| p.join("initdb").exists() && p.join("pg_ctl").exists()) else {
            eprintln!("SKIPPED: no PostgreSQL server programs, so nothing was tested with a real database");
            return None;
        };
        let database = Database { bin, dir: tempfile::tempdir().unwrap() };
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root, so it belongs to the user that its package made.
            let given = Command::new("chown").arg("postgres").arg(database.dir.path()).status();
            if !given.is_ok_and(|s| s.success()) {
                eprintln!("SKIPPED: no user postgres to run the server as, so nothing was tested with a real database");
                return None;
            }
        }
        database.run("initdb", &["-D", "data", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]);
        let options = format!(
            "-c fsync=off -c listen_addresses='' -c unix_socket_directories='{}' -c log_timezone=UTC -c log_connections=on \
             -c log_min_duration_statement=1000 -c log_duration=on -c log_line_prefix='%t [%p] %u@%d '",
            database.dir.path().display()
        );
        database.run("pg_ctl", &["-D", "data", "-w", "-t", "60", "-l", "log", "-o", &options, "start"]);
        Some(database)
    }

    fn run(&self, program: &str, args: &[&str]) {
        let path = self.bin.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        let status = command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{program} {args:?}");
    }

    /// Its `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://tester@{}/postgres", self.dir.path().display().to_string().replace('/', "%2F"))
    }

    pub(crate) fn ask(&self, statement: &str) {
        let socket = self.dir.path().display().to_string();
        self.run("psql", &["-h", &socket, "-U", "tester", "-d", "postgres", "-c", statement]);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}
impl Drop for Database {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["-D", "data", "-w", "-m", "immediate", "stop"]);
        }
    }
}

fn monitored(dir: &Path, lines: Vec<String>) -> Server {
    let (monitoring, socket) = (dir.join("monitoring"), dir.join("podman.sock"));
    let _engine = engine(&socket, "postgres", lines.into_iter());
    alloy_with(&socket, &monitoring);
    Server::start(&dir.join("data"), &["--monitoring-dir", monitoring.to_str().unwrap()], &[])
}

#[test]
fn log_18_slow_statements_of_postgresql_are_found_by_their_duration() {
    let Some(database) = Database::start() else { return };
    database.ask("select 1");
    database.ask("select pg_sleep(1.1)");
    database.ask("checkpoint");
    until("the log is complete", || database.log(), |log| log.contains("checkpoint complete"));
    wait_ms(200);
    let log = database.log();
    let slow: Vec<&str> = log.lines().filter(|line| line.contains("statement: select pg_sleep(1.1)")).collect();
    assert_eq!(slow.len(), 1, "{log}");
    assert!(slow[0].contains("] tester@postgres LOG:  duration: 11"), "{log}");
    // The engine puts the time before each line, as Podman does.
    let at = |n: usize| watchfire_model::time::Timestamp(crate::containers::now_ms() - 5_000 + n as i64).rfc3339_millis();
    let lines: Vec<String> = log.lines().enumerate().map(|(n, line)| format!("{} {line}", at(n))).collect();
    let dir = tempfile::tempdir().unwrap();
    let (all, connections) = (lines.len(), log.matches("LOG:  connection ").count());
    let server = monitored(dir.path(), lines);
    until("all lines are there", || count(&server, r#"{container="postgres"}"#), |found| *found == all);
    for (query, expected) in [
        (r#"{container="postgres"} | pg_duration_ms > 1000"#, 1),
        (r#"{container="postgres"} | pg_duration_ms > 1000 |= "pg_sleep" |= "tester@postgres""#, 1),
        (r#"{container="postgres"} | pg_duration_ms != "" | pg_duration_ms < 1000 |= "statement:""#, 0),
        (r#"{container="postgres", pg_event="connection"}"#, connections),
        (r#"{container="postgres"} | pg_event="checkpoint" |= "checkpoint complete""#, 1),
    ] {
        assert_eq!(count(&server, query), expected, "{query} in {log}");
    }
    assert!(connections >= 3, "{log}");
    // The label that explodes elsewhere makes no streams here.
    let series = server.json(&format!("/loki/api/v1/series?match[]={}", crate::server::escape(r#"{container="postgres"}"#)));
    assert!(series["data"].as_array().unwrap().iter().all(|labels| labels["pg_duration_ms"].is_null()), "{series}");
}
