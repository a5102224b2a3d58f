//! Pythons with real clients of the protocols that we take, kept beside the build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::server::{BINARY, installed};

/// The clients, from PyPI.
const PACKAGES: [&str; 13] = [
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
    "pyroscope-io==1.4.0",
];

/// What our own client for Python stands on, and what its tests use. FastAPI wants a newer OpenTelemetry than the others.
const OUR_CLIENT: [&str; 13] = [
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
    "opentelemetry-instrumentation-fastapi==0.66b2",
    "opentelemetry-instrumentation-httpx==0.66b2",
    "opentelemetry-instrumentation-redis==0.66b2",
    "opentelemetry-instrumentation-sqlalchemy==0.66b2",
    "fastapi==0.165.0",
    "httpx==0.28.1",
    "pytest==9.2.0",
    "redis==7.1.0",
    "sqlalchemy==2.0.44",
    "uvicorn==0.54.0",
];

/// The interpreter with other people's clients. `None`, loudly, where they cannot be had.
pub(crate) fn python() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| make("clients-python", &PACKAGES)).clone()
}

/// The interpreter with what our own client needs. `None`, loudly, where it cannot be had.
pub(crate) fn python_for_our_client() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| make("watchfire-python", &OUR_CLIENT)).clone()
}

/// Made once per build directory.
fn make(name: &str, packages: &[&str]) -> Option<PathBuf> {
    if !installed("python3") {
        return None;
    }
    let home = Path::new(BINARY).parent()?.parent()?.join(name);
    let python = home.join("bin/python");
    let ready = home.join("ready");
    let listed = packages.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|had| had == listed) {
        return Some(python);
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]).args(packages));
    if !made || std::fs::write(&ready, listed).is_err() {
        eprintln!("SKIPPED: the packages of {name} cannot be installed");
        return None;
    }
    Some(python)
}

/// Another version of a client, in a place of its own for `PYTHONPATH`. `None`, loudly, where it cannot be had.
pub(crate) fn also(requirement: &str) -> Option<PathBuf> {
    let home = Path::new(BINARY).parent()?.parent()?.join(format!("clients-{}", requirement.replace("==", "-")));
    let ready = home.join("ready");
    if ready.exists() {
        return Some(home);
    }
    let mut command = Command::new(python()?);
    command.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--target"]).arg(&home).arg(requirement);
    if !command.output().is_ok_and(|output| output.status.success()) || std::fs::write(&ready, "").is_err() {
        eprintln!("SKIPPED: {requirement} cannot be installed");
        return None;
    }
    Some(home)
}
