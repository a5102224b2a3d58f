//! What became of a file that is no longer under its name, or was emptied there: the file beside it that begins with the same bytes,
//! renamed, copied or compressed. It looks into one directory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::position::{Id, Position};
use super::reading::{Reading, is_foreign};
use watchfire_model::order::Order as _;

/// The most files of a directory that are looked at.
const NEIGHBOURS_MAX: usize = 2_000;

/// What became of a file.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    pub(super) reading: Reading,
}

/// Looks for the file of a position among its neighbours; `but` is not it.
pub(super) fn successor(position: &Position, id: Option<Id>, but: &Path) -> Option<Found> {
    let dir = position.path.parent()?;
    let name = position.path.file_name()?.to_str()?;
    let stem = name.split('.').next().filter(|s| !s.is_empty()).unwrap_or(name);
    let mut candidates: Vec<(bool, std::time::SystemTime, PathBuf, Id)> = Vec::new();
    for entry in std::fs::read_dir(dir).ok()?.take(NEIGHBOURS_MAX).filter_map(Result::ok) {
        let path = entry.path();
        let Ok(about) = std::fs::metadata(&path) else { continue };
        if path == but || !about.is_file() || is_foreign(&path) {
            continue;
        }
        let same = id.is_some_and(|id| (id.device, id.inode) == (about.dev(), about.ino()));
        if same || entry.file_name().to_str().is_some_and(|n| n.starts_with(stem)) {
            candidates.push((same, about.modified().unwrap_or(std::time::UNIX_EPOCH), path, Id::of(&about)));
        }
    }
    // The file itself before its copies, and the newest copy first.
    candidates.order_by_key(|candidate| std::cmp::Reverse((candidate.0, candidate.1)));
    candidates.into_iter().find_map(|(same, _, path, id)| {
        let mut reading = Reading::open(&path).ok()?;
        let fits = if same { position.is_of(&mut reading) && position.before_matches(&mut reading) } else { position.goes_on_in(&mut reading) };
        fits.then_some(Found { path, id, reading })
    })
}
