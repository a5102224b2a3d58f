//! The ledger: what every exchange came to, added up so that sums are right after any death of the process. An exchange is written to
//! the journal when it begins and when it ends; now and then the sums are committed to the state file together with the number of the
//! last exchange in them. Money and tokens only; no word of a prompt.

mod journal;
mod rows;
pub(super) mod sums;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::state::{StateError, StateStore};
use watchfire_model::time::SharedClock;

use self::journal::{Begun, Entry, Journal};
use self::rows::Folded;
pub(super) use self::sums::{Books, Key, Period, Sums};

/// Where the ledger keeps things.
pub(super) struct Keeping {
    pub(super) state: Arc<dyn StateStore>,
    pub(super) journal: PathBuf,
    pub(super) clock: SharedClock,
    /// Where days begin.
    pub(super) zone: TimeZone,
}

/// What an exchange did to the spending of its day and its month: before and after, in picodollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) day: (u64, u64),
    pub(super) month: (u64, u64),
}

/// The ledger.
pub(super) struct Ledger {
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    zone: TimeZone,
    inner: Mutex<Inner>,
    /// One commit at a time, so that an older one never follows a newer one.
    folding: Mutex<()>,
    journal_errors: Counter,
}

struct Inner {
    books: Books,
    journal: Journal,
    open: BTreeMap<u64, Begun>,
    dirty: HashSet<(Period, Key)>,
    next_id: u64,
    /// The number of the last exchange that ended.
    number: u64,
    /// Exchanges up to this id that are open in the journal belong to a process that died.
    dead: u64,
    /// What the state file's sums hold.
    folded: Folded,
    /// Spending of the present day and month, kept so that asking costs nothing.
    spent: Option<(Date, u64, u64)>,
}

