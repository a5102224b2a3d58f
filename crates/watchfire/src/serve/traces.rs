//! What is done with spans on their way in: metrics are derived from them, and where that is asked for, traces are sampled.

use std::sync::Arc;
use std::time::Duration;

use watchfire_ingest::gate::Gate;
use watchfire_ingest::sampling::{Sampler, SamplingSettings};
use watchfire_ingest::span_metrics::{INTERVAL, SpanMetrics};
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;

use crate::settings::{Settings, TraceSettings};

/// How often it is looked which traces have waited long enough.
const DECIDE_EVERY: Duration = Duration::from_secs(1);

/// What decides which traces are kept, if that is asked for.
pub(super) fn sampler(settings: &Settings, store: Arc<dyn Sink>, clock: &SharedClock, meter: &Meter) -> Option<Arc<Sampler>> {
    let wanted = settings.traces.sampling.clone()?;
    let share = usize::try_from(settings.memory_limit / 8).unwrap_or(usize::MAX);
    let wanted = SamplingSettings { bytes_max: wanted.bytes_max.min(share), ..wanted };
    tracing::info!(?wanted, "traces are sampled: spans wait in memory until it is decided which traces are kept");
    Some(Arc::new(Sampler::new(wanted, store, clock.clone(), meter)))
}

/// What is to be ended in order.
pub(super) struct Spans {
    sampler: Option<Arc<Sampler>>,
    derived: Option<SpanMetrics>,
    gate: Arc<Gate>,
}

impl Spans {
    /// Decides about everything that waits, and writes what was counted last, before the store closes.
    pub(super) fn finish(&self) {
        if let Some(Err(error)) = self.sampler.as_deref().map(Sampler::finish) {
            tracing::error!(%error, "sampled traces that waited were not stored");
        }
        if let Some(Err(error)) = self.derived.as_ref().map(|derived| derived.flush(&*self.gate)) {
            tracing::error!(%error, "metrics derived from the last spans were not stored");
        }
    }
}

/// Starts to decide about traces, where that is asked for, and to derive metrics from the spans that come through the gate.
pub(super) fn start(
    settings: &TraceSettings,
    instance: &str,
    sampler: Option<Arc<Sampler>>,
    gate: &Arc<Gate>,
    tasks: &Tasks,
    clock: &SharedClock,
    meter: &Meter,
) -> Spans {
    if let Some(sampler) = sampler.clone() {
        tasks.spawn("trace_sampler", async move {
            every(DECIDE_EVERY, "sampled traces", move || sampler.tend()).await;
        });
    }
    let derived = SpanMetrics::new(settings.metrics.as_ref(), settings.graph.as_ref(), instance, clock.clone(), meter);
    let derived = (!derived.is_off()).then_some(derived);
    if let Some(derived) = derived.clone() {
        let (tap, gate) = (derived.listen(gate), gate.clone());
        tasks.spawn("span_metrics", async move {
            let _tap = tap;
            every(INTERVAL, "metrics derived from spans", move || derived.flush(&*gate)).await;
        });
    }
    Spans { sampler, derived, gate: gate.clone() }
}

/// Stores something again and again; what the store did not take is in the next try.
async fn every(interval: Duration, what: &'static str, work: impl Fn() -> Result<(), WriteError> + Send + Sync + 'static) {
    let work = Arc::new(work);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let work = work.clone();
        match spawn_blocking(move || work()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "{what} were not stored; the next try holds them too"),
            Err(error) => tracing::error!(%error, "storing {what} panicked"),
        }
    }
}
