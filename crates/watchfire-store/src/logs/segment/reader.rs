//! Reads segments of logs. Opening reads only the footer; the index is loaded when a query needs it, and dropped again under pressure.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::Decompressor;

use super::FORMAT;
use super::footer::Footer;
use super::ids::{BUCKETS, Directory};
use crate::encoding::Input;
use crate::file::{Disk, File};
use crate::logs::block::Info;
use crate::logs::head::StreamRows;
use crate::metrics::segment::LabelIndex;
use crate::segment_file::{Ends, HEADER_BYTES, SegmentError};

/// A finished segment. The file of a doomed segment vanishes when its last user lets go.
pub(crate) struct LogSegment {
    disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) id: u64,
    pub(crate) bytes: u64,
    pub(crate) footer: Footer,
    loaded: Mutex<Option<Arc<Index>>>,
    /// When the index was last asked for, on whatever clock the asker counts.
    pub(crate) used: AtomicU64,
    /// The index cannot be read: the file belongs into quarantine.
    pub(crate) damaged: AtomicBool,
    /// A block of it cannot be read.
    pub(crate) lost_blocks: AtomicBool,
    /// Its index of ids cannot be read.
    lost_ids: AtomicBool,
    /// Before this time, in milliseconds, rules of retention have nothing to do here.
    pub(crate) rules_due: AtomicI64,
    doomed: AtomicBool,
}

/// A block as the index tells it.
pub(crate) struct Stored {
    pub(crate) offset: u64,
    pub(crate) info: Info,
    /// In the order in which their rows stand in the block.
    pub(crate) streams: Vec<StreamRows<u32>>,
}

/// A segment's index and open file.
pub(crate) struct Index {
    file: Arc<dyn File>,
    pub(crate) labels: LabelIndex,
    pub(crate) blocks: Vec<Stored>,
    ids: Ids,
    memory: usize,
}

/// What there is of an index of ids.
enum Ids {
    None,
    Damaged,
    Some(Directory),
}

/// What an index of ids says.
pub(crate) enum BlocksOfIds {
    /// There is none of this name.
    NoIndex,
    /// It cannot be read.
    Damaged,
    /// Only these blocks may have them, ascending.
    Only(Vec<u32>),
}

impl Index {
    /// The blocks that may have entries with one of some values in their structured metadata, by the hashes of the values.
    pub(crate) fn blocks_of_ids(&self, name: &str, hashes: &[u32]) -> io::Result<BlocksOfIds> {
        Ok(match &self.ids {
            Ids::Damaged => BlocksOfIds::Damaged,
            Ids::Some(ids) if ids.name() == name => ids.blocks_of(&*self.file, hashes, self.blocks.len())?.map_or(BlocksOfIds::Damaged, BlocksOfIds::Only),
            _ => BlocksOfIds::NoIndex,
        })
    }
    /// Whether all of an index of ids can be read; `None` when there is none of this name.
    pub(crate) fn has_ids(&self, name: &str) -> io::Result<Option<bool>> {
        let ids = match &self.ids {
            Ids::Damaged => return Ok(Some(false)),
            Ids::Some(ids) if ids.name() == name => ids,
            _ => return Ok(None),
        };
        for bucket in 0..BUCKETS {
            if ids.bucket(&*self.file, bucket, self.blocks.len())?.is_none() {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }
    /// Hashes of ids with their blocks, of one bucket; `None` when they cannot be read.
    pub(super) fn ids_of_bucket(&self, bucket: usize) -> io::Result<Option<Vec<(u32, u32)>>> {
        match &self.ids {
            Ids::Some(ids) => ids.bucket(&*self.file, bucket, self.blocks.len()),
            Ids::None | Ids::Damaged => Ok(None),
        }
    }
    /// Reads bytes of a block; `None` when they are beyond the file.
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; len];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl LogSegment {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path, id: u64) -> Result<LogSegment, SegmentError> {
        let file = disk.open(path)?;
        let Ends { bytes, footer, .. } = FORMAT.read_ends(&*file)?;
        let footer = Footer::decode(&footer).ok_or(SegmentError::Damaged("footer"))?;
        Ok(LogSegment {
            disk,
            path: path.to_owned(),
            id,
            bytes,
            footer,
            loaded: Mutex::new(None),
            used: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            lost_blocks: AtomicBool::new(false),
            lost_ids: AtomicBool::new(false),
            rules_due: AtomicI64::new(i64::MIN),
            doomed: AtomicBool::new(false),
        })
    }

    /// Whether it has entries with `start <= time < end`.
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.footer.min < end && self.footer.max >= start
    }

