//! Writes segments from many sources of samples: from the head's frozen chunks (flush) and from older segments (merge).
//! Samples go out window by window, so that a look at one moment finds all series close together.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::windows::Window;

use super::head::{Frozen, SealedChunk, decode_xor, read_histograms};
use super::histogram;
use super::segment::{BlockCache, Opened, Origin, Segment, SegmentWriter, Tier};
use super::select::Assembly;
use crate::file::Disk;
use crate::segment_file;

/// The length of a time window.
const WINDOW_MS: i64 = 4 * 3_600_000;
/// The length of a day: each day has segments of its own, so that retention works by the day.
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;
/// Longer spans get longer windows, so that a few samples spread over decades do not cost thousands of passes.
const WINDOWS_MAX: i128 = 256;
/// A flush that touches more days than this becomes one segment.
const DAYS_MAX: usize = 32;

/// Gives the samples of a series within a window, in any order; of equal times the first counts.
type Collect<'a> = dyn FnMut(usize, (i64, i64), &mut Assembly) -> io::Result<()> + 'a;

/// The windows that cover a span.
fn windows(min: i64, max: i64) -> Vec<(i64, i64)> {
    let (min, max) = (i128::from(min), i128::from(max));
    let mut size = i128::from(WINDOW_MS);
    while max.div_euclid(size) - min.div_euclid(size) >= WINDOWS_MAX {
        size *= 2;
    }
    let clamp = |t: i128| t.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    (min.div_euclid(size)..=max.div_euclid(size)).map(|k| (clamp(k * size), clamp((k + 1) * size - 1))).collect()
}

/// Groups windows by day, unless there are too many days.
fn by_day(windows: Vec<(i64, i64)>) -> Vec<Vec<(i64, i64)>> {
    let day = |w: &(i64, i64)| w.0.div_euclid(DAY_MS);
    let mut days: Vec<Vec<(i64, i64)>> = Vec::new();
    let fits = windows.iter().all(|w| w.1.saturating_sub(w.0) < DAY_MS);
    for window in &windows {
        match days.last_mut() {
            Some(last) if last.last().is_some_and(|w| day(w) == day(window)) => last.push(*window),
            _ => days.push(vec![*window]),
        }
    }
    if fits && days.len() <= DAYS_MAX { days } else { vec![windows] }
}

/// Where segments are written.
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// The number of the next segment.
    pub(crate) next: &'a mut u64,
    /// Whether segments get their names at once. Without a name nobody sees a segment, and the next start removes it.
    pub(crate) named: bool,
}

