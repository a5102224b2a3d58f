//! Containers under cAdvisor's names. It reads nothing and asks nobody.

use super::cgroup::Usage;
use crate::gather::Gather;

/// A container with its figures.
pub(super) struct Seen<'a> {
    /// `id`, `name`, `image` and what the container was given.
    pub(super) labels: &'a [(String, String)],
    pub(super) usage: &'a Usage,
    /// Interfaces with what the kernel counts of each: received, then sent.
    pub(super) network: &'a [(String, [f64; 8])],
    /// Names of devices by their numbers.
    pub(super) devices: &'a dyn Fn(&str) -> Option<String>,
    /// When it was started, in seconds of Unix time.
    pub(super) started: Option<f64>,
    pub(super) restarts: Option<f64>,
    /// Now, in seconds of Unix time.
    pub(super) now: f64,
}

/// What stands in `/proc/<pid>/net/dev`, by the place of its column.
pub(super) const NETWORK: [(&str, &str); 8] = [
    ("container_network_receive_bytes_total", "Bytes that the container received."),
    ("container_network_receive_packets_total", "Packets that the container received."),
    ("container_network_receive_errors_total", "Errors while the container received."),
    ("container_network_receive_packets_dropped_total", "Packets that were dropped while the container received."),
    ("container_network_transmit_bytes_total", "Bytes that the container sent."),
    ("container_network_transmit_packets_total", "Packets that the container sent."),
    ("container_network_transmit_errors_total", "Errors while the container sent."),
    ("container_network_transmit_packets_dropped_total", "Packets that were dropped while the container sent."),
];

/// Puts the figures of a container.
pub(super) fn put(seen: &Seen<'_>, out: &mut Gather<'_>) {
    let pairs: Vec<(&str, &str)> = seen.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    out.gauge("container_last_seen", &"When the container was last seen (Unix time).", &pairs, seen.now.floor());
    if let Some(started) = seen.started {
        out.gauge("container_start_time_seconds", &"When the container was started (Unix time).", &pairs, started);
    }
    if let Some(restarts) = seen.restarts {
        out.counter("container_restarts_total", &"Times the engine has started the container again.", &pairs, restarts);
    }
    counters(seen.usage, &pairs, out);
    gauges(seen.usage, &pairs, out);
    let usage = seen.usage;
    with(&pairs, &[("cpu", "total")], |pairs| {
        if let Some(seconds) = usage.cpu_seconds {
            out.counter("container_cpu_usage_seconds_total", &"Processor time of the container.", pairs, seconds);
        }
    });
    for (kind, scope, value) in [
        ("pgfault", "container", usage.own_faults),
        ("pgfault", "hierarchy", usage.faults),
        ("pgmajfault", "container", usage.own_major_faults),
        ("pgmajfault", "hierarchy", usage.major_faults),
    ] {
        let Some(value) = value else { continue };
        with(&pairs, &[("failure_type", kind), ("scope", scope)], |pairs| {
            out.counter("container_memory_failures_total", &"Page faults of the container, by kind.", pairs, value);
        });
    }
    for (interface, counts) in seen.network {
        with(&pairs, &[("interface", interface)], |pairs| {
            for ((name, help), value) in NETWORK.iter().zip(counts) {
                out.counter(name, help, pairs, *value);
            }
        });
    }
    for device in &usage.devices {
        let name = (seen.devices)(&device.number).map_or_else(|| device.number.clone(), |name| format!("/dev/{name}"));
        with(&pairs, &[("device", &name)], |pairs| {
            out.counter("container_fs_reads_bytes_total", &"Bytes that the container read from devices.", pairs, device.read_bytes);
            out.counter("container_fs_writes_bytes_total", &"Bytes that the container wrote to devices.", pairs, device.written_bytes);
            out.counter("container_fs_reads_total", &"Reads of the container from devices.", pairs, device.reads);
            out.counter("container_fs_writes_total", &"Writes of the container to devices.", pairs, device.writes);
        });
    }
}

/// Calls something with more labels.
fn with<'a>(pairs: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)], put: impl FnOnce(&[(&'a str, &'a str)])) {
    put(&[pairs, more].concat());
}

fn counters(usage: &Usage, pairs: &[(&str, &str)], out: &mut Gather<'_>) {
    let all: [(&str, &str, Option<f64>); 7] = [
        ("container_cpu_user_seconds_total", "Processor time of the container's own code.", usage.user_seconds),
        ("container_cpu_system_seconds_total", "Processor time of the kernel for the container.", usage.system_seconds),
        ("container_cpu_cfs_periods_total", "Periods in which the container might have been throttled.", usage.periods),
        ("container_cpu_cfs_throttled_periods_total", "Periods in which the container was throttled.", usage.throttled_periods),
        ("container_cpu_cfs_throttled_seconds_total", "Time for which the container was throttled.", usage.throttled_seconds),
        ("container_memory_failcnt", "Times the container came to its memory limit.", usage.failures),
        ("container_oom_events_total", "Processes of the container that were killed for want of memory.", usage.kills),
    ];
    for (name, help, value) in all {
        if let Some(value) = value {
            out.counter(name, &help, pairs, value);
        }
    }
}

fn gauges(usage: &Usage, pairs: &[(&str, &str)], out: &mut Gather<'_>) {
    // What can be given back at once is no part of what the container needs.
    let working_set = usage.memory.map(|memory| (memory - usage.inactive_file.unwrap_or(0.0)).max(0.0));
    let all: [(&str, &str, Option<f64>); 16] = [
        ("container_memory_usage_bytes", "Memory of the container, whatever it is for.", usage.memory),
        ("container_memory_working_set_bytes", "Memory of the container without pages of files that it has not used lately.", working_set),
        ("container_memory_max_usage_bytes", "The most memory that the container has had.", usage.memory_peak),
        ("container_memory_rss", "Memory of the container that belongs to no file.", usage.rss),
        ("container_memory_cache", "Memory of the container for pages of files.", usage.cache),
        ("container_memory_mapped_file", "Memory of the container for mapped files.", usage.mapped_file),
        ("container_memory_swap", "Swapped memory of the container.", usage.swap),
        ("container_spec_memory_limit_bytes", "Memory limit of the container; 0 is none.", usage.memory_limit),
        ("container_spec_memory_reservation_limit_bytes", "Memory that the container is promised; 0 is none.", usage.reservation),
        ("container_spec_memory_swap_limit_bytes", "Limit of swapped memory of the container; 0 is none.", usage.swap_limit),
        ("container_spec_cpu_quota", "Processor time of the container in a period, in microseconds.", usage.quota),
        ("container_spec_cpu_period", "The period of the container's quota, in microseconds.", usage.period),
        ("container_spec_cpu_shares", "The container's share of processor time among others.", usage.shares),
        ("container_processes", "Processes of the container.", usage.processes),
        ("container_threads", "Threads of the container, of all its processes.", usage.threads),
        ("container_threads_max", "Threads that the container may have; 0 is no limit.", usage.threads_max),
    ];
    for (name, help, value) in all {
        if let Some(value) = value {
            out.gauge(name, &help, pairs, value);
        }
    }
}
