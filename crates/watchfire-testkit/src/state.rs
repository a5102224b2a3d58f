//! A state store in memory. What is committed is there at once, and never fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use watchfire_model::state::{Change, StateError, StateStore, Table};

type Tables = BTreeMap<(Table, String), Vec<u8>>;

/// The store, and everything in it to look at.
#[derive(Default)]
pub struct Memory(pub Mutex<Tables>);

impl Memory {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.tables().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(self.tables().iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut all = self.tables();
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}
