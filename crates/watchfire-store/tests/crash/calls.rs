//! Death, and errors of the disk, at every system call of a short run, in the unchanged program: strace puts them in.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::oracle::{Account, verify};
use crate::{Outcome, Random};

/// The calls that change something, and what happens to them.
const FAULTS: [(&str, &str); 11] = [
    ("pwrite64", "signal=KILL"),
    ("fdatasync", "signal=KILL"),
    ("fsync", "signal=KILL"),
    ("openat", "signal=KILL"),
    ("?rename,?renameat", "signal=KILL"),
    ("?unlink,?unlinkat", "signal=KILL"),
    ("ftruncate", "signal=KILL"),
    ("?mkdir,?mkdirat", "signal=KILL"),
    ("pwrite64", "error=EIO"),
    ("fdatasync", "error=EIO"),
    ("fsync", "error=EIO"),
];

/// Hits every `stride`th call.
pub(crate) fn run(stride: u64, random: &mut Random) -> Outcome {
    let trial = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !trial.is_ok_and(|status| status.success()) {
        return Outcome::Skipped("strace is not there or may not trace".into());
    }
    // A wrong build loses something at some of the calls only: where it has to be caught, every call is tried until one does.
    let stride = if crate::CANARY { 1 } else { stride };
    let mut hits = 0;
    for (call, fault) in FAULTS {
        let mut at = 1 + random.below(stride);
        loop {
            match hit(call, fault, at) {
                Err(error) => return Outcome::Fault(format!("{call} number {at}, {fault}: {error}")),
                Ok(false) => break,
                Ok(true) => hits += 1,
            }
            at += stride;
        }
    }
    match hits {
        0 => Outcome::Fault("not one call was hit, so nothing was tried".into()),
        _ => Outcome::Passed(format!("{hits} system calls died or failed, nothing acknowledged was lost")),
    }
}

/// Lets one call of a run fail and verifies what is left; returns whether the run had so many of them.
fn hit(call: &str, fault: &str, at: u64) -> Result<bool, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (data, trace) = (place.path().join("data"), place.path().join("trace"));
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", text(&trace), "-e", &format!("trace={call}"), "-e", &format!("inject={call}:{fault}:when={at}"), "--"])
        .args([text(&program), "writer", text(&data), "0", "short"])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    let traced = std::fs::read_to_string(&trace).map_err(|e| e.to_string())?;
    if output.status.code() == Some(101) {
        return Err(format!("the writer panicked: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let acknowledged = said.lines().filter(|line| line.starts_with("ack ")).count() as u64;
    if traced.contains("INJECTED") || traced.contains("killed by SIGKILL") {
        let account = Account::exact(acknowledged);
        return verify(&data, account).map(|_| true);
    }
    if output.status.success() { Ok(false) } else { Err(format!("a run that nothing was done to: {said}")) }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
