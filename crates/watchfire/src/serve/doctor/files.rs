//! Which files and directories the doctor has read, and whether they are still the same. It asks the file system for times, lengths
//! and numbers, and opens nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use watchfire_collect::discovery::glob::Lookup;

/// A file that was changed this shortly before it was read may be changed again without a new time.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells two states of a file or directory apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    bytes: u64,
    number: (u64, u64),
}

/// What is watched: paths, and patterns that may name others tomorrow.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// Files and directories.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Patterns, and where they are looked up.
    pub(super) patterns: (Lookup, Vec<String>),
}
impl Watched {
    /// The state of everything.
    fn stamps(&self) -> Vec<(PathBuf, Option<Stamp>)> {
        let (lookup, patterns) = &self.patterns;
        let named: BTreeSet<PathBuf> = patterns.iter().flat_map(|pattern| lookup.files(pattern)).collect();
        self.paths.union(&named).map(|path| (path.clone(), stamp(path))).collect()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some(Stamp { changed: (data.mtime(), data.mtime_nsec()), bytes: data.len(), number: (data.dev(), data.ino()) })
}

/// Files as they were when they were read.
#[derive(Debug)]
pub(super) struct Unchanged {
    watched: Watched,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}
impl Unchanged {
    /// Notes how things stand; nothing when a file changed so shortly before reading began that nobody can tell which state was read.
    pub(super) fn since(began: SystemTime, watched: Watched) -> Option<Unchanged> {
        let stamps = watched.stamps();
        let latest = began.checked_sub(SETTLED)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let latest = (i64::try_from(latest.as_secs()).ok()?, i64::from(latest.subsec_nanos()));
        let settled = stamps.iter().all(|(_, stamp)| stamp.is_none_or(|stamp| stamp.changed < latest));
        settled.then_some(Unchanged { watched, stamps })
    }
    /// Whether everything is as it was.
    pub(super) fn holds(&self) -> bool {
        self.watched.stamps() == self.stamps
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;

    #[test]
    fn changes_are_noticed_and_recent_ones_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let write = |name: &str, text: &str, seconds_ago: u64| {
            std::fs::write(path(name), text).unwrap();
            let times = FileTimes::new().set_modified(now - Duration::from_secs(seconds_ago));
            File::options().write(true).open(path(name)).unwrap().set_times(times).unwrap();
        };
        write("a.yml", "1", 100);
        let watched = || Watched {
            paths: BTreeSet::from([path("a.yml"), path("missing.yml")]),
            patterns: (Lookup { directory: dir.path().to_path_buf(), monitoring_dir: None }, vec!["r*.yml".to_owned()]),
        };
        let noted = || Unchanged::since(now, watched());
        let first = noted().unwrap();
        assert!(first.holds());
        write("a.yml", "2", 50);
        assert!(!first.holds(), "another time");
        let second = noted().unwrap();
        write("a.yml", "12", 50);
        assert!(!second.holds(), "another length");
        let third = noted().unwrap();
        write("b.yml", "12", 50);
        std::fs::rename(path("b.yml"), path("a.yml")).unwrap();
        assert!(!third.holds(), "another file");
        let fourth = noted().unwrap();
        write("rules.yml", "", 50);
        assert!(!fourth.holds(), "one more of the pattern");
        let fifth = noted().unwrap();
        write("missing.yml", "", 50);
        assert!(!fifth.holds(), "it is there now");
        write("a.yml", "3", 1);
        assert!(noted().is_none(), "too recent");
    }
}
