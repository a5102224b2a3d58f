//! Processes and threads by state. Off by default, as there: it reads one file per process and per thread.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Processes;

/// Counts by state letter; there are about ten.
#[derive(Default)]
struct States(Vec<(String, u32)>);
impl States {
    fn count(&mut self, state: &str) {
        match self.0.iter_mut().find(|(s, _)| s == state) {
            Some((_, n)) => *n += 1,
            None => self.0.push((state.to_owned(), 1)),
        }
    }
}

/// What follows the name in a `stat` file; the name in brackets may hold anything, brackets too.
fn cells(text: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    text.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace())
}

impl Collector for Processes {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let (mut states, mut thread_states) = (States::default(), States::default());
        let (mut pids, mut threads) = (0u32, 0.0);
        for pid in files.names("/proc") {
            if pid.parse::<u32>().is_err() {
                continue;
            }
            // The process may be gone by now.
            let Ok(text) = files.text(&format!("/proc/{pid}/stat")) else { continue };
            let Some((state, Some(Ok(count)))) = cells(text).and_then(|mut c| Some((c.next()?, c.nth(16).map(str::parse::<f64>)))) else { continue };
            pids += 1;
            threads += count;
            states.count(state);
            for thread in files.names(&format!("/proc/{pid}/task")) {
                let Ok(text) = files.text(&format!("/proc/{pid}/task/{thread}/stat")) else { continue };
                if let Some(state) = cells(text).and_then(|mut c| c.next()) {
                    thread_states.count(state);
                }
            }
        }
        for (state, count) in &states.0 {
            out.gauge("node_processes_state", &"Number of processes in each state.", &[("state", state)], f64::from(*count));
        }
        for (state, count) in &thread_states.0 {
            out.gauge("node_processes_threads_state", &"Number of threads in each state.", &[("thread_state", state)], f64::from(*count));
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
