//! Chunks within a block: up to 240 samples of one series. Layout: `docs/formats/metrics-segment.md`.

use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::histogram::Histogram;
use watchfire_model::windows::Window;

use super::histograms;
use super::values;
use super::windows;
use crate::encoding::{Input, put_signed, put_varint};
use crate::ints;
use crate::metrics::histogram;

/// The most samples of a chunk, so that a look at one moment decodes little.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 240;
/// The most native histograms of a chunk: each is many values.
pub(crate) const CHUNK_HISTOGRAMS_MAX: usize = 120;
/// No reader accepts more, so that a damaged count cannot ask for memory.
const COUNT_MAX: usize = 1 << 16;

const TIMES_REGULAR: u8 = 0;
const TIMES_SHARED: u8 = 1;
const TIMES_PACKED: u8 = 2;

/// Samples of one kind that stood together in a chunk, ascending.
pub(crate) enum Piece<'a> {
    /// Times, and the bits of as many floats.
    Floats(&'a [i64], &'a [u64]),
    /// Times, and as many native histograms.
    Histograms(&'a [i64], Vec<Arc<Histogram>>),
    /// Windows, in segments of tiers.
    Windows(Vec<Window>),
}

/// Builds the raw content of one block.
#[derive(Default)]
pub(super) struct BlockBuilder {
    pub(super) raw: Vec<u8>,
    /// Times in the block are relative to this.
    pub(super) base: i64,
    pub(super) max: i64,
    /// Where packed times with this first time, last time and count stand: series of one target share theirs.
    times: HashMap<(i64, i64, usize), (usize, usize)>,
    body: Vec<u8>,
    packed: Vec<u8>,
    offsets: Vec<i64>,
    scratch: values::Scratch,
}

impl BlockBuilder {
    /// Appends a chunk.
    pub(super) fn chunk(&mut self, times: &[i64], bits: &[u64]) {
        self.put(times, |body, scratch| values::encode(body, bits, scratch));
    }

    /// Appends a chunk of native histograms.
    pub(super) fn histograms(&mut self, samples: &[(i64, Arc<Histogram>)]) {
        let times: Vec<i64> = samples.iter().map(|(time, _)| *time).collect();
        self.put(&times, |body, scratch| histograms::encode(body, samples, scratch));
    }

    /// Appends a chunk of windows.
    pub(super) fn windows(&mut self, all: &[Window]) {
        let starts: Vec<i64> = all.iter().map(|w| w.start).collect();
        self.put(&starts, |body, scratch| windows::encode(body, all, scratch));
    }

    fn put(&mut self, times: &[i64], values: impl FnOnce(&mut Vec<u8>, &mut values::Scratch)) {
        let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else { return };
        if self.raw.is_empty() {
            (self.base, self.max) = (first, last);
        }
        self.max = self.max.max(last);
        self.body.clear();
        put_varint(&mut self.body, times.len() as u64);
        put_signed(&mut self.body, first.wrapping_sub(self.base));
        put_varint(&mut self.body, last.wrapping_sub(first) as u64);
        let packed_at = self.put_times(times, first, last);
        values(&mut self.body, &mut self.scratch);
        put_varint(&mut self.raw, self.body.len() as u64);
        if let Some((at, len)) = packed_at {
            self.times.insert((first, last, times.len()), (self.raw.len() + at, len));
        }
        self.raw.extend_from_slice(&self.body);
    }

    /// Appends times to the body; returns where packed times stand there that later chunks may share.
    fn put_times(&mut self, times: &[i64], first: i64, last: i64) -> Option<(usize, usize)> {
        if interval(first, last, times.len()).is_some_and(|step| times.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step)) {
            self.body.push(TIMES_REGULAR);
            return None;
        }
        self.offsets.clear();
        self.offsets.extend(times.iter().map(|t| t.wrapping_sub(first)));
        self.packed.clear();
        ints::encode(&mut self.packed, &self.offsets);
        if let Some((at, len)) = self.times.get(&(first, last, times.len()))
            && self.raw.get(*at..*at + *len) == Some(&self.packed[..])
        {
            self.body.push(TIMES_SHARED);
            put_varint(&mut self.body, *at as u64);
            return None;
        }
        self.body.push(TIMES_PACKED);
        let at = self.body.len();
        self.body.extend_from_slice(&self.packed);
        Some((at, self.packed.len()))
    }

    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.times.clear();
    }
}

/// The interval of regular times, if the span divides evenly.
fn interval(first: i64, last: i64, count: usize) -> Option<i64> {
    let gaps = i64::try_from(count).ok()?.checked_sub(1)?;
    let span = last.checked_sub(first)?;
    if gaps == 0 {
        return (span == 0).then_some(0);
    }
    (span % gaps == 0).then_some(span / gaps)
}

