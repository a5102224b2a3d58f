//! The functions of the NVIDIA Management Library that we call, looked for by name in the library of the installed driver (NVML API reference,
//! part of the driver's documentation). A driver that lacks one is asked for the others. What becomes of the answers is `nvml`'s affair.

use std::ffi::{CStr, OsStr, c_char, c_uint, c_ulonglong, c_void};
use std::fmt;
use std::ptr;

use libloading::Library;

/// Where the driver puts its library.
const USUAL: &str = "libnvidia-ml.so.1";
const SUCCESS: c_uint = 0;
const NOT_SUPPORTED: c_uint = 3;
const NO_PERMISSION: c_uint = 4;
const INSUFFICIENT_SIZE: c_uint = 7;
const NO_DATA: c_uint = 21;
/// Bytes of a name (`NVML_DEVICE_NAME_V2_BUFFER_SIZE`).
const NAME_BYTES: usize = 96;
/// Processes of one list that there is room for at first, and at most.
const PROCESSES: c_uint = 64;
const PROCESSES_MAX: c_uint = 4_096;
/// `nvmlMemory_v2_t`: its size, and the second version of it.
const MEMORY_V2: c_uint = 40 | 2 << 24;
/// A value that the driver does not know (`NVML_VALUE_NOT_AVAILABLE`).
const NOT_AVAILABLE: c_ulonglong = c_ulonglong::MAX;

/// `nvmlTemperatureSensors_t`, `nvmlClockType_t`, `nvmlMemoryErrorType_t`, `nvmlPcieUtilCounter_t`, as far as we ask for them.
pub(super) const SENSOR_GPU: c_uint = 0;
pub(super) const CLOCK_SM: c_uint = 1;
pub(super) const CLOCK_MEMORY: c_uint = 2;
pub(super) const ECC_CORRECTED: c_uint = 0;
pub(super) const ECC_UNCORRECTED: c_uint = 1;
pub(super) const PCIE_SENT: c_uint = 0;
pub(super) const PCIE_RECEIVED: c_uint = 1;
/// Errors since the card was made, not since the driver was loaded (`nvmlEccCounterType_t`).
const ECC_AGGREGATE: c_uint = 1;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NvmlError {
    /// The library is not there, or lacks a function.
    Missing(libloading::Error),
    /// What the driver says, as a number and in its words.
    Refused(c_uint, String),
    /// It knows no GPU.
    NoGpu,
}

impl NvmlError {
    /// Whether only this value is not to be had.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, NvmlError::Refused(NOT_SUPPORTED | NO_PERMISSION | NO_DATA, _))
    }
}

impl fmt::Display for NvmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NvmlError::Missing(error) => error.fmt(f),
            NvmlError::Refused(code, words) => write!(f, "the driver says: {words} (NVML error {code})"),
            NvmlError::NoGpu => f.write_str("the driver knows no GPU"),
        }
    }
}

/// The handle of a GPU, which is the driver's and holds as long as the library is loaded.
#[derive(Clone, Copy)]
pub(super) struct Device(*mut c_void);

/// How busy a GPU and its memory are, in percent (`nvmlUtilization_t`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Utilization {
    pub(super) gpu: c_uint,
    pub(super) memory: c_uint,
}

/// Bytes of memory (`nvmlMemory_t`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Memory {
    pub(super) total: c_ulonglong,
    free: c_ulonglong,
    pub(super) used: c_ulonglong,
}

/// The same, where what the driver keeps for itself is told apart (`nvmlMemory_v2_t`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct MemoryV2 {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlProcessInfo_t` of the third version of the functions that list processes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct ProcessInfo {
    pid: c_uint,
    used: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

type Init = unsafe extern "C" fn() -> c_uint;
type Words = unsafe extern "C" fn(c_uint) -> *const c_char;
type Count = unsafe extern "C" fn(*mut c_uint) -> c_uint;
type Handle = unsafe extern "C" fn(c_uint, *mut *mut c_void) -> c_uint;
/// A function that fills in one value, whatever its type.
type Value = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_uint;
/// The same with a number that says which.
type Numbered = unsafe extern "C" fn(*mut c_void, c_uint, *mut c_uint) -> c_uint;
type Named = unsafe extern "C" fn(*mut c_void, *mut c_char, c_uint) -> c_uint;
type Errors = unsafe extern "C" fn(*mut c_void, c_uint, c_uint, *mut c_ulonglong) -> c_uint;
type Coder = unsafe extern "C" fn(*mut c_void, *mut c_uint, *mut c_uint) -> c_uint;
type Processes = unsafe extern "C" fn(*mut c_void, *mut c_uint, *mut ProcessInfo) -> c_uint;

/// The library, loaded and ready.
pub(super) struct Nvml {
    library: Library,
}

