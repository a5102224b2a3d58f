//! What a selection wants: which streams, which of their entries, and which blocks cannot have any of them. A name that a stream does
//! not have as a label is looked for in the structured metadata of its entries.

use hashbrown::HashMap;
use memchr::memmem::Finder;
use watchfire_model::labels::Labels;
use watchfire_model::logs::LogSelection;
use watchfire_model::matcher::Matcher;

use super::block::{Info, LEVEL};
use super::head::StreamRows;
use super::segment::{BlocksOfIds, Footer, Index, id_hash};
use super::tokens::{Needle, pair_hash};
use crate::metrics::postings;

/// A stream that is wanted, as far as the matchers in `checks` hold for the metadata of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) labels: Labels,
    pub(crate) checks: Vec<usize>,
}

/// The wanted streams of a segment. There may be very many of them, so only their numbers are kept: labels are made anew where a block
/// is opened.
pub(crate) struct WantedStreams {
    /// Ascending.
    numbers: Vec<u32>,
    /// Of those for which something is left to check.
    checks: HashMap<u32, Vec<usize>>,
}

impl WantedStreams {
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
    /// Bytes of memory, roughly.
    pub(super) fn memory(&self) -> usize {
        self.numbers.capacity() * 4 + self.checks.len() * 64
    }
    pub(crate) fn has(&self, number: u32) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }
    /// Whether a matcher is left to be checked in the metadata of a stream's entries.
    pub(crate) fn leaves_open(&self, number: u32, matcher: usize) -> bool {
        self.checks.get(&number).is_some_and(|checks| checks.contains(&matcher))
    }
    /// A stream, if it is wanted.
    pub(crate) fn get(&self, index: &Index, number: u32) -> Option<Wanted> {
        if !self.has(number) {
            return None;
        }
        Some(Wanted { labels: Labels::unpack(index.labels.packed(number))?, checks: self.checks.get(&number).cloned().unwrap_or_default() })
    }
}

