//! What the kernel counts of one control group, of both of its versions, in one shape. It knows no container engine.

use crate::host::files::{Files, number};

/// Above this a limit is none: version one shows the largest page-aligned number.
const LIMIT_MAX: f64 = 4_611_686_018_427_387_904.0;
/// Clock ticks per second in `cpuacct.stat`.
const USER_HZ: f64 = 100.0;
/// The numbers of a group's processes.
const PROCESSES: &str = "cgroup.procs";
/// What engines call the groups of a container's processes below its own.
const BELOW: [&str; 2] = ["container", "init"];
/// Devices of one group.
const DEVICES_MAX: usize = 64;

/// Where a control group is: one path for each controller of version one, or one for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The path within the hierarchy of version two, or that of the processor's controller: it is what the group is called.
    pub(super) id: String,
    unified: bool,
    cpu: String,
    cpuacct: String,
    memory: String,
    blkio: String,
    pids: String,
}

/// What was counted. What the kernel does not tell is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) user_seconds: Option<f64>,
    pub(super) system_seconds: Option<f64>,
    pub(super) periods: Option<f64>,
    pub(super) throttled_periods: Option<f64>,
    pub(super) throttled_seconds: Option<f64>,
    pub(super) quota: Option<f64>,
    pub(super) period: Option<f64>,
    pub(super) shares: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) memory_peak: Option<f64>,
    pub(super) inactive_file: Option<f64>,
    pub(super) rss: Option<f64>,
    pub(super) cache: Option<f64>,
    pub(super) mapped_file: Option<f64>,
    pub(super) swap: Option<f64>,
    pub(super) faults: Option<f64>,
    pub(super) major_faults: Option<f64>,
    /// The same without groups below this one.
    pub(super) own_faults: Option<f64>,
    pub(super) own_major_faults: Option<f64>,
    pub(super) failures: Option<f64>,
    pub(super) kills: Option<f64>,
    /// Zero is none.
    pub(super) memory_limit: Option<f64>,
    pub(super) reservation: Option<f64>,
    pub(super) swap_limit: Option<f64>,
    pub(super) processes: Option<f64>,
    pub(super) threads: Option<f64>,
    /// Zero is none.
    pub(super) threads_max: Option<f64>,
    pub(super) devices: Vec<Device>,
}

/// What was read from and written to one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    /// `8:0`
    pub(super) number: String,
    pub(super) read_bytes: f64,
    pub(super) written_bytes: f64,
    pub(super) reads: f64,
    pub(super) writes: f64,
}

impl Place {
    /// Reads `/proc/<pid>/cgroup`. Engines put groups of their own below a container's, so a path ends with the part that names it.
    pub(super) fn read(text: &str, id: &str) -> Option<Place> {
        let mut place = Place::default();
        let mut unified = None;
        for line in text.lines() {
            let mut cells = line.splitn(3, ':');
            let (Some(hierarchy), Some(controllers), Some(path)) = (cells.next(), cells.next(), cells.next()) else { continue };
            let Some(path) = up_to(path, id) else { continue };
            if hierarchy == "0" && controllers.is_empty() {
                unified = Some(path);
                continue;
            }
            for controller in controllers.split(',') {
                let of = match controller {
                    "cpu" => &mut place.cpu,
                    "cpuacct" => &mut place.cpuacct,
                    "memory" => &mut place.memory,
                    "blkio" => &mut place.blkio,
                    "pids" => &mut place.pids,
                    _ => continue,
                };
                of.replace_range(.., path);
            }
        }
        // Where both versions are mounted, version two has the controllers that version one has not.
        if !place.memory.is_empty() || !place.cpuacct.is_empty() {
            let id = if place.cpuacct.is_empty() { place.memory.clone() } else { place.cpuacct.clone() };
            return Some(Place { id, ..place });
        }
        unified.map(|path| Place { id: path.to_owned(), unified: true, ..Place::default() })
    }

    /// Where engines put the groups of containers whose processes are not to be seen.
    pub(super) fn usual(files: &Files, id: &str) -> Option<Place> {
        let candidates = [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/machine.slice/libpod-{id}.scope"),
            format!("/libpod_parent/libpod-{id}"),
        ];
        let unified = files.exists("/sys/fs/cgroup/cgroup.controllers");
        candidates.into_iter().find_map(|path| match unified {
            true => files.exists(&format!("/sys/fs/cgroup{path}")).then(|| Place { id: path, unified, ..Place::default() }),
            false => files.exists(&format!("/sys/fs/cgroup/memory{path}")).then(|| Place {
                cpu: path.clone(),
                cpuacct: path.clone(),
                memory: path.clone(),
                blkio: path.clone(),
                pids: path.clone(),
                id: path,
                unified,
            }),
        })
    }

