//! Puts the parts of one series, from memory and from segments, together: ascending, every time once, the first one wins.

use watchfire_model::labels::Labels;
use watchfire_model::read::Series;

/// A series under assembly. Parts are pushed in order of precedence: of two samples of one time the first one stays.
#[derive(Default)]
pub(crate) struct Assembly {
    times: Vec<i64>,
    values: Vec<f64>,
    disordered: bool,
}

impl Assembly {
    /// Adds a sample.
    #[inline]
    pub(crate) fn push(&mut self, time: i64, bits: u64) {
        self.disordered |= self.times.last().is_some_and(|last| *last >= time);
        self.times.push(time);
        self.values.push(f64::from_bits(bits));
    }

    /// Adds ascending samples.
    pub(crate) fn extend(&mut self, times: &[i64], bits: &[u64]) {
        self.disordered |= self.times.last().zip(times.first()).is_some_and(|(last, first)| last >= first);
        self.times.extend_from_slice(times);
        self.values.extend(bits.iter().map(|b| f64::from_bits(*b)));
    }

    /// The number of samples so far.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The finished series; `None` when it has no sample.
    pub(crate) fn finish(mut self, labels: impl FnOnce() -> Option<Labels>) -> Option<Series> {
        if self.times.is_empty() {
            return None;
        }
        if self.disordered {
            self.order();
        }
        Some(Series { labels: labels()?, times: self.times, values: self.values, histograms: Vec::new() })
    }

    fn order(&mut self) {
        let mut samples: Vec<(i64, f64)> = self.times.iter().copied().zip(self.values.iter().copied()).collect();
        samples.sort_by_key(|(time, _)| *time);
        samples.dedup_by_key(|(time, _)| *time);
        (self.times, self.values) = samples.into_iter().unzip();
    }
}
