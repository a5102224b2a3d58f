//! Groups of processes under process-exporter's names: counts go on when processes end, levels are those of the processes that are there.
//! It reads nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::config::Fit;
use super::proc::{More, Stat};
use crate::gather::Gather;

/// Groups at once.
pub(super) const GROUPS_MAX: usize = 400;
/// How long a group stays without a process.
const EMPTY_KEEP: Duration = Duration::from_secs(3_600);
const STATES: [&str; 5] = ["Running", "Sleeping", "Waiting", "Zombie", "Other"];

/// What only grows, of a process or a group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) user: f64,
    pub(super) system: f64,
    minor_faults: f64,
    major_faults: f64,
    switches: [f64; 2],
    io: [f64; 2],
}
impl Counts {
    /// What a process has counted so far; of what could not be read now, what was known before.
    pub(super) fn of(stat: &Stat, more: &More, before: &Counts) -> Counts {
        Counts {
            user: stat.user,
            system: stat.system,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            switches: more.switches.unwrap_or(before.switches),
            io: more.io.unwrap_or(before.io),
        }
    }

    /// What came since, which is never less than nothing.
    pub(super) fn since(&self, before: &Counts) -> Counts {
        let more = |now: f64, before: f64| (now - before).max(0.0);
        let both = |now: [f64; 2], before: [f64; 2]| [more(now[0], before[0]), more(now[1], before[1])];
        Counts {
            user: more(self.user, before.user),
            system: more(self.system, before.system),
            minor_faults: more(self.minor_faults, before.minor_faults),
            major_faults: more(self.major_faults, before.major_faults),
            switches: both(self.switches, before.switches),
            io: both(self.io, before.io),
        }
    }

    fn add(&mut self, more: &Counts) {
        self.user += more.user;
        self.system += more.system;
        self.minor_faults += more.minor_faults;
        self.major_faults += more.major_faults;
        for (sum, more) in self.switches.iter_mut().zip(more.switches).chain(self.io.iter_mut().zip(more.io)) {
            *sum += more;
        }
    }
}

/// What the processes of a group have now.
#[derive(Clone, Debug, Default)]
struct Levels {
    processes: f64,
    threads: f64,
    resident: f64,
    virtual_bytes: f64,
    swapped: f64,
    shares: Option<[f64; 2]>,
    files: f64,
    worst_files: f64,
    oldest: Option<f64>,
    states: [f64; 5],
}

struct Group {
    fit: Fit,
    counts: Counts,
    levels: Levels,
    /// When it last had a process.
    seen: Duration,
}

/// All groups.
#[derive(Default)]
pub(super) struct Groups {
    groups: HashMap<Box<str>, Group>,
}

/// The key of a group: its name and its labels.
pub(super) fn key(fit: &Fit) -> Box<str> {
    let mut key = fit.group.clone();
    for (name, value) in &fit.labels {
        key.extend(["\0", name, "\0", value]);
    }
    key.into()
}

impl Groups {
    /// Begins a poll: nobody is there until he is seen.
    pub(super) fn begin(&mut self, now: Duration) {
        self.groups.retain(|_, group| now.saturating_sub(group.seen) <= EMPTY_KEEP);
        self.groups.values_mut().for_each(|group| group.levels = Levels::default());
    }

    /// Makes sure that there is such a group; false when there are too many.
    pub(super) fn open(&mut self, key: &str, fit: &Fit, now: Duration) -> bool {
        if self.groups.contains_key(key) {
            return true;
        }
        if self.groups.len() >= GROUPS_MAX {
            return false;
        }
        self.groups.insert(key.into(), Group { fit: fit.clone(), counts: Counts::default(), levels: Levels::default(), seen: now });
        true
    }

