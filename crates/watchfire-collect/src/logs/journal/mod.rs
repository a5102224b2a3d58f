//! Reads the systemd journal through `journalctl`, which runs beside us and writes entries as JSON. The cursor of the last entry that the
//! sink took is kept; entries carry their times, so one that is read twice is the same entry. Where there is no journal, nothing is read.

mod entry;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use watchfire_ingest::relabel::RelabelConfig;
use watchfire_net::backoff::Backoff;

use super::collector::origin;
use super::hand_over::{Cursors, LOG_CURSORS, hand_over};
use super::stages::{Pipeline, Stage, Surroundings as Around};
use super::{Delivery, Surroundings};

/// The kind of origin that lines of journals have.
pub(crate) const KIND: &str = "journal";
/// The longest entry as JSON; a longer one is left out.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of lines that go to the sink together.
const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// How long entries wait for others.
const GATHER: Duration = Duration::from_millis(500);
/// Pauses after the program ended.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A journal that is read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source among all; the cursor is kept under it.
    pub name: String,
    /// Labels of all lines.
    pub labels: BTreeMap<String, String>,
    /// Rules over the fields of an entry, `__journal_…`.
    pub relabel: Vec<RelabelConfig>,
    /// The stages.
    pub stages: Vec<Stage>,
    /// Whether the line is the whole entry as JSON; else it is its message.
    pub as_json: bool,
    /// How far back the first reading goes.
    pub max_age: Duration,
    /// Where the journal lies, if not in its usual place.
    pub directory: Option<PathBuf>,
    /// Conditions in the words of `journalctl`.
    pub matches: Vec<String>,
    /// A cursor that another program kept; it counts until there is one of ours.
    pub cursor: Option<String>,
}

/// Reads a journal until the future is dropped.
pub async fn run(source: Source, parts: Surroundings) {
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1, parts.clock.now().millis().unsigned_abs());
    loop {
        let cursor = match parts.state.get(LOG_CURSORS, &source.name) {
            Ok(kept) => kept.and_then(|bytes| String::from_utf8(bytes).ok()).or_else(|| source.cursor.clone()),
            Err(error) => {
                tracing::error!(%error, "the place in the journal cannot be read");
                None
            }
        };
        let mut command = Command::new("journalctl");
        command.args(arguments(&source, cursor.as_deref())).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(source = source.name, "there is no journalctl here, so no journal is read");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot start journalctl; it is tried again");
                tokio::time::sleep(backoff.next_wait()).await;
                continue;
            }
        };
        if let Some(output) = child.stdout.take()
            && follow(&source, &parts, output).await
        {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

fn arguments(source: &Source, cursor: Option<&str>) -> Vec<String> {
    let mut all: Vec<String> = ["--output=json", "--all", "--follow", "--no-pager", "--quiet", "--lines=all"].map(str::to_owned).into();
    match cursor {
        Some(cursor) => all.push(format!("--after-cursor={cursor}")),
        None => all.push(format!("--since=-{}s", source.max_age.as_secs())),
    }
    all.extend(source.directory.iter().map(|dir| format!("--directory={}", dir.display())));
    all.extend(source.matches.iter().cloned());
    all
}

/// Takes entries until the output ends; tells whether there was one.
async fn follow(source: &Source, parts: &Surroundings, output: impl AsyncRead + Unpin) -> bool {
    let mut reader = BufReader::with_capacity(64 << 10, output);
    let mut pipeline = Pipeline::new(&source.stages);
    let mut delivery = Delivery::default();
    let mut cursors = Cursors::new(source.name.clone(), parts);
    let (mut line, mut any, mut ended) = (Vec::new(), false, false);
    let mut place = 0;
    while !ended {
        let got = tokio::time::timeout(GATHER, next(&mut reader, &mut line)).await;
        let around = Around { now: parts.clock.now(), monotonic: parts.clock.monotonic(), figures: &parts.figures };
        let mut out = Vec::new();
        match got {
            Ok(true) => {
                any = true;
                parts.figures.lines.inc();
                parts.figures.bytes.add(line.len() as u64);
                match entry::read(source, &line, place, &parts.figures) {
                    Some((entry, at)) => {
                        cursors.note(place, at);
                        place += 1;
                        if let Some(entry) = entry {
                            pipeline.process(entry, &around, &mut out);
                        }
                    }
                    None => parts.figures.dropped("journal_malformed", 1),
                }
                line.clear();
            }
            Ok(false) => ended = true,
            // What is half read stays in `line`.
            Err(_) => {}
        }
        let quiet = got.is_err() || ended;
        pipeline.flush(ended, &around, &mut out);
        out.into_iter().for_each(|entry| delivery.add(entry));
        if quiet || delivery.bytes() >= DELIVERY_BYTES_MAX {
            hand_over(parts, &origin(KIND, &source.name), &mut delivery, &mut cursors, pipeline.held(), ended).await;
        }
    }
    any
}

/// Reads to the end of a line; nothing at the end of all.
async fn next(reader: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> bool {
    loop {
        let Ok(bytes) = reader.fill_buf().await else { return false };
        if bytes.is_empty() {
            return false;
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let used = end.map_or(bytes.len(), |at| at + 1);
        if line.len() <= ENTRY_BYTES_MAX {
            line.extend_from_slice(bytes.get(..end.unwrap_or(used)).unwrap_or(bytes));
        }
        reader.consume(used);
        if end.is_some() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests;
