//! Blocks: the index (version 2), chunk files and tombstones of one directory of Prometheus' storage, read from bytes that
//! somebody else has fetched. Every section is checked by its checksum before it is used.

use watchfire_model::labels::Labels;

use super::{ChunkError, castagnoli};

const INDEX_MAGIC: u32 = 0xbaaa_d700;
const INDEX_VERSION: u8 = 2;
const TOC_BYTES: usize = 6 * 8 + 4;
const CHUNKS_MAGIC: u32 = 0x85bd_40dd;
const TOMBSTONES_MAGIC: u32 = 0x0130_ba30;
/// Where in the table of contents the section's place stands.
const TOC_SYMBOLS: usize = 0;
const TOC_POSTINGS_TABLE: usize = 40;
/// The most bytes in front of a chunk's data: its length and its encoding.
pub const CHUNK_HEAD_MAX: usize = 6;

/// Why a file of a block cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It is another kind of file, or another version.
    #[error("{0} is not of a kind and version that can be read")]
    Format(&'static str),
    /// It ends too early.
    #[error("{0} ends within an entry")]
    Truncated(&'static str),
    /// A checksum does not fit.
    #[error("{0} has a wrong checksum")]
    Checksum(&'static str),
    /// Something points outside.
    #[error("{0} points to what is not there")]
    Reference(&'static str),
    /// A text that is not UTF-8.
    #[error("a label is not UTF-8")]
    Utf8,
    /// A chunk.
    #[error("{0}")]
    Chunk(#[from] ChunkError),
}

/// Where a chunk of a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The time of its first sample.
    pub start: i64,
    /// The time of its last sample.
    pub end: i64,
    /// Which of the chunk files, from 0 (the file `000001`).
    pub file: u32,
    /// The byte in that file at which it begins.
    pub offset: u32,
}

/// One series of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSeries {
    /// Its number, by which tombstones name it.
    pub number: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks in the order of time.
    pub chunks: Vec<ChunkPlace>,
}

/// A time range in which a series was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The series' number.
    pub series: u64,
    /// The first deleted moment.
    pub start: i64,
    /// The last deleted moment.
    pub end: i64,
}

/// A reader over one section.
struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}
impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BlockError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BlockError::Truncated(self.what))?;
        self.rest = rest;
        Ok(taken)
    }
    fn be32(&mut self) -> Result<u32, BlockError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(word))
    }
    fn uvarint(&mut self) -> Result<u64, BlockError> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            if i == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(i + 1..).unwrap_or(&[]);
                return Ok(value);
            }
        }
        Err(BlockError::Truncated(self.what))
    }
    fn varint(&mut self) -> Result<i64, BlockError> {
        let value = self.uvarint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
    fn bytes(&mut self) -> Result<&'a [u8], BlockError> {
        let len = usize::try_from(self.uvarint()?).map_err(|_| BlockError::Truncated(self.what))?;
        self.take(len)
    }
}

/// `len` bytes and their checksum.
fn checked<'a>(bytes: &'a [u8], len: usize, what: &'static str) -> Result<Cursor<'a>, BlockError> {
    let (content, rest) = bytes.split_at_checked(len).ok_or(BlockError::Truncated(what))?;
    let sum = rest.first_chunk::<4>().ok_or(BlockError::Truncated(what))?;
    if castagnoli(content) != u32::from_be_bytes(*sum) {
        return Err(BlockError::Checksum(what));
    }
    Ok(Cursor { rest: content, what })
}

