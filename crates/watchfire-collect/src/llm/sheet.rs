//! What was learnt of one server, under the one set of names: values of series that say the same are added up. It asks nobody.

use std::collections::BTreeMap;

use watchfire_ingest::exposition::{Entry, Format, Parser};
use watchfire_model::batch::MetricType;
use watchfire_model::text::cut;

use crate::gather::Gather;

/// Series of one server.
const SERIES_MAX: usize = 2_000;
/// The longest value of a label.
const VALUE_BYTES_MAX: usize = 256;

/// The families: name, type, help. What is no histogram ends like its type.
const FAMILIES: [(&str, MetricType, &str); 27] = [
    ("gen_ai_server_up", MetricType::Gauge, "Whether the server of language models answered: 1 yes, 0 no."),
    ("gen_ai_server_info", MetricType::Gauge, "1, with the server's version as a label."),
    ("gen_ai_server_requests_running", MetricType::Gauge, "Requests that the server works on."),
    ("gen_ai_server_requests_waiting", MetricType::Gauge, "Requests that wait for their turn."),
    ("gen_ai_server_requests_total", MetricType::Counter, "Requests that were finished, by outcome."),
    ("gen_ai_server_tokens_total", MetricType::Counter, "Tokens that were read and written, by type."),
    ("gen_ai_server_tokens_per_second", MetricType::Gauge, "Tokens per second as the server says, by type."),
    ("gen_ai_server_compute_seconds_total", MetricType::Counter, "Time that the server computed, by phase."),
    ("gen_ai_server_inferences_total", MetricType::Counter, "Inferences, of which a batch may have many."),
    ("gen_ai_server_executions_total", MetricType::Counter, "Runs of a model, of one batch each."),
    ("gen_ai_server_request_duration_seconds", MetricType::Histogram, "How long requests took."),
    ("gen_ai_server_time_to_first_token_seconds", MetricType::Histogram, "How long it took until the first token."),
    ("gen_ai_server_time_per_output_token_seconds", MetricType::Histogram, "How long each token after the first took."),
    ("gen_ai_server_time_in_queue_seconds", MetricType::Histogram, "How long requests waited for their turn."),
    ("gen_ai_server_cache_usage_ratio", MetricType::Gauge, "Share of the cache of keys and values that is in use."),
    ("gen_ai_server_preemptions_total", MetricType::Counter, "Requests that had to give way to others."),
    ("gen_ai_server_prefix_cache_hits_total", MetricType::Counter, "Tokens of prompts that were found in the cache."),
    ("gen_ai_server_prefix_cache_queries_total", MetricType::Counter, "Tokens of prompts that were looked for in the cache."),
    ("gen_ai_server_slots", MetricType::Gauge, "Slots for requests, by state."),
    ("gen_ai_server_context_tokens", MetricType::Gauge, "The longest context of the model here."),
    ("gen_ai_server_models", MetricType::Gauge, "Models of the server, by state."),
    ("gen_ai_server_model_loaded", MetricType::Gauge, "1 for each model that is loaded."),
    ("gen_ai_server_model_memory_bytes", MetricType::Gauge, "Memory of a loaded model."),
    ("gen_ai_server_model_gpu_memory_bytes", MetricType::Gauge, "GPU memory of a loaded model."),
    ("gen_ai_server_model_expiry_timestamp_seconds", MetricType::Gauge, "When a loaded model is given up unless it is used (Unix time)."),
    ("gen_ai_server_model_disk_bytes", MetricType::Gauge, "Size of a model on disk."),
    ("inference_healthy", MetricType::Gauge, "Whether the inference engine is well: 1 yes, 0 no."),
];
/// What the documents call some of this.
const INFERENCES: [(&str, &str); 4] = [
    ("inference_requests_total", "Inferences that were asked for."),
    ("inference_requests_success_total", "Inferences that worked."),
    ("inference_requests_failed_total", "Inferences that failed."),
    ("inference_tokens_total", "Tokens generated."),
];

