//! Pushgateway: short-lived programs push their metrics by group; the groups are kept durably and look to queries as if a
//! Pushgateway were scraped with `honor_labels`. A push is stored at once and repeated while its group lives. It decodes
//! and keeps; paths and statuses are the business of the face.

mod books;
mod ended;
mod group;
mod parse;
mod path;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use watchfire_model::batch::{Batch, Metadata, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::meter::{self, Meter};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::state::{Change, PUSHED_GROUPS, StateError, StateStore};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::Sink;

use crate::gate::Gate;

pub use parse::Body;
pub use path::Key;

use books::Books;
use ended::Ended;
use group::Group;
use parse::{Family, Pushed};

/// The most groups.
pub const GROUPS_MAX: usize = 1_000;
/// The most samples in all groups together.
pub const SAMPLES_MAX: usize = 100_000;
/// The most bytes of labels and help texts in all groups together.
pub const BYTES_MAX: usize = 64 << 20;
/// The most bytes of the labels that name a group.
pub const KEY_BYTES_MAX: usize = 16 << 10;
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
    /// The labels of the group are too long.
    #[error("the labels of a group have {0} bytes, more than {KEY_BYTES_MAX}")]
    Key(usize),
    /// There is no room for more groups or samples.
    #[error("too many pushed metrics: {0}")]
    Full(String),
    /// The group could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The groups. Share it in an `Arc`; every method may be called from any thread and may block.
///
/// Changes go one after the other, each with a later time than the one before, until they are stored. Who only looks waits
/// for none of that: what is in memory is locked while it changes, not while it is kept or stored.
pub struct Pushgateway {
    gate: Arc<Gate>,
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    books: Books,
    turn: Mutex<Turn>,
    inner: RwLock<Inner>,
}
/// Held by whoever changes groups or stores them.
#[derive(Default)]
struct Turn {
    /// The time of the last samples, so that a later push never has the same.
    written: i64,
}
#[derive(Default)]
struct Inner {
    groups: BTreeMap<Key, Group>,
    ended: Ended,
}
/// What a push makes of a group.
struct Outcome {
    group: Group,
    series: Vec<(Labels, f64)>,
    ended: HashSet<Labels>,
    refused: Option<PushError>,
}

impl Pushgateway {
    /// Reads the groups that are kept. One that cannot be read any more is left out, and said.
    pub fn open(gate: Arc<Gate>, state: Arc<dyn StateStore>, clock: SharedClock, meter: &Meter) -> Result<Pushgateway, StateError> {
        let mut groups = BTreeMap::new();
        for (text, bytes) in state.scan(PUSHED_GROUPS, "")? {
            match Key::parse(&text).zip(Group::parse(&bytes)) {
                Some((key, group)) => drop(groups.insert(key, group)),
                None => tracing::warn!(group = text, "a pushed group cannot be read; it is left out"),
            }
        }
        let ended = Ended::open(&*state, || groups.iter().flat_map(|(key, group)| group.series(key)).map(|(labels, _)| labels).collect())?;
        let inner = RwLock::new(Inner { groups, ended });
        Ok(Pushgateway { gate, state, clock, books: Books::new(meter), turn: Mutex::default(), inner })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes a push: `replace` forgets everything else of the group (PUT), otherwise only metrics of the same names (POST).
    pub fn push(&self, key: &Key, body: Body<'_>, replace: bool) -> Result<(), PushError> {
        self.take(key, body, replace).inspect_err(|error| self.count_refused(error))
    }

    /// Counts a push that was refused before it could come here.
    pub fn count_refused(&self, error: &PushError) {
        self.books.refused(error);
    }

    fn take(&self, key: &Key, body: Body<'_>, replace: bool) -> Result<(), PushError> {
        if key.bytes() > KEY_BYTES_MAX {
            return Err(PushError::Key(key.bytes()));
        }
        let parsed = parse::parse(body, key);
        let mut turn = self.turn();
        let Outcome { group, series, ended, refused } = self.inner().outcome(key, parsed, replace, self.clock.now(), &self.books)?;
        let mut changes = vec![Change::Put(PUSHED_GROUPS, key.to_string(), group.render())];
        if !ended.is_empty() || self.inner().ended.has(key) {
            changes.push(ended::change(key, &ended));
        }
        self.state.commit(&changes)?;
        let metadata = group.metadata();
        let all = series.iter().cloned().chain(ends(&ended)).collect();
        self.change(|inner| {
            inner.groups.insert(key.clone(), group);
            inner.ended.revive(|| series.into_iter().map(|(labels, _)| labels).collect());
            inner.ended.set(key, ended);
        });
        if self.write(&mut turn, all, metadata) {
            self.forget_ended(std::slice::from_ref(key));
        }
        refused.map_or(Ok(()), Err)
    }

    /// Forgets a group and ends its series. One that is not there is no error.
    pub fn delete(&self, key: &Key) -> Result<(), PushError> {
        let mut turn = self.turn();
        let ended = {
            let inner = self.inner();
            let Some(group) = inner.groups.get(key) else { return Ok(()) };
            let series = group.series(key).into_iter().map(|(labels, _)| labels);
            inner.ended.with_room(key, series.chain(inner.ended.of(key).cloned()), &self.books)
        };
        self.state.commit(&[Change::Delete(PUSHED_GROUPS, key.to_string()), ended::change(key, &ended)])?;
        let all = ends(&ended).collect();
        self.change(|inner| {
            inner.groups.remove(key);
            inner.ended.set(key, ended);
        });
        if self.write(&mut turn, all, Vec::new()) {
            self.forget_ended(std::slice::from_ref(key));
        }
        Ok(())
    }

    /// Whether there is nothing to repeat.
    pub fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.groups.is_empty() && inner.ended.all().next().is_none()
    }

