//! Chunks of a body → decompressed bytes, with the limits enforced at every chunk. For answers that we fetch (scrapes,
//! probes) and for request bodies. Snappy is collected first, as its block form cannot be read in pieces.

use std::io::Write;

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::decode::{decode, name_of};
use super::{Encoding, InflateError, Limits};

/// Decompresses chunk by chunk. The output grows with what really came out, never by a declaration.
pub struct StreamDecoder {
    encoding: Encoding,
    limits: Limits,
    taken: usize,
    state: State,
}
enum State {
    /// gzip, deflate and identity: the writer refuses what goes beyond the limit.
    Plain(Capped),
    Gzip(Box<flate2::write::MultiGzDecoder<Capped>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Capped>>),
    /// Collected, then decoded as a whole.
    Whole(Vec<u8>),
}

/// A buffer that refuses to grow beyond its limit.
struct Capped {
    out: Vec<u8>,
    limit: usize,
    full: bool,
}
impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.out.len() + bytes.len() > self.limit {
            self.full = true;
            return Err(std::io::Error::other("over the limit"));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl StreamDecoder {
    /// A decoder for one body.
    pub fn new(encoding: Encoding, limits: Limits) -> Result<StreamDecoder, InflateError> {
        let capped = Capped { out: Vec::new(), limit: limits.decompressed, full: false };
        let state = match encoding {
            Encoding::Identity => State::Plain(capped),
            Encoding::Gzip => State::Gzip(Box::new(flate2::write::MultiGzDecoder::new(capped))),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(capped).map_err(|e| InflateError::Malformed("zstd", e.to_string()))?;
                decoder.window_log_max(23).map_err(|e| InflateError::Malformed("zstd", e.to_string()))?;
                State::Zstd(Box::new(decoder))
            }
            Encoding::Deflate | Encoding::Snappy | Encoding::SnappyFramed => State::Whole(Vec::new()),
        };
        Ok(StreamDecoder { encoding, limits, taken: 0, state })
    }
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), InflateError> {
        self.taken += chunk.len();
        if self.taken > self.limits.compressed {
            return Err(InflateError::Compressed(self.limits.compressed));
        }
        let done = match &mut self.state {
            State::Plain(out) => out.write_all(chunk),
            State::Gzip(decoder) => decoder.write_all(chunk),
            State::Zstd(decoder) => decoder.write_all(chunk),
            State::Whole(body) => body.write_all(chunk),
        };
        done.map_err(|e| self.refusal(&e))
    }
    /// Bytes decompressed so far (for collected encodings: bytes taken).
    pub fn len(&self) -> usize {
        match &self.state {
            State::Plain(capped) => capped.out.len(),
            State::Gzip(decoder) => decoder.get_ref().out.len(),
            State::Zstd(decoder) => decoder.get_ref().out.len(),
            State::Whole(body) => body.len(),
        }
    }
    /// Whether nothing has come out yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The end of the body: gives everything.
    pub fn finish(mut self) -> Result<Vec<u8>, InflateError> {
        let taken = self.taken;
        let ended = match &mut self.state {
            State::Plain(_) | State::Whole(_) => Ok(()),
            State::Gzip(_) if taken == 0 => Ok(()),
            State::Gzip(decoder) => decoder.try_finish(),
            State::Zstd(decoder) => decoder.flush(),
        };
        ended.map_err(|e| self.refusal(&e))?;
        match self.state {
            State::Plain(capped) => Ok(capped.out),
            State::Gzip(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().out)),
            State::Zstd(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().out)),
            State::Whole(body) => decode(self.encoding, &body, self.limits),
        }
    }
    fn refusal(&self, error: &std::io::Error) -> InflateError {
        let full = match &self.state {
            State::Plain(capped) => capped.full,
            State::Gzip(decoder) => decoder.get_ref().full,
            State::Zstd(decoder) => decoder.get_ref().full,
            State::Whole(_) => false,
        };
        match full {
            true => InflateError::Decompressed(self.limits.decompressed),
            false => InflateError::Malformed(name_of(self.encoding), error.to_string()),
        }
    }
}

/// Reads a body to its end and decompresses it on the way.
pub async fn collect<B>(body: B, encoding: Encoding, limits: Limits) -> Result<Bytes, InflateError>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    let mut body = std::pin::pin!(body);
    let mut decoder = StreamDecoder::new(encoding, limits)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| InflateError::Transfer(e.to_string()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        while data.has_remaining() {
            let chunk = data.chunk();
            let taken = chunk.len();
            decoder.push(chunk)?;
            data.advance(taken);
        }
    }
    Ok(Bytes::from(decoder.finish()?))
}
