//! What is wanted of histograms: the keys that `global` and jobs share, and the limits of a job.

use watchfire_ingest::prometheus_proto::Options;
use watchfire_model::document::Reader;
use watchfire_model::histogram::{SCHEMA_MAX, SCHEMA_MIN};

/// What is wanted of histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Histograms {
    /// Whether native histograms are scraped.
    pub native: bool,
    /// Whether the classic form is taken beside a native one.
    pub classic_too: bool,
    /// Whether classic histograms become native ones with custom bounds.
    pub custom: bool,
    /// The most buckets of a native histogram; more are merged. 0 is no limit.
    pub buckets_max: u64,
    /// The finest resolution of a native histogram; a finer one is merged.
    pub schema_max: i8,
}
impl Default for Histograms {
    fn default() -> Histograms {
        Histograms { native: false, classic_too: false, custom: false, buckets_max: 0, schema_max: SCHEMA_MAX }
    }
}
impl Histograms {
    /// What the decoder of protocol buffers is told.
    pub fn options(&self) -> Options {
        Options { native: self.native, classic_too: self.classic_too, custom: self.custom }
    }
}

/// Reads the switches over inherited ones.
pub(super) fn read_switches(reader: &Reader<'_>, inherited: Histograms) -> Histograms {
    let flag = |key, inherited| reader.bool(key).unwrap_or(inherited);
    Histograms {
        native: flag("scrape_native_histograms", inherited.native),
        classic_too: flag("always_scrape_classic_histograms", inherited.classic_too),
        custom: flag("convert_classic_histograms_to_nhcb", inherited.custom),
        ..inherited
    }
}

/// Reads everything of a job.
pub(super) fn read_job(reader: &Reader<'_>, inherited: Histograms) -> Histograms {
    let mut histograms = read_switches(reader, inherited);
    if let Some(old) = reader.bool("scrape_classic_histograms") {
        reader.warning_at("scrape_classic_histograms", "was renamed to always_scrape_classic_histograms in Prometheus 3, which refuses this name");
        histograms.classic_too |= old;
    }
    histograms.buckets_max = reader.u64("native_histogram_bucket_limit").unwrap_or(0);
    histograms.schema_max = schema_of(reader.f64("native_histogram_min_bucket_factor").unwrap_or(0.0));
    histograms
}

/// The finest schema whose buckets grow by at least this factor.
fn schema_of(factor: f64) -> i8 {
    if factor <= 1.0 {
        return SCHEMA_MAX;
    }
    (-factor.log2().log2()).floor().clamp(SCHEMA_MIN.into(), SCHEMA_MAX.into()) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_become_schemas() {
        for (factor, schema) in
            [(0.0, 8), (1.0, 8), (1.001, 8), (1.1, 2), (2.0, 0), (2.1, -1), (1.4, 1), (4.0, -1), (65_536.0, -4), (1e9, -4), (f64::INFINITY, -4)]
        {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
    }
}
