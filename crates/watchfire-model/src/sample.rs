//! Samples (floats, native histograms), exemplars and the staleness marker. Bits matter: NaN payloads and -0.0 are kept as they came.

use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::time::Timestamp;

/// The bits of the NaN that says "this series has ended here" (Prometheus' StaleNaN).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// The bits of the ordinary quiet NaN that Prometheus writes.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The staleness marker as a value.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}
/// Whether a value is the staleness marker (no other NaN is).
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One float at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// What.
    pub value: f64,
}
impl PartialEq for Sample {
    /// Equal means equal bits.
    fn eq(&self, other: &Sample) -> bool {
        self.time == other.time && self.value.to_bits() == other.value.to_bits()
    }
}

/// One native histogram at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub time: Timestamp,
    /// What. Shared, because queries carry it through several steps.
    pub value: Arc<Histogram>,
}

/// An example of what a sample counts, usually with the id of a trace.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Its own labels, such as `trace_id`; not those of the series.
    pub labels: Labels,
    /// When it happened.
    pub time: Timestamp,
    /// What was observed.
    pub value: f64,
}
impl PartialEq for Exemplar {
    /// Equal means equal bits.
    fn eq(&self, other: &Exemplar) -> bool {
        self.labels == other.labels && self.time == other.time && self.value.to_bits() == other.value.to_bits()
    }
}
