//! Which series, or streams, each origin has sent lately, as hashes: so one origin that invents series fills its own allowance and
//! nobody else's, and so does one part of an origin. About sixteen bytes per active series; not an index, the labels themselves are elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::Origin;
use watchfire_model::order::Order as _;

/// Origins that are told apart; all further ones share one allowance.
const ORIGINS_MAX: usize = 1_024;
/// How often an origin whose allowance is used up is searched for idle series.
const SWEEP_EVERY_SECS: u32 = 10;
/// For so long after the last refusal an origin counts as one that sends more than it may.
const OVER_SECS: u32 = 600;
/// Origins that send more than they may and are told by name.
const OVER_MAX: usize = 32;

/// An origin that sends more series than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// The origin.
    pub origin: Arc<str>,
    /// Which limit was met last.
    pub whose: Whose,
    /// The series that were taken then.
    pub active: usize,
    /// How many there may be.
    pub limit: usize,
    /// Times that one of its series was refused for that.
    pub refused: u64,
}

/// Whose limit is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// That of an origin without parts.
    #[default]
    Origin,
    /// That of one part, such as a target of a scrape job.
    Part,
    /// That of all parts together.
    AllParts,
}

/// The table of origins.
pub(super) struct Origins {
    limits: Arc<Most>,
    idle_secs: u32,
    known: RwLock<HashMap<Arc<str>, Arc<OneOrigin>>>,
    others: Arc<OneOrigin>,
}

/// How many series there may be.
struct Most {
    of_part: AtomicUsize,
    of_all_parts: usize,
}

/// One origin.
pub(super) struct OneOrigin {
    limits: Arc<Most>,
    idle_secs: u32,
    series: Mutex<Active>,
}

/// When a series was last seen, in seconds of the monotonic clock, and which part sent it first.
#[derive(Clone, Copy)]
struct Seen {
    at: u32,
    part: u32,
}

/// What has been seen of one origin.
#[derive(Default)]
pub(super) struct Active {
    seen: HashMap<u64, Seen>,
    /// The number of those of each part.
    parts: HashMap<u32, u32>,
    swept: u32,
    latest: u32,
    /// Times that a series was refused because there were too many, when the last one was, and which limit was met.
    refused: u64,
    refused_at: u32,
    met: Met,
}

/// A limit that is met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) whose: Whose,
    pub(super) limit: usize,
    active: usize,
}

/// What an origin's table says about a series.
pub(super) enum Admission {
    Known,
    New,
    Full(Met),
}

impl Origins {
    /// A table where each origin, or part of one, may have so many series, all parts together so many if that is more, and one that
    /// was not sent for so long is forgotten.
    pub(super) fn new(series_max: usize, of_all_parts: usize, idle_ms: u64) -> Origins {
        let idle_secs = u32::try_from(idle_ms / 1000).unwrap_or(u32::MAX).max(1);
        let limits = Arc::new(Most { of_part: AtomicUsize::new(series_max), of_all_parts });
        let others = Arc::new(OneOrigin { limits: limits.clone(), idle_secs, series: Mutex::default() });
        Origins { limits, idle_secs, known: RwLock::default(), others }
    }

    /// Changes how many each may have. Those that are there stay.
    pub(super) fn set_max(&self, series_max: usize) {
        self.limits.of_part.store(series_max, Ordering::Relaxed);
    }

    /// The entry of an origin, made when there is room for one.
    pub(super) fn of(&self, origin: &Origin, monotonic: Duration) -> Arc<OneOrigin> {
        if let Some(one) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&origin.0) {
            return Arc::clone(one);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ORIGINS_MAX && !known.contains_key(&origin.0) {
            known.retain(|_, one| Arc::strong_count(one) > 1 || !one.is_idle(monotonic));
            if known.len() >= ORIGINS_MAX {
                return Arc::clone(&self.others);
            }
        }
        let make = || Arc::new(OneOrigin { limits: self.limits.clone(), idle_secs: self.idle_secs, series: Mutex::default() });
        Arc::clone(known.entry(Arc::clone(&origin.0)).or_insert_with(make))
    }

    /// Whether an origin has sent a series lately.
    pub(super) fn knows(&self, origin: &str, hash: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let one = known.get(origin).unwrap_or(&self.others);
        one.series.lock().unwrap_or_else(PoisonError::into_inner).seen.contains_key(&hash)
    }

