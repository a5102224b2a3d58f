//! One series in memory: its labels, the chunk that grows, finished chunks, and late samples. Its native histograms, if it has
//! any, are in `histograms`.

use std::sync::Arc;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;

use super::histograms::{HeadHistograms, HistogramSnapshot};
use super::xor::{self, XorChunk};
use crate::metrics::histogram::{Parts, RowChunk, same_content};

/// A chunk is finished after this many samples, so that a look at the newest ones decodes little.
pub(super) const CHUNK_SAMPLES_MAX: u16 = 120;

/// A sample that is kept.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// A float, as bits.
    Float(u64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}
impl Kept {
    /// Whether this is that float. The markers that end a series are the same in either form.
    pub(crate) fn is_float(&self, bits: u64) -> bool {
        match self {
            Kept::Float(kept) => *kept == bits,
            Kept::Histogram(kept) => kept.is_stale() && bits == watchfire_model::sample::STALE_NAN_BITS,
        }
    }
    /// Whether this is that histogram.
    pub(crate) fn is_histogram(&self, histogram: &Histogram) -> bool {
        match self {
            Kept::Float(kept) => *kept == watchfire_model::sample::STALE_NAN_BITS && histogram.is_stale(),
            Kept::Histogram(kept) => same_content(kept, histogram),
        }
    }
}

/// A finished chunk.
#[derive(Clone, Debug)]
pub(crate) struct SealedChunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) count: u16,
    /// The flush that takes this chunk along.
    pub(crate) generation: u32,
    pub(crate) bytes: Arc<[u8]>,
}

impl SealedChunk {
    fn of(chunk: &XorChunk, generation: u32) -> SealedChunk {
        SealedChunk { min: chunk.first(), max: chunk.last(), count: chunk.count(), generation, bytes: chunk.bytes().into() }
    }
    pub(super) fn of_rows(chunk: &RowChunk, generation: u32) -> SealedChunk {
        SealedChunk { min: chunk.first(), max: chunk.last(), count: chunk.count(), generation, bytes: chunk.bytes().into() }
    }
    pub(super) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.min <= end && self.max >= start
    }
    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<SealedChunk>() + 16 + self.bytes.len()
    }
}

/// A series in the head.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) labels: Labels,
    /// The time of the newest sample that is known of, in memory or in segments that overlap.
    pub(crate) newest: Option<i64>,
    /// The epoch of the log in which the labels were last written.
    pub(crate) defined_in: u64,
    open: XorChunk,
    sealed: Vec<SealedChunk>,
    /// Samples that came after newer ones; ascending.
    late: Vec<(i64, u64)>,
    /// Boxed, because most series have none.
    histograms: Option<Box<HeadHistograms>>,
}

impl HeadSeries {
    pub(crate) fn new(labels: Labels, newest: Option<i64>, defined_in: u64) -> HeadSeries {
        HeadSeries { labels, newest, defined_in, open: XorChunk::default(), sealed: Vec::new(), late: Vec::new(), histograms: None }
    }

    /// Adds a native histogram whose time is not there yet. Returns the change of memory.
    pub(crate) fn push_histogram(&mut self, time: i64, value: &Arc<Histogram>, generation: u32) -> isize {
        let newest = self.newest;
        self.newest = Some(newest.map_or(time, |newest| newest.max(time)));
        self.histograms.get_or_insert_default().push(time, value, newest, generation)
    }
    /// Whether the newest sample is a native histogram in memory.
    pub(crate) fn newest_is_histogram(&self) -> bool {
        self.newest.is_some() && self.histograms.as_ref().is_some_and(|h| h.newest() == self.newest)
    }

    /// Adds a sample whose time is not there yet. Returns the change of memory.
    pub(crate) fn push(&mut self, time: i64, bits: u64, generation: u32) -> isize {
        if self.newest.is_some_and(|newest| time <= newest) {
            return self.push_late(time, bits, generation);
        }
        self.newest = Some(time);
        let before = self.open.capacity();
        self.open.push(time, bits);
        let grown = (self.open.capacity() - before) as isize;
        if self.open.count() >= CHUNK_SAMPLES_MAX { grown + self.seal(generation) } else { grown }
    }

    fn push_late(&mut self, time: i64, bits: u64, generation: u32) -> isize {
        let at = self.late.partition_point(|(t, _)| *t < time);
        self.late.insert(at, (time, bits));
        if self.late.len() >= usize::from(CHUNK_SAMPLES_MAX) { 16 + self.seal_late(generation) } else { 16 }
    }

    /// Finishes the open chunk. Returns the change of memory.
    fn seal(&mut self, generation: u32) -> isize {
        if self.open.is_empty() {
            return 0;
        }
        let open = std::mem::take(&mut self.open);
        let chunk = SealedChunk::of(&open, generation);
        let change = chunk.memory() as isize - open.capacity() as isize;
        self.add_sealed(chunk);
        change
    }

    fn seal_late(&mut self, generation: u32) -> isize {
        if self.late.is_empty() {
            return 0;
        }
        let mut chunk = XorChunk::default();
        for (time, bits) in &self.late {
            chunk.push(*time, *bits);
        }
        let before = self.late.len() * 16;
        self.late = Vec::new();
        let chunk = SealedChunk::of(&chunk, generation);
        let change = chunk.memory() as isize - before as isize;
        self.add_sealed(chunk);
        change
    }

    fn add_sealed(&mut self, chunk: SealedChunk) {
        self.sealed.reserve_exact(1);
        self.sealed.push(chunk);
    }

    /// Finishes everything, so that a flush can take it along. Returns the change of memory.
    pub(crate) fn freeze(&mut self, generation: u32) -> isize {
        self.seal(generation) + self.seal_late(generation) + self.histograms.as_mut().map_or(0, |h| h.freeze(generation))
    }

