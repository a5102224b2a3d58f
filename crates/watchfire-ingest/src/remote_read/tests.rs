//! Tests of remote read against prost's encoder and decoder, and against garbage.

use proptest::prelude::*;
use prost::Message as _;
use watchfire_model::labels;

use super::*;
use crate::tsdb;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<ProtoQuery>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoQuery {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<ProtoMatcher>,
    #[prost(bytes, tag = "4")]
    hints: Vec<u8>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ProtoSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time: i64,
}
#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<ProtoSample>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Result1 {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(message, repeated, tag = "1")]
    results: Vec<Result1>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoChunk {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(int32, tag = "3")]
    encoding: i32,
    #[prost(bytes, tag = "4")]
    data: Vec<u8>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<ProtoChunk>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ChunkedResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<ChunkedSeries>,
    #[prost(int64, tag = "2")]
    query: i64,
}

fn request(matchers: &[(i32, &str, &str)], accepted: &[i32]) -> Vec<u8> {
    let matchers = matchers.iter().map(|(kind, name, value)| ProtoMatcher { kind: *kind, name: (*name).into(), value: (*value).into() }).collect();
    Request { queries: vec![ProtoQuery { start: -5, end: 7, matchers, hints: vec![] }], accepted: accepted.to_vec() }.encode_to_vec()
}

#[test]
fn requests() {
    let all = [(0, "__name__", "up"), (1, "a", "b"), (2, "c", "d.*"), (3, "e", "f|g")];
    let read = decode(&request(&all, &[7, 1, 0])).unwrap();
    assert_eq!((read.queries[0].start, read.queries[0].end, read.response_type), (-5, 7, ResponseType::StreamedXorChunks));
    let matchers: Vec<_> = read.queries[0].matchers.iter().map(|m| (m.name.as_str(), m.op, m.value.as_str())).collect();
    assert_eq!(matchers, [("__name__", MatchOp::Equal, "up"), ("a", MatchOp::NotEqual, "b"), ("c", MatchOp::Regex, "d.*"), ("e", MatchOp::NotRegex, "f|g")]);
    assert_eq!(decode(&request(&[], &[])).unwrap().response_type, ResponseType::Samples);
    assert_eq!(decode(&request(&[], &[0, 1])).unwrap().response_type, ResponseType::Samples, "the client's order counts");
}

#[test]
fn bad_requests() {
    let check = |message: &[u8], expected: &str| {
        let error = decode(message).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&request(&[(4, "a", "b")], &[]), "invalid matcher type");
    check(&request(&[(2, "a", "(")], &[]), "(");
    check(&request(&[], &[5]), "server does not support any of the requested response types: [5]");
    check(&[0x0a, 0x05, 0x01], "it ends within a field");
    check(&Request { queries: vec![ProtoQuery::default(); QUERIES_MAX + 1], accepted: vec![] }.encode_to_vec(), "more than 256 queries");
}

#[test]
fn samples_as_one_message() {
    let mut result = QueryResult::default();
    let labels = labels!("__name__" => "up", "job" => "a");
    result.push(&labels, &Series { labels: labels.clone(), times: vec![1, 2], values: vec![0.5, -0.0], histograms: vec![] });
    let response = Response::decode(&*response(&[QueryResult::default(), result])).unwrap();
    assert_eq!(response.results.len(), 2, "every query has a result, an empty one too");
    let series = &response.results[1].series[0];
    assert_eq!((series.labels[1].name.as_str(), series.labels[1].value.as_str()), ("job", "a"));
    assert_eq!(series.samples.iter().map(|s| (s.time, s.value.to_bits())).collect::<Vec<_>>(), [(1, 0.5f64.to_bits()), (2, (-0.0f64).to_bits())]);
}

/// Cuts a stream into its frames.
fn unframe(mut stream: &[u8]) -> Vec<ChunkedResponse> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let len = prost::encoding::decode_varint(&mut stream).unwrap() as usize;
        let (sum, rest) = stream.split_at(4);
        let (message, rest) = rest.split_at(len);
        assert_eq!(tsdb::castagnoli(message).to_be_bytes(), sum);
        frames.push(ChunkedResponse::decode(message).unwrap());
        stream = rest;
    }
    frames
}

#[test]
fn long_series_take_several_frames() {
    let labels = labels!("__name__" => "up");
    let times: Vec<i64> = (0..200_000).collect();
    let values: Vec<f64> = times.iter().map(|t| (*t as f64).sqrt()).collect();
    let chunks = tsdb::encode(&times, &values, &[]);
    let mut rest = chunks.clone().into_iter();
    let mut stream = Vec::new();
    while rest.len() > 0 {
        stream.extend(frame(3, &labels, &mut rest));
    }
    let frames = unframe(&stream);
    assert!(frames.len() > 1 && frames.iter().all(|f| f.encoded_len() < FRAME_BYTES_MAX + 4096), "{}", frames.len());
    let mut back = tsdb::ChunkSamples::default();
    for frame in &frames {
        assert_eq!((frame.query, frame.series.len(), frame.series[0].labels[0].value.as_str()), (3, 1, "up"));
        for chunk in &frame.series[0].chunks {
            tsdb::decode(chunk.encoding as u8, &chunk.data, &mut back).unwrap();
        }
    }
    assert_eq!((back.times, back.values), (times, values));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes));
    }
}
