//! The samples of the last while, bounded in time and in number. In memory only: what is older comes from the database or the store.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_model::live::GpuSample;
use watchfire_model::order::Order as _;
use watchfire_model::time::Timestamp;

/// Age is measured on the monotonic clock, so that a jump of the wall clock neither empties nor freezes the ring.
pub(crate) struct Ring {
    samples: VecDeque<(Duration, GpuSample)>,
    age_max: Duration,
    count_max: usize,
}

impl Ring {
    /// A ring for samples that come every `interval`.
    pub(crate) fn new(age_max: Duration, interval: Duration) -> Ring {
        let count_max = (age_max.as_secs_f64() / interval.as_secs_f64()).ceil() as usize + 1;
        Ring { samples: VecDeque::new(), age_max, count_max }
    }

    pub(crate) fn push(&mut self, now: Duration, sample: GpuSample) {
        self.samples.push_back((now, sample));
        while self.samples.len() > self.count_max || self.samples.front().is_some_and(|(at, _)| now.saturating_sub(*at) > self.age_max) {
            self.samples.pop_front();
        }
    }

    pub(crate) fn latest(&self) -> Option<&GpuSample> {
        self.samples.back().map(|(_, sample)| sample)
    }

    /// The earliest time that a sample in memory bears.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        self.samples.iter().map(|(_, sample)| sample.recorded_at).min()
    }

    /// Samples since a time, ascending; of more than `limit` the newest.
    pub(crate) fn since(&self, since: Timestamp, limit: usize) -> Vec<GpuSample> {
        let mut found: Vec<GpuSample> = self.samples.iter().rev().map(|(_, s)| s).filter(|s| s.recorded_at >= since).take(limit).cloned().collect();
        found.order_by_key(|s| s.recorded_at);
        found
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ring: &mut Ring, second: u64) {
        ring.push(Duration::from_secs(second), GpuSample::mock(Timestamp(second as i64 * 1000)));
    }
    fn seconds(ring: &Ring, since: i64, limit: usize) -> Vec<i64> {
        ring.since(Timestamp(since * 1000), limit).iter().map(|s| s.recorded_at.0 / 1000).collect()
    }

    #[test]
    fn gpu_11_the_ring_keeps_the_newest_and_stays_bounded() {
        let mut ring = Ring::new(Duration::from_secs(60), Duration::from_secs(5));
        for second in 0..1000 {
            at(&mut ring, second);
        }
        assert_eq!(ring.len(), 13, "a minute of samples every five seconds, and one for the edges");
        assert_eq!(seconds(&ring, 0, 3), [997, 998, 999]);
    }

    #[test]
    fn gpu_08_samples_older_than_the_history_leave_the_ring() {
        let mut ring = Ring::new(Duration::from_secs(60), Duration::from_secs(1));
        for second in [0, 10, 59, 60, 61, 100] {
            at(&mut ring, second);
        }
        assert_eq!(seconds(&ring, 0, 100), [59, 60, 61, 100]);
        assert_eq!(seconds(&ring, 61, 100), [61, 100]);
        assert_eq!(ring.earliest(), Some(Timestamp(59_000)));
        at(&mut ring, 500);
        assert_eq!(seconds(&ring, 0, 100), [500]);
    }

    #[test]
    fn a_wall_clock_that_jumps_back_keeps_answers_sorted() {
        let mut ring = Ring::new(Duration::from_secs(60), Duration::from_secs(1));
        ring.push(Duration::from_secs(1), GpuSample::mock(Timestamp(900_000)));
        ring.push(Duration::from_secs(2), GpuSample::mock(Timestamp(5_000)));
        assert_eq!(seconds(&ring, 0, 10), [5, 900]);
        assert_eq!(ring.latest().unwrap().recorded_at, Timestamp(5_000));
    }
}