    /// Forgets what a flush has taken along. Returns how much memory that frees.
    pub(crate) fn forget(&mut self, generation: u32) -> usize {
        let histograms = self.histograms.as_mut().map_or(0, |h| h.forget(generation));
        if self.histograms.as_ref().is_some_and(|h| h.is_empty()) {
            self.histograms = None;
        }
        histograms + forget(&mut self.sealed, generation)
    }

    /// Whether no sample is in memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty() && self.late.is_empty() && self.histograms.is_none()
    }
    /// The finished chunks.
    pub(crate) fn sealed(&self) -> &[SealedChunk] {
        &self.sealed
    }
    /// The finished chunks of native histograms.
    pub(crate) fn sealed_histograms(&self) -> &[SealedChunk] {
        self.histograms.as_ref().map_or(&[], |h| h.sealed())
    }

    /// The sample at a time, if it is in memory.
    pub(crate) fn find(&self, time: i64) -> Option<Kept> {
        if let Ok(at) = self.late.binary_search_by_key(&time, |(t, _)| *t) {
            return Some(Kept::Float(self.late[at].1));
        }
        self.snapshot(time, time).and_then(|snapshot| snapshot.find(time))
    }

    /// A copy of what overlaps a range; `None` when nothing does.
    pub(crate) fn snapshot(&self, start: i64, end: i64) -> Option<Snapshot> {
        let overlaps = |min: i64, max: i64| min <= end && max >= start;
        let sealed: Vec<_> = self.sealed.iter().filter(|c| overlaps(c.min, c.max)).cloned().collect();
        let open = (!self.open.is_empty() && overlaps(self.open.first(), self.open.last()))
            .then(|| (self.open.bytes().into(), self.open.count(), self.open.first(), self.open.last()));
        let late: Vec<_> = self.late.iter().filter(|(t, _)| *t >= start && *t <= end).copied().collect();
        let histograms = self.histograms.as_ref().and_then(|h| h.snapshot(start, end));
        if sealed.is_empty() && open.is_none() && late.is_empty() && histograms.is_none() {
            return None;
        }
        Some(Snapshot { sealed, open, late, histograms })
    }

    /// First time, last time and number of the samples in memory.
    pub(crate) fn extent(&self) -> Option<(i64, i64, u64)> {
        let sealed = self.sealed.iter().map(|c| (c.min, c.max, u64::from(c.count)));
        let open = (!self.open.is_empty()).then(|| (self.open.first(), self.open.last(), u64::from(self.open.count())));
        let late = self.late.first().zip(self.late.last()).map(|(first, last)| (first.0, last.0, self.late.len() as u64));
        let histograms = self.histograms.as_ref().and_then(|h| h.extent());
        sealed.chain(open).chain(late).chain(histograms).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1), a.2 + b.2))
    }
    /// Whether something in memory overlaps a range.
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        let overlaps = |min: i64, max: i64| min <= end && max >= start;
        self.sealed.iter().any(|c| overlaps(c.min, c.max))
            || (!self.open.is_empty() && overlaps(self.open.first(), self.open.last()))
            || self.late.iter().any(|(t, _)| overlaps(*t, *t))
            || self.histograms.as_ref().is_some_and(|h| h.overlaps(start, end))
    }
}

/// Forgets chunks that a flush has taken along. Returns how much memory that frees.
pub(super) fn forget(sealed: &mut Vec<SealedChunk>, generation: u32) -> usize {
    let before: usize = sealed.iter().map(SealedChunk::memory).sum();
    sealed.retain(|chunk| chunk.generation > generation);
    sealed.shrink_to_fit();
    before - sealed.iter().map(SealedChunk::memory).sum::<usize>()
}

/// A copy of a part of a series, to be decoded without holding a lock.
pub(crate) struct Snapshot {
    sealed: Vec<SealedChunk>,
    open: Option<(Box<[u8]>, u16, i64, i64)>,
    late: Vec<(i64, u64)>,
    histograms: Option<HistogramSnapshot>,
}

impl Snapshot {
    /// Bytes that this copy holds beyond the head's own.
    pub(crate) fn memory(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |(bytes, ..)| bytes.len());
        let histograms = self.histograms.as_ref().map_or(0, HistogramSnapshot::memory);
        (size_of::<Snapshot>() + open + self.late.len() * 16 + self.sealed.len() * size_of::<SealedChunk>() + histograms) as u64
    }
    /// Calls `each` with every sample in range; ascending within each part, and the parts roughly so.
    pub(crate) fn each(&self, start: i64, end: i64, mut each: impl FnMut(i64, u64)) {
        let mut filtered = |bytes: &[u8], count: u16| {
            xor::decode(bytes, count, |time, bits| {
                if time >= start && time <= end {
                    each(time, bits);
                }
                time < end
            });
        };
        for chunk in &self.sealed {
            filtered(&chunk.bytes, chunk.count);
        }
        if let Some((bytes, count, ..)) = &self.open {
            filtered(bytes, *count);
        }
        self.late.iter().for_each(|(time, bits)| each(*time, *bits));
    }
    /// Adds the native histograms in range.
    pub(crate) fn histograms(&self, start: i64, end: i64, parts: &mut Parts) {
        if let Some(histograms) = &self.histograms {
            histograms.read(start, end, parts);
        }
    }
    fn find(&self, wanted: i64) -> Option<Kept> {
        let mut found = None;
        self.each(wanted, wanted, |_, bits| found = Some(Kept::Float(bits)));
        if found.is_none() && self.histograms.is_some() {
            let mut parts = Parts::default();
            self.histograms(wanted, wanted, &mut parts);
            found = parts.take(&[], false).pop().map(|sample| Kept::Histogram(sample.value));
        }
        found
    }
}
