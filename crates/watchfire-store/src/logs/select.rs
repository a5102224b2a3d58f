//! Reading entries: a consistent look at memory and segments first, then block by block without any lock. In an order of time blocks
//! are opened only when their turn has come, so that the last lines of a day do not cost the day.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogLine, LogOrder, LogSelection, LogVisitor, Nanos};
use watchfire_model::read::{Budget, ReadError};
use zstd::bulk::Decompressor;

use super::block::{Info, Row};
use super::choose::{Query, Wanted, WantedStreams};
use super::head::{Content, Sealed};
use super::piece::Piece;
use super::segment::{BlocksOfIds, Index, LogSegment};
use super::unpack::{Head, filter_excludes};

pub(crate) fn storage(error: impl std::fmt::Display) -> ReadError {
    ReadError::Storage(error.to_string())
}

/// What there was at one moment: segments in order of precedence, then memory, oldest first.
pub(crate) struct Look {
    pub(crate) segments: Vec<Arc<LogSegment>>,
    pub(crate) contents: Vec<Content>,
    /// The present on the clock by which the use of indexes is dated.
    pub(crate) moment: u64,
}

/// A segment with the streams that are wanted of it.
pub(super) struct Chosen {
    pub(super) segment: Arc<LogSegment>,
    pub(super) index: Arc<Index>,
    pub(super) streams: WantedStreams,
}

/// Where entries are.
pub(super) enum Place {
    AsCame(Arc<[Arc<Piece>]>),
    Sealed(Arc<[Sealed]>, usize),
    Stored(Arc<Chosen>, usize),
}

/// A place that may have wanted entries, and the times of its first and last.
pub(super) struct Candidate {
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) place: Place,
}

/// Shows an entry: its stream, and the row.
pub(super) type EachRow<'a> = dyn FnMut(&Wanted, Row<'_>) -> Result<ControlFlow<()>, ReadError> + 'a;

/// What was found damaged while entries were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Blocks, whose entries are missing.
    pub(crate) blocks: u64,
    /// Indexes of ids, without which nothing is missing.
    pub(crate) ids: u64,
}

