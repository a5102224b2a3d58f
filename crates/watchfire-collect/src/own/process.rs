//! Our process in the kernel's words: memory, processor time, open files, start time. The names are those that every
//! Prometheus client library uses.

use std::path::{Path, PathBuf};

use watchfire_model::batch::MetricType;
use watchfire_model::meter::Family;

use crate::kernel_clock::KernelClock;

/// Clock ticks per second in `/proc`; Linux shows all of them with this rate on every machine.
const USER_HZ: f64 = 100.0;

pub(crate) struct Process {
    own: PathBuf,
    stat: PathBuf,
}

impl Process {
    pub(crate) fn new(root: &Path) -> Process {
        Process { own: root.join("proc/self"), stat: root.join("proc/stat") }
    }

    /// Adds the families that can be read.
    pub(crate) fn gather(&self, out: &mut Vec<Family>) {
        let mut put = |name: &str, kind: MetricType, help: &str, value: Option<f64>| {
            if let Some(value) = value {
                out.push(Family::new(name, kind, help).with(&[], value));
            }
        };
        let stat = std::fs::read_to_string(self.own.join("stat")).unwrap_or_default();
        // Counted from the state, which is the third field; the second is the name in brackets and may hold anything.
        let cells: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
        let cell = |field: usize| cells.get(field.checked_sub(3)?).and_then(|c| c.parse::<f64>().ok());
        let page = rustix::param::page_size() as f64;
        let spent = cell(14).zip(cell(15)).map(|(user, system)| (user + system) / USER_HZ);
        put("process_cpu_seconds_total", MetricType::Counter, "Total user and system CPU time spent in seconds.", spent);
        put("process_virtual_memory_bytes", MetricType::Gauge, "Virtual memory size in bytes.", cell(23));
        put("process_resident_memory_bytes", MetricType::Gauge, "Resident memory size in bytes.", cell(24).map(|p| p * page));
        put("process_threads", MetricType::Gauge, "Number of OS threads in the process.", cell(20));
        let started = cell(22).zip(self.boot_time()).map(|(ticks, boot)| boot + ticks / USER_HZ);
        put("process_start_time_seconds", MetricType::Gauge, "Start time of the process since unix epoch in seconds.", started);
        let open = std::fs::read_dir(self.own.join("fd")).ok().map(|entries| entries.count() as f64);
        put("process_open_fds", MetricType::Gauge, "Number of open file descriptors.", open);
        // Deadlines go by a clock that nobody sets; this one dates what is stored.
        let synced = KernelClock::read().ok().map(|clock| f64::from(u8::from(clock.is_synced())));
        put("watchfire_clock_synced", MetricType::Gauge, "Whether the kernel says that somebody keeps this machine's clock right.", synced);
        put("process_max_fds", MetricType::Gauge, "Maximum number of open file descriptors.", self.max_files());
    }

    fn boot_time(&self) -> Option<f64> {
        let text = std::fs::read_to_string(&self.stat).ok()?;
        text.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
    }

    fn max_files(&self) -> Option<f64> {
        let text = std::fs::read_to_string(self.own.join("limits")).ok()?;
        text.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?.parse().ok()
    }
}
