//! GPUs of AMD and Intel, and those of Jetsons, as the kernel's files show them. They are stored beside NVIDIA's and are never the sample of the monitor: the monitor is
//! about the GPU that computes, and these files do not tell all that it has to know.

use std::path::{Path, PathBuf};

use watchfire_model::live::GpuSample;
use watchfire_model::time::Timestamp;

use super::jetson::Jetson;
use super::source::{Detail, Kind};
use crate::host::files::{Files, number};

/// Cards that are looked at.
pub(super) const CARDS_MAX: usize = 16;
const MEBIBYTE: f64 = 1_048_576.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vendor {
    Amd,
    Intel,
}

/// What is known of one card.
pub(super) struct Card {
    /// `card0`
    pub(super) name: String,
    pub(super) sample: GpuSample,
    pub(super) details: Vec<Detail>,
    /// What is no number, as pairs of label and value.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// The cards of this machine.
pub(super) struct Sysfs {
    root: PathBuf,
    cards: Vec<(String, Vendor)>,
    jetson: Option<Jetson>,
}

impl Sysfs {
    /// Finds the cards below a root, once: what is plugged in later is seen after the next start.
    pub(super) fn find(root: &Path) -> Sysfs {
        let mut files = Files::new(root);
        let mut cards = Vec::new();
        // Connectors are there too, as card0-DP-1.
        let is_card = |name: &String| name.strip_prefix("card").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        for name in files.names("/sys/class/drm").into_iter().filter(is_card).take(CARDS_MAX) {
            match files.line(&format!("/sys/class/drm/{name}/device/vendor")) {
                Some("0x1002") => cards.push((name, Vendor::Amd)),
                Some("0x8086") => cards.push((name, Vendor::Intel)),
                _ => {}
            }
        }
        let jetson = Jetson::find(&mut files);
        Sysfs { root: root.to_owned(), cards, jetson }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.cards.is_empty() && self.jetson.is_none()
    }

