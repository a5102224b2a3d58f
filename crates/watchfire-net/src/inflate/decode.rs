//! Whole bodies → decompressed bytes. Up to 4 MiB of output come out in one pass; a larger body is first counted to
//! its end without keeping anything, so that a bomb costs time within its limit but no memory.

use std::io::Read;

use super::{Encoding, InflateError, Limits};

/// Output up to here is kept while decoding; beyond it, the rest is counted first.
const KEPT_AT_ONCE: usize = 4 << 20;
/// Largest zstd window, as RFC 8878 recommends decoders to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const SCRATCH_BYTES: usize = 32 << 10;

/// Decompresses a body within the limits. Blocks for as long as it computes: large bodies belong on a blocking thread.
pub fn decode(encoding: Encoding, body: &[u8], limits: Limits) -> Result<Vec<u8>, InflateError> {
    if body.len() > limits.compressed {
        return Err(InflateError::Compressed(limits.compressed));
    }
    if encoding == Encoding::Snappy {
        return snappy_block(body, limits.decompressed);
    }
    let mut out = Vec::new();
    let mut reader = open(encoding, body)?;
    reader.by_ref().take(KEPT_AT_ONCE as u64 + 1).read_to_end(&mut out).map_err(|e| malformed(encoding, &e))?;
    if out.len() > limits.decompressed {
        return Err(InflateError::Decompressed(limits.decompressed));
    }
    if out.len() <= KEPT_AT_ONCE {
        return Ok(out);
    }
    let total = out.len() + count(encoding, reader, limits.decompressed - out.len(), limits.decompressed)?;
    drop(out);
    let mut out = Vec::with_capacity(total);
    open(encoding, body)?.take(total as u64).read_to_end(&mut out).map_err(|e| malformed(encoding, &e))?;
    Ok(out)
}

/// Decompresses a body piece by piece, for who needs it only once. Who reads more than the limit is told so as an error of kind `InvalidData`.
pub fn reader(encoding: Encoding, body: &[u8], limits: Limits) -> Result<impl Read + '_, InflateError> {
    if body.len() > limits.compressed {
        return Err(InflateError::Compressed(limits.compressed));
    }
    if encoding == Encoding::Snappy {
        return Err(InflateError::Unsupported("snappy".to_owned()));
    }
    Ok(Counted { inner: open(encoding, body)?, left: limits.decompressed, limit: limits.decompressed })
}

/// A reader that ends in an error when there is more than it may give.
struct Counted<'a> {
    inner: Box<dyn Read + 'a>,
    left: usize,
    limit: usize,
}
impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(out)?;
        self.left = self.left.checked_sub(read).ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, InflateError::Decompressed(self.limit)))?;
        Ok(read)
    }
}

fn count(encoding: Encoding, mut reader: Box<dyn Read + '_>, left: usize, limit: usize) -> Result<usize, InflateError> {
    let mut scratch = vec![0u8; SCRATCH_BYTES];
    let mut counted = 0usize;
    loop {
        match reader.read(&mut scratch) {
            Ok(0) => return Ok(counted),
            Ok(n) => counted += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(malformed(encoding, &e)),
        }
        if counted > left {
            return Err(InflateError::Decompressed(limit));
        }
    }
}

fn open(encoding: Encoding, body: &[u8]) -> Result<Box<dyn Read + '_>, InflateError> {
    Ok(match encoding {
        Encoding::Identity | Encoding::Snappy => Box::new(body),
        Encoding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(body)),
        Encoding::Deflate if looks_like_zlib(body) => Box::new(flate2::bufread::ZlibDecoder::new(body)),
        Encoding::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(body)),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|e| malformed(encoding, &e))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|e| malformed(encoding, &e))?;
            Box::new(decoder)
        }
        Encoding::SnappyFramed => Box::new(snap::read::FrameDecoder::new(body)),
    })
}

/// A zlib header has method 8, a window of at most 32 KiB and a check value divisible by 31.
fn looks_like_zlib(body: &[u8]) -> bool {
    matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && cmf >> 4 <= 7 && (u16::from(*cmf) << 8 | u16::from(*flg)).is_multiple_of(31))
}

/// A snappy block declares its length in front. The declaration is checked against what the block's own elements can
/// produce before anything is allocated: an element of at most five bytes gives at most 64 bytes, a literal its own length.
fn snappy_block(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = |e: String| InflateError::Malformed("snappy", e);
    let declared = snap::raw::decompress_len(body).map_err(|e| malformed(e.to_string()))?;
    if declared > limit {
        return Err(InflateError::Decompressed(limit));
    }
    // The densest element is a copy of two bytes that gives 64.
    if declared > body.len().saturating_mul(32) {
        return Err(malformed(format!("it declares {declared} bytes, which {} bytes cannot hold", body.len())));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|e| malformed(e.to_string()))
}

fn malformed(encoding: Encoding, error: &std::io::Error) -> InflateError {
    InflateError::Malformed(name_of(encoding), error.to_string())
}

fn name_of(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Identity => "plain",
        Encoding::Gzip => "gzip",
        Encoding::Deflate => "deflate",
        Encoding::Zstd => "zstd",
        Encoding::Snappy | Encoding::SnappyFramed => "snappy",
    }
}
