//! The only place that touches the file system. `Disk` and `File` are thin, so that tests can put a simulated disk with
//! faults in the place of the real one. Formats are none of this module's business.

mod counted;
mod real;
#[cfg(test)]
pub(crate) mod simulated;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use counted::{CountedDisk, Counters};
pub(crate) use real::RealDisk;

/// A file in a directory listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) len: u64,
}

/// What a lock on a directory holds on to; dropping it gives the directory free.
pub(crate) type LockGuard = Box<dyn Any + Send + Sync>;

/// A place for files.
pub(crate) trait Disk: Send + Sync {
    /// Makes a directory and those above it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The plain files of a directory, ascending by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing; makes it when it is missing.
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Makes an empty file, also in the place of another.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, also in the place of another file, or a directory one that is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Whether there is a file or a directory.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Removes a directory with everything in it, if it is there.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Unlinks a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How much room there is for us, and how large the whole is.
    fn room(&self, dir: &Path) -> io::Result<Room>;
    /// Locks a directory against other processes; `None` when another one holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// What is left for us.
    pub(crate) free: u64,
    /// All there is, used or not.
    pub(crate) size: u64,
}

/// An open file. All access is positioned, so one handle serves many threads.
pub(crate) trait File: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Sets room aside behind the end, so that so many bytes can be written on a full disk. A file system that cannot do it is no
    /// error.
    fn reserve(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
    /// Returns when what was written is on the medium.
    fn sync(&self) -> io::Result<()>;
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How much is copied at once where a link is not possible.
const COPY_BYTES: usize = 1 << 20;

/// Gives a file a second name, or copies it to another file system.
pub(crate) fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let Err(refused) = disk.link(from, to) else { return Ok(()) };
    if is_full(&refused) {
        return Err(refused);
    }
    let source = disk.open(from)?;
    let target = disk.create(to)?;
    let len = source.len()?;
    let mut at = 0;
    let mut buffer = vec![0; COPY_BYTES];
    while at < len {
        let part = &mut buffer[..(len - at).min(COPY_BYTES as u64) as usize];
        source.read_exact_at(part, at)?;
        target.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    target.sync()
}

/// Reads a whole small file.
pub(crate) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a small file so that after a crash either the old or the new content is there.
pub(crate) fn write_whole(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let file = disk.create(&temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, &dir.join(name))?;
    disk.sync_dir(dir)
}
