//! File systems to break, in a mount namespace that ends with the process: nothing stays mounted, whatever happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use tempfile::TempDir;

use crate::{Outcome, Random, SCENARIOS, Scenario};

/// What this machine does not have or allow.
pub(crate) struct Unavailable(pub(crate) String);

/// Runs a scenario in a process with mounts of its own.
pub(crate) fn run_inside(scenario: &Scenario, times: u64, seed: u64) -> Outcome {
    let program = std::env::current_exe().expect("our own path");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(program)
        .args(["inside", scenario.name, &times.to_string(), &seed.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Outcome::Skipped(format!("unshare cannot be run: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().next_back().unwrap_or_default();
    match last.split_once(": ") {
        Some(("passed", words)) => Outcome::Passed(words.into()),
        Some(("skipped", reason)) => Outcome::Skipped(reason.into()),
        Some(("fault", fault)) => Outcome::Fault(fault.into()),
        _ if said.is_empty() && !output.status.success() && String::from_utf8_lossy(&output.stderr).starts_with("unshare:") => {
            Outcome::Skipped(String::from_utf8_lossy(&output.stderr).trim().into())
        }
        _ => Outcome::Fault(format!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// The inner process: runs one scenario and says how it ended.
pub(crate) fn inside(name: &str, times: u64, seed: u64) -> ExitCode {
    let scenario = SCENARIOS.iter().find(|s| s.name == name).expect("a known scenario");
    let (word, text) = match (scenario.run)(times, &mut Random(seed)) {
        Outcome::Passed(text) => ("passed", text),
        Outcome::Skipped(text) => ("skipped", text),
        Outcome::Fault(text) => ("fault", text),
    };
    println!("{word}: {}", text.replace('\n', " "));
    ExitCode::SUCCESS
}

fn command(program: &str, arguments: &[&str]) -> Result<(), Unavailable> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|e| Unavailable(format!("{program}: {e}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Unavailable(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A small file system in memory.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    pub(crate) fn mount(bytes: u64) -> Result<Tmpfs, Unavailable> {
        let dir = tempfile::tempdir().expect("a directory");
        command("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", text(dir.path())])?;
        Ok(Tmpfs(dir))
    }
    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(command("umount", &[text(self.0.path())]));
    }
}

/// What a power cut does to the journal of a file system.
pub(crate) enum Journal {
    /// The changes of names are written, the content of files is not.
    Written,
    /// Nothing more is written.
    Lost,
}

/// An ext4 file system in a file.
pub(crate) struct Ext4 {
    place: TempDir,
}

impl Ext4 {
    pub(crate) fn make() -> Result<Ext4, Unavailable> {
        Ext4::of_size(64 << 20)
    }
    /// The image has holes where nothing was written.
    pub(crate) fn of_size(bytes: u64) -> Result<Ext4, Unavailable> {
        let disk = Ext4 { place: tempfile::tempdir().expect("a directory") };
        let image = fs::File::create(disk.image()).and_then(|file| file.set_len(bytes));
        image.map_err(|e| Unavailable(e.to_string()))?;
        fs::create_dir(disk.dir()).map_err(|e| Unavailable(e.to_string()))?;
        command("mkfs.ext4", &["-q", "-F", text(&disk.image())])?;
        disk.mount()?;
        Ok(disk)
    }
    fn image(&self) -> PathBuf {
        self.place.path().join("image")
    }
    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("mounted")
    }
    /// By default ext4 syncs a file that is renamed over another one, which would hide a sync that we forgot.
    fn mount(&self) -> Result<(), Unavailable> {
        command("mount", &["-o", "loop,noauto_da_alloc,errors=remount-ro", text(&self.image()), text(&self.dir())])
    }
    pub(crate) fn mount_again(&self) -> Result<(), Unavailable> {
        command("umount", &[text(&self.dir())])?;
        self.mount()
    }
    /// Ends all writing at once, as a power cut does. The ioctl is FS_IOC_SHUTDOWN; its number and flags are part of the kernel's interface.
    pub(crate) fn shut_down(&self, journal: Journal) -> Result<(), Unavailable> {
        let flag = match journal {
            Journal::Written => "1",
            Journal::Lost => "2",
        };
        let program = r#"open(my $d, "<", $ARGV[0]) or die "open: $!"; my $f = pack("L", $ARGV[1]); ioctl($d, 0x8004587d, $f) or die "FS_IOC_SHUTDOWN: $!""#;
        command("perl", &["-e", program, text(&self.dir()), flag])
    }
    /// Makes the file system meet an error of its own, after which it is read-only, as a worn SD card does.
    pub(crate) fn turn_read_only(&self) -> Result<(), Unavailable> {
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device()?);
        fs::write(&trigger, "1").map_err(|e| Unavailable(format!("{trigger}: {e}")))
    }
    /// The name of the block device below.
    pub(crate) fn device(&self) -> Result<String, Unavailable> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|e| Unavailable(e.to_string()))?;
        let dir = self.dir();
        let device = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let device = fields.next()?.strip_prefix("/dev/")?;
            (fields.next()? == text(&dir)).then(|| device.to_owned())
        });
        device.ok_or_else(|| Unavailable("the mount has no device".into()))
    }
    /// Puts everything on the device.
    pub(crate) fn sync(&self) -> Result<(), Unavailable> {
        command("sync", &["-f", text(&self.dir())])
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        drop(command("umount", &[text(&self.dir())]));
    }
}
