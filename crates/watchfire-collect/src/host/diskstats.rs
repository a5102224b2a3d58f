//! Block devices: operations, bytes and times from `/proc/diskstats`. Not partitions, RAM disks and loop devices.

use regex::Regex;

use super::files::Files;
use super::{Collector, HostError, Settings};
use crate::gather::Gather;

/// What node_exporter leaves out.
pub(crate) const DISKS_EXCLUDE: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
/// The unit of "sectors" in `/proc/diskstats`, whatever the device's own sectors are.
pub(crate) const SECTOR_BYTES: f64 = 512.0;

/// Metric, whether it is a counter, factor, help: in the order of the columns after the name.
const COLUMNS: [(&str, bool, f64, &str); 17] = [
    ("node_disk_reads_completed_total", true, 1.0, "The total number of reads completed successfully."),
    ("node_disk_reads_merged_total", true, 1.0, "The total number of reads merged."),
    ("node_disk_read_bytes_total", true, SECTOR_BYTES, "The total number of bytes read successfully."),
    ("node_disk_read_time_seconds_total", true, 0.001, "The total number of seconds spent by all reads."),
    ("node_disk_writes_completed_total", true, 1.0, "The total number of writes completed successfully."),
    ("node_disk_writes_merged_total", true, 1.0, "The number of writes merged."),
    ("node_disk_written_bytes_total", true, SECTOR_BYTES, "The total number of bytes written successfully."),
    ("node_disk_write_time_seconds_total", true, 0.001, "The total number of seconds spent by all writes."),
    ("node_disk_io_now", false, 1.0, "The number of I/Os currently in progress."),
    ("node_disk_io_time_seconds_total", true, 0.001, "Total seconds spent doing I/Os."),
    ("node_disk_io_time_weighted_seconds_total", true, 0.001, "The weighted number of seconds spent doing I/Os."),
    ("node_disk_discards_completed_total", true, 1.0, "The total number of discards completed successfully."),
    ("node_disk_discards_merged_total", true, 1.0, "The total number of discards merged."),
    ("node_disk_discarded_sectors_total", true, 1.0, "The total number of sectors discarded successfully."),
    ("node_disk_discard_time_seconds_total", true, 0.001, "The total number of seconds spent by all discards."),
    ("node_disk_flush_requests_total", true, 1.0, "The total number of flush requests completed successfully."),
    ("node_disk_flush_requests_time_seconds_total", true, 0.001, "The total number of seconds spent by all flush requests."),
];

pub(crate) struct DiskStats {
    exclude: Regex,
}

impl DiskStats {
    pub(crate) fn new(settings: &Settings) -> Result<DiskStats, HostError> {
        Ok(DiskStats { exclude: pattern(&settings.disks_exclude)? })
    }
}

/// Compiles a pattern of the settings.
pub(crate) fn pattern(text: &str) -> Result<Regex, HostError> {
    Regex::new(text).map_err(|source| HostError::Pattern { pattern: text.to_owned(), source })
}

/// One line of `/proc/diskstats`.
pub(crate) struct DiskLine<'a> {
    pub(crate) major: &'a str,
    pub(crate) minor: &'a str,
    pub(crate) device: &'a str,
    pub(crate) columns: [f64; 17],
    pub(crate) known: usize,
}

/// Reads the lines whose device is wanted.
pub(crate) fn disk_lines<'a>(text: &'a str, exclude: &'a Regex) -> impl Iterator<Item = DiskLine<'a>> {
    text.lines().filter_map(|line| {
        let mut cells = line.split_ascii_whitespace();
        let (major, minor, device) = (cells.next()?, cells.next()?, cells.next()?);
        if exclude.is_match(device) {
            return None;
        }
        let mut columns = [0.0; 17];
        let mut known = 0;
        for (slot, cell) in columns.iter_mut().zip(cells) {
            *slot = cell.parse().ok()?;
            known += 1;
        }
        Some(DiskLine { major, minor, device, columns, known })
    })
}

impl Collector for DiskStats {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/diskstats")?;
        for disk in disk_lines(text, &self.exclude) {
            let labels = [("device", disk.device), ("major", disk.major), ("minor", disk.minor)];
            out.gauge("node_disk_info", &"Info of /sys/block/<block_device>.", &labels, 1.0);
            for ((name, counts, factor, help), value) in COLUMNS.iter().zip(disk.columns).take(disk.known) {
                let labels = [("device", disk.device)];
                if *counts {
                    out.counter(name, help, &labels, value * factor);
                } else {
                    out.gauge(name, help, &labels, value);
                }
            }
        }
        Ok(())
    }
}
