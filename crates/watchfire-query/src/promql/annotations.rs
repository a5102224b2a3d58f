//! Annotations: warnings and hints beside the result, deduplicated by text, with the position they speak of.

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
    warnings: Vec<String>,
    infos: Vec<String>,
    monotonicity: BTreeMap<usize, Forced>,
}

/// What is known about histograms that had to be made monotonic at one place of the query.
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

    fn with_position(&self, message: &str, at: usize) -> String {
        let (line, column) = position(&self.text, at);
        format!("{message} ({line}:{column})")
    }

    pub(super) fn warn(&mut self, at: usize, message: &str) {
        let text = self.with_position(&format!("PromQL warning: {message}"), at);
        add(&mut self.warnings, text);
    }

    pub(super) fn inform(&mut self, at: usize, message: &str) {
        let text = self.with_position(&format!("PromQL info: {message}"), at);
        add(&mut self.infos, text);
    }

    pub(super) fn invalid_quantile(&mut self, at: usize, q: f64) {
        self.warn(at, &format!("quantile value should be between 0 and 1, got {}", format_short(q)));
    }

    pub(super) fn possible_non_counter(&mut self, at: usize, metric: &str) {
        self.inform(at, &format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}", quoted(metric)));
    }

    pub(super) fn bad_bucket_label(&mut self, at: usize, value: &str) {
        self.warn(at, &format!("bucket label \"le\" is missing or has a malformed value of {}", quoted(value)));
    }

    pub(super) fn forced_monotonicity(&mut self, at: usize, forced: Forced) {
        let known = self.monotonicity.entry(at).or_insert(Forced { count: 0, ..forced });
        known.time = (known.time.0.min(forced.time.0), known.time.1.max(forced.time.1));
        known.bucket = (known.bucket.0.min(forced.bucket.0), known.bucket.1.max(forced.bucket.1));
        known.diff = known.diff.max(forced.diff);
        known.count += forced.count;
    }

    /// The warnings and the hints, each list shortened to [`ANNOTATIONS_MAX`].
    pub(super) fn into_texts(mut self) -> (Vec<String>, Vec<String>) {
        for (at, forced) in std::mem::take(&mut self.monotonicity) {
            let second = |ms: i64| Timestamp(ms / 1000 * 1000).rfc3339();
            let message = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                format_short(forced.bucket.0),
                format_short(forced.bucket.1),
                format_two_digits(forced.diff),
                forced.count,
                second(forced.time.0),
                second(forced.time.1),
            );
            self.inform(at, &message);
        }
        shorten(&mut self.warnings, "warning");
        shorten(&mut self.infos, "info");
        (self.warnings, self.infos)
    }
}

fn add(list: &mut Vec<String>, text: String) {
    if list.len() < REMEMBERED_MAX && !list.contains(&text) {
        list.push(text);
    }
}

fn shorten(list: &mut Vec<String>, kind: &str) {
    if list.len() > ANNOTATIONS_MAX {
        let more = list.len() - ANNOTATIONS_MAX;
        list.truncate(ANNOTATIONS_MAX);
        list.push(format!("{more} more {kind} annotations omitted"));
    }
}
