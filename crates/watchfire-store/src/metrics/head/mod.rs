//! The head: all series that are being written, with their recent samples and a label index, in memory.
//! Durability is the log's business; the engine writes there first and here second.

mod histograms;
mod series;
mod xor;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use watchfire_model::batch::Metadata;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;

use super::postings::{EachValue, Index};
pub(crate) use histograms::read_chunk as read_histograms;
pub(crate) use series::{HeadSeries, Kept, SealedChunk, Snapshot};
pub(crate) use xor::decode as decode_xor;

/// How many metric families' metadata are kept; later families are known without help text.
const METADATA_FAMILIES_MAX: usize = 20_000;

/// What a flush takes along of one series.
pub(crate) struct Frozen {
    pub(crate) labels: Labels,
    pub(crate) floats: Vec<SealedChunk>,
    pub(crate) histograms: Vec<SealedChunk>,
}
impl Frozen {
    /// All chunks.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &SealedChunk> {
        self.floats.iter().chain(&self.histograms)
    }
}

type ValueLists = HashMap<Box<str>, Vec<u32>>;

/// Whether so much memory is kept for so little that it is worth giving back.
pub(crate) fn is_oversized(capacity: usize, len: usize) -> bool {
    capacity > 4 * len + 1024
}

/// All series in memory.
#[derive(Default)]
pub(crate) struct Head {
    slots: Vec<Option<Box<HeadSeries>>>,
    /// Slots that may be taken again. A slot is reused only in a later epoch of the log than the one that freed it.
    free: Vec<u32>,
    by_hash: HashTable<u32>,
    postings: HashMap<Box<str>, ValueLists>,
    metadata: BTreeMap<Arc<str>, Metadata>,
    live: usize,
    /// The number of the next flush; finished chunks carry it.
    generation: u32,
    chunk_bytes: usize,
    samples: u64,
    min_time: Option<i64>,
    max_time: Option<i64>,
}

