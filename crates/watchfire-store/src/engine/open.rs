//! Opening: check versions, tidy up what a crash left, read the log back into the head, start a new log file.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::delete::load_tombstones;
use super::duties::free_bytes_min;
use super::exemplars::load_exemplars;
use super::flush::{move_to_quarantine, sort};
use super::flushed::{self, Flushed};
use super::logs::{Before, EntryWriter, RestoreEntries};
use super::offline;
use super::replay::{Bound, Restore};
use super::starts::{Care, Starts};
use super::tiers::WEEK_MS;
use super::{Counters, Engine, EntryCounters, Schedule, Shared, SharedLogs, Writer, entries_dir, metrics_dir, millis, quarantine_dir, tiers_dir, wal_dir};
use crate::error::OpenError;
use crate::exemplars::{Dropped, Exemplars};
use crate::file::{Disk, read_all, write_whole};
use crate::logs::recent::Recent;
use crate::logs::{PerSignal, Signal};
use crate::metrics::compact::Place;
use crate::metrics::segment::{Blocks, Segment};
use crate::options::Options;
use crate::segment_file::{self, SegmentError};
use crate::stats::Replay;
use crate::wal::{self, ReplayReport, Wal};

/// The version of the directory's layout; the files have versions of their own.
const LAYOUT: u16 = 1;
/// The file that says which layout a directory has.
const LAYOUT_FILE: &str = "format";
const LAYOUT_PREFIX: &str = "watchfire data ";
/// Where memory is short, reading back takes this part of what samples may occupy; a log of this part of that again fits for sure.
const LITTLE_SHARE: usize = 4;

impl Engine {
    /// Opens a directory whose log nobody reads.
    #[cfg(test)]
    pub(crate) fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Engine, OpenError> {
        Engine::open_with(disk, options, false)
    }

    /// Opens a directory. A crash at any point of this is harmless: the next start does the same again. With `holds_unknown` all
    /// log files stay until it is known who reads them.
    pub(crate) fn open_with(disk: Arc<dyn Disk>, options: Options, holds_unknown: bool) -> Result<Engine, OpenError> {
        let began = options.clock.monotonic();
        let (logs, metrics) = (wal_dir(&options.dir), metrics_dir(&options.dir));
        let entries = PerSignal::from_fn(|signal| entries_dir(&options.dir, signal));
        check_layout(&*disk, &options.dir)?;
        check_tiers(&options)?;
        let tiers = tiers_dir(&options.dir);
        for dir in [&logs, &metrics, &tiers, &quarantine_dir(&options.dir)].into_iter().chain(entries.iter()) {
            disk.create_dir(dir).map_err(OpenError::io("create", dir))?;
        }
        // Nothing is changed before all versions are known to be ours.
        wal::check_versions(&*disk, &logs)?;
        offline::check_versions(&*disk, &options.dir)?;
        flushed::check_version(&*disk, &options.dir)?;
        let found =
            (find_segments(&disk, &metrics)?, find_segments(&disk, &tiers)?, PerSignal::try_from_fn(|signal| super::logs::find(&disk, &entries[signal]))?);
        write_layout(&*disk, &options.dir)?;
        let starts = Starts::begin(disk.clone(), &options.dir);
        let counted = starts.clone();
        let opening = Opening { disk, options, starts, holds_unknown };
        let mut engine = opening.engine(found).inspect_err(|_| counted.refused())?;
        engine.replay.duration_ms = engine.options.clock.monotonic().saturating_sub(began).as_millis() as u64;
        Ok(engine)
    }

    /// Moves what was read back into segments where memory did not suffice, where log files came back, and where some are damaged and
    /// to be put away. After a crash before that, the next start reads all of it again.
    fn after_reading(&self, mut spilled: Vec<u64>, returned: Option<&[String]>, damaged: bool) -> Result<(), OpenError> {
        if let Some(offline) = &self.offline {
            tracing::error!("safe mode: {offline}");
        }
        if spilled.is_empty() && returned.is_none() && !damaged {
            return Ok(());
        }
        let flushed = self.flush_spilled(&mut self.building(), &mut spilled);
        // Whatever went wrong with the rest: nobody would see these. The log, which stays, says the same.
        let metrics = metrics_dir(&self.options.dir);
        self.show_spilled(&mut spilled).map_err(OpenError::io("name segments in", &metrics))?;
        let settled = flushed.and_then(|()| match returned {
            Some(damaged) => {
                offline::forget_returned(&*self.disk, &self.options.dir, damaged)?;
                damaged.iter().for_each(|_| self.count_quarantined());
                Ok(())
            }
            None => Ok(()),
        });
        if let Err(error) = settled {
            tracing::error!(%error, "cannot settle the log that was read back yet; the next start reads it again");
        }
        Ok(())
    }
}

