//! The way of a finished span: into a bounded queue, and from there, by a thread of its own, to the endpoint in OTLP. The official
//! exporter speaks the protocol and repeats what may be repeated.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::{Context, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};

use super::{Protocol, TraceSettings};
use crate::background::{Background, Limits};

/// The most bytes of spans that wait, by estimate.
const SPANS_BYTES_MAX: usize = 16 << 20;
/// What a span takes beside its texts, by estimate.
const SPAN_BYTES: usize = 512;
const LIMITS: Limits = Limits { bytes_max: SPANS_BYTES_MAX, batch_max: 512, wake_at: 512, interval: Duration::from_secs(1) };
/// How long one message may take, with its repetitions.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 10;

/// The queue and its books.
#[derive(Clone, Debug)]
pub(crate) struct Exporting {
    queue: Arc<Background<SpanData>>,
    failed: Arc<AtomicU64>,
}
impl Exporting {
    /// Sends everything through an exporter. Dialling needs a runtime; the thread brings its own, so that any program may be traced.
    pub(super) fn start<E: SpanExporter + 'static>(make: impl FnOnce() -> Result<E, String>) -> Result<Exporting, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
        let made = {
            let _within = runtime.enter();
            make()
        };
        let exporter = match made {
            Ok(exporter) => exporter,
            Err(error) => {
                // The caller may be within a runtime, where another one may not be waited for.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let failed = Arc::new(AtomicU64::new(0));
        let (lost, away) = (failed.clone(), AtomicBool::new(false));
        let work = move |batch: Vec<SpanData>| {
            // Sending spans makes no spans.
            let _quiet = Context::enter_telemetry_suppressed_scope();
            let count = batch.len();
            match runtime.block_on(exporter.export(batch)) {
                Ok(()) if away.swap(false, Ordering::Relaxed) => tracing::info!("telemetry: spans arrive again"),
                Ok(()) => {}
                Err(error) => {
                    lost.fetch_add(count as u64, Ordering::Relaxed);
                    if !away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, spans = count, "telemetry: cannot send spans; said once until it works again");
                    }
                }
            }
        };
        let queue = Background::start("watchfire-spans", LIMITS, work).map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Exporting { queue: Arc::new(queue), failed })
    }
    /// Spans that had no room.
    pub(crate) fn full(&self) -> u64 {
        self.queue.full()
    }
    /// Spans that were not taken.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        self.queue.flush(patience)
    }
    pub(crate) fn close(&self, patience: Duration) -> bool {
        self.queue.close(patience)
    }
}

impl SpanProcessor for Exporting {
    fn on_start(&self, _: &mut Span, _: &Context) {}
    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            let weight = weight(&span);
            self.queue.put(span, weight);
        }
    }
    fn force_flush(&self) -> OTelSdkResult {
        if self.flush(TIMEOUT) { Ok(()) } else { Err(OTelSdkError::Timeout(TIMEOUT)) }
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.close(timeout) { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
    }
}

/// About how many bytes a span takes.
fn weight(span: &SpanData) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(list) => list.to_string().len(),
        _ => 8,
    };
    let pairs = |pairs: &[opentelemetry::KeyValue]| pairs.iter().map(|kv| 64 + kv.key.as_str().len() + value(&kv.value)).sum::<usize>();
    let events: usize = span.events.iter().map(|event| 64 + event.name.len() + pairs(&event.attributes)).sum();
    SPAN_BYTES + span.name.len() + pairs(&span.attributes) + events + span.links.len() * 128
}

/// A provider of tracers that sample and export as the settings say.
pub(crate) fn tracer_provider(settings: &TraceSettings) -> Result<(SdkTracerProvider, Exporting), String> {
    let resource = Resource::builder().with_service_name(settings.service_name.clone()).build();
    let (ours, theirs) = (settings.clone(), resource.clone());
    let exporting = Exporting::start(move || {
        let mut exporter = exporter(&ours)?;
        exporter.set_resource(&theirs);
        Ok(exporter)
    })?;
    Ok((provider(settings.sample_rate, resource, exporting.clone()), exporting))
}

pub(super) fn provider(sample_rate: f64, resource: Resource, exporting: Exporting) -> SdkTracerProvider {
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_rate)));
    SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler).with_span_processor(exporting).build()
}

fn exporter(settings: &TraceSettings) -> Result<opentelemetry_otlp::SpanExporter, String> {
    let url = settings.url();
    if url.starts_with("https://") && !cfg!(feature = "tls") {
        return Err(format!("cannot send spans to {url}: the feature tls is not enabled"));
    }
    let builder = opentelemetry_otlp::SpanExporter::builder();
    let retry = opentelemetry_otlp::RetryPolicy::recommended();
    let built = match settings.protocol {
        Protocol::Grpc => builder.with_tonic().with_retry_policy(retry).with_endpoint(&url).with_timeout(TIMEOUT).build(),
        Protocol::HttpProtobuf => {
            let builder = builder.with_http().with_retry_policy(retry).with_http_client(Ureq::new());
            builder.with_endpoint(&url).with_protocol(opentelemetry_otlp::Protocol::HttpBinary).with_timeout(TIMEOUT).build()
        }
    };
    built.map_err(|error| format!("cannot send spans to {url}: {error}"))
}

/// The HTTP client that the metrics use, too. It blocks, which only the exporting thread notices.
#[derive(Debug)]
struct Ureq(ureq::Agent);
impl Ureq {
    fn new() -> Ureq {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).max_redirects(0).build();
        Ureq(ureq::Agent::new_with_config(config))
    }
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, bytes.into()))
    }
}
impl HttpClient for Ureq {
    fn send_bytes<'a, 'f>(&'a self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(std::future::ready(self.send(request)))
    }
}
