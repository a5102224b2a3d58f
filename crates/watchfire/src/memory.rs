//! How much memory we may use: the machine's, or the cgroup's when that is less. It measures and tames the
//! allocator; the rooms keep the budgets.

use std::fs;

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
    fn the_default_is_within_its_bounds() {
        let limit = super::default_limit();
        assert!((64 << 20..=512 << 20).contains(&limit), "{limit}");
        let shares = super::shares(limit);
        assert!(shares.store + shares.queries < limit);
    }
}
