//! The machine's time and its clock sources.

use watchfire_model::time::SharedClock;

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Time {
    clock: SharedClock,
}

impl Time {
    pub(crate) fn new(clock: &SharedClock) -> Time {
        Time { clock: clock.clone() }
    }
}

impl Collector for Time {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        out.gauge("node_time_seconds", &"System time in seconds since epoch (1970).", &[], self.clock.now().secs_f64());
        let base = "/sys/devices/system/clocksource";
        for name in files.names(base) {
            let Some(device) = name.strip_prefix("clocksource").filter(|n| n.parse::<u32>().is_ok()) else { continue };
            if let Some(sources) = files.line(&format!("{base}/{name}/available_clocksource")) {
                for source in sources.split_ascii_whitespace() {
                    let help = "Available clocksources read from '/sys/devices/system/clocksource'.";
                    out.gauge("node_time_clocksource_available_info", &help, &[("clocksource", source), ("device", device)], 1.0);
                }
            }
            if let Some(source) = files.line(&format!("{base}/{name}/current_clocksource")) {
                let help = "Current clocksource read from '/sys/devices/system/clocksource'.";
                out.gauge("node_time_clocksource_current_info", &help, &[("clocksource", source), ("device", device)], 1.0);
            }
        }
        Ok(())
    }
}
