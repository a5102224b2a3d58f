//! What is done with spans on their way in: metrics are derived from them.

use std::sync::Arc;

use watchfire_ingest::gate::Gate;
use watchfire_ingest::span_metrics::{INTERVAL, SpanMetrics};
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;

use crate::settings::TraceSettings;

/// Derives metrics from the spans that come through the gate, and writes them through it now and then.
pub(super) fn derive(settings: &TraceSettings, instance: &str, gate: &Arc<Gate>, tasks: &Tasks, clock: &SharedClock, meter: &Meter) {
    let derived = SpanMetrics::new(settings.metrics.as_ref(), settings.graph.as_ref(), instance, clock.clone(), meter);
    if derived.is_off() {
        return;
    }
    let gate = gate.clone();
    let tap = derived.listen(&gate);
    tasks.spawn("span_metrics", async move {
        let _tap = tap;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (derived, gate) = (derived.clone(), gate.clone());
            match tokio::task::spawn_blocking(move || derived.flush(&*gate)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "metrics derived from spans were not stored; the next try holds them too"),
                Err(error) => tracing::error!(%error, "storing metrics derived from spans panicked"),
            }
        }
    });
}