/// An index, with its table of texts read.
pub struct Index<'a> {
    bytes: &'a [u8],
    symbols: Vec<&'a str>,
    series: Cursor<'a>,
    left: u32,
}
impl<'a> Index<'a> {
    /// Reads the head of an index file.
    pub fn new(bytes: &'a [u8]) -> Result<Index<'a>, BlockError> {
        let mut head = Cursor { rest: bytes, what: "the index" };
        if head.be32()? != INDEX_MAGIC || head.take(1)? != [INDEX_VERSION] {
            return Err(BlockError::Format("the index"));
        }
        let toc_at = bytes.len().checked_sub(TOC_BYTES).ok_or(BlockError::Truncated("the index"))?;
        let toc = checked(&bytes[toc_at..], TOC_BYTES - 4, "the table of contents of the index")?.rest;
        let place = |at: usize| {
            let word = toc.get(at..at + 8).and_then(|w| <[u8; 8]>::try_from(w).ok()).unwrap_or_default();
            usize::try_from(u64::from_be_bytes(word)).unwrap_or(usize::MAX)
        };
        let mut index = Index { bytes, symbols: Vec::new(), series: Cursor { rest: &[], what: "a list of series" }, left: 0 };
        index.read_symbols(place(TOC_SYMBOLS))?;
        index.find_series(place(TOC_POSTINGS_TABLE))?;
        Ok(index)
    }
    /// A section that begins with its length in four bytes.
    fn section(&self, at: usize, what: &'static str) -> Result<Cursor<'a>, BlockError> {
        let mut section = Cursor { rest: self.bytes.get(at..).ok_or(BlockError::Reference("the index"))?, what };
        let len = section.be32()? as usize;
        checked(section.rest, len, what)
    }
    fn read_symbols(&mut self, at: usize) -> Result<(), BlockError> {
        if at == 0 {
            return Ok(());
        }
        let mut section = self.section(at, "the table of texts")?;
        for _ in 0..section.be32()? {
            self.symbols.push(std::str::from_utf8(section.bytes()?).map_err(|_| BlockError::Utf8)?);
        }
        Ok(())
    }
    /// The list of all series stands under the empty name and value, which come first.
    fn find_series(&mut self, at: usize) -> Result<(), BlockError> {
        if at == 0 {
            return Ok(());
        }
        let mut table = self.section(at, "the table of lists")?;
        for _ in 0..table.be32()? {
            let keys = table.uvarint()?;
            let mut named = false;
            for _ in 0..keys {
                named |= !table.bytes()?.is_empty();
            }
            let place = table.uvarint()?;
            if !named {
                let place = usize::try_from(place).map_err(|_| BlockError::Reference("the table of lists"))?;
                self.series = self.section(place, "the list of series")?;
                self.left = self.series.be32()?;
                return Ok(());
            }
        }
        Ok(())
    }
    /// How many series are left to be read.
    pub fn len(&self) -> usize {
        self.left as usize
    }
    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
    fn one(&self, number: u32) -> Result<BlockSeries, BlockError> {
        const WHAT: &str = "a series of the index";
        let at = usize::try_from(u64::from(number) * 16).map_err(|_| BlockError::Reference(WHAT))?;
        let mut entry = Cursor { rest: self.bytes.get(at..).ok_or(BlockError::Reference(WHAT))?, what: WHAT };
        let len = usize::try_from(entry.uvarint()?).map_err(|_| BlockError::Truncated(WHAT))?;
        let mut entry = checked(entry.rest, len, WHAT)?;
        let symbol = |entry: &mut Cursor<'a>| {
            let at = usize::try_from(entry.uvarint()?).unwrap_or(usize::MAX);
            self.symbols.get(at).copied().ok_or(BlockError::Reference(WHAT))
        };
        let mut pairs = Vec::new();
        for _ in 0..entry.uvarint()? {
            pairs.push((symbol(&mut entry)?, symbol(&mut entry)?));
        }
        let count = entry.uvarint()?;
        let mut chunks: Vec<ChunkPlace> = Vec::new();
        let (mut time, mut reference) = (0i64, 0i64);
        for i in 0..count {
            let start = if i == 0 { entry.varint()? } else { time.wrapping_add(entry.uvarint()?.cast_signed()) };
            let end = start.wrapping_add(entry.uvarint()?.cast_signed());
            reference = if i == 0 { entry.uvarint()?.cast_signed() } else { reference.wrapping_add(entry.varint()?) };
            chunks.push(ChunkPlace { start, end, file: (reference >> 32) as u32, offset: reference as u32 });
            time = end;
        }
        Ok(BlockSeries { number: number.into(), labels: Labels::from_sorted(&pairs), chunks })
    }
}
impl Iterator for Index<'_> {
    type Item = Result<BlockSeries, BlockError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let number = match self.series.be32() {
            Ok(number) => number,
            Err(error) => {
                self.left = 0;
                return Some(Err(error));
            }
        };
        Some(self.one(number))
    }
}

/// Checks the head of a chunk file, its first eight bytes.
pub fn check_chunk_file(head: &[u8]) -> Result<(), BlockError> {
    let mut head = Cursor { rest: head, what: "a chunk file" };
    if head.be32()? != CHUNKS_MAGIC || head.take(1)? != [1] { Err(BlockError::Format("a chunk file")) } else { Ok(()) }
}

/// How many bytes a chunk has in its file, by its first [`CHUNK_HEAD_MAX`] bytes (fewer at the end of the file).
pub fn chunk_bytes(head: &[u8]) -> Result<usize, BlockError> {
    let mut cursor = Cursor { rest: head, what: "a chunk" };
    let len = cursor.uvarint()?;
    let before = head.len() - cursor.rest.len();
    // One byte for the encoding, four for the checksum.
    usize::try_from(len).ok().filter(|len| *len <= u32::MAX as usize).map(|len| before + len + 5).ok_or(BlockError::Truncated("a chunk"))
}

/// A chunk as it lies in its file: its encoding and its data.
pub fn chunk(bytes: &[u8]) -> Result<(u8, &[u8]), BlockError> {
    let mut cursor = Cursor { rest: bytes, what: "a chunk" };
    let len = usize::try_from(cursor.uvarint()?).map_err(|_| BlockError::Truncated("a chunk"))?;
    let content = checked(cursor.rest, len.saturating_add(1), "a chunk")?.rest;
    content.split_first().map(|(encoding, data)| (*encoding, data)).ok_or(BlockError::Truncated("a chunk"))
}

/// Reads a file of tombstones.
pub fn tombstones(bytes: &[u8]) -> Result<Vec<Tombstone>, BlockError> {
    const WHAT: &str = "the file of tombstones";
    let mut head = Cursor { rest: bytes, what: WHAT };
    if head.be32()? != TOMBSTONES_MAGIC || head.take(1)? != [1] {
        return Err(BlockError::Format(WHAT));
    }
    let len = head.rest.len().checked_sub(4).ok_or(BlockError::Truncated(WHAT))?;
    let mut stones = checked(head.rest, len, WHAT)?;
    let mut all = Vec::new();
    while !stones.rest.is_empty() {
        all.push(Tombstone { series: stones.uvarint()?, start: stones.varint()?, end: stones.varint()? });
    }
    Ok(all)
}