    /// Looks at all cards. Blocks for file reads.
    pub(super) fn read(&self, at: Timestamp) -> Vec<Card> {
        let mut files = Files::new(&self.root);
        let mut cards: Vec<Card> = self.cards.iter().map(|(name, vendor)| read(&mut files, name, *vendor, at)).collect();
        cards.extend(self.jetson.as_ref().map(|jetson| jetson.read(&mut files, at)));
        cards
    }
}

fn read(files: &mut Files, name: &str, vendor: Vendor, at: Timestamp) -> Card {
    let (card, device) = (format!("/sys/class/drm/{name}"), format!("/sys/class/drm/{name}/device"));
    let mut sample = GpuSample::mock(at);
    let product = files.line(&format!("{device}/product_name")).filter(|name| !name.is_empty()).map(str::to_owned);
    let id = files.line(&format!("{device}/device")).unwrap_or("").to_owned();
    let maker = if vendor == Vendor::Amd { "AMD" } else { "Intel" };
    sample.name = product.unwrap_or_else(|| format!("{maker} GPU {id}"));
    let mut details = Vec::new();
    let sensors = files.names(&format!("{device}/hwmon")).into_iter().next().map(|hwmon| format!("{device}/hwmon/{hwmon}"));
    let sensor = |files: &mut Files, file: &str| sensors.as_ref().and_then(|at| files.number(&format!("{at}/{file}")));
    sample.temperature = sensor(files, "temp1_input").map(|thousandths| thousandths / 1e3);
    let watts = |micros: Option<f64>| micros.map(|micros| micros / 1e6);
    sample.power_usage = watts(sensor(files, "power1_average").or_else(|| sensor(files, "power1_input")));
    sample.power_limit = watts(sensor(files, "power1_cap").or_else(|| sensor(files, "power1_max"))).filter(|limit| *limit > 0.0);
    sample.fan_speed = sensor(files, "pwm1").map(|of_255| of_255 * 100.0 / 255.0);
    details.extend(Detail::of(0, Kind::Energy, sensor(files, "energy1_input").map(|micros| micros / 1e6)));
    let mhz = |hertz: Option<f64>| hertz.map(|hertz| (hertz / 1e6).round() as u64);
    match vendor {
        Vendor::Amd => {
            let mebibytes = |bytes: Option<f64>| bytes.map(|bytes| (bytes / MEBIBYTE) as u64);
            sample.utilization = files.number(&format!("{device}/gpu_busy_percent"));
            sample.memory_used_mb = mebibytes(files.number(&format!("{device}/mem_info_vram_used")));
            sample.memory_total_mb = mebibytes(files.number(&format!("{device}/mem_info_vram_total")));
            sample.sm_clock = mhz(sensor(files, "freq1_input"));
            sample.memory_clock = mhz(sensor(files, "freq2_input"));
            details.extend(Detail::of(0, Kind::MemoryBandwidth, files.number(&format!("{device}/mem_busy_percent"))));
            details.extend(Detail::of(0, Kind::PcieReplays, files.number(&format!("{device}/pcie_replay_count"))));
        }
        Vendor::Intel => {
            let clock = |files: &mut Files, names: [&str; 2]| names.iter().find_map(|name| files.number(&format!("{card}/{name}")));
            sample.sm_clock = clock(files, ["gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"]).map(|mhz| mhz as u64);
            details.extend(Detail::of(0, Kind::MaxSmClock, clock(files, ["gt/gt0/rps_RP0_freq_mhz", "gt_RP0_freq_mhz"])));
        }
    }
    link(files, &device, &mut details);
    Card { name: name.to_owned(), sample, details, facts: Vec::new() }
}

/// The link of a device to its bus.
pub(super) fn link(files: &mut Files, device: &str, details: &mut Vec<Detail>) {
    let width = files.line(&format!("{device}/current_link_width")).and_then(number);
    details.extend(Detail::of(0, Kind::PcieWidth, width.filter(|width| *width > 0.0)));
    let generation = files.line(&format!("{device}/current_link_speed")).and_then(|speed| generation(speed.split(' ').next()?));
    details.extend(Detail::of(0, Kind::PcieGeneration, generation));
}

/// The generation of a link by its billions of transfers a second.
fn generation(speed: &str) -> Option<f64> {
    let generations = [("2.5", 1.0), ("5.0", 2.0), ("5", 2.0), ("8.0", 3.0), ("8", 3.0), ("16.0", 4.0), ("16", 4.0), ("32.0", 5.0), ("32", 5.0), ("64.0", 6.0)];
    generations.into_iter().find(|(known, _)| *known == speed).map(|(_, generation)| generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join("sys/class/drm").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn details(card: &Card) -> Vec<(Kind, f64)> {
        card.details.iter().map(|detail| (detail.kind, detail.value)).collect()
    }

    #[test]
    fn amds_cards_are_read() {
        let dir = tree(&[
            ("card0/device/vendor", "0x1002\n"),
            ("card0/device/device", "0x73bf\n"),
            ("card0/device/gpu_busy_percent", "37\n"),
            ("card0/device/mem_busy_percent", "12\n"),
            ("card0/device/mem_info_vram_used", "1073741824\n"),
            ("card0/device/mem_info_vram_total", "17163091968\n"),
            ("card0/device/current_link_speed", "16.0 GT/s PCIe\n"),
            ("card0/device/current_link_width", "16\n"),
            ("card0/device/hwmon/hwmon3/temp1_input", "56000\n"),
            ("card0/device/hwmon/hwmon3/power1_average", "85000000\n"),
            ("card0/device/hwmon/hwmon3/power1_cap", "255000000\n"),
            ("card0/device/hwmon/hwmon3/pwm1", "51\n"),
            ("card0/device/hwmon/hwmon3/freq1_input", "2105000000\n"),
            ("card0/device/hwmon/hwmon3/freq2_input", "1000000000\n"),
            ("card0-DP-1/status", "connected\n"),
            ("card1/device/vendor", "0x10de\n"),
        ]);
        let found = Sysfs::find(dir.path()).read(Timestamp(5));
        assert_eq!(found.len(), 1, "NVIDIA's are read by their driver");
        let sample = &found[0].sample;
        assert_eq!((found[0].name.as_str(), sample.name.as_str()), ("card0", "AMD GPU 0x73bf"));
        assert_eq!((sample.utilization, sample.temperature, sample.fan_speed), (Some(37.0), Some(56.0), Some(20.0)));
        assert_eq!((sample.power_usage, sample.power_limit), (Some(85.0), Some(255.0)));
        assert_eq!((sample.memory_used_mb, sample.memory_total_mb, sample.sm_clock, sample.memory_clock), (Some(1024), Some(16_368), Some(2105), Some(1000)));
        assert_eq!(details(&found[0]), [(Kind::MemoryBandwidth, 12.0), (Kind::PcieWidth, 16.0), (Kind::PcieGeneration, 4.0)]);
    }

    #[test]
    fn intels_cards_are_read() {
        let dir = tree(&[
            ("card0/device/vendor", "0x8086\n"),
            ("card0/device/product_name", "Arc A770\n"),
            ("card0/gt/gt0/rps_act_freq_mhz", "600\n"),
            ("card0/gt/gt0/rps_RP0_freq_mhz", "2400\n"),
            ("card0/device/hwmon/hwmon2/energy1_input", "1500000\n"),
            ("card1/device/vendor", "0x8086\n"),
            ("card1/device/device", "0x9a49\n"),
            ("card1/gt_act_freq_mhz", "350\n"),
        ]);
        let found = Sysfs::find(dir.path()).read(Timestamp(5));
        let shown: Vec<_> = found.iter().map(|card| (card.sample.name.as_str(), card.sample.sm_clock, card.sample.utilization)).collect();
        // The kernel does not tell how busy they are, so nobody knows.
        assert_eq!(shown, [("Arc A770", Some(600), None), ("Intel GPU 0x9a49", Some(350), None)]);
        assert_eq!(details(&found[0]), [(Kind::Energy, 1.5), (Kind::MaxSmClock, 2400.0)]);
        assert!(Sysfs::find(Path::new("/nonexistent")).is_empty());
    }
}
