//! Doors for the fuzzer: the store's readers of stored bytes, each fed with bytes from nowhere. Compiled only with the feature
//! `fuzzing`; not an interface for anybody else, and nothing here judges what comes out.

use crate::metrics::head::decode_xor;
use crate::metrics::{histogram, record, segment, tombstones};
use crate::{exemplars, wal};

/// A frame of the log, as a record of a signal.
pub fn log_record(signal: u8, payload: &[u8]) {
    drop(record::decode(signal, payload));
}

/// The headers in a file of the log.
pub fn log_headers(bytes: &[u8]) {
    wal::fuzz_headers(bytes);
}

/// A chunk of floats in memory, with the count of its samples.
pub fn head_chunk(bytes: &[u8], count: u16) -> usize {
    let mut seen = 0;
    decode_xor(bytes, count, |_, _| {
        seen += 1;
        true
    });
    seen
}

/// A chunk of histograms in memory, with the count of its samples.
pub fn head_histograms(bytes: &[u8], count: u16) -> usize {
    let mut seen = 0;
    histogram::decode(bytes, count, |_, _| {
        seen += 1;
        true
    });
    seen
}

/// A block of a segment, unpacked: chunks at an offset.
pub fn block(raw: &[u8], offset: usize, chunks: u32) {
    segment::fuzz_block(raw, offset, chunks);
}

/// The two indexes of a segment, unpacked.
pub fn indexes(labels: Vec<u8>, runs: Vec<u8>) {
    segment::fuzz_indexes(labels, runs);
}

/// The small files beside the segments.
pub fn small_files(bytes: &[u8]) {
    drop(tombstones::decode(bytes));
    drop(exemplars::decode(bytes));
}
