//! The frontend: a page, by HTTPS too where openssl is installed, and the requests that one that is open makes. Its certificate is its own.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::faults::Known;
use crate::http::{self, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::process::{self, Running};

/// The port for HTTPS at the frontend's address.
pub(crate) const TLS_PORT: u16 = 8443;
/// How many days its certificate is good, and one that is about to end.
const DAYS: &str = "365";
const DAYS_LEFT: &str = "2";
const TIMEOUT: Duration = Duration::from_secs(2);

const FAULTS: &[Known] = &[("certificate-ends", "the page is served with a certificate that ends in two days")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("frontend", plan, FAULTS);
    part.every(300, |part| {
        // Without an answer the page shows what it had.
        drop(http::ask(&part.plan.address("backend"), "GET", "/api/events/stats", b"", TIMEOUT));
    })?;
    let dir = part.plan.dir.join("frontend");
    std::fs::create_dir_all(&dir)?;
    let ip = part.plan.ip("frontend");
    // Without openssl there is only HTTP, and the probe says so.
    if let (Ok(good), Ok(ending)) = (certificate(&dir, "good", DAYS, &ip), certificate(&dir, "ending", DAYS_LEFT, &ip)) {
        let mut running: Option<(bool, Running)> = None;
        part.every(100, move |part| {
            let ends = part.faults.is("certificate-ends");
            if running.as_mut().is_none_or(|(now, server)| *now != ends || server.has_ended()) {
                running = None;
                running = serve(if ends { &ending } else { &good }, &ip).ok().map(|server| (ends, server));
            }
        })?;
    }
    part.serve("/metrics", |request| (request.path == "/").then(|| Response::text(200, "the page\n".to_owned())))?;
    part.live()
}

/// Makes a certificate for an address, beside its key.
fn certificate(dir: &Path, name: &str, days: &str, ip: &str) -> Result<PathBuf> {
    let path = dir.join(format!("{name}.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=frontend", "-days", days]);
    command.args(["-addext", &format!("subjectAltName=IP:{ip}"), "-keyout"]).arg(path.with_extension("key")).arg("-out").arg(&path);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(path) } else { Err(Error::other("cannot make a certificate: openssl did not")) }
}

fn serve(certificate: &Path, ip: &str) -> Result<Running> {
    let mut command = process::bound("openssl");
    command.args(["s_server", "-quiet", "-www", "-accept", &format!("{ip}:{TLS_PORT}"), "-cert"]).arg(certificate);
    command.arg("-key").arg(certificate.with_extension("key"));
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}