/// A directory that may be read.
struct Opening {
    disk: Arc<dyn Disk>,
    options: Options,
    starts: Starts,
    holds_unknown: bool,
}

impl Opening {
    fn engine(self, (found, found_tiers, found_entries): (Found, Found, PerSignal<super::logs::Found>)) -> Result<Engine, OpenError> {
        let Opening { disk, options, starts, holds_unknown } = self;
        let (metrics, tiers) = (metrics_dir(&options.dir), tiers_dir(&options.dir));
        let counters = Counters::register(&options.meter);
        let (segments, next_segment) = tidy(&*disk, &options.dir, &metrics, found, &counters)?;
        let (tiers, next_tier) = tidy(&*disk, &options.dir, &tiers, found_tiers, &counters)?;
        let mut next_entries = 0;
        let mut entries = PerSignal::<SharedLogs>::default();
        let mut told = Flushed { log_before: segments.iter().map(|s| s.footer.origin.log_before).max().unwrap_or(0), ..Flushed::default() };
        for (signal, found) in found_entries.into_each() {
            let (segments, next) = super::logs::tidy(&disk, &options.dir, &entries_dir(&options.dir, signal), found, &counters)?;
            next_entries = next.max(next_entries);
            told = segments.iter().map(|s| Flushed::of_entries(signal, s.footer.origin.log_before)).fold(told, Flushed::max);
            entries[signal].segments = segments;
        }
        let (kept, lost_flushed) = flushed::load(&*disk, &options.dir)?;
        let Flushed { log_before, entries_before } = kept.max(told);
        let (tombstones, lost_tombstones) = load_tombstones(&*disk, &options.dir, segments.iter().chain(&tiers))?;
        // A tombstone must never meet a later segment of the same number.
        let mut next_segment =
            tombstones.iter().flat_map(|t| &t.segments).map(|id| id.saturating_add(1)).fold(next_segment.max(next_tier).max(next_entries), u64::max);
        let mut ring = Exemplars::new(options.exemplars_max, options.exemplars_bytes_max);
        let lost_exemplars = load_exemplars(&*disk, &options.dir, &mut ring)?;
        counters.quarantined.add([lost_tombstones, lost_exemplars, lost_flushed].into_iter().map(u64::from).sum());
        let mut shared = Shared { segments, tiers, entries, ..Shared::default() };
        let mut recent = PerSignal::from_fn(|signal| Recent::new(options.entries(signal).recent_max));
        let into = Into { shared: &mut shared, ring: &mut ring, recent: &mut recent, next_segment: &mut next_segment };
        let LogRead { mut replay, report, wal, spilled, returned } = read_log(&disk, &options, starts.care(), (log_before, entries_before), into)?;
        replay.quarantined += counters.quarantined.get();
        replay.deaths = starts.deaths();
        let room = disk.room(&options.dir).map_err(OpenError::io("ask for the room on", &options.dir))?;
        let quarantine = quarantine_dir(&options.dir);
        let in_quarantine = disk.list(&quarantine).map_err(OpenError::io("list", &quarantine))?.len() as u64;
        let offline = offline::found(&*disk, &options.dir)?;
        let writers = recent.try_map(|signal, recent| EntryWriter::new(signal, options.entries(signal), recent));
        let writers = writers.map_err(OpenError::io("prepare writing to", &wal_dir(&options.dir)))?;
        let now = options.clock.now().millis();
        let epoch_began = report.epoch.map_or(now, |(_, began)| began.min(now));
        let schedule = Schedule::new(&options, now.saturating_sub(epoch_began), &shared);
        let (sequence, _) = wal.position();
        let engine = Engine {
            entry_options: PerSignal::from_fn(|signal| RwLock::new(Arc::new(options.entries(signal).clone()))),
            disk,
            synced: Mutex::new(wal.position()),
            writer: Mutex::new(Writer::new(wal, sequence, writers)),
            sealing: Mutex::default(),
            shared: RwLock::new(shared),
            blocks: Arc::new(Blocks::new(options.block_cache_bytes)),
            syncing: Mutex::new(()),
            failed: Mutex::new(None),
            next_segment: Mutex::new(next_segment),
            schedule: Mutex::new(schedule),
            closed: AtomicBool::new(false),
            free_bytes: AtomicU64::new(room.free),
            free_bytes_min: AtomicU64::new(free_bytes_min(&options, room)),
            damaged_logs: Mutex::new(report.damaged.clone()),
            quarantined: AtomicU64::new(in_quarantine),
            holds: Mutex::default(),
            holds_unknown: AtomicBool::new(holds_unknown),
            flushed_before: AtomicU64::new(log_before),
            flushed: Mutex::new(kept),
            snapshots: Mutex::default(),
            exemplars: Mutex::new(ring),
            tombstones: Mutex::new(tombstones),
            starts: Mutex::new(starts),
            counters,
            replay,
            offline,
            options,
        };
        // A death in here is one before the start was ready: with the same memory the next one would die as well.
        engine.after_reading(spilled, returned.as_deref(), !report.damaged.is_empty())?;
        engine.starts.lock().unwrap_or_else(PoisonError::into_inner).ready(engine.options.clock.monotonic());
        Ok(engine)
    }
}

