//! Headers of log files and frames, to bytes and back. The checksum of a frame covers its place (file number and offset),
//! so a frame that was copied somewhere else, or that somebody sent us inside a label, is not taken for one of ours.

use super::{MAGIC, MAJOR, MINOR, PAYLOAD_BYTES_MAX};
use crate::encoding::Input;

/// Bytes before the first frame.
pub(super) const FILE_HEADER_BYTES: usize = 36;
/// Bytes before a frame's payload: length, checksum, signal.
pub(super) const FRAME_HEADER_BYTES: usize = 9;

/// The head of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) major: u16,
    pub(super) minor: u16,
    /// The number of this file.
    pub(super) sequence: u64,
    /// The first file of the same epoch: series numbers mean the same from there on.
    pub(super) epoch: u64,
    /// When the epoch began, in milliseconds since 1970.
    pub(super) epoch_began: i64,
}

impl FileHeader {
    pub(super) fn new(sequence: u64, epoch: u64, epoch_began: i64) -> FileHeader {
        FileHeader { major: MAJOR, minor: MINOR, sequence, epoch, epoch_began }
    }
    pub(super) fn encode(self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&self.major.to_le_bytes());
        out[10..12].copy_from_slice(&self.minor.to_le_bytes());
        out[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        out[20..28].copy_from_slice(&self.epoch.to_le_bytes());
        // The beginning is kept in seconds, which leaves room for the checksum in 36 bytes.
        out[28..32].copy_from_slice(&u32::try_from(self.epoch_began.max(0) / 1000).unwrap_or(u32::MAX).to_le_bytes());
        let crc = crc32fast::hash(&out[..32]);
        out[32..].copy_from_slice(&crc.to_le_bytes());
        out
    }
    /// `None` when it is damaged; the major version is for the caller to judge.
    pub(super) fn decode(bytes: &[u8]) -> Option<FileHeader> {
        let mut input = Input::new(bytes.get(..FILE_HEADER_BYTES)?);
        if input.take(8)? != MAGIC {
            return None;
        }
        let header =
            FileHeader { major: input.u16()?, minor: input.u16()?, sequence: input.u64()?, epoch: input.u64()?, epoch_began: i64::from(input.u32()?) * 1000 };
        (input.u32()? == crc32fast::hash(&bytes[..32])).then_some(header)
    }
}

/// The checksum of a frame at a place.
pub(super) fn checksum(sequence: u64, offset: u64, signal: u8, payload: &[u8]) -> u32 {
    let mut place = [0; 21];
    place[..8].copy_from_slice(&sequence.to_le_bytes());
    place[8..16].copy_from_slice(&offset.to_le_bytes());
    place[16..20].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    place[20] = signal;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place);
    hasher.update(payload);
    hasher.finalize()
}

/// Completes a frame whose header bytes were left free at `start` in `buffer`; it will stand at `offset` of file `sequence`.
pub(super) fn seal(buffer: &mut [u8], start: usize, sequence: u64, offset: u64, signal: u8) {
    let frame = &mut buffer[start..];
    let (header, payload) = frame.split_at_mut(FRAME_HEADER_BYTES);
    header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&checksum(sequence, offset, signal, payload).to_le_bytes());
    header[8] = signal;
}

/// A frame's header as it stands, before the checksum is known to be right.
pub(super) struct FrameHeader {
    pub(super) len: usize,
    pub(super) crc: u32,
    pub(super) signal: u8,
}

impl FrameHeader {
    /// `None` when the bytes cannot be a header.
    pub(super) fn decode(bytes: &[u8]) -> Option<FrameHeader> {
        let mut input = Input::new(bytes);
        let len = input.u32()? as usize;
        let header = FrameHeader { len, crc: input.u32()?, signal: input.u8()? };
        (1..=PAYLOAD_BYTES_MAX).contains(&len).then_some(header)
    }
}

/// The frame at `at` in `bytes`, which begin at offset `base` of file `sequence`: its signal and payload.
pub(super) fn frame_at(bytes: &[u8], at: usize, base: u64, sequence: u64) -> Option<(u8, &[u8])> {
    let header = FrameHeader::decode(bytes.get(at..)?)?;
    let from = at + FRAME_HEADER_BYTES;
    let payload = bytes.get(from..from + header.len)?;
    (checksum(sequence, base + at as u64, header.signal, payload) == header.crc).then_some((header.signal, payload))
}
