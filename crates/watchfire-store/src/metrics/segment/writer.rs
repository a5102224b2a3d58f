//! Writes a segment: blocks as they fill, then index, footer and tail, then sync and rename. Nothing is visible before that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::windows::Window;
use zstd::bulk::Compressor;

use super::chunk::{BlockBuilder, CHUNK_HISTOGRAMS_MAX, CHUNK_SAMPLES_MAX};
use super::footer::{Footer, Origin, Tier};
use super::index::{Block, LabelIndex, Run, RunIndex};
use super::{FORMAT, MAJOR, MAJOR_FLOATS, MAJOR_HISTOGRAMS};
use crate::file::{Disk, File};
use crate::segment_file::{Section, path_of, remove_unfinished, temporary_path_of};

/// A block is closed when its raw content reaches this size.
const BLOCK_BYTES: usize = 32 << 10;
/// The level for blocks: they are many, and packed already.
const BLOCK_LEVEL: i32 = 1;
/// The level for the index, which is written once and is mostly text.
const INDEX_LEVEL: i32 = 3;

/// A segment under construction.
pub(crate) struct SegmentWriter<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    id: u64,
    temporary: PathBuf,
    file: Arc<dyn File>,
    offset: u64,
    series: &'a [Labels],
    builder: BlockBuilder,
    compressor: Compressor<'static>,
    blocks: Vec<Block>,
    runs: Vec<(u32, Run)>,
    footer: Footer,
    /// The version that a reader must know.
    major: u16,
    /// Whether the file has its name already.
    named: bool,
}

