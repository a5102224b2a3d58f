//! Opening the segments of logs: check versions first, then tidy up what a crash left. A flush of several days counts when the last of
//! its files has its name; the others, which it names, are given theirs then.

use std::path::Path;
use std::sync::Arc;

use super::flush::{PART, name_parts, part_of, sort};
use crate::engine::Counters;
use crate::engine::flush::move_to_quarantine;
use crate::error::OpenError;
use crate::file::Disk;
use crate::logs::segment::LogSegment;
use crate::segment_file::{self, SegmentError};

/// What stands in the directory.
pub(in crate::engine) struct Found {
    segments: Vec<Arc<LogSegment>>,
    damaged: Vec<String>,
    parts: Vec<u64>,
    unfinished: Vec<String>,
    next: u64,
}

/// Reads all ends of files. Changes nothing.
pub(in crate::engine) fn find(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Found, OpenError> {
    let mut found = Found { segments: Vec::new(), damaged: Vec::new(), parts: Vec::new(), unfinished: Vec::new(), next: 1 };
    for entry in disk.list(dir).map_err(OpenError::io("list", dir))? {
        let path = dir.join(&entry.name);
        if let Some(id) = part_of(&entry.name) {
            found.parts.push(id);
        } else if let Some(id) = segment_file::id_of(&entry.name) {
            found.next = found.next.max(id.saturating_add(1));
            match LogSegment::open(disk.clone(), &path, id) {
                Ok(segment) => found.segments.push(Arc::new(segment)),
                Err(SegmentError::Newer { found, known }) => return Err(OpenError::Newer { path, found, known }),
                Err(SegmentError::Damaged(what)) => {
                    tracing::error!(file = %path.display(), what, "a segment of logs cannot be read");
                    found.damaged.push(entry.name);
                }
                Err(SegmentError::Io(source)) => return Err(OpenError::Io { doing: "read", path, source }),
            }
        } else if entry.name.ends_with(".tmp") {
            found.unfinished.push(entry.name);
        }
    }
    Ok(found)
}

/// Removes unfinished files and segments that others replace, completes flushes, and moves damaged files away. Returns the segments
/// and the number that the next one may take.
pub(in crate::engine) fn tidy(
    disk: &Arc<dyn Disk>,
    root: &Path,
    dir: &Path,
    found: Found,
    counters: &Counters,
) -> Result<(Vec<Arc<LogSegment>>, u64), OpenError> {
    let mut segments = found.segments;
    let mut next = found.next;
    next = found.parts.iter().map(|id| id.saturating_add(1)).fold(next, u64::max);
    let claimed: Vec<u64> = segments.iter().flat_map(|s| s.footer.origin.parts.iter().copied()).collect();
    let (parts, unclaimed): (Vec<u64>, Vec<u64>) = found.parts.iter().partition(|id| claimed.contains(id));
    for id in unclaimed {
        let part = segment_file::path_of(dir, id).with_extension(PART);
        disk.remove(&part).map_err(OpenError::io("remove", &part))?;
    }
    name_parts(&**disk, dir, &parts).map_err(OpenError::io("complete a flush in", dir))?;
    let named: Vec<u64> = parts.into_iter().filter(|id| segments.iter().all(|s| s.id != *id)).collect();
    for id in named {
        let path = segment_file::path_of(dir, id);
        match LogSegment::open(disk.clone(), &path, id) {
            Ok(segment) => segments.push(Arc::new(segment)),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "a segment of logs cannot be read");
                let name = format!("{id:08}.seg");
                quarantine(disk, root, dir, &name, counters)?;
            }
        }
    }
    for name in &found.unfinished {
        let path = dir.join(name);
        disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    for name in &found.damaged {
        quarantine(disk, root, dir, name, counters)?;
    }
    let replaced: Vec<u64> = segments.iter().flat_map(|s| s.footer.origin.replaces.iter().copied()).collect();
    next = replaced.iter().map(|id| id.saturating_add(1)).fold(next, u64::max);
    let (gone, mut segments): (Vec<_>, Vec<_>) = segments.into_iter().partition(|s| replaced.contains(&s.id));
    for segment in gone {
        disk.remove(&segment.path).map_err(OpenError::io("remove", &segment.path))?;
    }
    sort(&mut segments);
    Ok((segments, next))
}

fn quarantine(disk: &Arc<dyn Disk>, root: &Path, dir: &Path, name: &str, counters: &Counters) -> Result<(), OpenError> {
    move_to_quarantine(&**disk, root, dir, name).map_err(OpenError::io("move into quarantine", &dir.join(name)))?;
    counters.quarantined.inc();
    Ok(())
}
