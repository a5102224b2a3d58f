//! Our own spans: what is declared in the rooms with the field `otel.kind` becomes a span of the service that we are, off unless it is asked for. It decides which traces are
//! kept, and hands finished spans to whoever sends them. Which work is a span is said where the work is done.

mod layer;
mod send;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::dispatcher;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;
use watchfire_model::spans::{SpanId, SpanKind, StatusCode, TraceId};
use watchfire_model::time::SharedClock;

pub(crate) use layer::SpanLayer;
pub(crate) use send::{read_headers, start};

use crate::logging::Inherited;
use crate::settings::TracingSettings;

/// The most spans that wait to be sent; what comes beyond is counted.
const WAITING_MAX: usize = 4_096;
/// A longer state of a context does not go on; the specification asks for half of it.
const STATE_BYTES_MAX: usize = 1_024;

/// What spans of one trace have in common, as it goes from process to process.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    state: Arc<str>,
}
impl Place {
    /// Reads `traceparent` and `tracestate`. A version that is newer may have more behind it.
    fn parse(parent: &str, state: &str) -> Option<Place> {
        let mut parts = parent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let sound = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && (version != "00" || parts.next().is_none());
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        let state = if state.len() <= STATE_BYTES_MAX && state.bytes().all(|b| (b' '..=b'~').contains(&b)) { state } else { "" };
        Some(Place { trace: TraceId::parse(trace)?, span: SpanId::parse(span)?, sampled, state: state.into() }).filter(|_| sound)
    }
    fn parent_header(&self) -> String {
        format!("00-{}-{}-0{}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
enum Attribute {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// A span, open or finished.
#[derive(Clone, Debug)]
struct Span {
    place: Place,
    parent: Option<SpanId>,
    /// Nanoseconds of the day that lie before those of the monotonic clock. Within a trace it is one and the same, so that no child begins before its parent.
    anchor: i64,
    /// By the monotonic clock, in nanoseconds.
    began: i64,
    ended: i64,
    name: String,
    kind: SpanKind,
    status: StatusCode,
    message: String,
    attributes: Vec<(&'static str, Attribute)>,
}

/// What finished spans are handed to.
pub(crate) struct Spans {
    clock: SharedClock,
    /// Ids below it are kept, of traces that begin here.
    kept_below: u64,
    keeps_all: bool,
    waiting: Mutex<VecDeque<Span>>,
    full: AtomicU64,
}

/// Our own spans, if they are made.
pub(crate) type Own = Option<Arc<Spans>>;

/// Begins with them if they are asked for.
pub(crate) fn asked_for(settings: &TracingSettings, clock: &SharedClock) -> Own {
    settings.enabled.then(|| Spans::new(clock.clone(), settings.sample_rate))
}

impl Spans {
    /// Spans by a clock; a share of the traces that begin here is kept.
    fn new(clock: SharedClock, sample_rate: f64) -> Arc<Spans> {
        let kept_below = (sample_rate.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let waiting = Mutex::default();
        let spans = Arc::new(Spans { clock, kept_below, keeps_all: sample_rate >= 1.0, waiting, full: AtomicU64::new(0) });
        watchfire_net::trace::carry_by(carried);
        spans
    }
    /// Whether a trace is kept that begins here: the same one is, whoever asks.
    fn keeps(&self, trace: TraceId) -> bool {
        let mut low = [0; 8];
        low.copy_from_slice(&trace.0[8..]);
        self.keeps_all || u64::from_be_bytes(low) < self.kept_below
    }
    fn finished(&self, span: Span) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            drop(waiting);
            self.full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(span);
    }
    fn take(&self, most: usize) -> Vec<Span> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }
}

/// The headers that carry the present trace on.
fn carried() -> Vec<(&'static str, String)> {
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        let Some(span) = current.id().and_then(|id| dispatch.downcast_ref::<Registry>()?.span(id)) else { return Vec::new() };
        let mut headers = Vec::new();
        for around in span.scope() {
            let extensions = around.extensions();
            if headers.is_empty()
                && let Some(span) = extensions.get::<Span>()
            {
                headers.push(("traceparent", span.place.parent_header()));
                if !span.place.state.is_empty() {
                    headers.push(("tracestate", span.place.state.to_string()));
                }
            }
            if let Some(id) = extensions.get::<Inherited>().and_then(|ids| ids.0.get("correlation_id")).filter(|_| !headers.is_empty()) {
                headers.push(("x-correlation-id", id.clone()));
                break;
            }
        }
        headers
    })
}
