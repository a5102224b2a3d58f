//! Log files that no start survives: set aside whole into a directory of their own, and read when their owner has renamed it. Not
//! quarantine, where damaged files are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::flush::move_to_quarantine;
use super::logs::{Before, Mark, RestoreEntries};
use super::replay::{Bound, Restore};
use super::starts::Care;
use super::wal_dir;
use crate::error::OpenError;
use crate::exemplars::Exemplars;
use crate::file::{Disk, read_all, write_whole};
use crate::logs::{PerSignal, Signal};
use crate::metrics::compact::Place;
use crate::metrics::head::Head;
use crate::stats::Offline;
use crate::wal;

/// How the name of a mark ends.
const MARK: &str = ".mark";
/// The file beside log files that came back which says what their log entries went into.
const INTO: &str = "into";

/// The directory of what is set aside.
pub(super) fn offline_dir(dir: &Path) -> PathBuf {
    dir.join("offline")
}
/// The directory of what comes back.
fn returned_dir(dir: &Path) -> PathBuf {
    dir.join("returned")
}

/// What is set aside in a data directory.
pub(super) fn found(disk: &dyn Disk, root: &Path) -> Result<Option<Offline>, OpenError> {
    let dir = offline_dir(root);
    let files = log_files(disk, &dir)?;
    if files.is_empty() {
        return Ok(None);
    }
    let since = wal::oldest_epoch_began(disk, &dir).map_err(OpenError::io("read", &dir))?;
    Ok(Some(Offline { files: files.len() as u64, bytes: files.iter().map(|(_, len)| len).sum(), since, dir }))
}

/// One more than the highest number of a log file that is not in the log: the log must not use these numbers again.
pub(super) fn next_sequence(disk: &dyn Disk, root: &Path) -> Result<u64, OpenError> {
    let mut next = 1;
    for dir in [offline_dir(root), returned_dir(root)] {
        let last = log_files(disk, &dir)?.iter().map(|(sequence, _)| *sequence).max();
        next = next.max(last.map_or(1, |last| last.saturating_add(1)));
    }
    Ok(next)
}

/// Refuses files that a newer version has written. It changes nothing.
pub(super) fn check_versions(disk: &dyn Disk, root: &Path) -> Result<(), OpenError> {
    let returned = returned_dir(root);
    if disk.exists(&returned).map_err(OpenError::io("look at", &returned))? { wal::check_versions(disk, &returned) } else { Ok(()) }
}

/// The numbers and sizes of log files, ascending. No directory is no file.
fn log_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, u64)>, OpenError> {
    if !disk.exists(dir).map_err(OpenError::io("look at", dir))? {
        return Ok(Vec::new());
    }
    let entries = disk.list(dir).map_err(OpenError::io("list", dir))?;
    let mut files: Vec<_> = entries.into_iter().filter_map(|e| Some((wal::sequence_of(&e.name)?, e.len))).collect();
    files.sort_unstable();
    Ok(files)
}

/// Sets the oldest files of the log aside that do not fit into so many bytes. Whole epochs, because a later file means nothing
/// without the definitions in those before it.
pub(super) fn set_aside(disk: &dyn Disk, root: &Path, (first, before): (u64, Before), care: Care, bytes: u64) -> Result<(), OpenError> {
    let log = wal_dir(root);
    let keep_from = match care {
        Care::Usual | Care::LittleMemory => return Ok(()),
        Care::PartAside => first_that_fits(disk, &log, first, bytes).map_err(OpenError::io("list", &log))?,
        Care::AllAside => u64::MAX,
    };
    let leaving: Vec<u64> = log_files(disk, &log)?.into_iter().map(|(sequence, _)| sequence).filter(|s| (first..keep_from).contains(s)).collect();
    let Some(oldest) = leaving.first() else { return Ok(()) };
    let offline = offline_dir(root);
    disk.create_dir(&offline).map_err(OpenError::io("create", &offline))?;
    let mark = format!("{oldest:08}{MARK}");
    write_whole(disk, &offline, &mark, mark_text(before).as_bytes()).map_err(OpenError::io("write", &offline.join(&mark)))?;
    for sequence in leaving {
        let path = wal::path_of(&log, sequence);
        disk.rename(&path, &wal::path_of(&offline, sequence)).map_err(OpenError::io("set aside", &path))?;
    }
    // What vanishes from the log must be there first.
    for dir in [&offline, &log, &root.to_owned()] {
        disk.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
    }
    Ok(())
}

