//! The positions that earlier runs kept: which source goes on with them, and when they are forgotten. It opens no log file.

use std::collections::{HashMap, HashSet};

use watchfire_model::order::Order as _;
use watchfire_model::state::{Change, StateStore};

use super::Source;
use super::position::{self, Id, LOG_FILES, Position};

/// Positions of files that are gone are forgotten after so long.
const FORGET_AFTER_MS: i64 = 7 * 86_400_000;
/// Positions of sources that nobody configures any more are kept for so long, should they come back.
const FORGET_SOURCE_AFTER_MS: i64 = 30 * 86_400_000;

/// Positions by source and file.
pub(super) type Known = HashMap<(usize, Id), Position>;

/// Reads the positions of the sources. One that is new goes on where another stopped that is not there any more and read the same
/// files: a source that has another name now must not read everything again.
pub(super) fn load(state: &dyn StateStore, sources: &[Source]) -> Known {
    let all = match state.scan(LOG_FILES, "") {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(%error, "positions of log files cannot be read; the files are read from their begin");
            return Known::new();
        }
    };
    let by_name: HashMap<&str, usize> = sources.iter().enumerate().map(|(i, source)| (source.name.as_str(), i)).collect();
    let (mut known, mut others) = (Known::new(), Vec::new());
    for (key, value) in &all {
        let (Some(name), Some((id, position))) = (position::source_of(key), position::read(key, value)) else { continue };
        match by_name.get(name) {
            Some(source) => drop(known.insert((*source, id), position)),
            None => others.push((name, id, position)),
        }
    }
    let old: HashSet<usize> = known.keys().map(|(source, _)| *source).collect();
    let mut changes = Vec::new();
    for (name, id, position) in others {
        let heir = sources.iter().enumerate().position(|(i, source)| !old.contains(&i) && !known.contains_key(&(i, id)) && takes_over(source, name, &position));
        if let Some(heir) = heir {
            changes.extend([position::put(&sources[heir].name, id, &position), position::delete(name, id)]);
            known.insert((heir, id), position);
        }
    }
    if !changes.is_empty()
        && let Err(error) = state.commit(&changes)
    {
        tracing::error!(%error, "positions of log files cannot be kept under other names; that is tried again with the next start");
    }
    known
}

/// How far a file is read, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Kept {
    pub(in super::super) source: String,
    pub(in super::super) path: String,
    pub(in super::super) offset: u64,
    /// Nothing for a file that is gone.
    pub(in super::super) size: Option<u64>,
    /// Whether a compressed file is read to its end.
    pub(in super::super) whole: bool,
}

/// The most files that are told.
const TOLD_MAX: usize = 1_000;

/// How far the files of these sources are read, by path. Files of which nothing was read yet have no position.
pub(in super::super) fn kept(state: &dyn StateStore, sources: &[String]) -> Vec<Kept> {
    let mut out = Vec::new();
    for (key, value) in state.scan(LOG_FILES, "").unwrap_or_default() {
        let (Some(name), Some((_, position))) = (position::source_of(&key), position::read(&key, &value)) else { continue };
        if sources.iter().any(|source| source == name) {
            let size = std::fs::metadata(&position.path).ok().map(|about| about.len());
            let whole = position.done.is_some();
            out.push(Kept { source: name.to_owned(), path: position.shown.display().to_string(), offset: position.offset, size, whole });
        }
    }
    out.order_by(|a, b| a.path.cmp(&b.path));
    out.truncate(TOLD_MAX);
    out
}

/// Whether a source would have read the file of a position.
fn takes_over(source: &Source, name: &str, position: &Position) -> bool {
    let kind = |name: &str| name.split('/').next().map(str::to_owned);
    kind(&source.name) == kind(name) && source.groups.iter().any(|group| group.paths.iter().any(|glob| glob.matches(&position.shown)))
}

/// Forgets the positions of files that are gone for long, and those of sources that nobody configures. `is_open` are read at the moment.
pub(super) fn forget(state: &dyn StateStore, sources: &[Source], known: &mut Known, now: i64, is_open: impl Fn(&(usize, Id)) -> bool) {
    let is_over = |p: &Position| now - p.kept > FORGET_AFTER_MS && !p.path.exists();
    let gone: Vec<(usize, Id)> = known.iter().filter(|(at, p)| !is_open(at) && is_over(p)).map(|(at, _)| *at).collect();
    let mut changes: Vec<Change> = gone.iter().map(|at| position::delete(&sources[at.0].name, at.1)).collect();
    let names: HashSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    for (key, value) in state.scan(LOG_FILES, "").unwrap_or_default() {
        let over = match (position::source_of(&key), position::read(&key, &value)) {
            (Some(name), Some((_, position))) => !names.contains(name) && now - position.kept > FORGET_SOURCE_AFTER_MS,
            // Nobody can read it.
            _ => true,
        };
        if over {
            changes.push(Change::Delete(LOG_FILES, key));
        }
    }
    if !changes.is_empty() && state.commit(&changes).is_ok() {
        gone.iter().for_each(|at| drop(known.remove(at)));
    }
}
