//! Counts what is written and synced, by what it is for: flash cards bear only so much. It stands before any disk and changes
//! nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use watchfire_model::meter::{Counter, Meter};

use super::{Disk, Entry, File, LockGuard, Room};
use crate::stats::Written;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Log,
    Segments,
    State,
    Other,
}

impl Part {
    const ALL: [Part; 4] = [Part::Log, Part::Segments, Part::State, Part::Other];

    fn name(self) -> &'static str {
        match self {
            Part::Log => "log",
            Part::Segments => "segments",
            Part::State => "state",
            Part::Other => "other",
        }
    }

    /// The part of a file: by its directory, or for the state by its name.
    fn of(path: &Path) -> Part {
        let name = |path: Option<&Path>| path.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        match name(path.parent()).as_str() {
            "wal" | "returned" => Part::Log,
            "metrics" | "tiers" | "logs" => Part::Segments,
            _ if name(Some(path)).starts_with("state.") => Part::State,
            _ => Part::Other,
        }
    }
}

/// The counters of one part.
#[derive(Clone)]
struct Counts {
    bytes: Counter,
    syncs: Counter,
}

/// What was written since the start.
#[derive(Clone)]
pub(crate) struct Counters([Counts; Part::ALL.len()]);

impl Counters {
    pub(crate) fn register(meter: &Meter) -> Counters {
        Counters(Part::ALL.map(|part| {
            let labels = [("part", part.name())];
            Counts {
                bytes: meter.counter("watchfire_storage_written_bytes_total", "Bytes that were written to the disk, as handed to the system.", &labels),
                syncs: meter.counter("watchfire_storage_syncs_total", "Syncs of files and directories.", &labels),
            }
        }))
    }
    fn of(&self, part: Part) -> &Counts {
        &self.0[part as usize]
    }
    /// The figures of this moment.
    pub(crate) fn written(&self) -> Written {
        let bytes = |part| self.of(part).bytes.get();
        Written {
            log: bytes(Part::Log),
            segments: bytes(Part::Segments),
            state: bytes(Part::State),
            other: bytes(Part::Other),
            syncs: self.0.iter().map(|counts| counts.syncs.get()).sum(),
        }
    }
}

/// A disk that is counted.
pub(crate) struct CountedDisk {
    disk: Arc<dyn Disk>,
    counters: Counters,
}

impl CountedDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, counters: Counters) -> CountedDisk {
        CountedDisk { disk, counters }
    }
    fn count(&self, path: &Path, file: io::Result<Arc<dyn File>>) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(CountedFile { file: file?, counts: self.counters.of(Part::of(path)).clone() }))
    }
}

impl Disk for CountedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.open(path)
    }
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.count(path, self.disk.open_write(path))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.count(path, self.disk.create(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // A directory counts as what is in it.
        self.counters.of(Part::of(&dir.join("any"))).syncs.inc();
        self.disk.sync_dir(dir)
    }
    fn room(&self, dir: &Path) -> io::Result<Room> {
        self.disk.room(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.disk.lock(path)
    }
}

struct CountedFile {
    file: Arc<dyn File>,
    counts: Counts,
}

impl File for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.counts.bytes.add(buf.len() as u64);
        self.file.write_all_at(buf, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.file.reserve(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.counts.syncs.inc();
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_store_has_its_part() {
        let check = |path: &str, part| assert_eq!(Part::of(Path::new(path)), part, "{path}");
        check("/data/wal/00000001.log", Part::Log);
        check("/data/metrics/00000001.seg.tmp", Part::Segments);
        check("/data/tiers/00000002.seg", Part::Segments);
        check("/data/logs/00000003.part", Part::Segments);
        check("/data/state.redb", Part::State);
        check("/data/exemplars.tmp", Part::Other);
        check("starts", Part::Other);
    }
}