    /// The index, from memory or from the file. `None` when it is damaged; then the segment says so from now on.
    pub(crate) fn index(&self, now: u64) -> io::Result<Option<Arc<Index>>> {
        self.used.store(now, Ordering::Relaxed);
        if self.damaged.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*slot {
            return Ok(Some(index.clone()));
        }
        match self.read_index() {
            Ok(index) => Ok(Some(slot.insert(Arc::new(index)).clone())),
            Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "a segment's index cannot be read; its entries are missing from answers");
                self.damaged.store(true, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    fn read_index(&self) -> Result<Index, SegmentError> {
        let file = self.disk.open(&self.path)?;
        let mut decompressor = Decompressor::new()?;
        let labels = self.footer.labels.read(&*file, &mut decompressor)?;
        let raw = self.footer.index.read(&*file, &mut decompressor)?;
        let memory = labels.len() + 3 * raw.len();
        let labels = LabelIndex::new(labels).ok_or(SegmentError::Damaged("label index"))?;
        let blocks = decode_index(&mut Input::new(&raw), labels.len()).ok_or(SegmentError::Damaged("block index"))?;
        let (ids, ids_bytes) = self.read_ids(&*file, &mut decompressor)?;
        Ok(Index { file, labels, blocks, ids, memory: memory + ids_bytes })
    }

    /// The directory of the index of ids, and what it takes. What it says can be found out without it, so damage costs nothing else.
    fn read_ids(&self, file: &dyn File, decompressor: &mut Decompressor<'_>) -> Result<(Ids, usize), SegmentError> {
        let Some(section) = self.footer.ids else { return Ok((Ids::None, 0)) };
        let raw = match section.read(file, decompressor) {
            Ok(raw) => raw,
            Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(SegmentError::Io(error)),
            Err(_) => return Ok((Ids::Damaged, 0)),
        };
        let memory = 4 * raw.len();
        Ok((Directory::decode(&raw, section.offset).map_or(Ids::Damaged, Ids::Some), memory))
    }

    /// Bytes of the loaded index.
    pub(crate) fn index_memory(&self) -> usize {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |index| index.memory)
    }
    /// Lets the loaded index go.
    pub(crate) fn unload(&self) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    /// Notes a block that cannot be read.
    pub(crate) fn lose_block(&self) {
        if !self.lost_blocks.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %self.path.display(), "a block of a segment is damaged; its entries are missing from answers");
        }
    }
    /// Notes an index of ids that cannot be read.
    pub(crate) fn lose_ids(&self) {
        if !self.lost_ids.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %self.path.display(), "the index of ids of a segment is damaged; all of its blocks are looked at until it is merged");
        }
    }
    /// Removes the file when the last user lets go. After a crash before that, `replaces` or retention finds it again.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }
}

impl Drop for LogSegment {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(%error, file = %self.path.display(), "cannot remove a segment");
        }
    }
}

pub(super) fn decode_index(input: &mut Input<'_>, streams: usize) -> Option<Vec<Stored>> {
    let count = input.size().filter(|count| *count <= input.remaining())?;
    let mut blocks = Vec::with_capacity(count);
    let mut offset = HEADER_BYTES as u64;
    for _ in 0..count {
        let info = Info::decode(input)?;
        let members = input.size().filter(|count| *count <= input.remaining())?;
        let mut of_block = Vec::with_capacity(members);
        let (mut number, mut rows) = (0i64, 0u32);
        for _ in 0..members {
            number = number.checked_add(input.signed()?)?;
            let stream = u32::try_from(number).ok().filter(|n| (*n as usize) < streams)?;
            let member = StreamRows { stream, rows: u32::try_from(input.varint()?).ok()?, bytes: input.varint()? };
            rows = rows.checked_add(member.rows)?;
            of_block.push(member);
        }
        if rows != info.rows {
            return None;
        }
        let at = offset;
        offset = offset.checked_add(info.len() as u64)?;
        blocks.push(Stored { offset: at, info, streams: of_block });
    }
    Some(blocks)
}
