//! The GPU within NVIDIA's Jetson computers, as the kernel's files show it: no library and no program of NVIDIA's tells of it on all of them.
//! Its memory is the machine's, so there is none of its own to tell.

use watchfire_model::live::GpuSample;
use watchfire_model::time::Timestamp;

use super::source::{Detail, Kind};
use super::sysfs::Card;
use crate::host::files::Files;

/// What the device tree calls the GPU, by generation.
const NODES: [&str; 5] = ["gpu", "gm20b", "gp10b", "gv11b", "ga10b"];
/// The label of its series where those of cards have `card0`.
const NAME: &str = "igpu";
const UNNAMED: &str = "NVIDIA Jetson";
/// Sensors of one kind that are looked through.
const SENSORS_MAX: usize = 64;
/// Channels of one sensor of power.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=7;

/// Where its files are.
pub(super) struct Jetson {
    name: String,
    /// Its device, and the same for its clock.
    device: String,
    clock: String,
    thermometer: Option<String>,
    /// The tension and the current of its supply.
    supply: Option<(String, String)>,
}

impl Jetson {
    /// Looks for it, once.
    pub(super) fn find(files: &mut Files) -> Option<Jetson> {
        let clock = files.names("/sys/class/devfreq").into_iter().take(SENSORS_MAX).map(|name| format!("/sys/class/devfreq/{name}")).find(|at| {
            let node = files.line(&format!("{at}/device/of_node/name")).map(plain);
            node.is_some_and(|node| NODES.contains(&node.as_str())) && files.exists(&format!("{at}/device/load"))
        })?;
        let model = files.line("/proc/device-tree/model").map(plain).filter(|model| !model.is_empty());
        Some(Jetson {
            name: model.unwrap_or_else(|| UNNAMED.to_owned()),
            device: format!("{clock}/device"),
            clock,
            thermometer: thermometer(files),
            supply: supply(files),
        })
    }

    pub(super) fn read(&self, files: &mut Files, at: Timestamp) -> Card {
        let mut sample = GpuSample::mock(at);
        sample.name.clone_from(&self.name);
        let mhz = |hertz: f64| (hertz / 1e6).round();
        // Tenths of a percent.
        sample.utilization = files.number(&format!("{}/load", self.device)).map(|load| (load / 10.0).clamp(0.0, 100.0));
        sample.sm_clock = files.number(&format!("{}/cur_freq", self.clock)).map(|hertz| mhz(hertz) as u64);
        sample.temperature = self.thermometer.as_ref().and_then(|path| files.number(path)).map(|thousandths| thousandths / 1e3);
        if let Some((millivolts, milliamperes)) = &self.supply {
            let watts = files.number(millivolts).zip(files.number(milliamperes)).map(|(volts, amperes)| volts * amperes / 1e6);
            sample.power_usage = watts.filter(|watts| *watts >= 0.0);
        }
        let fastest = files.number(&format!("{}/max_freq", self.clock)).map(mhz);
        Card { name: NAME.to_owned(), sample, details: Detail::of(0, Kind::MaxSmClock, fastest).into_iter().collect(), facts: Vec::new() }
    }
}

/// Texts of the device tree end with a zero.
fn plain(text: &str) -> String {
    text.trim_matches(['\0', '\n', ' ']).chars().take(200).collect()
}

fn thermometer(files: &mut Files) -> Option<String> {
    let zones = files.names("/sys/class/thermal").into_iter().filter(|name| name.starts_with("thermal_zone")).take(SENSORS_MAX);
    let mut zones = zones.map(|name| format!("/sys/class/thermal/{name}"));
    zones.find(|at| files.line(&format!("{at}/type")).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("gpu"))).map(|at| format!("{at}/temp"))
}

/// The channel of a sensor that measures the GPU, alone or with its neighbours on the chip.
fn supply(files: &mut Files) -> Option<(String, String)> {
    for name in files.names("/sys/class/hwmon").into_iter().take(SENSORS_MAX) {
        let at = format!("/sys/class/hwmon/{name}");
        for channel in CHANNELS {
            if files.line(&format!("{at}/in{channel}_label")).is_some_and(|label| label.contains("GPU")) {
                return Some((format!("{at}/in{channel}_input"), format!("{at}/curr{channel}_input")));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, &str)]) -> Option<Card> {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut files = Files::new(dir.path());
        Some(Jetson::find(&mut files)?.read(&mut files, Timestamp(7)))
    }

    #[test]
    fn a_jetson_is_read() {
        let card = look(&[
            ("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0"),
            ("sys/class/devfreq/15340000.vic/device/of_node/name", "vic\0"),
            ("sys/class/devfreq/17000000.gpu/device/of_node/name", "gpu\0"),
            ("sys/class/devfreq/17000000.gpu/device/load", "437\n"),
            ("sys/class/devfreq/17000000.gpu/cur_freq", "612000000\n"),
            ("sys/class/devfreq/17000000.gpu/max_freq", "1020000000\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "51000\n"),
            ("sys/class/thermal/thermal_zone1/type", "gpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "48500\n"),
            ("sys/class/hwmon/hwmon3/in1_label", "VDD_IN\n"),
            ("sys/class/hwmon/hwmon3/in2_label", "VDD_CPU_GPU_CV\n"),
            ("sys/class/hwmon/hwmon3/in2_input", "5000\n"),
            ("sys/class/hwmon/hwmon3/curr2_input", "700\n"),
        ])
        .unwrap();
        let sample = &card.sample;
        assert_eq!((card.name.as_str(), sample.name.as_str()), ("igpu", "NVIDIA Jetson Orin Nano Developer Kit"));
        assert_eq!((sample.utilization, sample.sm_clock, sample.temperature, sample.power_usage), (Some(43.7), Some(612), Some(48.5), Some(3.5)));
        assert_eq!((sample.memory_used_mb, sample.memory_total_mb), (None, None), "its memory is the machine's");
        assert_eq!(card.details, [Detail { gpu: 0, kind: Kind::MaxSmClock, value: 1020.0, process: None }]);
    }

    #[test]
    fn what_a_jetson_does_not_tell_is_unknown() {
        let card = look(&[
            ("sys/class/devfreq/57000000.gpu/device/of_node/name", "gm20b\0"),
            ("sys/class/devfreq/57000000.gpu/device/load", "N/A\n"),
            ("sys/class/thermal/thermal_zone1/type", "GPU-therm\n"),
            ("sys/class/hwmon/hwmon0/in1_label", "VDD_GPU_SOC\n"),
            ("sys/class/hwmon/hwmon0/in1_input", "5000\n"),
        ])
        .unwrap();
        let sample = &card.sample;
        assert_eq!((sample.name.as_str(), sample.utilization, sample.sm_clock), ("NVIDIA Jetson", None, None));
        assert_eq!((sample.temperature, sample.power_usage, card.details.len()), (None, None, 0));
        // Other computers have GPUs in their device tree that nobody can look into.
        assert!(look(&[("sys/class/devfreq/ff9a0000.gpu/device/of_node/name", "gpu\0")]).is_none());
        assert!(look(&[]).is_none());
    }
}
