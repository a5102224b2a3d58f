//! Remote read: `ReadRequest` in, `ReadResponse` or a stream of `ChunkedReadResponse` frames out. Requests are read and answers
//! written here; what is selected is the face's business, and how samples become chunks that of `tsdb`.
//!
//! Field numbers: ReadRequest { 1: Query*, 2: response type* }, Query { 1: start ms, 2: end ms, 3: LabelMatcher*, 4: hints },
//! LabelMatcher { 1: type, 2: name, 3: value }; ReadResponse { 1: QueryResult* }, QueryResult { 1: TimeSeries* };
//! ChunkedReadResponse { 1: ChunkedSeries*, 2: query index }, ChunkedSeries { 1: Label*, 2: Chunk* },
//! Chunk { 1: start ms, 2: end ms, 3: encoding, 4: data }.

#[cfg(test)]
mod tests;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher, MatcherError};
use watchfire_model::read::Series;
use watchfire_model::sample::Sample;
use watchfire_model::time::Timestamp;

use crate::protobuf::{Message, Value, WireError, Writer, numbers, text};
use crate::remote_write::wire::{self, v1};
use crate::tsdb::{Chunk, castagnoli};

/// The media type of streamed answers.
pub const STREAMED_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// The most queries of one request.
pub const QUERIES_MAX: usize = 256;
/// A frame is ended when its chunks reach this size.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the read request: {0}")]
    Wire(#[from] WireError),
    /// A matcher cannot be used.
    #[error("{0}")]
    Matcher(#[from] MatcherError),
    /// A type of matcher that does not exist.
    #[error("invalid matcher type")]
    MatcherType,
    /// None of the wanted kinds of answers is known.
    #[error("server does not support any of the requested response types: {0:?}; supported: SAMPLES, STREAMED_XOR_CHUNKS")]
    ResponseType(Vec<u64>),
    /// Too many queries at once.
    #[error("more than {QUERIES_MAX} queries in one request")]
    Queries,
}

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// One message with all samples.
    Samples,
    /// Frames with encoded chunks, series by series.
    StreamedXorChunks,
}

/// What a client asks for.
#[derive(Debug)]
pub struct ReadRequest {
    /// The queries, answered one by one.
    pub queries: Vec<Query>,
    /// The first kind of answer that it takes and we have.
    pub response_type: ResponseType,
}

/// One selection. Hints are not needed: samples are given as they are.
#[derive(Debug)]
pub struct Query {
    /// The first moment, in milliseconds.
    pub start: i64,
    /// The last moment, inclusive.
    pub end: i64,
    /// All must hold.
    pub matchers: Vec<Matcher>,
}

/// Reads a request, already decompressed.
pub fn decode(message: &[u8]) -> Result<ReadRequest, RequestError> {
    let (mut queries, mut accepted) = (Vec::new(), Vec::new());
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(_)) if queries.len() >= QUERIES_MAX => return Err(RequestError::Queries),
            (1, Value::Bytes(query)) => queries.push(decode_query(query)?),
            (2, value) => numbers(value, &mut |number| accepted.push(number))?,
            _ => {}
        }
    }
    let known = accepted.iter().find_map(|number| match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    });
    // Old clients say nothing about it.
    let response_type = known.or(accepted.is_empty().then_some(ResponseType::Samples)).ok_or(RequestError::ResponseType(accepted))?;
    Ok(ReadRequest { queries, response_type })
}

fn decode_query(message: &[u8]) -> Result<Query, RequestError> {
    let mut query = Query { start: 0, end: 0, matchers: Vec::new() };
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(ms)) => query.start = ms.cast_signed(),
            (2, Value::Varint(ms)) => query.end = ms.cast_signed(),
            (3, Value::Bytes(matcher)) => query.matchers.push(decode_matcher(matcher)?),
            _ => {}
        }
    }
    Ok(query)
}

fn decode_matcher(message: &[u8]) -> Result<Matcher, RequestError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(number)) => {
                let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
                op = usize::try_from(number).ok().and_then(|n| ops.get(n).copied()).ok_or(RequestError::MatcherType)?;
            }
            (2, Value::Bytes(bytes)) => name = text(bytes)?,
            (3, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok(Matcher::new(name, op, value)?)
}

/// The result of one query in the making: a message of samples.
#[derive(Default)]
pub struct QueryResult {
    // The messages of results and of writes have their series in the same place.
    series: v1::Request,
    samples: Vec<Sample>,
}
impl QueryResult {
    /// Adds a series under the name it has for the client.
    pub fn push(&mut self, labels: &Labels, series: &Series) {
        self.samples.clear();
        self.samples.extend(series.times.iter().zip(&series.values).map(|(time, value)| Sample { time: Timestamp(*time), value: *value }));
        self.series.series(&wire::Series { labels, samples: &self.samples, histograms: &series.histograms, exemplars: &[] });
    }
    /// Its size so far, in bytes.
    pub fn len(&self) -> usize {
        self.series.bytes().len()
    }
    /// Whether it has no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The whole answer of [`ResponseType::Samples`], not compressed yet.
pub fn response(results: &[QueryResult]) -> Vec<u8> {
    let mut out = Writer::new();
    for result in results {
        out.always_bytes(1, result.series.bytes());
    }
    out.into_bytes()
}

/// Takes as many chunks as fit into one frame from the front and writes the frame: length, checksum, message.
pub fn frame(query: usize, labels: &Labels, chunks: &mut std::vec::IntoIter<Chunk>) -> Vec<u8> {
    let mut message = Writer::new();
    message.message(1, |out| {
        for (name, value) in labels {
            out.message(1, |label| {
                label.text(1, name);
                label.text(2, value);
            });
        }
        // At least one chunk goes into a frame, whatever its size.
        while out.len() < FRAME_BYTES_MAX {
            let Some(chunk) = chunks.next() else { break };
            out.message(2, |out| {
                out.int(1, chunk.start);
                out.int(2, chunk.end);
                out.uint(3, chunk.encoding as u64);
                out.always_bytes(4, &chunk.data);
            });
        }
    });
    message.uint(2, query as u64);
    let mut out = Writer::new();
    out.varint(message.len() as u64);
    let mut frame = out.into_bytes();
    frame.extend_from_slice(&castagnoli(message.bytes()).to_be_bytes());
    frame.extend_from_slice(message.bytes());
    frame
}
