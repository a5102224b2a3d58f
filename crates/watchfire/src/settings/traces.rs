//! `traces:`, what is derived from spans as they come in, which traces are kept, and where they go on to. How long spans are kept is said under `storage`.

use std::path::Path;
use std::time::Duration;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::otlp;
use watchfire_collect::logs::outputs::Output;
use watchfire_ingest::sampling::{Policies, SamplingSettings};
use watchfire_ingest::span_metrics::{GraphSettings, MetricsSettings};
use watchfire_model::document::Reader;

/// More attributes than these do not become labels.
const DIMENSIONS_MAX: usize = 8;
/// More patterns than these are not tried for each span.
const ENDPOINTS_MAX: usize = 64;
/// More buckets than these has no histogram.
const BUCKETS_MAX: usize = 64;

/// `traces:`
#[derive(Debug)]
pub(crate) struct TraceSettings {
    /// What is counted of each span, if anything.
    pub(crate) metrics: Option<MetricsSettings>,
    /// How calls between services are found, if they are.
    pub(crate) graph: Option<GraphSettings>,
    /// How traces are sampled, if they are.
    pub(crate) sampling: Option<SamplingSettings>,
    /// Where spans go on to.
    pub(crate) forward: Vec<Output>,
}
impl TraceSettings {
    pub(super) fn read(traces: Reader<'_>, base: &Path) -> TraceSettings {
        let lookup = Lookup { directory: base.to_path_buf(), monitoring_dir: None };
        let settings = TraceSettings {
            metrics: traces.map("metrics").map_or_else(|| Some(MetricsSettings::default()), read_metrics),
            forward: traces.maps("forward").into_iter().filter_map(|place| otlp::read(place, &lookup)).collect(),
            sampling: traces.map("sampling").and_then(read_sampling),
            graph: traces.map("service_graph").map_or_else(|| Some(GraphSettings::default()), read_graph),
        };
        traces.finish();
        settings
    }
}

fn read_metrics(reader: Reader<'_>) -> Option<MetricsSettings> {
    let usual = MetricsSettings::default();
    let dimensions = reader.texts("dimensions", true);
    if dimensions.len() > DIMENSIONS_MAX {
        reader.error_at("dimensions", format!("more than {DIMENSIONS_MAX} attributes"));
    }
    let settings = MetricsSettings {
        buckets: buckets(&reader).unwrap_or(usual.buckets),
        dimensions,
        series_max: series_max(&reader).unwrap_or(usual.series_max),
        idle: duration(&reader, "idle").unwrap_or(usual.idle),
    };
    let enabled = reader.bool("enabled").unwrap_or(true);
    reader.finish();
    enabled.then_some(settings)
}

fn read_graph(reader: Reader<'_>) -> Option<GraphSettings> {
    let usual = GraphSettings::default();
    let settings = GraphSettings {
        buckets: buckets(&reader).unwrap_or(usual.buckets),
        wait: duration(&reader, "wait").unwrap_or(usual.wait),
        waiting_max: reader.u64("waiting_max").map_or(usual.waiting_max, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        series_max: series_max(&reader).unwrap_or(usual.series_max),
        idle: duration(&reader, "idle").unwrap_or(usual.idle),
    };
    let enabled = reader.bool("enabled").unwrap_or(true);
    reader.finish();
    enabled.then_some(settings)
}

fn read_sampling(reader: Reader<'_>) -> Option<SamplingSettings> {
    let usual = SamplingSettings::default();
    let share = |key| reader.u64(key).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let policies = Policies {
        errors: reader.bool("errors").unwrap_or(usual.policies.errors),
        latency: duration(&reader, "latency"),
        drop_endpoints: reader.texts("drop_endpoints", true),
        rate: reader.f64("rate").unwrap_or(usual.policies.rate),
        traces_per_second: reader.f64("traces_per_second"),
    };
    if !(0.0..=1.0).contains(&policies.rate) {
        reader.error_at("rate", "must be between 0.0, which keeps none, and 1.0, which keeps all");
    }
    if policies.traces_per_second.is_some_and(|most| !(most > 0.0 && most.is_finite())) {
        reader.error_at("traces_per_second", "must be more than 0");
    }
    if policies.drop_endpoints.len() > ENDPOINTS_MAX {
        reader.error_at("drop_endpoints", format!("more than {ENDPOINTS_MAX} patterns"));
    }
    if let Some(pattern) = policies.drop_endpoints.iter().find(|pattern| !pattern.starts_with(['/', '*'])) {
        reader.error_at("drop_endpoints", format!("{pattern:?} can be no path: it must begin with / or *"));
    }
    let settings = SamplingSettings {
        policies,
        decision_wait: duration(&reader, "decision_wait").unwrap_or(usual.decision_wait),
        traces_max: share("traces_max").unwrap_or(usual.traces_max),
        bytes_max: reader.bytes("bytes_max").map_or(usual.bytes_max, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
    };
    let enabled = reader.bool("enabled").unwrap_or(true);
    reader.finish();
    enabled.then_some(settings)
}

fn duration(reader: &Reader<'_>, key: &'static str) -> Option<Duration> {
    let ms = reader.duration_ms(key)?;
    if ms == 0 {
        reader.error_at(key, "must be longer than 0");
    }
    Some(Duration::from_millis(ms))
}

fn series_max(reader: &Reader<'_>) -> Option<usize> {
    reader.u64("series_max").map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Durations as seconds.
fn buckets(reader: &Reader<'_>) -> Option<Vec<f64>> {
    reader.raw("buckets")?;
    let texts = reader.texts("buckets", true);
    let bounds: Option<Vec<f64>> = texts.iter().map(|text| watchfire_model::duration::parse_millis(text).map(|ms| ms as f64 / 1e3)).collect();
    let fits = |bounds: &Vec<f64>| !bounds.is_empty() && bounds.len() <= BUCKETS_MAX && bounds.windows(2).all(|pair| pair[0] < pair[1]);
    let bounds = bounds.filter(fits);
    if bounds.is_none() {
        reader.error_at("buckets", format!("must be at most {BUCKETS_MAX} ascending durations such as [10ms, 100ms, 1s]"));
    }
    bounds
}