    /// Stores every group again, as the next scrape of a Pushgateway would, and ends what could not be ended before.
    pub fn repeat(&self) {
        let mut turn = self.turn();
        let (all, metadata, keys) = {
            let inner = self.inner();
            let living = inner.groups.iter().flat_map(|(key, group)| group.series(key));
            let all = living.chain(ends(inner.ended.all())).collect();
            (all, inner.groups.values().flat_map(Group::metadata).collect(), inner.ended.keys())
        };
        if self.write(&mut turn, all, metadata) {
            self.forget_ended(&keys);
        }
    }

    /// Writes at the present; whether everything was taken. What was not comes with the next repetition: the groups are kept,
    /// and so are the series that ended.
    fn write(&self, turn: &mut Turn, series: Vec<(Labels, f64)>, mut metadata: Vec<Metadata>) -> bool {
        let time = Timestamp(self.clock.now().millis().max(turn.written.saturating_add(1)));
        turn.written = time.millis();
        let mut rest = series.into_iter().peekable();
        while rest.peek().is_some() {
            let mut batch = Batch::new(Origin::new("pushgateway"));
            let samples = rest.by_ref().take(BATCH_SERIES);
            batch.series = samples.map(|(labels, value)| SeriesSamples { labels, samples: Samples::One(Sample { time, value }) }).collect();
            batch.metadata = std::mem::take(&mut metadata);
            if let Err(error) = self.gate.write(batch) {
                tracing::warn!(%error, "pushed metrics are not stored now; they come again");
                return false;
            }
        }
        true
    }

    /// Forgets ends that are stored. Where that cannot be kept, they are stored once more after the next start.
    fn forget_ended(&self, keys: &[Key]) {
        let keys: Vec<&Key> = keys.iter().filter(|key| self.inner().ended.has(key)).collect();
        if keys.is_empty() {
            return;
        }
        let changes: Vec<Change> = keys.iter().map(|key| ended::change(key, &HashSet::new())).collect();
        if let Err(error) = self.state.commit(&changes) {
            tracing::warn!(%error, "series that ended are kept for longer than necessary");
        }
        self.change(|inner| inner.ended.forget(&keys));
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

/// Series with the mark of their end.
fn ends<'a>(series: impl IntoIterator<Item = &'a Labels>) -> impl Iterator<Item = (Labels, f64)> {
    series.into_iter().map(|labels| (labels.clone(), stale_nan()))
}

impl Inner {
    /// What becomes of a group by a push, good or not.
    fn outcome(&self, key: &Key, parsed: Result<Pushed, PushError>, replace: bool, now: Timestamp, books: &Books) -> Result<Outcome, PushError> {
        let before = self.groups.get(key);
        let mut group = before.cloned().unwrap_or_default();
        let refused = match parsed.and_then(|pushed| self.check(key, &pushed, replace).map(|()| pushed)) {
            Ok(pushed) => {
                group.take(pushed, replace, now);
                None
            }
            // A failed push leaves its mark, also in a group that never had a good one.
            Err(error) if self.groups.len() < GROUPS_MAX || before.is_some() => {
                group.failed_ms = now.millis();
                Some(error)
            }
            Err(error) => return Err(error),
        };
        let series = group.series(key);
        let living: HashSet<&Labels> = series.iter().map(|(labels, _)| labels).collect();
        let old = before.map(|group| group.series(key)).unwrap_or_default().into_iter().map(|(labels, _)| labels);
        let gone = old.chain(self.ended.of(key).cloned()).filter(|labels| !living.contains(labels));
        let ended = self.ended.with_room(key, gone, books);
        Ok(Outcome { group, series, ended, refused })
    }

    /// Whether a push fits what is there.
    fn check(&self, key: &Key, pushed: &Pushed, replace: bool) -> Result<(), PushError> {
        if !self.groups.contains_key(key) && self.groups.len() >= GROUPS_MAX {
            return Err(PushError::Full(format!("{GROUPS_MAX} groups")));
        }
        let (mut samples, mut bytes) = pushed.families.values().map(|f| size_of(key, f)).fold((0, 0), sum);
        let mut ours = None;
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
                if !key.may_share_series(other) {
                    continue;
                }
                let ours = ours.get_or_insert_with(|| complete(key, pushed));
                if let Some(labels) = family.samples.iter().map(|(labels, _)| other.complete(labels)).find(|labels| ours.contains(labels)) {
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

/// All series of a push with the labels of their group.
fn complete(key: &Key, pushed: &Pushed) -> HashSet<Labels> {
    pushed.families.values().flat_map(|family| &family.samples).map(|(labels, _)| key.complete(labels)).collect()
}

/// The samples of a family, and the bytes of its texts: the labels of the group stand with each sample.
fn size_of(key: &Key, family: &Family) -> (usize, usize) {
    let own: usize = family.samples.iter().map(|(labels, _)| labels.memory()).sum();
    (family.samples.len(), own + family.samples.len() * key.bytes() + family.help.len())
}
fn sum(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0 + b.0, a.1 + b.1)
}
