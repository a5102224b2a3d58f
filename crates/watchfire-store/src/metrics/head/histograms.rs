//! The native histograms of one series in memory: the chunk that grows, finished chunks, and late ones.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram};

use super::series::{CHUNK_SAMPLES_MAX, SealedChunk, forget};
use crate::metrics::histogram::{self, Parts, RowChunk, decode, judge_reset};

/// Recent histograms of a series.
#[derive(Debug, Default)]
pub(crate) struct HeadHistograms {
    open: RowChunk,
    sealed: Vec<SealedChunk>,
    /// Those that came after newer samples; ascending.
    late: Vec<(i64, Arc<Histogram>)>,
}

fn late_memory(value: &Histogram) -> usize {
    16 + value.memory()
}

/// Nothing is known of a reset where the neighbours are not known yet.
fn without_neighbour(reset: CounterReset) -> CounterReset {
    if reset == CounterReset::Gauge { reset } else { CounterReset::Unknown }
}

impl HeadHistograms {
    /// Adds a histogram; `newest` is the time of the newest sample of the series before. Returns the change of memory.
    pub(super) fn push(&mut self, time: i64, value: &Arc<Histogram>, newest: Option<i64>, generation: u32) -> isize {
        if newest.is_some_and(|newest| time <= newest) {
            return self.push_late(time, value, generation);
        }
        // Only the sample right before counts: after a float, or a flush, there is nothing to compare with.
        let before = self.open.before().filter(|_| newest == Some(self.open.last()));
        let reset = judge_reset(before, value);
        let memory = self.open.memory() as isize;
        self.open.push(time, value, reset);
        let grown = self.open.memory() as isize - memory;
        if self.open.count() >= CHUNK_SAMPLES_MAX { grown + self.seal(generation) } else { grown }
    }

    fn push_late(&mut self, time: i64, value: &Arc<Histogram>, generation: u32) -> isize {
        let at = self.late.partition_point(|(t, _)| *t < time);
        self.late.insert(at, (time, value.clone()));
        let grown = late_memory(value) as isize;
        if self.late.len() >= usize::from(CHUNK_SAMPLES_MAX) { grown + self.seal_late(generation) } else { grown }
    }

    fn seal(&mut self, generation: u32) -> isize {
        if self.open.is_empty() {
            return 0;
        }
        let open = std::mem::take(&mut self.open);
        self.add_sealed(SealedChunk::of_rows(&open, generation)) - open.memory() as isize
    }

    fn seal_late(&mut self, generation: u32) -> isize {
        if self.late.is_empty() {
            return 0;
        }
        let mut chunk = RowChunk::default();
        let mut before = 0;
        for (time, value) in std::mem::take(&mut self.late) {
            before += late_memory(&value) as isize;
            chunk.push(time, &value, without_neighbour(value.reset));
        }
        self.add_sealed(SealedChunk::of_rows(&chunk, generation)) - before
    }

    fn add_sealed(&mut self, chunk: SealedChunk) -> isize {
        let memory = chunk.memory() as isize;
        self.sealed.reserve_exact(1);
        self.sealed.push(chunk);
        memory
    }

    /// Finishes everything. Returns the change of memory.
    pub(super) fn freeze(&mut self, generation: u32) -> isize {
        self.seal(generation) + self.seal_late(generation)
    }
    /// Forgets what a flush has taken along. Returns how much memory that frees.
    pub(super) fn forget(&mut self, generation: u32) -> usize {
        forget(&mut self.sealed, generation)
    }
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty() && self.late.is_empty()
    }
    pub(super) fn sealed(&self) -> &[SealedChunk] {
        &self.sealed
    }
    /// The time of the newest one.
    pub(super) fn newest(&self) -> Option<i64> {
        self.extent().map(|(_, max, _)| max)
    }

    /// First time, last time and number.
    pub(super) fn extent(&self) -> Option<(i64, i64, u64)> {
        let sealed = self.sealed.iter().map(|c| (c.min, c.max, u64::from(c.count)));
        let open = (!self.open.is_empty()).then(|| (self.open.first(), self.open.last(), u64::from(self.open.count())));
        let late = self.late.first().zip(self.late.last()).map(|(first, last)| (first.0, last.0, self.late.len() as u64));
        sealed.chain(open).chain(late).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1), a.2 + b.2))
    }
    pub(super) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.sealed.iter().any(|c| c.overlaps(start, end))
            || (!self.open.is_empty() && self.open.first() <= end && self.open.last() >= start)
            || self.late.iter().any(|(t, _)| *t >= start && *t <= end)
    }

    /// A copy of what overlaps a range; `None` when nothing does.
    pub(super) fn snapshot(&self, start: i64, end: i64) -> Option<HistogramSnapshot> {
        let mut chunks: Vec<SealedChunk> = self.sealed.iter().filter(|c| c.overlaps(start, end)).cloned().collect();
        if !self.open.is_empty() && self.open.first() <= end && self.open.last() >= start {
            chunks.push(SealedChunk::of_rows(&self.open, 0));
        }
        let late: Vec<_> = self.late.iter().filter(|(t, _)| *t >= start && *t <= end).cloned().collect();
        (!chunks.is_empty() || !late.is_empty()).then_some(HistogramSnapshot { chunks, late })
    }
}

/// A copy of a part of a series' histograms, to be decoded without holding a lock.
pub(crate) struct HistogramSnapshot {
    chunks: Vec<SealedChunk>,
    late: Vec<(i64, Arc<Histogram>)>,
}

impl HistogramSnapshot {
    /// Bytes that this copy holds beyond the head's own.
    pub(super) fn memory(&self) -> usize {
        self.chunks.len() * size_of::<SealedChunk>() + self.chunks.last().map_or(0, |c| c.bytes.len()) + self.late.len() * 16
    }
    /// Adds what is in range.
    pub(super) fn read(&self, start: i64, end: i64, parts: &mut Parts) {
        self.chunks.iter().for_each(|chunk| read_chunk(chunk, start, end, parts));
        for (time, value) in self.late.iter().filter(|(t, _)| *t >= start && *t <= end) {
            parts.gap();
            let reset = without_neighbour(value.reset);
            parts.push(*time, if reset == value.reset { value.clone() } else { Arc::new(Histogram { reset, ..Histogram::clone(value) }) });
        }
    }
}

/// Adds the histograms of a finished chunk that are in range.
pub(crate) fn read_chunk(chunk: &SealedChunk, start: i64, end: i64, parts: &mut Parts) {
    parts.gap();
    let mut left_out = false;
    decode(&chunk.bytes, chunk.count, |time, value| {
        if time < start {
            left_out = true;
        } else if time <= end {
            let value = value.clone();
            parts.push(time, if std::mem::take(&mut left_out) { histogram::behind_a_gap(value) } else { value });
        }
        time < end
    });
}
