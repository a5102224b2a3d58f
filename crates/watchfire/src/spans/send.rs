//! Where finished spans go: through the gate into our own store, or in OTLP to another place. Nothing here is itself a span.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use watchfire_ingest::gate::Gate;
use watchfire_ingest::otlp::spans::protobuf;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::spans::{NewSpan, Pair, SpanRow, SpanStream, Value};
use watchfire_model::write::Sink;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::{Client, GrpcClient, Request};
use watchfire_net::dial::{self, DialError};
use watchfire_net::secret::Secret;
use watchfire_net::tasks::Tasks;
use watchfire_net::tls::ClientTls;

use super::{Attribute, Own, Span, Spans};
use crate::settings::{Endpoint, TracingSettings};

/// How often what waits is sent, and how much at once.
const INTERVAL: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 512;
/// How long one message may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The library that the spans name.
const SCOPE: &str = "watchfire";
/// The method of OTLP over gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Names of programs that we stand in for; where nobody has such a name, we are meant.
const STANDS_IN_FOR: [&str; 2] = ["jaeger", "tempo"];

/// What sending needs.
struct Sending {
    spans: Arc<Spans>,
    settings: TracingSettings,
    gate: Arc<Gate>,
    /// The ports that we listen on.
    own_ports: Vec<u16>,
}

/// Where spans go.
enum Way {
    Ourselves,
    Grpc(Box<GrpcClient>),
    Http(Client, Box<Request>),
}

struct Counts {
    sent: Counter,
    full: Counter,
    failed: Counter,
}

/// Sends until the process ends, and then once more; says so when there is nothing to send.
pub(crate) fn start(own: Own, settings: &TracingSettings, gate: &Arc<Gate>, own_ports: Vec<u16>, tasks: &Tasks, meter: &Meter) {
    let Some(spans) = own else { return tracing::info!("telemetry: tracing is off, OTEL_ENABLED=true turns it on") };
    let sending = Sending { spans, settings: settings.clone(), gate: gate.clone(), own_ports };
    let dropped = |reason| meter.counter("watchfire_own_spans_dropped_total", "Own spans that were lost.", &[("reason", reason)]);
    let counts = Counts {
        sent: meter.counter("watchfire_own_spans_sent_total", "Own spans that were stored or sent.", &[]),
        full: dropped("full"),
        failed: dropped("failed"),
    };
    let mut stop = tasks.stop();
    tasks.spawn_until_done("own_spans", async move {
        let mut way = sending.way().await;
        let mut away = false;
        while !stop.is_requested() {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.requested() => {}
            }
            sending.send_all(&mut way, &counts, &mut away).await;
        }
    });
}

impl Sending {
    async fn way(&self) -> Way {
        let TracingSettings { service_name, endpoint, sample_rate, .. } = &self.settings;
        let (way, to) = match endpoint {
            Some(endpoint) if !self.means_us(endpoint).await => (self.elsewhere(endpoint), endpoint.url.clone()),
            _ => (Way::Ourselves, "our own store".to_owned()),
        };
        tracing::info!(service = service_name, sample_rate, "telemetry: tracing is on, spans of {service_name} go to {to}");
        way
    }

    async fn means_us(&self, endpoint: &Endpoint) -> bool {
        if dial::is_here(&endpoint.host) && self.own_ports.contains(&endpoint.port) {
            return true;
        }
        let stands_in = STANDS_IN_FOR.iter().any(|name| endpoint.host.eq_ignore_ascii_case(name));
        stands_in && matches!(dial::dial(&endpoint.host, endpoint.port, TIMEOUT).await, Err(DialError::NoSuchName { .. }))
    }

    fn elsewhere(&self, endpoint: &Endpoint) -> Way {
        if endpoint.grpc {
            return Way::Grpc(Box::new(GrpcClient::new(&endpoint.host, endpoint.port, endpoint.secure)));
        }
        let mut request = Request::get(endpoint.url.clone(), TIMEOUT).header("content-type", "application/x-protobuf");
        request.method = Method::POST;
        request.follow_redirects = false;
        request.secret_headers.clone_from(&self.settings.headers);
        Way::Http(Client::new(ClientTls::default()), Box::new(request))
    }

