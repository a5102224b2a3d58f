//! The reading side of the log after a start. A torn end of the last file is the normal trace of a crash and is cut off;
//! anything else that does not check out is damage: the readable rest is used and the file goes into quarantine.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, checksum, frame_at};
use super::{Control, MAJOR, SIGNAL_CONTROL, path_of, sequence_of};
use crate::error::OpenError;
use crate::file::{Disk, File};

/// How much is read from a log file at once.
const READ_BYTES: usize = 256 << 10;

/// What a visitor is shown.
pub(crate) enum Visit<'a> {
    /// Frames that follow belong to this epoch; series numbers of other epochs mean nothing.
    Epoch(u64),
    /// A frame: file number and offset, signal, payload.
    Frame((u64, u64), u8, &'a [u8]),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplayReport {
    /// Frames of signals.
    pub(crate) frames: u64,
    /// Bytes that were cut off the end of the last file.
    pub(crate) torn_bytes: u64,
    /// Files that are damaged, to be put into quarantine once their content is elsewhere.
    pub(crate) damaged: Vec<String>,
    /// Whether the last run ended in good order (also true when there was none).
    pub(crate) clean: bool,
    /// The number that the next file takes.
    pub(crate) next_sequence: u64,
    /// The newest epoch and when it began.
    pub(crate) epoch: Option<(u64, i64)>,
    /// Bytes in the files.
    pub(crate) bytes: u64,
}

/// Refuses logs of a newer major version. It changes nothing.
pub(crate) fn check_versions(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    for entry in disk.list(dir).map_err(OpenError::io("list", dir))? {
        if sequence_of(&entry.name).is_none() || entry.len < 12 {
            continue;
        }
        let path = dir.join(&entry.name);
        let mut head = [0; 12];
        disk.open(&path).and_then(|f| f.read_exact_at(&mut head, 0)).map_err(OpenError::io("read", &path))?;
        let found = u16::from_le_bytes([head[8], head[9]]);
        if head[..8] == super::MAGIC && found > MAJOR && believable(disk, &path) {
            return Err(OpenError::Newer { path, found, known: MAJOR });
        }
    }
    Ok(())
}

/// Tells a newer version from damage: the header's checksum stands where version 1 has it in all versions.
fn believable(disk: &dyn Disk, path: &Path) -> bool {
    let mut head = [0; FILE_HEADER_BYTES];
    disk.open(path).and_then(|f| f.read_exact_at(&mut head, 0)).is_ok() && FileHeader::decode(&head).is_some()
}

