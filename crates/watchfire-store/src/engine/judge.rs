//! Judgement of a batch: which of its samples are to be stored, float or native histogram, and why the others are not. It looks
//! at head and segments and changes neither.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use watchfire_model::batch::Batch;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Reason, Written};

use super::{Engine, Shared, Writer, millis};
use crate::metrics::head::{Kept, is_oversized};
use crate::metrics::histogram::{fits, same_content};
use crate::metrics::record::{Entry, HistogramEntry};
use crate::metrics::segment::BlockCache;

/// Marks the number of a series that is new in this batch until its slot is known.
const NEW: u32 = 1 << 31;
/// Beyond the limit of series there is room for this part of it, for those that say how their source is doing.
const VITAL_SHARE: usize = 8;

/// A sample under judgement.
trait Item {
    fn slot(&mut self) -> &mut u32;
    fn time(&self) -> i64;
    /// Whether what is kept is the same.
    fn is(&self, kept: &Kept) -> bool;
}
impl Item for Entry {
    fn slot(&mut self) -> &mut u32 {
        &mut self.slot
    }
    fn time(&self) -> i64 {
        self.time
    }
    fn is(&self, kept: &Kept) -> bool {
        kept.is_float(self.bits)
    }
}
impl Item for HistogramEntry {
    fn slot(&mut self) -> &mut u32 {
        &mut self.slot
    }
    fn time(&self) -> i64 {
        self.time
    }
    fn is(&self, kept: &Kept) -> bool {
        kept.is_histogram(&self.value)
    }
}

/// Looks into segments for late samples; most batches never need it.
#[derive(Default)]
pub(super) struct Lookup {
    now: u64,
    cache: Option<BlockCache>,
}

/// A batch under judgement; kept between batches for its memory.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) entries: Vec<Entry>,
    pub(super) histograms: Vec<HistogramEntry>,
    pub(super) new: Vec<NewSeries>,
    new_by_hash: HashTable<u32>,
    /// New series that have at least one accepted sample.
    pub(super) created: Vec<u32>,
    /// Known series that the current epoch of the log does not define yet.
    pub(super) redefined: Vec<u32>,
    /// Known series whose labels came as another copy, which takes the place of the one in memory.
    pub(super) adopted: Vec<(u32, Labels)>,
}

/// A series that the head does not have yet.
pub(super) struct NewSeries {
    pub(super) labels: Labels,
    pub(super) slot: Option<u32>,
    pub(super) newest: Option<i64>,
    seen: bool,
    /// Whether it may have one of the places that are kept free for series that say how their source is doing.
    vital: bool,
}

impl Judged {
    fn clear(&mut self) {
        self.entries.clear();
        self.histograms.clear();
        self.new.clear();
        self.new_by_hash.clear();
        self.created.clear();
        self.redefined.clear();
        self.adopted.clear();
    }
    /// The labels of a series, known or new.
    fn labels<'a>(&'a self, shared: &'a Shared, slot: u32) -> Option<&'a Labels> {
        match slot & NEW {
            0 => shared.head.get(slot).map(|s| &s.labels),
            _ => self.new.get((slot & !NEW) as usize).map(|n| &n.labels),
        }
    }
    /// The slot of a series that is new in this batch and has an accepted sample.
    pub(super) fn slot_of_new(&self, labels: &Labels) -> Option<u32> {
        let at = self.new_by_hash.find(labels.hash_value(), |at| self.new[*at as usize].labels == *labels)?;
        self.new[*at as usize].slot
    }
    fn new_series(&mut self, labels: &Labels) -> u32 {
        let hash = labels.hash_value();
        if let Some(at) = self.new_by_hash.find(hash, |at| self.new[*at as usize].labels == *labels) {
            return *at;
        }
        let at = self.new.len() as u32;
        self.new.push(NewSeries { labels: labels.clone(), slot: None, newest: None, seen: false, vital: false });
        let new = &self.new;
        self.new_by_hash.insert_unique(hash, at, |i| new[*i as usize].labels.hash_value());
        at
    }
}

impl Engine {
    /// Keeps the samples that are to be stored and gives new series their slots.
    pub(super) fn judge(&self, writer: &mut Writer, shared: &Shared, window: i64, written: &mut Written) {
        let now = self.now();
        let limits = Limits {
            latest: now.saturating_add(millis(self.options.future_max)),
            earliest: self.options.retention.map_or(i64::MIN, |keep| now.saturating_sub(millis(keep))),
            window,
            series_max: self.options.series_max,
        };
        writer.lookup.now = self.moment();
        // Indexes of many series must not take what the samples need.
        let index_bytes_max = self.options.memory_max / 2;
        look_up_new(&mut writer.batch, shared, writer.lookup.now, index_bytes_max);
        let mut entries = std::mem::take(&mut writer.batch.entries);
        judge_all(writer, shared, &limits, &mut entries, written);
        writer.batch.entries = entries;
        if !writer.batch.histograms.is_empty() {
            let mut histograms = std::mem::take(&mut writer.batch.histograms);
            let duplicates = written.duplicates;
            judge_all(writer, shared, &limits, &mut histograms, written);
            written.histograms += written.duplicates - duplicates;
            writer.batch.histograms = histograms;
        }
        if writer.lookup.cache.take().is_some() {
            shared.trim_indexes(index_bytes_max);
        }
    }
}

