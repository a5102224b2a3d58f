//! `traces:`, what is derived from spans as they come in. How long spans are kept is said under `storage`.

use std::time::Duration;

use watchfire_ingest::span_metrics::{GraphSettings, MetricsSettings};
use watchfire_model::document::Reader;

/// More attributes than these do not become labels.
const DIMENSIONS_MAX: usize = 8;
/// More buckets than these has no histogram.
const BUCKETS_MAX: usize = 64;

/// `traces:`
#[derive(Debug)]
pub(crate) struct TraceSettings {
    /// What is counted of each span, if anything.
    pub(crate) metrics: Option<MetricsSettings>,
    /// How calls between services are found, if they are.
    pub(crate) graph: Option<GraphSettings>,
}
impl TraceSettings {
    pub(super) fn read(traces: Reader<'_>) -> TraceSettings {
        let settings = TraceSettings {
            metrics: traces.map("metrics").map_or_else(|| Some(MetricsSettings::default()), read_metrics),
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
