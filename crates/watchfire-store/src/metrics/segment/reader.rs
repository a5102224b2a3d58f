//! Reads segments. Opening reads only the footer; the index is loaded when a query needs it, and dropped again under pressure.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::Decompressor;

use super::blocks::{Blocks, Key};
use super::chunk::{ChunkDecoder, Piece};
use super::footer::Footer;
use super::index::{LabelIndex, Run, RunIndex};
use super::opened::{Opened, without};
use super::{FORMAT, MAJOR_HISTOGRAMS};
use crate::file::{Disk, File};
use crate::metrics::tombstones::{Deleted, Tombstone};
use crate::segment_file::{Ends, Section, SegmentError};

/// Unpacked blocks that a merge keeps: enough for every time window of a month, since series come in the order of blocks.
const MERGE_BLOCK_BYTES: usize = 8 << 20;

/// A finished segment. The file of a doomed segment vanishes when its last user lets go.
pub(crate) struct Segment {
    disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) id: u64,
    pub(crate) bytes: u64,
    pub(crate) footer: Footer,
    /// Whether it holds native histograms.
    pub(crate) has_histograms: bool,
    loaded: Mutex<Option<Arc<Loaded>>>,
    /// When the index was last asked for, on whatever clock the asker counts.
    pub(crate) used: AtomicU64,
    /// The index cannot be read: the file belongs into quarantine.
    pub(crate) damaged: AtomicBool,
    /// A block of it cannot be read.
    pub(crate) lost_blocks: AtomicBool,
    doomed: AtomicBool,
    tombstones: Mutex<Tombstones>,
}

/// What is deleted of a segment, as it was said and as it was found.
#[derive(Default)]
struct Tombstones {
    all: Vec<Arc<Tombstone>>,
    resolved: Option<Arc<Deleted>>,
}

/// A segment's index and open file.
pub(crate) struct Loaded {
    pub(crate) file: Arc<dyn File>,
    pub(crate) labels: LabelIndex,
    pub(crate) runs: RunIndex,
}

impl Segment {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path, id: u64) -> Result<Segment, SegmentError> {
        let file = disk.open(path)?;
        let Ends { bytes, major, footer } = FORMAT.read_ends(&*file)?;
        let footer = Footer::decode(&footer).ok_or(SegmentError::Damaged("footer"))?;
        Ok(Segment {
            disk,
            path: path.to_owned(),
            id,
            bytes,
            footer,
            has_histograms: major == MAJOR_HISTOGRAMS,
            loaded: Mutex::new(None),
            used: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            lost_blocks: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
            tombstones: Mutex::default(),
        })
    }

    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.footer.min <= end && self.footer.max >= start
    }

    /// The index, from memory or from the file. `None` when it is damaged; then the segment says so from now on.
    pub(crate) fn load(&self, now: u64) -> io::Result<Option<Arc<Loaded>>> {
        self.used.store(now, Ordering::Relaxed);
        if self.damaged.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return Ok(Some(loaded.clone()));
        }
        match self.read_index() {
            Ok(loaded) => Ok(Some(slot.insert(Arc::new(loaded)).clone())),
            Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "a segment's index cannot be read; its samples are missing from answers");
                self.damaged.store(true, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// The index if it is in memory, nobody works on it, and nothing of it is deleted.
    pub(crate) fn loaded_at_once(&self, now: u64) -> Option<Arc<Loaded>> {
        let deleted = !self.tombstones.try_lock().ok()?.all.is_empty();
        if deleted || self.damaged.load(Ordering::Relaxed) {
            return None;
        }
        self.used.store(now, Ordering::Relaxed);
        self.loaded.try_lock().ok()?.clone()
    }

    fn read_index(&self) -> Result<Loaded, SegmentError> {
        let file = self.disk.open(&self.path)?;
        let mut decompressor = Decompressor::new()?;
        let mut read = |section: Section| section.read(&*file, &mut decompressor);
        let labels = LabelIndex::new(read(self.footer.labels)?).ok_or(SegmentError::Damaged("label index"))?;
        let runs = RunIndex::new(read(self.footer.runs)?).ok_or(SegmentError::Damaged("run index"))?;
        Ok(Loaded { file, labels, runs })
    }

    /// From now on readers do not see what a tombstone speaks of.
    pub(crate) fn delete(&self, tombstone: Arc<Tombstone>) {
        let mut tombstones = self.tombstones.lock().unwrap_or_else(PoisonError::into_inner);
        tombstones.all.push(tombstone);
        tombstones.resolved = None;
    }
    /// Whether something is deleted.
    pub(crate) fn has_deleted(&self) -> bool {
        !self.tombstones.lock().unwrap_or_else(PoisonError::into_inner).all.is_empty()
    }
    /// What is deleted, by our own series numbers.
    pub(super) fn deleted(&self, loaded: &Loaded) -> Option<Arc<Deleted>> {
        let mut tombstones = self.tombstones.lock().unwrap_or_else(PoisonError::into_inner);
        if tombstones.all.is_empty() {
            return None;
        }
        let Tombstones { all, resolved } = &mut *tombstones;
        let resolution_ms = self.footer.tier.as_ref().map(|t| t.resolution_ms);
        Some(resolved.get_or_insert_with(|| Arc::new(Deleted::resolve(all.iter().map(|t| &**t), loaded, resolution_ms))).clone())
    }

    /// Bytes of the loaded index.
    pub(crate) fn index_memory(&self) -> usize {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |l| l.labels.memory() + l.runs.memory())
    }
    /// Lets the loaded index go.
    pub(crate) fn unload(&self) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    /// Removes the file when the last user lets go. After a crash before that, `replaces` or retention finds it again.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(%error, file = %self.path.display(), "cannot remove a segment");
        }
    }
}

