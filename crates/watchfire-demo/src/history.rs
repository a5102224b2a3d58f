//! What a camera usually sees, for the prompt: recent movements, and their mean from a small cache that forgets after a few seconds.
//! It holds a bounded number of movements and is lost with the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use watchfire_sdk::MetricsService;
use watchfire_sdk::metrics::hsi;

/// Movements that are remembered per camera.
const REMEMBERED_MAX: usize = 500;
/// How long a mean counts as fresh.
const FRESH: Duration = Duration::from_secs(5);
/// The kind of this cache among those of the pipeline's catalog.
const CACHE: &str = "event_stats";

/// What is usual at a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usual {
    /// Movements that the mean is of.
    pub(crate) movements: usize,
    /// The mean share of the picture that changed.
    pub(crate) share: f64,
}

#[derive(Default)]
struct Camera {
    recent: VecDeque<(Duration, f64)>,
    cached: Option<(Duration, Usual)>,
}

/// The cameras' recent past.
#[derive(Default)]
pub(crate) struct History(Mutex<BTreeMap<String, Camera>>);

impl History {
    /// Remembers a movement.
    pub(crate) fn note(&self, camera: &str, now: Duration, share: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = &mut all.entry(camera.to_owned()).or_default().recent;
        if recent.len() == REMEMBERED_MAX {
            recent.pop_front();
        }
        recent.push_back((now, share));
    }
    /// What is usual at a camera, at most five seconds old.
    pub(crate) fn usual(&self, camera: &str, now: Duration, metrics: &MetricsService) -> Usual {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let camera = all.entry(camera.to_owned()).or_default();
        match camera.cached {
            Some((at, usual)) if now.saturating_sub(at) < FRESH => {
                metrics.increment(&hsi::CACHE_HITS_TOTAL, [CACHE]);
                return usual;
            }
            Some(_) => metrics.increment(&hsi::CACHE_INVALIDATIONS_TOTAL, [CACHE, "expired"]),
            None => {}
        }
        metrics.increment(&hsi::CACHE_MISSES_TOTAL, [CACHE]);
        let movements = camera.recent.len();
        let usual = Usual { movements, share: camera.recent.iter().map(|(_, share)| share).sum::<f64>() / movements.max(1) as f64 };
        camera.cached = Some((now, usual));
        usual
    }
    /// How often the other cameras saw something lately.
    pub(crate) fn elsewhere(&self, camera: &str, now: Duration, lately: Duration) -> Vec<(String, usize)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |c: &Camera| c.recent.iter().filter(|(at, _)| now.saturating_sub(*at) <= lately).count();
        all.iter().filter(|(name, _)| *name != camera).map(|(name, c)| (name.clone(), count(c))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_cached_for_a_while_and_memory_is_bounded() {
        let metrics = MetricsService::start(watchfire_sdk::Settings { interval: Duration::from_secs(3_600), ..Default::default() }).unwrap();
        let (history, secs) = (History::default(), Duration::from_secs);
        assert_eq!(history.usual("a", secs(0), &metrics), Usual::default());
        history.note("a", secs(1), 0.2);
        history.note("a", secs(2), 0.4);
        history.note("b", secs(2), 0.1);
        assert_eq!(history.usual("a", secs(4), &metrics).movements, 0);
        let usual = history.usual("a", secs(5), &metrics);
        assert_eq!(usual.movements, 2);
        assert!((usual.share - 0.3).abs() < 1e-9, "{usual:?}");
        assert_eq!(history.elsewhere("a", secs(12), secs(10)), [("b".to_owned(), 1)]);
        assert_eq!(history.elsewhere("b", secs(12), secs(10)), [("a".to_owned(), 1)]);
        for i in 0..2 * REMEMBERED_MAX {
            history.note("a", secs(20 + i as u64), 0.2);
        }
        assert_eq!(history.usual("a", secs(5_000), &metrics).movements, REMEMBERED_MAX);
    }
}
