//! Lanes: one for each integration and group. What was decided to be told waits in its lane, in order, until it is delivered or
//! given up; an integration that hangs holds up its own lanes only.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use watchfire_model::labels::Labels;
use watchfire_model::state::Change;
use watchfire_model::time::Timestamp;
use watchfire_net::backoff::Backoff;

use super::Engine;
use super::needs::{Need, Sets, need};
use crate::manager::alert::Fingerprint;
use crate::manager::config::{Configured, Route};
use crate::manager::notification::{Notification, Told, sort};
use crate::manager::record::{
    ContentRecord, DEAD_LETTERS, DeadLetter, EntryRecord, LaneKey, NOTIFICATION_CONTENTS, NOTIFICATION_LOG, NOTIFICATION_QUEUE, ParcelRecord, encode,
};
use crate::receivers::{DeliveryError, Integration};

/// How long a notification is tried.
pub(super) const TRIED_MAX: Duration = Duration::from_secs(86_400);
/// Notifications that wait in one lane; one more replaces the last.
const QUEUE_MAX: usize = 16;
/// Ends that a replaced notification hands on.
const CARRIED_MAX: usize = 5_000;
/// Tries of one integration at the same time, over all its groups.
const IN_FLIGHT_MAX: usize = 4;
/// The first and the longest wait between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long the log remembers at most.
const LOG_MS_MAX: i64 = 120 * 3_600_000;
/// The most dead letters; one more removes the oldest.
pub const DEAD_LETTERS_MAX: usize = 10_000;
/// Alerts whose labels a dead letter shows.
const DEAD_LETTER_ALERTS_MAX: usize = 20;

/// A try that is due.
pub struct Job {
    /// Where it goes.
    pub lane: Arc<LaneKey>,
    /// What delivers it.
    pub integration: Arc<dyn Integration>,
    /// What is told.
    pub notification: Notification,
}

/// How a try went.
pub(in crate::manager) type Outcome = Result<(), DeliveryError>;

/// The alerts that one or more notifications tell of.
pub(super) struct Content {
    pub(super) sequence: u64,
    pub(super) group_labels: Labels,
    pub(super) alerts: Vec<Told>,
}

/// A notification on its way.
pub(super) struct Parcel {
    pub(super) sequence: u64,
    pub(super) record: ParcelRecord,
    pub(super) sets: Sets,
    /// Nothing when there is nothing to send and only the log changes.
    pub(super) content: Option<Arc<Content>>,
    /// When its tries end, on the monotonic clock.
    pub(super) until: Duration,
    /// How long its group waits after it was told of.
    pub(super) interval: Duration,
}

impl Parcel {
    /// Whether it tells of an end. Its alert has left the group, so no later turn of that tells of it again.
    fn tells_an_end(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.alerts.iter().any(|told| told.resolved))
    }
}

/// What was delivered last.
pub(super) struct Entry {
    pub(super) sets: Sets,
    at: Timestamp,
    /// The same on the monotonic clock, when it was in this process.
    at_monotonic: Option<Duration>,
    expires: Timestamp,
}
impl Entry {
    pub(super) fn of(record: &EntryRecord) -> Entry {
        let sets = Sets { firing: fingerprints(&record.firing), resolved: fingerprints(&record.resolved) };
        Entry { sets, at: Timestamp(record.at_ms), at_monotonic: None, expires: Timestamp(record.expires_ms) }
    }
    fn is_older_than(&self, ms: u64, now: Timestamp, monotonic: Duration) -> bool {
        match self.at_monotonic {
            Some(at) => monotonic.saturating_sub(at) > Duration::from_millis(ms),
            None => now.millis().saturating_sub(self.at.millis()) > i64::try_from(ms).unwrap_or(i64::MAX),
        }
    }
}

pub(super) fn fingerprints(numbers: &[u64]) -> BTreeSet<Fingerprint> {
    numbers.iter().map(|n| Fingerprint(*n)).collect()
}
fn numbers(set: &BTreeSet<Fingerprint>) -> Vec<u64> {
    set.iter().map(|f| f.0).collect()
}

