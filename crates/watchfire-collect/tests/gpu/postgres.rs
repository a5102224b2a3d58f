//! A real PostgreSQL for the table `gpu_stats`. Skipped, loudly, where its server programs are not installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use watchfire_collect::gpu::GpuMonitor;
use watchfire_collect::gpu::database::Address;
use watchfire_model::live::{GpuOrigin, GpuView};
use watchfire_model::time::Timestamp;

use crate::bench::{Bench, smi_script};

/// Where distributions keep the server programs.
const PLACES: [&str; 7] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
    "/usr/local/bin",
    "/usr/bin",
];

/// A server of our own on a Unix socket; stopped when dropped.
struct Server {
    bin: PathBuf,
    dir: tempfile::TempDir,
    tls_port: Option<u16>,
}

impl Server {
    fn start() -> Option<Server> {
        let server = Server::prepared(None)?;
        server.up();
        Some(server)
    }

    /// A server that speaks TLS on a port, and the certificate to trust.
    fn start_with_tls() -> Option<(Server, Vec<u8>)> {
        let port = watchfire_testkit::ports::free_port();
        let server = Server::prepared(Some(port))?;
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
        let made = Command::new("openssl")
            .args(request)
            .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key", "-out", "tls.crt"])
            .current_dir(server.data())
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|s| s.success()) {
            eprintln!("SKIPPED: no openssl to make a certificate with, so TLS to the database was not tested");
            return None;
        }
        let der = Command::new("openssl").args(["x509", "-in", "tls.crt", "-outform", "DER"]).current_dir(server.data()).output().unwrap();
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").args(["postgres", "tls.key", "tls.crt"]).current_dir(server.data()).status().unwrap();
            assert!(given.success());
        }
        server.up();
        Some((server, der.stdout))
    }

    fn prepared(tls_port: Option<u16>) -> Option<Server> {
        let Some(bin) = PLACES.iter().map(Path::new).find(|p| p.join("initdb").exists() && p.join("pg_ctl").exists()) else {
            eprintln!("SKIPPED: no PostgreSQL server programs, so the table gpu_stats was not tested");
            return None;
        };
        let server = Server { bin: bin.to_owned(), dir: tempfile::tempdir().unwrap(), tls_port };
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root, so its directory and itself belong to the user that its package made.
            let given = Command::new("chown").arg("postgres").arg(server.dir.path()).status();
            if !given.is_ok_and(|s| s.success()) {
                eprintln!("SKIPPED: no user postgres to run the server as, so the table gpu_stats was not tested");
                return None;
            }
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]);
        Some(server)
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn up(&self) {
        let mut options = format!("-c fsync=off -c unix_socket_directories='{}'", self.dir.path().display());
        options += &match self.tls_port {
            Some(port) => format!(" -c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file=tls.crt -c ssl_key_file=tls.key"),
            None => " -c listen_addresses=''".to_owned(),
        };
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-t", "60", "-l", "/dev/null", "-o", &options, "start"]);
    }

    fn down(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
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

    fn url(&self) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgresql+asyncpg://tester:hunter2@{socket}/postgres")
    }

    async fn client(&self) -> Client {
        let port = self.tls_port.unwrap_or(5432);
        let config = format!("host={} port={port} user=tester dbname=postgres", self.dir.path().display());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.down();
        }
    }
}

/// Waits for a condition with a limit; the database answers when it answers.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

async fn count(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM gpu_stats", &[]).await.map_or(-1, |row| row.get(0))
}

