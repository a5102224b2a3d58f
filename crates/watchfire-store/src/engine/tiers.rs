//! Tiers: windows of old samples, kept longer than the samples themselves. A week that is over for good is read once and written
//! as windows of each tier; the samples stay as long as their own retention says, and go only when every tier has them.
//! A reader gets what the samples tell, whether they are still there or not.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError, Selection, WindowVisitor, window_range};
use watchfire_model::windows::{Kept, Window, WindowSeries, reduce};

use super::read::{Chosen, choose, storage};
use super::{Engine, Shared, millis, tiers_dir};
use crate::metrics::compact::{self, DAY_MS, Place};
use crate::metrics::head::Snapshot;
use crate::metrics::segment::{BlockCache, Opened, Piece, Segment, Tier};
use crate::metrics::select::Assembly;
use crate::options;

/// A segment of a tier covers a week: few files for a year, and little to write at once.
pub(super) const WEEK_MS: i64 = 7 * DAY_MS;
/// A segment over more weeks than this, as an import of many years makes it, stays as samples.
const WEEKS_MAX: i64 = 520;

/// The week of a moment. As windows do, weeks begin one millisecond late and end with the full hour.
fn week_at(time: i64) -> i64 {
    time.saturating_sub(1).div_euclid(WEEK_MS)
}

/// The first and the last moment of a week.
fn span_of(week: i64) -> (i64, i64) {
    (week.saturating_mul(WEEK_MS).saturating_add(1), week.saturating_add(1).saturating_mul(WEEK_MS))
}

/// The weeks that a segment touches; none when there are too many.
fn weeks(segment: &Segment) -> std::ops::RangeInclusive<i64> {
    let (first, last) = (week_at(segment.footer.min), week_at(segment.footer.max));
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range")]
    if last.saturating_sub(first) > WEEKS_MAX { 1..=0 } else { first..=last }
}

fn week_of(tier: &Segment) -> i64 {
    week_at(tier.footer.min)
}

/// A week of a tier to be written.
struct Due {
    resolution_ms: i64,
    week: i64,
    sources: Vec<Arc<Segment>>,
    /// What there is of it already.
    before: Option<Arc<Segment>>,
}

impl Shared {
    fn tier(&self, resolution_ms: i64, week: i64) -> Option<&Arc<Segment>> {
        self.tiers.iter().find(|t| week_of(t) == week && t.footer.tier.as_ref().is_some_and(|tier| tier.resolution_ms == resolution_ms))
    }

    /// Whether a week of a tier has all samples that there are, so that nobody needs to look at these.
    fn is_complete(&self, tier: &Segment) -> bool {
        let (start, end) = (tier.footer.min, tier.footer.max);
        let sources = tier.footer.tier.as_ref().map_or(&[][..], |t| &t.sources);
        !tier.has_deleted() && self.segments.iter().filter(|s| s.overlaps(start, end)).all(|s| sources.contains(&s.id))
    }

    /// Whether samples of a week have been removed, so that only the windows are left. A merge that the tier has not seen yet also
    /// takes segments away; then there is one that the tier does not have.
    fn is_alone(&self, tier: &Segment) -> bool {
        let sources = tier.footer.tier.as_ref().map_or(&[][..], |t| &t.sources);
        self.is_complete(tier) && sources.iter().any(|id| !self.segments.iter().any(|s| s.id == *id))
    }

    /// Whether native histograms may be among the samples of a week; windows do not tell.
    fn has_histograms(&self, tier: &Segment) -> bool {
        self.segments.iter().any(|s| s.has_histograms && s.overlaps(tier.footer.min, tier.footer.max))
    }
}

impl Engine {
    /// Writes one week of one tier, if one is due. Returns whether it did.
    pub(crate) fn downsample(&self) -> io::Result<bool> {
        let mut next = self.building();
        let Some(due) = self.due_for_tier() else { return Ok(false) };
        self.build_tier(&mut next, &due)
    }

    fn due_for_tier(&self) -> Option<Due> {
        let shared = self.read();
        let newest = shared.newest()?;
        for tier in &self.options.tiers {
            let resolution_ms = millis(tier.resolution);
            let horizon = newest.saturating_sub(millis(tier.after).max(millis(self.options.out_of_order_window)));
            let due = |week: &i64| span_of(*week).1 <= horizon && !self.is_expired(tier, *week);
            let over: BTreeSet<i64> = shared.segments.iter().flat_map(|s| weeks(s)).filter(due).collect();
            for week in over {
                let before = shared.tier(resolution_ms, week);
                if before.is_some_and(|tier| shared.is_complete(tier)) {
                    continue;
                }
                let (start, end) = span_of(week);
                let sources: Vec<_> = shared.segments.iter().filter(|s| s.overlaps(start, end)).cloned().collect();
                if sources.iter().all(|s| !weeks(s).is_empty()) {
                    return Some(Due { resolution_ms, week, sources, before: before.cloned() });
                }
            }
        }
        None
    }

