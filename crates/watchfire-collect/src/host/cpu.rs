//! Processor time by mode, guest time, and how often cores and packages were throttled for heat.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

/// Clock ticks per second in `/proc`; Linux shows all of them with this rate on every machine.
const USER_HZ: f64 = 100.0;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

/// Remembers the last ticks: the kernel lets idle and iowait slip back a little now and then, which would read as a restart.
#[derive(Default)]
pub(crate) struct Cpu {
    last: Vec<(String, [f64; 10])>,
}

/// A processor that slips back by more ticks than this was really offline and counts anew.
const SLIP_TICKS_MAX: f64 = 3.0 * USER_HZ;

impl Collector for Cpu {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/stat")?;
        for line in text.lines().take_while(|l| l.starts_with("cpu")) {
            let mut cells = line.split_ascii_whitespace();
            let Some(cpu) = cells.next().and_then(|c| c.strip_prefix("cpu")).filter(|c| !c.is_empty()) else { continue };
            let mut ticks = [0.0; 10];
            for (slot, cell) in ticks.iter_mut().zip(cells) {
                *slot = cell.parse().map_err(|_| HostError::Shape("/proc/stat"))?;
            }
            let ticks = self.without_slips(cpu, ticks);
            let help = "Seconds the CPUs spent in each mode.";
            for (mode, value) in MODES.iter().zip(ticks) {
                out.counter("node_cpu_seconds_total", &help, &[("cpu", cpu), ("mode", mode)], value / USER_HZ);
            }
            let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
            for (mode, value) in GUEST_MODES.iter().zip(ticks.into_iter().skip(MODES.len())) {
                out.counter("node_cpu_guest_seconds_total", &help, &[("cpu", cpu), ("mode", mode)], value / USER_HZ);
            }
        }
        throttles(files, out);
        Ok(())
    }
}

impl Cpu {
    fn without_slips(&mut self, cpu: &str, now: [f64; 10]) -> [f64; 10] {
        let Some((_, last)) = self.last.iter_mut().find(|(name, _)| name == cpu) else {
            self.last.push((cpu.to_owned(), now));
            return now;
        };
        // Index 3 is idle: a big step back there means that the processor came back from being offline.
        if last[3] - now[3] > SLIP_TICKS_MAX {
            *last = now;
        }
        for (kept, new) in last.iter_mut().zip(now) {
            *kept = kept.max(new);
        }
        *last
    }
}

fn throttles(files: &mut Files, out: &mut Gather<'_>) {
    if !files.exists("/sys/devices/system/cpu/cpu0/thermal_throttle") {
        return;
    }
    let mut seen = Vec::new();
    for cpu in files.names("/sys/devices/system/cpu") {
        if !cpu.strip_prefix("cpu").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            continue;
        }
        let base = format!("/sys/devices/system/cpu/{cpu}");
        let Some(package) = files.line(&format!("{base}/topology/physical_package_id")).map(str::to_owned) else { continue };
        let Some(core) = files.line(&format!("{base}/topology/core_id")).map(str::to_owned) else { continue };
        let (core_count, package_count) =
            (files.number(&format!("{base}/thermal_throttle/core_throttle_count")), files.number(&format!("{base}/thermal_throttle/package_throttle_count")));
        // Hyper-threads of a core, and cores of a package, all show the same count.
        if let Some(count) = core_count.filter(|_| !seen.contains(&(package.clone(), Some(core.clone())))) {
            let labels = [("core", core.as_str()), ("package", package.as_str())];
            out.counter("node_cpu_core_throttles_total", &"Number of times this CPU core has been throttled.", &labels, count);
            seen.push((package.clone(), Some(core)));
        }
        if let Some(count) = package_count.filter(|_| !seen.contains(&(package.clone(), None))) {
            let help = "Number of times this CPU package has been throttled.";
            out.counter("node_cpu_package_throttles_total", &help, &[("package", package.as_str())], count);
            seen.push((package, None));
        }
    }
}