/// Where what is read goes.
struct Into<'a> {
    shared: &'a mut Shared,
    ring: &'a mut Exemplars,
    recent: &'a mut PerSignal<Recent>,
    next_segment: &'a mut u64,
}

/// What came of the log.
struct LogRead {
    replay: Replay,
    report: ReplayReport,
    /// The log that goes on.
    wal: Wal,
    /// Segments without names, of what did not fit into memory.
    spilled: Vec<u64>,
    /// If log files that had been set aside are among what was read: those of them that are damaged.
    returned: Option<Vec<String>>,
}

/// Reads the log back, with as much care as the deaths before ask for, and begins a new epoch of it. `before` are the first file whose
/// samples and the first place whose log entries are not in segments.
fn read_log(disk: &Arc<dyn Disk>, options: &Options, care: Care, before: (u64, Before), into: Into<'_>) -> Result<LogRead, OpenError> {
    let (log_before, entries_before) = before;
    let (dir, logs, metrics) = (&options.dir, wal_dir(&options.dir), metrics_dir(&options.dir));
    let Into { shared, ring, recent, next_segment } = into;
    let little = options.memory_max / LITTLE_SHARE;
    if care != Care::Usual {
        tracing::error!("the last starts died early: safe mode, the write-ahead log is read back in little memory");
    }
    offline::set_aside(&**disk, dir, before, care, (little / LITTLE_SHARE) as u64)?;
    let free_sequence = offline::next_sequence(&**disk, dir)?;
    let mut spilled = Vec::new();
    let mut returned = None;
    let entries_are_in = offline::entries_are_in(&**disk, dir, entries_before)?;
    let mut entries_came = PerSignal::default();
    if matches!(care, Care::Usual | Care::LittleMemory) && offline::has_returned(&**disk, dir)? {
        let entries = RestoreEntries::new(&mut shared.entries, recent, options, Before::default());
        let place = Place::new(&**disk, &metrics, next_segment);
        let how = offline::How { bytes: little, entries_are_in, stop: &options.stop };
        let back = offline::take_back(&**disk, dir, &mut shared.head, ring, entries, place, &how)?;
        if let Some(samples) = back.samples {
            spilled.extend(samples.segments);
            returned = Some(samples.damaged);
        }
        entries_came = back.entries;
    }
    let bound = if care == Care::Usual { Bound::Samples(options.memory_max) } else { Bound::Everything(little) };
    let entries = RestoreEntries::new(&mut shared.entries, recent, options, entries_before);
    let mut restore = Restore::new(&mut shared.head, ring, entries, Place::new(&**disk, &metrics, next_segment), bound);
    let taken = entries_before.iter().map(|(file, _)| *file).max().unwrap_or(0);
    let report = restore.read(&**disk, &logs, (log_before, taken), &options.stop)?;
    let mut replay = Replay {
        frames: report.frames,
        samples: restore.samples,
        log_entries: restore.entries.counts[Signal::Logs],
        spans: restore.entries.counts[Signal::Spans],
        profiles: restore.entries.counts[Signal::Profiles],
        orphans: restore.orphans + restore.entries.orphans,
        torn_bytes: report.torn_bytes,
        quarantined: report.damaged.len() as u64,
        clean: report.clean,
        ..Replay::default()
    };
    spilled.extend(restore.finish());
    replay.spilled = spilled.len() as u64;
    let now = options.clock.now().millis();
    // A new epoch: the log defines its series again, so that files of the epochs before can go at any time.
    let epoch_began = report.epoch.map_or(now, |(_, began)| began.min(now));
    let sequence = report.next_sequence.max(free_sequence);
    if entries_came.iter().any(|count| *count > 0) {
        let into = |signal, into: Option<u64>| into.or((entries_came[signal] > 0).then_some(sequence));
        offline::entries_go_into(&**disk, dir, entries_are_in.map(into))?;
    }
    let mut wal = Wal::new(disk.clone(), &logs, sequence, epoch_began, options.wal_file_bytes);
    wal.add_closed_bytes(report.bytes);
    // The canary forgets the log before its content is elsewhere, to prove that a second death is noticed.
    #[cfg(feature = "canary-forgetful-recovery")]
    wal.drop_before(sequence).map_err(OpenError::io("remove", &logs))?;
    Ok(LogRead { replay, report, wal, spilled, returned })
}

