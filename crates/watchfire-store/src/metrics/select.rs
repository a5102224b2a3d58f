//! Puts the parts of one series, from memory and from segments, together: ascending, every time once, the first one wins.

use watchfire_model::labels::Labels;
use watchfire_model::read::Series;
use watchfire_model::sample::HistogramSample;

use super::head::Snapshot;
use super::histogram::Parts;
use super::segment::Piece;

/// A series under assembly. Parts are pushed in order of precedence: of two samples of one time the first one stays.
#[derive(Default)]
pub(crate) struct Assembly {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    disordered: bool,
    pub(crate) histograms: Parts,
}

impl Assembly {
    /// Adds a float.
    #[inline]
    pub(crate) fn push(&mut self, time: i64, bits: u64) {
        self.disordered |= self.times.last().is_some_and(|last| *last >= time);
        self.times.push(time);
        self.values.push(f64::from_bits(bits));
    }

    /// Adds what a chunk of a segment holds.
    pub(crate) fn add(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Floats(times, bits) => {
                self.disordered |= self.times.last().zip(times.first()).is_some_and(|(last, first)| last >= first);
                self.times.extend_from_slice(times);
                self.values.extend(bits.iter().map(|b| f64::from_bits(*b)));
            }
            // Samples and windows stand in different segments.
            Piece::Windows(_) => debug_assert!(false, "BUG: windows among samples"),
            Piece::Histograms(times, values) => {
                self.histograms.gap();
                times.iter().zip(values).for_each(|(time, value)| self.histograms.push(*time, value));
            }
        }
    }

    /// Adds what the head has in a range.
    pub(crate) fn add_head(&mut self, snapshot: &Snapshot, start: i64, end: i64) {
        snapshot.each(start, end, |time, bits| self.push(time, bits));
        snapshot.histograms(start, end, &mut self.histograms);
    }

    /// How many float samples it counts for so far.
    pub(crate) fn cost(&self) -> u64 {
        self.times.len() as u64 + self.histograms.cost()
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.disordered = false;
        self.histograms = Parts::default();
    }

    /// Puts the floats in order and takes the native histograms out, in order too. See [`Parts::take`] for `first_unknown`.
    pub(crate) fn settle(&mut self, first_unknown: bool) -> Vec<HistogramSample> {
        if self.disordered {
            let mut samples: Vec<(i64, f64)> = self.times.iter().copied().zip(self.values.iter().copied()).collect();
            samples.sort_by_key(|(time, _)| *time);
            samples.dedup_by_key(|(time, _)| *time);
            (self.times, self.values) = samples.into_iter().unzip();
            self.disordered = false;
        }
        if self.histograms.is_empty() { Vec::new() } else { self.histograms.take(&self.times, first_unknown) }
    }

    /// The finished series; `None` when it has no sample.
    pub(crate) fn finish(mut self, labels: impl FnOnce() -> Option<Labels>) -> Option<Series> {
        if self.times.is_empty() && self.histograms.is_empty() {
            return None;
        }
        let histograms = self.settle(false);
        Some(Series { labels: labels()?, times: self.times, values: self.values, histograms })
    }
}
