//! The servers under test: how each is started and when it is ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bench_harness::process::{Process, bytes_under, free_port, last_lines};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Watchfire,
    Prometheus,
    VictoriaMetrics,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Watchfire, Kind::Prometheus, Kind::VictoriaMetrics];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Watchfire => "watchfire",
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria-metrics",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    fn ready_path(self) -> &'static str {
        if self == Kind::VictoriaMetrics { "/health" } else { "/-/ready" }
    }
}

/// How a server is run in this benchmark.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    /// Further lines of our configuration.
    pub(crate) settings: String,
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    pub(crate) process: Process,
}

impl Setup {
    /// Starts the server and returns at once.
    pub(crate) fn start(&self) -> Result<Server> {
        fs::create_dir_all(&self.dir)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let data = self.dir.join("data");
        let mut arguments: Vec<String> = Vec::new();
        match self.kind {
            Kind::Watchfire => {
                let config = self.dir.join("watchfire.yml");
                // This machine's own metrics stay out, so that all servers do the same work.
                fs::write(&config, format!("host: {{interval: 1h}}\nstorage: {{series_max: 4000000, source_series_max: 4000000}}\n{}", self.settings))?;
                arguments.extend(["serve".into(), "--config".into(), shown(&config), "--listen".into(), address.clone(), "--data-dir".into(), shown(&data)]);
            }
            Kind::Prometheus => {
                let config = self.dir.join("prometheus.yml");
                fs::write(&config, "global: {}\n")?;
                arguments.extend([
                    format!("--config.file={}", shown(&config)),
                    format!("--storage.tsdb.path={}", shown(&data)),
                    format!("--web.listen-address={address}"),
                    "--web.enable-remote-write-receiver".into(),
                    "--web.enable-admin-api".into(),
                    "--query.max-samples=500000000".into(),
                    "--log.level=warn".into(),
                ]);
            }
            Kind::VictoriaMetrics => arguments.extend([
                format!("-storageDataPath={}", shown(&data)),
                format!("-httpListenAddr={address}"),
                "-retentionPeriod=100y".into(),
                "-search.maxUniqueTimeseries=5000000".into(),
                "-search.maxSeries=5000000".into(),
                "-loggerLevel=WARN".into(),
            ]),
        }
        let process = Process::start(&self.binary, &arguments, &self.dir.join("log"))?;
        Ok(Server { kind: self.kind, address, process })
    }

    /// The bytes of all files of its data directory.
    pub(crate) fn disk_bytes(&self) -> u64 {
        bytes_under(&self.dir.join("data"))
    }

    /// The last lines that the server said.
    pub(crate) fn last_words(&self) -> String {
        last_lines(&self.dir.join("log"))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it says that it is ready; returns how long that took since its start.
    pub(crate) fn wait_ready(&mut self) -> Result<Duration> {
        self.process.wait_ready(&self.address, self.kind.ready_path()).with_context(|| self.kind.name().to_owned())
    }

    /// A clean stop.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.stop()
    }
}
