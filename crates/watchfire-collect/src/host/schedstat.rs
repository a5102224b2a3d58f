//! Scheduler statistics per processor, where the kernel keeps them.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct SchedStat;

impl Collector for SchedStat {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for line in files.text("/proc/schedstat")?.lines() {
            let mut cells = line.split_ascii_whitespace();
            let Some(cpu) = cells.next().and_then(|c| c.strip_prefix("cpu")).filter(|c| c.parse::<u32>().is_ok()) else { continue };
            let values: Vec<f64> = cells.filter_map(|c| c.parse().ok()).collect();
            let [.., running, waiting, slices] = values.as_slice() else { continue };
            let labels = [("cpu", cpu)];
            out.counter("node_schedstat_running_seconds_total", &"Number of seconds CPU spent running a process.", &labels, running / 1e9);
            out.counter("node_schedstat_waiting_seconds_total", &"Number of seconds spent by processing waiting for this CPU.", &labels, waiting / 1e9);
            out.counter("node_schedstat_timeslices_total", &"Number of timeslices executed by CPU.", &labels, *slices);
        }
        Ok(())
    }
}
