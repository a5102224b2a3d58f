//! What a store tells about itself.

use std::path::PathBuf;

use watchfire_model::time::Timestamp;

/// How the last start went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Frames that were read from the write-ahead log.
    pub frames: u64,
    /// Samples that were read from it.
    pub samples: u64,
    /// Log entries that were read from it.
    pub log_entries: u64,
    /// Spans that were read from it.
    pub spans: u64,
    /// Profiles that were read from it.
    pub profiles: u64,
    /// Samples and entries whose series or stream was lost to damage.
    pub orphans: u64,
    /// Bytes of a torn end that were cut off.
    pub torn_bytes: u64,
    /// Files that went into quarantine.
    pub quarantined: u64,
    /// Whether the run before ended in good order.
    pub clean: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Segments that were written on the way because memory did not suffice.
    pub spilled: u64,
    /// How many starts before this one died early; with three and more the log is read back in little memory.
    pub deaths: u32,
}

/// Log files that were set aside because every start that read them died. They are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offline {
    /// Where they are.
    pub dir: PathBuf,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was begun, in milliseconds since 1970.
    pub since: Option<i64>,
}

impl std::fmt::Display for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files of the write-ahead log ({} bytes", self.files, self.bytes)?;
        if let Some(since) = self.since {
            write!(f, ", samples since {}", Timestamp(since).rfc3339())?;
        }
        write!(f, ") are offline in {}, whole, because starts that read them died; ", self.dir.display())?;
        write!(f, "to bring them back, give the server more memory, rename that directory to \"returned\", and start it again")
    }
}

/// What was written to the disk since the start, in bytes as they were handed to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The write-ahead log.
    pub log: u64,
    /// Segments, of samples and of tiers.
    pub segments: u64,
    /// The small durable state.
    pub state: u64,
    /// Everything else.
    pub other: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
}

impl Written {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.log + self.segments + self.state + self.other
    }
}

/// Figures about logs, or about another signal that is kept as entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Streams that are being written to.
    pub streams: u64,
    /// Entries in memory.
    pub head_entries: u64,
    /// Bytes that they occupy.
    pub head_bytes: u64,
    /// Entries stored since the start.
    pub appended: u64,
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Entries in them.
    pub segment_entries: u64,
    /// Bytes of lines and structured metadata in them, as they came.
    pub segment_raw_bytes: u64,
    /// The time of the oldest entry, in milliseconds.
    pub oldest: Option<i64>,
    /// The time of the newest entry, in milliseconds.
    pub newest: Option<i64>,
    /// Names of labels that were moved to structured metadata.
    pub moved_names: u64,
}

/// Figures about a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series in memory.
    pub series: u64,
    /// Samples in memory.
    pub head_samples: u64,
    /// Bytes that samples occupy in memory.
    pub head_bytes: u64,
    /// Samples stored since the start.
    pub appended: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes written to the write-ahead log since the start.
    pub wal_written_bytes: u64,
    /// All that was written since the start.
    pub written: Written,
    /// Segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// Segments of tiers.
    pub tiers: u64,
    /// Their bytes.
    pub tier_bytes: u64,
    /// Bytes of samples within the segments, without indexes.
    pub segment_sample_bytes: u64,
    /// Samples in segments.
    pub segment_samples: u64,
    /// Whether the state file was damaged at the start: it is in quarantine, and tokens, users and sessions are gone.
    pub state_reset: bool,
    /// Bytes of the state file.
    pub state_bytes: u64,
    /// The time of the oldest sample, in milliseconds.
    pub oldest: Option<i64>,
    /// The time of the newest sample, in milliseconds.
    pub newest: Option<i64>,
    /// Files in quarantine.
    pub quarantined: u64,
    /// Blocks that were found damaged while reading, since the start.
    pub damaged_blocks: u64,
    /// Reads and merges that met a damaged index of ids.
    pub damaged_id_indexes: u64,
    /// Deletions that no merge has carried out in the files yet.
    pub tombstones: u64,
    /// Exemplars in memory.
    pub exemplars: u64,
    /// Bytes of memory that they occupy.
    pub exemplar_bytes: u64,
    /// Logs.
    pub logs: LogStats,
    /// Spans.
    pub spans: LogStats,
    /// Profiles.
    pub profiles: LogStats,
    /// Room on the file system at the last look.
    pub free_bytes: u64,
    /// Why writes are refused, if they are.
    pub refusing: Option<String>,
    /// How the start went.
    pub replay: Replay,
    /// What is set aside, if something is.
    pub offline: Option<Offline>,
}

/// What a deletion reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Series of which samples are gone.
    pub series: u64,
    /// Segments that held them.
    pub segments: u64,
}

/// What a deletion of log entries reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogDeletion {
    /// Entries that are gone.
    pub entries: u64,
    /// Segments that held them.
    pub segments: u64,
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Segments.
    pub segments: u64,
    /// Samples in them, those included that are deleted and not merged away yet.
    pub samples: u64,
    /// Segments of logs.
    pub log_segments: u64,
    /// Entries in them.
    pub log_entries: u64,
    /// Segments of spans.
    pub span_segments: u64,
    /// Spans in them.
    pub spans: u64,
    /// Segments of profiles.
    pub profile_segments: u64,
    /// Profiles in them.
    pub profiles: u64,
    /// Bytes of the segments. Links take no room of their own.
    pub bytes: u64,
}

/// One file that a cleanup would remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupFile {
    /// Its path below the data directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its samples, or its log entries.
    pub samples: u64,
    /// The time of its first sample, in milliseconds.
    pub oldest: i64,
    /// The time of its last sample, in milliseconds.
    pub newest: i64,
    /// `retention` or `size`.
    pub reason: &'static str,
}

/// What retention would remove now, if it were not held back to one segment at a time; or what a cleanup removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupPreview {
    /// The files, oldest first.
    pub files: Vec<CleanupFile>,
    /// Their bytes in all.
    pub bytes: u64,
    /// The time of the oldest sample among them.
    pub oldest: Option<i64>,
    /// The time of the newest sample among them.
    pub newest: Option<i64>,
    /// Why nothing is removed at the moment although it is due: the clock has jumped.
    pub held: bool,
}
