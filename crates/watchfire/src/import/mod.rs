//! `watchfire import`: what another Prometheus has kept (blocks) or what stands in OpenMetrics text comes into a running server,
//! or into a data directory that nobody uses. Samples of any age are taken; what is there already counts as a duplicate, so that
//! an import can be run again after an interruption.

mod blocks;
mod openmetrics;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command_line::ImportFlags;
use crate::settings::Environment;
use target::Target;
use watchfire_model::order::Order as _;

/// What became of everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    stored: u64,
    duplicates: u64,
    /// Refused by reason: samples, or chunks and lines that could not be read.
    refused: BTreeMap<String, u64>,
    example: Option<String>,
}
impl Counts {
    fn refuse(&mut self, reason: &str, count: u64, example: impl FnOnce() -> String) {
        *self.refused.entry(reason.to_owned()).or_default() += count;
        self.example.get_or_insert_with(example);
    }
}

/// Runs the command: 0 when everything is there now, 1 when something was refused, 2 when a file is not what it should be.
pub(crate) fn run(flags: &ImportFlags, environment: &Environment) -> ExitCode {
    let mut counts = Counts::default();
    let outcome = import(flags, environment, &mut counts);
    println!("{} samples stored, {} were there already", counts.stored, counts.duplicates);
    for (reason, count) in &counts.refused {
        println!("refused: {reason}: {count}");
    }
    if let Some(example) = &counts.example {
        println!("for example {example}");
    }
    match outcome {
        Err(error) => {
            eprintln!("watchfire: {error:#}");
            ExitCode::from(2)
        }
        Ok(()) if counts.refused.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn import(flags: &ImportFlags, environment: &Environment, counts: &mut Counts) -> Result<()> {
    // All names are looked at before anything is written.
    let sources = flags.paths.iter().map(|p| look(p)).collect::<Result<Vec<_>>>()?;
    let mut target = Target::open(flags, environment)?;
    let mut blocks = Vec::new();
    for source in sources {
        match source {
            Source::Blocks(found) => blocks.extend(found),
            Source::Text(path) => openmetrics::import(&path, &mut target, counts).with_context(|| format!("cannot import {}", path.display()))?,
        }
    }
    // Older blocks first, whatever their order on the command line.
    blocks.order_by_key(|block| (block.start, block.dir.clone()));
    let total = blocks.len();
    for (i, block) in blocks.iter().enumerate() {
        eprintln!("block {} of {total}: {}", i + 1, block.dir.display());
        blocks::import(block, &mut target, counts).with_context(|| format!("cannot import {}", block.dir.display()))?;
    }
    target.finish(counts)
}

enum Source {
    Blocks(Vec<blocks::Block>),
    Text(PathBuf),
}

/// What a path is: a block, a directory with blocks, or a text.
fn look(path: &Path) -> Result<Source> {
    if !path.is_dir() {
        std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(Source::Text(path.to_owned()));
    }
    if let Some(block) = blocks::Block::at(path)? {
        return Ok(Source::Blocks(vec![block]));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?.path();
        if entry.is_dir()
            && let Some(block) = blocks::Block::at(&entry)?
        {
            found.push(block);
        }
    }
    if found.is_empty() {
        bail!("{} is neither a block of Prometheus nor a directory with blocks (a server's own data need a snapshot first)", path.display());
    }
    // Prometheus leaves the newest hours there, also when it is stopped.
    if path.join("wal").is_dir() {
        eprintln!("the newest hours of {} are in no block yet and are not imported; a snapshot of the running server has them", path.display());
    }
    Ok(Source::Blocks(found))
}
