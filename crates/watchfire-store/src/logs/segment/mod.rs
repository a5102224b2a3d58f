//! Segments of logs: immutable, self-describing files of blocks with an index behind them; written under a temporary name, synced and
//! renamed, deleted whole. Layout: `docs/formats/logs-segment.md`.

mod footer;
mod ids;
mod reader;
mod writer;

use crate::segment_file::Format;
use crate::wal::SIGNAL_LOGS;

pub(crate) use footer::{Footer, Origin};
pub(crate) use ids::{BlockIds, id_hash};
pub(crate) use reader::{BlocksOfIds, Index, LogSegment, Stored};
pub(crate) use writer::SegmentWriter;

/// The newest major version of the format that we read and the one that we write.
pub(crate) const MAJOR: u16 = 1;
/// Raised when readers of the same major version may see something new that they can ignore: 1 may have an index of ids.
const MINOR: u16 = 1;
/// How they are told from other files.
const FORMAT: Format = Format { magic: *b"WATCHLOG", magic_end: *b"WATCHEOL", major: MAJOR, minor: MINOR, signal: SIGNAL_LOGS, footer_bytes_max: 4 << 20 };

/// Reads bytes as a footer and as an index of blocks, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_index(footer: &[u8], blocks: &[u8]) {
    /// Enough for everything that a small input can name.
    const STREAMS: usize = 1_000;
    let _name = Footer::decode(footer).is_some_and(|footer| footer.may_have_name("n"));
    ids::fuzz(footer, blocks);
    let _blocks = reader::decode_index(&mut crate::encoding::Input::new(blocks), STREAMS).is_some();
}
