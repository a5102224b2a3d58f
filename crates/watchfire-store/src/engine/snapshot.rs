//! Snapshots: a directory that a store can be opened in, with everything that was acknowledged before. Segments never change,
//! so they are linked; nothing is written twice but the small files.

use std::io;
use std::path::{Path, PathBuf};

use watchfire_model::batch::Metadata;

use super::open::write_layout_file;
use super::{Engine, metrics_dir, tiers_dir, wal_dir};
use crate::exemplars;
use crate::file::{Disk, write_whole};
use crate::metrics::record;
use crate::metrics::tombstones;
use crate::stats::SnapshotReport;
use crate::wal::{AppendError, SIGNAL_METRICS, Wal};

/// How much is copied at once where a link is not possible.
const COPY_BYTES: usize = 1 << 20;

impl Engine {
    /// See `Store::snapshot`; `also` adds what is not the engine's.
    pub(crate) fn snapshot(&self, into: &Path, skip_head: bool, also: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<SnapshotReport> {
        let (Some(name), Some(parent)) = (into.file_name(), into.parent()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a snapshot needs a directory of its own"));
        };
        // Neither flush nor merge moves anything until the snapshot is complete.
        let mut next = self.building();
        self.disk.create_dir(parent)?;
        if self.disk.exists(into)? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists already", into.display())));
        }
        if !skip_head && self.read().head.samples() > 0 {
            self.flush_now(&mut next)?;
        }
        let mut temporary = name.to_owned();
        temporary.push(".tmp");
        let temporary = parent.join(temporary);
        self.disk.remove_dir(&temporary)?;
        let done = self.fill(&temporary, skip_head).and_then(|report| {
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

    fn fill(&self, dir: &Path, skip_head: bool) -> io::Result<SnapshotReport> {
        let (segments_dir, log_dir) = (metrics_dir(dir), wal_dir(dir));
        self.disk.create_dir(&segments_dir)?;
        self.disk.create_dir(&log_dir)?;
        self.disk.create_dir(&tiers_dir(dir))?;
        let (segments, tiers) = {
            let shared = self.read();
            (shared.segments.clone(), shared.tiers.clone())
        };
        let mut report = SnapshotReport::default();
        for tier in &tiers {
            let Some(name) = tier.path.file_name() else { continue };
            link_or_copy(&*self.disk, &tier.path, &tiers_dir(dir).join(name))?;
            report.bytes += tier.bytes;
        }
        self.disk.sync_dir(&tiers_dir(dir))?;
        for segment in &segments {
            let Some(name) = segment.path.file_name() else { continue };
            link_or_copy(&*self.disk, &segment.path, &segments_dir.join(name))?;
            report.segments += 1;
            report.bytes += segment.bytes;
            report.samples += segment.footer.samples;
        }
        self.disk.sync_dir(&segments_dir)?;
        let deleted = self.tombstones().clone();
        if !deleted.is_empty() {
            write_whole(&*self.disk, dir, tombstones::FILE, &tombstones::encode(deleted.iter().map(|t| &**t))?)?;
        }
        if !skip_head {
            let bytes = exemplars::encode(&self.exemplar_ring())?;
            write_whole(&*self.disk, dir, exemplars::FILE, &bytes)?;
        }
        self.log_metadata(log_dir)?;
        write_layout_file(&*self.disk, dir)?;
        Ok(report)
    }

    /// What is known of metric families is in the log only.
    fn log_metadata(&self, dir: PathBuf) -> io::Result<()> {
        let metadata: Vec<Metadata> = self.read().head.metadata().cloned().collect();
        if metadata.is_empty() {
            return Ok(());
        }
        // A number that no segment speaks of as flushed.
        let (sequence, _) = self.writer().wal.position();
        let mut log = Wal::new(self.disk.clone(), &dir, sequence, self.now(), self.options.wal_file_bytes);
        log.frame(SIGNAL_METRICS, |out| record::encode(out, &[], &metadata.iter().collect::<Vec<_>>(), &[]));
        log.close().map_err(|error| match error {
            AppendError::Full(error) | AppendError::Poisoned(error) => error,
        })
    }
}

/// Gives a file a second name, or copies it to another file system.
fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let Err(refused) = disk.link(from, to) else { return Ok(()) };
    if crate::file::is_full(&refused) {
        return Err(refused);
    }
    let source = disk.open(from)?;
    let target = disk.create(to)?;
    let len = source.len()?;
    let mut at = 0;
    let mut buffer = vec![0; COPY_BYTES];
    while at < len {
        let part = &mut buffer[..(len - at).min(COPY_BYTES as u64) as usize];
        source.read_exact_at(part, at)?;
        target.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    target.sync()
}
