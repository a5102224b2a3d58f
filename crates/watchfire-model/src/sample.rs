//! Float samples and the staleness marker. Bits matter: NaN payloads and -0.0 are kept as they came.

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
