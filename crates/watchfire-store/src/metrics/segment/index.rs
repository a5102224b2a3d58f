//! The index of a segment in the form in which it is read: two flat buffers, looked into in place, nothing unpacked on loading.
//! `LabelIndex` has series and postings, `RunIndex` says where the chunks of each series are.

use std::cmp::Ordering;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use crate::encoding::{Input, put_signed, put_varint};
use crate::metrics::postings::{EachValue, Index};

/// Bytes of an entry of a name or value directory: offset and length of the text, then two numbers.
const ENTRY_BYTES: usize = 16;
/// Bytes of a block's entry.
const BLOCK_BYTES: usize = 36;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Series in ascending order of labels, and postings.
pub(crate) struct LabelIndex {
    bytes: Vec<u8>,
    series: usize,
    names: usize,
    /// Where the parts begin.
    names_at: usize,
    values_at: usize,
    offsets_at: usize,
    packed_at: usize,
    postings_at: usize,
}

impl LabelIndex {
    /// Lays the index of ascending label sets out.
    pub(crate) fn encode(series: &[Labels]) -> Vec<u8> {
        let mut packed: Vec<u8> = Vec::new();
        let mut offsets = vec![0u32];
        type Places = (u32, u32, Vec<u32>);
        let mut pairs: HashMap<&str, (u32, HashMap<&str, Places>)> = HashMap::new();
        for (number, labels) in series.iter().enumerate() {
            let start = packed.len();
            packed.extend_from_slice(labels.packed().as_bytes());
            let place = |text: &str| (start + text.as_ptr() as usize - labels.packed().as_ptr() as usize) as u32;
            for (name, value) in labels {
                let values = pairs.entry(name).or_insert_with(|| (place(name), HashMap::new()));
                let list = values.1.entry(value).or_insert_with(|| (place(value), value.len() as u32, Vec::new()));
                list.2.push(number as u32);
            }
            offsets.push(packed.len() as u32);
        }
        let mut names: Vec<_> = pairs.into_iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let (mut name_entries, mut value_entries, mut postings) = (Vec::new(), Vec::new(), Vec::new());
        let entry = |out: &mut Vec<u8>, numbers: [u32; 4]| numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        let name_count = names.len() as u32;
        let mut value_count = 0u32;
        for (name, (place, values)) in names {
            let mut values: Vec<_> = values.into_iter().collect();
            values.sort_unstable_by_key(|(value, _)| *value);
            entry(&mut name_entries, [place, name.len() as u32, value_count, values.len() as u32]);
            value_count += values.len() as u32;
            for (_, (place, len, list)) in values {
                entry(&mut value_entries, [place, len, postings.len() as u32, list.len() as u32]);
                let mut last = 0;
                for number in list {
                    put_varint(&mut postings, u64::from(number - last));
                    last = number;
                }
            }
        }
        let mut out = Vec::with_capacity(packed.len() + postings.len() + (name_entries.len() + value_entries.len()) + offsets.len() * 4 + 16);
        entry(&mut out, [series.len() as u32, name_count, value_count, packed.len() as u32]);
        out.extend_from_slice(&name_entries);
        out.extend_from_slice(&value_entries);
        offsets.iter().for_each(|o| out.extend_from_slice(&o.to_le_bytes()));
        out.extend_from_slice(&packed);
        out.extend_from_slice(&postings);
        out
    }

