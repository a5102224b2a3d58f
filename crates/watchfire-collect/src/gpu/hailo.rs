//! Accelerators of Hailo: the kernel's files at every look, and now and then the maker's program, which alone tells of the firmware. How busy they
//! are is not read: only processes that ask for it leave that behind.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::live::GpuSample;
use watchfire_model::time::Timestamp;

use super::Settings;
use super::source::{Detail, Kind, Program};
use super::sysfs::{CARDS_MAX, Card, link};
use crate::host::files::Files;

const CLASS: &str = "/sys/class/hailo_chardev";
const VENDOR: &str = "0x1e60";
/// What chips are called; the first bears two names of which the bus knows one only.
const CHIPS: [(&str, &str); 3] = [("0x2864", "Hailo-8"), ("0x45c4", "Hailo-10H"), ("0x43a2", "Hailo-15L")];
/// Pause between two runs of the program: it wakes a device that sleeps.
const ASK_EVERY: Duration = Duration::from_secs(300);
/// Channels of a sensor that are looked at.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=4;
/// Words of the kernel and the program are cut off here.
const WORD_CHARS_MAX: usize = 100;

/// What the program says of one device.
#[derive(Default)]
struct Identity {
    /// Its address on the bus.
    address: String,
    facts: Vec<(&'static str, String)>,
    answers: bool,
}

#[derive(Default)]
struct Asked {
    at: Option<Duration>,
    /// What it said last; nothing where there is no program.
    answer: Option<Vec<Identity>>,
}

/// The accelerators of this machine.
pub(super) struct Hailo {
    root: PathBuf,
    names: Vec<String>,
    program: Program,
    asked: Mutex<Asked>,
}

impl Hailo {
    /// Finds them, once.
    pub(super) fn find(settings: &Settings) -> Hailo {
        let is_one = |name: &String| name.strip_prefix("hailo").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let names = Files::new(&settings.root).names(CLASS).into_iter().filter(is_one).take(CARDS_MAX).collect();
        // Without this the program leaves a log where it is started.
        let program = Program::new(settings.hailortcli_program.clone(), settings.search_path.clone(), ("HAILORT_LOGGER_PATH", "NONE"));
        Hailo { root: settings.root.clone(), names, program, asked: Mutex::default() }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Asks the program when it is time to.
    pub(super) async fn ask(&self, now: Duration) {
        if self.is_empty() || self.asked().at.is_some_and(|at| now.saturating_sub(at) < ASK_EVERY) {
            return;
        }
        // One device that fails makes the program fail; what it has printed of the others counts all the same.
        let answer = match self.program.run(&["fw-control", "identify"]).await {
            Ok((_, text)) => Some(identities(&text)),
            Err(error) if error.kind() == ErrorKind::TimedOut => Some(Vec::new()),
            Err(_) => None,
        };
        *self.asked() = Asked { at: Some(now), answer };
    }

    /// Looks at all that are still there. Blocks for file reads.
    pub(super) fn read(&self, at: Timestamp) -> Vec<Card> {
        let (mut files, asked) = (Files::new(&self.root), self.asked());
        self.names.iter().filter_map(|name| read(&mut files, name, asked.answer.as_deref(), at)).collect()
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(files: &mut Files, name: &str, answer: Option<&[Identity]>, at: Timestamp) -> Option<Card> {
    let class = format!("{CLASS}/{name}");
    if !files.exists(&class) {
        return None;
    }
    // Versions of the driver differ in where they tell its address, and in whether the device is linked.
    let linked = format!("{class}/device");
    let told = ["board_location", "device_id"].iter().find_map(|file| files.line(&format!("{class}/{file}")).and_then(address));
    let address = told.or_else(|| address(std::fs::read_link(files.at(&linked)).ok()?.file_name()?.to_str()?));
    let device = address.as_ref().map_or(linked, |address| format!("/sys/bus/pci/devices/{address}"));
    if files.line(&format!("{device}/vendor")).is_some_and(|vendor| vendor != VENDOR) {
        return None;
    }
    let id = files.line(&format!("{device}/device")).unwrap_or_default();
    let chip = CHIPS.iter().find(|(known, _)| *known == id).map_or("Hailo", |(_, chip)| chip);
    let mut sample = GpuSample { name: chip.to_owned(), ..GpuSample::mock(at) };
    let sensors = files.names(&format!("{device}/hwmon")).into_iter().next().map(|hwmon| format!("{device}/hwmon/{hwmon}"));
    let mut sensor = |kind: &str| {
        sensors.as_ref().and_then(|at| CHANNELS.into_iter().find_map(|n| files.number(&format!("{at}/{kind}{n}_input")).filter(|value| value.is_finite())))
    };
    sample.temperature = sensor("temp").map(|thousandths| thousandths / 1e3);
    sample.power_usage = sensor("power").map(|micros| micros / 1e6);
    let mut details = Vec::new();
    link(files, &device, &mut details);
    let state = files.line(&format!("{device}/power_state")).and_then(|state| state.strip_prefix('D')?.chars().next()?.to_digit(10));
    details.extend(Detail::of(0, Kind::PciePowerState, state.map(f64::from)));
    let versions = [format!("{device}/driver/module/version"), "/sys/module/hailo_pci/version".to_owned()];
    let version = versions.iter().find_map(|path| files.line(path).and_then(word));
    let mut facts: Vec<_> = version.map(|version| ("driver", version)).into_iter().collect();
    if let Some((address, answer)) = address.zip(answer) {
        let identity = answer.iter().find(|identity| identity.address == address);
        let answers = identity.is_some_and(|identity| identity.answers);
        details.extend(Detail::of(0, Kind::FirmwareAnswers, Some(f64::from(u8::from(answers)))));
        facts.extend(identity.into_iter().flat_map(|identity| identity.facts.iter().cloned()));
    }
    Some(Card { name: name.to_owned(), sample, details, facts })
}

/// An address on the bus, as `0000:01:00.0`.
fn address(text: &str) -> Option<String> {
    let fits = text.len() <= 16 && text.contains('.') && text.contains(':') && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    fits.then(|| text.to_ascii_lowercase())
}

/// A word that says something.
fn word(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(WORD_CHARS_MAX).collect();
    let says = !text.is_empty() && !["N/A", "<N/A>", "Unknown"].contains(&text.as_str());
    says.then_some(text)
}

/// Reads what the program prints: a line that names the device, then pairs.
fn identities(text: &str) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let label = match key.trim() {
            "Executing on device" if found.len() < CARDS_MAX => {
                found.push(Identity { address: value.trim().to_ascii_lowercase(), ..Identity::default() });
                continue;
            }
            "Executing on device" => break,
            "Firmware Version" => "firmware",
            "Device Architecture" => "architecture",
            "Serial Number" => "serial",
            _ => continue,
        };
        let Some((identity, value)) = found.last_mut().zip(word(value)) else { continue };
        if !identity.facts.iter().any(|(known, _)| *known == label) {
            identity.answers |= label == "firmware";
            identity.facts.push((label, value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEVICE: &str = "sys/bus/pci/devices/0000:01:00.0";

    fn write(dir: &tempfile::TempDir, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn find(dir: &tempfile::TempDir) -> Hailo {
        Hailo::find(&Settings { root: dir.path().to_owned(), ..Settings::new("testhost") })
    }

    fn details(card: &Card) -> Vec<(Kind, f64)> {
        card.details.iter().map(|detail| (detail.kind, detail.value)).collect()
    }

    #[test]
    fn what_the_kernel_tells_of_a_hailo_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let of = |file: &str| format!("{DEVICE}/{file}");
        write(
            &dir,
            &[
                ("sys/class/hailo_chardev/hailo0/board_location", "0000:01:00.0"),
                ("sys/class/hailo_chardev/hailo0/device_id", "1e60:2864"),
                ("sys/class/hailo_chardev/hailo_other/board_location", "0000:02:00.0"),
                ("sys/module/hailo_pci/version", "4.20.0\n"),
                (&of("vendor"), "0x1e60\n"),
                (&of("device"), "0x2864\n"),
                (&of("current_link_speed"), "8.0 GT/s PCIe\n"),
                (&of("current_link_width"), "1\n"),
                (&of("power_state"), "D3hot\n"),
                (&of("hwmon/hwmon2/temp1_input"), "N/A\n"),
                (&of("hwmon/hwmon2/temp2_input"), "46250\n"),
                (&of("hwmon/hwmon2/power1_input"), "1500000\n"),
            ],
        );
        let found = find(&dir).read(Timestamp(5));
        assert_eq!(found.len(), 1, "another name is another thing");
        let card = &found[0];
        assert_eq!((card.name.as_str(), card.sample.name.as_str()), ("hailo0", "Hailo-8"));
        assert_eq!((card.sample.temperature, card.sample.power_usage, card.sample.utilization), (Some(46.25), Some(1.5), None));
        assert_eq!(details(card), [(Kind::PcieWidth, 1.0), (Kind::PcieGeneration, 3.0), (Kind::PciePowerState, 3.0)], "nobody has asked the firmware");
        assert_eq!(card.facts, [("driver", "4.20.0".to_owned())]);
    }

    #[test]
    fn drivers_of_other_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        write(
            &dir,
            &[
                // This one calls the address the identity.
                ("sys/class/hailo_chardev/hailo0/device_id", "0001:01:00.0"),
                ("sys/bus/pci/devices/0001:01:00.0/device", "0x45c4\n"),
                ("sys/bus/pci/devices/0001:01:00.0/driver/module/version", "5.1.1\n"),
                ("sys/bus/pci/devices/0002:01:00.0/device", "0x43a2\n"),
            ],
        );
        // And here there is a link only.
        let second = dir.path().join("sys/class/hailo_chardev/hailo1");
        std::fs::create_dir_all(&second).unwrap();
        std::os::unix::fs::symlink("../../../bus/pci/devices/0002:01:00.0", second.join("device")).unwrap();
        let hailo = find(&dir);
        hailo.asked().answer = Some(identities("Executing on device: 0002:01:00.0\nFirmware Version: 5.0.0\n"));
        let found = hailo.read(Timestamp(5));
        let shown: Vec<_> = found.iter().map(|card| (card.sample.name.as_str(), card.facts.clone(), details(card))).collect();
        let expected = [
            ("Hailo-10H", vec![("driver", "5.1.1".to_owned())], vec![(Kind::FirmwareAnswers, 0.0)]),
            ("Hailo-15L", vec![("firmware", "5.0.0".to_owned())], vec![(Kind::FirmwareAnswers, 1.0)]),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn odd_files_tell_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(&dir).is_empty());
        write(
            &dir,
            &[
                ("sys/class/hailo_chardev/hailo0/board_location", "../../../../etc\n"),
                ("sys/class/hailo_chardev/hailo1/board_location", "0000:01:00.0"),
                (&format!("{DEVICE}/device"), "garbage"),
                (&format!("{DEVICE}/current_link_speed"), "Unknown\n"),
                (&format!("{DEVICE}/current_link_width"), "N/A\n"),
                (&format!("{DEVICE}/power_state"), "unknown\n"),
                (&format!("{DEVICE}/hwmon/hwmon0/temp1_input"), "nan\n"),
                ("sys/class/hailo_chardev/hailo2/board_location", "0000:02:00.0"),
                ("sys/bus/pci/devices/0000:02:00.0/vendor", "0x10de\n"),
                ("sys/module/hailo_pci/version", "\u{0}\n"),
            ],
        );
        let hailo = find(&dir);
        let found = hailo.read(Timestamp(5));
        assert_eq!(found.iter().map(|card| card.name.as_str()).collect::<Vec<_>>(), ["hailo0", "hailo1"], "another maker's device is not looked at");
        for card in &found {
            assert_eq!((card.sample.name.as_str(), card.sample.temperature, details(card), card.facts.len()), ("Hailo", None, vec![], 0));
        }
        std::fs::remove_dir_all(dir.path().join("sys/class/hailo_chardev/hailo1")).unwrap();
        assert_eq!(hailo.read(Timestamp(6)).len(), 1, "one that is gone is not told of");
    }

    #[test]
    fn what_the_program_prints_is_read() {
        let text = "Firmware Version: 1.0\nExecuting on device: 0000:01:00.0\nIdentifying board\nControl Protocol Version: 2\n\
                    Firmware Version: 4.20.0 (release,app)\nFirmware Version: 9\nBoard Name: Hailo-8\nDevice Architecture: HAILO8L\n\
                    Serial Number: AB12\u{0}34\nPart Number: <N/A>\n\nExecuting on device: 0000:0A:00.0\nSerial Number: N/A\nnonsense\n";
        let found = identities(text);
        assert_eq!(found.iter().map(|i| (i.address.as_str(), i.answers)).collect::<Vec<_>>(), [("0000:01:00.0", true), ("0000:0a:00.0", false)]);
        let expected = [("firmware", "4.20.0 (release,app)"), ("architecture", "HAILO8L"), ("serial", "AB1234")];
        assert_eq!(found[0].facts, expected.map(|(label, value)| (label, value.to_owned())));
        assert!(found[1].facts.is_empty());
        assert_eq!(identities(&"Executing on device: x\n".repeat(1000)).len(), CARDS_MAX);
    }

    proptest! {
        #[test]
        fn any_output_is_survived(text in "(Executing on device|Firmware Version|Serial Number|:|\\n|\\PC){0,60}") {
            let found = identities(&text);
            prop_assert!(found.iter().all(|i| i.facts.iter().all(|(_, value)| !value.is_empty() && value.chars().count() <= WORD_CHARS_MAX)));
        }
    }
}