/// The first file of the oldest epoch with which all later ones fit.
fn first_that_fits(disk: &dyn Disk, log: &Path, first: u64, bytes: u64) -> io::Result<u64> {
    let mut left = bytes;
    let mut keep_from = u64::MAX;
    let mut of_epoch = 0;
    let files = wal::epochs(disk, log)?;
    for (at, (sequence, epoch, len)) in files.iter().enumerate().rev().filter(|(_, (sequence, ..))| *sequence >= first) {
        of_epoch += len;
        let begins = at == 0 || files[at - 1].1 != *epoch || files[at - 1].0 < first;
        if begins {
            if of_epoch > left {
                break;
            }
            left -= of_epoch;
            of_epoch = 0;
            keep_from = *sequence;
        }
    }
    Ok(keep_from)
}

/// Whether something has come back.
pub(super) fn has_returned(disk: &dyn Disk, root: &Path) -> Result<bool, OpenError> {
    Ok(!log_files(disk, &returned_dir(root))?.is_empty())
}

/// For each signal the file of the log that its entries, of what has come back, went along with; `None` where they are in memory at most.
pub(super) type WentInto = PerSignal<Option<u64>>;

/// Whether entries of what has come back are in segments already, although the files are still there: what is flushed of the log reaches
/// as far as the start that read them. Of the others nothing must say so any more, because this start will flush, too.
pub(super) fn entries_are_in(disk: &dyn Disk, root: &Path, before: Before) -> Result<WentInto, OpenError> {
    let returned = returned_dir(root);
    let path = returned.join(INTO);
    if !disk.exists(&path).map_err(OpenError::io("look at", &path))? {
        return Ok(WentInto::default());
    }
    let bytes = disk.open(&path).and_then(|file| read_all(&*file)).map_err(OpenError::io("read", &path))?;
    let text = String::from_utf8_lossy(&bytes);
    let first = |signal| text.lines().find_map(|line| line.strip_prefix(into_prefix(signal).as_str()))?.parse::<u64>().ok();
    let told = WentInto::from_fn(first);
    // One that does not check out says nothing: rather twice than never.
    let believed = into_text(told) == text && has_returned(disk, root)?;
    let counts = told.map(|signal, first| first.filter(|first| believed && before[signal] >= (*first, 0)));
    if counts == WentInto::default() {
        disk.remove(&path).and_then(|()| disk.sync_dir(&returned)).map_err(OpenError::io("remove", &path))?;
    } else if counts != told {
        entries_go_into(disk, root, counts)?;
    }
    Ok(counts)
}

/// Says that entries of what has come back are in memory, beside those of the log from a file on: whatever is flushed of that has them.
pub(super) fn entries_go_into(disk: &dyn Disk, root: &Path, into: WentInto) -> Result<(), OpenError> {
    let returned = returned_dir(root);
    write_whole(disk, &returned, INTO, into_text(into).as_bytes()).map_err(OpenError::io("write", &returned.join(INTO)))
}

fn into_prefix(signal: Signal) -> String {
    format!("watchfire {} are in what is flushed from ", signal.entries())
}

fn into_text(into: WentInto) -> String {
    let line = |signal| into[signal].map(|first| format!("{}{first}\n", into_prefix(signal)));
    let lines: String = Signal::ALL.into_iter().filter_map(line).collect();
    format!("{lines}crc32 {:08x}\n", crc32fast::hash(lines.as_bytes()))
}

/// How what has come back is read.
pub(super) struct How<'a> {
    /// In so many bytes of memory.
    pub(super) bytes: usize,
    /// Without the entries that are in segments.
    pub(super) entries_are_in: WentInto,
    /// Until this says that nobody waits for it any more.
    pub(super) stop: &'a AtomicBool,
}