/// Decodes chunks; holds memory that is used again.
#[derive(Default)]
pub(crate) struct ChunkDecoder {
    times: Vec<i64>,
    bits: Vec<u64>,
    scratch: values::Scratch,
    /// Where in which block the times in `shared` were read, with how many there are.
    shared_at: Option<(usize, usize)>,
    shared: Vec<i64>,
}

impl ChunkDecoder {
    /// Says that the next chunk is from another block.
    pub(crate) fn next_block(&mut self) {
        self.shared_at = None;
    }

    /// Shows the samples between `start` and `end` of `chunks` chunks at `offset` in a block; `None` on nonsense.
    pub(crate) fn run(
        &mut self,
        raw: &[u8],
        base: i64,
        (offset, chunks): (usize, u32),
        (start, end): (i64, i64),
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Option<()> {
        let mut input = Input::new(raw);
        input.take(offset)?;
        for _ in 0..chunks {
            let len = input.size()?;
            let body = input.take(len)?;
            let mut body = Input::new(body);
            let count = body.size()?;
            let first = base.wrapping_add(body.signed()?);
            let last = first.wrapping_add(body.varint()? as i64);
            if last < start || first > end {
                continue;
            }
            if count == 0 || count > COUNT_MAX {
                return None;
            }
            self.read_times(raw, &mut body, (first, last), count)?;
            let from = self.times.partition_point(|t| *t < start);
            let to = self.times.partition_point(|t| *t <= end);
            if body.clone().u8()? == windows::KIND {
                body.u8()?;
                let mut found = windows::decode(&mut body, &self.times, &mut self.scratch)?;
                found.truncate(to);
                found.drain(..from.min(found.len()));
                if !found.is_empty() {
                    each(Piece::Windows(found));
                }
                continue;
            }
            if body.clone().u8()? == histograms::KIND {
                body.u8()?;
                if from < to {
                    let mut found = histograms::decode(&mut body, count, from, to, &mut self.scratch)?;
                    if from > 0 {
                        let first = found.first_mut()?;
                        *first = histogram::behind_a_gap(std::mem::take(first));
                    }
                    each(Piece::Histograms(self.times.get(from..to)?, found));
                }
                continue;
            }
            values::decode(&mut body, count, &mut self.bits, &mut self.scratch)?;
            if from < to {
                each(Piece::Floats(self.times.get(from..to)?, self.bits.get(from..to)?));
            }
        }
        Some(())
    }

    fn read_times(&mut self, raw: &[u8], body: &mut Input<'_>, (first, last): (i64, i64), count: usize) -> Option<()> {
        match body.u8()? {
            TIMES_REGULAR => {
                let step = interval(first, last, count)?;
                self.times.clear();
                self.times.extend((0..count as i64).map(|i| first.wrapping_add(step.wrapping_mul(i))));
            }
            TIMES_SHARED => {
                let at = body.size()?;
                if self.shared_at != Some((at, count)) {
                    let mut packed = Input::new(raw.get(at..)?);
                    ints::decode(&mut packed, count, &mut self.shared)?;
                    self.shared_at = Some((at, count));
                }
                self.times.clear();
                self.times.extend(self.shared.iter().map(|offset| first.wrapping_add(*offset)));
            }
            TIMES_PACKED => {
                ints::decode(body, count, &mut self.times)?;
                self.times.iter_mut().for_each(|t| *t = first.wrapping_add(*t));
            }
            _ => return None,
        }
        // Nothing above has an order that could be broken without a wrong checksum; still, order is a promise to readers.
        self.times.is_sorted().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_of_one_target_share_times(gaps in proptest::collection::vec(1i64..20_000, 1..240), start in -1i64 << 40..1i64 << 40, series in 1usize..6) {
            let times: Vec<i64> = gaps.iter().scan(start, |t, gap| { *t += gap; Some(*t) }).collect();
            let mut builder = BlockBuilder::default();
            let mut places = Vec::new();
            for s in 0..series {
                places.push(builder.raw.len());
                let bits: Vec<u64> = times.iter().map(|t| ((t + s as i64) as f64).to_bits()).collect();
                builder.chunk(&times, &bits);
            }
            let mut decoder = ChunkDecoder::default();
            let (from, to) = (times[times.len() / 3], times[times.len() / 2]);
            for (s, place) in places.into_iter().enumerate() {
                let mut found = Vec::new();
                decoder.run(&builder.raw, builder.base, (place, 1), (from, to), &mut |piece| {
                    let Piece::Floats(t, b) = piece else { panic!("these are floats") };
                    found.extend(t.iter().copied().zip(b.iter().copied()));
                }).unwrap();
                let expected: Vec<_> = times.iter().filter(|t| (from..=to).contains(*t)).map(|t| (*t, ((t + s as i64) as f64).to_bits())).collect();
                prop_assert_eq!(found, expected);
            }
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), base: i64, offset in 0usize..310) {
            let _ignored = ChunkDecoder::default().run(&bytes, base, (offset, 3), (i64::MIN, i64::MAX), &mut |_| {});
        }
    }
}
