//! One series in memory: its labels, the chunk that grows, finished chunks, and late samples.

use std::sync::Arc;

use watchfire_model::labels::Labels;

use super::xor::{self, XorChunk};

/// A chunk is finished after this many samples, so that a look at the newest ones decodes little.
const CHUNK_SAMPLES_MAX: u16 = 120;

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
    /// Bytes of memory.
    fn memory(&self) -> usize {
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
}

impl HeadSeries {
    pub(crate) fn new(labels: Labels, newest: Option<i64>, defined_in: u64) -> HeadSeries {
        HeadSeries { labels, newest, defined_in, open: XorChunk::default(), sealed: Vec::new(), late: Vec::new() }
    }

    /// Adds a sample whose time is not there yet. Returns by how much memory grew.
    pub(crate) fn push(&mut self, time: i64, bits: u64, generation: u32) -> usize {
        if self.newest.is_some_and(|newest| time <= newest) {
            return self.push_late(time, bits, generation);
        }
        self.newest = Some(time);
        let before = self.open.capacity();
        self.open.push(time, bits);
        let grown = self.open.capacity() - before;
        if self.open.count() >= CHUNK_SAMPLES_MAX { grown.saturating_add_signed(self.seal(generation)) } else { grown }
    }

    fn push_late(&mut self, time: i64, bits: u64, generation: u32) -> usize {
        let at = self.late.partition_point(|(t, _)| *t < time);
        self.late.insert(at, (time, bits));
        if self.late.len() >= usize::from(CHUNK_SAMPLES_MAX) { 16usize.saturating_add_signed(self.seal_late(generation)) } else { 16 }
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
        self.seal(generation) + self.seal_late(generation)
    }

    /// Forgets what a flush has taken along. Returns how much memory that frees.
    pub(crate) fn forget(&mut self, generation: u32) -> usize {
        let before: usize = self.sealed.iter().map(SealedChunk::memory).sum();
        self.sealed.retain(|chunk| chunk.generation > generation);
        self.sealed.shrink_to_fit();
        before - self.sealed.iter().map(SealedChunk::memory).sum::<usize>()
    }

    /// Whether no sample is in memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty() && self.late.is_empty()
    }
    /// The finished chunks.
    pub(crate) fn sealed(&self) -> &[SealedChunk] {
        &self.sealed
    }

    /// The bits of the sample at a time, if it is in memory.
    pub(crate) fn find(&self, time: i64) -> Option<u64> {
        if let Ok(at) = self.late.binary_search_by_key(&time, |(t, _)| *t) {
            return Some(self.late[at].1);
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
        if sealed.is_empty() && open.is_none() && late.is_empty() {
            return None;
        }
        Some(Snapshot { sealed, open, late })
    }

    /// First time, last time and number of the samples in memory.
    pub(crate) fn extent(&self) -> Option<(i64, i64, u64)> {
        let sealed = self.sealed.iter().map(|c| (c.min, c.max, u64::from(c.count)));
        let open = (!self.open.is_empty()).then(|| (self.open.first(), self.open.last(), u64::from(self.open.count())));
        let late = self.late.first().zip(self.late.last()).map(|(first, last)| (first.0, last.0, self.late.len() as u64));
        sealed.chain(open).chain(late).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1), a.2 + b.2))
    }
    /// Whether something in memory overlaps a range.
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        let overlaps = |min: i64, max: i64| min <= end && max >= start;
        self.sealed.iter().any(|c| overlaps(c.min, c.max))
            || (!self.open.is_empty() && overlaps(self.open.first(), self.open.last()))
            || self.late.iter().any(|(t, _)| overlaps(*t, *t))
    }
}

/// A copy of a part of a series, to be decoded without holding a lock.
pub(crate) struct Snapshot {
    sealed: Vec<SealedChunk>,
    open: Option<(Box<[u8]>, u16, i64, i64)>,
    late: Vec<(i64, u64)>,
}

impl Snapshot {
    /// Bytes that this copy holds beyond the head's own.
    pub(crate) fn memory(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |(bytes, ..)| bytes.len());
        (size_of::<Snapshot>() + open + self.late.len() * 16 + self.sealed.len() * size_of::<SealedChunk>()) as u64
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
    fn find(&self, wanted: i64) -> Option<u64> {
        let mut found = None;
        self.each(wanted, wanted, |_, bits| found = Some(bits));
        found
    }
}
