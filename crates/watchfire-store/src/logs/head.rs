//! The newest entries, in memory: as they came at first, then in blocks that will stand in a segment as they are. Durability is the
//! log's business; the engine writes there first and here second.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::block::{self, Info, Row};
use super::piece::Piece;
use super::segment::{BlockIds, id_hash};

/// Small batches are gathered to pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;
/// A stream begins a block of its own when the block before has at least this share of its size.
const SHARE: usize = 2;
pub(crate) const DAY_NS: i64 = 86_400 * 1_000_000_000;
/// So many names that were moved from labels are remembered.
const MOVED_MAX: usize = 10_000;

/// Entries of one stream in a block.
#[derive(Clone, Debug)]
pub(crate) struct StreamRows<S> {
    pub(crate) stream: S,
    pub(crate) rows: u32,
    /// Bytes of lines and metadata.
    pub(crate) bytes: u64,
}

/// A finished block with everything that is known of it.
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) info: Info,
    /// In the order in which their rows stand in the block.
    pub(crate) streams: Vec<StreamRows<Labels>>,
    /// The names of structured metadata.
    pub(crate) names: Vec<String>,
    /// The hashes of the ids that are indexed, ascending; `None` where none are.
    pub(crate) ids: Option<Box<[u32]>>,
}

impl Sealed {
    fn memory(&self) -> usize {
        let ids = self.ids.as_deref().map_or(0, size_of_val);
        self.bytes.capacity() + ids + self.streams.capacity() * std::mem::size_of::<StreamRows<Labels>>()
    }
    /// What is known of the ids that it has.
    pub(crate) fn ids(&self) -> BlockIds<'_> {
        self.ids.as_deref().map_or(BlockIds::Unknown, BlockIds::Hashes)
    }
    /// The day on which its entries are.
    pub(crate) fn day(&self) -> i64 {
        self.info.min.div_euclid(DAY_NS)
    }
}

/// What was written between two points of time.
#[derive(Clone)]
pub(crate) enum Content {
    AsCame(Arc<[Arc<Piece>]>),
    Sealed(Arc<[Sealed]>),
}

#[derive(Clone)]
pub(crate) struct Unit {
    number: u64,
    pub(crate) content: Content,
    bytes: usize,
    entries: u64,
}

/// The newest entries, oldest units first.
#[derive(Default)]
pub(crate) struct LogHead {
    units: Vec<Unit>,
    open: Vec<Arc<Piece>>,
    open_bytes: usize,
    next: u64,
    /// Names that were moved from labels to structured metadata.
    pub(crate) moved: BTreeSet<String>,
}

impl LogHead {
    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.open_bytes + self.units.iter().map(|u| u.bytes).sum::<usize>()
    }
    pub(crate) fn entries(&self) -> u64 {
        self.open.iter().map(|p| p.len() as u64).sum::<u64>() + self.units.iter().map(|u| u.entries).sum::<u64>()
    }
    /// Notes a name that was moved from labels.
    pub(crate) fn note_moved(&mut self, name: &str) {
        if !self.moved.contains(name) && self.moved.len() < MOVED_MAX {
            self.moved.insert(name.to_owned());
        }
    }

    /// Adds entries behind the others; `unit_bytes` of them end a unit.
    pub(crate) fn push(&mut self, mut piece: Piece, unit_bytes: usize) {
        if piece.len() == 0 {
            return;
        }
        let joined = self.open.last_mut().and_then(Arc::get_mut).filter(|last| last.bytes() + piece.bytes() <= PIECE_BYTES);
        match joined {
            Some(last) => {
                self.open_bytes -= last.memory();
                last.append(&piece);
                self.open_bytes += last.memory();
            }
            None => {
                piece.shrink();
                self.open_bytes += piece.memory();
                self.open.push(Arc::new(piece));
            }
        }
        if self.open_bytes >= unit_bytes {
            self.end_unit();
        }
    }

    fn end_unit(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let pieces: Arc<[Arc<Piece>]> = std::mem::take(&mut self.open).into();
        let entries = pieces.iter().map(|p| p.len() as u64).sum();
        let unit = Unit { number: self.next, content: Content::AsCame(pieces), bytes: std::mem::take(&mut self.open_bytes), entries };
        self.next += 1;
        self.units.push(unit);
    }

    /// Ends the present unit; everything before the returned number is finished.
    pub(crate) fn freeze(&mut self) -> u64 {
        self.end_unit();
        self.next
    }
    /// The first unit before a number that is not in blocks yet.
    pub(crate) fn to_seal(&self, before: u64) -> Option<(u64, Arc<[Arc<Piece>]>)> {
        self.units.iter().filter(|u| u.number < before).find_map(|unit| match &unit.content {
            Content::AsCame(pieces) => Some((unit.number, pieces.clone())),
            Content::Sealed(_) => None,
        })
    }
    /// Puts blocks in the place of the entries as they came.
    pub(crate) fn sealed(&mut self, number: u64, blocks: Arc<[Sealed]>) {
        if let Some(unit) = self.units.iter_mut().find(|u| u.number == number) {
            unit.bytes = blocks.iter().map(Sealed::memory).sum();
            unit.content = Content::Sealed(blocks);
        }
    }
    /// The blocks of all units before a number.
    pub(crate) fn blocks_before(&self, before: u64) -> Vec<Arc<[Sealed]>> {
        let sealed = |unit: &Unit| match &unit.content {
            Content::Sealed(blocks) => Some(blocks.clone()),
            Content::AsCame(_) => None,
        };
        self.units.iter().filter(|u| u.number < before).filter_map(sealed).collect()
    }
    /// Lets the units before a number go: they are in segments.
    pub(crate) fn forget_before(&mut self, before: u64) {
        self.units.retain(|u| u.number >= before);
    }
    /// The times of the first and the last entry.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        let of_piece = |piece: &Arc<Piece>| Some((piece.times().min()?, piece.times().max()?));
        let of_unit = |unit: &Unit| match &unit.content {
            Content::AsCame(pieces) => pieces.iter().filter_map(of_piece).reduce(both),
            Content::Sealed(blocks) => blocks.iter().map(|b| (b.info.min, b.info.max)).reduce(both),
        };
        self.units.iter().filter_map(of_unit).chain(self.open.iter().filter_map(of_piece)).reduce(both)
    }
    /// Everything, oldest first.
    pub(crate) fn contents(&self) -> Vec<Content> {
        let open = (!self.open.is_empty()).then(|| Content::AsCame(self.open.clone().into()));
        self.units.iter().map(|u| u.content.clone()).chain(open).collect()
    }
}