    /// Origins that have sent more than they may lately, ascending by name, and how many there are. Those without an allowance of their
    /// own are one, without a name.
    pub(super) fn over(&self, monotonic: Duration) -> (Vec<OverLimit>, usize) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let nameless: Arc<str> = "others".into();
        let mut over: Vec<OverLimit> = known.iter().chain([(&nameless, &self.others)]).filter_map(|(name, one)| one.over(name, monotonic)).collect();
        over.order_by(|a, b| a.origin.cmp(&b.origin));
        let count = over.len();
        over.truncate(OVER_MAX);
        (over, count)
    }

    pub(super) fn active(&self, origin: &str) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(origin).map_or(0, |one| one.series.lock().unwrap_or_else(PoisonError::into_inner).seen.len())
    }
}

impl OneOrigin {
    /// The table, brought up to the present, for what a part of the origin sends.
    pub(super) fn lock(&self, monotonic: Duration, part: u32) -> Locked<'_> {
        let now = u32::try_from(monotonic.as_secs()).unwrap_or(u32::MAX);
        let mut active = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        active.latest = now;
        // A quarter of the idle time is often enough to give memory back, and rare enough to cost nothing.
        if now.saturating_sub(active.swept) > self.idle_secs.div_ceil(4) {
            active.sweep(self.idle_secs);
        }
        let of_part = self.limits.of_part.load(Ordering::Relaxed);
        Locked { of_part, of_all_parts: self.limits.of_all_parts.max(of_part), idle_secs: self.idle_secs, part, active }
    }

    fn over(&self, name: &Arc<str>, monotonic: Duration) -> Option<OverLimit> {
        let now = u32::try_from(monotonic.as_secs()).unwrap_or(u32::MAX);
        let active = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = active.refused > 0 && now.saturating_sub(active.refused_at) <= OVER_SECS;
        let Met { whose, limit, active: taken } = active.met;
        lately.then(|| OverLimit { origin: Arc::clone(name), whose, active: taken, limit, refused: active.refused })
    }

    fn is_idle(&self, monotonic: Duration) -> bool {
        let mut locked = self.lock(monotonic, 0);
        locked.active.sweep(self.idle_secs);
        locked.active.seen.is_empty()
    }
}

impl Active {
    fn sweep(&mut self, idle_secs: u32) {
        let now = self.latest;
        self.swept = now;
        self.parts.values_mut().for_each(|count| *count = 0);
        let parts = &mut self.parts;
        self.seen.retain(|_, seen| {
            let stays = now.saturating_sub(seen.at) <= idle_secs;
            if stays {
                *parts.entry(seen.part).or_default() += 1;
            }
            stays
        });
        self.parts.retain(|_, count| *count > 0);
        if self.seen.capacity() > 4 * self.seen.len() + 64 {
            self.seen.shrink_to_fit();
            self.parts.shrink_to_fit();
        }
    }
}

/// The table of one origin for the length of one batch.
pub(super) struct Locked<'a> {
    of_part: usize,
    of_all_parts: usize,
    idle_secs: u32,
    part: u32,
    active: MutexGuard<'a, Active>,
}
impl Locked<'_> {
    /// What is known about a series. One that is known counts as seen now.
    pub(super) fn look(&mut self, hash: u64) -> Admission {
        let now = self.active.latest;
        if let Some(seen) = self.active.seen.get_mut(&hash) {
            seen.at = now;
            return Admission::Known;
        }
        if self.met().is_none() {
            return Admission::New;
        }
        if self.active.latest.saturating_sub(self.active.swept) >= SWEEP_EVERY_SECS {
            self.active.sweep(self.idle_secs);
        }
        self.met().map_or(Admission::New, Admission::Full)
    }
    /// The limit that leaves no room for one more series, if there is one.
    fn met(&self) -> Option<Met> {
        let (all, of_part) = (self.active.seen.len(), self.active.parts.get(&self.part).map_or(0, |count| *count as usize));
        let whose = if self.part == 0 { Whose::Origin } else { Whose::Part };
        if of_part >= self.of_part {
            return Some(Met { whose, limit: self.of_part, active: of_part });
        }
        (all >= self.of_all_parts).then_some(Met { whose: Whose::AllParts, limit: self.of_all_parts, active: all })
    }
    /// Notes that a series was refused because there are too many; whether it is the first one of this origin.
    pub(super) fn refuse(&mut self, met: Met) -> bool {
        self.active.refused += 1;
        self.active.refused_at = self.active.latest;
        self.active.met = met;
        self.active.refused == 1
    }
    /// Notes a series that was not known.
    pub(super) fn admit(&mut self, hash: u64) {
        let seen = Seen { at: self.active.latest, part: self.part };
        if self.active.seen.insert(hash, seen).is_none() {
            *self.active.parts.entry(self.part).or_default() += 1;
        }
    }
}
