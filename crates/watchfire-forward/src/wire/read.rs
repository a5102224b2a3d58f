//! Remote read: the request, and both forms of its answer, whole samples and streamed chunks.

use std::ops::ControlFlow;

use bytes::Bytes;
use watchfire_ingest::protobuf::{Message, Value, WireError, Writer, label_pair};
use watchfire_ingest::remote_write::{Decoder, Options, Version};
use watchfire_ingest::tsdb::{self, ChunkSamples};
use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::Series;

/// The forms of an answer that we take, the most wanted first: streamed chunks, samples.
const ACCEPTED: [u64; 2] = [1, 0];

/// Asks for the series of some matchers between two times (inclusive), as one snappy block.
pub(crate) fn encode_request(matchers: &[Matcher], start: i64, end: i64) -> Bytes {
    let mut request = Writer::new();
    request.message(1, |query| {
        query.int(1, start);
        query.int(2, end);
        for matcher in matchers {
            let op = match matcher.op {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            };
            query.message(3, |out| {
                out.uint(1, op);
                out.text(2, &matcher.name);
                out.text(3, &matcher.value);
            });
        }
    });
    request.packed(2, ACCEPTED.into_iter());
    super::compressed(request.bytes())
}

/// Reads a `prometheus.ReadResponse`, already decompressed. An error says what is wrong with it.
pub(crate) fn samples<B>(body: &[u8], visit: &mut dyn FnMut(Series) -> ControlFlow<B>) -> Result<ControlFlow<B>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read the answer: {error}");
    for field in Message::new(body) {
        let (1, Value::Bytes(result)) = field.map_err(|e| wrong(&e))? else { continue };
        // A result has its series where a write request has them, and they are the same message.
        let decoded = Decoder::new(Options::default()).decode(Version::V1, result, Origin::new("remote_read")).map_err(|e| wrong(&e))?;
        if decoded.refused.rejected_total() > 0 {
            return Err(wrong(&decoded.refused.example.unwrap_or_default()));
        }
        let histograms = decoded.batch.histograms.into_iter().map(|h| Series { labels: h.labels, histograms: h.samples, ..Series::default() });
        let floats = decoded.batch.series.into_iter().map(|s| Series {
            labels: s.labels,
            times: s.samples.as_slice().iter().map(|s| s.time.millis()).collect(),
            values: s.samples.as_slice().iter().map(|s| s.value).collect(),
            histograms: Vec::new(),
        });
        for series in floats.chain(histograms) {
            if let ControlFlow::Break(why) = visit(series) {
                return Ok(ControlFlow::Break(why));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Cuts a stream into its frames and reads them: length (varint), CRC-32C (4 bytes, big-endian), a `ChunkedReadResponse`.
pub(crate) struct Frames {
    held: Vec<u8>,
    bytes_max: usize,
}

impl Frames {
    /// Frames of at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Frames {
        Frames { held: Vec::new(), bytes_max }
    }
    /// Bytes of a frame that has begun and not ended.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
    /// Whether no frame has begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
    /// Takes the next bytes of the stream.
    pub(crate) fn take<B>(&mut self, bytes: &[u8], visit: &mut dyn FnMut(Series) -> ControlFlow<B>) -> Result<ControlFlow<B>, String> {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        let outcome = loop {
            let rest = self.held.get(at..).unwrap_or(&[]);
            let Some((len, digits)) = varint(rest)? else { break ControlFlow::Continue(()) };
            if len > self.bytes_max as u64 {
                return Err(format!("a frame of {len} bytes is larger than chunked_read_limit"));
            }
            let begin = digits + 4;
            let Some(data) = rest.get(begin..begin + len as usize) else { break ControlFlow::Continue(()) };
            let sum = rest[digits..begin].iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            if tsdb::castagnoli(data) != sum {
                return Err("a frame's checksum is wrong".to_owned());
            }
            if let ControlFlow::Break(why) = frame(data, visit).map_err(|e| format!("cannot read a frame: {e}"))? {
                break ControlFlow::Break(why);
            }
            at += begin + len as usize;
        };
        self.held.drain(..at);
        Ok(outcome)
    }
}

/// The number in front, and how many bytes it takes; `None` when more bytes are needed.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, String> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 10 { Err("a frame's length is no number".to_owned()) } else { Ok(None) }
}

#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Chunk(#[from] tsdb::ChunkError),
}

