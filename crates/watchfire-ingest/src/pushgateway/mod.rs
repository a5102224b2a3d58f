//! Pushgateway: short-lived programs push their metrics by group; the groups are kept durably and look to queries as if a
//! Pushgateway were scraped with `honor_labels`. A push is stored at once and repeated while its group lives. It decodes
//! and keeps; paths and statuses are the business of the face.

mod group;
mod parse;
mod path;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use watchfire_model::batch::{Batch, Metadata, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::meter;
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::state::{Change, PUSHED_GROUPS, StateError, StateStore};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Sink, WriteError};

use crate::gate::Gate;

pub use parse::Body;
pub use path::Key;

use group::Group;
use parse::{Family, Pushed};

/// The most groups.
pub const GROUPS_MAX: usize = 1_000;
/// The most samples in all groups together.
pub const SAMPLES_MAX: usize = 100_000;
/// The most bytes of labels and help texts in all groups together.
pub const BYTES_MAX: usize = 64 << 20;
/// The most series of one batch.
const BATCH_SERIES: usize = 10_000;

/// Why a push or a deletion is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The path names no group.
    #[error("{0}")]
    Path(String),
    /// The body is no exposition.
    #[error("cannot read the pushed metrics: {0}")]
    Malformed(String),
    /// The metrics contradict themselves or others.
    #[error("pushed metrics are invalid or inconsistent with existing metrics: {0}")]
    Inconsistent(String),
    /// There is no room for more groups or samples.
    #[error("too many pushed metrics: {0}")]
    Full(String),
    /// The group could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The groups. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Pushgateway {
    gate: Arc<Gate>,
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    inner: Mutex<Inner>,
}
#[derive(Default)]
struct Inner {
    groups: BTreeMap<Key, Group>,
    /// The time of the last samples, so that a later push never has the same.
    written: i64,
}

