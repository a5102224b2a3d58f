//! The pace of a loop over entries: the clock is looked at after so much work, however many entries that is. It measures nothing
//! itself; who works says about how much.

use std::cell::{Cell, RefCell};

use watchfire_model::read::{Budget, ReadError};

/// Work between two looks at the clock, in bytes that are read once: some milliseconds.
const WORK_PER_CHECK: u64 = 1 << 20;
/// What an entry costs beside its bytes.
pub(crate) const ENTRY_WORK: u64 = 1 << 10;

/// The work since the clock was looked at last, and whether it is too late to go on.
pub(crate) struct Pace<'a> {
    budget: &'a Budget,
    work: Cell<u64>,
    failed: RefCell<Option<ReadError>>,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Pace<'a> {
        Pace { budget, work: Cell::new(0), failed: RefCell::new(None) }
    }

    /// Adds work; false once it is too late. What asks may end early then, its result is not used.
    pub(crate) fn spend(&self, work: u64) -> bool {
        let total = self.work.get().saturating_add(work);
        if total < WORK_PER_CHECK {
            self.work.set(total);
            return true;
        }
        if let Err(error) = self.budget.check() {
            // The work stays, so that every later question is answered in the same way.
            self.work.set(WORK_PER_CHECK);
            self.failed.replace(Some(error));
            return false;
        }
        self.work.set(0);
        true
    }

    /// Adds work; the error that ends a read where it is too late, also where that was found out in between.
    pub(crate) fn check(&self, work: u64) -> Result<(), ReadError> {
        self.spend(work);
        self.failed.take().map_or(Ok(()), Err)
    }
}