/// Reads runs for one query, out of blocks that others may have unpacked already.
pub(crate) struct BlockCache {
    blocks: Arc<Blocks>,
    /// Made when a block has to be unpacked: it is large, and many queries need none.
    decompressor: Option<Decompressor<'static>>,
    decoder: ChunkDecoder,
    /// The block that was read last, which is mostly the next one, too.
    last: Option<(Key, Arc<Vec<u8>>)>,
    damaged: u64,
}

impl BlockCache {
    pub(crate) fn new(blocks: Arc<Blocks>) -> BlockCache {
        BlockCache { blocks, decompressor: None, decoder: ChunkDecoder::default(), last: None, damaged: 0 }
    }

    /// For work that reads everything once and must not push out what queries read.
    pub(crate) fn alone() -> BlockCache {
        BlockCache::new(Arc::new(Blocks::new(MERGE_BLOCK_BYTES)))
    }

    fn block(&mut self, key: Key, loaded: &Loaded, section: Section) -> io::Result<Arc<Vec<u8>>> {
        if let Some((last, raw)) = &self.last
            && *last == key
        {
            return Ok(raw.clone());
        }
        let raw = match self.blocks.get(key) {
            Some(raw) => raw,
            None => {
                let decompressor = match &mut self.decompressor {
                    Some(decompressor) => decompressor,
                    None => self.decompressor.insert(Decompressor::new()?),
                };
                let raw = match section.read(&*loaded.file, decompressor) {
                    Ok(raw) => Arc::new(raw),
                    Err(SegmentError::Io(error)) => return Err(error),
                    // An empty block in the cache saves the next reader the same work.
                    Err(_) => Arc::default(),
                };
                self.blocks.put(key, raw.clone());
                raw
            }
        };
        self.decoder.next_block();
        self.last = Some((key, raw.clone()));
        Ok(raw)
    }

    /// Shows the samples of a run of a series between two times, without those that are deleted. A damaged block is counted and
    /// left out.
    pub(crate) fn run(&mut self, opened: &Opened, series: u32, run: Run, range: (i64, i64), each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
        match opened.deleted_of(series) {
            [] => self.whole_run(&opened.segment, &opened.loaded, run, range, each),
            deleted => self.whole_run(&opened.segment, &opened.loaded, run, range, &mut |piece| without(piece, deleted, each)),
        }
    }

    fn whole_run(&mut self, segment: &Segment, loaded: &Loaded, run: Run, range: (i64, i64), each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
        let key = (segment.id, run.block);
        let Some(block) = loaded.runs.block(run.block) else { return self.lost(segment) };
        let raw = self.block(key, loaded, Section { offset: block.offset, stored: block.stored, raw: block.raw, crc: block.crc })?;
        if raw.is_empty() {
            return self.lost(segment);
        }
        match self.decoder.run(&raw, block.base, (run.offset as usize, run.chunks), range, each) {
            Some(()) => Ok(()),
            None => self.lost(segment),
        }
    }

    fn lost(&mut self, segment: &Segment) -> io::Result<()> {
        self.damaged += 1;
        if !segment.lost_blocks.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %segment.path.display(), "a block of a segment is damaged; its samples are missing from answers");
        }
        Ok(())
    }

    /// How many runs could not be read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }
}
