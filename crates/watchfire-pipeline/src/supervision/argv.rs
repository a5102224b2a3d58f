//! Runs a program that the configuration names: an absolute path and its arguments as they stand there, without a shell, with an empty
//! environment, in a process group of its own that is killed when the time is over. It decides nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How long a program may run.
pub(crate) const RUN_TIME_MAX: Duration = Duration::from_secs(30);
/// How much of what it writes is kept, both outputs together. The rest is read and thrown away.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// How many words a command may have.
pub(crate) const WORDS_MAX: usize = 64;
/// How long we go on reading after the program itself has ended, when somebody it started still holds its outputs.
const LINGER: Duration = Duration::from_millis(500);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    program: PathBuf,
    arguments: Vec<String>,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether its exit code was 0.
    pub(crate) success: bool,
    /// `exit status 1`, `signal 9`.
    pub(crate) how: String,
    /// What it wrote, as text, at most [`OUTPUT_BYTES_MAX`].
    pub(crate) output: String,
    /// How many bytes it wrote beyond that.
    pub(crate) dropped_bytes: u64,
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgvError {
    /// It is no command.
    #[error("cannot run this command: {0}")]
    Unfit(String),
    /// It could not be started.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It took too long; the whole process group was killed.
    #[error("{program} did not end within {limit:?} and was killed with everything it started")]
    Timeout {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
}

impl Argv {
    /// A command of some words, the first of which is the absolute path of a program.
    pub(crate) fn new(words: Vec<String>) -> Result<Argv, ArgvError> {
        let unfit = |why: &str| ArgvError::Unfit(why.to_owned());
        if words.len() > WORDS_MAX {
            return Err(ArgvError::Unfit(format!("it has more than {WORDS_MAX} words")));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(unfit("no word may hold a zero byte"));
        }
        let mut words = words.into_iter();
        let program = PathBuf::from(words.next().ok_or_else(|| unfit("it has no words"))?);
        if !program.is_absolute() {
            return Err(unfit("its first word must be the absolute path of a program; there is no shell and no search path"));
        }
        Ok(Argv { program, arguments: words.collect() })
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// All words, for people.
    pub(crate) fn shown(&self) -> String {
        std::iter::once(self.program.display().to_string()).chain(self.arguments.iter().cloned()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it. Whoever drops the future kills the process group.
    pub(crate) async fn run(&self, limit: Duration) -> Result<Ended, ArgvError> {
        let limit = limit.min(RUN_TIME_MAX);
        let failed = |error: std::io::Error| ArgvError::Start { program: self.program.clone(), reason: error.to_string() };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let (mut out, mut err) = (Kept::default(), Kept::default());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let reading = async {
                tokio::join!(drain(stdout, &mut out), drain(stderr, &mut err));
            };
            tokio::pin!(reading);
            let mut read = false;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    () = &mut reading, if !read => read = true,
                }
            };
            if !read {
                // Readers that are late keep what they have.
                drop(tokio::time::timeout(LINGER, reading).await);
            }
            status
        };
        let Ok(status) = tokio::time::timeout(limit, work).await else {
            group.kill();
            // The child is dead by now; this takes its entry out of the process table.
            drop(child.wait().await);
            return Err(ArgvError::Timeout { program: self.program.clone(), limit });
        };
        // What a restart leaves running is the service.
        group.leave();
        let status = status.map_err(failed)?;
        Ok(Ended { success: status.success(), how: how(status), output: text(&out, &err), dropped_bytes: dropped(&out, &err) })
    }
}

fn how(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown end".to_owned(),
    }
}

/// What was read of one output.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    all: u64,
}

async fn drain(from: Option<impl AsyncRead + Unpin>, kept: &mut Kept) {
    let Some(mut from) = from else { return };
    let mut piece = [0u8; 4096];
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        kept.all += n as u64;
        let room = OUTPUT_BYTES_MAX - kept.bytes.len();
        kept.bytes.extend_from_slice(&piece[..n.min(room)]);
    }
}

fn text(out: &Kept, err: &Kept) -> String {
    let both: Vec<u8> = out.bytes.iter().chain(&err.bytes).take(OUTPUT_BYTES_MAX).copied().collect();
    String::from_utf8_lossy(&both).into_owned()
}

fn dropped(out: &Kept, err: &Kept) -> u64 {
    let kept = (out.bytes.len() + err.bytes.len()).min(OUTPUT_BYTES_MAX) as u64;
    out.all + err.all - kept
}

/// A process group that dies with this, unless it is let go.
struct Group(Option<Pid>);
impl Group {
    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            // A group that has ended by itself is what was wanted.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
    fn leave(&mut self) {
        self.0 = None;
    }
}
impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Argv {
        Argv::new(words.iter().map(|w| (*w).to_owned()).collect()).unwrap()
    }

    #[test]
    fn r54_only_absolute_programs_are_commands() {
        for words in [&["sh", "-c", "true"][..], &[], &["./x"], &["/bin/echo", "a\0b"], &["/bin/echo"; 65]] {
            assert!(Argv::new(words.iter().map(|w| (*w).to_owned()).collect()).is_err(), "{words:?}");
        }
    }

    #[tokio::test]
    async fn r54_no_shell_and_an_empty_environment() {
        let ended = argv(&["/bin/echo", "$HOME; touch /tmp/x `id` $(id) | cat"]).run(RUN_TIME_MAX).await.unwrap();
        assert_eq!((ended.success, ended.output.as_str()), (true, "$HOME; touch /tmp/x `id` $(id) | cat\n"));
        let environment = argv(&["/usr/bin/env"]).run(RUN_TIME_MAX).await.unwrap();
        assert_eq!(environment.output, "");
        assert_eq!(argv(&["/bin/false"]).run(RUN_TIME_MAX).await.unwrap().how, "exit status 1");
        assert!(matches!(argv(&["/nowhere/to/be/found"]).run(RUN_TIME_MAX).await, Err(ArgvError::Start { .. })));
    }

    #[tokio::test]
    async fn r54_output_is_bounded_and_what_is_dropped_is_counted() {
        let ended = argv(&["/usr/bin/head", "-c", "200000", "/dev/zero"]).run(RUN_TIME_MAX).await.unwrap();
        assert_eq!((ended.output.len(), ended.dropped_bytes), (OUTPUT_BYTES_MAX, 200_000 - OUTPUT_BYTES_MAX as u64));
    }

    #[tokio::test]
    async fn r54_a_late_program_is_killed_with_everything_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; sleep 600", pid_file.display());
        let late = argv(&["/bin/sh", "-c", &script]).run(Duration::from_millis(500)).await;
        assert!(matches!(late, Err(ArgvError::Timeout { .. })), "{late:?}");
        let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        let gone = || !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..1000 {
            if gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the grandchild {pid} still runs");
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_is_left_running() {
        let ended = argv(&["/bin/sh", "-c", "sleep 600 & echo $!"]).run(RUN_TIME_MAX).await.unwrap();
        let pid: i32 = ended.output.trim().parse().unwrap();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
}
