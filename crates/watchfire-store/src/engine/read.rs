//! Reading: a consistent snapshot of head and segments first, then decoding without any lock.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};
use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError, Selection, Visitor};

use super::{Engine, Shared};
use crate::metrics::head::{Kept, Snapshot};
use crate::metrics::postings::{self, Index};
use crate::metrics::segment::{BlockCache, Opened, Piece, Segment};
use crate::metrics::select::Assembly;

/// Between two looks at the budget, at most this many series are read.
const SERIES_PER_CHECK: usize = 64;

/// More values of a label than this, those of all segments counted, are not collected at once.
const AT_ONCE_VALUES_MAX: usize = 4_096;

/// A long series is charged while it is read, not when it is in memory already.
const SAMPLES_PER_CHARGE: u64 = 16_384;

pub(super) fn storage(error: impl std::fmt::Display) -> ReadError {
    ReadError::Storage(error.to_string())
}

/// Copies of chosen series from the head.
pub(super) type InHead = Vec<(Labels, Snapshot)>;

/// Segments that have series of a selection, with the numbers of these.
#[derive(Default)]
pub(super) struct InSegments {
    pub(super) opened: Vec<Opened>,
    numbers: Vec<Vec<u32>>,
}

/// A chosen series: its numbers in the segments that have it, and its copy from the head.
#[derive(Default)]
pub(super) struct Chosen {
    /// Index into the opened segments, and the number there.
    pub(super) members: Vec<(u32, u32)>,
    pub(super) head: Option<(Labels, Snapshot)>,
}