/// Finds out how far the segments know those series that memory does not know: segment by segment, so that few indexes are in
/// memory at once. Segments that end before the first sample of a series do not matter to it.
fn look_up_new(batch: &mut Judged, shared: &Shared, now: u64, index_bytes_max: usize) {
    if batch.new.is_empty() || shared.segments.is_empty() {
        return;
    }
    let mut first = vec![i64::MAX; batch.new.len()];
    let samples = batch.entries.iter().map(|e| (e.slot, e.time)).chain(batch.histograms.iter().map(|e| (e.slot, e.time)));
    for (slot, time) in samples.filter(|(slot, _)| slot & NEW != 0) {
        let first = &mut first[(slot & !NEW) as usize];
        *first = time.min(*first);
    }
    let earliest = first.iter().copied().min().unwrap_or(i64::MAX);
    for segment in shared.segments.iter().filter(|s| s.footer.max >= earliest) {
        let Ok(Some(loaded)) = segment.load(now) else { continue };
        for (new, _) in batch.new.iter_mut().zip(&first).filter(|(_, first)| segment.footer.max >= **first) {
            let newest = loaded.labels.find(&new.labels).and_then(|number| loaded.runs.runs(number).map(|run| run.max).max());
            new.newest = new.newest.max(newest);
        }
        drop(loaded);
        shared.trim_indexes(index_bytes_max);
    }
}

fn judge_all<T: Item>(writer: &mut Writer, shared: &Shared, limits: &Limits, items: &mut Vec<T>, written: &mut Written) {
    let mut last_redefined = u32::MAX;
    items.retain_mut(|item| {
        let slot = *item.slot();
        let known = (slot & NEW == 0).then(|| shared.head.get(slot)).flatten();
        match judge_one(&mut writer.batch, &mut writer.lookup, shared, limits, item) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(Verdict::Duplicate) => {
                written.duplicates += 1;
                return false;
            }
            ControlFlow::Break(Verdict::Refused(reason)) => {
                refuse(written, reason, writer.batch.labels(shared, slot), item.time());
                return false;
            }
        }
        if known.is_some_and(|series| series.defined_in != writer.epoch) && last_redefined != slot {
            last_redefined = slot;
            writer.batch.redefined.push(slot);
        }
        true
    });
}

struct Limits {
    latest: i64,
    earliest: i64,
    window: i64,
    series_max: usize,
}
impl Limits {
    /// How many series there may be when one more comes.
    fn series_max(&self, vital: bool) -> usize {
        if vital { self.series_max.saturating_add(self.series_max.div_ceil(VITAL_SHARE)) } else { self.series_max }
    }
}

enum Verdict {
    Duplicate,
    Refused(Reason),
}

fn refuse(written: &mut Written, reason: Reason, labels: Option<&Labels>, time: i64) {
    written.reject(reason, 1);
    if written.example.is_none() {
        let labels = labels.map(Labels::to_string).unwrap_or_default();
        written.example = Some(format!("{reason}: {labels} at {}", Timestamp(time).rfc3339_millis()));
    }
}

/// Resolves the series of a batch and brings its samples into the order in which they are judged: by series and time when a
/// series comes more than once, so that the order within the batch does not matter.
pub(super) fn gather(writer: &mut Writer, shared: &Shared, batch: &Batch, written: &mut Written) {
    writer.batch.clear();
    writer.batch_number = writer.batch_number.wrapping_add(1);
    if writer.batch_number == 0 {
        writer.stamps.clear();
        writer.batch_number = 1;
    }
    writer.stamps.resize(shared.head.slot_bound(0), 0);
    if is_oversized(writer.stamps.capacity(), writer.stamps.len()) {
        writer.stamps.shrink_to_fit();
    }
    let mut repeated = false;
    let ordinary = batch.series.len().saturating_sub(batch.vital);
    for (at, series) in batch.series.iter().enumerate() {
        let samples = series.samples.as_slice();
        let (slot, seen) = place(writer, shared, &series.labels);
        if at >= ordinary && slot & NEW != 0 {
            writer.batch.new[(slot & !NEW) as usize].vital = true;
        }
        repeated |= seen || samples.len() > 1;
        for sample in samples {
            let (time, bits) = (sample.time.millis(), sample.value.to_bits());
            // The end of a series of histograms is a histogram, whoever says it.
            if bits == STALE_NAN_BITS && shared.head.get(slot).is_some_and(|s| s.newest_is_histogram()) {
                writer.batch.histograms.push(HistogramEntry { slot, time, value: Arc::new(Histogram::stale()) });
            } else {
                writer.batch.entries.push(Entry { slot, time, bits });
            }
        }
    }
    for series in &batch.histograms {
        let (slot, seen) = place(writer, shared, &series.labels);
        repeated |= seen || series.samples.len() > 1;
        for sample in &series.samples {
            if fits(&sample.value) {
                writer.batch.histograms.push(HistogramEntry { slot, time: sample.time.millis(), value: sample.value.clone() });
            } else {
                refuse(written, Reason::InvalidHistogram, Some(&series.labels), sample.time.millis());
            }
        }
    }
    if repeated {
        settle_repeats(&mut writer.batch, shared, written);
    }
}

