//! The seam to the language in which labels and annotations of alerts are written, and the language that rules use: Go's templates.

use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::time::{SharedClock, Timestamp};

use crate::template::{self, RuleValue, check_rule_template, rule_functions};
pub use crate::template::{Query as Ask, QuerySample as AskedSample};

/// The value that an alert was raised for.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram as text.
    Histogram(String),
}

/// What a text may speak of.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The rule's name, which messages show.
    pub alert: &'a str,
    /// The labels of the sample, the metric's name among them.
    pub labels: &'a Labels,
    /// Its value.
    pub value: &'a SampleValue,
    /// The configured external labels.
    pub external_labels: &'a Labels,
    /// Our own address.
    pub external_url: &'a str,
    /// The moment of the evaluation.
    pub time: Timestamp,
}

/// Expands the texts of labels and annotations.
pub trait Expand: Send + Sync {
    /// Whether a text can be expanded at all; says why not.
    fn check(&self, alert: &str, text: &str) -> Result<(), String>;
    /// The finished text. It may ask queries, so it may block.
    fn expand(&self, text: &str, about: &About<'_>, ask: &Ask) -> Result<String, String>;
}

/// Go's templates with the functions of Prometheus.
pub struct GoTemplates {
    clock: SharedClock,
}
impl GoTemplates {
    /// Templates that ask a clock for the time.
    pub fn new(clock: SharedClock) -> GoTemplates {
        GoTemplates { clock }
    }
}
impl Expand for GoTemplates {
    fn check(&self, alert: &str, text: &str) -> Result<(), String> {
        if !text.contains("{{") {
            return Ok(());
        }
        let nobody: Ask = Arc::new(|_| Ok(Vec::new()));
        check_rule_template(alert, text, rule_functions(nobody, "", self.clock.clone())).map_err(|e| e.to_string())
    }
    fn expand(&self, text: &str, about: &About<'_>, ask: &Ask) -> Result<String, String> {
        // Most texts hold no template.
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let value = match about.value {
            SampleValue::Float(value) => RuleValue::Float(*value),
            SampleValue::Histogram(text) => RuleValue::Histogram(text),
        };
        let rule = template::Rule { alert: about.alert, labels: about.labels, external_labels: about.external_labels, external_url: about.external_url, value };
        rule.expand(text, rule_functions(ask.clone(), about.external_url, self.clock.clone())).map_err(|e| e.to_string())
    }
}
