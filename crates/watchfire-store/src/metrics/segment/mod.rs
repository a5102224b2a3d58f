//! Segments: immutable, self-describing files. Blocks of chunks, then an index, then a footer; written under a temporary name,
//! synced and renamed, deleted whole. Layout: `docs/formats/metrics-segment.md`.

mod blocks;
mod chunk;
mod footer;
mod histograms;
mod index;

mod opened;
mod reader;
mod values;
mod windows;
mod writer;

use crate::segment_file::Format;
use crate::wal::SIGNAL_METRICS;

pub(crate) use blocks::Blocks;
pub(crate) use chunk::Piece;
pub(crate) use footer::{Origin, Tier};
pub(crate) use index::LabelIndex;
pub(crate) use opened::Opened;
pub(crate) use reader::{BlockCache, Loaded, Segment};
pub(crate) use writer::SegmentWriter;

/// The newest major version of the format that we read.
pub(crate) const MAJOR: u16 = 3;
/// The version of segments with native histograms and without windows.
const MAJOR_HISTOGRAMS: u16 = 2;
/// The version of segments without native histograms, which older programs read.
const MAJOR_FLOATS: u16 = 1;
/// How they are told from other files.
const FORMAT: Format = Format { magic: *b"WATCHSEG", magic_end: *b"WATCHEND", major: MAJOR, minor: 0, signal: SIGNAL_METRICS, footer_bytes_max: 1 << 20 };

/// Reads bytes as a block, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_block(raw: &[u8], offset: usize, chunks: u32) {
    let mut seen = 0;
    let whole = (i64::MIN, i64::MAX);
    let _whole = chunk::ChunkDecoder::default().run(raw, 0, (offset, chunks), whole, &mut |_| seen += 1);
}

/// Reads bytes as the indexes, and asks them everything, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_indexes(labels: Vec<u8>, runs: Vec<u8>) {
    use crate::metrics::postings::{self, Index};
    use watchfire_model::labels::Labels;
    use watchfire_model::matcher::Matcher;
    /// Enough to meet everything that a small input can hold.
    const SERIES_MAX: usize = 1_000;
    if let Some(index) = index::LabelIndex::new(labels) {
        let names: Vec<String> = index.names().take(SERIES_MAX).map(str::to_owned).collect();
        for name in &names {
            postings::values(&index, name, None, &mut hashbrown::HashSet::new());
            postings::select(&index, &[Matcher::equal(name, "x")]);
        }
        for number in 0..index.len().min(SERIES_MAX) as u32 {
            if let Some(labels) = Labels::unpack(index.packed(number)) {
                index.find(&labels);
            }
            index.label(number, "job");
        }
    }
    if let Some(index) = index::RunIndex::new(runs) {
        for number in 0..SERIES_MAX as u32 {
            index.block(number);
            index.runs(number).take(SERIES_MAX).for_each(drop);
        }
    }
}
