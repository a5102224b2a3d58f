//! What the segment files of all signals have in common: their names, sixteen bytes at the front, a footer and a tail at the back, and
//! compressed sections with checksums between them. Not what is in them: that is each signal's own.

use std::io;
use std::path::{Path, PathBuf};

use zstd::bulk::Decompressor;

use crate::encoding::{Input, put_varint};
use crate::file::{Disk, File};

/// The bytes at the front.
pub(crate) const HEADER_BYTES: usize = 16;
const TAIL_BYTES: usize = 32;
/// No section is larger when unpacked.
const SECTION_BYTES_MAX: u32 = 1 << 30;
/// The name of a segment ends so; a file under construction has `.tmp` behind it.
const SUFFIX: &str = ".seg";

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("damaged {0}")]
    Damaged(&'static str),
    #[error("format version {found} is newer than {known}")]
    Newer { found: u16, known: u16 },
}

/// The path of a segment.
pub(crate) fn path_of(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:08}{SUFFIX}"))
}

/// The path of a segment that has no name yet.
pub(crate) fn temporary_path_of(dir: &Path, id: u64) -> PathBuf {
    path_of(dir, id).with_extension("seg.tmp")
}

/// The number in the name of a segment.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

/// Removes what nobody will complete.
pub(crate) fn remove_unfinished(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        tracing::warn!(%error, file = %path.display(), "cannot remove an unfinished segment");
    }
}

/// How the segments of one signal are told from other files.
pub(crate) struct Format {
    /// The first bytes of every segment.
    pub(crate) magic: [u8; 8],
    /// The last bytes of every segment.
    pub(crate) magic_end: [u8; 8],
    /// The newest major version that we read.
    pub(crate) major: u16,
    /// Raised when readers of the same major version may see something new that they can ignore.
    pub(crate) minor: u16,
    /// The signal, as the write-ahead log numbers them.
    pub(crate) signal: u8,
    /// No footer is larger.
    pub(crate) footer_bytes_max: u32,
}

/// What the two ends of a file say.
pub(crate) struct Ends {
    /// The bytes of the file.
    pub(crate) bytes: u64,
    /// The major version of the file.
    pub(crate) major: u16,
    pub(crate) footer: Vec<u8>,
}

/// The tail: where the footer is.
struct Tail {
    offset: u64,
    len: u32,
    crc: u32,
    major: u16,
}

impl Format {
    /// Writes the bytes at the front of a file of a major version; gives their number.
    pub(crate) fn write_header(&self, file: &dyn File, major: u16) -> io::Result<u64> {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&self.magic);
        out[8..10].copy_from_slice(&major.to_le_bytes());
        out[10..12].copy_from_slice(&self.minor.to_le_bytes());
        out[12] = self.signal;
        file.write_all_at(&out, 0)?;
        Ok(HEADER_BYTES as u64)
    }

    /// Writes footer and tail.
    pub(crate) fn write_end(&self, file: &dyn File, offset: u64, footer: &[u8], major: u16) -> io::Result<()> {
        let len = u32::try_from(footer.len()).ok().filter(|len| *len <= self.footer_bytes_max);
        let len = len.ok_or_else(|| io::Error::other("the footer of a segment is larger than readers believe"))?;
        let mut tail = [0; TAIL_BYTES];
        tail[..8].copy_from_slice(&offset.to_le_bytes());
        tail[8..12].copy_from_slice(&len.to_le_bytes());
        tail[12..16].copy_from_slice(&crc32fast::hash(footer).to_le_bytes());
        tail[16..18].copy_from_slice(&major.to_le_bytes());
        tail[18..20].copy_from_slice(&self.minor.to_le_bytes());
        tail[24..].copy_from_slice(&self.magic_end);
        file.write_all_at(footer, offset)?;
        file.write_all_at(&tail, offset + footer.len() as u64)
    }

    /// Reads both ends and the footer.
    pub(crate) fn read_ends(&self, file: &dyn File) -> Result<Ends, SegmentError> {
        let damaged = SegmentError::Damaged;
        let bytes = file.len()?;
        let footer_end = bytes.checked_sub(TAIL_BYTES as u64).filter(|end| *end >= HEADER_BYTES as u64).ok_or(damaged("length"))?;
        let (mut head, mut tail) = ([0; HEADER_BYTES], [0; TAIL_BYTES]);
        file.read_exact_at(&mut head, 0)?;
        file.read_exact_at(&mut tail, footer_end)?;
        let tail = self.tail(&tail, &head)?;
        if tail.offset.checked_add(u64::from(tail.len)) != Some(footer_end) {
            return Err(damaged("footer place"));
        }
        let mut footer = vec![0; tail.len as usize];
        file.read_exact_at(&mut footer, tail.offset)?;
        if crc32fast::hash(&footer) != tail.crc {
            return Err(damaged("footer"));
        }
        Ok(Ends { bytes, major: tail.major, footer })
    }

    /// Reads a tail; both ends must name the same version before a newer one is believed.
    fn tail(&self, tail: &[u8; TAIL_BYTES], head: &[u8; HEADER_BYTES]) -> Result<Tail, SegmentError> {
        let damaged = SegmentError::Damaged;
        let mut input = Input::new(tail);
        let read = (|| Some((input.u64()?, input.u32()?, input.u32()?, input.u16()?)))();
        let (offset, len, crc, major) = read.ok_or(damaged("tail"))?;
        if tail[24..] != self.magic_end || head[..8] != self.magic {
            return Err(damaged("magic bytes"));
        }
        if u16::from_le_bytes([head[8], head[9]]) != major {
            return Err(damaged("version"));
        }
        if major > self.major {
            return Err(SegmentError::Newer { found: major, known: self.major });
        }
        if len > self.footer_bytes_max {
            return Err(damaged("footer length"));
        }
        Ok(Tail { offset, len, crc, major })
    }
}

/// A compressed part of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) raw: u32,
    pub(crate) crc: u32,
}

impl Section {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.stored));
        put_varint(out, u64::from(self.raw));
        out.extend_from_slice(&self.crc.to_le_bytes());
    }
    pub(crate) fn decode(input: &mut Input<'_>) -> Option<Section> {
        Some(Section { offset: input.varint()?, stored: u32::try_from(input.varint()?).ok()?, raw: u32::try_from(input.varint()?).ok()?, crc: input.u32()? })
    }

    /// Writes compressed bytes that were so many, and moves the offset behind them.
    pub(crate) fn write(file: &dyn File, offset: &mut u64, stored: &[u8], raw: usize) -> io::Result<Section> {
        let length = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let section = Section { offset: *offset, stored: length(stored.len())?, raw: length(raw)?, crc: crc32fast::hash(stored) };
        file.write_all_at(stored, *offset)?;
        *offset += stored.len() as u64;
        Ok(section)
    }

    /// Reads it back, unpacked.
    pub(crate) fn read(self, file: &dyn File, decompressor: &mut Decompressor<'_>) -> Result<Vec<u8>, SegmentError> {
        if self.raw > SECTION_BYTES_MAX || file.len()? < self.offset.saturating_add(u64::from(self.stored)) {
            return Err(SegmentError::Damaged("section"));
        }
        let mut stored = vec![0; self.stored as usize];
        file.read_exact_at(&mut stored, self.offset)?;
        if crc32fast::hash(&stored) != self.crc {
            return Err(SegmentError::Damaged("checksum"));
        }
        let raw = decompressor.decompress(&stored, self.raw as usize).map_err(|_| SegmentError::Damaged("compression"))?;
        if raw.len() == self.raw as usize { Ok(raw) } else { Err(SegmentError::Damaged("length")) }
    }
}
