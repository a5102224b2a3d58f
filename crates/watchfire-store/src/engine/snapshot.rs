//! Snapshots: a directory that a store can be opened in, with everything that was acknowledged before. Segments never change,
//! so they are linked; nothing is written twice but the small files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use watchfire_model::batch::Metadata;

use super::open::write_layout_file;
use super::{Engine, entries_dir, metrics_dir, tiers_dir, wal_dir};
use crate::exemplars;
use crate::file::{link_or_copy, write_whole};
use crate::logs::segment::LogSegment;
use crate::logs::{PerSignal, Signal};
use crate::metrics::record;
use crate::metrics::segment::Segment;
use crate::metrics::tombstones::{self, Tombstone};
use crate::stats::SnapshotReport;
use crate::wal::{AppendError, SIGNAL_METRICS, Wal};

/// What a snapshot consists of, all of one moment.
struct Content {
    segments: Vec<Arc<Segment>>,
    tiers: Vec<Arc<Segment>>,
    entries: PerSignal<Vec<Arc<LogSegment>>>,
    tombstones: Vec<Arc<Tombstone>>,
    exemplars: Option<Vec<u8>>,
    metadata: Vec<Metadata>,
    /// The number of a log file that no segment speaks of as flushed.
    log: u64,
}

impl Engine {
    /// See `Store::snapshot`; `also` adds what is not the engine's.
    pub(crate) fn snapshot(&self, into: &Path, skip_head: bool, also: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<SnapshotReport> {
        let (Some(name), Some(parent)) = (into.file_name(), into.parent()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a snapshot needs a directory of its own"));
        };
        self.still_open()?;
        let _turn = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk.create_dir(parent)?;
        if self.disk.exists(into)? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists already", into.display())));
        }
        let content = self.content(skip_head)?;
        let mut temporary = name.to_owned();
        temporary.push(".tmp");
        let temporary = parent.join(temporary);
        self.disk.remove_dir(&temporary)?;
        let done = self.fill(&temporary, &content).and_then(|report| {
            also(&temporary)?;
            self.disk.sync_dir(&temporary)?;
            self.disk.rename(&temporary, into)?;
            self.disk.sync_dir(parent)?;
            Ok(report)
        });
        if done.is_err()
            && let Err(error) = self.disk.remove_dir(&temporary)
        {
            tracing::warn!(%error, directory = %temporary.display(), "cannot remove an unfinished snapshot");
        }
        done
    }

    /// Holds on to everything. Files of segments that are replaced meanwhile stay until the snapshot lets go of them, so copying
    /// is in nobody's way.
    fn content(&self, skip_head: bool) -> io::Result<Content> {
        // Neither flush nor merge nor deletion may come between.
        let mut next = self.building();
        let in_memory = {
            let shared = self.read();
            shared.items()
        };
        if !skip_head && in_memory > 0 {
            self.flush_now(&mut next)?;
        }
        let (log, _) = self.writer().wal.position();
        let exemplars = if skip_head { None } else { Some(exemplars::encode(&self.exemplar_ring())?) };
        let shared = self.read();
        Ok(Content {
            segments: shared.segments.clone(),
            tiers: shared.tiers.clone(),
            entries: PerSignal::from_fn(|signal| shared.entries[signal].segments.clone()),
            tombstones: self.tombstones().clone(),
            exemplars,
            metadata: shared.head.metadata().cloned().collect(),
            log,
        })
    }

    fn fill(&self, dir: &Path, content: &Content) -> io::Result<SnapshotReport> {
        let (segments_dir, tiers_dir, log_dir) = (metrics_dir(dir), tiers_dir(dir), wal_dir(dir));
        for inner in [&segments_dir, &tiers_dir, &log_dir] {
            self.disk.create_dir(inner)?;
        }
        let mut report = SnapshotReport { segments: content.segments.len() as u64, ..SnapshotReport::default() };
        for (segments, target) in [(&content.segments, &segments_dir), (&content.tiers, &tiers_dir)] {
            for segment in segments {
                let Some(name) = segment.path.file_name() else { continue };
                link_or_copy(&*self.disk, &segment.path, &target.join(name))?;
                report.bytes += segment.bytes;
            }
            self.disk.sync_dir(target)?;
        }
        for signal in Signal::ALL {
            let (segments, target) = (&content.entries[signal], entries_dir(dir, signal));
            self.disk.create_dir(&target)?;
            for segment in segments {
                let Some(name) = segment.path.file_name() else { continue };
                link_or_copy(&*self.disk, &segment.path, &target.join(name))?;
                report.bytes += segment.bytes;
            }
            self.disk.sync_dir(&target)?;
            let entries = segments.iter().map(|s| s.footer.entries).sum();
            match signal {
                Signal::Logs => (report.log_segments, report.log_entries) = (segments.len() as u64, entries),
                Signal::Spans => (report.span_segments, report.spans) = (segments.len() as u64, entries),
                Signal::Profiles => (report.profile_segments, report.profiles) = (segments.len() as u64, entries),
            }
        }
        report.samples = content.segments.iter().map(|s| s.footer.samples).sum();
        if !content.tombstones.is_empty() {
            write_whole(&*self.disk, dir, tombstones::FILE, &tombstones::encode(content.tombstones.iter().map(|t| &**t))?)?;
        }
        if let Some(exemplars) = &content.exemplars {
            write_whole(&*self.disk, dir, exemplars::FILE, exemplars)?;
        }
        self.log_metadata(log_dir, content)?;
        write_layout_file(&*self.disk, dir)?;
        Ok(report)
    }

    /// What is known of metric families is in the log only.
    fn log_metadata(&self, dir: PathBuf, content: &Content) -> io::Result<()> {
        if content.metadata.is_empty() {
            return Ok(());
        }
        let mut log = Wal::new(self.disk.clone(), &dir, content.log, self.now(), self.options.wal_file_bytes);
        log.frame(SIGNAL_METRICS, |out| record::encode(out, &[], &content.metadata.iter().collect::<Vec<_>>(), &[]));
        log.close().map_err(|error| match error {
            AppendError::Full(error) | AppendError::Poisoned(error) => error,
        })
    }
}
