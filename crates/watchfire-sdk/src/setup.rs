//! The one call that sets everything up, and what has to be kept until the program ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::background::Background;
use crate::logs::{self, LogLayer, Output};
#[cfg(feature = "traces")]
use crate::traces::{Exporting, TraceSettings, tracer_provider};

/// How long the end of the program waits for what is not yet written and sent.
pub const END_PATIENCE: Duration = Duration::from_secs(5);
/// The crates below us, whose spans are none of the program's.
const BELOW: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "tonic", "tower"];

/// Why nothing was set up.
#[derive(Debug)]
pub enum SetupError {
    /// A variable means nothing.
    Settings(String),
    /// Lines cannot be written there.
    Output(std::io::Error),
    /// Spans cannot be sent there.
    Export(String),
    /// Somebody else has already set up a subscriber for the whole program.
    Taken,
}
impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Settings(why) | SetupError::Export(why) => f.write_str(why),
            SetupError::Output(error) => write!(f, "cannot write log lines: {error}"),
            SetupError::Taken => f.write_str("cannot set up telemetry: the program has a subscriber already"),
        }
    }
}
impl std::error::Error for SetupError {}

/// What is set up.
#[derive(Debug)]
pub struct Setup {
    /// Which events become lines: a level, or a filter such as `info,my_crate=debug` (`RUST_LOG`, usually `info`).
    pub log_filter: String,
    /// Where lines go.
    pub output: Output,
    /// Whether and how spans are made.
    #[cfg(feature = "traces")]
    pub traces: TraceSettings,
}
impl Default for Setup {
    fn default() -> Setup {
        Setup {
            log_filter: "info".to_owned(),
            output: Output::default(),
            #[cfg(feature = "traces")]
            traces: TraceSettings::default(),
        }
    }
}

/// Sets up logs and traces as the environment says. Keep what it returns until the program ends.
pub fn setup() -> Result<Telemetry, SetupError> {
    Setup::from_environment()?.start()
}

impl Setup {
    /// What the environment says: `RUST_LOG` and the variables of [`TraceSettings`](crate::traces::TraceSettings).
    #[expect(clippy::disallowed_methods, reason = "this is linked into programs that have no other configuration of ours")]
    pub fn from_environment() -> Result<Setup, SetupError> {
        let usual = Setup::default();
        Ok(Setup {
            log_filter: std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty()).unwrap_or(usual.log_filter),
            output: usual.output,
            #[cfg(feature = "traces")]
            traces: TraceSettings::from_environment().map_err(|error| SetupError::Settings(error.to_string()))?,
        })
    }

    /// Sets it up for the whole program.
    pub fn start(self) -> Result<Telemetry, SetupError> {
        let (dispatch, telemetry) = self.build()?;
        tracing::dispatcher::set_global_default(dispatch).map_err(|_| SetupError::Taken)?;
        telemetry.announce();
        Ok(telemetry)
    }

    /// Sets it up for whoever uses the dispatch, and nobody else.
    pub(crate) fn build(self) -> Result<(Dispatch, Telemetry), SetupError> {
        let filter: EnvFilter =
            self.log_filter.parse().map_err(|error| SetupError::Settings(format!("cannot use the log filter {:?}: {error}", self.log_filter)))?;
        let lines = Arc::new(logs::start(self.output).map_err(SetupError::Output)?);
        // Spans lend their ids to lines of any level.
        let log_layer = LogLayer::new(lines.clone()).with_filter(filter_fn(is_span).or(filter));
        let registry = Registry::default().with(log_layer);
        #[cfg(not(feature = "traces"))]
        return Ok((registry.into(), Telemetry { lines }));
        #[cfg(feature = "traces")]
        {
            if !self.traces.enabled {
                return Ok((registry.into(), Telemetry { lines, settings: self.traces, spans: None }));
            }
            let (provider, exporting) = tracer_provider(&self.traces).map_err(SetupError::Export)?;
            let dispatch = registry.with(span_layer(&provider)).into();
            Ok((dispatch, Telemetry { lines, settings: self.traces, spans: Some(Spans { provider, exporting }) }))
        }
    }
}

/// Whether something is a span that the program made. What the crates below say at more than `info` is for those who debug them.
fn is_span(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && *metadata.level() <= Level::INFO && !BELOW.contains(&crate_name)
}

/// Spans and, as their events, warnings and errors within them.
#[cfg(feature = "traces")]
pub(crate) fn span_layer<S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>>(
    provider: &opentelemetry_sdk::trace::SdkTracerProvider,
) -> impl Layer<S> {
    use opentelemetry::trace::TracerProvider;
    let tracer = provider.tracer("watchfire-sdk");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_target(false);
    layer.with_filter(filter_fn(|metadata| is_span(metadata) || (metadata.is_event() && *metadata.level() <= Level::WARN)))
}

#[cfg(feature = "traces")]
struct Spans {
    provider: opentelemetry_sdk::trace::SdkTracerProvider,
    exporting: Exporting,
}

/// What was lost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines that had no room.
    pub lines: u64,
    /// Spans that had no room.
    pub spans_full: u64,
    /// Spans that were sent and not taken.
    pub spans_failed: u64,
}

/// What was set up. Dropping it writes and sends what is left.
pub struct Telemetry {
    lines: Arc<Background<String>>,
    #[cfg(feature = "traces")]
    settings: TraceSettings,
    #[cfg(feature = "traces")]
    spans: Option<Spans>,
}
impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// What was lost so far. Metrics have [their own count](crate::report::Dropped).
    pub fn lost(&self) -> Lost {
        #[cfg_attr(not(feature = "traces"), expect(unused_mut, reason = "nothing more is counted"))]
        let mut lost = Lost { lines: self.lines.full(), ..Lost::default() };
        #[cfg(feature = "traces")]
        if let Some(spans) = &self.spans {
            lost.spans_full = spans.exporting.full();
            lost.spans_failed = spans.exporting.failed();
        }
        lost
    }
    /// Sends and writes what there is, and waits for each at most so long. Returns whether it was done in time.
    pub fn flush(&self, patience: Duration) -> bool {
        #[cfg(feature = "traces")]
        let sent = self.spans.as_ref().is_none_or(|spans| spans.exporting.flush(patience));
        #[cfg(not(feature = "traces"))]
        let sent = true;
        sent & self.lines.flush(patience)
    }
    /// Says how telemetry began, for those who look why there are no traces.
    #[cfg(feature = "traces")]
    pub(crate) fn announce(&self) {
        let TraceSettings { service_name, endpoint, protocol, sample_rate, .. } = &self.settings;
        match &self.spans {
            Some(spans) => {
                opentelemetry::global::set_tracer_provider(spans.provider.clone());
                opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
                tracing::info!(
                    service = service_name,
                    endpoint,
                    protocol = protocol.name(),
                    sample_rate,
                    "telemetry: tracing is on, spans of {service_name} go to {endpoint}"
                );
            }
            None => tracing::info!("telemetry: tracing is off, OTEL_ENABLED=true turns it on"),
        }
    }
    #[cfg(not(feature = "traces"))]
    pub(crate) fn announce(&self) {
        tracing::info!("telemetry: logs only, the feature traces is not enabled");
    }
}
impl Drop for Telemetry {
    fn drop(&mut self) {
        #[cfg(feature = "traces")]
        if let Some(spans) = &self.spans {
            // The processor ends with it.
            if spans.provider.shutdown_with_timeout(END_PATIENCE).is_err() {
                tracing::warn!("telemetry: spans were left over at the end");
            }
        }
        self.lines.close(END_PATIENCE);
    }
}