impl Pushgateway {
    /// Reads the groups that are kept. One that cannot be read any more is left out, and said.
    pub fn open(gate: Arc<Gate>, state: Arc<dyn StateStore>, clock: SharedClock) -> Result<Pushgateway, StateError> {
        let mut groups = BTreeMap::new();
        for (text, bytes) in state.scan(PUSHED_GROUPS, "")? {
            match Key::parse(&text).zip(Group::parse(&bytes)) {
                Some((key, group)) => drop(groups.insert(key, group)),
                None => tracing::warn!(group = text, "a pushed group cannot be read; it is left out"),
            }
        }
        Ok(Pushgateway { gate, state, clock, inner: Mutex::new(Inner { groups, written: 0 }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a push: `replace` forgets everything else of the group (PUT), otherwise only metrics of the same names (POST).
    pub fn push(&self, key: &Key, body: Body<'_>, replace: bool) -> Result<(), PushError> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let outcome = parse::parse(body, key).and_then(|pushed| {
            inner.check(key, &pushed, replace)?;
            Ok(pushed)
        });
        let before = inner.groups.get(key).map(|g| g.series(key)).unwrap_or_default();
        let mut group = inner.groups.get(key).cloned().unwrap_or_default();
        let refused = match outcome {
            Ok(pushed) => {
                group.take(pushed, replace, now);
                None
            }
            // A failed push leaves its mark, also in a group that never had a good one.
            Err(error) if inner.groups.len() < GROUPS_MAX || inner.groups.contains_key(key) => {
                group.failed_ms = now.millis();
                Some(error)
            }
            Err(error) => return Err(error),
        };
        self.state.commit(&[Change::Put(PUSHED_GROUPS, key.to_string(), group.render())])?;
        let after = group.series(key);
        let metadata = group.metadata();
        inner.groups.insert(key.clone(), group);
        let kept: HashSet<&Labels> = after.iter().map(|(labels, _)| labels).collect();
        let ended: Vec<(Labels, f64)> = before.into_iter().filter(|(labels, _)| !kept.contains(labels)).map(|(labels, _)| (labels, stale_nan())).collect();
        let all: Vec<(Labels, f64)> = after.iter().cloned().chain(ended).collect();
        self.write(&mut inner, all, metadata);
        refused.map_or(Ok(()), Err)
    }

    /// Forgets a group and ends its series. One that is not there is no error.
    pub fn delete(&self, key: &Key) -> Result<(), PushError> {
        let mut inner = self.inner();
        let Some(group) = inner.groups.get(key) else { return Ok(()) };
        let ended = group.series(key).into_iter().map(|(labels, _)| (labels, stale_nan())).collect();
        self.state.commit(&[Change::Delete(PUSHED_GROUPS, key.to_string())])?;
        inner.groups.remove(key);
        self.write(&mut inner, ended, Vec::new());
        Ok(())
    }

    /// Stores every group again, as the next scrape of a Pushgateway would.
    pub fn repeat(&self) {
        let mut inner = self.inner();
        let all: Vec<(Labels, f64)> = inner.groups.iter().flat_map(|(key, group)| group.series(key)).collect();
        let metadata = inner.groups.values().flat_map(Group::metadata).collect();
        self.write(&mut inner, all, metadata);
    }

    /// Writes at the present. What the store does not take now comes with the next repetition: the groups are kept.
    fn write(&self, inner: &mut Inner, series: Vec<(Labels, f64)>, mut metadata: Vec<Metadata>) {
        let time = Timestamp(self.clock.now().millis().max(inner.written + 1));
        inner.written = time.millis();
        let mut rest = series.into_iter().peekable();
        while rest.peek().is_some() {
            let mut batch = Batch::new(Origin::new("pushgateway"));
            let samples = rest.by_ref().take(BATCH_SERIES);
            batch.series = samples.map(|(labels, value)| SeriesSamples { labels, samples: Samples::One(Sample { time, value }) }).collect();
            batch.metadata = std::mem::take(&mut metadata);
            let outcome: Result<_, WriteError> = self.gate.write(batch);
            if let Err(error) = outcome {
                tracing::warn!(%error, "pushed metrics are not stored now; they come again");
                return;
            }
        }
    }

    /// All groups as families, for `/metrics` of a Pushgateway.
    pub fn families(&self) -> Vec<meter::Family> {
        show::families(&self.inner().groups)
    }

    /// All groups as `/api/v1/metrics` of a Pushgateway shows them.
    pub fn describe(&self) -> serde_json::Value {
        show::describe(&self.inner().groups)
    }
}

impl Inner {
    /// Whether a push fits what is there.
    fn check(&self, key: &Key, pushed: &Pushed, replace: bool) -> Result<(), PushError> {
        if !self.groups.contains_key(key) && self.groups.len() >= GROUPS_MAX {
            return Err(PushError::Full(format!("{GROUPS_MAX} groups")));
        }
        let (mut samples, mut bytes) = pushed.families.values().map(|f| size_of(key, f)).fold((0, 0), sum);
        for (other, group) in &self.groups {
            for (name, family) in &group.families {
                if other == key && (replace || pushed.families.contains_key(name)) {
                    continue;
                }
                (samples, bytes) = sum((samples, bytes), size_of(other, family));
                let Some(new) = pushed.families.get(name) else { continue };
                if new.kind != family.kind {
                    let words = format!("metric {name} is {} in another group and {} here", family.kind.name(), new.kind.name());
                    return Err(PushError::Inconsistent(words));
                }
                let theirs: HashSet<Labels> = family.samples.iter().map(|(labels, _)| other.complete(labels)).collect();
                if let Some((labels, _)) = new.samples.iter().find(|(labels, _)| theirs.contains(&key.complete(labels))) {
                    return Err(PushError::Inconsistent(format!("{labels} is in another group already")));
                }
            }
        }
        if samples > SAMPLES_MAX {
            return Err(PushError::Full(format!("{SAMPLES_MAX} samples")));
        }
        if bytes > BYTES_MAX {
            return Err(PushError::Full(format!("{BYTES_MAX} bytes of labels and help texts")));
        }
        Ok(())
    }
}

/// The samples of a family, and the bytes of its texts: the labels of the group stand with each sample.
fn size_of(key: &Key, family: &Family) -> (usize, usize) {
    let own: usize = family.samples.iter().map(|(labels, _)| labels.memory()).sum();
    (family.samples.len(), own + family.samples.len() * key.bytes() + family.help.len())
}
fn sum(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0 + b.0, a.1 + b.1)
}
