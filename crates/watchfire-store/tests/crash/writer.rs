//! The process that is killed, and who listens to it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use watchfire_model::time::{Clock, SystemClock};
use watchfire_model::write::{Sink, WriteError};
use watchfire_store::{LogOptions, Options, Store};

use crate::oracle::{commit_state, delete, request};

/// A writer that syncs only when it asks for it does so this often, in batches.
const ASK_EVERY: u64 = 17;

/// A short run has so many batches, and moves them into segments this often.
const SHORT: u64 = 40;
const SHORT_FLUSH: u64 = 12;

/// Opens a store in which files turn over many times within one run. `mode` is one of
/// `kill` (synced in the background), `strict` (synced before every acknowledgement), `asked` (synced only when the writer asks),
/// `short` (the same, without a thread of its own, and with an end).
pub(crate) fn open(dir: &Path, mode: &str) -> Result<Store, watchfire_store::OpenError> {
    let clock = SystemClock::shared();
    let sync_interval = match mode {
        "strict" => Duration::ZERO,
        "asked" | "short" => Duration::from_secs(3600),
        _ => Duration::from_millis(50),
    };
    let keeper = mode != "short";
    let logs = LogOptions { memory_max: 96 << 10, block_bytes: 2 << 10, unit_bytes: 8 << 10, ..LogOptions::default() };
    Store::open(Options { logs, memory_max: 48 << 10, wal_file_bytes: 16 << 10, sync_interval, min_free_bytes: 0, keeper, ..Options::new(dir, clock) })
}

/// Writes from batch `first` on, the first that is not stored yet. Prints `ack <n>` when batch `n` is acknowledged, `synced <n>` when it
/// must survive a power cut, and `error <what>` before it ends.
pub(crate) fn write(dir: &str, first: u64, mode: &str) -> ExitCode {
    match write_on(dir, first, mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_on(dir: &str, first: u64, mode: &str) -> Result<(), String> {
    let store = open(Path::new(dir), mode).map_err(|e| format!("cannot open: {e}"))?;
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| e.to_string());
    for n in first..if mode == "short" { SHORT } else { u64::MAX } {
        delete(&store, n).map_err(|e| format!("cannot delete before batch {n}: {e}"))?;
        let batch = request(n);
        let (wanted, wanted_logs) = (batch.sample_count() as u64, batch.logs.iter().map(|s| s.entries.len() as u64).sum::<u64>());
        let acknowledged = loop {
            match store.write(batch.clone()) {
                Ok(written) => break written,
                Err(WriteError::Busy(_)) => store.tick(),
                Err(error) => return Err(format!("cannot write batch {n}: {error}")),
            }
        };
        // Conservation: every sample is accounted for. A batch that was written but not acknowledged comes again as duplicates.
        if acknowledged.stored + acknowledged.duplicates != wanted {
            return Err(format!("batch {n}: {acknowledged:?} of {wanted} samples"));
        }
        if acknowledged.logs.stored + acknowledged.logs.duplicates != wanted_logs {
            return Err(format!("batch {n}: {acknowledged:?} of {wanted_logs} log entries"));
        }
        commit_state(&store, n)?;
        say(format!("ack {n}"))?;
        if mode == "asked" && n % ASK_EVERY == ASK_EVERY - 1 {
            store.sync();
            if let Some(reason) = store.stats().refusing {
                return Err(reason);
            }
            say(format!("synced {n}"))?;
        }
        if mode == "short" && n % SHORT_FLUSH == SHORT_FLUSH - 1 {
            store.flush().map_err(|e| e.to_string())?;
            store.merge().map_err(|e| e.to_string())?;
        }
        if mode == "short" && n % SHORT_FLUSH == SHORT_FLUSH / 2 {
            store.flush_logs().map_err(|e| e.to_string())?;
            store.merge_logs().map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// A writer at work.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    reader: JoinHandle<()>,
    /// The number of acknowledged batches.
    pub(crate) acknowledged: u64,
    /// The number of batches that were synced, as the writer knows.
    pub(crate) synced: u64,
    /// What the writer said before it ended.
    pub(crate) error: Option<String>,
}

impl Running {
    /// Starts a writer in a process of its own.
    pub(crate) fn start(dir: &Path, first: u64, mode: &str) -> Running {
        let program = std::env::current_exe().expect("our own path");
        let mut child = Command::new(program)
            .args(["writer", dir.to_str().expect("a plain path"), &first.to_string(), mode])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a writer");
        let output = child.stdout.take().expect("its output");
        let (send, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
        Running { child, lines, reader, acknowledged: first, synced: first, error: None }
    }
    /// Listens for a while, or until the writer ends.
    pub(crate) fn listen(&mut self, time: Duration) {
        let clock = SystemClock::new();
        while let Ok(line) = self.lines.recv_timeout(time.saturating_sub(clock.monotonic())) {
            self.take(line);
        }
    }
    fn take(&mut self, line: String) {
        let number = |word: &str| line.strip_prefix(word).and_then(|n| n.parse::<u64>().ok());
        if let Some(n) = number("ack ") {
            self.acknowledged = n + 1;
        } else if let Some(n) = number("synced ") {
            self.synced = n + 1;
        } else {
            self.error = Some(line);
        }
    }
    /// Kills the writer, if it still lives, and hears what it said to the end.
    pub(crate) fn kill(mut self) -> Heard {
        self.child.kill().expect("SIGKILL");
        let code = self.child.wait().expect("a dead child").code();
        let lines = std::mem::replace(&mut self.lines, mpsc::channel().1);
        std::mem::replace(&mut self.reader, std::thread::spawn(|| ())).join().expect("the reader");
        lines.iter().for_each(|line| self.take(line));
        Heard { acknowledged: self.acknowledged, error: self.error.clone(), panicked: code == Some(101) }
    }
}

/// What a writer has said.
pub(crate) struct Heard {
    pub(crate) acknowledged: u64,
    pub(crate) error: Option<String>,
    pub(crate) panicked: bool,
}
