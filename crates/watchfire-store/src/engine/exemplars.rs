//! Exemplars on their way through the engine: judged beside the samples of their batch, written to the log, kept in memory, and
//! put into a file whenever the log is cut.

use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use watchfire_model::batch::{Batch, SeriesExemplars};
use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError, Selection};
use watchfire_model::sample::Exemplar;
use watchfire_model::write::Written;

use super::flush::move_to_quarantine;
use super::{Engine, Shared, Writer, millis};
use crate::error::OpenError;
use crate::exemplars::{self, Dropped, Exemplars, FileError, may_follow};
use crate::file::{Disk, read_all, write_whole};

/// The most exemplars of one series in one batch; the newest stay.
const PER_BATCH_MAX: usize = 16;

/// An accepted exemplar: the number of its series, the series, the exemplar.
pub(super) type Accepted = (u32, Labels, Exemplar);

impl Engine {
    pub(super) fn exemplar_ring(&self) -> MutexGuard<'_, Exemplars> {
        self.exemplars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self, reason: Dropped, count: usize) {
        self.counters.exemplars_dropped[reason as usize].add(count as u64);
    }

    /// The exemplars that are to be kept. The samples of the batch have been judged, so it is known which series there are.
    pub(super) fn judge_exemplars(&self, writer: &mut Writer, shared: &Shared, batch: &Batch, written: &mut Written) -> Vec<Accepted> {
        if batch.exemplars.is_empty() {
            return Vec::new();
        }
        let latest = self.now().saturating_add(millis(self.options.future_max));
        let ring = self.exemplar_ring();
        let mut accepted: Vec<Accepted> = Vec::new();
        for SeriesExemplars { labels, exemplars } in &batch.exemplars {
            let known = shared.head.find(labels);
            let slot = known.or_else(|| writer.batch.slot_of_new(labels));
            let Some(slot) = slot.filter(|_| !ring.is_disabled()) else {
                self.dropped(if ring.is_disabled() { Dropped::Disabled } else { Dropped::UnknownSeries }, exemplars.len());
                continue;
            };
            let mut ordered: Vec<&Exemplar> = exemplars.iter().collect();
            ordered.order_by(|a, b| a.time.cmp(&b.time).then(a.value.total_cmp(&b.value)).then_with(|| a.labels.cmp(&b.labels)));
            let surplus = ordered.len().saturating_sub(PER_BATCH_MAX);
            self.dropped(Dropped::TooMany, surplus);
            let before = accepted.len();
            let mut newest = ring.newest(labels);
            for exemplar in ordered.into_iter().skip(surplus) {
                let verdict = if exemplar.time.millis() > latest { Err(Dropped::TooFarFuture) } else { may_follow(newest, exemplar) };
                match verdict {
                    Ok(()) => {
                        newest = Some(exemplar);
                        accepted.push((slot, labels.clone(), exemplar.clone()));
                    }
                    Err(reason) => {
                        written.exemplars += u64::from(reason == Dropped::Duplicate);
                        self.dropped(reason, 1);
                    }
                }
            }
            let undefined = known.and_then(|slot| shared.head.get(slot)).is_some_and(|series| series.defined_in != writer.epoch);
            if undefined && accepted.len() > before {
                writer.batch.redefined.push(slot);
            }
        }
        accepted
    }

    /// Keeps exemplars that the log has.
    pub(super) fn keep_exemplars(&self, accepted: Vec<Accepted>, written: &mut Written) {
        if accepted.is_empty() {
            return;
        }
        let mut ring = self.exemplar_ring();
        for (_, labels, exemplar) in accepted {
            // A series that stands twice in a batch was judged without its other half.
            match may_follow(ring.newest(&labels), &exemplar) {
                Ok(()) => {
                    written.exemplars += 1;
                    self.counters.exemplars.inc();
                    ring.push(&labels, exemplar);
                }
                Err(reason) => {
                    written.exemplars += u64::from(reason == Dropped::Duplicate);
                    self.dropped(reason, 1);
                }
            }
        }
    }

    /// Writes the exemplars to their file, if the file says something else.
    pub(super) fn save_exemplars(&self) -> io::Result<()> {
        let bytes = {
            let mut ring = self.exemplar_ring();
            if !std::mem::take(&mut ring.changed) {
                return Ok(());
            }
            exemplars::encode(&ring)?
        };
        write_whole(&*self.disk, &self.options.dir, exemplars::FILE, &bytes).inspect_err(|_| self.exemplar_ring().changed = true)
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn exemplars(&self, selection: &Selection, budget: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        budget.check()?;
        Ok(self.exemplar_ring().select(&selection.matchers, selection.start.millis(), selection.end.millis()))
    }
}

/// Reads the file of the last run. Returns whether it was damaged; then it is in quarantine.
pub(super) fn load_exemplars(disk: &dyn Disk, dir: &Path, ring: &mut Exemplars) -> Result<bool, OpenError> {
    let path = dir.join(exemplars::FILE);
    let Ok(file) = disk.open(&path) else { return Ok(false) };
    let bytes = read_all(&*file).map_err(OpenError::io("read", &path))?;
    match exemplars::decode(&bytes) {
        Ok(found) => found.into_iter().for_each(|(labels, exemplar)| ring.push(&labels, exemplar)),
        Err(FileError::Newer { found, known }) => return Err(OpenError::Newer { path, found, known }),
        Err(FileError::Damaged) => {
            move_to_quarantine(disk, dir, dir, exemplars::FILE).map_err(OpenError::io("move into quarantine", &path))?;
            return Ok(true);
        }
    }
    ring.changed = false;
    Ok(false)
}
