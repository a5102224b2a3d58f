//! A segment with its index, as readers use it: without what tombstones have deleted.

use std::io;
use std::sync::Arc;

use watchfire_model::matcher::Matcher;

use super::chunk::Piece;
use super::index::Run;
use super::reader::{Loaded, Segment};
use crate::metrics::tombstones::{Deleted, covers, holds};
use crate::metrics::{histogram, postings};

/// A segment, its index, and what is deleted of it.
pub(crate) struct Opened {
    pub(crate) segment: Arc<Segment>,
    pub(crate) loaded: Arc<Loaded>,
    deleted: Option<Arc<Deleted>>,
}

impl Segment {
    /// Loads the index. `None` when it is damaged; then the segment says so from now on.
    pub(crate) fn index(self: &Arc<Segment>, now: u64) -> io::Result<Option<Opened>> {
        let Some(loaded) = self.load(now)? else { return Ok(None) };
        let deleted = self.deleted(&loaded);
        Ok(Some(Opened { segment: self.clone(), loaded, deleted }))
    }
}

impl Opened {
    /// The series that satisfy all matchers and have not gone as a whole, ascending.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut chosen = postings::select(&self.loaded.labels, matchers);
        if let Some(deleted) = self.deleted.as_ref().filter(|d| d.has_gone()) {
            chosen.retain(|number| !deleted.is_gone(*number));
        }
        chosen
    }
    /// Whether some series has gone as a whole, so that the index tells more than there is.
    pub(crate) fn has_gone(&self) -> bool {
        self.deleted.as_ref().is_some_and(|d| d.has_gone())
    }
    /// Whether a series has gone as a whole.
    pub(crate) fn is_gone(&self, series: u32) -> bool {
        self.deleted.as_ref().is_some_and(|d| d.is_gone(series))
    }
    /// What is deleted of a series: ascending ranges.
    pub(super) fn deleted_of(&self, series: u32) -> &[(i64, i64)] {
        self.deleted.as_ref().map_or(&[], |d| d.ranges(series))
    }
    /// Whether a series may have a sample in a range.
    pub(crate) fn overlaps(&self, series: u32, start: i64, end: i64) -> bool {
        let deleted = self.deleted_of(series);
        self.loaded.runs.runs(series).any(|run: Run| run.min <= end && run.max >= start && !covers(deleted, run.min.max(start), run.max.min(end)))
    }
}

/// Shows what is left of samples, in as many pieces as that takes.
pub(super) fn without(piece: Piece<'_>, deleted: &[(i64, i64)], each: &mut dyn FnMut(Piece<'_>)) {
    match piece {
        Piece::Floats(times, bits) => {
            for (from, to) in left(times, deleted) {
                each(Piece::Floats(&times[from..to], &bits[from..to]));
            }
        }
        Piece::Windows(windows) => {
            let left: Vec<_> = windows.into_iter().filter(|w| !holds(deleted, w.start)).collect();
            if !left.is_empty() {
                each(Piece::Windows(left));
            }
        }
        Piece::Histograms(times, values) => {
            for (from, to) in left(times, deleted) {
                let mut values = values[from..to].to_vec();
                if let (true, Some(first)) = (from > 0, values.first_mut()) {
                    *first = histogram::behind_a_gap(std::mem::take(first));
                }
                each(Piece::Histograms(&times[from..to], values));
            }
        }
    }
}

/// Where the stretches without deleted moments begin and end.
fn left(times: &[i64], deleted: &[(i64, i64)]) -> Vec<(usize, usize)> {
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for (at, time) in times.iter().enumerate() {
        if holds(deleted, *time) {
            continue;
        }
        match stretches.last_mut() {
            Some((_, to)) if *to == at => *to += 1,
            _ => stretches.push((at, at + 1)),
        }
    }
    stretches
}
