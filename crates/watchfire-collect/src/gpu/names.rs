//! The names of GPU figures in the store: our own, and for NVIDIA's those of dcgm-exporter, which rules and dashboards of others ask for.

use watchfire_model::live::GpuSample;

use super::callbacks::level_number;
use super::source::{Detail, Kind};
use crate::gather::Gather;

const MEBIBYTE: f64 = 1_048_576.0;
/// NVML's bits for lowered clocks.
const THROTTLE_REASONS: [(u64, &str); 9] = [
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
];

/// Puts the figures of a sample. `gpu` is its label: a number for NVIDIA's, a card for others.
pub(super) fn put(out: &mut Gather<'_>, gpu: &str, sample: &GpuSample) {
    let labels = [("gpu", gpu), ("gpu_name", sample.name.as_str())];
    let bytes = |mebibytes: Option<u64>| mebibytes.map(|m| m as f64 * MEBIBYTE);
    let count = |value: Option<u64>| value.map(|v| v as f64);
    let pressure = sample.memory_used_mb.and(sample.memory_total_mb).map(|_| f64::from(level_number(sample.pressure())));
    for (name, help, value) in [
        ("watchfire_gpu_utilization_percent", "How busy the GPU computes, 0 to 100.", sample.utilization),
        ("watchfire_gpu_memory_used_bytes", "GPU memory in use.", bytes(sample.memory_used_mb)),
        ("watchfire_gpu_memory_total_bytes", "GPU memory in all.", bytes(sample.memory_total_mb)),
        ("watchfire_gpu_temperature_celsius", "Core temperature of the GPU.", sample.temperature),
        ("watchfire_gpu_power_watts", "Power that the GPU draws.", sample.power_usage),
        ("watchfire_gpu_power_limit_watts", "Power that the GPU may draw.", sample.power_limit),
        ("watchfire_gpu_fan_speed_percent", "Speed of the GPU's fan, 0 to 100.", sample.fan_speed),
        ("watchfire_gpu_sm_clock_mhz", "Clock of the GPU's processors.", count(sample.sm_clock)),
        ("watchfire_gpu_memory_clock_mhz", "Clock of the GPU's memory.", count(sample.memory_clock)),
        ("watchfire_gpu_performance_state", "Performance state of the GPU: 0 is the fastest, 15 the slowest.", count(sample.pstate)),
        ("watchfire_gpu_memory_pressure", "Level of GPU memory pressure: 0 normal, 1 warning, 2 critical.", pressure),
    ] {
        if let Some(value) = value {
            out.gauge(name, &help, &labels, value);
        }
    }
    let Some(reasons) = sample.throttle_reasons else { return };
    for (bit, reason) in THROTTLE_REASONS {
        let labels = [labels[0], labels[1], ("reason", reason)];
        let active = f64::from(u8::from(reasons & bit != 0));
        out.gauge("watchfire_gpu_throttle_reason_active", &"Whether the GPU's clocks are lowered for this reason: 1 yes, 0 no.", &labels, active);
    }
}

/// Puts the same under dcgm-exporter's names.
pub(super) fn put_dcgm(out: &mut Gather<'_>, gpu: &str, sample: &GpuSample) {
    let device = format!("nvidia{gpu}");
    let labels = dcgm_labels(gpu, &device, &sample.name);
    let count = |value: Option<u64>| value.map(|v| v as f64);
    let free = sample.memory_total_mb.zip(sample.memory_used_mb).map(|(total, used)| total.saturating_sub(used));
    for (name, help, value) in [
        ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", sample.utilization),
        ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", count(sample.memory_used_mb)),
        ("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", count(free)),
        ("DCGM_FI_DEV_FB_TOTAL", "Framebuffer memory in all (in MiB).", count(sample.memory_total_mb)),
        ("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", sample.temperature),
        ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", sample.power_usage),
        ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit (in W).", sample.power_limit),
        ("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", count(sample.sm_clock)),
        ("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", count(sample.memory_clock)),
        ("DCGM_FI_DEV_FAN_SPEED", "Fan speed (in %).", sample.fan_speed),
        ("DCGM_FI_DEV_PSTATE", "Performance state.", count(sample.pstate)),
        ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "Reasons for lowered clocks, as bits.", count(sample.throttle_reasons)),
    ] {
        if let Some(value) = value {
            out.gauge(name, &help, &labels, value);
        }
    }
}

fn dcgm_labels<'a>(gpu: &'a str, device: &'a str, model: &'a str) -> [(&'a str, &'a str); 3] {
    [("device", device), ("gpu", gpu), ("modelName", model)]
}

/// How a figure is called: our name, dcgm-exporter's with what ours is multiplied with, whether it only grows, and what it is.
type Name = (&'static str, Option<(&'static str, f64)>, bool, &'static str);