impl<'a> Place<'a> {
    /// A place where segments get their names as soon as they are complete.
    pub(crate) fn new(disk: &'a dyn Disk, dir: &'a Path, next: &'a mut u64) -> Place<'a> {
        Place { disk, dir, next, named: true }
    }

    fn take_id(&mut self) -> u64 {
        let id = *self.next;
        *self.next += 1;
        id
    }

    /// Gives complete segments their names, ascending. The last one gets its own when the others have theirs for good, because it
    /// may say that the log is not needed.
    pub(crate) fn give_names(&self, ids: &[u64]) -> io::Result<()> {
        let Some((last, others)) = ids.split_last() else { return Ok(()) };
        for ids in [others, std::slice::from_ref(last)].into_iter().filter(|ids| !ids.is_empty()) {
            for id in ids {
                self.disk.rename(&segment_file::temporary_path_of(self.dir, *id), &segment_file::path_of(self.dir, *id))?;
            }
            self.disk.sync_dir(self.dir)?;
        }
        Ok(())
    }

    /// Removes those of some segments that have no name yet.
    pub(crate) fn remove_unnamed(&self, ids: impl Iterator<Item = u64>) -> io::Result<()> {
        for id in ids {
            let path = segment_file::temporary_path_of(self.dir, id);
            if self.disk.exists(&path)? {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the segments of a flush that did not succeed, given in ascending order: nobody knows them, so a deletion would miss
    /// them, and each further try would make more. The last one says that the log is not needed, so the others go only
    /// when it is gone for good; until then they are as good as the log.
    pub(crate) fn withdraw(&self, ids: std::ops::Range<u64>) -> io::Result<()> {
        for (at, id) in ids.rev().enumerate() {
            let path = segment_file::path_of(self.dir, id);
            if self.disk.exists(&path)? {
                self.disk.remove(&path)?;
            }
            if at == 0 {
                self.disk.sync_dir(self.dir)?;
            }
        }
        Ok(())
    }
}

/// Writes the head's frozen chunks; the labels ascend. Returns the numbers of the new segments. The last of them says that the
/// log before `log_before` is no longer needed, because only then all of it is in segments.
pub(crate) fn flush(place: &mut Place<'_>, frozen: &[Frozen], log_before: u64) -> io::Result<Vec<u64>> {
    let chunks = || frozen.iter().flat_map(Frozen::chunks);
    let (Some(min), Some(max)) = (chunks().map(|c| c.min).min(), chunks().map(|c| c.max).max()) else { return Ok(Vec::new()) };
    let days = by_day(windows(min, max));
    // Only days that some chunk touches: a chunk may span a gap, so a day can still turn out empty.
    let mut ids = Vec::new();
    let mut pending: Option<Part> = None;
    for day in days {
        let (Some(start), Some(end)) = (day.first().map(|w| w.0), day.last().map(|w| w.1)) else { continue };
        let members: Vec<usize> = (0..frozen.len()).filter(|i| has_samples(&frozen[*i], start, end)).collect();
        if members.is_empty() {
            continue;
        }
        let labels = members.iter().map(|i| frozen[*i].labels.clone()).collect();
        let id = place.take_id();
        if let Some(before) = pending.replace((id, labels, members, day)) {
            ids.push(flush_one(place, frozen, before, 0)?);
        }
    }
    if let Some(last) = pending {
        ids.push(flush_one(place, frozen, last, log_before)?);
    }
    Ok(ids)
}

/// Shows the times of a chunk until told to stop.
type Look = dyn Fn(&SealedChunk, &mut dyn FnMut(i64) -> bool);

fn has_samples(frozen: &Frozen, start: i64, end: i64) -> bool {
    let within = |t: i64| t >= start && t <= end;
    // Only a chunk that spans the range and more has to be looked into.
    let has = |chunks: &[SealedChunk], look: &Look| {
        chunks.iter().filter(|c| c.min <= end && c.max >= start).any(|c| {
            let mut found = within(c.min) || within(c.max);
            if !found {
                look(c, &mut |time| {
                    found |= within(time);
                    time < end && !found
                });
            }
            found
        })
    };
    has(&frozen.floats, &|c, each| decode_xor(&c.bytes, c.count, |time, _| each(time)))
        || has(&frozen.histograms, &|c, each| histogram::decode(&c.bytes, c.count, |time, _| each(time)))
}

/// A segment to be written: its number, its series, where they are among the frozen ones, its windows.
type Part = (u64, Vec<Labels>, Vec<usize>, Vec<(i64, i64)>);

fn flush_one(place: &mut Place<'_>, frozen: &[Frozen], (id, labels, members, windows): Part, log_before: u64) -> io::Result<u64> {
    let origin = Origin { order: id, log_before, replaces: Vec::new() };
    let mut collect = |series: usize, (start, end): (i64, i64), out: &mut Assembly| {
        let frozen = &frozen[members[series]];
        let within = |c: &&SealedChunk| c.min <= end && c.max >= start;
        for chunk in frozen.floats.iter().filter(within) {
            decode_xor(&chunk.bytes, chunk.count, |time, bits| {
                if time >= start && time <= end {
                    out.push(time, bits);
                }
                time < end
            });
        }
        frozen.histograms.iter().filter(within).for_each(|chunk| read_histograms(chunk, start, end, &mut out.histograms));
        Ok(())
    };
    if write(place, id, &labels, &windows, origin, &mut collect)? { Ok(id) } else { Err(io::Error::other("BUG: a flush without samples")) }
}

/// Returns whether there was anything to write.
fn write(place: &Place<'_>, id: u64, labels: &[Labels], windows: &[(i64, i64)], origin: Origin, collect: &mut Collect<'_>) -> io::Result<bool> {
    let mut writer = SegmentWriter::new(place.disk, place.dir, id, labels)?;
    match fill(&mut writer, labels.len(), windows, collect) {
        Ok(()) if writer.is_empty() => {
            writer.abandon();
            Ok(false)
        }
        Ok(()) if place.named => writer.finish(origin).map(|_| true),
        Ok(()) => writer.finish_unnamed(origin).map(|()| true),
        Err(error) => {
            writer.abandon();
            Err(error)
        }
    }
}

fn fill(writer: &mut SegmentWriter<'_>, series: usize, windows: &[(i64, i64)], collect: &mut Collect<'_>) -> io::Result<()> {
    let mut samples = Assembly::default();
    let mut bits = Vec::new();
    for window in windows {
        for number in 0..series {
            samples.clear();
            collect(number, *window, &mut samples)?;
            // What the first one of a window follows may be written elsewhere one day.
            let histograms: Vec<_> = samples.settle(true).into_iter().map(|s| (s.time.millis(), s.value)).collect();
            bits.clear();
            bits.extend(samples.values.iter().map(|v| v.to_bits()));
            let histograms_first = histograms.first().zip(samples.times.first()).is_some_and(|(h, float)| h.0 < *float);
            if histograms_first {
                writer.add_histograms(number as u32, &histograms)?;
            }
            writer.add(number as u32, &samples.times, &bits)?;
            if !histograms_first {
                writer.add_histograms(number as u32, &histograms)?;
            }
        }
    }
    Ok(())
}

/// Gives the windows of a series.
type Windows<'a> = dyn FnMut(usize) -> io::Result<Vec<Window>> + 'a;

/// Writes a segment of a tier for a span of time; the labels ascend. Returns its number.
pub(crate) fn write_tier(
    place: &mut Place<'_>,
    labels: &[Labels],
    tier: Tier,
    span: (i64, i64),
    replaces: Vec<u64>,
    windows: &mut Windows<'_>,
) -> io::Result<u64> {
    let id = place.take_id();
    let mut writer = SegmentWriter::new(place.disk, place.dir, id, labels)?;
    let filled = writer.begin_tier(tier, span).and_then(|()| (0..labels.len()).try_for_each(|series| writer.add_windows(series as u32, &windows(series)?)));
    match filled {
        Ok(()) => writer.finish(Origin { order: id, log_before: 0, replaces }).map(|_| id),
        Err(error) => {
            writer.abandon();
            Err(error)
        }
    }
}

/// What came of a merge.
pub(crate) enum Merged {
    /// The index of one of the segments cannot be read.
    Unreadable,
    /// Everything in them is deleted.
    Nothing,
    /// The number of the new segment.
    Into(u64),
}

/// Writes one segment that stands in for several, given in ascending order of precedence, without what is deleted of them.
pub(crate) fn merge(place: &mut Place<'_>, inputs: &[Arc<Segment>], now: u64) -> io::Result<Merged> {
    let mut opened = Vec::new();
    for input in inputs {
        match input.index(now)? {
            Some(index) => opened.push(index),
            None => return Ok(Merged::Unreadable),
        }
    }
    let (labels, members) = union(&opened);
    let (Some(min), Some(max)) = (inputs.iter().map(|s| s.footer.min).min(), inputs.iter().map(|s| s.footer.max).max()) else {
        return Ok(Merged::Unreadable);
    };
    let id = place.take_id();
    let origin = Origin {
        order: inputs.iter().map(|s| s.footer.origin.order).min().unwrap_or(id),
        log_before: inputs.iter().map(|s| s.footer.origin.log_before).max().unwrap_or(0),
        replaces: inputs.iter().map(|s| s.id).collect(),
    };
    let mut cache = BlockCache::alone();
    let mut collect = |series: usize, window: (i64, i64), out: &mut Assembly| {
        for (input, number) in &members[series] {
            let index = &opened[*input as usize];
            for run in index.loaded.runs.runs(*number).filter(|r| r.min <= window.1 && r.max >= window.0) {
                cache.run(index, *number, run, window, &mut |piece| out.add(piece))?;
            }
        }
        Ok(())
    };
    let written = write(place, id, &labels, &windows(min, max), origin, &mut collect)?;
    Ok(if written { Merged::Into(id) } else { Merged::Nothing })
}

/// All series of several segments, ascending, each with its number in those that have it.
pub(crate) fn union(opened: &[Opened]) -> (Vec<Labels>, Vec<Vec<(u32, u32)>>) {
    let mut found: HashMap<&str, Vec<(u32, u32)>> = HashMap::new();
    for (input, index) in opened.iter().enumerate() {
        for number in (0..index.loaded.labels.len() as u32).filter(|number| !index.is_gone(*number)) {
            found.entry(index.loaded.labels.packed(number)).or_default().push((input as u32, number));
        }
    }
    let mut all: Vec<(Labels, Vec<(u32, u32)>)> = found.into_iter().filter_map(|(packed, members)| Some((Labels::unpack(packed)?, members))).collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    all.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything() {
        let check = |min, max, count| {
            let windows = windows(min, max);
            assert_eq!(windows.len(), count);
            assert!(windows[0].0 <= min && windows[windows.len() - 1].1 >= max);
            assert!(windows.windows(2).all(|w| w[0].1 + 1 == w[1].0));
        };
        check(0, 0, 1);
        check(-1, 0, 2);
        check(0, DAY_MS, 7);
        let all = windows(i64::MIN, i64::MAX);
        assert!(all.len() <= 257 && all[0].0 == i64::MIN && all[all.len() - 1].1 == i64::MAX);
        assert_eq!(by_day(windows(0, DAY_MS)).len(), 2);
        assert_eq!(by_day(windows(0, 40 * DAY_MS)).len(), 1);
    }
}
