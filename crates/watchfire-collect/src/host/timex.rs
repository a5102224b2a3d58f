//! How well the clock is disciplined, in the kernel's words. Nobody's time servers are asked.

use std::path::Path;

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;
use crate::kernel_clock::KernelClock;

/// The kernel's fractions of a part per million are sixteen bits long.
const PPM: f64 = 65_536.0 * 1e6;
const MICROSECONDS: f64 = 1e6;

pub(crate) struct Timex {
    /// The kernel is asked, so files elsewhere do not tell.
    here: bool,
}
impl Timex {
    pub(crate) fn new(root: &Path) -> Timex {
        Timex { here: root == Path::new("/") }
    }
}

impl Collector for Timex {
    fn collect(&mut self, _: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        if !self.here {
            return Ok(());
        }
        let clock = KernelClock::read().map_err(|source| HostError::Read { path: "the kernel's clock".into(), source })?;
        let (raw, parts) = (clock.raw(), clock.parts());
        // The fields' types differ between machines.
        macro_rules! number {
            ($field:ident) => {
                raw.$field as f64
            };
        }
        let mut gauge = |name: &str, help: &str, value: f64| out.gauge(name, &help, &[], value);
        gauge("node_timex_offset_seconds", "Time offset in between local system and reference clock.", number!(offset) / parts);
        gauge("node_timex_frequency_adjustment_ratio", "Local clock frequency adjustment.", 1.0 + number!(freq) / PPM);
        gauge("node_timex_maxerror_seconds", "Maximum error in seconds.", number!(maxerror) / MICROSECONDS);
        gauge("node_timex_estimated_error_seconds", "Estimated error in seconds.", number!(esterror) / MICROSECONDS);
        gauge("node_timex_status", "Value of the status array bits.", number!(status));
        gauge("node_timex_loop_time_constant", "Phase-locked loop time constant.", number!(constant));
        gauge("node_timex_tick_seconds", "Seconds between clock ticks.", number!(tick) / MICROSECONDS);
        gauge("node_timex_pps_frequency_hertz", "Pulse per second frequency.", number!(ppsfreq) / PPM);
        gauge("node_timex_pps_jitter_seconds", "Pulse per second jitter.", number!(jitter) / parts);
        gauge("node_timex_pps_shift_seconds", "Pulse per second interval duration.", number!(shift));
        gauge("node_timex_pps_stability_hertz", "Pulse per second stability, average of recent frequency changes.", number!(stabil) / PPM);
        gauge("node_timex_tai_offset_seconds", "International Atomic Time (TAI) offset.", number!(tai));
        gauge("node_timex_sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no).", f64::from(u8::from(clock.is_synced())));
        let mut counter = |name: &str, help: &str, value: f64| out.counter(name, &help, &[], value);
        counter("node_timex_pps_calibration_total", "Pulse per second count of calibration intervals.", number!(calcnt));
        counter("node_timex_pps_error_total", "Pulse per second count of calibration errors.", number!(errcnt));
        counter("node_timex_pps_jitter_total", "Pulse per second count of jitter limit exceeded events.", number!(jitcnt));
        counter("node_timex_pps_stability_exceeded_total", "Pulse per second count of stability limit exceeded events.", number!(stbcnt));
        Ok(())
    }
}
