//! The seam for single observations of declared metrics: whoever does something that a catalog names says so here, and the
//! catalog decides type, buckets and which label values may pass. Not for telemetry that comes in batches (`write::Sink`), nor
//! for figures about ourselves (`meter`).

/// Takes observations. What is refused is counted by whoever takes them, so there is nothing to return.
pub trait Observe: Send + Sync {
    /// Adds to a counter, sets a gauge or observes a value of a histogram, whichever the catalog says the family is.
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64);
    /// Forgets the series of a family that have these labels: what they told of is not watched any more. Who keeps none ignores it.
    fn retire(&self, family: &str, labels: &[(&str, &str)]) {
        let _nothing_is_kept = (family, labels);
    }
}

/// Takes everything and keeps nothing.
pub struct Unobserved;
impl Observe for Unobserved {
    fn observe(&self, _: &str, _: &[(&str, &str)], _: f64) {}
}
