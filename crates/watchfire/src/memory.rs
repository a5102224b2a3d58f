//! How much memory we may use: the machine's, or the cgroup's when that is less. It measures and tames the
//! allocator; the rooms keep the budgets.

use std::fs;
use std::ops::Range;

use crate::settings::Environment;

/// The default of `memory.limit`: a quarter of the memory there is, 512 MiB at most, 64 MiB at least.
pub(crate) fn default_limit() -> u64 {
    let there_is = [machine(), cgroup("/sys/fs/cgroup/memory.max"), cgroup("/sys/fs/cgroup/memory/memory.limit_in_bytes")].into_iter().flatten().min();
    (there_is.unwrap_or(1 << 30) / 4).clamp(64 << 20, 512 << 20)
}

fn machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn cgroup(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What the C library's allocator is told, in its own words.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// Starts this program anew, in the same process, with few allocation arenas. Every thread of glibc may get an arena of its
/// own and keep what it once used, which made a burst of queries overrun `memory.limit` by half; the library reads the setting
/// only before `main`. Whoever has set it already is left alone, and where the restart is not possible we go on as we are.
pub(crate) fn use_few_arenas(environment: &Environment) {
    use std::os::unix::process::CommandExt;
    if !cfg!(target_env = "gnu") || environment.get(ARENAS.0).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) else { return };
    let error = std::process::Command::new(program).arg0(name).args(arguments).env(ARENAS.0, ARENAS.1).exec();
    eprintln!("watchfire: going on with the allocator's own settings: {error}");
}

/// Lets go of the pages of our own program file: what the start needed (configuration, command line) would count as resident for
/// ever. What is still in use comes back from the page cache by itself.
pub(crate) fn forget_idle_code() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for range in code_ranges(&maps) {
        #[expect(unsafe_code, reason = "the only way to give pages of a mapping back")]
        // SAFETY: these are private file mappings without write access and, standing before the code or being it, without
        // relocations. Their pages were never changed, so the next access reads the same bytes from the file again.
        let done = unsafe { rustix::mm::madvise(std::ptr::with_exposed_provenance_mut(range.start), range.len(), rustix::mm::Advice::LinuxDontNeed) };
        if let Err(error) = done {
            tracing::debug!(%error, "pages of the program cannot be given back");
        }
    }
}

/// Where our code and its constants are mapped: from the first mapping, which is the program's own, up to its executable one.
/// Later mappings of the program hold relocated pointers, which are not in the file.
fn code_ranges(maps: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut program = None;
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let (Some(range), Some(access), Some(_), Some(device), Some(inode)) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) else {
            break;
        };
        if inode == "0" || *program.get_or_insert((device, inode)) != (device, inode) || !matches!(access, "r--p" | "r-xp") {
            break;
        }
        let bounds = range.split_once('-').and_then(|(a, b)| Some(usize::from_str_radix(a, 16).ok()?..usize::from_str_radix(b, 16).ok()?));
        let Some(bounds) = bounds else { break };
        ranges.push(bounds);
        if access == "r-xp" {
            return ranges;
        }
    }
    // Without an executable mapping this is a layout that we do not know.
    Vec::new()
}

/// How the limit is shared out. The rest is for code, stacks, connections and the allocator's slack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// For the store's head and caches.
    pub(crate) store: u64,
    /// For all queries together.
    pub(crate) queries: u64,
}

/// Shares a limit out.
pub(crate) fn shares(limit: u64) -> Shares {
    Shares { store: limit / 2, queries: limit / 4 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_stands_before_the_end_of_the_code_is_given_back() {
        let check = |maps: &str, expected: &[std::ops::Range<usize>]| assert_eq!(super::code_ranges(maps), expected, "{maps}");
        let program = "1000-3000 r--p 00000000 fe:00 77   /a b/watchfire\n3000-9000 r-xp 00002000 fe:00 77   /a b/watchfire\n9000-a000 r--p 00008000 fe:00 77   /a b/watchfire\na000-b000 rw-p 00009000 fe:00 77   /a b/watchfire\nb000-c000 r-xp 00000000 fe:00 78   /lib/libc.so.6\n";
        check(program, &[0x1000..0x3000, 0x3000..0x9000]);
        check("1000-3000 r-xp 00000000 fe:00 77 /w\n3000-9000 r--p 00002000 fe:00 77 /w\n", std::slice::from_ref(&(0x1000..0x3000)));
        check("1000-3000 rw-p 00000000 fe:00 77 /w\n3000-9000 r-xp 00002000 fe:00 77 /w\n", &[]);
        check("1000-3000 r--p 00000000 fe:00 77 /w\n3000-9000 r-xp 00002000 fe:00 78 /x\n", &[]);
        check("1000-3000 r-xp 00000000 00:00 0\n", &[]);
        check("nonsense", &[]);
        assert_eq!(super::code_ranges(&std::fs::read_to_string("/proc/self/maps").unwrap()).is_empty(), !cfg!(target_os = "linux"));
        super::forget_idle_code();
        assert!(super::default_limit() > 0, "code and constants are read back");
    }

    #[test]
    fn the_default_is_within_its_bounds() {
        let limit = super::default_limit();
        assert!((64 << 20..=512 << 20).contains(&limit), "{limit}");
        let shares = super::shares(limit);
        assert!(shares.store + shares.queries < limit);
    }
}
