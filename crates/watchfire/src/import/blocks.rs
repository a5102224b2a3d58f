//! Blocks of Prometheus on disk: `meta.json`, `index`, `chunks/000001…`, `tombstones`. Read day by day, because that is how our
//! own store keeps samples.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use watchfire_ingest::tsdb::block::{self, BlockSeries, CHUNK_HEAD_MAX, ChunkPlace, Index, Tombstone};
use watchfire_ingest::tsdb::{ChunkSamples, decode};
use watchfire_model::sample::Sample;
use watchfire_model::time::Timestamp;

use super::Counts;
use super::target::Target;

const DAY_MS: i64 = 86_400_000;

/// One block.
pub(super) struct Block {
    pub(super) dir: PathBuf,
    /// Its first moment, in milliseconds.
    pub(super) start: i64,
}
impl Block {
    /// The block in a directory, if it is one.
    pub(super) fn at(dir: &Path) -> Result<Option<Block>> {
        let (meta, index) = (dir.join("meta.json"), dir.join("index"));
        if !meta.is_file() || !index.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&meta).with_context(|| format!("cannot read {}", meta.display()))?;
        let meta_json: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", meta.display()))?;
        if meta_json["version"] != 1 {
            bail!("{} has version {}, not 1", meta.display(), meta_json["version"]);
        }
        Ok(Some(Block { dir: dir.to_owned(), start: meta_json["minTime"].as_i64().unwrap_or(i64::MIN) }))
    }
}

/// The chunk files of a block.
struct ChunkFiles {
    dir: PathBuf,
    open: HashMap<u32, File>,
}
impl ChunkFiles {
    fn file(&mut self, number: u32) -> Result<&File> {
        if !self.open.contains_key(&number) {
            let path = self.dir.join(format!("{:06}", u64::from(number) + 1));
            let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut head = [0; 8];
            file.read_exact_at(&mut head, 0)?;
            block::check_chunk_file(&head).with_context(|| format!("{}", path.display()))?;
            self.open.insert(number, file);
        }
        self.open.get(&number).context("BUG: the chunk file is open")
    }
    /// Reads one chunk and appends its samples.
    fn read(&mut self, place: ChunkPlace, samples: &mut ChunkSamples) -> Result<()> {
        let file = self.file(place.file)?;
        let left = file.metadata()?.len().saturating_sub(place.offset.into());
        let mut head = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_HEAD_MAX)];
        file.read_exact_at(&mut head, place.offset.into())?;
        let bytes = block::chunk_bytes(&head)?;
        if bytes as u64 > left {
            bail!("a chunk is longer than its file");
        }
        let mut whole = vec![0; bytes];
        file.read_exact_at(&mut whole, place.offset.into())?;
        let (encoding, data) = block::chunk(&whole)?;
        decode(encoding, data, samples)?;
        Ok(())
    }
}

/// Imports a block.
pub(super) fn import(block: &Block, target: &mut Target, counts: &mut Counts) -> Result<()> {
    let index = fs::read(block.dir.join("index")).context("cannot read the index")?;
    let tombstones = match fs::read(block.dir.join("tombstones")) {
        Ok(bytes) => block::tombstones(&bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).context("cannot read the tombstones"),
    };
    let mut deleted: HashMap<u64, Vec<Tombstone>> = HashMap::new();
    for stone in tombstones {
        deleted.entry(stone.series).or_default().push(stone);
    }
    let mut files = ChunkFiles { dir: block.dir.join("chunks"), open: HashMap::new() };
    let (mut start, mut end) = (i64::MAX, i64::MIN);
    for series in Index::new(&index)? {
        for chunk in &series?.chunks {
            (start, end) = (start.min(chunk.start), end.max(chunk.end));
        }
    }
    if start > end {
        return Ok(());
    }
    for day in start.div_euclid(DAY_MS)..=end.div_euclid(DAY_MS) {
        let (from, to) = (day.saturating_mul(DAY_MS), (day + 1).saturating_mul(DAY_MS) - 1);
        for series in Index::new(&index)? {
            let series = series?;
            import_part(&series, (from, to), deleted.get(&series.number).map_or(&[], Vec::as_slice), &mut files, target, counts)?;
        }
    }
    Ok(())
}

/// Imports what a series has between two moments.
fn import_part(
    series: &BlockSeries,
    (from, to): (i64, i64),
    deleted: &[Tombstone],
    files: &mut ChunkFiles,
    target: &mut Target,
    counts: &mut Counts,
) -> Result<()> {
    let mut samples = ChunkSamples::default();
    for chunk in series.chunks.iter().filter(|c| c.start <= to && c.end >= from) {
        let before = (samples.times.len(), samples.histograms.len());
        if let Err(error) = files.read(*chunk, &mut samples) {
            // What could be read before the damage is not to be trusted either.
            samples.times.truncate(before.0);
            samples.values.truncate(before.0);
            samples.histograms.truncate(before.1);
            // Each chunk is told once, on the day on which it begins.
            if (from..=to).contains(&chunk.start) {
                counts.refuse("damaged chunk", 1, || format!("{}: {error:#}", series.labels));
            }
        }
    }
    let wanted = |time: i64| (from..=to).contains(&time) && !deleted.iter().any(|t| (t.start..=t.end).contains(&time));
    let floats: Vec<Sample> = samples
        .times
        .iter()
        .zip(&samples.values)
        .filter(|(time, _)| wanted(**time))
        .map(|(time, value)| Sample { time: Timestamp(*time), value: *value })
        .collect();
    samples.histograms.retain(|h| wanted(h.time.millis()));
    target.add(&series.labels, floats, samples.histograms, counts)
}