    fn build_tier(&self, next: &mut u64, due: &Due) -> io::Result<bool> {
        let dir = tiers_dir(&self.options.dir);
        let span = span_of(due.week);
        let mut opened = Vec::new();
        for segment in due.sources.iter().chain(&due.before) {
            match segment.index(self.moment())? {
                Some(index) => opened.push(index),
                // It goes into quarantine; the next look finds what is left.
                None => return Ok(false),
            }
        }
        let (labels, members) = compact::union(&opened);
        let tier = Tier { resolution_ms: due.resolution_ms, sources: due.sources.iter().map(|s| s.id).collect() };
        let mut place = Place::new(&*self.disk, &dir, next);
        let replaces = due.before.iter().map(|s| s.id).collect();
        let mut cache = BlockCache::alone();
        let mut read =
            |series: usize| read_windows(&opened, &members[series], None, &[span], (due.resolution_ms, span), &mut cache).map(|(windows, _)| windows);
        let id = compact::write_tier(&mut place, &labels, tier, span, replaces, &mut read)?;
        let fresh = self.open_or_withdraw(&dir, id)?;
        {
            let mut shared = self.modify();
            shared.tiers.retain(|t| Some(t.id) != due.before.as_ref().map(|b| b.id));
            shared.tiers.push(fresh);
        }
        if let Some(before) = &due.before {
            before.doom();
        }
        self.counters.downsampled.inc();
        Ok(true)
    }

    /// Writes the weeks anew of which something is deleted. Returns how many there were.
    pub(super) fn clean_tiers(&self, next: &mut u64) -> io::Result<u64> {
        let marked: Vec<_> = self.read().tiers.iter().filter(|t| t.has_deleted()).cloned().collect();
        let mut cleaned = 0;
        for tier in marked {
            let Some(resolution_ms) = tier.footer.tier.as_ref().map(|t| t.resolution_ms) else { continue };
            let sources = self.read().segments.iter().filter(|s| s.overlaps(tier.footer.min, tier.footer.max)).cloned().collect();
            let due = Due { resolution_ms, week: week_of(&tier), sources, before: Some(tier) };
            cleaned += u64::from(self.build_tier(next, &due)?);
        }
        Ok(cleaned)
    }

    /// Whether every tier has the samples of a segment, so that they may go.
    pub(super) fn is_in_tiers(&self, segment: &Segment) -> bool {
        let shared = self.read();
        let has = |resolution_ms: i64, week: i64| {
            shared.tier(resolution_ms, week).and_then(|t| t.footer.tier.as_ref()).is_some_and(|t| t.sources.contains(&segment.id))
        };
        self.options.tiers.iter().all(|tier| weeks(segment).all(|week| self.is_expired(tier, week) || has(millis(tier.resolution), week)))
    }

    /// Whether a week is older than a tier keeps.
    fn is_expired(&self, tier: &options::Tier, week: i64) -> bool {
        tier.keep.is_some_and(|keep| span_of(week).1 < self.now().saturating_sub(millis(keep)))
    }

