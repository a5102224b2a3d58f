//! The writing side of the log: frames are collected in a buffer and go out with one `write`, so that a batch costs one
//! system call. A failed write is cut off again; what cannot be cut off poisons the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader};
use super::tail::{Position, Progress};
use super::{Control, SIGNAL_CONTROL, path_of};
use crate::file::{Disk, File, is_full};

/// The canary keeps this much to itself before it writes: it acknowledges too early, and the crash test must notice.
#[cfg(feature = "canary-ack-before-write")]
const CANARY_DELAY_BYTES: usize = 64 << 10;

/// Why frames could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// There is no room; the log is as it was before.
    Full(io::Error),
    /// The log can no longer be trusted.
    Poisoned(io::Error),
}

/// The log that is being written.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Made with the first frame, so that a start on a full disk succeeds and a start without writes leaves nothing behind.
    file: Option<Arc<dyn File>>,
    sequence: u64,
    epoch: u64,
    epoch_began: i64,
    /// Where the next frame goes.
    offset: u64,
    /// Frames that are not yet written.
    buffer: Vec<u8>,
    /// Everything before this offset of the current file is on the medium.
    synced: u64,
    /// The last sync was not yet mentioned in the log.
    announce: bool,
    file_bytes_max: u64,
    /// Bytes in finished files of the log.
    closed_bytes: u64,
    /// Bytes in finished files of the present epoch.
    epoch_bytes: u64,
    written_bytes: u64,
    /// Where those who read behind us may read up to.
    progress: Arc<Progress>,
}