/// Shows all frames of files numbered `first` and above to `visit`, which says whether it could read the payload. The next file takes
/// a number above `taken`, too. Gives up between two files when `stop` says so.
pub(crate) fn replay(
    disk: &dyn Disk,
    dir: &Path,
    (first, taken): (u64, u64),
    stop: &AtomicBool,
    visit: &mut dyn FnMut(Visit<'_>) -> bool,
) -> Result<ReplayReport, OpenError> {
    let mut report = ReplayReport { next_sequence: first.max(taken.saturating_add(1)), clean: true, ..ReplayReport::default() };
    let mut files: Vec<_> = disk.list(dir).map_err(OpenError::io("list", dir))?.into_iter().filter_map(|e| Some((sequence_of(&e.name)?, e))).collect();
    files.sort_unstable_by_key(|(sequence, _)| *sequence);
    let last = files.last().map(|(sequence, _)| *sequence);
    for (sequence, entry) in files {
        report.next_sequence = report.next_sequence.max(sequence.saturating_add(1));
        if sequence < first {
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(OpenError::Stopped);
        }
        report.clean = false;
        let path = path_of(dir, sequence);
        let file = disk.open(&path).map_err(OpenError::io("open", &path))?;
        let mut reader = FileReplay { file: &*file, sequence, len: entry.len, is_last: Some(sequence) == last, report: &mut report };
        match reader.run(visit).map_err(OpenError::io("read", &path))? {
            Ending::Whole => report.bytes += entry.len,
            Ending::Torn(at) => {
                tracing::warn!(file = %path.display(), bytes = entry.len - at, "the write-ahead log ends in a torn frame, which is cut off");
                report.torn_bytes += entry.len - at;
                report.bytes += at;
                cut(disk, dir, sequence, at).map_err(OpenError::io("truncate", &path))?;
            }
            Ending::Damaged => {
                tracing::error!(file = %path.display(), "the write-ahead log is damaged; its readable part is used and the file goes into quarantine");
                report.damaged.push(entry.name);
            }
        }
    }
    Ok(report)
}

/// Removes a torn end, or the whole file when not even its header is whole.
fn cut(disk: &dyn Disk, dir: &Path, sequence: u64, at: u64) -> io::Result<()> {
    let path = path_of(dir, sequence);
    if at < FILE_HEADER_BYTES as u64 {
        disk.remove(&path)?;
        return disk.sync_dir(dir);
    }
    let file = disk.open_write(&path)?;
    file.set_len(at)?;
    file.sync()
}

enum Ending {
    Whole,
    /// The end from this offset on was never completely written.
    Torn(u64),
    Damaged,
}

struct FileReplay<'a> {
    file: &'a dyn File,
    sequence: u64,
    len: u64,
    is_last: bool,
    report: &'a mut ReplayReport,
}

