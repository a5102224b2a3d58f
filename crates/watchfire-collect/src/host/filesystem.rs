//! Sizes of mounted file systems. Mounts are asked by a thread of their own: one that does not answer in time is marked and
//! left alone until it answers, and the others are still asked. Also the list of mounts for the pack's own disk names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;

use super::diskstats::pattern;
use super::files::Files;
use super::{Collector, HostError, Settings};
use crate::gather::Gather;

/// The types that node_exporter leaves out.
pub(crate) const TYPES_EXCLUDE: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$";
/// The mount points that node_exporter leaves out.
pub(crate) const MOUNT_POINTS_EXCLUDE: &str = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
/// Stuck mounts each hold a thread; past this many, no further mount is asked until one of them answers.
const STUCK_MAX: usize = 32;
/// The thread calls one system function: it needs next to no stack.
const STACK_BYTES: usize = 128 * 1024;

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) mount_point: String,
    pub(crate) fs_type: String,
    pub(crate) read_only: bool,
}

/// What a file system says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MountStatus {
    pub(crate) size: f64,
    pub(crate) free: f64,
    pub(crate) avail: f64,
    pub(crate) files: f64,
    pub(crate) files_free: f64,
}

/// How a mount is asked; a function, so that tests can let one hang.
pub(crate) type Ask = Arc<dyn Fn(&Path) -> io::Result<MountStatus> + Send + Sync>;

/// Asks the kernel.
pub(crate) fn ask_kernel(path: &Path) -> io::Result<MountStatus> {
    let stat = rustix::fs::statfs(path)?;
    let block = stat.f_bsize as f64;
    Ok(MountStatus {
        size: stat.f_blocks as f64 * block,
        free: stat.f_bfree as f64 * block,
        avail: stat.f_bavail as f64 * block,
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
    })
}

/// Reads a mount table; escapes such as `\040` are undone, repeated mounts are left out.
pub(crate) fn mounts(text: &str) -> Vec<Mount> {
    let mut out: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split_ascii_whitespace().collect();
        let [device, mount_point, fs_type, options, ..] = cells.as_slice() else { continue };
        let read_only = options.split(',').any(|o| o == "ro");
        let mount = Mount { device: (*device).to_owned(), mount_point: unescape(mount_point), fs_type: (*fs_type).to_owned(), read_only };
        if !out.iter().any(|m| m.device == mount.device && m.mount_point == mount.mount_point) {
            out.push(mount);
        }
    }
    out
}

/// Undoes the octal escapes of the mount table for blank, tab, line feed and backslash.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Asks many mounts and waits for each no longer than the timeout.
pub(crate) struct Asker {
    ask: Ask,
    timeout: Duration,
    worker: Option<Worker>,
    stuck: Vec<Stuck>,
}
struct Worker {
    requests: Sender<PathBuf>,
    answers: Receiver<(PathBuf, io::Result<MountStatus>)>,
}
/// A mount whose worker has not come back, with the channel on which it will.
struct Stuck {
    path: PathBuf,
    worker: Worker,
}

impl Asker {
    pub(crate) fn new(ask: Ask, timeout: Duration) -> Asker {
        Asker { ask, timeout, worker: None, stuck: Vec::new() }
    }

    /// Asks one mount; `None` when it refuses or does not answer.
    pub(crate) fn ask(&mut self, path: PathBuf) -> Result<Option<MountStatus>, HostError> {
        self.stuck.retain(|s| matches!(s.worker.answers.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)));
        if self.stuck.len() >= STUCK_MAX || self.stuck.iter().any(|s| s.path == path) {
            return Ok(None);
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.start()?,
        };
        if worker.requests.send(path.clone()).is_err() {
            return Ok(None);
        }
        match worker.answers.recv_timeout(self.timeout) {
            Ok((path, answer)) => {
                self.worker = Some(worker);
                if let Err(error) = &answer {
                    tracing::debug!(target: "watchfire::host", mount = %path.display(), %error, "mount does not tell its size");
                }
                Ok(answer.ok())
            }
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(target: "watchfire::host", mount = %path.display(), "mount does not answer, it is left alone until it does");
                self.stuck.push(Stuck { path, worker });
                Ok(None)
            }
            // The thread panicked; the next mount gets a new one.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    fn start(&self) -> Result<Worker, HostError> {
        let (requests, incoming) = channel::<PathBuf>();
        let (outgoing, answers) = channel();
        let ask = self.ask.clone();
        std::thread::Builder::new()
            .name("host-mounts".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                for path in incoming {
                    let answer = ask(&path);
                    if outgoing.send((path, answer)).is_err() {
                        return;
                    }
                }
            })
            .map_err(HostError::Thread)?;
        Ok(Worker { requests, answers })
    }
}