impl Ledger {
    /// Opens what is kept. Exchanges that a killed process left open are closed as partial.
    pub(super) fn open(keeping: Keeping, meter: &Meter) -> Result<Ledger, StateError> {
        let Keeping { state, journal: path, clock, zone } = keeping;
        let (books, folded, strange) = rows::load(&*state)?;
        let read = Journal::read(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "the journal of model calls cannot be read; calls that ended in the last seconds before the stop may be missing");
            journal::Found { damaged: 1, ..journal::Found::default() }
        });
        let damaged = meter.counter("watchfire_gateway_ledger_damaged_total", "Entries of the ledger of model calls that make no sense.", &[]);
        damaged.add(strange + read.damaged);
        if strange + read.damaged > 0 {
            tracing::warn!(entries = strange, lines = read.damaged, "a part of the ledger of model calls cannot be read and is passed over");
        }
        let mut inner = Inner {
            books,
            journal: Journal::new(path),
            open: BTreeMap::new(),
            dirty: HashSet::new(),
            next_id: read.last_id.max(folded.dead),
            number: folded.number,
            dead: read.last_id.max(folded.dead),
            folded,
            spent: None,
        };
        for (number, date, key, sums) in read.ended {
            // What the sums hold already is not added again.
            if number > folded.number {
                inner.number = inner.number.max(number);
                inner.add(date, &key, &sums);
            }
        }
        let mut left = 0;
        for begun in read.open.into_values().filter(|begun| begun.id > folded.dead) {
            left += 1;
            let sums = Sums { exchanges: 1, partial: 1, estimated_input: begun.input, estimated_output: begun.output, ..Sums::default() };
            inner.number += 1;
            inner.add(begun.date, &begun.key, &sums);
        }
        if left > 0 {
            tracing::warn!(exchanges = left, "model calls were under way when the process ended; they count as partial");
        }
        let journal_errors = meter.counter("watchfire_gateway_journal_errors_total", "Lines of the journal of model calls that could not be written.", &[]);
        let ledger = Ledger { state, clock, zone, inner: Mutex::new(inner), folding: Mutex::default(), journal_errors };
        if let Err(error) = ledger.fold_and(true) {
            tracing::warn!(%error, "what model calls came to is not kept yet; the next try holds it too");
        }
        Ok(ledger)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The day it is, where days begin.
    pub(super) fn today(&self) -> Date {
        let now = jiff::Timestamp::from_millisecond(self.clock.now().millis()).unwrap_or_default();
        self.zone.to_datetime(now).date()
    }

    /// An exchange begins. `input` is a rough count of its prompt.
    pub(super) fn begin(&self, key: &Key, input: u64) -> u64 {
        let date = self.today();
        let mut inner = self.lock();
        inner.next_id += 1;
        let begun = Begun { id: inner.next_id, date, key: key.clone(), input, output: 0 };
        self.write(&mut inner, &Entry::Begun(begun.clone()));
        let id = begun.id;
        inner.open.insert(id, begun);
        id
    }

    /// It came so far: a rough count of its answer.
    pub(super) fn progress(&self, id: u64, output: u64) {
        let mut inner = self.lock();
        if let Some(begun) = inner.open.get_mut(&id) {
            begun.output = output;
            self.write(&mut inner, &Entry::Progress { id, output });
        }
    }

    /// It is over. Counts once: an exchange that ended already changes nothing.
    pub(super) fn end(&self, id: u64, key: &Key, sums: &Sums) -> Option<Spent> {
        let date = self.today();
        let mut inner = self.lock();
        inner.open.remove(&id)?;
        inner.number += 1;
        let entry = Entry::Ended { id, n: inner.number, date, key: key.clone(), sums: *sums };
        self.write(&mut inner, &entry);
        let (day, month) = inner.spending(date);
        inner.add(date, key, sums);
        let (day_after, month_after) = inner.spending(date);
        Some(Spent { day: (day, day_after), month: (month, month_after) })
    }

    /// What was spent today and this month, in picodollars.
    pub(super) fn spending(&self) -> (u64, u64) {
        let today = self.today();
        self.lock().spending(today)
    }

    fn write(&self, inner: &mut Inner, entry: &Entry) {
        if let Err(error) = inner.journal.append(entry) {
            self.journal_errors.inc();
            tracing::debug!(%error, "a line of the journal of model calls was not written");
        }
    }

    /// Whether the state file holds the sums as they are.
    pub(super) fn is_folded(&self) -> bool {
        let inner = self.lock();
        inner.dirty.is_empty() && inner.folded == Folded { number: inner.number, dead: inner.dead }
    }

    /// Commits the sums to the state file. Blocks.
    pub(super) fn fold(&self) -> Result<(), StateError> {
        self.fold_and(false)
    }

    fn fold_and(&self, rewrite: bool) -> Result<(), StateError> {
        let _one = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, now, dirty) = {
            let mut inner = self.lock();
            let gone = inner.books.forget();
            let dirty = std::mem::take(&mut inner.dirty);
            let mut changes: Vec<_> = gone.iter().map(|(period, key)| rows::delete(*period, key)).collect();
            let kept = dirty.iter().filter_map(|(period, key)| Some(rows::put(*period, key, inner.books.0.get(period)?.get(key)?)));
            changes.extend(kept);
            let now = Folded { number: inner.number, dead: inner.dead };
            if now != inner.folded {
                changes.push(rows::put_folded(now));
            }
            (changes, now, dirty)
        };
        if !changes.is_empty()
            && let Err(error) = self.state.commit(&changes)
        {
            self.lock().dirty.extend(dirty);
            return Err(error);
        }
        let mut inner = self.lock();
        inner.folded = now;
        // What ended since then stands in the journal only.
        if inner.number == now.number && (rewrite || inner.journal.bytes() > journal::BYTES_MAX) {
            let Inner { journal, open, .. } = &mut *inner;
            let has_file = !open.is_empty() || journal.bytes() > 0 || journal.exists();
            if has_file && let Err(error) = journal.rewrite(open.values()) {
                self.journal_errors.inc();
                tracing::warn!(%error, "the journal of model calls cannot be written anew");
            }
        }
        Ok(())
    }

    /// Looks at the sums.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.lock().books)
    }

    /// How many exchanges are under way.
    pub(super) fn under_way(&self) -> usize {
        self.lock().open.len()
    }
}

impl Inner {
    fn add(&mut self, date: Date, key: &Key, sums: &Sums) {
        let places = self.books.add(date, key, sums);
        self.dirty.extend(places);
        match &mut self.spent {
            Some((day, today, month)) if *day == date => {
                *today = today.saturating_add(sums.cost);
                *month = month.saturating_add(sums.cost);
            }
            // Added to another day than the present one: counted anew when asked.
            other => *other = None,
        }
    }

    fn spending(&mut self, date: Date) -> (u64, u64) {
        match self.spent {
            Some((day, today, month)) if day == date => (today, month),
            _ => {
                let (today, month) = (self.books.total(Period::Day(date)).cost, self.books.total(Period::month(date)).cost);
                self.spent = Some((date, today, month));
                (today, month)
            }
        }
    }
}
