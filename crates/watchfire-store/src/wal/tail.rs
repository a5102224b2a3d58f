//! The log as a queue: frames behind a position, in order, up to what is written by now. It reads beside the writer and never
//! disturbs it; who reads, and which files must stay for him, is the engine's business.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, frame_at};
use super::replay::later_frames;
use super::{MAJOR, SIGNAL_CONTROL, path_of, sequence_of};
use crate::file::{Disk, File};

/// How much is read from a log file at once.
const READ_BYTES: usize = 256 << 10;
const FILE_BEGIN: u64 = FILE_HEADER_BYTES as u64;

/// A place in the log. Later places are greater.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// The number of the log file.
    pub(crate) file: u64,
    /// The offset of the next frame.
    pub(crate) offset: u64,
    /// The first file of its epoch: from there on it can be understood.
    pub(crate) epoch: u64,
}

impl Ord for Position {
    fn cmp(&self, other: &Position) -> std::cmp::Ordering {
        (self.file, self.offset).cmp(&(other.file, other.offset))
    }
}
impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Position) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Position {
    fn eq(&self, other: &Position) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Position {}

impl Position {
    /// The begin of a file.
    pub(crate) fn begin(file: u64) -> Position {
        Position { file, offset: FILE_BEGIN, epoch: file }
    }
    /// The form in which it is kept.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [[1].as_slice(), &self.file.to_le_bytes(), &self.offset.to_le_bytes(), &self.epoch.to_le_bytes()].concat()
    }
    /// Reads the kept form; `None` when it is not one of ours.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Position> {
        let mut input = crate::encoding::Input::new(bytes);
        (input.u8()? == 1).then_some(())?;
        Some(Position { file: input.u64()?, offset: input.u64()?, epoch: input.u64()? })
    }
}

/// How far the log is written; readers wait here for more.
pub(crate) struct Progress {
    state: Mutex<Written>,
    changed: Condvar,
}

struct Written {
    at: Position,
    /// Readers that sleep. Most logs have none, and waking nobody costs a system call.
    waiting: usize,
}

impl Progress {
    pub(crate) fn new(at: Position) -> Progress {
        Progress { state: Mutex::new(Written { at, waiting: 0 }), changed: Condvar::new() }
    }
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn set(&self, at: Position) {
        let waiting = {
            let mut state = self.lock();
            state.at = at;
            state.waiting
        };
        if waiting > 0 {
            self.changed.notify_all();
        }
    }
    pub(crate) fn get(&self) -> Position {
        self.lock().at
    }
    /// Returns when something stands behind a position, when `enough` is set and told, or when the time is over.
    pub(crate) fn wait_beyond(&self, position: Position, time: Duration, enough: &AtomicBool) {
        let nothing_new = |state: &mut Written| state.at <= position && !enough.load(Ordering::Acquire);
        let mut state = self.lock();
        state.waiting += 1;
        let (mut state, _) = self.changed.wait_timeout_while(state, time, nothing_new).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
    }
    /// Makes everybody who waits look at his `enough`.
    pub(crate) fn wake(&self) {
        // The lock keeps the call from falling between a reader's look and his sleep.
        let _state = self.lock();
        self.changed.notify_all();
    }
}

/// What comes next in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Frames that follow belong to this epoch.
    Epoch(u64),
    /// A frame of a signal, with its payload.
    Frame(u8, Vec<u8>),
    /// So many bytes of a file cannot be read.
    Damaged(u64),
}

/// Reads the log from a position on.
pub(crate) struct LogReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    progress: Arc<Progress>,
    next: Position,
    open: Option<Open>,
    epoch_told: Option<u64>,
}

struct Open {
    file: Arc<dyn File>,
    window: Vec<u8>,
    window_at: u64,
}