    /// The first moment that the tier of a segment keeps; `None` when it keeps everything, or is no longer in the options.
    pub(super) fn tier_earliest(&self, segment: &Segment) -> Option<i64> {
        let resolution_ms = segment.footer.tier.as_ref()?.resolution_ms;
        let tier = self.options.tiers.iter().find(|t| millis(t.resolution) == resolution_ms)?;
        tier.keep.map(|keep| self.now().saturating_sub(millis(keep)))
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn kept_windows(&self) -> Vec<Kept> {
        let shared = self.read();
        if shared.tiers.is_empty() {
            return Vec::new();
        }
        let alone: BTreeSet<i64> = shared.tiers.iter().filter(|t| shared.is_alone(t)).map(|t| week_of(t)).collect();
        let all: BTreeSet<i64> = shared.tiers.iter().filter_map(|t| Some(t.footer.tier.as_ref()?.resolution_ms)).collect();
        let kept = |resolution_ms: i64| {
            let of_tier = shared.tiers.iter().filter(|t| t.footer.tier.as_ref().is_some_and(|tier| tier.resolution_ms == resolution_ms));
            let newest = of_tier.map(|t| week_of(t)).max().unwrap_or(i64::MIN);
            // What it lacks before its own newest week, only others may have.
            let lacks = |week: &i64| shared.tier(resolution_ms, *week).is_none() && (*week < newest || alone.contains(week));
            let lacking = shared.tiers.iter().map(|t| week_of(t)).filter(lacks).max();
            Kept {
                resolution_ms,
                since: lacking.map_or(i64::MIN, |week| span_of(week).1.saturating_add(1)),
                until: span_of(newest).1,
                alone_until: alone.last().map_or(i64::MIN, |week| span_of(*week).1),
            }
        };
        all.into_iter().map(kept).collect()
    }

    /// See `watchfire_model::read::Source`.
    pub(crate) fn windows(&self, selection: &Selection, resolution_ms: i64, budget: &Budget, visit: &mut WindowVisitor<'_>) -> Result<(), ReadError> {
        budget.check()?;
        let Some((start, end)) = window_range(selection, resolution_ms) else { return Ok(()) };
        let whole = Selection { start, end, ..selection.clone() };
        let range = (start.millis(), end.millis());
        let (segments, gaps, head) = {
            let shared = self.read();
            let of_tier = |t: &&Arc<Segment>| t.footer.tier.as_ref().is_some_and(|tier| tier.resolution_ms == resolution_ms) && t.overlaps(range.0, range.1);
            let tiers: Vec<_> = shared.tiers.iter().filter(of_tier).cloned().collect();
            let tells_all = |t: &Segment| shared.is_complete(t) && !shared.has_histograms(t) && !shared.head.overlaps(t.footer.min, t.footer.max);
            let complete = tiers.iter().filter(|t| tells_all(t));
            let gaps = gaps(range, complete.map(|t| (t.footer.min, t.footer.max)).collect());
            let needed = |s: &&Arc<Segment>| gaps.iter().any(|gap| s.overlaps(gap.0, gap.1));
            let segments: Vec<_> = shared.segments.iter().filter(needed).cloned().chain(tiers).collect();
            (segments, gaps, shared.in_head(&whole))
        };
        let chosen = self.open_chosen(segments, &whole.matchers, budget)?;
        let opened = &chosen.opened[..];
        let mut cache = BlockCache::new(self.blocks.clone());
        for (at, Chosen { members, head }) in choose(&chosen, head).into_iter().enumerate() {
            if at % 64 == 0 {
                budget.check()?;
            }
            let labels = match (&head, members.first()) {
                (Some((labels, _)), _) => Some(labels.clone()),
                (None, Some((at, number))) => Labels::unpack(opened[*at as usize].loaded.labels.packed(*number)),
                (None, None) => None,
            };
            let snapshot = head.as_ref().map(|(_, snapshot)| snapshot);
            let (windows, histograms) = read_windows(opened, &members, snapshot, &gaps, (resolution_ms, range), &mut cache).map_err(storage)?;
            let Some(labels) = labels.filter(|_| !windows.is_empty() || histograms) else { continue };
            let found = WindowSeries { labels, resolution_ms, windows, histograms };
            budget.charge_samples(found.cost())?;
            if let ControlFlow::Break(()) = visit(found)? {
                break;
            }
        }
        drop(chosen);
        self.trim_indexes();
        Ok(())
    }
}

/// A range without the stretches that are covered.
fn gaps(range: (i64, i64), mut covered: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    covered.sort_unstable();
    let mut gaps = Vec::new();
    let mut from = range.0;
    for (start, end) in covered {
        if start > from {
            gaps.push((from, (start - 1).min(range.1)));
        }
        from = from.max(end.saturating_add(1));
    }
    if from <= range.1 {
        gaps.push((from, range.1));
    }
    gaps.retain(|gap| gap.0 <= gap.1);
    gaps
}

/// Reads the windows of a series that begin in a range: those of tiers, and those of samples within the gaps. Says whether native
/// histograms are among these samples, too.
fn read_windows(
    opened: &[Opened],
    members: &[(u32, u32)],
    head: Option<&Snapshot>,
    gaps: &[(i64, i64)],
    (resolution_ms, range): (i64, (i64, i64)),
    cache: &mut BlockCache,
) -> io::Result<(Vec<Window>, bool)> {
    let mut assembly = Assembly::default();
    let mut kept = Vec::new();
    for (at, number) in members {
        let index = &opened[*at as usize];
        let stretches = if index.segment.footer.tier.is_some() { &[range][..] } else { gaps };
        for stretch in stretches {
            for run in index.loaded.runs.runs(*number).filter(|r| r.min <= stretch.1 && r.max >= stretch.0) {
                cache.run(index, *number, run, *stretch, &mut |piece| match piece {
                    Piece::Windows(windows) => kept.extend(windows),
                    samples => assembly.add(samples),
                })?;
            }
        }
    }
    if let Some(head) = head {
        gaps.iter().for_each(|gap| assembly.add_head(head, gap.0, gap.1));
    }
    let histograms = !assembly.settle(false).is_empty();
    Ok((join(reduce(&assembly.times, &assembly.values, resolution_ms), kept), histograms))
}

/// Joins windows of one series from samples and from tiers. Of two of one moment the one counts that saw more samples: the others
/// were not there yet, or are there no longer.
fn join(samples: Vec<Window>, tiers: Vec<Window>) -> Vec<Window> {
    let mut all = samples;
    all.extend(tiers);
    // The weeks of tiers come in any order.
    if !all.is_sorted_by(|a, b| a.start < b.start) {
        all.order_by(|a, b| a.start.cmp(&b.start).then(b.count.cmp(&a.count)));
        all.dedup_by_key(|w| w.start);
    }
    all
}
