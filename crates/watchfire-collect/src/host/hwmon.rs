//! Sensors of `/sys/class/hwmon`: temperatures, fans, voltages, currents, power.

use super::files::{Files, number};
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct HwMon;

const SENSOR_TYPES: [&str; 14] =
    ["vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion", "freq"];

/// One property file of a sensor, such as `temp1_max`.
struct Property {
    sensor: String,
    sensor_type: &'static str,
    element: String,
    value: String,
}

impl Collector for HwMon {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for dir in files.names("/sys/class/hwmon") {
            let base = format!("/sys/class/hwmon/{dir}");
            let readable = files.line(&format!("{base}/name")).map(clean).filter(|n| !n.is_empty());
            let chip = chip_name(files, &base).or_else(|| readable.clone()).unwrap_or_else(|| clean(&dir));
            if let Some(readable) = &readable {
                let help = "Annotation metric for human-readable chip names";
                out.gauge("node_hwmon_chip_names", &help, &[("chip", &chip), ("chip_name", readable)], 1.0);
            }
            let mut properties = Vec::new();
            read_properties(files, &base, &mut properties);
            read_properties(files, &format!("{base}/device"), &mut properties);
            for property in &properties {
                put(out, &chip, property, &properties);
            }
        }
        Ok(())
    }
}

/// The chip's name from the device that it belongs to, which is stable where `hwmon` numbers are not.
fn chip_name(files: &Files, base: &str) -> Option<String> {
    let device = files.at(&format!("{base}/device")).canonicalize().ok()?;
    let name = clean(device.file_name()?.to_str()?);
    let bus = clean(device.parent()?.file_name()?.to_str()?);
    match (bus.is_empty(), name.is_empty()) {
        (false, false) => Some(format!("{bus}_{name}")),
        (true, false) => Some(name),
        _ => None,
    }
}

/// Lower case, anything else than letters, digits, `:` and `_` becomes `_`, none of which at the ends.
fn clean(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    let mapped: String = lower.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' || c == '_' { c } else { '_' }).collect();
    mapped.trim_matches('_').to_owned()
}

fn read_properties(files: &mut Files, dir: &str, into: &mut Vec<Property>) {
    for file in files.names(dir) {
        let Some((sensor_type, sensor, element)) = split(&file) else { continue };
        // A directory of the same name (`power/`) cannot be read and is passed over.
        if let Some(value) = files.line(&format!("{dir}/{file}")).map(str::to_owned) {
            into.push(Property { sensor, sensor_type, element, value });
        }
    }
}

/// Takes `temp1_max` apart: type, sensor with number, element.
fn split(file: &str) -> Option<(&'static str, String, String)> {
    for sensor_type in SENSOR_TYPES {
        let Some(rest) = file.strip_prefix(sensor_type) else { continue };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, tail) = rest.split_at(digits);
        let element = match tail.strip_prefix('_') {
            Some(element) => element,
            None if tail.is_empty() => "",
            None => continue,
        };
        let id = id.parse::<u32>().unwrap_or(0);
        return Some((sensor_type, format!("{sensor_type}{id}"), element.to_owned()));
    }
    None
}

fn put(out: &mut Gather<'_>, chip: &str, property: &Property, all: &[Property]) {
    let sensor = property.sensor.as_str();
    let labels = [("chip", chip), ("sensor", sensor)];
    if property.element == "label" {
        let help = "Label for given chip and sensor";
        return out.gauge("node_hwmon_sensor_label", &help, &[("chip", chip), ("sensor", sensor), ("label", &property.value)], 1.0);
    }
    let Some(value) = number(&property.value) else { return };
    match property.sensor_type {
        "beep_enable" => return out.gauge("node_hwmon_beep_enabled", &"Hardware beep enabled", &labels, value),
        "vrm" => return out.gauge("node_hwmon_voltage_regulator_version", &"Hardware voltage regulator", &labels, value),
        "update_interval" => {
            return out.gauge("node_hwmon_update_interval_seconds", &"Hardware monitor update interval", &labels, value * 0.001);
        }
        _ => {}
    }
    let bare_too = all.iter().any(|p| p.sensor == property.sensor && p.element.is_empty());
    let (suffix, factor, counts) = unit(property.sensor_type, &property.element);
    let element = match property.element.as_str() {
        "" => String::new(),
        "input" if !bare_too => String::new(),
        other => format!("_{}", clean(other)),
    };
    let name = format!("node_hwmon_{}{element}{suffix}", property.sensor_type);
    let help = format_args!("Hardware monitor for {} ({})", property.sensor_type, property.element);
    if counts {
        out.counter(&name, &help, &labels, value * factor);
    } else {
        out.gauge(&name, &help, &labels, value * factor);
    }
}

/// Suffix, factor to the base unit, and whether it is a counter.
fn unit(sensor_type: &str, element: &str) -> (&'static str, f64, bool) {
    match (sensor_type, element) {
        (_, "fault" | "alarm") => ("", 1.0, false),
        (_, "beep") => ("_enabled", 1.0, false),
        ("in" | "cpu", _) => ("_volts", 0.001, false),
        ("temp", "type") => ("", 1.0, false),
        ("temp", _) => ("_celsius", 0.001, false),
        ("curr", _) => ("_amps", 0.001, false),
        ("energy", _) => ("_joule_total", 1e-6, true),
        ("power", "accuracy") => ("", 1e-6, false),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => ("_seconds", 0.001, false),
        ("power", _) => ("_watt", 1e-6, false),
        ("humidity", _) => ("", 1e-6, false),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", 1.0, false),
        ("freq", "input") => ("_freq_mhz", 1e-6, false),
        _ => ("", 1.0, false),
    }
}