/// One lane.
pub(super) struct Lane {
    pub(super) delivered: Option<Entry>,
    pub(super) queue: VecDeque<Parcel>,
    in_flight: bool,
    /// Whether the first in it was refused and waits for the group's next turn.
    refused: bool,
    next: Duration,
    attempts: u32,
    backoff: Backoff,
}
impl Lane {
    pub(super) fn new(key: &LaneKey) -> Lane {
        let seed = Sha256::digest(key.stored().as_bytes()).iter().take(8).fold(0u64, |seed, byte| (seed << 8) | u64::from(*byte));
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1, seed);
        Lane { delivered: None, queue: VecDeque::new(), in_flight: false, refused: false, next: Duration::ZERO, attempts: 0, backoff }
    }
    /// What the integration was told last, or will be.
    pub(super) fn last(&self) -> Option<&Sets> {
        self.queue.back().map(|p| &p.sets).or(self.delivered.as_ref().map(|e| &e.sets))
    }
}

/// Receiver, kind and place.
type IntegrationKey = (String, String, usize);

/// The tries of one integration.
#[derive(Default)]
struct Runner {
    in_flight: usize,
    due: BTreeSet<(Duration, Arc<LaneKey>)>,
}

/// All lanes.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) all: HashMap<Arc<LaneKey>, Lane>,
    runners: BTreeMap<IntegrationKey, Runner>,
    /// Lanes by group.
    groups: HashMap<String, Vec<Arc<LaneKey>>>,
    /// How many parcels need a content.
    contents: HashMap<u64, usize>,
}

impl Lanes {
    /// A lane, made if it is not there.
    pub(super) fn lane(&mut self, key: &LaneKey) -> (Arc<LaneKey>, &mut Lane) {
        let key = match self.all.get_key_value(key) {
            Some((known, _)) => known.clone(),
            None => {
                let key = Arc::new(key.clone());
                self.groups.entry(key.group.clone()).or_default().push(key.clone());
                key
            }
        };
        let lane = self.all.entry(key.clone()).or_insert_with(|| Lane::new(&key));
        (key, lane)
    }
    /// The lanes of a group to a receiver.
    pub(super) fn of_group<'a>(&'a self, group: &str, receiver: &'a str) -> impl Iterator<Item = &'a Lane> {
        self.groups.get(group).into_iter().flatten().filter(move |key| key.receiver == receiver).filter_map(|key| self.all.get(key))
    }
    /// Notifications that wait.
    pub(super) fn queued(&self) -> usize {
        self.all.values().map(|lane| lane.queue.len()).sum()
    }
    fn runner(&mut self, key: &LaneKey) -> &mut Runner {
        self.runners.entry((key.receiver.clone(), key.kind.clone(), key.index)).or_default()
    }
    /// Says when the first of a lane is due.
    pub(super) fn schedule(&mut self, key: &Arc<LaneKey>, at: Duration) {
        if let Some(lane) = self.all.get_mut(key) {
            lane.next = at;
        }
        self.runner(key).due.insert((at, key.clone()));
    }
    /// Makes the first of a lane due before its time.
    fn hurry(&mut self, key: &Arc<LaneKey>, at: Duration) {
        if let Some(next) = self.all.get(key).map(|lane| lane.next) {
            self.runner(key).due.remove(&(next, key.clone()));
            self.schedule(key, at);
        }
    }
    /// One more parcel needs a content.
    pub(super) fn hold_content(&mut self, sequence: u64) {
        *self.contents.entry(sequence).or_default() += 1;
    }
    /// One fewer; says whether it was the last.
    fn release_content(&mut self, sequence: u64) -> bool {
        let left = self.contents.get_mut(&sequence).map_or(0, |n| {
            *n = n.saturating_sub(1);
            *n
        });
        if left == 0 {
            self.contents.remove(&sequence);
        }
        left == 0
    }
    fn remove(&mut self, key: &Arc<LaneKey>) -> Option<Lane> {
        let lane = self.all.remove(key)?;
        self.runner(key).due.remove(&(lane.next, key.clone()));
        if let Some(keys) = self.groups.get_mut(&key.group) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.groups.remove(&key.group);
            }
        }
        Some(lane)
    }
}

