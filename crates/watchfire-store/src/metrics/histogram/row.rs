//! One histogram after another as bytes: in a frame of the log (each by itself) and in chunks in memory (each as it differs
//! from the one before). Not the codec of files, which sees a whole chunk and packs tighter.

use std::sync::Arc;

use watchfire_model::histogram::{CounterReset, Histogram};

use super::{put_layout, read_layout, reset_code, reset_of, same_layout};
use crate::encoding::{Input, put_signed, put_varint, unzigzag, zigzag};

/// The layout is written; without it, it is that of the histogram before.
const FLAG_LAYOUT: u8 = 1;
/// All counts are whole numbers below 2^64 and written as integers.
const FLAG_WHOLE: u8 = 2;
/// Where the two bits about a reset begin.
const RESET_SHIFT: u32 = 2;

/// The counts of a histogram: all, those of the zero bucket, then bucket by bucket.
fn counts(h: &Histogram) -> impl Iterator<Item = f64> {
    [h.count, h.zero_count].into_iter().chain(h.positive_buckets.iter().copied()).chain(h.negative_buckets.iter().copied())
}

fn is_whole(h: &Histogram) -> bool {
    counts(h).all(|count| (count as u64 as f64).to_bits() == count.to_bits() && count < 18_446_744_073_709_551_616.0)
}

/// Appends a histogram; what equals the one before is not written again.
pub(crate) fn put_row(out: &mut Vec<u8>, h: &Histogram, reset: CounterReset, before: Option<&Histogram>) {
    let before = before.filter(|b| same_layout(b, h) && is_whole(b) == is_whole(h));
    let whole = is_whole(h);
    let flags = if before.is_none() { FLAG_LAYOUT } else { 0 } | if whole { FLAG_WHOLE } else { 0 };
    out.push(flags | reset_code(reset) << RESET_SHIFT);
    if before.is_none() {
        put_layout(out, h);
    }
    let mut tokens = Tokens { out, zeros: 0 };
    let mut neighbour = 0.0;
    let mut earlier = before.map(counts);
    for count in counts(h) {
        // Without a histogram before, neighbouring buckets are the nearest to each other.
        let reference = match &mut earlier {
            Some(earlier) => earlier.next().unwrap_or(0.0),
            None => std::mem::replace(&mut neighbour, count),
        };
        if whole {
            tokens.integer((count as u64).wrapping_sub(reference as u64) as i64);
        } else {
            tokens.float(count.to_bits() ^ reference.to_bits());
        }
    }
    tokens.end();
    put_xor(out, h.sum.to_bits() ^ before.map_or(0, |b| b.sum.to_bits()));
}

/// Writes numbers of which many are zero: a zero byte stands for a run of them, whose further length follows.
struct Tokens<'a> {
    out: &'a mut Vec<u8>,
    zeros: u64,
}
impl Tokens<'_> {
    fn integer(&mut self, difference: i64) {
        if difference == 0 {
            self.zeros += 1;
        } else {
            self.end();
            put_varint(self.out, zigzag(difference));
        }
    }
    fn float(&mut self, xor: u64) {
        if xor == 0 {
            self.zeros += 1;
        } else {
            self.end();
            put_xor(self.out, xor);
        }
    }
    fn end(&mut self) {
        if self.zeros > 0 {
            self.out.push(0);
            put_varint(self.out, self.zeros - 1);
            self.zeros = 0;
        }
    }
}

/// Half a byte says how many leading bytes are zero, half a byte how many follow; zero is one zero byte.
fn put_xor(out: &mut Vec<u8>, xor: u64) {
    if xor == 0 {
        return out.push(0);
    }
    let leading = xor.leading_zeros() as usize / 8;
    let len = 8 - leading - xor.trailing_zeros() as usize / 8;
    out.push((leading << 4 | len) as u8);
    out.extend_from_slice(&xor.to_be_bytes()[leading..leading + len]);
}

fn read_xor(input: &mut Input<'_>) -> Option<u64> {
    let head = input.u8()?;
    let (leading, len) = (usize::from(head >> 4), usize::from(head & 15));
    let mut bytes = [0; 8];
    bytes.get_mut(leading..leading + len)?.copy_from_slice(input.take(len)?);
    Some(u64::from_be_bytes(bytes))
}

