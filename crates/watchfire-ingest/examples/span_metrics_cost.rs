//! What it costs to derive metrics from spans: CPU time of taking OTLP requests through the gate, without and with them. Nothing is
//! stored, so the share in the whole program is smaller. `cargo run --release -p watchfire-ingest --example span_metrics_cost`

use std::sync::Arc;

use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::otlp::{Format, Otlp, Settings};
use watchfire_ingest::protobuf::Writer;
use watchfire_ingest::span_metrics::{GraphSettings, MetricsSettings, SpanMetrics};
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_model::write::{Sink, WriteError, Written};

const REQUESTS: u64 = 2_000;
const SPANS: u64 = 100;

/// Takes everything and keeps nothing.
struct Nowhere;
impl Sink for Nowhere {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut written = Written::default();
        written.spans.stored = batch.spans.iter().map(|stream| stream.entries.len() as u64).sum();
        Ok(written)
    }
}

fn attribute(out: &mut Writer, field: u32, name: &str, value: &str) {
    out.message(field, |out| {
        out.text(1, name);
        out.message(2, |out| out.text(1, value));
    });
}

/// A request of one of ten services: servers and the clients below them, with twenty names.
fn request(number: u64, nanos: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.message(1, |out| {
        out.message(1, |out| attribute(out, 1, "service.name", &format!("service-{}", number % 10)));
        out.message(2, |out| {
            for n in 0..SPANS {
                out.message(2, |out| {
                    let trace = (u128::from(number) << 64) | u128::from(n / 4 + 1);
                    out.always_bytes(1, &trace.to_be_bytes());
                    out.always_bytes(2, &(number * SPANS + n + 1).to_be_bytes());
                    if n % 4 > 0 {
                        out.always_bytes(4, &(number * SPANS + n).to_be_bytes());
                    }
                    out.text(5, &format!("GET /things/{}", n % 20));
                    out.uint(6, 2 + n % 2);
                    out.fixed64(7, nanos);
                    out.fixed64(8, nanos + n * 1_000_000);
                    for name in ["http.method", "http.route", "http.status_code", "net.peer.name", "user.id", "thread.name"] {
                        attribute(out, 9, name, "a value of some length");
                    }
                });
            }
        });
    });
    out.into_bytes()
}

/// CPU time of this thread, in nanoseconds.
fn cpu() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Nanoseconds for each span.
fn run(derive: bool) -> f64 {
    let (clock, meter) = (SystemClock::shared(), Meter::new());
    let nanos = clock.now().millis().unsigned_abs() * 1_000_000 - 1_000_000_000;
    let gate = Arc::new(Gate::new(Arc::new(Nowhere), clock.clone(), &meter, Limits::default()));
    let derived = SpanMetrics::new(Some(&MetricsSettings::default()), Some(&GraphSettings::default()), "here", clock.clone(), &meter);
    let _tap = derive.then(|| derived.listen(&gate));
    let otlp = Otlp::new(gate, clock, &meter, Settings::default());
    let requests: Vec<Vec<u8>> = (0..REQUESTS).map(|number| request(number, nanos)).collect();
    let before = cpu();
    for body in &requests {
        if let Err(error) = otlp.traces(body, Format::Protobuf, Origin::new("cost")) {
            println!("cannot take a request: {error}");
        }
    }
    (cpu() - before) as f64 / (REQUESTS * SPANS) as f64
}

fn main() {
    // The first run warms up.
    run(true);
    let (without, with) = (run(false), run(true));
    println!("taking a span: {without:.0} ns; with derived metrics: {with:.0} ns; share: {:.0} %", (with - without) / with * 100.0);
}
