//! Writes a segment of logs: blocks as they come, then index, footer and tail, then sync and rename. Nothing is visible before that.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::footer::{Footer, NAMES_BYTES_MAX, NAMES_MAX, Origin};
use super::ids::{BlockIds, Collected};
use super::{FORMAT, MAJOR};
use crate::encoding::{put_signed, put_varint};
use crate::file::{Disk, File};
use crate::logs::block::Info;
use crate::logs::head::StreamRows;
use crate::metrics::segment::LabelIndex;
use crate::segment_file::{Section, remove_unfinished, temporary_path_of};

/// The level for the index, which is written once and is mostly text.
const INDEX_LEVEL: i32 = 3;

/// A segment under construction.
pub(crate) struct SegmentWriter<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    temporary: PathBuf,
    file: Arc<dyn File>,
    offset: u64,
    /// The streams by the order in which they came.
    streams: HashMap<Labels, u32>,
    blocks: Vec<(Info, Vec<StreamRows<u32>>)>,
    names: Option<BTreeMap<String, bool>>,
    footer: Footer,
    ids: Option<Collected>,
    /// The name that the file has got already.
    named: Option<PathBuf>,
}

impl<'a> SegmentWriter<'a> {
    /// Begins a file; `indexed` is the name of structured metadata whose values get an index.
    pub(crate) fn new(disk: &'a dyn Disk, dir: &'a Path, id: u64, indexed: Option<&'static str>) -> io::Result<SegmentWriter<'a>> {
        let temporary = temporary_path_of(dir, id);
        let file = disk.create(&temporary)?;
        let offset = FORMAT.write_header(&*file, MAJOR).inspect_err(|_| remove_unfinished(disk, &temporary))?;
        Ok(SegmentWriter {
            disk,
            dir,
            temporary,
            file,
            offset,
            streams: HashMap::new(),
            blocks: Vec::new(),
            names: Some(BTreeMap::new()),
            footer: Footer { min: i64::MAX, max: i64::MIN, ..Footer::default() },
            ids: indexed.map(Collected::new),
            named: None,
        })
    }

    /// Notes names of structured metadata, with whether they were moved from labels; `None` when they are not known.
    pub(crate) fn add_names<'n>(&mut self, names: Option<impl Iterator<Item = (&'n str, bool)>>) {
        let (Some(known), Some(names)) = (&mut self.names, names) else {
            self.names = None;
            return;
        };
        for (name, moved) in names {
            match known.get_mut(name) {
                Some(known) => *known |= moved,
                None => {
                    known.insert(name.to_owned(), moved);
                }
            }
        }
        if known.len() > NAMES_MAX || known.keys().map(String::len).sum::<usize>() > NAMES_BYTES_MAX {
            self.names = None;
        }
    }

    /// Adds a block with its streams, in the order of their rows.
    pub(crate) fn add(&mut self, bytes: &[u8], info: &Info, streams: &[StreamRows<Labels>], ids: &BlockIds<'_>) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        if let Some(collected) = &mut self.ids {
            collected.add(ids);
        }
        self.offset += bytes.len() as u64;
        let number = |of: &StreamRows<Labels>| {
            let next = self.streams.len() as u32;
            let number = *self.streams.entry(of.stream.clone()).or_insert(next);
            StreamRows { stream: number, rows: of.rows, bytes: of.bytes }
        };
        let members = streams.iter().map(number).collect();
        self.footer.min = self.footer.min.min(info.min);
        self.footer.max = self.footer.max.max(info.max);
        self.footer.entries += u64::from(info.rows);
        self.footer.raw += info.raw;
        self.footer.blocks += 1;
        self.blocks.push((info.clone(), members));
        Ok(())
    }

    /// Gives a segment without blocks a time.
    pub(crate) fn stand_for(&mut self, time: i64) {
        if self.blocks.is_empty() {
            (self.footer.min, self.footer.max) = (time, time);
        }
    }

    fn section(&mut self, raw: &[u8]) -> io::Result<Section> {
        let stored = zstd::bulk::compress(raw, INDEX_LEVEL)?;
        Section::write(&*self.file, &mut self.offset, &stored, raw.len())
    }

    /// Completes the file and gives it its name. A failure leaves no file behind.
    pub(crate) fn finish(mut self, origin: Origin, path: &Path) -> io::Result<()> {
        let result = self.complete(origin, path);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    fn complete(&mut self, origin: Origin, path: &Path) -> io::Result<()> {
        self.footer.origin = origin;
        let mut labels: Vec<(Labels, u32)> = self.streams.drain().collect();
        labels.sort_unstable();
        let mut numbers = vec![0u32; labels.len()];
        labels.iter().enumerate().for_each(|(number, (_, came))| numbers[*came as usize] = number as u32);
        let labels: Vec<Labels> = labels.into_iter().map(|(labels, _)| labels).collect();
        self.footer.labels = self.section(&LabelIndex::encode(&labels))?;
        let index = encode_index(&self.blocks, &numbers);
        self.footer.index = self.section(&index)?;
        if let Some(ids) = self.ids.take()
            && let Some(directory) = ids.write(&*self.file, &mut self.offset)?
        {
            self.footer.ids = Some(self.section(&directory)?);
        }
        self.footer.streams = labels.len() as u64;
        self.footer.names = self.names.take().map(|names| names.into_iter().collect());
        let footer = self.footer.encode();
        FORMAT.write_end(&*self.file, self.offset, &footer, MAJOR)?;
        self.file.sync()?;
        self.disk.rename(&self.temporary, path)?;
        self.named = Some(path.to_owned());
        self.disk.sync_dir(self.dir)
    }

    /// Gives up: removes what was written.
    pub(crate) fn abandon(self) {
        remove_unfinished(self.disk, self.named.as_ref().unwrap_or(&self.temporary));
    }
}

/// The index: what is known of each block, and which streams it has.
fn encode_index(blocks: &[(Info, Vec<StreamRows<u32>>)], numbers: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, blocks.len() as u64);
    for (info, members) in blocks {
        info.encode(&mut out);
        put_varint(&mut out, members.len() as u64);
        let mut last = 0;
        for member in members {
            let number = i64::from(numbers.get(member.stream as usize).copied().unwrap_or(0));
            put_signed(&mut out, number - last);
            last = number;
            put_varint(&mut out, u64::from(member.rows));
            put_varint(&mut out, member.bytes);
        }
    }
    out
}
