//! The two ends of a segment of logs: sixteen bytes at the front, footer and tail at the back.

use super::{MAGIC, MAGIC_END, MAJOR, MINOR, SegmentError};
use crate::encoding::{Input, put_signed, put_text, put_varint};
use crate::wal::SIGNAL_LOGS;

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const TAIL_BYTES: usize = 32;
/// No footer is larger.
const FOOTER_BYTES_MAX: u32 = 4 << 20;
/// With more names of structured metadata than this, a segment does not tell them.
pub(super) const NAMES_MAX: usize = 4_096;

/// A compressed part of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) crc: u32,
}

impl Section {
    fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.stored));
        put_varint(out, u64::from(self.raw));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }
    fn decode(input: &mut Input<'_>) -> Option<Section> {
        Some(Section { offset: input.varint()?, stored: u32::try_from(input.varint()?).ok()?, raw: u32::try_from(input.varint()?).ok()?, crc: input.u32()? })
    }
}

/// Where a segment's content comes from; what makes a crash between two steps harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Of two entries of one stream and time the one from the lower order came first.
    pub(crate) order: u64,
    /// File and offset of the write-ahead log: all entries in frames before are in segments.
    pub(crate) log_before: (u64, u64),
    /// Segments that this one stands in for.
    pub(crate) replaces: Vec<u64>,
    /// The other files of the same flush: they count since this one has its name.
    pub(crate) parts: Vec<u64>,
}

/// What is known of a segment without reading its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) origin: Origin,
    /// First and last time, in nanoseconds.
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) streams: u64,
    pub(crate) entries: u64,
    /// Bytes of lines and structured metadata.
    pub(crate) raw: u64,
    pub(crate) blocks: u64,
    /// The names of structured metadata, ascending, with whether they were moved from labels; `None` when there are too many.
    pub(crate) names: Option<Vec<(String, bool)>>,
    pub(super) labels: Section,
    pub(super) index: Section,
}

impl Footer {
    /// Whether entries may have a name in their structured metadata.
    pub(crate) fn may_have_name(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.binary_search_by(|(n, _)| n.as_str().cmp(name)).is_ok())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.origin.order);
        put_varint(&mut out, self.origin.log_before.0);
        put_varint(&mut out, self.origin.log_before.1);
        for ids in [&self.origin.replaces, &self.origin.parts] {
            put_varint(&mut out, ids.len() as u64);
            ids.iter().for_each(|id| put_varint(&mut out, *id));
        }
        put_signed(&mut out, self.min);
        put_signed(&mut out, self.max);
        [self.streams, self.entries, self.raw, self.blocks].iter().for_each(|n| put_varint(&mut out, *n));
        out.push(u8::from(self.names.is_some()));
        let names = self.names.as_deref().unwrap_or(&[]);
        put_varint(&mut out, names.len() as u64);
        for (name, moved) in names {
            put_text(&mut out, name);
            out.push(u8::from(*moved));
        }
        self.labels.encode(&mut out);
        self.index.encode(&mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let mut input = Input::new(bytes);
        let (order, log_before) = (input.varint()?, (input.varint()?, input.varint()?));
        let mut ids = || (0..input.size()?).map(|_| input.varint()).collect::<Option<Vec<u64>>>();
        let (replaces, parts) = (ids()?, ids()?);
        let (min, max) = (input.signed()?, input.signed()?);
        let (streams, entries, raw, blocks) = (input.varint()?, input.varint()?, input.varint()?, input.varint()?);
        let told = input.u8()? == 1;
        let mut names = Vec::new();
        for _ in 0..input.size()? {
            names.push((input.text()?.to_owned(), input.u8()? == 1));
        }
        let (labels, index) = (Section::decode(&mut input)?, Section::decode(&mut input)?);
        let origin = Origin { order, log_before, replaces, parts };
        Some(Footer { origin, min, max, streams, entries, raw, blocks, names: told.then_some(names), labels, index })
    }
}

/// The bytes at the front of a segment.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&MAJOR.to_le_bytes());
    out[10..12].copy_from_slice(&MINOR.to_le_bytes());
    out[12] = SIGNAL_LOGS;
    out
}

/// Where the footer is.
pub(super) struct Tail {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

impl Tail {
    pub(super) fn encode(&self) -> [u8; TAIL_BYTES] {
        let mut out = [0; TAIL_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..16].copy_from_slice(&self.crc.to_le_bytes());
        out[16..18].copy_from_slice(&MAJOR.to_le_bytes());
        out[18..20].copy_from_slice(&MINOR.to_le_bytes());
        out[24..].copy_from_slice(&MAGIC_END);
        out
    }
    /// Reads a tail; both ends must name the same version before a newer one is believed.
    pub(super) fn decode(tail: &[u8; TAIL_BYTES], head: &[u8; HEADER_BYTES]) -> Result<Tail, SegmentError> {
        let damaged = SegmentError::Damaged;
        let mut input = Input::new(tail);
        let read = (|| Some((input.u64()?, input.u32()?, input.u32()?, input.u16()?)))();
        let (offset, len, crc, major) = read.ok_or(damaged("tail"))?;
        if tail[24..] != MAGIC_END || head[..8] != MAGIC {
            return Err(damaged("magic bytes"));
        }
        if u16::from_le_bytes([head[8], head[9]]) != major {
            return Err(damaged("version"));
        }
        if major > MAJOR {
            return Err(SegmentError::Newer(major));
        }
        if len > FOOTER_BYTES_MAX {
            return Err(damaged("footer length"));
        }
        Ok(Tail { offset, len, crc })
    }
}
