//! Small durable state in one redb file, behind `watchfire_model::state::StateStore`. A commit is atomic, and durable when it
//! returns. Not for telemetry.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError, TableHandle};
use watchfire_model::state::{Change, StateError, StateStore, Table};

use crate::file::{Disk, File};

/// redb's cache: small state needs little.
const CACHE_BYTES: usize = 1 << 20;

/// Larger files are not checked at the start, which must stay short.
const CHECKED_BYTES_MAX: u64 = 64 << 20;

type Definition<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// The state file.
pub(crate) struct RedbState {
    database: Database,
    file: Arc<dyn File>,
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
            Ok(Ok(database)) => Ok(RedbState { database, file }),
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
        let copy = || -> Result<(), redb::Error> {
            let file = disk.open_write(path)?;
            let copy = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file))?;
            let (from, mut to) = (self.database.begin_read()?, copy.begin_write()?);
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
        copy().map_err(io::Error::other)
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

impl StateStore for RedbState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        const DOING: &str = "read a key";
        let transaction = self.database.begin_read().map_err(failed(DOING))?;
        let table = match transaction.open_table(Definition::new(table.0)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(failed(DOING))?,
        };
        Ok(table.get(key).map_err(failed(DOING))?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        const DOING: &str = "list keys";
        let transaction = self.database.begin_read().map_err(failed(DOING))?;
        let table = match transaction.open_table(Definition::new(table.0)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            other => other.map_err(failed(DOING))?,
        };
        let mut found = Vec::new();
        for entry in table.range(prefix..).map_err(failed(DOING))? {
            let (key, value) = entry.map_err(failed(DOING))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(found)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        const DOING: &str = "commit changes";
        let mut transaction = self.database.begin_write().map_err(failed(DOING))?;
        transaction.set_durability(Durability::Immediate).map_err(failed(DOING))?;
        for change in changes {
            match change {
                Change::Put(table, key, value) => {
                    let mut table = transaction.open_table(Definition::new(table.0)).map_err(failed(DOING))?;
                    table.insert(key.as_str(), value.as_slice()).map_err(failed(DOING))?;
                }
                Change::Delete(table, key) => {
                    let mut table = transaction.open_table(Definition::new(table.0)).map_err(failed(DOING))?;
                    table.remove(key.as_str()).map_err(failed(DOING))?;
                }
            }
        }
        transaction.commit().map_err(failed(DOING))
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