impl Shared {
    /// The sample of a series at a time, from the segments.
    pub(super) fn find_in_segments(&self, labels: &Labels, time: i64, now: u64, cache: &mut Option<BlockCache>) -> Option<Kept> {
        for segment in self.segments.iter().filter(|s| s.overlaps(time, time)) {
            let Ok(Some(opened)) = segment.index(now) else { continue };
            let Some(number) = opened.loaded.labels.find(labels) else { continue };
            let cache = cache.get_or_insert_with(BlockCache::alone);
            let mut found = None;
            for run in opened.loaded.runs.runs(number).filter(|r| r.min <= time && r.max >= time) {
                let read = cache.run(&opened, number, run, (time, time), &mut |piece| {
                    found = match piece {
                        Piece::Floats(_, bits) => bits.first().map(|b| Kept::Float(*b)),
                        Piece::Windows(_) => None,
                        Piece::Histograms(_, values) => values.into_iter().next().map(Kept::Histogram),
                    };
                });
                if let Err(error) = read {
                    tracing::warn!(%error, "cannot look into a segment for a duplicate");
                }
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }
}

impl Engine {
    /// A moment on the monotonic clock, by which the use of indexes is dated.
    pub(super) fn moment(&self) -> u64 {
        self.options.clock.monotonic().as_millis() as u64
    }

    /// Loads one index after the other and shows it. Damaged ones are left out; they say so themselves. What nobody keeps goes
    /// again when all do not fit into their share of memory, so that a query needs no more than what it reads.
    fn each_index(&self, segments: Vec<Arc<Segment>>, budget: &Budget, look: &mut dyn FnMut(Opened)) -> Result<(), ReadError> {
        let mut fresh = 0;
        for segment in segments {
            budget.check()?;
            let was_there = segment.index_memory() > 0;
            if let Some(opened) = segment.index(self.moment()).map_err(storage)? {
                look(opened);
            }
            if !was_there {
                fresh += segment.index_memory();
            }
            if fresh > self.options.index_cache_bytes {
                self.trim_indexes();
                fresh = 0;
            }
        }
        Ok(())
    }

    /// The indexes of those segments that have series of a selection, and which these are.
    pub(super) fn open_chosen(&self, segments: Vec<Arc<Segment>>, matchers: &[Matcher], budget: &Budget) -> Result<InSegments, ReadError> {
        let mut chosen = InSegments::default();
        self.each_index(segments, budget, &mut |opened| {
            let numbers = opened.select(matchers);
            if !numbers.is_empty() {
                chosen.opened.push(opened);
                chosen.numbers.push(numbers);
            }
        })?;
        Ok(chosen)
    }

    /// What a selection reads: segments in order of precedence, and copies of what the head has.
    fn look_at(&self, selection: &Selection, budget: &Budget) -> Result<(InSegments, InHead), ReadError> {
        let (start, end) = (selection.start.millis(), selection.end.millis());
        let (segments, head) = {
            let shared = self.read();
            let segments: Vec<_> = shared.segments.iter().filter(|s| s.overlaps(start, end)).cloned().collect();
            (segments, shared.in_head(selection))
        };
        Ok((self.open_chosen(segments, &selection.matchers, budget)?, head))
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        budget.check()?;
        self.blocks.used(self.moment());
        let (chosen, head) = self.look_at(selection, budget)?;
        let held: u64 = head.iter().map(|(_, s)| s.memory()).sum();
        budget.charge_memory(held)?;
        let result = self.stream(selection, budget, &chosen, head, visit);
        budget.release_memory(held);
        drop(chosen);
        self.trim_indexes();
        result
    }

    fn stream(&self, selection: &Selection, budget: &Budget, segments: &InSegments, head: InHead, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        let range = (selection.start.millis(), selection.end.millis());
        let opened = &segments.opened[..];
        let chosen = choose(segments, head);
        let mut cache = (!opened.is_empty()).then(|| BlockCache::new(self.blocks.clone()));
        for (i, series) in chosen.into_iter().enumerate() {
            if i % SERIES_PER_CHECK == 0 {
                budget.check()?;
            }
            let mut assembly = Assembly::default();
            let mut charged = 0;
            if let Some(cache) = &mut cache {
                charged = read_segments(opened, &series.members, range, cache, &mut assembly, budget)?;
            }
            if let Some((_, snapshot)) = &series.head {
                assembly.add_head(snapshot, range.0, range.1);
            }
            let labels = || match (&series.head, series.members.first()) {
                (Some((labels, _)), _) => Some(labels.clone()),
                (None, Some((at, number))) => Labels::unpack(opened.get(*at as usize)?.loaded.labels.packed(*number)),
                (None, None) => None,
            };
            let Some(found) = assembly.finish(labels) else { continue };
            let samples = found.cost();
            budget.charge_samples(samples.saturating_sub(charged))?;
            // Samples that two segments have were charged twice.
            budget.release_samples(charged.saturating_sub(samples));
            if let ControlFlow::Break(()) = visit(found)? {
                break;
            }
        }
        self.counters.damaged_blocks.add(cache.map_or(0, |c| c.damaged()));
        Ok(())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        budget.check()?;
        let (start, end) = (selection.start.millis(), selection.end.millis());
        let (segments, mut found) = {
            let shared = self.read();
            let segments: Vec<_> = shared.segments.iter().filter(|s| s.overlaps(start, end)).cloned().collect();
            let mut head = Vec::new();
            if shared.head.overlaps(start, end) {
                let chosen = postings::select(&shared.head, &selection.matchers).into_iter().filter_map(|slot| shared.head.get(slot));
                head.extend(chosen.filter(|s| s.overlaps(start, end)).map(|s| s.labels.clone()));
            }
            (segments, head)
        };
        let InSegments { opened, numbers } = self.open_chosen(segments, &selection.matchers, budget)?;
        let in_head = found.clone();
        let mut seen: HashSet<&str> = in_head.iter().map(Labels::packed).collect();
        for (opened, numbers) in opened.iter().zip(numbers) {
            budget.check()?;
            for number in numbers {
                let packed = opened.loaded.labels.packed(number);
                if opened.overlaps(number, start, end) && seen.insert(packed) {
                    found.extend(Labels::unpack(packed));
                }
            }
        }
        self.trim_indexes();
        Ok(found)
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn label_names(&self, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        let mut add = |name: &str| {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        };
        if selection.matchers.is_empty() {
            let segments = {
                let shared = self.read();
                if shared.head.overlaps(selection.start.millis(), selection.end.millis()) {
                    shared.head.names().for_each(&mut add);
                }
                shared.overlapping(selection)
            };
            self.each_index(segments, budget, &mut |opened| {
                let labels = &opened.loaded.labels;
                if opened.has_gone() {
                    let left = opened.select(&[]);
                    left.iter().flat_map(|number| Labels::iter_packed(labels.packed(*number))).for_each(|(name, _)| add(name));
                } else {
                    labels.names().for_each(&mut add);
                }
            })?;
        } else {
            for labels in self.series(selection, budget)? {
                labels.iter().for_each(|(name, _)| add(name));
            }
        }
        self.trim_indexes();
        Ok(names.into_iter().collect())
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn label_values(&self, name: &str, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        budget.check()?;
        let mut values = HashSet::new();
        let filtered = !selection.matchers.is_empty();
        let segments = {
            let shared = self.read();
            if shared.head.overlaps(selection.start.millis(), selection.end.millis()) {
                let chosen = filtered.then(|| postings::select(&shared.head, &selection.matchers));
                postings::values(&shared.head, name, chosen.as_deref(), &mut values);
            }
            shared.overlapping(selection)
        };
        self.each_index(segments, budget, &mut |opened| {
            let index = &opened.loaded.labels;
            let chosen = (filtered || opened.has_gone()).then(|| opened.select(&selection.matchers));
            postings::values(index, name, chosen.as_deref(), &mut values);
        })?;
        self.trim_indexes();
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_unstable();
        Ok(values)
    }

    /// See `watchfire_model::read::Source`: without waiting for a lock, and only of indexes that are in memory.
    pub(crate) fn label_values_at_once(&self, name: &str, selection: &Selection) -> Option<Vec<String>> {
        if !selection.matchers.is_empty() {
            return None;
        }
        let (start, end) = (selection.start.millis(), selection.end.millis());
        let shared = self.shared.try_read().ok()?;
        let mut values = HashSet::new();
        let mut left = AT_ONCE_VALUES_MAX;
        if shared.head.overlaps(start, end) {
            left = left.checked_sub(shared.head.value_count(name))?;
            postings::values(&shared.head, name, None, &mut values);
        }
        for segment in shared.segments.iter().filter(|s| s.overlaps(start, end)) {
            let loaded = segment.loaded_at_once(self.moment())?;
            left = left.checked_sub(loaded.labels.value_count(name))?;
            postings::values(&loaded.labels, name, None, &mut values);
        }
        drop(shared);
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_unstable();
        Some(values)
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn metadata(&self) -> Vec<Metadata> {
        self.read().head.metadata().cloned().collect()
    }

    /// Lets indexes go that do not fit into their share of memory.
    pub(super) fn trim_indexes(&self) {
        self.read().trim_indexes(self.options.index_cache_bytes);
    }
}

impl Shared {
    /// Lets the indexes go that were not used for longest, until the rest fits into so many bytes.
    pub(super) fn trim_indexes(&self, bytes_max: usize) {
        let segments = self.segments.iter().chain(&self.tiers);
        let mut held: Vec<_> = segments.map(|s| (s.used.load(Ordering::Relaxed), s.index_memory(), s)).filter(|(_, bytes, _)| *bytes > 0).collect();
        let mut total: usize = held.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= bytes_max {
            return;
        }
        held.sort_unstable_by_key(|(used, ..)| *used);
        for (_, bytes, segment) in held {
            if total <= bytes_max {
                break;
            }
            segment.unload();
            total -= bytes;
        }
    }

    /// Copies of what memory has of a selection.
    pub(super) fn in_head(&self, selection: &Selection) -> InHead {
        let (start, end) = (selection.start.millis(), selection.end.millis());
        if !self.head.overlaps(start, end) {
            return Vec::new();
        }
        let chosen = postings::select(&self.head, &selection.matchers).into_iter().filter_map(|slot| self.head.get(slot));
        chosen.filter_map(|series| Some((series.labels.clone(), series.snapshot(start, end)?))).collect()
    }

    fn overlapping(&self, selection: &Selection) -> Vec<Arc<Segment>> {
        self.segments.iter().filter(|s| s.overlaps(selection.start.millis(), selection.end.millis())).cloned().collect()
    }
}

/// Joins what is chosen in segments and head by label set. Series come in the order of the first segment that has them, so that
/// neighbours are read from the same blocks.
pub(super) fn choose(segments: &InSegments, head: InHead) -> Vec<Chosen> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut by_labels: HashMap<&str, u32> = HashMap::new();
    for (at, (index, numbers)) in segments.opened.iter().zip(&segments.numbers).enumerate() {
        for number in numbers.iter().copied() {
            // With one segment and nothing in the head there is nothing to join.
            let place = if segments.opened.len() == 1 && head.is_empty() {
                chosen.len() as u32
            } else {
                *by_labels.entry(index.loaded.labels.packed(number)).or_insert(chosen.len() as u32)
            };
            if place as usize == chosen.len() {
                chosen.push(Chosen::default());
            }
            chosen[place as usize].members.push((at as u32, number));
        }
    }
    for (labels, snapshot) in head {
        match by_labels.get(labels.packed()) {
            Some(at) => chosen[*at as usize].head = Some((labels, snapshot)),
            None => chosen.push(Chosen { members: Vec::new(), head: Some((labels, snapshot)) }),
        }
    }
    chosen
}

/// Reads a series from segments; returns how many samples were charged already.
fn read_segments(
    opened: &[Opened],
    members: &[(u32, u32)],
    range: (i64, i64),
    cache: &mut BlockCache,
    assembly: &mut Assembly,
    budget: &Budget,
) -> Result<u64, ReadError> {
    let mut charged = 0;
    for (at, number) in members {
        let index = &opened[*at as usize];
        for run in index.loaded.runs.runs(*number) {
            if run.min > range.1 {
                break;
            }
            if run.max >= range.0 {
                cache.run(index, *number, run, range, &mut |piece| assembly.add(piece)).map_err(storage)?;
            }
            let held = assembly.cost();
            if held >= charged + SAMPLES_PER_CHARGE {
                budget.check()?;
                budget.charge_samples(held - charged)?;
                charged = held;
            }
        }
    }
    Ok(charged)
}
