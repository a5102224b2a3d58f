//! Metrics: the head (recent samples in memory), segments (everything older, in immutable files), the codec between them,
//! and selection over both. The write-ahead log below knows nothing of metrics; `record` says what metrics put into it.

pub(crate) mod compact;
pub(crate) mod head;
pub(crate) mod histogram;
pub(crate) mod postings;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod select;
pub(crate) mod tombstones;
