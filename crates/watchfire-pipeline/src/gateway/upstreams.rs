//! Where requests go: the upstreams with their breakers and windows, and which of them a request means. Configuration alone decides;
//! nothing of a request becomes a part of an address but a fixed path.

use std::sync::Arc;

use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::time::SharedClock;
use watchfire_tokens::{Budget, TokenCounter};

use super::breaker::Breaker;
use super::failure::Failure;
use super::settings::{UpstreamSettings, fits};

/// What an upstream can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// llama.cpp's `/completion`
    LlamaCompletion,
    /// Ollama's `/api/chat`
    OllamaChat,
    /// Ollama's `/api/generate`
    OllamaGenerate,
    /// Ollama's `/api/embed`
    OllamaEmbed,
}
impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 8] = [
        Endpoint::Chat,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Responses,
        Endpoint::LlamaCompletion,
        Endpoint::OllamaChat,
        Endpoint::OllamaGenerate,
        Endpoint::OllamaEmbed,
    ];
    /// Its path below the server's root.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Chat => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
            Endpoint::Embeddings => "/v1/embeddings",
            Endpoint::Responses => "/v1/responses",
            Endpoint::LlamaCompletion => "/completion",
            Endpoint::OllamaChat => "/api/chat",
            Endpoint::OllamaGenerate => "/api/generate",
            Endpoint::OllamaEmbed => "/api/embed",
        }
    }
    /// Whether its streams end with their usage only when they are asked to.
    pub(super) fn has_stream_options(self) -> bool {
        matches!(self, Endpoint::Chat | Endpoint::Completions)
    }
}

/// One upstream at work.
pub(super) struct Upstream {
    pub(super) settings: UpstreamSettings,
    pub(super) breaker: Arc<Breaker>,
    pub(super) counter: Arc<TokenCounter>,
    /// The address up to the version, without a slash at its end.
    base: String,
    /// The same without the version.
    root: String,
}

impl Upstream {
    /// The address of a path below the server's root; `/v1` stands for whatever the configured address says of a version.
    pub(super) fn url(&self, path: &str) -> String {
        match path.strip_prefix("/v1/") {
            Some(rest) => format!("{}/{rest}", self.base),
            None => format!("{}{path}", self.root),
        }
    }
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }
}

/// All upstreams.
pub(super) struct Upstreams(Vec<Arc<Upstream>>);

impl Upstreams {
    pub(super) fn new(settings: &[UpstreamSettings], counter: &Arc<TokenCounter>, observe: &Arc<dyn Observe>, clock: &SharedClock, meter: &Meter) -> Upstreams {
        let made = settings.iter().map(|settings| {
            let base = settings.url.trim_end_matches('/').to_owned();
            let root = base.strip_suffix("/v1").unwrap_or(&base).to_owned();
            let breaker = breaker(settings, observe, clock, meter);
            Arc::new(Upstream { breaker, counter: window(settings, counter, observe), base, root, settings: settings.clone() })
        });
        Upstreams(made.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.0.iter()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The upstream that was named, or the one that has the model.
    pub(super) fn choose(&self, named: Option<&str>, model: Option<&str>) -> Result<Arc<Upstream>, Failure> {
        let found = match (named, model) {
            (Some(name), _) => self.0.iter().find(|u| u.settings.name == name),
            (None, Some(model)) => {
                let has = |u: &&Arc<Upstream>| u.settings.models.iter().any(|pattern| fits(pattern, model));
                self.0.iter().find(has).or_else(|| self.0.iter().find(|u| u.settings.models.is_empty()))
            }
            (None, None) => self.0.iter().find(|u| u.settings.models.is_empty()).or(self.0.first()),
        };
        found.cloned().ok_or_else(|| match (named, model) {
            _ if self.0.is_empty() => Failure::no_model("no upstream is configured; gateway.upstreams names them".to_owned()),
            (Some(name), _) => Failure::no_model(format!("there is no upstream {:?}", super::names::clean(name))),
            (None, model) => Failure::no_model(format!("no upstream has the model {:?}", super::names::clean(model.unwrap_or_default()))),
        })
    }
}

fn breaker(settings: &UpstreamSettings, observe: &Arc<dyn Observe>, clock: &SharedClock, meter: &Meter) -> Arc<Breaker> {
    let (observe, name) = (observe.clone(), settings.name.clone());
    let open = meter.gauge("watchfire_gateway_breaker_state", "Breaker of an upstream: 0 closed, 1 open, 2 half-open.", &[("upstream", &name)]);
    Breaker::new(settings.breaker, clock.clone(), move |state, trip| {
        let labels = [("service", name.as_str()), ("breaker", name.as_str())];
        open.set(state.number());
        observe.observe("hsi_circuit_breaker_state", &labels, state.number());
        observe.observe("hsi_circuit_breaker_trips_total", &labels, f64::from(u8::from(trip)));
        if trip {
            tracing::warn!(upstream = name, "the upstream failed too often and is not asked for a while");
        }
    })
}

/// The counter for an upstream's window.
fn window(settings: &UpstreamSettings, usual: &Arc<TokenCounter>, observe: &Arc<dyn Observe>) -> Arc<TokenCounter> {
    let budget = usual.budget();
    let own = settings.context_window.and_then(|window| Budget::new(window, budget.max_output_tokens(), budget.warning_threshold()).ok());
    match own {
        Some(own) => Arc::new(TokenCounter::new(usual.counter().clone(), own, usual.is_truncating(), observe.clone())),
        None => usual.clone(),
    }
}
