//! Where GPU figures come from. Each source is one file; `in_order` says which is tried first.

mod ai_service;
mod detail;
mod nvidia_smi;
mod nvml;
mod program;

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;

pub use ai_service::{Fetch, FetchError};
pub(crate) use detail::{Detail, Kind};
pub(crate) use program::Program;

use super::{GpuError, Settings};

/// The most GPUs of one host that are looked at.
pub(crate) const GPUS_MAX: u32 = 64;
/// Neither the driver nor its program may take longer for one look.
pub(crate) const LOCAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a source says about one GPU.
pub(crate) type Reading = (u32, GpuSample);

/// One way to look at GPUs.
pub(crate) trait GpuSource: Send + Sync {
    /// Which way this is.
    fn origin(&self) -> GpuOrigin;
    /// Looks at all GPUs; never an empty list. `at` is the time that the samples bear.
    fn read(&self, at: Timestamp) -> ViewFuture<'_, Result<Vec<Reading>, GpuError>>;
    /// What the last look has shown beside the samples.
    fn details(&self) -> Vec<Detail> {
        Vec::new()
    }
}

/// All sources, the best first. What is behind the last is the mock.
pub(crate) fn in_order(settings: &Settings, fetch: Option<Arc<dyn Fetch>>) -> Vec<Box<dyn GpuSource>> {
    let nvidia_smi = nvidia_smi::NvidiaSmi::new(settings.nvidia_smi_program.clone(), settings.search_path.clone());
    let mut sources: Vec<Box<dyn GpuSource>> = vec![Box::new(nvml::NvmlSource::new(settings.nvml_library.clone())), Box::new(nvidia_smi)];
    if let (Some(fetch), false) = (fetch, settings.ai_health_urls.is_empty()) {
        sources.push(Box::new(ai_service::AiService::new(settings.ai_health_urls.clone(), settings.http_timeout, fetch)));
    }
    sources
}

/// A sample with a name and nothing else.
fn blank(name: String, origin: GpuOrigin, at: Timestamp) -> GpuSample {
    GpuSample { name, origin, ..GpuSample::mock(at) }
}

fn failed(origin: GpuOrigin, problem: impl Into<String>) -> GpuError {
    GpuError::Source { source_name: origin.name(), problem: problem.into() }
}
