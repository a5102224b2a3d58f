//! Processes and threads by state. Off by default, as there: it reads one file per process.

use super::files::Files;
use crate::gather::Gather;
use super::{Collector, HostError};

pub(crate) struct Processes;

impl Collector for Processes {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut states: Vec<(String, u32)> = Vec::new();
        let (mut pids, mut threads) = (0u32, 0.0);
        for pid in files.names("/proc") {
            if pid.parse::<u32>().is_err() {
                continue;
            }
            // The process may be gone by now.
            let Ok(text) = files.text(&format!("/proc/{pid}/stat")) else { continue };
            // The name in brackets may hold anything, brackets too.
            let Some((_, rest)) = text.rsplit_once(')') else { continue };
            let cells: Vec<&str> = rest.split_ascii_whitespace().collect();
            let (Some(state), Some(Ok(count))) = (cells.first(), cells.get(17).map(|c| c.parse::<f64>())) else { continue };
            pids += 1;
            threads += count;
            match states.iter_mut().find(|(s, _)| s == state) {
                Some((_, n)) => *n += 1,
                None => states.push(((*state).to_owned(), 1)),
            }
        }
        for (state, count) in &states {
            out.gauge("node_processes_state", &"Number of processes in each state.", &[("state", state)], f64::from(*count));
        }
        out.gauge("node_processes_pids", &"Number of PIDs", &[], f64::from(pids));
        out.gauge("node_processes_threads", &"Allocated threads in system", &[], threads);
        if let Some(max) = files.number("/proc/sys/kernel/pid_max") {
            out.gauge("node_processes_max_processes", &"Number of max PIDs limit", &[], max);
        }
        if let Some(max) = files.number("/proc/sys/kernel/threads-max") {
            out.gauge("node_processes_max_threads", &"Limit of threads in the system", &[], max);
        }
        Ok(())
    }
}
