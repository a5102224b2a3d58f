//! What collectors know right now and faces show: GPU samples, scrape targets, services. Plain data and one view trait,
//! because the faces never depend on the collectors. History of the same facts is in the store.

use std::future::Future;
use std::pin::Pin;

use crate::labels::Labels;
use crate::time::Timestamp;

/// The name that stands in for a GPU when there is none.
pub const MOCK_GPU_NAME: &str = "Mock GPU (No NVIDIA GPU Available)";

/// Where a GPU sample came from, in the order in which sources are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GpuOrigin {
    /// The NVIDIA Management Library, loaded at run time.
    Nvml,
    /// The `nvidia-smi` program.
    NvidiaSmi,
    /// The `/health` answer of an AI service.
    AiService,
    /// No GPU at all.
    Mock,
}
impl GpuOrigin {
    /// A short name for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            GpuOrigin::Nvml => "nvml",
            GpuOrigin::NvidiaSmi => "nvidia-smi",
            GpuOrigin::AiService => "ai-service",
            GpuOrigin::Mock => "mock",
        }
    }
}

/// One look at a GPU. Unknown values are `None`, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuSample {
    /// Model name.
    pub name: String,
    /// Compute utilisation, percent 0–100.
    pub utilization: Option<f64>,
    /// Memory in use, MB (2^20 bytes).
    pub memory_used_mb: Option<u64>,
    /// Memory in all, MB (2^20 bytes).
    pub memory_total_mb: Option<u64>,
    /// Core temperature, Celsius.
    pub temperature: Option<f64>,
    /// Power draw, watts.
    pub power_usage: Option<f64>,
    /// Power limit, watts.
    pub power_limit: Option<f64>,
    /// Bit field of reasons for lowered clocks, as NVML gives it.
    pub throttle_reasons: Option<u64>,
    /// Fan speed, percent.
    pub fan_speed: Option<f64>,
    /// Streaming-multiprocessor clock, MHz.
    pub sm_clock: Option<u64>,
    /// Memory clock, MHz.
    pub memory_clock: Option<u64>,
    /// Performance state, 0 (fastest) to 15.
    pub pstate: Option<u64>,
    /// Detections per second over the last minute, when detections are recorded here.
    pub inference_fps: Option<f64>,
    /// When it was taken.
    pub recorded_at: Timestamp,
    /// How it was taken.
    pub origin: GpuOrigin,
}
impl GpuSample {
    /// The sample that says "no GPU": a name and nothing else.
    pub fn mock(recorded_at: Timestamp) -> GpuSample {
        GpuSample {
            name: MOCK_GPU_NAME.to_owned(),
            utilization: None,
            memory_used_mb: None,
            memory_total_mb: None,
            temperature: None,
            power_usage: None,
            power_limit: None,
            throttle_reasons: None,
            fan_speed: None,
            sm_clock: None,
            memory_clock: None,
            pstate: None,
            inference_fps: None,
            recorded_at,
            origin: GpuOrigin::Mock,
        }
    }
    /// The memory pressure that this sample shows; no figures mean no pressure.
    pub fn pressure(&self) -> MemoryPressure {
        match (self.memory_used_mb, self.memory_total_mb) {
            (Some(used), Some(total)) if total > 0 => MemoryPressure::of(used as f64 * 100.0 / total as f64),
            _ => MemoryPressure::Normal,
        }
    }
}

/// From this percentage of GPU memory on, pressure is a warning.
pub const PRESSURE_WARNING_PERCENT: f64 = 85.0;
/// From this percentage of GPU memory on, pressure is critical.
pub const PRESSURE_CRITICAL_PERCENT: f64 = 95.0;

/// How full the GPU's memory is. The limits are constants on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryPressure {
    /// Below 85 %: nothing to do.
    Normal,
    /// 85 % to below 95 %: throttle moderately.
    Warning,
    /// 95 % and more: throttle hard.
    Critical,
}
impl MemoryPressure {
    /// The level at a percentage of memory in use.
    pub fn of(percent: f64) -> MemoryPressure {
        if percent >= PRESSURE_CRITICAL_PERCENT {
            MemoryPressure::Critical
        } else if percent >= PRESSURE_WARNING_PERCENT {
            MemoryPressure::Warning
        } else {
            MemoryPressure::Normal
        }
    }
    /// The level's name.
    pub fn name(self) -> &'static str {
        match self {
            MemoryPressure::Normal => "NORMAL",
            MemoryPressure::Warning => "WARNING",
            MemoryPressure::Critical => "CRITICAL",
        }
    }
}

/// A future that a view returns.
pub type ViewFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What faces may ask the GPU monitor.
pub trait GpuView: Send + Sync {
    /// The newest sample; a mock sample when there is no GPU; `None` only before the first poll.
    fn current(&self) -> Option<GpuSample>;
    /// Samples with `since <= recorded_at`, ascending; of more than `limit` the newest. Older ones than memory holds come from the database, if there is one.
    fn history(&self, since: Timestamp, limit: usize) -> ViewFuture<'_, Vec<GpuSample>>;
}

/// How one scrape target is doing.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The job's name, which is the pool of the target.
    pub scrape_pool: String,
    /// The URL that is fetched, without secrets.
    pub scrape_url: String,
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Labels after relabelling, as they stand on the series; empty for dropped targets.
    pub labels: Labels,
    /// The scrape interval in milliseconds.
    pub interval_ms: u64,
    /// The scrape timeout in milliseconds.
    pub timeout_ms: u64,
    /// Whether relabelling dropped it.
    pub dropped: bool,
    /// `None` before the first scrape.
    pub last: Option<LastScrape>,
    /// Set when the target names ourselves (a replaced component): says which.
    pub alias_of: Option<String>,
}

/// The outcome of the last scrape of a target.
#[derive(Clone, Debug)]
pub struct LastScrape {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub duration_s: f64,
    /// Empty when it went well.
    pub error: String,
}

/// How one watched service is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceStatus {
    /// Its configured name (`database`, `redis`, `rtdetr`, `nemotron`, …).
    pub name: String,
    /// `healthy`, `unhealthy`, `restarting`, `restart_failed`, `failed` or `not_configured`.
    pub status: &'static str,
    /// A sentence for people.
    pub message: String,
}