impl Engine {
    /// Puts what a receiver must hear of a group into its lanes.
    pub(super) fn tell(&mut self, route: &Route, group: &str, group_labels: &Labels, alerts: &[Told], changes: &mut Vec<Change>) {
        let config = self.config.clone();
        let Some(receiver) = config.receiver(&route.receiver) else { return };
        let of = |resolved| alerts.iter().filter(|t| t.resolved == resolved).map(|t| t.alert.fingerprint()).collect();
        let sets = Sets { firing: of(false), resolved: of(true) };
        // All integrations that hear of ends share one content, the others another one.
        let mut contents: [Option<Arc<Content>>; 2] = [None, None];
        for configured in &receiver.integrations {
            let key = LaneKey { receiver: receiver.name.clone(), kind: configured.kind.to_owned(), index: configured.index, group: group.to_owned() };
            let Some(need) = self.need_of(&key, configured, route, &sets) else { continue };
            let content = &mut contents[usize::from(configured.send_resolved)];
            let silent = !configured.send_resolved && sets.firing.is_empty();
            if content.is_none() && !silent {
                let shown = alerts.iter().filter(|t| configured.send_resolved || !t.resolved).cloned().collect();
                let made = Arc::new(Content { sequence: self.fresh(), group_labels: group_labels.clone(), alerts: shown });
                let record = encode(ContentRecord::of(group_labels, &made.alerts));
                changes.push(Change::Put(NOTIFICATION_CONTENTS, content_key(made.sequence), record));
                *content = Some(made);
            }
            let content = content.clone().filter(|_| !silent);
            self.enqueue(&key, route, sets.clone(), content, need, changes);
        }
        // When every lane carried older ends along, nobody needs the content that was made for all.
        for content in contents.into_iter().flatten() {
            if !self.lanes.contents.contains_key(&content.sequence) {
                changes.push(Change::Delete(NOTIFICATION_CONTENTS, content_key(content.sequence)));
            }
        }
    }

