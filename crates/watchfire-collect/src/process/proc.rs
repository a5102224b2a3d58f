//! One process in the kernel's words: `/proc/<pid>/stat`, `status`, `io`, `fd`, `limits`, `smaps_rollup`, `cmdline`, `cgroup`. It decides nothing.

use watchfire_model::text::cut;

use crate::host::files::{Files, number};

/// Clock ticks per second in `/proc`; Linux shows all of them with this rate on every machine.
const USER_HZ: f64 = 100.0;
/// The longest command line that is looked at.
const CMDLINE_BYTES_MAX: usize = 16 << 10;
/// The most open files that are counted of one process.
const FILES_MAX: usize = 1 << 20;

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// When it was started, in ticks since the machine was.
    pub(super) ticks: u64,
}

/// What `stat` tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) state: u8,
    pub(super) parent: u32,
    pub(super) ticks: u64,
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) minor_faults: f64,
    pub(super) major_faults: f64,
    pub(super) threads: f64,
    pub(super) virtual_bytes: f64,
    pub(super) resident_bytes: f64,
}

/// What rules look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct About {
    pub(super) pid: u32,
    pub(super) comm: String,
    /// The first word of the command line, or the name of a process without one.
    pub(super) exe: String,
    /// The words with spaces between.
    pub(super) cmdline: String,
    /// The control groups, a line each.
    pub(super) cgroup: String,
    pub(super) username: String,
    /// When it was started, in seconds of Unix time.
    pub(super) started: f64,
}

/// What is read beside `stat` of those that belong to a group. What we may not read is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct More {
    pub(super) swapped_bytes: Option<f64>,
    /// Voluntary and other context switches.
    pub(super) switches: Option<[f64; 2]>,
    /// Bytes read from and written to disks.
    pub(super) io: Option<[f64; 2]>,
    pub(super) files: Option<f64>,
    pub(super) files_max: Option<f64>,
    /// Shares in resident and in swapped memory.
    pub(super) shares: Option<[f64; 2]>,
}

/// Reads a `stat`; the name in brackets may hold anything, brackets too.
pub(super) fn stat(text: &str, page_bytes: f64) -> Option<Stat> {
    let (head, rest) = text.rsplit_once(')')?;
    let comm = head.split_once('(')?.1.to_owned();
    let cells: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are numbered from one in the documentation; the state is the third.
    let cell = |field: usize| cells.get(field - 3).copied();
    let float = |field: usize| cell(field).and_then(|c| c.parse::<f64>().ok());
    Some(Stat {
        comm,
        state: *cell(3)?.as_bytes().first()?,
        parent: cell(4)?.parse().ok()?,
        minor_faults: float(10)?,
        major_faults: float(12)?,
        user: float(14)? / USER_HZ,
        system: float(15)? / USER_HZ,
        threads: float(20)?,
        ticks: cell(22)?.parse().ok()?,
        virtual_bytes: float(23)?,
        resident_bytes: float(24)? * page_bytes,
    })
}

/// When something began that many ticks after the machine was started, in seconds of Unix time.
pub(super) fn started(boot: f64, ticks: u64) -> f64 {
    boot + ticks as f64 / USER_HZ
}

/// Reads what rules look at.
pub(super) fn about(files: &mut Files, pid: u32, comm: &str, started: f64) -> About {
    let words = files.text(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&str> = cut(words, CMDLINE_BYTES_MAX).trim_end_matches('\0').split('\0').collect();
    let exe = words.first().filter(|word| !word.is_empty()).map_or_else(|| comm.to_owned(), |word| (*word).to_owned());
    let cmdline = words.join(" ");
    let cgroup = files.text(&format!("/proc/{pid}/cgroup")).unwrap_or_default().trim_end().to_owned();
    let uid = files.text(&format!("/proc/{pid}/status")).ok().and_then(|text| after(text, "Uid:")?.split_ascii_whitespace().next().map(str::to_owned));
    let username = uid.map(|uid| name_of(files, &uid).unwrap_or(uid)).unwrap_or_default();
    About { pid, comm: comm.to_owned(), exe, cmdline, cgroup, username, started }
}

fn name_of(files: &mut Files, uid: &str) -> Option<String> {
    let text = files.text("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut cells = line.split(':');
        let name = cells.next()?;
        (cells.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// What follows a word at the beginning of a line.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim)
}

fn first_number(text: &str, word: &str) -> Option<f64> {
    number(after(text, word)?.split_ascii_whitespace().next()?)
}

/// Reads what belongs to the figures of a group.
pub(super) fn more(files: &mut Files, pid: u32, shares: bool) -> More {
    let mut more = More::default();
    if let Ok(text) = files.text(&format!("/proc/{pid}/status")) {
        // Kernel threads have no memory of their own.
        more.swapped_bytes = first_number(text, "VmSwap:").map(|kibibytes| kibibytes * 1024.0);
        more.switches = first_number(text, "voluntary_ctxt_switches:").zip(first_number(text, "nonvoluntary_ctxt_switches:")).map(|(v, n)| [v, n]);
    }
    if let Ok(text) = files.text(&format!("/proc/{pid}/io")) {
        more.io = first_number(text, "read_bytes:").zip(first_number(text, "write_bytes:")).map(|(read, written)| [read, written]);
    }
    if let Ok(text) = files.text(&format!("/proc/{pid}/limits")) {
        more.files_max = first_number(text, "Max open files");
    }
    more.files = std::fs::read_dir(files.at(&format!("/proc/{pid}/fd"))).ok().map(|open| open.take(FILES_MAX).count() as f64);
    if shares && let Ok(text) = files.text(&format!("/proc/{pid}/smaps_rollup")) {
        let bytes = |word| first_number(text, word).map(|kibibytes| kibibytes * 1024.0);
        more.shares = bytes("Pss:").map(|resident| [resident, bytes("SwapPss:").unwrap_or(0.0)]);
    }
    more
}