/// Reads a histogram; `None` on nonsense.
pub(crate) fn read_row(input: &mut Input<'_>, before: Option<&Histogram>) -> Option<Histogram> {
    let flags = input.u8()?;
    let fresh = flags & FLAG_LAYOUT != 0;
    let mut histogram = if fresh { read_layout(input)? } else { before?.clone() };
    histogram.reset = reset_of(flags >> RESET_SHIFT);
    let whole = flags & FLAG_WHOLE != 0;
    let mut zeros = 0u64;
    let mut neighbour = 0.0;
    let Histogram { count, zero_count, positive_buckets, negative_buckets, .. } = &mut histogram;
    for place in [count, zero_count].into_iter().chain(positive_buckets).chain(negative_buckets) {
        let reference = if fresh { neighbour } else { *place };
        if zeros > 0 {
            zeros -= 1;
            *place = reference;
        } else if whole {
            let token = input.varint()?;
            if token == 0 {
                zeros = input.varint()?;
            }
            *place = (reference as u64).wrapping_add(unzigzag(token) as u64) as f64;
        } else {
            let xor = read_xor(input)?;
            if xor == 0 {
                zeros = input.varint()?;
            }
            *place = f64::from_bits(reference.to_bits() ^ xor);
        }
        neighbour = *place;
    }
    let sum = read_xor(input)?;
    histogram.sum = f64::from_bits(if fresh { sum } else { histogram.sum.to_bits() ^ sum });
    Some(histogram)
}

/// A chunk of histograms that grows.
#[derive(Debug, Default)]
pub(crate) struct RowChunk {
    bytes: Vec<u8>,
    count: u16,
    first: i64,
    last: i64,
    interval: i64,
    before: Option<Arc<Histogram>>,
}

impl RowChunk {
    pub(crate) fn count(&self) -> u16 {
        self.count
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// The time of the first sample; meaningless when empty.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }
    /// The time of the last sample; meaningless when empty.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The last histogram, with what is remembered of a reset.
    pub(crate) fn before(&self) -> Option<&Histogram> {
        self.before.as_deref()
    }
    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.before.as_ref().map_or(0, |b| b.memory())
    }

    /// Appends a histogram; the time must be after the last one.
    pub(crate) fn push(&mut self, time: i64, histogram: &Arc<Histogram>, reset: CounterReset) {
        if self.count == 0 {
            self.first = time;
            put_signed(&mut self.bytes, time);
        } else {
            let interval = time.wrapping_sub(self.last);
            put_signed(&mut self.bytes, interval.wrapping_sub(self.interval));
            self.interval = interval;
        }
        put_row(&mut self.bytes, histogram, reset, self.before.as_deref());
        self.last = time;
        self.count += 1;
        self.before = Some(if histogram.reset == reset { histogram.clone() } else { Arc::new(Histogram { reset, ..Histogram::clone(histogram) }) });
    }
}

/// Reads a chunk back, calling `each` with every histogram until it says stop.
pub(crate) fn decode(bytes: &[u8], count: u16, mut each: impl FnMut(i64, &Arc<Histogram>) -> bool) {
    let mut input = Input::new(bytes);
    let (mut time, mut interval) = (0i64, 0i64);
    let mut before: Option<Arc<Histogram>> = None;
    for i in 0..count {
        let Some(change) = input.signed() else { return };
        if i == 0 {
            time = change;
        } else {
            interval = interval.wrapping_add(change);
            time = time.wrapping_add(interval);
        }
        let Some(histogram) = read_row(&mut input, before.as_deref()) else { return };
        let histogram = Arc::new(histogram);
        if !each(time, &histogram) {
            return;
        }
        before = Some(histogram);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{any_histogram, any_series};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_histogram_survives_by_itself(histogram in any_histogram()) {
            let mut out = Vec::new();
            put_row(&mut out, &histogram, histogram.reset, None);
            let mut input = Input::new(&out);
            prop_assert_eq!(read_row(&mut input, None).unwrap(), histogram);
            prop_assert!(input.is_empty());
        }
        #[test]
        fn chunks_survive(series in any_series(1..40)) {
            let mut chunk = RowChunk::default();
            for (time, histogram) in &series {
                chunk.push(*time, histogram, histogram.reset);
            }
            let mut found = Vec::new();
            decode(chunk.bytes(), chunk.count(), |time, histogram| {
                found.push((time, histogram.clone()));
                true
            });
            prop_assert_eq!(found, series);
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0u16..10) {
            decode(&bytes, count, |_, _| true);
        }
    }

    #[test]
    fn idle_histograms_are_small() {
        let spans = vec![watchfire_model::histogram::Span { offset: 0, length: 50 }];
        let histogram = Arc::new(Histogram { integer: true, count: 100.0, positive_spans: spans, positive_buckets: vec![2.0; 50], ..Histogram::default() });
        let mut chunk = RowChunk::default();
        (0..100).for_each(|n| chunk.push(n * 15_000, &histogram, CounterReset::NotReset));
        assert!(chunk.bytes().len() < 600, "{}", chunk.bytes().len());
    }
}
