//! The `/health` answer of an AI service that runs on the GPU, when we cannot see the GPU ourselves. What it does not say stays
//! unknown: no total is invented and no zero is filled in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;
use watchfire_net::client::{Client, Request};
use watchfire_net::inflate::Limits;

use super::{GpuSource, Reading, blank, failed};
use crate::gpu::GpuError;

const ORIGIN: GpuOrigin = GpuOrigin::AiService;
/// A health answer is small.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;
/// The name when the service does not say what it runs on.
const UNNAMED: &str = "GPU of an AI service";

/// Why nothing could be fetched, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// Fetches a URL. Kept small, so that tests and the HTTP client fit equally.
pub trait Fetch: Send + Sync {
    /// GETs a URL within a time limit and returns a 2xx answer's body of at most `bytes_max` bytes.
    fn get<'a>(&'a self, url: &'a str, timeout: Duration, bytes_max: usize) -> ViewFuture<'a, Result<Bytes, FetchError>>;
}

/// The client of the house.
impl Fetch for Client {
    fn get<'a>(&'a self, url: &'a str, timeout: Duration, bytes_max: usize) -> ViewFuture<'a, Result<Bytes, FetchError>> {
        Box::pin(async move {
            let request = Request { limits: Limits::both(bytes_max), ..Request::get(url, timeout).header("Accept", "application/json") };
            let response = self.send(request).await.map_err(|error| FetchError(error.to_string()))?;
            if response.status.is_success() { Ok(response.body) } else { Err(FetchError(format!("the answer is {}", response.status))) }
        })
    }
}

pub(crate) struct AiService {
    urls: Vec<String>,
    timeout: Duration,
    fetch: Arc<dyn Fetch>,
}

impl AiService {
    pub(crate) fn new(urls: Vec<String>, timeout: Duration, fetch: Arc<dyn Fetch>) -> AiService {
        AiService { urls, timeout, fetch }
    }

    async fn ask(&self, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
        let mut problem = String::new();
        for url in &self.urls {
            let outcome = match self.fetch.get(url, self.timeout, BODY_BYTES_MAX).await {
                Ok(body) => parse(&body, at),
                Err(error) => Err(error.0),
            };
            match outcome {
                Ok(sample) => return Ok(vec![(0, sample)]),
                Err(error) => problem = format!("{}: {error}", shown(url)),
            }
        }
        Err(failed(ORIGIN, problem))
    }
}

impl GpuSource for AiService {
    fn origin(&self) -> GpuOrigin {
        ORIGIN
    }

    fn read(&self, at: Timestamp) -> ViewFuture<'_, Result<Vec<Reading>, GpuError>> {
        Box::pin(self.ask(at))
    }
}

/// A URL without what may be secret in it: user, password, query.
fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('/').unwrap_or((rest, "")))) {
        Some((scheme, (authority, path))) => format!("{scheme}://{}/{path}", authority.rsplit('@').next().unwrap_or_default()),
        None => plain.to_owned(),
    }
}

/// Reads a health answer.
fn parse(body: &[u8], at: Timestamp) -> Result<GpuSample, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|e| format!("the answer is no JSON: {e}"))?;
    let number = |key: &str| answer.get(key).and_then(Value::as_f64).filter(|v| v.is_finite() && *v >= 0.0);
    let name = answer.get("device").and_then(Value::as_str).map(str::trim).filter(|d| !d.is_empty()).unwrap_or(UNNAMED);
    let mut sample = blank(name.chars().take(200).collect(), ORIGIN, at);
    // Some services say more than the documents promise: the same figure in megabytes, and how much there is.
    let memory = |gigabytes: &str, megabytes: &str| number(gigabytes).map(|gb| gb * 1024.0).or_else(|| number(megabytes)).map(|mb| mb.round() as u64);
    sample.memory_used_mb = memory("vram_used_gb", "memory_used");
    sample.memory_total_mb = memory("vram_total_gb", "memory_total").filter(|total| *total > 0);
    sample.utilization = number("gpu_utilization");
    sample.temperature = number("temperature");
    sample.power_usage = number("power_watts");
    let silent = sample.memory_used_mb.is_none() && sample.utilization.is_none() && sample.temperature.is_none() && sample.power_usage.is_none();
    if silent { Err("the answer holds no GPU figures".to_owned()) } else { Ok(sample) }
}

#[cfg(test)]
mod tests {
    use watchfire_model::live::MemoryPressure;

    use super::*;

    #[test]
    fn gpu_03_a_health_answer_is_read_and_nothing_is_invented() {
        let body = br#"{"status":"healthy","device":"cuda:0","vram_used_gb":4.5,"gpu_utilization":35.0,"temperature":null,"power_watts":120}"#;
        let sample = parse(body, Timestamp(7)).unwrap();
        assert_eq!((sample.name.as_str(), sample.memory_used_mb, sample.memory_total_mb), ("cuda:0", Some(4608), None));
        assert_eq!((sample.utilization, sample.temperature, sample.power_usage), (Some(35.0), None, Some(120.0)));
        assert_eq!(sample.origin, GpuOrigin::AiService);
        let body = br#"{"vram_used_gb":23.2,"vram_total_gb":24,"memory_total":1}"#;
        assert_eq!(parse(body, Timestamp(7)).unwrap().pressure(), MemoryPressure::Critical);
        let sample = parse(br#"{"memory_used":8192,"memory_total":9000,"vram_total_gb":null}"#, Timestamp(7)).unwrap();
        assert_eq!((sample.memory_used_mb, sample.memory_total_mb, sample.pressure()), (Some(8192), Some(9000), MemoryPressure::Warning));
        let sample = parse(br#"{"vram_used_gb":4,"memory_total":0}"#, Timestamp(7)).unwrap();
        assert_eq!((sample.memory_total_mb, sample.pressure()), (None, MemoryPressure::Normal));
        for silent in [r#"{"memory_total":24576}"#, "{}", r#"{"status":"healthy","device":"cpu"}"#, "[]", "null", "nonsense", r#"{"vram_used_gb":"4"}"#] {
            assert!(parse(silent.as_bytes(), Timestamp(0)).is_err(), "{silent}");
        }
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        for (url, expected) in [
            ("http://detector:8095/health", "http://detector:8095/health"),
            ("http://u:hunter2@detector:8095/health?token=hunter2", "http://detector:8095/health"),
            ("http://detector", "http://detector/"),
            ("detector?hunter2", "detector"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