/// A mount and what it answered.
pub(crate) type Sized = (Mount, Option<MountStatus>);

/// The wanted mounts of a host and their sizes; two collectors share one, so that each mount is asked once per poll.
pub(crate) struct Sizes {
    types_exclude: Regex,
    points_exclude: Regex,
    asker: Asker,
    poll: u64,
    sizes: Arc<[Sized]>,
}

impl Sizes {
    pub(crate) fn new(settings: &Settings, ask: Ask) -> Result<Sizes, HostError> {
        Ok(Sizes {
            types_exclude: pattern(&settings.filesystem_types_exclude)?,
            points_exclude: pattern(&settings.mount_points_exclude)?,
            asker: Asker::new(ask, settings.mount_timeout),
            poll: 0,
            sizes: Arc::new([]),
        })
    }

    /// The sizes in this poll.
    pub(crate) fn read(&mut self, files: &mut Files) -> Result<Arc<[Sized]>, HostError> {
        if self.poll != files.poll {
            self.sizes = self.ask_all(files)?.into();
            self.poll = files.poll;
        }
        Ok(self.sizes.clone())
    }

    fn ask_all(&mut self, files: &mut Files) -> Result<Vec<Sized>, HostError> {
        // The first process sees the host's mounts even where we see fewer of them.
        let path = if files.text("/proc/1/mounts").is_ok() { "/proc/1/mounts" } else { "/proc/self/mounts" };
        let mut out = Vec::new();
        for mount in mounts(files.text(path)?) {
            if self.types_exclude.is_match(&mount.fs_type) || self.points_exclude.is_match(&mount.mount_point) {
                continue;
            }
            let asked = self.asker.ask(files.at(&mount.mount_point))?;
            out.push((mount, asked));
        }
        Ok(out)
    }
}

/// The sizes as several collectors hold them.
pub(crate) type SharedSizes = Arc<Mutex<Sizes>>;

pub(crate) struct FileSystem {
    pub(crate) sizes: SharedSizes,
}

impl Collector for FileSystem {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).read(files)?;
        for (mount, status) in sizes.iter() {
            let labels = [("device", mount.device.as_str()), ("fstype", mount.fs_type.as_str()), ("mountpoint", mount.mount_point.as_str())];
            let error = f64::from(u8::from(status.is_none()));
            let help = "Whether an error occurred while getting statistics for the given device.";
            out.gauge("node_filesystem_device_error", &help, &labels, error);
            let read_only = f64::from(u8::from(mount.read_only));
            out.gauge("node_filesystem_readonly", &"Filesystem read-only status.", &labels, read_only);
            let Some(status) = status else { continue };
            out.gauge("node_filesystem_size_bytes", &"Filesystem size in bytes.", &labels, status.size);
            out.gauge("node_filesystem_free_bytes", &"Filesystem free space in bytes.", &labels, status.free);
            out.gauge("node_filesystem_avail_bytes", &"Filesystem space available to non-root users in bytes.", &labels, status.avail);
            out.gauge("node_filesystem_files", &"Filesystem total file nodes.", &labels, status.files);
            out.gauge("node_filesystem_files_free", &"Filesystem total free file nodes.", &labels, status.files_free);
        }
        Ok(())
    }
}