    fn need_of(&mut self, key: &LaneKey, configured: &Configured, route: &Route, sets: &Sets) -> Option<Need> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let lane = self.lanes.all.get(key);
        let waiting = lane.is_some_and(|l| !l.queue.is_empty());
        // An entry that has expired is as good as none; it is removed when there is time.
        let entry = lane.and_then(|l| l.delivered.as_ref()).filter(|e| now < e.expires || e.at_monotonic.is_some());
        let last = if waiting { lane.and_then(Lane::last) } else { entry.map(|e| &e.sets) };
        let long_ago = !waiting && entry.is_some_and(|e| e.is_older_than(route.repeat_interval_ms, now, monotonic));
        need(last, sets, configured.send_resolved, long_ago)
    }

    fn enqueue(&mut self, key: &LaneKey, route: &Route, sets: Sets, content: Option<Arc<Content>>, need: Need, changes: &mut Vec<Change>) {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let sequence = self.fresh();
        let (key, lane) = self.lanes.lane(key);
        let before = match lane.queue.back() {
            Some(parcel) => parcel.record.id.clone(),
            None => lane.delivered.as_ref().map_or(0, |e| e.at.millis()).to_string(),
        };
        let replaced = if lane.queue.len() >= QUEUE_MAX { lane.queue.pop_back() } else { None };
        let was_empty = lane.queue.is_empty();
        let refused = lane.refused && !lane.in_flight;
        let (sets, content) = match &replaced {
            Some(replaced) => self.with_ends_of(replaced, sets, content, changes),
            None => (sets, content),
        };
        let interval = Duration::from_millis(route.group_interval_ms);
        let repeat_ms = i64::try_from(route.repeat_interval_ms).unwrap_or(i64::MAX);
        let record = ParcelRecord {
            lane: (*key).clone(),
            id: identity(&key, &before, &sets, need == Need::Repeat),
            content: content.as_ref().map(|c| c.sequence),
            created_ms: now.millis(),
            expires_after_ms: repeat_ms.saturating_mul(2).min(LOG_MS_MAX),
            firing: numbers(&sets.firing),
            resolved: numbers(&sets.resolved),
        };
        changes.push(Change::Put(NOTIFICATION_QUEUE, format!("{sequence:016x}"), encode(record.clone())));
        if let Some(lane) = self.lanes.all.get_mut(&key) {
            lane.queue.push_back(Parcel { sequence, record, sets, content: content.clone(), until: monotonic + TRIED_MAX, interval });
        }
        if let Some(content) = content {
            self.lanes.hold_content(content.sequence);
        }
        if let Some(replaced) = replaced {
            self.meters.coalesced.inc();
            self.remove_parcel(&replaced, changes);
        }
        if was_empty {
            self.settle(&key, changes);
        } else if refused {
            // What was refused has one more try, and holds up what came after it no longer.
            self.lanes.hurry(&key, monotonic);
        }
    }

    /// A notification that replaces another also tells of the ends that only the other knew: their alerts have left the group.
    fn with_ends_of(&mut self, replaced: &Parcel, mut sets: Sets, content: Option<Arc<Content>>, changes: &mut Vec<Change>) -> (Sets, Option<Arc<Content>>) {
        let (Some(old), Some(new)) = (&replaced.content, &content) else { return (sets, content) };
        let known = |told: &Told| sets.firing.contains(&told.alert.fingerprint()) || sets.resolved.contains(&told.alert.fingerprint());
        let missing: Vec<Told> = old.alerts.iter().filter(|told| told.resolved && !known(told)).take(CARRIED_MAX).cloned().collect();
        if missing.is_empty() {
            return (sets, content);
        }
        sets.resolved.extend(missing.iter().map(|told| told.alert.fingerprint()));
        let mut alerts = new.alerts.clone();
        alerts.extend(missing);
        sort(&mut alerts);
        let made = Arc::new(Content { sequence: self.fresh(), group_labels: new.group_labels.clone(), alerts });
        changes.push(Change::Put(NOTIFICATION_CONTENTS, content_key(made.sequence), encode(ContentRecord::of(&made.group_labels, &made.alerts))));
        (sets, Some(made))
    }

    fn remove_parcel(&mut self, parcel: &Parcel, changes: &mut Vec<Change>) {
        changes.push(Change::Delete(NOTIFICATION_QUEUE, format!("{:016x}", parcel.sequence)));
        if let Some(content) = &parcel.content
            && self.lanes.release_content(content.sequence)
        {
            changes.push(Change::Delete(NOTIFICATION_CONTENTS, content_key(content.sequence)));
        }
    }

    /// Notes what is at the front without anything to send, and schedules what is behind it.
    pub(super) fn settle(&mut self, key: &Arc<LaneKey>, changes: &mut Vec<Change>) {
        while let Some(parcel) = self.lanes.all.get_mut(key).and_then(|l| l.queue.pop_front_if(|p| p.content.is_none())) {
            self.note_delivered(key, &parcel, changes);
            self.remove_parcel(&parcel, changes);
        }
        let monotonic = self.clock.monotonic();
        if self.lanes.all.get(key).is_some_and(|l| !l.queue.is_empty() && !l.in_flight) {
            self.lanes.schedule(key, monotonic);
        }
    }

    fn note_delivered(&mut self, key: &Arc<LaneKey>, parcel: &Parcel, changes: &mut Vec<Change>) {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let expires = now.plus_ms(parcel.record.expires_after_ms);
        let record = EntryRecord {
            lane: (**key).clone(),
            at_ms: now.millis(),
            expires_ms: expires.millis(),
            firing: parcel.record.firing.clone(),
            resolved: parcel.record.resolved.clone(),
        };
        changes.push(Change::Put(NOTIFICATION_LOG, key.stored(), encode(record)));
        if let Some(lane) = self.lanes.all.get_mut(key) {
            lane.delivered = Some(Entry { sets: parcel.sets.clone(), at: now, at_monotonic: Some(monotonic), expires });
            lane.attempts = 0;
            lane.backoff.reset();
        }
    }

    /// The tries that are due, at most so many of each integration as may run.
    pub(super) fn due_jobs(&mut self) -> Vec<Job> {
        let monotonic = self.clock.monotonic();
        let mut picked = Vec::new();
        for ((receiver, kind, index), runner) in &mut self.lanes.runners {
            let Some(integration) = self.config.receiver(receiver).and_then(|r| r.integrations.iter().find(|i| i.kind == kind && i.index == *index)) else {
                continue;
            };
            while runner.in_flight < IN_FLIGHT_MAX
                && let Some((at, _)) = runner.due.first()
                && *at <= monotonic
                && let Some((_, key)) = runner.due.pop_first()
            {
                runner.in_flight += 1;
                picked.push((key, integration.integration.clone()));
            }
        }
        picked.into_iter().filter_map(|(key, integration)| self.job(key, integration)).collect()
    }

    fn job(&mut self, key: Arc<LaneKey>, integration: Arc<dyn Integration>) -> Option<Job> {
        let front = self.lanes.all.get_mut(&key).and_then(|lane| {
            lane.in_flight = true;
            let parcel = lane.queue.front()?;
            Some((parcel.record.id.clone(), parcel.content.clone()?))
        });
        let Some((id, content)) = front else {
            let runner = self.lanes.runner(&key);
            runner.in_flight = runner.in_flight.saturating_sub(1);
            return None;
        };
        let notification = Notification {
            id,
            receiver: key.receiver.clone(),
            group_key: key.group.clone(),
            group_labels: content.group_labels.clone(),
            alerts: content.alerts.clone(),
            external_url: self.external_url.clone(),
        };
        Some(Job { lane: key, integration, notification })
    }

    /// When the next try is due; nothing where as many run as may.
    pub(super) fn next_try(&self) -> Option<Duration> {
        self.lanes.runners.values().filter(|r| r.in_flight < IN_FLIGHT_MAX).filter_map(|r| r.due.first()).map(|(at, _)| *at).min()
    }

    /// Takes how a try went.
    pub fn done(&mut self, key: &Arc<LaneKey>, outcome: Outcome) {
        let runner = self.lanes.runner(key);
        runner.in_flight = runner.in_flight.saturating_sub(1);
        let monotonic = self.clock.monotonic();
        let mut changes = Vec::new();
        let Some(lane) = self.lanes.all.get_mut(key) else { return };
        lane.in_flight = false;
        lane.refused = false;
        lane.attempts = lane.attempts.saturating_add(1);
        self.meters.tried(&key.kind, &outcome);
        match outcome {
            Ok(()) => {
                if let Some(parcel) = lane.queue.pop_front() {
                    self.note_delivered(key, &parcel, &mut changes);
                    self.remove_parcel(&parcel, &mut changes);
                }
            }
            Err(DeliveryError::Later { reason, after }) => {
                let wait = lane.backoff.next_wait().max(after.unwrap_or_default());
                let over = lane.queue.front().is_some_and(|p| monotonic + wait > p.until);
                tracing::warn!(receiver = key.receiver, integration = key.kind, group = key.group, attempts = lane.attempts, %reason, "a notification was not delivered");
                if !over {
                    self.lanes.schedule(key, monotonic + wait);
                    return;
                }
                self.give_up(key, &reason, &mut changes);
            }
            Err(DeliveryError::Never(reason)) => {
                tracing::error!(receiver = key.receiver, integration = key.kind, group = key.group, %reason, "a notification was refused");
                let alone = lane.queue.len() == 1;
                if let Some(first) = lane.queue.front()
                    && alone
                    && first.tells_an_end()
                    && monotonic + first.interval <= first.until
                {
                    let at = monotonic + first.interval;
                    lane.refused = true;
                    self.lanes.schedule(key, at);
                    return;
                }
                self.give_up(key, &reason, &mut changes);
            }
        }
        self.settle(key, &mut changes);
        self.save(&changes);
    }

    /// Puts the first of a lane among the dead letters. What it would have told counts as not told, so that the group's next
    /// turn tries again as long as its alerts fire.
    fn give_up(&mut self, key: &Arc<LaneKey>, reason: &str, changes: &mut Vec<Change>) {
        let Some(lane) = self.lanes.all.get_mut(key) else { return };
        let attempts = std::mem::take(&mut lane.attempts);
        lane.backoff.reset();
        if let Some(parcel) = lane.queue.pop_front() {
            self.bury(&parcel, reason, attempts, changes);
            self.remove_parcel(&parcel, changes);
        }
    }

    fn bury(&mut self, parcel: &Parcel, reason: &str, attempts: u32, changes: &mut Vec<Change>) {
        let Some(content) = &parcel.content else { return };
        self.meters.given_up.inc();
        let now = self.clock.now().millis();
        let id = parcel.record.id.clone();
        let before = self.dead.get(&id);
        let shown = content.alerts.iter().take(DEAD_LETTER_ALERTS_MAX);
        let letter = DeadLetter {
            lane: parcel.record.lane.clone(),
            id: id.clone(),
            reason: reason.to_owned(),
            first_ms: before.map_or(now, |l| l.first_ms),
            last_ms: now,
            times: before.map_or(1, |l| l.times + 1),
            attempts,
            alerts: shown.map(|t| t.alert.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()).collect(),
            alerts_count: content.alerts.len(),
        };
        changes.push(Change::Put(DEAD_LETTERS, id.clone(), encode(letter.clone())));
        self.dead.insert(id, letter);
        if self.dead.len() > DEAD_LETTERS_MAX
            && let Some(oldest) = self.dead.values().min_by_key(|l| l.last_ms).map(|l| l.id.clone())
        {
            self.dead.remove(&oldest);
            self.meters.dead_dropped.inc();
            changes.push(Change::Delete(DEAD_LETTERS, oldest));
        }
    }

    /// Lanes whose integration is no longer configured: what waits in them reaches nobody any more.
    pub(super) fn forget_orphans(&mut self) {
        let config = self.config.clone();
        let exists = |key: &LaneKey| config.receiver(&key.receiver).is_some_and(|r| r.integrations.iter().any(|i| i.kind == key.kind && i.index == key.index));
        let orphans: Vec<Arc<LaneKey>> = self.lanes.all.keys().filter(|key| !exists(key)).cloned().collect();
        let mut changes = Vec::new();
        for key in orphans {
            let Some(mut lane) = self.lanes.remove(&key) else { continue };
            for parcel in std::mem::take(&mut lane.queue) {
                self.bury(&parcel, "its integration is no longer configured", lane.attempts, &mut changes);
                self.remove_parcel(&parcel, &mut changes);
            }
            changes.push(Change::Delete(NOTIFICATION_LOG, key.stored()));
        }
        self.save(&changes);
    }

    /// Lanes that wait for nothing and whose entry has expired.
    pub(super) fn forget_lanes(&mut self, now: Timestamp) -> Vec<Change> {
        let over = |lane: &Lane| lane.queue.is_empty() && !lane.in_flight && lane.delivered.as_ref().is_none_or(|e| e.expires <= now);
        let old: Vec<Arc<LaneKey>> = self.lanes.all.iter().filter(|(_, lane)| over(lane)).map(|(key, _)| key.clone()).collect();
        old.iter().for_each(|key| drop(self.lanes.remove(key)));
        old.into_iter().map(|key| Change::Delete(NOTIFICATION_LOG, key.stored())).collect()
    }
}

fn content_key(sequence: u64) -> String {
    format!("{sequence:016x}")
}

/// What names a notification: where it goes, what it tells, and what was told before it. It is stored with the notification, so
/// that a second try after a crash has the same.
fn identity(key: &LaneKey, before: &str, sets: &Sets, repeat: bool) -> String {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(key.stored().as_bytes());
    add(before.as_bytes());
    add(&[u8::from(repeat)]);
    for set in [&sets.firing, &sets.resolved] {
        add(&numbers(set).iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
