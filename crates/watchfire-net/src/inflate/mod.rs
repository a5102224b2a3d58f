//! The one bounded decoder for everything that comes in compressed. Nothing is ever allocated by a declared length, and
//! a body that would be too large is found out by counting, before memory is spent on it. It knows no protocol.

mod decode;
mod stream;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub use decode::{decode, reader};
pub use stream::{collect, collect_settled};

/// Largest body as it comes over the wire.
pub const COMPRESSED_BYTES_MAX: usize = 16 << 20;
/// Largest body once it is decompressed.
pub const DECOMPRESSED_BYTES_MAX: usize = 32 << 20;

/// How much a body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes over the wire.
    pub compressed: usize,
    /// Bytes after decompression.
    pub decompressed: usize,
}
impl Limits {
    /// The same limit before and after decompression.
    pub const fn both(bytes: usize) -> Limits {
        Limits { compressed: bytes, decompressed: bytes }
    }
}
impl Default for Limits {
    fn default() -> Limits {
        Limits { compressed: COMPRESSED_BYTES_MAX, decompressed: DECOMPRESSED_BYTES_MAX }
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952), several members allowed.
    Gzip,
    /// zlib (RFC 1950), as HTTP's `deflate` is defined; bare deflate is recognised too.
    Deflate,
    /// Zstandard (RFC 8878), windows up to 8 MiB.
    Zstd,
    /// One snappy block, as Prometheus' remote protocols send it.
    Snappy,
    /// Framed snappy.
    SnappyFramed,
}
impl FromStr for Encoding {
    type Err = InflateError;

    /// Reads the value of `Content-Encoding`. Two encodings one over the other are refused.
    fn from_str(text: &str) -> Result<Encoding, InflateError> {
        let mut found = Encoding::Identity;
        for word in text.split(',').map(|w| w.trim().to_ascii_lowercase()).filter(|w| !w.is_empty()) {
            let next = match word.as_str() {
                "identity" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "zstd" => Encoding::Zstd,
                "snappy" => Encoding::Snappy,
                "x-snappy-framed" => Encoding::SnappyFramed,
                _ => return Err(InflateError::Unsupported(word.chars().take(32).collect())),
            };
            if found != Encoding::Identity {
                return Err(InflateError::Nested);
            }
            found = next;
        }
        Ok(found)
    }
}

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The encoding is not one of ours.
    #[error("cannot decompress a body with content-encoding {0:?}")]
    Unsupported(String),
    /// More than one encoding.
    #[error("cannot decompress a body that is compressed more than once")]
    Nested,
    /// Too many bytes over the wire.
    #[error("cannot take a body of more than {0} bytes")]
    Compressed(usize),
    /// Too many bytes after decompression.
    #[error("cannot take a body of more than {0} bytes after decompression")]
    Decompressed(usize),
    /// The bytes are not what the encoding says.
    #[error("cannot decompress a {0} body: {1}")]
    Malformed(&'static str, String),
    /// The body ended before it was complete or its transfer failed.
    #[error("cannot read the whole body: {0}")]
    Transfer(String),
}
impl InflateError {
    /// Whether a size limit was the reason (HTTP 413).
    pub fn is_too_large(&self) -> bool {
        matches!(self, InflateError::Compressed(_) | InflateError::Decompressed(_))
    }
    /// Whether the encoding was the reason (HTTP 415).
    pub fn is_unsupported(&self) -> bool {
        matches!(self, InflateError::Unsupported(_) | InflateError::Nested)
    }
}
