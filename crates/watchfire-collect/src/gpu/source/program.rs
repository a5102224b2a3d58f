//! A maker's program as a child process: started without a shell, killed when it takes too long, what it prints bounded. What its words mean
//! is known by those who ask it.

use std::ffi::OsString;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::LOCAL_TIMEOUT;

/// How long a killed child may take to end.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);
/// Some hundred bytes per GPU are expected.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;

pub(crate) struct Program {
    name: OsString,
    search_path: Option<OsString>,
    /// A variable of its environment.
    variable: (&'static str, &'static str),
    /// A child that did not even end when it was killed (a driver that hangs): no other is started beside it.
    stuck: tokio::sync::Mutex<Option<Child>>,
}

impl Program {
    pub(crate) fn new(name: OsString, search_path: Option<OsString>, variable: (&'static str, &'static str)) -> Program {
        Program { name, search_path, variable, stuck: tokio::sync::Mutex::default() }
    }

    /// Runs it; whether it succeeded, and what it printed. `TimedOut` is a program that hangs.
    pub(crate) async fn run(&self, arguments: &[&str]) -> std::io::Result<(bool, String)> {
        let mut stuck = self.stuck.lock().await;
        if let Some(child) = stuck.as_mut() {
            match child.try_wait() {
                Ok(None) => return Err(Error::new(ErrorKind::TimedOut, "an earlier call still hangs")),
                _ => *stuck = None,
            }
        }
        let mut child = self.start(arguments)?;
        let stdout = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        let working = async {
            let mut bytes = Vec::new();
            stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await?;
            let status = child.wait().await?;
            Ok((status.success(), String::from_utf8_lossy(&bytes).into_owned()))
        };
        if let Ok(outcome) = tokio::time::timeout(LOCAL_TIMEOUT, working).await {
            return outcome;
        }
        child.start_kill()?;
        if tokio::time::timeout(KILL_TIMEOUT, child.wait()).await.is_err() {
            *stuck = Some(child);
        }
        Err(Error::new(ErrorKind::TimedOut, "no answer within 5 s"))
    }

    /// Whether the program may be there. A process that fails to start costs more than a look at some directories.
    fn is_there(&self) -> bool {
        let Some(path) = self.search_path.as_ref().filter(|_| Path::new(&self.name).components().count() == 1) else { return true };
        std::env::split_paths(path).any(|dir| dir.join(&self.name).is_file())
    }

    fn start(&self, arguments: &[&str]) -> std::io::Result<Child> {
        if !self.is_there() {
            return Err(ErrorKind::NotFound.into());
        }
        Command::new(&self.name)
            .args(arguments)
            .env(self.variable.0, self.variable.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_program_is_known_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("smi"), "").unwrap();
        let check = |program: &str, path: Option<&Path>, expected| {
            let path = path.map(|p| std::env::join_paths([Path::new("/nonexistent"), p]).unwrap());
            let program = Program::new(program.into(), path, ("LC_ALL", "C"));
            assert_eq!(program.is_there(), expected, "{:?}", program.name);
        };
        check("smi", Some(dir.path()), true);
        check("other", Some(dir.path()), false);
        check("other", None, true);
        check("/nonexistent/smi", Some(dir.path()), true);
    }
}