    /// Whether the group is still there.
    pub(super) fn exists(&self, files: &Files) -> bool {
        files.exists(&if self.unified { format!("/sys/fs/cgroup{}", self.id) } else { format!("/sys/fs/cgroup/memory{}", self.memory) })
    }

    /// Reads what was counted.
    pub(super) fn usage(&self, files: &mut Files) -> Usage {
        if self.unified { two(files, &format!("/sys/fs/cgroup{}", self.id)) } else { self.one(files) }
    }

    fn one(&self, files: &mut Files) -> Usage {
        let of = |controller: &str, path: &str, file: &str| format!("/sys/fs/cgroup/{controller}{path}/{file}");
        let mut usage = Usage {
            cpu_seconds: files.number(&of("cpuacct", &self.cpuacct, "cpuacct.usage")).map(|nanos| nanos / 1e9),
            // Less than nothing is no quota.
            quota: files.number(&of("cpu", &self.cpu, "cpu.cfs_quota_us")).filter(|quota| *quota > 0.0),
            period: files.number(&of("cpu", &self.cpu, "cpu.cfs_period_us")),
            shares: files.number(&of("cpu", &self.cpu, "cpu.shares")),
            memory: files.number(&of("memory", &self.memory, "memory.usage_in_bytes")),
            memory_peak: files.number(&of("memory", &self.memory, "memory.max_usage_in_bytes")),
            failures: files.number(&of("memory", &self.memory, "memory.failcnt")),
            memory_limit: files.number(&of("memory", &self.memory, "memory.limit_in_bytes")).map(limit),
            reservation: files.number(&of("memory", &self.memory, "memory.soft_limit_in_bytes")).map(limit),
            swap_limit: files.number(&of("memory", &self.memory, "memory.memsw.limit_in_bytes")).map(limit),
            processes: processes(files, &format!("/sys/fs/cgroup/cpu{}", self.cpu)),
            threads: files.number(&of("pids", &self.pids, "pids.current")),
            threads_max: or_none(files, &of("pids", &self.pids, "pids.max")),
            ..Usage::default()
        };
        if let Ok(text) = files.text(&of("cpuacct", &self.cpuacct, "cpuacct.stat")) {
            usage.user_seconds = value(text, "user").map(|ticks| ticks / USER_HZ);
            usage.system_seconds = value(text, "system").map(|ticks| ticks / USER_HZ);
        }
        if let Ok(text) = files.text(&of("cpu", &self.cpu, "cpu.stat")) {
            usage.periods = value(text, "nr_periods");
            usage.throttled_periods = value(text, "nr_throttled");
            usage.throttled_seconds = value(text, "throttled_time").map(|nanos| nanos / 1e9);
        }
        if let Ok(text) = files.text(&of("memory", &self.memory, "memory.stat")) {
            let total = |word: &str| value(text, &format!("total_{word}")).or_else(|| value(text, word));
            usage.inactive_file = total("inactive_file");
            usage.rss = total("rss");
            usage.cache = total("cache");
            usage.mapped_file = total("mapped_file");
            usage.swap = total("swap");
            usage.faults = total("pgfault");
            usage.major_faults = total("pgmajfault");
            usage.own_faults = value(text, "pgfault").or(usage.faults);
            usage.own_major_faults = value(text, "pgmajfault").or(usage.major_faults);
        }
        if let Ok(text) = files.text(&of("memory", &self.memory, "memory.oom_control")) {
            usage.kills = value(text, "oom_kill");
        }
        for (file, bytes) in [("blkio.throttle.io_service_bytes", true), ("blkio.throttle.io_serviced", false)] {
            let Ok(text) = files.text(&of("blkio", &self.blkio, file)) else { continue };
            for line in text.lines() {
                let mut cells = line.split_ascii_whitespace();
                let (Some(device), Some(operation), Some(count)) = (cells.next(), cells.next(), cells.next().and_then(number)) else { continue };
                let Some(device) = device_of(&mut usage.devices, device) else { continue };
                match (operation, bytes) {
                    ("Read", true) => device.read_bytes = count,
                    ("Write", true) => device.written_bytes = count,
                    ("Read", false) => device.reads = count,
                    ("Write", false) => device.writes = count,
                    _ => {}
                }
            }
        }
        usage
    }
}