/// The range that holds two.
fn both(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Brings entries into blocks: by day, stream and time, entries of one stream and time in the order in which they came. Streams with
/// many entries have blocks of their own, others share one.
pub(crate) fn seal(pieces: &[Arc<Piece>], block_bytes: usize, indexed: Option<&str>) -> io::Result<Vec<Sealed>> {
    let mut ranks: HashMap<&Labels, u32> = HashMap::new();
    pieces.iter().flat_map(|p| &p.streams).for_each(|labels| {
        ranks.entry(labels).or_default();
    });
    let mut streams: Vec<&Labels> = ranks.keys().copied().collect();
    streams.sort_unstable();
    streams.iter().enumerate().for_each(|(rank, labels)| {
        ranks.insert(labels, rank as u32);
    });
    // Where each entry belongs is sorted first, which is much less to move than the entries.
    let mut places: Vec<(i64, u32, i64, u32, u32)> = Vec::with_capacity(pieces.iter().map(|p| p.len()).sum());
    for (of_piece, piece) in pieces.iter().enumerate() {
        let ranks: Vec<u32> = piece.streams.iter().map(|labels| ranks.get(labels).copied().unwrap_or(0)).collect();
        let rank = |stream: u32| ranks.get(stream as usize).copied().unwrap_or(0);
        places.extend(piece.keys().enumerate().map(|(at, (stream, time))| (time.div_euclid(DAY_NS), rank(stream), time, of_piece as u32, at as u32)));
    }
    // Pieces and entries are numbered as they came, so this keeps the order of those of one time.
    places.sort_unstable();
    let row = |(day, rank, _, piece, at): &(i64, u32, i64, u32, u32)| Some((*day, *rank, pieces.get(*piece as usize)?.get(*at as usize)?.1));
    let rows: Vec<(i64, u32, Row<'_>)> = places.iter().filter_map(row).collect();
    drop(places);
    let mut blocks = Vec::new();
    let mut rest = &rows[..];
    while !rest.is_empty() {
        let len = block_len(rest, block_bytes);
        let (block, later) = rest.split_at(len);
        blocks.push(seal_block(block, &streams, indexed)?);
        rest = later;
    }
    Ok(blocks)
}

fn size(row: &Row<'_>) -> usize {
    row.line.len() + row.metadata.len()
}

/// How many rows make the next block.
fn block_len(rows: &[(i64, u32, Row<'_>)], block_bytes: usize) -> usize {
    let (Some((day, first, _)), mut bytes, mut of_stream) = (rows.first(), 0, 0) else { return 0 };
    let mut begin = (*first, 0);
    for (at, (of_day, rank, row)) in rows.iter().enumerate() {
        if of_day != day || bytes >= block_bytes {
            return at;
        }
        if *rank != begin.0 {
            begin = (*rank, at);
            of_stream = bytes;
        }
        bytes += size(row);
        // A stream that would be cut begins anew, if that does not leave a small block behind.
        if bytes >= block_bytes && begin.1 > 0 && of_stream >= block_bytes / SHARE {
            return begin.1;
        }
    }
    rows.len()
}

fn seal_block(rows: &[(i64, u32, Row<'_>)], streams: &[&Labels], indexed: Option<&str>) -> io::Result<Sealed> {
    let plain: Vec<Row<'_>> = rows.iter().map(|(.., row)| *row).collect();
    let encoded = block::encode(&plain)?;
    let mut members: Vec<(u32, StreamRows<Labels>)> = Vec::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut last = "";
    for (_, rank, row) in rows {
        let bytes = size(row) as u64;
        match members.last_mut() {
            Some((stream, member)) if stream == rank => {
                member.rows += 1;
                member.bytes += bytes;
            }
            _ => {
                let stream = streams.get(*rank as usize).map_or_else(Labels::empty, |labels| (*labels).clone());
                members.push((*rank, StreamRows { stream, rows: 1, bytes }));
            }
        }
        if row.metadata != last {
            names.extend(Labels::iter_packed(row.metadata).map(|(name, _)| name));
            last = row.metadata;
        }
    }
    let names = names.into_iter().map(str::to_owned).collect();
    let ids = indexed.map(|name| ids_of(plain.iter().map(|row| row.metadata), name));
    Ok(Sealed { bytes: encoded.bytes, info: encoded.info, streams: members.into_iter().map(|(_, m)| m).collect(), names, ids })
}

/// The hashes of what structured metadata have under a name, ascending.
pub(super) fn ids_of<'a>(metadata: impl Iterator<Item = &'a str>, name: &str) -> Box<[u32]> {
    let value = |metadata: &'a str| Labels::iter_packed(metadata).find(|(n, _)| *n == name).map(|(_, value)| id_hash(value));
    let mut hashes: Vec<u32> = metadata.filter_map(value).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}