    pub(crate) fn new(bytes: Vec<u8>) -> Option<LabelIndex> {
        let series = u32_at(&bytes, 0)? as usize;
        let names = u32_at(&bytes, 4)? as usize;
        let values = u32_at(&bytes, 8)? as usize;
        let packed = u32_at(&bytes, 12)? as usize;
        let names_at = 16;
        let values_at = names_at + names.checked_mul(ENTRY_BYTES)?;
        let offsets_at = values_at + values.checked_mul(ENTRY_BYTES)?;
        let packed_at = offsets_at + (series + 1).checked_mul(4)?;
        let postings_at = packed_at + packed;
        // The packed area must be text, then every piece of it on character boundaries is.
        std::str::from_utf8(bytes.get(packed_at..postings_at)?).ok()?;
        Some(LabelIndex { bytes, series, names, names_at, values_at, offsets_at, packed_at, postings_at })
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes.len()
    }
    pub(crate) fn len(&self) -> usize {
        self.series
    }
    fn text(&self, offset: u32, len: u32) -> &str {
        let from = self.packed_at + offset as usize;
        self.bytes.get(from..from + len as usize).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }
    /// The stored form of a series' labels.
    pub(crate) fn packed(&self, series: u32) -> &str {
        let at = self.offsets_at + series as usize * 4;
        match (u32_at(&self.bytes, at), u32_at(&self.bytes, at + 4)) {
            (Some(from), Some(to)) if (series as usize) < self.series && from <= to => self.text(from, to - from),
            _ => "",
        }
    }
    /// The number of a series.
    pub(crate) fn find(&self, labels: &Labels) -> Option<u32> {
        let (mut low, mut high) = (0, self.series as u32);
        while low < high {
            let middle = low.midpoint(high);
            match Labels::iter_packed(self.packed(middle)).cmp(labels.iter()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(middle),
            }
        }
        None
    }
    fn entry(&self, at: usize) -> Option<[u32; 4]> {
        Some([u32_at(&self.bytes, at)?, u32_at(&self.bytes, at + 4)?, u32_at(&self.bytes, at + 8)?, u32_at(&self.bytes, at + 12)?])
    }
    fn name_entry(&self, number: usize) -> Option<[u32; 4]> {
        self.entry(self.names_at + number * ENTRY_BYTES)
    }
    fn value_entry(&self, number: usize) -> Option<[u32; 4]> {
        self.entry(self.values_at + number * ENTRY_BYTES)
    }
    /// All label names, ascending.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.names).filter_map(|i| self.name_entry(i)).map(|[offset, len, ..]| self.text(offset, len))
    }
    /// The first value's number and how many values a name has.
    fn values_of(&self, name: &str) -> Option<(usize, usize)> {
        let at = partition(self.names, |i| self.name_entry(i).is_some_and(|[o, l, ..]| self.text(o, l) < name));
        let [offset, len, first, count] = self.name_entry(at).filter(|_| at < self.names)?;
        // Counts that reach beyond the directory could only be read as a very long loop over nothing.
        let values = (self.offsets_at - self.values_at) / ENTRY_BYTES;
        let (first, count) = ((first as usize).min(values), count as usize);
        (self.text(offset, len) == name).then_some((first, count.min(values - first)))
    }
    fn list(&self, offset: u32, count: u32) -> Vec<u32> {
        let mut input = Input::new(self.bytes.get(self.postings_at + offset as usize..).unwrap_or(&[]));
        let mut number = 0u32;
        let mut list = Vec::with_capacity((count as usize).min(self.series));
        for _ in 0..count {
            let Some(step) = input.varint() else { break };
            number = number.saturating_add(step as u32);
            if number as usize >= self.series {
                break;
            }
            list.push(number);
        }
        list
    }
}

/// The first index in `0..len` for which the predicate is false.
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl Index for LabelIndex {
    fn all(&self) -> Vec<u32> {
        (0..self.series as u32).collect()
    }
    fn postings(&self, name: &str, value: &str) -> Vec<u32> {
        let Some((first, count)) = self.values_of(name) else { return Vec::new() };
        let at = first + partition(count, |i| self.value_entry(first + i).is_some_and(|[o, l, ..]| self.text(o, l) < value));
        match self.value_entry(at) {
            Some([offset, len, list, n]) if at < first + count && self.text(offset, len) == value => self.list(list, n),
            _ => Vec::new(),
        }
    }
    fn value_count(&self, name: &str) -> usize {
        self.values_of(name).map_or(0, |(_, count)| count)
    }
    fn each_value(&self, name: &str, each: &mut EachValue<'_>) {
        let Some((first, count)) = self.values_of(name) else { return };
        for [offset, len, list, n] in (first..first + count).filter_map(|i| self.value_entry(i)) {
            each(self.text(offset, len), &mut || self.list(list, n));
        }
    }
    fn label(&self, series: u32, name: &str) -> &str {
        Labels::iter_packed(self.packed(series)).find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }
}

/// Consecutive chunks of one series in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) block: u32,
    pub(crate) offset: u32,
    pub(crate) chunks: u32,
    pub(crate) samples: u32,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// A block as the index tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) raw: u32,
    pub(crate) crc: u32,
    pub(crate) base: i64,
    pub(crate) max: i64,
}

/// Blocks, and the runs of each series.
pub(crate) struct RunIndex {
    bytes: Vec<u8>,
    blocks: usize,
    series: usize,
    offsets_at: usize,
    runs_at: usize,
}

impl RunIndex {
    /// Lays the index out; `runs` are grouped by ascending series number, and ascending in time within.
    pub(super) fn encode(blocks: &[Block], series: usize, runs: &[(u32, Run)]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
        out.extend_from_slice(&(series as u32).to_le_bytes());
        for block in blocks {
            out.extend_from_slice(&block.offset.to_le_bytes());
            [block.stored, block.raw, block.crc].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            out.extend_from_slice(&block.base.to_le_bytes());
            out.extend_from_slice(&block.max.to_le_bytes());
        }
        let mut encoded = Vec::new();
        let mut rest = runs;
        for number in 0..series as u32 {
            out.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
            let len = rest.iter().take_while(|(s, _)| *s == number).count();
            let (mine, later) = rest.split_at(len);
            rest = later;
            let (mut block, mut end) = (0, 0i64);
            for (_, run) in mine {
                put_varint(&mut encoded, u64::from(run.block - block));
                put_varint(&mut encoded, u64::from(run.offset));
                put_varint(&mut encoded, u64::from(run.chunks));
                put_varint(&mut encoded, u64::from(run.samples));
                put_signed(&mut encoded, run.min.wrapping_sub(end));
                put_varint(&mut encoded, run.max.wrapping_sub(run.min) as u64);
                (block, end) = (run.block, run.max);
            }
        }
        out.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        out.extend_from_slice(&encoded);
        out
    }

