//! Frames per second of inference: how much the count of detections grew in the last minute, divided by sixty.

use std::collections::VecDeque;
use std::time::Duration;

/// The window of the original.
const WINDOW: Duration = Duration::from_secs(60);
/// Polls come at most once per second.
const OBSERVATIONS_MAX: usize = 128;

/// Totals of the last minute.
#[derive(Default)]
pub(crate) struct Detections {
    seen: VecDeque<(Duration, f64)>,
}

impl Detections {
    /// Notes the total and returns the rate; `None` while it is unknown or seen for the first time.
    pub(crate) fn rate(&mut self, now: Duration, total: Option<f64>) -> Option<f64> {
        let Some(total) = total.filter(|t| t.is_finite()) else {
            self.seen.clear();
            return None;
        };
        self.seen.push_back((now, total));
        // One observation at or before the window's start stays, as the value at that start.
        while self.seen.len() > OBSERVATIONS_MAX || self.seen.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.seen.pop_front();
        }
        if self.seen.len() < 2 {
            return None;
        }
        let pairs = self.seen.iter().zip(self.seen.iter().skip(1));
        // A total that falls began anew at zero.
        let grown: f64 = pairs.map(|((_, before), (_, after))| if after >= before { after - before } else { *after }).sum();
        Some(grown / WINDOW.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(totals: &[(u64, Option<f64>)], expected: Option<f64>) {
        let mut detections = Detections::default();
        let mut last = None;
        for (second, total) in totals {
            last = detections.rate(Duration::from_secs(*second), *total);
        }
        assert_eq!(last, expected, "{totals:?}");
    }

    #[test]
    fn gpu_06_inference_fps_is_the_detections_of_a_minute_divided_by_sixty_and_absent_when_unknown() {
        check(&[(0, None)], None);
        check(&[(0, Some(100.0))], None);
        check(&[(0, Some(100.0)), (5, Some(130.0))], Some(0.5));
        check(&[(0, Some(0.0)), (30, Some(60.0)), (60, Some(120.0))], Some(2.0));
        // What is older than a minute no longer counts.
        check(&[(0, Some(0.0)), (60, Some(600.0)), (90, Some(600.0)), (120, Some(660.0))], Some(1.0));
        // A restart of the reporting program.
        check(&[(0, Some(1000.0)), (5, Some(60.0))], Some(1.0));
        check(&[(0, Some(100.0)), (5, None)], None);
    }
}
