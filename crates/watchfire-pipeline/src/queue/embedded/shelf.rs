//! One queue of the embedded backend in memory: which job is where, in order. Payloads and reasons stay on disk.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::queue::backend::Depths;
use crate::queue::failure::History;

/// Where a job is. Stored; see `docs/formats/queues.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "place")]
pub(super) enum Place {
    /// It waits for a worker.
    Waiting,
    /// It waits for its next attempt.
    Retry { due_ms: i64 },
    /// A worker has it.
    Leased { until_ms: i64, token: String },
    /// It failed too often.
    Dead,
    /// It had to leave a full queue.
    Overflow { moved_ms: i64 },
}

/// Where a job stands. Stored; see `docs/formats/queues.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The version of this form.
    pub(super) v: u8,
    #[serde(flatten)]
    pub(super) place: Place,
    /// Its turn among jobs of the same place.
    pub(super) order: u64,
    /// Bytes of its payload.
    pub(super) bytes: u64,
    pub(super) history: History,
}

/// All jobs of one queue.
#[derive(Default)]
pub(super) struct Shelf {
    jobs: BTreeMap<u64, State>,
    pub(super) waiting: BTreeMap<u64, u64>,
    pub(super) retry: BTreeSet<(i64, u64)>,
    pub(super) leased: BTreeSet<(i64, u64)>,
    pub(super) dead: BTreeMap<u64, u64>,
    pub(super) overflow: BTreeMap<u64, u64>,
    /// Bytes of jobs that wait, of dead jobs, and of those of the overflow.
    pub(super) bytes: [u64; 3],
}

impl Shelf {
    /// Puts a job where its state says, from wherever it was.
    pub(super) fn put(&mut self, id: u64, state: State) {
        self.take(id);
        self.index(id, &state, true);
        self.jobs.insert(id, state);
    }
    /// Forgets a job.
    pub(super) fn take(&mut self, id: u64) {
        if let Some(state) = self.jobs.remove(&id) {
            self.index(id, &state, false);
        }
    }
    fn index(&mut self, id: u64, state: &State, there: bool) {
        let ordered = |map: &mut BTreeMap<u64, u64>| {
            if there {
                map.insert(state.order, id)
            } else {
                map.remove(&state.order)
            };
        };
        let timed = |set: &mut BTreeSet<(i64, u64)>, ms: i64| {
            if there {
                set.insert((ms, id))
            } else {
                set.remove(&(ms, id))
            };
        };
        let kind = match &state.place {
            Place::Waiting => {
                ordered(&mut self.waiting);
                0
            }
            Place::Retry { due_ms } => {
                timed(&mut self.retry, *due_ms);
                0
            }
            Place::Leased { until_ms, .. } => return timed(&mut self.leased, *until_ms),
            Place::Dead => {
                ordered(&mut self.dead);
                1
            }
            Place::Overflow { .. } => {
                ordered(&mut self.overflow);
                2
            }
        };
        let bytes = &mut self.bytes[kind];
        *bytes = if there { *bytes + state.bytes } else { bytes.saturating_sub(state.bytes) };
    }
    /// Where a job stands.
    pub(super) fn state(&self, id: u64) -> Option<&State> {
        self.jobs.get(&id)
    }
    /// The largest number in use.
    pub(super) fn last(&self) -> u64 {
        self.jobs.iter().map(|(id, state)| state.order.max(*id)).max().unwrap_or(0)
    }
    pub(super) fn depths(&self) -> Depths {
        Depths {
            waiting: self.waiting.len() as u64,
            retrying: self.retry.len() as u64,
            leased: self.leased.len() as u64,
            dead: self.dead.len() as u64,
            overflow: self.overflow.len() as u64,
        }
    }
}