    /// Adds a process and what it has counted since it was last seen.
    pub(super) fn add(&mut self, key: &str, stat: &Stat, more: &More, counted: &Counts, started: f64, now: Duration) {
        let Some(group) = self.groups.get_mut(key) else { return };
        group.seen = now;
        group.counts.add(counted);
        let levels = &mut group.levels;
        levels.processes += 1.0;
        levels.threads += stat.threads;
        levels.resident += stat.resident_bytes;
        levels.virtual_bytes += stat.virtual_bytes;
        levels.swapped += more.swapped_bytes.unwrap_or(0.0);
        if let Some([resident, swapped]) = more.shares {
            let shares = levels.shares.get_or_insert([0.0, 0.0]);
            shares[0] += resident;
            shares[1] += swapped;
        }
        levels.files += more.files.unwrap_or(0.0);
        if let (Some(open), Some(max)) = (more.files, more.files_max.filter(|max| *max > 0.0)) {
            levels.worst_files = levels.worst_files.max(open / max);
        }
        levels.oldest = Some(levels.oldest.map_or(started, |oldest| oldest.min(started)));
        let state = match stat.state {
            b'R' => 0,
            b'S' => 1,
            b'D' => 2,
            b'Z' => 3,
            _ => 4,
        };
        levels.states[state] += 1.0;
    }

    /// Puts the figures of all groups.
    pub(super) fn put(&self, out: &mut Gather<'_>) {
        for group in self.groups.values() {
            let mut labels: Vec<(&str, &str)> = vec![("groupname", &group.fit.group)];
            labels.extend(group.fit.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            put_levels(&group.levels, &mut labels, out);
            put_counts(&group.counts, &mut labels, out);
        }
    }
}

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Calls something with one more label.
fn with<'a>(labels: &mut Pairs<'a>, more: (&'a str, &'a str), put: impl FnOnce(&Pairs<'a>)) {
    labels.push(more);
    put(labels);
    labels.pop();
}

fn put_levels<'a>(levels: &Levels, labels: &mut Pairs<'a>, out: &mut Gather<'_>) {
    let plain: [(&str, &str, f64); 4] = [
        ("namedprocess_namegroup_num_procs", "Processes of the group.", levels.processes),
        ("namedprocess_namegroup_num_threads", "Threads of the group's processes.", levels.threads),
        ("namedprocess_namegroup_open_filedesc", "Open file descriptors of the group's processes.", levels.files),
        ("namedprocess_namegroup_worst_fd_ratio", "The largest share of its file descriptors that a process of the group uses.", levels.worst_files),
    ];
    for (name, help, value) in plain {
        out.gauge(name, &help, labels, value);
    }
    // Without a process there is no oldest one.
    if let Some(oldest) = levels.oldest {
        out.gauge("namedprocess_namegroup_oldest_start_time_seconds", &"When the oldest process of the group was started (Unix time).", labels, oldest);
    }
    let shares = levels.shares.map(|[resident, swapped]| [("proportionalResident", resident), ("proportionalSwapped", swapped)]);
    let kinds = [("resident", levels.resident), ("virtual", levels.virtual_bytes), ("swapped", levels.swapped)];
    for (kind, value) in kinds.into_iter().chain(shares.into_iter().flatten()) {
        with(labels, ("memtype", kind), |labels| out.gauge("namedprocess_namegroup_memory_bytes", &"Memory of the group's processes, by kind.", labels, value));
    }
    for (state, value) in STATES.into_iter().zip(levels.states) {
        with(labels, ("state", state), |labels| out.gauge("namedprocess_namegroup_states", &"Processes of the group in each state.", labels, value));
    }
}

fn put_counts<'a>(counts: &Counts, labels: &mut Pairs<'a>, out: &mut Gather<'_>) {
    let plain: [(&str, &str, f64); 4] = [
        ("namedprocess_namegroup_read_bytes_total", "Bytes that the group's processes made disks read.", counts.io[0]),
        ("namedprocess_namegroup_write_bytes_total", "Bytes that the group's processes made disks write.", counts.io[1]),
        ("namedprocess_namegroup_major_page_faults_total", "Page faults of the group's processes that read from a disk.", counts.major_faults),
        ("namedprocess_namegroup_minor_page_faults_total", "Page faults of the group's processes that read from no disk.", counts.minor_faults),
    ];
    for (name, help, value) in plain {
        out.counter(name, &help, labels, value);
    }
    for (mode, value) in [("user", counts.user), ("system", counts.system)] {
        with(labels, ("mode", mode), |labels| {
            out.counter("namedprocess_namegroup_cpu_seconds_total", &"Processor time of the group's processes, by mode.", labels, value);
        });
    }
    for (kind, value) in ["voluntary", "nonvoluntary"].into_iter().zip(counts.switches) {
        with(labels, ("ctxswitchtype", kind), |labels| {
            out.counter("namedprocess_namegroup_context_switches_total", &"Context switches of the group's processes, by kind.", labels, value);
        });
    }
}
