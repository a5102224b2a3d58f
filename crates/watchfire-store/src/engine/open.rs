//! Opening: check versions, read the log back into the head, start a new log file.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use hashbrown::HashMap;

use super::{Counters, Engine, Shared, Writer, metrics_dir, quarantine_dir, wal_dir};
use crate::error::OpenError;
use crate::file::Disk;
use crate::metrics::head::Head;
use crate::metrics::record::{self, Record};
use crate::options::Options;
use crate::stats::Replay;
use crate::wal::{self, SIGNAL_METRICS, Visit, Wal};

impl Engine {
    /// Opens a directory. A crash at any point of this is harmless: the next start does the same again.
    pub(crate) fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Engine, OpenError> {
        let began = options.clock.monotonic();
        let logs = wal_dir(&options.dir);
        for dir in [&logs, &metrics_dir(&options.dir), &quarantine_dir(&options.dir)] {
            disk.create_dir(dir).map_err(OpenError::io("create", dir))?;
        }
        wal::check_versions(&*disk, &logs)?;
        let mut shared = Shared::default();
        let mut restore = Restore { head: &mut shared.head, slots: HashMap::new(), epoch: 0, samples: 0, orphans: 0 };
        let report = wal::replay(&*disk, &logs, 0, &mut |visit| restore.visit(visit))?;
        let mut replay = Replay {
            frames: report.frames,
            samples: restore.samples,
            orphans: restore.orphans,
            torn_bytes: report.torn_bytes,
            quarantined: report.damaged.len() as u64,
            clean: report.clean,
            duration_ms: 0,
        };
        let now = options.clock.now().millis();
        // A new epoch: the log defines its series again, so that files of the epochs before can go at any time.
        let epoch_began = report.epoch.map_or(now, |(_, began)| began.min(now));
        let sequence = report.next_sequence;
        let mut log = Wal::create(disk.clone(), &logs, sequence, sequence, epoch_began, options.wal_file_bytes)
            .map_err(OpenError::io("create a log file in", &logs))?;
        log.add_closed_bytes(report.bytes);
        let free = disk.free_bytes(&options.dir).map_err(OpenError::io("ask for the room on", &options.dir))?;
        let counters = Counters::register(&options.meter);
        replay.duration_ms = (options.clock.monotonic().saturating_sub(began)).as_millis() as u64;
        Ok(Engine {
            disk,
            synced: Mutex::new(log.position()),
            writer: Mutex::new(Writer::new(log, sequence)),
            shared: RwLock::new(shared),
            syncing: Mutex::new(()),
            failed: Mutex::new(None),
            closed: AtomicBool::new(false),
            free_bytes: AtomicU64::new(free),
            counters,
            replay,
            options,
        })
    }
}

/// Puts frames of the log back into the head.
struct Restore<'a> {
    head: &'a mut Head,
    /// From series numbers of the log's current epoch to slots of the head.
    slots: HashMap<u32, u32>,
    epoch: u64,
    samples: u64,
    orphans: u64,
}

impl Restore<'_> {
    fn visit(&mut self, visit: Visit<'_>) -> bool {
        match visit {
            Visit::Epoch(epoch) => {
                if epoch != self.epoch {
                    self.slots.clear();
                    self.epoch = epoch;
                }
                true
            }
            Visit::Frame(SIGNAL_METRICS, payload) => match record::decode(payload) {
                Some(record) => {
                    self.apply(record);
                    true
                }
                None => false,
            },
            Visit::Frame(..) => false,
        }
    }

    fn apply(&mut self, record: Record) {
        for (number, labels) in record.definitions {
            // Not defined in the epoch that is about to begin.
            let slot = self.head.find(&labels).unwrap_or_else(|| self.head.add(labels, None, 0));
            self.slots.insert(number, slot);
        }
        for metadata in &record.metadata {
            self.head.note_metadata(metadata);
        }
        for entry in record.entries {
            let Some(slot) = self.slots.get(&entry.slot) else {
                self.orphans += 1;
                continue;
            };
            let Some(series) = self.head.get(*slot) else { continue };
            // A duplicated page or a log that was read before must not store anything twice.
            if series.newest.is_none_or(|newest| entry.time > newest) || series.find(entry.time).is_none() {
                self.head.push(*slot, entry.time, entry.bits);
                self.samples += 1;
            }
        }
    }
}

impl Counters {
    fn register(meter: &watchfire_model::meter::Meter) -> Counters {
        Counters {
            appended: meter.counter("watchfire_storage_samples_appended_total", "Samples that were stored.", &[]),
            syncs: meter.counter("watchfire_storage_wal_syncs_total", "Syncs of the write-ahead log.", &[]),
            quarantined: meter.counter("watchfire_storage_quarantined_total", "Damaged files that were moved into quarantine.", &[]),
        }
    }
}
