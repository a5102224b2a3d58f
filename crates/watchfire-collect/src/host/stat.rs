//! What `/proc/stat` says about the whole machine: boot time, interrupts, context switches, forks, runnable and blocked processes.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Stat;

impl Collector for Stat {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for line in files.text("/proc/stat")?.lines() {
            let mut cells = line.split_ascii_whitespace();
            let (Some(key), Some(Ok(value))) = (cells.next(), cells.next().map(str::parse::<f64>)) else { continue };
            match key {
                "intr" => out.counter("node_intr_total", &"Total number of interrupts serviced.", &[], value),
                "ctxt" => out.counter("node_context_switches_total", &"Total number of context switches.", &[], value),
                "processes" => out.counter("node_forks_total", &"Total number of forks.", &[], value),
                "btime" => out.gauge("node_boot_time_seconds", &"Node boot time, in unixtime.", &[], value),
                "procs_running" => out.gauge("node_procs_running", &"Number of processes in runnable state.", &[], value),
                "procs_blocked" => out.gauge("node_procs_blocked", &"Number of processes blocked waiting for I/O to complete.", &[], value),
                _ => {}
            }
        }
        Ok(())
    }
}
