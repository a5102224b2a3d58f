//! The NVIDIA Management Library, loaded at run time. A machine without it is no error, only a source that does not work. How its functions
//! are called is in `library`.

mod library;

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;

use self::library::{Device, Number, Numbers, Nvml, NvmlError};
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

fn look(library: Option<&OsStr>, loaded: &Mutex<Option<Nvml>>, details: &Mutex<Vec<Detail>>, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
    let mut slot = match loaded.try_lock() {
        Ok(slot) => slot,
        Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
        Err(TryLockError::WouldBlock) => return Err(failed(ORIGIN, "the driver still does not answer")),
    };
    let outcome = (|| {
        let nvml = match slot.take() {
            Some(nvml) => nvml,
            None => Nvml::load(library)?,
        };
        let readings = read_all(&nvml, at)?;
        *details.lock().unwrap_or_else(PoisonError::into_inner) = readings.iter().flat_map(|(index, _)| more(&nvml, *index)).collect();
        *slot = Some(nvml);
        Ok(readings)
    })();
    // After an error the library is loaded anew next time: drivers are updated while we run.
    outcome.map_err(|error: NvmlError| failed(ORIGIN, error.to_string()))
}

fn read_all(nvml: &Nvml, at: Timestamp) -> Result<Vec<Reading>, NvmlError> {
    let mut readings = Vec::new();
    for index in 0..nvml.count()?.min(GPUS_MAX) {
        match nvml.device(index).and_then(|device| read(nvml, device, at)) {
            Ok(sample) => readings.push((index, sample)),
            // The first GPU is the one that the monitor shows: without it this source does not work.
            Err(error) if index == 0 => return Err(error),
            Err(error) => tracing::debug!(target: "watchfire::gpu", index, %error, "GPU cannot be read"),
        }
    }
    if readings.is_empty() { Err(NvmlError::NoGpu) } else { Ok(readings) }
}

fn read(nvml: &Nvml, device: Device, at: Timestamp) -> Result<GpuSample, NvmlError> {
    let mut sample = blank(nvml.name(device)?, ORIGIN, at);
    sample.utilization = known(nvml.utilization(device))?.map(|u| f64::from(u.gpu));
    if let Some(memory) = known(nvml.memory(device))? {
        sample.memory_used_mb = Some(memory.used / MEBIBYTE);
        sample.memory_total_mb = Some(memory.total / MEBIBYTE);
    }
    sample.temperature = known(nvml.numbered(Numbers::Temperature, library::SENSOR_GPU, device))?.map(f64::from);
    sample.power_usage = known(nvml.number(Number::Power, device))?.map(|milliwatts| f64::from(milliwatts) / 1000.0);
    // What follows is an extra: no driver is refused for the lack of it.
    let number = |of| nvml.number(of, device).ok();
    let numbered = |of, which| nvml.numbered(of, which, device).ok();
    sample.power_limit = number(Number::PowerLimit).map(|milliwatts| f64::from(milliwatts) / 1000.0);
    sample.throttle_reasons = nvml.throttle_reasons(device).ok();
    sample.fan_speed = numbered(Numbers::Fan, 0).map(f64::from);
    sample.sm_clock = numbered(Numbers::Clock, library::CLOCK_SM).map(u64::from);
    sample.memory_clock = numbered(Numbers::Clock, library::CLOCK_MEMORY).map(u64::from);
    sample.pstate = number(Number::PerformanceState).map(u64::from).filter(|state| *state <= 15);
    Ok(sample)
}

/// What is known beside the sample. Nothing of it is needed: what a driver or a card does not tell is left out.
fn more(nvml: &Nvml, index: u32) -> Vec<Detail> {
    let Ok(device) = nvml.device(index) else { return Vec::new() };
    let number = |of| nvml.number(of, device).ok().map(f64::from);
    let errors = |kind| nvml.ecc_errors(kind, device).ok().map(|errors| errors as f64);
    // The driver tells kilobytes.
    let traffic = |counter| nvml.numbered(Numbers::PcieThroughput, counter, device).ok().map(|kilobytes| f64::from(kilobytes) * 1000.0);
    let figures = [
        (Kind::Encoder, nvml.coder(true, device).ok().map(f64::from)),
        (Kind::Decoder, nvml.coder(false, device).ok().map(f64::from)),
        (Kind::MemoryBandwidth, nvml.utilization(device).ok().map(|u| f64::from(u.memory))),
        (Kind::MaxSmClock, nvml.numbered(Numbers::MaxClock, library::CLOCK_SM, device).ok().map(f64::from)),
        (Kind::EccCorrected, errors(library::ECC_CORRECTED)),
        (Kind::EccUncorrected, errors(library::ECC_UNCORRECTED)),
        (Kind::PcieSent, traffic(library::PCIE_SENT)),
        (Kind::PcieReceived, traffic(library::PCIE_RECEIVED)),
        (Kind::PcieReplays, number(Number::PcieReplays)),
        (Kind::PcieGeneration, number(Number::PcieGeneration)),
        (Kind::PcieWidth, number(Number::PcieWidth)),
        (Kind::Energy, nvml.energy(device).ok().map(|millijoules| millijoules as f64 / 1000.0)),
    ];
    let mut details: Vec<Detail> = figures.into_iter().filter_map(|(kind, value)| Detail::of(index, kind, value)).collect();
    let mut pids: Vec<u32> = Vec::new();
    let lists = [nvml.processes(true, device), nvml.processes(false, device)];
    for (pid, bytes) in lists.into_iter().filter_map(Result::ok).flatten().take(PROCESSES_MAX) {
        // One that computes and draws stands in both lists.
        if pids.contains(&pid) {
            continue;
        }
        pids.push(pid);
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).map(|name| name.trim().to_owned()).unwrap_or_default();
        details.push(Detail { gpu: index, kind: Kind::ProcessMemory, value: bytes as f64, process: Some((pid, name)) });
    }
    details
}

/// A value that this GPU does not have is `None`; anything else that goes wrong makes the source fail, so that the next is asked.
fn known<T>(value: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_unknown() => Ok(None),
        Err(error) => Err(error),
    }
}
