//! What a part says of its work, in Prometheus' text format. It counts what it is told and knows no names of metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Labels of a series, in the order in which they are written.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The series of one part.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Default)]
struct Family {
    kind: &'static str,
    bounds: &'static [f64],
    /// By labels as they are written, without braces.
    series: BTreeMap<String, Series>,
}

#[derive(Default)]
struct Series {
    /// The value, or the sum of a histogram.
    value: f64,
    count: u64,
    buckets: Vec<u64>,
}

fn written(labels: Labels<'_>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    pairs.join(",")
}

impl Registry {
    fn families(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Adds to a counter; zero makes it known.
    pub(crate) fn add(&self, name: &'static str, labels: Labels<'_>, by: f64) {
        let mut families = self.families();
        let family = families.entry(name).or_default();
        family.kind = "counter";
        family.series.entry(written(labels)).or_default().value += by;
    }
    /// Sets a gauge, or a counter that somebody else counts.
    pub(crate) fn set(&self, name: &'static str, labels: Labels<'_>, value: f64) {
        let mut families = self.families();
        let family = families.entry(name).or_default();
        family.kind = if name.ends_with("_total") && !LEVELS.contains(&name) { "counter" } else { "gauge" };
        family.series.entry(written(labels)).or_default().value = value;
    }
    /// Forgets a series.
    pub(crate) fn forget(&self, name: &str, labels: Labels<'_>) {
        if let Some(family) = self.families().get_mut(name) {
            family.series.remove(&written(labels));
        }
    }
    /// Puts a value into a histogram.
    pub(crate) fn observe(&self, name: &'static str, bounds: &'static [f64], labels: Labels<'_>, value: f64) {
        let mut families = self.families();
        let family = families.entry(name).or_default();
        family.kind = "histogram";
        family.bounds = bounds;
        let series = family.series.entry(written(labels)).or_default();
        series.buckets.resize(bounds.len(), 0);
        series.buckets.iter_mut().zip(bounds).filter(|(_, bound)| value <= **bound).for_each(|(count, _)| *count += 1);
        series.value += value;
        series.count += 1;
    }
    /// The value of a series, or the sum of a histogram.
    pub(crate) fn value(&self, name: &str, labels: Labels<'_>) -> f64 {
        self.families().get(name).and_then(|family| family.series.get(&written(labels))).map_or(0.0, |series| series.value)
    }
    /// The sum of all series of a family.
    pub(crate) fn total(&self, name: &str) -> f64 {
        self.families().get(name).map_or(0.0, |family| family.series.values().map(|series| series.value).sum())
    }
    /// The page that is scraped.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.families().iter() {
            text.push_str(&format!("# TYPE {name} {}\n", family.kind));
            for (labels, series) in &family.series {
                family.write(&mut text, name, labels, series);
            }
        }
        text
    }
}

/// Levels that their products name like counts.
const LEVELS: [&str; 4] = ["active_streams_total", "active_connections_total", "websocket_connections_total", "ai_jobs_queued_total"];

impl Family {
    fn write(&self, text: &mut String, name: &str, labels: &str, series: &Series) {
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        if self.kind != "histogram" {
            text.push_str(&format!("{name}{braces} {}\n", series.value));
            return;
        }
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in self.bounds.iter().zip(&series.buckets) {
            text.push_str(&format!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}\n"));
        }
        text.push_str(&format!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}\n", series.count));
        text.push_str(&format!("{name}_sum{braces} {}\n{name}_count{braces} {}\n", series.value, series.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_types_buckets_and_escapes() {
        let registry = Registry::default();
        registry.add("a_total", &[("x", "q\"\\")], 2.0);
        registry.add("a_total", &[("x", "q\"\\")], 1.0);
        registry.set("active_streams_total", &[], 4.0);
        for value in [0.5, 1.0, 7.0] {
            registry.observe("t_ms", &[1.0, 5.0], &[("c", "1")], value);
        }
        let expected = "# TYPE a_total counter\na_total{x=\"q\\\"\\\\\"} 3\n# TYPE active_streams_total gauge\nactive_streams_total 4\n# TYPE t_ms histogram\n\
                        t_ms_bucket{c=\"1\",le=\"1\"} 2\nt_ms_bucket{c=\"1\",le=\"5\"} 2\nt_ms_bucket{c=\"1\",le=\"+Inf\"} 3\nt_ms_sum{c=\"1\"} 8.5\nt_ms_count{c=\"1\"} 3\n";
        assert_eq!(registry.text(), expected);
        registry.forget("active_streams_total", &[]);
        assert!(!registry.text().contains("active_streams_total 4"));
        assert_eq!((registry.value("a_total", &[("x", "q\"\\")]), registry.total("a_total"), registry.total("none")), (3.0, 3.0, 0.0));
    }
}
