//! The NVIDIA Management Library, loaded at run time. A machine without it is no error, only a source that does not work.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;

use super::{Detail, GPUS_MAX, GpuSource, Kind, LOCAL_TIMEOUT, Reading, blank, failed};
use crate::gpu::GpuError;
use watchfire_net::blocking::spawn_blocking;

const ORIGIN: GpuOrigin = GpuOrigin::Nvml;
const MEBIBYTE: u64 = 1 << 20;
/// Processes of one GPU.
const PROCESSES_MAX: usize = 64;

pub(crate) struct NvmlSource {
    library: Option<OsString>,
    /// Held while the driver is asked: a driver that hangs keeps the lock, and we do not ask again.
    loaded: Arc<Mutex<Option<Nvml>>>,
    details: Arc<Mutex<Vec<Detail>>>,
}

impl NvmlSource {
    pub(crate) fn new(library: Option<OsString>) -> NvmlSource {
        NvmlSource { library, loaded: Arc::default(), details: Arc::default() }
    }
}

impl GpuSource for NvmlSource {
    fn origin(&self) -> GpuOrigin {
        ORIGIN
    }

    fn read(&self, at: Timestamp) -> ViewFuture<'_, Result<Vec<Reading>, GpuError>> {
        let (library, loaded, details) = (self.library.clone(), self.loaded.clone(), self.details.clone());
        Box::pin(async move {
            let looking = spawn_blocking(move || look(library.as_deref(), &loaded, &details, at));
            match tokio::time::timeout(LOCAL_TIMEOUT, looking).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Err(failed(ORIGIN, error.to_string())),
                Err(_) => Err(failed(ORIGIN, "the driver does not answer")),
            }
        })
    }

    fn details(&self) -> Vec<Detail> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn look(library: Option<&std::ffi::OsStr>, loaded: &Mutex<Option<Nvml>>, details: &Mutex<Vec<Detail>>, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
    let mut slot = match loaded.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
        Err(TryLockError::WouldBlock) => return Err(failed(ORIGIN, "the driver still does not answer")),
    };
    let outcome = (|| {
        let nvml = match slot.take() {
            Some(nvml) => nvml,
            None => load(library)?,
        };
        let readings = read_all(&nvml, at)?;
        *details.lock().unwrap_or_else(PoisonError::into_inner) = readings.iter().flat_map(|(index, _)| more(&nvml, *index)).collect();
        *slot = Some(nvml);
        Ok(readings)
    })();
    // After an error the library is loaded anew next time: drivers are updated while we run.
    outcome.map_err(|error: NvmlError| failed(ORIGIN, error.to_string()))
}

fn load(library: Option<&std::ffi::OsStr>) -> Result<Nvml, NvmlError> {
    match library {
        Some(path) => Nvml::builder().lib_path(path).init(),
        None => Nvml::init(),
    }
}

fn read_all(nvml: &Nvml, at: Timestamp) -> Result<Vec<Reading>, NvmlError> {
    let mut readings = Vec::new();
    for index in 0..nvml.device_count()?.min(GPUS_MAX) {
        match nvml.device_by_index(index).and_then(|device| read(&device, at)) {
            Ok(sample) => readings.push((index, sample)),
            // The first GPU is the one that the monitor shows: without it this source does not work.
            Err(error) if index == 0 => return Err(error),
            Err(error) => tracing::debug!(target: "watchfire::gpu", index, %error, "GPU cannot be read"),
        }
    }
    if readings.is_empty() { Err(NvmlError::NotFound) } else { Ok(readings) }
}

fn read(device: &Device<'_>, at: Timestamp) -> Result<GpuSample, NvmlError> {
    let mut sample = blank(device.name()?, ORIGIN, at);
    sample.utilization = known(device.utilization_rates())?.map(|u| f64::from(u.gpu));
    if let Some(memory) = known(device.memory_info())? {
        sample.memory_used_mb = Some(memory.used / MEBIBYTE);
        sample.memory_total_mb = Some(memory.total / MEBIBYTE);
    }
    sample.temperature = known(device.temperature(TemperatureSensor::Gpu))?.map(f64::from);
    sample.power_usage = known(device.power_usage())?.map(|milliwatts| f64::from(milliwatts) / 1000.0);
    // What follows is an extra: no driver is refused for the lack of it.
    sample.power_limit = device.enforced_power_limit().ok().map(|milliwatts| f64::from(milliwatts) / 1000.0);
    sample.throttle_reasons = device.current_throttle_reasons().ok().map(|reasons| reasons.bits());
    sample.fan_speed = device.fan_speed(0).ok().map(f64::from);
    sample.sm_clock = device.clock_info(Clock::SM).ok().map(u64::from);
    sample.memory_clock = device.clock_info(Clock::Memory).ok().map(u64::from);
    sample.pstate = device.performance_state().ok().map(|state| u64::from(state.as_c())).filter(|state| *state <= 15);
    Ok(sample)
}

/// What is known beside the sample. Nothing of it is needed: what a driver or a card does not tell is left out.
fn more(nvml: &Nvml, index: u32) -> Vec<Detail> {
    let Ok(device) = nvml.device_by_index(index) else { return Vec::new() };
    let errors = |kind| device.total_ecc_errors(kind, EccCounter::Aggregate).ok().map(|errors| errors as f64);
    // The driver tells kilobytes.
    let traffic = |counter| device.pcie_throughput(counter).ok().map(|kilobytes| f64::from(kilobytes) * 1000.0);
    let figures = [
        (Kind::Encoder, device.encoder_utilization().ok().map(|u| f64::from(u.utilization))),
        (Kind::Decoder, device.decoder_utilization().ok().map(|u| f64::from(u.utilization))),
        (Kind::MemoryBandwidth, device.utilization_rates().ok().map(|u| f64::from(u.memory))),
        (Kind::MaxSmClock, device.max_clock_info(Clock::SM).ok().map(f64::from)),
        (Kind::EccCorrected, errors(MemoryError::Corrected)),
        (Kind::EccUncorrected, errors(MemoryError::Uncorrected)),
        (Kind::PcieSent, traffic(PcieUtilCounter::Send)),
        (Kind::PcieReceived, traffic(PcieUtilCounter::Receive)),
        (Kind::PcieReplays, device.pcie_replay_counter().ok().map(f64::from)),
        (Kind::PcieGeneration, device.current_pcie_link_gen().ok().map(f64::from)),
        (Kind::PcieWidth, device.current_pcie_link_width().ok().map(f64::from)),
        (Kind::Energy, device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1000.0)),
    ];
    let mut details: Vec<Detail> = figures.into_iter().filter_map(|(kind, value)| Detail::of(index, kind, value)).collect();
    let mut pids: Vec<u32> = Vec::new();
    let lists = [device.running_compute_processes(), device.running_graphics_processes()];
    for process in lists.into_iter().filter_map(Result::ok).flatten().take(PROCESSES_MAX) {
        // One that computes and draws stands in both lists.
        let UsedGpuMemory::Used(bytes) = process.used_gpu_memory else { continue };
        if pids.contains(&process.pid) {
            continue;
        }
        pids.push(process.pid);
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).map(|name| name.trim().to_owned()).unwrap_or_default();
        details.push(Detail { gpu: index, kind: Kind::ProcessMemory, value: bytes as f64, process: Some((process.pid, name)) });
    }
    details
}

/// A value that this GPU does not have is `None`; anything else that goes wrong makes the source fail, so that the next is asked.
fn known<T>(value: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(NvmlError::NotSupported | NvmlError::NoPermission | NvmlError::NoData) => Ok(None),
        Err(error) => Err(error),
    }
}