fn two(files: &mut Files, at: &str) -> Usage {
    let limit = |files: &mut Files, file: &str| or_none(files, &format!("{at}/{file}"));
    let mut usage = Usage {
        memory: files.number(&format!("{at}/memory.current")),
        memory_peak: files.number(&format!("{at}/memory.peak")),
        swap: files.number(&format!("{at}/memory.swap.current")),
        processes: processes(files, at),
        threads: files.number(&format!("{at}/pids.current")),
        threads_max: limit(files, "pids.max"),
        memory_limit: limit(files, "memory.max"),
        reservation: limit(files, "memory.min"),
        swap_limit: limit(files, "memory.swap.max"),
        // The weight of version two for the shares of version one, as the kernel's documentation relates them.
        shares: files.number(&format!("{at}/cpu.weight")).map(|weight| 2.0 + ((weight - 1.0) * 262_142.0 / 9_999.0).floor()),
        ..Usage::default()
    };
    if let Ok(text) = files.text(&format!("{at}/cpu.stat")) {
        let seconds = |word| value(text, word).map(|micros| micros / 1e6);
        usage.cpu_seconds = seconds("usage_usec");
        usage.user_seconds = seconds("user_usec");
        usage.system_seconds = seconds("system_usec");
        usage.throttled_seconds = seconds("throttled_usec");
        usage.periods = value(text, "nr_periods");
        usage.throttled_periods = value(text, "nr_throttled");
    }
    if let Some(text) = files.line(&format!("{at}/cpu.max")) {
        let mut cells = text.split_ascii_whitespace();
        usage.quota = cells.next().and_then(number);
        usage.period = cells.next().and_then(number);
    }
    if let Ok(text) = files.text(&format!("{at}/memory.stat")) {
        usage.inactive_file = value(text, "inactive_file");
        usage.rss = value(text, "anon");
        usage.cache = value(text, "file");
        usage.mapped_file = value(text, "file_mapped");
        usage.faults = value(text, "pgfault");
        usage.major_faults = value(text, "pgmajfault");
        (usage.own_faults, usage.own_major_faults) = (usage.faults, usage.major_faults);
    }
    if let Ok(text) = files.text(&format!("{at}/memory.events")) {
        usage.failures = value(text, "max");
        usage.kills = value(text, "oom_kill");
    }
    if let Ok(text) = files.text(&format!("{at}/io.stat")) {
        for line in text.lines() {
            let mut cells = line.split_ascii_whitespace();
            let Some(device) = cells.next().and_then(|device| device_of(&mut usage.devices, device)) else { continue };
            for (key, count) in cells.filter_map(|cell| cell.split_once('=')).filter_map(|(key, count)| Some((key, number(count)?))) {
                match key {
                    "rbytes" => device.read_bytes = count,
                    "wbytes" => device.written_bytes = count,
                    "rios" => device.reads = count,
                    "wios" => device.writes = count,
                    _ => {}
                }
            }
        }
    }
    usage
}

/// A limit; zero where there is none.
fn or_none(files: &mut Files, path: &str) -> Option<f64> {
    let text = files.line(path)?;
    if text == "max" { Some(0.0) } else { number(text) }
}

/// How many processes a group has. Podman puts them into a group below the container's.
fn processes(files: &mut Files, at: &str) -> Option<f64> {
    let mut count = |at: &str| Some(files.text(&format!("{at}/{PROCESSES}")).ok()?.lines().filter(|line| !line.trim().is_empty()).count());
    let own = count(at)?;
    Some(if own > 0 { own } else { own + BELOW.iter().filter_map(|below| count(&format!("{at}/{below}"))).sum::<usize>() } as f64)
}

/// The path up to the part that holds an id.
fn up_to<'a>(path: &'a str, id: &str) -> Option<&'a str> {
    let at = path.find(id)? + id.len();
    let end = path.get(at..)?.find('/').map_or(path.len(), |more| at + more);
    // It becomes part of a path below the kernel's files.
    path.get(..end).filter(|path| !path.split('/').any(|part| part == ".."))
}

/// The number after a word at the beginning of a line.
fn value(text: &str, word: &str) -> Option<f64> {
    text.lines().find_map(|line| number(line.strip_prefix(word)?.strip_prefix(' ')?.trim()))
}

fn limit(bytes: f64) -> f64 {
    if bytes > LIMIT_MAX { 0.0 } else { bytes }
}

fn device_of<'a>(devices: &'a mut Vec<Device>, number: &str) -> Option<&'a mut Device> {
    let sound = number.split_once(':').is_some_and(|(major, minor)| [major, minor].iter().all(|n| n.parse::<u32>().is_ok()));
    let at = match devices.iter().position(|device| device.number == number) {
        Some(at) => at,
        None if sound && devices.len() < DEVICES_MAX => {
            devices.push(Device { number: number.to_owned(), ..Device::default() });
            devices.len() - 1
        }
        None => return None,
    };
    devices.get_mut(at)
}
