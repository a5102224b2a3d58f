//! What has to be done from time to time: syncing the log, looking for room, closing.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Engine;
use crate::stats::Stats;

impl Engine {
    /// Does what is due now. Called every second or so, from one thread.
    pub(crate) fn tick(&self) {
        self.look_for_room();
        self.sync();
    }

    /// Syncs the log if something was written since the last time.
    pub(crate) fn sync(&self) {
        let (dirty, position) = {
            let writer = self.writer();
            (writer.wal.is_dirty(), writer.wal.position())
        };
        if dirty && let Err(error) = self.sync_to(position) {
            tracing::error!(%error, "cannot sync the write-ahead log");
        }
    }

    fn look_for_room(&self) {
        match self.disk.free_bytes(&self.options.dir) {
            Ok(free) => self.free_bytes.store(free, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "cannot ask for the room on the file system"),
        }
    }

    /// Stops in good order. Later writes are refused.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || self.failure().is_some() {
            return;
        }
        if let Err(error) = self.writer().wal.close() {
            let error = self.append_failed(error);
            tracing::error!(%error, "cannot close the write-ahead log");
        }
    }

    /// Figures about this engine.
    pub(crate) fn stats(&self) -> Stats {
        let (wal_bytes, wal_written_bytes) = {
            let writer = self.writer();
            (writer.wal.bytes(), writer.wal.written_bytes())
        };
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        let full = (free_bytes < self.options.min_free_bytes).then(|| "the disk is full".to_owned());
        let shared = self.read();
        Stats {
            series: shared.head.live() as u64,
            head_samples: shared.head.samples(),
            head_bytes: shared.head.chunk_bytes() as u64,
            appended: self.counters.appended.get(),
            wal_bytes,
            wal_written_bytes,
            oldest: shared.head.range().map(|(min, _)| min),
            newest: shared.head.range().map(|(_, max)| max),
            free_bytes,
            refusing: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone().or(full),
            replay: self.replay.clone(),
            ..Stats::default()
        }
    }
}
