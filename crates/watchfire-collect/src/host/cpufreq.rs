//! Processor clocks from `/sys/devices/system/cpu/cpu*/cpufreq`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

/// File, metric, help.
const FIELDS: [(&str, &str, &str); 6] = [
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Current CPU thread frequency in hertz."),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
    ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
    ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
];

pub(crate) struct CpuFreq;

impl Collector for CpuFreq {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for name in files.names("/sys/devices/system/cpu") {
            let Some(cpu) = name.strip_prefix("cpu").filter(|n| n.parse::<u32>().is_ok()) else { continue };
            for (file, metric, help) in FIELDS {
                if let Some(khz) = files.number(&format!("/sys/devices/system/cpu/{name}/cpufreq/{file}")) {
                    out.gauge(metric, &help, &[("cpu", cpu)], khz * 1000.0);
                }
            }
        }
        Ok(())
    }
}