/// A monitor whose loop does not poll within the test but keeps the database.
fn started(bench: &Bench, server: &Server) -> (GpuMonitor, tokio::task::JoinHandle<()>) {
    let smi = bench.program("nvidia-smi", &smi_script("heat"));
    bench.write("heat", "62");
    let monitor = bench.monitor(|s| {
        s.nvidia_smi_program = smi.into();
        s.set_poll_interval_seconds(60.0);
        s.database = Some(Address::parse(&server.url(), None).unwrap());
    });
    let running = tokio::spawn(monitor.clone().run());
    (monitor, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gpu_10_every_poll_writes_one_row_and_gpu_13_old_history_is_read_back() {
    let Some(server) = Server::start() else { return };
    let bench = Bench::new();
    let (monitor, running) = started(&bench, &server);
    eventually("connected", async || monitor.database_status().status == "healthy").await;
    // The loop polls once when it starts.
    eventually("first poll", async || monitor.current().is_some()).await;
    for _ in 0..11 {
        bench.clock.advance(Duration::from_secs(5));
        monitor.poll().await;
    }
    let client = server.client().await;
    eventually("twelve rows", async || count(&client).await == 12).await;
    let row = client.query_one("SELECT gpu_utilization, memory_used, memory_total, temperature, power_usage, inference_fps, recorded_at::text FROM gpu_stats ORDER BY recorded_at LIMIT 1", &[]).await.unwrap();
    assert_eq!((row.get::<_, f64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (45.0, 100, 10_000));
    assert_eq!((row.get::<_, f64>(3), row.get::<_, f64>(4), row.get::<_, Option<f64>>(5)), (62.0, 125.5, None));
    assert!(row.get::<_, String>(6).starts_with("2025-12-30 10:15:00"), "{}", row.get::<_, String>(6));
    let index = client.query_one("SELECT count(*) FROM pg_indexes WHERE tablename = 'gpu_stats' AND indexdef LIKE '%(recorded_at)'", &[]).await.unwrap();
    assert_eq!(index.get::<_, i64>(0), 1);
    running.abort();

    // After a restart memory is empty: what was before comes from the table.
    let (again, running) = started(&bench, &server);
    eventually("connected again", async || again.database_status().status == "healthy").await;
    eventually("polled again", async || again.current().is_some()).await;
    bench.clock.advance(Duration::from_secs(5));
    again.poll().await;
    let all = again.history(Timestamp::MIN, 1000).await;
    assert!(all.len() >= 13, "{} samples", all.len());
    assert!(all.is_sorted_by_key(|s| s.recorded_at));
    assert_eq!((all[0].name.as_str(), all[0].origin), ("NVIDIA RTX A5500", GpuOrigin::NvidiaSmi));
    assert_eq!((all[0].recorded_at, all[0].memory_used_mb), (Timestamp(1_767_089_700_000), Some(100)));
    let newest = again.history(Timestamp::MIN, 4).await;
    assert_eq!(newest.len(), 4);
    assert_eq!(newest.last().unwrap().recorded_at, again.current().unwrap().recorded_at);
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gpu_10_rows_wait_while_the_database_is_away() {
    let Some(server) = Server::start() else { return };
    let bench = Bench::new();
    // A table as the original's ORM makes it: other number types, one column more.
    let client = server.client().await;
    client.batch_execute("CREATE TABLE gpu_stats (id SERIAL PRIMARY KEY, recorded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), gpu_name VARCHAR(255), gpu_utilization FLOAT, memory_used INTEGER, memory_total INTEGER, temperature REAL, power_usage NUMERIC, inference_fps FLOAT)").await.unwrap();
    let (monitor, running) = started(&bench, &server);
    eventually("connected", async || monitor.database_status().status == "healthy").await;
    eventually("a row", async || count(&client).await == 1).await;
    drop(client);
    server.down();
    eventually("noticed", async || monitor.database_status().status == "unhealthy").await;
    assert!(!monitor.database_status().message.contains("hunter2"));
    for _ in 0..5 {
        bench.clock.advance(Duration::from_secs(5));
        monitor.poll().await;
    }
    assert_eq!(monitor.history(Timestamp::MIN, 100).await.len(), 6, "memory answers meanwhile");
    server.up();
    let client = server.client().await;
    eventually("the waiting rows", async || count(&client).await == 6).await;
    eventually("healthy again", async || monitor.database_status().status == "healthy").await;
    running.abort();
}

/// What to encrypt with: trusts one certificate.
fn trusting(certificate: Option<Vec<u8>>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(der) = certificate {
        roots.add(der.into()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Whether the database becomes healthy, and if so, whether the session is encrypted.
async fn encrypted(server: &Server, mode: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<bool, String> {
    let bench = Bench::new();
    let url = format!("postgresql://tester@localhost:{}/postgres?application_name=mode_{mode}&sslmode={mode}", server.tls_port.unwrap());
    let address = Address::parse(&url, tls).map_err(|e| e.to_string())?;
    let monitor = bench.monitor(|s| s.database = Some(address));
    let running = tokio::spawn(monitor.clone().run());
    eventually("an outcome", async || monitor.database_status().message.contains("connected to") || monitor.database_status().message.contains("cannot")).await;
    let status = monitor.database_status();
    if status.status != "healthy" {
        running.abort();
        return Err(status.message);
    }
    let query = "SELECT bool_or(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = $1";
    let row = server.client().await.query_one(query, &[&format!("mode_{mode}")]).await.unwrap();
    running.abort();
    Ok(row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_is_encrypted_as_sslmode_says() {
    let Some((server, certificate)) = Server::start_with_tls() else { return };
    let (known, unknown) = (|| Some(trusting(Some(certificate.clone()))), || Some(trusting(None)));
    assert_eq!(encrypted(&server, "require", known()).await, Ok(true));
    assert_eq!(encrypted(&server, "prefer", known()).await, Ok(true));
    assert_eq!(encrypted(&server, "prefer", unknown()).await, Ok(false), "falls back");
    assert_eq!(encrypted(&server, "disable", known()).await, Ok(false));
    let refused = encrypted(&server, "verify-full", unknown()).await.unwrap_err();
    assert!(refused.contains("certificate") || refused.contains("UnknownIssuer"), "{refused}");
    let refused = encrypted(&server, "require", None).await.unwrap_err();
    assert!(refused.contains("encryption"), "{refused}");
}
