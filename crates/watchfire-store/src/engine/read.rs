//! Reading: a consistent snapshot of head and segments first, then decoding without any lock.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, ReadError, Selection, Visitor};

use super::{Engine, Shared};
use crate::metrics::postings;
use crate::metrics::select::Assembly;

impl Shared {
    pub(super) fn newest_in_segments(&self, _labels: &Labels, _from: i64) -> Option<i64> {
        None
    }
    pub(super) fn find_in_segments(&self, _labels: &Labels, _time: i64) -> Option<u64> {
        None
    }
}

impl Engine {
    /// See `watchfire_model::read::Source`.
    pub(crate) fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        let (start, end) = (selection.start.millis(), selection.end.millis());
        let snapshots: Vec<_> = {
            let shared = self.read();
            if !shared.head.overlaps(start, end) {
                return Ok(());
            }
            let chosen = postings::select(&shared.head, &selection.matchers);
            let series = chosen.into_iter().filter_map(|slot| shared.head.get(slot));
            series.filter_map(|s| Some((s.labels.clone(), s.snapshot(start, end)?))).collect()
        };
        let held: u64 = snapshots.iter().map(|(_, s)| s.memory()).sum();
        budget.charge_memory(held)?;
        for (labels, snapshot) in snapshots {
            budget.check()?;
            let mut assembly = Assembly::default();
            snapshot.each(start, end, |time, bits| assembly.push(time, bits));
            let Some(series) = assembly.finish(labels) else { continue };
            budget.charge_samples(series.times.len() as u64)?;
            if let ControlFlow::Break(()) = visit(series)? {
                break;
            }
        }
        budget.release_memory(held);
        Ok(())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        budget.check()?;
        let (start, end) = (selection.start.millis(), selection.end.millis());
        let shared = self.read();
        let chosen = postings::select(&shared.head, &selection.matchers);
        Ok(chosen.into_iter().filter_map(|slot| shared.head.get(slot)).filter(|s| s.overlaps(start, end)).map(|s| s.labels.clone()).collect())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn label_names(&self, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        if selection.matchers.is_empty() {
            names.extend(self.read().head.names().map(str::to_owned));
            return Ok(names.into_iter().collect());
        }
        for labels in self.series(selection, budget)? {
            for (name, _) in &labels {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn label_values(&self, name: &str, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        budget.check()?;
        let shared = self.read();
        let chosen = (!selection.matchers.is_empty()).then(|| postings::select(&shared.head, &selection.matchers));
        let mut values = BTreeSet::new();
        postings::values(&shared.head, name, chosen.as_deref(), &mut values);
        Ok(values.into_iter().collect())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn metadata(&self) -> Vec<Metadata> {
        self.read().head.metadata().cloned().collect()
    }
}
