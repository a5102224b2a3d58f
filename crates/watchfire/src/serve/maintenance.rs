//! Work on the store that people ask for: deletions, snapshots, and snapshots that are fetched as backups. Snapshots lie in
//! `snapshots/` below the data directory; those of backups are removed when they were fetched, or after a day.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_api::app::{BackupError, Maintenance};
use watchfire_api::auth::TOKEN_FILE;
use watchfire_model::batch::Batch;
use watchfire_model::matcher::Matcher;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_store::Store;

/// Where snapshots lie.
const SNAPSHOTS: &str = "snapshots";
/// How the names of backups' snapshots begin.
const BACKUP: &str = "backup-";
/// The most bytes that are given at once.
const PIECE_BYTES: u64 = 4 << 20;
/// How long a backup that nobody finishes stays.
const BACKUP_AGE_MAX_MS: i64 = 24 * 3_600_000;

/// The store as an import sees it: samples of any age are taken.
pub(crate) struct Backfill(pub(crate) Arc<Store>);
impl Sink for Backfill {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.0.backfill(batch)
    }
}

/// Works on one store.
pub(super) struct Keeper {
    pub(super) store: Arc<Store>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: SharedClock,
}

impl Keeper {
    fn dir(&self) -> PathBuf {
        self.data_dir.join(SNAPSHOTS)
    }
    /// A name with the time in it that nobody can guess.
    fn name(&self) -> String {
        let second = self.clock.now().millis() / 1_000 * 1_000;
        let time = Timestamp(second).rfc3339().replace(['-', ':'], "");
        format!("{time}-{:016x}", std::hash::RandomState::new().build_hasher().finish())
    }
    /// The directory of a backup, by a name that came from outside.
    fn backup(&self, name: &str) -> Result<PathBuf, BackupError> {
        let plain = name.starts_with(BACKUP) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let dir = self.dir().join(name);
        if plain && dir.is_dir() { Ok(dir) } else { Err(BackupError::Unknown) }
    }
    /// Removes backups that nobody finished.
    fn tidy(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(self.dir()) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(BACKUP) {
                continue;
            }
            let age = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
            if self.clock.now().millis() - age > BACKUP_AGE_MAX_MS {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// All files below a directory with their sizes, by path.
pub(crate) fn files_below(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    fn walk(dir: &Path, prefix: &str, found: &mut Vec<(String, u64)>) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{path}/"), found)?;
            } else {
                found.push((path, entry.metadata()?.len()));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(dir, "", &mut found)?;
    found.sort();
    Ok(found)
}

impl Maintenance for Keeper {
    fn delete_series(&self, sets: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Result<(), String> {
        let deletion = self.store.delete_series(sets, start, end).map_err(|e| e.to_string())?;
        tracing::info!(series = deletion.series, segments = deletion.segments, "series deleted");
        Ok(())
    }
    fn clean_tombstones(&self) -> Result<(), String> {
        let files = self.store.clean_tombstones().map_err(|e| e.to_string())?;
        tracing::info!(files, "deleted samples removed from files");
        Ok(())
    }
    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        let name = self.name();
        let report = self.store.snapshot(&self.dir().join(&name), skip_head).map_err(|e| format!("create snapshot: {e}"))?;
        tracing::info!(name, segments = report.segments, samples = report.samples, bytes = report.bytes, "snapshot made");
        Ok(name)
    }
    fn begin_backup(&self, secrets: bool) -> Result<(String, Vec<(String, u64)>), BackupError> {
        let failed = |e: io::Error| BackupError::Failed(format!("cannot make a snapshot: {e}"));
        self.tidy().map_err(failed)?;
        let name = format!("{BACKUP}{}", self.name());
        let dir = self.dir().join(&name);
        self.store.snapshot(&dir, false).map_err(failed)?;
        if secrets && self.data_dir.join(TOKEN_FILE).is_file() {
            fs::copy(self.data_dir.join(TOKEN_FILE), dir.join(TOKEN_FILE)).map_err(failed)?;
        }
        Ok((name, files_below(&dir).map_err(failed)?))
    }
    fn read_backup(&self, name: &str, path: &str, offset: u64) -> Result<Vec<u8>, BackupError> {
        let dir = self.backup(name)?;
        if !files_below(&dir).map_err(|e| BackupError::Failed(e.to_string()))?.iter().any(|(known, _)| known == path) {
            return Err(BackupError::Unknown);
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(dir.join(path))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(PIECE_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| BackupError::Failed(format!("cannot read {path}: {e}")))
    }
    fn end_backup(&self, name: &str) -> Result<(), BackupError> {
        let dir = self.backup(name)?;
        fs::remove_dir_all(dir).map_err(|e| BackupError::Failed(format!("cannot remove the snapshot: {e}")))
    }
}