impl Head {
    pub(crate) fn find(&self, labels: &Labels) -> Option<u32> {
        self.by_hash.find(labels.hash_value(), |slot| self.labels_are(*slot, labels)).copied()
    }
    fn labels_are(&self, slot: u32, labels: &Labels) -> bool {
        self.get(slot).is_some_and(|series| series.labels == *labels)
    }
    pub(crate) fn get(&self, slot: u32) -> Option<&HeadSeries> {
        self.slots.get(slot as usize)?.as_deref()
    }
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut HeadSeries> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }
    /// The slot that the `nth` series to be added from now on will have.
    pub(crate) fn future_slot(&self, nth: usize) -> u32 {
        match self.free.len().checked_sub(nth + 1) {
            Some(at) => self.free[at],
            None => (self.slots.len() + nth - self.free.len()) as u32,
        }
    }
    /// One more than the highest slot number that can exist after `added` more series.
    pub(crate) fn slot_bound(&self, added: usize) -> usize {
        self.slots.len() + added
    }

    /// Adds a series that is not there yet.
    pub(crate) fn add(&mut self, labels: Labels, newest: Option<i64>, defined_in: u64) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        let hash = labels.hash_value();
        for (name, value) in &labels {
            let values = match self.postings.get_mut(name) {
                Some(values) => values,
                None => self.postings.entry(name.into()).or_default(),
            };
            let list = match values.get_mut(value) {
                Some(list) => list,
                None => values.entry(value.into()).or_default(),
            };
            match list.last() {
                Some(last) if *last >= slot => {
                    let at = list.partition_point(|s| *s < slot);
                    list.insert(at, slot);
                }
                _ => list.push(slot),
            }
        }
        self.slots[slot as usize] = Some(Box::new(HeadSeries::new(labels, newest, defined_in)));
        let slots = &self.slots;
        self.by_hash.insert_unique(hash, slot, |s| slots[*s as usize].as_ref().map_or(0, |series| series.labels.hash_value()));
        self.live += 1;
        slot
    }

    /// Adds a sample that is known not to be there.
    pub(crate) fn push(&mut self, slot: u32, time: i64, bits: u64) {
        let generation = self.generation;
        let Some(series) = self.get_mut(slot) else {
            debug_assert!(false, "BUG: a sample for a series that is not there");
            return;
        };
        let change = series.push(time, bits, generation);
        self.pushed(time, change);
    }

    /// Adds a native histogram at a time at which the series has no sample.
    pub(crate) fn push_histogram(&mut self, slot: u32, time: i64, value: &Arc<Histogram>) {
        let generation = self.generation;
        let Some(series) = self.get_mut(slot) else {
            debug_assert!(false, "BUG: a histogram for a series that is not there");
            return;
        };
        let change = series.push_histogram(time, value, generation);
        self.pushed(time, change);
    }

    fn pushed(&mut self, time: i64, change: isize) {
        self.chunk_bytes = self.chunk_bytes.saturating_add_signed(change);
        self.samples += 1;
        self.min_time = Some(self.min_time.map_or(time, |min| min.min(time)));
        self.max_time = Some(self.max_time.map_or(time, |max| max.max(time)));
    }

    /// Finishes all chunks and copies what a flush needs: the labels and chunks of every series, and the generation to forget.
    pub(crate) fn freeze(&mut self) -> (u32, Vec<Frozen>) {
        let generation = self.generation;
        self.generation += 1;
        let mut change = 0isize;
        let mut frozen = Vec::with_capacity(self.live);
        for series in self.slots.iter_mut().flatten() {
            change += series.freeze(generation);
            if !series.sealed().is_empty() || !series.sealed_histograms().is_empty() {
                frozen.push(Frozen { labels: series.labels.clone(), floats: series.sealed().to_vec(), histograms: series.sealed_histograms().to_vec() });
            }
        }
        self.chunk_bytes = self.chunk_bytes.saturating_add_signed(change);
        (generation, frozen)
    }

    /// Forgets what a flush has written, and series without samples that are older than `idle_before`.
    pub(crate) fn forget(&mut self, generation: u32, idle_before: i64) {
        let mut dead = Vec::new();
        let (mut freed, mut min_time, mut max_time) = (0, None::<i64>, None::<i64>);
        let mut samples = 0;
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            let Some(series) = entry else { continue };
            freed += series.forget(generation);
            if series.is_empty() && series.newest.is_none_or(|newest| newest < idle_before) {
                dead.push(slot as u32);
            }
            if let Some((min, max, count)) = series.extent() {
                min_time = Some(min_time.map_or(min, |m| m.min(min)));
                max_time = Some(max_time.map_or(max, |m| m.max(max)));
                samples += count;
            }
        }
        self.chunk_bytes = self.chunk_bytes.saturating_sub(freed);
        (self.min_time, self.max_time, self.samples) = (min_time, max_time, samples);
        self.remove(&dead);
    }

    /// Removes those of some series that have no sample and that the epoch of the log has not defined: their slots may be taken
    /// again at once.
    pub(crate) fn remove_empty(&mut self, slots: &[u32], epoch: u64) {
        let dead: Vec<u32> = slots.iter().copied().filter(|slot| self.get(*slot).is_some_and(|s| s.is_empty() && s.defined_in != epoch)).collect();
        self.remove(&dead);
    }

    fn remove(&mut self, dead: &[u32]) {
        if dead.is_empty() {
            return;
        }
        let mut touched: Vec<Labels> = Vec::new();
        for slot in dead {
            let Some(series) = self.slots[*slot as usize].take() else { continue };
            if let Ok(entry) = self.by_hash.find_entry(series.labels.hash_value(), |s| s == slot) {
                entry.remove();
            }
            touched.push(series.labels);
            self.free.push(*slot);
            self.live -= 1;
        }
        let slots = &self.slots;
        for labels in &touched {
            for (name, value) in labels {
                let Some(values) = self.postings.get_mut(name) else { continue };
                if let Some(list) = values.get_mut(value) {
                    // One pass removes all dead series of this list, so the next ones find nothing to do.
                    if list.iter().any(|s| slots[*s as usize].is_none()) {
                        list.retain(|s| slots[*s as usize].is_some());
                    }
                    if list.is_empty() {
                        values.remove(value);
                    }
                }
                if values.is_empty() {
                    self.postings.remove(name);
                } else if is_oversized(values.capacity(), values.len()) {
                    values.shrink_to_fit();
                }
            }
        }
        // The lowest places are taken again first, so that the highest ones can be given back.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        self.shrink();
    }

    /// Gives memory back that a crowd of series needed which has gone.
    fn shrink(&mut self) {
        if is_oversized(self.slots.len(), self.live) {
            let used = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            self.slots.truncate(used);
            self.slots.shrink_to_fit();
            self.free.retain(|slot| (*slot as usize) < used);
            self.free.shrink_to_fit();
        }
        if is_oversized(self.by_hash.capacity(), self.live) {
            let slots = &self.slots;
            self.by_hash.shrink_to_fit(|s| slots[*s as usize].as_ref().map_or(0, |series| series.labels.hash_value()));
        }
    }

    /// Remembers what a source said about a family; returns whether that was new.
    pub(crate) fn note_metadata(&mut self, metadata: &Metadata) -> bool {
        if self.knows(metadata) || (self.metadata.len() >= METADATA_FAMILIES_MAX && !self.metadata.contains_key(&metadata.family)) {
            return false;
        }
        self.metadata.insert(metadata.family.clone(), metadata.clone());
        true
    }
    /// Whether this is already known word for word.
    pub(crate) fn knows(&self, metadata: &Metadata) -> bool {
        self.metadata.get(&metadata.family) == Some(metadata)
    }
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &Metadata> {
        self.metadata.values()
    }

    /// Places for series, taken or not.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.slots.capacity().max(self.by_hash.capacity())
    }
    pub(crate) fn live(&self) -> usize {
        self.live
    }
    /// Samples in memory.
    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }
    /// Bytes that samples occupy in memory, without labels and index.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        self.min_time.zip(self.max_time)
    }
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.range().is_some_and(|(min, max)| min <= end && max >= start)
    }
    /// The names of all labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.postings.keys().map(|name| &**name)
    }
}

impl Index for Head {
    fn all(&self) -> Vec<u32> {
        (0..self.slots.len() as u32).filter(|slot| self.slots[*slot as usize].is_some()).collect()
    }
    fn postings(&self, name: &str, value: &str) -> Vec<u32> {
        self.postings.get(name).and_then(|values| values.get(value)).cloned().unwrap_or_default()
    }
    fn value_count(&self, name: &str) -> usize {
        self.postings.get(name).map_or(0, HashMap::len)
    }
    fn each_value(&self, name: &str, each: &mut EachValue<'_>) {
        for (value, list) in self.postings.get(name).into_iter().flatten() {
            each(value, &mut || list.clone());
        }
    }
    fn label(&self, series: u32, name: &str) -> &str {
        self.get(series).and_then(|s| s.labels.get(name)).unwrap_or("")
    }
}
