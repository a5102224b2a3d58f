//! Work on the store that people ask for: deletions, snapshots, and snapshots that are fetched as backups. Snapshots lie in
//! `snapshots/` below the data directory; those of backups are removed when they were fetched, or after a day.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use watchfire_net::blocking::spawn_blocking;

use watchfire_api::app::{BackupError, Maintenance};
use watchfire_api::auth::TOKEN_FILE;
use watchfire_model::batch::Batch;
use watchfire_model::logs::{LogLine, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_store::Store;

/// Where snapshots lie.
const SNAPSHOTS: &str = "snapshots";
/// How the names of backups' snapshots begin.
const BACKUP: &str = "backup-";
/// The most bytes that are given at once.
const PIECE_BYTES: u64 = 4 << 20;
/// How the names of snapshots end that are not whole.
const UNFINISHED: &str = ".tmp";
/// How long a backup that nobody finishes stays.
const BACKUP_AGE_MAX_MS: i64 = 24 * 3_600_000;
/// How often those are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// The store as an import sees it: samples of any age are taken.
pub(crate) struct Backfill(pub(crate) Arc<Store>);
impl Sink for Backfill {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.0.backfill(batch)
    }
    fn sync(&self) -> Result<(), WriteError> {
        Sink::sync(&*self.0)
    }
}

/// A name with the time in it that nobody can guess and nobody had before.
fn new_name(now: Timestamp) -> String {
    let time = Timestamp(now.millis() / 1_000 * 1_000).rfc3339().replace(['-', ':'], "");
    format!("{time}-{:016x}", std::hash::RandomState::new().build_hasher().finish())
}

/// Where the snapshot of a new backup of this data directory lies.
pub(crate) fn new_backup_dir(data_dir: &Path, now: Timestamp) -> PathBuf {
    data_dir.join(SNAPSHOTS).join(format!("{BACKUP}{}", new_name(now)))
}

/// Removes backups that nobody finished, now and every hour.
pub(super) async fn tidy_hourly(data_dir: PathBuf, clock: SharedClock) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        let (dir, now) = (data_dir.join(SNAPSHOTS), clock.now());
        if let Err(error) = spawn_blocking(move || tidy(&dir, now)).await {
            tracing::error!(%error, "removing unfinished backups panicked");
        }
    }
}

/// Removes backups that nobody finished and snapshots that a crash left half made. What cannot be removed is told and tried
/// again the next time: it is in nobody's way.
fn tidy(dir: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.starts_with(BACKUP) || name.ends_with(UNFINISHED)) || !is_old(&entry, now) {
            continue;
        }
        match fs::remove_dir_all(entry.path()) {
            Ok(()) => tracing::info!(name, "an unfinished backup is removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(name, %error, "cannot remove an unfinished backup"),
        }
    }
}

fn is_old(entry: &fs::DirEntry, now: Timestamp) -> bool {
    let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified()) else { return false };
    let changed_ms = changed.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    now.millis().saturating_sub(changed_ms) > BACKUP_AGE_MAX_MS
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
    /// The directory of a backup, by a name that came from outside.
    fn backup(&self, name: &str) -> Result<PathBuf, BackupError> {
        let plain = name.starts_with(BACKUP) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let dir = self.dir().join(name);
        if plain && dir.is_dir() { Ok(dir) } else { Err(BackupError::Unknown) }
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
    found.order();
    Ok(found)
}

impl Maintenance for Keeper {
    fn delete_series(&self, sets: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Result<(), String> {
        let deletion = self.store.delete_series(sets, start, end).map_err(|e| e.to_string())?;
        tracing::info!(series = deletion.series, segments = deletion.segments, "series deleted");
        Ok(())
    }
    fn delete_logs(&self, matchers: &[Matcher], start: Nanos, end: Nanos, filter: Option<&dyn Fn(LogLine<'_>) -> bool>) -> Result<u64, String> {
        let deletion = self.store.delete_logs(&[matchers.to_vec()], start, end, filter).map_err(|e| format!("cannot delete log entries: {e}"))?;
        tracing::info!(entries = deletion.entries, segments = deletion.segments, "log entries deleted");
        Ok(deletion.entries)
    }
    fn clean_tombstones(&self) -> Result<(), String> {
        let files = self.store.clean_tombstones().map_err(|e| e.to_string())?;
        tracing::info!(files, "deleted samples removed from files");
        Ok(())
    }
    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        let name = new_name(self.clock.now());
        let report = self.store.snapshot(&self.dir().join(&name), skip_head).map_err(|e| format!("create snapshot: {e}"))?;
        tracing::info!(name, segments = report.segments, samples = report.samples, bytes = report.bytes, "snapshot made");
        Ok(name)
    }
    fn begin_backup(&self, secrets: bool) -> Result<(String, Vec<(String, u64)>), BackupError> {
        let failed = |e: io::Error| BackupError::Failed(format!("cannot make a snapshot: {e}"));
        let dir = new_backup_dir(&self.data_dir, self.clock.now());
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
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

#[cfg(test)]
mod tests {
    use watchfire_model::meter::Meter;
    use watchfire_model::time::{Clock, ManualClock, SystemClock};
    use watchfire_net::tasks::Tasks;

    use super::*;

    #[tokio::test]
    async fn unfinished_backups_are_removed_at_the_start() {
        let data = tempfile::tempdir().unwrap();
        let dirs = ["20260101T000000Z-1", "20260101T000000Z-2.tmp", "backup-1", "backup-2.tmp"].map(|name| data.path().join(SNAPSHOTS).join(name));
        for dir in &dirs {
            fs::create_dir_all(dir.join("metrics")).unwrap();
        }
        let there = || dirs.iter().map(|dir| dir.exists()).collect::<Vec<_>>();
        let now = SystemClock::new().now();
        tidy(&data.path().join(SNAPSHOTS), now.plus_ms(BACKUP_AGE_MAX_MS - 60_000));
        assert_eq!(there(), [true; 4]);
        let tasks = Tasks::new(&Meter::new());
        tasks.spawn("tidy", tidy_hourly(data.path().to_owned(), ManualClock::new(now.plus_ms(BACKUP_AGE_MAX_MS + 60_000))));
        while there() != [true, false, false, false] {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn names_are_new_each_time() {
        let now = Timestamp(1_767_225_600_123);
        let (one, other) = (new_backup_dir(Path::new("/d"), now), new_backup_dir(Path::new("/d"), now));
        assert_ne!(one, other, "a process has the number of an earlier one after a restart of its container");
        assert!(one.to_string_lossy().starts_with("/d/snapshots/backup-20260101T000000Z-"), "{}", one.display());
    }
}