/// How a series of a server's own is called here.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// Labels that it gets.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// What it is multiplied with.
    pub(super) scale: f64,
}
/// A rule that changes the name only.
pub(super) const fn named(from: &'static str, to: &'static str) -> Rule {
    Rule { from, to, fixed: &[], scale: 1.0 }
}
/// A rule that adds labels.
pub(super) const fn labelled(from: &'static str, to: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Rule {
    Rule { from, to, fixed, scale: 1.0 }
}
pub(super) const INPUT: &[(&str, &str)] = &[("gen_ai_token_type", "input")];
pub(super) const OUTPUT: &[(&str, &str)] = &[("gen_ai_token_type", "output")];
pub(super) const SUCCESS: &[(&str, &str)] = &[("outcome", "success")];
pub(super) const FAILURE: &[(&str, &str)] = &[("outcome", "failure")];

/// The label of the model.
pub(super) const MODEL: &str = "gen_ai_request_model";

type Labels = Vec<(String, String)>;

/// The values of one server.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    values: BTreeMap<(String, Labels), f64>,
    /// Series that are one too many.
    pub(super) left_out: u64,
}

impl Sheet {
    /// Adds to a series.
    pub(super) fn add(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), cut(value, VALUE_BYTES_MAX).to_owned())).collect();
        labels.sort_unstable();
        let key = (name.to_owned(), labels);
        if self.values.len() >= SERIES_MAX && !self.values.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        *self.values.entry(key).or_insert(0.0) += value;
    }

    /// Takes over from a text what the rules name. `keep` are labels that stay, under other names where a server has its own. The error is a
    /// sentence; what stood before the mistake is taken.
    pub(super) fn translate(&mut self, text: &str, rules: &[Rule], keep: &[(&str, &str)]) -> Result<(), String> {
        for entry in Parser::new(Format::PrometheusText, text) {
            let Entry::Sample(sample) = entry.map_err(|error| error.to_string())? else { continue };
            if !sample.value.is_finite() {
                continue;
            }
            let names = sample.names().map_err(|error| error.to_string())?;
            let of = |wanted: &str| names.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
            let name = of("__name__").unwrap_or_default();
            for rule in rules {
                // A rule for a histogram is for its three kinds of series.
                let Some(rest) = name.strip_prefix(rule.from).filter(|rest| ["", "_bucket", "_sum", "_count"].contains(rest)) else { continue };
                let kept = keep.iter().filter_map(|(from, to)| of(from).filter(|value| !value.is_empty()).map(|value| (*to, value)));
                let mut labels: Vec<(&str, &str)> = kept.chain(rule.fixed.iter().copied()).collect();
                labels.extend(of("le").map(|le| ("le", le)));
                self.add(&format!("{}{rest}", rule.to), &labels, sample.value * rule.scale);
            }
        }
        Ok(())
    }

    /// The sum of all series of a name with a label.
    fn sum(&self, name: &str, label: (&str, &str)) -> Option<f64> {
        let fits = |labels: &Labels| labels.iter().any(|(name, value)| (name.as_str(), value.as_str()) == label);
        let found: Vec<f64> = self.values.iter().filter(|((known, labels), _)| known == name && fits(labels)).map(|(_, value)| *value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// Puts everything, each series with the labels of the server.
    pub(super) fn put(&self, of_server: &[(String, String)], up: bool, out: &mut Gather<'_>) {
        let server: Vec<(&str, &str)> = of_server.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let [up_family, .., healthy] = FAMILIES;
        for (name, _, help) in [up_family, healthy] {
            out.gauge(name, &help, &server, f64::from(u8::from(up)));
        }
        for ((name, labels), value) in &self.values {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let Some((family, kind, help)) = FAMILIES.iter().find(|(known, _, _)| known == name || *known == base) else { continue };
            let mut pairs = server.clone();
            pairs.extend(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            match kind {
                MetricType::Histogram => out.histogram(family, name, help, &pairs, *value),
                MetricType::Counter => out.counter(family, help, &pairs, *value),
                _ => out.gauge(family, help, &pairs, *value),
            }
        }
        let (worked, failed) = (self.sum("gen_ai_server_requests_total", SUCCESS[0]), self.sum("gen_ai_server_requests_total", FAILURE[0]));
        let asked = worked.map(|worked| worked + failed.unwrap_or(0.0));
        let tokens = self.sum("gen_ai_server_tokens_total", OUTPUT[0]);
        for ((name, help), value) in INFERENCES.into_iter().zip([asked, worked, failed, tokens]) {
            if let Some(value) = value {
                out.counter(name, &help, &server, value);
            }
        }
    }
}
