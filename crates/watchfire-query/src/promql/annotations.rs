//! Annotations: warnings and hints beside the result. One that is met again, even elsewhere in the query, is said once,
//! with the position where it was met last, as in Prometheus.

use std::collections::BTreeMap;

use watchfire_model::labels::quoted;
use watchfire_model::time::Timestamp;

use super::error::position;
use super::numbers::{format_short, format_two_digits};

/// How many warnings, and how many hints, an answer carries at most; the rest is counted.
pub(super) const ANNOTATIONS_MAX: usize = 10;
/// How many different ones are remembered while a query runs.
const REMEMBERED_MAX: usize = 1000;

/// Collects annotations of one query.
#[derive(Debug)]
pub(super) struct Annotations {
    text: String,
    warnings: Vec<Annotation>,
    infos: Vec<Annotation>,
    /// By the metric's name.
    monotonicity: BTreeMap<String, (usize, Forced)>,
}

/// A text and the byte offset it speaks of.
type Annotation = (String, usize);

/// What is known about histograms of one metric that had to be made monotonic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forced {
    pub(super) time: (i64, i64),
    pub(super) bucket: (f64, f64),
    pub(super) diff: f64,
    pub(super) count: u64,
}

impl Annotations {
    pub(super) fn new(text: &str) -> Annotations {
        Annotations { text: text.to_owned(), warnings: Vec::new(), infos: Vec::new(), monotonicity: BTreeMap::new() }
    }

    pub(super) fn warn(&mut self, at: usize, message: &str) {
        add(&mut self.warnings, format!("PromQL warning: {message}"), at);
    }

    pub(super) fn inform(&mut self, at: usize, message: &str) {
        add(&mut self.infos, format!("PromQL info: {message}"), at);
    }

    pub(super) fn invalid_quantile(&mut self, at: usize, q: f64) {
        self.warn(at, &format!("quantile value should be between 0 and 1, got {}", format_short(q)));
    }

    pub(super) fn possible_non_counter(&mut self, at: usize, metric: &str) {
        self.inform(at, &format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}", quoted(metric)));
    }

    /// The same where series say their type.
    pub(super) fn possible_non_counter_label(&mut self, at: usize, type_label: &str, metric: &str) {
        self.inform(
            at,
            &format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quoted(type_label),
                quoted(metric)
            ),
        );
    }

    pub(super) fn bad_bucket_label(&mut self, at: usize, value: &str, metric: &str) {
        self.warn(at, &format!("bucket label \"le\" is missing or has a malformed value of {}{}", quoted(value), for_metric(metric)));
    }

    pub(super) fn forced_monotonicity(&mut self, at: usize, metric: &str, forced: Forced) {
        let (known_at, known) = self.monotonicity.entry(metric.to_owned()).or_insert((at, Forced { count: 0, ..forced }));
        *known_at = at;
        known.time = (known.time.0.min(forced.time.0), known.time.1.max(forced.time.1));
        known.bucket = (known.bucket.0.min(forced.bucket.0), known.bucket.1.max(forced.bucket.1));
        known.diff = known.diff.max(forced.diff);
        known.count += forced.count;
    }

    /// The warnings and the hints, each list shortened to [`ANNOTATIONS_MAX`].
    pub(super) fn into_texts(mut self) -> (Vec<String>, Vec<String>) {
        for (metric, (at, forced)) in std::mem::take(&mut self.monotonicity) {
            let second = |ms: i64| Timestamp(ms / 1000 * 1000).rfc3339();
            let message = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                for_metric(&metric),
                format_short(forced.bucket.0),
                format_short(forced.bucket.1),
                format_two_digits(forced.diff),
                forced.count,
                second(forced.time.0),
                second(forced.time.1),
            );
            self.inform(at, &message);
        }
        (shown(&self.text, self.warnings, "warning"), shown(&self.text, self.infos, "info"))
    }
}

/// The end of a message about a metric whose name is known.
pub(super) fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quoted(name)) }
}

fn add(list: &mut Vec<Annotation>, text: String, at: usize) {
    if let Some((_, known_at)) = list.iter_mut().find(|(known, _)| *known == text) {
        *known_at = at;
    } else if list.len() < REMEMBERED_MAX {
        list.push((text, at));
    }
}

fn shown(query: &str, list: Vec<Annotation>, kind: &str) -> Vec<String> {
    let more = list.len().saturating_sub(ANNOTATIONS_MAX);
    let with_position = |(text, at): Annotation| {
        let (line, column) = position(query, at);
        format!("{text} ({line}:{column})")
    };
    let mut texts: Vec<String> = list.into_iter().take(ANNOTATIONS_MAX).map(with_position).collect();
    if more > 0 {
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}