fn frame<B>(data: &[u8], visit: &mut dyn FnMut(Series) -> ControlFlow<B>) -> Result<ControlFlow<B>, FrameError> {
    for field in Message::new(data) {
        if let (1, Value::Bytes(series)) = field?
            && let ControlFlow::Break(why) = visit(chunked_series(series)?)
        {
            return Ok(ControlFlow::Break(why));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A `ChunkedSeries`. Neighbouring chunks may overlap; the earlier sample of a time counts.
fn chunked_series(data: &[u8]) -> Result<Series, FrameError> {
    let mut labels: Vec<(&str, &str)> = Vec::new();
    let mut found = ChunkSamples::default();
    for field in Message::new(data) {
        match field? {
            (1, Value::Bytes(label)) => labels.push(label_pair(label)?),
            (2, Value::Bytes(chunk)) => {
                let (mut kind, mut bytes): (u64, &[u8]) = (0, &[]);
                for field in Message::new(chunk) {
                    match field? {
                        (3, Value::Varint(number)) => kind = number,
                        (4, Value::Bytes(data)) => bytes = data,
                        _ => {}
                    }
                }
                tsdb::decode(u8::try_from(kind).unwrap_or(u8::MAX), bytes, &mut found)?;
            }
            _ => {}
        }
    }
    let mut floats: Vec<(i64, f64)> = found.times.into_iter().zip(found.values).collect();
    floats.sort_by_key(|(time, _)| *time);
    floats.dedup_by_key(|(time, _)| *time);
    found.histograms.sort_by_key(|h| h.time);
    found.histograms.dedup_by_key(|h| h.time);
    let (times, values) = floats.into_iter().unzip();
    Ok(Series { labels: Labels::from_pairs(labels), times, values, histograms: found.histograms })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_ingest::remote_read;
    use watchfire_model::labels;

    use super::*;

    fn all(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<Series>, String> {
        let mut found = Vec::new();
        let flow: ControlFlow<()> = frames.take(bytes, &mut |series| {
            found.push(series);
            ControlFlow::Continue(())
        })?;
        assert!(flow.is_continue());
        Ok(found)
    }

    proptest! {
        /// A stream may be cut anywhere.
        #[test]
        fn pieces_of_a_stream_are_put_together(lens in proptest::collection::vec(1usize..300, 1..6), cuts in proptest::collection::vec(1usize..200, 0..40)) {
            let mut stream = Vec::new();
            for (n, len) in lens.iter().enumerate() {
                let times: Vec<i64> = (0..*len as i64).map(|t| t * 15_000).collect();
                let values: Vec<f64> = times.iter().map(|t| *t as f64 / 7.0).collect();
                let mut chunks = tsdb::encode(&times, &values, &[]).into_iter();
                while chunks.len() > 0 {
                    stream.extend(remote_read::frame(0, &labels!("n" => &n.to_string()), &mut chunks));
                }
            }
            let mut frames = Frames::new(1 << 20);
            let (mut rest, mut found) = (&stream[..], Vec::new());
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                found.extend(all(&mut frames, piece).unwrap());
                rest = later;
            }
            found.extend(all(&mut frames, rest).unwrap());
            prop_assert!(frames.is_empty());
            prop_assert_eq!(found.iter().map(|s| s.times.len()).collect::<Vec<_>>(), lens);
        }

        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ignored = (all(&mut Frames::new(1 << 10), &bytes), samples::<()>(&bytes, &mut |_| ControlFlow::Continue(())), frame::<()>(&bytes, &mut |_| ControlFlow::Continue(())));
        }
    }
}
