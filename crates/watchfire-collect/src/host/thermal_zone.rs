//! Thermal zones and cooling devices; on a Raspberry Pi this is the only thermometer.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct ThermalZone;

impl Collector for ThermalZone {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for name in files.names("/sys/class/thermal") {
            let base = format!("/sys/class/thermal/{name}");
            let Some(kind) = files.line(&format!("{base}/type")).map(str::to_owned) else { continue };
            if let Some(zone) = name.strip_prefix("thermal_zone") {
                if let Some(millis) = files.number(&format!("{base}/temp")) {
                    out.gauge("node_thermal_zone_temp", &"Zone temperature in Celsius", &[("zone", zone), ("type", &kind)], millis / 1000.0);
                }
            } else if let Some(device) = name.strip_prefix("cooling_device") {
                let labels = [("name", device), ("type", kind.as_str())];
                if let Some(state) = files.number(&format!("{base}/cur_state")) {
                    out.gauge("node_cooling_device_cur_state", &"Current throttle state of the cooling device", &labels, state);
                }
                if let Some(state) = files.number(&format!("{base}/max_state")) {
                    out.gauge("node_cooling_device_max_state", &"Maximum throttle state of the cooling device", &labels, state);
                }
            }
        }
        Ok(())
    }
}
