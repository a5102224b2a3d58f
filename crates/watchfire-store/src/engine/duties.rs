//! What has to be done from time to time, in the order of urgency: look for room, sync, flush, merge, remove, tidy.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::retention::{ClockWatch, REMOVAL_PAUSE};
use super::{Engine, Shared, millis, wal_dir};
use crate::file::Room;
use crate::logs::Signal;
use crate::options::Options;
use crate::stats::{Stats, Written};

/// Between two looks at the room on the file system.
const ROOM_PAUSE: Duration = Duration::from_secs(3);
/// After a failed flush or merge.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Indexes that no query has asked for during this time are let go.
const INDEX_IDLE: Duration = Duration::from_secs(120);

/// When what was done last, on the monotonic clock.
pub(super) struct Schedule {
    room: Duration,
    sync: Duration,
    /// When the epoch of the log began, so that a restart does not postpone the flush.
    flush_due: Duration,
    merge_due: Duration,
    removal: Duration,
    pub(super) clock: ClockWatch,
}

impl Schedule {
    /// `epoch_age_ms` is how old the log's epoch is already.
    pub(super) fn new(options: &Options, epoch_age_ms: i64, shared: &Shared) -> Schedule {
        let now = options.clock.monotonic();
        let age = Duration::from_millis(epoch_age_ms.max(0) as u64).min(options.flush_interval);
        Schedule {
            room: now,
            sync: now,
            flush_due: now.saturating_add(options.flush_interval.saturating_sub(age)),
            merge_due: now,
            removal: now,
            clock: ClockWatch::new(options, shared),
        }
    }
}

/// The room that must be left, so that a small volume of its own is not full from the start.
pub(super) fn free_bytes_min(options: &Options, room: Room) -> u64 {
    options.min_free_bytes.min(room.size / 10)
}

impl Shared {
    /// The time of the newest sample.
    pub(super) fn newest(&self) -> Option<i64> {
        self.segments.iter().map(|s| s.footer.max).chain(self.head.range().map(|(_, max)| max)).max()
    }
    fn oldest(&self) -> Option<i64> {
        self.segments.iter().map(|s| s.footer.min).chain(self.head.range().map(|(min, _)| min)).min()
    }
}

impl Engine {
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the log's epoch begins now.
    pub(super) fn epoch_began(&self) {
        self.schedule().flush_due = self.options.clock.monotonic().saturating_add(self.options.flush_interval);
    }

    /// Does what is due now. Called every second or so, from one thread.
    pub(crate) fn tick(&self) {
        let now = self.options.clock.monotonic();
        let due = |at: Duration| now >= at;
        let (room, sync) = {
            let schedule = self.schedule();
            (due(schedule.room + ROOM_PAUSE), due(schedule.sync + self.options.sync_interval))
        };
        if room {
            self.schedule().room = now;
            self.look_for_room();
        }
        if sync {
            self.schedule().sync = now;
            self.sync();
        }
        if self.flush_is_due(now)
            && let Err(error) = self.flush()
        {
            tracing::error!(%error, "cannot move recent samples into a segment; the log keeps them");
            self.schedule().flush_due = now + RETRY_PAUSE;
        }
        for signal in Signal::ALL {
            if self.entries_are_due(signal)
                && let Err(error) = self.flush_entries(signal)
            {
                tracing::error!(%error, "cannot move {} into a segment; the log keeps them", signal.entries());
            }
        }
        let merge_due = due(self.schedule().merge_due);
        if merge_due && let Err(error) = self.merge() {
            tracing::error!(%error, "cannot merge segments");
            self.schedule().merge_due = now + RETRY_PAUSE;
        }
        if merge_due && let Err(error) = self.downsample() {
            tracing::error!(%error, "cannot write a week of a tier");
            self.schedule().merge_due = now + RETRY_PAUSE;
        }
        for signal in Signal::ALL {
            if merge_due && let Err(error) = self.merge_entries(signal) {
                tracing::error!(%error, "cannot merge segments of {}", signal.entries());
                self.schedule().merge_due = now + RETRY_PAUSE;
            }
        }
        if merge_due && let Err(error) = self.prune_tombstones() {
            tracing::warn!(%error, "cannot forget what was deleted from files that are gone");
        }
        self.clean_up(now);
        self.starts().look(now);
    }

    fn flush_is_due(&self, now: Duration) -> bool {
        let (bytes, items, span) = {
            let shared = self.read();
            let items = shared.items();
            (shared.head.chunk_bytes(), items, shared.head.range().map_or(0, |(min, max)| max.saturating_sub(min)))
        };
        let long = self.writer().wal.epoch_bytes() > self.options.wal_bytes_max;
        let late = now >= self.schedule().flush_due;
        // Old data that come in fast need not fill the memory: what spans two flushes makes good segments already.
        let far = span >= millis(self.options.flush_interval).saturating_mul(2) && bytes > self.options.memory_max / 16;
        far || long || bytes > self.options.memory_max / 2 || (items > 0 && late)
    }

