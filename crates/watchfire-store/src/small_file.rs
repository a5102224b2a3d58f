//! Small files that are written whole: magic, version, checksum, one compressed frame. What stands in the frame is the business
//! of who writes it. Layout: `docs/formats/exemplars.md`.

use std::io;

use crate::encoding::Input;

/// Bytes before the frame.
const HEADER_BYTES: usize = 24;

/// Why such a file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the file is damaged")]
    Damaged,
    #[error("format version {found} is newer than {known}")]
    Newer { found: u16, known: u16 },
}

/// The whole file.
pub(crate) fn encode(magic: [u8; 8], major: u16, raw: &[u8]) -> io::Result<Vec<u8>> {
    let stored = zstd::bulk::compress(raw, 1)?;
    let raw_len = u32::try_from(raw.len()).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(HEADER_BYTES + stored.len());
    out.extend_from_slice(&magic);
    out.extend_from_slice(&major.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    out.extend_from_slice(&raw_len.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&stored).to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&stored);
    Ok(out)
}

/// The content of a file. A newer version is believed when the header checks out.
pub(crate) fn decode(bytes: &[u8], magic: [u8; 8], known: u16, raw_max: usize) -> Result<Vec<u8>, FileError> {
    let (header, stored) = bytes.split_at_checked(HEADER_BYTES).ok_or(FileError::Damaged)?;
    let mut input = Input::new(header);
    let fields = (|| Some((input.take(8)?, input.u16()?, input.u16()?, input.u32()?, input.u32()?, input.u32()?)))();
    let (found_magic, found, _minor, raw_len, crc, header_crc) = fields.ok_or(FileError::Damaged)?;
    if found_magic != magic || header_crc != crc32fast::hash(&header[..HEADER_BYTES - 4]) {
        return Err(FileError::Damaged);
    }
    if found > known {
        return Err(FileError::Newer { found, known });
    }
    if crc != crc32fast::hash(stored) || raw_len as usize > raw_max {
        return Err(FileError::Damaged);
    }
    let raw = zstd::bulk::decompress(stored, raw_len as usize).map_err(|_| FileError::Damaged)?;
    if raw.len() == raw_len as usize { Ok(raw) } else { Err(FileError::Damaged) }
}