fn name_of(kind: Kind) -> Name {
    match kind {
        Kind::Encoder => ("watchfire_gpu_encoder_utilization_percent", Some(("DCGM_FI_DEV_ENC_UTIL", 1.0)), false, "How busy the GPU's encoder is, 0 to 100."),
        Kind::Decoder => ("watchfire_gpu_decoder_utilization_percent", Some(("DCGM_FI_DEV_DEC_UTIL", 1.0)), false, "How busy the GPU's decoder is, 0 to 100."),
        Kind::MemoryBandwidth => (
            "watchfire_gpu_memory_bandwidth_percent",
            Some(("DCGM_FI_DEV_MEM_COPY_UTIL", 1.0)),
            false,
            "Time in which the GPU's memory was read or written, 0 to 100.",
        ),
        Kind::MaxSmClock => ("watchfire_gpu_sm_clock_max_mhz", Some(("DCGM_FI_DEV_MAX_SM_CLOCK", 1.0)), false, "The highest clock of the GPU's processors."),
        Kind::EccCorrected => {
            ("watchfire_gpu_ecc_corrected_errors_total", Some(("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", 1.0)), true, "Errors of the GPU's memory that were corrected.")
        }
        Kind::EccUncorrected => (
            "watchfire_gpu_ecc_uncorrected_errors_total",
            Some(("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", 1.0)),
            true,
            "Errors of the GPU's memory that were not corrected.",
        ),
        Kind::PcieSent => ("watchfire_gpu_pcie_sent_bytes_per_second", Some(("DCGM_FI_PROF_PCIE_TX_BYTES", 1.0)), false, "What the GPU sends over its bus."),
        Kind::PcieReceived => {
            ("watchfire_gpu_pcie_received_bytes_per_second", Some(("DCGM_FI_PROF_PCIE_RX_BYTES", 1.0)), false, "What the GPU receives over its bus.")
        }
        Kind::PcieReplays => {
            ("watchfire_gpu_pcie_replays_total", Some(("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", 1.0)), true, "Packets on the GPU's bus that were sent again.")
        }
        Kind::PcieGeneration => ("watchfire_gpu_pcie_generation", Some(("DCGM_FI_DEV_PCIE_LINK_GEN", 1.0)), false, "Generation of the link of the GPU's bus."),
        Kind::PcieWidth => ("watchfire_gpu_pcie_width", Some(("DCGM_FI_DEV_PCIE_LINK_WIDTH", 1.0)), false, "Lanes of the GPU's bus."),
        Kind::PciePowerState => ("watchfire_gpu_pcie_power_state", None, false, "Power state of the GPU on its bus: 0 works, 3 sleeps."),
        Kind::FirmwareAnswers => ("watchfire_gpu_firmware_answers", None, false, "Whether the GPU's firmware answers: 1 yes, 0 no."),
        // There it is in thousandths.
        Kind::Energy => ("watchfire_gpu_energy_joules_total", Some(("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1000.0)), true, "Energy that the GPU has used."),
        Kind::ProcessMemory => ("watchfire_gpu_process_memory_bytes", None, false, "GPU memory of a process."),
    }
}

/// Puts a figure beside the sample. `dcgm` says whether it is NVIDIA's.
pub(super) fn put_detail(out: &mut Gather<'_>, gpu: &str, gpu_name: &str, detail: &Detail, dcgm: bool) {
    let (name, alias, grows, help) = name_of(detail.kind);
    let pid = detail.process.as_ref().map(|(pid, _)| pid.to_string());
    let mut labels = vec![("gpu", gpu), ("gpu_name", gpu_name)];
    if let (Some(pid), Some((_, process))) = (&pid, &detail.process) {
        labels.extend([("pid", pid.as_str()), ("process", process.as_str())]);
    }
    let mut write =
        |name: &str, labels: &[(&str, &str)], value: f64| if grows { out.counter(name, &help, labels, value) } else { out.gauge(name, &help, labels, value) };
    write(name, &labels, detail.value);
    if let Some((alias, scale)) = alias.filter(|_| dcgm) {
        write(alias, &dcgm_labels(gpu, &format!("nvidia{gpu}"), gpu_name), detail.value * scale);
    }
}

/// Puts what is known of a GPU that is not a number, as pairs of label and value.
pub(super) fn put_info(out: &mut Gather<'_>, gpu: &str, gpu_name: &str, facts: &[(&'static str, String)]) {
    if facts.is_empty() {
        return;
    }
    let mut labels = vec![("gpu", gpu), ("gpu_name", gpu_name)];
    labels.extend(facts.iter().map(|(label, value)| (*label, value.as_str())));
    out.gauge("watchfire_gpu_info", &"1, with versions of the GPU's driver and firmware as labels.", &labels, 1.0);
}
