//! What there is without its lines: which streams, how much of each, which names and values. Only matchers that the labels leave open
//! make it read entries.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, StreamVolume};
use watchfire_model::read::{Budget, ReadError};

use super::choose::Wanted;
use super::head::StreamRows;
use super::segment::LogSegment;
use super::select::{Candidate, Look, Place, Reading};

/// Entries and bytes of a stream in one place.
type EachStream<'a> = dyn FnMut(&Labels, u64, u64) + 'a;

/// The part of a block that is within a range, as far as can be told from its times.
fn share(candidate: &Candidate, start: i64, end: i64) -> f64 {
    let (min, max) = (candidate.min, candidate.max);
    let span = (i128::from(max) - i128::from(min) + 1) as f64;
    let within = i128::from(max.min(end.saturating_sub(1))) - i128::from(min.max(start)) + 1;
    (within as f64 / span).clamp(0.0, 1.0)
}

fn each_stream(reading: &mut Reading<'_>, candidate: &Candidate, each: &mut EachStream<'_>) -> Result<(), ReadError> {
    let share = share(candidate, reading.query.start, reading.query.end);
    let told = match &candidate.place {
        Place::AsCame(_) => None,
        Place::Stored(chosen, at) => {
            let streams = chosen.index.blocks.get(*at).map_or(&[][..], |stored| &stored.streams);
            tell(streams, |number| chosen.streams.get(&chosen.index, *number), share)
        }
        Place::Sealed(blocks, at) => {
            let Some(block) = blocks.get(*at) else { return Ok(()) };
            let may_have = |name: &str| block.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok();
            tell(&block.streams, |labels| reading.query.stream(labels, may_have), share)
        }
    };
    match told {
        Some(told) => told.iter().for_each(|(labels, entries, bytes)| each(labels, *entries, *bytes)),
        None => {
            let mut show = |wanted: &Wanted, row: super::block::Row<'_>| {
                each(&wanted.labels, 1, (row.line.len() + row.metadata.len()) as u64);
                Ok(ControlFlow::Continue(()))
            };
            let _all = reading.each(&candidate.place, &mut show)?;
        }
    }
    Ok(())
}

/// What the index tells; `None` when entries have to be read.
fn tell<S>(streams: &[StreamRows<S>], wanted: impl Fn(&S) -> Option<Wanted>, share: f64) -> Option<Vec<(Labels, u64, u64)>> {
    let mut told = Vec::new();
    for member in streams {
        let Some(wanted) = wanted(&member.stream) else { continue };
        if !wanted.checks.is_empty() {
            return None;
        }
        let part = |whole: u64| (whole as f64 * share).round() as u64;
        told.push((wanted.labels, part(u64::from(member.rows)).max(1), part(member.bytes)));
    }
    Some(told)
}

/// How much each selected stream holds.
pub(crate) fn volume(look: &Look, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
    let mut reading = Reading::new(selection, budget)?;
    let mut all: HashMap<Labels, StreamVolume> = HashMap::new();
    for candidate in reading.candidates(look)? {
        budget.check()?;
        let mut here: HashMap<Labels, (u64, u64)> = HashMap::new();
        each_stream(&mut reading, &candidate, &mut |labels, entries, bytes| {
            let sum = here.entry(labels.clone()).or_default();
            *sum = (sum.0 + entries, sum.1 + bytes);
        })?;
        for (labels, (entries, bytes)) in here {
            let volume = all.entry(labels.clone()).or_insert_with(|| StreamVolume { labels, entries: 0, bytes: 0, chunks: 0 });
            volume.entries += entries;
            volume.bytes += bytes;
            volume.chunks += 1;
        }
    }
    let mut volumes: Vec<StreamVolume> = all.into_values().collect();
    volumes.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    Ok(volumes)
}

/// Names that were moved from labels to structured metadata, in segments of a range.
fn moved_in<'a>(segments: impl Iterator<Item = &'a LogSegment>, selection: &LogSelection) -> BTreeSet<String> {
    let overlapping = segments.filter(|s| s.overlaps(selection.start.0, selection.end.0));
    overlapping.filter_map(|s| s.footer.names.as_ref()).flatten().filter(|(_, moved)| *moved).map(|(name, _)| name.clone()).collect()
}

/// The names of labels of the selected streams, with those that were moved.
pub(crate) fn label_names(look: &Look, moved: &BTreeSet<String>, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
    let mut reading = Reading::new(selection, budget)?;
    let mut names: BTreeSet<String> = BTreeSet::new();
    let candidates = reading.candidates(look)?;
    for candidate in &candidates {
        budget.check()?;
        each_stream(&mut reading, candidate, &mut |labels, _, _| {
            for (name, _) in labels {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        })?;
    }
    if !names.is_empty() {
        names.append(&mut moved_in(look.segments.iter().map(|s| &**s), selection));
        if candidates.iter().any(|c| !matches!(c.place, Place::Stored(..))) {
            names.extend(moved.iter().cloned());
        }
    }
    Ok(names.into_iter().collect())
}

/// The values of a name, of labels or, if it was moved, of structured metadata.
pub(crate) fn label_values(look: &Look, moved: &BTreeSet<String>, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
    let mut reading = Reading::new(selection, budget)?;
    let mut values: BTreeSet<String> = BTreeSet::new();
    let moved = moved.contains(name) || moved_in(look.segments.iter().map(|s| &**s), selection).contains(name);
    let mut charged = 0;
    for candidate in reading.candidates(look)? {
        budget.check()?;
        let before = values.len();
        let mut add = |value: &str| {
            if !values.contains(value) {
                charged += value.len() as u64 + 64;
                values.insert(value.to_owned());
            }
        };
        each_stream(&mut reading, &candidate, &mut |labels, _, _| labels.get(name).into_iter().for_each(&mut add))?;
        if moved {
            let mut show = |_: &Wanted, row: super::block::Row<'_>| {
                Labels::iter_packed(row.metadata).filter(|(n, _)| *n == name).for_each(|(_, value)| add(value));
                Ok(ControlFlow::Continue(()))
            };
            let _all = reading.each(&candidate.place, &mut show)?;
        }
        if values.len() > before {
            budget.charge_memory(std::mem::take(&mut charged))?;
        }
    }
    Ok(values.into_iter().collect())
}
