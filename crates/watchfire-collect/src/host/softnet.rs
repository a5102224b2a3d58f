//! Packet processing per processor from `/proc/net/softnet_stat`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct SoftNet;

const FIELDS: [(&str, &str); 3] = [
    ("node_softnet_processed_total", "Number of processed packets"),
    ("node_softnet_dropped_total", "Number of dropped packets"),
    ("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota"),
];

impl Collector for SoftNet {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for (row, line) in files.text("/proc/net/softnet_stat")?.lines().enumerate() {
            let cells: Vec<u32> = line.split_ascii_whitespace().filter_map(|c| u32::from_str_radix(c, 16).ok()).collect();
            // Newer kernels name the processor, which matters when some are offline.
            let cpu = cells.get(12).map_or(row, |c| *c as usize).to_string();
            for ((name, help), value) in FIELDS.iter().zip(&cells) {
                out.counter(name, help, &[("cpu", &cpu)], f64::from(*value));
            }
        }
        Ok(())
    }
}