    pub(super) fn new(bytes: Vec<u8>) -> Option<RunIndex> {
        let blocks = u32_at(&bytes, 0)? as usize;
        let series = u32_at(&bytes, 4)? as usize;
        let offsets_at = 8 + blocks.checked_mul(BLOCK_BYTES)?;
        let runs_at = offsets_at + (series + 1).checked_mul(4)?;
        (runs_at <= bytes.len()).then_some(RunIndex { bytes, blocks, series, offsets_at, runs_at })
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes.len()
    }
    pub(crate) fn block(&self, number: u32) -> Option<Block> {
        if number as usize >= self.blocks {
            return None;
        }
        let mut input = Input::new(self.bytes.get(8 + number as usize * BLOCK_BYTES..)?);
        Some(Block { offset: input.u64()?, stored: input.u32()?, raw: input.u32()?, crc: input.u32()?, base: input.u64()? as i64, max: input.u64()? as i64 })
    }
    /// The runs of a series, ascending in time.
    pub(crate) fn runs(&self, series: u32) -> impl Iterator<Item = Run> {
        let at = self.offsets_at + series as usize * 4;
        let range = match (u32_at(&self.bytes, at), u32_at(&self.bytes, at + 4)) {
            (Some(from), Some(to)) if (series as usize) < self.series => self.runs_at + from as usize..self.runs_at + to as usize,
            _ => 0..0,
        };
        let mut input = Input::new(self.bytes.get(range).unwrap_or(&[]));
        let (mut block, mut end) = (0u32, 0i64);
        std::iter::from_fn(move || {
            block = block.wrapping_add(input.varint()? as u32);
            let (offset, chunks, samples) = (input.varint()? as u32, input.varint()? as u32, input.varint()? as u32);
            let min = end.wrapping_add(input.signed()?);
            let max = min.wrapping_add(input.varint()? as i64);
            end = max;
            Some(Run { block, offset, chunks, samples, min, max })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_series_and_pair_is_found(raw in proptest::collection::btree_set(proptest::collection::btree_map("[a-c]", "[x-zä]{1,3}", 0..4), 0..30)) {
            let mut series: Vec<Labels> = raw.iter().map(Labels::from_pairs).collect();
            series.sort();
            let index = LabelIndex::new(LabelIndex::encode(&series)).unwrap();
            prop_assert_eq!(index.len(), series.len());
            for (number, labels) in (0u32..).zip(&series) {
                prop_assert_eq!(index.packed(number), labels.packed());
                prop_assert_eq!(index.find(labels), Some(number));
                for (name, value) in labels {
                    prop_assert!(index.postings(name, value).contains(&number));
                    prop_assert_eq!(index.label(number, name), value);
                }
            }
            for name in ["a", "b", "c", "d"] {
                let mut total = 0;
                index.each_value(name, &mut |value, list| {
                    let list = list();
                    total += list.len();
                    assert_eq!(list, index.postings(name, value));
                });
                prop_assert_eq!(total, series.iter().filter(|l| l.get(name).is_some()).count());
            }
            prop_assert_eq!(index.postings("a", "nothing"), Vec::<u32>::new());
            prop_assert!(index.names().is_sorted());
        }
        #[test]
        fn runs_survive(raw in proptest::collection::vec((0u32..5, any::<u32>(), 1u32..9, any::<u32>(), any::<i64>(), any::<i64>()), 0..20)) {
            let mut block = 0;
            let mut runs: Vec<(u32, Run)> = raw.into_iter().map(|(s, offset, chunks, samples, a, b)| {
                block += 1;
                (s, Run { block, offset, chunks, samples, min: a.min(b), max: a.max(b) })
            }).collect();
            runs.sort_by_key(|(s, _)| *s);
            let blocks = [Block { offset: 1, stored: 2, raw: 3, crc: 4, base: -5, max: 6 }];
            let index = RunIndex::new(RunIndex::encode(&blocks, 5, &runs)).unwrap();
            let found: Vec<_> = (0..5).flat_map(|s| index.runs(s).map(move |r| (s, r)).collect::<Vec<_>>()).collect();
            prop_assert_eq!(found, runs);
            prop_assert_eq!(index.block(0), Some(blocks[0]));
            prop_assert_eq!(index.block(1), None);
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), small in proptest::collection::vec(0u8..4, 16)) {
            // Small counts in front, so that the parts behind them are reached.
            let mut bytes = bytes;
            for (i, byte) in small.into_iter().enumerate().take(bytes.len()) {
                bytes[i] = if i % 4 == 0 { byte } else { 0 };
            }
            if let Some(index) = LabelIndex::new(bytes.clone()) {
                index.names().for_each(|name| index.each_value(name, &mut |_, list| drop(list())));
                for number in 0..8 {
                    let _ignored = (index.packed(number), index.label(number, "a"));
                }
                let _ignored = (index.find(&Labels::from_pairs([("a", "b")])), index.postings("a", "b"));
            }
            if let Some(index) = RunIndex::new(bytes) {
                (0..8).for_each(|n| assert!(index.runs(n).count() < 1000 && index.block(n).is_none_or(|b| b.offset < u64::MAX)));
            }
        }
    }
}