/// One reading of entries.
pub(super) struct Reading<'a> {
    pub(super) query: Query<'a>,
    budget: &'a Budget,
    pub(super) decompressor: Decompressor<'static>,
    pub(super) damaged: Damaged,
    /// What the places and streams to read from hold of the budget.
    charged: u64,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.budget.release_memory(self.charged);
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(selection: &'a LogSelection, budget: &'a Budget) -> Result<Reading<'a>, ReadError> {
        Ok(Reading { query: Query::new(selection), budget, decompressor: Decompressor::new().map_err(storage)?, damaged: Damaged::default(), charged: 0 })
    }

    /// All places that may have wanted entries, in order of precedence: of entries of one stream and time those of the first one
    /// came first.
    pub(super) fn candidates(&mut self, look: &Look) -> Result<Vec<Candidate>, ReadError> {
        let query = &self.query;
        let mut found = Vec::new();
        let (budget, mut charged) = (self.budget, 0);
        // As they are found: there may be very many.
        let mut charge = |bytes: usize| {
            charged += bytes as u64;
            budget.charge_memory(bytes as u64)
        };
        let outcome = find(query, look, budget, &mut found, &mut charge, &mut self.damaged);
        self.charged += charged;
        outcome.map(|()| found)
    }

    /// Shows the wanted entries of a place in the order in which they stand there.
    pub(super) fn each(&mut self, place: &Place, show: &mut EachRow<'_>) -> Result<ControlFlow<()>, ReadError> {
        self.budget.check()?;
        match place {
            Place::AsCame(pieces) => pieces.iter().try_fold(ControlFlow::Continue(()), |flow, piece| match flow {
                ControlFlow::Continue(()) => self.each_of_piece(piece, show),
                done => Ok(done),
            }),
            Place::Sealed(blocks, at) => {
                let Some(block) = blocks.get(*at) else { return Ok(ControlFlow::Continue(())) };
                let may_have = |name: &str| block.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok();
                let Some(runs) = self.query.runs(&block.streams, |labels| self.query.stream(labels, may_have)) else { return Ok(ControlFlow::Continue(())) };
                let read = &mut |from: usize, len: usize| Ok(block.bytes.get(from..from + len).map(<[u8]>::to_vec));
                self.each_of_block(&block.info, &runs, read, show).map(|flow| flow.unwrap_or(ControlFlow::Continue(())))
            }
            Place::Stored(chosen, at) => {
                let Some(stored) = chosen.index.blocks.get(*at) else { return Ok(ControlFlow::Continue(())) };
                let Some(runs) = self.query.runs(&stored.streams, |number| chosen.streams.get(&chosen.index, *number)) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let read = &mut |from: usize, len: usize| chosen.index.read(stored.offset + from as u64, len).map_err(storage);
                match self.each_of_block(&stored.info, &runs, read, show)? {
                    Some(flow) => Ok(flow),
                    None => {
                        self.damaged.blocks += 1;
                        chosen.segment.lose_block();
                        self.budget.warn(format!("a block of {} is damaged; its entries are missing", chosen.segment.path.display()));
                        Ok(ControlFlow::Continue(()))
                    }
                }
            }
        }
    }

    fn each_of_piece(&mut self, piece: &Piece, show: &mut EachRow<'_>) -> Result<ControlFlow<()>, ReadError> {
        let query = &self.query;
        let wanted: Vec<Option<Wanted>> = piece.streams.iter().map(|labels| query.stream(labels, |_| true)).collect();
        for (stream, row) in piece.rows() {
            let Some(Some(wanted)) = wanted.get(stream as usize) else { continue };
            if query.is_in_range(row.time)
                && query.checks_hold(&wanted.checks, row.metadata)
                && !query.level_excludes(&wanted.labels, row.metadata)
                && query.line_has_all(row.line.as_bytes())
                && show(wanted, row)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The same for a block; `None` when it is damaged.
    fn each_of_block(
        &mut self,
        info: &Info,
        runs: &[(u32, Option<Wanted>)],
        read: &mut dyn FnMut(usize, usize) -> Result<Option<Vec<u8>>, ReadError>,
        show: &mut EachRow<'_>,
    ) -> Result<Option<ControlFlow<()>>, ReadError> {
        let Reading { query, decompressor, .. } = self;
        let nothing = Ok(Some(ControlFlow::Continue(())));
        let (filter_len, head_len, columns_len) = (info.filter.len as usize, info.head.len as usize, info.columns as usize);
        if query.levels_exclude(info, runs) {
            return nothing;
        }
        let lines = query.needs_lines(info);
        let pairs = query.pairs(runs);
        if !query.needles.is_empty() || !pairs.is_empty() {
            let Some(filter) = read(0, filter_len)?.filter(|bytes| info.filter.check(bytes)) else { return Ok(None) };
            if filter_excludes(&filter, info, &query.needles, &pairs) {
                return nothing;
            }
        }
        // With texts to look for the head alone often says that there is nothing; without lines little else is needed.
        let ahead = if query.needles.is_empty() && lines { columns_len } else { 0 };
        let Some(bytes) = read(filter_len, head_len + ahead)? else { return Ok(None) };
        let (stored, columns) = bytes.split_at(head_len.min(bytes.len()));
        let Some(head) = Head::read(stored, info, decompressor) else { return Ok(None) };
        let mut payload: Option<Vec<u8>> = None;
        if !query.needles.is_empty() {
            let mut failed = None;
            let mut load = || match read(filter_len + head_len, columns_len) {
                Ok(bytes) => {
                    payload.clone_from(&bytes);
                    bytes
                }
                Err(error) => {
                    failed = Some(error);
                    None
                }
            };
            let may = head.may_contain(&query.needles, &mut load, decompressor);
            if let Some(error) = failed {
                return Err(error);
            }
            if !may {
                return nothing;
            }
        }
        if !lines {
            let mut sparse = vec![0; columns_len];
            for (from, len) in head.places_of_metadata() {
                let (Some(part), Some(bytes)) = (sparse.get_mut(from..from + len), read(filter_len + head_len + from, len)?) else { return Ok(None) };
                part.copy_from_slice(&bytes);
            }
            payload = Some(sparse);
        } else if payload.is_none() && ahead == 0 {
            payload = read(filter_len + head_len, columns_len)?;
            if payload.is_none() {
                return Ok(None);
            }
        }
        let Some(rows) = head.rows(payload.as_deref().unwrap_or(columns), lines, decompressor) else { return Ok(None) };
        show_rows(query, rows, lines, runs, show)
    }
}

/// Finds the places that may have wanted entries; what they hold is charged by `charge`.
fn find(
    query: &Query<'_>,
    look: &Look,
    budget: &Budget,
    found: &mut Vec<Candidate>,
    charge: &mut dyn FnMut(usize) -> Result<(), ReadError>,
    damaged: &mut Damaged,
) -> Result<(), ReadError> {
    for segment in look.segments.iter().filter(|s| s.overlaps(query.start, query.end)) {
        budget.check()?;
        let Some(index) = segment.index(look.moment).map_err(storage)? else {
            budget.warn(format!("{} is damaged; its entries are missing", segment.path.display()));
            continue;
        };
        let streams = query.streams_of(&index, &segment.footer);
        charge(streams.memory())?;
        let of_ids = match query.ids(&index).map_err(storage)? {
            Some((at, BlocksOfIds::Only(blocks))) => Some((at, blocks)),
            Some((_, BlocksOfIds::Damaged)) => {
                segment.lose_ids();
                damaged.ids += 1;
                None
            }
            Some((_, BlocksOfIds::NoIndex)) | None => None,
        };
        let before = found.len();
        let chosen = Arc::new(Chosen { segment: segment.clone(), index, streams });
        for (at, stored) in chosen.index.blocks.iter().enumerate() {
            let wanted = || stored.streams.iter().any(|member| chosen.streams.has(member.stream));
            let without_ids = |(matcher, blocks): &(usize, Vec<u32>)| {
                let of_wanted = || stored.streams.iter().filter(|member| chosen.streams.has(member.stream));
                blocks.binary_search(&(at as u32)).is_err() && of_wanted().all(|member| chosen.streams.leaves_open(member.stream, *matcher))
            };
            if query.overlaps(stored.info.min, stored.info.max) && wanted() && !of_ids.as_ref().is_some_and(without_ids) {
                found.push(Candidate { min: stored.info.min, max: stored.info.max, place: Place::Stored(chosen.clone(), at) });
            }
        }
        charge((found.len() - before) * size_of::<Candidate>())?;
    }
    let before = found.len();
    for content in &look.contents {
        match content {
            Content::Sealed(blocks) => {
                let wanted = blocks.iter().enumerate().filter(|(_, block)| query.overlaps(block.info.min, block.info.max));
                found.extend(wanted.map(|(at, b)| Candidate { min: b.info.min, max: b.info.max, place: Place::Sealed(blocks.clone(), at) }));
            }
            Content::AsCame(pieces) => {
                let times = || pieces.iter().flat_map(|p| p.times());
                if let (Some(min), Some(max)) = (times().min(), times().max())
                    && query.overlaps(min, max)
                {
                    found.push(Candidate { min, max, place: Place::AsCame(pieces.clone()) });
                }
            }
        }
    }
    charge((found.len() - before) * size_of::<Candidate>())
}

fn show_rows(
    query: &Query<'_>,
    mut rows: super::unpack::Rows<'_>,
    lines: bool,
    runs: &[(u32, Option<Wanted>)],
    show: &mut EachRow<'_>,
) -> Result<Option<ControlFlow<()>>, ReadError> {
    let (mut line, mut metadata) = (Vec::new(), String::new());
    let mut sieve = rows.sieve(query.matchers.iter().map(|matcher| matcher.name.as_str()));
    for (count, wanted) in runs {
        for _ in 0..*count {
            let Some(time) = rows.time() else { return Ok(None) };
            // Most entries that are out of the question are so for one value, which is found without the others.
            let holds = match wanted.as_ref().filter(|_| query.is_in_range(time)) {
                Some(wanted) => rows.may_satisfy(&mut sieve, query.matchers, &wanted.checks),
                None => Some(false),
            };
            let Some(holds) = holds else { return Ok(None) };
            let Some(wanted) = wanted.as_ref().filter(|_| holds) else {
                if rows.skip().is_none() {
                    return Ok(None);
                }
                continue;
            };
            line.clear();
            if rows.read_metadata(&mut metadata).is_none() {
                return Ok(None);
            }
            let fits = query.checks_hold(&wanted.checks, &metadata) && !query.level_excludes(&wanted.labels, &metadata);
            let read = if fits && lines { rows.read_line(&mut line) } else { rows.skip_line() };
            if read.is_none() {
                return Ok(None);
            }
            if !fits || !query.line_has_all(&line) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(&line) else { return Ok(None) };
            if show(wanted, Row { time, line: text, metadata: &metadata })?.is_break() {
                return Ok(Some(ControlFlow::Break(())));
            }
        }
    }
    Ok(Some(ControlFlow::Continue(())))
}

/// So many sets of metadata are remembered while entries are shown.
const SETS_MAX: usize = 8;

/// Turns rows into what visitors get; most entries have the metadata of one of those before.
#[derive(Default)]
struct Shown {
    sets: Vec<Labels>,
    /// The set that was shown last, and the one that gives way next.
    last: usize,
    next: usize,
}

impl Shown {
    fn visit(&mut self, labels: &Labels, row: Row<'_>, visit: &mut LogVisitor<'_>) -> Result<ControlFlow<()>, ReadError> {
        if self.sets.get(self.last).is_none_or(|set| set.packed() != row.metadata) {
            self.last = match self.sets.iter().position(|set| set.packed() == row.metadata) {
                Some(at) => at,
                None => self.remember(Labels::unpack(row.metadata).ok_or_else(|| storage("damaged structured metadata"))?),
            };
        }
        let Some(metadata) = self.sets.get(self.last) else { return Ok(ControlFlow::Continue(())) };
        visit(LogLine { labels, time: Nanos(row.time), line: row.line, metadata })
    }

    fn remember(&mut self, set: Labels) -> usize {
        if self.sets.len() < SETS_MAX {
            self.sets.push(set);
            return self.sets.len() - 1;
        }
        self.next = (self.next + 1) % SETS_MAX;
        self.sets[self.next] = set;
        self.next
    }
}

/// Streams the selected entries; returns what was found damaged.
pub(crate) fn select(look: &Look, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<Damaged, ReadError> {
    let mut reading = Reading::new(selection, budget)?;
    let candidates = reading.candidates(look)?;
    match selection.order {
        LogOrder::Any => {
            let mut shown = Shown::default();
            for candidate in &candidates {
                if reading.each(&candidate.place, &mut |wanted, row| shown.visit(&wanted.labels, row, visit))?.is_break() {
                    break;
                }
            }
        }
        LogOrder::Forward => in_order(&mut reading, candidates, false, budget, visit)?,
        LogOrder::Backward => in_order(&mut reading, candidates, true, budget, visit)?,
    }
    Ok(reading.damaged)
}

/// The wanted entries of one place, in memory and in order; the next one is the last of the list.
struct Opened {
    piece: Piece,
    rows: Vec<u32>,
    charged: u64,
}

impl Opened {
    fn new(reading: &mut Reading<'_>, place: &Place, backward: bool, budget: &Budget) -> Result<Opened, ReadError> {
        let mut piece = Piece::default();
        let mut last: Option<Labels> = None;
        let _all = reading.each(place, &mut |wanted, row| {
            if last.as_ref().is_none_or(|labels| !labels.is_copy_of(&wanted.labels)) {
                piece.streams.push(wanted.labels.clone());
                last = Some(wanted.labels.clone());
            }
            piece.push(piece.streams.len() as u32 - 1, row.time, row.line.as_bytes(), row.metadata);
            Ok(ControlFlow::Continue(()))
        })?;
        let times: Vec<i64> = piece.times().collect();
        let mut rows: Vec<u32> = (0..times.len() as u32).collect();
        rows.sort_by_key(|at| times[*at as usize]);
        if !backward {
            rows.reverse();
        }
        let charged = (piece.memory() + rows.capacity() * 4) as u64;
        budget.charge_memory(charged)?;
        Ok(Opened { piece, rows, charged })
    }
    fn next_time(&self) -> Option<i64> {
        Some(self.piece.get(*self.rows.last()? as usize)?.1.time)
    }
}

/// A place in the order of reading: time, then precedence. Backward both are turned round.
type Turn = Reverse<(i64, i64, usize)>;

fn turn(time: i64, precedence: usize, at: usize, backward: bool) -> Turn {
    // Nothing is lost at the border: no two times become one.
    if backward { Reverse((!time, !(precedence as i64), at)) } else { Reverse((time, precedence as i64, at)) }
}

fn in_order(reading: &mut Reading<'_>, candidates: Vec<Candidate>, backward: bool, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
    let first = |c: &Candidate| if backward { c.max } else { c.min };
    let mut waiting: Vec<(usize, Candidate)> = candidates.into_iter().enumerate().collect();
    // The next one to be opened is the last of the list.
    waiting.sort_by_key(|(precedence, c)| turn(first(c), *precedence, 0, backward));
    let mut opened: Vec<Option<Opened>> = Vec::new();
    let mut turns: BinaryHeap<Turn> = BinaryHeap::new();
    let mut precedences: Vec<usize> = Vec::new();
    let mut shown = Shown::default();
    let mut result = Ok(());
    'reading: loop {
        while let Some((precedence, candidate)) = waiting.pop_if(|(p, c)| turns.peek().is_none_or(|next| turn(first(c), *p, 0, backward) >= *next)) {
            match Opened::new(reading, &candidate.place, backward, budget) {
                Ok(new) => {
                    if let Some(time) = new.next_time() {
                        turns.push(turn(time, precedence, opened.len(), backward));
                    }
                    precedences.push(precedence);
                    opened.push(Some(new));
                }
                Err(error) => {
                    result = Err(error);
                    break 'reading;
                }
            }
        }
        let Some(Reverse((.., at))) = turns.pop() else { break };
        let Some(current) = opened.get_mut(at).and_then(Option::as_mut) else { continue };
        let row = current.rows.pop().and_then(|row| current.piece.get(row as usize));
        let labels = row.and_then(|(stream, _)| current.piece.streams.get(stream as usize));
        if let (Some((_, row)), Some(labels)) = (row, labels) {
            match shown.visit(labels, row, visit) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        match current.next_time() {
            Some(time) => turns.push(turn(time, precedences.get(at).copied().unwrap_or(0), at, backward)),
            None => {
                budget.release_memory(current.charged);
                opened[at] = None;
            }
        }
    }
    opened.iter().flatten().for_each(|open| budget.release_memory(open.charged));
    result
}
