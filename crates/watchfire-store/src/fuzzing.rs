//! Doors for the fuzzer: the store's readers of stored bytes, each fed with bytes from nowhere. Compiled only with the feature
//! `fuzzing`; not an interface for anybody else, and nothing here judges what comes out.

use crate::metrics::head::decode_xor;
use crate::metrics::{histogram, record, segment, tombstones};
use crate::{exemplars, logs, wal};

/// A frame of the log, as a record of a signal.
pub fn log_record(signal: u8, payload: &[u8]) {
    drop(logs::piece::decode(payload, &mut logs::piece::Defined::new()));
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

/// A block of log entries: how many, its head, unpacked, and its columns. Checksums are taken as right.
pub fn logs_block(rows: u32, head: &[u8], columns: &[u8]) {
    logs::fuzz_block(rows, head, columns);
}

/// The footer of a segment of logs, and its index of blocks, unpacked.
pub fn logs_index(footer: &[u8], blocks: &[u8]) {
    logs::segment::fuzz_index(footer, blocks);
}

/// The small files beside the segments.
pub fn small_files(bytes: &[u8]) {
    drop(tombstones::decode(bytes));
    drop(exemplars::decode(bytes));
}
