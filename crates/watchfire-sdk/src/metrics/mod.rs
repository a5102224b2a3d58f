//! The metrics service: every family that a catalog lets an application record is a typed constant, with its labels by number
//! and the operation that its type has. What a value may be is decided by the server's catalog; only the class of an object is
//! also cleaned here, as the pipelines do that we replace.

pub mod answers;
mod coco;
#[cfg(test)]
mod from_catalogs;
pub mod hsi;
pub mod pisovereign;
#[cfg(test)]
mod tests;
pub mod vms;

use std::sync::OnceLock;
use std::time::Duration;

use crate::report::{Dropped, Reporter, Settings};

pub use coco::sanitize_object_class;

/// A family that only rises, with its labels.
#[derive(Clone, Copy, Debug)]
pub struct Counter<const N: usize>(pub &'static str, pub [&'static str; N]);
/// A family that has a present value, with its labels.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<const N: usize>(pub &'static str, pub [&'static str; N]);
/// A family of observed values in buckets, with its labels.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<const N: usize>(pub &'static str, pub [&'static str; N]);

/// Records metrics. All operations return at once; what could not be delivered is counted in [`MetricsService::dropped`].
pub struct MetricsService {
    reporter: Reporter,
}

fn pairs<'a, const N: usize>(names: &[&'static str; N], values: [&'a str; N]) -> [(&'static str, &'a str); N] {
    std::array::from_fn(|i| (names[i], values[i]))
}

impl MetricsService {
    /// A service that reports there.
    pub fn start(settings: Settings) -> std::io::Result<MetricsService> {
        Reporter::start(settings).map(|reporter| MetricsService { reporter })
    }
    /// Adds to a counter.
    pub fn add<const N: usize>(&self, family: &Counter<N>, labels: [&str; N], value: f64) {
        self.reporter.add(family.0, &pairs(&family.1, labels), value);
    }
    /// Adds one to a counter.
    pub fn increment<const N: usize>(&self, family: &Counter<N>, labels: [&str; N]) {
        self.add(family, labels, 1.0);
    }
    /// Sets a gauge.
    pub fn set<const N: usize>(&self, family: &Gauge<N>, labels: [&str; N], value: f64) {
        self.reporter.set(family.0, &pairs(&family.1, labels), value);
    }
    /// Observes a value.
    pub fn observe<const N: usize>(&self, family: &Histogram<N>, labels: [&str; N], value: f64) {
        self.reporter.observe(family.0, &pairs(&family.1, labels), value);
    }

    /// A security event was written.
    pub fn record_event_created(&self) {
        self.increment(&hsi::EVENTS_CREATED_TOTAL, []);
    }
    /// An object was detected; a class outside the COCO vocabulary counts as `other`.
    pub fn record_detection_by_class(&self, object_class: &str) {
        self.increment(&hsi::DETECTIONS_BY_CLASS_TOTAL, [sanitize_object_class(object_class)]);
    }
    /// A stage (`detect`, `batch`, `analyze`) took so many seconds.
    pub fn observe_stage_duration(&self, stage: &str, seconds: f64) {
        self.observe(&hsi::STAGE_DURATION_SECONDS, [stage], seconds);
    }

    /// Observations that never arrived.
    pub fn dropped(&self) -> Dropped {
        self.reporter.dropped()
    }
    /// Sends what there is; see [`Reporter::flush`].
    pub fn flush(&self, patience: Duration) -> bool {
        self.reporter.flush(patience)
    }
}

/// The one service of this process, made at the first call from `WATCHFIRE_URL` and `WATCHFIRE_TOKEN`.
///
/// # Panics
/// When the system cannot give it a thread.
#[expect(clippy::expect_used, reason = "a process that cannot start a thread cannot do what it was started for")]
pub fn get_metrics_service() -> &'static MetricsService {
    static SERVICE: OnceLock<MetricsService> = OnceLock::new();
    SERVICE.get_or_init(|| MetricsService::start(Settings::from_environment()).expect("cannot start the thread that reports metrics"))
}
