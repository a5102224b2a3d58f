//! The stage that makes metrics of lines: counters, gauges and histograms by the labels of the line. They are gathered now and then into
//! a batch; a series that gets no more lines ends after a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, MetricType, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::format_le;
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::Timestamp;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// The most series of one metric.
const SERIES_MAX: usize = 10_000;

/// Which kind of metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// It grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values in buckets with these upper bounds.
    Histogram(Vec<f64>),
}

/// What a line does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the configuration")]
pub enum MetricAction {
    Inc,
    Dec,
    Set,
    Add,
    Sub,
    /// Adds the bytes of the line.
    Bytes,
}

/// One metric.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its help text.
    pub help: String,
    /// Its kind.
    pub kind: MetricKind,
    /// The extracted value; every line counts where `match_all` says so.
    pub source: String,
    /// The value that the extracted one must have.
    pub value: Option<String>,
    /// Whether every line counts, whatever is extracted.
    pub match_all: bool,
    /// What a line does.
    pub action: MetricAction,
    /// After so long without a line a series ends.
    pub max_idle: Duration,
}

#[derive(Debug)]
struct Series {
    value: f64,
    buckets: Vec<u64>,
    count: u64,
    last: Duration,
}

/// The metrics of one stage.
#[derive(Debug)]
pub struct Metrics {
    metrics: Vec<Metric>,
    series: Mutex<HashMap<(usize, Labels), Series>>,
}

impl Metrics {
    /// Such a stage.
    pub fn new(metrics: Vec<Metric>) -> Arc<Metrics> {
        Arc::new(Metrics { metrics, series: Mutex::default() })
    }

    /// Adds all series to a batch, with an end for those that were idle for too long.
    pub fn gather(&self, time: Timestamp, monotonic: Duration, batch: &mut Batch) {
        for metric in &self.metrics {
            let kind = match metric.kind {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Histogram(_) => MetricType::Histogram,
            };
            batch.metadata.push(Metadata { family: metric.name.as_str().into(), kind, help: metric.help.as_str().into(), unit: "".into() });
        }
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.retain(|(at, labels), series| {
            let metric = &self.metrics[*at];
            let lives = monotonic.saturating_sub(series.last) < metric.max_idle;
            let mut push = |suffix: &str, le: Option<String>, value: f64| {
                let mut labels = labels.with(METRIC_NAME, &format!("{}{suffix}", metric.name));
                if let Some(le) = le {
                    labels = labels.with("le", &le);
                }
                let value = if lives { value } else { stale_nan() };
                batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value }) });
            };
            if let MetricKind::Histogram(bounds) = &metric.kind {
                let mut sum = 0;
                for (bound, count) in bounds.iter().zip(&series.buckets) {
                    sum += count;
                    push("_bucket", Some(format_le(*bound)), sum as f64);
                }
                push("_bucket", Some("+Inf".to_owned()), series.count as f64);
                push("_sum", None, series.value);
                push("_count", None, series.count as f64);
            } else {
                push("", None, series.value);
            }
            lives
        });
    }

    fn observe(&self, at: usize, metric: &Metric, entry: &Entry, around: &Surroundings<'_>) {
        let text = entry.text(&metric.source);
        if !metric.match_all && (text.is_none() || metric.value.as_ref().is_some_and(|wanted| text.as_ref() != Some(wanted))) {
            return;
        }
        let number = || text.as_deref().and_then(number);
        let by = match metric.action {
            MetricAction::Inc => Some(1.0),
            MetricAction::Dec => Some(-1.0),
            MetricAction::Bytes => Some(entry.line.len() as f64),
            MetricAction::Set | MetricAction::Add => number(),
            MetricAction::Sub => number().map(|n| -n),
        };
        let by = if matches!(metric.kind, MetricKind::Histogram(_)) { number() } else { by };
        let Some(by) = by.filter(|by| by.is_finite()) else {
            around.figures.stage_failed("metrics");
            return;
        };
        if metric.kind == MetricKind::Counter && by < 0.0 {
            around.figures.stage_failed("metrics");
            return;
        }
        let key = (at, Labels::from_pairs(&entry.labels));
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SERIES_MAX && !all.contains_key(&key) {
            around.figures.stage_failed("metrics");
            return;
        }
        let series = all.entry(key).or_insert(Series { value: 0.0, buckets: Vec::new(), count: 0, last: around.monotonic });
        series.last = around.monotonic;
        series.count += 1;
        match (&metric.kind, metric.action) {
            (MetricKind::Histogram(bounds), _) => {
                series.buckets.resize(bounds.len(), 0);
                if let Some(bucket) = bounds.iter().position(|bound| by <= *bound) {
                    series.buckets[bucket] += 1;
                }
                series.value += by;
            }
            (_, MetricAction::Set) => series.value = by,
            _ => series.value += by,
        }
    }
}

/// A number, or a duration in seconds.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().or_else(|| watchfire_model::duration::parse_millis(text.trim()).map(|ms| ms as f64 / 1_000.0))
}

impl Step for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        self.metrics.iter().enumerate().for_each(|(at, metric)| self.observe(at, metric, entry, around));
        Verdict::Keep
    }
}
