//! Metrics that are derived from spans as they come in: rate, errors and duration (`red`), and who calls whom (`graph`). It hears
//! each span once, before anything is sampled away, and writes what it counted through the gate, as everybody does. It keeps no spans.

mod graph;
mod red;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::spans::{StatusCode, key};
use watchfire_model::text::cut;
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError};

use crate::gate::{Gate, LogTap};
use graph::Graph;
use red::Red;
use table::Table;

/// The longest text that becomes the value of a label, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Types and help texts are told again with every so many flushes.
const METADATA_EVERY: u64 = 240;
/// Who brings the values to the gate: each has a limit of series of its own.
const ORIGINS: [&str; 2] = ["spans/metrics", "spans/graph"];
/// How often values are written.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// Upper bounds of buckets, in seconds.
pub const BUCKETS: [f64; 14] = [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
/// The same for edges of the graph.
pub const GRAPH_BUCKETS: [f64; 8] = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8];

/// What is counted of each span.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsSettings {
    /// Upper bounds of the buckets, ascending, in seconds.
    pub buckets: Vec<f64>,
    /// Attributes that become labels as well.
    pub dimensions: Vec<String>,
    /// The most series.
    pub series_max: usize,
    /// Series of which there are no spans for so long end.
    pub idle: Duration,
}
impl Default for MetricsSettings {
    fn default() -> MetricsSettings {
        MetricsSettings { buckets: BUCKETS.to_vec(), dimensions: Vec::new(), series_max: 8_000, idle: Duration::from_secs(900) }
    }
}

/// How calls are found.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphSettings {
    /// Upper bounds of the buckets, ascending, in seconds.
    pub buckets: Vec<f64>,
    /// How long a span waits for the other side of its call.
    pub wait: Duration,
    /// The most spans that wait.
    pub waiting_max: usize,
    /// The most series.
    pub series_max: usize,
    /// Series of which there are no calls for so long end.
    pub idle: Duration,
}
impl Default for GraphSettings {
    fn default() -> GraphSettings {
        GraphSettings { buckets: GRAPH_BUCKETS.to_vec(), wait: Duration::from_secs(10), waiting_max: 10_000, series_max: 8_000, idle: Duration::from_secs(900) }
    }
}

struct State {
    red: Option<Red>,
    graph: Option<Graph>,
    flushes: u64,
}

impl State {
    /// In the order of their origins.
    fn tables(&mut self) -> [Option<&mut Table>; 2] {
        [self.red.as_mut().map(Red::table), self.graph.as_mut().map(Graph::table)]
    }
}

struct Inner {
    state: Mutex<State>,
    clock: SharedClock,
    series: Gauge,
    failed: Counter,
}

/// What is derived from spans. Cheap to clone.
#[derive(Clone)]
pub struct SpanMetrics(Arc<Inner>);

impl SpanMetrics {
    /// Counts nothing yet. `instance` is the label of the series.
    pub fn new(metrics: Option<&MetricsSettings>, graph: Option<&GraphSettings>, instance: &str, clock: SharedClock, meter: &Meter) -> SpanMetrics {
        let state = State {
            red: metrics.map(|settings| Red::new(settings, instance, meter)),
            graph: graph.map(|settings| Graph::new(settings, instance, meter)),
            flushes: 0,
        };
        SpanMetrics(Arc::new(Inner {
            state: Mutex::new(state),
            clock,
            series: meter.gauge("watchfire_span_metrics_series", "Series that are derived from spans.", &[]),
            failed: meter.counter("watchfire_span_metrics_batches_failed_total", "Batches of metrics derived from spans that the store did not take.", &[]),
        }))
    }

    /// Whether nothing is to be derived.
    pub fn is_off(&self) -> bool {
        let state = self.state();
        state.red.is_none() && state.graph.is_none()
    }

    /// Hears the spans that come through a gate, until what is returned is dropped.
    pub fn listen(&self, gate: &Gate) -> LogTap {
        let own = self.clone();
        gate.span_taps().listen(move |streams| own.observe(streams))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts spans.
    pub fn observe(&self, streams: &[StreamEntries]) {
        let now = self.0.clock.monotonic();
        let mut state = self.state();
        let State { red, graph, .. } = &mut *state;
        for stream in streams {
            if let Some(red) = red {
                red.observe(stream, now);
            }
            if let Some(graph) = graph {
                graph.observe(stream, now);
            }
        }
        if let Some(graph) = graph {
            graph.expire(now);
        }
    }

    /// Writes the present values. What could not be written is in the next try.
    pub fn flush(&self, sink: &dyn Sink) -> Result<(), WriteError> {
        let batches = self.batches();
        for (of, batch) in batches.into_iter().enumerate() {
            if batch.series.is_empty() {
                continue;
            }
            if let Err(error) = sink.write(batch) {
                self.0.failed.inc();
                return Err(error);
            }
            if let Some(table) = self.state().tables()[of].as_mut() {
                table.stored();
            }
        }
        Ok(())
    }

    /// The present values of each table.
    fn batches(&self) -> [Batch; 2] {
        let (time, now) = (self.0.clock.now(), self.0.clock.monotonic());
        let before = time.plus_ms(-(INTERVAL.as_millis() as i64));
        let mut state = self.state();
        if let Some(graph) = &mut state.graph {
            graph.expire(now);
        }
        let tells = state.flushes.is_multiple_of(METADATA_EVERY);
        state.flushes += 1;
        let mut batches = ORIGINS.map(|origin| Batch::new(Origin::new(origin)));
        let mut series = 0;
        for (batch, table) in batches.iter_mut().zip(state.tables()) {
            let Some(table) = table else { continue };
            table.flush(time, before, now, batch);
            series += table.series();
            if tells {
                batch.metadata.extend(table.metadata());
            }
        }
        self.0.series.set(series as f64);
        batches
    }
}

/// What is counted of a span, found in one look at its fields.
struct Counted<'a> {
    trace: &'a str,
    span: &'a str,
    parent: &'a str,
    nanos: u64,
    status: StatusCode,
    entry: &'a LogEntry,
}

impl<'a> Counted<'a> {
    fn of(entry: &'a LogEntry) -> Counted<'a> {
        let mut counted = Counted { trace: "", span: "", parent: "", nanos: 0, status: StatusCode::Unset, entry };
        for (name, value) in &entry.metadata {
            match name {
                key::TRACE => counted.trace = value,
                key::SPAN => counted.span = value,
                key::PARENT => counted.parent = value,
                key::DURATION => counted.nanos = value.parse().unwrap_or(0),
                key::STATUS => counted.status = StatusCode::from_name(value).unwrap_or_default(),
                // They ascend, and the fields of the span stand together.
                _ if name.as_bytes().first().is_some_and(|first| *first > b':') => break,
                _ => {}
            }
        }
        counted
    }

    fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
    fn end(&self) -> Nanos {
        Nanos(self.entry.time.0.saturating_add_unsigned(self.nanos))
    }
    /// As it is kept, without what it shares.
    fn bytes(&self) -> usize {
        self.entry.metadata.packed().len() + self.entry.line.len()
    }
}

/// As much of a text as a label may have.
fn clipped(text: &str) -> &str {
    cut(text, TEXT_BYTES_MAX)
}
