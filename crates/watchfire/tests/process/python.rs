//! A Python with real clients of the protocols that we take, kept beside the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{BINARY, installed};

/// The clients, from PyPI.
const PACKAGES: [&str; 12] = [
    "opentelemetry-sdk==1.38.0",
    "opentelemetry-exporter-otlp-proto-http==1.38.0",
    "opentelemetry-exporter-otlp-proto-grpc==1.38.0",
    "prometheus-client==0.23.1",
    "influxdb-client==1.49.0",
    "statsd==4.0.1",
    "redis==7.1.0",
    "openai==3.57.0",
    "elasticsearch==9.1.3",
    "python-logging-loki==0.3.1",
    "pylogbeat==2.1.0",
    "pygelf==0.4.3",
];

/// The interpreter. `None`, loudly, where the clients cannot be had. Made once per build directory.
pub(crate) fn python() -> Option<PathBuf> {
    static MADE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Option<PathBuf> {
    if !installed("python3") {
        return None;
    }
    let home = Path::new(BINARY).parent()?.parent()?.join("clients-python");
    let python = home.join("bin/python");
    let ready = home.join("ready");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|had| had == packages) {
        return Some(python);
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]).args(PACKAGES));
    if !made || std::fs::write(&ready, packages).is_err() {
        eprintln!("SKIPPED: the clients for Python cannot be installed");
        return None;
    }
    Some(python)
}
