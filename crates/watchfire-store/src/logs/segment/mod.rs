//! Segments of logs: immutable, self-describing files of blocks with an index behind them; written under a temporary name, synced and
//! renamed, deleted whole. Layout: `docs/formats/logs-segment.md`.

mod footer;
mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use footer::{Footer, Origin};
pub(crate) use reader::{Index, LogSegment, Stored};
pub(crate) use writer::SegmentWriter;

/// The newest major version of the format that we read and the one that we write.
pub(crate) const MAJOR: u16 = 1;
/// Raised when readers of the same major version may see something new that they can ignore.
const MINOR: u16 = 0;
/// The first bytes of every segment.
const MAGIC: [u8; 8] = *b"WATCHLOG";
/// The last bytes of every segment.
const MAGIC_END: [u8; 8] = *b"WATCHEOL";
/// The name of a segment ends so; a file under construction has `.tmp` behind it.
const SUFFIX: &str = ".seg";
/// No index is larger when unpacked.
const INDEX_BYTES_MAX: u32 = 1 << 30;

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("damaged {0}")]
    Damaged(&'static str),
    #[error("format version {0} is newer than {MAJOR}")]
    Newer(u16),
}

/// Reads bytes as a footer and as an index of blocks, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_index(footer: &[u8], blocks: &[u8]) {
    /// Enough for everything that a small input can name.
    const STREAMS: usize = 1_000;
    let _name = Footer::decode(footer).is_some_and(|footer| footer.may_have_name("n"));
    let _blocks = reader::decode_index(&mut crate::encoding::Input::new(blocks), STREAMS).is_some();
}

/// The path of a segment.
pub(crate) fn path_of(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:08}{SUFFIX}"))
}
/// The number in the name of a segment.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}