/// Refuses windows that would cross the borders of weeks.
fn check_tiers(options: &Options) -> Result<(), OpenError> {
    match options.tiers.iter().find(|t| millis(t.resolution) == 0 || WEEK_MS % millis(t.resolution) != 0) {
        Some(tier) => {
            let reason = format!("windows of {:?} do not divide a week", tier.resolution);
            Err(OpenError::io("keep tiers in", &options.dir)(io::Error::new(io::ErrorKind::InvalidInput, reason)))
        }
        None => Ok(()),
    }
}

/// Refuses directories of a newer layout. A number of which the file's own checksum knows nothing is damage, not news; the other
/// files tell their versions themselves.
fn check_layout(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LAYOUT_FILE);
    let Ok(file) = disk.open(&path) else { return Ok(()) };
    let text = read_all(&*file).map_err(OpenError::io("read", &path))?;
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().next().and_then(|line| line.strip_prefix(LAYOUT_PREFIX)?.parse::<u16>().ok());
    match found.filter(|found| text == layout_text(*found)) {
        Some(found) if found > LAYOUT => Err(OpenError::Newer { path, found, known: LAYOUT }),
        _ => Ok(()),
    }
}

/// The first line, which used to be the whole file.
fn layout_line(number: u16) -> String {
    format!("{LAYOUT_PREFIX}{number}\n")
}

/// The whole file.
fn layout_text(number: u16) -> String {
    let line = layout_line(number);
    format!("{line}crc32 {:08x}\n", crc32fast::hash(line.as_bytes()))
}

/// Writes the number of the layout unless it stands there.
fn write_layout(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LAYOUT_FILE);
    if let Ok(file) = disk.open(&path) {
        let text = read_all(&*file).map_err(OpenError::io("read", &path))?;
        if text == layout_text(LAYOUT).as_bytes() || text == layout_line(LAYOUT).as_bytes() {
            return Ok(());
        }
        tracing::error!(file = %path.display(), "the number of the layout is damaged; it is written anew");
    }
    write_layout_file(disk, dir).map_err(OpenError::io("write", &path))
}

pub(super) fn write_layout_file(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    write_whole(disk, dir, LAYOUT_FILE, layout_text(LAYOUT).as_bytes())
}

/// What stands in the directory of segments.
struct Found {
    segments: Vec<Arc<Segment>>,
    damaged: Vec<String>,
    unfinished: Vec<String>,
    next: u64,
}

