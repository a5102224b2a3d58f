//! Writes segments anew: several as one, or one without some of its entries. Blocks are copied as they are where nothing of them goes,
//! unless they are so small that larger ones are worth the work.

use std::io;
use std::path::Path;
use std::sync::Arc;

use watchfire_model::labels::Labels;
use zstd::bulk::Decompressor;

use super::block::Row;
use super::head::{StreamRows, ids_of, seal};
use super::piece::Piece;
use super::segment::{BlockIds, Index, LogSegment, Origin, SegmentWriter, Stored};
use super::unpack::Head;
use crate::file::Disk;
use crate::options::LogOptions;
use crate::segment_file;

/// Blocks that hold less than this share of a full one on average are packed anew.
const SMALL_SHARE: u64 = 2;

/// What goes.
pub(crate) struct Gone<'a> {
    /// Whether entries of a stream may go.
    pub(crate) stream: &'a dyn Fn(&Labels) -> bool,
    /// Whether an entry of such a stream goes.
    pub(crate) entry: &'a dyn Fn(&Labels, Row<'_>) -> bool,
}

/// What became of segments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rewritten {
    /// An index cannot be read: its segment says so, and nothing was done.
    Unreadable,
    /// Nothing would go, so nothing was done.
    Unchanged,
    /// A new segment. When nothing is left it has no blocks, and stands for the ones that it replaces until retention takes it.
    Into(u64),
}

/// Where segments are written.
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// The number of the next segment.
    pub(crate) next: &'a mut u64,
    pub(crate) options: &'a LogOptions,
    /// The name of structured metadata whose values are indexed.
    pub(crate) indexed: Option<&'static str>,
    /// Indexes of ids that were found damaged.
    pub(crate) damaged_ids: u64,
    /// The present on the clock by which the use of indexes is dated.
    pub(crate) moment: u64,
    /// What must not wait until all is written; it may take numbers of segments.
    pub(crate) between: &'a dyn Fn(&mut u64),
}

/// Writes segments, which follow each other, as one. Returns what became of them and how many entries went.
pub(crate) fn rewrite(place: &mut Place<'_>, inputs: &[Arc<LogSegment>], gone: Option<&Gone<'_>>) -> io::Result<(Rewritten, u64)> {
    let mut opened = Vec::with_capacity(inputs.len());
    for segment in inputs {
        match segment.index(place.moment)? {
            Some(index) => opened.push((segment, index)),
            None => return Ok((Rewritten::Unreadable, 0)),
        }
    }
    let id = *place.next;
    *place.next += 1;
    let mut writer = SegmentWriter::new(place.disk, place.dir, id, place.indexed)?;
    let mut copy = Copy {
        writer: &mut writer,
        options: place.options,
        indexed: place.indexed,
        damaged_ids: 0,
        gone,
        decompressor: Decompressor::new()?,
        went: 0,
        next: place.next,
        between: place.between,
    };
    let filled = if gone.is_none() && has_small_blocks(inputs, place.options) { copy.repack(&opened) } else { copy.blocks(&opened) };
    let went = copy.went;
    place.damaged_ids += copy.damaged_ids;
    let undone = match filled {
        Err(error) => Err(error),
        Ok(()) if gone.is_some() && went == 0 => Ok(Rewritten::Unchanged),
        Ok(()) => {
            writer.stand_for(inputs.iter().map(|s| s.footer.max).max().unwrap_or(0));
            let origin = Origin {
                order: inputs.iter().map(|s| s.footer.origin.order).min().unwrap_or(0),
                log_before: inputs.iter().map(|s| s.footer.origin.log_before).max().unwrap_or((0, 0)),
                // With those that they replaced themselves: a file that was removed may be there again after a power cut.
                replaces: inputs.iter().flat_map(|s| s.footer.origin.replaces.iter().copied().chain([s.id])).collect(),
                parts: Vec::new(),
            };
            writer.finish(origin, &segment_file::path_of(place.dir, id))?;
            return Ok((Rewritten::Into(id), went));
        }
    };
    writer.abandon();
    Ok((undone?, went))
}

fn has_small_blocks(inputs: &[Arc<LogSegment>], options: &LogOptions) -> bool {
    let sum = |of: fn(&LogSegment) -> u64| inputs.iter().map(|s| of(s)).sum::<u64>();
    let (raw, blocks) = (sum(|s| s.footer.raw), sum(|s| s.footer.blocks));
    blocks > 1 && raw / blocks < options.block_bytes as u64 / SMALL_SHARE
}

struct Copy<'a, 'w> {
    writer: &'a mut SegmentWriter<'w>,
    options: &'a LogOptions,
    indexed: Option<&'static str>,
    damaged_ids: u64,
    gone: Option<&'a Gone<'a>>,
    decompressor: Decompressor<'static>,
    went: u64,
    next: &'a mut u64,
    between: &'a dyn Fn(&mut u64),
}

impl Copy<'_, '_> {
    fn add_names(&mut self, segment: &LogSegment) {
        let names = segment.footer.names.as_ref();
        self.writer.add_names(names.map(|names| names.iter().map(|(name, moved)| (name.as_str(), *moved))));
    }