impl Wal {
    /// A log that begins a new epoch with the file `sequence`.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, sequence: u64, epoch_began: i64, file_bytes_max: u64) -> Wal {
        let offset = FILE_HEADER_BYTES as u64;
        Wal {
            disk,
            dir: dir.to_owned(),
            file: None,
            sequence,
            epoch: sequence,
            epoch_began,
            offset,
            buffer: Vec::new(),
            synced: offset,
            announce: false,
            file_bytes_max,
            closed_bytes: 0,
            epoch_bytes: 0,
            written_bytes: 0,
            progress: Arc::new(Progress::new(Position { file: sequence, offset, epoch: sequence })),
        }
    }

    /// Where the log stands, for those who read behind it.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
    fn tell_progress(&self) {
        self.progress.set(Position { file: self.sequence, offset: self.offset, epoch: self.epoch });
    }

    /// Adds a frame to what `commit` writes; `fill` appends the payload.
    pub(crate) fn frame(&mut self, signal: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.resize(start + FRAME_HEADER_BYTES, 0);
        fill(&mut self.buffer);
        frame::seal(&mut self.buffer, start, self.sequence, self.offset + start as u64, signal);
    }

    /// Writes the collected frames. After a failure none of them is in the log.
    pub(crate) fn commit(&mut self) -> Result<(), AppendError> {
        #[cfg(feature = "canary-ack-before-write")]
        if self.buffer.len() < CANARY_DELAY_BYTES {
            return Ok(());
        }
        // Behind the others: when a cut tears this write, no data stand behind a gap that held only this.
        if self.announce && !self.buffer.is_empty() {
            self.announce = false;
            let payload = Control::SyncedTo(self.synced).encode();
            self.frame(SIGNAL_CONTROL, |out| out.extend_from_slice(&payload));
        }
        self.write_out()?;
        if self.offset >= self.file_bytes_max {
            self.next_file(self.epoch, self.epoch_began).map_err(AppendError::Poisoned)?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), AppendError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.file().and_then(|file| file.write_all_at(&self.buffer, self.offset));
        let len = self.buffer.len() as u64;
        self.buffer.clear();
        // One huge batch must not leave its memory behind.
        self.buffer.shrink_to(1 << 20);
        match result {
            Ok(()) => {
                self.offset += len;
                self.written_bytes += len;
                self.tell_progress();
                Ok(())
            }
            Err(error) => {
                self.announce |= self.synced > FILE_HEADER_BYTES as u64;
                let cut = self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.offset));
                if cut.is_ok() && is_full(&error) { Err(AppendError::Full(error)) } else { Err(AppendError::Poisoned(error)) }
            }
        }
    }

    /// The current file. A file whose header did not fit goes again.
    fn file(&mut self) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        match new_file(&*self.disk, &self.dir, FileHeader::new(self.sequence, self.epoch, self.epoch_began)) {
            Ok(file) => Ok(self.file.insert(file).clone()),
            Err(error) => {
                if let Err(left) = self.disk.remove(&path_of(&self.dir, self.sequence)) {
                    tracing::debug!(error = %left, "no unfinished log file to remove");
                }
                Err(error)
            }
        }
    }

    /// Where the log stands: file number and offset. With [`Wal::sync_handle`] the caller syncs without holding the log.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.sequence, self.offset)
    }
    /// The current file, to be synced by the caller, if there is one yet.
    pub(crate) fn sync_handle(&mut self) -> Result<Option<Arc<dyn File>>, AppendError> {
        self.write_out()?;
        Ok(self.file.clone())
    }
    /// Notes that everything up to a position is on the medium.
    pub(crate) fn mark_synced(&mut self, (sequence, offset): (u64, u64)) {
        if sequence == self.sequence && offset > self.synced {
            self.synced = offset;
            self.announce = true;
        }
    }
    /// Whether something was written since the last sync.
    pub(crate) fn is_dirty(&self) -> bool {
        self.offset > self.synced || !self.buffer.is_empty()
    }

    /// Syncs the current file and goes on in a new one, which begins a new epoch. Returns its number: files before it
    /// can go once their content is elsewhere.
    pub(crate) fn begin_epoch(&mut self, now: i64) -> io::Result<u64> {
        self.write_out().map_err(|e| match e {
            AppendError::Full(e) | AppendError::Poisoned(e) => e,
        })?;
        self.next_file(self.sequence + 1, now)?;
        Ok(self.epoch)
    }

    fn next_file(&mut self, epoch: u64, began: i64) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync()?;
            self.closed_bytes += self.offset;
            self.epoch_bytes += self.offset;
        }
        if epoch != self.epoch {
            self.epoch_bytes = 0;
        }
        self.sequence += 1;
        self.epoch = epoch;
        self.epoch_began = began;
        self.offset = FILE_HEADER_BYTES as u64;
        self.synced = self.offset;
        self.announce = false;
        self.tell_progress();
        Ok(())
    }

    /// Removes the files before a number. They must be readable elsewhere by then.
    pub(crate) fn drop_before(&mut self, sequence: u64) -> io::Result<()> {
        let mut left = 0;
        for entry in self.disk.list(&self.dir)? {
            match super::sequence_of(&entry.name) {
                Some(s) if s < sequence => self.disk.remove(&self.dir.join(&entry.name))?,
                Some(s) if s < self.sequence => left += entry.len,
                _ => {}
            }
        }
        self.closed_bytes = left;
        Ok(())
    }

    /// Says in the log that we stop in good order, and syncs. A log without frames has nothing to say.
    pub(crate) fn close(&mut self) -> Result<(), AppendError> {
        if self.file.is_none() && self.buffer.is_empty() {
            return Ok(());
        }
        // The word says that everything before it is on the medium, so it must not get there first.
        if self.is_dirty() {
            self.write_out()?;
            self.file().and_then(|file| file.sync()).map_err(AppendError::Poisoned)?;
            self.mark_synced(self.position());
        }
        self.frame(SIGNAL_CONTROL, |out| out.extend_from_slice(&Control::CleanStop.encode()));
        self.write_out()?;
        self.file().and_then(|file| file.sync()).map_err(AppendError::Poisoned)
    }

    /// Bytes in all files of the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed_bytes + if self.file.is_some() { self.offset } else { 0 }
    }
    /// Bytes in the files of the present epoch: what is in memory only.
    pub(crate) fn epoch_bytes(&self) -> u64 {
        self.epoch_bytes + if self.file.is_some() { self.offset } else { 0 }
    }
    /// Bytes written since the start.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }
    /// Adds the size of files that were there before, whose content is in memory.
    pub(crate) fn add_closed_bytes(&mut self, bytes: u64) {
        self.closed_bytes += bytes;
        self.epoch_bytes += bytes;
    }
}

fn new_file(disk: &dyn Disk, dir: &Path, header: FileHeader) -> io::Result<Arc<dyn File>> {
    let file = disk.create(&path_of(dir, header.sequence))?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    Ok(file)
}
