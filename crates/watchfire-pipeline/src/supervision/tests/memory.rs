//! A state store in memory that can refuse commits and die in the middle of one. A test double, not a store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use watchfire_model::state::{Change, StateError, StateStore, Table};

/// What the next commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is carried out.
    Works,
    /// It is refused, and life goes on.
    Refuses,
    /// The process dies before anything of it is on the medium.
    DiesBefore,
    /// The process dies when all of it is on the medium, before anybody hears of it.
    DiesAfter,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<(Table, String), Vec<u8>>,
    next: Option<Next>,
    dead: bool,
}

/// The store. Clones are one store.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Inner>>);

impl Memory {
    /// Says what becomes of the next commit.
    pub(crate) fn next(&self, next: Next) {
        self.0.lock().unwrap().next = Some(next);
    }
    /// Whether the process died in a commit; asking buries it.
    pub(crate) fn died(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap().dead)
    }
    pub(crate) fn shared(&self) -> Arc<dyn StateStore> {
        Arc::new(self.clone())
    }
}

impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().entries.get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let inner = self.0.lock().unwrap();
        let from = (table, prefix.to_owned());
        let found = inner.entries.range(from..).take_while(|((t, key), _)| *t == table && key.starts_with(prefix));
        Ok(found.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut inner = self.0.lock().unwrap();
        let refused = || StateError { doing: "commit changes", reason: "on purpose".to_owned() };
        if inner.dead {
            return Err(refused());
        }
        let next = inner.next.take().unwrap_or(Next::Works);
        inner.dead = matches!(next, Next::DiesBefore | Next::DiesAfter);
        if matches!(next, Next::Refuses | Next::DiesBefore) {
            return Err(refused());
        }
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(inner.entries.insert((table, key), value)),
                Change::Delete(table, key) => drop(inner.entries.remove(&(table, key))),
            }
        }
        Ok(())
    }
}