impl LogReader {
    /// A reader whose first frame is the one at `next`.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, progress: Arc<Progress>, next: Position) -> LogReader {
        LogReader { disk, dir: dir.to_owned(), progress, next, open: None, epoch_told: None }
    }

    /// Where the next frame is looked for.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    /// The next frame; `None` when the rest is not written yet.
    pub(crate) fn read(&mut self) -> io::Result<Option<Found>> {
        loop {
            let written = self.progress.get();
            let Some(open) = &mut self.open else {
                match self.open_file(written)? {
                    Opened::Nothing => return Ok(None),
                    Opened::Unreadable(bytes) => return Ok(Some(Found::Damaged(bytes))),
                    Opened::File if self.epoch_told != Some(self.next.epoch) => {
                        self.epoch_told = Some(self.next.epoch);
                        return Ok(Some(Found::Epoch(self.next.epoch)));
                    }
                    Opened::File => continue,
                }
            };
            let growing = self.next.file >= written.file;
            let end = if growing { written.offset } else { open.file.len()? };
            if self.next.offset >= end {
                if growing {
                    return Ok(None);
                }
                self.leave_file();
                continue;
            }
            if let Some((signal, payload)) = open.frame(self.next, end)? {
                self.next.offset += (FRAME_HEADER_BYTES + payload.len()) as u64;
                if signal == SIGNAL_CONTROL {
                    continue;
                }
                return Ok(Some(Found::Frame(signal, payload)));
            }
            if growing {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the write-ahead log does not hold what was written to it"));
            }
            let from = self.next.offset;
            match open.later_frame(self.next, end)? {
                Some(offset) => self.next.offset = offset,
                None => self.leave_file(),
            }
            let to = if self.open.is_some() { self.next.offset } else { end };
            return Ok(Some(Found::Damaged(to - from)));
        }
    }

    fn leave_file(&mut self) {
        self.open = None;
        self.next = Position { file: self.next.file + 1, offset: FILE_BEGIN, epoch: self.next.epoch };
    }

    /// Opens the next file that there is; numbers without a file are those of files that nobody wrote to.
    fn open_file(&mut self, written: Position) -> io::Result<Opened> {
        for entry in self.disk.list(&self.dir)? {
            let Some(sequence) = sequence_of(&entry.name).filter(|s| (self.next.file..=written.file).contains(s)) else { continue };
            let file = match self.disk.open(&path_of(&self.dir, sequence)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Some(header) = header_of(&*file, sequence)? else {
                // The newest is being made at this moment.
                if sequence >= written.file {
                    return Ok(Opened::Nothing);
                }
                tracing::error!(file = %entry.name, "a file of the write-ahead log cannot be read by who reads behind it");
                self.next = Position { file: sequence + 1, offset: FILE_BEGIN, epoch: self.next.epoch };
                return Ok(Opened::Unreadable(entry.len));
            };
            let offset = if sequence == self.next.file { self.next.offset.max(FILE_BEGIN) } else { FILE_BEGIN };
            self.next = Position { file: sequence, offset, epoch: header.epoch };
            self.open = Some(Open { file, window: Vec::new(), window_at: 0 });
            return Ok(Opened::File);
        }
        Ok(Opened::Nothing)
    }
}

/// What became of the next file.
enum Opened {
    File,
    /// It has so many bytes and no head.
    Unreadable(u64),
    Nothing,
}

/// The head of a file, if it has one.
fn header_of(file: &dyn File, sequence: u64) -> io::Result<Option<FileHeader>> {
    let mut head = [0; FILE_HEADER_BYTES];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) => Ok(FileHeader::decode(&head).filter(|h| h.sequence == sequence && h.major <= MAJOR)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

impl Open {
    /// The frame at a position, if a whole one stands there.
    fn frame(&mut self, at: Position, end: u64) -> io::Result<Option<(u8, Vec<u8>)>> {
        let mut wanted = FRAME_HEADER_BYTES;
        loop {
            if at.offset + wanted as u64 > end {
                return Ok(None);
            }
            self.hold(at.offset, wanted, end)?;
            let start = (at.offset - self.window_at) as usize;
            let Some(header) = self.window.get(start..).and_then(FrameHeader::decode) else { return Ok(None) };
            if wanted >= FRAME_HEADER_BYTES + header.len {
                return Ok(frame_at(&self.window, start, self.window_at, at.file).map(|(signal, payload)| (signal, payload.to_vec())));
            }
            wanted = FRAME_HEADER_BYTES + header.len;
        }
    }

    /// Makes the window hold `len` bytes from an offset on.
    fn hold(&mut self, offset: u64, len: usize, end: u64) -> io::Result<()> {
        let held = self.window_at <= offset && offset + len as u64 <= self.window_at + self.window.len() as u64;
        if !held {
            let len = (end - offset).min(len.max(READ_BYTES) as u64) as usize;
            self.window.resize(len, 0);
            self.window.shrink_to(READ_BYTES);
            self.file.read_exact_at(&mut self.window, offset)?;
            self.window_at = offset;
        }
        Ok(())
    }

    /// Where the first whole frame behind a bad one stands.
    fn later_frame(&self, at: Position, end: u64) -> io::Result<Option<u64>> {
        let mut rest = vec![0; usize::try_from(end - at.offset).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut rest, at.offset)?;
        Ok(later_frames(&rest, at.offset, at.file).first().map(|start| at.offset + *start as u64))
    }
}

/// When the oldest of the epochs in a directory began, in milliseconds since 1970.
pub(crate) fn oldest_epoch_began(disk: &dyn Disk, dir: &Path) -> io::Result<Option<i64>> {
    let mut oldest = None;
    for entry in disk.list(dir)? {
        let Some(sequence) = sequence_of(&entry.name) else { continue };
        let began = header_of(&*disk.open(&path_of(dir, sequence))?, sequence)?.map(|header| header.epoch_began);
        oldest = [oldest, began].into_iter().flatten().min();
    }
    Ok(oldest)
}

/// When an epoch began, by the header of its first file.
pub(crate) fn epoch_began(disk: &dyn Disk, dir: &Path, epoch: u64) -> io::Result<Option<i64>> {
    match disk.open(&path_of(dir, epoch)) {
        Ok(file) => Ok(header_of(&*file, epoch)?.map(|header| header.epoch_began)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The files of the log with their epochs and sizes, ascending; files without a readable head are left out.
pub(crate) fn epochs(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u64, u64, u64)>> {
    let mut found = Vec::new();
    for entry in disk.list(dir)? {
        let Some(sequence) = sequence_of(&entry.name) else { continue };
        let file = match disk.open(&path_of(dir, sequence)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(header) = header_of(&*file, sequence)? {
            found.push((sequence, header.epoch, entry.len));
        }
    }
    found.sort_unstable();
    Ok(found)
}
