//! The seam to the language in which labels and annotations of alerts are written. What it means is the template engine's business.

use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

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

/// One sample of an answer to a query that stands in a text.
#[derive(Clone, Debug)]
pub struct AskedSample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Answers queries that stand in texts, at the moment of the evaluation; errors are sentences.
pub type Ask = Arc<dyn Fn(&str) -> Result<Vec<AskedSample>, String> + Send + Sync>;

/// Expands the texts of labels and annotations.
pub trait Expand: Send + Sync {
    /// Whether a text can be expanded at all; says why not.
    fn check(&self, alert: &str, text: &str) -> Result<(), String>;
    /// The finished text. It may ask queries, so it may block.
    fn expand(&self, text: &str, about: &About<'_>, ask: &Ask) -> Result<String, String>;
}