    async fn send_all(&self, way: &mut Way, counts: &Counts, away: &mut bool) {
        counts.full.add(self.spans.full.swap(0, Ordering::Relaxed));
        loop {
            let finished = self.spans.take(AT_ONCE);
            if finished.is_empty() {
                return;
            }
            let count = finished.len() as u64;
            let outcome = self.send(way, entries(&self.settings.service_name, finished)).await;
            match &outcome {
                Ok(lost) => {
                    counts.sent.add(count.saturating_sub(*lost));
                    counts.failed.add(*lost);
                }
                Err(_) => counts.failed.add(count),
            }
            match &outcome {
                Ok(_) if *away => tracing::info!("telemetry: own spans arrive again"),
                Err(error) if !*away => tracing::warn!(error, "telemetry: own spans cannot be sent and are dropped; said once until it works again"),
                Ok(_) | Err(_) => {}
            }
            *away = outcome.is_err();
        }
    }

    /// Sends entries; says how many of them were refused.
    async fn send(&self, way: &mut Way, streams: Vec<StreamEntries>) -> Result<u64, String> {
        match way {
            Way::Ourselves => {
                let gate = self.gate.clone();
                let mut batch = Batch::new(Origin::new("own_spans"));
                batch.spans = streams;
                let written = spawn_blocking(move || gate.write(batch)).await.map_err(|error| error.to_string())?;
                written.map(|written| written.spans.rejected_total()).map_err(|error| error.to_string())
            }
            Way::Grpc(client) => {
                let (tls, message) = (ClientTls::default(), message(&streams));
                let called = client.call(EXPORT, &self.settings.headers, &tls, (&message, false), TIMEOUT).await;
                let answer = called.map_err(|error| error.to_string())?;
                if answer.status == 0 { Ok(0) } else { Err(format!("the other side answers status {} of gRPC: {}", answer.status, answer.message)) }
            }
            Way::Http(client, request) => {
                let answer = client.send(Request { body: Bytes::from(message(&streams)), ..(**request).clone() }).await.map_err(|error| error.to_string())?;
                if answer.status.is_success() { Ok(0) } else { Err(format!("the answer is {}", answer.status)) }
            }
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn message(streams: &[StreamEntries]) -> Vec<u8> {
    let mut out = Writer::new();
    let rows = streams.iter().flat_map(|stream| stream.entries.iter().map(|entry| SpanRow::from_parts(&stream.labels, entry)));
    protobuf(&mut out, 1, rows);
    out.into_bytes()
}

/// Spans as the store keeps them.
fn entries(service: &str, spans: Vec<Span>) -> Vec<StreamEntries> {
    let resource: [Pair<'_>; 2] = [("service.name".into(), Value::text(service)), ("service.version".into(), Value::text(env!("CARGO_PKG_VERSION")))];
    let mut streams: Vec<StreamEntries> = Vec::new();
    for span in spans {
        let stream = SpanStream { resource: &resource, scope: SCOPE, name: &span.name, kind: span.kind, ..SpanStream::default() };
        let (labels, entry) = (stream.labels(), entry(&span));
        match streams.iter_mut().find(|stream| stream.labels == labels) {
            Some(stream) => stream.entries.push(entry),
            None => streams.push(StreamEntries { labels, entries: vec![entry] }),
        }
    }
    streams
}

fn entry(span: &Span) -> LogEntry {
    let value = |value: &Attribute| match value {
        Attribute::Text(text) => Value::Text(text.clone().into()),
        Attribute::Int(number) => Value::Int(*number),
        Attribute::Double(number) => Value::Double(*number),
        Attribute::Bool(value) => Value::Bool(*value),
    };
    NewSpan {
        trace: span.place.trace,
        span: span.place.span,
        parent: span.parent,
        state: &span.place.state,
        flags: u32::from(span.place.sampled),
        start: Nanos(span.anchor.saturating_add(span.began)),
        duration: u64::try_from(span.ended.saturating_sub(span.began)).unwrap_or(0),
        status: span.status,
        message: &span.message,
        attributes: span.attributes.iter().map(|(name, given)| ((*name).into(), value(given))).collect(),
        ..NewSpan::default()
    }
    .entry()
}

/// A header of OTLP as the environment lists them: `name=value`, percent-encoded.
pub(crate) fn read_headers(text: &str) -> Option<Vec<(String, Secret)>> {
    let plain = |text: &str| percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok().map(|text| text.into_owned());
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| part.split_once('=').and_then(|(k, v)| Some((plain(k)?, Secret::new(plain(v)?)))))
        .collect()
}