/// Reads what has come back: samples into segments without names, which are returned, log entries into memory. The files stay until all of it is in segments: see [`forget_returned`].
pub(super) fn take_back(
    disk: &dyn Disk,
    root: &Path,
    head: &mut Head,
    ring: &mut Exemplars,
    mut entries: RestoreEntries<'_>,
    place: Place<'_>,
    how: &How<'_>,
) -> Result<Returned, OpenError> {
    let returned = returned_dir(root);
    entries.mark(read_marks(disk, &returned)?);
    entries.skip(how.entries_are_in.map(|_, into| into.is_some()));
    let mut alone = Head::default();
    let mut restore = Restore::new(&mut alone, ring, entries, place, Bound::Everything(how.bytes));
    let report = restore.read(disk, &returned, (0, 0), how.stop)?;
    let (samples, entries) = (restore.samples, restore.entries.counts);
    let Some(segments) = restore.finish_all()? else {
        tracing::error!(directory = %returned.display(), "log files that came back cannot be taken in now; they stay there until the next start");
        return Ok(Returned { entries, samples: None });
    };
    for metadata in alone.metadata() {
        head.note_metadata(metadata);
    }
    tracing::info!(samples, entries = entries.iter().sum::<u64>(), "log files that had been set aside are read");
    Ok(Returned { entries, samples: Some(ReturnedSamples { segments, damaged: report.damaged }) })
}

/// What has come back.
pub(super) struct Returned {
    /// How many entries of each signal are in memory now.
    pub(super) entries: PerSignal<u64>,
    /// Its samples; `None` when there was no room for them.
    pub(super) samples: Option<ReturnedSamples>,
}

/// Samples that have come back.
pub(super) struct ReturnedSamples {
    /// Segments without names that have its samples.
    pub(super) segments: Vec<u64>,
    /// The files that are damaged; what can be read of them is used.
    pub(super) damaged: Vec<String>,
}

/// Removes what has come back, when segments have all of it. Damaged files go into quarantine.
pub(super) fn forget_returned(disk: &dyn Disk, root: &Path, damaged: &[String]) -> io::Result<()> {
    let returned = returned_dir(root);
    for name in damaged {
        move_to_quarantine(disk, root, &returned, name)?;
    }
    for entry in disk.list(&returned)? {
        if wal::sequence_of(&entry.name).is_some() || mark_of(&entry.name).is_some() {
            disk.remove(&returned.join(&entry.name))?;
        }
    }
    // The last, because without it what is still there would count as unread.
    disk.sync_dir(&returned)?;
    if disk.exists(&returned.join(INTO))? {
        disk.remove(&returned.join(INTO))?;
    }
    if disk.list(&returned)?.is_empty() {
        disk.remove_dir(&returned)?;
    }
    disk.sync_dir(root)
}

/// A mark says up to which places of the log segments have the entries of files from its number on: a line for each signal, those of
/// which there is nothing to say left out.
fn mark_of(name: &str) -> Option<u64> {
    name.strip_suffix(MARK)?.parse().ok()
}

fn mark_text(before: Before) -> String {
    let mut lines = String::new();
    for signal in Signal::ALL {
        let (file, offset) = before[signal];
        if signal == Signal::Logs || (file, offset) != (0, 0) {
            lines += &format!("{}{file} {offset}\n", mark_prefix(signal));
        }
    }
    format!("{lines}crc32 {:08x}\n", crc32fast::hash(lines.as_bytes()))
}

fn mark_prefix(signal: Signal) -> String {
    format!("watchfire {} before ", signal.entries())
}

/// A mark that does not check out is none: entries may be there twice then, but none is lost.
fn read_marks(disk: &dyn Disk, dir: &Path) -> Result<Vec<Mark>, OpenError> {
    let mut marks = Vec::new();
    for entry in disk.list(dir).map_err(OpenError::io("list", dir))? {
        let Some(first) = mark_of(&entry.name) else { continue };
        let path = dir.join(&entry.name);
        let bytes = disk.open(&path).and_then(|file| read_all(&*file)).map_err(OpenError::io("read", &path))?;
        let text = String::from_utf8_lossy(&bytes);
        let place = |signal| {
            let (file, offset) = text.lines().find_map(|line| line.strip_prefix(mark_prefix(signal).as_str()))?.split_once(' ')?;
            Some((file.parse().ok()?, offset.parse().ok()?))
        };
        let before = PerSignal::from_fn(|signal| place(signal).unwrap_or_default());
        marks.push((first, if mark_text(before) == text { before } else { Before::default() }));
    }
    marks.sort_unstable_by_key(|(first, _)| *first);
    Ok(marks)
}
