//! Figures about the entries of a signal.

use super::to_millis;
use crate::engine::Engine;
use crate::logs::Signal;
use crate::stats::LogStats;

impl Engine {
    pub(in crate::engine) fn entry_stats(&self, signal: Signal) -> LogStats {
        let streams = self.writer().entries[signal].streams.len() as u64;
        let shared = self.read();
        let (head, segments) = (&shared.entries[signal].head, &shared.entries[signal].segments);
        let range = head.range();
        LogStats {
            streams,
            head_entries: head.entries(),
            head_bytes: head.bytes() as u64,
            appended: self.counters.entries[signal].stored.get(),
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|s| s.bytes).sum(),
            segment_entries: segments.iter().map(|s| s.footer.entries).sum(),
            segment_raw_bytes: segments.iter().map(|s| s.footer.raw).sum(),
            oldest: segments.iter().map(|s| s.footer.min).chain(range.map(|(min, _)| min)).min().map(to_millis),
            newest: segments.iter().map(|s| s.footer.max).chain(range.map(|(_, max)| max)).max().map(to_millis),
            moved_names: head.moved.len() as u64,
        }
    }
}