#[expect(unsafe_code, reason = "the driver's library has a C interface")]
impl Nvml {
    /// Loads a library, or the usual one.
    pub(super) fn load(path: Option<&OsStr>) -> Result<Nvml, NvmlError> {
        // SAFETY: what the library does when it is loaded is the driver's affair; it is the one that `nvidia-smi` loads, too.
        let library = unsafe { Library::new(path.unwrap_or(USUAL.as_ref())) }.map_err(NvmlError::Missing)?;
        let nvml = Nvml { library };
        // SAFETY: the type is that of `nvmlInit_v2`.
        let init: Init = unsafe { nvml.function(c"nvmlInit_v2") }?;
        // SAFETY: it asks for nothing and may be called first.
        nvml.checked(unsafe { init() })?;
        Ok(nvml)
    }

    /// A function by its name.
    ///
    /// # Safety
    /// `F` is the type of the function of this name.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, NvmlError> {
        // SAFETY: the caller says that the type fits. The function is called while `self` holds the library only.
        unsafe { self.library.get::<F>(name.to_bytes_with_nul()) }.map(|found| *found).map_err(NvmlError::Missing)
    }

    fn checked(&self, code: c_uint) -> Result<(), NvmlError> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: the type is that of `nvmlErrorString`, which answers with a text that stays, for any number.
        let words =
            unsafe { self.function::<Words>(c"nvmlErrorString").ok().map(|words| words(code)).filter(|text| !text.is_null()).map(|text| CStr::from_ptr(text)) };
        Err(NvmlError::Refused(code, words.map_or_else(|| "unknown error".into(), |words| words.to_string_lossy().into_owned())))
    }

    pub(super) fn count(&self) -> Result<u32, NvmlError> {
        let mut count = 0;
        // SAFETY: the type is that of `nvmlDeviceGetCount_v2`, and what it fills in lives on.
        self.checked(unsafe { self.function::<Count>(c"nvmlDeviceGetCount_v2")?(&mut count) })?;
        Ok(count)
    }

    pub(super) fn device(&self, index: u32) -> Result<Device, NvmlError> {
        let mut device = ptr::null_mut();
        // SAFETY: the type is that of `nvmlDeviceGetHandleByIndex_v2`, and what it fills in lives on.
        self.checked(unsafe { self.function::<Handle>(c"nvmlDeviceGetHandleByIndex_v2")?(index, &mut device) })?;
        Ok(Device(device))
    }

    pub(super) fn name(&self, device: Device) -> Result<String, NvmlError> {
        let mut name = [0u8; NAME_BYTES];
        // SAFETY: the type is that of `nvmlDeviceGetName`, and it writes at most as many bytes as it is told.
        self.checked(unsafe { self.function::<Named>(c"nvmlDeviceGetName")?(device.0, name.as_mut_ptr().cast(), NAME_BYTES as c_uint) })?;
        Ok(CStr::from_bytes_until_nul(&name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// One value of a GPU.
    ///
    /// # Safety
    /// The function of this name takes a GPU and fills in a `T`.
    unsafe fn value<T: Default>(&self, name: &CStr, device: Device, mut value: T) -> Result<T, NvmlError> {
        // SAFETY: the caller says what the function fills in, and that lives on.
        self.checked(unsafe { self.function::<Value>(name)?(device.0, ptr::from_mut(&mut value).cast()) })?;
        Ok(value)
    }

    /// A number of a GPU from a function that takes nothing else: its name tells which one, and its documentation the unit.
    pub(super) fn number(&self, of: Number, device: Device) -> Result<u32, NvmlError> {
        let name = match of {
            Number::Power => c"nvmlDeviceGetPowerUsage",
            Number::PowerLimit => c"nvmlDeviceGetEnforcedPowerLimit",
            Number::PerformanceState => c"nvmlDeviceGetPerformanceState",
            Number::PcieReplays => c"nvmlDeviceGetPcieReplayCounter",
            Number::PcieGeneration => c"nvmlDeviceGetCurrPcieLinkGeneration",
            Number::PcieWidth => c"nvmlDeviceGetCurrPcieLinkWidth",
        };
        // SAFETY: each of these functions fills in an `unsigned int`, or an enumeration of that size.
        unsafe { self.value(name, device, 0u32) }
    }

    /// A number of a GPU of which there are several: a sensor, a clock, a fan, a direction.
    pub(super) fn numbered(&self, of: Numbers, which: c_uint, device: Device) -> Result<u32, NvmlError> {
        let name = match of {
            Numbers::Temperature => c"nvmlDeviceGetTemperature",
            Numbers::Fan => c"nvmlDeviceGetFanSpeed_v2",
            Numbers::Clock => c"nvmlDeviceGetClockInfo",
            Numbers::MaxClock => c"nvmlDeviceGetMaxClockInfo",
            Numbers::PcieThroughput => c"nvmlDeviceGetPcieThroughput",
        };
        let mut number = 0;
        // SAFETY: each of these functions takes a number or an enumeration of that size and fills in an `unsigned int`, which lives on.
        self.checked(unsafe { self.function::<Numbered>(name)?(device.0, which, &mut number) })?;
        Ok(number)
    }

    pub(super) fn utilization(&self, device: Device) -> Result<Utilization, NvmlError> {
        // SAFETY: the function fills in an `nvmlUtilization_t`.
        unsafe { self.value(c"nvmlDeviceGetUtilizationRates", device, Utilization::default()) }
    }

    /// Without what the driver keeps for itself, where it tells that apart (since 510).
    pub(super) fn memory(&self, device: Device) -> Result<Memory, NvmlError> {
        // SAFETY: the function fills in an `nvmlMemory_v2_t` that says its version.
        match unsafe { self.value(c"nvmlDeviceGetMemoryInfo_v2", device, MemoryV2 { version: MEMORY_V2, ..MemoryV2::default() }) } {
            // SAFETY: the function fills in an `nvmlMemory_t`.
            Err(NvmlError::Missing(_)) => unsafe { self.value(c"nvmlDeviceGetMemoryInfo", device, Memory::default()) },
            memory => memory.map(|memory| Memory { total: memory.total, free: memory.free, used: memory.used }),
        }
    }

    pub(super) fn throttle_reasons(&self, device: Device) -> Result<u64, NvmlError> {
        // SAFETY: the function fills in an `unsigned long long`.
        unsafe { self.value(c"nvmlDeviceGetCurrentClocksThrottleReasons", device, 0u64) }
    }

    /// Millijoules since the driver was loaded.
    pub(super) fn energy(&self, device: Device) -> Result<u64, NvmlError> {
        // SAFETY: the function fills in an `unsigned long long`.
        unsafe { self.value(c"nvmlDeviceGetTotalEnergyConsumption", device, 0u64) }
    }

    /// Errors of memory of a kind.
    pub(super) fn ecc_errors(&self, kind: c_uint, device: Device) -> Result<u64, NvmlError> {
        let mut errors = 0;
        // SAFETY: the type is that of `nvmlDeviceGetTotalEccErrors`, and what it fills in lives on.
        self.checked(unsafe { self.function::<Errors>(c"nvmlDeviceGetTotalEccErrors")?(device.0, kind, ECC_AGGREGATE, &mut errors) })?;
        Ok(errors)
    }

    /// How busy the encoder is, or the decoder, in percent.
    pub(super) fn coder(&self, is_encoder: bool, device: Device) -> Result<u32, NvmlError> {
        let name = if is_encoder { c"nvmlDeviceGetEncoderUtilization" } else { c"nvmlDeviceGetDecoderUtilization" };
        let (mut percent, mut period) = (0, 0);
        // SAFETY: both functions fill in two `unsigned int`, which live on.
        self.checked(unsafe { self.function::<Coder>(name)?(device.0, &mut percent, &mut period) })?;
        Ok(percent)
    }

    /// Processes that compute, or that draw, with the bytes of the GPU's memory that each has; one whose bytes are not known is left out.
    pub(super) fn processes(&self, compute: bool, device: Device) -> Result<Vec<(u32, u64)>, NvmlError> {
        let name = if compute { c"nvmlDeviceGetComputeRunningProcesses_v3" } else { c"nvmlDeviceGetGraphicsRunningProcesses_v3" };
        // SAFETY: the type is that of both functions.
        let list: Processes = unsafe { self.function(name) }?;
        let mut room = PROCESSES;
        let (code, count, found) = loop {
            let mut found = vec![ProcessInfo::default(); room as usize];
            let mut count = room;
            // SAFETY: it fills in as many entries as there is room for, and says how many there are.
            let code = unsafe { list(device.0, &mut count, found.as_mut_ptr()) };
            if code != INSUFFICIENT_SIZE || room == PROCESSES_MAX {
                break (code, count, found);
            }
            // Some more, because others may begin meanwhile.
            room = count.max(room).saturating_mul(2).min(PROCESSES_MAX);
        };
        self.checked(code)?;
        let told = found.iter().take(count as usize).filter(|process| process.used != NOT_AVAILABLE);
        Ok(told.map(|process| (process.pid, process.used)).collect())
    }
}

#[expect(unsafe_code, reason = "the driver's library has a C interface")]
impl Drop for Nvml {
    fn drop(&mut self) {
        // SAFETY: the type is that of `nvmlShutdown`, which ends what `load` began.
        if let Ok(end) = unsafe { self.function::<Init>(c"nvmlShutdown") } {
            // SAFETY: no handle of a GPU outlives the library.
            unsafe { end() };
        }
    }
}

/// See [`Nvml::number`].
#[derive(Clone, Copy)]
pub(super) enum Number {
    /// Milliwatts.
    Power,
    /// Milliwatts.
    PowerLimit,
    /// 0 to 15, and 32 for unknown.
    PerformanceState,
    PcieReplays,
    PcieGeneration,
    PcieWidth,
}

/// See [`Nvml::numbered`].
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    /// Degrees Celsius.
    Temperature,
    /// Percent.
    Fan,
    /// Megahertz.
    Clock,
    /// Megahertz.
    MaxClock,
    /// Kilobytes a second.
    PcieThroughput,
}
