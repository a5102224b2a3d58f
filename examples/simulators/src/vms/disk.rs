//! The disk of a recording node: a small file system of its own where this machine lets us mount one, else a directory whose files are
//! counted against a limit. It writes, measures, forgets the oldest recordings, and has the faults of disks.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::faults::Known;
use crate::part::Part;

/// The size of the disk.
pub(crate) const BYTES: u64 = 24 << 20;
/// The share that recordings take before the oldest go.
const RECORDINGS_SHARE: f64 = 0.3;
/// Below this share of free space the oldest go, too.
const FREE_SHARE_MIN: f64 = 0.13;
/// How long an operation of a slow disk takes longer.
const SLOW_MS: u64 = 250;
const FILLER_STEP_BYTES: u64 = 64 << 10;
const LATENCY_MS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

pub(crate) const SLOW: Known = ("slow-disk", "every operation of the disk takes 250 ms longer");
pub(crate) const STUCK: Known = ("stuck-disk", "the disk does not end its operations, so pictures find no room in the queue before it");
pub(crate) const LOW: Known = ("disk-low", "somebody's file grows until 16 % of the disk are free");
pub(crate) const FULL: Known = ("disk-full", "somebody's file grows until 3 % of the disk are free");

/// A recording: when its first and last picture came, and how long it is.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) camera: String,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    bytes: u64,
}
impl Segment {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}.mjpeg", self.first_ms, self.last_ms)
    }
}

pub(crate) struct Disk {
    root: PathBuf,
    /// Whether the root is a file system of its own.
    mounted: bool,
    segments: Mutex<VecDeque<Segment>>,
}

impl Disk {
    pub(crate) fn open(root: PathBuf) -> Result<Disk> {
        std::fs::create_dir_all(&root)?;
        let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev());
        let mounted = root.parent().map(device).transpose()? != Some(device(&root)?);
        for old in std::fs::read_dir(&root)?.flatten() {
            std::fs::remove_file(old.path())?;
        }
        Ok(Disk { root, mounted, segments: Mutex::default() })
    }
    fn filler(&self) -> PathBuf {
        self.root.join("somebodys-file")
    }
    /// All bytes and those that are free.
    pub(crate) fn space(&self) -> Result<(u64, u64)> {
        if self.mounted {
            let found = rustix::fs::statvfs(&self.root)?;
            return Ok((found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize));
        }
        let used: u64 = std::fs::read_dir(&self.root)?.flatten().filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum();
        Ok((BYTES, BYTES.saturating_sub(used)))
    }
    fn segments(&self) -> std::sync::MutexGuard<'_, VecDeque<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The recordings of a camera, oldest first.
    pub(crate) fn recordings(&self, camera: &str) -> Vec<Segment> {
        self.segments().iter().filter(|segment| segment.camera == camera).cloned().collect()
    }
    /// Writes a recording.
    pub(crate) fn record(&self, part: &Part, camera: &str, (first_ms, last_ms): (u64, u64), bytes: &[u8]) -> Result<()> {
        let segment = Segment { camera: camera.to_owned(), first_ms, last_ms, bytes: bytes.len() as u64 };
        let path = self.path(&segment);
        let done = self.operate(part, "write", || self.write(&path, bytes));
        match done {
            Ok(()) => {
                part.metrics.add("disk_io_write_bytes_total", DEVICE, bytes.len() as f64);
                self.segments().push_back(segment);
            }
            // What stands there of it takes room and is no recording.
            Err(_) => drop(std::fs::remove_file(path)),
        }
        done
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if !self.mounted && self.space()?.1 < bytes.len() as u64 {
            return Err(Error::new(ErrorKind::StorageFull, "cannot write the recording: the disk is full"));
        }
        let mut file = std::fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }
    /// Reads a recording back; its name says nothing but times, so it cannot lead elsewhere.
    pub(crate) fn read(&self, part: &Part, camera: &str, name: &str) -> Option<Vec<u8>> {
        let segment = self.segments().iter().find(|segment| segment.camera == camera && segment.name() == name).cloned()?;
        let bytes = self.operate(part, "read", || std::fs::read(self.path(&segment))).ok()?;
        part.metrics.add("disk_io_read_bytes_total", DEVICE, bytes.len() as f64);
        Some(bytes)
    }
    fn path(&self, segment: &Segment) -> PathBuf {
        self.root.join(format!("{}-{}", segment.camera, segment.name()))
    }
    /// One operation, with what is wrong with the disk, measured.
    fn operate<T>(&self, part: &Part, operation: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = clock::now();
        if part.faults.is(SLOW.0) {
            clock::pause_ms(SLOW_MS);
        }
        while part.faults.is(STUCK.0) {
            clock::pause_ms(20);
        }
        let done = work();
        part.metrics.observe("disk_io_latency_ms", LATENCY_MS, &[("device", "rec0"), ("operation", operation)], clock::ms_since(began));
        done
    }
    /// Forgets the oldest recordings while there are too many or too little is free, and does what somebody's file does.
    pub(crate) fn keep(&self, part: &Part) -> Result<()> {
        let target = if part.faults.is(FULL.0) {
            Some(0.03)
        } else if part.faults.is(LOW.0) {
            Some(0.16)
        } else {
            None
        };
        if target.is_none() && self.filler().exists() {
            std::fs::remove_file(self.filler())?;
        }
        let (total, mut free) = self.space()?;
        while self.segments().iter().map(|segment| segment.bytes).sum::<u64>() as f64 > total as f64 * RECORDINGS_SHARE
            || (free as f64) < total as f64 * FREE_SHARE_MIN
        {
            let Some(oldest) = self.segments().pop_front() else { break };
            std::fs::remove_file(self.path(&oldest))?;
            free = self.space()?.1;
        }
        if let Some(target) = target {
            self.fill((total as f64 * target) as u64, free)?;
        }
        Ok(())
    }
    fn fill(&self, target: u64, mut free: u64) -> Result<()> {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler())?;
        while free > target {
            let step = FILLER_STEP_BYTES.min(free - target);
            file.write_all(&vec![0x5a; step as usize])?;
            free -= step;
        }
        Ok(())
    }
    /// Says how full it is.
    pub(crate) fn tell(&self, part: &Part) {
        let Ok((total, free)) = self.space() else { return };
        let used = total.saturating_sub(free);
        for (name, value) in [("disk_space_total_bytes", total), ("disk_space_free_bytes", free), ("disk_space_used_bytes", used)] {
            part.metrics.set(name, MOUNT, value as f64);
        }
        part.metrics.set("disk_space_used_percent", MOUNT, used as f64 / total.max(1) as f64 * 100.0);
    }
}

const MOUNT: &[(&str, &str)] = &[("mount_point", "/recordings")];
const DEVICE: &[(&str, &str)] = &[("device", "rec0")];