    /// Block by block, as they are.
    fn blocks(&mut self, opened: &[(&Arc<LogSegment>, Arc<Index>)]) -> io::Result<()> {
        for (segment, index) in opened {
            self.add_names(segment);
            let has_ids = self.has_ids(segment, index)?;
            for (number, stored) in index.blocks.iter().enumerate() {
                (self.between)(self.next);
                let streams: Vec<StreamRows<Labels>> = stored.streams.iter().filter_map(|member| with_labels(index, member)).collect();
                let touched = self.gone.is_some_and(|gone| streams.iter().any(|member| (gone.stream)(&member.stream)));
                if touched {
                    self.filtered(segment, index, stored)?;
                    continue;
                }
                match index.read(stored.offset, stored.info.len())?.filter(|bytes| stored.info.check(bytes)) {
                    Some(bytes) if streams.len() == stored.streams.len() => {
                        let own = if has_ids { None } else { self.ids_of(index, stored)? };
                        let ids = match &own {
                            Some(hashes) => BlockIds::Hashes(hashes),
                            None if has_ids => BlockIds::Copied(index, number as u32),
                            None => BlockIds::Unknown,
                        };
                        self.writer.add(&bytes, &stored.info, &streams, &ids)?;
                    }
                    _ => segment.lose_block(),
                }
            }
        }
        Ok(())
    }

    /// Whether a segment's index of ids can be copied from.
    fn has_ids(&mut self, segment: &LogSegment, index: &Index) -> io::Result<bool> {
        let Some(name) = self.indexed else { return Ok(false) };
        let has = index.has_ids(name)?;
        if has == Some(false) {
            segment.lose_ids();
            self.damaged_ids += 1;
        }
        Ok(has == Some(true))
    }

    /// The ids of a block as its entries tell them; `None` where none are indexed, or they cannot be read.
    fn ids_of(&mut self, index: &Index, stored: &Stored) -> io::Result<Option<Box<[u32]>>> {
        let Some(name) = self.indexed else { return Ok(None) };
        let piece = read_block(index, stored, &mut self.decompressor)?;
        Ok(piece.map(|piece| ids_of(piece.rows().map(|(_, row)| row.metadata), name)))
    }

    /// A block without what goes.
    fn filtered(&mut self, segment: &LogSegment, index: &Index, stored: &Stored) -> io::Result<()> {
        let Some(mut piece) = read_block(index, stored, &mut self.decompressor)? else {
            segment.lose_block();
            return Ok(());
        };
        let before = piece.len();
        if let Some(gone) = self.gone {
            piece.retain(|labels, row| !((gone.stream)(labels) && (gone.entry)(labels, row)));
        }
        self.went += (before - piece.len()) as u64;
        // The block keeps its place, so that entries of one time keep their order.
        self.seal(vec![Arc::new(piece)], usize::MAX)
    }

    /// All entries in blocks of full size.
    fn repack(&mut self, opened: &[(&Arc<LogSegment>, Arc<Index>)]) -> io::Result<()> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for (segment, index) in opened {
            self.add_names(segment);
            for stored in &index.blocks {
                (self.between)(self.next);
                let Some(piece) = read_block(index, stored, &mut self.decompressor)? else {
                    segment.lose_block();
                    continue;
                };
                bytes += piece.memory();
                pieces.push(Arc::new(piece));
                if bytes >= self.options.unit_bytes {
                    self.seal(std::mem::take(&mut pieces), self.options.block_bytes)?;
                    bytes = 0;
                }
            }
        }
        self.seal(pieces, self.options.block_bytes)
    }

    fn seal(&mut self, pieces: Vec<Arc<Piece>>, block_bytes: usize) -> io::Result<()> {
        for block in seal(&pieces, block_bytes, self.indexed)? {
            self.writer.add(&block.bytes, &block.info, &block.streams, &block.ids())?;
        }
        Ok(())
    }
}

fn with_labels(index: &Index, member: &StreamRows<u32>) -> Option<StreamRows<Labels>> {
    Some(StreamRows { stream: Labels::unpack(index.labels.packed(member.stream))?, rows: member.rows, bytes: member.bytes })
}

/// All entries of a block; `None` when it is damaged.
fn read_block(index: &Index, stored: &Stored, decompressor: &mut Decompressor<'static>) -> io::Result<Option<Piece>> {
    let info = &stored.info;
    let Some(bytes) = index.read(stored.offset, info.len())? else { return Ok(None) };
    let mut unpack = || {
        let (head, columns) = bytes.get(info.filter.len as usize..)?.split_at_checked(info.head.len as usize)?;
        let head = Head::read(head, info, decompressor)?;
        let mut rows = head.rows(columns, true, decompressor)?;
        let mut piece = Piece::default();
        let (mut line, mut metadata) = (Vec::new(), String::new());
        for member in &stored.streams {
            piece.streams.push(Labels::unpack(index.labels.packed(member.stream))?);
            for _ in 0..member.rows {
                let time = rows.time()?;
                line.clear();
                rows.read_metadata(&mut metadata)?;
                rows.read_line(&mut line)?;
                std::str::from_utf8(&line).ok()?;
                piece.push(piece.streams.len() as u32 - 1, time, &line, &metadata);
            }
        }
        Some(piece)
    };
    Ok(unpack())
}
