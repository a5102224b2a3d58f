//! Which packs' dashboards are wanted: those of packs that are enabled, and of packs whose series are there. It knows no dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::read::{Budget, MemoryPool, Selection, Source};
use watchfire_model::time::SharedClock;
use watchfire_pack::catalog::Catalogs;
use watchfire_pack::dashboards::BUILTIN;

/// Packs about what is always here.
const ALWAYS: [&str; 2] = ["host", "watchfire"];
/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(30);
/// Series that were there within this time are there.
const LATELY: Duration = Duration::from_secs(24 * 3_600);
/// What looking for names may cost.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);
const LOOK_MEMORY_MAX: u64 = 16 << 20;
const LOOK_SAMPLES_MAX: u64 = 100_000;

/// Which packs' dashboards are wanted.
pub(crate) struct Wanted {
    /// Those that the configuration enables.
    enabled: Mutex<Vec<String>>,
    source: Arc<dyn Source>,
    memory: MemoryPool,
    clock: SharedClock,
    /// Names of metrics that only one pack declares.
    telling: BTreeMap<String, &'static str>,
    seen: Mutex<Seen>,
}

/// Packs whose series have been there, and when that was last asked. What was seen once stays until the next start: a system that is down is
/// what one wants to look at.
#[derive(Default)]
struct Seen {
    packs: BTreeSet<&'static str>,
    asked: Option<Duration>,
}

impl Wanted {
    pub(crate) fn new(source: Arc<dyn Source>, memory: MemoryPool, clock: SharedClock) -> Arc<Wanted> {
        let mut telling: BTreeMap<String, Option<&'static str>> = BTreeMap::new();
        let packs: BTreeSet<&'static str> = BUILTIN.iter().map(|board| board.pack).collect();
        for family in Catalogs::builtin().iter() {
            let pack = packs.iter().find(|pack| **pack == &*family.pack).copied();
            let known = telling.entry(family.name.to_string()).or_insert(pack);
            if *known != pack {
                *known = None;
            }
        }
        let telling = telling.into_iter().filter_map(|(name, pack)| Some((name, pack?))).collect();
        Arc::new(Wanted { enabled: Mutex::default(), source, memory, clock, telling, seen: Mutex::default() })
    }
    /// The packs that are enabled from now on.
    pub(crate) fn enable(&self, packs: &[String]) {
        *self.enabled.lock().unwrap_or_else(PoisonError::into_inner) = packs.to_vec();
    }
    /// All packs whose dashboards are wanted now. May block.
    pub(super) fn now(&self) -> Vec<String> {
        let mut all: BTreeSet<String> = ALWAYS.iter().map(|pack| (*pack).to_owned()).collect();
        all.extend(self.enabled.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if seen.asked.is_none_or(|asked| now.saturating_sub(asked) >= FRESH) {
            seen.asked = Some(now);
            seen.packs.extend(self.look());
        }
        all.extend(seen.packs.iter().map(|pack| (*pack).to_owned()));
        all.into_iter().collect()
    }
    /// The packs whose series have been there lately.
    fn look(&self) -> BTreeSet<&'static str> {
        let now = self.clock.now();
        let lately = Selection { matchers: Vec::new(), start: now.plus_ms(-(LATELY.as_millis() as i64)), end: now };
        let budget = Budget::within(Some(self.memory.clone()), self.clock.clone(), LOOK_TIME_MAX, LOOK_SAMPLES_MAX, LOOK_MEMORY_MAX);
        let names = self.source.label_values(METRIC_NAME, &lately, &budget).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look which packs' series are there");
            Vec::new()
        });
        // Series of a histogram or summary bear the name with an ending.
        let family = |name: &str| {
            let plain = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
            self.telling.get(name).or_else(|| self.telling.get(plain?)).copied()
        };
        names.iter().filter_map(|name| family(name)).collect()
    }
}
