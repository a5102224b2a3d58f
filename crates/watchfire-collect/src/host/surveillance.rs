//! The names of the video management pack for disks and interfaces: `disk_space_*`, `disk_io_*`, `network_*`. The same facts as
//! node_exporter's, under the names that its rules and dashboards ask for. Not part of an exporter face.

use std::sync::PoisonError;

use regex::Regex;

use super::diskstats::{DiskLine, SECTOR_BYTES, disk_lines, pattern};
use super::files::Files;
use super::filesystem::{MountStatus, SharedSizes};
use super::netdev::interface_lines;
use super::{Collector, HostError, Settings};
use crate::gather::Gather;

/// Upper bounds of the latency histogram in milliseconds, with their texts.
const LATENCY_BOUNDS_MS: [(f64, &str); 12] = [
    (0.5, "0.5"),
    (1.0, "1.0"),
    (2.5, "2.5"),
    (5.0, "5.0"),
    (10.0, "10.0"),
    (25.0, "25.0"),
    (50.0, "50.0"),
    (100.0, "100.0"),
    (250.0, "250.0"),
    (500.0, "500.0"),
    (1000.0, "1000.0"),
    (2500.0, "2500.0"),
];

/// The kernel tells sums, not single operations: all operations between two polls count with their mean latency.
#[derive(Clone, Default)]
struct Latency {
    last: Option<(f64, f64)>,
    counts: [f64; LATENCY_BOUNDS_MS.len() + 1],
    sum: f64,
}

impl Latency {
    fn observe(&mut self, operations: f64, milliseconds: f64) {
        if let Some((operations_before, milliseconds_before)) = self.last.replace((operations, milliseconds)) {
            let (more, spent) = (operations - operations_before, milliseconds - milliseconds_before);
            // Nothing happened, or the device was replaced and counts anew.
            if more <= 0.0 || spent < 0.0 {
                return;
            }
            let mean = spent / more;
            let at = LATENCY_BOUNDS_MS.iter().position(|(bound, _)| mean <= *bound).unwrap_or(LATENCY_BOUNDS_MS.len());
            self.counts[at] += more;
            self.sum += spent;
        }
    }
}

struct Disk {
    device: String,
    read: Latency,
    write: Latency,
}

pub(crate) struct Surveillance {
    exclude: Regex,
    sizes: SharedSizes,
    disks: Vec<Disk>,
}

impl Surveillance {
    pub(crate) fn new(settings: &Settings, sizes: SharedSizes) -> Result<Surveillance, HostError> {
        Ok(Surveillance { exclude: pattern(&settings.disks_exclude)?, sizes, disks: Vec::new() })
    }

    fn disk(&mut self, device: &str) -> &mut Disk {
        let at = self.disks.iter().position(|d| d.device == device).unwrap_or_else(|| {
            self.disks.push(Disk { device: device.to_owned(), read: Latency::default(), write: Latency::default() });
            self.disks.len() - 1
        });
        &mut self.disks[at]
    }
}

impl Collector for Surveillance {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).read(files)?;
        for (mount, status) in sizes.iter() {
            // Memory that looks like a disk must not raise or hide an alert about disks.
            if let (Some(status), false) = (status, matches!(mount.fs_type.as_str(), "tmpfs" | "ramfs")) {
                put_space(out, &mount.mount_point, status);
            }
        }
        let exclude = self.exclude.clone();
        let mut present = Vec::new();
        for disk in disk_lines(files.text("/proc/diskstats")?, &exclude).filter(|d| !is_card_partition(d.device)) {
            self.put_disk(out, &disk);
            present.push(disk.device.to_owned());
        }
        self.disks.retain(|d| present.contains(&d.device));
        for (interface, values) in interface_lines(files.text("/proc/net/dev")?).filter(|(name, _)| *name != "lo") {
            let labels = [("interface", interface)];
            out.counter("network_bytes_received_total", &"Bytes received on an interface.", &labels, values[0]);
            out.counter("network_bytes_sent_total", &"Bytes sent on an interface.", &labels, values[8]);
            out.counter("network_errors_total", &"Errors on an interface, received and sent.", &labels, values[2] + values[10]);
            out.counter("network_drops_total", &"Packets dropped on an interface, received and sent.", &labels, values[3] + values[11]);
        }
        Ok(())
    }
}

/// Partitions of SD cards, which node_exporter's pattern lets through: a sum over devices must not count them twice.
fn is_card_partition(device: &str) -> bool {
    let part = device.strip_prefix("mmcblk").and_then(|rest| rest.split_once('p'));
    part.is_some_and(|(card, part)| card.parse::<u32>().is_ok() && part.parse::<u32>().is_ok())
}

fn put_space(out: &mut Gather<'_>, mount_point: &str, status: &MountStatus) {
    let labels = [("mount_point", mount_point)];
    // As `df` counts: free is what ordinary users may still fill, used is what is really taken.
    let used = status.size - status.free;
    out.gauge("disk_space_total_bytes", &"Size of a mount.", &labels, status.size);
    out.gauge("disk_space_free_bytes", &"Room of a mount that programs may still fill.", &labels, status.avail);
    out.gauge("disk_space_used_bytes", &"Used room of a mount.", &labels, used);
    let usable = used + status.avail;
    if usable > 0.0 {
        out.gauge("disk_space_used_percent", &"Used share of a mount, 0 to 100.", &labels, used * 100.0 / usable);
    }
}

impl Surveillance {
    fn put_disk(&mut self, out: &mut Gather<'_>, line: &DiskLine<'_>) {
        let labels = [("device", line.device)];
        out.counter("disk_io_read_bytes_total", &"Bytes read from a device.", &labels, line.columns[2] * SECTOR_BYTES);
        out.counter("disk_io_write_bytes_total", &"Bytes written to a device.", &labels, line.columns[6] * SECTOR_BYTES);
        let disk = self.disk(line.device);
        disk.read.observe(line.columns[0], line.columns[3]);
        disk.write.observe(line.columns[4], line.columns[7]);
        put_latency(out, line.device, "read", &disk.read);
        put_latency(out, line.device, "write", &disk.write);
    }
}

fn put_latency(out: &mut Gather<'_>, device: &str, operation: &str, latency: &Latency) {
    let (family, help) = ("disk_io_latency_ms", "Time of a disk operation in milliseconds, mean of each poll interval.");
    let mut total = 0.0;
    let bounds = LATENCY_BOUNDS_MS.iter().map(|(_, text)| *text).chain(["+Inf"]);
    for (le, count) in bounds.zip(latency.counts) {
        total += count;
        let labels = [("device", device), ("operation", operation), ("le", le)];
        out.histogram(family, "disk_io_latency_ms_bucket", &help, &labels, total);
    }
    let labels = [("device", device), ("operation", operation)];
    out.histogram(family, "disk_io_latency_ms_sum", &help, &labels, latency.sum);
    out.histogram(family, "disk_io_latency_ms_count", &help, &labels, total);
}
