//! Small durable state in one redb file, behind `watchfire_model::state::StateStore`. A commit is atomic, and durable when it
//! returns. Room for it is set aside, so that it also works on a disk that telemetry has filled. Not for telemetry.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError, TableHandle};
use watchfire_model::state::{Change, StateError, StateStore, Table};

use crate::file::{Disk, File};

/// redb's cache: small state needs little.
const CACHE_BYTES: usize = 1 << 20;

/// Larger files are not checked at the start, which must stay short.
const CHECKED_BYTES_MAX: u64 = 64 << 20;

/// The room that is set aside behind the end of the file, and what share of a small file system it may be at most.
const RESERVED_BYTES: u64 = 8 << 20;
const RESERVED_SHARE: u64 = 20;

type Definition<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// The state file.
pub(crate) struct RedbState {
    /// Missing only where it could not be opened again after an error.
    database: RwLock<Option<Database>>,
    file: Arc<dyn File>,
    /// How much room to set aside, and for which length of the file that was done.
    reserve: u64,
    reserved_for: AtomicU64,
}

impl RedbState {
    /// Opens or makes the file. A file that does not check out is an error, never a wrong value later.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<RedbState, OpenStateError> {
        let io = |error: io::Error| OpenStateError::Io(error);
        if !disk.exists(path).map_err(io)? {
            make(disk, path).map_err(io)?;
        }
        let file = disk.open_write(path).map_err(io)?;
        if let Some(dir) = path.parent() {
            disk.sync_dir(dir).map_err(io)?;
        }
        // redb promises errors, not panics, for files that it wrote; for damaged ones we do not rely on it.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checked(&file)));
        match opened {
            Ok(Ok(database)) => {
                let size = path.parent().and_then(|dir| disk.room(dir).ok()).map_or(u64::MAX, |room| room.size);
                let reserve = RESERVED_BYTES.min(size / RESERVED_SHARE);
                let state = RedbState { database: RwLock::new(Some(database)), file, reserve, reserved_for: AtomicU64::new(0) };
                state.set_room_aside();
                Ok(state)
            }
            Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))))
                if error.kind() != io::ErrorKind::InvalidData && error.kind() != io::ErrorKind::UnexpectedEof =>
            {
                Err(OpenStateError::Io(error))
            }
            Ok(Err(error)) => Err(OpenStateError::Damaged(error.to_string())),
            Err(_) => Err(OpenStateError::Damaged("the state file makes its reader panic".into())),
        }
    }
    /// Writes everything into a new file.
    pub(crate) fn copy_to(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let copy = |database: &Database| -> Result<(), redb::Error> {
            let file = disk.open_write(path)?;
            let copy = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file))?;
            let (from, mut to) = (database.begin_read()?, copy.begin_write()?);
            to.set_durability(Durability::Immediate)?;
            for table in from.list_tables()? {
                let definition = Definition::new(table.name());
                let (source, mut target) = (from.open_table(definition)?, to.open_table(definition)?);
                for entry in source.iter()? {
                    let (key, value) = entry?;
                    target.insert(key.value(), value.value())?;
                }
            }
            Ok(to.commit()?)
        };
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        copy(database.as_ref().ok_or_else(closed)?).map_err(io::Error::other)
    }
    /// Sets room aside anew when the file has grown into it. On a disk that is full already, there is none to be had.
    fn set_room_aside(&self) {
        let len = self.bytes();
        if self.reserved_for.load(Ordering::Relaxed) != len && self.file.reserve(self.reserve).is_ok() {
            self.reserved_for.store(len, Ordering::Relaxed);
        }
    }
    fn with<T, E: fmt::Display>(&self, doing: &'static str, ask: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, StateError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        ask(database.as_ref().ok_or_else(closed).map_err(failed(doing))?).map_err(failed(doing))
    }
    /// After an error of the disk redb answers nothing any more until the file is opened again.
    fn reopen(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        drop(database.take());
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checked(&self.file)));
        match opened {
            Ok(Ok(opened)) => *database = Some(opened),
            Ok(Err(error)) => tracing::error!(%error, "the state file cannot be opened again"),
            Err(_) => tracing::error!("the state file makes its reader panic"),
        }
    }
    /// The size of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.len().unwrap_or(0)
    }
}

/// Why the state file cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenStateError {
    /// The operating system refused something.
    Io(io::Error),
    /// The content is not what was written.
    Damaged(String),
}

/// Makes an empty database under another name first: a process that dies meanwhile must not leave something that looks damaged.
fn make(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("redb.tmp");
    let file = disk.open_write(&temporary)?;
    file.set_len(0)?;
    drop(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file.clone())).map_err(io::Error::other)?);
    file.sync()?;
    disk.rename(&temporary, path)
}

/// Opens the database and verifies all its checksums.
fn checked(file: &Arc<dyn File>) -> Result<Database, redb::DatabaseError> {
    let fresh = file.len()? == 0;
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file.clone()))?;
    if !fresh && file.len()? <= CHECKED_BYTES_MAX {
        database.check_integrity()?;
    }
    Ok(database)
}

fn failed<E: fmt::Display>(doing: &'static str) -> impl Fn(E) -> StateError {
    move |error| StateError { doing, reason: error.to_string() }
}

fn closed() -> io::Error {
    io::Error::other("it could not be opened again after an error of the disk")
}

fn get(database: &Database, table: Table, key: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(Definition::new(table.0)) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        other => other?,
    };
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}

fn scan(database: &Database, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(Definition::new(table.0)) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in table.range(prefix..)? {
        let (key, value) = entry?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push((key.value().to_owned(), value.value().to_vec()));
    }
    Ok(found)
}

fn commit(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    for change in changes {
        match change {
            Change::Put(table, key, value) => {
                transaction.open_table(Definition::new(table.0))?.insert(key.as_str(), value.as_slice())?;
            }
            Change::Delete(table, key) => {
                transaction.open_table(Definition::new(table.0))?.remove(key.as_str())?;
            }
        }
    }
    Ok(transaction.commit()?)
}

impl StateStore for RedbState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.with("read a key", |database| get(database, table, key))
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.with("list keys", |database| scan(database, table, prefix))
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let committed = self.with("commit changes", |database| commit(database, changes));
        match &committed {
            Ok(()) => self.set_room_aside(),
            Err(_) => self.reopen(),
        }
        committed
    }
}

/// Lets redb work through our file layer, so that faults can be injected and the directory lock is the only lock.
struct Backend(Arc<dyn File>);

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_exact_at(out, offset)
    }
    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests;
