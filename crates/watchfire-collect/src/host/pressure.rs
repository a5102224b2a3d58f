//! Pressure stall information: how long tasks waited for processor, disk and memory.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Pressure;

/// File, start of the line, metric, help.
const FIELDS: [(&str, &str, &str, &str); 5] = [
    ("/proc/pressure/cpu", "some", "node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time"),
    ("/proc/pressure/io", "some", "node_pressure_io_waiting_seconds_total", "Total time in seconds that processes have waited due to IO congestion"),
    ("/proc/pressure/io", "full", "node_pressure_io_stalled_seconds_total", "Total time in seconds no process could make progress due to IO congestion"),
    ("/proc/pressure/memory", "some", "node_pressure_memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory"),
    (
        "/proc/pressure/memory",
        "full",
        "node_pressure_memory_stalled_seconds_total",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
];

impl Collector for Pressure {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for (path, start, metric, help) in FIELDS {
            // Kernels with pressure information switched off refuse to read.
            let Ok(text) = files.text(path) else { continue };
            let line = text.lines().find(|l| l.starts_with(start));
            if let Some(Ok(micros)) = line.and_then(|l| l.split_once("total=")).map(|(_, v)| v.trim().parse::<f64>()) {
                out.counter(metric, &help, &[], micros / 1e6);
            }
        }
        Ok(())
    }
}