/// A selection, ready to be asked.
pub(crate) struct Query<'a> {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) matchers: &'a [Matcher],
    /// Whether lines are needed.
    lines: bool,
    /// Whether they are where no level is noted.
    lines_without_level: bool,
    levels: &'a [Matcher],
    pub(super) needles: Vec<Needle>,
    finders: Vec<Finder<'a>>,
    pairs: Vec<u64>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(selection: &'a LogSelection) -> Query<'a> {
        let texts = || selection.contains.iter().filter(|text| !text.is_empty());
        Query {
            start: selection.start.0,
            end: selection.end.0,
            matchers: &selection.matchers,
            lines: selection.lines || texts().next().is_some(),
            lines_without_level: selection.lines_without_level,
            levels: &selection.levels,
            needles: texts().map(|text| Needle::new(text)).collect(),
            finders: texts().map(|text| Finder::new(text.as_bytes())).collect(),
            pairs: selection.metadata.iter().map(|(name, value)| pair_hash(name, value)).collect(),
        }
    }

    /// Whether lines of a block are needed.
    pub(super) fn needs_lines(&self, info: &Info) -> bool {
        self.lines || (self.lines_without_level && !info.has_all_levels())
    }

    /// Whether the levels that are noted let a block out of the question.
    pub(super) fn levels_exclude(&self, info: &Info, runs: &[(u32, Option<Wanted>)]) -> bool {
        let decided = || info.has_all_levels() && runs.iter().filter_map(|(_, wanted)| wanted.as_ref()).all(|wanted| wanted.labels.get(LEVEL).is_none());
        !self.levels.is_empty() && decided() && !info.levels.iter().any(|(level, _)| self.levels.iter().all(|m| m.matches_value(level)))
    }

    /// Whether an entry is out of the question for the level that is noted.
    pub(super) fn level_excludes(&self, stream: &Labels, metadata: &str) -> bool {
        if self.levels.is_empty() {
            return false;
        }
        let noted = Labels::iter_packed(metadata).find(|(name, _)| *name == LEVEL);
        noted.is_some_and(|(_, level)| !self.levels.iter().all(|m| m.matches_value(level))) && stream.get(LEVEL).is_none()
    }

    pub(crate) fn is_in_range(&self, time: i64) -> bool {
        time >= self.start && time < self.end
    }
    pub(crate) fn overlaps(&self, min: i64, max: i64) -> bool {
        min < self.end && max >= self.start
    }

    /// Whether a stream is wanted; `may_have` says whether entries may have a name in their metadata.
    pub(crate) fn stream(&self, labels: &Labels, may_have: impl Fn(&str) -> bool) -> Option<Wanted> {
        let mut checks = Vec::new();
        for (at, matcher) in self.matchers.iter().enumerate() {
            match labels.get(&matcher.name) {
                Some(value) if matcher.matches_value(value) => {}
                Some(_) => return None,
                None if may_have(&matcher.name) => checks.push(at),
                None if matcher.matches_empty() => {}
                None => return None,
            }
        }
        Some(Wanted { labels: labels.clone(), checks })
    }

    /// The wanted streams of a segment, by their numbers.
    pub(crate) fn streams_of(&self, index: &Index, footer: &Footer) -> WantedStreams {
        // Labels alone decide about names that no entry has.
        let decided: Vec<Matcher> = self.matchers.iter().filter(|m| !footer.may_have_name(&m.name)).cloned().collect();
        let chosen = postings::select(&index.labels, &decided);
        let mut wanted = WantedStreams { numbers: Vec::new(), checks: HashMap::new() };
        for number in chosen {
            let stream = Labels::unpack(index.labels.packed(number)).and_then(|labels| self.stream(&labels, |name| footer.may_have_name(name)));
            let Some(stream) = stream else { continue };
            wanted.numbers.push(number);
            if !stream.checks.is_empty() {
                wanted.checks.insert(number, stream.checks);
            }
        }
        wanted.numbers.sort_unstable();
        wanted
    }

    /// The first matcher that names all values of an indexed name, by its place, with their hashes.
    pub(super) fn ids(&self, index: &Index) -> std::io::Result<Option<(usize, BlocksOfIds)>> {
        for (at, matcher) in self.matchers.iter().enumerate() {
            let Some(values) = matcher.value_set().filter(|_| !matcher.matches_empty()) else { continue };
            let hashes: Vec<u32> = values.iter().map(|value| id_hash(value)).collect();
            match index.blocks_of_ids(&matcher.name, &hashes)? {
                BlocksOfIds::NoIndex => {}
                told => return Ok(Some((at, told))),
            }
        }
        Ok(None)
    }

    /// The runs of a block: how many rows, and whose they are if they are wanted. `None` when none is.
    pub(super) fn runs<S>(&self, streams: &[StreamRows<S>], wanted: impl Fn(&S) -> Option<Wanted>) -> Option<Vec<(u32, Option<Wanted>)>> {
        let runs: Vec<_> = streams.iter().map(|member| (member.rows, wanted(&member.stream))).collect();
        runs.iter().any(|(_, wanted)| wanted.is_some()).then_some(runs)
    }

    /// The pairs of metadata that every wanted entry of a block has: one of each list.
    pub(super) fn pairs(&self, runs: &[(u32, Option<Wanted>)]) -> Vec<Vec<u64>> {
        let mut pairs: Vec<Vec<u64>> = self.pairs.iter().map(|pair| vec![*pair]).collect();
        for (at, matcher) in self.matchers.iter().enumerate() {
            let everywhere = runs.iter().filter_map(|(_, wanted)| wanted.as_ref()).all(|wanted| wanted.checks.contains(&at));
            if let (true, Some(values)) = (everywhere && !matcher.matches_empty(), matcher.value_set()) {
                pairs.push(values.iter().map(|value| pair_hash(&matcher.name, value)).collect());
            }
        }
        pairs
    }

    /// Whether an entry's metadata satisfy the matchers that its stream's labels have left open.
    pub(crate) fn checks_hold(&self, checks: &[usize], metadata: &str) -> bool {
        checks.iter().filter_map(|at| self.matchers.get(*at)).all(|matcher| {
            let value = Labels::iter_packed(metadata).find(|(name, _)| *name == matcher.name).map_or("", |(_, value)| value);
            matcher.matches_value(value)
        })
    }
    /// Whether a line has all texts.
    pub(super) fn line_has_all(&self, line: &[u8]) -> bool {
        self.finders.iter().all(|finder| finder.find(line).is_some())
    }
}
