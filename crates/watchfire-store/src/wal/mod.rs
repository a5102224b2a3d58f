//! The write-ahead log: one for all signals. It appends frames, syncs them, starts new files and reads them back after a crash.
//! What stands in a frame is the business of the signal that wrote it. Layout: `docs/formats/wal.md`.

mod frame;
mod log;
mod replay;
mod tail;

use std::path::{Path, PathBuf};

pub(crate) use log::{AppendError, Wal};
pub(crate) use replay::{ReplayReport, Visit, check_versions, replay};
pub use tail::Position;
pub(crate) use tail::{Found, LogReader, Progress, epoch_began, epochs, oldest_epoch_began};

/// The newest major version of the log's format that we read and the one that we write.
pub(crate) const MAJOR: u16 = 6;
/// Raised when readers of the same major version may see something new that they can ignore.
pub(crate) const MINOR: u16 = 0;
/// The first bytes of every log file.
pub(crate) const MAGIC: [u8; 8] = *b"WATCHWAL";
/// The log's own remarks (see [`Control`]).
pub(crate) const SIGNAL_CONTROL: u8 = 0;
/// Metrics: series definitions, float samples, metadata.
pub(crate) const SIGNAL_METRICS: u8 = 1;
/// Metrics, and native histograms behind them. Since version 2.
pub(crate) const SIGNAL_HISTOGRAMS: u8 = 2;
/// Exemplars of series that are defined in frames before. Since version 2.
pub(crate) const SIGNAL_EXEMPLARS: u8 = 3;
/// Logs: streams and their entries. Since version 3.
pub(crate) const SIGNAL_LOGS: u8 = 4;
/// Spans, in the form of logs. Since version 4.
pub(crate) const SIGNAL_SPANS: u8 = 5;
/// Profiles, in the form of logs. Since version 6.
pub(crate) const SIGNAL_PROFILES: u8 = 6;
/// The largest payload of one frame; larger lengths are damage.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What the log says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Everything in this file before the offset was on the medium when this frame was written.
    SyncedTo(u64),
    /// The program stopped in good order; nothing follows.
    CleanStop,
}

impl Control {
    fn encode(self) -> Vec<u8> {
        match self {
            Control::SyncedTo(offset) => std::iter::once(1).chain(offset.to_le_bytes()).collect(),
            Control::CleanStop => vec![2],
        }
    }
    fn decode(payload: &[u8]) -> Option<Control> {
        match payload {
            [1, offset @ ..] => Some(Control::SyncedTo(u64::from_le_bytes(offset.try_into().ok()?))),
            [2] => Some(Control::CleanStop),
            _ => None,
        }
    }
}

/// Reads bytes as the headers of the log, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_headers(bytes: &[u8]) {
    let _file = frame::FileHeader::decode(bytes);
    let _frame = frame::FrameHeader::decode(bytes);
    let _control = Control::decode(bytes);
}

/// The path of a log file.
pub(crate) fn path_of(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:08}.log"))
}

/// The number in the name of a log file.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}
