//! Which series, or streams, each origin has sent lately, as hashes: so one origin that invents series fills its own allowance and
//! nobody else's. About sixteen bytes per active series; not an index, the labels themselves are elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::Origin;

/// Origins that are told apart; all further ones share one allowance.
const ORIGINS_MAX: usize = 1_024;
/// How often an origin whose allowance is used up is searched for idle series.
const SWEEP_EVERY_SECS: u32 = 10;

/// The table of origins.
pub(super) struct Origins {
    series_max: Arc<AtomicUsize>,
    idle_secs: u32,
    known: RwLock<HashMap<Arc<str>, Arc<OneOrigin>>>,
    others: Arc<OneOrigin>,
}

/// One origin.
pub(super) struct OneOrigin {
    series_max: Arc<AtomicUsize>,
    idle_secs: u32,
    series: Mutex<Active>,
}

/// When each series was last seen, in seconds of the monotonic clock.
#[derive(Default)]
pub(super) struct Active {
    seen: HashMap<u64, u32>,
    swept: u32,
    latest: u32,
}

/// What an origin's table says about a series.
pub(super) enum Admission {
    Known,
    New,
    Full,
}

impl Origins {
    /// A table where each origin may have so many series, and one that was not sent for so long is forgotten.
    pub(super) fn new(series_max: usize, idle_ms: u64) -> Origins {
        let idle_secs = u32::try_from(idle_ms / 1000).unwrap_or(u32::MAX).max(1);
        let series_max = Arc::new(AtomicUsize::new(series_max));
        let others = Arc::new(OneOrigin { series_max: series_max.clone(), idle_secs, series: Mutex::default() });
        Origins { series_max, idle_secs, known: RwLock::default(), others }
    }

    /// Changes how many each may have. Those that are there stay.
    pub(super) fn set_max(&self, series_max: usize) {
        self.series_max.store(series_max, Ordering::Relaxed);
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
        let make = || Arc::new(OneOrigin { series_max: self.series_max.clone(), idle_secs: self.idle_secs, series: Mutex::default() });
        Arc::clone(known.entry(Arc::clone(&origin.0)).or_insert_with(make))
    }

    /// Whether an origin has sent a series lately.
    pub(super) fn knows(&self, origin: &str, hash: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let one = known.get(origin).unwrap_or(&self.others);
        one.series.lock().unwrap_or_else(PoisonError::into_inner).seen.contains_key(&hash)
    }

    pub(super) fn active(&self, origin: &str) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(origin).map_or(0, |one| one.series.lock().unwrap_or_else(PoisonError::into_inner).seen.len())
    }
}

impl OneOrigin {
    /// The table, brought up to the present.
    pub(super) fn lock(&self, monotonic: Duration) -> Locked<'_> {
        let now = u32::try_from(monotonic.as_secs()).unwrap_or(u32::MAX);
        let mut active = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        active.latest = now;
        // A quarter of the idle time is often enough to give memory back, and rare enough to cost nothing.
        if now.saturating_sub(active.swept) > self.idle_secs.div_ceil(4) {
            active.sweep(self.idle_secs);
        }
        Locked { series_max: self.series_max.load(Ordering::Relaxed), idle_secs: self.idle_secs, active }
    }

    fn is_idle(&self, monotonic: Duration) -> bool {
        let mut locked = self.lock(monotonic);
        locked.active.sweep(self.idle_secs);
        locked.active.seen.is_empty()
    }
}

impl Active {
    fn sweep(&mut self, idle_secs: u32) {
        let now = self.latest;
        self.swept = now;
        self.seen.retain(|_, seen| now.saturating_sub(*seen) <= idle_secs);
        if self.seen.capacity() > 4 * self.seen.len() + 64 {
            self.seen.shrink_to_fit();
        }
    }
}

/// The table of one origin for the length of one batch.
pub(super) struct Locked<'a> {
    series_max: usize,
    idle_secs: u32,
    active: MutexGuard<'a, Active>,
}
impl Locked<'_> {
    /// What is known about a series. One that is known counts as seen now.
    pub(super) fn look(&mut self, hash: u64) -> Admission {
        let now = self.active.latest;
        if let Some(seen) = self.active.seen.get_mut(&hash) {
            *seen = now;
            return Admission::Known;
        }
        if self.active.seen.len() < self.series_max {
            return Admission::New;
        }
        if self.active.latest.saturating_sub(self.active.swept) >= SWEEP_EVERY_SECS {
            self.active.sweep(self.idle_secs);
        }
        if self.active.seen.len() < self.series_max { Admission::New } else { Admission::Full }
    }
    /// Notes a series that was not known.
    pub(super) fn admit(&mut self, hash: u64) {
        let now = self.active.latest;
        self.active.seen.insert(hash, now);
    }
}