impl<'a> SegmentWriter<'a> {
    /// Begins a segment for these series, which ascend.
    pub(crate) fn new(disk: &'a dyn Disk, dir: &'a Path, id: u64, series: &'a [Labels]) -> io::Result<SegmentWriter<'a>> {
        let temporary = temporary_path_of(dir, id);
        let file = disk.create(&temporary)?;
        let offset = FORMAT.write_header(&*file, MAJOR_FLOATS).inspect_err(|_| remove_unfinished(disk, &temporary))?;
        Ok(SegmentWriter {
            disk,
            dir,
            id,
            temporary,
            file,
            offset,
            series,
            builder: BlockBuilder::default(),
            compressor: Compressor::new(BLOCK_LEVEL)?,
            blocks: Vec::new(),
            runs: Vec::new(),
            footer: Footer { min: i64::MAX, max: i64::MIN, ..Footer::default() },
            major: MAJOR_FLOATS,
            named: false,
        })
    }

    /// Adds samples of a series, ascending. Times of one series never go back from call to call.
    pub(crate) fn add(&mut self, series: u32, times: &[i64], bits: &[u64]) -> io::Result<()> {
        let (Some(min), Some(max)) = (times.first().copied(), times.last().copied()) else { return Ok(()) };
        let offset = self.builder.raw.len() as u32;
        // Equal shares: 250 samples become two chunks of 125, not one of 240 and one of 10.
        let chunks = times.len().div_ceil(CHUNK_SAMPLES_MAX);
        let share = times.len().div_ceil(chunks);
        for (times, bits) in times.chunks(share).zip(bits.chunks(share)) {
            self.builder.chunk(times, bits);
        }
        let chunks = times.len().div_ceil(share) as u32;
        self.end_run(series, Run { block: self.blocks.len() as u32, offset, chunks, samples: times.len() as u32, min, max })
    }

    /// Adds native histograms of a series, ascending. The first time is not before that of the samples that were added before.
    pub(crate) fn add_histograms(&mut self, series: u32, samples: &[(i64, Arc<Histogram>)]) -> io::Result<()> {
        let (Some(min), Some(max)) = (samples.first().map(|s| s.0), samples.last().map(|s| s.0)) else { return Ok(()) };
        self.need_major(MAJOR_HISTOGRAMS)?;
        let offset = self.builder.raw.len() as u32;
        let chunks = samples.len().div_ceil(CHUNK_HISTOGRAMS_MAX);
        let share = samples.len().div_ceil(chunks);
        samples.chunks(share).for_each(|samples| self.builder.histograms(samples));
        let chunks = samples.len().div_ceil(share) as u32;
        self.end_run(series, Run { block: self.blocks.len() as u32, offset, chunks, samples: samples.len() as u32, min, max })
    }

    /// Makes this a segment of a tier, for a span of time.
    pub(crate) fn begin_tier(&mut self, tier: Tier, (min, max): (i64, i64)) -> io::Result<()> {
        self.footer.tier = Some(tier);
        (self.footer.min, self.footer.max) = (min, max);
        self.need_major(MAJOR)
    }

    /// Adds windows of a series, ascending.
    pub(crate) fn add_windows(&mut self, series: u32, windows: &[Window]) -> io::Result<()> {
        let (Some(min), Some(max)) = (windows.first().map(|w| w.start), windows.last().map(|w| w.start)) else { return Ok(()) };
        let offset = self.builder.raw.len() as u32;
        windows.chunks(CHUNK_SAMPLES_MAX).for_each(|windows| self.builder.windows(windows));
        let chunks = windows.len().div_ceil(CHUNK_SAMPLES_MAX) as u32;
        self.end_run(series, Run { block: self.blocks.len() as u32, offset, chunks, samples: windows.len() as u32, min, max })
    }

    fn need_major(&mut self, major: u16) -> io::Result<()> {
        if self.major < major {
            self.major = major;
            FORMAT.write_header(&*self.file, major)?;
        }
        Ok(())
    }

    fn end_run(&mut self, series: u32, run: Run) -> io::Result<()> {
        self.runs.push((series, run));
        self.footer.min = self.footer.min.min(run.min);
        self.footer.max = self.footer.max.max(run.max);
        self.footer.samples += u64::from(run.samples);
        if self.builder.raw.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.builder.raw.is_empty() {
            return Ok(());
        }
        let section = self.append(None)?;
        self.blocks.push(Block {
            offset: section.offset,
            stored: section.stored,
            raw: section.raw,
            crc: section.crc,
            base: self.builder.base,
            max: self.builder.max,
        });
        self.footer.block_bytes += u64::from(section.stored);
        self.builder.clear();
        Ok(())
    }

    /// Compresses and appends bytes, or the current block.
    fn append(&mut self, bytes: Option<&[u8]>) -> io::Result<Section> {
        let raw = bytes.unwrap_or(&self.builder.raw);
        let stored = self.compressor.compress(raw)?;
        Section::write(&*self.file, &mut self.offset, &stored, raw.len())
    }

    /// Whether no sample was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Completes the file and gives it its name. A failure leaves no file behind.
    pub(crate) fn finish(mut self, origin: Origin) -> io::Result<PathBuf> {
        let result = self.complete(origin).and_then(|()| self.name());
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Completes the file, which gets its name later. A failure leaves no file behind.
    pub(crate) fn finish_unnamed(mut self, origin: Origin) -> io::Result<()> {
        let result = self.complete(origin);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    fn complete(&mut self, origin: Origin) -> io::Result<()> {
        self.footer.origin = origin;
        self.end_block()?;
        self.compressor.set_compression_level(INDEX_LEVEL)?;
        self.runs.order_by_key(|(series, _)| *series);
        let kept = self.without_empty();
        let series = kept.as_deref().unwrap_or(self.series);
        let labels = LabelIndex::encode(series);
        self.footer.labels = self.append(Some(&labels))?;
        drop(labels);
        let runs = RunIndex::encode(&self.blocks, series.len(), &self.runs);
        self.footer.runs = self.append(Some(&runs))?;
        self.footer.series = series.len() as u64;
        let footer = self.footer.encode();
        FORMAT.write_end(&*self.file, self.offset, &footer, self.major)?;
        self.file.sync()
    }

    fn name(&mut self) -> io::Result<PathBuf> {
        let path = path_of(self.dir, self.id);
        self.disk.rename(&self.temporary, &path)?;
        self.named = true;
        self.disk.sync_dir(self.dir)?;
        Ok(path)
    }

    /// Leaves series out that turned out to have no samples, and numbers the others anew. `None` when all have some.
    fn without_empty(&mut self) -> Option<Vec<Labels>> {
        let mut kept: Vec<u32> = self.runs.iter().map(|(series, _)| *series).collect();
        kept.dedup();
        if kept.len() == self.series.len() {
            return None;
        }
        let mut number = 0;
        for (series, _) in &mut self.runs {
            while kept[number] != *series {
                number += 1;
            }
            *series = number as u32;
        }
        Some(kept.iter().map(|old| self.series[*old as usize].clone()).collect())
    }

    /// Gives up: removes what was written.
    pub(crate) fn abandon(self) {
        let path = if self.named { path_of(self.dir, self.id) } else { self.temporary };
        remove_unfinished(self.disk, &path);
    }
}
