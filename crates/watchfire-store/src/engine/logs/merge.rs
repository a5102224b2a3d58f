//! From small segments of entries to larger ones, so that files stay few; and out of the way with what rules about streams do not keep.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use watchfire_model::labels::Labels;

use super::flush::sort;
use super::to_millis;
use crate::engine::flushed::Flushed;
use crate::engine::{Engine, entries_dir, millis};
use crate::logs::Signal;
use crate::logs::block::Row;
use crate::logs::compact::{Gone, Place, Rewritten, rewrite};
use crate::logs::head::DAY_NS;
use crate::logs::segment::LogSegment;
use crate::segment_file::path_of;

/// Segments of about one size are merged when there are so many of them in a row, and not more at once.
const ROW_MIN: usize = 8;
const ROW_MAX: usize = 64;
/// Sizes up to which segments are small, middling and large.
const SIZES: [u64; 3] = [1 << 20, 8 << 20, 64 << 20];
/// No segment is made larger by merging.
const MERGED_BYTES_MAX: u64 = 256 << 20;
/// No segment is made of more streams by merging: their labels have to fit into memory.
const MERGED_STREAMS_MAX: u64 = 100_000;
/// A day that is over takes up small late segments only when there are more of them than this.
const LATE_SEGMENTS_MAX: usize = 6;
const NANOS_PER_MILLI: i64 = 1_000_000;
/// The most segments whose streams are looked at in one round of the rules: their indexes have to be read.
const RULE_SEGMENTS_MAX: usize = 32;
/// How long a segment rests that rules could do nothing with.
const RULE_REST_MS: i64 = 3_600_000;

impl Engine {
    /// Merges segments of one day, if that is worth it. Returns whether it did.
    pub(crate) fn merge_entries(&self, signal: Signal) -> io::Result<bool> {
        let mut next = self.building();
        let window = millis(self.options.out_of_order_window).saturating_mul(NANOS_PER_MILLI);
        let Some(inputs) = candidates(&self.read().entries[signal].segments, window) else { return Ok(false) };
        Ok(self.rewrite_entries(signal, &mut next, &inputs, None)?.0 > 0)
    }

    /// Merges everything that follows each other within a day.
    #[cfg(test)]
    pub(in crate::engine) fn merge_all_entries(&self, signal: Signal) -> io::Result<()> {
        let mut next = self.building();
        let segments = self.read().entries[signal].segments.clone();
        let day = |s: &Arc<LogSegment>| s.footer.min.div_euclid(DAY_NS);
        let days: std::collections::BTreeSet<i64> = segments.iter().map(day).collect();
        for of_day in days {
            let inputs: Vec<_> = segments.iter().filter(|s| day(s) == of_day).cloned().collect();
            self.rewrite_entries(signal, &mut next, &inputs, None)?;
        }
        Ok(())
    }

    /// Writes segments anew; returns how many were replaced and how many entries went.
    pub(super) fn rewrite_entries(&self, signal: Signal, next: &mut u64, inputs: &[Arc<LogSegment>], gone: Option<&Gone<'_>>) -> io::Result<(usize, u64)> {
        if gone.is_some() {
            // Should the new segment be lost, the log must not bring back what goes.
            let before = inputs.iter().map(|s| s.footer.origin.log_before).max().unwrap_or_default();
            self.keep_flushed(Flushed::of_entries(signal, before))?;
        }
        let dir = entries_dir(&self.options.dir, signal);
        // What is deleted is in memory, too: who deletes has seen to it.
        let between = |next: &mut u64| {
            if gone.is_none() {
                self.relieve(next)
            }
        };
        let mut place = Place {
            disk: &*self.disk,
            dir: &dir,
            next,
            options: self.options.entries(signal),
            indexed: signal.indexed(),
            damaged_ids: 0,
            moment: self.moment(),
            between: &between,
        };
        let rewritten = rewrite(&mut place, inputs, gone);
        self.counters.damaged_ids.add(place.damaged_ids);
        let (new, went) = match rewritten? {
            (Rewritten::Unreadable | Rewritten::Unchanged, _) => return Ok((0, 0)),
            (Rewritten::Into(id), went) => (self.open_rewritten(signal, id)?, went),
        };
        {
            let mut shared = self.modify();
            shared.entries[signal].segments.retain(|s| !inputs.iter().any(|i| i.id == s.id));
            shared.entries[signal].segments.push(new);
            sort(&mut shared.entries[signal].segments);
        }
        for input in inputs {
            if input.lost_blocks.load(Ordering::Relaxed) {
                self.quarantine_entries(signal, input);
            } else {
                input.doom();
            }
        }
        self.counters.merges.inc();
        Ok((inputs.len(), went))
    }

    /// Moves entries out of memory while something long is done that nobody else may interrupt: senders would be turned away until it is over.
    fn relieve(&self, next: &mut u64) {
        for signal in Signal::ALL {
            if self.entries_are_due(signal)
                && let Err(error) = self.flush_entries_now(signal, next)
            {
                tracing::error!(%error, "cannot move {} into a segment; the log keeps them", signal.entries());
            }
        }
    }

    /// Opens a segment that stands in for others. One that cannot be opened has to go: with a second one like it everything would be
    /// there twice.
    fn open_rewritten(&self, signal: Signal, id: u64) -> io::Result<Arc<LogSegment>> {
        self.open_entries(signal, id).inspect_err(|_| {
            if let Err(error) = self.disk.remove(&path_of(&entries_dir(&self.options.dir, signal), id)) {
                self.fail(format!("a segment of {} that cannot be read cannot be removed: {error}", signal.entries()));
            }
        })
    }