/// The number of a series, and whether the batch has spoken of it before.
fn place(writer: &mut Writer, shared: &Shared, labels: &Labels) -> (u32, bool) {
    match shared.head.find(labels) {
        Some(slot) => {
            // After a restart the log's copy of the labels stands here; the sender's copy comes with every batch.
            if shared.head.get(slot).is_some_and(|series| !series.labels.is_copy_of(labels)) {
                writer.batch.adopted.push((slot, labels.clone()));
            }
            (slot, std::mem::replace(&mut writer.stamps[slot as usize], writer.batch_number) == writer.batch_number)
        }
        None => {
            let at = writer.batch.new_series(labels);
            (at | NEW, std::mem::replace(&mut writer.batch.new[at as usize].seen, true))
        }
    }
}

/// Sorts samples by series and time and settles those of one time: the first one wins, and a float wins over a histogram.
fn settle_repeats(batch: &mut Judged, shared: &Shared, written: &mut Written) {
    let mut entries = std::mem::take(&mut batch.entries);
    let mut histograms = std::mem::take(&mut batch.histograms);
    // Histograms among the duplicates.
    let mut repeats = 0;
    let mut settle = |slot: u32, time: i64, same: bool| {
        if same {
            written.duplicates += 1;
        } else {
            refuse(written, Reason::DuplicateConflict, batch.labels(shared, slot), time);
        }
    };
    entries.sort_by_key(|e| (e.slot, e.time));
    entries.dedup_by(|later, earlier| {
        let repeated = (later.slot, later.time) == (earlier.slot, earlier.time);
        if repeated {
            settle(later.slot, later.time, later.bits == earlier.bits);
        }
        repeated
    });
    histograms.sort_by_key(|e| (e.slot, e.time));
    histograms.dedup_by(|later, earlier| {
        let repeated = (later.slot, later.time) == (earlier.slot, earlier.time);
        if repeated {
            let same = same_content(&earlier.value, &later.value);
            repeats += u64::from(same);
            settle(later.slot, later.time, same);
        }
        repeated
    });
    if !entries.is_empty() && !histograms.is_empty() {
        let floats: HashMap<(u32, i64), u64> = entries.iter().map(|e| ((e.slot, e.time), e.bits)).collect();
        histograms.retain(|e| match floats.get(&(e.slot, e.time)) {
            Some(bits) => {
                let same = Kept::Float(*bits).is_histogram(&e.value);
                repeats += u64::from(same);
                settle(e.slot, e.time, same);
                false
            }
            None => true,
        });
    }
    (batch.entries, batch.histograms) = (entries, histograms);
    written.histograms += repeats;
}

fn judge_one(batch: &mut Judged, lookup: &mut Lookup, shared: &Shared, limits: &Limits, item: &mut impl Item) -> ControlFlow<Verdict> {
    let (time, slot) = (item.time(), *item.slot());
    let refused = |reason| ControlFlow::Break(Verdict::Refused(reason));
    if time > limits.latest {
        return refused(Reason::TooFarFuture);
    }
    if time < limits.earliest {
        return refused(Reason::TooOld);
    }
    let is_new = slot & NEW != 0;
    let at = (slot & !NEW) as usize;
    let (newest, labels) = if is_new {
        let new = &batch.new[at];
        (new.newest, &new.labels)
    } else {
        let Some(series) = shared.head.get(slot) else { return refused(Reason::InvalidLabels) };
        (series.newest, &series.labels)
    };
    if let Some(newest) = newest
        && time <= newest
    {
        // A clock that was wrong for a while leaves samples in the future; they must not shut out the present.
        if time < newest.min(limits.latest).saturating_sub(limits.window) {
            return refused(if limits.window == 0 { Reason::OutOfOrder } else { Reason::TooOld });
        }
        let in_head = if is_new { None } else { shared.head.get(slot).and_then(|s| s.find(time)) };
        match in_head.or_else(|| shared.find_in_segments(labels, time, lookup.now, &mut lookup.cache)) {
            Some(kept) if item.is(&kept) => return ControlFlow::Break(Verdict::Duplicate),
            Some(_) => return refused(Reason::DuplicateConflict),
            None => {}
        }
    }
    if is_new {
        let slot = match batch.new[at].slot {
            Some(slot) => slot,
            None if shared.head.live() + batch.created.len() >= limits.series_max(batch.new[at].vital) => return refused(Reason::SeriesLimit),
            None => {
                let slot = shared.head.future_slot(batch.created.len());
                batch.created.push(at as u32);
                *batch.new[at].slot.insert(slot)
            }
        };
        *item.slot() = slot;
    }
    ControlFlow::Continue(())
}
