//! What the gateway is told: upstreams, prices, budgets, how many at once, whose exchange it is. It reads no file; whoever owns
//! the configuration fills this in.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use watchfire_net::client::{HttpOptions, Phases};

/// Everything.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go.
    pub upstreams: Vec<UpstreamSettings>,
    /// What tokens cost. The first line that fits a model counts; a model that none fits costs nothing.
    pub prices: Vec<Price>,
    /// What may be spent.
    pub budget: Spending,
    /// How many exchanges run at once.
    pub turns: TurnSettings,
    /// What is done with prompts.
    pub prompts: PromptSettings,
    /// The header that names a camera.
    pub camera_header: HeaderName,
    /// The header that names a caller.
    pub caller_header: HeaderName,
    /// Whether streams that were not asked to tell their usage are asked by us; the piece that tells it is then kept from the caller.
    pub include_usage: bool,
}
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            upstreams: Vec::new(),
            prices: Vec::new(),
            budget: Spending::default(),
            turns: TurnSettings::default(),
            prompts: PromptSettings::default(),
            camera_header: HeaderName::from_static("x-camera-id"),
            caller_header: HeaderName::from_static("x-watchfire-caller"),
            include_usage: false,
        }
    }
}

/// One place that answers.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Its name: in paths, metrics and messages.
    pub name: String,
    /// Its address up to the version, as OpenAI's clients are told it: `http://127.0.0.1:8080/v1`.
    pub url: String,
    /// The models that go there; `*` at either end of a pattern stands for anything. Empty: every model that no other upstream has.
    pub models: Vec<String>,
    /// What the metrics of the pipeline call it.
    pub service: String,
    /// Credentials, TLS and further headers.
    pub options: Arc<HttpOptions>,
    /// How long each phase may take.
    pub phases: Phases,
    /// When it is given up for a while.
    pub breaker: BreakerSettings,
    /// The window of its models, where it differs from the usual one.
    pub context_window: Option<usize>,
}

/// When an upstream is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// After so many failures in a row.
    pub failures: u32,
    /// For so long; then one request tries.
    pub open: Duration,
}
impl Default for BreakerSettings {
    fn default() -> BreakerSettings {
        BreakerSettings { failures: 5, open: Duration::from_secs(30) }
    }
}

/// What tokens of some models cost, in US dollars per million.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// A model; `*` at either end stands for anything.
    pub model: String,
    /// Tokens of prompts.
    pub input: f64,
    /// Tokens of answers.
    pub output: f64,
    /// Tokens of prompts that the upstream had in its cache; like others when nothing is said.
    pub cached: Option<f64>,
}

/// What may be spent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    /// In a day, in US dollars.
    pub daily_usd: Option<f64>,
    /// In a month.
    pub monthly_usd: Option<f64>,
    /// Whether requests are refused when it is spent; otherwise that is only told.
    pub refuse: bool,
}

/// How many exchanges run at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurnSettings {
    /// Never more than these.
    pub max: usize,
    /// The share of them under the GPU's memory pressure WARNING.
    pub warning: f64,
    /// The same under CRITICAL.
    pub critical: f64,
    /// How many wait; one more is refused.
    pub queue: usize,
    /// How long one waits.
    pub patience: Duration,
}
impl Default for TurnSettings {
    fn default() -> TurnSettings {
        TurnSettings { max: 4, warning: 0.5, critical: 0.25, queue: 64, patience: Duration::from_secs(30) }
    }
}

/// What is done with prompts before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptSettings {
    /// Whether a prompt that does not fit the window is refused.
    pub check: bool,
    /// Whether it is shortened first.
    pub truncate: bool,
}

/// Whether a pattern, with `*` at either end, means a model.
pub(super) fn fits(pattern: &str, model: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(inner), Some(_)) => model.contains(inner.trim_end_matches('*')),
        (Some(end), None) => model.ends_with(end),
        (None, Some(begin)) => model.starts_with(begin),
        (None, None) => model == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, model, expected) in [
            ("*", "", true),
            ("nemotron", "nemotron", true),
            ("nemotron", "nemotron-3", false),
            ("nemotron*", "nemotron-3", true),
            ("*:latest", "llama3:latest", true),
            ("*:latest", "llama3:8b", false),
            ("*mini*", "gpt-4o-mini-2024", true),
            ("*mini*", "gpt-4o", false),
        ] {
            assert_eq!(fits(pattern, model), expected, "{pattern} {model}");
        }
    }
}
