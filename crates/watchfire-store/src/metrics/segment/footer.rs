//! The two ends of a segment: sixteen bytes at the front, footer and tail at the back.

use super::{MAGIC, MAGIC_END, MAJOR, MINOR, SegmentError};
use crate::encoding::{Input, put_signed, put_varint};
use crate::wal::SIGNAL_METRICS;

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const TAIL_BYTES: usize = 32;
/// No footer is larger.
pub(super) const FOOTER_BYTES_MAX: u32 = 1 << 20;

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
    /// Of two samples of one series and time the one from the lower order counts.
    pub(crate) order: u64,
    /// Everything in log files before this number is in segments.
    pub(crate) log_before: u64,
    /// Segments that this one stands in for.
    pub(crate) replaces: Vec<u64>,
}

/// What is known of a segment without reading its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) origin: Origin,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// Bytes of all blocks as stored.
    pub(crate) block_bytes: u64,
    pub(super) labels: Section,
    pub(super) runs: Section,
    /// Segments of tiers say what they are.
    pub(crate) tier: Option<Tier>,
}

/// What a segment of a tier is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tier {
    /// How long its windows are.
    pub(crate) resolution_ms: i64,
    /// The segments whose samples are in the windows.
    pub(crate) sources: Vec<u64>,
}

impl Tier {
    /// Other segments end before it.
    fn decode(input: &mut Input<'_>) -> Option<Option<Tier>> {
        if input.remaining() == 0 {
            return Some(None);
        }
        let resolution_ms = input.signed().filter(|ms| *ms > 0)?;
        let mut sources = Vec::new();
        for _ in 0..input.size()? {
            sources.push(input.varint()?);
        }
        Some(Some(Tier { resolution_ms, sources }))
    }
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.origin.order);
        put_varint(&mut out, self.origin.log_before);
        put_varint(&mut out, self.origin.replaces.len() as u64);
        self.origin.replaces.iter().for_each(|id| put_varint(&mut out, *id));
        put_signed(&mut out, self.min);
        put_signed(&mut out, self.max);
        put_varint(&mut out, self.series);
        put_varint(&mut out, self.samples);
        put_varint(&mut out, self.block_bytes);
        self.labels.encode(&mut out);
        self.runs.encode(&mut out);
        if let Some(tier) = &self.tier {
            put_signed(&mut out, tier.resolution_ms);
            put_varint(&mut out, tier.sources.len() as u64);
            tier.sources.iter().for_each(|id| put_varint(&mut out, *id));
        }
        out
    }
    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let mut input = Input::new(bytes);
        let (order, log_before) = (input.varint()?, input.varint()?);
        let mut replaces = Vec::new();
        for _ in 0..input.size()? {
            replaces.push(input.varint()?);
        }
        Some(Footer {
            origin: Origin { order, log_before, replaces },
            min: input.signed()?,
            max: input.signed()?,
            series: input.varint()?,
            samples: input.varint()?,
            block_bytes: input.varint()?,
            labels: Section::decode(&mut input)?,
            runs: Section::decode(&mut input)?,
            tier: Tier::decode(&mut input)?,
        })
    }
}

/// The bytes at the front of a segment of a major version.
pub(super) fn header(major: u16) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&major.to_le_bytes());
    out[10..12].copy_from_slice(&MINOR.to_le_bytes());
    out[12] = SIGNAL_METRICS;
    out
}

/// Where the footer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
    /// The major version of the file.
    pub(super) major: u16,
}

impl Tail {
    pub(super) fn encode(self) -> [u8; TAIL_BYTES] {
        let mut out = [0; TAIL_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..16].copy_from_slice(&self.crc.to_le_bytes());
        out[16..18].copy_from_slice(&self.major.to_le_bytes());
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
        Ok(Tail { offset, len, crc, major })
    }
}
