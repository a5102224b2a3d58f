//! A body on its way → decompressed bytes. What comes over the wire is bounded at every chunk; then the decoder for whole
//! bodies takes over, which spends no memory on a bomb. For request bodies and for answers that we fetch.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::decode::decode;
use super::{Encoding, InflateError, Limits};
use crate::blocking::spawn_blocking;

/// Larger bodies are decompressed on a blocking thread, so that they do not hold up other requests.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Reads a body to its end within the limits and decompresses it.
pub async fn collect<B>(body: B, encoding: Encoding, limits: Limits) -> Result<Bytes, InflateError>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    collect_settled(body, encoding, limits, Duration::ZERO).await
}

/// The same for somebody who has time: after the first piece it waits, so that the rest is read in few large pieces. Programs that
/// write their answer in many small pieces would wake us for each.
pub async fn collect_settled<B>(body: B, encoding: Encoding, limits: Limits, settle: Duration) -> Result<Bytes, InflateError>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    let wire_max = if encoding == Encoding::Identity { limits.compressed.min(limits.decompressed) } else { limits.compressed };
    let taken = gather(body, wire_max, settle).await?;
    if encoding == Encoding::Identity || taken.is_empty() {
        return Ok(Bytes::from(taken));
    }
    if taken.len() <= INLINE_BYTES_MAX {
        return decode(encoding, &taken, limits).map(Bytes::from);
    }
    let work = spawn_blocking(move || decode(encoding, &taken, limits));
    work.await.map_err(|e| InflateError::Transfer(e.to_string()))?.map(Bytes::from)
}

/// The buffer grows with what really came, never by a declared length.
async fn gather<B>(body: B, max: usize, mut settle: Duration) -> Result<Vec<u8>, InflateError>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    let mut body = std::pin::pin!(body);
    // A length that is declared honestly saves reading what would be refused anyway.
    if body.size_hint().lower() > max as u64 {
        return Err(InflateError::Compressed(max));
    }
    let mut taken = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| InflateError::Transfer(e.to_string()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if taken.len() + data.remaining() > max {
            return Err(InflateError::Compressed(max));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = chunk.len();
            taken.extend_from_slice(chunk);
            data.advance(length);
        }
        if !settle.is_zero() && !body.is_end_stream() {
            tokio::time::sleep(std::mem::take(&mut settle)).await;
        }
    }
    Ok(taken)
}
