//! Hands what a collector gathered to the sink, again and again: the pace, the thread that may block, and what is said and counted of a
//! batch that is not taken. What is in a batch it does not know.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use watchfire_model::batch::Batch;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::write::Sink;
use watchfire_net::blocking::spawn_blocking;

/// The rounds of one collector.
#[derive(Clone)]
pub(crate) struct Rounds {
    collector: &'static str,
    failed: Counter,
    left_out: Counter,
}

impl Rounds {
    /// None yet.
    pub(crate) fn new(collector: &'static str, meter: &Meter) -> Rounds {
        let labels = [("collector", collector)];
        Rounds {
            collector,
            failed: meter.counter("watchfire_collect_batches_failed_total", "Batches of a collector that the store did not take.", &labels),
            left_out: meter.counter("watchfire_collect_series_left_out_total", "Series of this host that were left out because there were too many.", &labels),
        }
    }

    /// The pace: who is late does not hurry to make up for it.
    pub(crate) fn pace(every: Duration) -> Interval {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Counts series that are in no batch because there were too many.
    pub(crate) fn left_out(&self, series: u64) {
        self.left_out.add(series);
    }

    /// Makes a batch and has it stored, on a thread that may block.
    pub(crate) async fn deliver(&self, sink: &Arc<dyn Sink>, make: Box<dyn FnOnce() -> Batch + Send>) {
        let sink = sink.clone();
        let written = spawn_blocking(move || sink.write(make())).await;
        let error: &dyn std::fmt::Display = match &written {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error,
            Err(error) => error,
        };
        self.failed.inc();
        tracing::warn!(target: "watchfire::collect", collector = self.collector, %error, "cannot store what a collector gathered");
    }
}