fn find_segments(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Found, OpenError> {
    let mut found = Found { segments: Vec::new(), damaged: Vec::new(), unfinished: Vec::new(), next: 1 };
    for entry in disk.list(dir).map_err(OpenError::io("list", dir))? {
        let path = dir.join(&entry.name);
        let Some(id) = segment_file::id_of(&entry.name) else {
            if entry.name.ends_with(".tmp") {
                found.unfinished.push(entry.name);
            }
            continue;
        };
        found.next = found.next.max(id.saturating_add(1));
        match Segment::open(disk.clone(), &path, id) {
            Ok(segment) => found.segments.push(Arc::new(segment)),
            Err(SegmentError::Newer { found, known }) => return Err(OpenError::Newer { path, found, known }),
            Err(SegmentError::Damaged(what)) => {
                tracing::error!(file = %path.display(), what, "a segment cannot be read");
                found.damaged.push(entry.name);
            }
            Err(SegmentError::Io(source)) => return Err(OpenError::Io { doing: "read", path, source }),
        }
    }
    Ok(found)
}

/// Removes unfinished files and segments that a merge has replaced, and moves damaged ones away.
fn tidy(disk: &dyn Disk, root: &Path, dir: &Path, found: Found, counters: &Counters) -> Result<(Vec<Arc<Segment>>, u64), OpenError> {
    for name in &found.unfinished {
        let path = dir.join(name);
        disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    for name in &found.damaged {
        move_to_quarantine(disk, root, dir, name).map_err(OpenError::io("move into quarantine", &dir.join(name)))?;
        counters.quarantined.inc();
    }
    let replaced: Vec<u64> = found.segments.iter().flat_map(|s| s.footer.origin.replaces.iter().copied()).collect();
    let next = replaced.iter().map(|id| id.saturating_add(1)).max().unwrap_or(0).max(found.next);
    let (gone, mut segments): (Vec<_>, Vec<_>) = found.segments.into_iter().partition(|s| replaced.contains(&s.id));
    for segment in gone {
        disk.remove(&segment.path).map_err(OpenError::io("remove", &segment.path))?;
    }
    sort(&mut segments);
    Ok((segments, next))
}

impl EntryCounters {
    fn register(meter: &watchfire_model::meter::Meter, signal: Signal) -> EntryCounters {
        let counters: [(&str, &str); 4] = match signal {
            Signal::Logs => [
                ("watchfire_storage_log_entries_appended_total", "Log entries that were stored."),
                ("watchfire_storage_log_entries_duplicate_total", "Log entries that came again and were not stored twice."),
                ("watchfire_storage_log_entries_truncated_total", "Log entries that were stored without the end of their line."),
                ("watchfire_storage_log_flushes_total", "Moves of log entries alone from memory into segments."),
            ],
            Signal::Spans => [
                ("watchfire_storage_spans_appended_total", "Spans that were stored."),
                ("watchfire_storage_spans_duplicate_total", "Spans that came again and were not stored twice."),
                ("watchfire_storage_spans_truncated_total", "Spans that were stored without some of their events and links."),
                ("watchfire_storage_span_flushes_total", "Moves of spans alone from memory into segments."),
            ],
            Signal::Profiles => [
                ("watchfire_storage_profiles_appended_total", "Profiles that were stored, one for each series and type."),
                ("watchfire_storage_profiles_duplicate_total", "Profiles that came again and were not stored twice."),
                ("watchfire_storage_profiles_truncated_total", "Profiles that were stored without some of their stacks."),
                ("watchfire_storage_profile_flushes_total", "Moves of profiles alone from memory into segments."),
            ],
        };
        let [stored, duplicates, truncated, flushes] = counters.map(|(name, help)| meter.counter(name, help, &[]));
        EntryCounters { stored, duplicates, truncated, flushes }
    }
}

impl Counters {
    fn register(meter: &watchfire_model::meter::Meter) -> Counters {
        Counters {
            appended: meter.counter("watchfire_storage_samples_appended_total", "Samples that were stored.", &[]),
            syncs: meter.counter("watchfire_storage_wal_syncs_total", "Syncs of the write-ahead log.", &[]),
            quarantined: meter.counter("watchfire_storage_quarantined_total", "Damaged files that were moved into quarantine.", &[]),
            flushes: meter.counter("watchfire_storage_flushes_total", "Moves of recent samples from memory into segments.", &[]),
            merges: meter.counter("watchfire_storage_merges_total", "Merges of segments.", &[]),
            downsampled: meter.counter("watchfire_storage_downsampled_weeks_total", "Weeks that were written as windows of a tier.", &[]),
            deleted: meter.counter("watchfire_storage_segments_deleted_total", "Segments that retention removed.", &[]),
            damaged_blocks: meter.counter("watchfire_storage_damaged_blocks_total", "Reads that met a damaged block.", &[]),
            damaged_ids: meter.counter(
                "watchfire_storage_damaged_id_indexes_total",
                "Reads and merges that met a damaged index of ids, and looked at all blocks of the segment instead.",
                &[],
            ),
            exemplars: meter.counter("watchfire_storage_exemplars_appended_total", "Exemplars that were kept.", &[]),
            entries: PerSignal::from_fn(|signal| EntryCounters::register(meter, signal)),
            exemplars_dropped: Dropped::ALL.map(|reason| {
                let labels = [("reason", reason.name())];
                meter.counter("watchfire_storage_exemplars_dropped_total", "Exemplars that were not kept.", &labels)
            }),
        }
    }
}