    /// Removes entries of streams that are kept shorter than others, from one segment. A segment's streams are looked at when it is old
    /// enough for the shortest time; then it is known when it is due.
    pub(in crate::engine) fn apply_rules(&self, signal: Signal) -> io::Result<()> {
        let options = self.entry_options(signal);
        let shortest = options.rules.iter().map(|rule| rule.keep).chain([options.retention]).flatten().min();
        let Some(shortest) = shortest.filter(|_| !options.rules.is_empty()) else { return Ok(()) };
        let now = self.now();
        let over = |segment: &LogSegment, keep: Duration| to_millis(segment.footer.max).saturating_add(millis(keep));
        let mut next = self.building();
        let segments = self.read().entries[signal].segments.clone();
        let due = |s: &&Arc<LogSegment>| over(s, shortest) < now && s.rules_due.load(Ordering::Relaxed) <= now;
        let mut problem = None;
        for segment in segments.iter().filter(due).take(RULE_SEGMENTS_MAX) {
            let later = match self.apply_rules_to(signal, segment, &mut next, now) {
                Ok(RuleOutcome::Rewritten) => return problem.map_or(Ok(()), Err),
                Ok(RuleOutcome::DueAt(at)) => at,
                // The others must not wait for one that cannot be read.
                Err(error) => {
                    problem.get_or_insert(error);
                    now.saturating_add(RULE_REST_MS)
                }
            };
            segment.rules_due.store(later, Ordering::Relaxed);
        }
        problem.map_or(Ok(()), Err)
    }

    fn apply_rules_to(&self, signal: Signal, segment: &Arc<LogSegment>, next: &mut u64, now: i64) -> io::Result<RuleOutcome> {
        let rest = RuleOutcome::DueAt(now.saturating_add(RULE_REST_MS));
        let Some(index) = segment.index(self.moment())? else { return Ok(rest) };
        let options = self.entry_options(signal);
        let over = |labels: &Labels| Some(to_millis(segment.footer.max).saturating_add(millis(options.keep(labels)?)));
        let all = (0..index.labels.len() as u32).filter_map(|number| Labels::unpack(index.labels.packed(number)));
        let first = all.filter_map(|labels| over(&labels)).min().unwrap_or(i64::MAX);
        drop(index);
        if first >= now {
            return Ok(RuleOutcome::DueAt(first.saturating_add(1)));
        }
        let goes = |labels: &Labels| over(labels).is_some_and(|over| over < now);
        let gone = Gone { stream: &goes, entry: &|_: &Labels, _: Row<'_>| true };
        let (replaced, went) = self.rewrite_entries(signal, next, std::slice::from_ref(segment), Some(&gone))?;
        if replaced == 0 {
            return Ok(rest);
        }
        tracing::info!(file = %segment.path.display(), entries = went, "rules of retention remove entries");
        Ok(RuleOutcome::Rewritten)
    }
}

/// What rules of retention have come to with a segment.
enum RuleOutcome {
    /// It was written anew.
    Rewritten,
    /// Nothing is to be done before this time, in milliseconds.
    DueAt(i64),
}

/// Segments of one day, one behind the other, that should be one.
fn candidates(segments: &[Arc<LogSegment>], window: i64) -> Option<Vec<Arc<LogSegment>>> {
    let newest = segments.iter().map(|s| s.footer.max).max()?;
    let mut days: BTreeMap<i64, Vec<Arc<LogSegment>>> = BTreeMap::new();
    for segment in segments.iter().filter(|s| !s.damaged.load(Ordering::Relaxed)) {
        let day = segment.footer.min.div_euclid(DAY_NS);
        if segment.footer.max.div_euclid(DAY_NS) == day {
            days.entry(day).or_default().push(segment.clone());
        }
    }
    days.into_iter().find_map(|(day, members)| {
        let over = newest >= (day + 1).saturating_mul(DAY_NS).saturating_add(window);
        let finished = if over { rows(&members, MERGED_BYTES_MAX).into_iter().find(|row| is_worth(row)) } else { None };
        let running = || SIZES.iter().find_map(|size| rows(&members, *size).into_iter().find(|row| row.len() >= ROW_MIN));
        finished.or_else(running).map(|row| row.to_vec())
    })
}

/// Rows of segments that are not larger than a size and may become one.
fn rows(members: &[Arc<LogSegment>], size: u64) -> Vec<&[Arc<LogSegment>]> {
    let mut rows = Vec::new();
    let mut from = 0;
    let (mut bytes, mut streams) = (0, 0);
    for (at, segment) in members.iter().enumerate() {
        let fits = segment.bytes <= size && bytes + segment.bytes <= MERGED_BYTES_MAX && streams + segment.footer.streams <= MERGED_STREAMS_MAX;
        if !fits || at - from >= ROW_MAX {
            rows.push(&members[from..at]);
            from = if segment.bytes <= size { at } else { at + 1 };
            (bytes, streams) = (0, 0);
        }
        if from <= at {
            bytes += segment.bytes;
            streams += segment.footer.streams;
        }
    }
    rows.push(&members[from.min(members.len())..]);
    rows.retain(|row| row.len() > 1);
    rows
}

/// Whether a finished day is worth the work.
fn is_worth(row: &[Arc<LogSegment>]) -> bool {
    let bytes: u64 = row.iter().map(|s| s.bytes).sum();
    let largest = row.iter().map(|s| s.bytes).max().unwrap_or(0);
    largest < bytes / 4 * 3 || row.len() > LATE_SEGMENTS_MAX
}