impl FileReplay<'_> {
    fn run(&mut self, visit: &mut dyn FnMut(Visit<'_>) -> bool) -> io::Result<Ending> {
        let mut head = vec![0; FILE_HEADER_BYTES.min(usize::try_from(self.len).unwrap_or(usize::MAX))];
        self.file.read_exact_at(&mut head, 0)?;
        let header = FileHeader::decode(&head).filter(|h| h.sequence == self.sequence && h.major <= MAJOR);
        let mut damaged = false;
        let mut at = FILE_HEADER_BYTES as u64;
        match header {
            Some(header) => {
                self.report.epoch = Some((header.epoch, header.epoch_began));
                visit(Visit::Epoch(header.epoch));
                at = self.frames(at, &mut damaged, visit)?;
                if at >= self.len {
                    return Ok(if damaged { Ending::Damaged } else { Ending::Whole });
                }
            }
            // Nothing is acknowledged before the header is synced, so a last file without one never held anything.
            None if self.is_last && self.len <= FILE_HEADER_BYTES as u64 => return Ok(Ending::Torn(0)),
            // The series numbers of a file without header cannot be tied to those of the files before.
            None => {
                visit(Visit::Epoch(u64::MAX - self.sequence));
                at = 0;
            }
        }
        let rest = self.rest(at)?;
        let later = later_frames(&rest, at, self.sequence);
        if self.is_last && header.is_some() && !was_synced(&rest, &later, at) && !damaged {
            // Whole frames after a gap were never synced: the log is valid up to the gap. They are kept aside, not used; words about the log are not
            // worth keeping.
            let holds_data = later.iter().filter_map(|start| raw_frame(&rest, *start)).any(|(signal, _)| signal != SIGNAL_CONTROL);
            return Ok(if holds_data { self.salvage_nothing(at) } else { Ending::Torn(at) });
        }
        for start in later {
            if let Some((signal, payload)) = frame_at(&rest, start, at, self.sequence) {
                self.show(at + start as u64, signal, payload, &mut damaged, visit);
            }
        }
        Ok(Ending::Damaged)
    }

    /// The torn end holds whole frames: they are left out of the answer, and the file is kept in quarantine.
    fn salvage_nothing(&mut self, at: u64) -> Ending {
        tracing::warn!(sequence = self.sequence, offset = at, "the write-ahead log has a gap in its unsynced end");
        self.report.torn_bytes += self.len - at;
        Ending::Damaged
    }

    /// Reads frames from `at` on until one does not check out; returns where it stands.
    fn frames(&mut self, mut at: u64, damaged: &mut bool, visit: &mut dyn FnMut(Visit<'_>) -> bool) -> io::Result<u64> {
        let mut window: Vec<u8> = Vec::new();
        let mut window_at = at;
        loop {
            let have = window_at + window.len() as u64 - at;
            let wanted = match window.get(usize::try_from(at - window_at).unwrap_or(usize::MAX)..) {
                Some(bytes) if bytes.len() >= FRAME_HEADER_BYTES => match FrameHeader::decode(bytes) {
                    Some(header) => FRAME_HEADER_BYTES + header.len,
                    None => return Ok(at),
                },
                _ => FRAME_HEADER_BYTES,
            };
            if have < wanted as u64 {
                if at + wanted as u64 > self.len {
                    return Ok(at);
                }
                let len = (self.len - at).min(wanted.max(READ_BYTES) as u64);
                window.resize(len as usize, 0);
                self.file.read_exact_at(&mut window, at)?;
                window_at = at;
                continue;
            }
            let start = (at - window_at) as usize;
            let Some((signal, payload)) = frame_at(&window, start, window_at, self.sequence) else { return Ok(at) };
            let len = payload.len();
            self.show(at, signal, payload, damaged, visit);
            at += (FRAME_HEADER_BYTES + len) as u64;
        }
    }

    fn show(&mut self, at: u64, signal: u8, payload: &[u8], damaged: &mut bool, visit: &mut dyn FnMut(Visit<'_>) -> bool) {
        if signal == SIGNAL_CONTROL {
            self.report.clean = Control::decode(payload) == Some(Control::CleanStop);
            return;
        }
        self.report.clean = false;
        self.report.frames += 1;
        *damaged |= !visit(Visit::Frame((self.sequence, at), signal, payload));
    }

    fn rest(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; usize::try_from(self.len - at).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut rest, at)?;
        Ok(rest)
    }
}

/// How many bytes of checksums the search for whole frames may compute, so that hostile or random bytes cannot make a start slow.
const SEARCH_BYTES_MAX: usize = 1 << 30;

/// Where whole frames stand in the rest of a file that begins with a bad one.
pub(super) fn later_frames(rest: &[u8], base: u64, sequence: u64) -> Vec<usize> {
    let mut found = Vec::new();
    let mut budget = SEARCH_BYTES_MAX;
    let mut at = 0;
    while at + FRAME_HEADER_BYTES < rest.len() && budget > 0 {
        let header = FrameHeader::decode(&rest[at..]);
        if let Some(header) = header
            && let Some(payload) = rest.get(at + FRAME_HEADER_BYTES..at + FRAME_HEADER_BYTES + header.len)
        {
            budget = budget.saturating_sub(header.len);
            if checksum(sequence, base + at as u64, header.signal, payload) == header.crc {
                found.push(at);
                at += FRAME_HEADER_BYTES + header.len;
                continue;
            }
        }
        at += 1;
    }
    found
}

/// Whether a later frame says that the place of the bad one had been on the medium.
fn was_synced(rest: &[u8], later: &[usize], at: u64) -> bool {
    later.iter().filter_map(|start| raw_frame(rest, *start)).any(|(signal, payload)| {
        signal == SIGNAL_CONTROL
            && match Control::decode(payload) {
                Some(Control::SyncedTo(offset)) => offset > at,
                Some(Control::CleanStop) => true,
                None => false,
            }
    })
}

/// A frame that is already known to check out.
fn raw_frame(rest: &[u8], start: usize) -> Option<(u8, &[u8])> {
    let header = FrameHeader::decode(rest.get(start..)?)?;
    Some((header.signal, rest.get(start + FRAME_HEADER_BYTES..start + FRAME_HEADER_BYTES + header.len)?))
}