    /// Whether entries should move into a segment although the log stays.
    pub(in crate::engine) fn entries_are_due(&self, signal: Signal) -> bool {
        let (streams, of_streams) = {
            let writer = self.writer();
            (writer.entries[signal].streams.len(), writer.entries[signal].streams.bytes())
        };
        let options = self.options.entries(signal);
        let (bytes, entries) = {
            let head = &self.read().entries[signal].head;
            (head.bytes(), head.entries())
        };
        entries > 0 && (bytes + of_streams > options.memory_max / 2 || streams > options.streams_max / 2)
    }

    fn clean_up(&self, now: Duration) {
        let by_age = Signal::ALL.into_iter().any(|signal| self.entry_options(signal).keeps_for_a_time());
        if self.options.retention.is_some() || by_age || self.options.size_max.is_some() {
            let (believed, removal_due) = {
                let mut schedule = self.schedule();
                let believed = schedule.clock.look(&self.options);
                let due = now >= schedule.removal + REMOVAL_PAUSE;
                if due {
                    schedule.removal = now;
                }
                (believed, due)
            };
            // Size does not depend on the clock, and a full disk does not wait for a minute.
            if removal_due || self.options.size_max.is_some() {
                self.remove_one(believed && removal_due);
            }
            for signal in Signal::ALL {
                if believed
                    && removal_due
                    && let Err(error) = self.apply_rules(signal)
                {
                    tracing::error!(%error, "cannot remove {} that are older than their rule allows", signal.entries());
                }
            }
        }
        self.remove_damaged();
        let idle = now.saturating_sub(INDEX_IDLE).as_millis() as u64;
        self.blocks.clear_if_idle(idle);
        let shared = self.read();
        for segment in shared.segments.iter().chain(&shared.tiers) {
            if segment.used.load(Ordering::Relaxed) < idle {
                segment.unload();
            }
        }
        for segment in shared.entries.iter().flat_map(|entries| &entries.segments).filter(|s| s.used.load(Ordering::Relaxed) < idle) {
            segment.unload();
        }
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

    pub(super) fn look_for_room(&self) {
        match self.disk.room(&wal_dir(&self.options.dir)) {
            Ok(room) => {
                self.free_bytes_min.store(free_bytes_min(&self.options, room), Ordering::Relaxed);
                self.free_bytes.store(room.free, Ordering::Relaxed);
            }
            // The log's open file would go on taking writes that nobody can ever read again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.fail_once("the data directory is gone"),
            Err(error) => tracing::warn!(%error, "cannot ask for the room on the file system"),
        }
    }

    /// Stops in good order. Later writes are refused.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.close_log();
        self.starts().survived();
    }

    fn close_log(&self) {
        if self.failure().is_some() {
            return;
        }
        let items = {
            let shared = self.read();
            shared.items()
        };
        let long = self.writer().wal.epoch_bytes() > self.options.flush_on_close_log_bytes;
        if (items > self.options.flush_on_close_samples || (items > 0 && long))
            && let Err(error) = self.flush()
        {
            tracing::error!(%error, "cannot move recent samples into a segment; the next start reads them from the log");
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
        let full = (free_bytes < self.free_bytes_min.load(Ordering::Relaxed)).then(|| "the disk is full".to_owned());
        let (exemplars, exemplar_bytes) = {
            let ring = self.exemplar_ring();
            (ring.len(), ring.bytes())
        };
        let [logs, spans, profiles] = Signal::ALL.map(|signal| self.entry_stats(signal));
        let shared = self.read();
        let sum = |of: fn(&crate::metrics::segment::Segment) -> u64| shared.segments.iter().map(|s| of(s)).sum();
        Stats {
            series: shared.head.live() as u64,
            head_samples: shared.head.samples(),
            head_bytes: shared.head.chunk_bytes() as u64,
            appended: self.counters.appended.get(),
            wal_bytes,
            wal_written_bytes,
            written: Written::default(),
            segments: shared.segments.len() as u64,
            tombstones: self.tombstones().len() as u64,
            logs,
            spans,
            profiles,
            exemplars: exemplars as u64,
            exemplar_bytes: exemplar_bytes as u64,
            tiers: shared.tiers.len() as u64,
            tier_bytes: shared.tiers.iter().map(|t| t.bytes).sum(),
            segment_bytes: sum(|s| s.bytes),
            segment_sample_bytes: sum(|s| s.footer.block_bytes),
            segment_samples: sum(|s| s.footer.samples),
            state_reset: false,
            state_bytes: 0,
            oldest: shared.oldest(),
            newest: shared.newest(),
            quarantined: self.quarantined.load(Ordering::Relaxed),
            damaged_blocks: self.counters.damaged_blocks.get(),
            damaged_id_indexes: self.counters.damaged_ids.get(),
            free_bytes,
            refusing: self.failure().or(full),
            replay: self.replay.clone(),
            offline: self.offline.clone(),
        }
    }
}
